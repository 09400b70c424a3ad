"""Early rejections: invalid input is rejected before any work. Each rejection is a response, an access line and a
close, and does not read the body. The admin and health listeners behave alike, without access lines."""

import os
import threading
import time

import pytest
from lib import Caller, eventually

CONFIG = """
limits: { head_bytes: 4KiB, head_timeout: 600ms, body_timeout: 600ms }
routes:
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    body_max: 1MiB
  - name: one
    match: { path: "/one/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    concurrency: 1
    wait_for: 10s
  - name: closed
    match: { path: "/closed/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    callers_may_set: []
"""
HEAD = "POST /call/echo HTTP/1.1\r\nHost: x\r\n"
BAD_REQUESTS = {
    "length and coding": HEAD + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding and length": HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "two lengths": HEAD + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "a length twice": HEAD + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "a list of lengths": HEAD + "Content-Length: 5, 5\r\n\r\n",
    "a length with a sign": HEAD + "Content-Length: +5\r\n\r\n",
    "a negative length": HEAD + "Content-Length: -5\r\n\r\n",
    "a length in hex": HEAD + "Content-Length: 0x5\r\n\r\n",
    "an empty length": HEAD + "Content-Length: \r\n\r\n",
    "a length of 2^64": HEAD + "Content-Length: 18446744073709551616\r\n\r\n",
    "another coding": HEAD + "Transfer-Encoding: gzip\r\n\r\n",
    "a coding before chunked": HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n",
    "a coding behind chunked": HEAD + "Transfer-Encoding: chunked, identity\r\n\r\n",
    "chunked twice": HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a coding in quotes": HEAD + "Transfer-Encoding: \"chunked\"\r\n\r\n",
    "a coding for 1.0": "POST /call/echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "no host": "POST /call/echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": HEAD + "Host: x\r\nContent-Length: 0\r\n\r\n",
    "a folded header": HEAD + "X-Long: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a fold before all": "POST /call/echo HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n",
    "a nameless header": HEAD + ": a\r\nContent-Length: 0\r\n\r\n",
    "a header without a colon": HEAD + "nonsense\r\nContent-Length: 0\r\n\r\n",
    "a blank before the colon": HEAD + "Content-Length : 0\r\n\r\n",
    "a bare LF": HEAD + "X: a\nContent-Length: 0\r\n\r\n",
    "bare LFs alone": "POST /call/echo HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "a bare CR": HEAD + "X: a\rY: b\r\nContent-Length: 0\r\n\r\n",
    "a NUL": HEAD + "X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a control character": HEAD + "X: a\x01b\r\nContent-Length: 0\r\n\r\n",
    "a DEL": HEAD + "X: a\x7fb\r\nContent-Length: 0\r\n\r\n",
    "a control character in the path": "POST /call/\x02echo HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute-form, another host": "POST http://y/call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "no path": "POST echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "two blanks": "POST  /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
}


LISTENERS = ["callers", "admin", "health"]
PAGES = ["admin", "health"]


def at(gateway, listener):
    """Connects to one of the three listeners."""
    if listener == "callers":
        return gateway.caller()
    return Caller(("127.0.0.1", gateway.admin_port if listener == "admin" else gateway.health_port))


def refused_by_page(caller, status, outcome):
    """The same on an admin or health listener."""
    response = caller.response()
    assert (response.status, response.json()["error"]) == (status, outcome)
    assert response.header("Connection") == "close" and response.json()["message"]
    assert caller.is_closed()
    return response


def refused_at(listener, gateway, caller, status, outcome):
    if listener == "callers":
        return refused(gateway, caller, status, outcome)
    return refused_by_page(caller, status, outcome)


def refused(gateway, caller, status, outcome, **fields):
    """Reads the rejection and its access line, and expects the close."""
    response = caller.response()
    assert (response.status, response.outcome) == (status, outcome)
    assert response.header("Connection") == "close"
    assert response.json()["Code"] == outcome
    assert caller.is_closed()
    line = gateway.line(request_id=response.header("X-Request-Id"))
    assert (line["status"], line["outcome"], line["attempts"]) == (status, outcome, 0)
    for name, value in fields.items():
        assert line[name] == value
    return response


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("shape", BAD_REQUESTS)
def test_invalid_requests(gateway, endpoint, shape, listener):
    with at(gateway, listener) as caller:
        caller.send(BAD_REQUESTS[shape] + "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        refused_at(listener, gateway, caller, 400, "bad_request")
    assert endpoint.requests == []
    assert gateway.lines == [], "one line, none for the smuggled request"


@pytest.mark.parametrize("listener", LISTENERS)
def test_invalid_chunk(gateway, endpoint, listener):
    for chunk in ("+5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n", "5\r\nhello0\r\n\r\n"):
        with at(gateway, listener) as caller:
            caller.send(HEAD + "Transfer-Encoding: chunked\r\n\r\n" + chunk)
            refused_at(listener, gateway, caller, 400, "bad_request")
    assert endpoint.requests == []


# -- time and size limits

def test_slow_head(gateway):
    with gateway.caller() as caller:
        began = time.monotonic()
        for byte in HEAD.encode():
            caller.send(bytes([byte]))
            time.sleep(0.005)
        refused(gateway, caller, 408, "head_timeout")
        assert 0.4 < time.monotonic() - began < 5


def test_head_timeout_applies_to_pipelined_requests(gateway):
    with gateway.caller() as caller:
        assert caller.call("/call/echo", b"first").body == b"first"
        time.sleep(0.8)  # an idle connection may last longer than a head may take
        caller.send(HEAD)
        refused(gateway, caller, 408, "head_timeout")


def test_stalled_body(gateway, endpoint):
    for start in ("Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
        with gateway.caller() as caller:
            caller.send(HEAD + start)
            refused(gateway, caller, 408, "body_timeout", route="call")
    assert endpoint.requests == []


def test_slow_body_is_not_a_stalled_one(gateway):
    with gateway.caller() as caller:
        caller.send(HEAD + "Content-Length: 12\r\n\r\n")
        for byte in b"twelve bytes":
            caller.send(bytes([byte]))
            time.sleep(0.1)
        assert caller.response().body == b"twelve bytes"


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("shape", ["one long header", "many", "a long path", "without an end"])
def test_head_over_limit(gateway, endpoint, shape, listener):
    size = 5000 if listener == "callers" else 17000
    text = {"one long header": HEAD + "X: " + "x" * size + "\r\n\r\n",
            "many": HEAD + "".join(f"X-{n}: x\r\n" for n in range(size // 8)) + "\r\n",
            "a long path": "POST /call/" + "e" * size + " HTTP/1.1\r\nHost: x\r\n\r\n",
            "without an end": HEAD + "X: " + "x" * size}[shape]
    with at(gateway, listener) as caller:
        caller.send(text)
        refused_at(listener, gateway, caller, 431, "head_too_large")
    assert endpoint.requests == []


def test_admin_pages_have_their_own_timeout(gateway):
    """10 s for a head with its body, and for an idle connection; all waited for at once."""
    waited, began = {}, time.monotonic()

    def wait(listener, shape, start, byte, outcome):
        with at(gateway, listener) as caller:
            caller.send(start)
            while byte and caller.is_silent() and time.monotonic() < began + 20:
                caller.send(byte)
                time.sleep(0.2)
            if outcome:
                assert refused_by_page(caller, 408, outcome)
            assert caller.is_closed(15)
            waited[listener, shape] = time.monotonic() - began
    shapes = {"head": ("GET /live HTTP/1.1\r\nX: ", "x", "head_timeout"),
              "body": ("POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n", "x", "body_timeout"),
              "nothing": ("", "", None)}
    threads = [threading.Thread(target=wait, args=(listener, shape, *shapes[shape]))
               for listener in PAGES for shape in shapes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waited) == len(threads)
    assert all(9 < seconds < 14 for seconds in waited.values()), waited


# -- before the body is read

REFUSED_BY_THE_HEAD = {
    "too large": ("/call/echo", 413, "body_too_large"),
    "no route": ("/nowhere", 404, "no_route"),
    "encoded": ("/call/echo", 415, "unsupported_encoding"),
    "a parameter": ("/closed/echo", 400, "bad_parameter"),
}


@pytest.mark.parametrize("expects", [False, True])
@pytest.mark.parametrize("why", REFUSED_BY_THE_HEAD)
def test_rejection_before_the_body(gateway, endpoint, why, expects):
    path, status, outcome = REFUSED_BY_THE_HEAD[why]
    headers = [("Content-Length", "20000000")]
    headers += [("Expect", "100-continue")] if expects else []
    headers += [("Content-Encoding", "gzip")] if why == "encoded" else []
    headers += [("X-Amzn-SageMaker-Target-Model", "m")] if why == "a parameter" else []
    with gateway.caller() as caller:
        caller.ask(path, b"", headers)
        assert refused(gateway, caller, status, outcome).interim == []
    assert endpoint.requests == []


def test_rejected_body_is_not_read_completely(gateway):
    """At most 64 KiB are discarded after a rejection; then the connection closes, whatever else is sent."""
    with gateway.caller() as caller:
        caller.ask("/nowhere", b"", [("Content-Length", "200000000")])
        assert caller.response().status == 404
        sent = 0
        with pytest.raises((ConnectionError, TimeoutError)):
            while sent < 200_000_000:
                caller.send(b"x" * 65536)
                sent += 65536
        assert sent < 20_000_000, "only what the kernel's buffers hold"


@pytest.mark.parametrize("listener", PAGES)
def test_admin_page_accepts_only_a_small_body(gateway, listener):
    """4 KiB, which are discarded; a larger body is rejected from the head, or while it arrives."""
    with at(gateway, listener) as caller:
        assert caller.call("/live", b"x" * 4096).status == 405
        assert caller.call("/live", chunks=[b"x" * 2048] * 2).status == 405
        assert caller.call("/live", method="GET").json() == {"live": True}
        caller.ask("/live", b"", [("Content-Length", "4097"), ("Expect", "100-continue")])
        assert refused_by_page(caller, 413, "body_too_large").interim == []
    with at(gateway, listener) as caller:
        caller.ask("/live", chunks=[b"x" * 2048] * 3)
        refused_by_page(caller, 413, "body_too_large")


# -- 100-continue

@pytest.mark.parametrize("listener", PAGES)
def test_100_continue_of_an_admin_page(gateway, listener):
    with at(gateway, listener) as caller:
        caller.ask("/live", b"", [("Content-Length", "5"), ("Expect", "100-continue")])
        assert caller.read_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert caller.send(b"hello").response().status == 405
        caller.ask("/live", b"", [("Expect", "a miracle")], method="GET")
        assert refused_by_page(caller, 400, "bad_request")


def processor_seconds(pid):
    """What the process has used so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("listener", LISTENERS)
def test_waiting_for_a_body_costs_no_time(gateway, listener):
    """After 100 Continue nothing is left to be written: no turn of the loop without an event."""
    with at(gateway, listener) as caller:
        caller.ask("/call/echo", b"", [("Content-Length", "5"), ("Expect", "100-continue")])
        assert caller.read_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        before = processor_seconds(gateway.process.pid)
        time.sleep(0.4)
        assert processor_seconds(gateway.process.pid) - before < 0.1
        assert caller.send(b"hello").response().status == (200 if listener == "callers" else 404)


def test_100_continue_is_sent_after_admission(gateway, endpoint):
    with gateway.caller() as caller:
        caller.ask("/call/echo", b"", [("Content-Length", "5"), ("Expect", "100-continue")])
        assert caller.read_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert caller.send(b"hello").response().body == b"hello"


def test_100_continue_is_sent_after_queueing(gateway, endpoint):
    endpoint.next_fault(delay_ms=700)
    with gateway.caller() as holder, gateway.caller() as waits:
        holder.ask("/one/echo", b"held")
        endpoint.wait_for(1)
        waits.ask("/one/echo", b"", [("Content-Length", "5"), ("Expect", "100-continue")])
        time.sleep(0.3)
        waits.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            waits.sock.recv(1)
        waits.sock.settimeout(10)
        assert holder.response().body == b"held"
        assert waits.read_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert waits.send(b"hello").response().body == b"hello"
    line = eventually(lambda: [line for line in gateway.lines if line["bytes_in"] == 5])[0]
    assert line["wait_us"] > 200_000


def test_no_100_continue_after_queue_timeout(gateway, endpoint):
    endpoint.next_fault(delay_ms=2500)
    with gateway.caller() as holder, gateway.caller() as waits:
        holder.ask("/one/echo", b"held")
        endpoint.wait_for(1)
        waits.ask("/one/echo", b"", [("Content-Length", "5"), ("Expect", "100-continue")])
        time.sleep(0.2)
        waits.close()
        assert gateway.line(outcome="client_gone")["attempts"] == 0
        assert holder.response().body == b"held"
