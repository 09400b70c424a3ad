"""The folders of proxy/ stand in an order; a file includes only its own folder and those below it."""

import pathlib
import re

import pytest

PROXY = pathlib.Path(__file__).resolve().parents[2] / "proxy"
ORDER = ["base", "aws", "config", "net", "credentials", "observe", "gateway"]

# Bytes in, bytes out: nothing of these does I/O, or starts a thread.
PURE = re.compile(r"^(base/(?!check|clock|problem|secret)|aws/|net/http1)")
IO_HEADERS = re.compile(r"^(sys/(socket|epoll|un|time|stat|uio|wait)\.h|unistd\.h|fcntl\.h|netdb\.h|poll\.h|pthread\.h|"
                        r"netinet/.*|openssl/ssl\.h)$")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def sources():
    return sorted(path for path in PROXY.rglob("*") if path.suffix in (".c", ".h", ".def"))


def includes(path):
    """The quoted and the angled includes of a file."""
    found = INCLUDE.findall(path.read_text())
    return [quoted for quoted, _ in found if quoted], [angled for _, angled in found if angled]


def folder_of(name):
    return name.split("/")[0] if "/" in name else None


def complaints(name, quoted, angled):
    """What is wrong with the includes of the file `name`, a path below proxy/."""
    folder = folder_of(name)
    if folder and folder not in ORDER:
        yield f"the folder {folder}/ is not one of the design's: {', '.join(ORDER)}"
        return
    for include in quoted:
        target = folder_of(include)
        if target is None and folder is not None:
            yield f'"{include}": an include says its folder'
        elif target is not None and target not in ORDER:
            yield f'"{include}": no such folder'
        elif folder and ORDER.index(target) > ORDER.index(folder):
            yield f'"{include}": {target}/ stands above {folder}/'
        elif name.startswith("net/http1") and not re.match(r"base/|net/http1", include):
            yield f'"{include}": HTTP/1 framing knows only base/'
    for include in angled:
        if re.match(r"h2o(/|\.h)", include) and (
                folder not in ("net", "gateway") or name.startswith("net/http1")):
            yield f"<{include}>: only net/ (but http1) and gateway/ see libh2o"
        if PURE.match(name) and IO_HEADERS.match(include):
            yield f"<{include}>: this part does no I/O"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PROXY)))
def test_a_file_includes_only_what_stands_below_it(path):
    assert list(complaints(str(path.relative_to(PROXY)), *includes(path))) == []


@pytest.mark.parametrize("name, include, angled", [
    ("base/span.c", "aws/sigv4.h", False),
    ("aws/sigv4.c", "config/config.h", False),
    ("config/load.c", "gateway/route.h", False),
    ("net/client.c", "credentials/keeper.h", False),
    ("net/http1.c", "net/tls.h", False),
    ("net/http1_chunked.c", "h2o.h", True),
    ("credentials/keeper.c", "h2o/socket.h", True),
    ("aws/sigv4.c", "sys/socket.h", True),
    ("gateway/exchange.c", "route.h", False),
    ("misc/util.c", "base/span.h", False),
])
def test_the_check_finds_a_wrong_include(name, include, angled):
    assert list(complaints(name, [] if angled else [include], [include] if angled else []))


@pytest.mark.parametrize("name, include, angled", [
    ("base/buffer.c", "base/span.h", False),
    ("gateway/exchange.c", "base/span.h", False),
    ("gateway/exchange.c", "h2o.h", True),
    ("net/socket.c", "h2o.h", True),
    ("net/http1_head.c", "net/http1.h", False),
    ("main.c", "gateway/server.h", False),
    ("main.c", "commands.h", False),
])
def test_the_check_lets_a_right_include_pass(name, include, angled):
    assert not list(complaints(name, [] if angled else [include], [include] if angled else []))
