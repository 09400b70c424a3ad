"""Clients over TLS: the same conversations on a listener with a certificate."""

import http.client
import socket
import ssl
import subprocess
import time

import pytest
import trustme

ROUTE = """
routes:
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("listener")
    authority = trustme.CA()
    pair = authority.issue_cert("localhost", "127.0.0.1")
    pair.private_key_pem.write_to_path(directory / "key.pem")
    with open(directory / "chain.pem", "wb") as chain:
        chain.writelines(blob.bytes() for blob in pair.cert_chain_pems)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    return directory


@pytest.fixture
def gateway(start_gateway, endpoint, ca_file, files):
    return start_gateway(f"""
listen: [{{ address: "@LISTEN@", tls: {{ certificate_file: "{files}/chain.pem", key_file: "{files}/key.pem" }} }}]
region: us-east-1
credentials: {{ source: env }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
""" + ROUTE, head=False)


def context(files, version=None):
    tls = ssl.create_default_context(cafile=str(files / "ca.pem"))
    if version is not None:
        tls.minimum_version = tls.maximum_version = version
    return tls


def dial(gateway, files, version=None):
    plain = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    return context(files, version).wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_both_versions_keep_the_connection(gateway, endpoint, files, version):
    connection = http.client.HTTPSConnection("localhost", gateway.port, context=context(files, version), timeout=10)
    for body in (b"", b"x", bytes(range(256)) * 8192):
        connection.request("POST", "/call/echo", body)
        assert connection.getresponse().read() == body
    time.sleep(0.7)  # the idle connection frees its buffers
    connection.request("POST", "/call/echo", b"still here")
    assert connection.getresponse().read() == b"still here"
    connection.close()
    assert len(endpoint.requests) == 4


def test_curl(gateway, files):
    done = subprocess.run(["curl", "-sS", "--cacert", files / "ca.pem", "--resolve", f"localhost:{gateway.port}:127.0.0.1",
                           "-d", "hello", f"https://localhost:{gateway.port}/call/echo"], capture_output=True, timeout=20)
    assert (done.stdout, done.returncode) == (b"hello", 0)


def test_pieces_arrive_immediately(gateway, files):
    with dial(gateway, files) as caller:
        caller.sendall(b"POST /call/count-3-200 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        arrived = []
        text = b""
        while b"0\r\n\r\n" not in text:
            text += caller.recv(65536)
            arrived.append(time.monotonic())
        assert text.count(b"part ") == 3 and arrived[-1] - arrived[0] > 0.25


def test_first_request_with_the_finished_message(gateway, files):
    """A client's data after its Finished can arrive in the same packet."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(files).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        tls.write(b"POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly")
        plain.sendall(outgoing.read())  # Finished and the request
        while received := plain.recv(65536):
            incoming.write(received)
        text = b""
        while True:
            try:
                piece = tls.read(65536)
            except (ssl.SSLZeroReturnError, ssl.SSLWantReadError):
                break
            if not piece:
                break
            text += piece
        assert text.endswith(b"early")


def test_client_disconnect_is_noticed(gateway, endpoint, files):
    endpoint.next_fault(stall="head")
    caller = dial(gateway, files)
    caller.sendall(b"POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
    endpoint.wait_for(1)
    caller.close()
    line = gateway.line(route="call")
    assert line["outcome"] == "client_gone" and line["total_us"] < 5_000_000


def test_plain_http_is_rejected_and_next_client_served(gateway, files):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
        plain.sendall(b"POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert not plain.recv(65536).startswith(b"HTTP/")
    test_curl(gateway, files)


def test_mismatched_files_are_one_line(start_gateway, files, tmp_path):
    other = trustme.CA().issue_cert("localhost")
    other.private_key_pem.write_to_path(tmp_path / "other.pem")
    gateway = start_gateway(f"""
listen: [{{ address: "@LISTEN@", tls: {{ certificate_file: "{files}/chain.pem", key_file: "{tmp_path}/other.pem" }} }}]
region: us-east-1
credentials: {{ source: env }}
""" + ROUTE, head=False, wait=False)
    gateway.allow_warnings("other.pem")
    gateway.process.wait(20)
    gateway.stop(expect=1)
    assert any("other.pem: key values mismatch" in line["message"] for line in gateway.diagnostics)
