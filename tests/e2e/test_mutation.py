"""Thousands of requests and responses, mutated at random, against the whole program: see tests/fuzz/mutate_*.py.

Runs the first cases of each; `tests/run fuzz` runs ten times as many.
"""

import pathlib
import subprocess
import sys

import pytest

FUZZ = pathlib.Path(__file__).resolve().parents[1] / "fuzz"
CASES = 2000


@pytest.mark.parametrize("side", ["mutate_client", "mutate_upstream"])
def test_mutation(side):
    done = subprocess.run([sys.executable, FUZZ / f"{side}.py", "--cases", str(CASES)], capture_output=True, text=True,
                          timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{side}: {CASES}" in done.stdout
