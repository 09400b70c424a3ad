"""Fixtures: the local endpoint, and gateways in front of it.

Tests of a module share `endpoint` and `gateway`, which are checked after each test: access lines and requests left over
are discarded, and an unexpected warning fails the test that caused it.
"""

import fcntl
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]

import leaks  # noqa: E402
import lib  # noqa: E402
import sources  # noqa: E402
import standins  # noqa: E402
from tests.endpoint import Endpoint  # noqa: E402

Endpoint.witness = staticmethod(lambda seen: leaks.learn_request(seen.headers))

HEAD = """
listen: [{{ address: "@LISTEN@" }}]
admin: {{ address: "@ADMIN@" }}
health: {{ address: "@HEALTH@" }}
region: us-east-1
credentials: {{ source: env }}
upstream: {{ endpoint_url: "{url}", ca_file: "{ca}" }}
"""


def pytest_collection_modifyitems(items):
    """Without the program, only the endpoint itself can be tested."""
    for item in items:
        if not lib.BINARY.exists() and item.path.parent == HERE and item.path.name != "test_endpoint.py":
            item.add_marker(pytest.mark.skip(reason=f"{lib.BINARY} is not built"))


@pytest.fixture(scope="module", autouse=True)
def _secrets():
    """Secrets of one module; its gateways have ended by then."""
    leaks.forget()
    yield
    leaks.forget()


@pytest.fixture(scope="session")
def ca_file(tmp_path_factory):
    return Endpoint().ca_file(tmp_path_factory.mktemp("ca") / "ca.pem")


@pytest.fixture(scope="module")
def _endpoint():
    with Endpoint(tls=True) as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(_endpoint):
    """The local SageMaker over TLS. After the test: every request was signed and had no unexpected header, unless the
    test sets `endpoint.strict = False`."""
    _endpoint.clear()
    _endpoint.strict = True
    _endpoint.clock_skew_s = 0
    yield _endpoint
    if _endpoint.strict:
        for seen in _endpoint.requests:
            assert seen.verdict in ("ok", ""), (seen.verdict, seen.reason)
            assert not seen.unexpected and not seen.unsigned, (seen.unexpected, seen.unsigned)


@pytest.fixture(scope="module")
def _gateway(_endpoint, ca_file, tmp_path_factory, request):
    """The module's gateway. A module may set its own CONFIG (everything after the head), ENV, and EXPECTED_WARNINGS
    (see Gateway.allow_warnings)."""
    text = HEAD.format(url=_endpoint.url, ca=ca_file) + getattr(request.module, "CONFIG", lib.ROUTES)
    with lib.Gateway(tmp_path_factory.mktemp("gateway"), text, env=getattr(request.module, "ENV", None)) as gateway:
        yield gateway


@pytest.fixture
def gateway(_gateway, endpoint, request):
    # Access lines are written after the responses: once this one appears, so have those of earlier tests.
    _gateway.line(request_id=_gateway.call("/-/before-the-test").header("X-Request-Id"))
    _gateway.forget()
    _gateway.allow_warnings(*getattr(request.module, "EXPECTED_WARNINGS", ()))
    endpoint.clear()
    yield _gateway
    _gateway.check_alive()
    assert _gateway.process.poll() is None, _gateway.output()
    _gateway.check_quiet()
    _gateway.check_secrets()


@pytest.fixture
def start_gateway(endpoint, ca_file, tmp_path):
    """start_gateway(config, ...): a gateway for one test, stopped after it. The head precedes the text unless
    `head=False`; `url` and `ca` override its upstream."""
    started = []

    def start(config=lib.ROUTES, head=True, url=None, ca=None, wait=True, **more):
        directory = tmp_path / f"gateway-{len(started)}"
        directory.mkdir()
        if head and config is not None:
            config = HEAD.format(url=url or endpoint.url, ca=ca or ca_file) + config
        gateway = lib.Gateway(directory, config, **more).start(wait)
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture
def keys(endpoint):
    known, endpoint.keys = endpoint.keys, standins.LivingKeys(endpoint.keys)
    yield endpoint.keys
    endpoint.keys = known


@pytest.fixture
def standin(keys):
    with standins.StandIn(keys) as standin:
        yield standin


@pytest.fixture
def start(start_gateway, endpoint, ca_file, tmp_path):
    """start(more, env=()): a gateway with only the keys that `more` and the environment provide."""
    def start(more, env=(), **others):
        text = sources.HEAD.format(url=endpoint.url, ca=ca_file, more=more) + sources.ROUTES
        gateway = start_gateway(text, head=False, env={**sources.NO_KEYS, "HOME": str(tmp_path), **dict(env)}, **others)
        gateway.allow_warnings(sources.TROUBLE)
        return gateway
    return start


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """shim.c, for LD_PRELOAD."""
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, HERE / "shim.c", "-ldl"], check=True, timeout=60)
    return library


@pytest.fixture(scope="session")
def npm():
    """The directory with the JavaScript packages of package-lock.json, installed once in build/npm, and the scripts of
    clients/, which find the packages there."""
    target = ROOT / "build/npm"
    target.mkdir(parents=True, exist_ok=True)
    stamp, files = target / "installed", [HERE / "package.json", HERE / "package-lock.json"]
    wanted = "".join(file.read_text() for file in files)
    with open(target / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not stamp.exists() or stamp.read_text() != wanted:
            stamp.unlink(missing_ok=True)
            for file in files:
                shutil.copy(file, target)
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=target, check=True, timeout=300)
            stamp.write_text(wanted)
        for script in (HERE / "clients").glob("*.mjs"):
            shutil.copy(script, target / "new")
            (target / "new").rename(target / script.name)  # atomic: another process may be reading it
    return target
