"""Shared by the oracles: a C program that processes questions line by line, and the location of AWS's own data."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SAGEGATE_BUILD", ROOT / "build/dev"))
DATA = ROOT.parent / "shared/data"  # AWS's models and suites if present; optional


class Driver:
    """A *_driver.c process: questions in, results out, in order."""

    def __init__(self, name):
        self.program = BUILD / name
        assert self.program.exists(), f"{self.program} is not built: cmake --preset dev && cmake --build --preset dev"

    def ask(self, questions):
        text = "".join(json.dumps(question) + "\n" for question in questions)
        done = subprocess.run([self.program], input=text, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        responses = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(responses) == len(questions)
        return responses

    def ask_one(self, question):
        return self.ask([question])[0]


def hexed(text):
    return (text.encode() if isinstance(text, str) else text).hex()


def data_file(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"optional: {path} is not there")
    return json.loads(path.read_text())
