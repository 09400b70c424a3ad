"""Runs pytest and reruns failures: if few tests fail, each runs again, alone, three times.

    python3 tests/again.py JUNIT PYTEST-ARGUMENT...

Tests that pass every time are unsteady: they are listed in the file JUNIT.unsteady and do not fail the run. A test that
fails again fails the run. So does any failure whose output shows a defect of the program itself (a sanitizer report, a
crash, a failed CHECK, a secret in its output), because chance only reveals such a defect. This file is also the pytest
plugin that records which tests failed.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

FEW, TIMES = 3, 3
FAULT = re.compile(r"(Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer|runtime error: |check failed: |"
                   r"Segmentation fault|the gateway crashed: signal \d|a secret is in (?!\{)")
FAILED_FILE = "SAGEGATE_FAILED_TESTS"


def pytest_runtest_logreport(report):
    if report.failed and FAILED_FILE in os.environ:
        with open(os.environ[FAILED_FILE], "a") as file:
            print(report.nodeid, file=file)


def pytest(arguments, failed_file):
    """Returns (status, output) and prints the output."""
    failed_file.write_text("")
    here = str(pathlib.Path(__file__).parent)
    env = {**os.environ, FAILED_FILE: str(failed_file), "PYTHONPATH": f"{here}:{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen([sys.executable, "-m", "pytest", "-p", "again", *arguments], env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    said = []
    for line in process.stdout:
        said.append(line)
        print(line, end="", flush=True)
    return process.wait(), "".join(said)


def is_unsteady(test, options, root, failed_file):
    """Runs one test, alone, TIMES times; returns whether it passed every time."""
    for turn in range(1, TIMES + 1):
        print(f"\n==== again, alone, {turn} of {TIMES}: {test}", flush=True)
        status, _ = pytest([*options, str(root / test)], failed_file)
        if status:
            return False
    return True


def main(junit, *arguments):
    unsteady_file = pathlib.Path(junit + ".unsteady")
    unsteady_file.unlink(missing_ok=True)
    config = arguments[arguments.index("-c") + 1]
    with tempfile.TemporaryDirectory() as directory:
        failed_file = pathlib.Path(directory) / "failed"
        status, said = pytest([f"--junit-xml={junit}", *arguments], failed_file)
        failed = sorted(set(failed_file.read_text().splitlines()))
        if status != 1 or not failed or len(failed) > FEW:
            return status
        if fault := FAULT.search(said):
            print(f"\n==== not rerun, defect of the program: {fault[0]}")
            return status
        root = pathlib.Path(config).resolve().parent  # pytest's names of tests are relative to it
        unsteady = [test for test in failed if is_unsteady(test, ["-c", config], root, failed_file)]
        if unsteady != failed:
            return status
        unsteady_file.write_text("".join(test + "\n" for test in unsteady))
        print(f"\n==== unsteady: {', '.join(unsteady)}")
        return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
