"""Who changes a release and by whose word, as every host's record and the ledger name them."""

from collections.abc import Mapping
from typing import Final

from ci.config import Config, read_variable, user_name

# Names who approved; a build server sets it from the answer to its question.
APPROVED_BY: Final = "PUSHCART_APPROVED_BY"


def approved_by() -> str:
    """Who approved the change, where somebody had to; else ""."""
    return read_variable(APPROVED_BY) or ""


def accountable(config: Config) -> dict[str, str]:
    """What is told of the people behind a change of release; what is not known is left out."""
    told = {
        "who": user_name(),
        "approved_by": approved_by(),
        "override_freeze": config.options.override_freeze,
    }
    return {name: value for name, value in told.items() if value}


def as_options(told: Mapping[str, str]) -> list[str]:
    """The same as options of `pushcart-host`; an older one knows all but the newest of them."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in told.items() if value]
