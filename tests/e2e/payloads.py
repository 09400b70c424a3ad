"""The bodies that every client sends."""

import hashlib
import random

LIMIT = 25 * 1024 * 1024  # default body_max
_random = random.Random(2026)

BODIES = {
    "empty": b"",
    "one-byte": b"\n",
    "every-byte": bytes(range(256)) + b"\r\n\r\n0\r\n\r\n" + bytes(reversed(range(256))),
    "six-mib": _random.randbytes(6 * 1024 * 1024),
    "the-limit": _random.randbytes(1024 * 1024) * 25,
}
ONE_OVER = BODIES["the-limit"] + b"!"


def sha256(data):
    return hashlib.sha256(data).hexdigest()
