"""Rules of the code that no compiler checks: banned calls, who exports what, how files begin and end."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROXY = ROOT / "proxy"
OBJECTS = ROOT / "build/dev/CMakeFiles"
LINES_MAX = 600

# What to use instead.
BANNED = {
    "strcpy": "struct buffer", "strcat": "struct buffer", "strncpy": "struct buffer", "strncat": "struct buffer",
    "sprintf": "snprintf or struct buffer", "vsprintf": "vsnprintf",
    "gets": "a bounded read", "strtok": "span functions", "strtok_r": "span functions",
    "atoi": "span_parse_u64", "atol": "span_parse_u64", "atof": "a strict parser",
    "gmtime": "base/clock.h", "localtime": "base/clock.h", "ctime": "base/clock.h", "asctime": "base/clock.h",
    "system": "posix_spawn", "popen": "posix_spawn", "alloca": "a bounded array", "tmpnam": "mkstemp",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def code_of(text):
    """The text without comments and literals, line for line."""
    return NOT_CODE.sub(lambda found: "\n" * found.group().count("\n") or " ", text)


def banned_calls(text):
    code = code_of(text)
    return [f"line {code.count(chr(10), 0, call.start()) + 1}: {call.group(1)}, use {BANNED[call.group(1)]}"
            for call in CALL.finditer(code)]


def below(folder, *suffixes):
    return sorted(path for path in folder.rglob("*") if path.suffix in suffixes)


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", below(PROXY, ".c", ".h") + below(ROOT / "tests", ".c", ".h"), ids=name)
def test_no_banned_call(path):
    assert banned_calls(path.read_text()) == []


def test_the_check_finds_a_banned_call():
    assert banned_calls('\n  /* a\n b */ strcpy (a, b);') == ["line 3: strcpy, use struct buffer"]
    assert banned_calls('x = "strcpy(a, b)"; // atoi(x)\nfilesystem(1); gmtime_r(a, b); ops->system(1);') == []


@pytest.mark.parametrize("path", below(PROXY, ".c", ".h", ".def", ".cmake"), ids=name)
def test_a_file_begins_with_a_sentence_on_its_purpose(path):
    text = path.read_text()
    comment = re.match(r"/\*(.*?)\*/|((?:(?://|#)[^\n]*\n)+)", text, re.DOTALL)
    assert comment, "the first line is no comment"
    words = re.sub(r"^\s*(\*|//|#)", "", comment.group(1) or comment.group(2), flags=re.MULTILINE)
    assert re.search(r"\w+\s+\w+.*[.:]", words, re.DOTALL), "the first comment is no sentence"


@pytest.mark.parametrize("path", below(PROXY, ".c", ".h", ".def"), ids=name)
def test_a_file_stays_short(path):
    lines = path.read_text().count("\n")
    assert lines <= LINES_MAX, f"{lines} lines: split it"


def object_of(path):
    found = list(OBJECTS.glob(f"*.dir/{name(path)}.o"))
    assert found, f"{name(path)} is not built: cmake --preset dev && cmake --build --preset dev"
    return max(found, key=lambda file: file.stat().st_mtime)


def prefixes_of(path):
    """What the names that a file exports begin with. foo.c exports foo_*; foo_bar.c also foo_* if it is a part of
    what foo.h declares; main.c and command_x.c export command_*."""
    if path.parent == PROXY:
        return ["command"]
    words = path.stem.split("_")
    shorter = ["_".join(words[:count]) for count in range(1, len(words))]
    return [path.stem] + [stem for stem in shorter if (path.parent / f"{stem}.h").exists()]


def strange_exports(path, symbols):
    prefixes = prefixes_of(path)
    return [symbol for symbol in symbols
            if symbol != "main" and not any(symbol == p or symbol.startswith(p + "_") for p in prefixes)]


@pytest.mark.parametrize("path", below(PROXY, ".c"), ids=name)
def test_a_file_exports_only_names_of_its_own(path):
    """Also keeps libh2o's own exported names (phr_*, cloexec_*, on_context_init ...) out of the program."""
    told = subprocess.run(["nm", "--extern-only", "--defined-only", "--format=posix", object_of(path)],
                          check=True, capture_output=True, text=True).stdout
    symbols = [line.split()[0] for line in told.splitlines() if line and not line.startswith("_")]
    assert strange_exports(path, symbols) == []


def test_the_check_finds_a_strange_export():
    assert strange_exports(PROXY / "base/span.c", ["span_make", "spanner", "on_context_init"]) == [
        "spanner", "on_context_init"]
    assert strange_exports(PROXY / "net/http1_body.c", ["http1_take_chunk", "http1_body_x"]) == []
