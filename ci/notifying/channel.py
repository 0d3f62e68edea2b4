"""What a channel is: somebody who asked to be told, and how that is done."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ci.config import read_variable
from ci.notifying.news import Message, News
from ci.settings import Event


class NotToldError(Exception):
    """The message was not taken; says why, and may quote what the other side said."""


@dataclass(frozen=True)
class Parcel:
    """What a channel sends, and what it needs for that.

    Attributes:
        news: What happened.
        message: The same in words.
        language: Of the words.
        timeout_seconds: How long one answer may take.
        trust: Whose certificates are good.
        secrets: By what they are, e.g. `url`.
    """

    news: News
    message: Message
    language: str
    timeout_seconds: float
    trust: ssl.SSLContext
    secrets: Mapping[str, str]


@dataclass(frozen=True)
class Channel:
    """Somebody who is told.

    Attributes:
        name: Its name and kind.
        events: What it wants to hear of.
        variables: The environment variables that hold its secrets, by what they are.
        send: Sends a parcel.
    """

    name: str
    events: tuple[Event, ...]
    variables: Mapping[str, str]
    send: Callable[[Parcel], None]

    def secrets(self) -> dict[str, str]:
        """Its secrets by what they are.

        Raises:
            NotToldError: A variable is not set.
        """
        named = {what: name for what, name in self.variables.items() if name}
        found = {what: read_variable(name) for what, name in named.items()}
        if missing := [named[what] for what, value in found.items() if value is None]:
            raise NotToldError(f"the variable {' and '.join(missing)} is not set")
        return {what: value for what, value in found.items() if value is not None}
