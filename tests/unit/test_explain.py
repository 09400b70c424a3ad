"""`sagegate explain`: text and JSON output for a request that is never sent."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SAGEGATE_BIN", ROOT / "build/dev/sagegate")).resolve()

ROUTES = """\
listen: [{ address: 127.0.0.1:8080 }]
region: us-east-1
identities:
  apac: { assume_role: { role_arn: "arn:aws:iam::1:role/x", session_name: "sagegate-${route}" } }
  emea: { assume_role: { role_arn: "arn:aws:iam::1:role/y" } }
upstreams:
  emea: { region: eu-west-1, identity: emea }
defaults:
  parameters:
    inference_id: { default: "${uuid}" }
routes:
  - name: fraud
    match: { path: /predict/fraud }
    endpoint: fraud-prod
    callers_may_set: [content_type, accept, inference_id, custom_attributes]
    timeouts: { first_byte: 1500ms }
    body_max: 1000
    parameters:
      content_type: { default: application/json }
      custom_attributes: { append: "route=${route}", separator: ";" }
      target_model: { value: fraud-v12.tar.gz }
      target_variant: { default: A, allow: [A, B] }
  - name: models
    match: { path: "/models/{model}/predict", methods: [PUT], host: models.example }
    endpoint: shared-mme
    upstream: emea
    parameters:
      target_model: { value: "${path.model}.tar.gz", allow: ["*.tar.gz"] }
      accept: { value: "${header.X-Accept}" }
  - name: sdk
    match: { path: "/endpoints/{endpoint}/*" }
    endpoint: { value: "${path.endpoint}", allow: ["fraud-*"] }
    operation: native
    identity: apac
  - name: later
    match: { path: /later }
    endpoint: later
    operation: async
    body_max: 10
  - name: chat
    match: { path: /chat }
    endpoint: { value: "${json.model}", allow: ["*"] }
    operation: openai
  - name: ping
    match: { path: /ping }
    operation: ping
"""


def run(*arguments, file=None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"QUICKSTART_ENDPOINT_URL": "https://127.0.0.1:8443", "QUICKSTART_CA_FILE": __file__}
    if file is not None and pathlib.Path(file).name == "shared.yaml":
        environment["AWS_REGION"] = "us-east-1"
    command = [BINARY, "explain", *(["-c", file] if file else []), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


@pytest.fixture
def explain(tmp_path):
    """explain(METHOD, PATH, header..., host=None): the completed process."""
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTES)

    def ask(method, path, *headers, options=()):
        named = [word for header in headers for word in ("-H", header)]
        return run(method, path, *named, *options, file=file)

    return ask


@pytest.fixture
def explained(explain):
    """The same with JSON output."""

    def ask(*arguments, options=()):
        done = explain(*arguments, options=[*options, "--json"])
        assert done.stderr == ""
        response = json.loads(done.stdout)
        assert done.returncode == (0 if response["outcome"] == "ok" else 1)
        return response

    return ask


def rows(done):
    """The labelled lines: label -> its lines."""
    labelled, label = {}, None
    for line in done.stdout.splitlines():
        label = line[:11].strip() or label
        labelled.setdefault(label, []).append(line[11:])
    return labelled


def test_text_output(explain):
    done = explain(
        "POST",
        "/predict/fraud",
        "Accept: */*",
        "Content-Type: text/csv",
        "X-Amzn-SageMaker-Custom-Attributes: a=1",
        "User-Agent: curl/7.88.1",
    )
    assert done.returncode == 0 and done.stderr == ""
    told = rows(done)
    assert told["route"][0].startswith("fraud (") and "routes.yaml:12), path /predict/fraud" in told["route"][0]
    assert told["endpoint"] == ["fraud-prod"]
    assert told["operation"] == ["invoke (InvokeEndpoint)"]
    assert told["upstream"] == [
        "default: https://runtime.sagemaker.us-east-1.amazonaws.com"
        "/endpoints/fraud-prod/invocations, signed for us-east-1"
    ]
    assert told["identity"] == ["default"]
    assert [" ".join(row.split()) for row in told["parameters"]] == [
        "ContentType text/csv <- the caller's",
        "Accept */* <- the caller's",
        'CustomAttributes a=1;route=fraud <- the caller\'s, append "route=${route}"',
        'TargetModel fraud-v12.tar.gz <- value "fraud-v12.tar.gz"',
        'TargetVariant A <- default "A"; allowed: A, B',
        'InferenceId 00000000-0000-7000-8000-000000000000 <- default "${uuid}"',
        "(ids are generated per request; zeroes stand for them here)",
    ]
    assert told["callers"] == ["may set: ContentType, Accept, CustomAttributes, InferenceId"]
    assert told["sends"] == [
        "POST /endpoints/fraud-prod/invocations HTTP/1.1",
        "Host: runtime.sagemaker.us-east-1.amazonaws.com",
        "Content-Type: text/csv",
        "Accept: */*",
        "X-Amzn-SageMaker-Custom-Attributes: a=1;route=fraud",
        "X-Amzn-SageMaker-Target-Model: fraud-v12.tar.gz",
        "X-Amzn-SageMaker-Target-Variant: A",
        "X-Amzn-SageMaker-Inference-Id: 00000000-0000-7000-8000-000000000000",
        "User-Agent: sagegate",
        "Content-Length: (the body's; it is sent unchanged)",
        "X-Amz-Date: (set when signing)",
        "X-Amz-Security-Token: (set when signing with temporary credentials)",
        "Authorization: (set when signing each attempt)",
    ]
    assert told["drops"] == ["user-agent"]
    assert told["timeouts"] == ["connect 3 s, first_byte 1500 ms, idle 60 s, total 500 s"]
    assert told["body_max"] == ["1000 bytes"]
    assert told["errors"][0].startswith("unwrap")


def test_shows_captures_overrides_and_empty_results(explain):
    done = explain(
        "PUT",
        "/models/a%20b%07/predict",
        "X-Amzn-SageMaker-Target-Model: mine",
        "Accept: a/b",
        options=["--host", "models.example:8080"],
    )
    told = rows(done)
    assert told["captures"] == ["model = a b\\x07"], "control bytes are escaped"
    assert told["refused"][0].startswith("bad_parameter, status 400: TargetModel (")
    assert "value of route 'models'" in told["refused"][0] and done.returncode == 1

    done = explain(
        "PUT",
        "/models/m/predict",
        "X-Amzn-SageMaker-Target-Model: mine",
        "Accept: a/b",
        "Host: models.example",
    )
    told = rows(done)
    assert told["upstream"][0].endswith("signed for eu-west-1")
    assert told["identity"] == ["emea: arn:aws:iam::1:role/y"]
    parameters = [" ".join(row.split()) for row in told["parameters"]]
    assert (
        'Accept <- not sent; value "${header.X-Accept}" is empty; overrides the caller\'s "a/b"'
        in parameters
    )
    assert (
        'TargetModel m.tar.gz <- value "${path.model}.tar.gz"; overrides the caller\'s "mine"; '
        "allowed: *.tar.gz" in parameters
    )
    assert done.returncode == 0


def test_explains_why_no_route_matches(explain):
    done = explain("POST", "/models/m/predict")
    assert done.returncode == 1
    told = rows(done)
    assert told["refused"] == ["no_route, status 404: no route matches /models/m/predict"]
    assert [row.split(": ", 1)[1] for row in told["routes"]] == [
        "POST /predict/fraud: other path",
        "PUT models.example/models/{model}/predict: other host",
        "POST /endpoints/{endpoint}/*: other path",
        "POST /later: other path",
        "POST /chat: other path",
        "GET /ping: other path",
    ]


def test_json_output(explained):
    response = explained("POST", "/predict/fraud", "Cookie: c", "Content-Type: a/b")
    assert response["route"]["name"] == "fraud" and response["route"]["line"] == 12
    assert response["endpoint"] == "fraud-prod" and response["region"] == "us-east-1"
    assert response["parameters"]["content_type"] == {
        "source": "caller",
        "value": "a/b",
        "caller_value": "a/b",
    }
    assert response["parameters"]["custom_attributes"] == {
        "source": "absent",
        "value": "route=fraud",
        "appended": True,
    }
    assert response["sends"]["url"].endswith("/endpoints/fraud-prod/invocations")
    assert response["sends"]["headers"]["X-Amzn-SageMaker-Target-Variant"] == "A"
    assert response["dropped_headers"] == "cookie"
    assert response["timeouts_ms"]["first_byte"] == 1500 and response["body_max"] == 1000


@pytest.mark.parametrize(
    "method, path, headers, outcome, status, part",
    [
        ("GET", "/predict/fraud", [], "method_not_allowed", 405, "accepts POST"),
        ("POST", "/nothing", [], "no_route", 404, "no route matches /nothing"),
        ("POST", "/predict/%", [], "bad_request", 400, ""),
        ("POST", "/endpoints/../invocations", [], "bad_request", 400, "dot segment"),
        ("POST", "/endpoints/a%2Fb/invocations", [], "bad_request", 400, "%2F"),
        ("POST", "/endpoints/fraud-1/foo", [], "no_route", 404, "async-invocations"),
        ("POST", "/endpoints/chat-1/invocations", [], "bad_parameter", 400, "one of fraud-*"),
        ("POST", "/predict/a b", [], "bad_request", 400, ""),
        ("POST", "predict", [], "bad_request", 400, ""),
        ("POST", "/predict/fraud", ["Bad Name: x"], "bad_request", 400, ""),
        ("POST", "/predict/fraud", ["Content-Length: x"], "bad_request", 400, "Content-Length"),
        ("POST", "/predict/fraud", ["Host: a", "Host: b"], "bad_request", 400, "Host"),
        ("POST", "/predict/fraud", [f"X: {'x' * 70000}"], "head_too_large", 431, "head_bytes"),
        ("POST", "/predict/fraud", ["Content-Encoding: br"], "unsupported_encoding", 415, "'br'"),
        (
            "POST",
            "/predict/fraud",
            ["X-Amzn-SageMaker-Target-Model: m"],
            "bad_parameter",
            400,
            "callers_may_set of route 'fraud'",
        ),
        (
            "POST",
            "/predict/fraud",
            ["X-Amzn-SageMaker-Inference-Id: a", "X-Amzn-SageMaker-Inference-Id: a"],
            "bad_parameter",
            400,
            "duplicate",
        ),
        (
            "POST",
            "/predict/fraud",
            ["X-Amzn-SageMaker-Targte-Model: m"],
            "bad_parameter",
            400,
            "did you mean X-Amzn-SageMaker-Target-Model?",
        ),
    ],
)
def test_rejections(explained, method, path, headers, outcome, status, part):
    response = explained(method, path, *headers)
    assert (response["outcome"], response["status"]) == (outcome, status)
    assert part in response["message"]


LOCATED = "X-Amzn-SageMaker-InputLocation: s3://b/k"


@pytest.mark.parametrize(
    "headers, body, outcome, status, part",
    [
        (["Expect: foo"], b"1234567890", "bad_request", 400, "Expect"),
        (["Expect: 100-continue"], b"1234567890", "ok", None, ""),
        ([], None, "bad_parameter", 400, "provide InputLocation or a body"),
        ([], b"", "bad_parameter", 400, "provide InputLocation or a body"),
        ([LOCATED], b"1", "bad_parameter", 400, "not both"),
        ([LOCATED], None, "ok", None, ""),
        ([], b"12345678901", "body_too_large", 413, "10 bytes (body_max, route 'later')"),
        (["Transfer-Encoding: chunked"], b"12345678901", "body_too_large", 413, "10 bytes"),
        (["Transfer-Encoding: chunked"], b"1234567890", "ok", None, ""),
        (["Transfer-Encoding: chunked"], b"", "bad_parameter", 400, "provide InputLocation"),
        (["Content-Length: 11"], None, "body_too_large", 413, "10 bytes"),
        (["Content-Length: 10"], None, "ok", None, ""),
    ],
)
def test_expectations_inputs_and_sizes(explained, tmp_path, headers, body, outcome, status, part):
    options = []
    if body is not None:
        (tmp_path / "body").write_bytes(body)
        options = ["--body", tmp_path / "body"]
    told = explained("POST", "/later", *headers, options=options)
    assert (told["outcome"], told.get("status")) == (outcome, status)
    assert part in told.get("message", "")


def test_raw_requests(tmp_path):
    """Complete requests from files, one result each, in order."""
    (tmp_path / "routes.yaml").write_text(ROUTES)
    chat = b"POST /chat HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    requests = {
        "ok": chat + b"9\r\n{\"model\":\r\n4\r\n\"m\"}\r\n0\r\n\r\n",
        "bad_parameter": chat + b"2\r\n{}\r\n0\r\n\r\n",
        "body_too_large": b"POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n",
        "bad_request": chat + b"x\r\n",
        "no_route": b"POST /x HTTP/1.0\r\n\r\n",
    }
    raw = []
    for name, request in requests.items():
        (tmp_path / name).write_bytes(request)
        raw += ["--raw", tmp_path / name]
    done = run(*raw, "--json", file=tmp_path / "routes.yaml")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["outcome"] for each in told] == list(requests) and done.returncode == 1
    assert told[0]["endpoint"] == "m"
    assert run(*raw[:2], file=tmp_path / "routes.yaml").returncode == 0


def test_ping_body_is_not_read(tmp_path):
    (tmp_path / "routes.yaml").write_text(ROUTES)
    (tmp_path / "request").write_bytes(b"GET /ping HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    done = run("--raw", tmp_path / "request", "--json", file=tmp_path / "routes.yaml")
    assert json.loads(done.stdout)["operation"] == "ping"


@pytest.mark.parametrize(
    "request_bytes, part",
    [
        (b"POST / HTTP/1.1\r\nHost: h\r\n", "the head is incomplete"),
        (b"POST /chat HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n1234", "the body is incomplete"),
        (b"POST /chat HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1234", "3 bytes follow"),
    ],
)
def test_raw_input_must_be_one_complete_request(tmp_path, request_bytes, part):
    (tmp_path / "routes.yaml").write_text(ROUTES)
    (tmp_path / "request").write_bytes(request_bytes)
    done = run("--raw", tmp_path / "request", file=tmp_path / "routes.yaml")
    assert (done.returncode, done.stdout) == (1, "") and part in done.stderr


@pytest.mark.parametrize(
    "suffix, header",
    [
        ("invocations", "Accept"),
        ("invocations-response-stream", "X-Amzn-SageMaker-Accept"),
        ("async-invocations", "X-Amzn-SageMaker-Accept"),
    ],
)
def test_native(explained, suffix, header):
    response = explained("POST", f"/endpoints/fraud-1/{suffix}", f"{header}: a/b", "Amz-Sdk-Request: 1")
    assert response["sends"]["headers"][header] == "a/b"
    assert response["sends"]["url"].endswith(f"/endpoints/fraud-1/{suffix}")
    assert (response["identity"], response["session_name"]) == ("apac", "sagegate-sdk")
    assert response["dropped_headers"] == "amz-sdk-request"


def test_ids_come_from_the_client_trace(tmp_path):
    file = tmp_path / "trace.yaml"
    file.write_text(
        "listen: [{ address: 127.0.0.1:8080 }]\nregion: us-east-1\nroutes:\n"
        "  - name: r\n    match: { path: / }\n    endpoint: e\n"
        "    parameters: { custom_attributes: { value: '${traceparent}' } }\n"
    )
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    header = f"traceparent: 00-{trace}-00f067aa0ba902b7-00"
    done = run("POST", "/", "-H", header, "--json", file=file)
    value = json.loads(done.stdout)["parameters"]["custom_attributes"]["value"]
    assert value == f"00-{trace}-0000000000000001-00"


@pytest.mark.parametrize(
    "arguments, part",
    [
        ([], "--config FILE is required"),
        (["-c", "x.yaml"], "METHOD PATH"),
        (["-c", "x.yaml", "POST"], "METHOD PATH"),
        (["-c", "x.yaml", "POST", "/", "-H", "no colon"], "must be one line"),
        (["-c", "x.yaml", "POST", "/", "-H", "A: b\r\nC: d"], "must be one line"),
        (["-c", "x.yaml", "POST", "/\r\n"], "must be one line"),
        (["-c", "/nonexistent.yaml", "POST", "/"], "/nonexistent.yaml"),
        (["--nothing"], "nothing"),
    ],
)
def test_usage(arguments, part):
    done = run(*arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert part in done.stderr


def test_reports_configuration_problems(tmp_path):
    file = tmp_path / "broken.yaml"
    file.write_text("routs: []\n")
    done = run("POST", "/", file=file)
    assert done.returncode == 1 and done.stdout == ""
    assert "broken.yaml:1:1: " in done.stderr and "routes" in done.stderr


def test_help():
    done = run("--help")
    assert done.returncode == 0 and done.stdout.startswith("Usage: sagegate explain -c FILE")


@pytest.mark.parametrize("file", sorted((ROOT / "conf").glob("*.yaml")), ids=lambda path: path.name)
def test_files_in_conf(file):
    """Each can be explained; none has a route for the path."""
    done = run("POST", "/no/such/path/anywhere", "--json", file=file)
    if json.loads(done.stdout)["outcome"] == "ok":
        return  # a route for every path
    response = json.loads(done.stdout)
    assert response["outcome"] in ("no_route", "bad_request") and response["routes"]
