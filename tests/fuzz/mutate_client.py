#!/usr/bin/python3
"""A mutating client against the whole program: well-formed requests, mutated at random, over many connections.

The upstream is strict and checks every byte and every signature. For each connection:
- the gateway responds in well-formed HTTP/1.1, closes in the end, and never returns a 5xx, because all upstreams work;
- the upstream receives exactly the requests that a second, independent parser finds in the bytes sent, in order, once
  each, with identical bodies; if that parser finds none, the upstream receives none;
- each response has its access line, and no response belongs to another connection.
Afterwards the gateway holds no more descriptors than before and exits cleanly, without a sanitizer report.
"""

import asyncio
import json
import re
import socket
import struct
import tempfile
import time

import mutate
import mutate_oracle as oracle
from mutate import lib

from tests.endpoint import Key
from tests.endpoint.api import Refusal
from tests.endpoint.signature import Verdict, check

AT_ONCE = 48
PATIENCE_S = 20.0
CONFIG = """
listen: [{ address: "@LISTEN@" }]
region: us-east-1
credentials: { source: env }
upstream: { endpoint_url: "http://127.0.0.1:%d" }
limits: { head_timeout: 2s, body_timeout: 1s, keep_alive_timeout: 10s, head_bytes: 16KiB }
defaults:
  body_max: 256KiB
routes:
  - name: call
    match: { path: "/call/{endpoint}", methods: [GET, HEAD, POST, PUT] }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    parameters:
      content_type: { default: application/json }
      custom_attributes: { append: "traceparent=${traceparent}", separator: ";" }
  - name: model
    match: { path: "/models/{model}.gz/predict", host: "*" }
    endpoint: model
    parameters:
      target_model: { value: "${path.model}.tar.gz" }
      session_id: { value: "${query.session:-none}" }
  - name: sdk
    match: { path: "/endpoints/{endpoint}/*" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: native
"""
CONFIG = CONFIG.replace(', host: "*"', "")


def requests_of(rng):
    """One to four well-formed requests; each case's bodies are unique."""
    return b"".join(request_of(rng) for _ in range(rng.choice((1, 1, 1, 2, 3, 4))))


def request_of(rng):
    path = rng.choice((b"/call/echo", b"/call/a-b-c", b"/models/m%41x.gz/predict?session=abc&x=%20",
                       b"/endpoints/e/invocations", b"/call/echo?a=b", b"http://localhost/call/absolute",
                       b"/nowhere", b"/endpoints/e/async-invocations"))
    method = rng.choice((b"POST", b"POST", b"POST", b"POST", b"GET", b"HEAD", b"PUT"))
    version = rng.choice((b"1.1", b"1.1", b"1.1", b"1.1", b"1.0"))
    body = b"%016x" % rng.getrandbits(64) + rng.choice((b"", b"{}", b"\r\n\r\n", b"0\r\n\r\n", b"x" * 3000, b"y" * 70_000,
                                                        b"POST /call/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    lines = [b"%s %s HTTP/%s" % (method, path, version), b"Host: localhost"]
    lines += rng.sample([
        b"Content-Type: text/csv", b"Accept: */*", b"X-Amzn-SageMaker-Inference-Id: id-1",
        b"X-Amzn-SageMaker-Custom-Attributes: a=b", b"X-Amzn-SageMaker-Target-Variant: A", b"User-Agent: x/1",
        b"X-Amzn-SageMaker-InputLocation: s3://b/k", b"traceparent: 00-%032x-%016x-01" % (7, 9), b"Cookie: c=d",
        b"Connection: keep-alive", b"Connection: X-Named", b"Authorization: Bearer x", b"X-Amz-Date: 20200101T000000Z",
        b"X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793", b"Referer: http://localhost/",
        b"Expect: 100-continue", b"Empty:", b"Utf8: \xc3\xa9\xff", b"TE: trailers",
    ], rng.randint(0, 6))
    if version == b"1.1" and rng.random() < 0.4:
        lines += [rng.choice((b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked"))]
        body = chunked(rng, body)
    elif method in (b"POST", b"PUT") or rng.random() < 0.2:
        lines += [b"Content-Length: %d" % len(body)]
    else:
        body = b""
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(rng, body):
    out, at = [], 0
    while at < len(body):
        size = rng.choice((1, 2, 16, 1000, 30_000))
        piece = body[at : at + size]
        out.append(rng.choice((b"%x", b"%X", b"0%x")) % len(piece) + rng.choice((b"", b"", b";a", b';b="c"')) + b"\r\n")
        out.append(piece + b"\r\n")
        at += size
    return b"".join(out) + b"0\r\n" + rng.choice((b"", b"", b"X-Trailer: 1\r\n", b"Content-Length: 7\r\n")) + b"\r\n"


class Case:
    """The requests of one connection. The last one asks to close, so that each case ends."""

    def __init__(self, seed, number):
        rng = mutate.rng_of(seed, number)
        self.number = number
        self.mutations = 0 if number % 20 == 0 else rng.choice((1, 1, 1, 2, 3, 6, 12))
        data = mutate.Mutator(rng)(requests_of(rng), self.mutations)
        self.data = data + b"POST /call/last HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast"
        self.leaves = rng.choice(("", "", "", "", "", "", "", "", "close", "reset")) if self.mutations else ""
        if self.leaves:
            self.data = self.data[: rng.randint(0, len(self.data))]
        self.pieces = mutate.in_pieces(rng, self.data)
        self.pause = rng.choice((0, 0, 0.001)) if len(self.pieces) < 10 else 0
        self.messages, self.goes_on = oracle.read_requests(self.data)


# ---- the upstream ----------------------------------------------------------------------------------------------------

KNOWN = re.compile(r"host|content-type|content-length|accept|user-agent|connection|authorization|x-amz-date"
                   r"|x-amzn-sagemaker-[a-z0-9-]+")


class Upstream:
    """Accepts only perfect requests. Its response identifies the request."""

    def __init__(self):
        self.seen, self.faults = {}, []
        self.serial = 0

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20, backlog=512)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                self.faults.append(f"part of a head: {error.partial!r}")
            return False
        try:
            message = oracle.read_head(head, 0, oracle.REQUEST_LINE)
            length = int(message.values(b"content-length")[0])
        except (oracle.Bad, IndexError, ValueError):
            self.faults.append(f"not a request: {head!r}")
            return False
        body = await reader.readexactly(length)
        if reader._buffer:  # noqa: SLF001 - not available otherwise
            self.faults.append(f"bytes after a request: {bytes(reader._buffer)[:200]!r}")  # noqa: SLF001
        self._look(message, body)
        self.serial += 1
        self.seen[self.serial] = (message, body)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nx-amzn-RequestId: r-%d\r\n"
                     b"x-Amzn-Invoked-Production-Variant: serial-%d\r\nContent-Length: %d\r\n\r\n%s"
                     % (self.serial, self.serial, len(body), body))
        await writer.drain()
        return True

    def _look(self, message, body):
        method, target = message.line[1].decode(), message.line[2].decode()
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.headers]
        odd = [name for name, _ in headers if not KNOWN.fullmatch(name)]
        if odd or message.values(b"transfer-encoding"):
            self.faults.append(f"headers that must not arrive: {odd}")
        verdict = Verdict()
        try:
            check(verdict, method=method, target=target, headers=headers, body=body, tls=False,
                  authorities={f"127.0.0.1:{self.port}"}, keys={lib.ACCESS_KEY: Key(lib.SECRET_KEY)},
                  region="us-east-1", now=lib_now())
        except Refusal as refusal:
            self.faults.append(f"{refusal}: {verdict.code}: {verdict.reason}: {headers}")
        if verdict.unsigned:
            self.faults.append(f"unsigned: {verdict.unsigned}")


def lib_now():
    import datetime
    return datetime.datetime.now(datetime.timezone.utc)


# ---- the client ------------------------------------------------------------------------------------------------------


async def converse(case, port):
    """Returns (the bytes received, how it ended: eof | reset | left | hung)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    got = bytearray()

    async def read():
        while data := await reader.read(65536):
            got.extend(data)
        return "eof"

    reading = asyncio.ensure_future(read())
    try:
        for piece in case.pieces:
            writer.write(piece)
            await writer.drain()
            if len(case.pieces) > 1:
                await asyncio.sleep(case.pause)
        if case.leaves == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ending = "left" if case.leaves else await asyncio.wait_for(asyncio.shield(reading), PATIENCE_S)
        return bytes(got), ending
    except ConnectionError:
        return bytes(got), "reset"
    except asyncio.TimeoutError:
        return bytes(got), "hung"
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.transport.abort() if case.leaves == "reset" else writer.close()


class Wrong(Exception):
    pass


def read_responses(data, methods):
    """Parses the final responses in data: (status, headers, body). The last one may be truncated if the connection was:
    False."""
    responses, at = [], 0
    while at < len(data):
        number = len(responses)
        is_head = number < len(methods) and methods[number] == b"HEAD"
        try:
            message = oracle.read_head(data, at, oracle.STATUS_LINE)
        except oracle.Incomplete:
            return responses, False
        except oracle.Bad:
            raise Wrong(f"a response that is not HTTP: {data[at : at + 300]!r}") from None
        status = int(message.line[2])
        if status < 200:
            at = message.end
            continue
        message.framing = oracle.framing_of(message, message.line[1], "close")
        # A request rejected unread may have been a HEAD and its response may still have a body; nothing follows it.
        is_last = status >= 400 and b"close" in message.options
        if (is_head and not is_last) or (is_last and message.end == len(data)) or status in (204, 304):
            message.framing = "none"
        if message.framing == "close":
            raise Wrong("a response without framing")
        try:
            oracle.read_body(data, message)
        except oracle.Incomplete:
            return responses, False
        except oracle.Bad:
            raise Wrong(f"a response with invalid chunks: {data[at : at + 300]!r}") from None
        responses.append((status, dict(message.headers), message.body))
        at = message.end
    return responses, True


def judge(case, data, ending, upstream):
    """Raises Wrong. Returns the responses, and the serials of their requests."""
    methods = [message.line[1] for message in case.messages]
    responses, whole = read_responses(data, methods)
    if ending == "hung":
        raise Wrong(f"not closed within {PATIENCE_S} s, after {len(responses)} responses")
    if ending == "eof" and not whole:
        raise Wrong("truncated response")
    told = bool(responses) and b"close" in responses[-1][1].get(b"connection", b"").lower()
    # The gateway reads a bounded amount after a rejection; a client that sends more can miss the response.
    if ending == "reset" and not (told and len(case.pieces) > 1) and len(case.data) < 60_000:
        raise Wrong("reset, although nothing was sent after the last response")
    if len(responses) > len(case.messages) + 1:
        raise Wrong(f"{len(responses)} responses to {len(case.messages)} requests and possibly a rejection")
    serials = []
    for number, (status, headers, body) in enumerate(responses):
        outcome = headers.get(b"x-sagegate-outcome")
        if status >= 500:
            raise Wrong(f"response {number}: {status} {outcome} {body[:200]!r}")
        if b"x-request-id" not in headers:
            raise Wrong(f"response {number} has no X-Request-Id")
        if status != 200:
            continue
        if number >= len(case.messages):
            raise Wrong(f"response {number} is 200 for an invalid request ({case.goes_on})")
        match = re.fullmatch(rb"serial-(\d+)", headers.get(b"x-amzn-invoked-production-variant", b""))
        if not match:
            raise Wrong(f"response {number} is not the upstream's response: {headers}")
        serial = int(match[1])
        _, received = upstream.seen[serial]
        sent = case.messages[number].body
        if received != sent:
            raise Wrong(f"request {number}: body {sent[:200]!r} was forwarded as {received[:200]!r}")
        if methods[number] != b"HEAD" and body != sent:
            raise Wrong(f"request {number}: response of another request: {body[:200]!r}")
        serials.append(serial)
    if serials != sorted(serials):
        raise Wrong("responses out of order")
    if ending == "eof":
        judge_end(case, responses)
    return responses, serials


def judge_end(case, responses):
    """A response may only be missing after one that announced to be the last."""
    statuses = [status for status, _, _ in responses]
    wanted = len(case.messages) + (case.goes_on in ("bad", "incomplete"))
    said = bool(responses) and b"close" in responses[-1][1].get(b"connection", b"").lower()
    if len(responses) < wanted and not said:
        raise Wrong(f"{wanted} responses expected, but the connection closed after {statuses}")
    if len(responses) < wanted and responses[-1][0] == 200 and case.messages[len(responses) - 1].line[3] == b"1":
        raise Wrong(f"{wanted} responses expected, but only {statuses} arrived, the last one a success")
    if not case.mutations and any(status not in (200, 400, 404, 405) for status in statuses):
        raise Wrong(f"unchanged, but the statuses are {statuses}")


# ---- the run ---------------------------------------------------------------------------------------------------------


class Run:
    def __init__(self, report, verbose):
        self.report, self.verbose = report, verbose
        self.upstream, self.answered, self.ids, self.left = Upstream(), set(), [], False
        self.statuses = {}

    async def one(self, number, gateway):
        case = Case(self.report.seed, number)
        try:
            data, ending = await converse(case, gateway.port)
        except OSError as error:
            await self.report.add_unless_dead(gateway, number, repr(error), sent=case.data)
            return
        self.left |= bool(case.leaves) or ending == "reset"
        if self.verbose:
            print(f"sent in {len(case.pieces)} pieces: {case.data!r}\ngot, {ending}: {data!r}\n"
                  f"read as {case.messages}, {case.goes_on}")
        try:
            responses, serials = judge(case, data, ending, self.upstream)
        except Wrong as wrong:
            await self.report.add_unless_dead(gateway, number, str(wrong), sent=case.data, pieces=[len(piece) for piece in case.pieces],
                            leaves=case.leaves, got=data, ended=ending)
            return
        again = self.answered & set(serials)
        if again:
            self.report.add(number, f"answered before: {again}", sent=case.data, got=data)
        self.answered |= set(serials)
        self.ids += [headers[b"x-request-id"].decode() for _, headers, _ in responses]
        for status, _, _ in responses:
            self.statuses[status] = self.statuses.get(status, 0) + 1

    async def all(self, numbers):
        await self.upstream.start()
        with tempfile.TemporaryDirectory() as directory:
            gateway = mutate.Gateway(directory, CONFIG.replace("%d", str(self.upstream.port)))
            await asyncio.to_thread(gateway.start)
            try:
                await self._against(gateway, numbers)
                await asyncio.to_thread(self._after, gateway)
            except AssertionError as error:
                self.report.add("end", str(error))
            finally:
                await asyncio.to_thread(gateway.__exit__, AssertionError if self.report.failures else None)

    async def _against(self, gateway, numbers):
        queue = iter(numbers)
        before = gateway.descriptors()

        async def work():
            for number in queue:
                if self.report.is_over or not gateway.is_alive():
                    return
                await self.one(number, gateway)

        await asyncio.gather(*(work() for _ in range(min(AT_ONCE, len(numbers)))))
        assert gateway.is_alive(), f"the gateway died of one of {self.report.suspects}: {gateway.output()}"
        for _ in range(100):  # kept upstream connections close when it is gone
            if gateway.descriptors() <= before + 64:
                break
            await asyncio.sleep(0.05)
        assert gateway.descriptors() <= before + 64, f"{gateway.descriptors()} descriptors, {before} at first"

    def _after(self, gateway):
        assert not self.upstream.faults, "\n".join(self.upstream.faults[:5])
        unanswered = set(self.upstream.seen) - self.answered
        assert self.left or not unanswered, f"upstream requests without a response: {[self.upstream.seen[n] for n in unanswered][:3]}"
        response = gateway.call("/call/echo", b"last of all")
        assert (response.status, response.body) == (200, b"last of all")
        gateway.line(request_id=response.header("X-Request-Id"))
        logged = {line["request_id"] for line in gateway.lines}
        missing = set(self.ids) - logged
        assert not missing, f"{len(missing)} responses without an access line: {sorted(missing)[:3]}"
        assert len(set(self.ids)) == len(self.ids), "duplicate request id"


def run(report, numbers, verbose=False):
    began = time.monotonic()
    this = Run(report, verbose)
    asyncio.run(this.all(numbers))
    print(f"mutate_client: {len(numbers)} connections, {this.upstream.serial} upstream requests, responses "
          f"{dict(sorted(this.statuses.items()))}, {len(report.failures)} failures, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    mutate.main("mutate_client", __doc__, run)
