"""The documents: commands run as written (tests/documents.py), links resolve, tables match the code."""

import json
import re
import subprocess

import pytest
from lib import ROOT

from tests import documents

PAGES = {name: documents.read_page(name) for name in documents.PAGES}
CHAPTERS = [(page, chapter) for page in PAGES.values() for chapter in page.chapters]
PHASES = ("receive_us", "wait_us", "credentials_us", "sign_us", "connect_us", "tls_us", "send_us", "first_byte_us", "stream_us")


# ---- commands


@pytest.mark.parametrize("page, chapter", CHAPTERS, ids=[f"{page.name}: {chapter}" for page, chapter in CHAPTERS])
def test_commands_run_as_written(page, chapter, npm):
    problems = documents.run_in_namespaces(page, chapter)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_blocks_that_are_not_run(page):
    problems = documents.problems_without_running(page)
    assert not problems, "\n".join(problems)


def test_sidecar_example_equals_the_file():
    [shown] = [block.text for block in PAGES["README.md"].blocks if block.language == "yaml"]
    assert shown == (ROOT / "conf/sidecar.yaml").read_text()


def test_phases_shown_add_up():
    lines = [json.loads(line) for page in PAGES.values() for line in page.lines if line.startswith('{"time"')]
    lines = [line for line in lines if "total_us" in line]
    assert lines
    for line in lines:
        total = sum(line.get(phase, 0) for phase in PHASES)
        assert 0.9 * line["total_us"] < total <= line["total_us"], line


def test_output_patterns():
    matches = documents.matches
    assert matches("a...\n...\nend 1\n", "abc\nx\ny\nend 1\n")
    assert matches("dur=1.234, 2\n", "dur=77.000, 2\n")
    assert matches('"total_us":12,"status":200\n', '"total_us":9999,"status":200\n')
    assert matches("Thu, 26 Nov 2026 06:37:06 GMT\n", "Fri, 01 Jan 2027 00:00:00 GMT\n")
    assert not matches('"total_us":12,"status":200\n', '"total_us":12,"status":404\n')
    assert not matches("status 200\n", "status 404\n")
    assert not matches("a\n", "a\nb\n")


def test_tables_match_the_code():
    done = subprocess.run([ROOT / "tests/tables", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_advice_for_future_outcomes():
    """Their advice says so; no other outcome's does."""
    table = re.sub(r'"\s*\n\s*"', "", (ROOT / "proxy/gateway/outcome.def").read_text())
    code = "".join(path.read_text() for path in (ROOT / "proxy").rglob("*.c"))
    advice = dict(re.findall(r'^OUTCOME\((\w+),.*"([^"]*)"\)', table.replace(",\n", ", "), re.MULTILINE))
    assert advice
    for name, text in advice.items():
        assert text.startswith("(not in this version)") != bool(re.search(rf"\bOUTCOME_{name}\b", code)), name


# ---- navigation


def target_of(page, link):
    """Returns (file, anchor) of a relative link."""
    path, _, anchor = link.partition("#")
    return ((ROOT / page.name).parent / path).resolve() if path else ROOT / page.name, anchor


def links():
    for page in PAGES.values():
        for line, link in page.links:
            if not re.match(r"\w+:", link):
                yield page, line, link


def test_links_resolve():
    broken = []
    for page, line, link in links():
        file, anchor = target_of(page, link)
        name = str(file.relative_to(ROOT))
        if not file.exists() or (anchor and anchor not in PAGES[name].anchors):
            broken.append(f"{page.name}:{line}: {link}")
    assert not broken


def test_every_document_is_tested():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(listed.stdout.split()) == sorted(PAGES)


def test_headings_are_unique():
    for page in PAGES.values():
        headings = [documents.anchor_of(found[1]) for line in page.lines if (found := re.match(r"#+ (.*)", line))]
        comments = [block.text for block in page.blocks]
        headings = [heading for heading in headings if not any(f"# {heading}" in text for text in comments)]
        assert len(headings) == len(set(headings)), page.name


def test_files_named_in_the_text_exist():
    missing = []
    for page in PAGES.values():
        for number, line in enumerate(page.lines, 1):
            for path in re.findall(r"`((?:proxy|tests|conf|deploy|\.ci)/[\w./*-]+)`", line):
                if not list(ROOT.glob(path.rstrip("/"))):
                    missing.append(f"{page.name}:{number}: {path}")
    assert not missing


def test_readme_is_short():
    assert len(PAGES["README.md"].lines) <= 300
    first = PAGES["README.md"].lines[:80]  # two screens
    for page in ("deploy/README.md#a-sidecar-in-a-pod", "deploy/README.md#a-host-with-systemd", "deploy/README.md#ecs",
                 "deploy/README.md#helm", "deploy/README.md#a-shared-gateway", "conf/README.md#an-openai-sdk"):
        assert any(f"({page})" in line for line in first), page


def reachable(clicks):
    """Returns {(page, anchor): clicks} from README.md."""
    found = {("README.md", ""): 0}
    for click in range(clicks):
        for page in {name for (name, _), distance in found.items() if distance == click}:
            for _, link in PAGES[page].links:
                file, anchor = target_of(PAGES[page], link)
                name = str(file.relative_to(ROOT)) if not re.match(r"\w+:", link) else ""
                if name in PAGES:
                    found.setdefault((name, anchor), click + 1)
    return found


def test_every_page_is_within_two_clicks():
    assert {name for name, _ in reachable(2)} == set(PAGES)


# A new user's task, where it is explained, and words of the explanation
TASKS = {
    "a pod": ("deploy/README.md", "a-sidecar-in-a-pod", "kubectl apply -k"),
    "a VM": ("deploy/README.md", "a-host-with-systemd", "systemctl enable --now sagegate"),
    "an OpenAI SDK": ("conf/README.md", "an-openai-sdk", "baseURL"),
    "a wrong signature": ("deploy/OPERATING.md", "a-wrong-signature", "InvalidSignatureException"),
    "a new setting": ("proxy/README.md", "what-changes-with-what", "**A setting:**"),
}


@pytest.mark.parametrize("task", TASKS)
def test_newcomer_finds(task):
    name, anchor, words = TASKS[task]
    assert (name, anchor) in reachable(2)
    page = PAGES[name]
    following = page.lines[page.anchors[anchor]:]
    assert any(words in line for line in following[:60]), f"{name}:{page.anchors[anchor]}: {words}"
