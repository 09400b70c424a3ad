"""From start to exit: listening, health, draining, and the related commands."""

import json
import re
import signal
import socket
import stat
import subprocess
import time

import pytest
from lib import Broken, Caller, eventually, free_port, get, run

pytestmark = pytest.mark.threads
ONE = """
routes:
  - { name: only, match: { path: "/{endpoint}" }, endpoint: { value: "${path.endpoint}", allow: ["?*"] } }
"""


def test_sigterm_stops_an_idle_gateway_at_once(start_gateway):
    gateway = start_gateway(ONE)
    with gateway.caller() as idle:
        idle.call("/echo", b"x")
        began = time.monotonic()
        gateway.stop()
        assert time.monotonic() - began < 5
        assert idle.is_closed()


def test_sigterm_finishes_requests_in_flight(start_gateway, endpoint):
    gateway = start_gateway(ONE)
    responses = []
    with gateway.caller() as caller:
        caller.ask("/count-5-200", b"x")
        endpoint.wait_for(1)
        gateway.signal(signal.SIGTERM)
        responses.append(caller.response())
    assert responses[0].status == 200 and responses[0].body.endswith(b"part 5 of 5\n")
    gateway.stop()
    assert gateway.line(route="only")["outcome"] == "ok"


def test_unfinished_requests_are_cut_at_the_drain_limit(start_gateway, endpoint):
    gateway = start_gateway("drain: { limit: 500ms }\n" + ONE)
    gateway.allow_warnings("drain.limit")
    endpoint.next_fault(stall="body", framing="chunked", after=3)
    with gateway.caller() as caller:
        caller.ask("/echo", b"abcdef")
        endpoint.wait_for(lambda e: e.requests and e.requests[-1].sent == 3)
        began = time.monotonic()
        gateway.stop()
        assert 0.4 < time.monotonic() - began < 5
        with pytest.raises(Broken):
            caller.response()
    assert gateway.line(route="only")["outcome"] == "drain_cut"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_stops_immediately(start_gateway, endpoint, second):
    gateway = start_gateway(ONE)
    endpoint.next_fault(stall="head")
    with gateway.caller() as caller:
        caller.ask("/echo", b"x")
        endpoint.wait_for(1)
        gateway.signal(signal.SIGTERM)
        time.sleep(0.3)
        gateway.signal(second)
        time.sleep(0.9)
        assert gateway.process.poll() is None, "within a second it counts as the first signal again"
        gateway.signal(second)
        gateway.process.wait(3)
    gateway.allow_warnings("second signal")
    gateway.stop(expect=1)


@pytest.mark.parametrize("signals", [
    (signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM),
    (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGINT)])
def test_signals_sent_twice_at_once_still_drain(start_gateway, endpoint, signals):
    """coreutils' timeout signals the program and then its own group: the second signal arrives at any moment while the
    first one is handled, so several pauses are tried."""
    for number, pause in enumerate((0, 0.0005, 0.002, 0.01), start=1):
        gateway = start_gateway(ONE)
        with gateway.caller() as caller:
            caller.ask("/count-5-50", b"x")
            endpoint.wait_for(number)
            for each in signals:
                gateway.signal(each)
                time.sleep(pause)
            assert caller.response().body.endswith(b"part 5 of 5\n")
        gateway.stop()
        assert gateway.line(route="only")["outcome"] == "ok"


def test_coreutils_timeout_stops_cleanly(start_gateway):
    """It forwards SIGTERM to the program and then to its group, which includes the program: 3 of 16 runs exited with 1
    when the second one counted at once."""
    gateway = start_gateway("drain: { delay: 20ms }\n" + ONE)
    gateway.stop()
    for _ in range(30):
        with subprocess.Popen(["timeout", "--preserve-status", "60", *gateway.process.args], env=gateway.env,
                              cwd=gateway.directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as sender:
            while "serving: " not in (line := sender.stderr.readline()):
                assert line, "it exited before it served"
            sender.send_signal(signal.SIGTERM)
            told = sender.stderr.read()
        assert sender.returncode == 0 and "exiting at once" not in told, told


def test_live_and_ready_with_reasons(start_gateway):
    gateway = start_gateway(ONE)
    for port in (gateway.admin_port, gateway.health_port):
        assert get(("127.0.0.1", port), "/live")[0] == 200
        status, body = get(("127.0.0.1", port), "/ready")
        assert status == 200 and isinstance(json.loads(body), dict)
        assert get(("127.0.0.1", port), "/nothing")[0] == 404
    assert get(("127.0.0.1", gateway.health_port), "/live", "POST")[0] in (404, 405)


def test_not_ready_while_draining(start_gateway, endpoint):
    gateway = start_gateway(ONE)
    endpoint.next_fault(delay_ms=1500)
    with gateway.caller() as caller:
        caller.ask("/echo", b"x")
        endpoint.wait_for(1)
        gateway.signal(signal.SIGTERM)

        def draining():
            status, body = get(("127.0.0.1", gateway.health_port), "/ready")
            return status == 503 and "drain" in body.decode()
        eventually(draining, 1.2, "/ready tells that it drains")
        assert get(("127.0.0.1", gateway.health_port), "/live")[0] == 200
        assert caller.response().body == b"x"


def test_ipv6(start_gateway):
    if not socket.has_ipv6 or not _has_loopback6():
        pytest.skip("this machine has no ::1")
    gateway = start_gateway(ONE, address="::1")
    assert gateway.call("/echo", b"six").body == b"six"
    assert "::1" in gateway.line()["client"]


def _has_loopback6():
    try:
        free_port("::1")
        return True
    except OSError:
        return False


@pytest.fixture
def rest(endpoint, ca_file):
    """A whole configuration except its listeners."""
    return f"""
region: us-east-1
credentials: {{ source: env }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
""" + ONE


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_unix_socket_with_its_mode(start_gateway, rest, mode):
    listen = f'listen: [{{ address: "@LISTEN@" }}, {{ address: "unix:@DIR@/s", mode: "{mode}" }}]'
    gateway = start_gateway(listen + rest, head=False)
    path = gateway.directory / "s"
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
    with Caller(path) as caller:
        assert caller.call("/echo", b"unix").body == b"unix"
    gateway.stop()
    assert not path.exists()


def test_stale_unix_socket_is_replaced(start_gateway, rest, tmp_path):
    path = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    start_gateway(f'listen: [{{ address: "@LISTEN@" }}, {{ address: "unix:{path}" }}]' + rest, head=False)
    with Caller(path) as caller:
        assert caller.call("/echo", b"unix").body == b"unix"


def test_non_loopback_listener_warns(start_gateway, rest):
    gateway = start_gateway(f'listen: [{{ address: "@LISTEN@" }}, {{ address: "0.0.0.0:{free_port()}" }}]' + rest,
                            head=False)
    gateway.allow_warnings("0\\.0\\.0\\.0")
    assert "0.0.0.0" in gateway.diagnostic(level="warning")["message"]


def test_port_in_use_is_one_line(start_gateway, rest, tmp_path):
    first = start_gateway(ONE)
    file = tmp_path / "second.yaml"
    file.write_text(f'listen: [{{ address: "127.0.0.1:{first.port}" }}]' + rest)
    done = run("run", "-c", file)
    assert done.returncode == 1
    assert f"127.0.0.1:{first.port}" in done.stderr and "in use" in done.stderr


def test_invalid_file_does_not_start(tmp_path):
    file = tmp_path / "broken.yaml"
    file.write_text("listne: []\nroutes: [{ name: a, match: { path: /a }, endpoint: e, retries: 3 }]\n")
    done = run("run", "-c", file)
    assert done.returncode == 1
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["topic"], line["level"], line["file"]) for line in told] == [("config", "error", str(file))] * len(told)
    assert any(line["line"] == 1 and line["column"] == 1 and re.search("listne.*listen", line["message"])
               for line in told), told
    assert any(line["line"] == 2 and "retries" in line["message"] for line in told), told
    done = run("run", "--endpoint", "e e", "--region", "us-east-1")
    told = json.loads(done.stderr)
    assert (done.returncode, told["topic"]) == (1, "config") and "file" in told and "line" not in told


def test_without_a_file(start_gateway, endpoint, ca_file):
    gateway = start_gateway(None, head=False, arguments=[
        "run", "--endpoint", "json", "--listen", "@LISTEN@", "--region", "us-east-1",
        "--set", f"upstream.endpoint_url={endpoint.url}", "--set", f"upstream.ca_file={ca_file}"])
    response = gateway.call("/any/path/at/all", b"x")
    assert (response.status, response.json()["endpoint"]) == (200, "json")
    assert gateway.line()["outcome"] == "ok"


def test_without_a_file_from_environment(start_gateway, endpoint, ca_file):
    gateway = start_gateway(None, head=False, arguments=[
        "run", "--listen", "@LISTEN@",
        "--set", f"upstream.endpoint_url={endpoint.url}", "--set", f"upstream.ca_file={ca_file}"],
        env={"SAGEGATE_ENDPOINT": "json", "AWS_REGION": "us-east-1"})
    assert gateway.call("/", b"x").json()["verdict"] == "ok"


def test_probe(start_gateway):
    gateway = start_gateway(ONE)
    assert run("probe", f"127.0.0.1:{gateway.health_port}/ready").returncode == 0
    assert run("probe", f"127.0.0.1:{gateway.health_port}/live").returncode == 0
    assert run("probe", f"127.0.0.1:{gateway.health_port}/nothing").returncode == 1
    assert run("probe", f"127.0.0.1:{free_port()}").returncode == 1


def test_version_and_help():
    done = run("version")
    assert done.returncode == 0 and "sagegate" in done.stdout and "openssl" in done.stdout
    for command in ("run", "check", "explain", "sign", "probe", "version"):
        done = run(command, "--help")
        assert done.returncode == 0 and command in done.stdout, command
    assert run("nonsense").returncode != 0
    assert run().returncode != 0
