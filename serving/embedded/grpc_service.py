"""The gRPC side: PredictionService, ModelService and, when asked for, the health service."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving.embedded import messages
from serving.embedded.engine import Deadline
from serving.embedded.service import Service
from serving.embedded.status import Code, ServingError

_LOG: Final = logging.getLogger(__name__)
_STATUS: Final = {status.value[0]: status for status in grpc.StatusCode}
# A request of 2,000 rows of the bundle's five inputs takes some 3 MB.
MAX_MESSAGE_BYTES: Final = 64 * 2**20
_HEALTH_NAMES: Final = ("", "ModelService", "PredictionService")


@dataclass(frozen=True)
class _Call:
    """One method of a service: its messages and what answers it."""

    request: Any
    response: Any
    answer: Callable[[Any, Deadline], Any]


class GrpcServer:
    """Serves the gRPC API on one address.

    Args:
        service: What answers.
        address: For example `127.0.0.1:8500`.
        threads: Requests that are worked on side by side.
        with_health: Whether grpc.health.v1 is served.

    Raises:
        ServingError: UNAVAILABLE when the address cannot be bound.
    """

    def __init__(self, service: Service, address: str, threads: int, with_health: bool) -> None:
        self._server = grpc.server(
            ThreadPoolExecutor(threads, "grpc"),
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                # two servers on one port would each get half of the requests
                ("grpc.so_reuseport", 0),
            ],
        )
        for name, calls in _services(service).items():
            handlers = {method: _handler(call) for method, call in calls.items()}
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, handlers),)
            )
        self._health: health.HealthServicer | None = None
        if with_health:
            self._health = health.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ServingError(
                Code.UNAVAILABLE, f"Cannot listen on {address} for gRPC: {error}"
            ) from error

    def start(self) -> None:
        """Begins to answer, and says SERVING to health checks."""
        self._server.start()
        if self._health:
            for name in _HEALTH_NAMES:
                self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace_seconds: float) -> None:
        """Says NOT_SERVING, refuses new calls, and waits for those in flight."""
        if self._health:
            self._health.enter_graceful_shutdown()
        self._server.stop(grace_seconds).wait()


def _services(service: Service) -> dict[str, dict[str, _Call]]:
    def reload(request: Any, deadline: Deadline) -> Any:
        service.reload(request, deadline)
        return messages.ReloadConfigResponse(status={"error_code": int(Code.OK)})

    def metadata(request: Any, _: Deadline) -> Any:
        return service.metadata(request)

    def status(request: Any, _: Deadline) -> Any:
        return service.status(request)

    return {
        "tensorflow.serving.PredictionService": {
            "Predict": _Call(messages.PredictRequest, messages.PredictResponse, service.predict),
            "GetModelMetadata": _Call(
                messages.GetModelMetadataRequest, messages.GetModelMetadataResponse, metadata
            ),
        },
        "tensorflow.serving.ModelService": {
            "GetModelStatus": _Call(
                messages.GetModelStatusRequest, messages.GetModelStatusResponse, status
            ),
            "HandleReloadConfigRequest": _Call(
                messages.ReloadConfigRequest, messages.ReloadConfigResponse, reload
            ),
        },
    }


def _handler(call: _Call) -> Any:
    def handle(request: Any, context: Any) -> Any:
        try:
            return call.answer(request, Deadline.after(context.time_remaining()))
        except ServingError as error:
            _abort(context, error.code, error.message)
        except Exception as error:  # the client gets a status, the server lives on
            _LOG.exception("A gRPC call failed")
            _abort(context, Code.INTERNAL, f"{type(error).__name__}: {error}")

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=call.request.FromString,
        response_serializer=call.response.SerializeToString,
    )


def _abort(context: Any, code: Code, message: str) -> NoReturn:
    context.abort(_STATUS[code.value], message)
    raise AssertionError("abort raises")
