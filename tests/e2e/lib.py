"""Building blocks of the e2e tests: a gateway under test, a raw client, and ways to wait.

Contains no expectations; those are in the tests.
"""

import http.client
import itertools
import json
import os
import pathlib
import random
import re
import select
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field

import leaks

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SAGEGATE_BIN", ROOT / "build/dev/sagegate")).resolve()
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PASSED_ON = ("PATH", "HOME", "LANG", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
             "ASAN_SYMBOLIZER_PATH")
SANITIZED = re.compile(rb"__asan_init|__tsan_init")

# One route for each way in. Tests that need other routes set their own.
ROUTES = """
routes:
  - name: sdk
    match: { path: "/endpoints/{endpoint}/*" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: native
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
  - name: passed
    match: { path: "/pass/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    errors: pass
  - name: short
    match: { path: "/short/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    timeouts: { connect: 500ms, first_byte: 400ms, idle: 400ms, total: 5s }
  - name: hurried
    match: { path: "/hurried/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    timeouts: { connect: 500ms, first_byte: 600ms, idle: 600ms, total: 600ms }
  - name: small
    match: { path: "/small/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    body_max: 64KiB
"""


def _ports():
    """Yields ports in sequence, so that none repeats within a gateway's life. They are below the ephemeral range, so
    that no outgoing connection takes one, and distinct from those of the run's other processes."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    ports = range(12000 + 5000 * worker, 17000 + 5000 * worker)
    first = random.randrange(len(ports))
    return itertools.cycle([*ports[first:], *ports[:first]])


PORTS = _ports()


def free_port(host="127.0.0.1"):
    """Returns a port without a listener."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in PORTS:
        with socket.socket(family) as probe:
            try:
                probe.bind((host, port))
                return port
            except OSError:
                continue


def eventually(test, timeout=20.0, what="it"):
    """Waits until test() is true and returns its result."""
    deadline = time.monotonic() + timeout
    while True:
        result = test()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: timeout after {timeout} s")
        time.sleep(0.01)


def environment(extra=None):
    """The environment of a gateway: only the variables that it needs."""
    env = {
        "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
        "LSAN_OPTIONS": f"suppressions={ROOT}/tests/lsan.suppressions:print_suppressions=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": f"halt_on_error=1:suppressions={ROOT}/tests/tsan.suppressions",
    }
    env.update({name: os.environ[name] for name in PASSED_ON if name in os.environ})
    env.update(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
    env.update(extra or {})
    env = {name: value for name, value in env.items() if value is not None}
    leaks.learn_environment(env)
    return env


def run(*arguments, env=None, timeout=30, **more):
    """Runs a command of the program to its end."""
    done = subprocess.run([BINARY, *map(str, arguments)], env=environment(env), timeout=timeout,
                          capture_output=True, text=True, **more)
    leaks.look(f"the output of {' '.join(map(str, arguments))}", done.stdout + done.stderr,
               signs=arguments[:1] == ("sign",))
    return done


class Gateway:
    """A running `sagegate run`. Use as a context manager, or with start() and stop()."""

    def __init__(self, directory, config=None, arguments=None, address="127.0.0.1", env=None):
        """config: the file's text; @LISTEN@, @ADMIN@ and @HEALTH@ are replaced by free addresses. arguments: used
        instead of `run -c FILE`, with the same replacements."""
        self.directory = pathlib.Path(directory)
        self.host = address
        self.port, self.admin_port, self.health_port = free_port(address), free_port(), free_port()
        self.config_file = self.directory / "sagegate.yaml"
        if config is not None:
            self.config_file.write_text(self._fill(config))
            for url in re.findall(r"proxy: *[\"']?([^\s\"'}]+)", config):
                leaks.learn_url(url)
        self.arguments = [self._fill(a) for a in arguments or ["run", "-c", str(self.config_file)]]
        self.env = environment(env)
        self.lines, self.diagnostics, self.noise = [], [], []
        self.said = []  # all output, unparsed
        self._allowed, self._allowed_before = [], []
        self._changed = threading.Condition()
        self.process = None
        self.signalled = self.stopped = False

    def _fill(self, text):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (text.replace("@LISTEN@", f"{host}:{self.port}")
                .replace("@ADMIN@", f"127.0.0.1:{self.admin_port}")
                .replace("@HEALTH@", f"127.0.0.1:{self.health_port}")
                .replace("@DIR@", str(self.directory)))

    # -- life

    def start(self, wait=True):
        self.process = subprocess.Popen([BINARY, *self.arguments], env=self.env, cwd=self.directory,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True)
                         for pair in ((self.process.stdout, self._on_line), (self.process.stderr, self._on_diagnostic))]
        for reader in self._readers:
            reader.start()
        if wait:
            eventually(self._is_ready, 20, "the gateway is ready")
        return self

    def _is_ready(self):
        if self.process.poll() is not None:
            self._join()
            raise AssertionError(f"the gateway exited with {self.process.returncode}: {self.output()}")
        return any(line["topic"] == "start" and line["message"].startswith("serving") for line in self.diagnostics)

    def signal(self, number=signal.SIGTERM):
        self.signalled = True
        self.process.send_signal(number)

    def stop(self, expect=0, timeout=20):
        """Sends SIGTERM unless a signal was sent, waits, and checks the exit status; fails on unexpected diagnostics. A
        second call does nothing."""
        if self.stopped:
            return
        self.stopped = True
        if self.process.poll() is None and not self.signalled:
            self._get_every_page()
            self.signal()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not exit within {timeout} s of SIGTERM: {self.output()}") from None
        self._join()
        self.check_alive()
        self.check_quiet()
        self.check_secrets()
        assert status == expect, f"exit status {status}, not {expect}: {self.output()}"

    def _join(self):
        for reader in self._readers:
            reader.join(5)

    __enter__ = start

    def __exit__(self, kind, *_):
        if kind is None:
            return self.stop()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._join()
        print(f"the gateway's output:\n{self.output()}")
        return None

    # -- its output

    def _read(self, stream, take):
        for line in stream:
            with self._changed:
                self.said.append(line)
                take(line)
                self._changed.notify_all()

    def _on_line(self, line):
        self.lines.append(json.loads(line))

    def _on_diagnostic(self, line):
        try:
            self.diagnostics.append(json.loads(line))
        except ValueError:
            self.noise.append(line.decode(errors="replace").rstrip())

    def output(self):
        return "\n".join(self.noise + [json.dumps(line) for line in self.diagnostics])

    def line(self, timeout=20.0, **fields):
        """Waits for one access line with these values and removes it from the list."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self.lines:
                    if all(line.get(name) == value for name, value in fields.items()):
                        self.lines.remove(line)
                        return line
                if not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no access line with {fields} among {self.lines}")

    def diagnostic(self, timeout=20.0, **fields):
        """Waits for a diagnostic with these values; texts match as parts of the value."""
        def found():
            return [line for line in self.diagnostics
                    if all(str(value) in str(line.get(name)) for name, value in fields.items())]
        return eventually(found, timeout, f"a diagnostic with {fields}")[0]

    def allow_warnings(self, *patterns):
        """Expects warnings and errors that match one of these (regular expressions over the line)."""
        self._allowed += [re.compile(pattern) for pattern in patterns]

    def check_quiet(self):
        """Checks that there is no unexpected warning or error, and no other output, such as a sanitizer report."""
        assert not self.noise, "\n".join(self.noise)
        loud = [json.dumps(line) for line in self.diagnostics if line.get("level") not in ("debug", "info")]
        loud = [line for line in loud if not any(pattern.search(line) for pattern in self._patterns(line))]
        assert not loud, "\n".join(loud)

    def _patterns(self, line):
        """Repeated messages are held back for a while, so one may belong to an earlier test's expectations."""
        return self._allowed + (self._allowed_before if '"held_back"' in line else [])

    def check_alive(self):
        """Checks that it is running or has exited on its own."""
        status = self.process.poll()
        assert status is None or status >= 0, f"the gateway crashed: signal {-status}\n{self.output()}"

    def check_secrets(self):
        """Checks that neither its output so far nor its access log contains a secret of this run."""
        with self._changed:
            said = b"".join(self.said)
        leaks.look("the gateway's output", said)
        for file in self._log_files():
            leaks.look(str(file), file.read_bytes())

    def _log_files(self):
        """Returns the files that it has written: those its configuration names, and their renamed versions."""
        text = self.config_file.read_text() if self.config_file.exists() else ""
        named = [self.directory / name for name in re.findall(r"\bfile: *[\"']?([^\s\"',}]+)", text)]
        found = {file for name in named for file in name.parent.glob(name.name + "*")}
        return [file for file in found if file.is_file() and file.read_bytes().startswith(b'{"time"')]

    def _get_every_page(self):
        """Requests every page of the admin and health listeners; get() scans the pages."""
        for port in (self.admin_port, self.health_port):
            try:
                status, listed = get(("127.0.0.1", port), "/")
                for page in json.loads(listed)["paths"] if status == 200 else ():
                    get(("127.0.0.1", port), page)
            except OSError:
                return  # a gateway without these listeners

    def forget(self):
        with self._changed:
            self.lines.clear()
            self.diagnostics.clear()
            self._allowed_before += self._allowed
            self._allowed.clear()

    # -- its properties

    @property
    def url(self):
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def caller(self, timeout=30.0):
        return Caller((self.host, self.port), timeout)

    def call(self, path="/call/echo", body=b"", headers=(), method="POST"):
        """Sends one request on a new connection."""
        with self.caller() as caller:
            return caller.call(path, body, headers, method)

    def admin(self, path, method="GET"):
        return get(("127.0.0.1", self.admin_port), path, method)

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))


def get(address, path, method="GET"):
    """Returns (status, body) of a plain request."""
    connection = http.client.HTTPConnection(*address, timeout=5)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
        leaks.look(f"the response to {method} {path}", str(response.headers).encode() + body)
        return response.status, body
    finally:
        connection.close()


def is_sanitized():
    return bool(SANITIZED.search(BINARY.read_bytes()))


# -- a client that sees every byte


class Broken(Exception):
    """The response is incomplete: `response` has the part received."""

    def __init__(self, why, response):
        super().__init__(why)
        self.response = response


@dataclass
class Response:
    status: int = 0
    reason: str = ""
    version: str = ""
    headers: list = field(default_factory=list)   # (name, value) in order
    pieces: list = field(default_factory=list)    # (time.monotonic(), bytes) as the body arrived
    interim: list = field(default_factory=list)   # statuses of earlier 1xx responses
    framing: str = ""                             # none | length | chunked | close
    head: bytes = b""

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} appears {len(values)} times"
        return values[0] if values else None

    @property
    def body(self):
        return b"".join(data for _, data in self.pieces)

    @property
    def outcome(self):
        return self.header("X-Sagegate-Outcome")

    def json(self):
        return json.loads(self.body)


class Caller:
    """A strict HTTP/1.1 client over one connection that can also send arbitrary bytes."""

    def __init__(self, address, timeout=30.0):
        if isinstance(address, tuple):
            self.sock = socket.create_connection(address, timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(str(address))
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def ask(self, path, body=b"", headers=(), method="POST", version="1.1", chunks=None):
        """Sends a request; with `chunks` (a list of bytes) the body is chunked."""
        lines = [f"{method} {path} HTTP/{version}"]
        given = {name.lower() for name, _ in headers}
        lines += ["Host: localhost"] if "host" not in given else []
        lines += [f"{name}: {value}" for name, value in headers]
        if chunks is not None:
            lines += ["Transfer-Encoding: chunked"]
            body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        elif method not in ("GET", "HEAD") and "content-length" not in given:
            lines += [f"Content-Length: {len(body)}"]
        return self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def call(self, path, body=b"", headers=(), method="POST", **more):
        self.ask(path, body, headers, method, **more)
        return self.response(method)

    def response(self, method="POST"):
        """Reads one response. Raises Broken if it is incomplete or malformed."""
        response = Response()
        while True:
            self._read_head(response)
            if response.status >= 200:
                break
            response.interim.append(response.status)
            if len(response.interim) > 100:
                raise Broken("too many 1xx responses", response)
        length, coding = response.header("Content-Length"), response.header("Transfer-Encoding")
        if length is not None and coding is not None:
            raise Broken("Content-Length and Transfer-Encoding", response)
        if method == "HEAD" or response.status in (204, 304):
            response.framing = "none"
        elif coding is not None:
            response.framing = "chunked"
            self._read_chunks(response, coding)
        elif length is not None:
            response.framing = "length"
            if not re.fullmatch(r"\d{1,15}", length):
                raise Broken(f"Content-Length: {length}", response)
            self._take(response, int(length))
        else:
            response.framing = "close"
            while self._fill(response):
                self._take(response, len(self.buffer))
        leaks.look("a response", response.head)
        if response.outcome:
            leaks.look("an error response of the gateway", response.body)
        return response

    def read_some(self, size=65536):
        """Returns the next bytes, b"" at the end of the connection, outside of any response."""
        if self.buffer:
            data, self.buffer = self.buffer, b""
            return data
        return self.sock.recv(size)

    def is_silent(self):
        """Returns whether nothing more has arrived so far."""
        return not self.buffer and not select.select([self.sock], [], [], 0)[0]

    def is_closed(self, timeout=10.0):
        """Returns whether the gateway has closed the connection without sending more."""
        if self.buffer or not select.select([self.sock], [], [], timeout)[0]:
            return False
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def _fill(self, response):
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, TimeoutError) as error:
            raise Broken(type(error).__name__, response) from None
        self.buffer += data
        return bool(data)

    def _read_head(self, response):
        while b"\r\n\r\n" not in self.buffer:
            if not self._fill(response):
                raise Broken(f"closed after {self.buffer!r}", response)
        response.head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = response.head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/(1\.[01]) ([1-9]\d\d) ([^\r\n]*)", lines[0])
        if not match:
            raise Broken(f"status line {lines[0]!r}", response)
        response.version, response.status, response.reason = match[1], int(match[2]), match[3]
        response.headers = []
        for line in lines[1:]:
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\0\r\n]*", line):
                raise Broken(f"header {line!r}", response)
            name, _, value = line.partition(":")
            response.headers.append((name, value.strip(" \t")))

    def _read_chunks(self, response, coding):
        if coding != "chunked":
            raise Broken(f"Transfer-Encoding: {coding}", response)
        while True:
            size = self._read_line(response)
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size):
                raise Broken(f"chunk size {size!r}", response)
            self._take(response, int(size, 16))
            if self._read_line(response) != b"":
                raise Broken("missing CRLF after a chunk", response)
            if int(size, 16) == 0:
                return

    def _read_line(self, response):
        while b"\r\n" not in self.buffer:
            if not self._fill(response):
                raise Broken("closed inside the chunked coding", response)
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _take(self, response, length):
        while length:
            if not self.buffer and not self._fill(response):
                raise Broken(f"closed {length} bytes early", response)
            data, self.buffer = self.buffer[:length], self.buffer[length:]
            length -= len(data)
            response.pieces.append((time.monotonic(), data))
