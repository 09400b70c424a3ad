"""The endpoint itself: a listener, a thread per connection, and the record of requests."""

import collections
import datetime
import json
import os
import socket
import ssl
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field

from . import certificates
from .exchange import serve_request
from .faults import CONNECTION_FAULTS, Fault
from .wire import PeerLeft, Wire

ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@dataclass
class Key:
    secret: str
    token: str = None


@dataclass
class Seen:
    """One request as it arrived, and its result. Times are from time.monotonic()."""

    connection: int               # per endpoint, from 1
    number: int                   # per connection, from 1
    tls_version: str = None
    sni: str = None
    resumed: bool = False
    began: float = 0.0            # head received
    received: float = 0.0         # body received
    ended: float = 0.0
    method: str = ""
    path: str = ""
    headers: list = field(default_factory=list)   # (name, value) in order, as sent
    body: bytes = b""
    body_length: int = 0
    body_sha256: str = ""
    endpoint: str = ""
    operation: str = ""
    parameters: dict = field(default_factory=dict)
    verdict: str = ""             # ok, or the service's error code
    reason: str = ""
    access_key: str = ""
    signed: list = field(default_factory=list)
    unsigned: list = field(default_factory=list)    # sent, should be signed, not signed
    unexpected: list = field(default_factory=list)  # headers that must not arrive
    fault: str = ""
    status: int = 0
    request_id: str = ""
    sent: int = 0                 # response body bytes handed to the kernel
    outcome: str = "reading"      # answered | peer left: ... | the fault that was played | malformed: ...

    def header(self, name):
        """Returns the header's value, None without one; a list if there are several."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[0] if len(values) == 1 else values or None

    def line(self):
        row = asdict(self)
        row.pop("body")
        row["headers"] = [pair for pair in self.headers if pair[0].lower() != "authorization"]
        return json.dumps(row)


class Endpoint:
    """Start and stop it, or use it as a context manager. All attributes may be changed while it is running."""

    witness = None  # called with each Seen once its head has arrived

    def __init__(self, listen="127.0.0.1:0", tls=False, names=("localhost", "127.0.0.1", "::1"), keys=None,
                 region="us-east-1", variants=("AllTraffic", "A", "B"), body_max=25 * 1024 * 1024, log=None):
        self.tls_fault = tls if isinstance(tls, str) else None
        if self.tls_fault and self.tls_fault not in certificates.FAULTS:
            raise ValueError(f"unknown TLS fault '{tls}'; known: {', '.join(certificates.FAULTS)}")
        self.tls, self.names, self.region, self.variants = bool(tls), list(names), region, list(variants)
        self.keys = keys if keys is not None else {ACCESS_KEY: Key(SECRET_KEY)}
        self.body_max = body_max
        self.clock_skew_s = 0
        self.container = None         # a model's name: served unsigned at /invocations, with /ping
        self.requests = []            # Seen, in the order in which their heads arrived
        self.connections = 0          # accepted so far
        self.open = {}                # connection id -> Wire
        self._listen, self._log = listen, log
        self._faults, self._connection_faults = collections.deque(), collections.deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._threads = []

    # -- life

    def start(self):
        host, _, port = self._listen.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, int(port)))
        self._socket.listen(512)
        self._socket.settimeout(0.1)
        self.port = self._socket.getsockname()[1]
        if self.tls:
            self._context = certificates.context(self.names, self.tls_fault)
            self._context.sni_callback = self._on_sni
        self._spawn(self._accept)
        return self

    def stop(self):
        self._stopping.set()
        for thread in list(self._threads):
            thread.join(timeout=5)
        self._socket.close()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    # -- for its users

    @property
    def url(self):
        name = self.names[0]
        return f"{'https' if self.tls else 'http'}://{f'[{name}]' if ':' in name else name}:{self.port}"

    @property
    def authorities(self):
        """Valid Host values: names with the port, or without it if it is the scheme's default."""
        names = {f"[{name}]" if ":" in name else name for name in self.names}
        bare = names if self.port == (443 if self.tls else 80) else set()
        return {f"{name}:{self.port}" for name in names} | bare

    @property
    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.clock_skew_s)

    @staticmethod
    def ca_pem():
        return certificates.authority().cert_pem.bytes()

    def ca_file(self, path=None):
        """Writes the CA's certificate and returns its path."""
        if path is None:
            handle, path = tempfile.mkstemp(suffix=".pem", prefix="endpoint-ca-")
            os.close(handle)
        with open(path, "wb") as file:
            file.write(self.ca_pem())
        return path

    def next_fault(self, text=None, **fields):
        """Sets the fault of the next request that has none of its own. Several calls queue up."""
        self._faults.append(Fault.parse(text) if text is not None else Fault(**fields))

    def next_connection(self, kind):
        """Sets the fault of the next connection: see CONNECTION_FAULTS."""
        if kind not in CONNECTION_FAULTS:
            raise ValueError(f"unknown connection fault '{kind}'; known: {', '.join(CONNECTION_FAULTS)}")
        self._connection_faults.append(kind)

    def clear(self):
        """Forgets recorded requests and queued faults."""
        with self._changed:
            self.requests.clear()
            self._faults.clear()
            self._connection_faults.clear()

    def open_connections(self):
        """Returns the numbers of the open connections."""
        return set(self.open.copy())  # atomic: the threads that serve them come and go

    def cut_connections(self):
        """Closes all open connections abruptly and returns their numbers."""
        wires = self.open.copy()
        for wire in wires.values():
            wire.cut()
        return set(wires)

    def wait_for(self, what, timeout=20.0):
        """Waits until `what(endpoint)` is true or, if it is a number, until there are that many requests."""
        test = what if callable(what) else lambda endpoint: len(endpoint.requests) >= what
        deadline = time.monotonic() + timeout
        while not test(self):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"timeout after {timeout} s; requests: "
                                   f"{[(seen.path, seen.status, seen.outcome) for seen in self.requests]}")
            with self._changed:
                self._changed.wait(min(left, 0.02))

    # -- for the exchange

    def take_fault(self, attributes):
        return Fault.from_attributes(attributes) or (self._faults.popleft() if self._faults else None)

    def began(self, seen):
        if self.witness:
            self.witness(seen)
        with self._changed:
            self.requests.append(seen)
            self._changed.notify_all()

    def ended(self, seen):
        seen.ended = time.monotonic()
        with self._changed:
            self._changed.notify_all()
            if self._log:
                print(seen.line(), file=self._log, flush=True)

    # -- connections

    def _spawn(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()] + [thread]
        thread.start()

    def _on_sni(self, sock, name, context):
        sock.asked_for = name

    def _accept(self):
        while not self._stopping.is_set():
            try:
                sock, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.connections += 1
            fault = self._connection_faults.popleft() if self._connection_faults else None
            self._spawn(self._serve, sock, self.connections, fault)

    def _serve(self, sock, identity, fault):
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(sock, self._stopping)
        self.open[identity] = wire
        try:
            if fault:
                _fail_connection(wire, fault)
            else:
                self._converse(wire, identity)
        except PeerLeft:
            wire.abandon()
        finally:
            wire.close()
            del self.open[identity]
            with self._changed:
                self._changed.notify_all()

    def _converse(self, wire, identity):
        if self.tls and not self._handshake(wire):
            return
        number, previous = 1, Fault()
        while not wire.closed:
            try:
                if not wire.buffer and not wire.fill(previous.idle_ms and previous.idle_ms / 1000):
                    return
            except TimeoutError:
                return
            if previous.drop_next:
                return wire.reset() if previous.drop_next == "reset" else wire.close()
            seen = Seen(identity, number)
            if self.tls:
                seen.tls_version, seen.resumed = wire.sock.version(), bool(wire.sock.session_reused)
                seen.sni = getattr(wire.sock, "asked_for", None)
            previous = serve_request(self, wire, seen)
            if previous is None:
                return
            number += 1

    def _handshake(self, wire):
        wire.sock.settimeout(10)
        try:
            wire.wrap(self._context)
        except (OSError, ssl.SSLError):
            wire.abandon()
            return False
        wire.sock.settimeout(None)
        return True


def _fail_connection(wire, fault):
    if fault == "reset":
        wire.reset()
    elif fault == "stall":
        wire.wait(None)
    elif fault == "garbage":
        wire.send(b"220 mail.example ESMTP ready\r\n" * 3)
        wire.wait(0.5)
    elif fault == "handshake-close":
        wire.fill()


