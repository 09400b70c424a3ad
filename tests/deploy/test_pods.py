"""Runs the manifests: a pod with application and gateway, and kubelet's handling of a native sidecar, step by step.
Podman does not support native sidecars, so the test performs the steps with the manifest's own settings."""

import json
import signal
import time

import pytest
import yaml

from tests.deploy.conftest import ENDPOINT_PORT, KEYS
from tests.deploy.machine import eventually
from tests.deploy.test_kubernetes import of_kind, pod_of, rendered

pytestmark = pytest.mark.timeout(600)


def locally(objects, endpoint):
    """The manifest's maps, with the local endpoint instead of AWS and one existing endpoint name."""
    maps = {o["metadata"]["name"]: o["data"] for o in of_kind(objects, "ConfigMap")}
    for data in maps.values():
        if "sagegate.yaml" in data:
            data["sagegate.yaml"] = (
                data["sagegate.yaml"].replace("fraud-prod", "json-fraud")
                + f'upstream: {{ endpoint_url: "https://127.0.0.1:{ENDPOINT_PORT}", ca_file: /etc/sagegate/ca.pem }}\n')
            data["ca.pem"] = (endpoint / "ca.pem").read_text()
        else:
            for name in ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
                data.pop(name, None)
            data.update(KEYS)
    return maps


def test_pod_with_application_and_gateway(corner, image, endpoint, verdicts, tmp_path):
    objects = rendered("examples/job")
    (job,) = of_kind(objects, "Job")
    spec = pod_of(job)["spec"]
    (gateway,), (app,) = spec["initContainers"], spec["containers"]
    for name in ("restartPolicy", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "ports"):
        del gateway[name]
    gateway["volumeMounts"] = [m for m in gateway["volumeMounts"] if m["name"] == "sagegate-config"]
    # An ordinary container starts together with the application, which would send requests too early.
    app["command"] = ["sh", "-c", "for i in $(seq 100); do perl -MIO::Socket::INET -e '"
                      "exit !IO::Socket::INET->new(\"127.0.0.1:8080\")' && break; sleep 0.1; done; exec \"$@\"",
                      "_", *app["command"]]
    gateway["image"] = "localhost/sagegate:0.1.0"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "played"},
           "spec": {**spec, "hostNetwork": True, "initContainers": [], "containers": [gateway, app],
                    "volumes": [v for v in spec["volumes"] if v["name"] == "sagegate-config"]}}
    maps = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
            for name, data in locally(objects, endpoint).items()]
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump_all([*maps, pod]))
    try:
        corner.podman("play", "kube", tmp_path / "pod.yaml", timeout=60)
        assert corner.podman("wait", "played-app", timeout=60).stdout.strip() == "0"
        response = corner.podman("logs", "played-app").stdout
        assert response.startswith("HTTP/1.1 200 ") and '"endpoint": "json-fraud"' in response
        assert verdicts() == ["ok"]
    finally:
        corner.podman("pod", "rm", "--force", "--time", "5", "played", check=False)


class Kubelet:
    """Handles a pod's containers like kubelet, in its order (Kubernetes, "Sidecar Containers")."""

    def __init__(self, corner, pod, maps, folder):
        self.corner, self.spec, self.maps, self.folder = corner, pod["spec"], maps, folder
        for name, data in maps.items():
            (folder / name).mkdir()
            for key, value in data.items():
                (folder / name / key).write_text(value)
        folder.chmod(0o755)

    def start(self, container):
        options = ["--network", "host"]
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] and security["capabilities"]["drop"] == ["ALL"]
        options += ["--read-only", "--cap-drop=all", "--security-opt", "no-new-privileges",
                    "--user", str(security["runAsUser"])]
        options += ["--memory", container["resources"]["limits"]["memory"].removesuffix("i").lower()]
        for source in container.get("envFrom", []):
            for name, value in self.maps.get(source.get("configMapRef", {}).get("name"), {}).items():
                options += ["--env", f"{name}={value}"]
        volumes = {v["name"]: v for v in self.spec.get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            if "configMap" in volume:
                options += ["--volume", f"{self.folder / volume['configMap']['name']}:{mount['mountPath']}:ro"]
        if "command" in container:
            options += ["--entrypoint", json.dumps(container["command"])]
        image = container["image"].replace("sagegate:", "localhost/sagegate:")
        self.corner.podman("run", "--detach", "--name", container["name"], *options, image,
                           *container.get("args", []))

    def start_sidecar(self, container):
        self.start(container)
        self.wait_for(container, "startupProbe")

    def wait_for(self, container, which):
        probe = container[which]
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        asked = probe["httpGet"]
        url = f"http://127.0.0.1:{ports[asked['port']]}{asked['path']}"
        eventually(lambda: self.corner.run("curl", "-sf", "--noproxy", "*", url, check=False).returncode == 0,
                   probe["periodSeconds"] * probe["failureThreshold"], which)

    def status(self, name):
        (told,) = json.loads(self.corner.podman("container", "inspect", name).stdout)
        return told["State"]

    def ended(self, name, timeout=60):
        return int(self.corner.podman("wait", name, timeout=timeout).stdout)


@pytest.fixture
def kubelet(corner, image, endpoint, tmp_path):
    objects = rendered("examples/job")
    yield Kubelet(corner, pod_of(of_kind(objects, "Job")[0]), locally(objects, endpoint), tmp_path)
    for name in ("app", "sagegate"):
        corner.podman("rm", "--force", "--ignore", "--time", "0", name)


def test_job_completes_although_its_sidecar_dies(kubelet, corner, verdicts):
    (sidecar,), (app,) = kubelet.spec["initContainers"], kubelet.spec["containers"]
    kubelet.start_sidecar(sidecar)  # 1. the sidecar starts, until its startup probe succeeds
    # 2. it is killed and, being restartPolicy: Always, restarted
    corner.podman("kill", "--signal", "KILL", "sagegate")
    assert kubelet.ended("sagegate") == 128 + signal.SIGKILL
    corner.podman("start", "sagegate")
    kubelet.wait_for(sidecar, "startupProbe")
    kubelet.start(app)  # 3. the application starts; its first request must succeed because it does not retry
    assert kubelet.ended("app") == 0
    assert '"endpoint": "json-fraud"' in corner.podman("logs", "app").stdout
    assert verdicts() == ["ok"]
    # 4. the Job's container has ended: preStop, then SIGTERM for the sidecar
    time.sleep(sidecar["lifecycle"]["preStop"]["sleep"]["seconds"])
    assert kubelet.status("sagegate")["Status"] == "running"
    corner.podman("kill", "--signal", "TERM", "sagegate")
    assert kubelet.ended("sagegate", timeout=10) == 0


def test_sidecar_without_credentials_starts_and_reports_why(kubelet, corner):
    for name, data in kubelet.maps.items():
        if "AWS_REGION" in data:
            (kubelet.folder / name / "AWS_SECRET_ACCESS_KEY").unlink()
            del data["AWS_SECRET_ACCESS_KEY"], data["AWS_ACCESS_KEY_ID"]
    (sidecar,) = kubelet.spec["initContainers"]
    kubelet.start_sidecar(sidecar)
    told = corner.run("curl", "-s", "--noproxy", "*", "http://127.0.0.1:9901/ready").stdout
    assert "no_credentials" in told
    response = corner.run("curl", "-si", "--noproxy", "*", "http://127.0.0.1:8080/predict/fraud", "-d", "x").stdout
    assert response.startswith("HTTP/1.1 503 ") and "no_credentials" in response
