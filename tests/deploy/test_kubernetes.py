"""Every manifest that Kustomize renders from deploy/kubernetes: its fields, properties and copies."""

import functools
import json
import os
import pathlib
import re
import socket
import subprocess

import jsonschema
import pytest
import yaml

from tests.deploy.machine import BINARY, ROOT, eventually, run, tools

KUBERNETES = ROOT / "deploy/kubernetes"
NEWER = pathlib.Path(os.environ.get("K8S_OPENAPI", ROOT / "../shared/data/k8s-1.34-openapi-v2-trimmed.json"))
GATEWAYS = sorted(f"overlays/{d.name}" for d in (KUBERNETES / "overlays").iterdir())
SIDECARS = sorted(f"examples/{d.name}" for d in (KUBERNETES / "examples").iterdir())
ALL = ["gateway", *GATEWAYS, *SIDECARS]
# Defined by the Prometheus operator, so in no Kubernetes schema.
FOREIGN = {"monitoring.coreos.com/v1"}


@functools.cache
def rendered_text(folder):
    return run(tools() / "usr/bin/kustomize", "build", KUBERNETES / folder).stdout


def rendered(folder):
    return list(yaml.safe_load_all(rendered_text(folder)))


def of_kind(objects, *kinds):
    return [o for o in objects if o["kind"] in kinds]


def pod_of(workload):
    spec = workload["spec"]
    if workload["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec["template"]


WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


# ---- the schema ----

def strict(definition):
    """Makes fields that a definition does not name an error."""
    if isinstance(definition, list):
        return [strict(d) for d in definition]
    if not isinstance(definition, dict):
        return definition
    definition = {name: strict(value) for name, value in definition.items()}
    if isinstance(definition.get("properties"), dict):
        definition.setdefault("additionalProperties", False)
    return definition


@functools.cache
def schema(which):
    if which == "newer":
        document = json.loads(NEWER.read_text())
    else:
        found = tools().rglob("swagger-with-shared-parameters.json")
        document = json.loads(next(found).read_text())
        handler = document["definitions"]["io.k8s.api.core.v1.LifecycleHandler"]["properties"]
        # Kubernetes 1.30; the file has about 1.28.
        handler.setdefault("sleep", {"properties": {"seconds": {"type": "integer"}}, "required": ["seconds"]})
    definitions = strict(document["definitions"])
    definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = {"type": ["integer", "string"]}
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["number", "string"]}
    by_kind = {}
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            version = "/".join(filter(None, (kind["group"], kind["version"])))
            by_kind[version, kind["kind"]] = name
    return definitions, by_kind


def problems(which, thing):
    definitions, by_kind = schema(which)
    if thing["apiVersion"] in FOREIGN:
        return []
    name = by_kind[thing["apiVersion"], thing["kind"]]
    validator = jsonschema.Draft4Validator({"definitions": definitions, "$ref": f"#/definitions/{name}"})
    return [f"{thing['kind']} {'.'.join(map(str, e.absolute_path))}: {e.message[:200]}"
            for e in validator.iter_errors(thing)]


SCHEMAS = ["older"] + (["newer"] if NEWER.exists() else [])


@pytest.mark.parametrize("which", SCHEMAS)
@pytest.mark.parametrize("folder", ALL)
def test_every_field_is_known_to_kubernetes(folder, which):
    objects = rendered(folder)
    assert objects
    assert [p for thing in objects for p in problems(which, thing)] == []


@pytest.mark.parametrize("which", SCHEMAS)
def test_schema_check_finds_errors(which):
    (deployment,) = of_kind(rendered("gateway"), "Deployment")
    container = pod_of(deployment)["spec"]["containers"][0]
    container["livenesProbe"] = container.pop("livenessProbe")
    container["ports"][0]["containerPort"] = "http"
    del deployment["spec"]["selector"]
    found = "\n".join(problems(which, deployment))
    assert "livenesProbe" in found and "'http' is not of type" in found and "'selector'" in found


# ---- properties ----

def gateway_container(objects):
    for workload in of_kind(objects, *WORKLOADS):
        spec = pod_of(workload)["spec"]
        for container in spec.get("initContainers", []) + spec["containers"]:
            if container["name"] == "sagegate":
                return container, workload
    raise AssertionError("no container called sagegate")


@pytest.mark.parametrize("folder", ALL)
def test_every_container_passes_pod_security_restricted(folder):
    for workload in of_kind(rendered(folder), *WORKLOADS):
        spec = pod_of(workload)["spec"]
        pod_wide = spec.get("securityContext", {})
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= {"configMap", "secret", "projected", "emptyDir"}
        for container in spec.get("initContainers", []) + spec["containers"]:
            own = {**pod_wide, **container["securityContext"]}
            assert own["runAsNonRoot"] is True and own["runAsUser"] > 0
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["seccompProfile"]["type"] == "RuntimeDefault"
            assert own["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("folder", SIDECARS)
def test_component_adds_a_native_sidecar(folder):
    container, workload = gateway_container(rendered(folder))
    template = pod_of(workload)
    assert template["spec"]["initContainers"][0] == container, "it starts first"
    assert container["restartPolicy"] == "Always"
    assert {"startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "resources"} <= set(container)
    assert [c["name"] for c in template["spec"]["containers"]] == ["app"]
    assert template["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"] == "app"
    app = template["spec"]["containers"][0]
    assert "volumeMounts" not in app and "envFrom" not in app, "the application gets no credentials"
    (token,) = [v for v in template["spec"]["volumes"] if v["name"] == "sagegate-token"]
    assert token["projected"]["sources"][0]["serviceAccountToken"]["audience"] == "sts.amazonaws.com"


def test_sidecar_of_job_equals_sidecar_of_pod():
    def sidecar(name):
        return pod_of(yaml.safe_load((KUBERNETES / f"components/sidecar/{name}.yaml").read_text()))
    assert sidecar("workload") == sidecar("cronjob")


@pytest.mark.parametrize("folder", ALL)
def test_probes_use_the_health_listener(folder):
    container, _ = gateway_container(rendered(folder))
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    for probe, path in (("startupProbe", "/ready"), ("readinessProbe", "/ready"), ("livenessProbe", "/live")):
        asked = container[probe]["httpGet"]
        assert (ports[asked["port"]], asked["path"]) == (9901, path)


def configuration(objects):
    (found,) = [o["data"]["sagegate.yaml"] for o in of_kind(objects, "ConfigMap")
                if o["metadata"]["name"].startswith("sagegate-config-")]
    return found


@pytest.mark.parametrize("folder", ALL)
def test_configuration_is_valid_and_fits_its_container(folder, tmp_path):
    objects = rendered(folder)
    container, workload = gateway_container(objects)
    file = tmp_path / "sagegate.yaml"
    file.write_text(configuration(objects))
    run(BINARY, "check", "-c", file, env={"AWS_REGION": "us-east-1"})
    text = run(BINARY, "check", "--print", "-c", file, env={"AWS_REGION": "us-east-1"}).stdout
    settings = yaml.safe_load(text)
    assert settings["health"]["address"] == "0.0.0.0:9901"
    bodies = int(settings["limits"]["body_bytes"].removesuffix("MiB"))
    memory = int(container["resources"]["limits"]["memory"].removesuffix("Mi"))
    assert bodies + 48 <= memory, "room for bodies and everything else"
    if workload["kind"] == "Deployment" and folder not in SIDECARS:
        grace = pod_of(workload)["spec"]["terminationGracePeriodSeconds"]
        drain = int(settings["drain"]["limit"].removesuffix("s"))
        assert container["lifecycle"]["preStop"]["sleep"]["seconds"] + drain < grace


def test_configuration_change_rolls_the_pods(tmp_path):
    copy = tmp_path / "kubernetes"
    run("cp", "-r", KUBERNETES, copy)
    with open(copy / "gateway/sagegate.yaml", "a") as file:
        file.write("# a change\n")
    changed = run(tools() / "usr/bin/kustomize", "build", copy / "gateway").stdout
    templates = [pod_of(of_kind(list(yaml.safe_load_all(text)), "Deployment")[0])
                 for text in (changed, rendered_text("gateway"))]
    assert templates[0] != templates[1]


def test_documented_kustomizations_build(tmp_path):
    run("cp", "-r", KUBERNETES, tmp_path / "kubernetes")
    guide = (ROOT / "deploy/README.md").read_text()
    found = re.findall(r"```yaml\n(apiVersion: kustomize.*?)```", guide, re.DOTALL)
    for number, (text, original) in enumerate(zip(found, ("sidecar", "shared"), strict=True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "kustomization.yaml").write_text(text.replace("deploy/kubernetes", "../kubernetes"))
        (folder / "sagegate.yaml").write_bytes((ROOT / f"conf/{original}.yaml").read_bytes())
        (folder / "deployment.yaml").write_bytes((KUBERNETES / "examples/deployment/deployment.yaml").read_bytes())
        objects = list(yaml.safe_load_all(run(tools() / "usr/bin/kustomize", "build", folder).stdout))
        assert [p for thing in objects for p in problems("older", thing)] == []
        container, _ = gateway_container(objects)
        assert container["image"] == "REGISTRY/sagegate:0.1.0"
        (environment,) = [o["data"] for o in of_kind(objects, "ConfigMap") if "AWS_REGION" in o["data"]]
        assert environment["AWS_REGION"] == "eu-west-1" and "AWS_WEB_IDENTITY_TOKEN_FILE" in environment


def test_deployed_files_equal_conf():
    for copy in KUBERNETES.glob("**/sagegate.yaml"):
        original = "shared" if copy.parent.name == "gateway" else "sidecar"
        assert copy.read_bytes() == (ROOT / f"conf/{original}.yaml").read_bytes(), f"cp conf/{original}.yaml {copy}"


def test_irsa_and_static_keys_reach_the_gateway():
    def environment(folder):
        maps = of_kind(rendered(folder), "ConfigMap")
        return next(m["data"] for m in maps if m["metadata"]["name"].startswith("sagegate-env-"))
    for folder in ("overlays/gateway-irsa", "examples/job"):
        assert environment(folder)["AWS_WEB_IDENTITY_TOKEN_FILE"] == "/var/run/secrets/sagegate/token"
        assert environment(folder)["AWS_ROLE_ARN"].startswith("arn:aws:iam::")
    objects = rendered("overlays/gateway-static-secret")
    (secret,) = of_kind(objects, "Secret")
    container, _ = gateway_container(objects)
    assert {"secretRef": {"name": secret["metadata"]["name"]}} in container["envFrom"]
    assert set(secret["data"]) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_network_policy_allows_only_required_egress():
    (policy,) = of_kind(rendered("overlays/gateway-all"), "NetworkPolicy")
    told = [(p["port"], sorted(t["ipBlock"]["cidr"] for t in rule.get("to", [])))
            for rule in policy["spec"]["egress"] for p in rule["ports"]]
    assert told == [(53, []), (53, []), (443, []), (80, ["169.254.170.23/32", "fd00:ec2::23/128"])]
    (deployment,) = of_kind(rendered("overlays/gateway-all"), "Deployment")
    labels = pod_of(deployment)["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    kinds = {o["kind"] for o in rendered("overlays/gateway-all")}
    assert {"HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceMonitor", "Service"} <= kinds
    assert "replicas" not in deployment["spec"], "only the autoscaler sets replicas"


# ---- a real API server, if K8S_BIN_DIR has kube-apiserver, etcd and kubectl ----

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory):
    """kubectl(argument..., input=TEXT) against a local API server."""
    binaries = pathlib.Path(os.environ.get("K8S_BIN_DIR", "/nonexistent"))
    if not (binaries / "kube-apiserver").exists():
        pytest.skip("optional: K8S_BIN_DIR names no folder with kube-apiserver, etcd and kubectl")
    folder = tmp_path_factory.mktemp("api")
    etcd, peers, secure = free_port(), free_port(), free_port()
    run("openssl", "genrsa", "-out", folder / "key", "2048")
    (folder / "tokens").write_text('a-token,admin,1,"system:masters"\n')
    commands = [
        ["etcd", "--data-dir", folder / "etcd", f"--listen-client-urls=http://127.0.0.1:{etcd}",
         f"--advertise-client-urls=http://127.0.0.1:{etcd}", f"--listen-peer-urls=http://127.0.0.1:{peers}"],
        ["kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={secure}",
         "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
         "--service-cluster-ip-range=10.0.0.0/24",
         f"--cert-dir={folder}/certificates", f"--token-auth-file={folder}/tokens", "--authorization-mode=RBAC",
         "--service-account-issuer=https://localhost", f"--service-account-key-file={folder}/key",
         f"--service-account-signing-key-file={folder}/key", "--disable-admission-plugins=ServiceAccount"]]
    running = [subprocess.Popen([binaries / name, *map(str, options)], stdout=subprocess.DEVNULL,
                                stderr=open(folder / f"{name}.log", "w")) for name, *options in commands]

    def kubectl(*arguments, **more):
        return subprocess.run(
            [binaries / "kubectl", f"--server=https://127.0.0.1:{secure}", "--insecure-skip-tls-verify",
             "--token=a-token", *map(str, arguments)], capture_output=True, text=True, timeout=60, **more)
    try:
        eventually(lambda: kubectl("get", "--raw", "/readyz").stdout == "ok", 60, "the API server is ready")
        eventually(lambda: kubectl("get", "namespace", "default").returncode == 0, 30, "its namespaces are there")
        yield kubectl
    finally:
        for process in reversed(running):
            process.kill()
            process.wait()


@pytest.mark.timeout(300)
def test_api_server_accepts_every_manifest_under_pod_security_restricted(kubectl):
    for folder in ALL:
        namespace = folder.replace("/", "-")
        levels = {f"pod-security.kubernetes.io/{what}": "restricted" for what in ("enforce", "warn")}
        kubectl("apply", "-f", "-", input=json.dumps(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": levels}}))
        for thing in rendered(folder):
            if thing["kind"] == "Namespace" or thing["apiVersion"] in FOREIGN:
                continue
            thing["metadata"]["namespace"] = namespace
            told = kubectl("apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-",
                           input=json.dumps(thing))
            assert told.returncode == 0, f"{folder}: {told.stderr}"
