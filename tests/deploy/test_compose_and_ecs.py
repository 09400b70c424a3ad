"""The compose file and the ECS task definitions: their fields, and what they promise."""

import json

import botocore.session
import botocore.validate
import pytest
import yaml

from tests.deploy.machine import BINARY, ROOT, run

COMPOSE = ROOT / "deploy/compose/compose.yaml"
TASKS = sorted((ROOT / "deploy/ecs").glob("*.json"))


def test_compose_hardens_the_gateway_and_shares_its_network():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    gateway, app = services["sagegate"], services["app"]
    assert gateway["read_only"] and gateway["cap_drop"] == ["ALL"]
    assert "ports" not in gateway, "nobody but the program reaches it"
    assert app["network_mode"] == "service:sagegate"
    assert app["depends_on"]["sagegate"]["condition"] == "service_healthy"
    profile = next(o.removeprefix("seccomp:") for o in gateway["security_opt"] if o.startswith("seccomp:"))
    assert json.loads((COMPOSE.parent / profile).read_text())["defaultAction"] == "SCMP_ACT_ERRNO"
    assert (COMPOSE.parent / gateway["volumes"][0].split(":")[0]).resolve() == ROOT / "conf/sidecar.yaml"


@pytest.mark.parametrize("file", TASKS, ids=lambda file: file.name)
def test_ecs_takes_the_task_definition(file):
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
def test_the_configurations_that_are_shipped_are_sound(file):
    run(BINARY, "check", "-c", ROOT / file, env={"SAGEGATE_ENDPOINT": "fraud-prod", "AWS_REGION": "us-east-1"})
