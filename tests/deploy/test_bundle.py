"""The archive and the RPM, in a root with busybox and no libraries."""

import json
import shutil
import signal
import subprocess

import pytest

from tests.deploy.conftest import ENDPOINT_PORT, KEYS
from tests.deploy.machine import BINARY, ROOT, eventually, from_debian, run

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    run(ROOT / "deploy/bundle", BINARY, folder)
    return folder


@pytest.fixture
def bare(tmp_path):
    """A root with a shell and no libraries."""
    root = tmp_path / "root"
    for folder in ("bin", "tmp", "etc", "dev", "proc", "var/lib/rpm", "run"):
        (root / folder).mkdir(parents=True)
    shutil.copy(from_debian("busybox-static") / "bin/busybox", root / "bin")
    for name in ("sh", "tar", "gzip", "readlink", "rm", "ls"):
        (root / "bin" / name).symlink_to("busybox")
    assert not list(root.rglob("*.so*"))
    yield root
    shutil.rmtree(root, ignore_errors=True)


def the(bundle, suffix):
    (found,) = bundle.glob(f"*{suffix}")
    return found


def signed_call(corner, endpoint, root, program):
    """Returns the response to a request through the program in that root, and how the program ended."""
    shutil.copy(endpoint / "ca.pem", root / "etc/ca.pem")
    (root / "etc/sagegate.yaml").write_text(
        f'listen: [{{ address: 127.0.0.1:8090 }}]\nupstream: {{ endpoint_url: "https://127.0.0.1:{ENDPOINT_PORT}", '
        'ca_file: /etc/ca.pem }\nroutes: [{ name: all, match: { path: /* }, endpoint: echo }]\n')
    environment = [f"{name}={value}" for name, value in {**KEYS, "PATH": "/bin:/usr/bin"}.items()]
    process = corner.start("env", "-i", *environment, "/usr/sbin/chroot", root, program, "run", "-c",
                           "/etc/sagegate.yaml", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        response = eventually(lambda: corner.run(
            "curl", "-sf", "--noproxy", "*", "http://127.0.0.1:8090/x", "-H", "Content-Type: text/plain",
            "-d", "carried along", check=False).stdout, 20, "a response")
    finally:
        corner.signal(process, signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    return response, json.loads(out.splitlines()[-1])["outcome"], process.returncode


def test_archive_runs_from_any_directory(bundle, bare, corner, endpoint, verdicts):
    shutil.copy(the(bundle, ".tar.gz"), bare / "tmp/sagegate.tar.gz")
    run("chroot", bare, "/bin/tar", "-C", "/tmp", "-xzf", "/tmp/sagegate.tar.gz")
    assert run("chroot", bare, "/tmp/sagegate/bin/sagegate", "version").stdout.startswith("sagegate ")
    assert signed_call(corner, endpoint, bare, "/tmp/sagegate/bin/sagegate") == ("carried along", "ok", 0)
    assert verdicts()[-1] == "ok"


def test_rpm_installs_runs_and_uninstalls(bundle, bare, corner, endpoint):
    def rpm(*command):
        return run("rpm", "--root", bare, *command)
    rpm("--install", "--nodeps", the(bundle, ".rpm"))
    assert (bare / "usr/lib/systemd/system/sagegate.service").read_text().count("/opt/sagegate/bin/sagegate run")
    assert signed_call(corner, endpoint, bare, "/usr/bin/sagegate") == ("carried along", "ok", 0)
    with open(bare / "etc/sagegate/sagegate.yaml", "a") as file:
        file.write("# mine\n")
    rpm("--erase", "sagegate")
    assert not (bare / "opt/sagegate").exists() and not (bare / "usr/bin/sagegate").is_symlink()
    assert list((bare / "etc/sagegate").iterdir()), "the administrator's changes are kept"


def test_bundle_is_self_contained(bundle):
    told = run("rpm", "--query", "--requires", "--package", the(bundle, ".rpm")).stdout
    assert {line for line in told.splitlines() if not line.startswith("rpmlib(")} == {"/bin/sh", "ca-certificates"}
    assert the(bundle, ".tar.gz").stat().st_size < 6_000_000


def test_build_is_reproducible(bundle, tmp_path):
    run(ROOT / "deploy/bundle", BINARY, tmp_path)
    assert the(tmp_path, ".tar.gz").read_bytes() == the(bundle, ".tar.gz").read_bytes()
