"""Publishes the reference: draws the sample, and lets the code of `main` make its model of it."""

import contextlib
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ci import artifacts, reference, runner
from ci.baseline import Baseline
from ci.config import Config
from ci.errors import BadDataError
from ci.evaluating.per_user import LIVE, write_scores
from ci.evaluating.pseudonyms import pseudonyms, read_salt
from ci.pipeline import STAGE
from ci.stages import evaluate, export, prepare
from ci.workspace import digest_of, remove, size_of, write_atomically

PER_USER = "per_user.parquet"


@dataclass(frozen=True)
class Made:
    """A reference that was published.

    Attributes:
        digest: `sha256:…` of its folder.
        facts: What is told of it.
        bytes: Size of its folder.
    """

    digest: str
    facts: dict[str, Any]
    bytes: int


def publish(config: Config, live: Baseline | None) -> Made:
    """Make a reference of the shop's newest rows, and point pull requests to it.

    Args:
        config: The settings of `main`, with the budget of a pull request.
        live: What serves, whose figures are shown beside; None where nothing does.

    Raises:
        DataError: The log breaks its contract.
        SourceUnavailableError: A database cannot be reached or refuses.
        PushcartError: A stage on the sample ends otherwise than well.
    """
    store = reference.store_of(config)
    store.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=".reference-", dir=store))
    try:
        facts = _draw(config, home)
        begun = _begun(config, home)
        for name in runner.MAKES_CHALLENGER:
            runner.run_stage(STAGE[name], begun, runner.workspace_of(begun))
        facts["live"] = _figures_of_live(begun, home, live)
        _write_facts(home, facts)
        size = size_of(home)
        return Made(_point_to(config, home), facts, size)
    finally:
        remove(home)


def _draw(config: Config, home: Path) -> dict[str, Any]:
    """Write the sample; returns what is told of it."""
    import pyarrow as pa  # noqa: PLC0415  seconds of imports that a reused stage saves
    import pyarrow.parquet as pq  # noqa: PLC0415

    from model.data.engines import DuckDBEngine  # noqa: PLC0415
    from model.data.sampling import sample  # noqa: PLC0415

    salt = read_salt(config.state / "salt")
    with contextlib.closing(DuckDBEngine()) as engine:
        drawn = sample(
            engine,
            prepare.preparation_of(config),
            config.settings.reference.shoppers,
            lambda ids: pseudonyms(ids, salt),
        )
    pq.write_table(drawn.events, home / reference.EVENTS)
    pq.write_table(pa.Table.from_pandas(drawn.items, preserve_index=False), home / reference.ITEMS)
    facts = {
        "shop": config.shop.name,
        "commit": export.commit(),
        "as_of": drawn.as_of,
        "shoppers": drawn.shoppers,
        "of_shoppers": drawn.of_shoppers,
        "events": drawn.events.num_rows,
    }
    _write_facts(home, facts)  # the stages on the sample read the clock there
    return facts


def _begun(config: Config, home: Path) -> Config:
    """The settings of a pull request that reads this folder and leaves its work in it."""
    places = {"build": reference.begun_build(home), "state": reference.begun_state(home)}
    storage = config.storage.model_copy(update={name: str(path) for name, path in places.items()})
    settings = config.settings.model_copy(update={"storage": storage})
    return reference.at(replace(config, settings=settings), home)


def _figures_of_live(begun: Config, home: Path, live: Baseline | None) -> dict[str, Any]:
    """How the live model does on the same shoppers; why not, where that cannot be said fairly."""
    if live is None:
        return {"why_not": "nothing serves yet"}
    try:
        evaluation, scores = evaluate.compare(begun, runner.workspace_of(begun), live)
    except BadDataError as error:
        return {"why_not": str(error)}
    write_scores(home / PER_USER, scores)
    return {
        "environment": begun.gate.baseline_environment,
        "model_version": live.model_version,
        "digest": live.digest,
        "metric": begun.gate.metric,
        "figure": evaluation["models"][LIVE]["metrics"][begun.gate.metric],
    }


def _write_facts(home: Path, facts: dict[str, Any]) -> None:
    write_atomically(home / reference.FACTS, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


def _point_to(config: Config, home: Path) -> str:
    """Keep the folder, make it the newest, and let go of the one before the one before."""
    digest, store = digest_of(home), reference.store_of(config)
    known = reference.find_published(config)
    stored = store / digest.removeprefix("sha256:")
    if not stored.exists():
        home.chmod(0o755)
        home.rename(stored)
    if known is None or known.digest != digest:
        reference.point_to(config, reference.Published(digest, known.digest if known else ""))
        if known and known.before not in ("", digest):
            artifacts.drop(config, known.before)
    return digest
