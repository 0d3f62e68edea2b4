"""What is sent: the templates of `infra/templates/notify`, filled and signed."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from ci.config import PROJECT
from ci.notifying.news import Message, News
from ci.templating import fill

TEMPLATES: Final = PROJECT / "infra" / "templates" / "notify"


def body_of(
    kind: str, news: News, message: Message, language: str, folder: Path | None = None
) -> dict[str, Any]:
    """The body that a kind of webhook takes; `folder` names other templates.

    Raises:
        ValueError: What the template makes is no JSON.
        TemplateError: The template cannot be filled.
    """
    text = _filled(folder, f"{kind}.json", news, message, language)
    body: dict[str, Any] = json.loads(text)
    return body


def mail_text(news: News, message: Message, language: str, folder: Path | None = None) -> str:
    """What stands in an e-mail."""
    return _filled(folder, "mail.txt", news, message, language)


def _filled(folder: Path | None, name: str, news: News, message: Message, language: str) -> str:
    values = {"news": news.as_json(), "message": message, "language": language}
    return fill(folder or TEMPLATES, {name: name}, values)[name]


def dingtalk_url(url: str, secret: str, now: float) -> str:
    """DingTalk's signed address: HMAC-SHA256 of milliseconds and secret, by the secret."""
    moment = str(round(now * 1000))
    digest = hmac.new(secret.encode(), f"{moment}\n{secret}".encode(), hashlib.sha256).digest()
    signed = urlencode({"timestamp": moment, "sign": base64.b64encode(digest).decode()})
    return f"{url}{'&' if '?' in url else '?'}{signed}"


def feishu_body(body: dict[str, Any], secret: str, now: float) -> dict[str, Any]:
    """Feishu's signed body: HMAC-SHA256 of nothing, by seconds and secret."""
    moment = str(int(now))
    digest = hmac.new(f"{moment}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return {"timestamp": moment, "sign": base64.b64encode(digest).decode(), **body}
