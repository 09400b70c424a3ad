"""Cross-built for arm64: unit tests and signatures under qemu, and the image from the Dockerfile."""

import json
import os
import shutil

import pytest

from tests.deploy.machine import BINARY, debian_for_arm64, from_debian, in_memory, run

pytestmark = pytest.mark.timeout(900)

# Fortified code warns of results that a test may ignore.
BUILD = """
set -e
cd /src
cmake --preset release-arm64 -DSAGEGATE_TESTS=ON '-DCMAKE_C_FLAGS_RELEASE=-O2 -Wno-error=unused-result' \\
    -DCMAKE_CROSSCOMPILING_EMULATOR=/usr/bin/qemu-aarch64-static
cmake --build --preset release-arm64
"""


@pytest.fixture(scope="module")
def root(context, tmp_path_factory):
    """A Debian with the cross compiler, and the program built in it."""
    with in_memory(tmp_path_factory.mktemp("arm64") / "root") as root:
        run("tar", "-C", root, "-xf", debian_for_arm64())
        shutil.copy(from_debian("qemu-user-static") / "usr/bin/qemu-aarch64-static", root / "usr/bin")
        shutil.copytree(context, root / "src")
        run("chroot", root, "bash", "-c", BUILD, timeout=400)
        yield root


def inside(root, *command, env=None, **more):
    return run("chroot", root, *command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(env or {})}, **more)


def test_unit_tests_pass(root):
    told = inside(root, "ctest", "--test-dir", "/src/build/release-arm64", "-j", os.cpu_count(), "--output-on-failure", timeout=300).stdout
    assert "100% tests passed" in told


def test_signatures_match_amd64(root):
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
    for token in ({}, {"AWS_SESSION_TOKEN": "token/+="}):
        for path in ("/", "/endpoints/a/invocations", "/a%20b/%C3%BC", "/a//b/../c", "/x?b=2&a=1&a=%20&c"):
            for headers in ([], ["Content-Type: application/json"], ["X-A:  two   blanks ", "X-B: 1"]):
                request = ["sign", "--method", "POST", "--url", f"https://example.amazonaws.com{path}", "--region",
                           "us-east-1", "--service", "sagemaker", "--time", "20150830T123600Z",
                           *(part for header in headers for part in ("--header", header))]
                here = run(BINARY, *request, env={**keys, **token}).stdout
                there = inside(root, "qemu-aarch64-static", "/src/build/release-arm64/sagegate", *request, env={**keys, **token}).stdout
                assert json.loads(here)["signature"] and here == there, request


def test_image_is_cross_built_from_the_same_dockerfile(corner, build, context, root, tmp_path):
    # The base already has what the build needs, so nothing is downloaded twice.
    base = "localhost/debian-for-arm64"
    path = "ENV=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    corner.outside("podman", "import", "--quiet", "--change", path, debian_for_arm64(), base)
    told = build(context, "localhost/sagegate:arm64", "--platform", "linux/arm64",
                 "--build-arg", "BUILDPLATFORM=linux/amd64", "--from", base)
    assert (told["Architecture"], told["Size"] < 12_000_000) == ("arm64", True)
    for layer in corner.layers_of("localhost/sagegate:arm64", tmp_path):
        layer.extractall(root / "image")
    told = inside(root, "qemu-aarch64-static", "-L", "/image", "/image/usr/bin/sagegate", "version").stdout
    assert told.startswith("sagegate ")
    names = {p["name"] for p in json.loads((root / "image/usr/share/sbom/sagegate.spdx.json").read_text())["packages"]}
    assert {"libc6", "libssl3"} <= names
