"""No output holds a secret: what is secret in this run of a module, and a look at everything that the program says.

Those who make or see a secret tell it here: environments, the stand-ins that issue credentials, and all servers that
are shown one as a proof. Whatever a gateway or a command says is looked at, by lib.py at the latest when it ends; so
no test has to think of it.
"""

import base64
import json
import re
import urllib.parse

SHORTEST = 8       # a shorter one stands in innocent text by chance,
FEWEST = 4         # as does one of fewer different characters: tests fill things up with "xxx..."
BEGINNING = 60     # of a long one: nor may a part of it be told
ENVIRONMENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")
# In these headers, all of the value or its last word is a proof.
HEADERS = ("authorization", "proxy-authorization", "x-amz-security-token", "x-aws-ec2-metadata-token",
           "x-amz-sso_bearer_token")
FORM = ("WebIdentityToken",)
# Whoever's it is, these are never told.
NEVER = re.compile(rb"PRIVATE KEY-----|[ ,&]X?-?(?:Amz-)?Signature=[0-9a-f]{8}|sagemaker-api-key-\w")

_forms = set()       # bytes, in every form in which one could be told
_signatures = set()  # too many to look for one by one
_SIGNATURE = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def learn(*values):
    for value in values:
        if value and len(value) >= SHORTEST and len(set(value)) >= FEWEST and value not in _forms:
            _forms.update(form.encode() for form in _forms_of(value))


def forget():
    """Another module's secrets may be innocent words elsewhere."""
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
    """The password in it."""
    userinfo = re.search(r"//([^/@]*)@", url or "")
    if userinfo:
        learn(urllib.parse.unquote(userinfo[1].partition(":")[2]), base64.b64encode(userinfo[1].encode()).decode())


def learn_request(headers, form=()):
    """What a server was shown. headers, form: (name, value) each."""
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
    """The first secret in it, as text; None if there is none. signs: it tells a signature of its own."""
    data = data if isinstance(data, bytes) else data.encode()
    for form in list(_forms):  # other threads learn meanwhile
        if form in data:
            return form.decode()
    for match in _SIGNATURE.finditer(data):
        if match[0] in _signatures:
            return match[0].decode()
    match = None if signs else NEVER.search(data)
    return match and match[0].decode(errors="replace")


def look(where, data, signs=False):
    """AssertionError if a secret is in what was told there."""
    secret = found_in(data, signs)
    if secret is None:
        return
    data = data if isinstance(data, bytes) else data.encode()
    line = next((line for line in data.splitlines() if secret.encode() in line), data)
    raise AssertionError(f"a secret is in {where}: {secret!r} in {line[:2000]!r}")
