"""The image: its contents, reproducible builds, and a hardened container."""

import json
import signal

import pytest

from tests.deploy.conftest import ENDPOINT_PORT, KEYS
from tests.deploy.machine import ROOT, eventually

HARDENED = ("--network", "host", "--read-only", "--cap-drop=all", "--security-opt", "no-new-privileges",
            "--memory", "64m", "--memory-swap", "64m", "--pids-limit", "32")
SECCOMP = ROOT / "deploy/docker/seccomp.json"
CONFIG = f"""
listen: [{{ address: 127.0.0.1:8080 }}]
health: {{ address: 127.0.0.1:9901 }}
upstream: {{ endpoint_url: "https://127.0.0.1:{ENDPOINT_PORT}", ca_file: /etc/sagegate/ca.pem }}
limits: {{ body_bytes: 24MiB, connections: 256 }}
routes:
  - name: slow
    match: {{ path: /slow }}
    endpoint: echo
    parameters: {{ custom_attributes: {{ value: "x-fault=delay_ms:2000" }} }}
  - {{ name: all, match: {{ path: /* }}, endpoint: echo }}
"""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def files(corner, image, tmp_path_factory):
    """The image's files by name: tar entry and bytes."""
    found = {}
    for layer in corner.layers_of("localhost/sagegate:0.1.0", tmp_path_factory.mktemp("image")):
        for member in layer:
            found[member.name] = member, layer.extractfile(member).read() if member.isfile() else b""
    return found


def text_of(files, name):
    return files[name][1].decode()


# ---- contents ----

def test_image_size_and_labels(image):
    assert image["Size"] < 12 * 1000 * 1000
    config = image["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/usr/bin/sagegate"]
    assert config["Labels"]["org.opencontainers.image.title"] == "sagegate"
    assert config["Labels"]["org.opencontainers.image.revision"] == "tested"
    check = image.get("Healthcheck") or image.get("HealthCheck") or config["Healthcheck"]
    assert check["Test"][:3] == ["CMD", "/usr/bin/sagegate", "probe"]


def test_image_has_no_other_program(files):
    programs = [name for name, (member, _) in files.items()
                if member.isfile() and member.mode & 0o111 and not name.startswith("lib64/ld-")]
    assert programs == ["usr/bin/sagegate"]
    assert not [name for name, (member, _) in files.items() if member.mode & 0o6000]
    assert "etc/ssl/certs/ca-certificates.crt" in files and "usr/share/doc/sagegate/copyright" in files


def test_scanners_find_every_package(files):
    document = json.loads(text_of(files, "usr/share/sbom/sagegate.spdx.json"))
    told = {package["name"]: package for package in document["packages"]}
    assert {"sagegate", "libc6", "libssl3", "libh2o-evloop0.13"} <= set(told)
    status = {name.rpartition("/")[2] for name, (member, _) in files.items()
              if name.startswith("var/lib/dpkg/status.d/") and member.isfile()}
    assert status == set(told) - {"sagegate"}
    assert f"Version: {told['libssl3']['versionInfo']}\n" in text_of(files, "var/lib/dpkg/status.d/libssl3")
    for package in status:
        assert f"usr/share/doc/{package}/copyright" in files


def test_build_is_reproducible(build, context, image):
    # A file that is not in the image: everything after the packages is built again.
    (context / "conf/unrelated.yaml").write_text("# nothing\n")
    again = build(context, "localhost/sagegate:again")
    assert again["Digest"] == image["Digest"]
    assert again["Id"] == image["Id"]


# ---- hardened ----

@pytest.fixture
def configured(endpoint, tmp_path):
    (tmp_path / "sagegate.yaml").write_text(CONFIG)
    (tmp_path / "ca.pem").write_bytes((endpoint / "ca.pem").read_bytes())
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def container(corner, image):
    """container(folder, option...): runs the image with this configuration, hardened, as `tested`."""
    def start(folder, *options, ready=True):
        environment = [f"--env={name}={value}" for name, value in KEYS.items()]
        corner.podman("run", "--detach", "--name", "tested", *HARDENED, *environment, *options,
                      "--volume", f"{folder}:/etc/sagegate:ro", "localhost/sagegate:0.1.0")
        if ready:
            eventually(lambda: corner.podman("exec", "tested", "/usr/bin/sagegate", "probe",
                                             "127.0.0.1:9901/ready", check=False).returncode == 0,
                       20, "the container is ready")
    yield start
    corner.podman("rm", "--force", "--time", "0", "tested", check=False)


def state(corner):
    (told,) = json.loads(corner.podman("container", "inspect", "tested").stdout)
    return told["State"]


def call(corner, body, path="/x", timeout=20):
    return corner.run("curl", "-sS", "--noproxy", "*", "--max-time", timeout, f"http://127.0.0.1:8080{path}",
                      "-H", "Content-Type: text/plain", "-d", body).stdout


def test_hardened_container_signs_and_stops_cleanly(corner, container, configured, verdicts):
    container(configured, "--security-opt", f"seccomp={SECCOMP}")
    assert call(corner, "across") == "across"
    assert verdicts() == ["ok"]
    corner.podman("healthcheck", "run", "tested")
    status = corner.run("cat", f"/proc/{state(corner)['Pid']}/status").stdout
    held = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert held["Uid"].split() == ["65532"] * 4
    assert held["CapEff"] == held["CapBnd"] == "0" * 16
    assert (held["NoNewPrivs"], held["Seccomp"]) == ("1", "2")
    corner.podman("kill", "--signal", "TERM", "tested")
    assert corner.podman("wait", "tested", timeout=30).stdout.strip() == "0"
    lines = corner.podman("logs", "tested").stdout
    assert json.loads(lines.splitlines()[0])["outcome"] == "ok"


def test_sigterm_finishes_requests_in_flight(corner, container, configured):
    container(configured)
    caller = corner.start("curl", "-sS", "--noproxy", "*", "-w", "%{http_code}", "-o", "/dev/null",
                          "http://127.0.0.1:8080/slow", "-d", "last words", stdout=-1, text=True)
    try:
        eventually(lambda: "8080" in corner.run("ss", "-Htn", "state", "established", "sport", "=", "8080").stdout)
        corner.podman("kill", "--signal", "TERM", "tested")
        assert corner.podman("wait", "tested", timeout=30).stdout.strip() == "0"
        assert caller.communicate(timeout=10)[0] == "200"
    finally:
        caller.kill()


def post_many(corner, folder):
    """Thirty concurrent clients with 4 MB each; returns the response statuses."""
    (folder / "body").write_bytes(b"x" * 4_000_000)
    script = ("for i in $(seq 30); do curl -s --noproxy '*' --max-time 20 -o /dev/null -w '%{http_code}\\n' "
              f"http://127.0.0.1:8080/slow --data-binary @{folder}/body & done; wait")
    return corner.run("bash", "-c", script, timeout=120).stdout.split()


def test_bodies_over_limit_are_rejected_within_64_mb(corner, container, configured):
    container(configured)
    statuses = post_many(corner, configured)
    assert "503" in statuses and "200" in statuses, statuses
    assert state(corner)["Status"] == "running"
    assert call(corner, "alive") == "alive"


def test_without_the_limit_64_mb_are_exceeded(corner, container, configured):
    (configured / "sagegate.yaml").write_text(CONFIG.replace("24MiB", "1GiB"))
    container(configured)
    post_many(corner, configured)
    assert corner.podman("wait", "tested", timeout=30).stdout.strip() == str(128 + signal.SIGKILL)


def test_seccomp_profile_is_active(corner, container, configured):
    profile = json.loads(SECCOMP.read_text())
    for group in profile["syscalls"]:
        group["names"] = [name for name in group["names"] if name != "listen"]
    (configured / "without-listen.json").write_text(json.dumps(profile))
    container(configured, "--security-opt", f"seccomp={configured}/without-listen.json", ready=False)
    assert corner.podman("wait", "tested", timeout=30).stdout.strip() == "1"
    assert "cannot listen: Operation not permitted" in corner.podman("logs", "tested").stderr


def test_built_in_configuration_needs_only_an_endpoint_name(corner, image):
    told = corner.podman("run", "--rm", "--network", "none", "--env", "SAGEGATE_ENDPOINT=fraud-prod",
                         "--env", "AWS_REGION=us-east-1", "localhost/sagegate:0.1.0",
                         "explain", "-c", "/etc/sagegate/sagegate.yaml", "POST", "/anything").stdout
    assert "fraud-prod" in told
