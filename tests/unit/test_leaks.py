"""The secret scanner (tests/e2e/leaks.py) finds a secret anywhere in the program's output."""

import base64
import json
import pathlib
import socket
import sys
import types

import pytest

E2E = str(pathlib.Path(__file__).resolve().parents[1] / "e2e")
SECRET = "told/to+nobody-EXAMPLE"
# Acts as `sagegate run`: prints the given text and waits for SIGTERM.
TALKER = """#!/usr/bin/python3 -u
import signal, sys
print({stdout!r})
print('{{"level": "info", "topic": "start", "message": "serving"}}', file=sys.stderr)
print({stderr!r}, file=sys.stderr, flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.pause()
"""


@pytest.fixture
def leaks(monkeypatch):
    """A separate copy: secrets learned here do not affect other tests."""
    monkeypatch.syspath_prepend(E2E)
    for name in ("leaks", "lib", "standins"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import leaks
    yield leaks
    for name in ("leaks", "lib", "standins"):
        sys.modules.pop(name, None)


def test_clean_output_passes(leaks):
    leaks.learn(SECRET, None, "", "short", "x" * 200)
    leaks.look("a text", "told/to+everybody-EXAMPLE, short " + "0123456789abcdef" * 4 + "x" * 300)


@pytest.mark.parametrize("form", [
    str, lambda text: text.replace("/", "%2F").replace("+", "%2B"), lambda text: text.replace("/", "\\/"),
    lambda text: base64.b64encode(text.encode()).decode(), lambda text: json.dumps({"a": [text]})],
    ids=["plain", "url", "json slash", "base64", "json"])
def test_secret_is_found_in_every_encoding(leaks, form):
    leaks.learn(SECRET)
    with pytest.raises(AssertionError, match="a secret is in the log: "):
        leaks.look("the log", "one line\nbefore " + form(SECRET) + " after\n")


def test_prefix_of_long_secret_is_found(leaks):
    token = "".join(f"{number:x}" for number in range(500))
    leaks.learn(token)
    with pytest.raises(AssertionError):
        leaks.look("the log", f'"message":"token {token[:70]}"')


@pytest.mark.parametrize("text", ["-----BEGIN EC PRIVATE KEY-----", "a, Signature=0123456789abcdef",
                                  "?a&X-Amz-Signature=0123456789abcdef", "Bearer sagemaker-api-key-c2Fn"])
def test_values_that_must_never_appear(leaks, text):
    with pytest.raises(AssertionError):
        leaks.look("the log", text)


def test_signing_output_may_show_signatures_but_no_secrets(leaks):
    leaks.learn(SECRET)
    leaks.look("the output of sign", "a, Signature=0123456789abcdef", signs=True)
    with pytest.raises(AssertionError):
        leaks.look("the output of sign", SECRET, signs=True)


@pytest.mark.parametrize("header, value, told", [
    ("Authorization", f"AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host, Signature={'0a' * 32}", "0a" * 32),
    ("authorization", f"Bearer {SECRET}", SECRET), ("Authorization", SECRET, SECRET),
    ("X-Amz-Security-Token", SECRET, SECRET), ("x-aws-ec2-metadata-token", SECRET, SECRET),
    ("Proxy-Authorization", "Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
])
def test_authorization_received_by_server_is_secret(leaks, header, value, told):
    leaks.look("the log", f"x {told} y")
    leaks.learn_request([("Host", "x"), (header, value)])
    with pytest.raises(AssertionError):
        leaks.look("the log", f"x {told} y")
    leaks.look("the log", "host, SignedHeaders, Credential=A/b, AWS4-HMAC-SHA256")


@pytest.mark.parametrize("env", [
    {"AWS_SECRET_ACCESS_KEY": SECRET}, {"AWS_SESSION_TOKEN": SECRET}, {"AWS_CONTAINER_AUTHORIZATION_TOKEN": SECRET},
    {"HTTPS_PROXY": "http://user:told%2Fto%2Bnobody-EXAMPLE@127.0.0.1:1"}], ids=lambda env: next(iter(env)))
def test_secrets_in_gateway_environment_are_registered(leaks, env):
    import lib
    lib.environment(env)
    with pytest.raises(AssertionError):
        leaks.look("the log", SECRET)


def test_credentials_issued_by_stand_in_are_registered(leaks):
    import standins
    keys = standins.LivingKeys()
    for secret in standins.Issuer(keys).issue()[1:3]:
        with pytest.raises(AssertionError):
            leaks.look("the log", secret)


# -- every exit of a gateway and every command is scanned


@pytest.fixture
def talker(leaks, monkeypatch, tmp_path):
    """talker(stdout=, stderr=): a gateway that prints these."""
    import lib
    leaks.learn(SECRET)
    monkeypatch.setattr(lib, "BINARY", tmp_path / "talker")

    def start(config="", **said):
        lib.BINARY.write_text(TALKER.format(**{"stdout": "{}", "stderr": '{"level": "info", "topic": "x"}', **said}))
        lib.BINARY.chmod(0o755)
        return lib.Gateway(tmp_path, config).start(wait=False)
    return start


@pytest.mark.parametrize("stream, text", [
    ("stdout", json.dumps({"path": SECRET})), ("stderr", json.dumps({"level": "info", "topic": "x", "message": SECRET}))])
def test_leak_in_output_fails_at_exit(talker, stream, text):
    import lib
    gateway = talker(**{stream: text})
    lib.eventually(lambda: len(gateway.diagnostics) == 2 and gateway.lines, 20)
    gateway.lines.clear(), gateway.diagnostics.clear()  # as if a test had consumed them
    with pytest.raises(AssertionError, match="a secret is in the gateway's output"):
        gateway.stop()
    silent = talker()
    lib.eventually(lambda: len(silent.diagnostics) == 2, 20)
    silent.stop()


def test_leak_in_log_file_fails(talker, tmp_path):
    import lib
    gateway = talker('access_log: { file: "@DIR@/access.log" }')
    lib.eventually(lambda: len(gateway.diagnostics) == 2, 20)
    (tmp_path / "access.log.1").write_text(f'{{"time":"now","path":"{SECRET}"}}\n')
    with pytest.raises(AssertionError, match="a secret is in .*access.log.1"):
        gateway.stop()


def test_leak_in_command_output_fails(leaks, talker, tmp_path):
    import lib
    lib.BINARY.write_text(f"#!/bin/sh\necho $1: '{SECRET}' >&2\n")
    lib.BINARY.chmod(0o755)
    with pytest.raises(AssertionError, match="a secret is in the output of doctor"):
        lib.run("doctor")


def test_leak_in_response_fails(leaks, monkeypatch):
    import lib
    leaks.learn(SECRET)
    response = types.SimpleNamespace(status=200, headers="", read=lambda: SECRET.encode())
    monkeypatch.setattr(lib.http.client, "HTTPConnection", lambda *_, **__: types.SimpleNamespace(
        request=lambda *_: None, getresponse=lambda: response, close=lambda: None))
    with pytest.raises(AssertionError, match="a secret is in the response to GET /ready"):
        lib.get(("127.0.0.1", 1), "/ready")


@pytest.mark.parametrize("head, body", [
    (f"X-Echo: {SECRET}\r\n", ""), ("X-Sagegate-Outcome: rejected\r\n", f'{{"Message": "{SECRET}"}}')], ids=["head", "body"])
def test_leak_to_client_fails(leaks, head, body):
    import lib
    leaks.learn(SECRET)
    with socket.create_server(("127.0.0.1", 0)) as server, lib.Caller(server.getsockname()) as caller:
        peer, _ = server.accept()
        peer.sendall(f"HTTP/1.1 400 Bad\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        with pytest.raises(AssertionError, match="a secret is in a(n error)? response"):
            caller.response()
        peer.close()
