"""@aws-sdk/client-sagemaker-runtime with its endpoint at the gateway and invalid keys."""

import base64
import json
import os
import subprocess

import pytest
from payloads import BODIES, ONE_OVER, sha256


@pytest.fixture
def sdk(gateway, npm):
    """sdk((command, input), ...): the result of each call."""
    def run(*calls):
        wanted = [{"command": f"{command}Command", "input": {
            **fields, **({"Body": base64.b64encode(fields["Body"]).decode()} if "Body" in fields else {})}}
            for command, fields in calls]
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        done = subprocess.run(["node", npm / "sdk.mjs", gateway.url], input=json.dumps(wanted), capture_output=True,
                              text=True, timeout=60, env=env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


EVERYTHING = {
    "ContentType": "text/csv", "Accept": "application/jsonlines", "CustomAttributes": "tenant=7; x",
    "TargetModel": "models/v12.tar.gz", "TargetVariant": "B", "TargetContainerHostname": "second",
    "InferenceId": "order 4711", "EnableExplanations": "`true`", "InferenceComponentName": "component-1",
    "SessionId": "NEW_SESSION",
}


def test_every_parameter_both_ways(sdk, endpoint, gateway):
    endpoint.next_fault(attributes="model says: 12 ms")
    first, second = sdk(("InvokeEndpoint", {"EndpointName": "json", "Body": b"1,2", **EVERYTHING}),
                        ("InvokeEndpoint", {"EndpointName": "echo", "Body": b"x", "SessionId": "closed1"}))
    container = json.loads(first["start"])
    assert container["parameters"] == EVERYTHING
    assert container["access_key"] == "AKIDEXAMPLE"
    assert first["CustomAttributes"] == "model says: 12 ms"
    assert first["ContentType"] == "application/json" and first["InvokedProductionVariant"] == "B"
    assert "; Expires=" in first["NewSessionId"]
    assert second["ClosedSessionId"] == "closed1"
    assert first["requestId"] == endpoint.requests[0].request_id
    assert gateway.line(endpoint="json")["inference_component"] == "component-1"


def test_every_body(sdk, endpoint):
    responses = sdk(*(("InvokeEndpoint", {"EndpointName": "echo", "Body": body}) for body in BODIES.values()))
    assert [response["sha256"] for response in responses] == [sha256(body) for body in BODIES.values()]


def test_one_byte_over_the_limit(sdk, endpoint, gateway):
    over, next_one = sdk(("InvokeEndpoint", {"EndpointName": "echo", "Body": ONE_OVER}),
                         ("InvokeEndpoint", {"EndpointName": "echo", "Body": b"x"}))
    assert "error" in over and over.get("status") in (413, None)
    assert next_one["status"] == 200
    assert gateway.line(outcome="body_too_large")["status"] == 413
    assert len(endpoint.requests) == 1


def test_errors_map_to_sdk_exceptions(sdk, endpoint):
    codes = ["ModelError", "InternalFailure", "ServiceUnavailable", "ModelNotReadyException",
             "InternalDependencyException", "ValidationError", "ThrottlingException"]
    for code in codes:
        endpoint.next_fault(code=code, message="told so", original_status=418 if code == "ModelError" else None)
    responses = sdk(*(("InvokeEndpoint", {"EndpointName": "echo", "Body": b"x"}) for _ in codes))
    assert [response["error"] for response in responses] == codes
    assert {response["message"] for response in responses} == {"told so"}
    assert responses[0]["OriginalStatusCode"] == 418


def test_streaming_and_asynchronous_through_native(sdk, endpoint, gateway):
    stream, later = sdk(
        ("InvokeEndpointWithResponseStream", {
            "EndpointName": "count-3-10", "Body": b"x", "Accept": "a/b", "ContentType": "c/d",
            "TargetVariant": "A", "CustomAttributes": "c"}),
        ("InvokeEndpointAsync", {"EndpointName": "later", "InputLocation": "s3://b/k", "InferenceId": "i", "ContentType": "c/d",
            "Accept": "a/b", "RequestTTLSeconds": 600, "InvocationTimeoutSeconds": 60}))
    assert stream["parts"] == [f"part {n} of 3\n" for n in (1, 2, 3)]
    assert (stream["ContentType"], stream["InvokedProductionVariant"]) == ("text/plain", "A")
    assert endpoint.requests[0].parameters["Accept"] == "a/b"
    assert endpoint.requests[1].parameters == {
        "InputLocation": "s3://b/k", "InferenceId": "i", "ContentType": "c/d", "Accept": "a/b",
        "RequestTTLSeconds": "600", "InvocationTimeoutSeconds": "60"}
    assert later["status"] == 202 and later["OutputLocation"].startswith("s3://")
    assert gateway.line(operation="stream")["outcome"] == "ok"
