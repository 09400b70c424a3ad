"""Small calls keep their latency while bodies of 25 MiB flow beside them, through one worker."""

import contextlib
import pathlib
import statistics
import subprocess
import sys
import threading
import time

from lib import ROOT, Broken, eventually

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
    """A SageMaker in a process of its own, so that large bodies do not slow down the one of the small calls."""
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


def test_small_calls_beside_large_bodies(start_gateway, tmp_path):
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
