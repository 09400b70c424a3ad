"""boto3 with its endpoint_url at the gateway and invalid keys."""

import json

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from payloads import BODIES, ONE_OVER, sha256


@pytest.fixture
def client(gateway):
    return boto3.client(
        "sagemaker-runtime", region_name="eu-central-1", endpoint_url=gateway.url,
        aws_access_key_id="AKIDUNUSABLE", aws_secret_access_key="none", aws_session_token="none",
        config=Config(retries={"max_attempts": 0}, read_timeout=20))


EVERYTHING = {
    "ContentType": "text/csv; charset=utf-8", "Accept": "application/jsonlines", "CustomAttributes": "tenant=7;  x",
    "TargetModel": "models/v 12.tar.gz", "TargetVariant": "B", "TargetContainerHostname": "second",
    "InferenceId": "order 4711", "EnableExplanations": "`true`",
}


def test_every_parameter_reaches_the_container(client, endpoint, gateway):
    response = client.invoke_endpoint(EndpointName="json-all", Body=b"1,2,3", **EVERYTHING)
    container = json.load(response["Body"])
    assert container["parameters"] == EVERYTHING
    assert container["body_length"] == 5
    assert container["access_key"] == "AKIDEXAMPLE", "the gateway signs with its own key"
    names = [name.lower() for name, _ in container["headers"]]
    assert "x-amz-security-token" not in names, "nothing of the client's signature arrives"
    assert not any(name.startswith("amz-sdk") for name in names)
    line = gateway.line(route="sdk")
    assert (line["endpoint"], line["operation"]) == ("json-all", "invoke")
    assert (line["target_model"], line["target_variant"]) == ("models/v 12.tar.gz", "B")
    assert line["inference_id"] == "order 4711"


def test_every_response_field_is_returned(client, endpoint):
    endpoint.next_fault(attributes="model says: 12 ms", variant="A", type="application/x-response")
    response = client.invoke_endpoint(EndpointName="echo", Body=b"body", TargetVariant="A")
    assert response["ContentType"] == "application/x-response"
    assert response["InvokedProductionVariant"] == "A"
    assert response["CustomAttributes"] == "model says: 12 ms"
    assert response["Body"].read() == b"body"
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-requestid"] == endpoint.requests[-1].request_id
    assert response["ResponseMetadata"]["RequestId"] == endpoint.requests[-1].request_id


@pytest.mark.parametrize("name", BODIES)
def test_every_body(client, endpoint, name):
    response = client.invoke_endpoint(EndpointName="echo", Body=BODIES[name], ContentType="a/b")
    assert response["Body"].read() == BODIES[name]
    assert endpoint.requests[-1].body_sha256 == sha256(BODIES[name])


def test_one_byte_over_the_limit(client, endpoint, gateway):
    with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError)) as caught:
        client.invoke_endpoint(EndpointName="echo", Body=ONE_OVER)
    if isinstance(caught.value, botocore.exceptions.ClientError):
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert gateway.line(outcome="body_too_large")["status"] == 413
    assert endpoint.requests == []
    assert client.invoke_endpoint(EndpointName="echo", Body=b"x")["Body"].read() == b"x"


def test_asynchronous(client, endpoint, gateway):
    wanted = {"ContentType": "text/csv", "Accept": "a/b", "CustomAttributes": "c", "InferenceId": "i",
              "InputLocation": "s3://bucket/key", "RequestTTLSeconds": 600}
    response = client.invoke_endpoint_async(EndpointName="later", **wanted)
    assert response["InferenceId"] == "i"
    assert response["OutputLocation"].startswith("s3://")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert endpoint.requests[-1].parameters == {**wanted, "RequestTTLSeconds": "600"}
    assert gateway.line(operation="async")["status"] == 202


def test_errors_map_to_sdk_exceptions(client, endpoint, gateway):
    """errors: pass is the default of a native route."""
    endpoint.next_fault(code="ModelError", original_status=422, original_message="no such column")
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName="echo", Body=b"x")
    response = caught.value.response
    assert response["OriginalStatusCode"] == 422
    assert response["OriginalMessage"] == "no such column"
    assert response["LogStreamArn"].startswith("arn:aws:logs:")
    line = gateway.line(outcome="model_error")
    assert (line["status"], line["model_status"], line["aws_error"]) == (424, 422, "ModelError")

    for code, kind in (("InternalFailure", client.exceptions.InternalFailure),
                       ("ServiceUnavailable", client.exceptions.ServiceUnavailable),
                       ("ModelNotReadyException", client.exceptions.ModelNotReadyException),
                       ("InternalDependencyException", client.exceptions.InternalDependencyException),
                       ("ValidationError", client.exceptions.ValidationError)):
        endpoint.next_fault(code=code, message="told so")
        with pytest.raises(kind) as caught:
            client.invoke_endpoint(EndpointName="echo", Body=b"x")
        assert caught.value.response["Error"]["Message"] == "told so"


def test_gateway_errors_have_a_code(client, endpoint, gateway):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.invoke_endpoint(EndpointName="echo", Body=b"x", CustomAttributes="x" * 1025)
    error = caught.value.response["Error"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["Code"] and "CustomAttributes" in error["Message"]
    assert endpoint.requests == []


def test_many_requests_on_one_connection(client, endpoint):
    for number in range(20):
        body = b"%d" % number
        assert client.invoke_endpoint(EndpointName="echo", Body=body)["Body"].read() == body
    assert len({seen.connection for seen in endpoint.requests}) == 1, "the upstream connection is reused"
