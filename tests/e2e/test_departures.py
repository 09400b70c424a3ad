"""Clients that disconnect: noticed at every stage of a request, and distinguished from those that only stopped
sending."""

import socket
import time

import pytest
from lib import Caller, eventually

pytestmark = pytest.mark.threads
CONFIG_LISTEN = """
routes:
  - name: auto
    match: { path: "/auto/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
  - name: cancel
    match: { path: "/cancel/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    on_half_close: cancel
  - name: finish
    match: { path: "/finish/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    on_half_close: finish
  - name: one
    match: { path: "/one/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    concurrency: 1
    wait_for: 20s
  - name: patient
    match: { path: "/patient/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    concurrency: 1
    wait_for: 20s
    on_half_close: finish
"""
REST = """
admin: {{ address: "@ADMIN@" }}
health: {{ address: "@HEALTH@" }}
region: us-east-1
credentials: {{ source: env }}
upstream: {{ endpoint_url: "{url}", ca_file: "{ca}" }}
"""


@pytest.fixture
def gateway(start_gateway, endpoint, ca_file):
    listen = 'listen: [{ address: "@LISTEN@" }, { address: "unix:@DIR@/s" }]\n'
    return start_gateway(listen + REST.format(url=endpoint.url, ca=ca_file) + CONFIG_LISTEN, head=False)


def shut(caller):
    caller.sock.shutdown(socket.SHUT_WR)


LEAVE = {"close": Caller.close, "reset": Caller.reset, "shut": shut}


def open_caller(gateway, kind):
    return gateway.caller() if kind == "tcp" else Caller(gateway.directory / "s")


def is_cancelled(endpoint, seen):
    """SageMaker sees the request cancelled."""
    eventually(lambda: seen.connection not in endpoint.open, 10, "the upstream connection is closed")


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_close_while_waiting_for_the_response(gateway, endpoint, kind, how):
    endpoint.next_fault(stall="head")
    caller = open_caller(gateway, kind)
    caller.ask("/auto/echo", b"x")
    endpoint.wait_for(1)
    began = time.monotonic()
    LEAVE[how](caller)
    assert gateway.line(outcome="client_gone", timeout=10)["attempts"] == 1
    assert time.monotonic() - began < 5
    is_cancelled(endpoint, endpoint.requests[0])
    caller.close()
    assert gateway.call("/auto/echo", b"next").body == b"next"


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_close_while_streaming(gateway, endpoint, kind, how):
    caller = open_caller(gateway, kind)
    caller.ask("/auto/count-200-50", b"x")
    assert caller.read_some().startswith(b"HTTP/1.1 200")
    LEAVE[how](caller)
    line = gateway.line(outcome="client_gone", timeout=10)
    assert line["status"] == 200 and line["total_us"] < 8_000_000
    is_cancelled(endpoint, endpoint.requests[0])
    caller.close()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_close_while_the_stream_is_paused(gateway, endpoint, kind, how):
    """The client does not read, so the upstream is paused and nothing moves: the disconnect is the only event."""
    caller = open_caller(gateway, kind)
    caller.ask("/auto/size-80000000", b"x")
    endpoint.wait_for(lambda e: e.requests and e.requests[0].sent)
    seen, sent = endpoint.requests[0], -1
    while seen.sent != sent:
        sent = seen.sent
        time.sleep(0.3)
    LEAVE[how](caller)
    gateway.line(outcome="client_gone", timeout=10)
    is_cancelled(endpoint, seen)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_close_while_queued(gateway, endpoint, kind, how):
    endpoint.next_fault(delay_ms=1500)
    with gateway.caller() as holder:
        holder.ask("/one/echo", b"held")
        endpoint.wait_for(1)
        for body in (b"", b"with a body", b"b" * 60_000):
            caller = open_caller(gateway, kind)
            caller.ask("/one/echo", body, [("Content-Length", str(len(body) + 1))] if not body else ())
            time.sleep(0.1)
            LEAVE[how](caller)
            assert gateway.line(outcome="client_gone", timeout=10)["attempts"] == 0
        assert holder.response().body == b"held"
    assert gateway.call("/one/echo", b"free").body == b"free"
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize("pending", [20, 90_000])
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_close_with_pipelined_requests(gateway, endpoint, kind, how, pending):
    """More pipelined data waits than the gateway reads: the disconnect after it is still noticed."""
    endpoint.next_fault(stall="head")
    caller = open_caller(gateway, kind)
    caller.ask("/auto/echo", b"x")
    endpoint.wait_for(1)
    caller.ask("/auto/echo", b"y" * pending)
    time.sleep(0.1)
    LEAVE[how](caller)
    gateway.line(outcome="client_gone", timeout=10)
    is_cancelled(endpoint, endpoint.requests[0])
    assert [seen.body for seen in endpoint.requests] == [b"x"], "pipelined requests are not started"


@pytest.mark.parametrize("how", LEAVE)
def test_close_inside_head_and_body(gateway, endpoint, how):
    for sent in (b"POST /auto/echo HTT", b"POST /auto/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"):
        caller = gateway.caller()
        caller.send(sent)
        time.sleep(0.1)
        LEAVE[how](caller)
        assert gateway.line(outcome="client_gone", timeout=10)["attempts"] == 0
        caller.close()
    assert endpoint.requests == []


def test_close_without_a_request_is_not_logged(gateway):
    for leave in LEAVE.values():
        caller = gateway.caller()
        leave(caller)
        caller.close()
    gateway.call("/auto/echo", b"x")
    gateway.line(outcome="ok")
    assert gateway.lines == []


# -- shutting down only the sending side

WAITING = {
    "auto, 1.1": ("/auto/echo", "1.1", (), False),
    "auto, 1.1 and close": ("/auto/echo", "1.1", [("Connection", "close")], True),
    "auto, 1.0": ("/auto/echo", "1.0", (), True),
    "auto, 1.0 and keep-alive": ("/auto/echo", "1.0", [("Connection", "keep-alive")], False),
    "cancel, 1.1 and close": ("/cancel/echo", "1.1", [("Connection", "close")], False),
    "cancel, 1.0": ("/cancel/echo", "1.0", (), False),
    "finish, 1.1": ("/finish/echo", "1.1", (), True),
}


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("case", WAITING)
def test_half_close(gateway, endpoint, case, kind):
    path, version, headers, waits = WAITING[case]
    endpoint.next_fault(delay_ms=500)
    with open_caller(gateway, kind) as caller:
        caller.ask(path, b"half", headers, version=version)
        shut(caller)
        if not waits:
            gateway.line(outcome="client_gone", timeout=10)
            return
        response = caller.response()
        assert (response.status, response.body) == (200, b"half")
        assert caller.is_closed()
    assert gateway.line(outcome="ok")["attempts"] == 1


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_half_close_then_reset_cancels(gateway, endpoint, kind):
    endpoint.next_fault(stall="head")
    caller = open_caller(gateway, kind)
    caller.ask("/finish/echo", b"half")
    endpoint.wait_for(1)
    shut(caller)
    time.sleep(0.3)
    assert gateway.lines == []
    caller.reset()
    gateway.line(outcome="client_gone", timeout=10)
    is_cancelled(endpoint, endpoint.requests[0])


def test_half_close_while_streaming(gateway):
    with gateway.caller() as caller:
        caller.ask("/finish/count-6-100", b"x")
        shut(caller)
        assert caller.response().body.endswith(b"part 6 of 6\n")


def test_half_close_while_queued_is_served(gateway, endpoint):
    """A complete request, then the end of the sending side: a queued request is finished as well."""
    endpoint.next_fault(delay_ms=600)
    with gateway.caller() as holder, gateway.caller() as waits:
        holder.ask("/patient/echo", b"held")
        endpoint.wait_for(1)
        waits.ask("/patient/echo", b"whole")
        shut(waits)
        assert holder.response().body == b"held"
        assert waits.response().body == b"whole"


def test_half_close_before_the_body_is_an_incomplete_request(gateway, endpoint):
    endpoint.next_fault(delay_ms=600)
    with gateway.caller() as holder, gateway.caller() as waits:
        holder.ask("/patient/echo", b"held")
        endpoint.wait_for(1)
        waits.ask("/patient/echo", b"", [("Content-Length", "5")])
        shut(waits)
        assert holder.response().body == b"held"
        gateway.line(outcome="client_gone", timeout=10)
    assert len(endpoint.requests) == 1
