"""Several workers: connections are distributed evenly, limits apply to all of them together, and they stop together."""

import collections
import contextlib
import os
import pathlib
import threading
import time

import pytest
from lib import Caller, eventually

pytestmark = pytest.mark.threads
ROUTES = """
routes:
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
  - name: one
    match: { path: "/one/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    concurrency: 1
    wait_for: 20s
"""
FOUR = "workers: 4\n" + ROUTES


def sockets_by_loop(gateway):
    """Returns how many of the clients' sockets each event loop of the process watches."""
    process = pathlib.Path(f"/proc/{gateway.process.pid}")
    table = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
    ours = {f"socket:[{row[9]}]" for row in table
            if int(row[1].split(":")[1], 16) == gateway.port and row[3] == "01"}
    links = {}
    for entry in (process / "fd").iterdir():
        with contextlib.suppress(OSError):
            links[entry.name] = os.readlink(entry)
    counts = collections.Counter()
    for name, link in links.items():
        if link != "anon_inode:[eventpoll]":
            continue
        for line in (process / "fdinfo" / name).read_text().splitlines():
            if line.startswith("tfd:") and links.get(line.split()[1]) in ours:
                counts[name] += 1
    return sorted(counts.values())


@contextlib.contextmanager
def many(gateway, count):
    callers = [gateway.caller() for _ in range(count)]
    yield callers
    for caller in callers:
        caller.close()


def test_connections_are_spread_evenly(start_gateway):
    """Clients that keep their connections, some of them busy: distributed by count, not by chance."""
    gateway = start_gateway(FOUR)
    with many(gateway, 40) as callers:
        for caller in callers:
            assert caller.call("/call/echo", b"x").body == b"x"
        eventually(lambda: sockets_by_loop(gateway) == [10, 10, 10, 10], 3, "ten each")
        for caller in callers[:20]:
            caller.close()
        eventually(lambda: sum(sockets_by_loop(gateway)) == 20, 3, "twenty are left")
        with many(gateway, 20) as more:
            for caller in more:
                assert caller.call("/call/echo", b"y").body == b"y"
            eventually(lambda: sockets_by_loop(gateway) == [10, 10, 10, 10], 3, "the gaps are filled")


def test_burst_is_spread_evenly(start_gateway):
    """Connections that arrive faster than workers accept them are counted at once."""
    gateway = start_gateway(FOUR)
    with many(gateway, 64):
        eventually(lambda: sum(sockets_by_loop(gateway)) == 64, 3, "all are accepted")
        counts = sockets_by_loop(gateway)
        assert len(counts) == 4 and counts[-1] - counts[0] <= 4, counts


def test_all_workers_serve(start_gateway, endpoint):
    gateway = start_gateway(FOUR)
    wrong = []

    def converse(number):
        with gateway.caller() as caller:
            for turn in range(8):
                body = b"%d.%d" % (number, turn)
                if caller.call("/call/echo", body).body != body:
                    wrong.append(body)
    threads = [threading.Thread(target=converse, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    eventually(lambda: len(gateway.lines) == 128, what="a line for each")
    assert len({seen.connection for seen in endpoint.requests}) >= 4, "each has connections of its own"


def test_limits_are_shared_by_all_workers(start_gateway, endpoint):
    """One slot, clients on every worker: one after the other, and each gets it."""
    gateway = start_gateway(FOUR)
    endpoint.next_fault(delay_ms=500)
    with many(gateway, 12) as callers:
        for number, caller in enumerate(callers):
            caller.ask("/one/echo", b"%d" % number)
        for number, caller in enumerate(callers):
            assert caller.response().body == b"%d" % number
    times = sorted((seen.began, seen.ended) for seen in endpoint.requests)
    assert len(times) == 12
    assert all(ended <= began + 0.05 for (_, ended), (began, _) in zip(times, times[1:])), "never two at once"


def test_unix_connections_are_distributed(start_gateway, endpoint, ca_file):
    gateway = start_gateway(f"""
listen: [{{ address: "@LISTEN@" }}, {{ address: "unix:@DIR@/s" }}]
region: us-east-1
credentials: {{ source: env }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
""" + FOUR, head=False)
    callers = [Caller(gateway.directory / "s") for _ in range(8)]
    for caller in callers:
        assert caller.call("/call/echo", b"unix").body == b"unix"
        caller.close()
    assert len({seen.connection for seen in endpoint.requests}) == 4, "a pool each: all four have served"


@pytest.mark.parametrize("workers", [2, 4])
def test_draining_with_many_connections(start_gateway, endpoint, workers):
    gateway = start_gateway(f"workers: {workers}\n" + ROUTES)
    for _ in range(20):
        endpoint.next_fault(delay_ms=600)
    with many(gateway, 40) as idle, many(gateway, 20) as busy:
        for caller in busy:
            caller.ask("/call/echo", b"busy")
        endpoint.wait_for(20)
        with many(gateway, 20) as late:
            for caller in late:
                caller.ask("/call/echo", b"late")
            gateway.signal()
            for caller in busy + late:
                response = caller.response()
                assert response.status == 200 and response.body in (b"busy", b"late")
                assert caller.is_closed()
            for caller in idle:
                assert caller.is_closed()
        gateway.stop()
    assert len(gateway.lines) == 40


def test_clients_come_and_go_at_the_cap(start_gateway):
    """The cap applies to the process: a disconnect on any worker admits the next client."""
    gateway = start_gateway("limits: { connections: 6 }\n" + FOUR)
    gateway.allow_warnings("limits.connections")
    served = []

    def call(number):
        for _ in range(5):
            with gateway.caller(timeout=20) as caller:
                served.append(caller.call("/call/echo", b"x").status)
    threads = [threading.Thread(target=call, args=(number,)) for number in range(12)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert served == [200] * 60 and time.monotonic() - began < 40
