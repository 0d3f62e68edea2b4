"""Posts to robots and receivers by HTTP, and reads whether they took it."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx

from ci.notifying.bodies import body_of, dingtalk_url, feishu_body
from ci.notifying.channel import NotToldError, Parcel
from ci.settings import WebhookSettings

READ_AT_MOST: Final = 64 * 1024  # of an answer; robots say a line
QUOTED: Final = 200
# These robots answer 200 to what they refuse; the number in the body says it, 0 is taken.
CODES: Final = {"dingtalk": ("errcode",), "wecom": ("errcode",), "feishu": ("code", "StatusCode")}
MESSAGES: Final = ("errmsg", "msg", "StatusMessage")

LOGGERS: Final = ("httpx", "httpcore")  # they log addresses, and an address is a secret here


def post(hook: WebhookSettings, parcel: Parcel) -> None:
    """Send one message.

    Args:
        hook: To which kind of receiver.
        parcel: Its secrets are `url`, and `secret` or `token` where there are such.

    Raises:
        NotToldError: It was not taken.
    """
    now, url = time.time(), parcel.secrets["url"]
    body = body_of(hook.kind, parcel.news, parcel.message, parcel.language)
    if secret := parcel.secrets.get("secret"):
        url = dingtalk_url(url, secret, now) if hook.kind == "dingtalk" else url
        body = feishu_body(body, secret, now) if hook.kind == "feishu" else body
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if token := parcel.secrets.get("token"):
        headers["Authorization"] = f"Bearer {token}"
    content = json.dumps(body, ensure_ascii=False).encode()
    status, said = _ask(url, content, headers, parcel)
    if not 200 <= status < 300:
        raise NotToldError(f"it answered {status}: {_quoted(said)}")
    if hook.kind in CODES:
        _require_taken(said, CODES[hook.kind])


def _ask(url: str, content: bytes, headers: Mapping[str, str], parcel: Parcel) -> tuple[int, str]:
    """Status and the beginning of the answer; redirects are not followed."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with (
            httpx.Client(verify=parcel.trust, timeout=parcel.timeout_seconds) as client,
            client.stream("POST", url, content=content, headers=headers) as answer,
        ):
            said = b""
            for part in answer.iter_bytes():
                said += part
                if len(said) >= READ_AT_MOST:
                    break
            return answer.status_code, said[:READ_AT_MOST].decode("utf-8", "replace")
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise NotToldError("its variable holds no http:// or https:// address") from None
    except httpx.HTTPError as error:
        raise NotToldError(f"{type(error).__name__}: {error}") from error


def _require_taken(said: str, codes: tuple[str, ...]) -> None:
    try:
        answer: dict[str, Any] = json.loads(said)
        code = next((answer[name] for name in codes if name in answer), None)
    except (ValueError, TypeError):
        code = None
    if code is None:
        raise NotToldError(f"it answered as no robot of this kind does: {_quoted(said)}")
    if code != 0:
        why = next((answer[name] for name in MESSAGES if name in answer), "")
        raise NotToldError(f"it was refused with code {code}: {_quoted(str(why))}")


def _quoted(said: str) -> str:
    return " ".join(said.split())[:QUOTED] or "nothing"
