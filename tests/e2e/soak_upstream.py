"""A SageMaker that keeps up with a gateway at full rate. It prints its port on standard output, serves until its
standard input ends, then prints what it saw as a line of JSON.

For each request it checks that there is a signature, and that the credentials were valid at that moment; for every
SAMPLE-th, everything that the local endpoint checks. The key id contains the expiration, and secret and token are
derived from it, so that issuer and upstream need no communication.
"""

import asyncio
import datetime
import hashlib
import json
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.endpoint import Key, signature  # noqa: E402
from tests.endpoint.api import Refusal  # noqa: E402

SAMPLE = 200
UNDER_WAY_MAX_S = 10  # on a busy machine a request may arrive this long after its credentials expired
AUTHORIZATION = re.compile(rb"\r\n[Aa]uthorization: AWS4-HMAC-SHA256 Credential=(ASIASOAK(\d+))/\d{8}/us-east-1/sagemaker/"
                           rb"aws4_request, SignedHeaders=[a-z0-9;-]+, Signature=[0-9a-f]{64}\r\n")
DATE = re.compile(rb"\r\n[Xx]-[Aa]mz-[Dd]ate: (\d{8}T\d{6})Z\r\n")
TOKEN = re.compile(rb"\r\n[Xx]-[Aa]mz-[Ss]ecurity-[Tt]oken: ([^\r\n]+)\r\n")
LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d+)\r\n")
GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"


def issue(life_s):
    """Returns (key id, secret, token, expiration) of credentials with this lifetime."""
    until_ms = int((time.time() + life_s) * 1000)
    key_id = f"ASIASOAK{until_ms}"
    return key_id, *_rest(key_id), until_ms / 1000


def _rest(key_id):
    return (hashlib.sha256(b"secret" + key_id.encode()).hexdigest()[:40],
            "soak-token-" + hashlib.sha256(b"token" + key_id.encode()).hexdigest())


class Upstream:
    def __init__(self):
        self.requests = self.sampled = 0
        self.sets = {}      # key id -> (secret, token)
        self.refused = []   # reasons; the first few
        self.port = 0

    def judge(self, head, body):
        """Returns why the request is rejected, None if it is valid."""
        found, date, token = AUTHORIZATION.search(head), DATE.search(head), TOKEN.search(head)
        if not found or not date or not token:
            return f"not signed: {head!r}"
        key_id, until = found[1].decode(), int(found[2]) / 1000
        if key_id not in self.sets:
            self.sets[key_id] = _rest(key_id)
        if token[1].decode() != self.sets[key_id][1]:
            return f"not the token of {key_id}: {head!r}"
        signed = datetime.datetime.strptime(date[1].decode(), "%Y%m%dT%H%M%S").replace(tzinfo=datetime.timezone.utc)
        if signed.timestamp() > until or time.time() > until + UNDER_WAY_MAX_S:
            return f"signed at {signed}, came {time.time() - until:.3f} s after the end of {key_id}"
        self.requests += 1
        return self.judge_signature(key_id, head, body) if self.requests % SAMPLE == 1 else None

    def judge_signature(self, key_id, head, body):
        self.sampled += 1
        request, *lines = head.removesuffix(b"\r\n").decode("latin-1").split("\r\n")
        method, target, _ = request.split(" ")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        try:
            signature.check(signature.Verdict(), method=method, target=target, headers=headers, body=body, tls=False,
                            authorities={f"127.0.0.1:{self.port}"}, keys={key_id: Key(*self.sets[key_id])},
                            region="us-east-1", now=datetime.datetime.now(datetime.timezone.utc))
        except Refusal as refusal:
            return f"{refusal}: {head!r}"
        return None

    def report(self):
        return json.dumps({"requests": self.requests, "sampled": self.sampled, "sets": len(self.sets),
                           "refused": self.refused})


class Connection(asyncio.Protocol):
    def __init__(self, upstream):
        self.upstream, self.data = upstream, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end + 2]
            length = LENGTH.search(head)
            whole = end + 4 + int(length[1] if length else 0)
            if len(self.data) < whole:
                return
            why = self.upstream.judge(head, self.data[end + 4:whole])
            self.data = self.data[whole:]
            if why and len(self.upstream.refused) < 10:
                self.upstream.refused.append(why)
            self.transport.write(BAD if why else GOOD)


async def main():
    upstream, loop = Upstream(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(upstream), "127.0.0.1", 0, backlog=512)
    upstream.port = server.sockets[0].getsockname()[1]
    print(upstream.port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(upstream.report(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
