"""`sagegate sign`: AWS's examples, its own options, and its error messages."""

import hashlib
import json
import os
import pathlib
import subprocess

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.unit.oracle import BUILD

BINARY = pathlib.Path(os.environ.get("SAGEGATE_BIN", BUILD / "sagegate")).resolve()
KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjEXAMPLETOKEN=="
KEYS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
TIME = "20150830T123600Z"
URL = "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/fraud-prod/invocations"


def run(*arguments, environment=KEYS, body=b""):
    return subprocess.run([BINARY, "sign", *arguments], env=environment, input=body, capture_output=True, timeout=30)


def sign(*arguments, environment=KEYS, body=b"", url=URL, method="POST", region="us-east-1"):
    done = run("--method", method, "--url", url, "--region", region, "--time", TIME, *arguments,
               environment=environment, body=body)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return json.loads(done.stdout)


def test_aws_example():
    told = sign("--service", "service", method="GET", url="https://example.amazonaws.com/")
    assert told["signature"] == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    assert told["signed_headers"] == "host;x-amz-date"
    assert told["canonical_request"].splitlines()[:2] == ["GET", "/"]
    assert told["string_to_sign"].splitlines()[2] == "20150830/us-east-1/service/aws4_request"
    assert told["headers"] == ["Host: example.amazonaws.com", f"X-Amz-Date: {TIME}",
                               "Authorization: " + told["authorization"]]


def test_inference_matches_botocore(tmp_path):
    body = os.urandom(200_000)
    file = tmp_path / "body"
    file.write_bytes(body)
    headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Target-Model": "a  b.tar.gz"}
    request = AWSRequest(method="POST", url=URL, data=body, headers=headers)
    request.context["timestamp"] = TIME
    signer = SigV4Auth(Credentials(KEY, SECRET, TOKEN), "sagemaker", "us-east-1")
    signer._modify_request_before_signing(request)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    arguments = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    environment = {**KEYS, "AWS_SESSION_TOKEN": TOKEN}
    assert sign(*arguments, "--body", str(file), environment=environment)["signature"] == signature
    told = sign(*arguments, "--body", "-", body=body, environment=environment)
    assert told["signature"] == signature
    assert f"X-Amz-Security-Token: {TOKEN}" in told["headers"]


def test_token_sent_but_not_signed():
    environment = {**KEYS, "AWS_SESSION_TOKEN": TOKEN}
    told = sign("--omit-session-token", environment=environment)
    assert told["signed_headers"] == "host;x-amz-date"
    assert f"X-Amz-Security-Token: {TOKEN}" in told["headers"]
    assert told["signature"] == sign()["signature"]


def test_signed_body_hash():
    told = sign("--sign-body", "--body", "-", body=b"Param1=value1")
    digest = hashlib.sha256(b"Param1=value1").hexdigest()
    assert f"X-Amz-Content-Sha256: {digest}" in told["headers"]
    assert told["signed_headers"] == "host;x-amz-content-sha256;x-amz-date"
    assert told["canonical_request"].endswith(digest)


def test_hop_headers_are_sent_but_not_signed():
    told = sign("--header", "User-Agent: x", "--header", "Connection: close", "--header", "My-Header:  a  b ")
    assert told["signed_headers"] == "host;my-header;x-amz-date"
    assert "User-Agent: x" in told["headers"] and "My-Header: a  b" in told["headers"]
    assert "\nmy-header:a b\n" in told["canonical_request"]


@pytest.mark.parametrize("url, host, path, query", [
    ("https://h", "h", "/", ""), ("https://h?a=1", "h", "/", "a=1"), ("https://H.Example:443/x", "h.example", "/x", ""),
    ("http://h:80/x", "h", "/x", ""), ("http://h:443/x", "h:443", "/x", ""), ("https://[::1]:8443/", "[::1]:8443", "/", ""),
    ("https://h/a%20b//c?b=2&a=%2f", "h", "/a%2520b/c", "a=%2F&b=2"), ("https://h/a b", "h", "/a%20b", ""),
])
def test_urls(url, host, path, query):
    told = sign(url=url)
    lines = told["canonical_request"].split("\n")
    assert (lines[1], lines[2], lines[3]) == (path, query, f"host:{host}")
    assert told["headers"][0] == f"Host: {host}"


def test_paths_are_not_normalized():
    assert sign("--no-normalize", url="https://h/a//b/../c d")["canonical_request"].split("\n")[1] == "/a//b/../c%20d"
    told = sign("--service", "s3", url="https://h/a//b/../c%20d")
    assert told["canonical_request"].split("\n")[1] == "/a//b/../c%20d"


def test_custom_host():
    told = sign("--header", "Host: other:1")
    assert told["headers"][0] == "Host: other:1" and "\nhost:other:1\n" in told["canonical_request"]
    assert len([line for line in told["headers"] if line.startswith("Host")]) == 1


def test_region_and_time_defaults():
    arguments = ["--method", "POST", "--url", URL]
    done = run(*arguments, environment={**KEYS, "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-west-2"})
    assert "/eu-west-1/sagemaker/aws4_request" in json.loads(done.stdout)["authorization"]
    done = run(*arguments, environment={**KEYS, "AWS_DEFAULT_REGION": "us-west-2"})
    assert "/us-west-2/sagemaker/aws4_request" in json.loads(done.stdout)["authorization"]


def test_secret_is_never_printed():
    done = run("--method", "POST", "--url", URL, "--region", "us-east-1", environment={**KEYS, "AWS_SESSION_TOKEN": TOKEN})
    assert SECRET.encode() not in done.stdout + done.stderr
    done = run("--method", "POST", "--url", "nothing", environment={**KEYS, "AWS_SESSION_TOKEN": TOKEN})
    assert SECRET.encode() not in done.stderr and TOKEN.encode() not in done.stderr


GOOD = ["--method", "POST", "--url", URL, "--region", "us-east-1"]


@pytest.mark.parametrize("arguments, environment, said", [
    (GOOD, {}, "AWS_ACCESS_KEY_ID is not set"),
    (GOOD, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": SECRET}, "AWS_ACCESS_KEY_ID is not set"),
    (GOOD, {"AWS_ACCESS_KEY_ID": KEY}, "AWS_SECRET_ACCESS_KEY is not set"),
    (GOOD[:4], KEYS, "missing region: use --region or set AWS_REGION"),
    (GOOD[2:], KEYS, "--method M is required"),
    (GOOD[:2] + GOOD[4:], KEYS, "--url URL is required"),
    ([*GOOD, "--method", "P OST"], KEYS, "--method 'P OST': is not a valid method"),
    ([*GOOD, "--url", "ftp://h/"], KEYS, "must begin with https:// or http://"),
    ([*GOOD, "--url", "https:///x"], KEYS, "must have a host"),
    ([*GOOD, "--url", "https://u:p@h/x"], KEYS, "must have a host and no user information"),
    ([*GOOD, "--url", "https://h/x#y"], KEYS, "must not have a fragment (#...)"),
    ([*GOOD, "--header", "no colon"], KEYS, "--header 'no colon': must have the form 'NAME: VALUE'"),
    ([*GOOD, "--header", ": v"], KEYS, "must have the form"),
    ([*GOOD, "--header", "a b: v"], KEYS, "must have the form"),
    ([*GOOD, "--header", "A: b\r\nC: d"], KEYS, "--header 'A': the value contains a control character"),
    ([*GOOD, "--header", "x-amz-date: 1"], KEYS, "--header 'x-amz-date': sign sets this header itself"),
    ([*GOOD, "--header", "authorization: x"], KEYS, "sign sets this header itself"),
    ([*GOOD, "--body", "/no/such/file"], KEYS, "--body /no/such/file: No such file or directory"),
    ([*GOOD, "--body", "/"], KEYS, "--body /: Is a directory"),
    ([*GOOD, "--time", "2015-08-30"], KEYS, "--time '2015-08-30': must be a time such as 20150830T123600Z"),
    ([*GOOD, "--time", "20150230T000000Z"], KEYS, "must be a time such as"),
    ([*GOOD, "--region", "a/b"], KEYS, "--region 'a/b': is not a valid region"),
    ([*GOOD, "--service", ""], KEYS, "--service '': is not a valid service"),
    ([*GOOD, "--bogus"], KEYS, "unknown option --bogus"),
    ([*GOOD, "--url"], KEYS, "--url requires a value"),
    ([*GOOD, "extra"], KEYS, "unexpected argument 'extra'"),
    (GOOD + ["--header", "a: b"] * 124, KEYS, "--header is given more than 123 times"),
])
def test_errors(arguments, environment, said):
    done = run(*arguments, environment=environment)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.decode().startswith("sagegate sign: ") and said in done.stderr.decode()
    assert done.stderr.count(b"\n") == (2 if b"\r\n" in done.stderr else 1)


def test_help():
    done = run("--help", environment={})
    assert done.returncode == 0 and done.stdout.startswith(b"Usage: sagegate sign")
