"""Which rows a configuration means: the event log, the catalogue, and the key to them."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from ci import reference
from ci.config import Config, read_secret
from ci.simulating import ensure_shop
from ci.workspace import Workspace
from model.data.columns import choose_event_columns, choose_item_columns
from model.data.sources import Source, glance

SIMULATOR = "simulator"
SAME = "source"  # the same table as the event log: of the catalogue, of posted events
REMEMBERED = ".stages/sources.json"


def event_source(config: Config) -> Source:
    """The event log; the simulated shop is made first where it is the source.

    Raises:
        UsageError: A password reference leads nowhere.
        InconclusiveError: A pull request finds no reference.
    """
    if config.data.source == SIMULATOR:
        return ensure_shop(config)
    if config.data.source == reference.SOURCE:
        return reference.events(config)
    url = _address(config, config.data.source)
    return Source(
        url,
        config.data.columns,
        password_of(config),
        item_separator=config.data.item_separator,
    )


def catalogue_source(config: Config) -> Source | None:
    """The items, if there is a catalogue: the simulated shop has one.

    Raises:
        UsageError: A password reference leads nowhere.
    """
    columns = config.data.catalogue_columns
    if config.data.catalogue == reference.SOURCE:
        return reference.catalogue(config)
    if config.data.catalogue == SAME:
        return replace(event_source(config), columns=columns, item_separator="")
    if config.data.catalogue:
        url = _address(config, config.data.catalogue)
        return Source(url, columns, password_of(config), default_table="items")
    if config.data.source == SIMULATOR:
        return Source(ensure_shop(config).url, columns, default_table="items")
    return None


def password_of(config: Config) -> str:
    """The database's password, or "" where none is configured.

    Raises:
        UsageError: The variable is not set or the file cannot be read.
    """
    file = config.data.password_file
    return read_secret(config.data.password_env, config.source_path(file) if file else "") or ""


def _address(config: Config, url: str) -> str:
    """A source's URL or path; a relative file is taken from the configuration's folder."""
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        return config.source_path(url)
    path = config.path.parent / parts.path[1:]
    return f"sqlite:///{path}" + (f"?{parts.query}" if parts.query else "")


def source_facts(config: Config, workspace: Workspace) -> dict[str, Any]:
    """Fingerprints of the event log and the catalogue.

    Args:
        config: Names them.
        workspace: Remembers what was found: files that look as they did are not read again.

    Raises:
        DataError: A source cannot be read.
        SourceUnavailableError: Its server cannot be reached or refuses.
    """
    remembered = workspace.find_json(REMEMBERED) or {}
    facts = {}
    for name, source in (("events", event_source(config)), ("catalogue", catalogue_source(config))):
        if source is None:
            continue
        look = {"files": glance(source), "columns": dict(source.columns)}
        known = remembered.get(name)
        if look["files"] is None or known is None or known["look"] != look:
            remembered[name] = {"look": look, "facts": _fingerprint(name, source, config)}
        facts[name] = remembered[name]["facts"]
    workspace.write_json(REMEMBERED, remembered)
    return facts


def _fingerprint(name: str, source: Source, config: Config) -> dict[str, Any]:
    from model.data.fingerprint import fingerprint  # noqa: PLC0415  needs DuckDB, a no-op does not

    def choose(found: list[str]) -> dict[str, str]:
        if name == "catalogue":
            return choose_item_columns(found, source)
        return choose_event_columns(found, source, bool(config.data.event_type))

    return fingerprint(source, choose)
