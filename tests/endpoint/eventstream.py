"""Encodes and decodes messages of application/vnd.amazon.eventstream."""

import json
import struct
import zlib

STRING = 7


def message(headers, payload=b""):
    """Encodes one message: headers are (name, text) pairs, all of type string."""
    block = b""
    for name, value in headers:
        raw_name, raw_value = name.encode(), value.encode()
        block += struct.pack(">B", len(raw_name)) + raw_name
        block += struct.pack(">BH", STRING, len(raw_value)) + raw_value
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def part(payload):
    return message(
        [
            (":event-type", "PayloadPart"),
            (":content-type", "application/octet-stream"),
            (":message-type", "event"),
        ],
        payload,
    )


def exception(kind, text, error_code=None):
    body = {"Message": text}
    if error_code:
        body["ErrorCode"] = error_code
    return message(
        [
            (":exception-type", kind),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ],
        json.dumps(body).encode(),
    )


def error(code, text):
    return message([(":message-type", "error"), (":error-code", code), (":error-message", text)])


def unknown(payload):
    """An event of an unknown type, which clients must skip."""
    return message([(":message-type", "event"), (":event-type", "FutureEvent")], payload)


def flip(frame, offset):
    """Returns the same frame with one bit flipped at `offset` (negative: from the end)."""
    broken = bytearray(frame)
    broken[offset] ^= 0x40
    return bytes(broken)


def read(data):
    """Decodes all messages of `data` as (headers, payload); raises ValueError if a byte is wrong or missing."""
    messages = []
    while data:
        if len(data) < 16:
            raise ValueError("truncated prelude")
        total, headers_length, prelude_crc = struct.unpack(">III", data[:12])
        if zlib.crc32(data[:8]) != prelude_crc:
            raise ValueError("prelude checksum")
        if total < 16 or headers_length > total - 16 or total > len(data):
            raise ValueError("inconsistent lengths")
        if zlib.crc32(data[: total - 4]) != struct.unpack(">I", data[total - 4 : total])[0]:
            raise ValueError("message checksum")
        headers, at, end = {}, 12, 12 + headers_length
        while at < end:
            name = data[at + 1 : at + 1 + data[at]].decode()
            at += 1 + data[at]
            kind, length = struct.unpack(">BH", data[at : at + 3])
            if kind != STRING:
                raise ValueError("a header that is not a string")
            headers[name] = data[at + 3 : at + 3 + length].decode()
            at += 3 + length
        messages.append((headers, data[end : total - 4]))
        data = data[total:]
    return messages
