"""The OpenAI-compatible path of endpoints: any client with any key, and a token minted by the gateway."""

import base64
import json
import os
import subprocess

import pytest
from lib import ACCESS_KEY, SECRET_KEY, Broken

from tests.endpoint import Key

CONFIG = """
defaults: { timeouts: { connect: 2s, first_byte: 2s, idle: 2s, total: 20s } }
routes:
  - name: openai
    match: { path: /v1/chat/completions }
    endpoint: { value: "${json.model}", allow: ["chat-*", "echo", "json", "missing"] }
    operation: openai
  - name: component
    match: { path: /component/v1/chat/completions }
    endpoint: chat-2-0
    operation: openai
    parameters:
      inference_component_name: { value: adapter-7 }
  - name: auto
    match: { path: /containers/v1/chat/completions }
    endpoint: { value: "${json.model}", allow: ["chat-*"] }
    operation: auto
"""
JSON = [("Content-Type", "application/json")]


def chat(gateway, path="/v1/chat/completions", headers=(), **fields):
    body = json.dumps({"model": "chat-3-0", "messages": [], **fields}).encode()
    return gateway.call(path, body, [*JSON, *headers])


def token_of(seen):
    kind, _, token = seen.header("authorization").partition(" ")
    assert kind == "Bearer"
    return token


@pytest.mark.parametrize("base", ["/v1", "/containers/v1"], ids=["openai", "auto"])
def test_openai_package(gateway, endpoint, npm, base):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OPENAI_"))}
    done = subprocess.run(["node", npm / "openai.mjs", gateway.url + base, "chat-3-10"], capture_output=True, text=True,
                          timeout=60, env=env)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["content"] == "w\u00f6rd0 w\u00f6rd1 w\u00f6rd2" and told["usage"]["completion_tokens"] == 3
    assert told["deltas"] == [f"w\u00f6rd{n} " for n in range(3)]
    assert [seen.verdict for seen in endpoint.requests] == ["ok", "ok"]


def test_only_required_headers_are_sent(gateway, endpoint):
    response = chat(gateway, headers=[("Authorization", "Bearer sk-any"), ("X-Stainless-Lang", "js"),
                                    ("OpenAI-Organization", "o"), ("Accept", "application/json")])
    seen = endpoint.requests[0]
    assert (response.status, seen.operation, seen.path) == (200, "openai", "/endpoints/chat-3-0/openai/v1/chat/completions")
    assert {name.lower() for name, _ in seen.headers} == {
        "host", "content-type", "accept", "user-agent", "content-length", "authorization"}
    line = gateway.line()
    assert (line["operation"], line["endpoint"], line["outcome"]) == ("openai", "chat-3-0", "ok")


def test_events_pass_immediately(gateway, endpoint):
    body = b'{"model": "chat-4-80", "stream": true}'
    response = gateway.call("/v1/chat/completions", body, JSON)
    arrived = [when for when, data in response.pieces if data]
    assert response.header("Content-Type") == "text/event-stream" and arrived[-1] - arrived[0] > 0.1
    assert response.body.endswith(b"data: [DONE]\n\n")


def test_component_is_in_the_path(gateway, endpoint):
    assert chat(gateway, "/component/v1/chat/completions").status == 200
    assert endpoint.requests[0].path == "/endpoints/chat-2-0/inference-components/adapter-7/openai/v1/chat/completions"
    assert endpoint.requests[0].header("X-Amzn-SageMaker-Inference-Component") is None


def test_token_is_cached_and_valid_for_fifteen_minutes(gateway, endpoint):
    for _ in range(3):
        chat(gateway)
    tokens = {token_of(seen) for seen in endpoint.requests}
    url = base64.b64decode(tokens.pop().removeprefix("sagemaker-api-key-")).decode()
    assert not tokens and "&X-Amz-Expires=900&" in url and url.startswith("sagemaker.amazonaws.com/?Action=CallWithBearerToken")


def test_temporary_credentials(endpoint, start_gateway):
    session = "IQoJb3JpZ2lu/+=" * 40
    endpoint.keys[ACCESS_KEY] = Key(SECRET_KEY, session)
    try:
        gateway = start_gateway(CONFIG, env={"AWS_SESSION_TOKEN": session})
        assert chat(gateway).status == 200
    finally:
        endpoint.keys[ACCESS_KEY] = Key(SECRET_KEY)


def test_tokens_are_never_logged(gateway, endpoint):
    chat(gateway)
    endpoint.next_fault(code="AccessDeniedException")
    assert chat(gateway).status == 502
    token = token_of(endpoint.requests[0]).removeprefix("sagemaker-api-key-")
    gateway.allow_warnings("access_denied")
    said = json.dumps(gateway.lines) + gateway.output()
    assert token[:60] not in said and "sagemaker-api-key" not in said and "Bearer" not in said


def test_without_credentials_nothing_is_sent(endpoint, start_gateway):
    gateway = start_gateway(CONFIG, env={"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None})
    gateway.allow_warnings("credentials", "no_credentials")
    response = chat(gateway)
    assert (response.status, response.outcome, endpoint.requests) == (503, "no_credentials", [])


@pytest.mark.parametrize("header", ["X-Amzn-SageMaker-Target-Variant", "X-Amzn-SageMaker-Inference-Id"])
def test_unsupported_parameters_are_rejected(gateway, endpoint, header):
    response = chat(gateway, headers=[(header, "A")])
    assert (response.status, response.outcome, endpoint.requests) == (400, "bad_parameter", [])


def test_error_and_truncation(gateway, endpoint):
    response = chat(gateway, model="missing")
    assert (response.status, response.outcome) == (400, "rejected")
    gateway.allow_warnings("stream_broken")
    endpoint.next_fault(cut=True, after=300)
    with pytest.raises(Broken):
        chat(gateway, model="chat-4-50", stream=True)
