"""The Compose file, run, and the ECS task definitions: their fields and properties."""

import json
import threading

import botocore.session
import botocore.validate
import pytest
import yaml

from tests.deploy.conftest import ENDPOINT_PORT, KEYS
from tests.deploy.machine import BINARY, ROOT, docker_compose, eventually, run

COMPOSE = ROOT / "deploy/compose/compose.yaml"
TASKS = sorted((ROOT / "deploy/ecs").glob("*.json"))


def test_compose_hardens_the_gateway_and_shares_its_network():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    gateway, app = services["sagegate"], services["app"]
    assert gateway["read_only"] and gateway["cap_drop"] == ["ALL"]
    assert "ports" not in gateway, "only the application reaches it"
    assert app["network_mode"] == "service:sagegate"
    assert app["depends_on"]["sagegate"]["condition"] == "service_healthy"
    profile = next(o.removeprefix("seccomp:") for o in gateway["security_opt"] if o.startswith("seccomp:"))
    assert json.loads((COMPOSE.parent / profile).read_text())["defaultAction"] == "SCMP_ACT_ERRNO"
    assert (COMPOSE.parent / gateway["volumes"][0].split(":")[0]).resolve() == ROOT / "conf/sidecar.yaml"


@pytest.fixture
def docker(corner, tmp_path):
    """A socket that speaks Docker's API, served by podman. A thread runs health checks, which podman leaves to systemd
    timers."""
    service = corner.start("podman", "system", "service", "--time", "0", f"unix://{tmp_path}/docker.sock")
    ended = threading.Event()

    def check():
        while not ended.wait(0.5):
            for name in corner.podman("ps", "--format", "{{.Names}}", check=False).stdout.split():
                corner.podman("healthcheck", "run", name, check=False)
    checker = threading.Thread(target=check)
    try:
        eventually((tmp_path / "docker.sock").exists, 10, "the socket")
        checker.start()
        yield f"unix://{tmp_path}/docker.sock"
    finally:
        ended.set()
        checker.join()
        service.terminate()
        service.wait()


@pytest.mark.timeout(400)
def test_compose_starts_the_application_after_the_gateway_is_healthy(corner, image, endpoint, docker, verdicts, tmp_path):
    config = (ROOT / "conf/sidecar.yaml").read_text().replace("fraud-prod", "json-fraud")
    (tmp_path / "sagegate.yaml").write_text(
        config + f'upstream: {{ endpoint_url: "https://127.0.0.1:{ENDPOINT_PORT}", ca_file: /etc/sagegate/ca.pem }}\n')
    # Differences from the shipped file: local image names and the local endpoint;
    # podman's socket takes a seccomp profile's path, Docker's takes its text.
    (tmp_path / "here.yaml").write_text(f"""
services:
  sagegate:
    image: localhost/sagegate:0.1.0
    network_mode: host
    restart: "no"
    security_opt: !override [no-new-privileges]
    volumes:
      - {tmp_path}/sagegate.yaml:/etc/sagegate/sagegate.yaml:ro
      - {endpoint}/ca.pem:/etc/sagegate/ca.pem:ro
  app:
    image: docker.io/library/debian:bookworm-slim
""")
    tmp_path.chmod(0o755)

    def compose(*words, **more):
        return corner.run("env", *(f"{name}={value}" for name, value in KEYS.items()), f"DOCKER_HOST={docker}",
                          docker_compose(), "-p", "tested", "-f", COMPOSE, "-f", tmp_path / "here.yaml", *words, **more)
    try:
        compose("up", "--pull=never", "--detach", timeout=90)
        assert corner.podman("wait", "tested-app-1", timeout=60).stdout.strip() == "0"
        assert '"endpoint": "json-fraud"' in compose("logs", "app").stdout
        assert verdicts() == ["ok"]
        compose("stop", timeout=60)
        assert json.loads(corner.podman("inspect", "tested-sagegate-1").stdout)[0]["State"]["ExitCode"] == 0
    finally:
        compose("down", "--timeout", "0", check=False)


def test_docker_accepts_the_compose_file():
    told = run(docker_compose(), "-f", COMPOSE, "config", "--format", "json", env={"AWS_REGION": "eu-west-1"}).stdout
    assert json.loads(told)["services"]["sagegate"]["environment"]["AWS_REGION"] == "eu-west-1"


@pytest.mark.parametrize("file", TASKS, ids=lambda file: file.name)
def test_ecs_accepts_the_task_definition(file):
    task = json.loads(file.read_text())
    model = botocore.session.Session().get_service_model("ecs")
    shape = model.operation_model("RegisterTaskDefinition").input_shape
    report = botocore.validate.ParamValidator().validate(task, shape)
    assert not report.has_errors(), report.generate_report()
    gateway = next(c for c in task["containerDefinitions"] if c["name"] == "sagegate")
    assert gateway["readonlyRootFilesystem"] and gateway["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
    assert gateway["healthCheck"]["command"][1:3] == ["/usr/bin/sagegate", "probe"]
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & {e["name"] for e in gateway["environment"]}
    for other in task["containerDefinitions"]:
        if other is not gateway:
            assert other["dependsOn"] == [{"containerName": "sagegate", "condition": "HEALTHY"}]


@pytest.mark.parametrize("file", ["deploy/docker/sagegate.yaml", "deploy/systemd/sagegate.yaml",
                                  "conf/sidecar.yaml", "conf/shared.yaml"])
def test_shipped_configurations_are_valid(file):
    run(BINARY, "check", "-c", ROOT / file, env={"SAGEGATE_ENDPOINT": "fraud-prod", "AWS_REGION": "us-east-1"})
