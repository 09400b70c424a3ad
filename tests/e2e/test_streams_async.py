"""InvokeEndpointAsync: input in S3 or in the body, and both locations for clients that read no headers."""

import pytest

SM = "X-Amzn-SageMaker-"
CONFIG = """
routes:
  - name: async
    match: { path: "/async/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: async
  - name: sdk
    match: { path: "/endpoints/{endpoint}/*" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: native
"""


def test_inline_body(gateway, endpoint):
    response = gateway.call("/async/scores", b"1,2,3", [("Content-Type", "text/csv"), ("Accept", "text/plain"),
                                                     (SM + "Inference-Id", "mine")])
    seen = endpoint.requests[0]
    assert (response.status, seen.operation, seen.body) == (202, "async-invocations", b"1,2,3")
    assert seen.parameters == {"ContentType": "text/csv", "Accept": "text/plain", "InferenceId": "mine"}
    where = "s3://sagemaker-us-east-1-111122223333/scores/mine"
    assert response.json() == {"InferenceId": "mine", "OutputLocation": where + ".out", "FailureLocation": where + "-error.out"}
    assert response.header("Content-Type") == "application/json" and response.framing == "length"
    assert response.header(SM + "OutputLocation") == where + ".out"
    assert response.header(SM + "FailureLocation") == where + "-error.out"
    line = gateway.line()
    assert (line["operation"], line["outcome"], line["status"]) == ("async", "ok", 202)


def test_s3_input_with_every_parameter(gateway, endpoint):
    given = {"InputLocation": "s3://bucket/in.csv", "RequestTTLSeconds": "60", "InvocationTimeoutSeconds": "3600",
             "S3OutputPathExtension": "out/here", "Filename": "scores.json"}
    response = gateway.call("/async/scores", b"", [(SM + name, value) for name, value in given.items()])
    assert response.status == 202
    assert {name: value for name, value in endpoint.requests[0].parameters.items() if name in given} == given
    assert set(response.json()) == {"InferenceId", "OutputLocation", "FailureLocation"}


@pytest.mark.parametrize("body, headers, told", [
    (b"1,2", [(SM + "InputLocation", "s3://b/k")], "InputLocation or a body, not both"),
    (b"", [], "provide InputLocation or a body"),
])
def test_exactly_one_input(gateway, endpoint, body, headers, told):
    response = gateway.call("/async/scores", body, headers)
    assert (response.status, response.outcome) == (400, "bad_parameter") and told in response.json()["Message"]
    assert endpoint.requests == [] and gateway.line()["outcome"] == "bad_parameter"


def test_body_at_the_limit(gateway, endpoint):
    assert gateway.call("/async/scores", b"x" * 128_000).status == 202
    response = gateway.call("/async/scores", b"x" * 128_001)
    assert (response.status, response.outcome) == (413, "body_too_large")


def test_errors_are_reported_as_for_invoke(gateway, endpoint):
    endpoint.next_fault(code="ValidationError", message="no such thing")
    response = gateway.call("/async/scores", b"x")
    assert (response.status, response.outcome) == (400, "rejected")


def test_native_response_is_unchanged(gateway, endpoint):
    response = gateway.call("/endpoints/scores/async-invocations", b"x", [(SM + "Inference-Id", "mine")])
    assert (response.status, response.body) == (202, b'{"InferenceId":"mine"}')
