"""From SIGTERM to exit 0: not ready, delay, last responses, idle connections, limit; no client is cut off."""

import json
import signal
import socket
import time

import pytest
from lib import Broken, eventually, get

pytestmark = pytest.mark.threads
ROUTE = """
routes:
  - { name: only, match: { path: "/{endpoint}" }, endpoint: { value: "${path.endpoint}", allow: ["?*"] } }
"""
ONE_AT_A_TIME = """
routes:
  - name: only
    match: { path: "/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    concurrency: 1
    wait_for: 60s
"""
HEAD_OF_ONE = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"


def is_ready(gateway):
    return get(("127.0.0.1", gateway.health_port), "/ready")[0] == 200


def test_delay_serves_while_not_ready(start_gateway):
    gateway = start_gateway("drain: { delay: 2500ms }\n" + ROUTE)
    with gateway.caller() as kept:
        assert kept.call("/echo", b"before").body == b"before"
        gateway.signal(signal.SIGTERM)
        began = time.monotonic()
        eventually(lambda: not is_ready(gateway), 2.2, "ready is false at once")
        status, body = get(("127.0.0.1", gateway.admin_port), "/ready")
        assert status == 503 and json.loads(body)["reasons"][0]["code"] == "draining"
        assert gateway.call("/echo", b"new").body == b"new", "new connections are still accepted"
        assert kept.call("/echo", b"kept").body == b"kept", "kept connections are served"
        gateway.stop()
        assert time.monotonic() - began >= 2.3
        assert kept.is_closed()


def test_last_response_closes_the_connection(start_gateway, endpoint):
    gateway = start_gateway(ROUTE)
    endpoint.next_fault(delay_ms=800)
    with gateway.caller() as in_flight, gateway.caller() as begun, gateway.caller() as fresh:
        in_flight.ask("/echo", b"x")
        begun.send(HEAD_OF_ONE[:20])
        endpoint.wait_for(1)
        time.sleep(0.1)
        gateway.signal()
        gateway.diagnostic(topic="drain")
        fresh.ask("/echo", b"connected before, asked after")
        begun.send(HEAD_OF_ONE[20:] + b"y")
        for caller, body in ((begun, b"y"), (fresh, b"connected before, asked after"), (in_flight, b"x")):
            response = caller.response()
            assert (response.status, response.body, response.header("Connection")) == (200, body, "close")
            assert caller.is_closed()
    gateway.stop()


def test_requests_after_the_last_response_are_not_processed(start_gateway, endpoint):
    """RFC 9112 section 9.6: nothing is processed after a response with Connection: close; clients send it again."""
    gateway = start_gateway(ROUTE)
    endpoint.next_fault(delay_ms=600)
    with gateway.caller() as caller:
        caller.send(HEAD_OF_ONE + b"1" + HEAD_OF_ONE + b"2")
        endpoint.wait_for(1)
        gateway.signal()
        response = caller.response()
        assert (response.body, response.header("Connection")) == (b"1", "close")
        assert caller.is_closed()
    gateway.stop()
    assert len(endpoint.requests) == 1


def test_idle_connections_stay_for_drain_idle(start_gateway):
    gateway = start_gateway("drain: { idle: 1s }\n" + ROUTE)
    with gateway.caller() as asks_once_more, gateway.caller() as says_nothing:
        asks_once_more.call("/echo", b"x")
        says_nothing.call("/echo", b"x")
        gateway.signal()
        began = time.monotonic()
        gateway.diagnostic(topic="drain")
        response = asks_once_more.call("/echo", b"y")
        assert (response.body, response.header("Connection")) == (b"y", "close")
        assert says_nothing.is_closed(5)
        assert 0.7 < time.monotonic() - began < 4
    gateway.stop()


def test_streams_finish_or_are_cut_at_the_limit(start_gateway, endpoint):
    gateway = start_gateway("drain: { limit: 1500ms }\n" + ROUTE)
    gateway.allow_warnings("drain.limit")
    endpoint.next_fault()
    endpoint.next_fault(stall="body", framing="chunked", after=3)
    with gateway.caller() as finishes, gateway.caller() as is_cut:
        finishes.ask("/count-4-150", b"x")
        endpoint.wait_for(1)
        is_cut.ask("/echo", b"abcdef")
        endpoint.wait_for(lambda e: len(e.requests) == 2 and e.requests[-1].sent == 3)
        gateway.signal()
        assert finishes.response().body.endswith(b"part 4 of 4\n")
        with pytest.raises(Broken):
            is_cut.response()
    gateway.stop()
    assert gateway.line(outcome="ok")
    assert gateway.line(outcome="drain_cut")


def test_unanswered_requests_fail_at_the_limit(start_gateway, endpoint):
    gateway = start_gateway("drain: { limit: 500ms }\n" + ROUTE)
    gateway.allow_warnings("drain.limit")
    endpoint.next_fault(stall="head")
    with gateway.caller() as caller:
        caller.ask("/echo", b"x")
        endpoint.wait_for(1)
        gateway.signal()
        response = caller.response()
        assert (response.status, response.outcome, response.header("Connection")) == (503, "drain_cut", "close")
    gateway.stop()


def test_queued_requests_fail_at_the_limit(start_gateway, endpoint):
    gateway = start_gateway("drain: { limit: 500ms }\n" + ONE_AT_A_TIME)
    gateway.allow_warnings("drain.limit")
    endpoint.next_fault(stall="head")
    holder, waiting = gateway.caller(), [gateway.caller() for _ in range(3)]
    holder.ask("/echo", b"x")
    endpoint.wait_for(1)
    for caller in waiting:
        caller.ask("/echo", b"y")
    time.sleep(0.2)
    gateway.signal()
    for caller in [holder, *waiting]:
        response = caller.response()
        assert (response.status, response.outcome) == (503, "drain_cut")
    gateway.stop()
    for caller in [holder, *waiting]:
        caller.close()
    assert len(endpoint.requests) == 1


def test_queued_requests_are_served_while_draining(start_gateway, endpoint):
    gateway = start_gateway(ONE_AT_A_TIME)
    endpoint.next_fault(delay_ms=500)
    callers = [gateway.caller() for _ in range(3)]
    callers[0].ask("/echo", b"0")
    endpoint.wait_for(1)
    for number in (1, 2):
        callers[number].ask("/echo", b"%d" % number)
    time.sleep(0.1)
    gateway.signal()
    for number, caller in enumerate(callers):
        response = caller.response()
        assert (response.body, response.header("Connection")) == (b"%d" % number, "close")
        caller.close()
    gateway.stop()


@pytest.mark.parametrize("workers", [1, 3])
def test_accept_queue_is_not_reset(start_gateway, workers):
    """Clients that have connected and sent just before SIGTERM: each one gets its response."""
    gateway = start_gateway(f"workers: {workers}\n" + ROUTE)
    callers = []
    for _ in range(60):
        caller = gateway.caller()
        callers.append(caller.send(HEAD_OF_ONE + b"q"))
    gateway.signal()
    for caller in callers:
        response = caller.response()
        assert (response.status, response.body) == (200, b"q")
        caller.close()
    gateway.stop()


def test_connections_over_the_cap_are_not_reset(start_gateway):
    """At limits.connections, clients wait in the kernel's queue; closing it must not reset them."""
    gateway = start_gateway("limits: { connections: 4 }\n" + ROUTE)
    gateway.allow_warnings("limits.connections")
    idle = [gateway.caller() for _ in range(4)]
    for caller in idle:
        caller.call("/echo", b"x")
    late = [gateway.caller().send(HEAD_OF_ONE + b"l") for _ in range(6)]
    time.sleep(0.2)
    gateway.signal()
    for caller in late:
        response = caller.response()
        assert (response.status, response.body) == (200, b"l")
        caller.close()
    gateway.stop()
    for caller in idle:
        caller.close()


def test_listeners_are_closed_after_the_drain(start_gateway):
    gateway = start_gateway("drain: { limit: 5s }\n" + ROUTE)
    with gateway.caller() as half:
        half.send(HEAD_OF_ONE)
        time.sleep(0.1)
        gateway.signal()
        gateway.diagnostic(topic="drain")

        def refused():
            try:
                socket.create_connection((gateway.host, gateway.port), 1).close()
            except ConnectionRefusedError:
                return True
            return False
        eventually(refused, 2, "new connections are refused, not left waiting")
        assert gateway.process.poll() is None
        assert half.send(b"z").response().body == b"z"
    gateway.stop()
