"""The gateway and its peers as measured: the same upstreams, TLS 1.3, verified, keep-alive; one worker each."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/e2e")]
os.environ.setdefault("SAGEGATE_BIN", str(ROOT / "build/release/sagegate"))

import lib  # noqa: E402
import peers  # noqa: E402

CPUS = sorted(os.sched_getaffinity(0))
PROXY_CPU, LOAD_CPU = CPUS[0], CPUS[-1]
TICKS = os.sysconf("SC_CLK_TCK")

# Responds with 1 KiB from memory.
SMALL = """
daemon off; master_process off; worker_processes 1; pid @DIR@/pid; error_log @DIR@/errors;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; default_type text/plain;
  client_body_temp_path @DIR@/b; proxy_temp_path @DIR@/p; fastcgi_temp_path @DIR@/f; uwsgi_temp_path @DIR@/u;
  scgi_temp_path @DIR@/s;
  server {
    listen 127.0.0.1:@PORT@ ssl; ssl_protocols TLSv1.3; ssl_certificate @PEM@; ssl_certificate_key @PEM@;
    ssl_session_cache shared:s:1m;
    location / { return 200 "@ANSWER@"; }
  }
}
"""
NGINX = """
daemon off; worker_processes 1; pid @DIR@/pid; error_log @DIR@/errors; user root;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  log_format line escape=json '{"time":"$time_iso8601","id":"$request_id","client":"$remote_addr","method":"$request_method",'
    '"path":"$uri","status":$status,"in":$request_length,"out":$bytes_sent,"total":$request_time,'
    '"connect":"$upstream_connect_time","first":"$upstream_header_time"}';
  access_log @DIR@/access.log line buffer=64k flush=1s;
  keepalive_requests 1000000000; client_max_body_size 64m; proxy_buffering off; proxy_request_buffering off;
  client_body_temp_path @DIR@/b; proxy_temp_path @DIR@/p; fastcgi_temp_path @DIR@/f; uwsgi_temp_path @DIR@/u;
  scgi_temp_path @DIR@/s;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $proxy_host;
  proxy_ssl_verify on; proxy_ssl_trusted_certificate @CA@; proxy_ssl_protocols TLSv1.3; proxy_ssl_server_name on;
  proxy_ssl_name localhost; proxy_ssl_session_reuse on;
  upstream small { server 127.0.0.1:@SMALL@; keepalive 256; keepalive_requests 1000000000; }
  upstream slow { server 127.0.0.1:@SLOW@; keepalive 64; }
  server {
    listen 127.0.0.1:@PORT@ backlog=4096;
    location / { proxy_pass https://small; }
    location /slow { proxy_pass https://slow; }
  }
}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 6000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind 127.0.0.1:@PORT@
  use_backend slow if { path_beg /slow }
  default_backend small
backend small
  server s 127.0.0.1:@SMALL@ ssl verify required ca-file @CA@ sni str(localhost) verifyhost localhost ssl-min-ver TLSv1.3
backend slow
  server s 127.0.0.1:@SLOW@ ssl verify required ca-file @CA@ sni str(localhost) verifyhost localhost ssl-min-ver TLSv1.3
"""
SAGEGATE = """
listen: [{ address: "127.0.0.1:@PORT@" }]
region: us-east-1
credentials: { source: env }
upstream: { endpoint_url: "https://localhost:@SMALL@", ca_file: "@CA@" }
upstreams: { slow: { region: us-east-1, endpoint_url: "https://localhost:@SLOW@", ca_file: "@CA@" } }
limits: { connections: 4096, concurrency: 4096, body_bytes: 512MiB }
pool: { idle_max: 512, warm: @WARM@ }
access_log: { file: "@DIR@/access.log" }
routes:
  - name: fraud
    match: { path: "/predict/{endpoint}" }
    endpoint: { value: "${path.endpoint}-prod", allow: ["fraud-*"] }
    parameters:
      content_type: { default: application/json }
      custom_attributes: { append: "traceparent=${traceparent}", separator: ";" }
  - name: slow
    match: { path: "/slow/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    upstream: slow
"""
TEXTS = {"sagegate": SAGEGATE, "nginx": NGINX, "haproxy": HAPROXY}


class Proxy(peers.Server):
    """One of the three proxies, pinned to its core. text: a configuration other than the one above."""

    def __init__(self, name, directory, words, warm=0, text=None):
        text = (text or TEXTS[name]).replace("@WARM@", str(warm))
        for word, value in words.items():
            text = text.replace(f"@{word}@", str(value))
        if os.geteuid() != 0:
            text = text.replace(" user root;", "")
        super().__init__(name, pathlib.Path(directory) / name, text)

    @property
    def command(self):
        return [str(lib.BINARY), "run", "-c", str(self.config)] if self.name == "sagegate" else super().command

    def start(self, before=()):
        os.environ.update(AWS_ACCESS_KEY_ID=lib.ACCESS_KEY, AWS_SECRET_ACCESS_KEY=lib.SECRET_KEY)
        return super().start(before or pinned(PROXY_CPU))

    __enter__ = start

    def pids(self):
        """The process and its children."""
        own = self.process.pid
        children = pathlib.Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [own, *map(int, children)]

    def cpu_s(self):
        """User and system time so far of all its processes."""
        total = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory_kib(self):
        """(RSS, PSS) of all its processes."""
        rss = pss = 0
        for pid in self.pids():
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            rss += int(re.search(r"^Rss:\s+(\d+)", text, re.MULTILINE)[1])
            pss += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])
        return rss, pss


def pinned(cpu):
    return ["taskset", "-c", str(cpu)]


def start_to_ready_ms(name, directory, words):
    """Time from the fork of the program to the first accepted connection."""
    proxy = Proxy(name, directory, words)
    with open(proxy.output, "ab") as output:
        begun = time.monotonic()
        proxy.process = subprocess.Popen([*pinned(PROXY_CPU), *proxy.command], stdout=output, stderr=output)
        while True:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", proxy.port)) == 0:
                    break
            assert time.monotonic() < begun + 10, f"{name} does not start: {proxy.output.read_text()}"
            time.sleep(0.0002)
        taken = time.monotonic() - begun
    proxy.process.send_signal(signal.SIGKILL if name == "haproxy" else signal.SIGTERM)
    proxy.stop()
    return taken * 1000
