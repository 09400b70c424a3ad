"""Access control: web pages are rejected unless listed; hosts and peers are checked on routes with a list."""

import os

import lib
import pytest
from lib import Caller

CONFIG = """
defaults:
  guards: { hosts: ["localhost", "127.0.0.1", "*.svc"] }
routes:
  - name: call
    match: { path: /call }
    endpoint: echo
  - name: any-host
    match: { path: /any-host }
    endpoint: echo
    guards: { hosts: ["*"] }
  - name: page
    match: { path: /page }
    endpoint: echo
    guards: { origins: ["https://*.corp.example"] }
  - name: elsewhere
    match: { path: /elsewhere }
    endpoint: echo
    guards: { peers: [203.0.113.0/24, "uid:4000000000"] }
  - name: here
    match: { path: /here }
    endpoint: echo
    guards: { peers: [127.0.0.0/8, "uid:%d"] }
  - name: ping
    match: { path: /ping }
    operation: ping
""" % os.geteuid()


@pytest.mark.parametrize("headers", [
    [("Origin", "https://evil.example")],                                 # a page posts across sites
    [("Host", "evil.svc:8080"), ("Origin", "http://evil.svc:8080")],       # its name resolves to this host
    [("Origin", "null")], [("Sec-Fetch-Site", "cross-site")],
    [("Host", "evil.example")], [("Host", "localhost.evil.example")],
])
def test_web_page_requests_are_rejected(gateway, endpoint, headers):
    with gateway.caller() as caller:
        response = caller.call("/call", b"x", headers)
        assert (response.status, response.outcome) == (403, "forbidden_host")
        assert "guards." in response.json()["Message"] and "'call'" in response.json()["Message"]
        assert gateway.line(outcome="forbidden_host")["route"] == "call"
        assert caller.call("/call", b"next").body == b"next", "the connection stays open"
    assert len(endpoint.requests) == 1


def test_web_page_cannot_ping(gateway):
    response = gateway.call("/ping", method="GET", headers=[("Origin", "https://evil.example")])
    assert (response.status, response.outcome) == (403, "forbidden_host")


def test_allowed_clients(gateway):
    assert gateway.call("/call", b"x", [("Host", "Inference.svc:8080")]).status == 200
    assert gateway.call("/any-host", b"x", [("Host", "whatever.example")]).status == 200
    assert gateway.call("/page", b"x", [("Origin", "https://app.corp.example")]).status == 200
    assert gateway.call("/page", b"x", [("Origin", "https://app.corp.example"), ("Host", "evil")]).status == 403
    assert gateway.call("/page", b"x", [("Origin", "https://evil.example")]).status == 403
    assert gateway.call("/page", b"x").status == 200, "not from a web page"


def test_peers_by_address(gateway, endpoint):
    assert gateway.call("/here", b"x").status == 200
    response = gateway.call("/elsewhere", b"x", [("Expect", "100-continue")])
    assert (response.status, response.outcome, response.interim) == (403, "forbidden_peer", [])
    assert gateway.line(outcome="forbidden_peer")["route"] == "elsewhere"
    assert len(endpoint.requests) == 1


def test_peers_by_user(start_gateway, endpoint, ca_file, tmp_path):
    path = tmp_path / "gateway.sock"
    start_gateway(f'listen: [{{ address: "@LISTEN@" }}, {{ address: "unix:{path}" }}]\nregion: us-east-1\n'
                  f'credentials: {{ source: env }}\nupstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}'
                  + CONFIG, head=False)
    with Caller(path) as caller:
        assert caller.call("/here", b"x").status == 200
        response = caller.call("/elsewhere", b"x")
        assert (response.status, response.outcome) == (403, "forbidden_peer")


def test_any_host_is_allowed_by_default(start_gateway):
    """Kubernetes Services, names in /etc/hosts, curl --resolve: programs use any host name."""
    gateway = start_gateway()
    assert gateway.call("/call/echo", b"x", [("Host", "inference.ml.svc.cluster.local:8080")]).status == 200
    assert gateway.call("/call/echo", b"x", [("Origin", "https://evil.example")]).outcome == "forbidden_host"


def test_explain_reports_guards(tmp_path):
    file = tmp_path / "sagegate.yaml"
    file.write_text("region: us-east-1\n" + CONFIG)
    refused = lib.run("explain", "-c", file, "POST", "/call", "-H", "Origin: https://evil.example")
    assert refused.returncode == 1 and "refused    forbidden_host, status 403: web page (Origin" in refused.stdout
    refused = lib.run("explain", "-c", file, "POST", "/call", "--host", "evil.example", "--json")
    assert refused.returncode == 1 and '"outcome":"forbidden_host"' in refused.stdout
    taken = lib.run("explain", "-c", file, "POST", "/here", "--host", "localhost")
    assert taken.returncode == 0 and "guards     peers 127.0.0.0/8, uid:" in taken.stdout
