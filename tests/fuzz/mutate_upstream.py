#!/usr/bin/python3
"""A mutating upstream against the whole program: well-formed responses, mutated at random, in plaintext, over TLS, and
over TLS whose ciphertext is changed in transit.

The client's response is compared with how a second, independent parser reads the bytes sent:
- a complete response has the upstream's status and body, or it is an error of the gateway itself;
- a response that the parser finds truncated or broken never looks complete to the client;
- nothing of one response ever appears in another, although connections are kept on both sides;
- the client sees only the headers that the gateway forwards;
- every response is well-formed and has its access line; unchanged responses arrive unchanged.
"""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
import tempfile
import time

import mutate
import mutate_oracle as oracle
from mutate import lib
from mutate_client import Wrong

from tests.endpoint import certificates, eventstream

AT_ONCE = 40
PATIENCE_S = 30.0
CONFIG = """
listen: [{ address: "@LISTEN@" }]
region: us-east-1
credentials: { source: env }
upstream: { endpoint_url: "http://127.0.0.1:@PLAIN@" }
upstreams:
  tls: { region: us-east-1, endpoint_url: "https://localhost:@TLS@", ca_file: "@CA@" }
  torn: { region: us-east-1, endpoint_url: "https://localhost:@TORN@", ca_file: "@CA@" }
log: { level: error }
limits: { concurrency: 10000 }
pool: { idle_max: 16 }
defaults:
  timeouts: { connect: 2s, first_byte: 2s, idle: 1s, total: 20s }
routes:
  - { name: unwrap, match: { path: "/unwrap/{e}", methods: [GET, POST] }, endpoint: { value: "${path.e}", allow: ["?*"] } }
  - { name: pass, match: { path: "/pass/{e}", methods: [GET, POST] }, endpoint: { value: "${path.e}", allow: ["?*"] }, errors: pass }
  - { name: stream, match: { path: "/stream/{e}" }, endpoint: { value: "${path.e}", allow: ["?*"] }, operation: stream }
  - { name: tls, match: { path: "/tls/{e}" }, endpoint: { value: "${path.e}", allow: ["?*"] }, errors: pass, upstream: tls }
  - { name: torn, match: { path: "/torn/{e}" }, endpoint: { value: "${path.e}", allow: ["?*"] }, errors: pass, upstream: torn }
  - name: sdk
    match: { path: "/endpoints/{e}/*" }
    endpoint: { value: "${path.e}", allow: ["?*"] }
    operation: native
"""
ROUTES = ["unwrap", "pass", "pass", "pass", "stream", "raw", "tls", "torn"]
# What a client sees, by its HTTP version, if a response that ends by close lost its end on the way.
UNCHANGED_CUT = ("unchanged, and cut", "unchanged, but the outcome is b'stream_broken'")
AGAIN_MAX = 3
STREAM_TYPE = b"application/vnd.amazon.eventstream"
OWN = re.compile(rb"bad_response|stream_broken|stream_stalled|stream_error|send_failed|first_byte_timeout|tls_failed"
                 rb"|connect_failed|connect_timeout|deadline|memory_full")
PASSED_ON = re.compile(
    rb"content-type|date|content-length|transfer-encoding|connection|server-timing|x-request-id|retry-after|allow"
    rb"|x-sagegate-outcome|x-amzn-requestid|x-amzn-errortype|x-amzn-sagemaker-[a-z-]+|x-amzn-invoked-production-variant")


class Case:
    """One response, and how it is requested and sent. `expected` is (kind, message), see oracle.read_response."""

    def __init__(self, seed, number):
        self.rng = rng = mutate.rng_of(seed, number)
        self.number, self.mark = number, b"<%d.%08x>" % (number, rng.getrandbits(32))
        self.route = rng.choice(ROUTES)
        self.method = rng.choice(("POST", "POST", "POST", "HEAD", "GET")) if self.route in ("pass", "unwrap") else "POST"
        self.version = rng.choice(("1.1", "1.1", "1.1", "1.1", "1.0"))
        self.mutations = 0 if number % 20 == 0 or self.route == "torn" else rng.choice((1, 1, 1, 2, 3, 6, 12))
        self.is_stream = self.route in ("stream", "raw")
        data = self._response()
        kept = rng.choice((0, 0, data.find(b"\r\n\r\n") + 4))  # mutated heads rarely remain valid heads
        self.data = data[:kept] + mutate.Mutator(rng)(data[kept:], self.mutations)
        if rng.random() < 0.1 and self.mutations:
            self.data = self.data[: rng.randint(0, len(self.data))]
        self.ending = rng.choice(("keep", "keep", "close", "close", "close", "reset"))
        until_close = not self.mutations and self.seed_framing == "close"
        if self.ending == "reset" and not self.mutations or until_close:
            self.ending = "close"
        kind, message = oracle.read_response(self.data, False, self.ending == "close")
        if self.ending == "keep" and kind != "whole" and rng.random() < 0.9:
            self.ending = "close"  # otherwise the run is spent waiting
            kind, message = oracle.read_response(self.data, False, True)
        self.kind, self.message = kind, message
        # Bytes after the response must arrive together with its end, or they could belong to any request.
        self.pieces = mutate.in_pieces(rng, self.data, [message.end - 1] if kind == "whole" else ())
        self.path = f"/endpoints/c{number}/invocations-response-stream" if self.route == "raw" else f"/{self.route}/c{number}"

    def _response(self):
        rng, body = self.rng, self._body()
        status = rng.choice((b"200 OK",) * 6 + (b"424 Failed Dependency", b"400 Bad Request", b"503 ", b"500", b"530 X"))
        lines = [b"HTTP/1.1 " + status, b"x-amzn-RequestId: 0-1-2", b"Content-Type: " + self._type(body)]
        if status[:1] != b"2":
            lines += [rng.choice((b"x-amzn-ErrorType: ModelError:http://x/", b"x-amzn-errortype: ThrottlingException",
                                  b"X-Other: 1"))]
        lines += rng.sample([
            b"x-Amzn-Invoked-Production-Variant: A", b"Date: Sun, 06 Nov 1994 08:49:37 GMT", b"Server: x",
            b"x-amzn-SageMaker-Custom-Attributes: a=b", b"Set-Cookie: stolen=1", b"X-Sagegate-Outcome: ok",
            b"Keep-Alive: timeout=5", b"Connection: X-Named", b"X-Named: 1", b"Empty:", b"X-Utf8: \xc3\xa9",
            b"X-Amzn-SageMaker-Content-Type: text/event-stream", b"Retry-After: 3", b"Connection: keep-alive",
        ], rng.randint(0, 6))
        if rng.random() < 0.03:  # more forwarded headers than there is room for, before or after the rest
            at = rng.choice((1, len(lines)))
            lines[at:at] = [b"x-amzn-SageMaker-Custom-Attributes: n"] * rng.choice((15, 16, 17, 60))
        framing = rng.choice(("length", "length", "chunked", "chunked", "close"))
        if self.version == "1.0" and rng.random() < 0.5:
            lines[0] = lines[0].replace(b"1.1", b"1.0")
            framing = rng.choice(("length", "close"))
        self.seed_framing = framing
        if framing == "length":
            lines += [b"Content-Length: %d" % len(body)]
        elif framing == "chunked":
            lines += [b"Transfer-Encoding: chunked"]
            body = self._chunked(body)
        before = rng.choice((b"",) * 6 + (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"))
        return before + b"\r\n".join(lines) + b"\r\n\r\n" + body

    def _type(self, body):
        return STREAM_TYPE if self.is_stream else self.rng.choice((b"application/json", b"text/plain"))

    def _body(self):
        rng = self.rng
        if self.is_stream:
            parts = [eventstream.part(self.mark + bytes([rng.randrange(256)]) * rng.choice((0, 1, 100, 9000)))
                     for _ in range(rng.randint(0, 4))]
            parts += rng.choice(([],) * 5 + (
                [eventstream.exception("ModelStreamError", "it broke", rng.choice((None, "ModelInvocationTimeExceeded")))],
                [eventstream.error("InternalFailure", "it failed")], [eventstream.unknown(b"later")]))
            return b"".join(parts)
        return rng.choice((
            self.mark, b"", self.mark * 300, self.mark * 6000,
            b'{"Code":"ModelError","OriginalStatusCode":422,"OriginalMessage":"%s arn:aws:x:111122223333:y",'
            b'"Message":"m","LogStreamArn":"arn:aws:logs:us-east-1:111122223333:z"}' % self.mark,
            b'{"message":"%s"}' % self.mark, b'{"__type":"x#ValidationException","message":"\\ud800%s"}' % self.mark))

    def _chunked(self, body):
        out, at = [], 0
        while at < len(body):
            size = self.rng.choice((1, 10, 1000, 30_000))
            piece, at = body[at : at + size], at + size
            out.append(b"%x%s\r\n%s\r\n" % (len(piece), self.rng.choice((b"", b"", b";x=y")), piece))
        return b"".join(out) + b"0\r\n" + self.rng.choice((b"", b"", b"X-Trailer: 1\r\n")) + b"\r\n"


# ---- the upstream ----------------------------------------------------------------------------------------------------


class Upstream:
    def __init__(self, run):
        self.run = run
        self.served = 0

    async def start(self):
        tls = certificates.context(["localhost", "127.0.0.1"])
        self.plain = await self._listen(self._serve)
        self.tls = await self._listen(self._serve, ssl=tls)
        self.torn = await self._listen(self._tear)

    async def _listen(self, serve, **more):
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512, **more)
        self.run.servers.append(server)
        return server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            with contextlib.suppress(Exception):
                writer.close()

    async def _one(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)\r\n", head, re.IGNORECASE)
        await reader.readexactly(int(length[1]))
        case = self.run.cases.get(int(re.match(rb"POST /endpoints/c(\d+)/", head)[1]))
        if case is None:
            return False  # its client is gone
        self.served += 1
        for number, piece in enumerate(case.pieces):
            writer.write(piece)
            await writer.drain()
            if number + 1 < len(case.pieces):
                await asyncio.sleep(case.rng.choice((0, 0, 0.002)) if len(case.pieces) < 10 else 0)
        if case.ending == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return case.ending == "keep"

    # Sits between the gateway and a TLS upstream and changes bytes in one direction.
    async def _tear(self, reader, writer):
        self.torn_connections = getattr(self, "torn_connections", 0) + 1
        rng = mutate.rng_of(self.run.report.seed, f"torn {self.torn_connections}")
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.tls)
        except OSError:
            writer.close()
            return
        which, at = rng.random() < 0.3, int(10 ** rng.uniform(0, 4))
        how = rng.choice(("flip", "cut", "reset", "lose", "insert", "nothing"))
        tasks = [asyncio.ensure_future(self._carry(reader, inner_writer, rng, how if which else "nothing", at)),
                 asyncio.ensure_future(self._carry(inner_reader, writer, rng, "nothing" if which else how, at))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (writer, inner_writer):
            with contextlib.suppress(Exception):
                end.close()

    @staticmethod
    async def _carry(reader, writer, rng, how, at):
        seen = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(16384):
                offset, seen = at - seen, seen + len(data)
                if how != "nothing" and 0 <= offset < len(data):
                    if how == "flip":
                        data = data[:offset] + bytes([data[offset] ^ (1 << rng.randrange(8))]) + data[offset + 1 :]
                    elif how == "insert":
                        data = data[:offset] + rng.randbytes(rng.choice((1, 5, 40))) + data[offset:]
                    elif how == "lose":
                        data = data[:offset] + data[offset + rng.choice((1, 5, 40)) :]
                    else:
                        writer.write(data[:offset])
                        if how == "reset":
                            writer.get_extra_info("socket").setsockopt(
                                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            writer.transport.abort()
                        return
                writer.write(data)
                await writer.drain()


# ---- the caller ------------------------------------------------------------------------------------------------------


class Caller:
    """Keeps its connection as long as the gateway does."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None
        self.carried = []  # the cases of this connection

    async def ask(self, case):
        """Returns (status, headers, body, whole): body as far as received."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)
            self.carried = []
        self.carried.append(case.number)
        length = 0 if case.method in ("GET", "HEAD") else 4
        keep = "Connection: keep-alive\r\n" if case.version == "1.0" else ""
        self.writer.write((f"{case.method} {case.path} HTTP/{case.version}\r\nHost: localhost\r\n{keep}"
                           f"Content-Length: {length}\r\n\r\n").encode() + b"body"[:length])
        try:
            return await asyncio.wait_for(self._response(case), PATIENCE_S)
        except asyncio.TimeoutError:
            raise Wrong(f"response not complete within {PATIENCE_S} s") from None

    def drop(self):
        if self.writer is not None:
            self.writer.close()
        self.writer = None

    async def _response(self, case):
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise Wrong(f"closed without a response: {error.partial!r}") from None
        except ConnectionError:
            raise Wrong("reset without a response") from None
        try:
            message = oracle.read_head(head, 0, oracle.STATUS_LINE)
            framing = oracle.framing_of(message, message.line[1], "close")
        except (oracle.Bad, oracle.Incomplete):
            raise Wrong(f"a response that is not HTTP: {head!r}") from None
        body = bytearray()
        whole = await self._body(case, message, framing, body)
        if case.method == "HEAD" and case.kind != "whole":
            self.drop()  # the gateway closes as soon as an unrequested body breaks off
            return int(message.line[2]), message.headers, b"", True
        if not whole or b"close" in message.options or (case.version == "1.0" and b"keep-alive" not in message.options):
            if whole and await self.reader.read(100):
                raise Wrong("bytes after the last response")
            self.drop()
        elif self.reader._buffer:  # noqa: SLF001 - not available otherwise
            raise Wrong(f"bytes after the response: {bytes(self.reader._buffer)[:300]!r}")  # noqa: SLF001
        return int(message.line[2]), message.headers, bytes(body), whole

    async def _body(self, case, message, framing, body):
        if case.method == "HEAD" or int(message.line[2]) in (204, 304):
            return True
        if framing == "close":
            raise Wrong("a response without framing")
        try:
            if framing == "length":
                left = int(message.values(b"content-length")[0])
                while left:
                    data = await self.reader.read(min(left, 65536))
                    if not data:
                        return False
                    body += data
                    left -= len(data)
                return True
            if case.version == "1.0":
                raise Wrong("chunks for HTTP/1.0")
            while True:
                line = await self.reader.readuntil(b"\r\n")
                if not re.fullmatch(rb"[0-9a-f]+\r\n", line):
                    raise Wrong(f"chunk {line!r}")
                size = int(line, 16)
                data = await self.reader.readexactly(size + 2)
                body += data[:-2]
                if data[-2:] != b"\r\n":
                    raise Wrong("missing CRLF after a chunk")
                if size == 0:
                    return True
        except asyncio.IncompleteReadError as error:
            body += error.partial
            return False
        except ConnectionError:
            return False


# ---- the verdict -----------------------------------------------------------------------------------------------------


def decoded(data):
    """Returns the payloads of the well-formed event stream parts, and what follows: end | cut | exception."""
    parts, at = [], 0
    while at < len(data):
        total = int.from_bytes(data[at : at + 4], "big")
        try:
            [(headers, payload)] = eventstream.read(data[at : at + max(total, 1)])
        except (ValueError, IndexError, struct.error):
            return b"".join(parts), "cut"
        if headers.get(":message-type") in ("exception", "error"):
            return b"".join(parts), "exception"
        if headers.get(":event-type") == "PayloadPart":
            parts.append(payload)
        at += total
    return b"".join(parts), "end"


def judge(case, response, statuses):
    status, headers, body, whole = response
    outcome = dict(headers).get(b"x-sagegate-outcome")
    odd = [name for name, _ in headers if not PASSED_ON.fullmatch(name)]
    if odd:
        raise Wrong(f"headers that must not be forwarded: {odd}")
    if len([1 for name, _ in headers if name == b"x-sagegate-outcome"]) > 1:
        raise Wrong("two outcomes")
    named = re.findall(rb"<(\d+)\.[0-9a-f]{8}>", body)
    if any(int(number) != case.number for number in named) and not case.mutations:
        raise Wrong(f"response of another request: {named[:5]}")
    if outcome and OWN.fullmatch(outcome) and whole:
        statuses["own " + outcome.decode()] = statuses.get("own " + outcome.decode(), 0) + 1
        if status < 500 and outcome != b"stream_error":
            raise Wrong(f"{outcome} with {status}")
        must_fit(case, outcome)
        return
    statuses[status if whole else f"{status} cut"] = statuses.get(status if whole else f"{status} cut", 0) + 1
    if case.kind == "bad" and case.ending != "reset":
        raise Wrong(f"{status} made from an invalid response")
    if case.message is None:
        raise Wrong(f"{status} made from an invalid response")
    compare(case, status, body, whole, outcome)


def must_fit(case, outcome):
    """An unchanged response arrives, unless the machine was too slow for the timeouts."""
    slow = outcome in (b"first_byte_timeout", b"stream_stalled", b"connect_timeout", b"deadline")
    if case.mutations or case.route == "torn" or slow:
        return
    if case.is_stream and (outcome == b"stream_error" or decoded(case.message.body)[1] != "end"):
        return
    raise Wrong(f"unchanged, but the outcome is {outcome}")


def compare(case, status, body, whole, outcome):
    message, sent = case.message, case.message.body
    expected = int(message.line[2])
    unwrapped = case.route in ("unwrap", "stream") and expected >= 400
    if not unwrapped and status != expected:
        raise Wrong(f"{status} made from {expected}")
    if unwrapped:
        if status < 400:
            raise Wrong(f"{status} made from {expected}")
        if b"111122223333" in body:
            raise Wrong("an account id reached the client")
        return
    if case.method == "HEAD":
        return
    content = message.values(b"content-type")[:1]
    if case.is_stream and status == 200 and content and content[0].lower().startswith(STREAM_TYPE) and sent is not None:
        sent, goes_on = decoded(sent) if case.route == "stream" else (sent, "end")
        if whole and (goes_on != "end" or case.kind != "whole"):
            raise Wrong(f"a complete stream, although it was {case.kind} followed by: {goes_on}")
    elif whole and case.kind != "whole":
        raise Wrong("a complete response made from a truncated one")
    if sent is None:  # broken chunks: comparing the valid part is not worth a third parser
        return
    if whole and body != sent:
        raise Wrong(f"another body: {len(body)} bytes, not {len(sent)}: {body[:100]!r}")
    # After a reset anything may be missing, and the parser's parts are no shorter than the gateway's.
    if not whole and not sent.startswith(body):
        raise Wrong(f"bytes that were not sent: {body[:300]!r}")
    slow = case.ending == "keep" or case.route == "torn"
    if not whole and case.kind == "whole" and not case.mutations and not slow and not case.is_stream:
        raise Wrong(UNCHANGED_CUT[0])


# ---- the run ---------------------------------------------------------------------------------------------------------


class Run:
    def __init__(self, report, verbose):
        self.report, self.verbose = report, verbose
        self.cases, self.servers, self.statuses, self.ids = {}, [], {}, []
        self.again = 0  # unchanged responses that arrived truncated, but complete when requested again
        self.upstream = Upstream(self)

    async def one(self, case, caller, last=False):
        self.cases[case.number] = case
        response = None
        try:
            response = await caller.ask(case)
            judge(case, response, self.statuses)
            self.ids.append(dict(response[1])[b"x-request-id"].decode())
        except (Wrong, KeyError, OSError) as wrong:
            caller.drop()
            # On a busy machine an upstream may close by reset before everything is read, but not twice.
            if str(wrong) in UNCHANGED_CUT and not last and self.again < AGAIN_MAX:
                self.again += 1
                return await self.one(Case(self.report.seed, case.number), caller, last=True)
            await self.report.add_unless_dead(
                self.gateway, case.number, str(wrong) or repr(wrong), route=case.route, method=case.method,
                version=case.version, sent=case.data, ending=case.ending, read_as=case.kind, got=repr(response),
                pieces=[len(piece) for piece in case.pieces], connection=caller.carried)
        finally:
            self.cases.pop(case.number, None)
        if self.verbose:
            print(f"{case.method} {case.path} {case.version}: {case.pieces}, {case.ending}\nread as {case.kind}: "
                  f"{case.message}\ngot {response}")

    async def all(self, numbers):
        await self.upstream.start()
        with tempfile.TemporaryDirectory() as directory:
            (ca := mutate.pathlib.Path(directory, "ca.pem")).write_bytes(certificates.authority().cert_pem.bytes())
            config = CONFIG.replace("@PLAIN@", str(self.upstream.plain)).replace("@TLS@", str(self.upstream.tls))
            config = config.replace("@TORN@", str(self.upstream.torn)).replace("@CA@", str(ca))
            self.gateway = gateway = mutate.Gateway(directory, config)
            gateway.start(wait=False)
            try:
                await asyncio.sleep(0)
                await asyncio.to_thread(lib.eventually, lambda: self._serves(gateway), 20)
                await self._against(gateway, numbers)
                await asyncio.to_thread(self._after, gateway)
            except AssertionError as error:
                self.report.add("end", str(error))
            finally:
                await asyncio.to_thread(gateway.__exit__, AssertionError if self.report.failures else None)

    @staticmethod
    def _serves(gateway):
        assert gateway.is_alive(), gateway.output()
        try:
            socket.create_connection(("127.0.0.1", gateway.port), 1).close()
        except OSError:
            return False
        return True

    async def _against(self, gateway, numbers):
        queue = iter(numbers)

        async def work():
            caller = Caller(gateway.port)
            for number in queue:
                if self.report.is_over or not gateway.is_alive():
                    break
                await self.one(Case(self.report.seed, number), caller)
            caller.drop()

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)  # asyncio's reports on connections broken deliberately
        await asyncio.gather(*(work() for _ in range(min(AT_ONCE, len(numbers)))))
        assert gateway.is_alive(), f"the gateway died of one of {self.report.suspects}: {gateway.output()}"

    def _after(self, gateway):
        logged = lambda: {line["request_id"] for line in gateway.lines}  # noqa: E731
        lib.eventually(lambda: set(self.ids) <= logged(), 5, f"the access lines of {len(self.ids)} responses")
        assert len(set(self.ids)) == len(self.ids), "duplicate request id"
        assert gateway.descriptors() < 200, f"{gateway.descriptors()} descriptors"


def run(report, numbers, verbose=False):
    began = time.monotonic()
    this = Run(report, verbose)
    asyncio.run(this.all(numbers))
    print(f"mutate_upstream: {len(numbers)} calls, {this.upstream.served} responses sent; clients got "
          f"{json.dumps(dict(sorted(this.statuses.items(), key=str)))}, {this.again} requested again, {len(report.failures)} failures, "
          f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    mutate.main("mutate_upstream", __doc__, run)
