"""GET /metrics: the page agrees with the access lines exactly, is valid for Prometheus, and has no side effects."""

import collections
import contextlib
import datetime
import json
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest
import yaml
from lib import ACCESS_KEY, ROOT, SECRET_KEY, Broken, eventually, free_port, get, run

pytestmark = pytest.mark.threads

CONFIG = """
workers: 2
routes:
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
  - name: sdk
    match: { path: "/endpoints/{endpoint}/*" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: native
  - name: stream
    match: { path: "/stream/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: stream
  - name: one
    match: { path: "/one/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    concurrency: 1
  - name: patient
    match: { path: "/patient/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    concurrency: 1
    wait_for: 20s
  - name: short
    match: { path: "/short/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    body_max: 64KiB
    timeouts: { connect: 5s, first_byte: 200ms, idle: 5s, total: 5s }
  - name: unused
    match: { path: /unused }
    endpoint: echo
"""
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9]+(?:\.[0-9]{6})?)')
FAULTS = {token: fault.lower() for token, fault in
          re.findall(r"^OUTCOME\(\w+, (\w+), \d+, (\w+),", (ROOT / "proxy/gateway/outcome.def").read_text(), re.M)}
HISTOGRAMS = {"sagegate_route_duration_seconds": "total_us", "sagegate_route_first_byte_seconds": "first_byte_us"}


class Page:
    """A parsed GET /metrics: `values` by (name, labels as sorted pairs), `types` and `helps` by name."""

    def __init__(self, text):
        self.values, self.types, self.helps = {}, {}, {}
        family = None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family, text = line[7:].split(" ", 1)
                assert family not in self.helps, f"{family} appears twice"
                self.helps[family] = text
            elif line.startswith("# TYPE "):
                name, self.types[family] = line[7:].split(" ")
                assert name == family
            else:
                name, labels, value = SAMPLE.fullmatch(line).groups()
                suffix = "_(bucket|sum|count)" if self.types[family] == "histogram" else ""
                assert re.fullmatch(family + suffix, name), f"{name} appears in {family}"
                key = name, tuple(sorted(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', labels or "")))
                assert key not in self.values, f"{key} appears twice"
                self.values[key] = float(value)

    def get(self, name, **labels):
        return self.values.get((name, tuple(sorted(labels.items()))))

    def of(self, name):
        """Returns {labels: value} of one name."""
        return {labels: value for (found, labels), value in self.values.items() if found == name}

    def sum(self, name):
        return sum(self.of(name).values())


def scrape(gateway):
    status, text = get(("127.0.0.1", gateway.health_port), "/metrics")
    assert status == 200, text
    return Page(text.decode())


def by_route(lines, value):
    """Returns {route: sum of value(line)} of those routes that have lines."""
    sums = collections.Counter()
    for line in lines:
        sums[line.get("route", "(none)")] += value(line)
    return dict(sums)


def fault_of(line):
    if line["outcome"] == "model_error" and 400 <= line.get("model_status", 0) < 500:
        return "caller"
    return FAULTS[line["outcome"]]


def routes_of(page, name):
    return {dict(labels)["route"]: value for labels, value in page.of(name).items()}


def check_histogram(page, name, field, lines):
    """Each bucket as computed from the lines."""
    lines = [line for line in lines if field in line]
    assert routes_of(page, name + "_count") == by_route(lines, lambda line: 1)
    for labels, value in page.of(name + "_bucket").items():
        labels = dict(labels)
        assert value == sum(line[field] <= float(labels["le"].replace("+Inf", "inf")) * 1e6 * (1 + 1e-9) for line in lines
                            if line.get("route", "(none)") == labels["route"]), (name, labels)
    sums = by_route(lines, lambda line: line[field])
    assert {route: round(value * 1e6) for route, value in routes_of(page, name + "_sum").items()} == sums


def check_agrees(page, lines):
    by_outcome = collections.Counter((line.get("route", "(none)"), line["outcome"], fault_of(line)) for line in lines)
    told = {(labels["route"], labels["outcome"], labels["fault"]): value
            for labels, value in ((dict(key), value) for key, value in page.of("sagegate_route_requests_total").items())}
    assert told == by_outcome
    totals = collections.Counter((line["outcome"], fault_of(line)) for line in lines)
    assert {(dict(key)["outcome"], dict(key)["fault"]): value
            for key, value in page.of("sagegate_requests_total").items() if value} == totals
    for name, value in {
            "sagegate_route_request_body_bytes_total": lambda line: line["bytes_in"],
            "sagegate_route_response_body_bytes_total": lambda line: line["bytes_out"],
            "sagegate_route_response_parts_total": lambda line: line.get("parts", 0),
            "sagegate_route_attempts_total": lambda line: line["attempts"],
            "sagegate_route_retries_total": lambda line: max(line["attempts"] - 1, 0)}.items():
        assert routes_of(page, name) == by_route(lines, value), name
    for name, field in HISTOGRAMS.items():
        check_histogram(page, name, field, lines)
    called = [line for line in lines if line["attempts"]]
    assert routes_of(page, "sagegate_route_overhead_seconds_count") == by_route(called, lambda line: 1)
    assert page.sum("sagegate_route_overhead_seconds_sum") <= sum(line["total_us"] for line in called) / 1e6
    assert set(page.of("sagegate_route_requests_in_flight").values()) <= {0}


# ---- client behaviours: each returns how many access lines it causes ----


def well(gateway, endpoint):
    with gateway.caller() as caller:
        for size in (0, 1, 1000, 100_000):
            assert caller.call("/call/echo", b"x" * size).status == 200
    assert gateway.call("/endpoints/echo/invocations", b"x").status == 200
    return 5


def refused(gateway, endpoint):
    assert gateway.call("/nowhere").outcome == "no_route"
    assert gateway.call("/call/echo", method="PUT").outcome == "method_not_allowed"
    assert gateway.call("/call/no_such_name").outcome == "bad_parameter"
    assert gateway.call("/short/echo", b"x" * 65537).outcome == "body_too_large"
    with gateway.caller() as caller:
        assert caller.send("nonsense\r\n\r\n").response().status == 400
    return 5


def faulty(gateway, endpoint):
    for fault in ("code:ModelError;original_status:400", "code:ModelError;original_status:500",
                  "code:ThrottlingException;status:400", "status:503", "code:AccessDeniedException"):
        gateway.call("/call/echo", b"x", [("X-Amzn-SageMaker-Custom-Attributes", f"x-fault={fault}")])
    with contextlib.suppress(Broken):
        gateway.call("/call/echo", b"x" * 50_000, [("X-Amzn-SageMaker-Custom-Attributes", "x-fault=cut:1;after:100")])
    gateway.call("/short/echo", b"x", [("X-Amzn-SageMaker-Custom-Attributes", "x-fault=delay_ms:600")])
    return 7


def streaming(gateway, endpoint):
    assert gateway.call("/stream/count-4-10").body.count(b"part") == 4
    assert gateway.call("/call/count-3-10").status == 200
    with contextlib.suppress(Broken):
        gateway.call("/stream/count-4-10", headers=[
            ("X-Amzn-SageMaker-Custom-Attributes", "x-fault=exception:ModelStreamError;at:2")])
    return 3


def leaving(gateway, endpoint):
    with gateway.caller() as caller:
        caller.send("POST /call/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    with gateway.caller() as caller:
        caller.send("POST /call/ec")
    with gateway.caller() as caller:
        caller.ask("/stream/count-50-100")
        caller.read_some()
    return 3


def crowding(gateway, endpoint):
    with gateway.caller() as first, gateway.caller() as second:
        first.ask("/one/count-3-200")
        first.read_some()
        for _ in range(3):
            assert second.call("/one/echo", b"x").outcome == "busy"
        eventually(lambda: b"part 3" in first.read_some(), 10)
    return 4


EXPECTED = ("stream_broken", "first_byte_timeout", "stream_error", "throttl", "access_denied", "rejected")


def at_once(gateway, endpoint, doings):
    """Runs all of them, each in its own thread; returns the number of access lines they cause."""
    counts, failures = [], []

    def run(doing):
        try:
            counts.append(doing(gateway, endpoint))
        except Exception as failure:  # noqa: BLE001
            failures.append((doing.__name__, failure))

    threads = [threading.Thread(target=run, args=(doing,)) for doing in doings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    return sum(counts)


def test_page_matches_the_access_lines(start_gateway, endpoint):
    gateway = start_gateway(CONFIG)
    gateway.allow_warnings(*EXPECTED)
    count = at_once(gateway, endpoint, [well, refused, faulty, streaming, leaving, crowding, well, refused, streaming])
    eventually(lambda: len(gateway.lines) >= count, 15, f"{count} access lines")
    page = scrape(gateway)
    assert len(gateway.lines) == count
    outcomes = {line["outcome"] for line in gateway.lines}
    assert outcomes >= {"ok", "no_route", "method_not_allowed", "bad_parameter", "body_too_large", "bad_request",
                        "model_error", "client_gone", "stream_broken", "first_byte_timeout", "stream_error", "busy"}
    check_agrees(page, gateway.lines)
    assert not any("unused" in dict(labels).values() for _, labels in page.values), "it has had no request"


def test_scraping_under_load_has_no_side_effects(start_gateway, endpoint):
    """Counters only ever grow, whoever reads them."""
    gateway = start_gateway(CONFIG)
    gateway.allow_warnings(*EXPECTED)
    done = threading.Event()
    pages = []

    def look():
        while not done.is_set():
            pages.append(scrape(gateway))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        count = at_once(gateway, endpoint, [well, faulty, streaming, refused, well, leaving])
    finally:
        done.set()
        looker.join()
    eventually(lambda: len(gateway.lines) >= count, 15, f"{count} access lines")
    check_agrees(scrape(gateway), gateway.lines)
    for earlier, later in zip(pages, pages[1:]):
        for (name, labels), value in earlier.values.items():
            if re.search("_(total|bucket|sum|count)$", name):
                assert later.values[name, labels] >= value, (name, labels)
        assert all(0 <= value <= count for value in later.of("sagegate_route_requests_in_flight").values())


def table():
    """Returns {name: (type, label names, help)} of metrics.def."""
    text = re.sub(r'"\s*\n\s*"', "", (ROOT / "proxy/observe/metrics.def").read_text())
    return {name: (kind.lower(), set(labels.split()), told) for kind, name, labels, told in
            re.findall(r'^METRIC\(\w+, (\w+), (\w+),\s*"(.*?)",\s*"(.*?)"\)', text, re.M)}


@pytest.fixture
def busy_page(start_gateway, endpoint):
    """The text of a page after some requests."""
    gateway = start_gateway(CONFIG)
    well(gateway, endpoint)
    return get(("127.0.0.1", gateway.health_port), "/metrics")[1]


def test_promtool_accepts_the_page(busy_page):
    told = subprocess.run(["promtool", "check", "metrics"], input=busy_page, capture_output=True, timeout=30)
    assert (told.returncode, told.stdout, told.stderr) == (0, b"", b"")


def test_every_metric_matches_the_table(busy_page):
    page = Page(busy_page.decode())
    assert set(page.helps) == set(table())
    assert {name: (page.types[name], told) for name, told in page.helps.items()} == {
        name: (kind, told) for name, (kind, _, told) in table().items()}
    for name, (kind, labels, _) in table().items():
        samples = page.of(name + "_bucket" if kind == "histogram" else name)
        assert all({label for label, _ in key} == labels | ({"le"} if kind == "histogram" else set())
                   for key in samples), name
        absent = name.endswith(("_expiry_seconds", "_last_failure_timestamp_seconds"))
        assert bool(samples) != absent, name  # credentials from the environment never expire


def test_alerts_use_existing_metrics(busy_page, tmp_path):
    groups = yaml.safe_load((ROOT / "deploy/kubernetes/components/alerts/prometheus-rule.yaml").read_text())["spec"]
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(groups))
    told = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True, timeout=30)
    assert told.returncode == 0 and "SUCCESS" in told.stdout, told.stdout + told.stderr
    named = {name for rule in groups["groups"][0]["rules"]
             for name in re.findall(r"sagegate_\w+", rule["expr"] + rule["annotations"]["description"])}
    assert len(named) > 4 and named <= set(table())


def test_process_and_limits(start_gateway, endpoint):
    gateway = start_gateway(CONFIG + "limits: { connections: 50, concurrency: 20, body_bytes: 100MiB }\n")
    before = time.time()
    with gateway.caller() as idle, gateway.caller() as caller:
        idle.call("/call/echo", b"x")
        caller.ask("/call/count-20-100", b"x" * 1000)
        caller.read_some()
        page = scrape(gateway)
    assert page.of("sagegate_connections") == {(("worker", "0"),): 1, (("worker", "1"),): 1}
    for name, value in {"connections_limit": 50, "admitted_requests": 1, "admitted_requests_limit": 20,
                        "waiting_requests": 0, "body_limit_bytes": 100 * 1024 * 1024, "ready": 1, "draining": 0,
                        "clock_offset_seconds": 0}.items():
        assert page.get("sagegate_" + name) == value, name
    assert page.get("sagegate_route_requests_in_flight", route="call") == 1
    assert page.get("sagegate_upstream_connections", upstream="default", state="active") == 1
    assert page.get("sagegate_upstream_connections", upstream="default", state="idle") == 1
    assert page.get("sagegate_upstream_connections_opened_total", upstream="default") == 2
    assert page.sum("sagegate_upstream_tls_handshakes_total") == 2
    [(labels, _)] = page.of("sagegate_build_info").items()
    assert dict(labels)["version"] in run("version").stdout
    assert abs(page.get("process_start_time_seconds") - before) < 60
    resident = gateway.resident_kib() * 1024
    assert resident / 2 < page.get("process_resident_memory_bytes") < resident * 2
    descriptors = len(list(pathlib.Path(f"/proc/{gateway.process.pid}/fd").iterdir()))
    assert abs(page.get("process_open_fds") - descriptors) <= 8
    assert 0 < page.sum("sagegate_worker_cpu_seconds_total") <= page.get("process_cpu_seconds_total")
    eventually(lambda: scrape(gateway).get("sagegate_route_requests_in_flight", route="call") == 0, 10)


def test_overhead_excludes_client_and_model_time(start_gateway, endpoint):
    """Excludes the client's and the model's time, includes the queue for admission."""
    gateway = start_gateway(CONFIG)

    def slow(gateway, endpoint):
        with gateway.caller() as caller:
            caller.send("POST /call/size-3000000 HTTP/1.1\r\nHost: x\r\nX-Amzn-SageMaker-Custom-Attributes: "
                        "x-fault=delay_ms:700\r\nContent-Length: 2\r\n\r\na")
            time.sleep(0.7)
            caller.send("b")
            time.sleep(1.4)
            assert len(caller.response().body) == 3_000_000
        return 1

    def queued(gateway, endpoint):
        assert gateway.call("/patient/count-3-200").status == 200
        return 1

    count = at_once(gateway, endpoint, [slow, queued, queued])
    eventually(lambda: len(gateway.lines) == count, 10, f"{count} access lines")
    added = routes_of(scrape(gateway), "sagegate_route_overhead_seconds_sum")
    total, waited = (by_route(gateway.lines, lambda line: line[field] / 1e6) for field in ("total_us", "wait_us"))
    assert total["call"] > 2 and added["call"] < 0.7, "the model took 0.7 s, the client 1.4 s"
    assert 0.3 < waited["patient"] <= added["patient"] < total["patient"] - 0.3


def test_series_survive_a_reload(start_gateway, endpoint):
    """A kept route continues its counters, a removed one retains its own, a new one starts at zero."""
    gateway = start_gateway(CONFIG)
    count = well(gateway, endpoint)
    text = gateway.config_file.read_text()
    gateway.config_file.write_text(text.replace("- name: sdk", "- name: native"))
    gateway.signal(signal.SIGHUP)
    gateway.signalled = False
    gateway.diagnostic(message="switched to the new configuration")
    count += well(gateway, endpoint)
    gateway.config_file.write_text("nonsense")
    gateway.allow_warnings("reload")
    gateway.signal(signal.SIGHUP)
    gateway.signalled = False
    gateway.diagnostic(message="reload failed, the current configuration stays active")
    eventually(lambda: len(gateway.lines) >= count, 10, f"{count} access lines")
    page = scrape(gateway)
    check_agrees(page, gateway.lines)
    assert routes_of(page, "sagegate_route_attempts_total") == {"call": 8, "sdk": 1, "native": 1}
    assert page.get("sagegate_upstream_connections_reused_total", upstream="default") + page.get(
        "sagegate_upstream_connections_opened_total", upstream="default") == 10
    assert page.get("sagegate_config_reloads_total", result="taken") == 1
    assert page.get("sagegate_config_reloads_total", result="refused") == 1
    loaded = page.get("sagegate_config_loaded_timestamp_seconds")
    assert page.get("process_start_time_seconds") < loaded <= time.time() + 1
    eventually(lambda: scrape(gateway).get("sagegate_configs_in_use") == 1, 10, "the old one has gone")


def test_upstream_failures_are_counted_by_reason(start_gateway, endpoint):
    gateway = start_gateway(CONFIG, url=f"https://localhost:{free_port()}")
    gateway.allow_warnings("connect_failed")
    for _ in range(3):
        assert gateway.call().outcome == "connect_failed"
    page = scrape(gateway)
    assert page.get("sagegate_upstream_connection_failures_total", upstream="default", reason="connect") == 3
    assert page.sum("sagegate_upstream_connection_failures_total") == 3
    assert page.sum("sagegate_upstream_connections") == page.sum("sagegate_upstream_connections_opened_total") == 0


def test_expiring_and_broken_credentials(start_gateway, endpoint, ca_file, tmp_path):
    """A file whose credentials expire, and is then empty."""
    file = tmp_path / "credentials.json"
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=20)
    file.write_text(json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY,
                                "SessionToken": "token", "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}))
    file.chmod(0o600)
    gateway = start_gateway("""
listen: [{ address: "@LISTEN@" }]
health: { address: "@HEALTH@" }
region: us-east-1
""" + f'credentials: {{ source: static, file: "{file}" }}\n'
        f'upstream: {{ endpoint_url: "{endpoint.url}", ca_file: "{ca_file}" }}' + CONFIG, head=False)
    gateway.allow_warnings("credentials")
    page = scrape(gateway)
    told = {name: page.get("sagegate_credentials_" + name, identity="default")
            for name in ("usable", "refreshes_total", "refresh_failures_total", "last_failure_timestamp_seconds")}
    assert told == {"usable": 1, "refreshes_total": 1, "refresh_failures_total": 0,
                    "last_failure_timestamp_seconds": None}
    assert page.get("sagegate_credentials_info", identity="default", source="static") == 1
    assert 1100 < page.get("sagegate_credentials_expiry_seconds", identity="default") <= 1200
    file.write_text("nothing")
    page = eventually(lambda: (page := scrape(gateway)).get(
        "sagegate_credentials_last_failure_timestamp_seconds", identity="default") and page, 20, "a failure")
    assert abs(page.get("sagegate_credentials_last_failure_timestamp_seconds", identity="default") - time.time()) < 60
    assert page.get("sagegate_credentials_refresh_failures_total", identity="default") >= 1
    assert page.get("sagegate_credentials_usable", identity="default") == 1, "the old credentials are still valid"
