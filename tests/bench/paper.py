"""Estimates the needs of 100,000 requests per second from the measured figures; each line shows the calculation. Run by
tests/bench/scale.

The gateways are those of deploy/kubernetes/gateway; limits and requests are read from there.
"""

import math
import re

from proxies import ROOT

CALLS = 100_000
TARGET = 0.6             # of the requested CPU: averageUtilization of the autoscaler
BODY = ANSWER = 1024
HEADS_UP, HEADS_DOWN = 1900, 350   # bytes of a signed request's head with a role's session token, and of a response
RECORDS = 2 * 22         # TLS overhead
AGE_S = 600              # pool.age_max: older connections are not reused
SPARE = 1.3              # average connections per request in flight
SEGMENT = 1448           # bytes of a TCP segment at an MTU of 1,500
TIME_WAIT_S, CONNTRACK_WAIT_S, PORTS = 60, 120, 28_232  # Linux's default


def setting(pattern):
    folder = ROOT / "deploy/kubernetes/gateway"
    text = (folder / "sagegate.yaml").read_text() + (folder / "deployment.yaml").read_text()
    return int(re.search(pattern, text)[1])


def cores(told):
    return CALLS * told["calls"]["1 KiB"]["cpu_us"] / 1e6


def by_duration(told):
    """The model's response time determines the requests in flight; it costs memory and connections, hardly any CPU."""
    kib, limit = told["memory"], setting(r"concurrency: (\d+)")
    by_cpu = math.ceil(cores(told) / TARGET / setting(r'cpu: "(\d+)"'))
    rows = [("duration at the model", "in progress", f"replicas by CPU, by `concurrency: {limit}`",
             "in progress per replica", "connections to SageMaker", "memory per replica", "new TLS connections")]
    for seconds in (0.05, 0.5, 5):
        flying = CALLS * seconds
        by_limit = math.ceil(flying * SPARE / limit)
        replicas = max(by_cpu, by_limit)
        mib = (kib["base"] + flying * SPARE / replicas * kib["waiting"]) / 1024
        rows.append((f"{seconds * 1000:,.0f} ms", f"{flying:,.0f}", f"{by_cpu}, {by_limit}", f"{flying / replicas:,.0f}",
                     f"{flying * SPARE:,.0f}", f"{mib:.0f} MiB", f"{flying * SPARE / AGE_S:,.0f}/s"))
    return rows


def segments(size):
    return math.ceil(size / SEGMENT)


def arithmetic(told):
    call_us, line, renewed_us = told["calls"]["1 KiB"]["cpu_us"], told["line_bytes"], told["handshakes"]["resumed"]
    replicas = math.ceil(cores(told) / TARGET / setting(r'cpu: "(\d+)"'))
    up, down = BODY + HEADS_UP + RECORDS, ANSWER + HEADS_DOWN + RECORDS
    packets = 1.5 * (segments(up) + segments(down))  # one acknowledgement for two segments
    renewed = CALLS * 0.05 * SPARE / AGE_S
    return [
        ("what", "arithmetic", "result"),
        ("CPU", f"{CALLS:,}/s × {call_us:.1f} µs", f"{cores(told):.1f} cores busy"),
        ("replicas", f"{cores(told):.1f} / ({TARGET} × 1 core requested)", f"{replicas}, plus those of a zone that may fail"),
        ("to SageMaker", f"{CALLS:,}/s × {up:,} bytes × 8", f"{CALLS * up * 8 / 1e9:.1f} Gbit/s"),
        ("from SageMaker", f"{CALLS:,}/s × {down:,} bytes × 8", f"{CALLS * down * 8 / 1e9:.1f} Gbit/s"),
        ("packets between gateways and SageMaker", f"{CALLS:,}/s × {packets:.1f}", f"{CALLS * packets / 1e6:.2f} million/s"),
        ("TLS handshakes, calls of 50 ms", f"{CALLS * 0.05 * SPARE:,.0f} connections / {AGE_S} s × {renewed_us:.0f} µs resumed",
         f"{renewed:.0f}/s, {renewed * renewed_us / 1e4:.1f} % of a core"),
        ("the same without keep-alive", f"{CALLS:,}/s × {renewed_us:.0f} µs", f"{CALLS * renewed_us / 1e6:.0f} cores more"),
        ("access log", f"{CALLS:,}/s × {line} bytes", f"{CALLS * line / 1e6:.0f} MB/s, {CALLS * line * 86400 / 1e12:.1f} TB a day"),
        ("AWS STS", f"{replicas} replicas × 60 min / 50 min (a token of an hour is renewed 10 min ahead)",
         f"{math.ceil(replicas * 1.2)} calls an hour"),
        ("conntrack on the nodes, callers without keep-alive", f"{CALLS:,}/s × {CONNTRACK_WAIT_S} s",
         f"{CALLS * CONNTRACK_WAIT_S / 1e6:.0f} million entries"),
        ("a caller without keep-alive", f"{PORTS:,} ports / {TIME_WAIT_S} s", f"{PORTS // TIME_WAIT_S} calls/s"),
    ]

