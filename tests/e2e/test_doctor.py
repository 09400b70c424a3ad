"""sagegate doctor: what it looks at, and a code for each class of fault."""

import pytest

import lib
import standins

CONFIG = """
region: us-east-1
credentials: {{ source: {source} }}
upstream: {{ endpoint_url: "{url}", ca_file: "{ca}" }}
routes:
  - {{ name: a, match: {{ path: /a }}, endpoint: echo }}
"""


@pytest.fixture
def standin(endpoint):
    with standins.StandIn(standins.LivingKeys(endpoint.keys)) as standin:
        yield standin


@pytest.fixture
def doctor(endpoint, ca_file, standin, tmp_path):
    def doctor(source="default", url=None, ca=None, **env):
        file = tmp_path / "sagegate.yaml"
        file.write_text(CONFIG.format(source=source, url=url or endpoint.url, ca=ca or ca_file))
        return lib.run("doctor", "-c", file, env={"AWS_ENDPOINT_URL_STS": standin.url, "HOME": str(tmp_path),
                                                  "AWS_EC2_METADATA_DISABLED": "true", **env})
    return doctor


def test_all_is_well(doctor, endpoint):
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].startswith("ok   credentials  default: env, key id ...MPLE")
    assert "env: found" in lines[2]
    assert any("arn:aws:iam::111122223333:user/x, account 111122223333" in line for line in lines)
    assert any(line.startswith("ok   clock") for line in lines)
    assert any(line.startswith("ok   upstream") and "(TLS), region us-east-1" in line for line in lines)
    assert lib.SECRET_KEY not in done.stdout + done.stderr
    assert not endpoint.requests  # no model is invoked


NONE = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


def test_no_credentials(doctor):
    done = doctor(**NONE)
    assert done.returncode == 2 and "FAIL credentials  default: no source of credentials" in done.stdout
    assert "imds: not configured" in done.stdout


def test_a_source_that_is_broken(doctor):
    done = doctor(source="container", **NONE, AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:1/x")
    assert done.returncode == 2 and "cannot connect" in done.stdout


def test_keys_that_aws_does_not_know(doctor):
    done = doctor(AWS_ACCESS_KEY_ID="AKIDUNKNOWN")
    assert done.returncode == 3 and "InvalidClientTokenId" in done.stdout


def test_an_upstream_that_is_not_there(doctor):
    done = doctor(url="https://127.0.0.1:1")
    assert done.returncode == 4 and "FAIL upstream     default: 127.0.0.1:1: cannot connect" in done.stdout


def test_an_upstream_that_is_not_trusted(doctor):
    from tests.endpoint import Endpoint
    with Endpoint(tls="untrusted") as other:
        done = doctor(url=other.url)
    assert done.returncode == 5 and "TLS: " in done.stdout


def test_a_clock_that_is_wrong(doctor, standin):
    standin.clock_skew_s = -1000
    done = doctor()
    assert done.returncode == 6 and "FAIL clock        this machine is 1000 s off" in done.stdout.replace("999", "1000")


def test_a_configuration_that_does_not_load(tmp_path):
    file = tmp_path / "sagegate.yaml"
    file.write_text("routes: 5\n")
    done = lib.run("doctor", "-c", file)
    assert done.returncode == 1 and "FAIL config" in done.stdout and "routes" in done.stderr
    assert lib.run("doctor").returncode == 1
