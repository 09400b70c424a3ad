"""Credential sources for tests: the configuration, the environment, and how credentials are issued. Stand-ins play the
servers."""

import hashlib
import json

import standins

NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
ROUTES = """
routes:
  - name: call
    match: { path: "/call/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
"""
HEAD = """
listen: [{{ address: "@LISTEN@" }}]
admin: {{ address: "@ADMIN@" }}
health: {{ address: "@HEALTH@" }}
region: us-east-1
{more}
upstream: {{ endpoint_url: "{url}", ca_file: "{ca}" }}
"""
TROUBLE = r'"topic": ?"(credentials|signature)"'


def key_of(endpoint):
    return endpoint.requests[-1].access_key


def call(gateway):
    return gateway.call("/call/echo", b"hello")


def write(path, text, mode=0o600):
    """Replaces the file by rename, as a careful writer does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.touch(mode)
    new.write_text(text)
    new.replace(path)
    return path


class Source:
    """`fail` breaks the source, `mend` repairs it."""
    name, more, life = None, "", 3.0

    def __init__(self, standin, tmp_path):
        self.standin, self.tmp_path = standin, tmp_path
        standin.issuer.life = self.life
        self.env = {}
        self.open()

    def open(self):
        pass

    def fail(self):
        self.standin.fault = 500

    def mend(self):
        self.standin.fault = None

    def rotate(self):
        """Automatic as the credentials approach expiration."""


class Container(Source):
    name, more = "container", "credentials: { source: container }"

    def open(self):
        self.token = write(self.tmp_path / "token", "bearer-EXAMPLE\n")
        self.standin.bearer = "bearer-EXAMPLE"
        self.env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self.standin.url + "/v1/credentials?x=1",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.token)}

    def rotate(self):
        write(self.token, "bearer-2-EXAMPLE")
        self.standin.bearer = "bearer-2-EXAMPLE"


class Imds(Source):
    name = "imds"

    def open(self):
        self.more = f'credentials: {{ imds_endpoint: "{self.standin.url}/" }}'
        self.env = {"AWS_EC2_METADATA_DISABLED": None}


class WebIdentity(Source):
    name = "web_identity"

    def open(self):
        self.token = write(self.tmp_path / "token", "web-token-EXAMPLE\n")
        self.standin.web_token = "web-token-EXAMPLE"
        self.env = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token), "AWS_ROLE_ARN": standins.ROLE_ARN,
                    "AWS_ENDPOINT_URL_STS": self.standin.url}

    def rotate(self):
        write(self.token, "web-token-2-EXAMPLE")
        self.standin.web_token = "web-token-2-EXAMPLE"


class Role(Source):
    """A chain of two roles from a profile's keys."""
    name, more = "assume_role", "credentials: { source: profile, profile: outer }"

    def open(self):
        base = self.standin.issuer
        base.life = None
        key_id, secret, token, _ = base.issue()
        base.life = self.life
        write(self.tmp_path / ".aws/credentials",
              f"[base]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\naws_session_token={token}\n")
        write(self.tmp_path / ".aws/config",
              f"[profile outer]\nrole_arn = {standins.ROLE_ARN}-outer\nsource_profile = inner\n"
              "external_id = ext/1\nrole_session_name = " + "n" * 70 + "\nduration_seconds = 900\n"
              f"[profile inner]\nrole_arn = {standins.ROLE_ARN}-inner\nsource_profile = base\n")
        self.env = {"AWS_ENDPOINT_URL_STS": self.standin.url}


class Process(Source):
    name = "process"

    def open(self):
        self.script = self.tmp_path / "helper"
        self.fresh = self.tmp_path / "fresh"
        self.mend()
        self.more = f'credentials: {{ source: process, process: "\'{self.script}\' a \\"b c\\"" }}'

    def mend(self):
        # A small server issues the credentials, as for a real helper.
        write(self.script, f"""#!/usr/bin/python3
import json, sys, urllib.request
assert sys.argv[1:] == ["a", "b c"], sys.argv
set_ = json.load(urllib.request.urlopen("{self.standin.url}/process"))
print(json.dumps({{"Version": 1, "AccessKeyId": set_["AccessKeyId"], "SecretAccessKey": set_["SecretAccessKey"],
                   "SessionToken": set_["Token"], "Expiration": set_["Expiration"]}}))
""", 0o700)
        self.script.chmod(0o700)

    def fail(self):
        write(self.script, "#!/bin/sh\nexit 7\n", 0o700)
        self.script.chmod(0o700)


class Static(Source):
    name = "static"

    def open(self):
        self.file = self.tmp_path / "set.json"
        self.rotate()
        self.more = f'credentials: {{ source: static, file: "{self.file}" }}'

    def rotate(self):
        write(self.file, self.standin.issuer.document("SessionToken", Version=1))

    mend = rotate

    def fail(self):
        write(self.file, '{"Version": 1, "AccessKeyId": ')


class Sso(Source):
    name, more = "sso", "credentials: { source: profile, profile: dev }"

    def open(self):
        write(self.tmp_path / ".aws/config",
              "[profile dev]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Infer\n"
              "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.awsapps.com/start\n")
        digest = hashlib.sha1(b"corp").hexdigest()
        write(self.tmp_path / f".aws/sso/cache/{digest}.json",
              json.dumps({"accessToken": "sso-bearer-EXAMPLE", "expiresAt": "2999-01-01T00:00:00Z"}))
        self.env = {"AWS_ENDPOINT_URL_SSO": self.standin.url}


SOURCES = [Container, Imds, WebIdentity, Role, Process, Static, Sso]
