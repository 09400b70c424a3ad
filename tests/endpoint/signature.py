"""Checks a request's SigV4 signature with botocore's own signer. Takes the time as a parameter; does no I/O.

The request is rebuilt from the bytes received; the timestamp is the one that the client signed.
"""

import base64
import datetime
import hashlib
import hmac
import re
import unittest.mock
import urllib.parse

from botocore.auth import SIGNED_HEADERS_BLACKLIST, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .api import Refusal

WINDOW = datetime.timedelta(minutes=5)
SERVICE = "sagemaker"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/, ]+)/(\d{8})/([^/, ]+)/([^/, ]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})\Z"
)
# Parameters and headers that describe the body: left unsigned, they could be changed in transit.
_WORTH_SIGNING = re.compile(r"content-type|accept|x-amzn-sagemaker-.*", re.IGNORECASE)


class Verdict:
    """The result: `code` is "ok" or the service's error code, `reason` says more."""

    def __init__(self):
        self.code, self.reason = "ok", ""
        self.access_key, self.signed = "", []
        self.unsigned = []

    def refuse(self, code, reason):
        self.code, self.reason = code, reason
        raise Refusal(code, reason)


def check(verdict, *, method, target, headers, body, tls, authorities, keys, region, now):
    """Fills in `verdict` and raises Refusal if the service would reject the request.

    keys: access key id -> object with .secret and .token; now: aware datetime in UTC.
    """
    def one(name):
        values = [value for key, value in headers if key.lower() == name]
        if len(values) > 1:
            verdict.refuse("IncompleteSignatureException", f"{len(values)} headers {name}")
        return values[0] if values else None

    authorization = one("authorization")
    if authorization is None:
        verdict.refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
    parsed = _AUTHORIZATION.match(authorization)
    if not parsed:
        verdict.refuse("IncompleteSignatureException", f"Authorization header requires all its parts: "
                       f"{authorization.split(' ')[0]}")
    access_key, day, in_region, service, signed, signature = parsed.groups()
    verdict.access_key, verdict.signed = access_key, signed.split(";")
    stamp = one("x-amz-date") or ""
    _check_scope(verdict, headers, day, in_region, service, region, stamp)
    _check_host(verdict, one("host"), authorities)
    key = keys.get(access_key)
    if key is None:
        verdict.refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
    if one("x-amz-security-token") != key.token:
        verdict.refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
    _check_time(verdict, stamp, now)
    content_hash = one("x-amz-content-sha256")
    if content_hash is not None and content_hash != hashlib.sha256(body).hexdigest():
        verdict.refuse("InvalidSignatureException", "x-amz-content-sha256 is not the body's hash")
    canonical, to_sign, expected = _compute(
        key, access_key, stamp, region, method, target, headers, verdict.signed, body, tls, one("host"))
    if not hmac.compare_digest(expected, signature):
        verdict.refuse("InvalidSignatureException", (
            "The request signature we calculated does not match the signature you provided. Check your AWS "
            "Secret Access Key and signing method. Consult the service documentation for details.\n\n"
            f"The Canonical String for this request should have been\n'{canonical}'\n\n"
            f"The String-to-Sign should have been\n'{to_sign}'\n"))
    verdict.unsigned = [name for name, _ in headers
                        if _WORTH_SIGNING.fullmatch(name) and name.lower() not in verdict.signed]


TOKEN_LEAD, TOKEN_HOST, TOKEN_LIFE_MAX_S = "sagemaker-api-key-", "sagemaker.amazonaws.com", 43200


def check_bearer(verdict, *, headers, authorities, keys, region, now):
    """The same for a bearer token: a presigned URL that must equal what botocore's query signer makes."""
    given = [value for name, value in headers if name.lower() == "authorization"]
    if len(given) != 1 or not given[0].startswith("Bearer " + TOKEN_LEAD):
        verdict.refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
    for name, _ in headers:
        if name.lower().startswith("x-amz-"):
            verdict.refuse("InvalidSignatureException", f"'{name}' has no place beside a token")
    _check_host(verdict, dict((name.lower(), value) for name, value in headers).get("host"), authorities)
    try:
        url = base64.b64decode(given[0].removeprefix("Bearer " + TOKEN_LEAD), validate=True).decode("ascii")
    except ValueError as error:
        verdict.refuse("IncompleteSignatureException", f"the token: {error}")
    place, _, query = url.partition("/?")
    fields = dict(pair.split("=", 1) for pair in query.split("&"))
    if place != TOKEN_HOST or fields.pop("Version", None) != "1" or not query.endswith("&Version=1"):
        verdict.refuse("IncompleteSignatureException", "the token is for another place or version")
    signature = fields.pop("X-Amz-Signature", "")
    plain = {name: urllib.parse.unquote(value) for name, value in fields.items()}
    verdict.access_key, day, in_region, service, _ = plain["X-Amz-Credential"].split("/")
    stamp, life = plain["X-Amz-Date"], int(plain["X-Amz-Expires"])
    key = keys.get(verdict.access_key)
    if key is None or plain.get("X-Amz-Security-Token") != key.token:
        verdict.refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
    if (in_region, service, day) != (region, SERVICE, stamp[:8]) or not 0 < life <= TOKEN_LIFE_MAX_S:
        verdict.refuse("InvalidSignatureException", "the token's scope or life is wrong")
    begun = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if not begun - WINDOW <= now < begun + datetime.timedelta(seconds=life):
        verdict.refuse("ExpiredTokenException", "The security token included in the request is expired")
    request = AWSRequest(method="POST", url=f"https://{TOKEN_HOST}/", headers={"host": TOKEN_HOST},
                         params={"Action": "CallWithBearerToken"})
    signer = SigV4QueryAuth(Credentials(verdict.access_key, key.secret, key.token), SERVICE, region, expires=life)
    with unittest.mock.patch("botocore.auth.datetime") as clock:
        clock.datetime.utcnow.return_value = begun.replace(tzinfo=None)
        signer.add_auth(request)
    wanted = dict(pair.split("=", 1) for pair in urllib.parse.urlsplit(request.url).query.split("&"))
    expected = wanted.pop("X-Amz-Signature")
    if wanted != fields or not hmac.compare_digest(expected, signature):
        verdict.refuse("InvalidSignatureException", f"the token is not the one that botocore makes: {wanted}")
    verdict.expires = begun + datetime.timedelta(seconds=life)


def _check_scope(verdict, headers, day, in_region, service, region, stamp):
    if in_region != region or service != SERVICE:
        verdict.refuse("InvalidSignatureException", f"Credential should be scoped to a valid region: "
                       f"{in_region}/{service}, not {region}/{SERVICE}")
    if not re.fullmatch(r"\d{8}T\d{6}Z", stamp):
        verdict.refuse("IncompleteSignatureException", f"x-amz-date is not in ISO-8601 basic form: '{stamp}'")
    if day != stamp[:8]:
        verdict.refuse("InvalidSignatureException", f"Date in Credential scope does not match YYYYMMDD: {day}")
    signed = verdict.signed
    if signed != sorted(set(signed)):
        verdict.refuse("IncompleteSignatureException", "SignedHeaders are not in order")
    sent = {name.lower() for name, _ in headers}
    must = {"host"} | {name for name in sent if name.startswith("x-amz-")}
    for name in sorted(must - set(signed)):
        verdict.refuse("InvalidSignatureException",
                       f"'{name}' must be a 'SignedHeader' in the AWS Authorization header.")
    for name in sorted(set(signed) - sent):
        verdict.refuse("InvalidSignatureException", f"'{name}' was signed but not sent.")
    for name in sorted(set(signed) & set(SIGNED_HEADERS_BLACKLIST)):
        verdict.refuse("InvalidSignatureException", f"'{name}' must not be signed: it can change on the way.")


def _check_host(verdict, host, authorities):
    if host not in authorities:
        verdict.refuse("InvalidSignatureException", f"Host is '{host}', not one of {', '.join(sorted(authorities))}")


def _check_time(verdict, stamp, now):
    signed_at = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    form = "%Y%m%dT%H%M%SZ"
    if signed_at < now - WINDOW:
        verdict.refuse("InvalidSignatureException", f"Signature expired: {stamp} is now earlier than "
                       f"{(now - WINDOW).strftime(form)} ({now.strftime(form)} - 5 min.)")
    if signed_at > now + WINDOW:
        verdict.refuse("InvalidSignatureException", f"Signature not yet current: {stamp} is still later than "
                       f"{(now + WINDOW).strftime(form)} ({now.strftime(form)} + 5 min.)")


def _compute(key, access_key, stamp, region, method, target, headers, signed, body, tls, host):
    """Returns canonical request, string to sign and signature as botocore computes them from the received bytes."""
    request = AWSRequest(method=method, url=f"{'https' if tls else 'http'}://{host}{target}", data=body)
    for name, value in headers:
        if name.lower() in signed:
            request.headers.add_header(name.lower(), value)
    request.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(access_key, key.secret, key.token), SERVICE, region)
    canonical = signer.canonical_request(request)
    to_sign = signer.string_to_sign(request, canonical)
    return canonical, to_sign, signer.signature(to_sign, request)
