"""The option parser that all commands share: forms of options, errors with suggestions, --help."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SAGEGATE_BIN", ROOT / "build/dev/sagegate")).resolve()
COMMANDS = ["run", "check", "explain", "sign", "doctor", "probe", "version"]
GOOD = """
region: us-east-1
routes:
  - { name: a, match: { path: /a }, endpoint: e }
"""


def run(*arguments, env=None):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=20,
                          env={"PATH": os.environ["PATH"], **(env or {})})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(GOOD)
    return str(path)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h", "--hel"])
def test_help(command, option):
    done = run(command, option)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"Usage: sagegate {command}")
    rows = [line for line in done.stdout.splitlines() if re.match(r"  (-\w, |    )--", line)]
    assert rows[-1].split() == ["-h,", "--help", "print", "this", "help"]
    assert len({re.match(r" *\S.*?\S  +(?=\S)", row).end() for row in rows}) == 1, "one column"
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_option(command):
    for option in ("--frobnicate", "--frobnicate=4", "-Z"):
        done = run(command, option)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr == f"sagegate {command}: unknown option {option}; see sagegate {command} --help\n"


@pytest.mark.parametrize("arguments, meant", [
    (["run", "--lsten", "x"], "--listen"),
    (["run", "--Endpoint=x"], "--endpoint"),
    (["check", "--confg=x"], "--config"),
    (["check", "--no_env"], "--no-env"),
    (["sign", "--methd", "GET"], "--method"),
    (["probe", "--time-out", "1s"], "--timeout"),
])
def test_suggested_option(arguments, meant):
    done = run(*arguments)
    assert done.returncode == 1 and done.stderr.endswith(f", did you mean {meant}?\n")


@pytest.mark.parametrize("arguments, said", [
    (["check", "-c"], "-c requires a value"),
    (["check", "--config"], "--config requires a value"),
    (["check", "--print=yes"], "--print takes no value"),
    (["check", "-c", "x", "y"], "unexpected argument 'y'"),
    (["version", "x"], "unexpected argument 'x'"),
    (["doctor"], "--config FILE is required; see sagegate doctor --help"),
    (["run", *["--set=a=b"] * 65], "--set is given more than 64 times"),
    (["probe"], "specify one address, such as 127.0.0.1:9901/ready"),
    (["probe", "a:1", "b:1"], "specify one address, such as 127.0.0.1:9901/ready"),
    (["explain", "-c", "x", "POST"], "specify METHOD PATH, as in POST /predict, or --raw FILE"),
    (["explain", "-c", "x", "POST", "/", "more"], "specify METHOD PATH, as in POST /predict"),
])
def test_errors(arguments, said):
    done = run(*arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"sagegate {arguments[0]}: {said}\n"


@pytest.mark.parametrize("form", [
    lambda file: ["-c", file], lambda file: ["-c" + file], lambda file: ["--config", file],
    lambda file: ["--config=" + file], lambda file: ["-c", "nothing.yaml", "-c", file],
])
def test_option_forms(form, file):
    assert run("check", *form(file)).stdout == f"{file}: ok, 1 route\n"
    done = run("explain", "POST", *form(file), "/a", "--json", "--", env={"AWS_REGION": "us-east-1"})
    assert done.returncode == 0, done.stderr
    assert run("explain", *form(file), "--", "POST", "/a").returncode == 0
