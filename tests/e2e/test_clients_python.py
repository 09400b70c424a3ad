"""Python's standard clients: what a program without AWS support would use."""

import http.client
import json
import urllib.error
import urllib.request

import pytest
from payloads import BODIES, ONE_OVER, sha256


@pytest.mark.parametrize("name", BODIES)
def test_urllib_posts_every_body(gateway, name):
    request = urllib.request.Request(f"{gateway.url}/call/echo", BODIES[name], {"Content-Type": "x/y"})
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.read() == BODIES[name]
        assert response.headers["Content-Type"] == "x/y"
        assert response.headers["X-Request-Id"] and response.headers["X-Amzn-SageMaker-Inference-Id"]


def test_urllib_gets_the_model_error(gateway, endpoint):
    endpoint.next_fault(code="ModelError", original_status=422, original_message='{"detail":"no such column"}')
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{gateway.url}/call/echo", b"x", timeout=10)
    assert caught.value.code == 422
    assert b"no such column" in caught.value.read()
    assert caught.value.headers["X-Sagegate-Outcome"] == "model_error"


def test_http_client_keeps_its_connection(gateway, endpoint):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    connection.connect()
    sock = connection.sock
    for name, body in BODIES.items():
        connection.request("POST", "/call/json", body, {"Content-Type": "a/b"})
        assert json.load(connection.getresponse())["body_sha256"] == sha256(body), name
        assert connection.sock is sock, "kept alive"


def test_http_client_sends_chunks(gateway):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    body = BODIES["six-mib"]
    pieces = (body[start : start + 70_001] for start in range(0, len(body), 70_001))
    connection.request("POST", "/call/json", pieces, {"Content-Type": "a/b"}, encode_chunked=True)
    assert json.load(connection.getresponse())["body_sha256"] == sha256(body)


def test_one_byte_over_the_limit(gateway, endpoint):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    try:
        connection.request("POST", "/call/json", ONE_OVER)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the response arrived while the body was still being sent
    else:
        assert connection.getresponse().status == 413
    assert gateway.line(outcome="body_too_large")["status"] == 413
    assert endpoint.requests == []
    assert gateway.call().status == 200


def test_streamed_response_is_read_incrementally(gateway):
    with urllib.request.urlopen(f"{gateway.url}/call/count-4-20", b"x", timeout=10) as response:
        assert response.read().splitlines() == [b"part %d of 4" % n for n in range(1, 5)]
