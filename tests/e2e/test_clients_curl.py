"""curl, as used from a shell."""

import json
import subprocess

import pytest
from payloads import BODIES, ONE_OVER, sha256


def curl(*arguments, body=None):
    """Returns (status, lower-case response headers, body)."""
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--include", *arguments]
    if body is not None:
        command += ["--data-binary", "@-"]
    done = subprocess.run(command, input=body, capture_output=True, check=True)
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, rest = rest.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split()[1]), headers, rest


@pytest.mark.parametrize("name", BODIES)
def test_posts_every_body(gateway, endpoint, name):
    status, _, response = curl(f"{gateway.url}/call/json", "-H", "Content-Type: x/y", body=BODIES[name])
    container = json.loads(response)
    assert status == 200 and container["verdict"] == "ok"
    assert container["body_sha256"] == sha256(BODIES[name])
    line = gateway.line(route="call")
    assert (line["outcome"], line["bytes_in"]) == ("ok", len(BODIES[name]))


@pytest.mark.parametrize("name", ["every-byte", "six-mib"])
def test_echoes_the_same_bytes(gateway, name):
    status, headers, response = curl(f"{gateway.url}/call/echo", "-H", "Content-Type: a/b", body=BODIES[name])
    assert (status, headers["content-type"]) == (200, "a/b")
    assert response == BODIES[name]


def test_one_byte_over_the_limit(gateway, endpoint):
    status, headers, response = curl(f"{gateway.url}/call/echo", body=ONE_OVER)
    assert (status, headers["x-sagegate-outcome"]) == (413, "body_too_large")
    assert json.loads(response)["Code"] == "body_too_large"
    assert gateway.line(outcome="body_too_large")["status"] == 413
    assert endpoint.requests == []


def test_chunked_from_a_pipe(gateway):
    status, _, response = curl(f"{gateway.url}/call/json", "-H", "Transfer-Encoding: chunked",
                             body=BODIES["six-mib"])
    assert status == 200 and json.loads(response)["body_sha256"] == sha256(BODIES["six-mib"])


def test_two_urls_on_one_connection(gateway):
    command = ["curl", "-sS", "-d", "x", f"{gateway.url}/call/echo", f"{gateway.url}/call/json",
               "-o", "/dev/null", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "200 1\n200 0\n"


def test_curl_default_headers_do_not_override_defaults(start_gateway):
    """curl sends Accept: */* and a form's content type; the route's default applies as if a program sent nothing."""
    gateway = start_gateway("""
routes:
  - name: defaults
    match: { path: /defaults }
    endpoint: json
    parameters: { content_type: { default: text/csv }, accept: { default: application/json } }
  - name: strict
    match: { path: /strict }
    endpoint: json
    parameters:
      content_type: { default: text/csv, strict_default: true }
      accept: { default: application/json, strict_default: true }
""")
    _, _, response = curl(f"{gateway.url}/defaults", "-d", "1,2")
    assert chosen(response) == ("text/csv", "application/json")
    _, _, response = curl(f"{gateway.url}/defaults", "-d", "1,2", "-H", "Content-Type: a/b", "-H", "Accept: c/d")
    assert chosen(response) == ("a/b", "c/d")
    _, _, response = curl(f"{gateway.url}/strict", "-d", "1,2")
    assert chosen(response) == ("application/x-www-form-urlencoded", "*/*")


def chosen(response):
    parameters = json.loads(response)["parameters"]
    return parameters["ContentType"], parameters["Accept"]


def test_over_a_unix_socket(start_gateway, endpoint, ca_file):
    gateway = start_gateway(f"""
listen: [{{ address: "@LISTEN@" }}, {{ address: "unix:@DIR@/gateway.sock", mode: "0660" }}]
region: us-east-1
credentials: {{ source: env }}
upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}
routes:
  - {{ name: only, match: {{ path: /predict }}, endpoint: echo }}
""", head=False)
    path = gateway.directory / "gateway.sock"
    assert oct(path.stat().st_mode)[-3:] == "660"
    status, _, response = curl("--unix-socket", str(path), "http://localhost/predict", body=BODIES["every-byte"])
    assert (status, response) == (200, BODIES["every-byte"])
    assert gateway.line(outcome="ok")["client"] == "unix"
