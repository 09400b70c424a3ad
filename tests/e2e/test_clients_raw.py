"""A client that sends HTTP byte by byte: versions, keep-alive, pipelining, HEAD, chunks, 100-continue, invalid
heads."""

import time

import pytest
from lib import Broken
from payloads import BODIES, LIMIT, ONE_OVER, sha256

CONFIG = """
routes:
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
  - name: any
    match: { path: "/any/{endpoint}", methods: [GET, POST] }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
  - name: by-host
    match: { path: /hosted, host: models.example }
    endpoint: json
"""


@pytest.fixture
def caller(gateway):
    with gateway.caller() as caller:
        yield caller


# -- connections


def test_keeps_the_connection(caller):
    for number in range(5):
        response = caller.call("/call/echo", b"%d" % number)
        assert (response.status, response.body, response.version) == (200, b"%d" % number, "1.1")


def test_closes_when_asked(caller):
    response = caller.call("/call/echo", b"x", [("Connection", "close")])
    assert response.header("Connection").lower() == "close"
    assert caller.is_closed()


def test_http_1_0_is_framed_by_close_or_length(caller):
    response = caller.call("/call/echo", b"x", version="1.0")
    assert response.body == b"x" and response.framing in ("length", "close")
    assert caller.is_closed()


def test_http_1_0_keeps_alive_on_request(caller):
    for _ in range(2):
        response = caller.call("/call/echo", b"x", [("Connection", "keep-alive")], version="1.0")
        assert response.framing == "length"
        assert response.header("Connection").lower() == "keep-alive"


def test_http_1_0_gets_no_chunks(caller):
    response = caller.call("/call/count-3-10", b"x", version="1.0")
    assert response.framing == "length", "an abort would look like the end"
    assert response.body == b"part 1 of 3\npart 2 of 3\npart 3 of 3\n"


def test_http_1_0_response_over_the_buffer_limit(caller, endpoint, gateway):
    endpoint.next_fault(framing="chunked")
    assert caller.call("/call/size-2000000", b"x", version="1.0").status == 502
    endpoint.next_fault(framing="length")
    with gateway.caller() as second:
        assert len(second.call("/call/size-2000000", b"x", version="1.0").body) == 2_000_000


def test_pipelined_requests_are_answered_in_order(caller, endpoint):
    caller.ask("/call/count-2-100", b"one").ask("/call/echo", b"two").ask("/call/echo", b"3").ask("/nowhere", b"four")
    bodies = [caller.response().body for _ in range(3)]
    assert bodies == [b"part 1 of 2\npart 2 of 2\n", b"two", b"3"]
    assert caller.response().status == 404
    assert [seen.body for seen in endpoint.requests] == [b"one", b"two", b"3"]


def test_pipelined_in_one_write(caller):
    one = b"POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
    caller.send(b"".join(one + b"%d" % number for number in range(8)))
    assert [caller.response().body for _ in range(8)] == [b"%d" % number for number in range(8)]


def test_request_in_single_bytes(caller):
    for byte in b"POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc":
        caller.send(bytes([byte]))
        time.sleep(0.001)
    assert caller.response().body == b"abc"


def test_empty_lines_before_a_request(caller):
    assert caller.send("\r\n").call("/call/echo", b"x").body == b"x"


def test_hosts(caller):
    assert caller.call("/hosted", headers=[("Host", "MODELS.example:8080")]).status == 200
    assert caller.call("/hosted", headers=[("Host", "other.example")]).status == 404


# -- methods


def test_head_has_no_body(caller):
    response = caller.call("/any/echo", method="HEAD")
    assert response.status == 200 and caller.buffer == b""
    assert caller.call("/call/echo", b"still").body == b"still"


def test_head_on_a_post_route(caller):
    response = caller.call("/call/echo", method="HEAD")
    assert (response.status, response.outcome, response.header("Allow")) == (405, "method_not_allowed", "POST")
    assert caller.call("/call/echo", b"still").body == b"still"


def test_methods_and_paths_without_a_route(caller, endpoint):
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        response = caller.call("/call/echo", b"", method=method, headers=[("Content-Length", "0")])
        assert (response.status, response.header("Allow")) == (405, "POST"), method
        assert response.outcome == "method_not_allowed"
    for path in ("/", "/call", "/call/", "/call/a/b", "/calls/echo", "/CALL/echo", "//call/echo"):
        response = caller.call(path)
        assert response.status in (404, 400), path
    assert endpoint.requests == []


def test_dot_segments(gateway, endpoint):
    for path in ("/call/..", "/call/.", "/call/%2e%2e", "/call/a%2fb", "/call/a%2Fb", "/call/%00", "/call/%5c",
                 "/call/%zz", "/call/a%"):
        assert gateway.call(path).status in (400, 404), path
    assert endpoint.requests == []


# -- bodies


@pytest.mark.parametrize("name", BODIES)
def test_every_body_in_chunks(caller, name):
    body = BODIES[name]
    chunks = [body[start : start + 100_000] for start in range(0, len(body), 100_000)]
    assert caller.call("/call/json", headers=[("Content-Type", "a/b")],
                       chunks=chunks).json()["body_sha256"] == sha256(body)


def test_chunks_of_one_byte_with_extensions_and_trailers(caller, endpoint):
    caller.send("POST /call/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\nTrailer: X-T\r\n\r\n")
    caller.send(b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in b"hello") + b"0\r\nX-T: 1\r\n\r\n")
    assert caller.response().body == b"hello"
    assert endpoint.requests[-1].header("content-length") == "5", "SageMaker gets a Content-Length"
    assert endpoint.requests[-1].header("x-t") is None
    assert caller.call("/call/echo", b"next").body == b"next"


def test_body_limit_in_chunks(caller, endpoint, gateway):
    megabyte = b"x" * 1048576
    assert caller.call("/call/json", chunks=[megabyte] * 25).json()["body_length"] == LIMIT
    with gateway.caller() as second:
        try:
            response = second.call("/call/json", chunks=[megabyte] * 25 + [b"!"])
            assert (response.status, response.outcome) == (413, "body_too_large")
        except (BrokenPipeError, ConnectionResetError, Broken):
            pass  # reported while it was still sending
    assert gateway.line(outcome="body_too_large")["status"] == 413
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("name", ["one-byte", "six-mib", "the-limit"])
def test_waits_for_100_continue(caller, name):
    body = BODIES[name]
    caller.send(f"POST /call/json HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nExpect: 100-Continue\r\n\r\n")
    assert caller.read_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
    response = caller.send(body).response()
    assert response.json()["body_sha256"] == sha256(body)
    assert response.interim == []


def test_no_100_continue_before_a_rejection(gateway, endpoint):
    for path, length, outcome in (("/call/echo", len(ONE_OVER), "body_too_large"), ("/nowhere", 5, "no_route")):
        with gateway.caller() as caller:
            caller.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n")
            response = caller.response()
            assert (response.interim, response.outcome) == ([], outcome)
    assert endpoint.requests == []


def test_no_100_continue_if_the_body_has_arrived(caller):
    caller.send("POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n!")
    response = caller.response()
    assert response.body == b"!" and response.interim in ([], [100])


def test_content_encoding_is_rejected(caller, endpoint):
    assert caller.call("/call/echo", b"x", [("Content-Encoding", "identity")]).status == 200
    response = caller.call("/call/echo", b"x", [("Content-Encoding", "gzip")])
    assert (response.status, response.outcome) == (415, "unsupported_encoding")
    assert len(endpoint.requests) == 1


# -- rejected heads

HEAD = "POST /call/echo HTTP/1.1\r\nHost: x\r\n"
REFUSED = {
    "cl-and-te": HEAD + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "cl-twice": HEAD + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "cl-list": HEAD + "Content-Length: 1, 1\r\n\r\nx",
    "cl-plus": HEAD + "Content-Length: +1\r\n\r\nx",
    "cl-huge": HEAD + "Content-Length: 99999999999999999999\r\n\r\nx",
    "te-other": HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n",
    "te-1.0": "POST /call/echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no-host": "POST /call/echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "host-twice": HEAD + "Host: y\r\nContent-Length: 0\r\n\r\n",
    "fold": HEAD + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "space-colon": HEAD + "X : a\r\nContent-Length: 0\r\n\r\n",
    "no-name": HEAD + ": a\r\nContent-Length: 0\r\n\r\n",
    "nul": HEAD + "X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "bare-lf": "POST /call/echo HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "bare-cr": HEAD + "X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "version": "POST /call/echo HTTP/2.0\r\nHost: x\r\n\r\n",
    "h2-preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two-words": "POST /call/echo\r\nHost: x\r\n\r\n",
    "four-words": "POST /call/echo now HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "absolute-elsewhere": "POST http://y/call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_rejected_heads(gateway, endpoint, kind):
    with gateway.caller() as caller:
        response = caller.send(REFUSED[kind]).response()
        assert (response.status, response.outcome) == (400, "bad_request")
        assert caller.is_closed()
    line = gateway.line(outcome="bad_request")
    assert line["status"] == 400 and line["attempts"] == 0
    assert endpoint.requests == []


@pytest.mark.parametrize("chunk", ["zz\r\n", "-1\r\nx\r\n", "1\r\nxx\r\n", "1\nx\n", "ffffffffffffffffff\r\n"])
def test_rejected_chunks(gateway, endpoint, chunk):
    with gateway.caller() as caller:
        caller.send(HEAD + "Transfer-Encoding: chunked\r\n\r\n" + chunk)
        response = caller.response()
        assert (response.status, response.outcome) in ((400, "bad_request"), (413, "body_too_large"))
        assert caller.is_closed()
    assert endpoint.requests == []


def test_oversized_head(gateway, endpoint):
    with gateway.caller() as caller:
        caller.send(HEAD + "X: " + "x" * 100_000 + "\r\n\r\n")
        response = caller.response()
        assert (response.status, response.outcome) == (431, "head_too_large")
    assert gateway.line(outcome="head_too_large")["status"] == 431
    assert gateway.call().status == 200


def test_hop_by_hop_headers_are_not_forwarded(caller, endpoint, gateway):
    caller.call("/call/echo", b"x", [
        ("Connection", "X-Mine, keep-alive"), ("X-Mine", "1"), ("Keep-Alive", "timeout=5"), ("TE", "trailers"),
        ("Proxy-Authorization", "Basic x"), ("Upgrade", "h2c"), ("Authorization", "Bearer mine"),
        ("X-Amz-Security-Token", "mine"), ("X-Amz-Date", "20200101T000000Z"), ("X-Forwarded-For", "1.2.3.4"),
        ("Cookie", "a=b"), ("Content-Type", "a/b")])
    names = {name.lower() for name, _ in endpoint.requests[-1].headers}
    assert names <= {"host", "content-type", "content-length", "x-amz-date", "authorization", "accept",
                     "user-agent", "connection", "x-amzn-sagemaker-inference-id"}
    dropped = gateway.line()["dropped_headers"]
    assert {"cookie", "x-forwarded-for", "authorization"} <= set(dropped)
