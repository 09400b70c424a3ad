"""Cross-built for arm64: the unit tests and signatures under qemu's emulation, and what an image would hold."""

import json
import os
import pathlib
import shutil
import tempfile

import pytest

from tests.deploy.machine import BINARY, debian_root, run

pytestmark = pytest.mark.timeout(900)

LIBRARIES = ("libc6-dev", "libh2o-evloop-dev", "libssl-dev", "libyaml-dev", "libjansson-dev", "libexpat1-dev",
             "libseccomp-dev", "zlib1g-dev", "libcmocka-dev")
TOOLS = ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "gcc", "libc6-dev", "cmake", "ninja-build", "pkg-config",
         "qemu-user-static")
# Fortified code warns of results that a test may ignore.
BUILD = """
set -e
export PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
cmake -G Ninja -S /src -B /build -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \\
    -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CROSSCOMPILING_EMULATOR=/usr/bin/qemu-aarch64-static \\
    -DCMAKE_BUILD_TYPE=Release '-DCMAKE_C_FLAGS_RELEASE=-O2 -Wno-error=unused-result' \\
    -DSAGEGATE_TESTS=ON
cmake --build /build
"""


@pytest.fixture(scope="module")
def root(context):
    """A Debian with the cross compiler, and the program built in it at /build."""
    memory = pathlib.Path("/dev/shm")  # a gigabyte of small files, soon gone again
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 1024**3
    root = pathlib.Path(tempfile.mkdtemp(prefix="sagegate-arm64-", dir=memory if roomy else None))
    packages = [*TOOLS, *(f"{name}:arm64" for name in LIBRARIES)]
    try:
        run("tar", "-C", root, "-xf", debian_root("debian-arm64", *packages, architectures="amd64,arm64"))
        shutil.copytree(context, root / "src")
        run("chroot", root, "bash", "-c", BUILD, timeout=400)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def inside(root, *command, env=None, **more):
    return run("chroot", root, *command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(env or {})}, **more)


def test_the_unit_tests_pass(root):
    told = inside(root, "ctest", "--test-dir", "/build", "-j", os.cpu_count(), "--output-on-failure", timeout=300).stdout
    assert "100% tests passed" in told


def test_signatures_are_those_of_amd64(root):
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
    for token in ({}, {"AWS_SESSION_TOKEN": "token/+="}):
        for path in ("/", "/endpoints/a/invocations", "/a%20b/%C3%BC", "/a//b/../c", "/x?b=2&a=1&a=%20&c"):
            for headers in ([], ["Content-Type: application/json"], ["X-A:  two   blanks ", "X-B: 1"]):
                request = ["sign", "--method", "POST", "--url", f"https://example.amazonaws.com{path}", "--region",
                           "us-east-1", "--service", "sagemaker", "--time", "20150830T123600Z",
                           *(part for header in headers for part in ("--header", header))]
                here = run(BINARY, *request, env={**keys, **token}).stdout
                there = inside(root, "qemu-aarch64-static", "/build/sagegate", *request, env={**keys, **token}).stdout
                assert json.loads(here)["signature"] and here == there, request


def test_an_image_would_be_small_and_run(root):
    run("unshare", "--mount", "--propagation", "private", "bash", "-c",
        'mount -t proc proc "$0/proc"; ln -sfn /proc/self/fd "$0/dev/fd"; '
        'exec chroot "$0" /src/deploy/collect /build/sagegate /image', root, timeout=120)
    size = sum(file.stat().st_size for file in (root / "image").rglob("*") if file.is_file())
    assert size < 12_000_000
    told = inside(root, "qemu-aarch64-static", "-L", "/image", "/image/usr/bin/sagegate", "version").stdout
    assert told.startswith("sagegate ")
    names = {p["name"] for p in json.loads((root / "image/usr/share/sbom/sagegate.spdx.json").read_text())["packages"]}
    assert {"libc6", "libssl3"} <= names
