"""`sagegate check`: the report on an invalid configuration, with all problems at once."""

import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SAGEGATE_BIN", ROOT / "build/dev/sagegate")).resolve()
BROKEN = ROOT / "tests/unit/broken"
ENVIRONMENT = {"PATH": os.environ["PATH"], "SAGEGATE_TEST_MANY": "99", "SAGEGATE_TEST_EMPTY": ""}

GOOD = """
region: us-east-1
routes:
  - name: a
    match: { path: /a }
    endpoint: e
"""


def check(*arguments, cwd=None, env=None):
    return subprocess.run([BINARY, "check", *map(str, arguments)], cwd=cwd, env={**ENVIRONMENT, **(env or {})},
                          capture_output=True, text=True, timeout=30)


def expected(path):
    """The text after "# expected:" at the end of an invalid file."""
    return [line[2:] for line in path.read_text().split("# expected:\n")[1].splitlines()]


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_broken_file_is_reported_with_place_and_remedy(path):
    done = check("-c", path.name, cwd=BROKEN)
    assert done.stderr.replace(str(BROKEN), "DIR").splitlines() == expected(path)
    assert done.returncode == 1
    assert done.stdout == ""


def test_every_message_names_a_place():
    for path in BROKEN.glob("*.yaml"):
        for line in expected(path):
            assert re.match(r"[\w./-]+\.yaml:\d+:\d+: \S", line), line


@pytest.fixture
def file(tmp_path):
    def write(text, name="gateway.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path
    return write


def test_valid_file(file):
    path = file(GOOD)
    done = check("-c", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}: ok, 1 route\n", "")


def test_warnings_do_not_fail(file):
    path = file("listen: [{ address: 0.0.0.0:8080 }]\nlimits: { body_bytes: 1MiB }\n"
                "defaults: { timeouts: { first_byte: 2m, total: 1m } }" + GOOD + "    body_max: 2MiB\n")
    done = check("-c", path)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"{path}:1:21: warning: listen[0].address: 0.0.0.0:8080 is not a loopback address: any client that can connect can use "
        "the credentials",
        f"{path}:3:37: warning: defaults.timeouts.first_byte: longer than total (1m), so it never takes effect",
        f"{path}:9:15: warning: routes[0].body_max: larger than limits.body_bytes (1MiB), so larger bodies are "
        "always refused",
    ]


def test_unreachable_route_warns(file):
    done = check("-c", file(GOOD + "  - { name: b, match: { path: /a }, endpoint: e }\n"))
    assert done.returncode == 0
    assert "warning: " in done.stderr and "b" in done.stderr


def test_files_are_included_in_order(file):
    path = file("include: [routes.d/*.yaml]" + GOOD)
    file("routes: [{ name: c, match: { path: /c }, endpoint: e }]\nlimits: { connections: 7 }", "routes.d/20.yaml")
    file("routes: [{ name: b, match: { path: /b }, endpoint: e }]\nlimits: { concurrency: 9 }", "routes.d/10.yaml")
    done = check("-c", path, "--print")
    assert done.returncode == 0, done.stderr
    assert re.findall(r'- name: "(\w)"', done.stdout) == ["a", "b", "c"]
    assert "connections: 7\n" in done.stdout and "concurrency: 9\n" in done.stdout


def test_empty_routes_directory_is_accepted(file, tmp_path):
    (tmp_path / "routes.d").mkdir()
    assert check("-c", file("include: [routes.d/*.yaml]" + GOOD)).returncode == 0


FULL = """
listen:
  - address: "[::1]:8080"
  - { address: "unix:/run/sage gate/$$x.sock", mode: "0660" }
admin: { address: "unix:/run/admin.sock" }
health: { address: 0.0.0.0:9901 }
workers: 3
region: us-east-1
credentials: { source: static, file: creds.json }
upstream: { fips: true, dualstack: true, extra_ca_files: [CA] }
identities:
  emea: { assume_role: { role_arn: "arn:aws:iam::1:role/x", session_name: "$$-${route}-${env.SAGEGATE_TEST_MANY}" } }
  apac: { source: env, assume_role: { role_arn: "arn:aws:iam::1:role/y", session_name: "a $$ b" } }
upstreams:
  emea: { region: eu-west-1, endpoint_url: "https://VPCE.example.com:8443/", ca_file: CA, identity: emea }
  near: { endpoint_url: "http://127.0.0.1:4566" }
  far: { endpoint_url: "http://10.0.0.1", allow_plaintext: true }
limits: { connections: 10, body_bytes: 64MiB, concurrency: 11, head_bytes: 10000, head_timeout: 1500ms,
          body_timeout: 90s, keep_alive_timeout: 1h, keep_alive_requests: 1000 }
pool: { idle_max: 0, idle_timeout: 1m, age_max: 1h }
drain: { limit: 0s }
defaults:
  upstream: emea
  timeouts: { connect: 1s, first_byte: 80s, idle: 61s, total: 10m }
  body_max: 5MiB
  errors: pass
  callers_may_set: [accept, content_type, inference_id, custom_attributes, input_location]
  parameters:
    accept: { default: application/json, strict_default: true }
    custom_attributes: { append: "a=${header.X-A:-no $$}; ${traceparent}", separator: "; " }
    content_type: { value: "text/csv; charset=\\"utf-8\\"" }
    inference_id: null
routes:
  - name: a
    match: { path: "/a/{x}/{rest*}", methods: [POST, PUT], host: Models.Example.com }
    endpoint: { value: "p-${path.x}", allow: ["p-*"] }
    upstream: near
    identity: apac
    timeouts: { total: 11m }
    errors: unwrap
    callers_may_set: []
    parameters:
      accept: null
      custom_attributes: {}
      target_model: { value: "${path.rest}", allow: ["a$$*", "[*"] }
      target_variant: { required: true, default: "${query.v:-A}" }
  - { name: b, match: { path: /b }, endpoint: "${route}", operation: async }
  - { name: n, match: { path: "/endpoints/{e}/*" }, endpoint: { value: "${path.e}", allow: ["*"] }, operation: native,
      upstream: far }
access_log: { file: access.log, on_full: refuse, log_path: full }
log: { level: debug }
"""


def test_print_round_trips(file):
    ca = file("", "ca.pem")
    first = check("-c", file(FULL.replace("CA", ca.name)), "--print")
    assert (first.returncode, first.stderr) == (0, "")
    # In another directory, and with another environment.
    again = check("-c", file(first.stdout, "elsewhere/printed.yaml"), "--print",
                  env={"AWS_REGION": "ap-south-1"})
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == first.stdout
    for text in ('"https://vpce.example.com:8443"', '"http://127.0.0.1:4566"', 'mode: "0660"', '"a$$*"', "head_bytes: 10000",
                 f'file: "{ca.parent}/creds.json"', "limit: 0ms", "custom_attributes: {}", "errors: unwrap",
                 "callers_may_set: []", 'callers_may_set: ["content_type", "accept", "custom_attributes", "inference_id", '
                 '"input_location"]', "body_max: 125KiB", "strict_default: true",
                 'session_name: "$$-${route}-99"', 'session_name: "a $$ b"', 'identity: "apac"', 'host: "Models.Example.com"'):
        assert text in first.stdout, text


# Every key that the design promises; each must load.
DESIGNED = """
listen:
  - address: 127.0.0.1:8080            # or unix:/run/sagegate/gateway.sock with mode: "0660"
admin:  { address: 127.0.0.1:9902 }    # everything; changing calls by POST
health: { address: 0.0.0.0:9901 }      # only GET /live /ready /metrics, for probes that come from outside the pod
region: us-east-1                      # else AWS_REGION, AWS_DEFAULT_REGION, the profile; imds asks the instance
credentials: { source: default }       # default | env | profile | web_identity | container | imds | process | static
upstream: { fips: false, dualstack: false }   # endpoint_url: ..., ca_file: (instead), extra_ca_files: (besides)
identities:                            # beyond the one above, by name
  emea: { assume_role: { role_arn: "arn:aws:iam::111122223333:role/infer", external_id: x, session_name: "sagegate-${route}" } }
upstreams:
  emea: { region: eu-west-1, identity: emea }
limits: { connections: 1024, body_bytes: 256MiB, concurrency: 512 }
defaults:                              # under every route
  timeouts: { connect: 3s, first_byte: 70s, idle: 60s, total: 500s }
  body_max: 25MiB
  parameters:
    inference_id: { default: "${uuid}" }
routes:
  - name: fraud
    match: { path: /predict/fraud }    # methods: [POST], host: optional
    endpoint: fraud-prod
    operation: invoke                  # invoke (default) | stream | async | auto | native | openai | container | ping
    callers_may_set: [content_type, accept, inference_id, custom_attributes]   # anything else from the caller: 400
    parameters:
      content_type: { default: application/json }
      custom_attributes: { append: "traceparent=${traceparent}", separator: ";" }
      target_model: { value: fraud-v12.tar.gz }
      target_variant: { default: A, allow: [A, B] }
  - name: models
    match: { path: "/models/{model}/predict" }      # {m} part of a segment too; {m*} spans slashes
    endpoint: shared-mme
    parameters:
      target_model: { value: "${path.model}.tar.gz", allow: ["*.tar.gz"] }
  - name: chat
    match: { path: /v1/chat }
    upstream: emea
    endpoint: chat-eu
    operation: auto
  - name: sdk                          # the native API, for AWS SDKs pointed here by endpoint_url
    match: { path: "/endpoints/{endpoint}/*" }
    endpoint: { value: "${path.endpoint}", allow: ["fraud-*", "chat-*"] }   # chosen by the caller without allow: load error
    operation: native
"""


def test_designed_configuration_loads(file):
    done = check("-c", file(DESIGNED))
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "not a loopback address" not in line] == []


def test_too_many_role_sessions_are_rejected(file):
    text = GOOD.split("routes:")[0] + """
identities:
  a: { assume_role: { role_arn: "arn:aws:iam::1:role/x", session_name: "${route}" } }
defaults: { identity: a }
routes:
""" + "".join(f"  - {{ name: r{n}, match: {{ path: /{n} }}, endpoint: e }}\n" for n in range(257))
    done = check("-c", file(text))
    assert done.returncode == 1
    assert "identities: 257 routes have their own session through ${route}; at most 256 are allowed" in done.stderr
    done = check("-c", file(text.replace("name: r256,", "name: r256, identity: default,")))
    assert done.returncode == 0, done.stderr


def test_without_an_environment(file):
    text = GOOD.replace("us-east-1", "${env.R}") + """
listen: [{ address: "127.0.0.1:${env.PORT}" }]
workers: ${env.WORKERS}
log: { level: "${env.LEVEL:-nonsense}" }
upstream: { ca_file: "${env.CA}", endpoint_url: "${env.URL}", fips: "${env.FIPS}" }
"""
    done = check("-c", file(text), "--no-env", env={"PORT": "eighty"})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "log.level" in done.stderr
    assert check("-c", file(text.replace("nonsense", "info")), "--no-env").returncode == 0
    assert check("-c", file(GOOD.replace("region: us-east-1", "")), "--no-env").returncode == 0


@pytest.mark.parametrize("env, url", [
    ({}, None),
    ({"AWS_ENDPOINT_URL": "https://a.example.com"}, "https://a.example.com"),
    ({"AWS_ENDPOINT_URL": "https://a.example.com", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "https://b.example.com"},
     "https://b.example.com"),
    ({"AWS_ENDPOINT_URL": "https://a.example.com", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None),
])
def test_aws_endpoint_variables(file, env, url):
    done = check("-c", file(GOOD), "--print", env=env)
    assert re.findall(r'endpoint_url: "(.*)"', done.stdout) == ([url] if url else [])


@pytest.mark.parametrize("upstream, env, fips, dualstack", [
    ("{}", {"AWS_USE_FIPS_ENDPOINT": "True", "AWS_USE_DUALSTACK_ENDPOINT": "true"}, True, True),
    ("{}", {"AWS_USE_FIPS_ENDPOINT": "yes"}, False, False),
    ("{ fips: false, dualstack: true }", {"AWS_USE_FIPS_ENDPOINT": "true"}, False, True),
    ('{ endpoint_url: "https://a.example.com" }', {"AWS_USE_FIPS_ENDPOINT": "true"}, False, False),
    ("{}", {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_ENDPOINT_URL": "https://a.example.com"}, False, False),
], ids=range(5))
def test_fips_and_dualstack_from_environment(file, upstream, env, fips, dualstack):
    done = check("-c", file(GOOD + f"upstream: {upstream}\n"), "--print", env=env)
    assert done.returncode == 0, done.stderr
    assert ("fips: true" in done.stdout, "dualstack: true" in done.stdout) == (fips, dualstack)


@pytest.mark.parametrize("text, env, told", [
    ("[default]\nregion = eu-west-1\n", {}, 'region: "eu-west-1"'),
    ("[profile x]\nregion = eu-west-1\n", {"AWS_PROFILE": "x"}, 'region: "eu-west-1"'),
    ("[profile x]\nregion = eu-west-1\n", {"AWS_DEFAULT_PROFILE": "x"}, 'region: "eu-west-1"'),
    ("[profile x]\nregion = eu-west-1\n", {}, "missing required key region: write"),
    ("[profile x]\nregion = Mars\n", {"AWS_PROFILE": "x"}, "missing required key region: write"),
    ("\n[profile x\n", {}, "missing required key region, and profile: DIR/config: line 2: missing ']' after a section's name"),
], ids=["default", "profile", "older variable", "another", "no region", "broken"])
def test_region_from_profile(file, tmp_path, text, env, told):
    config = tmp_path / "config"
    config.write_text(text)
    done = check("-c", file(GOOD.replace("region: us-east-1", "")), "--print", env={"AWS_CONFIG_FILE": str(config), **env})
    assert told in (done.stdout + done.stderr).replace(str(tmp_path), "DIR"), done.stdout + done.stderr
    assert done.returncode == (0 if "eu-west-1" in told else 1)


def test_error_names_the_variable(file):
    done = check("-c", file(GOOD.replace("region: us-east-1", "")), env={"AWS_REGION": "Mars", "AWS_ENDPOINT_URL": "ftp://x"})
    assert done.returncode == 1
    assert "AWS_REGION: \"Mars\" is not a valid region" in done.stderr
    assert "AWS_ENDPOINT_URL: " in done.stderr


@pytest.mark.parametrize("arguments, status, text", [
    (["--help"], 0, "Usage: sagegate check"),
    ([], 1, "-c FILE is required"),
    (["-c", "x.yaml", "more"], 1, "unexpected argument 'more'"),
    (["--frobnicate"], 1, "frobnicate"),
    (["-c", "no-such-file.yaml"], 1, "no-such-file.yaml: No such file or directory"),
    (["-c", "."], 1, "is a directory"),
])
def test_command_line(arguments, status, text):
    done = check(*arguments, cwd=BROKEN)
    assert done.returncode == status
    assert text in done.stdout + done.stderr


def test_oversized_file_is_rejected(file):
    done = check("-c", file("#" * 2_000_000 + GOOD))
    assert done.returncode == 1 and "larger than 1 MiB" in done.stderr


def test_deep_nesting_is_rejected(file):
    for text in ("[" * 100_000, "a: " + "{b: " * 1000, "- " * 50_000):
        done = check("-c", file(text))
        assert done.returncode == 1 and done.stderr.count("\n") >= 1, done.stderr


def test_schema_is_json():
    assert json.loads(check("--schema").stdout)["title"] == "sagegate"
