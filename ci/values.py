"""The kinds of values that settings have, and what is refused of each."""

import datetime as dt
import difflib
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from ci.naming import NAME

Name = Annotated[str, Field(pattern=NAME)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]

# `user:…@` and `password=…` in the spellings of databases: what is refused is what is masked.
_LITERAL_PASSWORD = re.compile(r"(://[^\s/@:]*:)\S+(?=@)|((?:passw(?:or)?d|pwd)=)[^\s&]+", re.I)


def without_passwords(text: str) -> str:
    """A text that may quote what a person wrote, each literal password as `***`."""
    return _LITERAL_PASSWORD.sub(r"\1\2***", text)


def _no_literal_password(url: str) -> str:
    if _LITERAL_PASSWORD.search(url):
        raise ValueError(
            "holds a literal password; remove it from the URL and set `password_env` or "
            "`password_file` in the same section instead"
        )
    return url


def _regular_expression(pattern: str) -> str:
    """A pattern that both engines can search for."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"{pattern!r} is no regular expression ({error}); write \\ before a sign that is meant "
            "as itself"
        ) from None
    if found := re.search(r"\(\?<?[=!]|\\[1-9]", pattern):
        raise ValueError(
            f"{pattern!r} looks around or back ({found.group()}), which DuckDB does not know; "
            "write it without"
        )
    return pattern


def only_our_words(section: str, mapping: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Refuse a mapping to words that mean nothing here.

    Raises:
        ValueError: One of its keys is not allowed.
    """
    for ours in mapping:
        if ours not in allowed:
            near = difflib.get_close_matches(ours, allowed, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{section} maps {ours!r}, which is no word of ours; write ours = yours, with "
                f"ours one of {', '.join(allowed)}.{hint}"
            )


def _names_a_variable(name: str) -> str:
    """The name of an environment variable; what is none may be a secret, so it is never quoted."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*|", name):
        raise ValueError(
            "holds no name of an environment variable; put the secret into one, and its name here"
        )
    return name


def _as_text(value: Any) -> Any:
    """A date that TOML already read, as text."""
    return value.isoformat() if isinstance(value, dt.date) else value


SafeUrl = Annotated[str, AfterValidator(_no_literal_password)]
Pattern = Annotated[str, AfterValidator(_regular_expression)]
Address = Annotated[str, Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")]  # of e-mail
VariableName = Annotated[str, AfterValidator(_names_a_variable)]
Moment = Annotated[str, BeforeValidator(_as_text)]
