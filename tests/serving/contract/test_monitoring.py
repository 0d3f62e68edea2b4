"""Contract, group 11: the Prometheus page and the health service."""

import re

import pytest

from tests.serving.bundles import random_row

pytestmark = pytest.mark.wire
PAGE = "/monitoring/prometheus/metrics"
_LINE = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*=\"[^\"]*\",?)*\})? \S+$")


def count(server, status):
    wanted = f':tensorflow:serving:request_count{{model_name="next_item",status="{status}"}} '
    lines = [line for line in server.get(PAGE).text.splitlines() if line.startswith(wanted)]
    return int(lines[0].rpartition(" ")[2]) if lines else 0


def test_requests_are_counted_by_status(server, stubs):
    before = count(server, "OK"), count(server, "INVALID_ARGUMENT")
    body = {"instances": [random_row(1)]}
    assert server.post("/v1/models/next_item:predict", body).status_code == 200
    assert "outputs" in stubs.predict(server.grpc_address, [random_row(1)])
    assert server.post("/v1/models/next_item:predict", {}).status_code == 400
    assert (count(server, "OK"), count(server, "INVALID_ARGUMENT")) == (
        before[0] + 2,
        before[1] + 1,
    )


def test_page_is_in_the_format_of_prometheus(server):
    server.post("/v1/models/next_item:predict", {"instances": [random_row(1)]})
    page = server.get(PAGE)
    assert page.headers["content-type"].startswith("text/plain")
    lines = page.text.splitlines()
    assert all(line.startswith("# ") or _LINE.match(line) for line in lines)
    latency = ":tensorflow:serving:request_latency"
    assert f"# TYPE {latency} histogram" in lines
    assert any(line.startswith(f"{latency}_bucket") and 'le="+Inf"' in line for line in lines)


def test_health_service(server, stubs):
    assert stubs.call("health", server.grpc_address) == {"status": "SERVING"}
    refused = stubs.call("health", server.grpc_address, service="nobody")
    assert refused["error"] == "NOT_FOUND"
