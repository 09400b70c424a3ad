"""The gateway's limits from a client's view: time for head and body, concurrent requests, bodies in memory,
connections."""

import time

import lib
import pytest
from lib import Broken, eventually

CONFIG = """
limits:
  head_timeout: 400ms
  body_timeout: 400ms
  keep_alive_timeout: 600ms
  concurrency: 2
  body_bytes: 1MiB
  connections: 20
routes:
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["*"] }
    body_max: 900KiB
"""
EXPECTED_WARNINGS = ["limits"]


def test_unfinished_head(gateway, endpoint):
    with gateway.caller() as caller:
        began = time.monotonic()
        for byte in b"POST /call/echo HTTP/1.1\r\n":
            caller.send(bytes([byte]))
            time.sleep(0.01)  # occasional bytes do not extend the timeout
        response = caller.response()
        assert 0.3 < time.monotonic() - began < 6
        assert (response.status, response.outcome) == (408, "head_timeout")
        assert caller.is_closed()
    assert gateway.line(outcome="head_timeout")["status"] == 408


def test_missing_body(gateway, endpoint):
    with gateway.caller() as caller:
        began = time.monotonic()
        response = caller.send("POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab").response()
        assert 0.3 < time.monotonic() - began < 6
        assert (response.status, response.outcome) == (408, "body_timeout")
        assert caller.is_closed()
    assert gateway.line(outcome="body_timeout")["attempts"] == 0
    assert endpoint.requests == []


def test_idle_connection_is_closed_silently(gateway):
    with gateway.caller() as caller:
        caller.call("/call/echo", b"x")
        began = time.monotonic()
        assert caller.is_closed(8)
        assert 0.4 < time.monotonic() - began < 8
    gateway.line(outcome="ok")
    assert gateway.lines == [], "no request, no access line"


def test_requests_over_concurrency_limit(gateway, endpoint):
    callers = [gateway.caller() for _ in range(2)]
    for caller in callers:
        endpoint.next_fault(delay_ms=1000)
        caller.ask("/call/echo", b"slow")
    endpoint.wait_for(2)
    response = gateway.call("/call/echo", b"x")
    assert (response.status, response.outcome) == (503, "busy")
    assert int(response.header("Retry-After")) >= 1
    assert gateway.line(outcome="busy")["attempts"] == 0
    for caller in callers:
        assert caller.response().body == b"slow"
        caller.close()
    assert gateway.call("/call/echo", b"free again").status == 200


def test_bodies_over_memory_limit(gateway, endpoint):
    endpoint.next_fault(delay_ms=800)
    with gateway.caller() as first:
        first.ask("/call/json", b"x" * 700_000)
        endpoint.wait_for(1)
        response = gateway.call("/call/echo", b"y" * 700_000)
        assert (response.status, response.outcome) == (503, "memory_full")
        assert response.header("Retry-After")
        assert gateway.call("/call/echo", b"small").body == b"small", "small requests still pass"
        assert first.response().json()["body_length"] == 700_000
    assert gateway.line(outcome="memory_full")["attempts"] == 0
    assert gateway.call("/call/json", b"y" * 700_000).status == 200


def test_memory_is_released_on_every_ending(gateway, endpoint):
    """Ten times the limit in requests that fail, then one that needs almost all of it."""
    gateway.allow_warnings("upstream")
    for round_ in range(5):
        with gateway.caller() as caller:
            caller.ask("/call/echo", b"x" * 1000, headers=[("Content-Length", "600000")])
            time.sleep(0.02)
        endpoint.next_fault("close:head")
        endpoint.next_fault("close:head")
        gateway.call("/call/echo", b"z" * 600_000)
        endpoint.clear()
        with gateway.caller() as caller:
            caller.send("POST /call/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + "186A0\r\n" + "x" * 100_000 + "\r\nno size\r\n")
            assert caller.response().status == 400
    eventually(lambda: gateway.call("/call/json", b"y" * 900_000).status == 200)


def test_connections_over_limit(gateway):
    idle = [gateway.caller() for _ in range(20)]
    late = gateway.caller(timeout=5)
    try:
        late.ask("/call/echo", b"late")
        time.sleep(0.2)
        idle.pop().close()  # the late one waits in the queue or is rejected
        response = late.response()
        assert response.body == b"late" or response.outcome == "busy"
    except Broken:
        pytest.fail("a connection over the limit was cut without a word")
    finally:
        for caller in idle + [late]:
            caller.close()
    eventually(lambda: gateway.call("/call/echo", b"x").status == 200)


def test_requests_per_connection_limit(start_gateway, endpoint):
    gateway = start_gateway("limits: { keep_alive_requests: 3 }\n" + lib.ROUTES)
    with gateway.caller() as caller:
        assert [caller.call("/call/echo", b"x").header("Connection") for _ in range(3)] == [None, None, "close"]
        assert caller.is_closed()
    with gateway.caller() as piped:
        piped.send(b"POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\ny" * 5)
        assert [piped.response().body for _ in range(3)] == [b"y"] * 3
        assert piped.is_closed()
    eventually(lambda: len(endpoint.requests) == 6, 5)
