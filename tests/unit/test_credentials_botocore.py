"""The source chain against botocore's, over generated environments and shared files: both find the same identity,
except for deliberate differences."""

import json
import os
import random
import shlex
import string
import subprocess
from unittest import mock

import botocore.credentials
import botocore.loaders
import botocore.session
import botocore.utils
import pytest

from tests.unit.oracle import BUILD

CASES = 250
SEED = 20110615
PROFILES = ["default", "a", "b", "c"]
PROCESS_SET = {"Version": 1, "AccessKeyId": "AKPROCESS", "SecretAccessKey": "s", "SessionToken": "t",
               "Expiration": "2999-01-01T00:00:00Z"}
METADATA_SET = {"access_key": "AKIMDS", "secret_key": "s", "token": "t", "expiry_time": "2999-01-01T00:00:00Z",
                "role_name": "r", "account_id": None}
CONTAINER_SET = {"AccessKeyId": "AKCONTAINER", "SecretAccessKey": "s", "Token": "t",
                 "Expiration": "2999-01-01T00:00:00Z"}


def ours(env, *arguments):
    done = subprocess.run([BUILD / "credentials_driver", *arguments], env={**env, "PATH": os.environ["PATH"]},
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def our_identity(env):
    plan = ours(env)
    if plan["base"] == "failed":
        return "failed"
    base = {"set": plan.get("key_id"), "process": "AKPROCESS", "container": "AKCONTAINER", "imds": "AKIMDS"}.get(
        plan["base"])
    if plan["base"] == "web_identity":
        base = ("web", plan["identity"]["arn"], plan["token_file"])
    roles = [(role["arn"], role["external_id"], role["duration"] or None, session_of(role["session"]))
             for role in plan["roles"]]
    return base, roles


def session_of(name):
    """Generated names differ by SDK."""
    return None if name is None or name.startswith(("sagegate-", "botocore-session-")) else name


def botocore_identity(env):
    calls = []

    class Sts:
        def __init__(self, key_id):
            self.key_id = key_id

        def _response(self, key_id):
            return {"Credentials": {"AccessKeyId": key_id, "SecretAccessKey": "s", "SessionToken": "t",
                                    "Expiration": "2999-01-01T00:00:00Z"}, "AssumedRoleUser": {"Arn": "arn:aws:x:::"}}

        def assume_role(self, **asked):
            calls.append((self.key_id, asked))
            return self._response(f"AKROLE{len(calls)}")

        def assume_role_with_web_identity(self, **asked):
            calls.append(("web", asked))
            return self._response("AKWEB")

    def create_client(_self, _service, *_, aws_access_key_id=None, **__):
        return Sts(aws_access_key_id)

    disabled = env.get("AWS_EC2_METADATA_DISABLED") == "true"
    with mock.patch.dict(os.environ, env, clear=True), \
            mock.patch.object(botocore.session.Session, "create_client", create_client), \
            mock.patch.object(botocore.utils.ContainerMetadataFetcher, "retrieve_full_uri",
                              lambda *_, **__: CONTAINER_SET), \
            mock.patch.object(botocore.utils.InstanceMetadataFetcher, "retrieve_iam_role_credentials",
                              lambda _self: {} if disabled else METADATA_SET):
        try:
            found = botocore.session.Session().get_credentials()
            if found is None:
                return "failed"
            key_id = found.get_frozen_credentials().access_key
        except Exception:  # any error: botocore has no common class for these
            return "failed"
    web = [asked for kind, asked in calls if kind == "web"]
    roles = [(asked["RoleArn"], asked.get("ExternalId"), asked.get("DurationSeconds"),
              session_of(asked["RoleSessionName"])) for kind, asked in calls if kind != "web"]
    base = next((kind for kind, _ in calls if kind != "web"), key_id)
    if web:
        base = ("web", web[0]["RoleArn"], env["TOKEN_FILE"])
    return base, roles


def make_profile(rng, name, in_config):
    lines = []
    if rng.random() < 0.4:
        lines += [f"aws_access_key_id = AK{name}{'config' if in_config else 'shared'}", "aws_secret_access_key=s#;x="]
        if rng.random() < 0.4:
            lines += ["aws_session_token =  t "]
    if rng.random() < (0.5 if in_config else 0.1):
        lines += [f"role_arn = arn:aws:iam::1:role/{name}"]
        kind = rng.random()
        if kind < 0.7:
            lines += [f"source_profile = {rng.choice(PROFILES)}"]
        elif kind < 0.9:
            lines += [f"credential_source = {rng.choice(['Environment', 'Ec2InstanceMetadata', 'EcsContainer'])}"]
        if rng.random() < 0.3:
            lines += ["external_id = e/1"]
        if rng.random() < 0.3:
            lines += ["duration_seconds = 1800"]
        if rng.random() < 0.3:
            lines += ["role_session_name = sess"]
    if rng.random() < 0.1:
        lines += ["web_identity_token_file = @TOKEN@"]
    if rng.random() < 0.15:
        lines += ["credential_process = /bin/echo '" + json.dumps(PROCESS_SET) + "'"]
    if rng.random() < 0.3:
        lines += ["s3 =", "  addressing_style = path", "  max = 1"]
    if rng.random() < 0.3:
        lines += ["# a comment", "", "REGION = eu-west-1"]
    rng.shuffle(lines) if "s3 =" not in lines else None
    return lines


def make_case(rng, tmp_path):
    token = tmp_path / "token"
    token.write_text("web-token")
    env = {"HOME": str(tmp_path), "TOKEN_FILE": str(token)}
    for file, in_config in (("config", True), ("credentials", False)):
        lines = []
        for name in PROFILES:
            if rng.random() < 0.6:
                title = name if name == "default" or not in_config else f"profile {name}"
                lines += [f"[{title}]", *make_profile(rng, name, in_config)]
        path = tmp_path / file
        path.write_text("\n".join(lines).replace("@TOKEN@", str(token)) + "\n")
        env["AWS_CONFIG_FILE" if in_config else "AWS_SHARED_CREDENTIALS_FILE"] = str(path)
    chances = {"AWS_PROFILE": (0.5, rng.choice(PROFILES)), "AWS_ACCESS_KEY_ID": (0.2, "AKENV"),
               "AWS_WEB_IDENTITY_TOKEN_FILE": (0.2, str(token)), "AWS_ROLE_ARN": (0.2, "arn:aws:iam::1:role/env"),
               "AWS_CONTAINER_CREDENTIALS_FULL_URI": (0.3, "http://127.0.0.1:1/x"),
               "AWS_EC2_METADATA_DISABLED": (0.5, "true")}
    env.update({name: value for name, (chance, value) in chances.items() if rng.random() < chance})
    if "AWS_ACCESS_KEY_ID" in env and rng.random() < 0.9:
        env["AWS_SECRET_ACCESS_KEY"] = "s"
    return env


def differs_deliberately(env, found):
    """A named profile that does not exist is always an error in botocore; here only if the chain reaches it."""
    profile = env.get("AWS_PROFILE")
    text = "".join(open(env[name]).read() for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"))
    return profile is not None and f"[{profile}]" not in text and f"[profile {profile}]" not in text


def test_chain_matches_botocore(tmp_path):
    rng = random.Random(SEED)
    kinds = {}
    for number in range(CASES):
        directory = tmp_path / str(number)
        directory.mkdir()
        env = make_case(rng, directory)
        mine, theirs = our_identity(env), botocore_identity(env)
        if mine != theirs and differs_deliberately(env, mine):
            continue
        files = {name: open(env[name]).read() for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
        assert mine == theirs, (number, env, ours(env), files)
        kind = "failed" if mine == "failed" else (mine[0] if isinstance(mine[0], str) else "web", len(mine[1]))
        kinds[kind] = kinds.get(kind, 0) + 1
    assert len(kinds) > 10, kinds


def test_command_lines_are_split_like_shlex(tmp_path):
    rng = random.Random(SEED)
    for number in range(60):
        line = "x" + "".join(rng.choice("ab '\"\\$#;|\t") for _ in range(rng.randint(0, 30)))
        file = tmp_path / str(number)
        file.write_text(f"[default]\ncredential_process = {line}\n")
        plan = ours({"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(file), "AWS_SHARED_CREDENTIALS_FILE": "/none"})
        # The file's grammar removes comments and trailing spaces before the line is split.
        for i, c in enumerate(line):
            if c in "#;" and line[i - 1] in " \t":
                line = line[:i]
                break
        try:
            words = shlex.split(line.strip())
        except ValueError:
            words = None
        assert (None if plan["base"] == "failed" else [word["word"] for word in plan["argv"]]) == words, line


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1",
                                    "us-isob-east-1"])
@pytest.mark.parametrize("variant", ["", "f", "d", "fd"])
def test_sts_host_matches_botocore(region, variant, tmp_path):
    token = tmp_path / "token"
    token.write_text(string.ascii_letters)
    env = {"HOME": str(tmp_path), "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}
    try:
        # Older botocore versions need this setting; newer ones have it as the default.
        with mock.patch.dict(os.environ, {"AWS_STS_REGIONAL_ENDPOINTS": "regional"}):
            client = botocore.session.Session().create_client(
                "sts", region_name=region, aws_access_key_id="a", aws_secret_access_key="b",
                config=botocore.config.Config(use_fips_endpoint="f" in variant, use_dualstack_endpoint="d" in variant))
    except Exception:
        return  # botocore has no such endpoint
    theirs = client.meta.endpoint_url
    if region.startswith(("us-iso", "us-isob")) and "d" in variant:
        return  # botocore's partitions are older than the service's rule set
    assert "https://" + ours(env, region, variant)["sts"] == theirs


LOADER = botocore.loaders.create_loader()  # caches what it has read
REGIONS = ["us-east-1", "eu-west-1", "ap-northeast-1", "eu-south-1", "me-central-1", "us-gov-west-1", "cn-north-1"]


def maybe(rng, chance, values):
    return rng.choice(values) if rng.random() < chance else None


def make_call_case(rng, tmp_path):
    """Makes variables and profile keys that determine how STS and IMDS are called."""
    region = rng.choice(REGIONS)
    settings = {
        "use_fips_endpoint": ("AWS_USE_FIPS_ENDPOINT", ["true", "True", "false", "yes"]),
        "use_dualstack_endpoint": ("AWS_USE_DUALSTACK_ENDPOINT", ["true", "TRUE", "false"]),
        "sts_regional_endpoints": ("AWS_STS_REGIONAL_ENDPOINTS", ["legacy", "regional", "legacy", "regional", "both"]),
        "ca_bundle": ("AWS_CA_BUNDLE", ["/etc/ssl/certs/ca-certificates.crt"]),
        "ec2_metadata_service_endpoint": ("AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                          ["http://127.0.0.1:9911", "http://[::1]:9911/", "http://169.254.169.1"]),
        "ec2_metadata_service_endpoint_mode": ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
                                               ["IPv4", "ipv6", "IPv6", "IPV6", "v6"]),
    }
    lines, env = [f"region = {region}"], {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config"),
                                          "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    for key, (variable, values) in settings.items():
        if value := maybe(rng, 0.25, values):
            lines.append(f"{key} = {value}")
        if value := maybe(rng, 0.2, values):
            env[variable] = value
    profile = rng.choice(["default", "work"])
    if profile != "default":
        env["AWS_PROFILE"] = profile
    (tmp_path / "config").write_text(f"[{profile if profile == 'default' else 'profile work'}]\n" + "\n".join(lines) + "\n")
    return region, env


def botocore_sts_request(env):
    """Returns the host, the signing region, and the trusted certificates."""
    sent = []

    def send(request, **_):
        sent.append(request)
        raise InterruptedError("stop before the request")

    text = open(env["AWS_CONFIG_FILE"]).read()
    # Older botocore versions need this setting; newer ones have it as the default.
    new_default = {} if "sts_regional" in text else {"AWS_STS_REGIONAL_ENDPOINTS": "regional"}
    with mock.patch.dict(os.environ, {**new_default, **env}, clear=True):
        try:
            session = botocore.session.Session()
            session.register_component("data_loader", LOADER)
            client = session.create_client("sts", aws_access_key_id="a", aws_secret_access_key="b")
            client.meta.events.register("before-send.sts", send)
            client.get_caller_identity()
        except Exception:  # any error: botocore has no common class for these
            if not sent:
                return "failed"
    scope = sent[0].headers["Authorization"].decode().split("Credential=")[1].split("/")
    return sent[0].url.split("/")[2], scope[2], client._endpoint.http_session._verify


def test_sts_requests_match_botocore(tmp_path):
    rng = random.Random(SEED)
    seen = set()
    for number in range(120):
        directory = tmp_path / str(number)
        directory.mkdir()
        region, env = make_call_case(rng, directory)
        theirs = botocore_sts_request(env)
        plan = ours({**env, "AWS_WEB_IDENTITY_TOKEN_FILE": "/none", "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}, region)
        mine = "failed" if plan["base"] == "failed" else (plan["sts"], plan["sts_region"], plan["ca_file"] or True)
        if theirs == "failed" and mine != "failed" and mine[0].startswith("sts-fips") and mine[0].endswith("api.aws"):
            continue  # botocore's partitions are older than the service's rule set
        assert mine == theirs, (env, open(env["AWS_CONFIG_FILE"]).read(), plan)
        seen.add(mine[0].replace(region, "REGION") if mine != "failed" else mine)
    assert seen >= {"failed", "sts.amazonaws.com", "sts.REGION.amazonaws.com", "sts-fips.REGION.amazonaws.com",
                    "sts.REGION.api.aws", "sts.REGION.amazonaws.com.cn"}, seen


def botocore_imds_address(env):
    with mock.patch.dict(os.environ, env, clear=True):
        session = botocore.session.Session()
        try:
            mode = botocore.utils.resolve_imds_endpoint_mode(session)
            endpoint = session.get_config_variable("ec2_metadata_service_endpoint")
            fetcher = botocore.utils.InstanceMetadataFetcher(
                config={"ec2_metadata_service_endpoint": endpoint, "ec2_metadata_service_endpoint_mode": mode})
        except Exception:
            return "failed"
    return fetcher._base_url.split("/")[2]


def test_imds_address_matches_botocore(tmp_path):
    rng = random.Random(SEED + 1)
    seen = set()
    for number in range(60):
        directory = tmp_path / str(number)
        directory.mkdir()
        _, env = make_call_case(rng, directory)
        plan = ours(env)
        mine = "failed" if plan["base"] == "failed" else plan["host"]
        assert mine == botocore_imds_address(env), (env, open(env["AWS_CONFIG_FILE"]).read(), plan)
        seen.add(mine)
    assert seen == {"failed", "127.0.0.1:9911", "[::1]:9911", "169.254.169.1", "169.254.169.254", "[fd00:ec2::254]"}


# botocore supports endpoint_url from 1.31 on; these are the rules of AWS's SDKs and tools reference ("Service-specific
# endpoints").
PROFILE = """
[default]
services = local
endpoint_url = https://profile.example
ignore_configured_endpoint_urls = IGNORE
[services local]
dynamodb =
  endpoint_url = https://dynamodb.example
sts =
  endpoint_url = https://services.example:8443
"""


@pytest.mark.parametrize("env, config, host", [
    ({"AWS_ENDPOINT_URL_STS": "https://one.example", "AWS_ENDPOINT_URL": "https://two.example"}, PROFILE, "one.example"),
    ({"AWS_ENDPOINT_URL": "https://two.example:1"}, PROFILE, "two.example:1"),
    ({}, PROFILE, "services.example:8443"),
    ({}, PROFILE.replace("sts =", "s3 ="), "profile.example"),
    ({}, PROFILE.replace("services = local", "services = other"), "profile.example"),
    ({}, PROFILE.replace("IGNORE", "true"), "sts.us-east-1.amazonaws.com"),
    ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL_STS": "https://one.example"}, PROFILE,
     "sts.us-east-1.amazonaws.com"),
    ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"}, PROFILE.replace("IGNORE", "true"), "services.example:8443"),
    ({"AWS_ENDPOINT_URL": "http://two.example"}, "", "sts: AWS_ENDPOINT_URL: must use https:// (except on loopback)"),
    ({"AWS_ENDPOINT_URL_STS": "two.example"}, "", "sts: AWS_ENDPOINT_URL_STS: "),
    ({}, "[default]\nendpoint_url = x\n", "sts: endpoint_url of the profile: "),
    ({"AWS_STS_REGIONAL_ENDPOINTS": "both"}, "", "AWS_STS_REGIONAL_ENDPOINTS (or the profile's"),
], ids=range(12))
def test_configured_sts_endpoints(env, config, host, tmp_path):
    (tmp_path / "config").write_text(config)
    plan = ours({"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
                 "AWS_WEB_IDENTITY_TOKEN_FILE": "/none", **env})
    assert plan.get("sts") == host or host in plan.get("fault", ""), plan


# ---- deliberate differences: SDK behaviour that a gateway must not copy

def test_deliberate_differences(tmp_path):
    shared = tmp_path / "credentials"
    env = {"HOME": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": str(shared), "AWS_CONFIG_FILE": "/none",
           "AWS_EC2_METADATA_DISABLED": "true", "TOKEN_FILE": ""}
    # A comment after a value is not part of it, as in the other SDKs.
    shared.write_text("[default]\naws_access_key_id = AK # mine\naws_secret_access_key = s\n")
    assert our_identity(env)[0] == "AK" and botocore_identity(env)[0] == "AK # mine"
    # A duplicate section is merged.
    shared.write_text("[default]\naws_access_key_id = AK\n[default]\naws_secret_access_key = s\n")
    assert our_identity(env)[0] == "AK" and botocore_identity(env) == "failed"
    # MFA is not supported: nobody can enter the code.
    shared.write_text("[base]\naws_access_key_id = AK\naws_secret_access_key = s\n"
                      "[default]\nrole_arn = r\nsource_profile = base\nmfa_serial = x\n")
    assert "mfa_serial" in ours(env)["fault"]
    # A configured STS endpoint is used regardless of FIPS: the URL already says where to connect.
    shared.write_text("")
    asked = ours({**env, "AWS_USE_FIPS_ENDPOINT": "true", "AWS_ENDPOINT_URL_STS": "https://vpce.example",
                  "AWS_WEB_IDENTITY_TOKEN_FILE": "/none", "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"})
    assert asked["sts"] == "vpce.example"
    # Metadata over plain HTTP is only requested from link-local and loopback addresses.
    env.pop("AWS_EC2_METADATA_DISABLED")
    assert "must use https://: plain" in ours({**env, "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://x.example"})["fault"]
    # AWS_REGION is read as well as AWS_DEFAULT_REGION: tests/unit/test_check.py.
