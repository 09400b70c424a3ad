"""The Debian package on a booted systemd: installed, started, killed, hung, stopped, purged."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest

from tests.deploy.conftest import ENDPOINT_PORT, KEYS
from tests.deploy.machine import SUITE, debian, debian_with_systemd, eventually, in_memory, run

pytestmark = pytest.mark.timeout(600)

CONFIG = f"""
listen: [{{ address: 127.0.0.1:8080 }}, {{ address: "unix:/run/sagegate/gateway.sock", mode: "0666" }}]
health: {{ address: 127.0.0.1:9901 }}
region: us-east-1
credentials: @CREDENTIALS@
upstream: {{ endpoint_url: "https://127.0.0.1:{ENDPOINT_PORT}", ca_file: /etc/sagegate/ca.pem }}
access_log: {{ file: /var/log/sagegate/access.log }}
routes: [@ROUTES@]
"""


@pytest.fixture(scope="session")
def package(context, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    built = run(context / "deploy/debian/build", folder, timeout=400)
    (folder / "log").write_text(built.stdout + built.stderr)
    return folder


def the_deb(package):
    (found,) = package.glob("sagegate_*.deb")
    return found


class Booted:
    """A Debian system running systemd, in the isolated network."""

    def __init__(self, corner, root):
        self.corner, self.root = corner, root

    def __enter__(self):
        self.log = open(f"{self.root}.log", "w")
        self.process = self.corner.start(
            "systemd-nspawn", "--quiet", "--directory", self.root, "--boot", "--register=no", "--keep-unit",
            "--console=pipe", stdout=self.log, stderr=self.log)
        self.leader = eventually(self._find_leader, 20, "systemd runs")
        eventually(lambda: self("systemctl", "is-system-running", check=False).stdout.strip()
                   in ("running", "degraded"), 60, "the system is up")
        return self

    def _find_leader(self):
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return pid
                waiting += pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                continue
        return None

    def __call__(self, *command, **more):
        """Runs a command inside."""
        return run("nsenter", f"--target={self.leader}", "--mount", "--pid", "--uts", "--ipc", "--net", "--root",
                   "--wd=/", *command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}, **more)

    def unit(self, verb, name="sagegate"):
        """Runs systemctl; shows the journal if it fails."""
        done = self("systemctl", verb, name, check=False)
        assert done.returncode == 0, self("journalctl", "-n", "30", "--output", "cat", check=False).stdout

    def property(self, name):
        return self("systemctl", "show", "--value", "--property", name, "sagegate").stdout.strip()

    def write(self, name, text, mode=0o644):
        path = pathlib.Path(f"{self.root}{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def __exit__(self, *_):
        self("systemctl", "poweroff", "--force", check=False)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


@pytest.fixture(scope="module")
def system(corner, endpoint, package, tmp_path_factory):
    root = tmp_path_factory.mktemp("system") / "root"
    root.mkdir()
    run("tar", "-C", root, "-xf", debian_with_systemd())
    shutil.copy(the_deb(package), root / "root/sagegate.deb")
    with Booted(corner, root) as system:
        system("dpkg", "-i", "/root/sagegate.deb")
        yield system
    shutil.rmtree(root, ignore_errors=True)


def configure(system, endpoint, credentials="{ source: env }", routes="{ name: all, match: { path: /* }, endpoint: echo }"):
    system.write("/etc/sagegate/sagegate.yaml",
                 CONFIG.replace("@CREDENTIALS@", credentials).replace("@ROUTES@", routes))
    system.write("/etc/sagegate/ca.pem", (endpoint / "ca.pem").read_text())
    system.write("/etc/sagegate/environment", "".join(f"{name}={value}\n" for name, value in KEYS.items()), 0o600)


@pytest.fixture
def serving(system, endpoint):
    """The system with the service configured and started, regardless of earlier tests."""
    if system.property("ActiveState") != "active":
        configure(system, endpoint)
        system.unit("start")
    return system


def call(system, body, *options, path="/x"):
    return system.corner.run("curl", "-sS", "--noproxy", "*", "--max-time", "10", *options,
                             f"http://127.0.0.1:8080{path}", "-H", "Content-Type: text/plain", "-d", body).stdout


# ---- the package ----

def test_lintian_and_package_contents(package):
    told = run("lintian", "--fail-on", "error,warning", package / next(package.glob("*.changes")).name, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    files = run("dpkg", "-c", the_deb(package)).stdout
    for name in ("usr/bin/sagegate", "lib/systemd/system/sagegate.service", "usr/share/man/man1/sagegate.1.gz",
                 "usr/share/man/man5/sagegate.yaml.5.gz", "usr/share/bash-completion/completions/sagegate",
                 "etc/sagegate/sagegate.yaml"):
        assert f"./{name}\n" in files


def test_every_compiler_call_is_hardened(package):
    run("blhc", "--all", package / "log")


def test_install_and_purge_leave_no_trace(package, tmp_path):
    with in_memory(tmp_path / "piuparts") as folder:
        (folder / "root").mkdir()
        run("tar", "-C", folder / "root", "-xf", debian())
        told = run("piuparts", "--no-upgrade-test", "--no-eatmydata", "--existing-chroot", folder / "root",
                   "--tmpdir", folder, "--distribution", SUITE, "--mirror", "http://deb.debian.org/debian main",
                   the_deb(package), timeout=400).stdout
    assert "PASS: All tests." in told


def test_manual_pages_cover_every_command_and_key(package, tmp_path):
    run("dpkg", "-x", the_deb(package), tmp_path)
    first = run("zcat", tmp_path / "usr/share/man/man1/sagegate.1.gz").stdout
    for name in re.findall(r"^  ([a-z]+)  ", run(tmp_path / "usr/bin/sagegate", "--help").stdout, re.MULTILINE):
        assert f".SS {name}\n" in first
    fifth = run("zcat", tmp_path / "usr/share/man/man5/sagegate.yaml.5.gz").stdout
    for key in ("listen[].address", "drain.limit", "routes[].match.path", "upstream.ca_file",
                "routes[].parameters.NAME.default"):
        assert f".B {key}\n" in fifth.replace("\\", ""), key


def test_completion_offers_commands_and_options(package, tmp_path):
    run("dpkg", "-x", the_deb(package), tmp_path)

    def offered(*words):
        script = ('. "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sagegate; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        return run("bash", "-c", script, "_", tmp_path / "usr/share/bash-completion/completions/sagegate",
                   tmp_path / "usr/bin/sagegate", *words).stdout.split()
    assert {"run", "check", "explain"} <= set(offered(""))
    assert offered("ru") == ["run"]
    assert {"--config", "--endpoint"} <= set(offered("run", "--"))


def test_unit_file_verifies(system):
    for unit in ("sagegate.service", "sagegate.socket"):
        told = system("systemd-analyze", "verify", "--man=no", f"/lib/systemd/system/{unit}", check=False)
        assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    system("systemd-analyze", "security", "--offline=true", "--threshold=15", "/lib/systemd/system/sagegate.service")
    assert system.property("ActiveState") == "inactive", "the administrator starts it"


# ---- the service ----

def test_start_waits_for_ready(system, endpoint, verdicts):
    configure(system, endpoint)
    system.unit("start")
    assert system.property("StatusText") == "serving"
    assert call(system, "one") == "one"
    assert verdicts() == ["ok"]
    status = system("cat", f"/proc/{system.property('MainPID')}/status").stdout
    held = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(held["Uid"].split()[0]) >= 61184, "a dynamic user"
    assert held["CapBnd"] == "0" * 16 and held["Seccomp"] == "2"
    lines = eventually(lambda: system("cat", "/var/log/sagegate/access.log").stdout.splitlines(), 10, "the access line")
    assert json.loads(lines[-1])["outcome"] == "ok"
    local = system("stat", "-c", "%a %F", "/run/sagegate/gateway.sock").stdout.strip()
    assert local == "666 socket"


def test_reload_changes_routes_and_keeps_connections(serving, endpoint, verdicts):
    system = serving
    before = system.property("MainPID")
    configure(system, endpoint, routes="{ name: all, match: { path: /y/* }, endpoint: echo }")
    system.unit("reload")
    eventually(lambda: "no_route" in call(system, "old"), 10, "the new routes count")
    assert call(system, "new", path="/y/z") == "new"
    assert verdicts()[-1] == "ok"
    assert (system.property("MainPID"), system.property("ActiveState")) == (before, "active")
    configure(system, endpoint, routes="{ nam: all }")
    assert system("systemctl", "reload", "sagegate", check=False).returncode != 0
    assert "nam: unknown key" in system("journalctl", "--unit", "sagegate", "--output", "cat").stdout
    assert call(system, "still", path="/y/z") == "still"
    assert system.property("MainPID") == before
    configure(system, endpoint)
    system.unit("reload")
    eventually(lambda: call(system, "again") == "again", 10, "the first routes are back")


def test_restarts_after_sigkill(serving):
    system = serving
    before = system.property("MainPID")
    system("systemctl", "kill", "--signal=KILL", "--kill-who=main", "sagegate")
    eventually(lambda: system.property("MainPID") not in ("0", before) and system.property("StatusText") == "serving",
               20, "another process serves")
    assert call(system, "two") == "two"


def test_watchdog_replaces_a_hung_process(serving):
    system = serving
    system("mkdir", "-p", "/run/systemd/system/sagegate.service.d")
    system("sh", "-c", "printf '[Service]\\nWatchdogSec=2s\\nTimeoutAbortSec=1s\\n' "
           ">/run/systemd/system/sagegate.service.d/quick.conf")
    system("systemctl", "daemon-reload")
    system.unit("restart")
    before = system.property("MainPID")
    system("sleep", "4")
    assert system.property("MainPID") == before, "it stays alive while it sends pings"
    system("systemctl", "kill", "--signal=STOP", "--kill-who=main", "sagegate")
    eventually(lambda: system.property("MainPID") not in ("0", before) and system.property("StatusText") == "serving",
               20, "another process serves")
    assert call(system, "three") == "three"


def test_credentials_by_load_credential(system, endpoint, verdicts):
    configure(system, endpoint,
              '{ source: static, file: "${env.CREDENTIALS_DIRECTORY}/sagegate.aws" }')
    system.write("/etc/sagegate/environment", "AWS_REGION=us-east-1\n", 0o600)
    system.write("/etc/credstore/sagegate.aws", json.dumps({
        "Version": 1, "AccessKeyId": KEYS["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": KEYS["AWS_SECRET_ACCESS_KEY"]}), 0o600)
    system.unit("restart")
    assert call(system, "four") == "four"
    assert verdicts() == ["ok"]


def test_socket_activation(serving):
    system = serving
    system.unit("stop")
    system.unit("start", "sagegate.socket")
    assert system.property("ActiveState") == "inactive"
    assert call(system, "five") == "five", "the request started it"
    system.unit("restart")
    assert call(system, "six") == "six"
    system.unit("stop", "sagegate.socket")


def test_stop_is_clean(serving):
    system = serving
    system.unit("stop")
    assert (system.property("Result"), system.property("ExecMainStatus")) == ("success", "0")
    assert '"message":"done"' in system("journalctl", "--unit", "sagegate", "--output", "cat").stdout


def test_purge_removes_everything(serving):
    system = serving
    system("dpkg", "--purge", "sagegate")
    assert system("systemctl", "is-active", "sagegate", check=False).stdout.strip() != "active"
    for name in ("/usr/bin/sagegate", "/lib/systemd/system/sagegate.service", "/usr/share/doc/sagegate",
                 "/var/log/sagegate", "/var/log/private/sagegate"):
        assert not pathlib.Path(f"{system.root}{name}").exists()
    assert not system("find", "/etc/systemd", "-name", "*sagegate*").stdout
