"""Credentials that live for three seconds, under as many requests as the machine can handle: none fails, none is
unsigned or signed with expired credentials. SAGEGATE_SOAK_SECONDS sets the duration."""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import soak_upstream
import standins
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from lib import eventually

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = int(os.environ.get("SAGEGATE_SOAK_SECONDS", "8"))
LIFE_S, CALLERS = 3.0, 16
CONFIG = """
listen: [{{ address: "@LISTEN@" }}]
region: us-east-1
credentials: {{ source: web_identity }}
upstream: {{ endpoint_url: "http://127.0.0.1:{port}" }}
access_log: {{ file: "@DIR@/access.log" }}
routes:
  - {{ name: call, match: {{ path: /call }}, endpoint: echo }}
"""


class Issuer(standins.Issuer):
    def issue(self):
        key_id, secret, token, until = soak_upstream.issue(self.life)
        self.remember(key_id, secret, token)
        return key_id, secret, token, datetime.datetime.fromtimestamp(until, datetime.timezone.utc).strftime(
            "%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.fixture
def upstream():
    with subprocess.Popen([sys.executable, HERE / "soak_upstream.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        process.port = int(process.stdout.readline())
        yield process
        process.kill()


@pytest.fixture
def gateway(upstream, start_gateway, tmp_path):
    with standins.StandIn({}) as standin:
        standin.issuer = Issuer({}, LIFE_S)
        standin.web_token = "web-token-EXAMPLE"
        (tmp_path / "token").write_text(standin.web_token)
        yield start_gateway(CONFIG.format(port=upstream.port), head=False, env={
            "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "HOME": str(tmp_path),
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": standins.ROLE_ARN,
            "AWS_ENDPOINT_URL_STS": standin.url})


def call_at_full_rate(gateway, seconds):
    """Returns wrk's counts: responses, and how many of them were errors or missing."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CALLERS}", f"-d{seconds}s", "--timeout", "10s", "-s", HERE.parent / "bench/report.lua",
         f"{gateway.url}/call"], env={**os.environ, "BENCH_BODY": "200"}, capture_output=True, text=True,
        timeout=seconds + 60)
    [result] = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    return json.loads(result)


def signed(key_id, secret, token):
    """Returns the head of a request as botocore signs it."""
    request = AWSRequest("POST", "http://127.0.0.1:1/endpoints/echo/invocations", data=b"body", headers={
        "Host": "127.0.0.1:1", "Content-Length": "4"})
    SigV4Auth(Credentials(key_id, secret, token), "sagemaker", "us-east-1").add_auth(request)
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join(["POST /endpoints/echo/invocations HTTP/1.1", *lines, ""]).encode()


def test_soak_upstream_rejects_invalid_requests():
    upstream = soak_upstream.Upstream()
    upstream.port = 1
    key_id, secret, token, _ = soak_upstream.issue(60)
    good = signed(key_id, secret, token)
    assert upstream.judge(good, b"body") is None and upstream.sampled == 1
    unsigned = re.sub(rb"Authorization: [^\r]*\r\n", b"", good)
    assert "not signed" in upstream.judge(unsigned, b"body")
    assert "not the token" in upstream.judge(signed(key_id, secret, "soak-token-other"), b"body")
    assert "after the end of" in upstream.judge(signed(*soak_upstream.issue(-2)[:3]), b"body")
    for head, body in ((signed(key_id, "wrong", token), b"body"), (good, b"Body")):
        upstream.requests = 0  # sampled
        assert "does not match" in upstream.judge(head, body)
    assert upstream.sampled == 3


@pytest.mark.threads
@pytest.mark.timeout(2 * SECONDS + 120)  # a large log is scanned, too
def test_no_request_fails_while_credentials_expire_every_few_seconds(gateway, upstream):
    gateway.allow_warnings("access line|access_log")  # a slow disk loses lines, not requests
    eventually(lambda: gateway.call("/call", b"x").status == 200, 10, "the first set")
    seen = call_at_full_rate(gateway, SECONDS)
    gateway.stop()
    told = json.loads(upstream.communicate("", 20)[0])
    print(f"\n{seen['requests']} requests in {SECONDS} s, {seen['requests'] / SECONDS:.0f} a second; {told['sampled']} "
          f"verified whole; {told['sets']} sets of credentials")
    assert told["refused"] == []
    assert seen["errors"] == 0
    assert seen["requests"] > 20 * SECONDS and told["sets"] >= SECONDS / LIFE_S and told["sampled"] > 0

    log, lines, gone = gateway.directory / "access.log", 0, 0
    with open(log, "rb") as file:
        for line in file:
            lines += 1
            gone += b'"outcome":"client_gone"' in line  # wrk disconnects in the middle of its last requests
            assert b'"outcome":"ok"' in line or b'"outcome":"client_gone"' in line, line
            assert b'"identity":"web_identity"' in line, line
    assert gone <= CALLERS and lines > 0
    log.unlink()  # a minute's log is large
