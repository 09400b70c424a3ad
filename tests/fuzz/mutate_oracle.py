"""A second HTTP/1 parser, with regular expressions instead of a state machine: how a strict reader parses some bytes.

The gateway may reject what this parser accepts; it must never accept what this parser rejects, nor see another
boundary, method or body. Source: RFC 9112, and the rules in proxy/net/http1.h where those are stricter.
"""

import re
from dataclasses import dataclass

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!-~]+) HTTP/1\.([01])\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: ([^\0-\x08\x0a-\x1f\x7f]*))?\Z")
HEADER = re.compile(rb"(" + TOKEN + rb"):([^\0-\x08\x0a-\x1f\x7f]*)\Z")
HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?\Z")
LENGTH = re.compile(rb"\d{1,18}\Z")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\0-\x08\x0a-\x1f\x7f]{0,256})?\r\n")
TRAILER = re.compile(TOKEN + rb":[^\0-\x08\x0a-\x1f\x7f]*\r\n")


class Bad(Exception):
    """Not a well-formed message."""


class Incomplete(Exception):
    """A message that is well-formed so far; `body` is the part received."""

    def __init__(self, body=b""):
        super().__init__()
        self.body = body


@dataclass
class Message:
    line: re.Match
    headers: list            # (name in lower case, value)
    end: int = 0             # of the head, later of the message
    body: bytes = b""
    framing: str = "none"    # none | length | chunked | close

    def values(self, name):
        return [value for key, value in self.headers if key == name]

    @property
    def options(self):
        return [option.strip().lower() for value in self.values(b"connection") for option in value.split(b",")]


def read_head(data, start, line):
    """Parses the head that begins at `start`; its end is after the empty line."""
    end = data.find(b"\r\n\r\n", start)
    if end < 0:
        raise Incomplete
    lines = data[start:end].split(b"\r\n")
    first = line.match(lines[0])
    headers = [HEADER.match(text) for text in lines[1:]]
    if not first or not all(headers):
        raise Bad
    return Message(first, [(match[1].lower(), match[2].strip(b" \t")) for match in headers], end + 4)


def framing_of(message, minor, otherwise):
    lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Bad
    if codings:
        if codings[0].lower() != b"chunked" or minor == b"0":
            raise Bad
        return "chunked"
    if lengths:
        if not LENGTH.match(lengths[0]):
            raise Bad
        return "length"
    return otherwise


def read_body(data, message):
    """Fills in body and end of a message whose head has been read."""
    if message.framing == "length":
        length = int(message.values(b"content-length")[0])
        message.body = data[message.end : message.end + length]
        if len(message.body) < length:
            raise Incomplete(message.body)
        message.end += length
    elif message.framing == "chunked":
        read_chunks(data, message)


def read_chunks(data, message):
    at, body = message.end, []
    while True:
        size = CHUNK.match(data, at)
        if not size:
            if re.compile(rb"[0-9A-Fa-f]{0,15}(?:;[^\0-\x08\x0a-\x1f\x7f]{0,256})?\r?\Z").match(data, at):
                raise Incomplete(b"".join(body))
            raise Bad
        at, length = size.end(), int(size[1], 16)
        if length == 0:
            break
        body.append(data[at : at + length])
        at += length
        behind = data[at : at + 2]
        if behind != b"\r\n":
            if at >= len(data) or behind == b"\r":
                raise Incomplete(b"".join(body))
            raise Bad
        at += 2
    while trailer := TRAILER.match(data, at):
        at = trailer.end()
    if data[at : at + 2] != b"\r\n":
        # An unfinished line may still become a trailer; it makes no difference.
        if b"\n" not in data[at:]:
            raise Incomplete(b"".join(body))
        raise Bad
    message.body, message.end = b"".join(body), at + 2


def read_requests(data):
    """Parses the requests of a connection: ([Message], how it continued), the latter one of "bad", "incomplete",
    "closed" (the last message asked for it) and "idle". Method and target are line[1] and line[2]."""
    messages, at = [], 0
    while True:
        for _ in range(2):
            at += 2 * (data[at : at + 2] == b"\r\n")
        if at >= len(data):
            return messages, "idle"
        try:
            message = read_head(data, at, REQUEST_LINE)
            check_request(message)
            read_body(data, message)
        except Bad:
            return messages, "bad"
        except Incomplete:
            return messages, "incomplete"
        messages.append(message)
        at = message.end
        if not keeps_alive(message, message.line[3]):
            return messages, "closed"


def check_request(message):
    method, target, minor = message.line[1], message.line[2], message.line[3]
    hosts = message.values(b"host")
    absolute = re.match(rb"(?i)http://([^/?]*)", target)
    if len(hosts) > 1 or (not hosts and minor == b"1") or not all(HOST.match(host) for host in hosts):
        raise Bad
    if absolute and hosts and absolute[1].lower() != hosts[0].lower():
        raise Bad
    if not absolute and not target.startswith(b"/"):
        raise Bad
    if method == b"CONNECT" or b"#" in target or re.search(rb"%(?![0-9A-Fa-f]{2})", target):
        raise Bad
    message.framing = framing_of(message, minor, "none")


def keeps_alive(message, minor):
    if b"close" in message.options:
        return False
    return minor == b"1" or b"keep-alive" in message.options


def read_response(data, is_head, closes):
    """Parses the final response an upstream sent: ("whole", Message), ("cut", Message) with its head and the
    well-formed part of the body, or ("bad", None). closes: the connection is closed in order after the data."""
    at, message = 0, None
    try:
        for _ in range(17):
            message = None
            message = read_head(data, at, STATUS_LINE)
            status = int(message.line[2])
            message.framing = framing_of(message, message.line[1], "close")
            if status < 200 or status == 204:
                claims = message.values(b"transfer-encoding") or any(map(int, message.values(b"content-length")))
                if claims or status == 101:
                    return "bad", None
            if status >= 200:
                break
            at = message.end
        else:
            return "bad", None
    except (Bad, Incomplete):
        return "bad", None
    if is_head or status in (204, 304):
        message.framing = "none"
    if message.framing == "close":
        message.body, message.end = data[message.end :], len(data)
        return ("whole" if closes else "cut"), message
    try:
        read_body(data, message)
    except Incomplete as incomplete:
        message.body = incomplete.body
        return "cut", message
    except Bad:
        message.body = None
        return "cut", message
    return "whole", message
