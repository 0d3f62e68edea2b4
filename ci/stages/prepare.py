"""Stage `prepare`: events and catalogue → validated, cleaned, split dataset."""

import contextlib
from typing import TYPE_CHECKING, Any

from ci.config import TASK, Config
from ci.forwarding import forward
from ci.sources import catalogue_source, event_source, source_facts
from ci.workspace import Workspace

if TYPE_CHECKING:
    from model.data.accounting import Accounting
    from model.data.preparing import Preparation


POSTED = ".stages/posted.json"  # environment → number of the last posted event that the log has


def outside(config: Config, workspace: Workspace) -> dict[str, Any]:
    """What the sources hold: a late row makes the stage run again.

    What this machine's gateways took since is brought into the log first.

    Raises:
        DataError: A source cannot be read.
        SourceUnavailableError: A database cannot be reached or refuses.
        UsageError: A password reference leads nowhere.
    """
    posted = forward(config)
    if posted:
        workspace.write_json(POSTED, posted)
    return source_facts(config, workspace)


def run(config: Config, workspace: Workspace) -> str:
    """Write `dataset/`, `quarantine/` and `data.json`.

    Raises:
        DataError: The data breaks its contract.
        SourceUnavailableError: A database cannot be reached or refuses.
        UsageError: A password reference leads nowhere.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415  seconds of imports that a reused stage saves

    from model.data.dataset_files import meta_of, write_dataset  # noqa: PLC0415
    from model.data.engines import DuckDBEngine, Engine, PostgreSQLEngine  # noqa: PLC0415
    from model.data.preparing import prepare  # noqa: PLC0415
    from model.simulation.truth import bot_cut, oracle_score  # noqa: PLC0415

    wanted = preparation_of(config)
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(contextlib.closing(DuckDBEngine()))
        engine: Engine = reader
        if config.data.engine == "postgresql":
            engine = stack.enter_context(contextlib.closing(PostgreSQLEngine(wanted.source)))
        prepared = prepare(engine, wanted, reader)
        bots = bot_cut(reader, wanted.source, prepared)
        oracle = oracle_score(reader, wanted.source, prepared, (wanted.target, wanted.target_users))
    meta = meta_of(prepared, wanted, config.shop.name, TASK, oracle=oracle, bots=bots)
    meta["posted_until"] = workspace.find_json(POSTED) or {}
    with workspace.new_folder("dataset") as folder:
        write_dataset(folder, prepared, meta)
    with workspace.new_folder("quarantine") as folder:
        pq.write_table(prepared.quarantine, folder / "rows.parquet")
    workspace.write_json("data.json", meta)
    return line_of(prepared.accounting, meta)


def line_of(accounting: "Accounting", meta: dict[str, Any]) -> str:
    """The stage's figures in one line."""
    parts = [str(accounting), f"{meta['users']:,} users, {meta['items']:,} items"]
    if bots := meta["bots"]:
        figures = f"precision {bots['precision']:.2f}, recall {bots['recall']:.2f}"
        parts.append(f"{bots['planted']} planted bots: {figures}")
    if oracle := meta["oracle"]:
        parts.append(f"oracle NDCG@10 {oracle['ndcg_at_10']:.4f}")
    return "; ".join(parts)


def preparation_of(config: Config) -> "Preparation":
    """The settings of `[data]` in the words of `model/data/preparing.py`."""
    from model.data.cleaning import Limits  # noqa: PLC0415
    from model.data.contract import Meaning  # noqa: PLC0415
    from model.data.preparing import Preparation  # noqa: PLC0415

    data = config.data
    return Preparation(
        source=event_source(config),
        catalogue=catalogue_source(config),
        meaning=Meaning(data.event_type, data.event_types, data.item_pattern),
        limits=Limits(
            max_events_per_day=data.max_events_per_day,
            min_user_events=data.min_user_events,
            min_item_events=data.min_item_events,
            session_gap_seconds=data.session_gap_minutes * 60,
            unknown_users=data.unknown_users,
        ),
        as_of=data.as_of,
        window_days=data.window_days,
        test_days=data.test_days,
        validation_days=data.validation_days,
        max_bad_share=data.max_bad_share,
        min_events=data.min_events,
        max_silence_days=data.max_silence_days,
        features=data.features,
        target=data.target,
        target_users=data.target_users,
    )
