"""One request in is one request out: how nginx and haproxy behind the gateway treat smuggling attempts.

Each attempt is rejected, or it arrives as the one request that it is, with the same body. The test counts the requests
in the peer's log and at the server behind the peer, whose connections are kept: a hidden request would appear there, or
shift the next client's response to another client.
"""

import json
import re
import socketserver
import threading

import pytest
from lib import Broken, Caller, eventually
from peers import Server, program

CONFIG = """
listen: [{ address: "@LISTEN@" }]
region: us-east-1
credentials: { source: env }
upstream: { endpoint_url: "http://127.0.0.1:%d" }
limits: { head_timeout: 1s, body_timeout: 1s, keep_alive_timeout: 5s }
routes:
  - name: call
    match: { path: "/call/{endpoint}", methods: [GET, POST] }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
  - name: templates
    match: { path: "/templates/{model}" }
    endpoint: fixed
    parameters:
      target_model: { value: "${path.model}" }
      custom_attributes: { value: "${query.a}" }
      session_id: { value: "${header.X-Session:-none}" }
  - name: sdk
    match: { path: "/endpoints/{endpoint}/*" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: native
"""
NGINX = """
daemon off; master_process off; pid @DIR@/pid; error_log @DIR@/errors;
events { worker_connections 256; }
http {
  log_format one escape=json '{"request":"$request","length":"$http_content_length","status":"$status"}';
  access_log @DIR@/requests one;
  client_body_temp_path @DIR@/body; proxy_temp_path @DIR@/proxy; fastcgi_temp_path @DIR@/f; uwsgi_temp_path @DIR@/u;
  scgi_temp_path @DIR@/s;
  upstream behind { server 127.0.0.1:%d; keepalive 8; }
  server {
    listen 127.0.0.1:@PORT@;
    client_max_body_size 30m;
    location / { proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
"""
HAPROXY = """
global
  log stdout format raw daemon
defaults
  mode http
  log global
  log-format '{"request":"%%{+E}r","status":"%%ST"}'
  timeout connect 5s
  timeout client 10s
  timeout server 10s
  http-reuse always
frontend f
  bind 127.0.0.1:@PORT@
  default_backend b
backend b
  server behind 127.0.0.1:%d
"""


class Behind(socketserver.ThreadingTCPServer):
    """The last server: records every request that it reads from its connections, and echoes the body."""

    allow_reuse_address = daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Reader)
        self.requests = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]


class Reader(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            headers = {}
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = header.partition(b":")
                headers.setdefault(name.strip().lower(), []).append(value.strip())
            body = self._body(headers)
            self.server.requests.append((line.strip().decode("latin-1"), headers, body))
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def _body(self, headers):
        if b"transfer-encoding" not in headers:
            return self.rfile.read(int(headers.get(b"content-length", [b"0"])[0]))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def peer(request, tmp_path_factory):
    if program(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    behind = Behind()
    config = (NGINX if request.param == "nginx" else HAPROXY) % behind.port
    with Server(request.param, tmp_path_factory.mktemp(request.param), config) as server:
        server.behind = behind
        server.log = server.directory / "requests" if request.param == "nginx" else server.output
        yield server
    behind.shutdown()


@pytest.fixture(scope="module")
def guarded(peer, tmp_path_factory):
    import lib
    with lib.Gateway(tmp_path_factory.mktemp("gateway"), CONFIG % peer.port) as gateway:
        yield gateway


def seen_by(peer):
    return [json.loads(line) for line in peer.log.read_text().splitlines() if '"request"' in line]


# ---- the table -------------------------------------------------------------------------------------------------------

INNER = "POST /call/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
HEAD = "POST /call/outer HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED_INNER = f"{len(INNER):x}\r\n{INNER}\r\n0\r\n\r\n"
TE = "Transfer-Encoding: chunked\r\n"


def length(text=INNER):
    return f"Content-Length: {len(text)}\r\n"


# Rejected: 400 and a close; neither the attempt nor what follows it is forwarded.
REFUSED = {
    # two lengths
    "cl.te": HEAD + length("0\r\n\r\n" + INNER) + TE + "\r\n0\r\n\r\n" + INNER,
    "te.cl": HEAD + TE + "Content-Length: 4\r\n\r\n" + CHUNKED_INNER,
    "cl.cl": HEAD + "Content-Length: 0\r\n" + length() + "\r\n" + INNER,
    "cl.cl-same": HEAD + length() + length() + "\r\n" + INNER,
    "cl-list": HEAD + f"Content-Length: {len(INNER)}, {len(INNER)}\r\n\r\n" + INNER,
    "cl-list-differs": HEAD + "Content-Length: 0, 5\r\n\r\n" + INNER,
    # lengths with more than one reading
    "cl-plus": HEAD + "Content-Length: +5\r\n\r\n" + INNER,
    "cl-minus": HEAD + "Content-Length: -0\r\n\r\n" + INNER,
    "cl-hex": HEAD + "Content-Length: 0x5\r\n\r\n" + INNER,
    "cl-two-numbers": HEAD + "Content-Length: 0 5\r\n\r\n" + INNER,
    "cl-trailing": HEAD + "Content-Length: 0;\r\n\r\n" + INNER,
    "cl-point": HEAD + "Content-Length: 5.0\r\n\r\n" + INNER,
    "cl-exponent": HEAD + "Content-Length: 1e1\r\n\r\n" + INNER,
    "cl-quoted": HEAD + 'Content-Length: "5"\r\n\r\n' + INNER,
    "cl-vertical-tab": HEAD + "Content-Length: \v0\r\n\r\n" + INNER,
    "cl-empty": HEAD + "Content-Length:\r\n\r\n" + INNER,
    "cl-wraps-32": HEAD + f"Content-Length: {2**64 + 5}\r\n\r\n" + INNER,
    "cl-wraps-64": HEAD + f"Content-Length: {2**128}\r\n\r\n" + INNER,
    "cl-other-digits": (HEAD + "Content-Length: \u0665\r\n\r\n").encode() + INNER.encode(),
    "cl-space-colon": HEAD + "Content-Length : 0\r\n\r\n" + INNER,
    "cl-tab-colon": HEAD + "Content-Length\t: 0\r\n\r\n" + INNER,
    "cl-folded": HEAD + "Content-Length:\r\n 0\r\n\r\n" + INNER,
    "cl-nul": HEAD + "Content-Length\0: 0\r\n\r\n" + INNER,
    # codings that only some servers understand
    "te-x": HEAD + "Transfer-Encoding: xchunked\r\n" + length() + "\r\n" + INNER,
    "te-alone-x": HEAD + "Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED_INNER,
    "te-gzip": HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED_INNER,
    "te-identity": HEAD + "Transfer-Encoding: identity\r\n" + length() + "\r\n" + INNER,
    "te-chunked-identity": HEAD + "Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED_INNER,
    "te-twice": HEAD + TE + TE + "\r\n" + CHUNKED_INNER,
    "te-te-cow": HEAD + TE + "Transfer-Encoding: cow\r\n\r\n" + CHUNKED_INNER,
    "te-list": HEAD + "Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKED_INNER,
    "te-comma": HEAD + "Transfer-Encoding: ,chunked\r\n\r\n" + CHUNKED_INNER,
    "te-quoted": HEAD + 'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKED_INNER,
    "te-parameter": HEAD + "Transfer-Encoding: chunked;q=1\r\n\r\n" + CHUNKED_INNER,
    "te-vertical-tab": HEAD + "Transfer-Encoding: \vchunked\r\n" + length() + "\r\n" + INNER,
    "te-nul": HEAD + "Transfer-Encoding: chunked\0\r\n" + length() + "\r\n" + INNER,
    "te-space-colon": HEAD + "Transfer-Encoding : chunked\r\n" + length() + "\r\n" + INNER,
    "te-space-before": HEAD + " Transfer-Encoding: chunked\r\n" + length() + "\r\n" + INNER,
    "te-folded": HEAD + "Transfer-Encoding:\r\n chunked\r\n" + length() + "\r\n" + INNER,
    "te-behind-lf": HEAD + "X: x\nTransfer-Encoding: chunked\r\n" + length() + "\r\n" + INNER,
    "te-behind-cr": HEAD + "X: x\rTransfer-Encoding: chunked\r\n" + length() + "\r\n" + INNER,
    "te-name-lf": HEAD + "Transfer-Encoding\n: chunked\r\n" + length() + "\r\n" + INNER,
    "te-empty": HEAD + "Transfer-Encoding:\r\n" + length() + "\r\n" + INNER,
    "te-1.0": HEAD.replace("1.1", "1.0") + TE + "\r\n" + CHUNKED_INNER,
    # chunks
    "chunk-wraps": HEAD + TE + "\r\n10000000000000000\r\n" + INNER + "\r\n0\r\n\r\n",
    "chunk-minus": HEAD + TE + "\r\n-1\r\n" + INNER + "\r\n0\r\n\r\n",
    "chunk-plus": HEAD + TE + "\r\n+1\r\nx\r\n0\r\n\r\n",
    "chunk-0x": HEAD + TE + "\r\n0x1\r\nx\r\n0\r\n\r\n",
    "chunk-space": HEAD + TE + "\r\n1 \r\nx\r\n0\r\n\r\n",
    "chunk-empty": HEAD + TE + "\r\n\r\n" + INNER,
    "chunk-lf": HEAD + TE + "\r\n1\nx\n0\n\n" + INNER,
    "chunk-extension-lf": HEAD + TE + "\r\n2;\nxx\r\n" + f"{len(INNER):x}\r\n0\r\n\r\n" + INNER + "\r\n0\r\n\r\n",
    "chunk-extension-cr": HEAD + TE + "\r\n1;a\rb\r\nx\r\n0\r\n\r\n",
    "chunk-long": HEAD + TE + "\r\n1\r\nxx\r\n0\r\n\r\n" + INNER,
    "chunk-short": HEAD + TE + "\r\n3\r\nx\r\n0\r\n\r\n" + INNER,
    "chunk-end-cr": HEAD + TE + "\r\n1\r\nx\r0\r\n\r\n",
    "chunk-trailer-lf": HEAD + TE + "\r\n0\r\nX: y\nZ: z\r\n\r\n" + INNER,
    "chunk-trailer-no-colon": HEAD + TE + "\r\n0\r\n" + INNER,
    # heads that end elsewhere for other parsers
    "bare-lf": HEAD.replace("\r\n", "\n") + "Content-Length: 0\n\n" + INNER,
    "lf-lf": HEAD + "X: y\n\n" + INNER,
    "cr-cr": HEAD + "X: y\r\r" + INNER,
    "no-name": HEAD + ": x\r\nContent-Length: 0\r\n\r\n" + INNER,
    "no-colon": HEAD + "nonsense\r\nContent-Length: 0\r\n\r\n" + INNER,
    "nul-in-value": HEAD + "X: \0\r\nContent-Length: 0\r\n\r\n" + INNER,
    "name-of-utf-8": (HEAD + "Content-Len\u0261th: 0\r\nContent-Length: 0\r\n\r\n" + INNER).encode(),
    "line-two-blanks": HEAD.replace("/call/outer ", "/call/outer  ") + "Content-Length: 0\r\n\r\n" + INNER,
    "line-tab": HEAD.replace(" HTTP", "\tHTTP") + "Content-Length: 0\r\n\r\n" + INNER,
    "line-four-words": HEAD.replace(" HTTP", " HTTP/1.1 HTTP") + "Content-Length: 0\r\n\r\n" + INNER,
    "line-0.9": "GET /call/outer\r\n\r\n" + INNER,
    "line-1.2": HEAD.replace("1.1", "1.2") + "Content-Length: 0\r\n\r\n" + INNER,
    "line-lower-case": HEAD.replace("HTTP", "http") + "Content-Length: 0\r\n\r\n" + INNER,
    "line-blank-end": HEAD.replace("1.1\r\n", "1.1 \r\n", 1) + "Content-Length: 0\r\n\r\n" + INNER,
    "h2-preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + INNER,
    "connect": "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n" + INNER,
    # hosts
    "two-hosts": HEAD + "Host: other\r\nContent-Length: 0\r\n\r\n" + INNER,
    "no-host": "POST /call/outer HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + INNER,
    "absolute-elsewhere": HEAD.replace("/call", "http://other/call", 1) + "Content-Length: 0\r\n\r\n" + INNER,
    "host-with-path": HEAD.replace("localhost", "localhost/call/smuggled", 1) + "Content-Length: 0\r\n\r\n" + INNER,
    "host-with-user": HEAD.replace("localhost", "a@localhost", 1) + "Content-Length: 0\r\n\r\n" + INNER,
    # data that could become part of the next head
    "path-crlf": HEAD.replace("outer", "outer%0d%0aContent-Length:%200%0d%0a%0d%0a") + "Content-Length: 0\r\n\r\n",
    "path-blank": HEAD.replace("outer", "outer%20HTTP") + "Content-Length: 0\r\n\r\n",
    "path-nul": HEAD.replace("outer", "outer%00") + "Content-Length: 0\r\n\r\n",
    "template-path-crlf": HEAD.replace("call/outer", "templates/m%0d%0aX-Y:%20z") + "Content-Length: 0\r\n\r\n",
    "template-query-crlf": HEAD.replace("call/outer", "templates/m?a=1%0d%0aX-Y:%20z") + "Content-Length: 0\r\n\r\n",
    "template-query-lf": HEAD.replace("call/outer", "templates/m?a=1%0aX-Y:%20z") + "Content-Length: 0\r\n\r\n",
    "attributes-nul": HEAD + "X-Amzn-SageMaker-Custom-Attributes: a\0b\r\nContent-Length: 0\r\n\r\n",
    "attributes-twice": HEAD + "X-Amzn-SageMaker-Custom-Attributes: a\r\n" * 2 + "Content-Length: 0\r\n\r\n",
}

# Accepted as one request: its body.
TAKEN = {
    "cl": (HEAD + length() + "\r\n" + INNER, INNER),
    "te": (HEAD + TE + "\r\n" + CHUNKED_INNER, INNER),
    "te-upper-case": (HEAD + "TRANSFER-ENCODING: CHUNKED\r\n\r\n" + CHUNKED_INNER, INNER),
    "te-tab": (HEAD + "Transfer-Encoding:\tchunked\t\r\n\r\n" + CHUNKED_INNER, INNER),
    "te-inside": (HEAD + length(TE + "\r\n0\r\n\r\n") + "\r\n" + TE + "\r\n0\r\n\r\n", TE + "\r\n0\r\n\r\n"),
    "chunk-sizes": (HEAD + TE + "\r\n000001\r\na\r\n1;x=y\r\nb\r\n00\r\n\r\n", "ab"),
    "chunk-body-of-chunks": (HEAD + TE + "\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
    "trailers": (HEAD + TE + f"\r\n{len(INNER):x}\r\n{INNER}\r\n0\r\nContent-Length: 0\r\nTransfer-Encoding: gzip\r\n\r\n", INNER),
    "cl-zeros": (HEAD + f"Content-Length: 000{len(INNER)}\r\n\r\n" + INNER, INNER),
    "get-with-body": (HEAD.replace("POST", "GET", 1) + length() + "\r\n" + INNER, INNER),
    "connection-names-length": (HEAD + "Connection: Content-Length, Host\r\n" + length() + "\r\n" + INNER, INNER),
    "connection-names-authorization": (HEAD + "Connection: Authorization, X-Amz-Date\r\n" + length() + "\r\n" + INNER, INNER),
    "underscores": (HEAD + "Content_Length: 0\r\nTransfer_Encoding: chunked\r\n" + length() + "\r\n" + INNER, INNER),
    "upgrade-h2c": (HEAD + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n" + length()
                    + "\r\n" + INNER, INNER),
    "upgrade-websocket": (HEAD + "Connection: Upgrade\r\nUpgrade: websocket\r\n" + length() + "\r\n" + INNER, INNER),
    "trailer-announced": (HEAD + "TE: trailers\r\nTrailer: Content-Length\r\n" + TE + "\r\n" + CHUNKED_INNER, INNER),
    "override": (HEAD + "X-HTTP-Method-Override: GET\r\nX-Original-URL: /call/smuggled\r\n" + length() + "\r\n" + INNER, INNER),
    "expect": (HEAD + "Expect: 100-continue\r\n" + length() + "\r\n" + INNER, INNER),
    "http-1.0": (HEAD.replace("1.1", "1.0") + length() + "\r\n" + INNER, INNER),
    "empty-lines-before": ("\r\n\r\n" + HEAD + length() + "\r\n" + INNER, INNER),
    "absolute": (HEAD.replace("/call", "http://localhost/call", 1) + length() + "\r\n" + INNER, INNER),
    "query": (HEAD.replace("outer", "outer?x=%0d%0aPOST%20/call/smuggled%20HTTP/1.1") + length() + "\r\n" + INNER, INNER),
    "last-then-another": (HEAD + "Connection: close\r\n" + length() + "\r\n" + INNER + INNER, INNER),
    "last-1.0-then-another": (HEAD.replace("1.1", "1.0") + length() + "\r\n" + INNER + INNER, INNER),
}


def in_pieces(data, count):
    size = len(data) // count + 1
    return [data[start : start + size] for start in range(0, len(data), size)]


def attempt(caller, data, pieces):
    """Returns all responses until the connection ends or goes silent."""
    responses = []
    with caller:
        for piece in in_pieces(data if isinstance(data, bytes) else data.encode("latin-1"), pieces):
            try:
                caller.send(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
        try:
            responses.append(caller.response())
            caller.sock.settimeout(0.15)
            while True:
                responses.append(caller.response())
        except Broken as broken:
            assert broken.response.status == 0, "incomplete response"
    return responses


def is_one_request(gateway, peer, data, pieces):
    """Returns the one response to `data`, after checking that peer and server saw as many requests as they answered,
    none of them hidden, and that the next client gets its own response."""
    before, behind_before = len(seen_by(peer)), len(peer.behind.requests)
    responses = attempt(gateway.caller(timeout=3), data, pieces)
    assert len(responses) == 1, [response.head for response in responses]
    with gateway.caller() as other:
        for word in (b"mine", b"and mine"):
            assert other.call("/call/next", word).body == word
    sent_on = sum(response.outcome is None for response in responses) + 2
    eventually(lambda: len(seen_by(peer)) - before >= sent_on, what="the peer's log")
    logged, requests = seen_by(peer)[before:], peer.behind.requests[behind_before:]
    assert len(logged) == len(requests) == sent_on, (logged, requests)
    assert all(line["status"] == "200" for line in logged), logged
    for line, headers, _ in requests:
        assert re.fullmatch(r"POST /endpoints/(outer|next|fixed)/invocations HTTP/1\.1", line), line
        assert len(headers[b"host"]) == len(headers[b"content-length"]) == 1 and b"transfer-encoding" not in headers
        assert b"x-y" not in headers and b"upgrade" not in headers
    return responses[0], requests[:-2]


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("name", REFUSED)
def test_rejected(guarded, peer, name, pieces):
    response, requests = is_one_request(guarded, peer, REFUSED[name], pieces)
    assert response.status == 400 and response.outcome in ("bad_request", "bad_parameter")
    assert requests == []


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("name", TAKEN)
def test_accepted_as_one_request(guarded, peer, name, pieces):
    data, body = TAKEN[name]
    response, [(_, _, received)] = is_one_request(guarded, peer, data, pieces)
    assert (response.status, response.body, received) == (200, body.encode(), body.encode())


def test_two_requests_are_two(guarded, peer):
    before = len(peer.behind.requests)
    responses = attempt(guarded.caller(timeout=3), HEAD + "Content-Length: 3\r\n\r\none" + HEAD + "Content-Length: 3\r\n\r\ntwo", 1)
    assert [response.body for response in responses] == [b"one", b"two"]
    assert [body for _, _, body in peer.behind.requests[before:]] == [b"one", b"two"]


# ---- the admin and health pages --------------------------------------------------------------------------------------

# A path or parameter that is rejected is a 404 of the page.
NO_PAGE = {"path-crlf", "path-blank", "path-nul", "template-path-crlf", "template-query-crlf", "template-query-lf",
           "attributes-twice"}


@pytest.mark.parametrize("listener", ["admin", "health"])
def test_one_admin_request_is_one_request(start_gateway, listener):
    gateway = start_gateway()
    address = ("127.0.0.1", gateway.admin_port if listener == "admin" else gateway.health_port)
    table = {name: (data, 404 if name in NO_PAGE else 400) for name, data in REFUSED.items()}
    table |= {name: (data, 404) for name, (data, _) in TAKEN.items()}
    for name, (data, status) in table.items():
        for pieces in (1, 3):
            responses = attempt(Caller(address, 3), data, pieces)
            assert [response.status for response in responses] == [status], (name, pieces)
    with Caller(address) as caller:
        caller.send((HEAD + length() + "\r\n" + INNER) * 2)
        assert [caller.response().status for _ in range(2)] == [404] * 2
        assert caller.call("/live", method="GET").status == 200
