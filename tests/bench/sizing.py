"""Costs of a request, a body, a connection, a handshake and a stream: CPU time and memory of the gateway's process.

CPU time is the process's own, user and system, and hardly depends on other load on the machine.
"""

import pathlib
import socket
import statistics
import subprocess
import sys
import time

import streaming
from load import established, idle_connection_kib, is_open, load
from proxies import LOAD_CPU, SAGEGATE, Proxy, peers, pinned

import lib
from tests.endpoint import certificates

HERE = pathlib.Path(__file__).resolve().parent
KIB, MIB = 1024, 1024 * 1024
SIZES = {"1 KiB": KIB, "64 KiB": 64 * KIB, "1 MiB": MIB}
SHOWN = {"1 KiB": 32, "64 KiB": 16, "1 MiB": 4}  # connections used for the load
CALLERS = 2000
median = statistics.median

# Responds with 1 KiB from memory; otherwise reads the request's body to its end (mirror does) and sends a file. The
# second
# server resumes no TLS session.
UPSTREAM = """
daemon off; master_process off; worker_processes 1; pid @DIR@/pid; error_log @DIR@/errors crit;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; default_type text/plain;
  client_max_body_size 64m; client_body_buffer_size 2m; output_buffers 2 256k;
  client_body_temp_path @DIR@/b; proxy_temp_path @DIR@/p; fastcgi_temp_path @DIR@/f; uwsgi_temp_path @DIR@/u;
  scgi_temp_path @DIR@/s;
  ssl_protocols TLSv1.3; ssl_certificate @PEM@; ssl_certificate_key @PEM@; root @DIR@/responses;
  server {
    listen 127.0.0.1:@PORT@ ssl backlog=4096; ssl_session_cache shared:s:1m;
    location ^~ /endpoints/fraud-1024-prod/ { return 200 "@ANSWER@"; }
    location ~ /endpoints/fraud-(?<size>[0-9]+)-prod/ { mirror /read; error_page 404 =200 /$size; }
    location = /read { return 204; }
  }
  server {
    listen 127.0.0.1:@FULL@ ssl backlog=4096; ssl_session_cache off; ssl_session_tickets off;
    location / { return 200 "@ANSWER@"; }
  }
}
"""


class Upstreams:
    """The upstreams of the measured gateways; `words` is what their configuration needs."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        pem, authority = self.directory / "server.pem", self.directory / "ca.pem"
        certificates.authority().cert_pem.write_to_path(str(authority))
        certificates.authority().issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
        responses = self.directory / "nginx/responses"
        responses.mkdir(parents=True)
        for size in (*SIZES.values(), 25 * MIB):
            (responses / str(size)).write_bytes(b"a" * size)
        full, slow = lib.free_port(), lib.free_port()
        text = UPSTREAM.replace("@PEM@", str(pem)).replace("@FULL@", str(full)).replace("@ANSWER@", "a" * KIB)
        self.nginx = peers.Server("nginx", self.directory / "nginx", text)
        self.slow = subprocess.Popen([*pinned(LOAD_CPU), sys.executable, HERE / "upstream.py", str(slow), pem])
        self.words = {"SMALL": self.nginx.port, "SLOW": slow, "CA": authority, "FULL": full}

    def __enter__(self):
        self.nginx.start(pinned(LOAD_CPU))
        lib.eventually(lambda: is_open(self.words["SLOW"]), 10, "the upstream")
        return self

    def __exit__(self, *_):
        self.nginx.stop()
        self.slow.terminate()
        self.slow.wait(10)


def path(size):
    return f"/predict/fraud-{size}"


def calls(upstreams, rounds, seconds):
    """By size name: CPU microseconds per request, requests per second as measured, and bytes of an access line."""
    told, line = {}, 0
    with Proxy("sagegate", upstreams.directory / "calls", upstreams.words) as proxy:
        load(proxy, 32, 1, path(KIB))
        for name, size in SIZES.items():
            runs = [load(proxy, SHOWN[name], seconds, path(size), size) for _ in range(rounds)]
            told[name] = {key: median(run[key] for run in runs) for key in ("cpu_us", "rps", "busy", "p50_us", "p99_us")}
        with open(upstreams.directory / "calls/sagegate/access.log", "rb") as file:
            file.readline()
            line = len(file.readline())
    return told, line


def handshakes(upstreams, rounds, seconds, kept_alive_us):
    """CPU microseconds that a new upstream TLS connection adds to a request, full and resumed."""
    told = {}
    for name, port in (("full", upstreams.words["FULL"]), ("resumed", upstreams.words["SMALL"])):
        text = SAGEGATE.replace("idle_max: 512", "idle_max: 0").replace("@SMALL@", str(port))
        with Proxy("sagegate", upstreams.directory / name, upstreams.words, text=text) as proxy:
            load(proxy, 16, 1, path(KIB))
            told[name] = median(load(proxy, 16, seconds, path(KIB))["cpu_us"] for _ in range(rounds)) - kept_alive_us
    return told


def streams(upstreams, count, seconds):
    """Many idle streams show their memory; a few that send every 20 ms, as a language model may, show the cost of a
    part."""
    certificate_files = upstreams.words["CA"], upstreams.directory / "server.pem"
    resting = streaming.measure(upstreams.directory / "resting", "sagegate", count, seconds, 2.0, certificate_files)
    speaking = streaming.measure(upstreams.directory / "speaking", "sagegate", 100, seconds, 0.02, certificate_files)
    return {"kib": resting["kib"], "part_us": speaking["cpu_us"]}


def memory(upstreams):
    """KiB: the fresh process, and what each connection and body adds."""
    told = {}
    with Proxy("sagegate", upstreams.directory / "memory", upstreams.words) as proxy:
        time.sleep(0.3)
        told["base"] = proxy.memory_kib()[0]
        told["caller"] = idle_caller_kib(proxy)
    for name, size, count in (("waiting", KIB, 500), ("waiting_1_mib", MIB, 64)):
        with Proxy("sagegate", upstreams.directory / name, upstreams.words) as proxy:
            told[name] = waiting_kib(proxy, size, count)
    told["upstream"] = idle_connection_kib(upstreams.directory, upstreams.words)
    return told


def connect(proxy):
    return socket.create_connection(("127.0.0.1", proxy.port), 20)


def idle_caller_kib(proxy):
    """For clients that have made one request each and keep their connection."""
    request = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}" % path(KIB).encode()

    def call(caller):
        caller.sendall(request)
        response = b""
        while len(response.partition(b"\r\n\r\n")[2]) < KIB:
            response += (more := caller.recv(65536))
            assert more, response

    callers = []
    try:
        for _ in range(100):
            callers.append(connect(proxy))
            call(callers[-1])
        time.sleep(2)
        before = proxy.memory_kib()[0]
        for _ in range(CALLERS):
            callers.append(connect(proxy))
            call(callers[-1])
        time.sleep(2)
        return (proxy.memory_kib()[0] - before) / CALLERS
    finally:
        for caller in callers:
            caller.close()


def waiting_kib(proxy, size, count):
    """For a request that waits for its response, with its body and both connections."""
    head = b"POST /slow/silent HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
    time.sleep(0.3)
    before, callers = proxy.memory_kib()[0], []
    try:
        for _ in range(count):
            callers.append(connect(proxy))
            callers[-1].sendall(head + bytes(size))
        lib.eventually(lambda: established(proxy) >= 2 * count and settled(proxy), 60, "every body in the gateway")
        return (proxy.memory_kib()[0] - before) / count
    finally:
        for caller in callers:
            caller.close()


def settled(proxy):
    """Returns whether the process has become idle."""
    used = proxy.cpu_s()
    time.sleep(0.5)
    return proxy.cpu_s() == used
