"""deploy/quickstart and deploy/install-deps, as a new user runs them."""

import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port():
    while True:
        port = random.randint(15000, 31000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


@pytest.fixture
def ports():
    return {"QUICKSTART_PORT": str(free_port()), "QUICKSTART_ADMIN_PORT": str(free_port())}


@pytest.fixture
def start(ports):
    """start(option...): runs the quickstart in its own session, which ends with the test."""
    started = []

    def start(*options):
        started.append(subprocess.Popen(
            [ROOT / "deploy/quickstart", *options], env={**os.environ, **ports}, cwd="/",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        if processes_of_session(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def processes_of_session(session):
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            found.append(stat.parent.name)
    return found


def end_of(process, timeout=300):
    """Returns (exit status, output) and checks that no process of it is left."""
    told, _ = process.communicate(timeout=timeout)
    deadline = time.monotonic() + 5
    while processes_of_session(process.pid):
        assert time.monotonic() < deadline, "processes left running"
        time.sleep(0.05)
    return process.returncode, told


@pytest.mark.timeout(400)
def test_once_shows_responses_verdicts_and_timing(start):
    status, told = end_of(start("--once"))
    assert status == 0, told
    assert "HTTP/1.1 200 OK" in told
    assert '"body_length": 16' in told and '"verdict": "ok"' in told
    moments = [int(ms) for ms in re.findall(r"^ *(\d+) ms  data: ", told, re.MULTILINE)]
    assert len(moments) >= 8 and moments[-1] - moments[0] > 700, "parts arrived one by one"
    assert told.count("signature   ok") == 2
    assert re.search(r"^outcome +ok +ok$", told, re.MULTILINE)
    assert re.search(r"^total +\d+ +\d{6,}$", told, re.MULTILINE)


@pytest.mark.timeout(400)
def test_runs_until_ctrl_c(start, ports):
    process = start()
    told = ""
    for line in process.stdout:
        told += line
        if line == "Access log:\n":
            break
    response = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", f"http://127.0.0.1:{ports['QUICKSTART_PORT']}/predict/echo", "-d", "again"],
        capture_output=True, text=True)
    assert response.stdout == "again", told
    assert json.loads(process.stdout.readline())["route"] == "echo"
    os.killpg(process.pid, signal.SIGINT)
    status, _ = end_of(process)
    assert status == 0


def test_port_in_use_is_reported(start, ports):
    with socket.create_server(("127.0.0.1", int(ports["QUICKSTART_PORT"]))):
        status, told = end_of(start("--once"))
    assert status == 1
    assert f"port {ports['QUICKSTART_PORT']} is in use" in told
    assert "QUICKSTART_PORT=" in told


def test_install_deps_is_silent_if_nothing_is_missing():
    run = subprocess.run([ROOT / "deploy/install-deps", "--tests", "--deploy"], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_install_deps_lists_packages_of_each_choice():
    def listed(*options):
        return set(subprocess.run([ROOT / "deploy/install-deps", "--list", *options], check=True,
                                  capture_output=True, text=True).stdout.split())

    assert {"build-essential", "libh2o-evloop-dev"} <= listed() == listed("--build")
    assert listed("--build") < listed("--quickstart") < listed("--tests")
