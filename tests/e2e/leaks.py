"""Secret scanner: the secrets of this run of a module, and a check of all output of the program.

Code that creates or receives a secret registers it here: environments, the stand-ins that issue credentials, and all
servers that receive one. lib.py scans all output of a gateway or a command, at the latest when it ends, so tests need
not do it.
"""

import base64
import json
import re
import urllib.parse

SHORTEST = 8       # a shorter one may appear in other text by chance,
FEWEST = 4         # as may one with fewer different characters: tests pad data with "xxx..."
BEGINNING = 60     # a long secret: this prefix must not appear either
ENVIRONMENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")
# In these headers, the value or its last word is secret.
HEADERS = ("authorization", "proxy-authorization", "x-amz-security-token", "x-aws-ec2-metadata-token",
           "x-amz-sso_bearer_token")
FORM = ("WebIdentityToken",)
# Never allowed in output, whoever issued them.
NEVER = re.compile(rb"PRIVATE KEY-----|[ ,&]X?-?(?:Amz-)?Signature=[0-9a-f]{8}|sagemaker-api-key-\w")

_forms = set()       # bytes, in every encoding that could appear
_signatures = set()  # too many to search for one by one
_SIGNATURE = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def learn(*values):
    for value in values:
        if value and len(value) >= SHORTEST and len(set(value)) >= FEWEST and value not in _forms:
            _forms.update(form.encode() for form in _forms_of(value))


def forget():
    """Another module may use these texts as ordinary words."""
    _forms.clear()
    _signatures.clear()


def _forms_of(value):
    yield value.rstrip("=")
    yield urllib.parse.quote(value, safe="")
    yield json.dumps(value)[1:-1]
    yield value.replace("/", "\\/")
    yield base64.b64encode(value.encode()).decode().rstrip("=")
    if len(value) > BEGINNING:
        yield value[:BEGINNING]


def learn_environment(env):
    learn(*(env.get(name) for name in ENVIRONMENT))
    for name, value in env.items():
        if name.lower().endswith("_proxy"):
            learn_url(value)


def learn_url(url):
    """Registers the password in it."""
    userinfo = re.search(r"//([^/@]*)@", url or "")
    if userinfo:
        learn(urllib.parse.unquote(userinfo[1].partition(":")[2]), base64.b64encode(userinfo[1].encode()).decode())


def learn_request(headers, form=()):
    """Registers the secrets that a server received. headers, form: (name, value) each."""
    for name, value in headers:
        if name.lower() not in HEADERS:
            continue
        signature = re.search(r"Signature=([0-9a-f]{64})", value)
        if signature:
            _signatures.add(signature[1].encode())
        else:
            learn(value.rpartition(" ")[2])
    learn(*(value for name, value in form if name in FORM))


def found_in(data, signs=False):
    """Returns the first secret in it as text, None if there is none. signs: the output may show its own signature."""
    data = data if isinstance(data, bytes) else data.encode()
    for form in list(_forms):  # other threads register more meanwhile
        if form in data:
            return form.decode()
    for match in _SIGNATURE.finditer(data):
        if match[0] in _signatures:
            return match[0].decode()
    match = None if signs else NEVER.search(data)
    return match and match[0].decode(errors="replace")


def look(where, data, signs=False):
    """Raises AssertionError if the output contains a secret."""
    secret = found_in(data, signs)
    if secret is None:
        return
    data = data if isinstance(data, bytes) else data.encode()
    line = next((line for line in data.splitlines() if secret.encode() in line), data)
    raise AssertionError(f"a secret is in {where}: {secret!r} in {line[:2000]!r}")
