"""AWS's signing test suite, stage by stage: every case in its header form."""

import hashlib
import json
import os
import pathlib

import pytest

from tests.unit.oracle import DATA, Driver, hexed

SUITE = pathlib.Path(os.environ.get("SAGEGATE_AWS_SUITE", DATA / "aws-signing-test-suite/v4"))
CASES = sorted(path.name for path in SUITE.glob("*") if (path / "context.json").exists())
ABSENT = f"optional: AWS's suite is not at {SUITE}; SAGEGATE_AWS_SUITE may name its directory"


def read_request(text):
    """Parses raw HTTP with LF: method, target between the first and the last space, [name, value], body."""
    head, _, body = text.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    method, _, rest = first.partition(b" ")
    target, _, _ = rest.rpartition(b" ")
    headers = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):  # a folded line belongs to the previous one
            headers[-1][1] += b"\n" + line
        elif line:
            headers.append(list(line.split(b":", 1)))
    return method, target, headers, body


def question_of(case):
    context = json.loads((case / "context.json").read_text())
    keys = context["credentials"]
    method, target, headers, body = read_request((case / "request.txt").read_bytes())
    path, _, query = target.partition(b"?")
    time = context["timestamp"].replace("-", "").replace(":", "")
    body_sha256 = hashlib.sha256(body).digest()
    headers.append([b"X-Amz-Date", time.encode()])
    if keys.get("token") and not context.get("omit_session_token"):
        headers.append([b"X-Amz-Security-Token", keys["token"].encode()])
    if context["sign_body"]:
        headers.append([b"x-amz-content-sha256", body_sha256.hex().encode()])
    return {
        "ask": "sign", "method": hexed(method), "path": hexed(path), "query": hexed(query),
        "headers": [[hexed(name), hexed(value)] for name, value in headers],
        "body_sha256": body_sha256.hex(), "id": hexed(keys["access_key_id"]),
        "secret": hexed(keys["secret_access_key"]), "region": hexed(context["region"]),
        "service": hexed(context["service"]), "time": hexed(time),
        "normalize": context["normalize"], "encode": True,
    }


@pytest.mark.skipif(not CASES, reason=ABSENT)
@pytest.mark.parametrize("name", CASES)
def test_case(name):
    case = SUITE / name
    response = Driver("aws_driver").ask_one(question_of(case))
    expected = {stage: (case / f"header-{stage}.txt").read_bytes().rstrip(b"\n")
                for stage in ("canonical-request", "string-to-sign", "signature", "signed-request")}
    assert bytes.fromhex(response["canonical_request"]) == expected["canonical-request"]
    assert bytes.fromhex(response["string_to_sign"]) == expected["string-to-sign"]
    assert response["signature"].encode() == expected["signature"]
    authorization = bytes.fromhex(response["authorization"])
    assert b"Authorization:" + authorization in expected["signed-request"].replace(b"Authorization: ", b"Authorization:")


@pytest.mark.skipif(not CASES, reason=ABSENT)
def test_suite_is_complete():
    assert len(CASES) >= 38
