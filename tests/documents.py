"""Reads the documents and runs the commands that they show, exactly as written.

    /usr/bin/python3 -m tests.documents [PAGE[#CHAPTER]]...

Prints PAGE:LINE and the difference for every command that fails or prints something else, and exits with 1. Without
arguments it runs every page. It needs build/release/sagegate and root (or unprivileged namespaces).

A chapter (a heading of level 2) is one session. It runs in its own network, mount and process namespaces, so that the
ports on the page are free, in the repository's root, with a build/ that contains only build/release, build/npm and the
files that the page tells the reader to save. The local endpoint plays the AWS account: /etc/hosts points the names of
SageMaker Runtime and STS in us-east-1 to it, and the environment has keys that it knows and its CA. Nothing else is
changed for the test.

    ```sh      commands, run by `bash -e`; exported variables and the directory carry over to the next block
    ```text    directly after ```sh: the output. "..." stands for any text, alone on a line for any lines. Values that
               differ from run to run (ids, times, client ports) may be any.
    other      a file: `save FILE` writes it. `sagegate check` checks a configuration of sagegate (yaml)

A comment directly before a block says how it is run:

    <!-- test: WORD ARGUMENT -->
    serves            runs until Ctrl-C: stays up to the end of the chapter, and Ctrl-C must not make it fail. If
                      output is shown, the next block waits for it
    fails             the exit status is not 0
    save FILE         the reader saves this block as FILE; the page says so
    elsewhere FILE    not run here: FILE, a test, runs it
    checked FILE      not run here: FILE, a test, reads the page and checks the block
    syntax REASON     not run, because it needs what no test has (a cluster, an AWS account): `bash -n` parses it and
                      every path of the repository in it must exist
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ("README.md", "conf/README.md", "deploy/README.md", "deploy/OPERATING.md", "deploy/BEHIND.md",
         "proxy/README.md", "tests/README.md")
OPTIONS = {"serves": 0, "fails": 0, "save": 1, "elsewhere": 1, "checked": 1, "syntax": 1}
NOT_RUN = {"elsewhere", "checked", "syntax"}
LANGUAGES = ("sh", "text", "yaml", "json", "nginx", "haproxy", "js", "python", "ini")
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
RUNTIME, STS = "runtime.sagemaker.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com"
TIMEOUT_S = 60

# ---- the pages ----


@dataclass
class Block:
    page: str
    line: int
    chapter: str
    language: str
    options: dict
    text: str = ""
    output: str = None             # the ```text directly after
    output_line: int = None

    @property
    def place(self):
        return f"{self.page}:{self.line}"


@dataclass
class Page:
    name: str
    lines: list = field(default_factory=list)
    blocks: list = field(default_factory=list)
    anchors: dict = field(default_factory=dict)    # anchor -> line
    links: list = field(default_factory=list)      # (line, target)
    problems: list = field(default_factory=list)   # "page:line: what is wrong"

    @property
    def chapters(self):
        """Returns those with commands to run."""
        return list(dict.fromkeys(block.chapter for block in self.blocks
                                  if block.language == "sh" and not NOT_RUN & block.options.keys()))


def anchor_of(heading):
    """Returns the anchor as GitHub generates it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def options_of(comment, place, problems):
    options = {}
    for item in comment.split(";"):
        word, _, argument = item.strip().partition(" ")
        if word not in OPTIONS or bool(argument) != bool(OPTIONS[word]):
            problems.append(f"{place}: unknown option {item.strip()!r}")
        options[word] = argument
    return options


def read_page(name):
    page = Page(name, (ROOT / name).read_text().splitlines())
    chapter, options, block, last = "", {}, None, None
    for number, line in enumerate(page.lines, 1):
        place = f"{name}:{number}"
        if block is not None:
            if line != "```":
                block.text += line + "\n"
                continue
            if block.language != "text":
                page.blocks.append(block)
                last = block if block.language == "sh" else None
            elif last is not None:
                last.output, last.output_line, last = block.text, block.line, None
            block = None
            continue
        comment = re.fullmatch(r"<!-- test: (.*) -->", line)
        if line.startswith("```"):
            if line[3:] not in LANGUAGES:
                page.problems.append(f"{place}: unknown language {line[3:]!r}; known: {', '.join(LANGUAGES)}")
            block, options = Block(name, number, chapter, line[3:], options), {}
        elif comment:
            options = options_of(comment.group(1), place, page.problems)
        elif line:
            if options:
                page.problems.append(f"{place}: the comment above must be directly before a block")
            options, last = {}, None
            heading = re.match(r"(#+) (.*)", line)
            if heading:
                if len(heading.group(1)) == 2:
                    chapter = heading.group(2)
                page.anchors[anchor_of(heading.group(2))] = number
            page.links += [(number, target) for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line))]
    if block is not None:
        page.problems.append(f"{block.place}: this block does not end")
    return page


# ---- expected against actual output ----

# (preceding text, value): differs from run to run
VOLATILE = (
    ("", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),   # request ids
    ("", r"00-[0-9a-f]{32}-[0-9a-f]{16}-01"),                                # traceparent
    ('"trace_id":"', r"[0-9a-f]{32}"),
    ("dur=", r"\d+\.\d+"),
    ('_us":', r"\d+"),
    ("", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"),
    ("", r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"),
    (r"127\.0\.0\.1:", r"[3-6]\d{4}"),                                       # a client's port
)
ANY = re.compile("|".join([r"(?P<gap>\.\.\.)",
                           *(f"(?<={before})(?P<v{n}>{value})" for n, (before, value) in enumerate(VOLATILE))]))


def pattern_of(shown):
    """Returns a regular expression that matches every output the page may show this way."""
    lines = []
    for line in shown.splitlines():
        if line == "...":
            lines.append(r"(?:.*\n)*")
            continue
        at, text = 0, ""
        for found in ANY.finditer(line):
            text += re.escape(line[at:found.start()])
            text += ".*" if found.lastgroup == "gap" else VOLATILE[int(found.lastgroup[1:])][1]
            at = found.end()
        lines.append(text + re.escape(line[at:]) + r"\n")
    return "".join(lines)


def matches(shown, printed):
    return re.fullmatch(pattern_of(shown), printed) is not None


def plain(output):
    """Output as a page shows it: no carriage returns, no spaces at the end of a line."""
    return "".join(line.rstrip() + "\n" for line in output.decode(errors="replace").replace("\r", "").splitlines())


# ---- a session ----


class Failed(Exception):
    pass


class Session:
    """A sequence of terminals, in this process's namespaces; see the top of the file."""

    def __init__(self, scratch):
        self.scratch = pathlib.Path(scratch)
        self.serving = []          # (block, process, its output file)
        self.directory = str(ROOT)
        self.env = {
            "PATH": "/usr/bin:" + os.environ["PATH"], "HOME": str(self.scratch / "home"), "LANG": "C.UTF-8", "TERM": "dumb",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "SSL_CERT_FILE": str(self.scratch / "ca.pem"), "AWS_CA_BUNDLE": str(self.scratch / "ca.pem"),
            "NODE_PATH": str(ROOT / "build/npm/node_modules"), "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_EC2_METADATA_DISABLED": "true", "NO_COLOR": "1",
        }

    def __enter__(self):
        build = self.scratch / "build"
        for kept in ("release", "npm"):
            if (ROOT / "build" / kept).is_dir():
                (build / kept).mkdir(parents=True)
                subprocess.run(["mount", "--bind", ROOT / "build" / kept, build / kept], check=True)
        subprocess.run(["mount", "--rbind", build, ROOT / "build"], check=True)
        (self.scratch / "home").mkdir()
        (self.scratch / "hosts").write_text(
            f"127.0.0.1 localhost {RUNTIME}\n::1 localhost\n127.0.0.2 {STS}\n")
        subprocess.run(["mount", "--bind", self.scratch / "hosts", "/etc/hosts"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        sys.path.insert(0, str(ROOT / "tests/e2e"))
        import standins

        from tests.endpoint import Endpoint
        self.endpoint = Endpoint("127.0.0.1:443", tls=True, names=(RUNTIME,)).start()
        self.endpoint.ca_file(self.scratch / "ca.pem")
        self.sts = standins.StandIn(self.endpoint.keys, tls=True, names=(STS,), address=("127.0.0.2", 443))
        self.sts.__enter__()
        return self

    def __exit__(self, *_):
        self.endpoint.stop()
        self.sts.__exit__()

    def run(self, block):
        time.sleep(0.2)  # a reader takes longer; access lines are written after the responses
        if "serves" in block.options:
            return self.serve(block)
        state = self.scratch / "state"
        state.unlink(missing_ok=True)
        command = f"trap 'env -0 >{state}; pwd >{state}.pwd' EXIT\n{block.text}"
        try:
            done = subprocess.run(["bash", "-ec", command], cwd=self.directory, env=self.env, timeout=TIMEOUT_S,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{block.place}: still running after {TIMEOUT_S} s\n{late.output}") from None
        printed = plain(done.stdout)
        self.look_for_secrets(block, done.stdout)
        if (done.returncode != 0) != ("fails" in block.options):
            raise Failed(f"{block.place}: exit status {done.returncode}\n{printed}")
        if block.output is not None and not matches(block.output, printed):
            raise Failed(f"{block.page}:{block.output_line} shows\n{block.output}\nbut the output is\n{printed}")
        self.env = dict(item.split("=", 1) for item in state.read_text().split("\0") if item)
        self.directory = pathlib.Path(f"{state}.pwd").read_text().strip()
        return None

    def serve(self, block):
        log = self.scratch / f"serves-{len(self.serving)}"
        before = listening()
        with open(log, "wb") as output:
            process = subprocess.Popen(["bash", "-ec", block.text], cwd=self.directory, env=self.env,
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                       start_new_session=True)
        self.serving.append((block, process, log))
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            printed = plain(log.read_bytes())
            if process.poll() is not None:
                raise Failed(f"{block.place}: ended with {process.returncode}\n{printed}")
            if block.output is not None:
                if re.match(pattern_of(block.output), printed):
                    return
            elif listening() - before:
                time.sleep(0.1)
                return
            if time.monotonic() > deadline:
                raise Failed(f"{block.place}: not ready within {TIMEOUT_S} s\n{printed}")
            time.sleep(0.05)

    def stop(self):
        """Presses Ctrl-C in every terminal, the last one first."""
        for block, process, log in reversed(self.serving):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            status = process.wait(30)
            self.look_for_secrets(block, log.read_bytes())
            if status not in (0, -signal.SIGINT):
                raise Failed(f"{block.place}: Ctrl-C ends it with {status}\n{plain(log.read_bytes())}")

    @staticmethod
    def look_for_secrets(block, output):
        import leaks
        leaks.learn(SECRET_KEY)
        leaks.look(block.place, output.replace(block.text.encode(), b""), signs="sagegate sign" in block.text)


def listening():
    """Returns the listening addresses in this network namespace."""
    found = set()
    for table in ("tcp", "tcp6"):
        rows = (row.split() for row in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        found |= {row[1] for row in rows if row[3] == "0A"}
    return found


def check_configuration(block):
    """Checks a configuration, or a part of one, from a page."""
    text = block.text
    if "routes:" not in text:
        text += "routes: [{ name: a, match: { path: /a }, endpoint: a }]\n"
    if not re.search(r"^region:", text, re.MULTILINE):
        text += "region: us-east-1\n"
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "sagegate.yaml"
        file.write_text(text)
        done = subprocess.run([ROOT / "build/release/sagegate", "check", "-c", file], cwd=ROOT, capture_output=True,
                              text=True, env={"PATH": os.environ["PATH"]})
    return None if done.returncode == 0 else f"{block.place}: {done.stderr}"


def is_configuration(block):
    return block.language == "yaml" and not NOT_RUN & block.options.keys()


def check_syntax(block):
    if block.language != "sh":
        return None
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
    missing = [path for path in re.findall(r"(?<![\w/.])(?:conf|deploy|tests|proxy)/[\w./-]+", block.text)
               if not (ROOT / path.rstrip("./")).exists()]
    if done.returncode != 0 or missing:
        return f"{block.place}: {done.stderr}{' '.join(missing)} missing"
    return None


def check_elsewhere(block):
    text = (ROOT / block.options["elsewhere"]).read_text()
    missing = [line for line in block.text.splitlines() if line.strip() and line.strip() not in text]
    return f"{block.place}: not in {block.options['elsewhere']}: {missing}" if missing else None


def run_chapter(page, chapter, scratch):
    """Runs inside the namespaces. Returns a list of problems; the first one ends the chapter."""
    with Session(scratch) as session:
        try:
            for block in page.blocks:
                if "save" in block.options:
                    file = ROOT / block.options["save"]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(block.text)
                if block.chapter == chapter and block.language == "sh" and not NOT_RUN & block.options.keys():
                    session.run(block)
            session.stop()
        except (Failed, AssertionError) as failed:
            return [str(failed)]
    return []


NAMESPACES = ("unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")


def run_in_namespaces(page, chapter):
    """Runs a chapter in another process of this program and returns its problems."""
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    # Created and removed outside, where the mounts below it do not exist: build/release must survive.
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run([*NAMESPACES, *root, sys.executable, "-m", "tests.documents", "--inside", page.name,
                               chapter, scratch], cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        return [f"{page.name}: {done.stderr}"]
    return json.loads(done.stdout.splitlines()[-1])


def problems_without_running(page):
    found = list(page.problems)
    for block in page.blocks:
        if "elsewhere" in block.options:
            found.append(check_elsewhere(block))
        elif "checked" in block.options:
            if block.page not in (ROOT / block.options["checked"]).read_text():
                found.append(f"{block.place}: {block.options['checked']} does not read this page")
        elif "syntax" in block.options:
            found.append(check_syntax(block))
        elif is_configuration(block):
            found.append(check_configuration(block))
        if "save" in block.options and not any(
                f"`{block.options['save']}`" in line for line in page.lines[max(0, block.line - 9):block.line]):
            found.append(f"{block.place}: the page does not say to save this as {block.options['save']}")
    return [problem for problem in found if problem]


def main():
    parser = argparse.ArgumentParser(prog="tests.documents", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", metavar="PAGE[#CHAPTER]", default=PAGES)
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(run_chapter(read_page(options.inside[0]), *options.inside[1:])))
        return
    failed = False
    for wanted in options.pages:
        name, _, anchor = wanted.partition("#")
        page = read_page(name)
        found = problems_without_running(page)
        for chapter in page.chapters:
            if anchor in ("", anchor_of(chapter)):
                begun = time.monotonic()
                found += run_in_namespaces(page, chapter)
                print(f"{name}: {chapter}: {time.monotonic() - begun:.1f} s", file=sys.stderr)
        for problem in found:
            print(problem, flush=True)
        failed = failed or bool(found)
    sys.exit(failed)


if __name__ == "__main__":
    main()
