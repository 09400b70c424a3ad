"""Invalid input to every source: the message names the source and the place to look.

`sagegate doctor` fetches once and reports, using the code of the credential service. Each case has its own stand-ins
and files, so that many run at once."""

import concurrent.futures
import os
import shutil
import subprocess

import pytest

import lib
import sources
import standins

CONFIG = """
region: us-east-1
{more}
upstream: {{ endpoint_url: "http://127.0.0.1:1" }}
routes:
  - {{ name: a, match: {{ path: /a }}, endpoint: echo }}
"""
SECRETS = ["secret-EXAMPLE", "bearer-EXAMPLE", "web-token-EXAMPLE", "sso-bearer-EXAMPLE", "issued-secret", "issued-token", "passw0rd"]
ROLE = "arn:aws:iam::111122223333:role/infer"


def examine(directory, more, env, prefix=()):
    """Returns doctor's line on the credentials, after checking that it shows no secret and no sign of a crash."""
    file = directory / "sagegate.yaml"
    file.write_text(CONFIG.format(more=more))
    done = subprocess.run([*prefix, lib.BINARY, "doctor", "-c", file], timeout=60, capture_output=True, text=True,
                          env=lib.environment({**sources.NO_KEYS, "HOME": str(directory), **env}))
    told = [line for line in done.stdout.splitlines() if line[5:].startswith("credentials ") and "warning" not in line]
    assert done.returncode == 2 and len(told) == 1 and told[0].startswith("FAIL"), (done.returncode, done.stdout, done.stderr)
    assert "Sanitizer" not in done.stderr
    assert [secret for secret in SECRETS if secret in done.stdout + done.stderr] == []
    assert all(c.isprintable() for c in told[0])
    return told[0].removeprefix("FAIL credentials  default: ")


def play(kind, fault, directory):
    directory.mkdir()
    with standins.StandIn(standins.LivingKeys()) as standin:
        source = kind(standin, directory)
        standin.fault = fault
        told = examine(directory, source.more, source.env)
        return told.replace(f"127.0.0.1:{standin.server.server_port}", "HOST").replace(str(directory), "DIR")


# ---- HTTP sources

COMMON = [
    (503, "HTTP status 503"),
    (429, "HTTP status 429"),
    ("stall", "no response within"),
    ("endless", "no response within"),
    ("cut", "the response was truncated"),
    ("garbage", "the response is not well-formed HTTP/1.1"),
    ("huge", "the response is larger than 64 KiB"),
    ("redirect", "HTTP status 302"),
    ((403, "<html>no</html>"), "HTTP status 403"),
]
JSON = [
    ((200, ""), "invalid response: line 1, column 0: truncated JSON"),
    ((200, '{"AccessKeyId": "secret-EXAMPLE'), "invalid response: line 1, column 31: truncated JSON"),
    ((200, "<html>secret-EXAMPLE</html>"), "invalid response: line 1, column 1: invalid JSON"),
    ((200, "[" * 5000), "invalid response: line 1, column "),
    ((400, '{"Code": "Bad", "Message": "a\\u001b[31mb"}'), "HTTP status 400: Bad: a?[31mb"),
]
SET = [
    ((200, "{}"), "invalid response: AccessKeyId is missing or empty"),
    ((200, '{"AccessKeyId": "A", "SecretAccessKey": "secret-EXAMPLE\\u0001"}'),
     "invalid response: SecretAccessKey has a control character at position 15 of 15"),
    ((200, '{"AccessKeyId": "A", "SecretAccessKey": "secret-EXAMPLE", "Token": "a\\nb"}'), "Token has a line break"),
    ((200, '{"AccessKeyId": "A", "SecretAccessKey": "secret-EXAMPLE", "Expiration": 5}'), "Expiration must be a string"),
    ((200, '{"AccessKeyId": "A", "SecretAccessKey": "secret-EXAMPLE", "Expiration": "soon"}'), "Expiration must be an RFC 3339"),
    ("expired", "container, key id "),
]
XML = [
    ((200, ""), "invalid response: line 1: no element found"),
    ((200, '{"AccessKeyId": "secret-EXAMPLE"}'), "invalid response: line 1: not well-formed"),
    ((200, "<a><b>secret-EXAMPLE</a>"), "invalid response: line 1: mismatched tag"),
    ((200, '<!DOCTYPE a [<!ENTITY b "x">]><a>&b;</a>'), "invalid response: line 1: "),
    ((200, "<a>" * 5000), "invalid response: line 1: "),
    ((200, "<a/>"), "invalid response: "),
    ("denied", "AccessDenied: not authorized"),
]


@pytest.mark.parametrize("kind, place, faults", [
    (sources.Container, "container: HOST: ", COMMON + JSON + SET + [
        ((400, '{"Code": "Bad", "Message": "bearer-EXAMPLE is bad"}'), "HTTP status 400: response text withheld: it contains the token"),
        ("denied", "HTTP status 401: AccessDenied: the token is not right; the token came from DIR/token")]),
    (sources.Imds, "imds: HOST: ", COMMON[:1] + COMMON[2:] + [
        ("denied", 'Code is "AssumeRoleUnauthorizedAccess", not Success'),
        ((200, ""), "the session token is empty or contains control characters"),
        ((200, "a b"), "IMDS returned an invalid role name"),
        ((200, "../../user-data"), "IMDS returned an invalid role name"),
        ((200, "x" * 200), "IMDS returned an invalid role name"),
        ((200, "role-only"), "invalid response: line 1, column 4: invalid JSON")]),
    (sources.WebIdentity, f"web_identity: sts: HOST: {ROLE}: ", COMMON + XML[:-1] + [
        ("denied", "AccessDenied: not authorized to perform: sts:AssumeRole; the token came from DIR/token")]),
    (sources.Role, f"profile: sts: HOST: {ROLE}-inner: ", COMMON + XML),
    (sources.Sso, "sso: HOST: ", COMMON + JSON + [
        ("denied", "HTTP status 401: Session token not found or invalid; the token came from DIR/.aws/sso/cache/"),
        ((200, "{}"), "invalid response: roleCredentials is missing"),
        ((200, '{"roleCredentials": {"accessKeyId": "A", "secretAccessKey": "secret-EXAMPLE", "expiration": "1"}}'),
         "expiration must be a number of milliseconds")]),
], ids=["container", "imds", "web_identity", "assume_role", "sso"])
def test_invalid_response_error_names_source_and_place(kind, place, faults, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda case: play(kind, case[1][0], tmp_path / str(case[0])), enumerate(faults)))
    for (fault, part), text in zip(faults, told):
        assert part in text, (fault, text)
        assert fault == "expired" or text.startswith(place), (fault, text)


# ---- files

def fifo(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def directory(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def closed(path):
    path.chmod(0)


def holding(text):
    return lambda path: path.write_bytes(text)


def sso_cache(tmp_path):
    return next((tmp_path / ".aws/sso/cache").iterdir())


GONE, LARGE = os.unlink, holding(b"x" * (2 << 20))
ANY_FILE = [(fifo, "not a regular file"), (directory, "not a regular file"), (closed, "cannot open: Permission denied"),
            (LARGE, "larger than ")]


@pytest.mark.parametrize("kind, name, place, faults", [
    (sources.Container, "token", "container: token file DIR/token", ANY_FILE + [
        (GONE, "no such file"), (holding(b""), "empty, or contains control characters"),
        (holding(b"bearer-EXAMPLE\r\nX: y"), "empty, or contains control characters"),
        (holding(b"\xff\xfebearer"), "empty, or contains control characters")]),
    (sources.WebIdentity, "token", "web_identity: token file DIR/token", ANY_FILE + [
        (GONE, "no such file"), (holding(b"\n"), "must be 4 to 20000 characters long"),
        (holding(b"x" * 20001), "must be 4 to 20000 characters long"),
        (holding(b"web-token\r\nX: y"), "control character or non-ASCII byte at position 10 of 15"),
        (holding(b"web-token-\xc3\xa9"), "at position 11 of 12")]),
    (sources.Static, "set.json", "static: DIR/set.json: ", ANY_FILE + [
        (GONE, "cannot open: No such file"), (holding(b"\0" * 100), "line 1, column 1: "),
        (holding(b'{"Version": 1, "AccessKeyId": "A", "AccessKeyId": "B"}'), "duplicate key")]),
    (sources.Sso, sso_cache, "sso: DIR/.aws/sso/cache/", ANY_FILE + [
        (GONE, "no such file; run `aws sso login`"), (holding(b"{"), "truncated JSON"),
        (holding(b'{"accessToken": "sso-bearer-EXAMPLE", "expiresAt": "2015-01-01T00:00:00Z"}'), "run `aws sso login`"),
        (holding(b'{"accessToken": "sso-bearer-EXAMPLE\\n", "expiresAt": "2999-01-01T00:00:00Z"}'), "control characters"),
        (holding(b'{"accessToken": "sso-bearer-EXAMPLE"}'), "expiresAt is missing")]),
    (sources.Role, ".aws/config", "profile: DIR/.aws/config: ", ANY_FILE + [
        (holding(b"[profile outer\n"), "line 1: "), (holding(b"\nrole_arn = x\n"), "line 2: ")]),
    (sources.Role, ".aws/config", "profile: profile \"outer\": ", [
        (holding(b"[profile outer]\nrole_arn = a\n"), "either source_profile or credential_source"),
        (holding(b"[profile outer]\nrole_arn = a\nsource_profile = none\n"), "does not exist"),
        (holding(b"[profile outer]\nrole_arn = a\nsource_profile = base\nmfa_serial = m\n"), "mfa_serial"),
        (holding(b"[profile outer]\nrole_arn = a\nsource_profile = base\nduration_seconds = 5\n"), "900 to 43200"),
        (holding(b"[profile outer]\nsource_profile = base\nrole_arn = " + b"/" * 60000), "role_arn has 60000 characters; the maximum is 2048"),
        (holding(b"[profile outer]\nsource_profile = base\nrole_arn = a\nexternal_id = " + b"/" * 60000), "external_id has"),
        (holding(b"[profile outer]\ncredential_process = 'x\n"), "credential_process: ")]),
    (sources.Role, ".aws/config", "profile: profile \"outer\" does not exist", [(GONE, ""), (holding(b"[other]\n"), "")]),
    (sources.Role, ".aws/credentials", "profile: DIR/.aws/credentials: ", ANY_FILE + [(holding(b"x = y"), "line 1: ")]),
    (sources.Process, "helper", "process: DIR/helper: ", [
        (holding(b"#!/bin/sh\nexit 3\n"), "exited with status 3"), (holding(b"#!/bin/sh\necho secret-EXAMPLE\n"), "invalid JSON"),
        (holding(b"#!/bin/sh\necho '{\"Version\": 1, \"AccessKeyId\": 1}'\n"), "AccessKeyId must be a string")]),
    (sources.Process, "helper", "process: cannot run DIR/helper: ", [
        (GONE, "No such file"), (directory, "Permission denied"), (closed, "Permission denied")]),
], ids=["container", "web_identity", "static", "sso", "config", "profile", "no profile", "credentials", "process", "command"])
def test_invalid_file_error_names_the_file(kind, name, place, faults, tmp_path):
    # Root may read anything, unless it drops that capability.
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if prefix and shutil.which("setpriv") is None:
        pytest.fail("setpriv (util-linux) is missing")

    def one(case):
        number, (fault, _) = case
        here = tmp_path / str(number)
        here.mkdir()
        with standins.StandIn(standins.LivingKeys()) as standin:
            source = kind(standin, here)
            fault(name(here) if callable(name) else here / name)
            return examine(here, source.more, source.env, prefix).replace(str(here), "DIR")

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        told = list(pool.map(one, enumerate(faults)))
    for (fault, part), text in zip(faults, told):
        assert text.startswith(place) and part in text, (fault, text)


def test_world_readable_secrets_warn(endpoint, ca_file, tmp_path):
    sources.write(tmp_path / ".aws/credentials", "[default]\naws_access_key_id = A\naws_secret_access_key = secret-EXAMPLE\n",
                  0o644)
    file = tmp_path / "sagegate.yaml"
    file.write_text(CONFIG.format(more=""))
    done = lib.run("doctor", "-c", file, env={**sources.NO_KEYS, "HOME": str(tmp_path),
                                              "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1"})
    assert f"warning: profile: {tmp_path}/.aws/credentials: mode 0644 lets other users read it; use 0600" in done.stdout
    assert "secret-EXAMPLE" not in done.stdout + done.stderr


@pytest.mark.parametrize("kind, variable, url, part", [
    (sources.Container, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/x", "container: 10.0.0.1 must use https://"),
    (sources.Container, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.169.254/x", "169.254.169.254 must use https://"),
    (sources.Imds, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.x.example", "169.254.x.example must use https://"),
    (sources.Imds, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://me:passw0rd@h",
     "imds: AWS_EC2_METADATA_SERVICE_ENDPOINT: must not contain user information"),
    (sources.WebIdentity, "AWS_ROLE_ARN", "/" * 60000, "AWS_ROLE_ARN, or role_arn in the profile, has 60000"),
    (sources.Container, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/x", "RELATIVE_URI must be a path"),
    (sources.WebIdentity, "AWS_ENDPOINT_URL_STS", "http://sts.example", "sts: AWS_ENDPOINT_URL_STS: must use https://"),
    (sources.Sso, "AWS_ENDPOINT_URL_SSO", "http://portal.example", "AWS_ENDPOINT_URL_SSO: must use https://"),
    (sources.WebIdentity, "AWS_CA_BUNDLE", "/none.pem", "web_identity: AWS_CA_BUNDLE: /none.pem: "),
    (sources.WebIdentity, "HTTPS_PROXY", "socks5://x", "HTTPS_PROXY: "),
], ids=["container", "metadata", "imds", "imds user", "role", "relative", "sts", "sso", "ca", "proxy"])
def test_forbidden_address_error_names_the_setting(kind, variable, url, part, tmp_path):
    with standins.StandIn(standins.LivingKeys()) as standin:
        source = kind(standin, tmp_path)
        more = {"AWS_ENDPOINT_URL_STS": "https://sts.example"} if variable in ("AWS_CA_BUNDLE", "HTTPS_PROXY") else {}
        text = "" if kind is sources.Imds else source.more  # the file's setting takes precedence over the variable
        assert part in examine(tmp_path, text, {**source.env, **more, variable: url})
        assert standin.asked == []


# ---- no fall-through

def env_half(_standin, _directory):
    return "", {"AWS_ACCESS_KEY_ID": "AKIDHALF"}


def env_over(end):
    return lambda _standin, _directory: ("", {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s",
                                              "AWS_CREDENTIAL_EXPIRATION": end})


def no_profile(_standin, _directory):
    return "", {"AWS_PROFILE": "none"}


def broken_config(_standin, here):
    sources.write(here / ".aws/config", "[default\n")
    return "", {}


def failing(kind, more="", **env):
    def make(standin, here):
        source = kind(standin, here)
        source.fail()
        return more.replace("DIR", str(here)), {**source.env, **env}
    return make


@pytest.mark.parametrize("make, part", [
    (env_half, "AWS_SECRET_ACCESS_KEY is not"),
    (env_over("2015-01-01T00:00:00Z"), "expired 2015"),
    (env_over("1970-01-01T00:00:00Z"), "expired 1969-12-31T23:59:59.999999Z"),
    (no_profile, 'profile "none" does not exist'),
    (broken_config, "line 1: "),
    (failing(sources.Static, ', file: "DIR/set.json"'), "static: "),
    (failing(sources.Role, AWS_PROFILE="outer"), "HTTP status 500"),
    (failing(sources.WebIdentity), "HTTP status 500"),
    (failing(sources.Sso, AWS_PROFILE="dev"), "HTTP status 500"),
    (failing(sources.Process, ", process: \"'DIR/helper'\""), "exited with status 7"),
    (failing(sources.Container), "HTTP status 500"),
], ids=["env", "expired", "1970", "profile", "file", "static", "assume_role", "web_identity", "sso", "process", "container"])
def test_failing_configured_source_is_not_skipped(make, part, tmp_path):
    """IMDS would provide credentials: the node's, not the program's."""
    with standins.StandIn(standins.LivingKeys()) as node, standins.StandIn(standins.LivingKeys()) as standin:
        more, env = make(standin, tmp_path)
        text = f'credentials: {{ source: default, imds_endpoint: "{node.url}"{more} }}'
        told = examine(tmp_path, text, {"AWS_EC2_METADATA_DISABLED": None, **env})
        assert part in told
        assert node.asked == []
