"""After a rotation, no memory of the process contains the old secret: neither its key nor its session token, not even
16 bytes of either, for any source. The same holds for the credentials of an identity that a reload dropped."""

import base64
import random
import re
import signal
import string

import pytest

import lib
import sources
import standins
from sources import SOURCES, Container, Process, Role, Static, WebIdentity, call, key_of, write

ROTATIONS, LIFE_S = 3, 1.5
PIECE = 16  # bytes; shorter pieces match by chance
# Secrets consist of blocks of 8 bytes that begin with this, so that each piece of 16 contains a whole one.
MARK, BLOCK = b"~Zq", 8
# Plain, and as HMAC pads a key.
FORMS = {"plain": 0, "inner pad": 0x36, "outer pad": 0x5c}


# Signed requests, and those with a bearer token: the base64 of a URL with the session token.
ROUTES = """  - { name: openai, match: { path: /v1/chat/completions }, endpoint: echo, operation: openai }
"""
BEARER = re.compile(rb"sagemaker-api-key-([A-Za-z0-9+/]{100,})")


class MarkedIssuer(standins.Issuer):
    def issue(self):
        number = next(self.count)
        secret, token = ("".join(MARK.decode() + "".join(random.choices(string.ascii_letters, k=BLOCK - len(MARK)))
                                 for _ in range(blocks)) for blocks in (5, 50))
        key_id = f"ASIAMARKED{number:06}"
        self.remember(key_id, secret, token)
        return key_id, secret, token, self.expiration(key_id)


class Memory:
    """The contents of all readable and writable maps of a process."""

    def __init__(self, process):
        with open(f"/proc/{process.pid}/smaps") as file:
            self.maps = list(self._resident(file))
        with open(f"/proc/{process.pid}/mem", "rb", 0) as file:
            self.parts = [part for part in (self._read(file, *place) for place in self.maps) if part]

    @staticmethod
    def _resident(file):
        place = None
        for line in file:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
            if head:
                place = int(head[1], 16), int(head[2], 16), head[4]
                wanted = head[3].startswith("rw")
            # A sanitizer's shadow is terabytes long and contains none of the program's data.
            elif line.startswith("Rss:") and wanted and line.split()[1] != "0" and place[1] - place[0] < 1 << 30:
                yield place

    @staticmethod
    def _read(file, begin, end, name):
        try:
            file.seek(begin)
            return begin, name, file.read(end - begin)
        except OSError:  # [vvar], or unmapped meanwhile
            return None

    def pieces_of(self, secrets):
        """Returns (where, form, which secret, offset, length) of each piece of at least PIECE bytes. secrets: {text:
        what}."""
        blocks = {secret[at:at + BLOCK]: (secret, at) for secret in secrets for at in range(0, len(secret), BLOCK)}
        for begin, name, data in self.parts:
            for form, pad in FORMS.items():
                mark = bytes(byte ^ pad for byte in MARK)
                for match in re.finditer(re.escape(mark), data):
                    found = self._extend(data, match.start(), pad, blocks)
                    if found is not None:
                        secret, at, length = found
                        yield f"{begin + match.start():x} {name}", form, secrets[secret], at, length

    def bearers_of(self, key_ids):
        for begin, name, data in self.parts:
            for match in BEARER.finditer(data):
                url = base64.b64decode(match[1][:len(match[1]) // 4 * 4])
                for key_id in key_ids:
                    if key_id.encode() in url:
                        yield f"{begin + match.start():x} {name}", "bearer", key_id, 0, len(url)

    @staticmethod
    def _extend(data, position, pad, blocks):
        """Returns (secret, offset, length) of the piece that begins with the block at this position."""
        block = bytes(byte ^ pad for byte in data[position:position + BLOCK])
        if block not in blocks:
            return None
        secret, at = blocks[block]
        before, after = 0, BLOCK
        while before < at and position > before and data[position - before - 1] ^ pad == secret[at - before - 1]:
            before += 1
        while at + after < len(secret) and position + after < len(data) and \
                data[position + after] ^ pad == secret[at + after]:
            after += 1
        whole = before < BLOCK and before + after >= PIECE  # otherwise reported with the previous block
        return (secret, at - before, before + after) if whole else None


def secrets_of(issued):
    return {secret.encode(): f"{name} of {key_id}" for key_id, *texts in issued
            for name, secret in zip(("key", "token"), texts) if secret}


def call_all(gateway):
    """Sends several requests at once, on separate connections."""
    callers = [gateway.caller() for _ in range(6)]
    for number, caller in enumerate(callers):
        caller.ask("/call/echo" if number % 2 else "/v1/chat/completions", b'{"model": "echo"}')
    for caller in callers:
        assert caller.response().status == 200
        caller.close()


def rotate(source, gateway, endpoint):
    before = key_of(endpoint)
    if isinstance(source, Static):
        source.rotate()
    lib.eventually(lambda: call(gateway).status == 200 and key_of(endpoint) != before, 10, "another set")
    call_all(gateway)


def forgets(gateway, issued):
    """Waits until the process's memory contains nothing of these sets."""
    found = []

    def is_clean():
        memory = Memory(gateway.process)
        found[:] = sorted([*memory.pieces_of(secrets_of(issued)), *memory.bearers_of([key_id for key_id, *_ in issued])])
        return not found
    try:
        lib.eventually(is_clean, 3, "a clean memory")
    except AssertionError:
        pytest.fail("\n".join(" ".join(map(str, one)) for one in found), pytrace=False)


def renew_base(source, directory):
    """Replaces the profile's keys below the roles as well."""
    issuer = source.standin.issuer
    life, issuer.life = issuer.life, None
    key_id, secret, token, _ = issuer.issue()
    issuer.life = life
    write(directory / ".aws/credentials",
          f"[base]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\naws_session_token={token}\n")


# The release build leaves other data on stacks and heap than the sanitized one.
RELEASE = lib.ROOT / "build/release/sagegate"
CASES = [(lib.BINARY, kind, False) for kind in SOURCES] + [
    (binary, kind, True) for binary in (lib.BINARY, RELEASE) for kind in (Container, WebIdentity, Role)] + [
    (RELEASE, kind, False) for kind in (Static, Process)]


@pytest.mark.parametrize("binary, kind, tls", CASES, ids=[
    " ".join([kind.name, *["over TLS"] * tls, *["release"] * (binary is RELEASE)]) for binary, kind, tls in CASES])
def test_rotated_secret_is_not_in_memory(
        binary, kind, tls, keys, start, endpoint, ca_file, tmp_path, monkeypatch):
    if binary is RELEASE and not RELEASE.exists():
        pytest.skip("build/release is not built")
    monkeypatch.setattr(lib, "BINARY", binary)
    monkeypatch.setattr(sources, "ROUTES", sources.ROUTES + ROUTES)
    with standins.StandIn(keys, tls) as standin:
        standin.issuer = issuer = MarkedIssuer(keys)
        source = kind(standin, tmp_path)
        issuer.life = LIFE_S
        gateway = start(source.more + "\nworkers: 2", {**source.env, "AWS_CA_BUNDLE": str(ca_file)})
        lib.eventually(lambda: call(gateway).status == 200, 10, "the first set")
        for _ in range(ROTATIONS):
            rotate(source, gateway, endpoint)

        issued = len(issuer.issued)
        if kind is Role:
            renew_base(source, tmp_path)
            issued += 1  # it stays in the file
        issuer.life = 3600
        if kind is Static:
            source.rotate()
        lib.eventually(lambda: call(gateway).status == 200 and
                       key_of(endpoint) in [key_id for key_id, *_ in issuer.issued[issued:]], 10, "a set that lasts")
        current = key_of(endpoint)
        gone = [set_ for set_ in issuer.issued if set_[0] != current]
        if kind is Role:
            gone.remove(issuer.issued[issued - 1])
        assert len(gone) >= ROTATIONS

        in_force = secrets_of([set_ for set_ in issuer.issued if set_[0] == current])
        assert {what for _, form, what, *_ in Memory(gateway.process).pieces_of(in_force)
                if form == "plain"} == set(in_force.values()), "the search finds what is there"
        forgets(gateway, gone)


CHATTING = """  - name: chatting
    match: { path: /chatting }
    endpoint: echo
    operation: openai
    identity: chatting
"""
BODY = b'{"model": "m", "messages": [], "stream": false}'


def test_dropped_identity_leaves_nothing_in_memory(start_gateway, endpoint, ca_file, keys, tmp_path):
    """A request that began before a reload signs after it, with an identity that ends with the request."""
    issuer = MarkedIssuer(keys, None)
    for name in ("own", "chat"):
        write(tmp_path / f"{name}.json", issuer.document("SessionToken", Version=1))
    chatting = f"identities: {{ chatting: {{ source: static, file: {tmp_path}/chat.json }} }}\n"
    text = sources.HEAD.format(url=endpoint.url, ca=ca_file,
                               more=f"credentials: {{ source: static, file: {tmp_path}/own.json }}\n" + chatting)
    gateway = start_gateway(text + sources.ROUTES + CHATTING, head=False, env=sources.NO_KEYS)
    gateway.allow_warnings(sources.TROUBLE)
    with gateway.caller() as slow:
        slow.ask("/chatting", BODY[:5], [("Content-Length", str(len(BODY)))])
        gateway.config_file.write_text(gateway._fill(text.replace(chatting, "") + sources.ROUTES))
        gateway.process.send_signal(signal.SIGHUP)
        gateway.diagnostic(topic="reload", message="switched to the new configuration")
        assert call(gateway).status == 200  # the new snapshot has its credentials by now
        response = slow.send(BODY[5:]).response()
        assert response.status == 200, response.body
    assert [seen.operation for seen in endpoint.requests].count("openai") == 1
    forgets(gateway, issuer.issued[1:])
