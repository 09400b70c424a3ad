"""The protocol with a service manager: sd_notify(3), sd_listen_fds(3)."""

import itertools
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from tests.deploy.machine import BINARY, eventually

CONFIG = """
listen:
  - address: 127.0.0.1:{port}
  - address: unix:{folder}/gateway.sock
workers: 2
credentials: {{ source: env }}
region: us-east-1
routes: [{{ name: all, match: {{ path: /* }}, endpoint: echo }}]
"""


class Manager:
    """Starts the gateway like systemd, with these sockets from descriptor 3 on."""

    def __init__(self, folder, watchdog_us=None, abstract=False):
        self.folder, self.watchdog_us = folder, watchdog_us
        self.heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"\0sagegate-{os.getpid()}" if abstract else f"{folder}/notify"
        self.heard.bind(name)
        self.name = name.replace("\0", "@")
        self.process = None

    def start(self, port, sockets=(), pid="$$"):
        (self.folder / "sagegate.yaml").write_text(CONFIG.format(port=port, folder=self.folder))
        env = {"NOTIFY_SOCKET": self.name, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x",
               "PATH": os.environ["PATH"], **({"WATCHDOG_USEC": str(self.watchdog_us)} if self.watchdog_us else {})}
        moves = " ".join(f"{3 + n}<&{s.fileno()}" for n, s in enumerate(sockets))
        script = f'export LISTEN_PID={pid} LISTEN_FDS={len(sockets)}; exec "$@" {moves}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "_", BINARY, "run", "-c", self.folder / "sagegate.yaml"], env=env,
            pass_fds=[s.fileno() for s in sockets], stdout=subprocess.DEVNULL, stderr=open(self.folder / "told", "w"))
        return self

    def next(self, timeout=10.0):
        if not select.select([self.heard], [], [], timeout)[0]:
            return None
        return self.heard.recv(4096).decode().splitlines()

    def output(self):
        return [json.loads(line)["message"] for line in (self.folder / "told").read_text().splitlines()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.heard.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="sagegate-") as name:  # short enough for a socket path
        yield pathlib.Path(name)


BEYOND = itertools.count(40)


def high(sock):
    """Duplicates the socket to a descriptor above those that will be used."""
    here = sock.detach()
    moved = os.dup2(here, next(BEYOND))
    os.close(here)
    return socket.socket(fileno=moved)


def listening(port=0):
    sock = socket.create_server(("127.0.0.1", port))
    return high(sock)


def responses(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as caller:
            caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return caller.recv(100).split(b"\r\n")[0].decode()
    except ConnectionRefusedError:
        return None


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_watchdog_and_stopping_are_notified_in_order(folder, abstract):
    with Manager(folder, watchdog_us=1_000_000, abstract=abstract) as manager:
        manager.start(0)
        assert manager.next()[0] == "READY=1"
        assert [manager.next(5) for _ in range(3)] == [["WATCHDOG=1"]] * 3
        manager.process.send_signal(signal.SIGTERM)
        heard = eventually(lambda: (lambda h: h if h != ["WATCHDOG=1"] else None)(manager.next()))
        assert heard[0] == "STOPPING=1"
        assert manager.process.wait(10) == 0


def test_reload_notifies_reloading_with_time_then_ready(folder):
    with Manager(folder) as manager:
        manager.start(0)
        assert "READY=1" in manager.next()
        for text in (None, "routse: []"):  # accepted, then rejected: the notifications are the same
            if text is not None:
                (folder / "sagegate.yaml").write_text(text)
            before = time.monotonic_ns() // 1000
            manager.process.send_signal(signal.SIGHUP)
            reloading = dict(line.split("=") for line in manager.next())
            assert reloading["RELOADING"] == "1"
            assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
            assert "READY=1" in manager.next()
        assert manager.process.poll() is None


def test_watchdog_stops_while_a_worker_is_stuck(folder):
    with Manager(folder, watchdog_us=1_000_000) as manager:
        manager.start(0)
        assert manager.next()[0] == "READY=1"
        assert manager.next(5) == ["WATCHDOG=1"]
        tasks = sorted(int(t.name) for t in pathlib.Path(f"/proc/{manager.process.pid}/task").iterdir())
        stuck = [t for t in tasks if t != manager.process.pid]
        # One thread, not the main one, stopped like in a debugger.
        held = hold(stuck[-1])
        try:
            manager.next(2)  # one more may arrive, from earlier iterations
            assert manager.next(4) is None, "no ping, although the main thread is running"
        finally:
            held()
        assert manager.next(5) == ["WATCHDOG=1"]


def hold(thread):
    """Stops one thread by ptrace; returns a function that resumes it."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    attach, detach, wall = 16, 17, 0x40000000
    assert libc.ptrace(attach, thread, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(thread, wall)
    return lambda: libc.ptrace(detach, thread, None, None)


def test_inherited_sockets_are_used_and_their_files_kept(folder):
    tcp = listening()
    port = tcp.getsockname()[1]
    local = socket.socket(socket.AF_UNIX)
    local.bind(f"{folder}/gateway.sock")
    local.listen()
    local = high(local)
    with tcp, local, Manager(folder) as manager:
        manager.start(port, [local, tcp])
        assert manager.next()[0] == "READY=1"
        assert responses(port).startswith("HTTP/1.1 4")
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(f"{folder}/gateway.sock")
            caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert caller.recv(100).startswith(b"HTTP/1.1 4")
        manager.process.send_signal(signal.SIGTERM)
        assert manager.process.wait(10) == 0
        assert (folder / "gateway.sock").is_socket(), "the gateway must not remove the manager's file"


def test_unused_inherited_socket_is_reported(folder):
    with listening() as other, Manager(folder) as manager:
        manager.start(0, [other])
        assert manager.next()[0] == "READY=1"
        name = f"127.0.0.1:{other.getsockname()[1]}"
        assert any(name in line and "but the configuration has no such listener" in line for line in manager.output())


def test_variables_for_another_process_are_ignored(folder):
    with listening() as theirs, Manager(folder) as manager:
        port = theirs.getsockname()[1]
        manager.start(port, [theirs], pid="1")
        assert manager.process.wait(10) == 1
        assert any("cannot listen: Address already in use" in line for line in manager.output())
