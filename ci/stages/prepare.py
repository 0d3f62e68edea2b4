"""Stage `prepare`: events and catalogue → validated, cleaned, split dataset."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ci.config import TASK, Config, read_secret
from ci.workspace import Workspace
from model.sources import Source

if TYPE_CHECKING:
    from model.preparing import Preparation


def run(config: Config, workspace: Workspace) -> str:
    """Write `dataset/`, `quarantine/` and `data.json`.

    Raises:
        DataError: The data breaks its contract.
        SourceUnavailableError: A database cannot be reached or refuses.
        UsageError: A password reference leads nowhere.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415  seconds of imports that a reused stage saves

    from model.dataset_files import meta_of, write_dataset  # noqa: PLC0415
    from model.engines import DuckDBEngine  # noqa: PLC0415
    from model.preparing import prepare  # noqa: PLC0415

    wanted = preparation_of(config)
    prepared = prepare(DuckDBEngine(), wanted)
    meta = meta_of(prepared, wanted, config.shop.name, TASK)
    with workspace.new_folder("dataset") as folder:
        write_dataset(folder, prepared, meta)
    with workspace.new_folder("quarantine") as folder:
        pq.write_table(prepared.quarantine, folder / "rows.parquet")
    workspace.write_json("data.json", meta)
    return f"{prepared.accounting}; {meta['users']:,} users, {meta['items']:,} items"


def preparation_of(config: Config) -> "Preparation":
    """The settings of `[data]` in the words of `model/preparing.py`."""
    from model.cleaning import Limits  # noqa: PLC0415
    from model.contract import Meaning  # noqa: PLC0415
    from model.preparing import Preparation  # noqa: PLC0415

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
    )


def event_source(config: Config) -> Source:
    """Where the events lie."""
    return Source(_address(config, config.data.source), config.data.columns, _password(config))


def catalogue_source(config: Config) -> Source | None:
    """Where the items lie, if anywhere."""
    if not config.data.catalogue:
        return None
    url = _address(config, config.data.catalogue)
    return Source(url, config.data.catalogue_columns, _password(config), default_table="items")


def _address(config: Config, url: str) -> str:
    """A source's URL or path; a relative file is taken from the configuration's folder."""
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        return config.source_path(url)
    path = config.path.parent / parts.path[1:]
    return f"sqlite:///{path}" + (f"?{parts.query}" if parts.query else "")


def _password(config: Config) -> str:
    file = config.data.password_file
    return read_secret(config.data.password_env, config.source_path(file) if file else "") or ""
