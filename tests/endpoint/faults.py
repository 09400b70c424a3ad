"""Faults as values: their textual form, and the broken HTTP that can be sent on command."""

import re
import urllib.parse
from dataclasses import dataclass, fields

_IN_ATTRIBUTES = re.compile(r"(?:^|[;,\s])x-fault=(.*)")


@dataclass
class Fault:
    """The faults of one response. Fields left at their default change nothing."""

    # Response head
    status: int = None            # the status; with code or message the body is the service's error JSON
    code: str = None              # an error code of the service, e.g. ThrottlingException
    message: str = None           # its message
    original_status: int = None   # ModelError: the container's status (0: no response in time)
    original_message: str = None
    html: bool = False            # the error has an HTML body and no error code, as from a front-end proxy
    empty: bool = False           # ... or no body at all
    header: str = None            # one additional header line, "Name: value"
    attributes: str = None        # CustomAttributes of the response instead of the request's
    type: str = None              # Content-Type of the response; "" omits it
    variant: str = None           # the production variant named in the response
    version: str = None           # e.g. "1.0" in the status line
    connection: str = None        # e.g. "close"
    framing: str = None           # length, chunked or close, overrides the model's framing
    informational: int = None     # a 1xx status sent first ...
    times: int = 1                # ... this many times
    bad: str = None               # a kind of broken HTTP, see BAD
    skew_s: int = 0               # the endpoint's clock for this request: sets its Date and is used for checks

    # Timing and transport
    delay_ms: int = 0             # before the head
    delay_body_ms: int = 0        # between head and body
    stall: str = None             # head | body: stops there forever
    after: int = None             # body bytes sent before stall, reset or cut; default half
    trickle: int = None           # this many body bytes at a time ...
    every_ms: int = 10            # ... this far apart
    trickle_head: int = None      # the same for the head
    reset: str = None             # read | head | body: RST while the body is read, before the head, in the body
    reset_after: int = 65536      # read: after this many bytes of the request's body
    cut: bool = False             # an orderly close inside the body
    close: str = None             # read | head: an orderly close while the body is read, before the head
    early: bool = False           # responds as soon as the request's head is read, ignores the body, closes
    tls_end: str = None           # abrupt | notify: after the response no close_notify, or only that with TCP left open
    idle_ms: int = None           # closes an idle kept connection after this long
    drop_next: str = None         # close | reset: when the next request on this connection arrives, before any byte

    # Inside an event stream
    exception: str = None         # ModelStreamError, InternalStreamFailure or anything else
    error_code: str = None        # ErrorCode of the exception; for error, its code
    error: bool = False           # a message of type error instead
    at: int = 0                   # before this message, counted from 0
    corrupt: str = None           # prelude | payload | crc | length: one message with wrong bytes
    unknown: bool = False         # an event of an unknown type first

    @classmethod
    def parse(cls, text):
        """Parses `key:value;key:value`. ValueError names the error."""
        kinds = {field.name: field.type for field in fields(cls)}
        values = {}
        for item in filter(None, (part.strip() for part in text.split(";"))):
            key, colon, value = item.partition(":")
            if not colon:
                break
            if key not in kinds:
                raise ValueError(f"unknown fault '{key}'; known: {', '.join(kinds)}")
            value = urllib.parse.unquote(value)
            if kinds[key] is int:
                value = int(value)
            elif kinds[key] is bool:
                value = value not in ("0", "false", "")
            values[key] = value
        return cls(**values)

    @classmethod
    def from_attributes(cls, attributes):
        found = _IN_ATTRIBUTES.search(attributes or "")
        return cls.parse(found.group(1)) if found else None


CONNECTION_FAULTS = {
    "close": "close at once",
    "reset": "RST at once",
    "stall": "accept, and never say a word",
    "garbage": "bytes that are neither TLS nor HTTP",
    "handshake-close": "close after the first bytes of the client",
}


def _head(*lines):
    return "\r\n".join(("HTTP/1.1 200 OK", "Content-Type: text/plain") + lines).encode("latin-1") + b"\r\n\r\n"


# Each is the complete response, byte for byte. Then the connection is closed in order, unless it is in KEEP_OPEN.
BAD = {
    "cl-te": _head("Content-Length: 5", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
    "cl-differs": _head("Content-Length: 5", "Content-Length: 6") + b"hello!",
    "cl-list": _head("Content-Length: 5, 6") + b"hello!",
    "cl-plus": _head("Content-Length: +5") + b"hello",
    "cl-minus": _head("Content-Length: -5") + b"hello",
    "cl-hex": _head("Content-Length: 0x5") + b"hello",
    "cl-empty": _head("Content-Length: ") + b"hello",
    "cl-huge": _head("Content-Length: 99999999999999999999999") + b"hello",
    "te-unknown": _head("Transfer-Encoding: gzip, chunked") + b"5\r\nhello\r\n0\r\n\r\n",
    "te-gzip": _head("Transfer-Encoding: gzip") + b"hello",
    "te-twice": _head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
    "te-not-last": _head("Transfer-Encoding: chunked, identity") + b"5\r\nhello\r\n0\r\n\r\n",
    "chunk-size": _head("Transfer-Encoding: chunked") + b"zz\r\nhello\r\n0\r\n\r\n",
    "chunk-sign": _head("Transfer-Encoding: chunked") + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk-huge": _head("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "chunk-end": _head("Transfer-Encoding: chunked") + b"5\r\nhelloworld\r\n0\r\n\r\n",
    "chunk-extension": _head("Transfer-Encoding: chunked") + b"5;" + b"x" * 70000 + b"\r\nhello\r\n0\r\n\r\n",
    "trailer-huge": _head("Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\nx: " + b"y" * 300000 + b"\r\n\r\n",
    "status-text": b"HTTP/1.1 abc OK\r\nContent-Length: 5\r\n\r\nhello",
    "status-short": b"HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello",
    "status-099": b"HTTP/1.1 099 Low\r\nContent-Length: 5\r\n\r\nhello",
    "version-2": b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "not-http": b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
    "body-only": b"hello, this is only a body\r\n\r\n",
    "fold": _head("X-Long: a", " folded", "Content-Length: 5") + b"hello",
    "nul": _head("X-Nul: a\0b", "Content-Length: 5") + b"hello",
    "bare-cr": _head("X-Cr: a\rb", "Content-Length: 5") + b"hello",
    "space-colon": _head("Content-Length : 5") + b"hello",
    "no-colon": _head("nonsense", "Content-Length: 5") + b"hello",
    "empty-name": _head(": value", "Content-Length: 5") + b"hello",
    "huge-head": _head("X-Huge: " + "h" * 2_000_000, "Content-Length: 5") + b"hello",
    "many-headers": _head(*(f"X-Many-{n}: {n}" for n in range(5000)), "Content-Length: 5") + b"hello",
    "endless-head": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(200_000)),
    "endless-1xx": b"HTTP/1.1 102 Processing\r\n\r\n" * 100_000,
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello",
    "cut-head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing": b"",
    # Well-formed, but easily confused:
    "cl-same": _head("Content-Length: 5", "Content-Length: 5") + b"hello",
    "no-reason": b"HTTP/1.1 200\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 5\n\nhello",
    "extra": _head("Content-Length: 5") + b"hello" + _head("Content-Length: 6") + b"poison",
    "inject": _head("X-Amzn-SageMaker-Custom-Attributes: a\r\nSet-Cookie: stolen=1", "X-Sagegate-Outcome: ok",
                    "Connection: X-Named", "X-Named: for one hop", "Keep-Alive: timeout=5",
                    "Content-Length: 5") + b"hello",
}
KEEP_OPEN = {"extra", "cl-same", "no-reason", "bare-lf", "inject"}
