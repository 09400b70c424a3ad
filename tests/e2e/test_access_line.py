"""The access line: every documented field, and measured times."""

import datetime
import re
import time

import pytest
from lib import Broken

CONFIG = """
defaults:
  parameters: { inference_id: { default: "${uuid}" } }
routes:
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    parameters:
      target_variant: { value: A }
  - name: sdk
    match: { path: "/endpoints/{endpoint}/*" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: native
"""
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
PHASES = ("receive_us", "wait_us", "credentials_us", "hash_us", "sign_us", "connect_us", "tls_us", "send_us",
          "first_byte_us", "stream_us")


def test_every_field_of_a_successful_request(gateway, endpoint):
    before = datetime.datetime.now(datetime.timezone.utc)
    response = gateway.call("/call/echo?token=secret", b"12345", [
        ("Content-Type", "a/b"), ("X-Amzn-SageMaker-Target-Model", "m.tar.gz"), ("X-Odd", "1"),
        ("X-Amzn-SageMaker-Inference-Component", "part"), ("X-Amzn-SageMaker-Target-Variant", "B")])
    line = gateway.line()
    seen = endpoint.requests[-1]
    when = datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00"))
    assert before - datetime.timedelta(seconds=1) < when < before + datetime.timedelta(seconds=5)
    assert re.fullmatch(UUID, line["request_id"]) and re.fullmatch(r"[0-9a-f]{32}", line["trace_id"])
    assert re.fullmatch(UUID, line["inference_id"]) and line["inference_id"] != line["request_id"]
    expected = {
        "route": "call", "endpoint": "echo", "operation": "invoke", "target_model": "m.tar.gz",
        "target_variant": "A", "invoked_variant": "A", "inference_component": "part", "region": "us-east-1",
        "method": "POST", "path": "/call/{endpoint}", "status": 200, "outcome": "ok", "attempts": 1,
        "bytes_in": 5, "bytes_out": 5, "aws_request_id": seen.request_id,
    }
    assert {name: line.get(name) for name in expected} == expected
    assert line["client"].startswith("127.0.0.1") and line["identity"]
    assert "target_variant" in line["overridden"] and "x-odd" in line["dropped_headers"]
    assert "aws_error" not in line and "model_status" not in line
    assert isinstance(line["reused"], bool)
    assert response.header("X-Request-Id") == line["request_id"]
    assert response.header("X-Amzn-SageMaker-Inference-Id") == line["inference_id"] == seen.parameters["InferenceId"]
    for name in PHASES + ("total_us",):
        assert isinstance(line[name], int) and 0 <= line[name] < 5_000_000, name


def test_no_secret_or_private_data(gateway, endpoint):
    gateway.call("/call/echo?token=query-secret", b"body-secret", [
        ("Authorization", "Bearer header-secret"), ("X-Amzn-SageMaker-Custom-Attributes", "attribute-secret"),
        ("X-Amzn-SageMaker-Session-Id", "session-secret"), ("Cookie", "cookie-secret")])
    endpoint.next_fault(code="ModelError", original_status=400, original_message="message-secret")
    gateway.call("/call/echo", b"x")
    said = str(gateway.line(outcome="ok")) + str(gateway.line(outcome="model_error")) + gateway.output()
    for secret in ("query", "body", "header", "attribute", "session", "cookie", "message"):
        assert f"{secret}-secret" not in said
    assert "wJalrXUtnFEMI" not in said and "AWS4-HMAC-SHA256" not in said


def test_times_are_measured(gateway, endpoint):
    endpoint.next_fault(delay_ms=150, delay_body_ms=120)
    began = time.monotonic()
    gateway.call("/call/echo", b"x")
    line = gateway.line()
    passed_us = (time.monotonic() - began) * 1_000_000
    assert line["first_byte_us"] >= 150_000 and line["stream_us"] >= 115_000
    assert line["total_us"] <= passed_us
    assert sum(line[name] for name in ("first_byte_us", "stream_us")) <= line["total_us"]
    assert line["total_us"] <= sum(line[name] for name in PHASES) + 100_000


def test_slow_client_counts_as_receiving(gateway):
    with gateway.caller() as caller:
        caller.send("POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        time.sleep(0.2)
        caller.send("b").response()
    line = gateway.line()
    assert 195_000 <= line["receive_us"] <= line["total_us"]


def test_connect_time_belongs_to_the_request_that_connects(gateway, endpoint):
    endpoint.next_fault(connection="close")
    gateway.call()
    gateway.line()
    gateway.call()
    first = gateway.line()
    gateway.call()
    second = gateway.line()
    assert (first["reused"], second["reused"]) == (False, True)
    assert first["connect_us"] > 0 and first["tls_us"] > 0
    assert second.get("connect_us", 0) == 0 and second.get("tls_us", 0) == 0


def test_hashing_time_grows_with_the_body(gateway):
    gateway.call("/call/json", b"x")
    small = gateway.line()
    gateway.call("/call/json", b"x" * 20_000_000)
    large = gateway.line()
    assert large["hash_us"] > 10 * max(small["hash_us"], 10)
    assert large["bytes_in"] == 20_000_000


def test_streams_count_parts_and_gaps(gateway):
    gateway.call("/call/count-4-80", b"x")
    line = gateway.line()
    assert line["parts"] >= 4 and 70_000 <= line["gap_max_us"] < line["stream_us"]
    assert line["stream_us"] >= 230_000
    assert line["bytes_out"] == 4 * len("part 1 of 4\n")


def test_server_timing_has_completed_phases(gateway, endpoint):
    endpoint.next_fault(delay_ms=100)
    response = gateway.call()
    timing = dict(re.findall(r"([a-z_]+);dur=([0-9.]+)", response.header("Server-Timing")))
    assert timing and all(float(value) >= 0 for value in timing.values())
    assert any(100 <= float(value) < 400 for value in timing.values()), timing


def test_client_trace_is_used(gateway):
    trace = "0af7651916cd43dd8448eb211c80319c"
    gateway.call(headers=[("traceparent", f"00-{trace}-b7ad6b7169203331-01")])
    assert gateway.line()["trace_id"] == trace
    gateway.call(headers=[("X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678;Sampled=1")])
    assert gateway.line()["trace_id"] == "67891233abcdef012345678912345678"
    gateway.call(headers=[("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01")])
    assert gateway.line()["trace_id"] not in (trace, "0" * 32)


@pytest.mark.parametrize("path, method, body, outcome, status", [
    ("/nowhere", "POST", b"x", "no_route", 404),
    ("/call/echo", "PUT", b"x", "method_not_allowed", 405),
    ("/call/no_such_name", "POST", b"x", "bad_parameter", 400),
])
def test_rejections_have_a_line(gateway, endpoint, path, method, body, outcome, status):
    response = gateway.call(path, body, method=method)
    assert (response.status, response.outcome) == (status, outcome)
    error = response.json()
    assert error["Code"] == outcome and error["Message"] and error["RequestId"] == response.header("X-Request-Id")
    line = gateway.line(outcome=outcome)
    assert (line["status"], line["method"], line["attempts"]) == (status, method, 0)
    assert line["total_us"] >= 0 and "first_byte_us" not in line
    assert endpoint.requests == []


def test_aborted_request_has_a_line(gateway, endpoint):
    with gateway.caller() as caller:
        caller.send("POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert gateway.line()["outcome"] == "client_gone"
    gateway.allow_warnings("stream_broken")
    endpoint.next_fault(cut=True)
    with pytest.raises(Broken):
        gateway.call("/call/echo", b"x" * 100_000)
    line = gateway.line()
    assert line["outcome"] == "stream_broken" and 0 < line["bytes_out"] < 100_000


def test_one_line_per_request(gateway):
    with gateway.caller() as caller:
        for _ in range(50):
            caller.call("/call/echo", b"x")
    ids = {gateway.line(outcome="ok")["request_id"] for _ in range(50)}
    assert len(ids) == 50 and gateway.lines == []
