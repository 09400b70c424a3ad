"""Responses in pieces: forwarded at once, paused for slow readers, cancelled when the client disconnects."""

import socket
import time

import pytest
from lib import Broken, eventually, is_sanitized

from tests.endpoint import eventstream

MIB = 1024 * 1024
pytestmark = pytest.mark.threads


def test_pieces_arrive_as_they_were_sent(gateway):
    response = gateway.call("/call/count-5-100", b"x")
    arrived = [when for when, data in response.pieces if data]
    assert response.framing == "chunked" and len(arrived) >= 3
    assert arrived[-1] - arrived[0] > 0.2, "sent over 0.4 s"


def test_head_arrives_before_the_body(gateway, endpoint):
    endpoint.next_fault(delay_body_ms=300)
    with gateway.caller() as caller:
        began = time.monotonic()
        response = caller.call("/call/echo", b"late")
        assert response.body == b"late"
        assert response.pieces[-1][0] - began >= 0.29


def test_server_sent_events(gateway):
    response = gateway.call("/call/chat-4-30", b'{"stream": true}', [("Content-Type", "application/json")])
    assert response.header("Content-Type") == "text/event-stream"
    events = response.body.decode().strip().split("\n\n")
    assert len(events) == 5 and events[-1] == "data: [DONE]" and "w\u00f6rd3" in events[3]


def test_event_streams_pass_unchanged_through_native(gateway):
    response = gateway.call("/endpoints/count-3-50/invocations-response-stream", b"x")
    assert response.header("Content-Type") == "application/vnd.amazon.eventstream"
    assert response.header("X-Amzn-SageMaker-Content-Type") == "text/plain"
    assert [payload for _, payload in eventstream.read(response.body)] == [b"part %d of 3\n" % n for n in (1, 2, 3)]
    assert gateway.line()["operation"] == "stream"


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_large_responses_are_complete(gateway, endpoint, framing):
    endpoint.next_fault(framing=framing)
    response = gateway.call("/call/size-12000000", b"x")
    block = bytes(range(251))
    assert len(response.body) == 12_000_000
    assert response.body == (block * (12_000_000 // 251 + 1))[:12_000_000]
    assert gateway.line()["bytes_out"] == 12_000_000


def slow_caller(gateway):
    caller = gateway.caller()
    caller.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    return caller


def test_slow_reader_pauses_the_upstream(gateway, endpoint):
    """200 MiB for a client that does not read: the gateway's memory does not grow."""
    gateway.call("/call/size-1000000", b"x")
    before = gateway.resident_kib()
    callers = [slow_caller(gateway) for _ in range(4)]
    for caller in callers:
        caller.ask("/call/size-50000000", b"x")
    time.sleep(1.0)
    grown = gateway.resident_kib() - before
    sent = [seen.sent for seen in endpoint.requests[1:]]
    assert all(amount < 20 * MIB for amount in sent), f"the upstream was read far ahead: {sent}"
    assert grown < (40 if is_sanitized() else 8) * 1024, f"{grown} KiB more"
    for caller in callers:
        caller.close()


def test_slow_reader_gets_the_complete_response(gateway):
    with slow_caller(gateway) as caller:
        caller.ask("/call/size-5000000", b"x")
        time.sleep(0.5)
        assert len(caller.response().body) == 5_000_000
    assert gateway.line()["outcome"] == "ok"


def gave_up(endpoint, within=10.0):
    """Returns how long the upstream took to notice."""
    began = time.monotonic()
    endpoint.wait_for(lambda e: e.requests[-1].outcome.startswith("peer left"), within)
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("when", ["waiting", "streaming"])
def test_client_disconnect_cancels_the_request(gateway, endpoint, how, when):
    endpoint.next_fault(stall="head" if when == "waiting" else "body", after=4, framing="chunked")
    caller = gateway.caller().ask("/call/echo", b"leaving")
    endpoint.wait_for(lambda e: e.requests and e.requests[-1].received and (when == "waiting" or e.requests[-1].sent))
    time.sleep(0.1)
    caller.close() if how == "close" else caller.reset()
    assert gave_up(endpoint) < 5
    line = gateway.line()
    assert (line["outcome"], line["attempts"]) == ("client_gone", 1)
    assert gateway.call("/call/echo", b"next").body == b"next"


def test_client_disconnect_during_a_fast_stream(gateway, endpoint):
    caller = slow_caller(gateway).ask("/call/size-50000000", b"x")
    eventually(lambda: endpoint.requests and endpoint.requests[-1].sent > 100_000)
    caller.close()
    assert gave_up(endpoint) < 5
    assert gateway.line()["outcome"] == "client_gone"


def test_client_disconnect_before_the_body(gateway, endpoint):
    caller = gateway.caller().send("POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    time.sleep(0.1)
    caller.close()
    line = gateway.line()
    assert (line["outcome"], line["attempts"]) == ("client_gone", 0)
    assert endpoint.requests == []


def test_late_truncation_aborts_the_response(gateway, endpoint):
    gateway.allow_warnings("stream_broken")
    endpoint.next_fault(cut=True, after=2_000_000)
    with pytest.raises(Broken) as caught:
        gateway.call("/call/size-4000000", b"x")
    assert 0 < len(caught.value.response.body) <= 2_000_000
    assert gateway.line()["outcome"] == "stream_broken"


def test_many_concurrent_streams(gateway, endpoint):
    callers = [gateway.caller() for _ in range(50)]
    for number, caller in enumerate(callers):
        caller.ask("/call/count-5-50", b"%d" % number)
    began = time.monotonic()
    for caller in callers:
        response = caller.response()
        assert response.body.endswith(b"part 5 of 5\n")
        caller.close()
    assert time.monotonic() - began < 8, "sequentially it would take 12 s"
