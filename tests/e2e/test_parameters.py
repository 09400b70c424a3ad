"""Settings of the route and parameters of the client: policies, ids, and values that the API would reject."""

import re

import pytest

CONFIG = """
defaults:
  parameters:
    inference_id: { default: "${uuid}" }
routes:
  - name: free
    match: { path: /free }
    endpoint: json
  - name: policies
    match: { path: /policies }
    endpoint: json
    parameters:
      content_type: { default: text/csv }
      target_model: { value: fraud-v12.tar.gz }
      target_variant: { default: A, allow: [A, "B*"] }
      custom_attributes: { append: "traceparent=${traceparent}", separator: ";" }
  - name: models
    match: { path: "/models/{model}/predict" }
    endpoint: json
    parameters:
      target_model: { value: "${path.model}.tar.gz", allow: ["*.tar.gz"] }
  - name: required
    match: { path: /required }
    endpoint: json
    parameters:
      target_model: { value: "${header.X-Model}", required: true }
      session_id: { default: "${query.session:-none}" }
      custom_attributes: { value: "route=${route}; id=${request_id}" }
  - name: narrow
    match: { path: /narrow }
    endpoint: json
    callers_may_set: [content_type, accept]
  - name: bare
    match: { path: /bare }
    endpoint: json
    parameters: { inference_id: null }
  - name: choice
    match: { path: "/choice/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["json-*", "echo"] }
  - name: any
    match: { path: "/any/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
  - name: sdk
    match: { path: "/endpoints/{endpoint}/*" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: native
  - name: later
    match: { path: /later }
    endpoint: later
    operation: async
    parameters:
      request_ttl_seconds: { value: "600" }
      input_location: { default: "s3://bucket/${header.X-Key}" }
"""
PREFIX = "X-Amzn-SageMaker-"


def sent(gateway, path, *headers, body=b"x"):
    """Returns the parameters that the container received."""
    response = gateway.call(path, body, list(headers))
    assert response.status == 200, response.body
    return response.json()["parameters"]


def refused(gateway, endpoint, path, *headers):
    """Returns the message of a 400; nothing may have been sent upstream."""
    response = gateway.call(path, b"x", list(headers))
    assert (response.status, response.outcome) == (400, "bad_parameter"), response.body
    assert gateway.line(outcome="bad_parameter")["attempts"] == 0
    assert endpoint.requests == []
    return response.json()["Message"]


# -- policies


def test_default_applies_only_if_the_client_sends_nothing(gateway):
    assert sent(gateway, "/policies")["ContentType"] == "text/csv"
    assert sent(gateway, "/policies", ("Content-Type", ""))["ContentType"] == "text/csv"
    assert sent(gateway, "/policies", ("Content-Type", "a/b"))["ContentType"] == "a/b"


def test_value_always_wins_and_is_reported(gateway):
    assert sent(gateway, "/policies")["TargetModel"] == "fraud-v12.tar.gz"
    assert not gateway.line().get("overridden")
    assert sent(gateway, "/policies", (PREFIX + "Target-Model", "mine"))["TargetModel"] == "fraud-v12.tar.gz"
    assert gateway.line()["overridden"] == ["target_model"]


def test_allow_is_checked_against_the_final_value(gateway, endpoint):
    assert sent(gateway, "/policies", (PREFIX + "Target-Variant", "B"))["TargetVariant"] == "B"
    endpoint.clear()
    message = refused(gateway, endpoint, "/policies", (PREFIX + "Target-Variant", "C"))
    assert "TargetVariant" in message


def test_append_adds_the_trace_after_the_client_value(gateway):
    trace = "0af7651916cd43dd8448eb211c80319c"
    parent = ("traceparent", f"00-{trace}-b7ad6b7169203331-00")
    alone = sent(gateway, "/policies", parent)["CustomAttributes"]
    assert re.fullmatch(f"traceparent=00-{trace}-[0-9a-f]{{16}}-00", alone) and "b7ad6b7169203331" not in alone
    both = sent(gateway, "/policies", parent, (PREFIX + "Custom-Attributes", "tenant=7"))["CustomAttributes"]
    assert re.fullmatch(f"tenant=7;traceparent=00-{trace}-[0-9a-f]{{16}}-00", both)


def test_append_is_omitted_if_it_does_not_fit(gateway):
    long = "x" * 1000
    gateway.allow_warnings("append omitted")
    assert sent(gateway, "/policies", (PREFIX + "Custom-Attributes", long))["CustomAttributes"] == long


def test_templates(gateway, endpoint):
    assert sent(gateway, "/models/v7/predict")["TargetModel"] == "v7.tar.gz"
    assert sent(gateway, "/models/v%207/predict")["TargetModel"] == "v 7.tar.gz"
    seen = sent(gateway, "/required?session=s1", ("X-Model", "m"))
    line = gateway.line(route="required")
    assert seen["TargetModel"] == "m" and seen["SessionId"] == "s1"
    assert seen["CustomAttributes"] == f"route=required; id={line['request_id']}"
    assert sent(gateway, "/required", ("X-Model", "m"))["SessionId"] == "none"


def test_required(gateway, endpoint):
    assert "TargetModel" in refused(gateway, endpoint, "/required")


def test_clients_may_set_only_listed_parameters(gateway, endpoint):
    assert sent(gateway, "/narrow", ("Accept", "a/b"))["Accept"] == "a/b"
    endpoint.clear()
    message = refused(gateway, endpoint, "/narrow", (PREFIX + "Target-Variant", "A"))
    assert "TargetVariant" in message


def test_endpoint_is_chosen_only_from_its_list(gateway, endpoint):
    assert gateway.call("/choice/json-1", b"x").json()["endpoint"] == "json-1"
    endpoint.clear()
    refused(gateway, endpoint, "/choice/other")


@pytest.mark.parametrize("name", ["-a", "a-", "a_b", "a.b", "a" * 64, "a%20b", "caf%C3%A9"])
def test_invalid_endpoint_names(gateway, endpoint, name):
    refused(gateway, endpoint, f"/any/{name}")


# -- ids


def test_inference_id_is_generated_once_and_returned(gateway, endpoint):
    response = gateway.call("/free", b"x")
    made = response.json()["parameters"]["InferenceId"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made)
    assert response.header("X-Amzn-SageMaker-Inference-Id") == made == gateway.line()["inference_id"]
    assert gateway.call("/free", b"x").json()["parameters"]["InferenceId"] != made


def test_client_inference_id_is_kept(gateway):
    response = gateway.call("/free", b"x", [(PREFIX + "Inference-Id", "mine 1")])
    assert response.json()["parameters"]["InferenceId"] == "mine 1"
    assert response.header("X-Amzn-SageMaker-Inference-Id") == "mine 1"


def test_second_attempt_has_the_same_inference_id(gateway, endpoint):
    endpoint.next_fault(drop_next="close")
    gateway.call("/free", b"x")
    response = gateway.call("/free", b"x")
    assert response.status == 200 and gateway.line(attempts=2)["inference_id"] == \
        endpoint.requests[-1].parameters["InferenceId"]


def test_null_removes_an_inherited_parameter(gateway):
    assert sent(gateway, "/bare") == {}


# -- values

BAD = [
    ("Content-Type", "x" * 1025, "ContentType"),
    ("Accept", "a/\u00e9", "Accept"),
    (PREFIX + "Custom-Attributes", "x" * 1025, "CustomAttributes"),
    (PREFIX + "Custom-Attributes", "caf\u00e9", "CustomAttributes"),
    (PREFIX + "Target-Model", "x" * 1025, "TargetModel"),
    (PREFIX + "Target-Model", "caf\u00e9", "TargetModel"),
    (PREFIX + "Target-Variant", "a_b", "TargetVariant"),
    (PREFIX + "Target-Variant", "-a", "TargetVariant"),
    (PREFIX + "Target-Variant", "a" * 64, "TargetVariant"),
    (PREFIX + "Target-Container-Hostname", "a.b", "TargetContainerHostname"),
    (PREFIX + "Inference-Id", "x" * 65, "InferenceId"),
    (PREFIX + "Inference-Id", "\u00e9", "InferenceId"),
    (PREFIX + "Enable-Explanations", "x" * 65, "EnableExplanations"),
    (PREFIX + "Inference-Component", "a_b", "InferenceComponentName"),
    (PREFIX + "Session-Id", "a b", "SessionId"),
    (PREFIX + "Session-Id", "a" * 257, "SessionId"),
    (PREFIX + "Prefix-Aware-Id", "x" * 65, "PrefixAwareId"),
]


@pytest.mark.parametrize("header, value, parameter", BAD, ids=[f"{b[2]}-{len(b[1])}" for b in BAD])
def test_invalid_value_error_names_the_parameter(gateway, endpoint, header, value, parameter):
    message = refused(gateway, endpoint, "/free", (header, value))
    assert parameter in message and header in message
    assert len(message.split(": ")) >= 3, "parameter, rule and fault"
    assert value not in message or len(value) < 5


def test_duplicate_parameter(gateway, endpoint):
    message = refused(gateway, endpoint, "/free", (PREFIX + "Target-Model", "a"), (PREFIX + "Target-Model", "b"))
    assert "TargetModel" in message


def test_parameter_of_another_operation(gateway, endpoint):
    response = gateway.call("/free", b"x", [(PREFIX + "InputLocation", "s3://b/k")])
    assert (response.status, response.outcome) == (400, "bad_parameter")
    assert "InputLocation" in response.json()["Message"]


GOOD = [
    ("Content-Type", "x" * 1024, "ContentType"),
    (PREFIX + "Custom-Attributes", "x" * 1024, "CustomAttributes"),
    (PREFIX + "Custom-Attributes", "inner\ttab", "CustomAttributes"),
    (PREFIX + "Target-Model", "x" * 1024, "TargetModel"),
    (PREFIX + "Target-Model", "dir/a b~!*'().tar.gz", "TargetModel"),
    (PREFIX + "Target-Container-Hostname", "a" * 63, "TargetContainerHostname"),
    (PREFIX + "Inference-Id", "x" * 64, "InferenceId"),
    (PREFIX + "Enable-Explanations", "`true`", "EnableExplanations"),
    (PREFIX + "Inference-Component", "a--b", "InferenceComponentName"),
    (PREFIX + "Session-Id", "NEW_SESSION", "SessionId"),
    (PREFIX + "Session-Id", "a" * 256, "SessionId"),
    (PREFIX + "Prefix-Aware-Id", "prefix 1", "PrefixAwareId"),
]


@pytest.mark.parametrize("header, value, parameter", GOOD, ids=[f"{g[2]}-{len(g[1])}" for g in GOOD])
def test_valid_value_at_its_limit(gateway, header, value, parameter):
    assert sent(gateway, "/free", (header, value))[parameter] == value


def test_values_are_trimmed_and_inner_spaces_kept(gateway, endpoint):
    assert sent(gateway, "/free", (PREFIX + "Custom-Attributes", "  a   b \t"))["CustomAttributes"] == "a   b"


def test_session_headers_are_returned(gateway):
    response = gateway.call("/free", b"x", [(PREFIX + "Session-Id", "NEW_SESSION")])
    assert "; Expires=" in response.header(PREFIX + "New-Session-Id")
    response = gateway.call("/free", b"x", [(PREFIX + "Session-Id", "closed1")])
    assert response.header(PREFIX + "Closed-Session-Id") == "closed1"
    assert response.header("x-Amzn-Invoked-Production-Variant") == "AllTraffic"


# -- the other operations

ASYNC = {
    "ContentType": "X-Amzn-SageMaker-Content-Type", "Accept": "X-Amzn-SageMaker-Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes", "InferenceId": "X-Amzn-SageMaker-Inference-Id",
    "InputLocation": "X-Amzn-SageMaker-InputLocation", "RequestTTLSeconds": "X-Amzn-SageMaker-RequestTTLSeconds",
    "S3OutputPathExtension": "X-Amzn-SageMaker-S3OutputPathExtension", "Filename": "X-Amzn-SageMaker-Filename",
    "InvocationTimeoutSeconds": "X-Amzn-SageMaker-InvocationTimeoutSeconds",
}


def test_asynchronous_accepts_every_parameter(gateway, endpoint):
    wanted = {"ContentType": "a/b", "Accept": "c/d", "CustomAttributes": "c", "InferenceId": "i",
              "InputLocation": "s3://b/k", "RequestTTLSeconds": "60", "S3OutputPathExtension": "out/x",
              "Filename": "name.csv", "InvocationTimeoutSeconds": "3600"}
    response = gateway.call("/endpoints/later/async-invocations", b"", [(ASYNC[name], wanted[name]) for name in wanted])
    assert response.status == 202 and response.json() == {"InferenceId": "i"}
    assert response.header("X-Amzn-SageMaker-OutputLocation").startswith("s3://")
    assert response.header("X-Amzn-SageMaker-FailureLocation").startswith("s3://")
    assert endpoint.requests[-1].parameters == wanted
    assert gateway.line()["operation"] == "async"


def test_asynchronous_route(gateway, endpoint):
    """The client sends Content-Type and Accept as to any server."""
    response = gateway.call("/later", b"", [("X-Key", "k"), ("Content-Type", "a/b"), ("Accept", "c/d")])
    assert response.status == 202
    seen = endpoint.requests[-1].parameters
    assert (seen["InputLocation"], seen["RequestTTLSeconds"]) == ("s3://bucket/k", "600")
    assert (seen["ContentType"], seen["Accept"]) == ("a/b", "c/d")


@pytest.mark.parametrize("parameter, value", [
    ("RequestTTLSeconds", "59"), ("RequestTTLSeconds", "21601"), ("RequestTTLSeconds", "1e3"),
    ("InvocationTimeoutSeconds", "0"), ("InvocationTimeoutSeconds", "3601"), ("InputLocation", "ftp://b/k"),
    ("S3OutputPathExtension", "s3:x"), ("Filename", "a.b.c"), ("Filename", "a" * 33)])
def test_invalid_asynchronous_values(gateway, endpoint, parameter, value):
    message = refused(gateway, endpoint, "/endpoints/later/async-invocations", (ASYNC[parameter], value))
    assert parameter in message


def test_streams_have_no_target_model(gateway, endpoint):
    path = "/endpoints/echo/invocations-response-stream"
    assert "TargetModel" in refused(gateway, endpoint, path, (PREFIX + "Target-Model", "m"))
    assert "EnableExplanations" in refused(gateway, endpoint, path, (PREFIX + "Enable-Explanations", "`true`"))
    gateway.call(path, b"x", [(PREFIX + "Accept", "a/b")])
    assert endpoint.requests[-1].parameters["Accept"] == "a/b"


def test_native_paths_without_an_operation(gateway, endpoint):
    for path in ("/endpoints/echo/", "/endpoints/echo/invoke", "/endpoints/echo/invocations/x", "/endpoints/echo"):
        assert gateway.call(path, b"x").status in (400, 404), path
    assert endpoint.requests == []
