"""The connection to SageMaker: names and addresses, kept connections, TLS resumption, proxies, certificates, early
responses."""

import datetime
import select
import socket
import ssl
import threading
import time

import pytest
from lib import eventually, free_port

from tests.endpoint import Endpoint
from tests.endpoint import certificates

ROUTE = """
routes:
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    timeouts: { connect: 1500ms, first_byte: 5s, idle: 5s, total: 20s }
"""


class Server:
    """A TCP server that handles each connection with `serve(socket, number)`."""

    def __init__(self, serve, address="127.0.0.1", port=0):
        self.serve, self.count, self.sockets, self.closing = serve, 0, [], False
        self.listener = socket.create_server((address, port), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            self.sockets.append(sock)
            threading.Thread(target=self._run, args=(sock, self.count), daemon=True).start()

    def _run(self, sock, number):
        try:
            self.serve(sock, number)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for sock in self.sockets:
            sock.close()


def relay(sock, port):
    """Forwards bytes in both directions until one side ends."""
    with socket.create_connection(("127.0.0.1", port)) as other:
        pair = {sock: other, other: sock}
        while True:
            for ready in select.select(list(pair), [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    sock.close()
                    return
                pair[ready].sendall(data)


def read_head(sock):
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(65536)
        if not data:
            break
        head += data
    return head


# -- names and addresses

@pytest.fixture
def names(shim, tmp_path, ca_file, start_gateway):
    """Simulated DNS: names.hosts(...) sets the addresses, names.pass_time(s) advances the clock."""
    class Names:
        env = {"LD_PRELOAD": str(shim), "SHIM_HOSTS": str(tmp_path / "hosts"), "SHIM_AHEAD": str(tmp_path / "ahead"),
               "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}
        ahead = 0

        def hosts(self, *lines):
            new = tmp_path / "hosts.new"
            new.write_text("".join(line + "\n" for line in lines))
            new.rename(tmp_path / "hosts")

        def pass_time(self, seconds):
            self.ahead += seconds
            new = tmp_path / "ahead.new"
            new.write_text(str(self.ahead))
            new.rename(tmp_path / "ahead")

        def gateway(self, endpoint, config=ROUTE):
            return start_gateway(config, url=f"https://runtime.test:{endpoint.port}", env=self.env)
    return Names()


@pytest.fixture(scope="module")
def named():
    """SageMaker under its own name."""
    with Endpoint(tls=True, names=("runtime.test",)) as endpoint:
        yield endpoint


def test_last_addresses_are_kept_when_dns_fails(names, named):
    names.hosts("runtime.test 127.0.0.1")
    gateway = names.gateway(named)
    assert gateway.call("/call/echo", b"good").body == b"good"
    names.hosts()
    names.pass_time(60)  # beyond the cache; kept connections are gone
    assert gateway.call("/call/echo", b"still").body == b"still"
    names.pass_time(3600)
    assert gateway.call("/call/echo", b"and still").body == b"and still"
    assert gateway.line(outcome="ok")


def test_failed_lookup_is_retried(names, named):
    names.hosts()
    gateway = names.gateway(named)
    gateway.allow_warnings("dns_failed")
    assert gateway.call("/call/echo", b"x").outcome == "dns_failed"
    names.hosts("runtime.test 127.0.0.1")
    assert gateway.call("/call/echo", b"now").body == b"now"


def test_new_address_is_used(names, named):
    names.hosts("runtime.test 127.0.0.77")
    gateway = names.gateway(named)
    gateway.allow_warnings("connect_failed")
    assert gateway.call("/call/echo", b"x").outcome == "connect_failed"
    names.hosts("runtime.test 127.0.0.1")
    names.pass_time(60)
    assert gateway.call("/call/echo", b"moved").body == b"moved"


def test_next_address_after_a_refused_connect(names, named):
    names.hosts("runtime.test 127.0.0.77", "runtime.test 127.0.0.1")
    gateway = names.gateway(named, "pool: { idle_max: 0 }\n" + ROUTE)
    for turn in range(4):
        assert gateway.call("/call/echo", b"%d" % turn).body == b"%d" % turn
        assert gateway.line(outcome="ok")["connect_us"] < 1_200_000


def test_next_address_after_a_silent_one(names, named):
    """It neither accepts nor responds; within a quarter of a second the next one is tried in parallel."""
    def silent():
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.78", named.port))
        sock.listen(0)
        full = []
        for _ in range(4):  # the queue is full: further SYNs are dropped
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.78", named.port))
            full.append(filler)
        return [sock, *full]
    held = silent()
    names.hosts("runtime.test 127.0.0.78", "runtime.test 127.0.0.1")
    gateway = names.gateway(named, "pool: { idle_max: 0 }\n" + ROUTE.replace("connect: 1500ms", "connect: 6s"))
    times = []
    for turn in range(4):
        began = time.monotonic()
        assert gateway.call("/call/echo", b"%d" % turn).body == b"%d" % turn
        times.append(time.monotonic() - began)
    assert max(times) < 5, times
    for sock in held:
        sock.close()


def test_addresses_rotate(names, named):
    """Two addresses, two servers: both are used."""
    with Server(lambda sock, _: relay(sock, named.port), "127.0.0.79", named.port) as other:
        names.hosts("runtime.test 127.0.0.1", "runtime.test 127.0.0.79")
        gateway = names.gateway(named, "pool: { idle_max: 0 }\n" + ROUTE)
        for turn in range(6):
            assert gateway.call("/call/echo", b"x").status == 200
        assert other.count == 3


# -- kept connections

def test_connections_are_kept_and_dropped_when_idle(start_gateway, endpoint):
    gateway = start_gateway("pool: { idle_timeout: 500ms }\n" + ROUTE)
    before = endpoint.connections
    for _ in range(5):
        gateway.call("/call/echo", b"x")
    assert endpoint.connections == before + 1
    eventually(lambda: not endpoint.open, 15, "the idle connection is closed")
    gateway.call("/call/echo", b"x")
    assert endpoint.connections == before + 2


def at_once(gateway, count, path="/call/echo"):
    callers = [gateway.caller() for _ in range(count)]
    for caller in callers:
        caller.ask(path, b"x")
    for caller in callers:
        assert caller.response().status == 200
        caller.close()


def test_idle_connections_are_limited(start_gateway, endpoint):
    gateway = start_gateway("pool: { idle_max: 2 }\n" + ROUTE)
    for _ in range(6):
        endpoint.next_fault(delay_ms=400)
    at_once(gateway, 6)
    eventually(lambda: len(endpoint.open) == 2, 15, "two connections are kept")


def test_old_connections_are_not_reused(start_gateway, endpoint):
    gateway = start_gateway("pool: { age_max: 1s }\n" + ROUTE)
    gateway.call("/call/echo", b"x")
    first = endpoint.requests[0].connection
    time.sleep(1.2)
    gateway.call("/call/echo", b"x")
    gateway.call("/call/echo", b"x")
    assert endpoint.requests[2].connection != first
    eventually(lambda: first not in endpoint.open, 15, "the old one is closed")


def test_warm_connections(start_gateway, endpoint):
    gateway = start_gateway("pool: { warm: 3 }\n" + ROUTE)
    eventually(lambda: len(endpoint.open) == 3, 10, "three connections are open")
    assert gateway.call("/call/echo", b"x").status == 200
    line = gateway.line()
    assert line["reused"] is False or line["connect_us"] == 0
    assert line["connect_us"] + line["tls_us"] == 0, "nothing to wait for"
    eventually(lambda: len(endpoint.open) >= 3, 10)
    dead = endpoint.cut_connections()
    eventually(lambda: len(endpoint.open_connections() - dead) == 3, 10, "closed connections are replaced")


@pytest.mark.parametrize("pool", ["idle_max: 1, warm: 3", "idle_max: 0, warm: 1"])
def test_more_warm_than_idle_max_does_not_loop(start_gateway, endpoint, pool):
    gateway = start_gateway(f"pool: {{ {pool} }}\n" + ROUTE)
    gateway.allow_warnings("warm")
    before = endpoint.connections
    time.sleep(1.5)
    assert endpoint.connections - before < 20


def test_warm_connections_closed_at_once_do_not_loop(start_gateway):
    context, shaken = certificates.context(["localhost"]), []

    def serve(sock, _):
        with context.wrap_socket(sock, server_side=True):
            shaken.append(1)
            time.sleep(0.02)
    with Server(serve) as server:
        start_gateway("pool: { warm: 2 }\n" + ROUTE, url=f"https://localhost:{server.port}")
        time.sleep(2)
        assert shaken, "the idle connection is closed, not the handshake"
        assert server.count < 20, f"{server.count} connections: a server that closes them is left alone for a while"


def test_concurrent_connects_are_limited(start_gateway, endpoint):
    state = {"now": 0, "most": 0}
    lock = threading.Lock()

    def serve(sock, _):
        with lock:
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
        time.sleep(0.15)  # each connect takes at least this long
        with lock:
            state["now"] -= 1
        relay(sock, endpoint.port)
    with Server(serve) as server:
        gateway = start_gateway("pool: { connects_max: 2 }\n" + ROUTE, url=f"https://localhost:{server.port}")
        endpoint.names.append("localhost")
        endpoint.strict = False  # the signature contains the relay's port
        callers = [gateway.caller() for _ in range(8)]
        for caller in callers:
            caller.ask("/call/echo", b"x")
        for caller in callers:
            caller.response()
            caller.close()
        assert state["most"] <= 2
        gateway.allow_warnings("upstream", "signature", "credentials")


def test_stale_connection_costs_one_retry(start_gateway, endpoint):
    gateway = start_gateway(ROUTE)
    gateway.allow_warnings("upstream")
    endpoint.next_fault(drop_next="reset")
    gateway.call("/call/echo", b"x")
    assert gateway.call("/call/echo", b"y").body == b"y"
    assert gateway.line(attempts=2)["outcome"] == "ok"
    endpoint.next_fault(drop_next="close")
    gateway.call("/call/echo", b"x")
    endpoint.next_fault("close:head")  # the new one fails as well
    response = gateway.call("/call/echo", b"y")
    assert (response.status, response.outcome) == (502, "bad_response")
    assert gateway.line(outcome="bad_response")["attempts"] == 2


# -- TLS

@pytest.mark.parametrize("version", ["tls1.2", "tls1.3"])
def test_sessions_are_resumed(start_gateway, version):
    with Endpoint(tls=version) as endpoint:
        gateway = start_gateway("pool: { idle_max: 0 }\n" + ROUTE, url=endpoint.url)
        for _ in range(5):
            assert gateway.call("/call/echo", b"x").status == 200
        resumed = [seen.resumed for seen in endpoint.requests]
        assert resumed[0] is False and all(resumed[1:]), resumed
        assert len({seen.connection for seen in endpoint.requests}) == 5


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("fault", ["wrong-name", "expired", "not-yet", "self-signed", "untrusted", "purpose"])
def test_wrong_certificate_gets_no_signed_request(start_gateway, fault, version):
    with Endpoint(tls=True if fault == "purpose" else fault) as endpoint:
        if fault == "purpose":
            endpoint._context = for_clients_only()
        endpoint._context.minimum_version = endpoint._context.maximum_version = version
        gateway = start_gateway(ROUTE, url=endpoint.url)
        gateway.allow_warnings("tls_failed")
        response = gateway.call("/call/echo", b"secret")
        assert (response.status, response.outcome) == (502, "tls_failed")
        assert endpoint.requests == []


def for_clients_only():
    """A context with a valid certificate that is meant for TLS clients."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    ca = certificates.authority()
    ca_key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.utcnow()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a client")]))
        .issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .sign(ca_key, hashes.SHA256()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates._load(context, key, certificate)
    return context


# -- a response before the body is sent

@pytest.mark.parametrize("tls", [False, True])
def test_early_413_is_reported(start_gateway, tls):
    """It responds and stops reading: the client gets that response, not an error about sending."""
    done = threading.Event()
    answered = b"HTTP/1.1 413 Payload Too Large\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\ntoo big"

    def serve(sock, _):
        if tls:
            sock = certificates.context(["localhost"]).wrap_socket(sock, server_side=True)
        read_head(sock)
        sock.sendall(answered)
        done.wait(10)
        sock.close()
    with Server(serve) as server:
        gateway = start_gateway(ROUTE, url=f"{'https' if tls else 'http'}://localhost:{server.port}")
        gateway.allow_warnings("http:// uses no certificates")
        began = time.monotonic()
        response = gateway.call("/call/echo", b"x" * 24_000_000)
        assert (response.status, response.outcome) == (413, "rejected")
        assert time.monotonic() - began < 4.5
        assert gateway.line(outcome="rejected")["attempts"] == 1
        done.set()


def test_first_byte_timeout_starts_after_a_slow_body(start_gateway):
    """Sending takes longer than timeouts.first_byte, so its timer expires while timeouts.idle still allows it."""
    def serve(sock, _):
        read_head(sock)
        time.sleep(0.6)  # more than the kernel buffers is still unsent
        while sock.recv(1 << 20):
            pass
    with Server(serve) as server:
        gateway = start_gateway(ROUTE.replace("first_byte: 5s, idle: 5s", "first_byte: 300ms, idle: 15s"),
                                url=f"http://127.0.0.1:{server.port}")
        gateway.allow_warnings("http:// uses no certificates")
        begun = time.monotonic()
        response = gateway.call("/call/a", b"x" * 24_000_000)
        assert (response.status, response.outcome) == (504, "first_byte_timeout")
        assert time.monotonic() - begun < 8
        assert gateway.line()["send_us"] > 300_000


# -- proxies

class Proxy(Server):
    """An HTTP proxy that supports CONNECT, or responds as `script` says: bytes, "close" or "stall"."""

    def __init__(self, port_behind, script=None):
        self.heads, self.script, self.behind = [], script, port_behind
        super().__init__(self._serve)

    def _serve(self, sock, _):
        self.heads.append(read_head(sock).decode())
        if self.script == "close":
            sock.close()
        elif self.script == "stall":
            time.sleep(30)
        elif self.script is not None:
            sock.sendall(self.script)
            time.sleep(0.3)
            sock.close()
        else:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")
            relay(sock, self.behind)


def through(proxy, credentials=""):
    return f"http://{credentials}127.0.0.1:{proxy.port}"


def start_behind(start_gateway, endpoint, ca_file, key="", env=None):
    head = f"""
listen: [{{ address: "@LISTEN@" }}]
region: us-east-1
credentials: {{ source: env }}
upstream: {{ endpoint_url: "https://runtime.test:{endpoint.port}", ca_file: "{ca_file}"{key} }}
"""
    return start_gateway(head + ROUTE, head=False, env=env)


def test_proxy_from_configuration(start_gateway, named, ca_file):
    named.clear()
    with Proxy(named.port) as proxy:
        gateway = start_behind(start_gateway, named, ca_file, f', proxy: "{through(proxy, "user:pass@")}"')
        for body in (b"one", b"two"):
            assert gateway.call("/call/echo", body).body == body
        head = proxy.heads[0].split("\r\n")
        assert head[0] == f"CONNECT runtime.test:{named.port} HTTP/1.1"
        assert f"Host: runtime.test:{named.port}" in head
        assert "Proxy-Authorization: Basic dXNlcjpwYXNz" in head
        assert len(proxy.heads) == 1, "the tunnel is kept"
        seen = named.requests[-1]
        assert (seen.verdict, seen.sni) == ("ok", "runtime.test"), "TLS and the signature are for SageMaker"
        assert not any("proxy" in name.lower() for name, _ in seen.headers)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_proxy_from_environment(start_gateway, named, ca_file, name):
    with Proxy(named.port) as proxy:
        gateway = start_behind(start_gateway, named, ca_file, env={name: through(proxy)})
        assert gateway.call("/call/echo", b"x").body == b"x"
        assert len(proxy.heads) == 1 and "Authorization" not in proxy.heads[0]


@pytest.mark.parametrize("exempt", ["runtime.test", ".test", "other.example, test", "*"])
def test_no_proxy_goes_direct(names, named, ca_file, start_gateway, exempt):
    names.hosts("runtime.test 127.0.0.1")
    with Proxy(named.port) as proxy:
        gateway = start_behind(start_gateway, named, ca_file,
                               env={**names.env, "HTTPS_PROXY": through(proxy), "NO_PROXY": exempt})
        assert gateway.call("/call/echo", b"x").body == b"x"
        assert proxy.heads == []


def test_none_in_the_file_overrides_the_environment(names, named, ca_file, start_gateway):
    names.hosts("runtime.test 127.0.0.1")
    with Proxy(named.port) as proxy:
        gateway = start_behind(start_gateway, named, ca_file, ", proxy: none",
                               env={**names.env, "HTTPS_PROXY": through(proxy)})
        assert gateway.call("/call/echo", b"x").body == b"x"
        assert proxy.heads == []


def test_loopback_needs_no_proxy(start_gateway, endpoint):
    with Proxy(endpoint.port) as proxy:
        gateway = start_gateway(ROUTE, env={"HTTPS_PROXY": through(proxy)})
        assert gateway.call("/call/echo", b"x").body == b"x"
        assert proxy.heads == []


REFUSALS = {
    "407": (b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nno.",
            502, "proxy_refused"),
    "502": (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", 502, "proxy_refused"),
    "garbage": (b"220 mail.example ESMTP\r\n\r\n", 502, "proxy_refused"),
    "an endless head": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, 502, "proxy_refused"),
    "more than a response": (b"HTTP/1.1 200 OK\r\n\r\nhello", 502, "proxy_refused"),
    "half a response": (b"HTTP/1.1 200 OK\r\nVia", 502, "proxy_refused"),
    "a hang-up": ("close", 502, "proxy_refused"),
    "silence": ("stall", 504, "connect_timeout"),
    "a hang-up behind 200": (b"HTTP/1.1 200 OK\r\n\r\n", 502, "tls_failed"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_proxy_rejects(start_gateway, named, ca_file, kind):
    script, status, outcome = REFUSALS[kind]
    named.clear()
    with Proxy(named.port, script) as proxy:
        gateway = start_behind(start_gateway, named, ca_file, f', proxy: "{through(proxy, "user:proxy-password@")}"')
        gateway.allow_warnings("upstream")
        response = gateway.call("/call/echo", b"x")
        assert (response.status, response.outcome) == (status, outcome)
        assert b"proxy-password" not in response.body
        assert named.requests == []
        proxy.script = None
        assert gateway.call("/call/echo", b"again").body == b"again"


def test_proxy_unreachable(start_gateway, named, ca_file):
    gateway = start_behind(start_gateway, named, ca_file, f', proxy: "http://127.0.0.1:{free_port()}"')
    gateway.allow_warnings("upstream")
    assert gateway.call("/call/echo", b"x").outcome == "connect_failed"
