"""One request on one connection: read it, judge it as the service would, respond or fail as requested."""

import datetime
import email.utils
import hashlib
import http.client
import re
import time
import uuid

from . import api, eventstream, signature
from .faults import BAD, KEEP_OPEN, Fault
from .models import response_of, Response
from .wire import HEAD_MAX, Malformed, PeerLeft

BODY_KEPT = 256 * 1024
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def serve_request(endpoint, wire, seen):
    """Returns the fault that was played (for its effect on the connection), None if the connection is over."""
    fault = Fault()
    try:
        _read_head(wire, seen)
        endpoint.began(seen)
        fault = endpoint.take_fault(seen.header("x-amzn-sagemaker-custom-attributes")) or fault
        seen.fault = _told(fault)
        body = b"" if fault.early else _read_body(wire, seen, fault, endpoint.body_max)
        if wire.closed:
            seen.outcome = f"played {seen.fault}"
            return None
        keep = _respond(endpoint, wire, seen, body, fault)
        return fault if keep else None
    except _TooLarge as large:
        seen.status = 413
        wire.send(b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                  b"Content-Length: %d\r\n\r\n%s" % (len(str(large)), str(large).encode()))
        seen.outcome = "refused: too large"
        _drain(wire)
    except PeerLeft as left:
        seen.outcome = f"peer left: {left}"
    except (Malformed, ValueError) as error:
        seen.outcome = f"malformed: {error}"
        if not any(known is seen for known in endpoint.requests):
            endpoint.began(seen)
        wire.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    finally:
        endpoint.ended(seen)
    return None


# -- the request


class _TooLarge(Exception):
    pass


def _read_head(wire, seen):
    lines = wire.until(b"\r\n\r\n", HEAD_MAX).split(b"\r\n")
    seen.began = time.monotonic()
    try:
        method, target, version = lines[0].split(b" ")
    except ValueError:
        raise Malformed(f"request line {lines[0][:80]!r}") from None
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not target.startswith(b"/"):
        raise Malformed(f"request line {lines[0][:80]!r}")
    seen.method, seen.path = method.decode("latin-1"), target.decode("latin-1")
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.match(name) or re.search(rb"[\0\r\n]", value):
            raise Malformed(f"header {line[:80]!r}")
        seen.headers.append((name.decode(), value.strip(b" \t").decode("latin-1")))


def _read_body(wire, seen, fault, most):
    if (seen.header("expect") or "").lower() == "100-continue":
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = seen.header("content-length") or "0"
    if not isinstance(length, str) or not length.isdecimal():
        raise Malformed(f"Content-Length {length!r}")
    if fault.reset == "read" or fault.close == "read":
        _read_some(wire, min(fault.reset_after, int(length)))
        wire.reset() if fault.reset else wire.close()
        return b""
    if seen.header("transfer-encoding"):
        body = _read_chunks(wire, most)
    else:
        if int(length) > most:
            raise _TooLarge(f"HTTP content length exceeded {most} bytes.")
        body = wire.exactly(int(length))
    seen.received = time.monotonic()
    seen.body, seen.body_length = body[:BODY_KEPT], len(body)
    seen.body_sha256 = hashlib.sha256(body).hexdigest()
    return body


def _read_some(wire, length):
    while len(wire.buffer) < length:
        if not wire.fill():
            return


def _read_chunks(wire, most):
    body = b""
    while True:
        size = int(wire.until(b"\r\n", 4096).split(b";")[0], 16)
        if size == 0:
            while wire.until(b"\r\n", 4096):
                pass
            return body
        body += wire.exactly(size)
        if len(body) > most:
            raise _TooLarge(f"HTTP content length exceeded {most} bytes.")
        if wire.exactly(2) != b"\r\n":
            raise Malformed("missing CRLF after a chunk")


def _drain(wire):
    """Lets the peer read an early response before the connection closes, as a front end does."""
    deadline = time.monotonic() + 0.3
    try:
        while time.monotonic() < deadline and wire.fill(0.3):
            wire.buffer.clear()
    except TimeoutError:
        pass


# -- the response


def _respond(endpoint, wire, seen, body, fault):
    """Returns True if the connection may be reused."""
    seen.request_id = str(uuid.uuid4())
    now = endpoint.now + datetime.timedelta(seconds=fault.skew_s)
    try:
        response, status = _judge(endpoint, seen, body, fault, now)
    except api.Refusal as refusal:
        seen.verdict = seen.verdict or "ok"
        response, status = _refused(refusal, fault), refusal.status
    if fault.delay_ms:
        wire.wait(fault.delay_ms / 1000)
    if fault.stall == "head":
        wire.wait(None)
    if fault.reset == "head" or fault.close == "head":
        wire.reset() if fault.reset else wire.close()
        seen.outcome = f"played {seen.fault}"
        return False
    for _ in range(fault.times if fault.informational else 0):
        wire.send(b"HTTP/1.1 %d Early\r\nX-Early: 1\r\n\r\n" % fault.informational)
    if fault.bad is not None:
        wire.send(BAD[fault.bad])
        seen.outcome = f"played {seen.fault}"
        return fault.bad in KEEP_OPEN
    seen.status = status
    return _send(wire, seen, response, status, fault, now)


def _judge(endpoint, seen, body, fault, now):
    """Returns the model's response and its status; raises Refusal for everything that the service would not forward."""
    if endpoint.container is not None and seen.path in api.CONTAINER:
        return _contain(endpoint, seen, body, fault)
    seen.endpoint, seen.operation = api.operation_of(seen.path)
    seen.unexpected = api.unexpected(seen.operation, seen.headers)
    if seen.method != "POST":
        raise api.Refusal("UnknownOperationException", f"No operation {seen.method} {seen.path}")
    if not fault.early:
        _check_signature(endpoint, seen, body, now)
    seen.parameters = api.parameters(seen.operation, seen.headers)
    inside = fault.exception or fault.error  # then the error message is that of the stream
    if fault.code or (fault.message and not inside) or (fault.status or 0) >= 400:
        raise _commanded(endpoint, seen, fault)
    _check_target(endpoint, seen)
    if seen.operation == "async-invocations":
        return _accepted(endpoint, seen, body), fault.status or 202
    response = response_of(seen, body)
    variant = fault.variant or seen.parameters.get("TargetVariant") or endpoint.variants[0]
    response.headers += [("x-Amzn-Invoked-Production-Variant", variant)]
    attributes = fault.attributes if fault.attributes is not None else seen.parameters.get("CustomAttributes")
    if attributes is not None:
        response.headers += [("X-Amzn-SageMaker-Custom-Attributes", attributes)]
    if seen.operation == "invocations-response-stream":
        response.headers += [("X-Amzn-SageMaker-Content-Type", response.content_type or "application/octet-stream")]
        response = Response(_messages(response.parts, fault), "application/vnd.amazon.eventstream", None,
                            response.headers)
    elif seen.parameters.get("SessionId") == "NEW_SESSION":
        response.headers += [("X-Amzn-SageMaker-New-Session-Id", f"{uuid.uuid4()}; Expires=2030-01-01T00:00:00Z")]
    elif seen.parameters.get("SessionId", "").startswith("closed"):
        response.headers += [("X-Amzn-SageMaker-Closed-Session-Id", seen.parameters["SessionId"])]
    return response, fault.status or 200


def _contain(endpoint, seen, body, fault):
    """A model's container called directly; its errors are passed as they are."""
    seen.endpoint, seen.operation, seen.verdict = endpoint.container, api.CONTAINER[seen.path], "ok"
    if any(name.lower() == "authorization" or name.lower().startswith("x-amz-") for name, _ in seen.headers):
        seen.verdict, seen.reason = "unwanted", "a container was sent credentials"
    seen.parameters = api.parameters("invocations", seen.headers)
    wanted = "GET" if seen.operation == "container-ping" else "POST"
    if seen.method != wanted:
        return Response([], None, 0), 405
    if wanted == "GET":
        return Response([], None, 0), fault.status or 200
    if (fault.status or 0) >= 400:
        text = (fault.message or "model failed").encode()
        return Response([(0, text)], "text/plain", len(text)), fault.status
    return response_of(seen, body), fault.status or 200


def _check_signature(endpoint, seen, body, now):
    verdict = signature.Verdict()
    try:
        if seen.operation == api.OPENAI:
            signature.check_bearer(verdict, headers=seen.headers, authorities=endpoint.authorities, keys=endpoint.keys,
                                   region=endpoint.region, now=now)
            return
        signature.check(verdict, method=seen.method, target=seen.path, headers=seen.headers, body=body,
                        tls=endpoint.tls, authorities=endpoint.authorities, keys=endpoint.keys,
                        region=endpoint.region, now=now)
    finally:
        seen.verdict, seen.reason, seen.access_key = verdict.code, verdict.reason, verdict.access_key
        seen.signed, seen.unsigned = verdict.signed, verdict.unsigned


def _check_target(endpoint, seen):
    given = seen.parameters
    if seen.endpoint.startswith("missing"):
        raise api.Refusal("ValidationError", f"Endpoint {seen.endpoint} of account {api.ACCOUNT} not found.")
    if given.get("TargetModel") and seen.endpoint.startswith("single"):
        raise api.Refusal("ValidationError", f"Endpoint {seen.endpoint} is not a multi-model endpoint and does "
                          "not support target model header")
    if given.get("TargetVariant") and given["TargetVariant"] not in endpoint.variants:
        raise api.Refusal("ValidationError", f"Variant {given['TargetVariant']} not found for Request")


def _accepted(endpoint, seen, body):
    if bool(body) == ("InputLocation" in seen.parameters):
        raise api.Refusal("ValidationError", "Exactly one of Body and InputLocation must be given")
    if len(body) > 128_000:
        raise api.Refusal("ValidationError", "Body is larger than 128000 bytes")
    identity = seen.parameters.get("InferenceId") or str(uuid.uuid4())
    text = b'{"InferenceId":"%s"}' % identity.encode()
    where = f"s3://sagemaker-{endpoint.region}-{api.ACCOUNT}/{seen.endpoint}"
    return Response([(0, text)], "application/json", len(text), [
        ("X-Amzn-SageMaker-OutputLocation", f"{where}/{identity}.out"),
        ("X-Amzn-SageMaker-FailureLocation", f"{where}/{identity}-error.out")])


def _commanded(endpoint, seen, fault):
    code = fault.code or api.BY_STATUS.get(fault.status, "InternalFailure")
    if code == "ModelError":
        original = 500 if fault.original_status is None else fault.original_status
        refusal = api.model_error(seen.endpoint, endpoint.region, original,
                                  fault.original_message or "model failed")
        refusal.message = fault.message or refusal.message
    else:
        refusal = api.Refusal(code, fault.message)
    refusal.status = fault.status or refusal.status
    return refusal


def _refused(refusal, fault):
    if fault.empty:
        return Response([], None, 0)
    if fault.html:
        text = f"<html><head><title>{refusal.status}</title></head><body>{refusal.message}</body></html>".encode()
        return Response([(0, text)], "text/html", len(text))
    body = refusal.body()
    kind = f"{refusal.code}:http://internal.amazon.com/coral/com.amazonaws.sagemaker.runtime/"
    return Response([(0, body)], "application/json", len(body), [("x-amzn-ErrorType", kind)])


def _messages(parts, fault):
    """Encodes the parts as messages of an event stream, with the requested exception or corruption."""
    wrong = {"prelude": 8, "payload": -6, "crc": -1, "length": 2}
    if fault.unknown:
        yield 0, eventstream.unknown(b"not for you")
    number = 0
    for pause, data in parts:
        frame = eventstream.part(data)
        if number == fault.at:
            if fault.exception or fault.error:
                break
            if fault.corrupt:
                frame = eventstream.flip(frame, wrong[fault.corrupt])
        yield pause, frame
        number += 1
    text = fault.message or "the stream failed"
    if fault.exception:
        yield 0, eventstream.exception(fault.exception, text, fault.error_code)
    elif fault.error:
        yield 0, eventstream.error(fault.error_code or "InternalServerError", text)


# -- the bytes of the response


def _send(wire, seen, response, status, fault, now):
    bodiless = seen.method == "HEAD" or status in (204, 304)
    framing = fault.framing or ("length" if response.length is not None else "chunked")
    parts = response.parts
    if framing == "length" and response.length is None:
        whole = b"".join(data for _, data in parts)
        parts, response.length = [(0, whole)], len(whole)
    _send_slowly(wire, _head(seen, response, status, framing, bodiless, fault, now), fault.trickle_head, fault.every_ms)
    if fault.delay_body_ms:
        wire.wait(fault.delay_body_ms / 1000)
    if not bodiless and not _send_body(wire, seen, parts, response.length, framing, fault):
        seen.outcome = f"played {seen.fault}"
        return False
    seen.outcome = "answered"
    if fault.tls_end == "abrupt":
        wire.abandon()
    elif fault.tls_end == "notify":
        wire.notify_and_linger()
    if fault.early:
        _drain(wire)
    asked = (seen.header("connection") or "").lower() == "close"
    over = asked or framing == "close" or fault.early or fault.connection == "close" or fault.version == "1.0"
    return not over and not wire.closed


def _head(seen, response, status, framing, bodiless, fault, now):
    reason = http.client.responses.get(status, "Dependency Failed" if status == 530 else "Status")
    lines = [f"HTTP/{fault.version or '1.1'} {status} {reason}", f"x-amzn-RequestId: {seen.request_id}"]
    kind = fault.type if fault.type is not None else response.content_type
    lines += [f"Content-Type: {kind}"] if kind else []
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines += [fault.header] if fault.header else []
    lines += [f"Connection: {fault.connection}"] if fault.connection else []
    lines += [f"Date: {email.utils.format_datetime(now, usegmt=True)}"]
    if framing == "chunked":
        lines += [] if bodiless else ["Transfer-Encoding: chunked"]
    elif framing == "length" and not (bodiless and status == 204):
        lines += [f"Content-Length: {response.length}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def _send_slowly(wire, data, at_a_time, every_ms):
    if not at_a_time:
        return wire.send(data)
    for start in range(0, len(data), at_a_time):
        wire.send(data[start : start + at_a_time])
        wire.wait(every_ms / 1000)


def _send_body(wire, seen, parts, length, framing, fault):
    """Returns False if a fault ended it early."""
    broken = fault.stall == "body" or fault.reset == "body" or fault.cut
    allowed = None
    if broken:
        allowed = fault.after if fault.after is not None else length // 2 if length else 10
    for pause, data in parts:
        if pause:
            wire.wait(pause)
        if allowed is not None:
            data = data[: allowed - seen.sent]
        if data:
            framed = b"%x\r\n%s\r\n" % (len(data), data) if framing == "chunked" else data
            _send_slowly(wire, framed, fault.trickle, fault.every_ms)
            seen.sent += len(data)
        if allowed is not None and seen.sent >= allowed:
            break
    if broken:
        if fault.stall == "body":
            wire.wait(None)
        if fault.reset == "body":
            wire.wait(0.05)  # so that the bytes sent arrive before the RST
            wire.reset()
        return False
    if framing == "chunked":
        wire.send(b"0\r\n\r\n")
    return True


def _told(fault):
    default = Fault()
    return ";".join(f"{name}:{value}" for name, value in vars(fault).items() if value != getattr(default, name))
