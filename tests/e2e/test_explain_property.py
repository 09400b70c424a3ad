"""`explain --json` predicts what the running gateway does, for any configuration and any request.

Each example is one configuration and a batch of requests. The gateway reloads the configuration and serves the
requests; one run of `explain --raw` gets the same bytes.
"""

import json
import os
import re
import signal

import lib
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.endpoint import Endpoint

EXAMPLES = int(os.environ.get("SAGEGATE_EXPLAIN_EXAMPLES", 80))
SM = "X-Amzn-SageMaker-"

# ---- configurations

# Per parameter: its headers, some values that the API accepts, and some that it rejects.
PARAMETERS = {
    "content_type": (["Content-Type", SM + "Content-Type"],
                     ["text/csv", "application/x-www-form-urlencoded"], ["\xe9", "a" * 1025]),
    "accept": (["Accept", SM + "Accept"], ["a/b", "*/*", "text/event-stream;q=1, a/b"], ["\xe9"]),
    "custom_attributes": ([SM + "Custom-Attributes"], ["a=1", "b\tc", "x" * 1010], ["\xfc", "x" * 1025]),
    "target_model": ([SM + "Target-Model"], ["m.tar.gz", "A b"], ["\t", "m" * 1025]),
    "target_variant": ([SM + "Target-Variant"], ["A", "B-1"], ["-A", "a" * 64, "a b"]),
    "target_container_hostname": ([SM + "Target-Container-Hostname"], ["h1"], ["h.1"]),
    "inference_id": ([SM + "Inference-Id"], ["id 1"], ["i" * 65]),
    "enable_explanations": ([SM + "Enable-Explanations"], ["`true`"], ["e" * 65]),
    "inference_component_name": ([SM + "Inference-Component"], ["c1", "c-2"], ["c_3", "c/../d"]),
    "session_id": ([SM + "Session-Id"], ["s1"], ["NEW_SESSION", "new session"]),
    "prefix_aware_id": ([SM + "Prefix-Aware-Id"], ["p"], ["p" * 65]),
    "input_location": ([SM + "InputLocation"], ["s3://b/k"], ["ftp://b/k", "s3:///"]),
    "request_ttl_seconds": ([SM + "RequestTTLSeconds"], ["60", "21600"], ["59", "x"]),
    "invocation_timeout_seconds": ([SM + "InvocationTimeoutSeconds"], ["1"], ["3601", "-1"]),
    "s3_output_path_extension": ([SM + "S3OutputPathExtension"], ["a/b"], ["s3:x", "a b"]),
    "filename": ([SM + "Filename"], ["f.json"], ["a.b.c", ".f"]),
}
ASYNC_ONLY = ["input_location", "request_ttl_seconds", "invocation_timeout_seconds", "s3_output_path_extension",
              "filename"]
ASYNC = ["content_type", "accept", "custom_attributes", "inference_id", *ASYNC_ONLY]
STREAM = ["content_type", "accept", "custom_attributes", "target_variant", "target_container_hostname",
          "inference_id", "inference_component_name", "session_id", "prefix_aware_id"]
INVOKE = [*STREAM, "target_model", "enable_explanations"]
SETTABLE = {"invoke": INVOKE, "stream": STREAM, "auto": STREAM, "async": ASYNC, "native": STREAM[:2],
            "openai": ["content_type", "accept", "inference_component_name"], "container": INVOKE, "ping": []}
PATHS = ["/{x*}", "/a/{x}", "/a/{x*}", "/{x*}", "/a", "/a/{x}/b", "/a/p-{x}.tar.gz", "/*", "/A"]
IDS = ["${uuid}", "${request_id}", "t=${trace_id}", "${traceparent}", "${span_id}"]
SOURCES = ["${header.X-One}", "${header.X-One:-A}", "${query.q}", "${query.q:-B-1}", "${json.model}",
           "${json.model:-c1}", "k${query.q}${header.X-One}"]


def pick(*values):
    return st.sampled_from(values)


def mostly(usual, odd):
    return st.integers(0, 11).flatmap(lambda number: odd if number == 11 else usual)


@st.composite
def policies(draw, parameter, captures):
    values = st.sampled_from(PARAMETERS[parameter][1])
    sources = st.sampled_from([*SOURCES, *captures, *(["${route}"] if parameter not in ASYNC_ONLY else [])])
    policy = {}
    kind = draw(pick("default", "value", "none"))
    if kind != "none":
        policy[kind] = draw(values | sources | (pick(*IDS) if parameter not in ASYNC_ONLY else sources))
    value = policy.get(kind, "${")
    from_ids, from_body = value in IDS, "${json." in value
    if parameter in ("custom_attributes", "target_model") and draw(st.booleans()):
        policy |= {"append": draw(sources | pick(*IDS)), "separator": draw(pick(";", ""))}
        from_ids, from_body = from_ids or policy["append"] in IDS, from_body or "${json." in policy["append"]
    if from_body or draw(st.booleans()):
        narrow = "${route}" not in value and not from_ids  # ids may match or not
        policy["allow"] = draw(pick(["*"], ["A*", "?-*", "c1"])) if narrow and "${" in value else ["*"]
    if draw(pick(True, False, False)):
        policy["required"] = True
    if parameter in ("accept", "content_type") and kind != "value" and draw(st.booleans()):
        policy["strict_default"] = True
    return policy


@st.composite
def routes(draw, name):
    operation = draw(st.sampled_from(sorted(SETTABLE)))
    path = draw(pick("/endpoints/{x}/*", "/endpoints/*", "/n/{x}/invocations") if operation == "native"
                else st.sampled_from(PATHS))
    captures = ["${path.x}", "p-${path.x}"] if "{x" in path else []
    route = {"name": name, "operation": operation, "match": {"path": path}}
    parameters = SETTABLE[operation]
    methods = ["GET", "HEAD", "POST"] if operation == "ping" else ["GET", "PUT", "POST"]
    if operation == "container":
        route["upstream"] = "box"
        methods = draw(pick(["POST"], ["GET", "HEAD"]))
    if draw(st.booleans()):
        route["match"]["methods"] = ["POST", "GET"] if operation != "container" else methods
    elif draw(st.booleans()):
        route["match"]["methods"] = draw(st.lists(st.sampled_from(methods), min_size=1, max_size=2, unique=True))
    if draw(mostly(st.just(False), st.just(True))):
        route["match"]["host"] = "one.example"
    if operation not in ("container", "ping") or draw(st.booleans()):
        route["endpoint"] = draw(pick("e1", "E-${route}", {"value": "${query.q:-A}", "allow": ["A*"]})
                                 | st.sampled_from(SOURCES[:6] + captures).map(
                                     lambda value: {"value": value, "allow": ["*"]}))
    if draw(st.booleans()):
        route["body_max"] = draw(pick(1, 10, 100))
    if draw(pick(True, False, False)):
        route["guards"] = draw(pick({"hosts": ["localhost", "*.example"]}, {"origins": ["https://a.example"]},
                                    {"hosts": ["*"], "origins": ["*"]}))
    chosen = draw(st.lists(st.sampled_from(parameters), max_size=3, unique=True)) if parameters else []
    route["parameters"] = {parameter: draw(policies(parameter, captures)) for parameter in chosen}
    if parameters and draw(pick(True, False, False)):
        may_set = set(draw(st.lists(st.sampled_from(parameters), max_size=4, unique=True)))
        may_set |= {name for name, policy in route["parameters"].items() if policy.get("required")}
        route["callers_may_set"] = sorted(may_set)
    if operation == "auto" and draw(st.booleans()):
        route["stream_if"] = {"header": "X-Stream", "query": "stream"}
    return route


configurations = st.integers(1, 5).flatmap(
    lambda count: st.tuples(*(routes(f"r{number}") for number in range(count))).map(list))

# ---- requests

methods = mostly(pick("POST", "POST", "POST", "POST", "PUT", "GET"),
                 pick("HEAD", "OPTIONS", "post", "CONNECT", "BAD METHOD"))
words = mostly(pick("e1", "A", "c1", "x.y", "%41", "p-m.tar.gz", "a+b"),
               pick("a%2Fb", "%2e%2e", "..", ".", "", "%", "%zz", "a%00b", "%5C", "%C3%A9", "e" * 64, "p-.tar.gz",
                    "~-_", "*", "\xe9", "e%31"))
paths = mostly(
    st.builds("/a/{}".format, words) | st.builds("/a/{}/b".format, words) | st.just("/a")
    | st.builds("/endpoints/{}/{}".format, words,
                pick("invocations", "async-invocations", "invocations-response-stream", "foo", "invocations/"))
    | st.builds("/n/{}/invocations".format, words),
    pick("/A", "/", "/a/", "*", "a", "//") | st.builds("/{}/{}".format, words, words))
queries = pick("q=A", "q=B-1", "q=e1", "q=c1&stream=1", None) | mostly(
    pick("q=A", ""), pick("q=a+b%20c", "q=%zz", "q=1&q=2", "q=", "Q=1", "stream=no&q=c1", "stream=1&stream=1",
                          "x&&q=%C3%A9"))
hosts = mostly(pick("localhost", "one.example", "localhost:80"),
               pick("ONE.example:8080", "evil.test", "[::1]:80", "a b", ""))
parameters = mostly(
    st.sampled_from([(name, value) for names, good, _ in PARAMETERS.values() for name in names for value in good]),
    st.sampled_from([(name, value) for names, _, bad in PARAMETERS.values() for name in names for value in [*bad, ""]]))
others = mostly(
    pick(("Expect", "100-continue"), ("X-One", "A"), ("X-One", "e1"), ("x-one", ""), ("X-Stream", "yes"),
         ("X-Stream", "0"), ("Content-Encoding", "identity"), ("Connection", "close"), ("User-Agent", "curl/8"),
         ("Authorization", "Bearer x"), ("Cookie", "c"), ("X-Request-Id", "r"), ("Origin", "https://a.example"),
         ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
         ("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793")),
    pick(("Expect", "100-Continue"), ("Expect", "foo"), ("Expect", ""), ("expect", "100-continue, x"),
         ("Origin", "null"), ("Origin", ""), ("Sec-Fetch-Site", "cross-site"), ("Content-Encoding", "gzip"),
         ("Content-Encoding", ""), ("Connection", "accept, x-one"), ("Connection", "content-type"),
         ("Keep-Alive", "x"), ("X-One", "\xe9"), ("X-One", "v" * 200), (SM + "Targte-Model", "m"), (SM + "Foo", ""),
         ("traceparent", "00-0"), ("Bad Name", "x"), ("Content-Length", "5x"), ("Transfer-Encoding", "gzip"),
         ("X-Long", "l" * 5000), ("X", "a\x01b"), ("", "x")))
bodies = (st.just(b"") | pick(b"x", b"0123456789", b"01234567890", b"\0\xff" * 50, b"x" * 101)
          | pick(b'{"model":"A"}', b'{"model": "e1", "stream": true}', b'{"stream":true', b'{"model":"A","model":"B"}',
                 b'{"stream":false,"stream":true}', b'{"model":"' + b"l" * 300 + b'"}', b'{"model":7}', b"[1]",
                 b'{"model":"c1","x":{"stream":true}}', '{"model":"\xe9"}'.encode(), b'{"model":"\\u0041"}'))


def cased(name, how):
    return [name, name.lower(), name.upper()][how]


@st.composite
def requests(draw):
    """Returns the bytes of one complete request."""
    method, path, query, host, body = (draw(each) for each in (methods, paths, queries, hosts, bodies))
    headers = draw(st.lists(parameters | others, max_size=3))
    headers = [(cased(name, draw(st.integers(0, 2))), value) for name, value in headers]
    framing = draw(mostly(pick("length", "chunked"), st.just("broken") if body else st.just("none")))
    headers += [("Host", host)] * draw(mostly(st.just(1), pick(0, 2)))
    if framing == "length":
        headers.append(("Content-Length", str(len(body))))
    if framing in ("chunked", "broken"):
        cut = draw(st.integers(0, len(body)))
        pieces = [piece for piece in (body[:cut], body[cut:]) if piece]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        body += b"0\r\n\r\n" if framing == "chunked" else b"zz\r\n"
        headers.append(("Transfer-Encoding", "chunked"))
    target = path if query is None else f"{path}?{query}"
    minor = draw(mostly(st.just(1), st.just(0)))
    head = [f"{method} {target} HTTP/1.{minor}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (b"" if framing == "none" else body)


# ---- the comparison

UUID, TRACE, SPAN = "00000000-0000-7000-8000-000000000000", "0" * 31 + "1", "0" * 15 + "1"
ADDED = {"user-agent", "content-length", "x-amz-date", "authorization"}  # at sending or signing time


def as_pattern(value):
    """explain's ids are zeroes."""
    pattern = re.escape(value)
    for zeroes, real in ((re.escape(UUID), "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), (TRACE, "[0-9a-f]{32}"),
                         (SPAN, "[0-9a-f]{16}")):
        pattern = pattern.replace(zeroes, real)
    return pattern + r"\Z"


class Lab:
    """A gateway in front of a local endpoint, and `explain` beside it."""

    def __init__(self, gateway, endpoint, directory):
        self.gateway, self.endpoint, self.directory = gateway, endpoint, directory
        self.count = 0

    def write(self, routes):
        text = HEAD.format(url=self.endpoint.url) + f"routes: {json.dumps(routes)}\n"
        self.gateway.config_file.write_text(self.gateway._fill(text))

    def reload(self):
        said = "switched to the new configuration"
        self.gateway.forget()
        self.gateway.process.send_signal(signal.SIGHUP)
        lib.eventually(lambda: any(said in line["message"] for line in self.gateway.diagnostics), 5, said)

    def explain(self, sent):
        files = []
        for number, request in enumerate(sent):
            files += ["--raw", self.directory / f"request-{number}"]
            files[-1].write_bytes(request)
        done = lib.run("explain", "-c", self.gateway.config_file, "--json", *files)
        assert done.stderr == "", done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def call(self, request):
        """Returns (response, the endpoint's record of the request or None)."""
        self.endpoint.requests.clear()
        with self.gateway.caller() as caller:
            response = caller.send(request).response(request.split(b" ", 1)[0].decode("latin-1"))
        seen = self.endpoint.requests[:]
        assert len(seen) <= 1
        return response, seen[0] if seen else None

    def compare(self, request, told):
        """Returns the response's request id."""
        self.count += 1
        response, seen = self.call(request)
        try:
            self.compare_response(told, response, seen)
        except AssertionError:
            note(f"{request!r}\n  explain: {told}\n  gateway: {response.status} {response.headers} {response.body}\n"
                 f"  endpoint: {seen and (seen.method, seen.path, seen.headers)}")
            raise
        return response.header("X-Request-Id")

    def compare_response(self, told, response, seen):
        if told["outcome"] != "ok":
            assert seen is None
            assert (response.status, response.outcome) == (told["status"], told["outcome"])
            assert response.framing == "none" or response.json()["Message"] == told["message"]
        elif told["operation"] == "ping":
            assert seen is None and response.status == 200
        else:
            assert seen is not None, (response.status, response.outcome, response.body)
            self.compare_sent(told, seen, response)

    def compare_sent(self, told, seen, response):
        sends = told["sends"]
        assert seen.method == sends["method"] and re.match(as_pattern(sends["url"]), self.endpoint.url + seen.path)
        wanted = list(sends["headers"].items())
        for (name, value), (its_name, its_value) in zip(seen.headers, wanted, strict=False):
            assert name.lower() == its_name.lower() and re.match(as_pattern(its_value), value)
        assert {name.lower() for name, _ in seen.headers[len(wanted):]} <= ADDED
        assert len(seen.headers) >= len(wanted)
        parameters = {name: row["value"] for name, row in told["parameters"].items() if "value" in row}
        for name, value in parameters.items():
            headers = [header.lower() for header in PARAMETERS[name][0]]
            sent = [value for header, value in seen.headers if header.lower() in headers]
            in_path = name == "inference_component_name" and "/inference-components/" in seen.path
            assert in_path or (len(sent) == 1 and re.match(as_pattern(value), sent[0])), name
        assert response.outcome in (None, "rejected", "upstream_error", "model_error")

    def compare_lines(self, responses):
        """responses: request id -> explain's result. The access lines must agree."""
        for identity, told in responses.items():
            line = self.gateway.line(request_id=identity)
            wanted = {"route": told.get("route", {}).get("name")}
            if told["outcome"] == "ok":
                wanted |= {name: told.get(name) or None for name in ("endpoint", "operation")}
                dropped = told.get("dropped_headers")
                wanted["dropped_headers"] = dropped.split(",") if dropped else None
                wanted["overridden"] = [name for name, row in told["parameters"].items()
                                        if "overridden" in row] or None
            else:
                wanted |= {"outcome": told["outcome"], "status": told["status"], "attempts": 0}
            assert {name: line.get(name) for name in wanted} == wanted, (line, told)


HEAD = """
listen: [{{ address: "@LISTEN@" }}]
region: us-east-1
credentials: {{ source: env }}
workers: 1
limits: {{ head_bytes: 4KiB }}
upstream: {{ endpoint_url: "{url}", allow_plaintext: true }}
upstreams: {{ box: {{ endpoint_url: "{url}", allow_plaintext: true }} }}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("explain")
    with Endpoint() as endpoint:
        endpoint.container = "echo"
        config = HEAD.format(url=endpoint.url) + "routes: []\n"
        gateway = lib.Gateway(directory, config)
        gateway.allow_warnings(".*")  # of routes that never match, appended parts without room
        with gateway:
            lab = Lab(gateway, endpoint, directory)
            yield lab
            gateway.allow_warnings(".*")
    print(f"{lab.count} requests were compared")


@pytest.mark.timeout(600)  # shrinking a failure is slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(configurations, st.lists(st.tuples(*[requests()] * 10), min_size=1, max_size=6))
def test_explain_matches_the_gateway(lab, routes, sent):
    sent = [request for ten in sent for request in ten]
    lab.write(routes)
    told = lab.explain(sent)
    lab.reload()
    lab.compare_lines({lab.compare(request, response): response for request, response in zip(sent, told, strict=True)})
