"""The simulated shop that stands in for a real one: `bin/ci simulate`, and the default source."""

import json
import sys
import time
from pathlib import Path

from ci.config import PROJECT, Config, read_secret
from ci.console import duration, say
from ci.errors import BadDataError, UnavailableError
from ci.workspace import write_atomically
from model.data.sources import Source, locate
from model.schema import DataError, SourceUnavailableError

SHOP_FILE = "shop.db"
RECORD = "shop.json"  # beside the shop: the settings that it was made with


def run(config: Config, to_url: str) -> None:
    """Write a simulated shop of the configured size to a database or Parquet file.

    Raises:
        BadDataError: The target is of no known kind or already holds events.
        UnavailableError: The server cannot be reached or refuses.
    """
    url = to_url if "://" in to_url else str(Path(to_url).absolute())
    file = config.data.password_file
    password = read_secret(config.data.password_env, config.source_path(file) if file else "")
    say(_simulate(config, Source(url, password=password or "")))


def ensure_shop(config: Config) -> Source:
    """The simulated shop of this configuration, made when it is not there yet.

    A shop made with other settings is replaced; rows that were added to it since stay otherwise.
    """
    path = config.state / SHOP_FILE
    record, wanted = config.state / RECORD, _record(config)
    made = json.loads(record.read_text("utf-8")) if record.exists() else None
    source = Source(f"sqlite:///{path}")
    if made != wanted or not path.exists():
        record.unlink(missing_ok=True)
        say(_simulate(config, source))
        write_atomically(record, json.dumps(wanted, indent=2) + "\n")
    return source


def _record(config: Config) -> dict[str, object]:
    return {**config.simulator.model_dump(), "oracle_days": config.data.test_days}


def _simulate(config: Config, target: Source) -> str:
    from model.simulation.shop_writer import write_shop  # noqa: PLC0415  seconds of imports, seldom needed
    from model.simulation.simulated_world import ShopSize  # noqa: PLC0415
    from model.simulation.simulation import simulate  # noqa: PLC0415

    started = time.monotonic()
    size = ShopSize(**config.simulator.model_dump())
    say(f"simulate  {size.events:,} events of {size.shoppers:,} shoppers, {size.items:,} items")
    try:
        shop = simulate(size, config.data.test_days, _progress)
        write_shop(shop, target, _ddl(target))
    except DataError as error:
        raise BadDataError(str(error)) from None
    except SourceUnavailableError as error:
        raise UnavailableError(str(error)) from None
    return f"simulate  written to {target.url} ({duration(time.monotonic() - started)})"


def _progress(share: float) -> None:
    """The share done, on one line of a terminal; nothing where output is a file."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r          {share:4.0%} ")
        sys.stdout.flush()


def _ddl(target: Source) -> str:
    if "://" not in target.url:
        return ""
    kind = locate(target.url).kind
    return (PROJECT / "infra" / "database" / f"{kind}.sql").read_text(encoding="utf-8")
