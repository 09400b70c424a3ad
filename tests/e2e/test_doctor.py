"""sagegate doctor: its checks, and a code for each class of error."""

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


def test_everything_works(doctor, endpoint):
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].startswith("ok   credentials  default: env, key id ...MPLE")
    assert "env: selected" in lines[2]
    assert any("arn:aws:iam::111122223333:user/x, account 111122223333" in line for line in lines)
    assert any(line.startswith("ok   clock") for line in lines)
    assert any(line.startswith("ok   upstream") and "(TLS), region us-east-1" in line for line in lines)
    assert lib.SECRET_KEY not in done.stdout + done.stderr
    assert not endpoint.requests  # no model is invoked


NONE = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


def test_no_credentials(doctor):
    done = doctor(**NONE)
    assert done.returncode == 2 and "FAIL credentials  default: no source of credentials" in done.stdout
    for line in ("env: not configured: AWS_ACCESS_KEY_ID is not set", "static: not configured: credentials.file",
                 "web_identity: not configured: AWS_WEB_IDENTITY_TOKEN_FILE", 'profile: not configured: no profile "default"',
                 "process: not configured: ", "container: not configured: AWS_CONTAINER_CREDENTIALS_FULL_URI",
                 "imds: not configured: AWS_EC2_METADATA_DISABLED is true"):
        assert line in done.stdout


def test_broken_source(doctor):
    done = doctor(source="container", **NONE, AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:1/x")
    assert done.returncode == 2 and "cannot connect" in done.stdout


def test_unknown_keys(doctor):
    done = doctor(AWS_ACCESS_KEY_ID="AKIDUNKNOWN")
    assert done.returncode == 3 and "InvalidClientTokenId" in done.stdout


def test_unreachable_upstream(doctor):
    done = doctor(url="https://127.0.0.1:1")
    assert done.returncode == 4 and "FAIL upstream     default: 127.0.0.1:1: cannot connect" in done.stdout


def test_untrusted_upstream(doctor):
    from tests.endpoint import Endpoint
    with Endpoint(tls="untrusted") as other:
        done = doctor(url=other.url)
    assert done.returncode == 5 and "TLS: " in done.stdout


def test_wrong_clock(doctor, endpoint, ca_file):
    """STS rejects the signature made with the machine's clock and accepts one made with its own, so only the clock is
    wrong."""
    with standins.StandIn(standins.LivingKeys(endpoint.keys), tls=True) as standin:
        standin.clock_skew_s = -1000
        done = doctor(AWS_ENDPOINT_URL_STS=standin.url, AWS_CA_BUNDLE=str(ca_file))
        assert standin.count("GetCallerIdentity") == 2
    assert done.returncode == 6, done.stdout
    assert "FAIL clock        this machine's clock differs from AWS's by 1000 s" in done.stdout.replace("999", "1000")
    assert "ok   identity     default: arn:aws:iam::111122223333:user/x" in done.stdout


def test_several_identities_with_different_errors(endpoint, ca_file, standin, tmp_path):
    file = tmp_path / "sagegate.yaml"
    file.write_text(CONFIG.format(source="env", url=endpoint.url, ca=ca_file) + f"""
  - {{ name: b, match: {{ path: /b }}, endpoint: echo, identity: role }}
  - {{ name: c, match: {{ path: /c }}, endpoint: echo, identity: broken }}
identities:
  role: {{ assume_role: {{ role_arn: {standins.ROLE_ARN}, session_name: "gate-${{route}}" }} }}
  broken: {{ source: static, file: none.json }}
  unused: {{ source: container }}
""")
    done = lib.run("doctor", "-c", file, env={"AWS_ENDPOINT_URL_STS": standin.url, "HOME": str(tmp_path)})
    assert done.returncode == 2
    assert "ok   credentials  default: env, key id" in done.stdout
    assert "ok   credentials  role/gate-b: assume_role, key id ...0001, expires 20" in done.stdout
    assert "ok   identity     role/gate-b: arn:aws:iam::111122223333:" in done.stdout
    assert f"FAIL credentials  broken: static: {tmp_path}/none.json: cannot open: No such file" in done.stdout
    assert "unused" not in done.stdout


def test_expired_credentials_show_their_expiration(doctor):
    done = doctor(AWS_CREDENTIAL_EXPIRATION="2015-08-30T12:36:00Z")
    assert done.returncode == 2
    assert "FAIL credentials  default: env, key id ...MPLE, expired 2015-08-30T12:36:00.000000Z: the source" in done.stdout


def test_broken_profile(doctor, tmp_path):
    (tmp_path / "config").write_text("[default]\nregion = us-east-1\n[profile x\n")
    done = doctor(**NONE, AWS_CONFIG_FILE=str(tmp_path / "config"))
    assert done.returncode == 2
    assert f"FAIL credentials  default: profile: {tmp_path}/config: line 3: " in done.stdout
    assert "profile: configured but invalid" in done.stdout


def test_unreachable_sts(doctor):
    done = doctor(AWS_ENDPOINT_URL_STS="http://127.0.0.1:1")
    assert done.returncode == 3
    assert "FAIL identity     default: sts: 127.0.0.1:1: cannot connect: Connection refused" in done.stdout


def test_sts_is_called_through_the_environment_proxy(doctor, endpoint, ca_file):
    with standins.StandIn(standins.LivingKeys(endpoint.keys), tls=True, names=["sts.us-east-1.amazonaws.com"]) as standin, \
            standins.Proxy(standin.server.server_address) as proxy:
        done = doctor(AWS_ENDPOINT_URL_STS=None, AWS_CA_BUNDLE=str(ca_file), HTTPS_PROXY=proxy.url, NO_PROXY="localhost")
        assert done.returncode == 0, done.stdout
        assert proxy.asked == ["sts.us-east-1.amazonaws.com:443"]


def test_invalid_configuration(tmp_path):
    file = tmp_path / "sagegate.yaml"
    file.write_text("routes: 5\n")
    done = lib.run("doctor", "-c", file)
    assert done.returncode == 1 and "FAIL config" in done.stdout and "routes" in done.stderr
    assert lib.run("doctor").returncode == 1
