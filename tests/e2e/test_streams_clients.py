"""HTTP streaming clients with `operation: stream`: curl -N, and a reader of server-sent events that follows the rules
of a browser's EventSource (WHATWG HTML, 9.2.6)."""

import http.client
import json
import subprocess
import time

CONFIG = """
routes:
  - name: stream
    match: { path: "/stream/{endpoint}" }
    endpoint: { value: "${path.endpoint}", allow: ["?*"] }
    operation: stream
"""


def events_of(response):
    """Yields (event, data) as dispatched, with the time of each; the bytes may be split anywhere."""
    text, name, data = b"", "message", []
    while piece := response.read1(65536):
        text += piece
        while b"\n" in text:
            line, text = text.split(b"\n", 1)
            line = line.removesuffix(b"\r").decode()
            if not line:
                if data:
                    yield name, "\n".join(data), time.monotonic()
                name, data = "message", []
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)


def test_curl_shows_each_piece_immediately(gateway):
    curl = subprocess.Popen(["curl", "-sSN", "-d", "x", f"http://127.0.0.1:{gateway.port}/stream/count-3-200"],
                            stdout=subprocess.PIPE)
    arrived = []
    for line in curl.stdout:
        arrived.append((line, time.monotonic()))
    assert [line for line, _ in arrived] == [b"part 1 of 3\n", b"part 2 of 3\n", b"part 3 of 3\n"]
    assert arrived[-1][1] - arrived[0][1] > 0.25, "the first piece does not wait for the last"
    assert curl.wait(10) == 0
    assert gateway.line(route="stream")["parts"] >= 3


def test_event_source_reassembles_split_events(gateway):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    connection.request("POST", "/stream/chat-5-60", json.dumps({"stream": True}), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200
    assert response.getheader("Content-Type").startswith("text/event-stream")
    events = list(events_of(response))
    assert events[-1][1] == "[DONE]"
    words = [json.loads(data)["choices"][0]["delta"].get("content", "") for _, data, _ in events[:-1]]
    assert len([word for word in words if word]) == 5
    assert events[-1][2] - events[0][2] > 0.1, "events arrive one at a time"
