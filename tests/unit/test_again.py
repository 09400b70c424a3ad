"""tests/again.py: which failures it excuses and which not, and how tests/run reports them."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# fail(N, ...) fails in these of its calls, counted over all processes.
SUITE = """
import pathlib, pytest
def turn(name):
    with open(pathlib.Path(__file__).with_name(name + ".count"), "a+") as file:
        file.write("x")
    return pathlib.Path(__file__).with_name(name + ".count").stat().st_size
def fail(name, *turns, saying="no"):
    assert turn(name) not in turns, saying
"""


@pytest.fixture
def suite(tmp_path):
    """suite(text): runs a suite of that text with again.py: (status, output, names of unsteady tests)."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider --import-mode=importlib\n")
    (tmp_path / "e2e").mkdir()

    def run(text):
        (tmp_path / "e2e/test_it.py").write_text(SUITE + text)
        junit = tmp_path / "junit.xml"
        done = subprocess.run(
            [sys.executable, ROOT / "tests/again.py", junit, "-q", "-c", tmp_path / "pytest.ini", tmp_path / "e2e"],
            capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        unsteady = tmp_path / "junit.xml.unsteady"
        return done.returncode, done.stdout, unsteady.read_text().split("\n")[:-1] if unsteady.exists() else None

    def turns(name):
        return (tmp_path / f"e2e/{name}.count").stat().st_size
    run.turns = turns
    return run


def test_nothing_failed(suite):
    status, _, unsteady = suite("def test_a(): fail('a')\n")
    assert (status, unsteady, suite.turns("a")) == (0, None, 1)


def test_single_failure_is_unsteady(suite):
    status, output, unsteady = suite("def test_a(): fail('a', 1)\ndef test_b(): fail('b')\n")
    assert (status, unsteady) == (0, ["e2e/test_it.py::test_a"])
    assert (suite.turns("a"), suite.turns("b")) == (4, 1)
    assert "unsteady: e2e/test_it.py::test_a" in output


@pytest.mark.parametrize("turn", [2, 3, 4])
def test_repeated_failure_fails(suite, turn):
    status, _, unsteady = suite(f"def test_a(): fail('a', 1, {turn})\n")
    assert (status, unsteady, suite.turns("a")) == (1, None, turn)


def test_three_failures_are_rerun_and_one_repeated_failure_fails(suite):
    three = "".join(f"def test_{name}(): fail('{name}', 1)\n" for name in "abc")
    assert suite(three)[2] == [f"e2e/test_it.py::test_{name}" for name in "abc"]
    status, _, unsteady = suite(three.replace("'b', 1", "'b', 5, 6"))
    assert (status, unsteady) == (1, None)


def test_four_failures_are_not_rerun(suite):
    status, _, unsteady = suite("".join(f"def test_{name}(): fail('{name}', 1)\n" for name in "abcd"))
    assert (status, unsteady, suite.turns("a")) == (1, None, 1)


@pytest.mark.parametrize("fault", [
    "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x6", "ERROR: LeakSanitizer: detected memory leaks",
    "WARNING: ThreadSanitizer: data race (pid=7)", "proxy/a.c:3:4: runtime error: signed integer overflow",
    "proxy/a.c:3: check failed: length > 0", "the gateway crashed: signal 11", "a secret is in its access log: ..."])
def test_sanitizer_reports_are_never_unsteady(suite, fault):
    status, output, unsteady = suite(f"def test_a(): fail('a', 1, saying={fault!r})\n")
    assert (status, unsteady, suite.turns("a")) == (1, None, 1)
    assert "defect of the program" in output


def test_fixtures_parameters_and_classes(suite):
    status, _, unsteady = suite("""
@pytest.fixture
def before(): fail('before', 1)
@pytest.fixture
def after():
    yield
    fail('after', 1)
def test_before(before): pass
def test_after(after): pass
class TestIt:
    @pytest.mark.parametrize("what", ["a b/[c]::d"])
    def test_named(self, what): fail('named', 1)
""")
    assert (status, len(unsteady)) == (0, 3)
    assert "e2e/test_it.py::TestIt::test_named[a b/[c]::d]" in unsteady


def test_unreadable_suite_fails(suite):
    status, _, unsteady = suite("import nothing_of_that_name\n")
    assert (status, unsteady) == (2, None)


# -- tests/run


@pytest.mark.parametrize("turns, status, last, told", [
    ((1,), 0, "1 passed, 0 failed, 0 skipped", ["1 unsteady", "    deploy deploy: deploy/test_it.py::test_a"]),
    ((1, 3), 1, "1 passed, 1 failed, 0 skipped", []),
], ids=["unsteady", "failed"])
def test_summary(tmp_path, turns, status, last, told):
    """The unmodified tests/run, in a tree where nothing needs to be installed or built."""
    for name in ("tests/deploy", "deploy", "bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("tests/run", "tests/again.py", "tests/pytest.ini"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("deploy/install-deps", "bin/cmake"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "tests/deploy/test_it.py").write_text(
        f"{SUITE}def test_a(): fail('a', *{turns})\ndef test_b(): fail('b')\n")
    done = subprocess.run([tmp_path / "tests/run", "deploy"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
    assert (done.returncode, done.stdout.splitlines()[-1]) == (status, last), done.stdout + done.stderr
    for part in told:
        assert part in done.stdout
    assert ("unsteady" in done.stdout.split("summary")[1]) == bool(told)


def test_parallel_steps_are_all_reported(tmp_path):
    """Including a failed one."""
    for name in ("tests/fuzz", "deploy", "bin", "build/fuzz"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(ROOT / "tests/run", tmp_path / "tests/run")
    scripts = {"deploy/install-deps": "", "bin/cmake": "", "build/fuzz/fuzz_a": "sleep 0.5", "build/fuzz/fuzz_b": "exit 3",
               "build/fuzz/fuzz_c": ""}
    for name, text in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    for name in "abc":
        (tmp_path / f"tests/fuzz/fuzz_{name}.c").touch()
    for name in ("client", "upstream"):
        (tmp_path / f"tests/fuzz/mutate_{name}.py").write_text("import sys; assert sys.argv[1:] == ['--cases', '7']")
    done = subprocess.run([tmp_path / "tests/run", "fuzz"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "FUZZ_CASES": "7"})
    told = [line.split()[:4:3] for line in done.stdout.splitlines() if line.startswith(("  fuzz_", "  mutate_"))]
    assert told == [["fuzz_a", "0"], ["fuzz_b", "1"], ["fuzz_c", "0"], ["mutate_client", "0"], ["mutate_upstream", "0"]]
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "4 passed, 1 failed, 0 skipped")
