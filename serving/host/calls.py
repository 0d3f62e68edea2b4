"""One JSON call over HTTP, standard library only, without proxies."""

import http.client
import json
from dataclasses import dataclass
from typing import Any


class CallError(Exception):
    """Nobody answered, or not in JSON over HTTP; the message names the address."""


@dataclass(frozen=True)
class Answer:
    """Status and parsed body of one answer."""

    status: int
    body: Any


def call(
    address: str, path: str, body: Any = None, timeout: float = 10.0, method: str | None = None
) -> Answer:
    """GET a path, or POST a JSON body to it, on a fresh connection.

    Args:
        address: `host:port`.
        path: Path and query.
        body: What to send as JSON; None makes it a GET.
        timeout: Longest silence in seconds.
        method: Another method than GET or POST.

    Raises:
        CallError: No connection, a broken answer, or an answer that is not JSON.
    """
    connection = http.client.HTTPConnection(address, timeout=timeout)
    payload = None if body is None else json.dumps(body).encode()
    verb = method or ("GET" if body is None else "POST")
    headers = {"Connection": "close", "Content-Type": "application/json"}
    try:
        connection.request(verb, path, payload, headers)
        response = connection.getresponse()
        return Answer(response.status, json.loads(response.read()))
    except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
        raise CallError(
            f"{verb} http://{address}{path}: {error or type(error).__name__}"
        ) from error
    finally:
        connection.close()
