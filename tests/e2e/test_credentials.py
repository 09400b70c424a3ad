"""Credentials from every source: start, serve, rotate, fail, recover; waiting, rejections, and a wrong clock."""

import json
import pathlib
import re
import time

import pytest

import lib
import standins
from sources import NO_KEYS, ROUTES, SOURCES, TROUBLE, Container, Imds, Role, WebIdentity, call, key_of, write


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


# -- each source


@pytest.mark.parametrize("kind", SOURCES, ids=lambda kind: kind.name)
def test_source_starts_serves_rotates_fails_and_recovers(kind, standin, start, endpoint, tmp_path):
    source = kind(standin, tmp_path)
    gateway = start(source.more, source.env)
    assert call(gateway).status == 200
    first = key_of(endpoint)
    assert gateway.line(outcome="ok")["identity"] == source.name
    assert first == standin.issuer.issued[-1][0]

    source.rotate()
    lib.eventually(lambda: call(gateway).status == 200 and key_of(endpoint) != first, 10, "another set")

    source.fail()
    gateway.diagnostic(10, topic="credentials", level="warning")
    lib.eventually(lambda: (response := call(gateway)).status == 503 and response.outcome == "no_credentials", 10, "its end")
    assert gateway.admin("/ready")[0] == 503

    source.mend()
    lib.eventually(lambda: call(gateway).status == 200, 10, "a new set")
    assert gateway.admin("/ready")[0] == 200
    assert all(seen.verdict == "ok" for seen in endpoint.requests)
    for _, secret, token in standin.issuer.issued:
        assert secret not in gateway.output() and token not in gateway.output()


def test_changed_shared_file_is_reread(start, endpoint, keys, tmp_path):
    issuer = standins.Issuer(keys, None, token=False)
    file = tmp_path / ".aws/credentials"

    def rotate():
        key_id, secret, *_ = issuer.issue()
        write(file, f"[default]\naws_access_key_id={key_id}\naws_secret_access_key={secret} ; mine\n")
    rotate()
    gateway = start("")
    assert call(gateway).status == 200
    assert gateway.line(outcome="ok")["identity"] == "profile"
    rotate()
    lib.eventually(lambda: call(gateway).status == 200 and key_of(endpoint) == issuer.issued[1][0], 5, "the second")
    file.unlink()
    gateway.diagnostic(5, level="warning", topic="credentials")
    assert call(gateway).status == 200  # it never expires
    rotate()
    lib.eventually(lambda: call(gateway).status == 200 and key_of(endpoint) == issuer.issued[2][0], 5, "the third")


# -- STS


def test_role_chain_follows_the_profiles(standin, start, endpoint, tmp_path):
    source = Role(standin, tmp_path)
    standin.issuer.life = 3600
    gateway = start(source.more, source.env)
    assert call(gateway).status == 200
    inner, outer = standin.asked
    base, first, second = standin.issuer.issued
    assert inner.form["RoleArn"].endswith("-inner") and outer.form["RoleArn"].endswith("-outer")
    assert f"Credential={base[0]}/" in inner.headers["authorization"]
    assert "/us-east-1/sts/aws4_request" in inner.headers["authorization"]
    assert inner.headers["x-amz-security-token"] == base[2]
    assert f"Credential={first[0]}/" in outer.headers["authorization"]
    assert outer.form["ExternalId"] == "ext/1" and outer.form["DurationSeconds"] == "900"
    assert outer.form["RoleSessionName"] == "n" * 64
    assert inner.form["RoleSessionName"].startswith("sagegate-")
    assert key_of(endpoint) == second[0]


def test_identities_sign_for_their_upstreams_and_unused_ones_are_not_fetched(
        standin, start_gateway, endpoint, ca_file, tmp_path):
    config = f"""
listen: [{{ address: "@LISTEN@" }}]
region: us-east-1
credentials: {{ source: env }}
identities:
  emea:
    assume_role:
      role_arn: {standins.ROLE_ARN}
      external_id: x
      session_name: "gate way"
      source_identity: jane
      duration: 30m
      tags: {{ team: "a b" }}
  idle: {{ assume_role: {{ role_arn: {standins.ROLE_ARN}-idle }} }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
upstreams:
  emea: {{ identity: emea, endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
  idle: {{ identity: idle, endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
routes:
  - {{ name: own, match: {{ path: /own }}, endpoint: echo }}
  - {{ name: theirs, match: {{ path: /theirs }}, upstream: emea, endpoint: echo }}
"""
    gateway = start_gateway(config, head=False, env={"AWS_ENDPOINT_URL_STS": standin.url, "HOME": str(tmp_path)})
    assert gateway.call("/own").status == 200
    assert key_of(endpoint) == lib.ACCESS_KEY
    assert gateway.line(route="own")["identity"] == "env"
    assert gateway.call("/theirs").status == 200
    assert key_of(endpoint) == standin.issuer.issued[0][0]
    assert gateway.line(route="theirs")["identity"] == "emea"
    assert len(standin.asked) == 1
    assert standin.asked[0].form == {
        "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": standins.ROLE_ARN, "ExternalId": "x",
        "RoleSessionName": "gate-way", "SourceIdentity": "jane", "DurationSeconds": "1800",
        "Tags.member.1.Key": "team", "Tags.member.1.Value": "a b"}


def test_route_has_its_own_identity_and_session(standin, start_gateway, endpoint, ca_file, tmp_path):
    config = f"""
listen: [{{ address: "@LISTEN@" }}]
health: {{ address: "@HEALTH@" }}
region: us-east-1
credentials: {{ source: env }}
identities:
  emea: {{ assume_role: {{ role_arn: {standins.ROLE_ARN}, session_name: "${{env.WHO}} ${{route}}" }} }}
  apac: {{ assume_role: {{ role_arn: {standins.ROLE_ARN}-apac }} }}
  idle: {{ assume_role: {{ role_arn: {standins.ROLE_ARN}-idle, session_name: "${{route}}" }} }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}", identity: emea }}
upstreams:
  other: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}", identity: idle }}
routes:
  - {{ name: one, match: {{ path: /one }}, endpoint: echo }}
  - {{ name: {'t' * 64}, match: {{ path: /two }}, endpoint: echo }}
  - {{ name: three, match: {{ path: /three }}, endpoint: echo, identity: apac }}
  - {{ name: four, match: {{ path: /four }}, endpoint: echo, identity: default, upstream: other }}
  - {{ name: ping, match: {{ path: /ping }}, operation: ping, upstream: other }}
"""
    env = {"AWS_ENDPOINT_URL_STS": standin.url, "HOME": str(tmp_path), "WHO": "team/a"}
    gateway = start_gateway(config, head=False, env=env)
    seen = {}
    for path in ("/one", "/two", "/three", "/four", "/one"):
        assert gateway.call(path).status == 200
        seen[path] = key_of(endpoint)
    assert seen["/four"] == lib.ACCESS_KEY and len(set(seen.values())) == 4
    asked = [(one.form["RoleArn"].rpartition("role/")[2], one.form["RoleSessionName"]) for one in standin.asked]
    asked.sort()
    assert asked[:2] == [("infer", "team-a-one"), ("infer", ("team-a-" + "t" * 64)[:64])]
    assert len(asked) == 3 and asked[2][0] == "infer-apac" and asked[2][1].startswith("sagegate-")
    for route, identity in (("one", "emea"), ("t" * 64, "emea"), ("three", "apac"), ("four", "env")):
        assert gateway.line(route=route)["identity"] == identity
    doctor = lib.run("doctor", "-c", gateway.config_file, env=env)
    assert "ok   credentials  emea/team-a-one: assume_role, key id" in doctor.stdout
    assert doctor.stdout.count("credentials  ") == 4 and "idle" not in doctor.stdout.partition("upstream  ")[0]


def test_readiness_requires_every_identity_in_use(standin, start_gateway, endpoint, ca_file, tmp_path):
    standin.fault = "denied"
    config = f"""
listen: [{{ address: "@LISTEN@" }}]
admin: {{ address: "@ADMIN@" }}
region: us-east-1
credentials: {{ source: env }}
identities: {{ emea: {{ assume_role: {{ role_arn: {standins.ROLE_ARN}, session_name: "s-${{route}}" }} }} }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
routes:
  - {{ name: one, match: {{ path: /one }}, endpoint: echo }}
  - {{ name: two, match: {{ path: /two }}, endpoint: echo, identity: emea }}
"""
    gateway = start_gateway(config, head=False, env={"AWS_ENDPOINT_URL_STS": standin.url, "HOME": str(tmp_path)})
    gateway.allow_warnings(TROUBLE)
    assert gateway.call("/one").status == 200
    assert gateway.call("/two").outcome == "no_credentials"
    status, body = gateway.admin("/ready")
    assert status == 503 and b"identity emea/s-two: " in body and b"AccessDenied" in body
    standin.fault = None
    lib.eventually(lambda: gateway.admin("/ready")[0] == 200, 10, "readiness")
    assert gateway.call("/two").status == 200


def test_sts_is_called_through_the_environment_proxy(keys, start, endpoint, ca_file, tmp_path):
    token = write(tmp_path / "token", "web-token-EXAMPLE")
    with standins.StandIn(keys, tls=True, names=["sts.us-east-1.amazonaws.com"]) as standin, \
            standins.Proxy(standin.server.server_address) as proxy:
        standin.web_token = "web-token-EXAMPLE"
        gateway = start("", {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": standins.ROLE_ARN,
                             "AWS_CA_BUNDLE": str(ca_file), "HTTPS_PROXY": proxy.url.replace("//", "//me:pw@")})
        assert call(gateway).status == 200
        assert proxy.asked == ["sts.us-east-1.amazonaws.com:443"]
        assert "Proxy-Authorization: Basic bWU6cHc=" in proxy.heads[0]
        assert "web-token-EXAMPLE" not in gateway.output()


def test_imds_and_container_sources_bypass_proxies(standin, start, tmp_path):
    source = Container(standin, tmp_path)
    gateway = start(source.more, {**source.env, "HTTPS_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1",
                                  "http_proxy": "http://127.0.0.1:1"})
    assert call(gateway).status == 200


def test_unresolvable_name_is_reported(start, tmp_path):
    """The lookup and everything it opened end in the resolver's own callback."""
    token = write(tmp_path / "token", "web-token-EXAMPLE")
    gateway = start("", {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": standins.ROLE_ARN,
                         "AWS_ENDPOINT_URL_STS": "https://sts.invalid"})
    gateway.diagnostic(20, topic="credentials", message="sts.invalid: arn:aws:iam::111122223333:role/infer: DNS lookup failed")
    assert call(gateway).outcome == "no_credentials"


# -- precedence, and forbidden addresses


def test_failing_source_does_not_fall_through_to_imds(standin, start, tmp_path):
    source = WebIdentity(standin, tmp_path)
    standin.web_token = "another"
    gateway = start(f'credentials: {{ imds_endpoint: "{standin.url}" }}',
                    {**source.env, "AWS_EC2_METADATA_DISABLED": None})
    response = call(gateway)
    assert response.status == 503 and response.outcome == "no_credentials"
    assert "InvalidIdentityToken" in gateway.diagnostic(topic="credentials")["message"]
    assert standin.count("/latest/") == 0
    assert "web-token-EXAMPLE" not in gateway.output()


@pytest.mark.parametrize("uri, part", [
    ("http://example.com/x", "must use https://: plain http"),
    ("http://169.254.170.3/x", "must use https://: plain http"),
    ("ftp://127.0.0.1/x", "must begin with https:// or http://"),
    ("http://127.0.0.1:1/a b", "path is malformed"),
], ids=["name", "address", "scheme", "path"])
def test_forbidden_container_address_is_rejected(start, uri, part):
    gateway = start("", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri})
    assert part in gateway.diagnostic(topic="credentials")["message"]
    assert call(gateway).outcome == "no_credentials"


def test_token_with_control_characters_is_rejected_and_not_shown(standin, start, tmp_path):
    source = Container(standin, tmp_path)
    write(source.token, "bearer\x01EXAMPLE")
    gateway = start(source.more, source.env)
    assert "control characters" in gateway.diagnostic(topic="credentials")["message"]
    assert "EXAMPLE" not in gateway.output()
    assert standin.asked == []


@pytest.mark.parametrize("fault, part", [
    (503, "HTTP status 503: Broken: on command"),
    ("stall", "no response within"),
    ("cut", "truncated"),
    ("garbage", "not well-formed HTTP/1.1"),
    ("huge", "larger than 64 KiB"),
    ("endless", "no response within"),
    ("redirect", "HTTP status 302"),
    ("expired", "returned expired credentials"),
    ("denied", "HTTP status 401: AccessDenied: the token is not right"),
])
def test_container_provider_failures_are_reported_and_recovered(standin, start, tmp_path, fault, part):
    source = Container(standin, tmp_path)
    standin.fault = fault
    gateway = start(source.more, source.env)
    assert part in gateway.diagnostic(10, topic="credentials", level="warning")["message"]
    standin.fault = None
    lib.eventually(lambda: call(gateway).status == 200, 10, "a set")


def test_imds_v1_is_used_only_if_enabled(standin, start, tmp_path):
    source = Imds(standin, tmp_path)
    standin.v2 = False
    gateway = start(source.more, source.env)
    assert "HTTP status 404" in gateway.diagnostic(5, topic="credentials", level="warning")["message"]
    gateway = start(source.more.replace(" }", ", imds_v1: true }"), source.env)
    lib.eventually(lambda: call(gateway).status == 200, 5, "a set")


def test_expired_imds_session_is_renewed(standin, start, tmp_path):
    source = Imds(standin, tmp_path)
    real, calls = standin.session_tokens, []

    class Once(set):
        def __contains__(self, token):
            calls.append(token)
            return len(calls) > 1 and token in real

        def add(self, token):
            real.add(token)
    standin.session_tokens = Once()
    gateway = start(source.more, source.env)
    lib.eventually(lambda: call(gateway).status == 200, 5, "a set")
    assert "HTTP status 401" not in gateway.output()


@pytest.fixture
def by_instance(endpoint, ca_file, tmp_path):
    """A configuration whose region comes from IMDS, as text and as a file, and its environment."""
    def make(imds, more=""):
        text = f"""
listen: [{{ address: "@LISTEN@" }}]
region: imds
credentials: {{ imds_endpoint: "{imds}"{more} }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
""" + ROUTES
        file = tmp_path / "sagegate.yaml"
        file.write_text(text.replace("@LISTEN@", "127.0.0.1:0"))
        return text, file, {**NO_KEYS, "AWS_EC2_METADATA_DISABLED": None, "HOME": str(tmp_path)}
    return make


@pytest.mark.parametrize("imds_v1", [False, True])
def test_empty_imds_token_is_rejected_for_keys_and_region(
        standin, start, by_instance, imds_v1):
    """An error of version 2 is not a sign that version 1 is wanted, so no request goes without a token."""
    standin.empty_token = True
    more = ", imds_v1: true" if imds_v1 else ""
    gateway = start(f'credentials: {{ imds_endpoint: "{standin.url}"{more} }}', {"AWS_EC2_METADATA_DISABLED": None})
    fault = "session token is empty or contains control characters"
    assert fault in gateway.diagnostic(5, topic="credentials", level="warning")["message"]
    _, file, env = by_instance(standin.url, more)
    for command in ("run", "doctor"):
        done = lib.run(command, "-c", file, env=env)
        assert done.returncode == 1 and "region: imds: " in done.stderr and fault in done.stderr, done.stderr
    assert {asked.method for asked in standin.asked} == {"PUT"}


def test_region_from_imds_v1_only_if_enabled(standin, start_gateway, by_instance):
    standin.v2 = False
    _, file, env = by_instance(standin.url)
    done = lib.run("run", "-c", file, env=env)
    assert done.returncode == 1 and "cannot get a session token: HTTP status 404" in done.stderr
    assert standin.count("/latest/meta-data/") == 0
    text, _, env = by_instance(standin.url, ", imds_v1: true")
    gateway = start_gateway(text, head=False, env=env)
    lib.eventually(lambda: call(gateway).status == 200, 5, "a set")
    assert gateway.line(outcome="ok")["region"] == "us-east-1"


def test_invalid_imds_region_is_rejected(standin, by_instance):
    standin.fault = (200, "no region")
    _, file, env = by_instance(standin.url)
    done = lib.run("run", "-c", file, env=env)
    assert done.returncode == 1 and "imds: returned an invalid region" in done.stderr


def test_imds_over_tls(keys, by_instance, ca_file):
    with standins.StandIn(keys, tls=True) as standin:
        _, file, env = by_instance(standin.url)
        done = lib.run("doctor", "-c", file,
                       env={**env, "AWS_CA_BUNDLE": str(ca_file), "AWS_ENDPOINT_URL_STS": standin.url})
    assert "ok   credentials  default: imds, key id ..." in done.stdout and ", region us-east-1" in done.stdout, done


def test_imds_timeout_error_names_the_hop_limit(standin, start, tmp_path):
    source = Imds(standin, tmp_path)
    standin.fault = "stall"
    gateway = start(source.more, source.env)
    assert "hop limit" in gateway.diagnostic(5, topic="credentials", level="warning")["message"]


@pytest.mark.parametrize("script, part", [
    ("sleep 100", None),
    ("head -c 100000 /dev/zero", "printed more than 65536 bytes"),
    ("kill -9 $$", "killed by signal 9"),
    ("echo '{}'; exit 3", "exited with status 3"),
    ("echo '{\"Version\": 2}'", "Version must be 1"),
    ("exec >&-; sleep 0.1; exit 0", "truncated JSON"),
], ids=["hangs", "floods", "dies", "fails", "wrong version", "silent"])
def test_process_failures_are_reported(start, tmp_path, script, part):
    helper = write(tmp_path / "helper", f"#!/bin/bash\n{script}\n")
    helper.chmod(0o700)
    gateway = start(f'credentials: {{ source: process, process: "{helper}", wait: 200ms }}')
    response = call(gateway)
    assert response.status == 503 and response.outcome == "no_credentials"
    if part:
        assert part in gateway.diagnostic(5, topic="credentials", level="warning")["message"]
    gateway.stop()
    assert [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if str(helper).encode() in read(path)] == []


def test_process_that_leaves_a_child_counts_as_ended(standin, start, endpoint, tmp_path):
    """The child keeps the output open; the printed credentials count immediately, and the child is killed."""
    held = write(tmp_path / "set", standin.issuer.document("SessionToken", Version=1) + " " * 60000)
    child = write(tmp_path / "child", "#!/bin/sh\nsleep 100\n")
    child.chmod(0o700)
    helper = write(tmp_path / "helper", f"#!/bin/sh\n{child} &\ncat {held}\n")
    helper.chmod(0o700)
    gateway = start(f'credentials: {{ source: process, process: "{helper}" }}')
    lib.eventually(lambda: call(gateway).status == 200, 10, "a set")

    def is_left():
        return [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if str(child).encode() in read(path)]
    lib.eventually(lambda: not is_left(), 5, "the child's end")


# -- the region


def test_region_from_imds_and_profile(standin, start_gateway, endpoint, ca_file, tmp_path):
    head = """
listen: [{{ address: "@LISTEN@" }}]
{more}
upstream: {{ endpoint_url: "{url}", ca_file: "{ca}" }}
"""
    env = {"HOME": str(tmp_path)}
    write(tmp_path / ".aws/config", "[default]\nregion = us-east-1\n")
    for more in (f'region: imds\ncredentials: {{ imds_endpoint: "{standin.url}" }}', ""):
        text = head.format(more=more, url=endpoint.url, ca=ca_file) + ROUTES
        gateway = start_gateway(text, head=False, env=env)
        assert call(gateway).status == 200
        assert gateway.line(outcome="ok")["region"] == "us-east-1"
    standin.fault = 500
    text = head.format(more=f'region: imds\ncredentials: {{ imds_endpoint: "{standin.url}" }}', url=endpoint.url,
                       ca=ca_file) + ROUTES
    file = tmp_path / "sagegate.yaml"
    file.write_text(text.replace("@LISTEN@", "127.0.0.1:0"))
    done = lib.run("run", "-c", file, env=env)
    assert done.returncode == 1 and "region: imds: " in done.stderr and "HTTP status 500" in done.stderr


def test_profile_and_environment_configure_imds_for_the_region(
        standin, start_gateway, endpoint, ca_file, tmp_path):
    write(tmp_path / ".aws/config", f"[profile here]\nec2_metadata_service_endpoint = {standin.url}\n")
    text = f"""
listen: [{{ address: "@LISTEN@" }}]
region: imds
credentials: {{ source: env, profile: here }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
""" + ROUTES
    env = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": None}
    gateway = start_gateway(text, head=False, env=env)
    assert call(gateway).status == 200
    assert standin.count("/latest/meta-data/placement/region") == 1
    file = tmp_path / "sagegate.yaml"
    file.write_text(text.replace("@LISTEN@", "127.0.0.1:0"))
    done = lib.run("run", "-c", file, env={**env, "AWS_EC2_METADATA_DISABLED": "true"})
    assert done.returncode == 1 and "region: imds: AWS_EC2_METADATA_DISABLED is true" in done.stderr
    assert standin.count("/latest/meta-data/placement/region") == 1


# -- waiting


def test_request_waits_for_first_fetch_up_to_limit(standin, start, tmp_path):
    source = Container(standin, tmp_path)
    standin.fault = "stall"
    gateway = start("credentials: { source: container, wait: 300ms }", source.env)
    begun = time.monotonic()
    response = call(gateway)
    assert response.outcome == "no_credentials" and response.header("Retry-After") == "5"
    assert 0.25 < time.monotonic() - begun < 1.5
    standin.fault = None
    lib.eventually(lambda: call(gateway).status == 200, 10, "a set")
    with gateway.caller() as caller:  # a disconnect while waiting is harmless
        caller.ask("/call/echo", b"x")


def test_client_disconnect_while_waiting_is_harmless(standin, start, tmp_path):
    source = Container(standin, tmp_path)
    standin.fault = "stall"
    gateway = start("credentials: { source: container, wait: 30s }", source.env)
    callers = [gateway.caller() for _ in range(5)]
    for caller in callers:
        caller.ask("/call/echo", b"x")
    for caller in callers[:3]:
        caller.reset()
    standin.fault = None
    for caller in callers[3:]:
        assert caller.response().status in (200, 503)
        caller.close()
    lib.eventually(lambda: call(gateway).status == 200, 10, "a set")


def test_ready_without_credentials_if_configured(standin, start, tmp_path):
    source = Container(standin, tmp_path)
    standin.fault = 500
    gateway = start(source.more + "\nready_requires: listening", source.env)
    status, body = gateway.admin("/ready")
    assert status == 200 and b"no_credentials" in body
    gateway = start(source.more, source.env)
    assert gateway.admin("/ready")[0] == 503


# -- errors from AWS


@pytest.mark.parametrize("code", ["ExpiredTokenException", "ExpiredToken", "InvalidClientTokenId",
                                  "UnrecognizedClientException"])
def test_expired_token_error_refetches_and_signs_again(
        standin, start, endpoint, tmp_path, code):
    source = Container(standin, tmp_path)
    standin.issuer.life = 3600
    gateway = start(source.more, source.env)
    assert call(gateway).status == 200
    gateway.line(outcome="ok")
    first = key_of(endpoint)
    endpoint.next_fault(status=403, code=code, message="The security token included in the request is expired")
    response = gateway.call("/call/echo", b"b" * 100000)
    assert response.status == 200 and response.body == b"b" * 100000
    assert gateway.line()["attempts"] == 2
    assert key_of(endpoint) != first
    # A second rejection in a row does not trigger another fetch: the error goes to the client.
    endpoint.next_fault(status=403, code=code, message="expired")
    assert call(gateway).outcome == "access_denied"
    assert standin.count("/v1/") == 2


def test_static_keys_are_rejected_once(start, endpoint, keys):
    gateway = start("", {"AWS_ACCESS_KEY_ID": lib.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": lib.SECRET_KEY})
    endpoint.next_fault(status=403, code="InvalidClientTokenId", message="no")
    assert call(gateway).outcome == "access_denied"
    assert gateway.line()["attempts"] == 1


@pytest.mark.parametrize("skew_s", [-3600, 360])
def test_clock_offset_is_learned_and_dropped(start, endpoint, skew_s):
    gateway = start("", {"AWS_ACCESS_KEY_ID": lib.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": lib.SECRET_KEY})
    gateway.allow_warnings('"topic": "clock"', "signature")
    endpoint.strict = False
    endpoint.clock_skew_s = skew_s
    assert call(gateway).status == 200
    assert gateway.line()["attempts"] == 2
    told = re.search(r"clock is (-?\d+) s off", gateway.diagnostic(topic="clock", level="warning")["message"])
    assert abs(int(told[1]) + skew_s) <= 2
    assert call(gateway).status == 200
    assert gateway.line()["attempts"] == 1
    endpoint.clock_skew_s = 0
    assert call(gateway).status == 200  # its Date is correct again, but the check used the old offset
    gateway.diagnostic(topic="clock", level="info")
    assert call(gateway).status == 200


def test_no_clock_offset_over_plaintext(start_gateway, tmp_path):
    from tests.endpoint import Endpoint
    with Endpoint() as plain:
        plain.clock_skew_s = -3600
        config = f"""
listen: [{{ address: "@LISTEN@" }}]
region: us-east-1
credentials: {{ source: env }}
upstream: {{ endpoint_url: "{plain.url}" }}
""" + ROUTES
        gateway = start_gateway(config, head=False)
        gateway.allow_warnings("signature")
        assert call(gateway).outcome == "access_denied"
        assert gateway.line()["attempts"] == 1


def test_rejected_signature_is_reported_with_its_cause(start, endpoint, keys):
    """A secret that does not match the key id; private data of the request is not logged."""
    endpoint.strict = False
    gateway = start("", {"AWS_ACCESS_KEY_ID": lib.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": "another-secret-EXAMPLE"})
    response = gateway.call("/call/echo", b"x", [("X-Amzn-SageMaker-Custom-Attributes", "private-EXAMPLE")])
    assert response.outcome == "access_denied" and response.status == 502
    assert "does not belong to the access key id" in gateway.diagnostic(topic="signature")["message"]
    assert "EXAMPLE" not in gateway.output()


# -- secrets


def test_no_output_contains_a_secret(standin, start, endpoint, tmp_path):
    """Every source, working and broken, and all output: access lines, diagnostics, /ready, responses, check, doctor."""
    said = []
    for kind in SOURCES:
        directory = tmp_path / kind.name
        directory.mkdir()
        standin.bearer = None
        source = kind(standin, directory)
        gateway = start(source.more + "\nlog: { level: debug }", {**source.env, "HOME": str(directory)})
        response = call(gateway)
        assert response.status == 200
        endpoint.next_fault(status=403, code="ExpiredTokenException", message="expired")
        said += [response.head, response.body, call(gateway).head, gateway.admin("/ready")[1]]
        source.fail()
        doctor = lib.run("doctor", "-c", gateway.config_file, env={**NO_KEYS, "HOME": str(directory), **source.env})
        printed = lib.run("check", "-c", gateway.config_file, "--print", env={"HOME": str(directory)})
        source.mend()
        gateway.stop()
        said += [doctor.stdout, doctor.stderr, printed.stdout, gateway.output(), json.dumps(gateway.lines)]
    text = "\n".join(one.decode() if isinstance(one, bytes) else one for one in said)
    secrets = {secret for issued in standin.issuer.issued for secret in issued[1:] if secret}
    secrets |= {"bearer-EXAMPLE", "web-token-EXAMPLE", "sso-bearer-EXAMPLE", *standin.session_tokens}
    assert len(secrets) > 20 and [secret for secret in secrets if secret in text] == []
