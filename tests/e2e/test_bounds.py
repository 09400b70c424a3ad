"""Limits: bodies in memory, responses in flight, connections, descriptors, concurrent requests and their queue."""

import contextlib
import os
import pathlib
import re
import resource
import threading
import time

import pytest
from lib import Broken, eventually, get, is_sanitized

MIB = 1024 * 1024
OPEN = """
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
"""
ONE = """
  - name: one
    match: { path: "/one/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    concurrency: 1
"""


def status_kib(gateway, name):
    text = pathlib.Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", text).group(1))


def cpu_s(gateway):
    fields = pathlib.Path(f"/proc/{gateway.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_resting(gateway, seconds=1.0):
    began = cpu_s(gateway)
    time.sleep(seconds)
    return cpu_s(gateway) - began < seconds / 4


def small_quarantine():
    """ASan keeps freed memory for a while; this shortens that."""
    return {"ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}


# -- memory

@contextlib.contextmanager
def memory_cgroup(limit):
    """Creates a cgroup, version 1 or 2; returns None if this user may not."""
    own = pathlib.Path("/proc/self/cgroup").read_text()
    v1, v2 = re.search(r"^\d+:memory:(.*)$", own, re.M), re.search(r"^0::(.*)$", own, re.M)
    if v1:
        parent, name = pathlib.Path("/sys/fs/cgroup/memory" + v1[1]), "memory.limit_in_bytes"
    else:
        parent, name = pathlib.Path("/sys/fs/cgroup" + (v2[1] if v2 else "")), "memory.max"
    group = parent / f"sagegate-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        (group / name).write_text(str(limit))
    except OSError:
        group.rmdir()
        yield None
        return
    try:
        yield group
    finally:
        def is_removed():
            with contextlib.suppress(OSError):
                group.rmdir()
            return not group.exists()
        eventually(is_removed, 10, "the cgroup is empty")


class Upload(threading.Thread):
    """Sends `size` bytes, stops as soon as a response arrives."""

    def __init__(self, gateway, size):
        super().__init__(daemon=True)
        self.gateway, self.size, self.status, self.outcome = gateway, size, None, None
        self.start()

    def run(self):
        piece = b"x" * 262144
        with self.gateway.caller(timeout=60) as caller:
            with contextlib.suppress(ConnectionError):
                caller.ask("/call/json", b"", [("Content-Length", str(self.size))])
                for _ in range(self.size // len(piece)):
                    caller.send(piece)
            with contextlib.suppress(Broken):
                response = caller.response()
                self.status, self.outcome = response.status, response.outcome


def test_fifty_times_25_mib_in_64_mib(start_gateway, endpoint):
    """The gateway survives, serves small requests meanwhile, and all accepted bodies arrive complete."""
    endpoint.strict = False  # bodies whose client gave up
    with memory_cgroup(64 * MIB) as group:
        gateway = start_gateway("limits: { body_bytes: 26MiB }\nroutes:" + OPEN, env=small_quarantine())
        assert gateway.call("/call/echo", b"before").body == b"before"
        if group is not None and not is_sanitized():
            (group / "cgroup.procs").write_text(str(gateway.process.pid))
        before = status_kib(gateway, "VmRSS")
        uploads = [Upload(gateway, 25 * MIB) for _ in range(50)]
        small = 0
        while any(upload.is_alive() for upload in uploads):
            response = gateway.call("/call/echo", b"small")
            assert response.body == b"small" or response.outcome == "memory_full"
            small += response.status == 200
            time.sleep(0.05)
        assert small >= 1
        ends = [(upload.status, upload.outcome) for upload in uploads]
        assert (200, None) in ends
        assert set(ends) <= {(200, None), (503, "memory_full"), (None, None)}
        grown = status_kib(gateway, "VmHWM") - before
        assert grown < 48 * 1024, f"{grown} KiB more than before"
        assert gateway.call("/call/echo", b"after").body == b"after"
        gateway.stop()


def test_full_memory_is_rejected_at_once(start_gateway, endpoint):
    """From the head alone: no client sends 700 KiB to learn that there is no room."""
    gateway = start_gateway("limits: { body_bytes: 1MiB }\nroutes:" + OPEN)
    gateway.allow_warnings("body_max")
    endpoint.next_fault(delay_ms=1500)
    with gateway.caller() as first, gateway.caller() as second:
        first.ask("/call/json", b"x" * 700_000)
        endpoint.wait_for(1)
        response = second.ask("/call/echo", b"", [("Content-Length", "700000")]).response()
        assert first.is_silent(), "it still holds its memory"
        assert (response.status, response.outcome) == (503, "memory_full")
        assert response.header("Retry-After") and response.header("Connection") == "close"
        assert gateway.line(outcome="memory_full")["attempts"] == 0
        assert first.response().json()["body_length"] == 700_000


def test_body_max_over_memory_limit_warns(start_gateway):
    gateway = start_gateway("limits: { body_bytes: 1MiB }\nroutes:" + OPEN)
    gateway.allow_warnings("body_max")
    assert "call" in gateway.diagnostic(level="warning", message="body_max")["message"]
    with gateway.caller() as caller:
        response = caller.ask("/call/echo", b"", [("Content-Length", "2000000")]).response()
    assert (response.status, response.outcome) == (413, "body_too_large"), "it could never be accepted"


def test_chunked_bodies_reserve_memory_as_they_arrive(start_gateway, endpoint):
    gateway = start_gateway("limits: { body_bytes: 1MiB }\nroutes:" + OPEN)
    gateway.allow_warnings("body_max")
    head = b"POST /call/json HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
    with gateway.caller() as first, gateway.caller() as second, gateway.caller() as third:
        first.send(head + chunk * 8)
        second.send(head + chunk * 4)
        time.sleep(0.3)
        third.send(head + chunk * 5)  # 17 of 16
        response = third.response()
        assert (response.status, response.outcome) == (503, "memory_full")
        assert third.is_closed()
        assert first.send(b"0\r\n\r\n").response().json()["body_length"] == 8 * 65536
        second.close()  # frees what it had reserved
        gateway.line(outcome="client_gone")
        with gateway.caller() as fourth:
            response = fourth.send(head + chunk * 15 + b"0\r\n\r\n").response()
            assert response.json()["body_length"] == 15 * 65536


def test_body_is_freed_at_the_first_response_byte(start_gateway, endpoint):
    gateway = start_gateway("limits: { body_bytes: 1MiB }\nroutes:" + OPEN)
    gateway.allow_warnings("body_max")
    endpoint.next_fault(stall="body", framing="chunked", after=10)
    with gateway.caller() as streams:
        streams.ask("/call/echo", b"x" * 900_000)
        endpoint.wait_for(lambda e: e.requests and e.requests[-1].sent == 10)
        def is_taken():
            return gateway.call("/call/json", b"y" * 900_000).status == 200
        eventually(is_taken, 3, "the stream's prompt has been freed")


def test_slow_reader_is_waited_for(start_gateway, endpoint):
    """A 100 MB response to a client that does not read: the gateway holds some KiB of it, SageMaker the rest."""
    gateway = start_gateway("routes:" + OPEN, env=small_quarantine())
    assert gateway.call("/call/size-3000000").status == 200
    before = status_kib(gateway, "VmRSS")
    with gateway.caller() as caller:
        caller.ask("/call/size-100000000", b"")
        endpoint.wait_for(lambda e: any(seen.sent for seen in e.requests[1:]))
        seen, sent = endpoint.requests[-1], -1
        while seen.sent != sent:  # until nothing moves
            sent = seen.sent
            time.sleep(0.4)
        assert sent < 50_000_000
        assert status_kib(gateway, "VmHWM") - before < 12 * 1024
        assert is_resting(gateway, 0.6)
        response = caller.response()
        assert len(response.body) == 100_000_000
    assert gateway.line(bytes_out=100_000_000)["outcome"] == "ok"


# -- connections

def test_connections_over_the_cap_wait_in_the_kernel(start_gateway):
    gateway = start_gateway("limits: { connections: 8 }\nroutes:" + OPEN)
    gateway.allow_warnings("limits.connections")
    idle = [gateway.caller() for _ in range(8)]
    for caller in idle:
        assert caller.call("/call/echo", b"x").status == 200
    late = [gateway.caller() for _ in range(5)]
    for caller in late:
        caller.ask("/call/echo", b"late")
    assert is_resting(gateway), "no busy loop at the cap"
    for caller in late:
        caller.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            caller.sock.recv(1)
        caller.sock.settimeout(10)
    assert get(("127.0.0.1", gateway.health_port), "/ready")[0] == 200, "probes have their own listener"
    assert idle[0].call("/call/echo", b"still").body == b"still"
    for left in range(5):
        idle.pop().close()
        response = late[left].response()
        assert response.body == b"late"
    for caller in idle + late:
        caller.close()


def test_no_busy_loop_when_descriptors_run_out(start_gateway):
    gateway = start_gateway("routes:" + OPEN)
    gateway.allow_warnings("accept", "limits.connections", "upstream")
    with gateway.caller() as warm:  # and a kept upstream connection
        warm.call("/call/echo", b"x")
    pid = gateway.process.pid
    eventually(lambda: gateway.lines)
    have = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (have + 6, have + 6))
    callers = [gateway.caller() for _ in range(20)]
    gateway.diagnostic(topic="listener", message="accept")
    assert is_resting(gateway), "no busy loop without descriptors"
    said = len([line for line in gateway.diagnostics if "accept" in line["message"]])
    assert said < 60, f"{said} warnings"
    for caller in callers:
        caller.ask("/call/echo", b"in turn")
    while callers:  # each disconnect makes room for another; the upstream's own descriptor may be missing
        caller = callers.pop(0)
        response = caller.response()
        assert (response.status, response.outcome) in ((200, None), (502, "connect_failed"))
        caller.close()
    assert gateway.call("/call/echo", b"again").body == b"again"


def test_soft_descriptor_limit_is_raised(start_gateway):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        gateway = start_gateway("limits: { connections: 16 }\nroutes:" + OPEN)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    said = gateway.diagnostic(topic="start", message="descriptors")["message"]
    assert str(hard) in said and "16" in said


def test_low_descriptor_limit_warns(start_gateway):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gateway = start_gateway(f"limits: {{ connections: {min(100_000, hard)} }}\nroutes:" + OPEN)
    if hard < 200_000:
        gateway.allow_warnings("descriptors")
        assert gateway.diagnostic(topic="start", message="descriptors")["level"] == "warning"


# -- concurrent requests

def test_route_concurrency(start_gateway, endpoint):
    gateway = start_gateway("routes:" + ONE + OPEN)
    endpoint.next_fault(delay_ms=800)
    with gateway.caller() as holder:
        holder.ask("/one/echo", b"held")
        endpoint.wait_for(1)
        response = gateway.call("/one/echo", b"x")
        assert (response.status, response.outcome) == (503, "busy") and response.header("Retry-After")
        assert gateway.call("/call/echo", b"others pass").body == b"others pass"
        assert holder.response().body == b"held"
    assert gateway.call("/one/echo", b"free").body == b"free"


def test_queue_is_fifo(start_gateway, endpoint):
    gateway = start_gateway("routes:" + ONE + "    wait_for: 10s\n" + OPEN)
    endpoint.next_fault(delay_ms=500)
    callers = [gateway.caller() for _ in range(5)]
    for number, caller in enumerate(callers):
        caller.ask("/one/echo", b"%d" % number)
        time.sleep(0.05)
    for number, caller in enumerate(callers):
        assert caller.response().body == b"%d" % number
        caller.close()
    assert [seen.body for seen in endpoint.requests] == [b"0", b"1", b"2", b"3", b"4"]
    eventually(lambda: len(gateway.lines) == 5)
    waits = [line["wait_us"] for line in gateway.lines]
    assert waits[0] < 100_000 and all(wait > 150_000 for wait in waits[1:])
    assert all(line["total_us"] >= line["wait_us"] for line in gateway.lines)


def test_nothing_overtakes_the_queue(start_gateway, endpoint):
    """A client that sends requests back to back does not keep the only slot for itself."""
    gateway = start_gateway("routes:" + ONE + "    wait_for: 10s\n")
    endpoint.next_fault(delay_ms=300)
    with gateway.caller() as greedy, gateway.caller() as patient:
        for number in range(10):
            greedy.ask("/one/echo", b"g%d" % number)
        endpoint.wait_for(1)
        patient.ask("/one/echo", b"patient")
        for number in range(10):
            assert greedy.response().body == b"g%d" % number
        assert patient.response().body == b"patient"
    order = [seen.body for seen in endpoint.requests]
    assert order.index(b"patient") <= 3, order


def test_queue_timeout(start_gateway, endpoint):
    gateway = start_gateway("routes:" + ONE + "    wait_for: 400ms\n")
    endpoint.next_fault(delay_ms=1500)
    with gateway.caller() as holder, gateway.caller() as waits:
        holder.ask("/one/echo", b"held")
        endpoint.wait_for(1)
        began = time.monotonic()
        response = waits.call("/one/echo", b"x")
        assert (response.status, response.outcome) == (503, "busy") and response.header("Retry-After")
        assert time.monotonic() - began > 0.3 and holder.is_silent()
        assert gateway.line(outcome="busy")["wait_us"] >= 300_000
        assert holder.response().body == b"held"


def test_queueing_ends_at_the_total_timeout(start_gateway, endpoint):
    gateway = start_gateway("limits: { concurrency: 1 }\nroutes:" + OPEN
                            + ONE + "    wait_for: 30s\n    timeouts: { total: 700ms }\n")
    endpoint.next_fault(delay_ms=2500)
    with gateway.caller() as holder, gateway.caller() as waits:
        holder.ask("/call/echo", b"held")
        endpoint.wait_for(1)
        began = time.monotonic()
        response = waits.call("/one/echo", b"x")
        assert (response.status, response.outcome) in ((504, "deadline"), (503, "busy"))
        assert time.monotonic() - began > 0.5 and holder.is_silent()
        assert holder.response().body == b"held"


def test_queued_bodies_are_not_read(start_gateway, endpoint):
    """Queued requests are not read: no memory is reserved for them."""
    gateway = start_gateway("limits: { body_bytes: 1MiB }\nroutes:" + ONE + "    wait_for: 10s\n" + OPEN)
    gateway.allow_warnings("body_max")
    endpoint.next_fault(delay_ms=800)
    with gateway.caller() as holder, gateway.caller() as waits:
        holder.ask("/one/echo", b"small")
        endpoint.wait_for(1)
        waits.ask("/one/json", b"w" * 900_000)
        time.sleep(0.2)
        assert gateway.call("/call/json", b"o" * 900_000).json()["body_length"] == 900_000
        assert holder.response().body == b"small"
        assert waits.response().json()["body_length"] == 900_000


def test_global_concurrency_queues(start_gateway, endpoint):
    gateway = start_gateway("limits: { concurrency: 2 }\nroutes:" + OPEN + "    wait_for: 10s\n")
    for _ in range(2):
        endpoint.next_fault(delay_ms=500)
    callers = [gateway.caller() for _ in range(6)]
    for caller in callers:
        caller.ask("/call/echo", b"x")
    for caller in callers:
        assert caller.response().body == b"x"
        caller.close()


def test_queued_keep_alive_client_keeps_its_body(start_gateway, endpoint):
    """Head and body in one piece, on a kept connection: the body is not lost while the request waits."""
    gateway = start_gateway("routes:" + ONE + "    wait_for: 10s\n")
    endpoint.next_fault(delay_ms=400)
    with gateway.caller() as holder, gateway.caller() as waits:
        holder.ask("/one/echo", b"held")
        endpoint.wait_for(1)
        for body in (b"one", b"two"):
            waits.ask("/one/echo", body)
        waits.ask("/one/echo", b"", chunks=[b"three", b" in chunks"])
        assert holder.response().body == b"held"
        assert [waits.response().body for _ in range(3)] == [b"one", b"two", b"three in chunks"]
