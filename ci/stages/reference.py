"""Stage `reference`: what pull requests are judged on, published by the main branch."""

from typing import Any

from ci import artifacts, reference
from ci.baseline import find_baseline
from ci.config import Config
from ci.own_code import own_digests
from ci.sources import source_facts
from ci.workspace import Workspace


def outside(config: Config, workspace: Workspace) -> dict[str, Any]:
    """What the reference depends on beyond the workspace: rows, what is live, own code, budget.

    The budget is that of a pull request, whatever the other stages of this build spend.
    """
    live = find_baseline(config)
    return {
        **source_facts(config, workspace),
        "model": config.model.model_dump(mode="json"),
        "live": live.digest if live else None,
        **own_digests(config.model.rungs),
    }


def kept(config: Config, workspace: Workspace) -> bool:
    """Whether pull requests still find what was published."""
    made = workspace.read_json("../reference.json", "reference")
    published = reference.find_published(config)
    there = published is not None and published.digest == made["digest"]
    return there and artifacts.has(config, made["digest"])


def run(config: Config, workspace: Workspace) -> str:
    """Publish a reference; write `reference.json`.

    Raises:
        DataError: The log breaks its contract.
        SourceUnavailableError: A database cannot be reached or refuses.
        UnavailableError: What is live cannot be loaded.
    """
    from ci.publishing import publish  # noqa: PLC0415  a reused stage needs none of it

    made = publish(config, find_baseline(config))
    facts = made.facts
    workspace.write_json("../reference.json", {"digest": made.digest, **facts})
    return (
        f"{facts['events']:,} events of {facts['shoppers']:,} of {facts['of_shoppers']:,} shoppers "
        f"under pseudonyms, {made.bytes / 1e6:.1f} MB, {made.digest[:19]}…; {_live(facts['live'])}"
    )


def _live(live: dict[str, Any]) -> str:
    if "why_not" in live:
        return f"no figures of the live model: {live['why_not']}"
    value = live["figure"]["value"]
    return f"live release {live['model_version']}: {live['metric']} {value:.4f}"
