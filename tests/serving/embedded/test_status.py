"""The table from status codes to HTTP, as http_server.cc of TensorFlow Serving has it."""

import grpc
import pytest

from serving.embedded.status import Code, http_status

HTTP = {
    "OK": 200, "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404, "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400, "ABORTED": 409, "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}  # fmt: skip


@pytest.mark.parametrize("status", list(grpc.StatusCode), ids=lambda status: status.name)
def test_each_code_is_grpcs_and_has_its_http_answer(status):
    code = Code(status.value[0])
    assert code.name == status.name
    assert http_status(code) == HTTP[code.name]
