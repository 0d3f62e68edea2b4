"""Errors as shops read them: RFC 9457, `application/problem+json`."""

import http
from typing import Final

import orjson

MEDIA_TYPE: Final = "application/problem+json"


def problem(status: int, detail: str) -> bytes:
    """The body of an error.

    Args:
        status: Of the answer.
        detail: What happened, the value seen, and what to change.
    """
    title = http.HTTPStatus(status).phrase
    return orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
