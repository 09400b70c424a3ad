"""The Helm chart, rendered by Helm: its objects equal those of Kustomize."""

import json
import os
import re

import pytest
import yaml

from tests.deploy.machine import BINARY, ROOT, helm, run
from tests.deploy.test_kubernetes import SCHEMAS, of_kind, pod_of, problems, rendered

CHART = ROOT / "deploy/helm"
ROLE = {"roleArn": "arn:aws:iam::111122223333:role/sagegate"}
SAME = {  # values that reproduce an overlay
    "gateway-irsa": ROLE,
    "gateway-pod-identity": {},
    "gateway-static-secret": {"secret": "sagegate-aws", "gateway": {"autoscaling": {"enabled": False}}},
    "gateway-all": {**ROLE, "image": {"repository": "111122223333.dkr.ecr.us-east-1.amazonaws.com/sagegate"},
                    "gateway": {"serviceMonitor": {"enabled": True}}},
}
# A user's chart with one Deployment whose pods get the sidecar from the named templates.
PARENT = {
    "Chart.yaml": "apiVersion: v2\nname: scoring\nversion: 1.0.0\n",
    "templates/deployment.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: { name: scoring }
spec:
  replicas: 2
  selector: { matchLabels: { app: scoring } }
  template:
    metadata:
      labels: { app: scoring }
      annotations:
        {{- include "sagegate.sidecar.annotations" . | nindent 8 }}
    spec:
      automountServiceAccountToken: false
      initContainers:
        {{- include "sagegate.sidecar.container" . | nindent 8 }}
      containers: []
      volumes:
        {{- include "sagegate.sidecar.volumes" . | nindent 8 }}
""",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """template(values, release, chart): the objects, or with check=False Helm's result."""
    folder = tmp_path_factory.mktemp("helm")
    environment = {**os.environ, **{f"HELM_{what}_HOME": str(folder) for what in ("CACHE", "CONFIG", "DATA")}}

    def template(values, release="sagegate", chart=CHART, check=True):
        (folder / "values.yaml").write_text(yaml.safe_dump(values))
        done = run(helm(), "template", release, chart, "--values", folder / "values.yaml", "--kube-version", "1.34.0",
                   env=environment, check=check)
        return [o for o in yaml.safe_load_all(done.stdout) if o] if check else done
    return template


def by_name(objects):
    found = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    assert len(found) == len(objects), "one of each"
    return found


def as_a_chart_has_it(objects):
    """Kustomize's objects without inherent differences: hashes in names, the namespace, and references that are
    optional because the map or secret may not exist."""
    hashed = {o["metadata"]["name"] for o in of_kind(objects, "ConfigMap", "Secret")}
    text = json.dumps([o for o in objects if o["kind"] not in ("Namespace", "Secret")])
    for name in hashed:
        text = text.replace(f'"{name}"', json.dumps(re.sub("-[0-9a-z]{10}$", "", name)))
    objects = json.loads(text)
    for thing in objects:
        thing["metadata"].pop("namespace", None)
        if thing["kind"] != "Deployment":
            continue
        spec = pod_of(thing)["spec"]
        for container in spec.get("initContainers", []) + spec["containers"]:
            sources = [s for s in container.get("envFrom", []) if not s.get("secretRef", {}).get("optional")]
            for source in sources:
                source.get("configMapRef", {}).pop("optional", None)
            container["envFrom"] = sources
    return objects


def without_marks_of_helm(thing):
    """The object without its release label and the checksum that replaces a hash in a name."""
    if isinstance(thing, list):
        return [without_marks_of_helm(t) for t in thing]
    if not isinstance(thing, dict):
        return thing
    kept = {name: without_marks_of_helm(value) for name, value in thing.items()
            if name not in ("app.kubernetes.io/instance", "checksum/sagegate")}
    if kept.get("annotations") == {}:
        del kept["annotations"]
    return kept


@pytest.mark.parametrize("overlay", SAME)
def test_chart_matches_the_overlay(template, overlay):
    ours = by_name(without_marks_of_helm(template(SAME[overlay])))
    theirs = by_name(as_a_chart_has_it(rendered(f"overlays/{overlay}")))
    assert set(ours) == set(theirs)
    for name in theirs:
        assert ours[name] == theirs[name], name


@pytest.mark.parametrize("which", SCHEMAS)
def test_every_field_is_known_to_kubernetes(template, which):
    pod = {"nodeSelector": {"a": "b"}, "imagePullSecrets": [{"name": "registry"}]}
    objects = template({"gateway": {"serviceMonitor": {"enabled": True}, "pod": pod}})
    assert [p for thing in objects for p in problems(which, thing)] == []
    (deployment,) = of_kind(objects, "Deployment")
    assert pod.items() <= pod_of(deployment)["spec"].items()


@pytest.fixture
def parent(tmp_path):
    for name, text in PARENT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts/sagegate").symlink_to(CHART)
    return tmp_path


def test_sidecar_matches_kustomize(template, parent):
    objects = template({"sagegate": {
        "roleArn": "arn:aws:iam::111122223333:role/infer", "gateway": {"enabled": False},
        "config": (ROOT / "conf/sidecar.yaml").read_text(), "sidecar": {"enabled": True}}}, "scoring", parent)
    objects = json.loads(json.dumps(without_marks_of_helm(objects)).replace("scoring-sagegate", "sagegate"))
    assert sorted(o["kind"] for o in objects) == ["ConfigMap", "ConfigMap", "Deployment"]
    (ours,) = of_kind(objects, "Deployment")
    (theirs,) = of_kind(as_a_chart_has_it(rendered("examples/deployment")), "Deployment")
    pod_of(theirs)["spec"]["containers"] = []
    assert ours == theirs


def test_configuration_change_rolls_the_pods(template):
    templates = [pod_of(of_kind(template(values), "Deployment")[0])
                 for values in ({}, {"config": "# mine\n"}, {"environment": {"A": "b"}})]
    assert templates[0] != templates[1] and templates[0] != templates[2]


def test_given_configuration_is_used(template, tmp_path):
    assert (CHART / "sagegate.yaml").read_bytes() == (ROOT / "conf/shared.yaml").read_bytes(), \
        "cp conf/shared.yaml deploy/helm/sagegate.yaml"
    mine = (ROOT / "conf/shared.yaml").read_text() + "# ${env.AWS_REGION} {{ untouched }}\n"
    (text,) = [o["data"]["sagegate.yaml"] for o in of_kind(template({"config": mine}), "ConfigMap")
               if o["metadata"]["name"] == "sagegate-config"]
    assert text == mine
    (tmp_path / "sagegate.yaml").write_text(text)
    run(BINARY, "check", "-c", tmp_path / "sagegate.yaml", env={"AWS_REGION": "us-east-1"})


def test_two_releases_share_a_namespace(template):
    first, second = (by_name(template({}, release)) for release in ("sagegate-a", "b"))
    assert not set(first) & set(second)
    services = first["Service", "sagegate-a"], second["Service", "b-sagegate"]
    assert services[0]["spec"]["selector"] != services[1]["spec"]["selector"]


@pytest.mark.parametrize("values,told", [
    ({"colour": "red"}, "colour"),
    ({"gateway": {"autoscaling": {"min": "three"}}}, "/gateway/autoscaling/min"),
    ({"roleArn": "sagegate"}, "/roleArn"),
    ({"sidecar": {"enabled": True}}, "a sidecar needs routes"),
])
def test_invalid_values_are_reported(template, values, told):
    done = template(values, check=False)
    assert done.returncode != 0 and told in done.stderr, done.stderr


def test_helm_lint_passes():
    told = run(helm(), "lint", "--strict", CHART).stdout
    assert "0 chart(s) failed" in told and "[WARNING]" not in told


def test_every_value_is_in_the_schema():
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def same(values, schema, place):
        names = set(schema.get("properties", {})) - {"global"}
        assert not names or set(values) == names, place
        for name in names:
            inner = schema["properties"][name]
            if "$ref" in inner:
                inner = whole["definitions"][inner["$ref"].rpartition("/")[2]]
            if isinstance(values[name], dict):
                same(values[name], inner, f"{place}.{name}")
    whole = json.loads((CHART / "values.schema.json").read_text())
    same(values, whole, "values")
    version = re.search(r"project\(sagegate VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert {values["image"]["tag"], chart["version"], chart["appVersion"]} == {version}
