"""sagegate behind the nginx and haproxy of deploy/BEHIND.md: the page's statements on streams, bodies and clients."""

import http.client
import re
import time

import pytest
from lib import ROOT
from peers import Server

from tests import documents

CONFIG = """
routes:
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
  - name: stream
    match: { path: "/stream/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: stream
"""


@pytest.fixture(params=["nginx", "haproxy"])
def proxy(request, gateway, tmp_path):
    """The page's configuration, with the test's ports."""
    page = documents.read_page("deploy/BEHIND.md")
    [text] = [block.text for block in page.blocks if block.language == request.param]
    text = text.replace(":8080", f":{gateway.port}").replace("port 9901", f"port {gateway.health_port}")
    with Server(request.param, tmp_path / "proxy", text.replace(":8000", ":@PORT@")) as server:
        yield server


def post(proxy, path, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    connection.request("POST", path, body, headers)
    return connection, connection.getresponse()


def test_streams_are_not_buffered(proxy, endpoint):
    _, response = post(proxy, "/stream/count-4-150", b"x")
    arrived = []
    while response.read1(65536):
        arrived.append(time.monotonic())
    assert len(arrived) >= 4 and arrived[-1] - arrived[0] > 0.35


def test_broken_stream_stays_broken(proxy, gateway, endpoint):
    gateway.allow_warnings("stream_broken")
    endpoint.next_fault("cut:1;after:400")
    _, response = post(proxy, "/stream/count-9-10", b"x")
    assert response.status == 200
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    gateway.line(outcome="stream_broken")


def test_large_bodies_pass(proxy, endpoint):
    body = bytes(20 << 20)
    _, response = post(proxy, "/call/echo", body)
    assert response.status == 200 and response.read() == body


def test_connections_are_reused_and_the_peer_is_the_proxy(proxy, gateway, endpoint):
    for _ in range(3):
        connection, response = post(proxy, "/call/echo", b"x", **{"X-Forwarded-For": "203.0.113.7"})
        assert response.read() == b"x"
        connection.close()
    clients = [gateway.line(route="call")["client"] for _ in range(3)]
    assert len(set(clients)) == 1 and clients[0].startswith("127.0.0.1:")


def test_client_disconnect_cancels_the_request(proxy, gateway, endpoint):
    connection, response = post(proxy, "/stream/count-200-50", b"x")
    response.read1(10)
    response.close()
    connection.close()
    gateway.line(outcome="client_gone")


def test_origin_reaches_the_gateway(proxy, gateway, endpoint):
    _, response = post(proxy, "/call/echo", b"x", Origin="https://evil.example")
    assert response.status == 403 and response.getheader("X-Sagegate-Outcome") == "forbidden_host"


def test_timeouts_exceed_those_of_sagegate():
    text = (ROOT / "deploy/BEHIND.md").read_text()
    reference = (ROOT / "conf/reference.yaml").read_text()
    ours = [int(re.search(rf"^    {key}: (\d+)s$", reference, re.MULTILINE)[1]) for key in ("connect", "first_byte", "idle")]
    for setting in ("proxy_read_timeout ", "timeout server ", "timeout client "):
        assert int(re.search(setting + r"(\d+)s", text)[1]) > max(ours[0] + ours[1], ours[2])
