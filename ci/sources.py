"""Which rows a configuration means: the event log, the catalogue, and the key to them."""

from urllib.parse import urlsplit

from ci.config import Config, read_secret
from ci.simulating import ensure_shop
from model.sources import Source

SIMULATOR = "simulator"


def event_source(config: Config) -> Source:
    """The event log; the simulated shop is made first where it is the source.

    Raises:
        UsageError: A password reference leads nowhere.
    """
    if config.data.source == SIMULATOR:
        return ensure_shop(config)
    url = _address(config, config.data.source)
    return Source(url, config.data.columns, password_of(config))


def catalogue_source(config: Config) -> Source | None:
    """The items, if there is a catalogue: the simulated shop has one.

    Raises:
        UsageError: A password reference leads nowhere.
    """
    columns = config.data.catalogue_columns
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
