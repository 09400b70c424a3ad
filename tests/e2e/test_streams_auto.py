"""One path for requests with and without a stream, and many models behind it: what in the request decides."""

import json
import subprocess

import pytest
from lib import BINARY, environment

CONFIG = """
defaults: { timeouts: { connect: 2s, first_byte: 2s, idle: 2s, total: 20s } }
routes:
  - name: auto
    match: { path: "/auto/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: auto
    stream_if: { header: X-Stream, query: stream }
  - name: models
    match: { path: /v1/chat/completions }
    endpoint: { value: "${json.model}", allow: ["chat-*", "echo"] }
    operation: auto
  - name: component
    match: { path: /component }
    endpoint: json
    parameters:
      inference_component_name: { value: "${json.model:-base}", allow: ["base", "adapter-?"] }
      target_model: { value: "${json.model}.tar.gz", allow: ["adapter-*.tar.gz", "base.tar.gz"] }
"""
JSON = [("Content-Type", "application/json")]


def operation(gateway, path="/auto/count-2-0", body=b"{}", headers=()):
    response = gateway.call(path, body, [*JSON, *headers])
    assert response.status == 200, response.body
    return gateway.line()["operation"]


@pytest.mark.parametrize("body, wanted", [
    (b'{"stream": true}', "stream"),
    (b'{"messages": [{"content": "\\"stream\\": false}"}], "stream":true}', "stream"),
    (b'{"stream": false}', "invoke"),
    (b'{"options": {"stream": true}}', "invoke"),
    (b'["stream", true]', "invoke"),
    (b'{"stream": true', "invoke"),
    (b"", "invoke"),
])
def test_body_selects_the_operation(gateway, endpoint, body, wanted):
    assert operation(gateway, body=body) == wanted
    assert endpoint.requests[0].body == body, "byte for byte"


def test_member_after_a_megabyte(gateway, endpoint):
    body = json.dumps({"prompt": "p" * 1_000_000, "stream": True}).encode()
    assert operation(gateway, body=body) == "stream"
    assert endpoint.requests[0].body_length == len(body)


def test_chunked_body(gateway):
    with gateway.caller() as caller:
        response = caller.call("/auto/count-2-0", headers=JSON, chunks=[b'{"str', b'eam"', b": tr", b"ue }"])
    assert response.status == 200 and gateway.line()["operation"] == "stream"


@pytest.mark.parametrize("headers, query, wanted", [
    ([("Accept", "text/event-stream")], "", "stream"),
    ([("Accept", "application/json, Text/Event-Stream; q=0.5")], "", "stream"),
    ([("Accept", "text/event-streams")], "", "invoke"),
    ([("X-Stream", "1")], "", "stream"),
    ([("X-Stream", "FALSE")], "", "invoke"),
    ([("X-Stream", "")], "", "invoke"),
    ([], "?stream=yes", "stream"),
    ([], "?stream=0", "invoke"),
    ([], "?streams=1", "invoke"),
])
def test_head_selects_the_operation(gateway, headers, query, wanted):
    assert operation(gateway, "/auto/count-2-0" + query, headers=headers) == wanted


def test_accept_is_sent_with_either_operation(gateway, endpoint):
    operation(gateway, headers=[("Accept", "text/event-stream")])
    assert endpoint.requests[-1].header("X-Amzn-SageMaker-Accept") == "text/event-stream"
    operation(gateway, headers=[("Accept", "text/csv")])
    assert endpoint.requests[-1].header("Accept") == "text/csv"


def test_invoke_only_parameters_pass_without_a_stream(gateway, endpoint):
    model = ("X-Amzn-SageMaker-Target-Model", "m.tar.gz")
    assert operation(gateway, headers=[model]) == "invoke"
    response = gateway.call("/auto/count-2-0", b'{"stream": true}', [*JSON, model])
    assert (response.status, response.outcome) == (400, "bad_parameter")
    assert "TargetModel" in response.json()["Message"] and len(endpoint.requests) == 1


@pytest.mark.parametrize("body, headers, path", [
    (b'{"stream": true, "stream": false}', [], "/auto/echo"),
    (b"{}", [("X-Stream", "1"), ("X-Stream", "0")], "/auto/echo"),
    (b"{}", [], "/auto/echo?stream=1&stream=0"),
    (b'{"model": "echo", "model": "chat-1"}', [], "/v1/chat/completions"),
])
def test_duplicates_are_rejected(gateway, endpoint, body, headers, path):
    response = gateway.call(path, body, [*JSON, *headers])
    assert (response.status, response.outcome) == (400, "bad_parameter") and "duplicate" in response.json()["Message"]
    assert endpoint.requests == []


def test_encoded_body_is_rejected_before_it_is_read(gateway, endpoint):
    with gateway.caller() as caller:
        caller.send("POST /auto/echo HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n")
        assert caller.response().status == 415


# -- many models behind one address


def test_model_selects_the_endpoint(gateway, endpoint):
    for name, stream in (("chat-3-0", True), ("chat-2-0", False)):
        body = json.dumps({"model": name, "messages": [], "stream": stream}).encode()
        response = gateway.call("/v1/chat/completions", body, JSON)
        assert response.header("Content-Type") == ("text/event-stream" if stream else "application/json")
        assert endpoint.requests[-1].endpoint == name


@pytest.mark.parametrize("body", [b'{"model": "secret"}', b'{"model": 3}', b"{}", b"not json", b'{"model": "chat-/../x"}',
                                  b'{"model": "chat-\\u0000"}', b'{"model": "%s"}' % (b"c" * 300)])
def test_unknown_model_is_rejected(gateway, endpoint, body):
    response = gateway.call("/v1/chat/completions", body, JSON)
    assert (response.status, response.outcome) == (400, "bad_parameter") and endpoint.requests == []


def test_model_selects_component_and_artefact(gateway, endpoint):
    gateway.call("/component", b'{"x": [1], "model": "adapter-7"}', JSON)
    assert endpoint.requests[-1].parameters["InferenceComponentName"] == "adapter-7"
    assert endpoint.requests[-1].parameters["TargetModel"] == "adapter-7.tar.gz"
    gateway.call("/component", b'{"x": [1]}', JSON)
    assert endpoint.requests[-1].parameters["InferenceComponentName"] == "base"
    assert "TargetModel" not in endpoint.requests[-1].parameters
    response = gateway.call("/component", b'{"model": "adapter-77"}', JSON)
    assert (response.status, response.outcome) == (400, "bad_parameter")


def test_explain_reads_the_body(gateway, tmp_path):
    body = tmp_path / "body.json"
    body.write_text('{"model": "chat-1", "stream": true}')
    command = [BINARY, "explain", "-c", gateway.config_file, "POST", "/v1/chat/completions"]
    told = subprocess.run([*command, "--body", body], env=environment(), capture_output=True, text=True, check=True).stdout
    assert "/endpoints/chat-1/invocations-response-stream" in told
    assert subprocess.run(command, env=environment(), capture_output=True).returncode == 1


# -- the configuration


def problems(tmp_path, route):
    file = tmp_path / "a.yaml"
    file.write_text("region: us-east-1\nroutes:\n  - name: a\n    match: { path: /a }\n" + route)
    return subprocess.run([BINARY, "check", "-c", file], env=environment(), capture_output=True, text=True).stderr


@pytest.mark.parametrize("parameter", ["target_model", "enable_explanations"])
@pytest.mark.parametrize("operation, where", [("auto", "parameters: { %s: { value: x } }"),
                                              ("stream", "parameters: { %s: { default: x } }"),
                                              ("stream", "callers_may_set: [%s]")])
def test_invoke_only_parameters_are_rejected_at_load(tmp_path, parameter, operation, where):
    told = problems(tmp_path, f"    endpoint: e\n    operation: {operation}\n    {where % parameter}\n")
    assert "InvokeEndpointWithResponseStream has no" in told


@pytest.mark.parametrize("route, told", [
    ("    endpoint: '${json.model}'\n", "allow is required"),
    ("    endpoint: e\n    parameters: { target_variant: { value: '${json.v}' } }\n", "allow is required"),
    ("    endpoint: e\n    parameters: { custom_attributes: { append: '${json.v}' } }\n", "allow is required"),
    ("    endpoint: e\n    stream_if: { header: X }\n", "operation auto"),
    ("    endpoint: e\n    stream_format: raw\n", "operations stream and auto"),
])
def test_contradictions_are_reported_at_load(tmp_path, route, told):
    assert told in problems(tmp_path, route)
