"""nginx and haproxy as servers for tests: started with a configuration, stopped by signal."""

import os
import pathlib
import shutil
import socket
import subprocess
import time

import lib

PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def program(name):
    return shutil.which(name, path=PATH)


class Server:
    """A server in the foreground. @PORT@ and @DIR@ in its configuration are replaced."""

    def __init__(self, name, directory, config):
        self.name, self.directory, self.port = name, pathlib.Path(directory), lib.free_port()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config = self.directory / f"{name}.conf"
        self.config.write_text(config.replace("@PORT@", str(self.port)).replace("@DIR@", str(self.directory)))
        self.output = self.directory / "output"

    @property
    def command(self):
        if self.name == "nginx":
            return [program("nginx"), "-p", str(self.directory), "-c", str(self.config), "-e", str(self.output)]
        return [program("haproxy"), "-db", "-f", str(self.config)]

    def start(self, before=()):
        """before: a command prefix, such as taskset's."""
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen([*before, *self.command], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise AssertionError(f"{self.name} does not start: {self.output.read_text()}") from None
                time.sleep(0.02)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()
