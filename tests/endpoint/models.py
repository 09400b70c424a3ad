"""The built-in models: the responses of a container. Selected by the beginning of the endpoint's name."""

import json
import time
from dataclasses import dataclass, field


@dataclass
class Response:
    """parts: (seconds to wait before, bytes) pairs, generated as they are sent."""

    parts: object
    content_type: str = None
    length: int = None            # None: unknown in advance, so chunked
    headers: list = field(default_factory=list)


def response_of(seen, body):
    """Returns the response of the model that `seen.endpoint` names. seen: the request's record."""
    prefix = seen.endpoint.split("-")[0]
    numbers = [int(word) for word in seen.endpoint.split("-")[1:] if word.isdigit()]
    return _MODELS.get(prefix, _echo)(seen, body, numbers)


def _whole(data, content_type):
    return Response([(0, data)], content_type, len(data))


def _echo(seen, body, numbers):
    return _whole(body, seen.parameters.get("ContentType"))


def _json(seen, body, numbers):
    what = {
        "endpoint": seen.endpoint, "operation": seen.operation, "method": seen.method, "path": seen.path,
        "headers": [[name, value] for name, value in seen.headers if name.lower() != "authorization"],
        "parameters": seen.parameters, "body_length": seen.body_length, "body_sha256": seen.body_sha256,
        "verdict": seen.verdict, "access_key": seen.access_key, "signed_headers": seen.signed,
        "unexpected": seen.unexpected, "tls_version": seen.tls_version, "sni": seen.sni,
        "connection": seen.connection, "number": seen.number,
    }
    return _whole(json.dumps(what, indent=1).encode() + b"\n", "application/json")


def _count(seen, body, numbers):
    count, pause = (numbers + [3, 50][len(numbers):])[:2]
    parts = ((pause / 1000 if n else 0, b"part %d of %d\n" % (n + 1, count)) for n in range(count))
    return Response(parts, "text/plain")


def _size(seen, body, numbers):
    size = numbers[0] if numbers else 1024
    return Response(_pattern(size), "application/octet-stream", size)


def _pattern(size):
    block = bytes(range(251)) * 263
    for start in range(0, size, 65536):
        yield 0, block[start % 251 :][: min(65536, size - start)]


def _chat(seen, body, numbers):
    count, pause = (numbers + [5, 20][len(numbers):])[:2]
    words = [f"w\u00f6rd{n}" for n in range(count)]
    try:
        stream = json.loads(body or b"{}").get("stream") is True
    except (ValueError, AttributeError):
        stream = False
    base = {"id": "chatcmpl-1", "created": int(time.time()), "model": seen.endpoint}
    if stream or seen.operation == "invocations-response-stream":
        return Response(_events(base, words, pause / 1000), "text/event-stream")
    message = {"role": "assistant", "content": " ".join(words)}
    return _whole(json.dumps({
        **base, "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": count, "total_tokens": count + 3},
    }).encode(), "application/json")


def _events(base, words, pause):
    """Server-sent events, split two bytes before each end and inside each umlaut."""
    held = b""
    for n, word in enumerate(words):
        choice = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
        text = json.dumps({**base, "object": "chat.completion.chunk", "choices": [choice]}, ensure_ascii=False)
        data = held + b"data: " + text.encode() + b"\n\n"
        cut = data.rindex("\u00f6".encode()) + 1
        yield (pause if n else 0), data[:cut]
        yield 0, data[cut:-2]
        held = data[-2:]
    yield 0, held + b"data: [DONE]\n\n"


_MODELS = {"json": _json, "count": _count, "size": _size, "chat": _chat}
