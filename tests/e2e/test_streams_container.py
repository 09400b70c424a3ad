"""A model's container without AWS, for development: requests as from SageMaker, and /ping; and the gateway's own
ping."""

import pytest

SM = "X-Amzn-SageMaker-"
CONFIG = """
listen: [{ address: "@LISTEN@" }]
admin: { address: "@ADMIN@" }
upstream: { endpoint_url: "%s", ca_file: "%s" }
routes:
  - name: predict
    match: { path: /predict }
    operation: container
    parameters:
      content_type: { default: text/csv }
  - name: health
    match: { path: /model/ping, methods: [GET, HEAD] }
    operation: container
  - name: ping
    match: { path: /ping, methods: [GET, HEAD] }
    operation: ping
"""
NO_AWS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


@pytest.fixture
def container(endpoint, ca_file, start_gateway):
    """A gateway without region and credentials in front of a container that runs `model`."""
    def start(model="json"):
        endpoint.container = model
        return start_gateway(CONFIG % (endpoint.url, ca_file), head=False, env=NO_AWS)

    yield start
    endpoint.container = None


def test_request_matches_sagemaker(container, endpoint):
    gateway = container()
    response = gateway.call("/predict", b"1,2", [("Accept", "application/json"), (SM + "Custom-Attributes", "a=b"),
                                               (SM + "Target-Model", "m.tar.gz"), ("X-Other", "dropped"),
                                               ("Authorization", "secret")])
    seen = endpoint.requests[0]
    assert (response.status, seen.operation, seen.path, seen.body) == (200, "container", "/invocations", b"1,2")
    assert seen.parameters.pop("InferenceId")
    assert seen.parameters == {"ContentType": "text/csv", "Accept": "application/json", "CustomAttributes": "a=b",
                               "TargetModel": "m.tar.gz"}
    assert seen.verdict == "ok" and not seen.unexpected, "neither a signature nor unexpected headers"
    line = gateway.line()
    assert (line["operation"], line["outcome"]) == ("container", "ok")
    assert "endpoint" not in line and "region" not in line


def test_container_stream(container):
    assert container("count-3-20").call("/predict", b"x").body == b"part 1 of 3\npart 2 of 3\npart 3 of 3\n"


@pytest.mark.parametrize("status, fault", [(400, "caller"), (503, "upstream")])
def test_container_errors_are_passed(container, endpoint, status, fault):
    gateway = container()
    endpoint.next_fault(status=status, message="no amount")
    response = gateway.call("/predict", b"x")
    assert (response.status, response.outcome, response.body) == (status, "model_error", b"no amount")
    line = gateway.line()
    assert (line["outcome"], line["model_status"]) == ("model_error", status)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_container_ping(container, endpoint, method):
    gateway = container()
    assert gateway.call("/model/ping", method=method).status == 200
    endpoint.next_fault(status=503)
    assert gateway.call("/model/ping", method=method).status == 503
    assert [(seen.method, seen.path) for seen in endpoint.requests] == [("GET", "/ping")] * 2


def test_ready_without_credentials(container):
    gateway = container()
    assert gateway.admin("/ready")[0] == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_gateway_ping(container, endpoint, method):
    gateway = container()
    with gateway.caller() as caller:
        for _ in range(2):
            response = caller.call("/ping", method=method)
            assert (response.status, response.body) == (200, b"")
        line = gateway.line()
        assert line["operation"] == "ping" and "region" not in line, "nothing was signed"
        for header in (("Accept", "*/*"), ("Accept", "application/json"), ("Content-Type", "text/plain"),
                       (SM + "Inference-Id", "x"), (SM + "Unknown", "x"), ("Content-Encoding", "gzip")):
            assert caller.call("/ping", method=method, headers=[header]).status == 200, header
    assert endpoint.requests == []
    assert gateway.call("/ping", b"x").status == 405


def test_ping_reports_why_requests_would_fail(start_gateway):
    gateway = start_gateway("""
routes:
  - name: ping
    match: { path: /ping }
    operation: ping
  - name: call
    match: { path: /call }
    endpoint: echo
""", env=NO_AWS)
    gateway.allow_warnings("credentials")
    response = gateway.call("/ping", method="GET")
    assert (response.status, response.outcome) == (503, "no_credentials")
