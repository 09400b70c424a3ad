"""Every failure of SageMaker: its outcome, its access line, and the next request works."""

import pytest
from lib import Broken

from tests.endpoint import BAD, Endpoint

EXPECTED_WARNINGS = ['"topic": "upstream"', '"topic": "signature"']

# fault -> status and outcome on a route with errors: unwrap, then with errors: pass
ANSWERED = {
    "code:ModelError;original_status:422;original_message:bad row": (422, 424, "model_error"),
    "code:ModelError;original_status:500": (500, 424, "model_error"),
    "code:ModelError;original_status:0": (504, 424, "model_error"),
    "code:ModelNotReadyException": (429, 429, "model_not_ready"),
    "code:ServiceUnavailable": (503, 503, "no_capacity"),
    "code:ThrottlingException": (429, 400, "throttled"),
    "code:ThrottlingException;status:429": (429, 429, "throttled"),
    "code:ValidationError": (400, 400, "rejected"),
    "code:AccessDeniedException": (502, 403, "access_denied"),
    "code:ExpiredTokenException": (502, 403, "access_denied"),
    "code:UnrecognizedClientException": (502, 403, "access_denied"),
    "code:InvalidSignatureException": (502, 403, "access_denied"),
    "code:InternalFailure": (500, 500, "upstream_error"),
    "code:InternalDependencyException": (502, 530, "upstream_error"),
    "status:530": (502, 530, "upstream_error"),
    "status:502;html:1": (502, 502, "upstream_error"),
    "status:503;html:1": (503, 503, "no_capacity"),
    "status:500;empty:1": (500, 500, "upstream_error"),
    "status:413;html:1": (413, 413, "rejected"),
    "status:404;empty:1": (404, 404, "rejected"),
}


def works_again(gateway):
    response = gateway.call("/call/echo", b"again")
    assert (response.status, response.body) == (200, b"again")


@pytest.mark.parametrize("fault", ANSWERED)
def test_service_errors(gateway, endpoint, fault):
    unwrapped, passed, outcome = ANSWERED[fault]
    for path, status in (("/call/echo", unwrapped), ("/pass/echo", passed)):
        endpoint.next_fault(fault)
        response = gateway.call(path, b"x")
        assert (response.status, response.outcome) == (status, outcome), path
        line = gateway.line(outcome=outcome)
        assert line["status"] == status
        assert line["aws_request_id"] == endpoint.requests[-1].request_id
        assert response.header("X-Request-Id") == line["request_id"]
        assert (response.header("Retry-After") is not None) or outcome not in ("throttled", "model_not_ready") \
            or path == "/pass/echo"
    works_again(gateway)


def test_model_error_text_is_passed_without_account_ids(gateway, endpoint):
    endpoint.next_fault(code="ModelError", original_status=422, original_message="no such column: age")
    response = gateway.call("/call/echo")
    assert b"no such column: age" in response.body
    assert b"111122223333" not in response.body and b"arn:aws" not in response.body and b"console" not in response.body
    assert gateway.line(outcome="model_error")["model_status"] == 422


def test_passed_errors_are_unchanged(gateway, endpoint):
    endpoint.next_fault(code="ModelError", original_status=422, original_message="no such column")
    response = gateway.call("/pass/echo").json()
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (422, "no such column")
    assert response["LogStreamArn"].startswith("arn:aws:logs:")


# fault -> status, outcome; nothing of a response has arrived
BEFORE_THE_ANSWER = {
    "reset:head": (502, ("bad_response", "stream_broken", "send_failed")),
    "close:head": (502, ("bad_response", "stream_broken", "send_failed")),
    "stall:head": (504, ("first_byte_timeout",)),
    "trickle_head:1;every_ms:50": (504, ("first_byte_timeout",)),
}


@pytest.mark.parametrize("fault", BEFORE_THE_ANSWER)
def test_no_response(gateway, endpoint, fault):
    status, outcomes = BEFORE_THE_ANSWER[fault]
    endpoint.next_fault(fault)
    endpoint.next_fault(fault)  # a first attempt on a kept connection is retried
    response = gateway.call("/short/echo", b"x")
    assert response.status == status and response.outcome in outcomes
    assert gateway.line(outcome=response.outcome)["status"] == status
    endpoint.clear()
    works_again(gateway)


@pytest.mark.parametrize("kind", ["reset:read", "close:read"])
def test_upload_is_cut(gateway, endpoint, kind):
    endpoint.strict = False
    for _ in range(2):
        endpoint.next_fault(f"{kind};reset_after:100000")
    response = gateway.call("/short/echo", b"x" * 3_000_000)
    assert (response.status, response.outcome) == (502, "send_failed")
    assert gateway.line(outcome="send_failed")["status"] == 502
    endpoint.clear()
    works_again(gateway)


@pytest.mark.parametrize("length", [1000, 8_000_000])
def test_early_response_is_used(gateway, endpoint, length):
    endpoint.strict = False
    endpoint.next_fault(early=True, code="RequestEntityTooLarge")
    response = gateway.call("/call/echo", b"x" * length)
    assert (response.status, response.outcome) in ((413, "rejected"), (502, "send_failed"))
    if length < 10_000:
        assert response.status == 413
    works_again(gateway)


# -- in the body: the client must not mistake it for a complete response

IN_THE_BODY = {
    "cut:1": ("stream_broken",),
    "cut:1;framing:chunked": ("stream_broken",),
    "cut:1;framing:chunked;after:0": ("stream_broken",),
    "reset:body": ("stream_broken",),
    "reset:body;framing:chunked": ("stream_broken",),
    "reset:body;framing:close": ("stream_broken",),
    "stall:body": ("stream_stalled",),
    "stall:body;framing:chunked": ("stream_stalled",),
    "stall:body;framing:close": ("stream_stalled",),
}


@pytest.mark.parametrize("fault", IN_THE_BODY)
def test_truncated_response(gateway, endpoint, fault):
    endpoint.next_fault(fault)
    try:
        response = gateway.call("/short/echo", b"0123456789" * 5000)
    except Broken as broken:
        assert broken.response.status == 200
    else:
        assert response.status in (502, 504), "either an error or an aborted connection, never a complete response"
    line = gateway.line(route="short")
    assert line["outcome"] in IN_THE_BODY[fault]
    works_again(gateway)


def test_total_timeout(gateway, endpoint):
    endpoint.next_fault("trickle:10;every_ms:100")
    with pytest.raises(Broken):
        gateway.call("/hurried/echo", b"x" * 1000)
    line = gateway.line(route="hurried")
    assert line["outcome"] == "deadline" and 500_000 < line["total_us"] < 6_000_000
    endpoint.next_fault(delay_ms=2000)
    response = gateway.call("/hurried/echo", b"x")
    assert (response.status, response.outcome) == (504, "deadline")
    works_again(gateway)


# -- responses that are not HTTP

WHOLE_ALL_THE_SAME = {"cl-same": 200, "no-reason": 200, "extra": 200, "inject": 200}
LATE = {"chunk-size", "chunk-sign", "chunk-huge", "chunk-end", "chunk-extension", "trailer-huge"}


@pytest.mark.parametrize("kind", sorted(set(BAD) - set(WHOLE_ALL_THE_SAME)))
def test_responses_that_are_not_http(gateway, endpoint, kind):
    for _ in range(2 if kind == "nothing" else 1):
        endpoint.next_fault(bad=kind)
    try:
        response = gateway.call("/short/echo", b"x")
    except Broken as broken:
        assert kind in LATE, "anything is forwarded only after a valid head"
        assert broken.response.status == 200
        assert gateway.line(route="short")["outcome"] in ("bad_response", "stream_broken")
    else:
        assert (response.status, response.outcome) in ((502, "bad_response"), (502, "stream_broken"),
                                                   (502, "send_failed"), (504, "first_byte_timeout"))
        assert gateway.line(route="short")["outcome"] == response.outcome
    endpoint.clear()
    works_again(gateway)


def test_extra_bytes_after_a_response_are_discarded(gateway, endpoint):
    endpoint.next_fault(bad="extra")
    assert gateway.call("/call/echo", b"x").body == b"hello"
    for _ in range(3):
        works_again(gateway)


def test_upstream_headers_that_are_not_forwarded(gateway, endpoint):
    endpoint.next_fault(bad="inject")
    response = gateway.call("/call/echo", b"x")
    assert (response.status, response.body) == (200, b"hello")
    names = {name.lower() for name, _ in response.headers}
    assert not names & {"set-cookie", "x-named", "keep-alive"}
    assert response.outcome in (None, "ok") and "X-Named" not in (response.header("Connection") or "")


def test_harmless_anomaly(gateway, endpoint):
    for kind in ("no-reason", "cl-same"):
        endpoint.next_fault(bad=kind)
        response = gateway.call("/call/echo", b"x")
        assert (response.status, response.body) == (200, b"hello") or response.outcome == "bad_response"
    works_again(gateway)


@pytest.mark.parametrize("fault", ["informational:103", "informational:102;times:5", "version:1.0;framing:close",
                                   "version:1.0", "connection:close", "framing:close", "trickle:7;every_ms:1",
                                   "trickle_head:5;every_ms:1", "tls_end:abrupt", "tls_end:notify"])
def test_unusual_but_valid_responses(gateway, endpoint, fault):
    endpoint.next_fault(fault)
    response = gateway.call("/call/echo", b"unusual")
    assert (response.status, response.body) == (200, b"unusual")
    works_again(gateway)
    works_again(gateway)


def test_responses_without_a_body(gateway, endpoint):
    for status in (204, 304):
        endpoint.next_fault(status=status)
        response = gateway.call("/call/echo", b"x")
        assert (response.status, response.body) in ((status, b""), (502, response.body))
        works_again(gateway)


# -- connections

def test_dead_kept_connection_is_replaced(gateway, endpoint):
    """One transparent retry if a used connection died before any byte of a response."""
    for kind in ("close", "reset"):
        endpoint.next_fault(drop_next=kind)
        works_again(gateway)
        works_again(gateway)
        assert gateway.line(attempts=2)["outcome"] == "ok"


def test_closed_idle_connection_costs_nothing(gateway, endpoint):
    endpoint.next_fault(idle_ms=50)
    works_again(gateway)
    endpoint.wait_for(lambda _: endpoint.requests[-1].connection not in endpoint.open)
    works_again(gateway)


def test_failed_new_connection_is_not_retried(gateway, endpoint):
    endpoint.next_fault(connection="close")
    works_again(gateway)  # now there is no kept connection
    endpoint.next_fault("close:head")
    assert gateway.call("/short/echo", b"x").status == 502
    assert gateway.line(route="short")["attempts"] == 1
    works_again(gateway)


CONNECTIONS = {"close": ("tls_failed", "connect_failed"), "reset": ("tls_failed", "connect_failed"),
               "garbage": ("tls_failed",), "handshake-close": ("tls_failed",), "stall": ("connect_timeout",)}


@pytest.mark.parametrize("kind", CONNECTIONS)
def test_connection_failures(gateway, endpoint, kind):
    endpoint.next_fault(connection="close")
    works_again(gateway)
    for _ in range(3):
        endpoint.next_connection(kind)
    response = gateway.call("/short/echo", b"x")
    assert response.status == (504 if kind == "stall" else 502) and response.outcome in CONNECTIONS[kind]
    gateway.line(outcome=response.outcome)
    endpoint.clear()
    works_again(gateway)


@pytest.mark.parametrize("fault", ["wrong-name", "expired", "not-yet", "self-signed", "untrusted", "tls1.1"])
def test_untrusted_certificates(start_gateway, fault):
    with Endpoint(tls=fault) as bad:
        gateway = start_gateway(url=bad.url)
        gateway.allow_warnings("tls|upstream")
        response = gateway.call("/call/echo", b"secret")
        assert (response.status, response.outcome) == (502, "tls_failed")
        assert gateway.line()["outcome"] == "tls_failed"
        assert bad.requests == [], "no signed request goes to the wrong host"


@pytest.mark.parametrize("version, name", [("tls1.2", "TLSv1.2"), ("tls1.3", "TLSv1.3")])
def test_both_tls_versions(start_gateway, version, name):
    with Endpoint(tls=version) as other:
        gateway = start_gateway(url=other.url)
        assert gateway.call("/call/echo", b"x").body == b"x"
        seen = other.requests[-1]
        assert (seen.tls_version, seen.sni, seen.verdict) == (name, "localhost", "ok")


def test_connection_refused(start_gateway):
    gateway = start_gateway(url="https://localhost:9")
    gateway.allow_warnings("connect|upstream")
    response = gateway.call()
    assert (response.status, response.outcome) == (502, "connect_failed")


def test_unknown_host_name(start_gateway):
    gateway = start_gateway(url="https://no-such-host.invalid")
    gateway.allow_warnings("dns|upstream|resolv")
    response = gateway.call()
    assert (response.status, response.outcome) == (502, "dns_failed")


def test_no_credentials(start_gateway, endpoint):
    gateway = start_gateway(env={"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None})
    gateway.allow_warnings("credentials")
    response = gateway.call()
    assert (response.status, response.outcome) == (503, "no_credentials")
    assert response.header("Retry-After")
    assert endpoint.requests == [], "never unsigned"


def test_temporary_credentials_are_sent_and_signed(start_gateway, endpoint):
    from tests.endpoint import Key
    endpoint.keys["ASIATEMP"] = Key("temporary-secret-EXAMPLE", "a/token+with=signs")
    gateway = start_gateway(env={"AWS_ACCESS_KEY_ID": "ASIATEMP", "AWS_SECRET_ACCESS_KEY": "temporary-secret-EXAMPLE",
                                 "AWS_SESSION_TOKEN": "a/token+with=signs"})
    assert gateway.call("/call/echo", b"x").status == 200
    assert "x-amz-security-token" in endpoint.requests[-1].signed


def test_wrong_secret_is_a_gateway_error(start_gateway, endpoint):
    endpoint.strict = False
    gateway = start_gateway(env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    gateway.allow_warnings("signature|upstream|denied|credentials")
    response = gateway.call()
    assert (response.status, response.outcome) == (502, "access_denied")
    assert b"Canonical" not in response.body
    assert gateway.line()["aws_error"] == "InvalidSignatureException"
