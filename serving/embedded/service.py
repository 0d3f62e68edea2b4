"""The calls of the API, apart from any transport: predict, metadata, status, reload."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from serving.embedded.config_files import model_settings
from serving.embedded.engine import Deadline
from serving.embedded.json_tensors import parse_body, select_content, to_arrays, to_json
from serving.embedded.manager import Manager
from serving.embedded.messages import (
    GetModelMetadataResponse,
    GetModelStatusResponse,
    PredictResponse,
    SignatureDefMap,
)
from serving.embedded.metrics import Metrics
from serving.embedded.prediction import answer, decoded_inputs
from serving.embedded.signatures import DEFAULT_SIGNATURE, Signature, find
from serving.embedded.status import Code, ServingError, invalid
from serving.embedded.tensors import Array, encode
from serving.embedded.versions import Version


@dataclass(frozen=True)
class Target:
    """The model and version that a request names."""

    name: str
    number: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Service:
    """Answers the calls of both transports.

    Args:
        manager: Where the models are.
        engine: Its name, a label of the metrics.
        tensor_content: Whether gRPC answers carry tensor_content instead of typed fields.
        metrics: Where requests are counted.
    """

    manager: Manager
    engine: str
    tensor_content: bool = False
    metrics: Metrics = field(default_factory=Metrics)

    def predict(self, request: Any, deadline: Deadline) -> Any:
        """Answers a PredictRequest with a PredictResponse.

        Raises:
            ServingError: as TensorFlow Serving's Predict.
        """
        target = _target(request)
        with self._counted(target, "GRPC"), self._borrow(target) as version:
            signature = find(_model(version).signatures, request.model_spec.signature_name)
            inputs = decoded_inputs(signature, request.inputs)
            outputs = self._run(version, signature, inputs, request.output_filter, deadline)
            response = PredictResponse()
            response.model_spec.name = target.name
            response.model_spec.version.value = version.number
            response.model_spec.signature_name = signature.name
            for name, values in outputs.items():
                response.outputs[name].CopyFrom(encode(values, self.tensor_content))
            return response

    def predict_json(self, target: Target, body: bytes, deadline: Deadline) -> bytes:
        """Answers the body of a REST predict request.

        Raises:
            ServingError: as TensorFlow Serving's REST API, in its order of checks.
        """
        with self._counted(target, "REST"):
            parsed = parse_body(body)
            with self._borrow(target) as version:
                signature = _rest_signature(version, parsed.get("signature_name", ""))
                document = select_content(parsed)
                inputs = to_arrays(document, signature)
                outputs = self._run(version, signature, inputs, (), deadline)
            return to_json(outputs, document.by_row)

    def metadata(self, request: Any) -> Any:
        """Answers a GetModelMetadataRequest.

        Raises:
            ServingError: INVALID_ARGUMENT for a field other than signature_def, NOT_FOUND.
        """
        target = _target(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != "signature_def":
                raise invalid(f"Metadata field {name} is not supported")
        with self._borrow(target) as version:
            signatures = SignatureDefMap()
            for name, definition in _model(version).definitions.items():
                signatures.signature_def[name].CopyFrom(definition)
            response = GetModelMetadataResponse()
            response.model_spec.name = target.name
            response.model_spec.version.value = version.number
            response.metadata["signature_def"].Pack(signatures)
            return response

    def status(self, request: Any) -> Any:
        """Answers a GetModelStatusRequest; a label is ignored, as in TensorFlow Serving.

        Raises:
            ServingError: NOT_FOUND for a model or version that the server has never seen.
        """
        target = _target(request)
        response = GetModelStatusResponse()
        for version in self.manager.statuses(target.name, target.number):
            status = response.model_version_status.add(version=version.number)
            status.state = type(status).State.Value(version.state.value)
            error = version.error
            status.status.error_code = error.code if error else Code.OK
            status.status.error_message = error.message if error else ""
        return response

    def reload(self, request: Any, deadline: Deadline) -> None:
        """Applies a ReloadConfigRequest.

        Raises:
            ServingError: what is wrong with the configuration, or with a new model.
        """
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                "ModelConfigList is currently supported"
            )
        self.manager.apply(model_settings(request.config), deadline)

    def _borrow(self, target: Target) -> Any:
        return self.manager.borrow(target.name, target.number, target.label)

    def _run(
        self,
        version: Version,
        signature: Signature,
        inputs: dict[str, Array],
        output_filter: Any,
        deadline: Deadline,
    ) -> dict[str, Array]:
        started = time.perf_counter()
        outputs = answer(_model(version), signature, inputs, output_filter, deadline)
        self.metrics.run(version.model_name, self.engine, time.perf_counter() - started)
        return outputs

    @contextmanager
    def _counted(self, target: Target, entrypoint: str) -> Iterator[None]:
        started, code = time.perf_counter(), Code.INTERNAL
        try:
            yield
            code = Code.OK
        except ServingError as error:
            code = error.code
            raise
        finally:
            # a name that nobody configured would let a stranger grow the page without end
            name = target.name if self.manager.knows(target.name) else ""
            seconds = time.perf_counter() - started
            self.metrics.request(name, "Predict", entrypoint, code, seconds)


def _target(request: Any) -> Target:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    match spec.WhichOneof("version_choice"):
        case "version":
            return Target(spec.name, number=spec.version.value)
        case "version_label":
            return Target(spec.name, label=spec.version_label)
        case _:
            return Target(spec.name)


def _model(version: Version) -> Any:
    if version.model is None:
        raise ServingError(Code.INTERNAL, f"{version.model_name} {version.number} has no model.")
    return version.model


def _rest_signature(version: Version, name: str) -> Signature:
    """Finds a signature with the code that the REST API has for a missing one: 400, not gRPC's."""
    signatures = _model(version).signatures
    key = name or DEFAULT_SIGNATURE
    if key not in signatures:
        raise invalid(f'Serving signature name: "{key}" not found in signature def')
    return find(signatures, key)
