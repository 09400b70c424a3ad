"""README.md held against the program: its commands are run, what it shows is compared, its tables are looked up.

Each chapter (##) is one test: its ```sh blocks run one after the other in a directory like the repository's root, with
`sagegate` in PATH, ports of the test's own for those of the page, and `aws` a stand-in for the AWS CLI. A ```text block
right behind one is its output: "..." stands for anything, alone on a line for any lines, and UUIDs and durations are
any. A comment before a block says how it is run where it cannot run as it stands:

    <!-- test: ITEM; ITEM -->
    quickstart       what deploy/quickstart leaves running is up from here to the chapter's end
    serves           it serves until Ctrl-C: it stays up until the chapter's end and must then end with 0
    fails            its exit status is not 0
    s|THIS|THAT|     run with THAT instead of THIS; the shell has $ENDPOINT (the local endpoint's URL), $CA (its CA's
                     file) and $SIDECAR (conf/sidecar.yaml before that endpoint)
    elsewhere FILE   it is not run here: FILE does it
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field

import leaks
import pytest
from lib import BINARY, environment, eventually, free_port

from tests.endpoint import Endpoint

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text()
PORTS = ("8080", "8081", "8082", "9901", "9902", "9903")
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
ANY = re.compile(rf"(?P<gap>\.\.\.)|(?P<uuid>{UUID})|(?P<duration>dur=\d+\.\d+)")

AWS = f'''#!{sys.executable}
"""As much of the AWS CLI as the page calls. Options are made from the service's model, as the CLI makes them."""
import sys
import botocore.session
from botocore import xform_name

service, operation, *words = sys.argv[1:]
session = botocore.session.get_session()
members = session.get_service_model(service).operation_model("InvokeEndpoint").input_shape.members
assert operation == "invoke-endpoint"
names = {{"--" + xform_name(member, "-"): member for member in members}}
given, own = {{}}, {{}}
while words[0].startswith("--"):
    option, value, *words = words
    if option in ("--endpoint-url", "--region"):
        own[option] = value
    else:
        given[names[option]] = open(value[8:], "rb").read() if value.startswith("fileb://") else value
client = session.create_client(service, region_name=own["--region"], endpoint_url=own.get("--endpoint-url"))
answer = client.invoke_endpoint(**given)
[outfile] = words
open(outfile, "wb").write(answer["Body"].read())
print(f'{{{{"ContentType": "{{answer["ContentType"]}}"}}}}')
'''


# ---- the page ----


@dataclass
class Block:
    language: str
    line: int
    chapter: str
    options: list
    text: str = ""
    output: str = None            # of the text block right behind it

    def option(self, word):
        return next((option[len(word):].strip() for option in self.options if option.split()[0] == word), None)

    def command(self):
        text = self.text
        for option in self.options:
            if option.startswith("s|"):
                _, this, that, _ = option.split("|")
                assert this in text, f"README.md:{self.line}: there is no {this!r} to replace"
                text = text.replace(this, that)
        return text


def read_blocks():
    blocks, chapter, options, inside, behind = [], None, [], None, False
    for number, line in enumerate(TEXT.splitlines(), 1):
        comment = re.fullmatch(r"<!-- test: (.*) -->", line)
        if inside is not None and line == "```":
            if inside.language == "text":
                blocks[-1].output = inside.text
            else:
                blocks.append(inside)
            behind, inside = inside.language == "sh", None
        elif inside is not None:
            inside.text += line + "\n"
        elif line.startswith("```"):
            assert line[3:] in ("sh", "text", "yaml"), f"README.md:{number}: a block of what language?"
            assert line != "```text" or behind, f"README.md:{number}: it is right behind no commands"
            inside, options = Block(line[3:], number, chapter, options), []
        elif comment:
            options = [item.strip() for item in comment.group(1).split(";")]
        elif line:
            assert not options, f"README.md:{number}: the comment before belongs to no block"
            behind = False
            if line.startswith("## "):
                chapter = line[3:]
    return blocks


BLOCKS = read_blocks()
COMMANDS = [block for block in BLOCKS if block.language == "sh"]
CHAPTERS = list(dict.fromkeys(block.chapter for block in COMMANDS))


def rows_of(*heading):
    """The rows below the table whose heading begins so, as lists of cells."""
    lines = iter(TEXT.splitlines())
    start = "| " + " | ".join(heading) + " |"
    assert any(line.startswith(start) for line in lines), f"README.md has no table {start}"
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split(" |")])
    return rows


# ---- its commands ----


class Reader:
    """Someone who goes through a chapter: a directory, an environment, and what was left running."""

    def __init__(self, directory):
        self.directory = directory
        self.running = []
        self.ports = {port: str(free_port()) for port in PORTS}
        self.endpoint = Endpoint(tls=True)
        for folder in ("build/release", "build/quickstart", "bin"):
            (directory / folder).mkdir(parents=True)
        shutil.copytree(ROOT / "conf", directory / "conf")
        for path in (directory / "build/release/sagegate", directory / "bin/sagegate"):
            path.symlink_to(BINARY)
        (directory / "bin/aws").write_text(AWS)
        (directory / "bin/aws").chmod(0o755)
        (directory / ".curlrc").write_text("no-progress-meter\n")  # which a terminal would not have here either

    def __enter__(self):
        self.endpoint.start()
        ca = self.endpoint.ca_file(self.directory / "build/quickstart/ca.pem")
        (self.directory / "build/quickstart/endpoint.url").write_text(self.endpoint.url)
        sidecar = self.directory / "sidecar.yaml"
        sidecar.write_text(self.own_ports((ROOT / "conf/sidecar.yaml").read_text())
                           + f'upstream: {{ endpoint_url: "{self.endpoint.url}", ca_file: "{ca}" }}\n')
        self.sidecar = sidecar.read_text()
        self.env = environment({
            "ENDPOINT": self.endpoint.url, "CA": str(ca), "SIDECAR": str(sidecar), "AWS_CA_BUNDLE": str(ca),
            "HOME": str(self.directory), "PATH": f"{self.directory}/bin:{os.environ['PATH']}",
            "QUICKSTART_PORT": self.ports["8080"], "QUICKSTART_ADMIN_PORT": self.ports["9902"],
            "QUICKSTART_ENDPOINT_URL": self.endpoint.url, "QUICKSTART_CA_FILE": str(ca)})
        return self

    def __exit__(self, failed, *_):
        try:
            for process, log in self.running:
                process.send_signal(signal.SIGTERM)
            for process, log in self.running:
                status = process.wait(30)
                told = pathlib.Path(log).read_text()
                assert failed or status == 0, told
                assert failed or all("level" in json.loads(line) for line in told.splitlines()), told
                leaks.look(f"{log}", told)
        finally:
            for process, _ in self.running:
                process.kill()
            self.endpoint.stop()

    def own_ports(self, text):
        return re.sub(r"(?<=:)\d{4}\b", lambda port: self.ports.get(port.group(), port.group()), text)

    def page_s_ports(self, text):
        for page_s, own in self.ports.items():
            text = text.replace(own, page_s)
        return text

    def serve(self, command, access_log=os.devnull):
        log = self.directory / f"stderr-{len(self.running)}"
        with open(log, "w") as errors, open(access_log, "w") as lines:
            process = subprocess.Popen(["bash", "-c", command], cwd=self.directory, env=self.env, stdout=lines,
                                       stderr=errors)
        self.running.append((process, log))
        listening = re.findall(r":(\d{4,5})\b", command + (self.sidecar if "$SIDECAR" in command else ""))
        for port in set(listening) & set(self.ports.values()):
            eventually(lambda: self.answers(process, log, int(port)), 20, f"something listens on {port}")

    @staticmethod
    def answers(process, log, port):
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def start_quickstart(self):
        self.serve("# 127.0.0.1:" + self.ports["8080"] + "\nexec sagegate run -c conf/quickstart.yaml",
                   self.directory / "build/quickstart/access.log")

    def run(self, command):
        """(exit status, output) of a block; what it exports stays."""
        if "access.log" in command:
            time.sleep(0.3)  # lines are written behind the answers
        done = subprocess.run(["bash", "-ec", command], cwd=self.directory, env=self.env, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        exports = "\n".join(re.findall(r"^export .*", command, re.MULTILINE))
        if exports:
            lines = subprocess.run(["bash", "-ec", exports + "\nenv -0"], cwd=self.directory, env=self.env, check=True,
                                   capture_output=True, text=True).stdout.split("\0")
            self.env = dict(line.split("=", 1) for line in lines if line)
        leaks.look(f"what {command} told", done.stdout, signs="sagegate sign" in command)
        return done.returncode, self.page_s_ports(done.stdout.decode()).replace("\r", "")


def pattern_of(shown):
    """Of what the page shows: a regular expression."""
    kinds = {"gap": ".*", "uuid": UUID, "duration": r"dur=\d+\.\d+"}
    lines = []
    for line in shown.splitlines():
        if line == "...":
            lines.append(r"(?:.*\n)*")
            continue
        at, text = 0, ""
        for found in ANY.finditer(line):
            text += re.escape(line[at:found.start()]) + kinds[found.lastgroup]
            at = found.end()
        lines.append(text + re.escape(line[at:]) + r"\n")
    return "".join(lines)


def test_patterns():
    assert re.fullmatch(pattern_of("a...\n...\nend 1\n"), "abc\nx\ny\nend 1\n")
    assert re.fullmatch(pattern_of("dur=1.234, 2\n"), "dur=77.000, 2\n")
    assert not re.fullmatch(pattern_of("status 200\n"), "status 404\n")
    assert not re.fullmatch(pattern_of("a\n"), "a\nb\n")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_commands(chapter, tmp_path):
    with Reader(tmp_path) as reader:
        for block in COMMANDS:
            if block.chapter != chapter:
                continue
            place = f"README.md:{block.line}"
            elsewhere = block.option("elsewhere")
            if elsewhere is not None:
                assert block.text.strip() in (ROOT / elsewhere).read_text(), place
                continue
            if block.option("quickstart") is not None:
                reader.start_quickstart()
            command = reader.own_ports(block.command())
            if block.option("serves") is not None:
                assert block.output is None, f"{place}: what serves shows nothing"
                reader.serve(command)
                continue
            status, output = reader.run(command)
            assert (status != 0) == (block.option("fails") is not None), f"{place}: status {status}\n{output}"
            if block.output is not None:
                told = "".join(line.rstrip() + "\n" for line in output.splitlines())
                assert re.fullmatch(pattern_of(block.output), told), f"{place} shows\n{block.output}\nthere was\n{told}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "yaml"],
                         ids=lambda block: block.chapter)
def test_configurations_load(block, tmp_path):
    (tmp_path / "sagegate.yaml").write_text(block.text)
    done = subprocess.run([BINARY, "check", "-c", "sagegate.yaml"], cwd=tmp_path, env=environment(), text=True,
                          capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_sidecar_is_the_file():
    [shown] = [block.text for block in BLOCKS if block.language == "yaml" and block.chapter == "A sidecar"]
    assert shown == (ROOT / "conf/sidecar.yaml").read_text()


# ---- its tables ----


def source(path):
    return (ROOT / "proxy" / path).read_text()


def outcomes():
    """[(NAME, token, status, fault)] of outcome.def"""
    return re.findall(r"^OUTCOME\((\w+), (\w+), (\d+), (\w+),", source("gateway/outcome.def"), re.MULTILINE)


def test_outcomes():
    rows = rows_of("token", "status", "fault")
    assert [row[0].strip("`") for row in rows] == [token for _, token, _, _ in outcomes()]
    for row, (_, token, status, fault) in zip(rows, outcomes()):
        assert row[2] == fault.lower(), token
        assert not row[1].isdigit() if status == "0" else row[1] == status, token
        assert row[3], token


def test_outcomes_that_are_not_in_use_yet_are_told():
    code = "".join(path.read_text() for path in (ROOT / "proxy").rglob("*.c"))
    unused = {token for name, token, _, _ in outcomes() if not re.search(rf"\bOUTCOME_{name}\b", code)}
    told = {row[0].strip("`") for row in rows_of("token", "status", "fault") if row[3].startswith("(not in this version")}
    assert told == unused, (f"README.md, Every outcome: say what to do about {sorted(told - unused)}, "
                            f"and that this version has no {sorted(unused - told)}")


def test_parameters():
    """Headers by operation and limits as in the API's table."""
    def header(cell):
        return {"LACKING": "-"}.get(cell, re.sub(r'(SM|PLAIN)\("(.*)"\)', lambda found: "`" + {
            "SM": "X-Amzn-SageMaker-", "PLAIN": ""}[found[1]] + found[2] + "`", cell))
    cells = re.findall(r'^PARAMETER\(\w+, "(\w+)", "(\w+)",\s*(\S+), (\S+), (\S+),\s*\w+, \w+, (\w+), (\w+), \w+\)',
                       source("aws/sagemaker.def"), re.MULTILINE)
    assert len(cells) == source("aws/sagemaker.def").count("\nPARAMETER(")
    constants = dict(re.findall(r"(SAGEMAKER_\w+_MAX) = (\d+)", source("aws/sagemaker.h")))
    rows = rows_of("key", "API name", "header of invoke")
    assert [row[0].strip("`") for row in rows] == [key for key, *_ in cells]
    for row, (key, api_name, invoke, stream, asynchronous, least, most) in zip(rows, cells):
        assert row[1] == api_name
        shown = [row[2]] + [row[2] if cell == "=" else cell for cell in row[3:5]]
        assert shown == [header(invoke), header(stream), header(asynchronous)], key
        assert f"{least}-{constants.get(most, most)}" in row[5], key


def test_fields_of_the_access_line():
    header, code = source("observe/access.h"), source("observe/access_record.c")
    fields = set(re.findall(r"^ +X\([A-Z_]+, (\w+)", header, re.MULTILINE)) | set(re.findall(r'\\"(\w+)\\":', code))
    told = [row[0].strip("`") for row in rows_of("field", "what it says")]
    assert len(set(told)) == len(told)
    assert set(told) == fields, (f"README.md, The access line: take out {sorted(set(told) - fields)}, "
                                 f"add {sorted(fields - set(told))}")


def test_metrics():
    """The page of /metrics is held against the same file in test_metrics.py."""
    table = re.sub(r'"\s*\n\s*"', "", source("observe/metrics.def"))
    metrics = re.findall(r'^METRIC\(\w+, (\w+), (\w+), "(.*?)",\s*"(.*?)"\)', table, re.MULTILINE)
    assert len(metrics) == table.count("\nMETRIC(")
    rows = [[name.strip("`"), kind, re.findall(r"`(\w+)`", labels), told]
            for name, kind, labels, told in rows_of("metric", "type", "labels")]
    assert rows == [[name, kind.lower(), labels.split(), told] for kind, name, labels, told in metrics]


def test_keys_that_are_not_there_yet():
    """Those that settings.def calls LATER: building one takes it out there and here."""
    table = re.sub(r'"\s+"', "", source("config/settings.def"))
    later = {(path, word) for path, words in re.findall(r'^LATER\("(.*?)",\s*"(.*?)"\)', table, re.MULTILINE)
             for word in words.split()}
    told = {("" if place == "top level" else place.strip("`"), word)
            for where, words in rows_of("where", "keys and words") for place in where.split(", ")
            for word in re.findall(r"`(\w+)`", words)}
    assert told == later, f"README.md, Limits: take out {sorted(told - later)}, add {sorted(later - told)}"


def test_every_file_named_is_there():
    named = re.findall(r"[`(]((?:proxy|tests|conf|deploy|\.ci)/[\w./*-]+|[A-Z]+)[`)]", TEXT)
    assert len(named) > 50
    for path in named:
        if "/" in path or path == "LICENSE":
            assert list(ROOT.glob(path)), path
