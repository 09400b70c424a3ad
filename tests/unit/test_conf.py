"""conf/: every file loads, the schema matches the settings table, and the reference documents every key."""

import copy
import json
import os
import pathlib
import re
import subprocess

import jsonschema
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SAGEGATE_BIN", ROOT / "build/dev/sagegate")).resolve()
CONF = ROOT / "conf"
SCHEMA = CONF / "sagegate.schema.json"
FILES = sorted(CONF.glob("*.yaml"))
ENVIRONMENT = {"PATH": os.environ["PATH"], "QUICKSTART_ENDPOINT_URL": "https://127.0.0.1:8443",
               "QUICKSTART_CA_FILE": str(pathlib.Path(__file__)), "AWS_REGION": "us-east-1"}
# The shared gateway must be reachable from other machines, so this warning is expected.
MEANT = {"shared.yaml": "is not a loopback address"}


def check(*arguments, env=ENVIRONMENT):
    return subprocess.run([BINARY, "check", *map(str, arguments)], env=env, capture_output=True, text=True, timeout=30)


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_loads_without_warnings(path):
    done = check("-c", path)
    loud = [line for line in done.stderr.splitlines() if MEANT.get(path.name, "\n") not in line]
    assert (done.returncode, loud) == (0, [])
    assert check("-c", path, "--no-env").returncode == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_printed_file_round_trips(path, tmp_path, validator):
    first = check("-c", path, "--print")
    printed = tmp_path / "printed.yaml"
    printed.write_text(first.stdout)
    assert check("-c", printed, "--print").stdout == first.stdout
    validator.validate(yaml.safe_load(first.stdout))


def test_sidecar_configuration_fits_25_lines():
    assert (CONF / "sidecar.yaml").read_text().count("\n") <= 25


# ---- the schema

def test_schema_file_is_current():
    assert check("--schema").stdout == SCHEMA.read_text(), "deploy/reference build/dev/sagegate"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_schema_accepts_file(path, validator):
    validator.validate(yaml.safe_load(path.read_text()))


GOOD = {"region": "us-east-1", "routes": [{"name": "a", "match": {"path": "/a"}, "endpoint": "e"}]}


def changed(path, value):
    """Returns GOOD with a value set at a path of keys and indices."""
    tree = copy.deepcopy(GOOD)
    node = tree
    for step, following in zip(path, path[1:]):
        if isinstance(node, dict):
            node.setdefault(step, [] if isinstance(following, int) else {})
        elif step == len(node):
            node.append([] if isinstance(following, int) else {})
        node = node[step]
    if isinstance(node, list) and path[-1] == len(node):
        node.append(value)
    else:
        node[path[-1]] = value
    return tree


@pytest.mark.parametrize("path, value", [
    (("rotues",), []),
    (("workers",), 0),
    (("workers",), "many"),
    (("limits",), 5),
    (("limits", "head_bytes"), 5),
    (("limits", "body_bytes"), "256MB"),
    (("limits", "head_timeout"), 10),
    (("limits", "head_timeout"), "10"),
    (("limits", "conections"), 10),
    (("listen", 0, "address"), "8080"),
    (("listen", 0, "adress"), "127.0.0.1:8080"),
    (("listen", 0), {"mode": "0660"}),
    (("listen", 0), {"address": "unix:/x", "mode": 432}),
    (("log", "level"), "warn"),
    (("access_log",), True),
    (("upstream", "fips"), "yes"),
    (("upstream", "endpoint_url"), "ftp://x"),
    (("upstreams", "a b"), {}),
    (("routes",), {}),
    (("routes", 0, "operation"), "strem"),
    (("routes", 0, "errors"), "hide"),
    (("routes", 0, "endpoint"), None),
    (("routes", 0, "endpoint"), {"allow": ["x"]}),
    (("routes", 0, "match"), {"methods": ["POST"]}),
    (("routes", 0, "match", "methods"), ["post"]),
    (("routes", 0, "parameters", "target_modle"), {"value": "x"}),
    (("routes", 0, "parameters", "target_model"), "x"),
    (("routes", 0, "parameters", "target_model"), {"vlaue": "x"}),
    (("routes", 0, "callers_may_set"), ["acept"]),
    (("routes", 1), {"name": "b", "match": {"path": "/b"}}),
])
def test_schema_rejects_what_the_program_rejects(path, value, validator, tmp_path):
    tree = changed(path, value)
    assert not validator.is_valid(tree)
    file = tmp_path / "broken.yaml"
    file.write_text(yaml.safe_dump(tree))
    assert check("-c", file).returncode == 1


@pytest.mark.parametrize("path, value", [
    (("workers",), "${env.W:-2}"),
    (("limits", "head_bytes"), 2048),
    (("limits", "head_timeout"), "500ms"),
    (("access_log",), False),
    (("access_log",), {"on_full": "refuse"}),
    (("upstream", "fips"), "${env.FIPS:-false}"),
    (("routes", 0, "endpoint"), {"value": "e", "allow": ["e"]}),
    (("routes", 0, "parameters", "inference_id"), None),
    (("routes", 0, "parameters", "target_variant"), {}),
    (("routes", 0, "parameters", "session_id"), {"value": 7}),
    (("routes", 0, "callers_may_set"), []),
])
def test_schema_accepts_what_the_program_accepts(path, value, validator, tmp_path):
    tree = changed(path, value)
    validator.validate(tree)
    file = tmp_path / "good.yaml"
    file.write_text(yaml.safe_dump(tree))
    done = check("-c", file)
    assert done.returncode == 0, done.stderr


# ---- the reference

def settings(schema, path=()):
    """Yields (path, schema) of every setting; `*` stands for names, `[]` for elements."""
    yield path, schema
    for form in [schema, *schema.get("anyOf", [])]:
        for key, child in form.get("properties", {}).items():
            yield from settings(child, (*path, key))
        if isinstance(form.get("additionalProperties"), dict):
            yield from settings(form["additionalProperties"], (*path, "*"))
        if "items" in form:
            yield from settings(form["items"], (*path, "[]"))


def nodes(tree, path):
    """Returns the nodes of a tree at a path."""
    if not path:
        return [tree]
    children = []
    if path[0] == "[]":
        children = tree if isinstance(tree, list) else []
    elif isinstance(tree, dict):
        children = list(tree.values()) if path[0] == "*" else [tree[path[0]]] if path[0] in tree else []
    return [node for child in children for node in nodes(child, path[1:])]


def reference_lines():
    return (CONF / "reference.yaml").read_text().splitlines()


def regenerate(folder):
    """Runs deploy/reference on a copy of conf/, or on the current contents of the folder."""
    for name in ("reference.yaml", "sagegate.schema.json"):
        if not (folder / name).exists():
            (folder / name).write_text((CONF / name).read_text())
    subprocess.run([ROOT / "deploy/reference", BINARY, folder], check=True, timeout=30)
    return (folder / "reference.yaml").read_text()


def test_reference_is_generated_from_the_table(tmp_path):
    again = regenerate(tmp_path)
    assert again == (CONF / "reference.yaml").read_text(), "deploy/reference build/dev/sagegate"
    assert (tmp_path / "sagegate.schema.json").read_text() == SCHEMA.read_text()


def test_missing_reference_key_is_inserted_in_place(tmp_path):
    whole = (CONF / "reference.yaml").read_text()
    (tmp_path / "reference.yaml").write_text(re.sub(r"\n  #.*\n  (concurrency|warm|age_max): .*", "", whole))
    assert regenerate(tmp_path) == whole


def test_reference_has_every_key(validator):
    text = "\n".join(re.sub(r"^(\s*)#(\w+:)", r"\1\2", line) for line in reference_lines())
    tree = yaml.safe_load(text)
    missing = [".".join(path) for path, _ in settings(validator.schema) if not nodes(tree, path)]
    assert missing == []


def test_reference_documents_match_the_table(validator):
    """Documentation, default and range of each key, in this order; at any place, because shared keys appear once."""
    comments = " ".join(re.sub(r"^\s*(- )?# ?", "", line) for line in reference_lines() if re.match(r"\s*(- )?# ", line))
    comments = re.sub(r"\s+", " ", comments)
    told = [".".join(path) for path, schema in settings(validator.schema)
            if path and path[-1] != "[]" and path[:3] != ("routes", "[]", "timeouts")
            and not all(part in comments for part in re.split(r" (?=Default |From )", schema["description"]))]
    assert told == []


def test_reference_values_are_defaults(validator):
    """A value that the reference sets outside routes equals the setting's default, if it has one."""
    tree = yaml.safe_load((CONF / "reference.yaml").read_text())
    for path, schema in settings(validator.schema):
        default = re.search(r" Default ([^ ]+)\.(?: From |$)", schema["description"])
        if not default or path[0] in ("routes", "upstreams", "listen", "admin", "health") or "*" in path:
            continue
        for node in nodes(tree, path):
            assert default.group(1) in (str(node), json.dumps(node)), path
