"""Small requests keep their latency while bodies of 25 MiB pass through the same worker; probes keep theirs during a
flood of clients, and clients theirs while the metrics page is not read."""

import contextlib
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time

import pytest
from lib import ROOT, Broken, Caller, eventually

MIB = 1024 * 1024
CONFIG = """
limits: {{ body_bytes: 512MiB }}
upstreams:
  far: {{ endpoint_url: "{url}" }}
routes:
  - name: small
    match: {{ path: "/small/{{endpoint}}" }}
    endpoint: {{ value: "${{path.endpoint}}", allow: ["?*"] }}
  - name: large
    match: {{ path: "/large/{{endpoint}}" }}
    endpoint: {{ value: "${{path.endpoint}}", allow: ["?*"] }}
    upstream: far
"""


@contextlib.contextmanager
def endpoint_elsewhere(directory):
    """A SageMaker in its own process, so that large bodies do not slow down the one of the small requests."""
    ready = pathlib.Path(directory) / "ready"
    with subprocess.Popen([sys.executable, "-m", "tests.endpoint", "--listen", "127.0.0.1:0",
                           "--ready-file", ready], cwd=ROOT) as process:
        try:
            yield eventually(lambda: ready.exists() and ready.read_text().strip(), 15, "the other endpoint")
        finally:
            process.terminate()


def latencies(gateway, count):
    times = []
    with gateway.caller(timeout=30) as caller:
        for _ in range(count):
            began = time.monotonic()
            assert caller.call("/small/echo", b"s" * 1024).status == 200
            times.append(time.monotonic() - began)
            time.sleep(0.01)
    return times


def test_small_requests_beside_large_bodies(start_gateway, tmp_path):
    with endpoint_elsewhere(tmp_path) as url:
        gateway = start_gateway(CONFIG.format(url=url))
        stop, sent = threading.Event(), []

        def send():
            body = b"l" * (25 * MIB)
            while not stop.is_set():
                with gateway.caller(timeout=60) as caller, contextlib.suppress(Broken, OSError):
                    assert caller.call("/large/json", body).status == 200
                    sent.append(len(body))
        latencies(gateway, 20)
        alone = statistics.median(latencies(gateway, 60))
        senders = [threading.Thread(target=send, daemon=True) for _ in range(3)]
        for sender in senders:
            sender.start()
        eventually(lambda: sent, 30, "a large body has arrived")
        beside = statistics.median(latencies(gateway, 60))
        stop.set()
        for sender in senders:
            sender.join(60)
        assert len(sent) >= 2
        assert beside < 20 * alone + 0.2, f"{beside * 1000:.1f} ms beside them, {alone * 1000:.1f} ms alone"
        gateway.stop()


# -- clients and probes do not delay each other

PINGS = """
limits: {{ connections: 40 }}
routes:
{routes}
"""


def pings(count):
    return PINGS.format(routes="".join(f'  - {{ name: r{n}, match: {{ path: /r{n}, methods: [GET, POST] }}, '
                                       f'operation: ping }}\n' for n in range(count)))


def probe(gateway):
    """Returns the longest duration of several probes, on new connections and on a kept one."""
    longest = 0.0
    address = ("127.0.0.1", gateway.health_port)
    with Caller(address) as kept:
        for _ in range(15):
            for path in ("/live", "/ready"):
                began = time.monotonic()
                with Caller(address) as fresh:
                    assert fresh.call(path, method="GET").status == 200
                assert kept.call(path, method="GET").status == 200
                longest = max(longest, time.monotonic() - began)
    return longest


@pytest.mark.threads
def test_client_flood_does_not_delay_probes(start_gateway):
    """More connections than the limit, with requests on all of them as fast as possible."""
    gateway = start_gateway(pings(1))
    gateway.allow_warnings("limits.connections", "lines were dropped")
    stop = threading.Event()

    def flood():
        with contextlib.suppress(Broken, OSError), gateway.caller(timeout=1) as caller:
            while not stop.is_set():
                caller.send(b"GET /r0 HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
                for _ in range(200):
                    caller.response()
    waiting = [gateway.caller() for _ in range(60)]
    floods = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
    for caller in waiting[:30]:
        caller.close()
    for thread in floods:
        thread.start()
    longest = probe(gateway)
    stop.set()
    for caller in waiting[30:]:
        caller.close()
    for thread in floods:
        thread.join(30)
    assert longest < 3, f"a probe took {longest:.2f} s"


@pytest.mark.threads
def test_descriptor_exhaustion_does_not_delay_probes(start_gateway):
    gateway = start_gateway(pings(1).replace("connections: 40", "connections: 500"))
    gateway.allow_warnings("cannot accept", "descriptors")
    used = len(list(pathlib.Path(f"/proc/{gateway.process.pid}/fd").iterdir()))
    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
    callers = [gateway.caller() for _ in range(60)]
    gateway.diagnostic(topic="listener", message="cannot accept")
    assert probe(gateway) < 3
    for caller in callers:
        caller.close()
    eventually(lambda: gateway.call("/r0", method="GET").status == 200)


@pytest.mark.threads
def test_unread_metrics_do_not_delay_clients(start_gateway):
    """A page that the kernel does not buffer completely. At most four are held; later clients get theirs."""
    gateway = start_gateway(pings(500))
    with gateway.caller() as caller:
        for n in range(500):
            assert caller.call(f"/r{n}", method="GET").status == 200
    address = ("127.0.0.1", gateway.admin_port)
    with Caller(address) as caller:
        size = len(caller.call("/metrics", method="GET").body)
    assert size > 700_000  # the kernel holds REPLY_HIGH_WATERMARK and a window
    slow = []
    for _ in range(8):
        slow.append(Caller(address))
        slow[-1].sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow[-1].ask("/metrics", method="GET")
        slow[-1].buffer += slow[-1].sock.recv(100)  # it is in flight
    began = time.monotonic()
    for n in range(50):
        with gateway.caller() as caller:
            assert caller.call(f"/r{n}", method="GET").status == 200
    took = time.monotonic() - began
    assert probe(gateway) < 3 and took < 5
    whole = []
    for caller in slow:
        with contextlib.suppress(Broken), caller:
            whole.append(len(caller.response("GET").body) > size - 100)
    assert whole == [True] * 4, "the last four"
