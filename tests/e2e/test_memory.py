"""Nothing of credentials that were replaced or dropped stays in the gateway's memory."""

import re
import signal

import pytest
from lib import ROUTES, eventually
from sources import HEAD, NO_KEYS, TROUBLE, call, key_of, write

import standins

PART = 20           # characters of a secret that are looked for
LARGEST = 1 << 28   # bytes of a mapping; larger ones are a sanitizer's own
BODY = b'{"model": "m", "messages": [], "stream": false}'


def memory_holds(gateway, *values):
    """Which of the values lie in writable memory, whole or from their middle on."""
    needles = {value: [value[:PART].encode(), value[-PART:].encode()] for value in values}
    pid, found = gateway.process.pid, set()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for begin, end in re.findall(r"^(\w+)-(\w+) rw", maps.read(), re.MULTILINE):
            begin, end = int(begin, 16), int(end, 16)
            if end - begin > LARGEST:
                continue
            memory.seek(begin)
            try:
                held = memory.read(end - begin)
            except OSError:
                continue  # unmapped meanwhile
            found |= {value for value, parts in needles.items() if any(part in held for part in parts)}
    return found


@pytest.fixture
def issuer(keys):
    return standins.Issuer(keys, None)


def rotate(issuer, file):
    key_id, secret, token, _ = issuer.issue()
    write(file, f'{{"Version": 1, "AccessKeyId": "{key_id}", "SecretAccessKey": "{secret}", "SessionToken": "{token}"}}')
    return key_id, secret


def test_a_rotated_secret_is_nowhere(start, endpoint, issuer, tmp_path):
    file, secrets = tmp_path / "keys.json", []
    gateway = None
    for _ in range(4):
        key_id, secret = rotate(issuer, file)
        secrets.append(secret[-PART:])
        gateway = gateway or start(f"workers: 2\ncredentials: {{ source: static, file: {file} }}")
        eventually(lambda: call(gateway).status == 200 and key_of(endpoint) == key_id, 10, "the new set")
        for _ in range(10):  # on both workers
            call(gateway)
    assert memory_holds(gateway, secrets[-1]), "the one in force is found: the search works"
    eventually(lambda: not memory_holds(gateway, *secrets[:-1]), 5, "the earlier ones are gone")


CHAT = """
  - name: chat
    match: { path: "/v1/chat/completions" }
    endpoint: chat-2-0
    operation: openai
    identity: chatting
"""


def test_a_token_of_a_dropped_identity_is_nowhere(start_gateway, endpoint, ca_file, issuer, tmp_path):
    """A request that began before a reload signs behind it, with an identity that ends with the request."""
    secret = rotate(issuer, tmp_path / "chat.json")[1]
    rotate(issuer, tmp_path / "keys.json")
    more = f"credentials: {{ source: static, file: {tmp_path}/keys.json }}\n"
    chatting = f"identities: {{ chatting: {{ source: static, file: {tmp_path}/chat.json }} }}\n"
    text = HEAD.format(url=endpoint.url, ca=ca_file, more=more + chatting)
    gateway = start_gateway(text + ROUTES + CHAT, head=False, env=NO_KEYS)
    gateway.allow_warnings(TROUBLE)
    with gateway.caller() as slow:
        slow.ask("/v1/chat/completions", BODY[:5], [("Content-Length", str(len(BODY)))])
        gateway.config_file.write_text(gateway._fill(text.replace(chatting, "") + ROUTES))
        gateway.process.send_signal(signal.SIGHUP)
        gateway.diagnostic(topic="reload", message="switched to the new configuration")
        assert call(gateway).status == 200  # the new snapshot has its credentials by now
        answer = slow.send(BODY[5:]).response()
        assert answer.status == 200, answer.body
    [seen] = [seen for seen in endpoint.requests if seen.operation == "openai"]
    [token] = [value.split(" ")[1] for name, value in seen.headers if name.lower() == "authorization"]
    eventually(lambda: not memory_holds(gateway, secret[-PART:], token[100:100 + PART], token[-PART:]), 5, "both gone")
