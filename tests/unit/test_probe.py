"""`sagegate probe` against servers that respond, refuse, send garbage or stay silent; `sagegate version`."""

import os
import pathlib
import socket
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SAGEGATE_BIN", ROOT / "build/dev/sagegate")).resolve()

READY = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"ready":true}\n'
NOT_READY = (b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\r\n"
             b'{"ready":false,"reasons":[{"code":"no_credentials","message":"none \x1b[31m"}]}\n')


def run(*arguments):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=20)


class Server:
    """Accepts one connection, keeps the request, sends `response`; None: stays silent until the end."""

    def __init__(self, response, family=socket.AF_INET, address=("127.0.0.1", 0)):
        self.response, self.request = response, b""
        self.listener = socket.socket(family)
        self.listener.bind(address)
        self.listener.listen()
        self.port = self.listener.getsockname()[1] if family != socket.AF_UNIX else None
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        with connection:
            while b"\r\n\r\n" not in self.request:
                piece = connection.recv(4096)
                if not piece:
                    return
                self.request += piece
            if self.response is None:
                self.end.wait(10)
            else:
                connection.sendall(self.response)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def test_2xx_succeeds_silently():
    with Server(READY) as server:
        done = run("probe", f"127.0.0.1:{server.port}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert server.request.startswith(b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert b"\r\nConnection: close\r\n" in server.request


def test_host_name_and_custom_path():
    with Server(READY) as server:
        done = run("probe", f"localhost:{server.port}/live?verbose=1")
    assert done.returncode == 0
    assert server.request.startswith(b"GET /live?verbose=1 HTTP/1.1\r\n")


def test_ipv6():
    try:
        server = Server(READY, socket.AF_INET6, ("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        assert run("probe", f"[::1]:{server.port}/live").returncode == 0
    assert b"\r\nHost: [::1]\r\n" in server.request


@pytest.mark.parametrize("suffix, path", [("", b"/ready"), (":/live", b"/live")])
def test_unix_socket(tmp_path, suffix, path):
    with Server(READY, socket.AF_UNIX, str(tmp_path / "x.sock")) as server:
        assert run("probe", f"unix:{tmp_path}/x.sock{suffix}").returncode == 0
    assert server.request.startswith(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n")


def test_error_is_one_line_without_control_characters():
    with Server(NOT_READY) as server:
        done = run("probe", f"127.0.0.1:{server.port}/ready")
    assert done.returncode == 1
    assert done.stderr == (
        f"sagegate probe: 127.0.0.1:{server.port}/ready: 503 Service Unavailable: "
        '{"ready":false,"reasons":[{"code":"no_credentials","message":"none  [31m"}]}\n')


@pytest.mark.parametrize("response, told", [
    (b"", "closed without a response"),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the response is not valid HTTP"),
    (b"HTTP/1.1 200", "the response is not valid HTTP"),
    (b"HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\n\r\n", ": 301 "),
    (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 100000, "the response is not valid HTTP"),
])
def test_failure_statuses(response, told):
    with Server(response) as server:
        done = run("probe", f"127.0.0.1:{server.port}")
    assert done.returncode == 1
    assert told in done.stderr and done.stderr.count("\n") == 1


def test_silent_server_times_out():
    with Server(None) as server:
        start = time.monotonic()
        done = run("probe", "--timeout", "300ms", f"127.0.0.1:{server.port}")
        took = time.monotonic() - start
    assert done.returncode == 1
    assert done.stderr == f"sagegate probe: 127.0.0.1:{server.port}: no response within 300 ms\n"
    assert 0.3 <= took < 5


def test_connection_refused(tmp_path):
    with socket.socket() as taken:  # bound and not listening: no other process gets the port
        taken.bind(("127.0.0.1", 0))
        done = run("probe", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1 and "cannot connect: Connection refused" in done.stderr
    done = run("probe", f"unix:{tmp_path}/none.sock")
    assert done.returncode == 1 and "cannot connect: No such file or directory" in done.stderr
    done = run("probe", f"unix:/{'x' * 200}")
    assert done.returncode == 1 and "longer than 107 bytes" in done.stderr


@pytest.mark.parametrize("address", [
    "", "localhost", "localhost:", ":80", "[::1]", "[::1]80", "[::1:80", "::1:80", "localhost:0",
    "localhost:65536", "localhost:http", "unix:", "unix::/live", "unix:/x:live", "localhost:80/a b",
    "localhost:80/a\r\nX: y",
])
def test_invalid_addresses(address):
    done = run("probe", address)
    assert done.returncode == 1 and "must be HOST:PORT/PATH" in done.stderr


@pytest.mark.parametrize("timeout", ["", "0", "0s", "-1", "1.5s", "2h", "3601s", "ms", "s"])
def test_invalid_timeouts(timeout):
    done = run("probe", "--timeout", timeout, "127.0.0.1:1")
    assert done.returncode == 1 and "a time such as 500ms or 2s" in done.stderr


def test_command_line():
    assert "unix:/run/x.sock:/live" in run("probe", "--help").stdout
    assert run("probe").returncode == 1
    assert run("probe", "127.0.0.1:1", "127.0.0.1:2").returncode == 1
    assert run("probe", "--bogus", "127.0.0.1:1").returncode == 1


def test_version():
    done = run("version")
    assert done.returncode == 0
    lines = dict(line.split(None, 1) for line in done.stdout.splitlines())
    assert list(lines) == ["sagegate", "build", "compiler", "openssl", "libh2o", "libyaml", "jansson"]
    assert lines["openssl"].startswith("3.")
    assert run("version", "--help").returncode == 0
    assert run("version", "x").returncode == 1
