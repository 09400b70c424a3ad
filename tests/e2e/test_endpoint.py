"""The local endpoint itself, with botocore as its client: the other tests rely on it."""

import http.client
import socket
import ssl

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from lib import ACCESS_KEY, SECRET_KEY, Broken, Caller

from tests.endpoint import BAD, Endpoint, Key, eventstream


def client(endpoint, ca_file, key=ACCESS_KEY, secret=SECRET_KEY, token=None, region="us-east-1"):
    return boto3.client(
        "sagemaker-runtime", region_name=region, endpoint_url=endpoint.url, verify=str(ca_file),
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
        config=Config(retries={"max_attempts": 0}, read_timeout=2))


def refused(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**{"EndpointName": "echo", "Body": b"x", **parameters})
    return caught.value.response["Error"]["Code"]


def test_accepts_botocore_signatures(endpoint, ca_file):
    response = client(endpoint, ca_file).invoke_endpoint(
        EndpointName="echo", Body=b"\0\1\2", ContentType="a/b", CustomAttributes="a  b", TargetVariant="B")
    assert response["Body"].read() == b"\0\1\2"
    assert (response["ContentType"], response["InvokedProductionVariant"]) == ("a/b", "B")
    seen = endpoint.requests[-1]
    assert seen.verdict == "ok" and seen.sni == "localhost" and seen.tls_version == "TLSv1.3"


def test_rejects_like_the_service(endpoint, ca_file):
    endpoint.strict = False
    endpoint.keys["AKIDTOKEN"] = Key("secret", "token")
    invoke = client(endpoint, ca_file).invoke_endpoint
    assert refused(client(endpoint, ca_file, secret="wrong").invoke_endpoint) == "InvalidSignatureException"
    assert refused(client(endpoint, ca_file, key="AKIDOTHER").invoke_endpoint) == "UnrecognizedClientException"
    assert refused(client(endpoint, ca_file, region="eu-west-1").invoke_endpoint) == "InvalidSignatureException"
    assert refused(client(endpoint, ca_file, "AKIDTOKEN", "secret").invoke_endpoint) == "UnrecognizedClientException"
    client(endpoint, ca_file, "AKIDTOKEN", "secret", "token").invoke_endpoint(EndpointName="echo", Body=b"")
    assert refused(invoke, EndpointName="missing-one") == "ValidationError"
    assert refused(invoke, TargetVariant="C") == "ValidationError"
    endpoint.clock_skew_s = 301
    assert refused(invoke) == "InvalidSignatureException"
    assert "Signature expired" in endpoint.requests[-1].reason


def test_changed_byte_is_detected(endpoint, ca_file):
    """The request of a real client, replayed with one change."""
    endpoint.strict = False
    client(endpoint, ca_file).invoke_endpoint(EndpointName="echo", Body=b"abc", ContentType="a/b")
    seen = endpoint.requests[-1]
    connection = http.client.HTTPSConnection(
        "localhost", endpoint.port, context=ssl.create_default_context(cafile=ca_file))
    for path, body, kind, verdict in (
        (seen.path, b"abc", "a/b", "ok"),
        (seen.path, b"abd", "a/b", "InvalidSignatureException"),
        (seen.path, b"abc", "a/c", "InvalidSignatureException"),
        ("/endpoints/echo2/invocations", b"abc", "a/b", "InvalidSignatureException"),
    ):
        headers = {**dict(seen.headers), "Content-Type": kind}
        connection.request("POST", path, body, headers)
        connection.getresponse().read()
        assert endpoint.requests[-1].verdict == verdict, endpoint.requests[-1].reason


@pytest.mark.parametrize("fault, code", [
    ("code:ThrottlingException", "ThrottlingException"),
    ("code:ModelError;original_status:0", "ModelError"),
    ("status:530", "InternalDependencyException"),
    ("status:503;html:1", "503"),
])
def test_errors_on_command(endpoint, ca_file, fault, code):
    assert refused(client(endpoint, ca_file).invoke_endpoint, CustomAttributes=f"x-fault={fault}") == code


@pytest.mark.parametrize("fault", ["reset:head", "close:head", "stall:head", "cut:1", "reset:body", "reset:read"])
def test_connection_faults_on_command(endpoint, ca_file, fault):
    endpoint.next_fault(fault)
    with pytest.raises(botocore.exceptions.BotoCoreError):
        client(endpoint, ca_file).invoke_endpoint(EndpointName="echo", Body=b"x" * 200_000)["Body"].read()


def test_botocore_reads_streams(endpoint, ca_file):
    frames = eventstream.part(b"one") + eventstream.part(b"") + eventstream.exception("ModelStreamError", "oh")
    from botocore.eventstream import EventStreamBuffer
    buffer = EventStreamBuffer()
    buffer.add_data(frames)
    assert [message.payload for message in buffer] == [payload for _, payload in eventstream.read(frames)]
    with pytest.raises(ValueError):
        eventstream.read(eventstream.flip(frames, 20))


def test_sends_every_kind_of_broken_http():
    with Endpoint() as plain:
        for kind in BAD:
            plain.next_fault(bad=kind)
            with Caller(("127.0.0.1", plain.port), timeout=1) as caller:
                caller.ask("/endpoints/echo/invocations", b"x", [("Connection", "close")])
                try:
                    caller.response()
                except (Broken, AssertionError):
                    pass
        plain.wait_for(len(BAD))


@pytest.mark.parametrize("fault", ["wrong-name", "expired", "not-yet", "self-signed", "untrusted"])
def test_invalid_certificates(ca_file, fault):
    with Endpoint(tls=fault) as bad:
        context = ssl.create_default_context(cafile=ca_file)
        with socket.create_connection(("127.0.0.1", bad.port)) as sock, pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(sock, server_hostname="localhost")


def test_cut_connections(ca_file):
    """Including connections in their handshake, already closed, or closing at the same moment."""
    with Endpoint(tls=True) as endpoint:
        context = ssl.create_default_context(cafile=ca_file)
        for turn in range(20):
            plain = [socket.create_connection(("localhost", endpoint.port)) for _ in range(3)]
            whole = [context.wrap_socket(socket.create_connection(("localhost", endpoint.port)),
                                         server_hostname="localhost") for _ in range(3)]
            endpoint.wait_for(lambda e: e.connections == 6 * (turn + 1) and len(e.open) == 6)
            whole[0].close()
            cut = endpoint.cut_connections()
            for sock in plain + whole[1:]:
                sock.settimeout(10)
                assert sock.recv(1) == b""
                sock.close()
            endpoint.wait_for(lambda e: not cut & e.open_connections())
