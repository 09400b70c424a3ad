"""One run of the load with its results and costs, and a description of the machine."""

import contextlib
import json
import os
import pathlib
import platform
import re
import socket
import ssl
import subprocess
import time

from proxies import LOAD_CPU, Proxy, pinned

import lib

REPORT = pathlib.Path(__file__).with_name("report.lua")
WARM = (32, 256)  # upstream connections, few and many


def wrk(url, connections, seconds, body=1024, before=(), **environment):
    """wrk's figures: requests, us, p50_us, p99_us, errors."""
    done = subprocess.run([*before, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", REPORT, url],
                          capture_output=True, text=True, timeout=seconds + 20,
                          env={**os.environ, "BENCH_BODY": str(body), **environment})
    result = json.loads(re.search(r"RESULT (.*)|$", done.stdout)[1] or "null")
    assert result and result["requests"], done.stdout + done.stderr
    return {**result, "rps": result["requests"] * 1e6 / result["us"]}


def load(proxy, connections, seconds, path="/predict/fraud-1", body=1024):
    """wrk's results on the other core, and the resources that the proxy's processes used meanwhile."""
    before, begun = proxy.cpu_s(), time.monotonic()
    result = wrk(f"http://127.0.0.1:{proxy.port}{path}", connections, seconds, body, pinned(LOAD_CPU))
    wall, cpu = time.monotonic() - begun, proxy.cpu_s() - before
    assert result["errors"] == 0, f"{proxy.name}: {result}"
    return {**result, "cpu_us": cpu * 1e6 / result["requests"], "busy": cpu / wall}


def idle_connection_kib(directory, words):
    """Memory of an idle upstream TLS connection. Measured from few to many, so that one-time costs do not count."""
    rss = []
    for warm in WARM:
        with Proxy("sagegate", directory / f"warm-{warm}", words, warm) as proxy:
            lib.eventually(lambda: established(proxy) >= 2 * warm, 20, "warm connections")
            time.sleep(3)  # idle connections release their buffers
            rss.append(proxy.memory_kib()[0])
    return (rss[1] - rss[0]) / (2 * (WARM[1] - WARM[0]))


def established(proxy):
    """Returns the number of open sockets of all its processes, except listeners."""
    count = 0
    for pid in proxy.pids():
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                count += os.readlink(entry.path).startswith("socket:")
    return count - 1


def is_open(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"cpu": model[1] if model else platform.machine(), "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "openssl": ssl.OPENSSL_VERSION, "load": os.getloadavg()[0],
            "sagegate": subprocess.run([lib.BINARY, "version"], capture_output=True, text=True).stdout.split("\n")[0]}
