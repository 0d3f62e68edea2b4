"""The gateway's line to the model server of its colour: REST, pooled connections."""

from typing import Any

import httpx
import orjson


class ModelUnavailableError(Exception):
    """The model server does not answer, or answers with an error of its own."""


class ModelClient:
    """Asks one version of one model over TF Serving's REST API.

    Args:
        address: `host:port` of the REST API.
        model: Name of the served model (the task).
        model_version: The version that must answer; any other answer is a 404 there.
        timeout_seconds: Longest wait for one answer.
    """

    def __init__(
        self, address: str, model: str, model_version: int, timeout_seconds: float = 5.0
    ) -> None:
        self._path = f"/v1/models/{model}/versions/{model_version}"
        self._http = httpx.AsyncClient(
            base_url=f"http://{address}",
            timeout=timeout_seconds,
            trust_env=False,  # a proxy of the environment must not see shoppers
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        )

    async def recommend(self, row: dict[str, list[Any]]) -> dict[str, Any]:
        """Ask for the answer to one row of inputs.

        Raises:
            ModelUnavailableError: No answer, or a status other than 200.
        """
        answer = await self._ask("POST", ":predict", orjson.dumps({"instances": [row]}))
        prediction: dict[str, Any] = answer["predictions"][0]
        return prediction

    async def is_available(self) -> bool:
        """Tell whether the version is loaded and answers."""
        try:
            answer = await self._ask("GET", "", None)
        except ModelUnavailableError:
            return False
        states = [one["state"] for one in answer.get("model_version_status", [])]
        return states == ["AVAILABLE"]

    async def _ask(self, method: str, verb: str, body: bytes | None) -> dict[str, Any]:
        try:
            response = await self._send(method, self._path + verb, body)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ModelUnavailableError(f"the model server does not answer ({reason})") from error
        if response.status_code != httpx.codes.OK:
            raise ModelUnavailableError(
                f"the model server answered {response.status_code}: {response.text[:200]}"
            )
        answer: dict[str, Any] = orjson.loads(response.content)
        return answer

    async def _send(self, method: str, path: str, body: bytes | None) -> httpx.Response:
        try:
            return await self._http.request(method, path, content=body)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A pooled connection that the server closed while idle; a prediction may be repeated.
            return await self._http.request(method, path, content=body)

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()
