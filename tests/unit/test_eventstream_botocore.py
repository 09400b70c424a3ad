"""The event stream decoder against botocore's EventStreamBuffer, over thousands of generated streams."""

import random
import struct
import zlib

from botocore.eventstream import ChecksumMismatch, DuplicateHeader, EventStreamBuffer, InvalidHeadersLength, InvalidPayloadLength

from tests.unit.oracle import Driver

CASES = 3000
SEED = 8
STRING = 7
KINDS = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}


def header(name, kind, value):
    return bytes([len(name)]) + name + bytes([kind]) + value


def string(name, value):
    return header(name.encode(), STRING, struct.pack(">H", len(value)) + value)


def odd_header(rng, name):
    """A header of any type, with an unused name."""
    kind = rng.randrange(10)
    if kind in (6, 7):
        value = bytes(rng.choices(range(0x20, 0x7f), k=rng.choice([0, 1, 300])))
        return header(name, kind, struct.pack(">H", len(value)) + value)
    return header(name, kind, rng.randbytes([0, 0, 1, 2, 4, 8, 0, 0, 8, 16][kind]))


def message(headers, payload):
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def make_message(rng):
    kind = rng.choice(["event"] * 6 + ["exception", "error", "comment"])
    parts = [odd_header(rng, f"h{number}".encode()) for number in range(rng.choice([0, 0, 1, 5]))]
    if rng.random() < 0.95:
        parts.append(string(":message-type", kind.encode()))
    if rng.random() < 0.95:
        parts.append(string(KINDS.get(kind, ":event-type"), rng.choice([b"PayloadPart", b"ModelStreamError", b""])))
    if rng.random() < 0.5:
        parts.append(string(":content-type", b"application/json"))
    if kind == "error":
        parts.append(string(":error-message", "gr\u00fc\u00df".encode()))
    rng.shuffle(parts)
    return message(b"".join(parts), rng.randbytes(rng.choice([0, 1, 15, 200, 3000])))


def make_stream(rng):
    """Messages, often damaged: truncated, a bit flipped, a byte lost or duplicated."""
    stream = bytearray(b"".join(make_message(rng) for _ in range(rng.choice([0, 1, 2, 5, 12]))))
    damage = rng.choice(["none", "none", "cut", "flip", "lost", "doubled"])
    if stream and damage != "none":
        at = rng.randrange(len(stream))
        if damage == "cut":
            del stream[at:]
        elif damage == "flip":
            stream[at] ^= 1 << rng.randrange(8)
        elif damage == "lost":
            del stream[at]
        else:
            stream.insert(at, stream[at])
    return bytes(stream)


def pieces_of(rng, stream):
    longest = rng.choice([1, 3, 16, 100, 4096, len(stream) + 1])
    pieces = []
    while stream:
        size = rng.randint(1, longest)
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


def text(value):
    return value.encode() if isinstance(value, str) else b""


def botocore_messages(stream):
    """Returns botocore's messages in the driver's format, and whether it found the stream corrupt."""
    buffer, messages = EventStreamBuffer(), []
    buffer.add_data(stream)
    try:
        for event in buffer:
            headers = event.headers
            kind = headers.get(":message-type", "event")
            kind = kind if kind in KINDS else "unknown"
            messages.append({
                "kind": kind,
                "type": text(headers.get(KINDS.get(kind))).hex(),
                "error_message": text(headers.get(":error-message")).hex(),
                "content_type": text(headers.get(":content-type")).hex(),
                "payload": event.payload.hex(),
            })
    except (ChecksumMismatch, DuplicateHeader, InvalidHeadersLength, InvalidPayloadLength):
        return messages, True
    return messages, False


def test_matches_botocore():
    rng = random.Random(SEED)
    streams = [make_stream(rng) for _ in range(CASES)]
    questions = [{"ask": "eventstream", "pieces": [piece.hex() for piece in pieces_of(rng, stream)]}
                 for stream in streams]
    ends = {"whole": 0, "inside": 0, "corrupt": 0}
    for number, (stream, response) in enumerate(zip(streams, Driver("aws_driver").ask(questions))):
        messages, corrupt = botocore_messages(stream)
        assert response["messages"] == messages, f"stream {number}"
        assert bool(response["fault"]) == corrupt, f"stream {number}: {response['fault']}"
        ends["corrupt" if corrupt else "whole" if response["whole"] else "inside"] += 1
    assert min(ends.values()) > CASES / 20, ends


def test_stream_ending_inside_a_message_is_incomplete():
    stream = message(string(":message-type", b"event"), b"payload")
    questions = [{"ask": "eventstream", "pieces": [stream[:cut].hex()]} for cut in range(len(stream) + 1)]
    for cut, response in enumerate(Driver("aws_driver").ask(questions)):
        assert response["whole"] == (cut in (0, len(stream)))
        assert response["fault"] == ""
