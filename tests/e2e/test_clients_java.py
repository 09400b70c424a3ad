"""Java's standard clients, java.net.HttpURLConnection and java.net.http.HttpClient, from a single source file."""

import pathlib
import subprocess

from payloads import BODIES, ONE_OVER, sha256

SOURCE = pathlib.Path(__file__).parent / "clients/Client.java"


def java(url, *files):
    done = subprocess.run(["java", "-XX:TieredStopAtLevel=1", SOURCE, url, *files], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_every_body_with_both_clients(gateway, endpoint, tmp_path):
    for name, body in BODIES.items():
        (tmp_path / name).write_bytes(body)
    rows = java(f"{gateway.url}/call/echo", *(tmp_path / name for name in BODIES))
    assert {row[0] for row in rows} == {"HttpURLConnection", "HttpClient"}
    assert len(rows) == 2 * len(BODIES)
    for _, name, status, _, _, digest in rows:
        assert (status, digest) == ("200", sha256(BODIES[name])), name


def test_rejections_with_both_clients(gateway, endpoint, tmp_path):
    (tmp_path / "over").write_bytes(ONE_OVER)
    (tmp_path / "fine").write_bytes(b"fine")
    for client, name, status, outcome, _, _ in java(f"{gateway.url}/call/echo", tmp_path / "over", tmp_path / "fine"):
        if name == "fine":
            assert status == "200"
        else:  # reported, or cut off while still sending
            assert (status, outcome) == ("413", "body_too_large") or status == "0", client
    for _ in range(2):
        assert gateway.line(outcome="body_too_large")["status"] == 413
    assert [seen.body for seen in endpoint.requests] == [b"fine", b"fine"]
