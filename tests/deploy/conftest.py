"""Made once for the tests in tests/deploy: the image and the environment that it runs in."""

import contextlib
import json
import os
import shutil
import threading

import pytest

from tests.deploy.machine import (KEPT, ROOT, Corner, debian, debian_for_arm64, debian_with_systemd, docker_compose,
                                  eventually, helm, in_memory, run, tools)

ENDPOINT_PORT = 18443
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_REGION": "us-east-1",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}


# Order in which the modules run: first those that need nothing, while downloads for the others
# are running.
ORDER = ("service_manager", "quickstart", "kubernetes", "helm", "bundle", "image", "compose_and_ecs",
         "pods", "systemd", "arm64")
FETCHED = {"kubernetes": [tools], "helm": [tools, helm], "image": [debian], "compose_and_ecs": [debian, docker_compose],
           "pods": [tools, debian], "systemd": [debian_with_systemd], "arm64": [debian_for_arm64]}


def pytest_collection_modifyitems(items):
    def place(item):
        name = item.path.stem.removeprefix("test_")
        return ORDER.index(name) if name in ORDER else -1
    items.sort(key=place)


def pytest_collection_finish(session):
    """Starts a thread that downloads what the selected tests need."""
    wanted = {item.path.stem.removeprefix("test_"): None for item in session.items}
    makers = dict.fromkeys(maker for name in wanted for maker in FETCHED.get(name, []))

    def fetch():
        for maker in makers:
            with contextlib.suppress(Exception):  # the test that needs it tries again and reports the error
                maker()
    if makers and not session.config.option.collectonly:
        threading.Thread(target=fetch, daemon=True).start()


@pytest.fixture(scope="session")
def corner(tmp_path_factory):
    storage = KEPT / "containers"
    with in_memory(storage) if "DEPLOY_KEEP_LAYERS" not in os.environ else contextlib.nullcontext(), \
            Corner(tmp_path_factory.mktemp("corner"), storage) as corner:
        yield corner


@pytest.fixture(scope="session")
def build(corner, tmp_path_factory):
    """build(context, tag, option...): builds a source tree's image with the Dockerfile; in the machine's own network,
    for apt-get."""
    path = "ENV=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    corner.outside("podman", "import", "--quiet", "--change", path, debian(),
                   "docker.io/library/debian:bookworm-slim")

    def build(context, tag, *options):
        corner.outside(
            "buildah", "build", "--isolation", "chroot", "--network", "host", "--pull=never", "--layers",
            "--format", "docker", "--timestamp", "0", "--build-arg", "BUILD=tested", "-t", tag, *options,
            "-f", context / "deploy/docker/Dockerfile", context, timeout=600)
        (told,) = json.loads(corner.outside("podman", "image", "inspect", tag).stdout)
        return told
    return build


@pytest.fixture(scope="session")
def context(tmp_path_factory):
    """The repository's files, without files that may be changing meanwhile."""
    copy = tmp_path_factory.mktemp("context") / "sagegate"
    copy.mkdir()
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout.splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="session")
def image(build, context):
    """Podman's description of the image sagegate:0.1.0."""
    return build(context, "localhost/sagegate:0.1.0")


@pytest.fixture(scope="session")
def endpoint(corner, tmp_path_factory):
    """The local SageMaker endpoint over TLS, in the environment; its folder has ca.pem and log."""
    folder = tmp_path_factory.mktemp("endpoint")
    process = corner.start(
        "env", f"PYTHONPATH={ROOT}", "/usr/bin/python3", "-m", "tests.endpoint", "--listen", f"127.0.0.1:{ENDPOINT_PORT}", "--tls",
        "--ca-out", folder / "ca.pem", "--ready-file", folder / "url", "--log", folder / "log")
    eventually(lambda: (folder / "url").exists(), 30, "the endpoint listens")
    folder.chmod(0o755)
    yield folder
    process.terminate()
    process.wait()


@pytest.fixture
def verdicts(endpoint):
    """verdicts(): the endpoint's verdict on each signature since the test began."""
    begun = len((endpoint / "log").read_text().splitlines())

    def verdicts():
        return [json.loads(line)["verdict"] for line in (endpoint / "log").read_text().splitlines()[begun:]]
    return verdicts
