"""Tells everybody at once, for a bounded time; who could not be told is named in one line."""

import contextlib
import re
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from ci.config import Config, read_variable, user_name
from ci.console import complain, say
from ci.errors import HeldError, InconclusiveError, PushcartError
from ci.notifying.channel import Channel, NotToldError, Parcel
from ci.notifying.news import Happening, News, write
from ci.rollout.accountable import approved_by
from ci.settings import Event

TELLING: Final = 8  # a shorter piece of an address is a word like `robot` or `send`
BUILD_URL: Final = "BUILD_URL"  # as Jenkins names a build's page


def news_of(config: Config, event: Event, what: Happening, **facts: Any) -> News:
    """News of this shop and environment, with who did it and where to read more."""
    known = {
        "shop": config.shop.name,
        "environment": config.options.environment,
        "who": user_name(),
        "approved_by": approved_by(),
        "link": read_variable(BUILD_URL) or "",
    }
    return News(event, what, **{**known, **facts})


@contextlib.contextmanager
def telling_failures(config: Config, command: str) -> Iterator[None]:
    """Tell what ends the block otherwise than well; a verdict was told when it was made.

    Args:
        config: Names who is told.
        command: What is under way, as typed after `bin/ci`.
    """
    try:
        yield
    except (HeldError, InconclusiveError):
        raise
    except Exception as error:
        is_ours = isinstance(error, PushcartError)
        typed = f"bin/ci {command} --environment {config.options.environment}"
        facts = {
            "command": typed,
            "exit_code": error.exit_code if isinstance(error, PushcartError) else 1,
            "reason": str(error) if is_ours else f"{type(error).__name__}: {error}",
        }
        tell(config, news_of(config, "failure", "failed", **facts))
        raise


def tell(config: Config, news: News) -> None:
    """Tell all channels that want to hear of it, at once and for `timeout_seconds` at most.

    Whatever goes wrong with a channel is one line here and nothing else: a release does not depend
    on a robot.
    """
    channels = [one for one in channels_of(config) if news.event in one.events]
    if not channels:
        return
    results: dict[str, str] = {}
    threads = [
        # A daemon: one that hangs must not keep the command from ending.
        threading.Thread(target=_try, args=(one, news, config, results), daemon=True)
        for one in channels
    ]
    deadline = time.monotonic() + config.notify.timeout_seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"it did not answer within {config.notify.timeout_seconds} s"
    _report(news.event, {one.name: results.get(one.name, late) for one in channels})


def _report(event: Event, results: Mapping[str, str]) -> None:
    for name, why in results.items():
        if why:
            complain(f"notify    {name} was not told of the {event}: {why}")
    if told := [name for name, why in results.items() if not why]:
        say(f"notify    {', '.join(told)} told of the {event}")


def channels_of(config: Config) -> list[Channel]:
    """Everybody who is configured."""
    notify = config.notify
    if not notify.webhooks and not notify.mails:
        return []
    from ci.notifying import mail, webhooks  # noqa: PLC0415  only who tells needs the client

    hooks = [
        Channel(
            f"{name} ({hook.kind})",
            hook.events,
            {"url": hook.url_env, "secret": hook.secret_env, "token": hook.token_env},
            partial(webhooks.post, hook),
        )
        for name, hook in notify.webhooks.items()
    ]
    mails = [
        Channel(
            f"{name} (mail)",
            one.events,
            {"username": one.username_env, "password": one.password_env},
            partial(mail.send, one),
        )
        for name, one in notify.mails.items()
    ]
    return [*hooks, *mails]


def _trust(config: Config) -> ssl.SSLContext:
    """The public authorities, and the one that the settings name."""
    import httpx  # noqa: PLC0415  as above

    trust = httpx.create_ssl_context()
    if config.notify.ca_file:
        trust.load_verify_locations(config.source_path(config.notify.ca_file))
    return trust


def _try(channel: Channel, news: News, config: Config, results: dict[str, str]) -> None:
    """Tell one channel; leaves "" or why it was not told."""
    secrets: dict[str, str] = {}
    try:
        secrets = channel.secrets()
        language, timeout = config.notify.language, config.notify.timeout_seconds
        message = write(news, language)
        channel.send(Parcel(news, message, language, timeout, _trust(config), secrets))
        results[channel.name] = ""
    except NotToldError as error:
        results[channel.name] = without(str(error), secrets.values())
    except Exception as error:  # the border: not even a fault of ours may end a release
        results[channel.name] = without(f"{type(error).__name__}: {error}", secrets.values())


def without(text: str, secrets: Iterable[str]) -> str:
    """A text in one line that quotes no secret, nor what makes an address one."""
    parts: list[str] = []
    for secret in secrets:
        _, _, place = secret.partition("://")
        _, _, path = place.partition("/")
        pieces = (piece for piece in re.split(r"[/?&=]", path) if len(piece) >= TELLING)
        parts += [secret, place, path, *pieces]
    for part in sorted(filter(None, parts), key=len, reverse=True):
        text = text.replace(part, "***")
    return " ".join(text.split())
