"""The signer against botocore's, stage by stage, over thousands of generated requests."""

import hashlib
import random
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.unit.oracle import Driver, hexed

CASES = 5000
SEED = 20150830

UNRESERVED = "ABCXYZabcxyz0189-_.~"
PATH_BYTES = UNRESERVED + "//////....!$&'()*+,;=:@ %|^`\"<>[]{}éü漢"
VALUE_BYTES = "abcXYZ019 \t  ,;:=\"'()/\\?@[]{}<>!#$%&*+-._^`|~éß漢"
NAMES = ["Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Target-Model",
         "x-amzn-sagemaker-target-variant", "X-AMZN-SAGEMAKER-INFERENCE-ID", "X-Amzn-SageMaker-Session-Id",
         "My-Header1", "my-header", "My-Header-2", "a", "Zz", "Content-Length", "X-Amz-Meta", "A_b", "A-b", "AB"]
SEGMENTS = ["", ".", "..", "endpoints", "fraud-prod", "invocations", "a%20b", "a%2Fb", "%E6%BC%A2", "...", ".a", "a.", "~"]
WHITE = ["", "", "", " ", "\t", "  ", " \t "]


def text(rng, alphabet, longest):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, longest)))


def make_path(rng):
    kind = rng.random()
    if kind < 0.25:
        return "/endpoints/" + text(rng, "abc019-", 30).strip("-") + "x/invocations"
    if kind < 0.6:
        return "/" + "/".join(rng.choice(SEGMENTS) for _ in range(rng.randint(0, 8)))
    path = "/" + text(rng, PATH_BYTES, 60)
    return urllib.parse.quote(path) if rng.random() < 0.5 else path


def make_query(rng):
    """Encoded like canonical queries, because botocore does not encode them again; in any order."""
    if rng.random() < 0.5:
        return ""
    def part(longest):
        return urllib.parse.quote(text(rng, PATH_BYTES, longest), safe="-_.~")
    keys = [part(8) or "k" for _ in range(rng.randint(1, 4))]
    pairs = []
    for _ in range(rng.randint(1, 8)):
        key = rng.choice(keys)
        pairs.append(key if rng.random() < 0.1 else f"{key}={part(12)}")
    return "&".join(pairs)


def make_headers(rng):
    headers = []
    for _ in range(rng.choice([0, 1, 2, 5, 9, 20, 60])):
        value = rng.choice(WHITE) + text(rng, VALUE_BYTES, rng.choice([0, 5, 40, 300])) + rng.choice(WHITE)
        headers.append((rng.choice(NAMES), value))
    return headers


def make_case(rng):
    year, month, day = rng.randint(1970, 2199), rng.randint(1, 12), rng.randint(1, 28)
    return {
        "method": rng.choice(["POST", "POST", "GET", "PUT", "DELETE", "HEAD"]),
        "host": rng.choice(["runtime.sagemaker.us-east-1.amazonaws.com", "localhost:8443", "[::1]:9000", "h"]),
        "path": make_path(rng),
        "query": make_query(rng),
        "headers": make_headers(rng),
        "body": rng.randbytes(rng.choice([0, 1, 63, 64, 65, 1000])),
        "id": text(rng, "ABCDEFGH0189", 8) + rng.choice(["AKIDEXAMPLE", "ASIA" * 31]),
        "secret": rng.choice(["wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "s" * 60, "s" * 61, "t" * 200, "x"]),
        "token": rng.choice([None, "token", "IQoJb3JpZ2luX2Vj//+=" * rng.randint(1, 120)]),
        "region": rng.choice(["us-east-1", "eu-west-1", "us-gov-west-1", "x"]),
        "service": rng.choice(["sagemaker", "sts", "service"]),
        "time": f"{year:04}{month:02}{day:02}T{rng.randint(0, 23):02}{rng.randint(0, 59):02}{rng.randint(0, 59):02}Z",
    }


def botocore_result(case):
    url = f"https://{case['host']}{case['path']}" + (f"?{case['query']}" if case["query"] else "")
    request = AWSRequest(method=case["method"], url=url, data=case["body"])
    for name, value in case["headers"]:
        request.headers[name] = value
    request.context["timestamp"] = case["time"]
    signer = SigV4Auth(Credentials(case["id"], case["secret"], case["token"]), case["service"], case["region"])
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    string_to_sign = signer.string_to_sign(request, canonical)
    signature = signer.signature(string_to_sign, request)
    signed_headers = signer.signed_headers(signer.headers_to_sign(request))
    signer._inject_signature_to_request(request, signature)
    return {
        "canonical_request": hexed(canonical),
        "signed_headers": hexed(signed_headers),
        "string_to_sign": hexed(string_to_sign),
        "signature": signature,
        "authorization": hexed(request.headers["Authorization"]),
    }


def question(case):
    headers = list(case["headers"]) + [("Host", case["host"]), ("X-Amz-Date", case["time"])]
    if case["token"]:
        headers.append(("X-Amz-Security-Token", case["token"]))
    return {
        "ask": "sign", "headers": [[hexed(name), hexed(value)] for name, value in headers],
        "body_sha256": hashlib.sha256(case["body"]).hexdigest(), "normalize": True, "encode": True,
        **{key: hexed(case[key]) for key in ("method", "path", "query", "id", "secret", "region", "service", "time")},
    }


def readable(response):
    return {key: value if key == "signature" else bytes.fromhex(value).decode(errors="replace")
            for key, value in response.items()}


def usable(case):
    """Excludes cases where urlsplit splits the path anywhere but at the first '?'."""
    return urllib.parse.urlsplit(f"https://{case['host']}{case['path']}").path == case["path"]


def test_every_stage_matches_botocore():
    rng = random.Random(SEED)
    cases = []
    while len(cases) < CASES:
        case = make_case(rng)
        if usable(case):
            cases.append(case)
    responses = Driver("aws_driver").ask([question(case) for case in cases])
    for number, (case, response) in enumerate(zip(cases, responses)):
        expected, got = readable(botocore_result(case)), readable(response)
        for stage in ("canonical_request", "signed_headers", "string_to_sign", "signature", "authorization"):
            assert got[stage] == expected[stage], f"case {number}, {stage}: {case}"


def test_queries_that_botocore_does_not_normalize():
    """Normalized as in aws-c-auth: percent-decoded, encoded again, empty pairs dropped."""
    rows = {
        "b=2&a=1": "a=1&b=2", "a=%7e": "a=~", "a=%2f": "a=%2F", "a=/": "a=%2F", "a=+": "a=%2B", "a=b=c": "a=b%3Dc",
        "a": "a=", "a=1&&b=2": "a=1&b=2", "&": "", "=": "=", "a=%": "a=%25", "a=%4": "a=%254", "a=%zz": "a=%25zz",
        "a=2&a=1&a": "a=&a=1&a=2", "a-b=1&a=1": "a=1&a-b=1", "A=1&a=1&B=1": "A=1&B=1&a=1", "%61=1": "a=1",
    }
    case = make_case(random.Random(1))
    responses = Driver("aws_driver").ask([question({**case, "query": query}) for query in rows])
    got = [bytes.fromhex(response["canonical_request"]).split(b"\n")[2].decode() for response in responses]
    assert dict(zip(rows, got)) == rows


def test_s3_paths_are_not_normalized():
    paths = ["/a//b/../c", "/a%20b", "", "/./x", "/é"]
    case = make_case(random.Random(1))
    responses = Driver("aws_driver").ask([{**question({**case, "path": path}), "normalize": False, "encode": False}
                                        for path in paths])
    got = [bytes.fromhex(response["canonical_request"]).split(b"\n")[1].decode() for response in responses]
    assert got == ["/a//b/../c", "/a%20b", "/", "/./x", "/é"]
