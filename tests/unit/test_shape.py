"""Checks the structure of proxy/, which no compiler does: folders in layers, no cycle of files inside a folder, every
global name with its file's prefix; banned calls, and a first sentence in each file.

`python3 tests/unit/test_shape.py [FOLDER]` lists all violations."""

import collections
import functools
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROXY = ROOT / "proxy"
OBJECTS = ROOT / "build/dev/CMakeFiles"

# Low to high: a folder includes and calls only earlier ones; "" is the program's top level.
ORDER = ["base", "aws", "config", "net", "credentials", "callers", "observe", "gateway", ""]

# Names used like words of the language.
KEYWORDS = {"base/check.h MUST_USE", "base/clock.h mono_time", "base/clock.h wall_time"}

# These do no I/O and start no thread.
PURE = re.compile(r"^(base/(?!check|clock|problem|secret)|aws/|net/http1)")
IO_HEADERS = re.compile(r"^(sys/(socket|epoll|un|time|stat|uio|wait)\.h|unistd\.h|fcntl\.h|netdb\.h|poll\.h|pthread\.h|"
                        r"netinet/.*|openssl/ssl\.h)$")

# A banned function, and what to use instead.
BANNED = {
    "strcpy": "struct buffer", "strcat": "struct buffer", "strncpy": "struct buffer", "strncat": "struct buffer",
    "sprintf": "snprintf or struct buffer", "vsprintf": "vsnprintf",
    "gets": "a bounded read", "strtok": "span functions", "strtok_r": "span functions",
    "atoi": "span_parse_u64", "atol": "span_parse_u64", "atof": "a strict parser",
    "gmtime": "base/clock.h", "localtime": "base/clock.h", "ctime": "base/clock.h", "asctime": "base/clock.h",
    "system": "posix_spawn", "popen": "posix_spawn", "alloca": "a bounded array", "tmpnam": "mkstemp",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")

NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
UNDEF = re.compile(r"^[ \t]*#[ \t]*undef[ \t]+(\w+)", re.MULTILINE)
USE = re.compile(r"(?<![\w.])(?<!->)[A-Za-z_]\w*")


# ---- reading the sources ---------------------------------------------------------------------------

def blank(pattern, text):
    """Blanks out what the pattern finds and keeps the line numbers."""
    return pattern.sub(lambda found: "\n" * found.group().count("\n") or " ", text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def folder_of(name):
    return name.split("/")[0] if "/" in name else ""


def node_of(name):
    """foo.c, foo.h and foo.def of a folder are one node."""
    return name.rsplit(".", 1)[0]


def is_function(head):
    return head.endswith(")") and "=" not in head


def top_level(code):
    """Yields the top-level declarations of code without comments and directives: (head, body or None)."""
    depth, begin, head = 0, 0, None
    for brace in re.finditer(r"[{};]", code):
        if brace.group() == "{":
            if depth == 0:
                head = code[begin:brace.start()]
            depth += 1
        elif brace.group() == "}":
            depth -= 1
            # A function ends here; a struct or an initializer continues to its semicolon.
            if depth == 0 and is_function(head.rstrip()):
                yield head.strip(), code[begin + len(head):brace.end()]
                begin, head = brace.end(), None
        elif depth == 0:
            text = code[begin:brace.start()]
            yield (text.strip(), None) if head is None else (head.strip(), text[len(head):])
            begin, head = brace.end(), None


def definitions_of(code):
    """Returns the functions and objects that the code of a .c file defines: (name, whether it is static)."""
    for head, body in top_level(code):
        head = re.sub(r"__attribute__\s*\(\(.*?\)\)", " ", head, flags=re.DOTALL)
        if re.match(r"(typedef|extern|_Static_assert)\b", head):
            continue
        found = None
        if body is not None and is_function(head):
            found = re.search(r"(\w+)\s*\(", head)
        elif "(" not in head.split("=")[0] and not re.fullmatch(r"(struct|enum|union)\b\s*\w*", head):
            found = re.match(r"[^=]*?\b(\w+)\s*(?:\[[^=]*)?(?:=|$)", head)
        if found:
            yield found.group(1), bool(re.search(r"\bstatic\b", head))


def parts_that_use(name, code):
    """Returns the parts of a file that use the names in them: (first line, text). In headers: functions and macros."""
    if not name.endswith(".h"):
        yield 1, code
        return
    for found in DIRECTIVE.finditer(code):
        if DEFINE.match(found.group()):
            yield line_of(code, found.start()), found.group()
    code = blank(DIRECTIVE, code)
    for head, body in top_level(code):
        if body is not None and is_function(head):
            yield line_of(code, code.index(head)), head + body


def header_names(text, code):
    """Returns the types, enum constants and macros that a header defines; for pasted constants, their prefix."""
    undefined = set(UNDEF.findall(text))
    yield from (macro for macro in DEFINE.findall(text) if macro not in undefined)
    yield from re.findall(r"\b(\w+)##", text)
    yield from re.findall(r"\b(?:struct|enum|union)\s+(\w+)\s*\{", code)
    for declared in re.findall(r"\btypedef\b[^;{]*;", code):
        yield (re.search(r"\(\s*\*\s*(\w+)\s*\)", declared) or re.search(r"(\w+)\s*;", declared)).group(1)
    for body in re.findall(r"\benum\s*\w*\s*\{([^}]*)\}", code):
        yield from re.findall(r"(?:^|,)\s*([A-Za-z_]\w*)(?!\w|\s*\()", body)


class Tree:
    """The sources below proxy/, read once: file name -> text."""

    def __init__(self, texts):
        self.texts = texts
        self.code = {name: blank(NOT_CODE, text) for name, text in texts.items()}
        self.defined, self.owner, self.static = {}, {}, {}
        for name in texts:
            found = set(definitions_of(blank(DIRECTIVE, self.code[name]))) if name.endswith(".c") else set()
            self.defined[name] = sorted(symbol for symbol, static in found if not static)
            self.static[name] = {symbol for symbol, static in found if static}
            self.owner.update((symbol, name) for symbol in self.defined[name])

    def arrows_of(self, name):
        """Yields what the file depends on: (file name, line, reason)."""
        for include in INCLUDE.finditer(self.texts[name]):
            if include.group(1):
                yield include.group(1), line_of(self.texts[name], include.start(1)), f'includes "{include.group(1)}"'
        seen = set(self.static[name])
        for first, text in parts_that_use(name, self.code[name]):
            for use in USE.finditer(text):
                symbol = use.group()
                if symbol in self.owner and symbol not in seen and self.owner[symbol] != name:
                    seen.add(symbol)
                    yield self.owner[symbol], first - 1 + line_of(text, use.start()), f"uses {symbol}"

    @functools.cached_property
    def arrows(self):
        """(node, node) -> the first line of that dependency, headers first."""
        found = {}
        for name in sorted(self.texts, key=lambda name: (not name.endswith(".h"), name)):
            for target, line, why in self.arrows_of(name):
                if node_of(target) != node_of(name):
                    found.setdefault((node_of(name), node_of(target)), f"{name}:{line} {why}")
        return found

    def prefixes_of(self, name):
        """Returns the prefixes of a file's names. foo_bar.c may also define what foo.h declares."""
        folder, stem = folder_of(name), node_of(name).rsplit("/", 1)[-1]
        words = stem.split("_")
        headers = {node_of(other).rsplit("/", 1)[-1]
                   for other in self.texts if other.endswith(".h") and folder_of(other) == folder}
        headers |= {header.removesuffix("s") for header in headers}
        shorter = ["_".join(words[:count]) for count in range(1, len(words))]
        return {stem, stem.removesuffix("s")} | {prefix for prefix in shorter if prefix in headers}


@functools.cache
def tree():
    return Tree({str(path.relative_to(PROXY)): path.read_text()
                 for path in sorted(PROXY.rglob("*")) if path.suffix in (".c", ".h", ".def")})


# ---- folders ---------------------------------------------------------------------------------------

def upward_arrows(sources):
    """Finds includes and calls of higher folders, and of what a folder or a pure part must not use."""
    for name, text in sources.texts.items():
        folder = folder_of(name)
        if folder not in ORDER:
            yield f"proxy/{name}: no folder of the design; those are {' '.join(ORDER)}"
            continue
        for target, line, why in sources.arrows_of(name):
            above = folder_of(target)
            if why.startswith("inc") and "/" not in target and folder:
                yield f"proxy/{name}:{line} {why}: an include names its folder"
            elif above not in ORDER:
                yield f"proxy/{name}:{line} {why}: no such folder"
            elif ORDER.index(above) > ORDER.index(folder):
                yield f"proxy/{name}:{line} {why}: {above or 'proxy'}/ is above {folder}/"
            elif name.startswith("net/http1") and not re.match(r"base/|net/http1", target):
                yield f"proxy/{name}:{line} {why}: HTTP/1 framing uses base/ alone"
        for _, include in INCLUDE.findall(text):
            if re.match(r"h2o(/|\.h)", include) and not name.startswith("net/loop."):
                yield f"proxy/{name} includes <{include}>: only net/loop.[ch] see libh2o"
            if PURE.match(name) and IO_HEADERS.match(include):
                yield f"proxy/{name} includes <{include}>: this part does no I/O"


def test_folders_use_only_lower_folders():
    faults = list(upward_arrows(tree()))
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name, text", [
    ("base/span.c", '#include "aws/sigv4.h"'),
    ("aws/sigv4.c", '#include "config/config.h"'),
    ("config/load.c", '#include "gateway/route.h"'),
    ("net/client.c", '#include "credentials/provider.h"'),
    ("net/http1.c", '#include "net/tls.h"'),
    ("net/http1_chunked.c", "#include <h2o.h>"),
    ("credentials/provider.c", "#  include <h2o/socket.h>"),
    ("gateway/exchange.c", "#include <h2o.h>"),
    ("aws/sigv4.c", "#include <sys/socket.h>"),
    ("gateway/exchange.c", '#include "route.h"'),
    ("misc/util.c", '#include "base/span.h"'),
    ("gateway/a.c", '#include "commands.h"'),
    ("base/span.c", "void span_x(void)\n{\n    command_run();\n}\n"),
    ("base/span.h", "static inline void span_x(void)\n{\n    command_run();\n}\n"),
    ("base/check.h", "#define CHECK(x) \\\n    ((x) ? 0 : command_run())\n"),
])
def test_finds_upward_dependency(name, text):
    assert list(upward_arrows(Tree({name: text, "command_run.c": "int command_run(void)\n{\n}\n"})))


@pytest.mark.parametrize("name, text", [
    ("base/buffer.c", '#include "base/span.h"'),
    ("net/loop.h", '#include "base/span.h"\n#include <h2o/multithread.h>'),
    ("net/http1.c", '#include "net/http1.h"'),
    ("main.c", '#include "gateway/server.h"\n#include "commands.h"'),
    ("base/span.h", "int command_run(void);"),
    ("base/span.c", 'void span_x(struct x *x)\n{\n    x->command_run("command_run"); // command_run\n}\n'),
])
def test_accepts_downward_dependency(name, text):
    assert not list(upward_arrows(Tree({name: text, "command_run.c": "int command_run(void)\n{\n}\n"})))


# ---- cycles ----------------------------------------------------------------------------------------

def reaches(begin, end, targets):
    seen, queue = {begin}, [begin]
    while queue and end not in seen:
        new = targets.get(queue.pop(), set()) - seen
        seen |= new
        queue += new
    return end in seen


def circle_through(node, targets):
    """Returns the shortest cycle of nodes through this one, None if there is none."""
    came_from, queue = {}, collections.deque([node])
    while queue:
        at = queue.popleft()
        for target in targets.get(at, ()):
            if target == node:
                circle = [node, at]
                while circle[-1] != node:
                    circle.append(came_from[circle[-1]])
                return circle[::-1] if at != node else None
            if target not in came_from:
                came_from[target] = at
                queue.append(target)
    return None


def circles(arrows):
    """Describes each cycle once: for each node the shortest cycle through it, with the lines of its dependencies."""
    targets = collections.defaultdict(list)
    for begin, end in sorted(arrows):
        if folder_of(begin) == folder_of(end):
            targets[begin].append(end)
    seen = set()
    for node in sorted(targets):
        circle = circle_through(node, targets)
        if circle and frozenset(circle) not in seen:
            seen.add(frozenset(circle))
            yield "\n    ".join([" -> ".join(circle)] + [arrows[pair] for pair in zip(circle, circle[1:])])


def test_files_of_a_folder_have_no_cycle():
    faults = list(circles(tree().arrows))
    assert not faults, "\n".join(faults)


PLANTED = Tree({
    "net/a.h": "void a_open(void);\n",
    "net/a.c": '#include "net/a.h"\nvoid a_open(void)\n{\n}\nint a_x(void)\n{\n    return b_count;\n}\n',
    "net/b.c": '#include "net/c.h"\nint b_count = 3;\n',
    "net/c.h": '#include "base/span.h"\n',
    "net/c.c": "const struct table c_table = {.open = a_open};\n",
    "net/d.c": "void d_go(const struct table *table)\n{\n    table->open(c_table);\n}\n",
})


def test_finds_cycle_and_reports_its_lines():
    assert list(circles(PLANTED.arrows)) == [
        'net/a -> net/b -> net/c -> net/a\n    net/a.c:7 uses b_count\n    net/b.c:1 includes "net/c.h"\n'
        "    net/c.c:1 uses a_open"]


# ---- names -----------------------------------------------------------------------------------------

def foreign_names(sources):
    """Returns "FILE NAME" for each global name, and each type, constant and macro of a header, without its file's
    prefix."""
    for name, text in sources.texts.items():
        if name.endswith(".h"):
            names = set(header_names(text, blank(DIRECTIVE, sources.code[name])))
            names.discard("SAGEGATE_" + re.sub(r"\W", "_", name).upper())
        else:
            names = set(sources.defined[name]) - {"main"}
        prefixes = sources.prefixes_of(name)
        for found in sorted(names):
            if not any(found.lower() in (prefix, prefix + "s") or found.lower().startswith(prefix + "_")
                       for prefix in prefixes):
                yield f"{name} {found}"


def test_global_names_have_the_file_prefix():
    foreign = [entry for entry in foreign_names(tree()) if entry not in KEYWORDS]
    assert not foreign, "no name with the file's prefix: proxy/" + ", proxy/".join(foreign)


def test_finds_foreign_name():
    planted = Tree({
        "base/span.h": "#define SAGEGATE_BASE_SPAN_H\n#define SPAN_NONE 0\n#define NONE 0\n#define X(a) COLOR_##a,\n"
                       "enum spans { SPANS, SPAN_A, RED = 1, };\nstruct span { enum kind { SPAN_K } k; };\n"
                       "typedef void (*callback)(void);\nstruct other;\n#undef X\n",
        "base/span.c": "#define LOCAL 1\nstatic int hidden;\nint spanner[2] = {1, 2};\nint span_make(int a)\n{\n}\n"
                       "MUST_USE struct span *make(void (*f)(int))\n{\n    int x;\n}\nextern int y;\nint f(void);\n",
        "base/span_text.c": "struct span span_show(void)\n{\n}\nconst struct span *const shown = &(struct span){0};\n",
        "command_run.c": "int command_run(void)\n{\n}\nint main(void)\n{\n}\nint usage(void)\n{\n}\n",
        "commands.h": "",
    })
    assert list(foreign_names(planted)) == [
        "base/span.h COLOR_", "base/span.h NONE", "base/span.h RED", "base/span.h callback", "base/span.h kind",
        "base/span.c make", "base/span.c spanner", "base/span_text.c shown", "command_run.c usage"]


# ---- object files: what was read above agrees with the compiler ---------------------------------------

def object_of(name):
    found = list(OBJECTS.glob(f"*.dir/proxy/{name}.o"))
    newest = max((file.stat().st_mtime, file) for file in found) if found else (0, None)
    assert newest[0] >= (PROXY / name).stat().st_mtime, (
        f"proxy/{name} is not built: cmake --preset dev && cmake --build --preset dev")
    return newest[1]


def symbols_of(names):
    """Returns, for each of these .c files, the symbols that its object defines and those it needs."""
    objects = {str(object_of(name)): name for name in names}
    told = subprocess.run(["nm", "--extern-only", "--format=posix", "--print-file-name", *objects],
                          check=True, capture_output=True, text=True).stdout
    defined, needed = ({name: set() for name in names} for _ in range(2))
    for line in told.splitlines():
        place, symbol, kind = line.split()[:3]
        if not symbol.startswith("_"):
            (needed if kind == "U" else defined)[objects[place.rstrip(":")]].add(symbol)
    return defined, needed


def test_objects_agree_with_the_source():
    """Also keeps libh2o's exported names (phr_*, cloexec_*, on_context_init ...) out of the program."""
    sources = tree()
    defined, needed = symbols_of([name for name in sources.texts if name.endswith(".c")])
    strange = [f"proxy/{name}: {symbol}, which only one of object and source defines"
               for name, symbols in defined.items() for symbol in symbols ^ set(sources.defined[name])]
    targets = collections.defaultdict(set)
    for begin, end in sources.arrows:
        targets[begin].add(end)
    # Objects that include a header need what its inline functions call: any dependency path is enough.
    missing = [f"proxy/{name} needs {symbol} of proxy/{sources.owner[symbol]}"
               for name, symbols in needed.items() for symbol in symbols if symbol in sources.owner
               and not reaches(node_of(name), node_of(sources.owner[symbol]), targets)]
    assert not strange + missing, "\n".join(strange + missing)


# ---- calls and comments ------------------------------------------------------------------------------

def banned_calls(text):
    code = blank(NOT_CODE, text)
    return [f"line {line_of(code, call.start())}: {call.group(1)}, use {BANNED[call.group(1)]}"
            for call in CALL.finditer(code)]


def test_no_banned_call():
    files = [path for folder in (PROXY, ROOT / "tests") for path in folder.rglob("*.[ch]")]
    faults = [f"{path.relative_to(ROOT)}: {call}" for path in sorted(files) for call in banned_calls(path.read_text())]
    assert not faults, "\n".join(faults)


def test_finds_banned_call():
    assert banned_calls('\n  /* a\n b */ strcpy (a, b);') == ["line 3: strcpy, use struct buffer"]
    assert banned_calls('x = "strcpy(a, b)"; // atoi(x)\nfilesystem(1); gmtime_r(a, b); ops->system(1);') == []


def lacks_first_sentence(text):
    comment = re.match(r"/\*(.*?)\*/|((?:(?://|#)[^\n]*\n)+)", text, re.DOTALL)
    words = re.sub(r"^\s*(\*|//|#)", "", comment.group(1) or comment.group(2), flags=re.MULTILINE) if comment else ""
    return not re.search(r"\w+\s+\w+.*[.:]", words, re.DOTALL)


def test_files_begin_with_a_purpose_sentence():
    texts = {**tree().texts, "version.cmake": (PROXY / "version.cmake").read_text()}
    assert [name for name, text in texts.items() if lacks_first_sentence(text)] == []


def test_finds_missing_first_sentence():
    assert not lacks_first_sentence("/* Reads spans. */\n")
    assert not lacks_first_sentence("// Reads\n// spans.\nint x;\n")
    assert [lacks_first_sentence(text) for text in ("int x;\n", "/* spans */\n", "#include <a.h>\n")] == [True] * 3


# ---- the tour --------------------------------------------------------------------------------------

def unknown_names(page, sources):
    """What a page calls by a C name in `code`, alone or as a call, and no source knows."""
    words = set(re.findall(r"\w+", " ".join(sources.texts.values())))
    return sorted({name for name in re.findall(r"`(?:struct )?([a-z]+(?:_[a-z]+)+)(?:\([^`]*)?`", page)} - words)


def test_the_tour_names_what_is_there():
    assert unknown_names((PROXY / "README.md").read_text(), tree()) == []


def test_finds_a_name_that_is_gone():
    planted = Tree({"base/a.c": "int a_now;\nvoid a_call(void)\n{\n}\n"})
    assert unknown_names("`a_now`, `a_call(x, Y)`, `a_gone`, `struct a_past`, `a_went(ex, B)`", planted) == [
        "a_gone", "a_past", "a_went"]


if __name__ == "__main__":
    for fault in [*upward_arrows(tree()), *circles(tree().arrows), *foreign_names(tree())]:
        if fault.removeprefix("proxy/").startswith(tuple(sys.argv[1:]) or ""):
            print(fault)
