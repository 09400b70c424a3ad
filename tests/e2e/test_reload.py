"""SIGHUP: a new configuration under load; new requests use the new one, requests in flight finish with the old one."""

import http.client
import json
import os
import resource
import signal
import threading

import pytest
import trustme
from conftest import HEAD
from lib import ACCESS_KEY, SECRET_KEY, eventually, run
from standins import LivingKeys, StandIn
from test_listener_tls import context

pytestmark = pytest.mark.threads


def route(name, path, endpoint, more=""):
    return f'  - {{ name: {name}, match: {{ path: "{path}" }}, endpoint: {endpoint}{more} }}\n'


ONE = "routes:\n" + route("one", "/one", "echo")
TWO = "routes:\n" + route("one", "/one", "echo") + route("two", "/two", "echo")


@pytest.fixture
def reload(endpoint, ca_file):
    """reload(gateway, text): writes the text after the usual head, and waits until it is active or rejected."""
    def act(gateway, text, refused=False, url=None, ca=None):
        text = HEAD.format(url=url or endpoint.url, ca=ca or ca_file) + text
        gateway.config_file.write_text(gateway._fill(text))
        again(gateway, refused)

    return act


def again(gateway, refused=False):
    said = "reload failed, the current configuration stays active" if refused else "switched to the new configuration"
    if refused:
        gateway.allow_warnings('"topic": "reload"')
    before = sum(said in line["message"] for line in gateway.diagnostics)
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: sum(said in line["message"] for line in gateway.diagnostics) > before, 10, said)


def test_reload_adds_and_keeps_routes(start_gateway, reload):
    gateway = start_gateway("workers: 2\n" + ONE)
    with gateway.caller() as kept:
        assert kept.call("/two").status == 404
        reload(gateway, "workers: 2\n" + TWO)
        assert kept.call("/two").status == 200
        assert kept.call("/one").status == 200, "the client's connection survives it"
        reload(gateway, "workers: 2\n" + ONE)
        assert kept.call("/two").status == 404


def test_invalid_configuration_changes_nothing(start_gateway, reload):
    gateway = start_gateway(ONE)
    reload(gateway, "routse: []\n" + TWO.replace("endpoint: echo", "endpont: echo"), refused=True)
    assert gateway.call("/one").status == 200 and gateway.call("/two").status == 404
    misspelt = gateway.diagnostic(topic="reload", level="error", message="routse: ")
    assert misspelt["file"] == str(gateway.config_file) and misspelt["line"] > 1
    gateway.diagnostic(topic="reload", level="error", message="did you mean endpoint")
    assert json.loads(gateway.admin("/ready")[1])["ready"] is True
    gateway.config_file.unlink()
    again(gateway, refused=True)
    assert gateway.call("/one").status == 200


def test_unreadable_ca_bundle_changes_nothing(start_gateway, reload, tmp_path):
    gateway = start_gateway(ONE)
    (tmp_path / "empty.pem").write_text("")
    reload(gateway, TWO, refused=True, ca=tmp_path / "empty.pem")
    assert gateway.call("/one").status == 200 and gateway.call("/two").status == 404


def test_requests_in_flight_keep_their_configuration(start_gateway, endpoint, reload):
    gateway = start_gateway("routes:\n" + route("old", "/count", "count-5-300"))
    with gateway.caller() as caller:
        caller.ask("/count", b"x")
        endpoint.wait_for(1)
        reload(gateway, "limits: { concurrency: 1 }\nroutes:\n" + route("new", "/count", "echo"))
        reload(gateway, "limits: { concurrency: 9 }\nroutes:\n" + route("new", "/count", "echo"))
        assert gateway.call("/count", b"now").body == b"now"
        response = caller.response()
        assert response.status == 200 and response.body.endswith(b"part 5 of 5\n")
        assert caller.call("/count", b"then").body == b"then"
    assert gateway.line(route="old")["outcome"] == "ok"
    assert gateway.line(route="new")["outcome"] == "ok"


def test_many_reloads_under_load_lose_no_request(start_gateway, reload):
    gateway = start_gateway("workers: 2\n" + ONE)
    stop, failed, served = threading.Event(), [], [0] * 4

    def call_on(index):
        while not stop.is_set():
            with gateway.caller() as caller:
                for _ in range(20):
                    response = caller.call("/one", b"body")
                    served[index] += 1
                    if (response.status, response.body) != (200, b"body"):
                        failed.append(response)

    threads = [threading.Thread(target=call_on, args=(i,)) for i in range(len(served))]
    for thread in threads:
        thread.start()
    for number in range(12):
        reload(gateway, "workers: 2\n" + (ONE if number % 2 else TWO))
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed and min(served) > 0


def test_old_configurations_are_freed(start_gateway, endpoint, reload):
    gateway = start_gateway("pool: { warm: 1 }\n" + ONE)
    eventually(lambda: len(endpoint.open) == 1, 5)
    for _ in range(5):
        gateway.call("/one", b"x")
        again(gateway)
    eventually(lambda: len(endpoint.open) == 1, 5, "the old ones' connections are closed")


def test_too_many_configurations_in_use(start_gateway, endpoint, reload):
    gateway = start_gateway(ONE)
    callers = []
    for number in range(8):
        endpoint.next_fault(stall="head")
        callers.append(gateway.caller())
        callers[-1].ask("/one", b"x")
        endpoint.wait_for(number + 1)
        again(gateway, refused=number == 7)
    for caller in callers:
        caller.close()
    gateway.diagnostic(topic="reload", message="each of the last 8 configurations still has requests in flight")
    for _ in callers:
        gateway.line(outcome="client_gone")
    eventually(lambda: again(gateway) is None, 5)


def test_settings_that_need_a_restart_are_reported(start_gateway, reload, endpoint, ca_file):
    gateway = start_gateway(ONE)
    gateway.allow_warnings("restart sagegate to apply it")
    reload(gateway, "workers: 2\naccess_log: false\n" + TWO)
    for key in ("workers", "access_log"):
        gateway.diagnostic(topic="reload", level="warning", message=f"{key} has changed")
    assert gateway.call("/two").status == 200
    assert gateway.line(route="two")["outcome"] == "ok"


def test_rotated_ca_bundle_is_reloaded(start_gateway, endpoint, reload, tmp_path):
    """The file has another CA by now; the running gateway still has the old one in memory."""
    bundle = tmp_path / "bundle.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    gateway = start_gateway(ONE, ca=bundle)
    assert gateway.call("/one").outcome == "tls_failed"
    endpoint.ca_file(bundle)
    gateway.allow_warnings("tls_failed")
    again(gateway)
    assert gateway.call("/one").status == 200


def test_listener_certificate_is_reloaded(start_gateway, endpoint, ca_file, tmp_path):
    def write_pair():
        authority = trustme.CA()
        pair = authority.issue_cert("localhost", "127.0.0.1")
        pair.private_key_pem.write_to_path(tmp_path / "key.pem")
        (tmp_path / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in pair.cert_chain_pems))
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    write_pair()
    gateway = start_gateway(f"""
workers: 2
listen: [{{ address: "@LISTEN@", tls: {{ certificate_file: "{tmp_path}/chain.pem", key_file: "{tmp_path}/key.pem" }} }}]
region: us-east-1
credentials: {{ source: env }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
""" + ONE, head=False)

    def call():
        connection = http.client.HTTPSConnection("localhost", gateway.port, context=context(tmp_path), timeout=10)
        connection.request("POST", "/one", b"x")
        return connection, connection.getresponse().read()

    kept, body = call()
    assert body == b"x"
    write_pair()
    again(gateway)
    assert call()[1] == b"x", "by the new authority"
    kept.request("POST", "/one", b"y")
    assert kept.getresponse().read() == b"y", "a connection with the old certificate continues"
    (tmp_path / "key.pem").write_text("no key")
    again(gateway, refused=True)
    assert call()[1] == b"x"


def test_credentials_survive_a_reload_while_their_source_is_down(start_gateway, endpoint, ca_file):
    endpoint.keys = LivingKeys(endpoint.keys)
    with StandIn(endpoint.keys) as broker:
        uri = broker.url + "/v1/credentials"
        head = HEAD.format(url=endpoint.url, ca=ca_file).replace("source: env", "source: container")
        gateway = start_gateway(head + "ready_requires: credentials\n" + ONE, head=False,
                                env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri})
        assert gateway.call("/one").status == 200
        broker.fault = 500
        gateway.allow_warnings('"topic": "credentials"')
        gateway.config_file.write_text(gateway._fill(head + "ready_requires: credentials\n" + TWO))
        again(gateway)
        for _ in range(5):
            assert gateway.call("/two").status == 200
        assert gateway.admin("/ready")[0] == 200
        gateway.diagnostic(topic="credentials", message="container")


def test_limits_are_reloaded(start_gateway, endpoint, reload):
    gateway = start_gateway("limits: { concurrency: 1 }\n" + ONE)
    endpoint.next_fault(stall="head")
    with gateway.caller() as first:
        first.ask("/one", b"x")
        endpoint.wait_for(1)
        assert gateway.call("/one").outcome == "busy"
        reload(gateway, "limits: { concurrency: 2, head_bytes: 4KiB }\n" + ONE)
        assert gateway.call("/one").status == 200
        assert gateway.call("/one", headers=[("X-Long", "x" * 5000)]).status == 431


def test_larger_head_limit_applies_to_new_connections(start_gateway, reload):
    gateway = start_gateway("limits: { head_bytes: 4KiB }\n" + ONE)
    long = [("X-Long", "x" * 30000)]
    with gateway.caller() as kept:
        assert kept.call("/one").status == 200
        reload(gateway, "limits: { head_bytes: 64KiB }\n" + ONE)
        assert gateway.call("/one", headers=long).status == 200
        assert kept.call("/one", headers=long).status == 431


def test_queued_requests_continue_after_a_reload(start_gateway, endpoint, reload):
    gateway = start_gateway("limits: { concurrency: 1 }\nroutes:\n" + route("one", "/one", "echo", ", wait_for: 20s"))
    endpoint.next_fault(stall="head")
    with gateway.caller() as first, gateway.caller() as second:
        first.ask("/one", b"x")
        endpoint.wait_for(1)
        second.ask("/one", b"second")
        reload(gateway, TWO)
        first.close()
        assert second.response().body == b"second"


def test_sighup_while_draining_is_ignored(start_gateway, endpoint):
    gateway = start_gateway("drain: { delay: 1s }\n" + ONE)
    gateway.signal(signal.SIGTERM)
    gateway.diagnostic(topic="drain", message="draining")
    gateway.process.send_signal(signal.SIGHUP)
    gateway.stop()
    assert not any(line["topic"] == "reload" for line in gateway.diagnostics)


def test_reload_without_a_file_keeps_the_flags(start_gateway, endpoint, ca_file):
    gateway = start_gateway(None, arguments=["run", "--endpoint", "echo", "--listen", "@LISTEN@", "--region",
                                             "us-east-1", "--set", f"upstream.endpoint_url={endpoint.url}",
                                             "--set", f"upstream.ca_file={ca_file}"])
    assert gateway.call("/", b"x").body == b"x"
    again(gateway)
    assert gateway.call("/", b"y").body == b"y"


def post(gateway, path="/reload", port=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port or gateway.admin_port, timeout=10)
    connection.request("POST", path, headers=headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_reload_by_the_admin_listener(start_gateway, endpoint, ca_file):
    gateway = start_gateway(ONE)
    head = HEAD.format(url=endpoint.url, ca=ca_file)
    gateway.config_file.write_text(gateway._fill(head + TWO))
    assert post(gateway) == (200, {"reloaded": True, "reasons": []})
    assert gateway.call("/two").status == 200
    gateway.allow_warnings('"topic": "reload"')
    gateway.config_file.write_text(gateway._fill(head + "routse: []\n" + TWO))
    status, response = post(gateway)
    assert status == 422 and response["reloaded"] is False
    assert response["reasons"][0]["code"] == "error" and "sagegate.yaml:" in response["reasons"][0]["message"]
    assert response["reasons"][-1] == {"code": "refused", "message": "the configuration has errors"}
    assert gateway.call("/two").status == 200


def test_only_the_admin_listener_reloads(start_gateway):
    gateway = start_gateway(ONE)
    assert gateway.admin("/reload")[0] == 405
    assert post(gateway, port=gateway.health_port)[0] == 404
    assert post(gateway, Origin="https://evil.example")[0] == 403
    assert post(gateway, "/live")[0] == 405
    assert not any(line["topic"] == "reload" for line in gateway.diagnostics)


def test_reloads_leak_no_descriptors(start_gateway):
    gateway = start_gateway(ONE)

    def open_now():
        return len(os.listdir(f"/proc/{gateway.process.pid}/fd"))

    def act():
        gateway.call("/one", b"x")
        again(gateway)

    for _ in range(3):
        act()
    before = open_now()
    for _ in range(8):
        act()
    eventually(lambda: open_now() <= before, 10, "no more descriptors are open than after the first reloads")


def test_queued_requests_start_when_the_limit_is_raised(start_gateway, endpoint, reload):
    waits = "routes:\n" + route("one", "/one", "echo", ", wait_for: 20s")
    gateway = start_gateway("limits: { concurrency: 1 }\n" + waits)
    endpoint.next_fault(stall="head")
    with gateway.caller() as stalled, gateway.caller(timeout=10) as waiting:
        stalled.ask("/one", b"x")
        endpoint.wait_for(1)
        waiting.ask("/one", b"y")
        eventually(lambda: b"sagegate_waiting_requests 1" in gateway.admin("/metrics")[1], 5)
        reload(gateway, "limits: { concurrency: 2 }\n" + waits)
        assert waiting.response().body == b"y"


def test_connection_limit_changes_under_load(start_gateway, reload):
    def text(number):
        return f"workers: 4\nlimits: {{ connections: {3 + number % 2} }}\n" + ONE

    gateway = start_gateway(text(0))
    gateway.allow_warnings("is reached: new connections wait")
    stop, failed = threading.Event(), []

    def call():
        while not stop.is_set():
            if gateway.call("/nowhere").status != 404:
                failed.append(1)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(30):
        reload(gateway, text(number))
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert gateway.call("/one", b"x").body == b"x"


def test_new_secret_for_the_same_key_id_is_used(start_gateway, endpoint, reload, tmp_path):
    endpoint.strict = False

    def text(secret):
        file = tmp_path / f"{secret[:4]}.json"
        file.write_text(json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": secret}))
        file.chmod(0o600)
        return f'identities: {{ own: {{ source: static, file: "{file}" }} }}\n' + \
            "routes:\n" + route("one", "/one", "echo", ", identity: own")

    gateway = start_gateway(text("mistyped" * 5))
    gateway.allow_warnings("the secret access key does not belong to the access key id")
    assert gateway.call("/one", b"x").status == 502
    reload(gateway, text(SECRET_KEY))
    assert gateway.call("/one", b"x").status == 200


def test_route_limit_counts_across_a_reload(start_gateway, endpoint, reload):
    limited = "routes:\n" + route("one", "/one", "echo", ", concurrency: 1")
    gateway = start_gateway(limited)
    endpoint.next_fault(stall="head")
    with gateway.caller() as first:
        first.ask("/one", b"x")
        endpoint.wait_for(1)
        reload(gateway, limited)
        assert gateway.call("/one").outcome == "busy"
        reload(gateway, limited.replace("concurrency: 1", "concurrency: 2"))
        assert gateway.call("/one").status == 200


def test_descriptor_exhaustion_keeps_the_configuration(start_gateway):
    gateway = start_gateway(ONE)
    assert gateway.call("/one").status == 200
    gateway.allow_warnings("cannot accept")  # not even one for a liveness probe
    soft, hard = resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (3, hard))
    again(gateway, refused=True)
    gateway.diagnostic(topic="reload", message="Too many open files")
    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
    again(gateway)
    assert gateway.process.poll() is None


TLS = ', tls: { certificate_file: "@DIR@/chain.pem", key_file: "@DIR@/key.pem" }'


def test_reload_neither_adds_nor_removes_tls(start_gateway, endpoint, ca_file):
    text = """
listen: [{ address: "@LISTEN@"@TLS@ }]
region: us-east-1
credentials: { source: env }
upstream: { endpoint_url: "%s", ca_file: "%s" }
""" % (endpoint.url, ca_file) + ONE
    gateway = start_gateway(text.replace("@TLS@", ""), head=False)
    pair = trustme.CA().issue_cert("localhost")
    pair.private_key_pem.write_to_path(gateway.directory / "key.pem")
    pair.cert_chain_pems[0].write_to_path(gateway.directory / "chain.pem")
    gateway.config_file.write_text(gateway._fill(text.replace("@TLS@", TLS)))
    again(gateway, refused=True)
    gateway.diagnostic(topic="reload", message="cannot turn TLS on or off by reload")
    assert gateway.call("/one").status == 200


def test_listeners_with_equal_addresses_keep_their_certificates(start_gateway, endpoint, ca_file, tmp_path):
    """Both at port 0, plain and TLS: the second one's files are used."""
    (tmp_path / "two.yaml").write_text(f"""
listen: [{{ address: "127.0.0.1:0" }}, {{ address: "127.0.0.1:0", tls: {{ certificate_file: /nowhere, key_file: /nowhere }} }}]
region: us-east-1
credentials: {{ source: env }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
""" + ONE)
    done = run("run", "-c", tmp_path / "two.yaml")
    assert done.returncode == 1 and "/nowhere" in done.stderr


def test_reload_response_lists_settings_that_need_a_restart(start_gateway, endpoint, ca_file):
    gateway = start_gateway(ONE)
    gateway.allow_warnings("to apply it")
    gateway.config_file.write_text(gateway._fill(HEAD.format(url=endpoint.url, ca=ca_file) + "workers: 3\n" + ONE))
    status, response = post(gateway)
    assert status == 200 and response["reasons"][0]["message"].startswith("workers has changed")
