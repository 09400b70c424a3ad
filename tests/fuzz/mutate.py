"""Shared by the mutating client and the mutating upstream: seeded mutation, the gateway under test, the report.

Case N of a run depends only on random.Random(f"{seed}/{N}"), so any case can be reproduced by its number.
"""

import argparse
import asyncio
import json
import os
import pathlib
import random
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/e2e")]

import lib  # noqa: E402

FAILURES_MAX = 10
BYTES = [b"\r", b"\n", b"\0", b" ", b"\t", b":", b";", b",", b"%", b"\x7f", b"\x80", b"\xff", b"0", b"-", b"+", b"\x0b"]
WORDS = [
    b"\r\n", b"\r\n\r\n", b"\n\n", b"\n", b"\r", b"0\r\n\r\n", b"0\r\n", b"5\r\nhello\r\n", b"1;x=y\r\n", b" \r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length:\r\n", b"Content-Length: 5, 5\r\n",
    b"content-length: 0005\r\n", b"Content-Length : 5\r\n", b"Content-Length: +5\r\n", b"Content-Length: 0x5\r\n",
    b"Content-Length: 18446744073709551615\r\n", b"Content-Length: 999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding:\tchunked\r\n", b"Transfer-Encoding: \x0bchunked\r\n", b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding : chunked\r\n", b"Transfer_Encoding: chunked\r\n", b" Transfer-Encoding: chunked\r\n",
    b"X: a\r\n b\r\n", b": no name\r\n", b"no colon\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Connection: Content-Length\r\n", b"Connection: Host, Content-Type\r\n", b"Trailer: X\r\n", b"HTTP/1.0", b"HTTP/1.1",
    b"HTTP/2.0", b"HTTP/0.9", b"Host: y\r\n", b"Host:\r\n", b"Expect: 100-continue\r\n", b"Expect: 200-ok\r\n",
    b"Upgrade: h2c\r\n", b"ffffffffffffffff\r\n", b"fffffffffffffff\r\n", b"7fffffffffffffff\r\n", b"-1\r\n",
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"http://x/", b"//", b"/../", b"/./", b"%2f", b"%00", b"%2e%2e", b"?", b"#", b"*", b"\xc0\xaf", b"\xe2\x80\xa8",
]


class Mutator:
    """Changes bytes, with choices from `rng`."""

    def __init__(self, rng):
        self.rng = rng
        self.kinds = [self.flip, self.set_byte, self.put_byte, self.delete, self.repeat, self.put_word, self.put_word,
                      self.over_word, self.move_line, self.drop_line, self.repeat_line, self.number, self.case, self.swell]

    def __call__(self, data, times):
        for _ in range(times):
            data = self.rng.choice(self.kinds)(data) if data else self.put_word(data)
        return data

    def place(self, data):
        """Any position; half of the time at the edge of a line, where the grammar is."""
        ends = [match.start() for match in re.finditer(rb"\r\n", data)] if self.rng.random() < 0.5 else None
        return self.rng.choice(ends) + self.rng.choice((0, 0, 1, 2)) if ends else self.rng.randint(0, len(data))

    def flip(self, data):
        at = self.rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << self.rng.randrange(8))]) + data[at + 1 :]

    def set_byte(self, data):
        at = self.place(data)
        return data[:at] + self.rng.choice(BYTES) + data[at + 1 :]

    def put_byte(self, data):
        at = self.place(data)
        return data[:at] + self.rng.choice(BYTES) * self.rng.choice((1, 1, 1, 2, 17)) + data[at:]

    def delete(self, data):
        at = self.place(data)
        return data[:at] + data[at + self.rng.choice((1, 1, 1, 2, 4, 30, 1000)) :]

    def repeat(self, data):
        at, length = self.place(data), self.rng.choice((1, 2, 8, 60, 500))
        return data[:at] + data[at : at + length] * self.rng.randint(2, 5) + data[at + length :]

    def put_word(self, data):
        at = self.place(data)
        return data[:at] + self.rng.choice(WORDS) + data[at:]

    def over_word(self, data):
        at, word = self.place(data), self.rng.choice(WORDS)
        return data[:at] + word + data[at + len(word) :]

    def _lines(self, data):
        return re.findall(rb"[^\n]*\n|[^\n]+\Z", data)

    def move_line(self, data):
        lines = self._lines(data)
        line = lines.pop(self.rng.randrange(len(lines)))
        lines.insert(self.rng.randint(0, len(lines)), line)
        return b"".join(lines)

    def drop_line(self, data):
        lines = self._lines(data)
        del lines[self.rng.randrange(len(lines))]
        return b"".join(lines)

    def repeat_line(self, data):
        lines = self._lines(data)
        at = self.rng.randrange(len(lines))
        lines[at:at] = [lines[at][:2000]] * self.rng.choice((1, 1, 2, 17, 120))
        return b"".join(lines)

    def number(self, data):
        """Replaces one of the numbers, usually with a nearby one."""
        found = list(re.finditer(rb"[0-9a-fA-F]{1,20}(?=\r\n)|\d{1,20}", data))
        if not found:
            return self.put_word(data)
        match = self.rng.choice(found)
        try:
            near = int(match[0]) + self.rng.choice((-1, 1, 2, 10, 1000))
        except ValueError:
            near = self.rng.randrange(300)
        text = self.rng.choice((b"%d" % near, b"%x" % abs(near), b"0" + match[0], b"-" + match[0], b"0", b"", b"00",
                                b"4294967296", b"18446744073709551616", b"%d" % (near * 1000)))
        return data[: match.start()] + text + data[match.end() :]

    def case(self, data):
        at = self.place(data)
        return data[:at] + data[at : at + 20].swapcase() + data[at + 20 :]

    def swell(self, data):
        at, word = self.place(data), self.rng.choice((b"a", b"a", b" ", b"X: y\r\n", b"%41", b"/"))
        return data[:at] + word * (self.rng.choice((100, 600, 9000, 80_000)) // len(word)) + data[at:]


def in_pieces(rng, data, edges=()):
    """Splits data into writes: mostly whole, otherwise a few, rarely single bytes. edges: if given, after the last of
    these offsets only they may be splits."""
    how, last = rng.random(), max(edges, default=len(data))
    if how < 0.6 or len(data) < 2:
        return [data]
    if how > 0.97 and last < 600:
        cuts = list(range(1, last))
    else:
        cuts = sorted(rng.randint(0, last) for _ in range(rng.randint(1, 5)))
    return [data[start:end] for start, end in zip([0] + cuts, cuts + [len(data)]) if start != end]


class Gateway(lib.Gateway):
    """A gateway whose access lines must be JSON; another thread watches it."""

    def _on_line(self, line):
        try:
            super()._on_line(line)
        except ValueError:
            self.noise.append(f"an access line that is no JSON: {line!r}")

    def is_alive(self):
        return self.process.poll() is None

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Report:
    """Failures, each saved with its input in build/fuzz-found/NAME/."""

    def __init__(self, name, seed):
        self.name, self.seed, self.failures = name, seed, []
        self.suspects = []  # cases in flight when the gateway died
        self.directory = ROOT / "build/fuzz-found" / name

    def add(self, number, why, **what):
        self.failures.append((number, why))
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / f"seed-{self.seed}-case-{number}.json"
        shown = {key: value.decode("latin-1") if isinstance(value, bytes) else value for key, value in what.items()}
        file.write_text(json.dumps({"seed": self.seed, "case": number, "why": why, **shown}, indent=1))
        print(f"case {number}: {why}\n  saved as {file.relative_to(ROOT)}; again: "
              f"tests/fuzz/{self.name}.py --seed {self.seed} --case {number}", flush=True)

    async def add_unless_dead(self, gateway, number, why, **what):
        """Fails every case in flight when the gateway died; one of them is the cause."""
        await asyncio.sleep(0.5)
        if gateway.is_alive():
            self.add(number, why, **what)
        else:
            self.suspects.append(number)

    @property
    def is_over(self):
        return len(self.failures) >= FAILURES_MAX


def rng_of(seed, number):
    return random.Random(f"{seed}/{number}")


def main(name, manual, run):
    """Command line of both programs: run(Report, case numbers) does the work."""
    parser = argparse.ArgumentParser(description=manual, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, metavar="NUMBER", help="only this one, verbosely")
    options = parser.parse_args()
    report = Report(name, options.seed)
    run(report, [options.case] if options.case is not None else range(options.cases), options.case is not None)
    sys.exit(1 if report.failures else 0)
