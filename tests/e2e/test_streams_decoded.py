"""InvokeEndpointWithResponseStream for plain HTTP clients: the model's bytes, every exception and every truncation."""

import json
import time

import pytest
from lib import Broken

from tests.endpoint import eventstream

MIB = 1024 * 1024
pytestmark = pytest.mark.threads

CONFIG = """
defaults: { timeouts: { connect: 2s, first_byte: 2s, idle: 2s, total: 60s } }
routes:
  - name: stream
    match: { path: "/stream/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: stream
  - name: told
    match: { path: "/told/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: stream
    stream_errors: event
    timeouts: { idle: 400ms }
  - name: passed
    match: { path: "/passed/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: stream
    errors: pass
  - name: raw
    match: { path: "/raw/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: stream
    stream_format: raw
  - name: sdk
    match: { path: "/endpoints/{endpoint}/*" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: native
"""


def broken(gateway, path, *outcomes, body=b"x"):
    """Returns the body received of a response that is aborted after its first byte, and its access line."""
    gateway.allow_warnings(*outcomes)
    with pytest.raises(Broken) as caught:
        gateway.call(path, body)
    line = gateway.line()
    assert line["outcome"] in outcomes
    return caught.value.response, line


def events(response):
    return response.body.decode(errors="replace").strip().split("\n\n")  # a cut may split a character


# -- success


def test_payload_bytes_with_the_model_content_type(gateway, endpoint):
    response = gateway.call("/stream/count-3-0", b"x", [("Accept", "text/plain")])
    assert (response.status, response.body) == (200, b"part 1 of 3\npart 2 of 3\npart 3 of 3\n")
    assert response.header("Content-Type") == "text/plain"
    assert response.header("X-Amzn-SageMaker-Content-Type") is None and response.framing == "chunked"
    assert endpoint.requests[0].operation == "invocations-response-stream"
    assert endpoint.requests[0].header("X-Amzn-SageMaker-Accept") == "text/plain"
    assert endpoint.requests[0].header("Accept") is None
    line = gateway.line()
    assert (line["operation"], line["outcome"], line["parts"], line["bytes_out"]) == ("stream", "ok", 3, 36)


def test_pieces_arrive_as_they_were_sent(gateway):
    response = gateway.call("/stream/count-5-100", b"x")
    arrived = [when for when, data in response.pieces if data]
    assert len(arrived) >= 3, "a stalled machine may merge two"
    assert arrived[-1] - arrived[0] > 0.2, "sent over 0.4 s"
    line = gateway.line()
    assert line["stream_us"] > 350_000 and 90_000 < line["gap_max_us"] < line["stream_us"]


def test_split_server_sent_events_and_characters(gateway):
    response = gateway.call("/stream/chat-4-10", b'{"stream": true}', [("Content-Type", "application/json")])
    assert response.header("Content-Type") == "text/event-stream"
    assert len(events(response)) == 5 and events(response)[-1] == "data: [DONE]" and "w\u00f6rd3" in events(response)[3]


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_large_streams_are_complete(gateway, endpoint, framing):
    endpoint.next_fault(framing=framing)
    response = gateway.call("/stream/size-5000000", b"x")
    block = bytes(range(251))
    assert response.body == (block * (5_000_000 // 251 + 1))[:5_000_000]


def test_messages_in_pieces_of_three_bytes(gateway, endpoint):
    endpoint.next_fault(trickle=3, every_ms=1)
    assert gateway.call("/stream/count-3-0", b"x").body == b"part 1 of 3\npart 2 of 3\npart 3 of 3\n"


def test_unknown_event_type_is_skipped(gateway, endpoint):
    endpoint.next_fault(unknown=True)
    assert gateway.call("/stream/count-1-0", b"x").body == b"part 1 of 1\n"


def test_stream_without_messages_is_an_empty_response(gateway):
    response = gateway.call("/stream/size-0", b"x")
    assert (response.status, response.body) == (200, b"")
    assert gateway.line()["outcome"] == "ok"


def test_http_1_0_client_gets_the_complete_body(gateway):
    with gateway.caller() as caller:
        response = caller.call("/stream/count-3-20", b"x", version="1.0")
    assert response.framing == "length" and response.body.endswith(b"part 3 of 3\n")


def test_connections_are_kept_on_both_sides(gateway, endpoint):
    gateway.call("/stream/count-1-0", b"x")
    before = endpoint.connections
    with gateway.caller() as caller:
        for _ in range(3):
            assert caller.call("/stream/count-2-0", b"x").body == b"part 1 of 2\npart 2 of 2\n"
    assert endpoint.connections == before


def test_raw_messages_on_request(gateway):
    decoded = gateway.call("/stream/count-3-0", b"x").body
    response = gateway.call("/raw/count-3-0", b"x")
    assert response.header("Content-Type") == "application/vnd.amazon.eventstream"
    assert response.header("X-Amzn-SageMaker-Content-Type") == "text/plain"
    assert b"".join(payload for _, payload in eventstream.read(response.body)) == decoded


# -- parameters that streams do not have


@pytest.mark.parametrize("header, parameter", [("X-Amzn-SageMaker-Target-Model", "TargetModel"),
                                               ("X-Amzn-SageMaker-Enable-Explanations", "EnableExplanations")])
def test_invoke_only_parameters_are_rejected(gateway, endpoint, header, parameter):
    response = gateway.call("/stream/echo", b"x", [(header, "x")])
    assert (response.status, response.outcome) == (400, "bad_parameter")
    assert "InvokeEndpointWithResponseStream has no such parameter" in response.json()["Message"]
    assert parameter in response.json()["Message"] and endpoint.requests == []


# -- errors before the stream


def test_error_instead_of_a_stream(gateway, endpoint):
    endpoint.next_fault(code="ModelError", original_status=400, original_message="no prompt")
    response = gateway.call("/stream/count-3-0", b"x")
    assert (response.status, response.outcome, response.body) == (400, "model_error", b"no prompt")


# -- exceptions

EXCEPTIONS = [
    (dict(exception="ModelStreamError", error_code="ModelInvocationTimeExceeded"), 504, "ModelStreamError"),
    (dict(exception="ModelStreamError", error_code="StreamBroken"), 502, "ModelStreamError"),
    (dict(exception="ModelStreamError"), 502, "ModelStreamError"),
    (dict(exception="InternalStreamFailure"), 502, "InternalStreamFailure"),
    (dict(exception="ThrottlingException"), 429, "ThrottlingException"),
    (dict(exception="SomethingNew"), 502, "SomethingNew"),
    (dict(error=True, error_code="InternalServerError"), 502, "InternalServerError"),
]


@pytest.mark.parametrize("fault, status, code", EXCEPTIONS)
def test_first_exception_becomes_a_status(gateway, endpoint, fault, status, code):
    gateway.allow_warnings(f"stream_error: .*: {code}")
    endpoint.next_fault(message="in account 111122223333 it broke", **fault)
    response = gateway.call("/stream/count-3-0", b"x")
    assert (response.status, response.outcome) == (status, "stream_error")
    assert response.json()["Message"].startswith(code) and "[redacted] it broke" in response.json()["Message"]
    line = gateway.line()
    assert (line["outcome"], line["aws_error"], line["status"]) == ("stream_error", code, status)


def test_first_exception_with_errors_pass(gateway, endpoint):
    gateway.allow_warnings("stream_error")
    endpoint.next_fault(exception="ModelStreamError", message="in account 111122223333")
    assert "111122223333" in gateway.call("/passed/count-3-0", b"x").json()["Message"]


@pytest.mark.parametrize("fault, status, code", EXCEPTIONS)
def test_later_exception_aborts(gateway, endpoint, fault, status, code):
    endpoint.next_fault(at=2, message="too late", **fault)
    response, line = broken(gateway, "/stream/count-4-30", "stream_error")
    assert (response.status, response.body) == (200, b"part 1 of 4\npart 2 of 4\n")
    assert (line["aws_error"], line["parts"]) == (code, 2)


def test_later_exception_becomes_an_error_event(gateway, endpoint):
    endpoint.next_fault(exception="ModelStreamError", error_code="StreamBroken", at=3, message="it broke")
    response, _ = broken(gateway, "/told/chat-4-20", "stream_error")
    name, data = events(response)[-1].strip().split("\n")
    told = json.loads(data.removeprefix("data: "))["error"]
    assert name == "event: error"
    assert (told["code"], told["message"]) == ("stream_error", "ModelStreamError (StreamBroken): it broke")
    assert told["request_id"] == response.header("X-Request-Id")


def test_other_content_types_get_no_event(gateway, endpoint):
    endpoint.next_fault(exception="ModelStreamError", at=1)
    response, _ = broken(gateway, "/told/count-4-20", "stream_error")
    assert response.body == b"part 1 of 4\n"


def test_stall_becomes_an_error_event(gateway, endpoint):
    endpoint.next_fault(stall="body", after=300)
    response, _ = broken(gateway, "/told/chat-4-0", "stream_stalled")
    assert '"code":"stream_stalled"' in events(response)[-1]


def test_exception_reaches_the_sdk_unchanged(gateway, endpoint):
    for path in ("/raw/count-3-0", "/endpoints/count-3-0/invocations-response-stream"):
        endpoint.next_fault(exception="InternalStreamFailure", at=1)
        response = gateway.call(path, b"x")
        kinds = [headers[":message-type"] for headers, _ in eventstream.read(response.body)]
        assert (response.status, kinds) == (200, ["event", "exception"])
        line = gateway.line()
        assert (line["outcome"], line["aws_error"], line["status"]) == ("stream_error", "InternalStreamFailure", 200)


# -- truncation and corruption


@pytest.mark.parametrize("kind", ["prelude", "payload", "crc", "length"])
@pytest.mark.parametrize("at", [0, 2])
def test_corrupt_byte(gateway, endpoint, kind, at):
    """Nothing of a message with a wrong checksum is forwarded."""
    gateway.allow_warnings("bad_response", "stream_broken", "stream_stalled")
    endpoint.next_fault(corrupt=kind, at=at)
    if at == 0:
        response = gateway.call("/stream/count-4-20", b"x")
        assert (response.status, response.outcome) == (502, "bad_response")
        assert gateway.line()["outcome"] == "bad_response"
    else:
        response, _ = broken(gateway, "/stream/count-4-20", "bad_response")
        assert response.body == b"part 1 of 4\npart 2 of 4\n"


def frame_length(payload):
    return len(eventstream.part(payload))


@pytest.mark.parametrize("orderly", [False, True], ids=["connection-cut", "body-ends"])
@pytest.mark.parametrize("into", [1, 4, 11, 12, 13, 60, -1])
def test_truncation_inside_a_message(gateway, endpoint, into, orderly):
    """Even if HTTP itself reports success."""
    size = frame_length(b"part 1 of 4\n")
    after = size + into % size
    fault = dict(framing="close") if orderly else dict()
    endpoint.next_fault(cut=True, after=after, **fault)
    response, _ = broken(gateway, "/stream/count-4-0", "stream_broken")
    assert response.body == b"part 1 of 4\n"


def test_truncation_inside_the_first_message_is_a_status(gateway, endpoint):
    gateway.allow_warnings("stream_broken")
    endpoint.next_fault(cut=True, after=40)
    response = gateway.call("/stream/count-4-0", b"x")
    assert (response.status, response.outcome, gateway.line()["outcome"]) == (502, "stream_broken", "stream_broken")


def test_end_between_messages_is_valid(gateway, endpoint):
    endpoint.next_fault(cut=True, framing="close", after=2 * frame_length(b"part 1 of 4\n"))
    assert gateway.call("/stream/count-4-0", b"x").body == b"part 1 of 4\npart 2 of 4\n"
    assert gateway.line()["outcome"] == "ok"


def test_truncation_hidden_by_http_reaches_the_sdk(gateway, endpoint):
    endpoint.next_fault(cut=True, framing="close", after=frame_length(b"part 1 of 4\n") + 30)
    response, _ = broken(gateway, "/endpoints/count-4-0/invocations-response-stream", "stream_broken")
    assert len(response.body) == frame_length(b"part 1 of 4\n")


def test_other_content_types_pass_unchanged(gateway, endpoint):
    endpoint.next_fault(type="application/json", status=200)
    assert gateway.call("/stream/count-1-0", b"x").header("Content-Type") == "application/json"


# -- clients


def test_client_disconnect_cancels_the_stream(gateway, endpoint):
    caller = gateway.caller().ask("/stream/count-50-50", b"x")
    endpoint.wait_for(lambda e: e.requests and e.requests[-1].sent > 200)
    caller.close()
    endpoint.wait_for(lambda e: e.requests[-1].outcome.startswith("peer left"), 1.0)
    assert gateway.line()["outcome"] == "client_gone"


def test_slow_reader_pauses_the_stream(gateway, endpoint):
    callers = [gateway.caller().ask("/stream/size-50000000", b"x") for _ in range(2)]
    time.sleep(0.7)
    sent = [seen.sent for seen in endpoint.requests]
    assert all(amount < 20 * MIB for amount in sent), sent
    for caller in callers:
        caller.close()


def test_many_concurrent_streams(gateway):
    callers = [gateway.caller().ask("/stream/count-5-50", b"x") for _ in range(50)]
    for caller in callers:
        assert caller.response().body == b"".join(b"part %d of 5\n" % n for n in range(1, 6))
        caller.close()
