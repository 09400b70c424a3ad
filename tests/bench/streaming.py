"""Event streams as measured: an upstream that sends parts on a schedule, clients that check that none is lost or out of
order, and between them nothing, the gateway that decodes them, or nginx that forwards them unbuffered.

Upstream and clients are two Python asyncio processes, the same for all; each part contains the time at which it was
written, its stream and its number.
"""

import asyncio
import contextlib
import multiprocessing
import re
import resource
import ssl
import time

from load import established, is_open
from proxies import Proxy

import lib
from tests.endpoint import eventstream

SAGEGATE = """
listen: [{ address: "127.0.0.1:@PORT@" }]
region: us-east-1
credentials: { source: env }
limits: { connections: 9900, concurrency: 9900 }
upstream: { endpoint_url: "@SCHEME@://localhost:@UPSTREAM@", ca_file: "@CA@" }
access_log: false
routes:
  - name: stream
    match: { path: /stream }
    endpoint: e
    operation: stream
    timeouts: { connect: 30s, first_byte: 60s, idle: 120s, total: 300s }
"""
NGINX = """
daemon off; worker_processes 1; pid @DIR@/pid; error_log @DIR@/errors crit; user root; worker_rlimit_nofile 20000;
events { worker_connections 19900; }
http {
  access_log off; proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 120s; proxy_connect_timeout 30s;
  client_body_temp_path @DIR@/b; proxy_temp_path @DIR@/p; fastcgi_temp_path @DIR@/f; uwsgi_temp_path @DIR@/u;
  scgi_temp_path @DIR@/s;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost;
  proxy_ssl_verify on; proxy_ssl_trusted_certificate @CA@; proxy_ssl_protocols TLSv1.3; proxy_ssl_server_name on;
  proxy_ssl_name localhost;
  server { listen 127.0.0.1:@PORT@ backlog=4096; location / { proxy_pass @SCHEME@://127.0.0.1:@UPSTREAM@; } }
}
"""
TEXTS = {"sagegate": SAGEGATE, "nginx": NGINX}
PAD = b"." * 200
PART = re.compile(rb"<(\d+) (\d+) (\d+)>")


async def serve(port, seconds, every_s, framed, pem):
    """Responds to each request with a part at intervals; framed: as messages of an event stream."""
    count = 0

    async def stream(reader, writer):
        nonlocal count
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # a check whether the port is open
            return writer.close()
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        count += 1
        me = count
        kind = b"application/vnd.amazon.eventstream" if framed else b"text/plain"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % kind)
        end = time.monotonic() + seconds
        number = 0
        while number == 0 or time.monotonic() < end:
            part = b"<%d %d %d>%s\n" % (time.monotonic_ns(), me, number, PAD)
            data = eventstream.part(part) if framed else part
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await asyncio.sleep(every_s if number else every_s * (me % 997) / 997)  # the first one immediately
            number += 1
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()

    context = None
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(pem)
    server = await asyncio.start_server(stream, "127.0.0.1", port, backlog=4096, ssl=context)
    await server.serve_forever()


async def call(port, streams, came, totals):
    """Opens all streams and reads them to their ends; checks that no part is lost or out of order."""
    opening = asyncio.Semaphore(200)

    async def one():
        async with opening:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        owner, wanted, data = None, 0, b""
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            data += (await reader.readexactly(size + 2))[:-2]
            now = time.monotonic_ns()
            if size == 0:
                break
            for found in PART.finditer(data):
                sent, me, number = map(int, found.groups())
                assert number == wanted and owner in (None, me), "lost or out of order"
                owner, wanted = me, wanted + 1
                came.append((now, (now - sent) / 1000))
            last = data.rfind(b"<")  # of an incomplete part
            data = data[last:] if last >= 0 and not PART.match(data, last) else b""
        assert wanted, "an empty stream"
        writer.close()
        totals.append(wanted)

    await asyncio.gather(*(one() for _ in range(streams)))


def run(function, *arguments):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(function(*arguments))


def call_and_tell(queue, port, streams):
    came, totals = [], []
    try:
        run(call, port, streams, came, totals)
    finally:
        queue.put((came, totals))


def measure(directory, through, streams, seconds, every_s, certificates, tls=True, before=()):
    """through: None, sagegate or nginx. certificates: files of the CA's and the server's certificate. Result: `late`,
    the delays of the parts in microseconds; `parts`, by stream; and for a proxy, while all streams were open, `kib`,
    RSS per stream, and `cpu_us`, per part. before: command prefix of the proxy."""
    port, queue, told = lib.free_port(), multiprocessing.Queue(), {}
    words = {"UPSTREAM": port, "SCHEME": "https" if tls else "http", "CA": certificates[0]}
    upstream = multiprocessing.Process(
        target=run, args=(serve, port, seconds, every_s, bool(through), str(certificates[1]) if tls else None), daemon=True)
    upstream.start()
    with contextlib.ExitStack() as stack:
        stack.callback(upstream.terminate)
        lib.eventually(lambda: is_open(port), 10, "the upstream")
        proxy = through and Proxy(through, directory, words, text=TEXTS[through]).start(before)
        if proxy:
            stack.callback(proxy.stop)
            fresh_kib = proxy.memory_kib()[0]
        caller = multiprocessing.Process(target=call_and_tell, args=(queue, proxy.port if proxy else port, streams))
        caller.start()
        if proxy:
            lib.eventually(lambda: established(proxy) >= 2 * streams, 60, "every stream")
            used, begun = proxy.cpu_s(), time.monotonic_ns()
            time.sleep(seconds * 0.5)
            used, end = proxy.cpu_s() - used, time.monotonic_ns()
            told["kib"] = (proxy.memory_kib()[0] - fresh_kib) / streams
        came, told["parts"] = queue.get(timeout=seconds * 4 + 120)
        caller.join()
    assert len(told["parts"]) == streams, f"only {len(told['parts'])} of {streams} streams are complete"
    told["late"] = [late for _, late in came]
    if proxy:
        told["cpu_us"] = used * 1e6 / max(1, sum(begun <= when <= end for when, _ in came))
    return told
