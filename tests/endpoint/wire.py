"""One accepted connection: bytes in, bytes out, HTTP/1.1 framing of requests, and every way to close it."""

import os
import select
import socket
import ssl
import struct
import threading
import time

HEAD_MAX = 256 * 1024


class PeerLeft(Exception):
    """The peer closed, reset or never connected."""


class Malformed(Exception):
    """The input is not HTTP/1.1."""


class Wire:
    def __init__(self, sock, stopping):
        self.sock = sock
        self.stopping = stopping  # threading.Event
        self.buffer = bytearray()
        self.closed = False
        self._held = threading.Lock()  # guards the socket against cut() by another thread

    # -- reading

    def fill(self, timeout=None):
        """Reads into the buffer and returns True; returns False at the end of the stream; raises PeerLeft if it is
        broken."""
        if not self.readable(timeout):
            raise TimeoutError
        try:
            data = self.sock.recv(256 * 1024)
        except (OSError, ValueError) as error:
            raise PeerLeft(str(error)) from None
        self.buffer += data
        return bool(data)

    def readable(self, timeout=None):
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self.stopping.is_set():
                raise PeerLeft("the endpoint is stopping")
            left = 0.1 if deadline is None else max(0, min(0.1, deadline - time.monotonic()))
            if select.select([self.sock], [], [], left)[0]:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False

    def until(self, mark, limit):
        while True:
            found = self.buffer.find(mark)
            if found >= 0:
                taken = bytes(self.buffer[:found])
                del self.buffer[: found + len(mark)]
                return taken
            if len(self.buffer) > limit:
                raise Malformed(f"no {mark!r} in {limit} bytes")
            if not self.fill():
                raise PeerLeft("closed in the middle")

    def exactly(self, length):
        while len(self.buffer) < length:
            if not self.fill():
                raise PeerLeft(f"closed {length - len(self.buffer)} bytes early")
        taken = bytes(self.buffer[:length])
        del self.buffer[:length]
        return taken

    # -- writing

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (OSError, ValueError) as error:
            raise PeerLeft(str(error)) from None

    def wait(self, seconds):
        """Sleeps, but raises PeerLeft as soon as the peer closes. None waits for that only."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            left = None if deadline is None else deadline - time.monotonic()
            try:
                if not self.fill(left):
                    raise PeerLeft("closed while waiting")
            except TimeoutError:
                return

    # -- TLS

    def wrap(self, context):
        """Performs a server's handshake."""
        with self._held:
            self.sock = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        self.sock.do_handshake()

    # -- ends

    def cut(self):
        """For other threads: ends the connection, which its serving thread then notices. Does nothing if it has already
        ended."""
        with self._held:
            try:
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # TLS and its state belong to the serving thread
            except OSError:
                pass

    def close(self):
        """Orderly close: close_notify under TLS, then FIN."""
        if not self.closed:
            self._notify()
        self.abandon()

    def abandon(self):
        """FIN without close_notify."""
        self.closed = True
        try:
            self.sock.close()
        except OSError:
            pass

    def reset(self):
        """RST: the peer loses unread data."""
        self.closed = True
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()
        except OSError:
            pass

    def notify_and_linger(self):
        """close_notify, while TCP stays open until the peer closes."""
        self._notify()
        while not self.stopping.is_set():
            try:
                if select.select([self.sock], [], [], 0.1)[0] and not os.read(self.sock.fileno(), 65536):
                    return
            except (OSError, ValueError):
                return

    def _notify(self):
        if isinstance(self.sock, ssl.SSLSocket):
            try:
                self.sock.settimeout(0.05)
                self.sock.unwrap()
            except (OSError, ValueError):
                pass
            try:
                self.sock.settimeout(None)
            except OSError:
                pass
        else:
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
