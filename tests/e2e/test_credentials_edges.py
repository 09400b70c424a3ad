"""Edge cases of credentials: many rejections at once, clocks, credentials that expire soon, default AWS addresses."""

import concurrent.futures
import ctypes
import re
import subprocess
import threading
import time

import pytest

import lib
import standins
from sources import HEAD, NO_KEYS, ROUTES, Container, Role, Static, WebIdentity, call, key_of, write
from test_upstream import Server, read_head, relay

CLONE_NEWNET = 0x40000000


# -- errors from AWS


@pytest.mark.threads
def test_many_rejections_cause_one_fetch(standin, start, endpoint, tmp_path):
    """A hundred clients use credentials that AWS no longer accepts: one fetch, and each request is signed once more."""
    source = Container(standin, tmp_path)
    standin.issuer.life = 3600
    gateway = start(source.more + "\nworkers: 2", source.env)
    assert call(gateway).status == 200
    endpoint.strict = False
    standin.delay_s = 0.3
    del standin.issuer.keys[standin.issuer.issued[0][0]]
    callers = [gateway.caller() for _ in range(100)]
    for caller in callers:
        caller.ask("/call/echo", b"x" * 1000)
    responses = [caller.response() for caller in callers]
    for caller in callers:
        caller.close()
    assert [(response.status, response.outcome) for response in responses if response.status != 200] == []
    assert standin.count("/v1/") == 2
    lib.eventually(lambda: len(gateway.lines) >= 101, 10, "the lines")
    attempts = [line["attempts"] for line in gateway.lines]
    assert set(attempts) <= {1, 2} and attempts.count(2) > 10, attempts
    assert len(endpoint.requests) <= 201


# -- waiting


def held_helper(standin, directory):
    """The command of a source that prints credentials; if the file `hold` exists, it first waits for `go`."""
    helper = write(directory / "helper", f"""#!/usr/bin/python3
import json, pathlib, time, urllib.request
here = pathlib.Path("{directory}")
if (here / "hold").exists():
    (here / "asked").touch()
    while not (here / "go").exists():
        time.sleep(0.02)
set_ = json.load(urllib.request.urlopen("{standin.url}/process"))
print(json.dumps({{"Version": 1, "AccessKeyId": set_["AccessKeyId"], "SecretAccessKey": set_["SecretAccessKey"],
                   "SessionToken": set_["Token"], "Expiration": set_["Expiration"]}}))
""")
    helper.chmod(0o700)
    return helper


def test_credentials_expiring_during_connect_are_awaited(standin, start_gateway, endpoint, ca_file, tmp_path):
    """Also beyond the connect timeout, which no longer applies."""
    standin.issuer.life = 4
    connected = threading.Event()

    def connect_late(sock, _):
        read_head(sock)
        connected.wait(30)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        relay(sock, endpoint.port)
    more = f'credentials: {{ source: process, process: "{held_helper(standin, tmp_path)}", wait: 20s }}'
    with Server(connect_late) as proxy:
        through = f'{ca_file}", proxy: "http://127.0.0.1:{proxy.port}'
        text = HEAD.format(url=endpoint.url, ca=through, more=more) + ROUTES + "    timeouts: { connect: 4s }\n"
        gateway = start_gateway(text, head=False, env={**NO_KEYS, "HOME": str(tmp_path)})
        lib.eventually(lambda: gateway.admin("/ready")[0] == 200, 10, "the first set")
        (tmp_path / "hold").touch()
        lib.eventually((tmp_path / "asked").exists, 10, "a renewal")
        with gateway.caller() as caller:
            begun = time.monotonic()
            caller.ask("/call/echo", b"hello")
            lib.eventually(lambda: proxy.count == 1, 2, "a connection")
            time.sleep(max(0, standin.issuer.keys.until[standin.issuer.issued[-1][0]] - time.time()) + 0.2)
            connected.set()
            time.sleep(max(0, begun + 4.5 - time.monotonic()))
            (tmp_path / "go").touch()
            assert caller.response().status == 200
        line = gateway.line()
        assert line["outcome"] == "ok" and line["attempts"] == 1 and line["credentials_us"] > 1_000_000


# -- clocks


def test_clock_offset_is_learned_from_sts(keys, start, endpoint, ca_file, tmp_path):
    """AWS is an hour behind: STS rejects the first signature and accepts the second; SageMaker then accepts the
    first."""
    endpoint.strict = False
    endpoint.clock_skew_s = -3600
    with standins.StandIn(keys, tls=True) as standin:
        standin.clock_skew_s = -3600
        source = Role(standin, tmp_path)
        standin.issuer.life = 7200
        gateway = start(source.more, {**source.env, "AWS_CA_BUNDLE": str(ca_file)})
        assert call(gateway).status == 200
        assert gateway.line()["attempts"] == 1
        assert standin.count("AssumeRole") == 3
        told = gateway.diagnostic(topic="credentials", level="warning", message="this machine's clock is")["message"]
        assert re.search(r"profile: sts: localhost:\d+ rejected .* clock is (3599|3600|3601) s off", told), told
        endpoint.clock_skew_s = 0
        assert call(gateway).status == 200
        gateway.diagnostic(topic="clock", level="info")


@pytest.mark.parametrize("skew_s", [-3600, 3600], ids=["machine ahead", "machine behind"])
def test_credentials_are_renewed_by_aws_time(skew_s, keys, start, endpoint, ca_file, tmp_path):
    """Credentials of six seconds, by a clock that is an hour off the machine's: each is renewed once before it
    expires."""
    endpoint.strict = False
    endpoint.clock_skew_s = skew_s
    with standins.StandIn(keys, tls=True) as standin:
        standin.clock_skew_s = standin.issuer.clock_skew_s = skew_s
        source = Role(standin, tmp_path)
        standin.issuer.life = 6
        gateway = start(source.more, {**source.env, "AWS_CA_BUNDLE": str(ca_file)})
        for _ in range(24):
            assert call(gateway).status == 200
            time.sleep(0.5)
        assert 6 <= standin.count("AssumeRole") <= 15  # two per renewal, and one rejected
        gateway.diagnostic(topic="credentials", level="warning", message="this machine's clock is")


def test_sts_reveals_a_corrected_clock(keys, start, endpoint, ca_file, tmp_path):
    """By the old offset, all new credentials seem expired, so no request is sent whose response could correct it."""
    endpoint.strict = False
    with standins.StandIn(keys, tls=True) as standin:
        endpoint.clock_skew_s = standin.clock_skew_s = standin.issuer.clock_skew_s = 3600
        source = WebIdentity(standin, tmp_path)
        standin.issuer.life = 6
        gateway = start(source.more, {**source.env, "AWS_CA_BUNDLE": str(ca_file)})
        gateway.allow_warnings('"topic": "clock"')
        assert call(gateway).status == 200  # the offset is learned
        endpoint.clock_skew_s = standin.clock_skew_s = standin.issuer.clock_skew_s = 0
        standin.issuer.life = 600
        time.sleep(8)
        assert call(gateway).status == 200
        gateway.diagnostic(topic="credentials", message="agrees with STS's again")


def test_offset_is_dropped_after_a_clock_step(standin, start, endpoint, shim, tmp_path):
    """The machine is an hour behind AWS and is then corrected: by the old offset all new credentials would seem
    expired, and no server that is called reports the time."""
    endpoint.strict = False
    endpoint.clock_skew_s = standin.issuer.clock_skew_s = 3600
    standin.issuer.life = 1200
    source = Container(standin, tmp_path)
    hosts, set_by = write(tmp_path / "hosts", "localhost 127.0.0.1\n"), tmp_path / "set"
    gateway = start(source.more, {**source.env, "LD_PRELOAD": str(shim), "SHIM_HOSTS": str(hosts), "SHIM_SET": str(set_by),
                                  "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"})
    gateway.allow_warnings('"topic": "clock"')
    assert call(gateway).status == 200
    gateway.diagnostic(topic="clock", level="warning")
    write(set_by, "3600")
    gateway.diagnostic(10, topic="credentials", message="clock was set forward by 3")
    lib.eventually(lambda: call(gateway).status == 200, 10, "a call")


def test_no_clock_offset_from_plaintext_sts(standin, start, tmp_path):
    standin.clock_skew_s = -3600
    source = Role(standin, tmp_path)
    gateway = start(source.more, source.env)
    assert "SignatureDoesNotMatch" in gateway.diagnostic(5, topic="credentials", level="warning")["message"]
    assert call(gateway).outcome == "no_credentials"


# -- a provider with several nodes


def test_stale_credentials_do_not_replace_longer_lived_ones(standin, start, endpoint, tmp_path):
    """Any other credentials are better than those that AWS rejects."""
    source = Container(standin, tmp_path)
    standin.issuer.life = 8
    gateway = start(source.more, source.env)
    gateway.allow_warnings("expired")
    assert call(gateway).status == 200
    standin.issuer.life = 2
    issued = standin.issuer.issued
    lib.eventually(lambda: len(issued) == 2, 10, "a renewal")
    for _ in range(10):
        assert call(gateway).status == 200 and key_of(endpoint) == issued[0][0]
        time.sleep(0.03)
    standin.issuer.life = 600
    lib.eventually(lambda: call(gateway).status == 200 and key_of(endpoint) != issued[0][0], 10, "one that lasts longer")
    assert key_of(endpoint) == issued[2][0]
    standin.issuer.life = 60
    endpoint.next_fault(status=403, code="ExpiredTokenException", message="expired")
    assert call(gateway).status == 200
    assert key_of(endpoint) == issued[3][0]


# -- readiness


@pytest.mark.parametrize("life, requires, ready", [
    (9, "credentials", 503), (9, "listening", 200), (600, "credentials", 200)])
def test_unrenewable_credentials_near_expiration_are_not_ready(standin, start, tmp_path, life, requires, ready):
    """Requests continue until the expiration: clients of /ready have time to route elsewhere."""
    source = Static(standin, tmp_path)
    standin.issuer.life = life
    source.rotate()
    gateway = start(source.more + f"\nready_requires: {requires}", source.env)
    source.fail()
    gateway.diagnostic(5, topic="credentials", level="warning", message="truncated JSON")
    assert call(gateway).status == 200
    status, body = gateway.admin("/ready")
    assert status == ready
    assert (b"no_credentials" in body) == (life == 9)


# -- addresses


def run_in_a_network_of_its_own(address, function):
    """Runs in a thread whose loopback has the address: sockets and threads of the function are there."""
    def inside():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare: a network of its own needs root")
        plain = ["nodad"] if ":" in address else []
        for words in (["link", "set", "lo", "up"], ["addr", "add", address, "dev", "lo", *plain]):
            subprocess.run(["ip", *words], check=True)
        return function()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(inside).result()


@pytest.mark.parametrize("address, path, env", [
    ("169.254.170.2", "/v2/credentials/abc?x=1", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/abc?x=1",
                                                 "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/not-this"}),
    ("169.254.170.23", "/v1/credentials", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}),
    ("fd00:ec2::23", "/v1/credentials", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::23]/v1/credentials"}),
    ("169.254.169.254", "/latest/api/token", {"AWS_EC2_METADATA_DISABLED": None}),
    ("fd00:ec2::254", "/latest/api/token", {"AWS_EC2_METADATA_DISABLED": None,
                                            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}),
], ids=["ecs", "eks", "eks ipv6", "imds", "imds ipv6"])
def test_sources_at_default_addresses(address, path, env, tmp_path):
    file = tmp_path / "sagegate.yaml"
    file.write_text('region: us-east-1\nupstream: { endpoint_url: "http://127.0.0.1:1" }\n' + ROUTES)

    def look():
        with standins.StandIn(standins.LivingKeys(), address=(address, 80)) as standin:
            return standin, lib.run("doctor", "-c", file, env={
                **NO_KEYS, "HOME": str(tmp_path), "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1", **env})

    standin, done = run_in_a_network_of_its_own(f"{address}/{128 if ':' in address else 32}", look)
    assert "key id ...0001" in done.stdout, done.stdout + done.stderr
    assert standin.asked[0].path == path
    assert standin.asked[0].headers["host"] == (f"[{address}]" if ":" in address else address)
