"""Stand-ins for credential providers: STS, instance metadata, a container's provider, the SSO portal.

One plain or TLS server plays all of them and fails on command. The local endpoint accepts the keys that it has issued
until they expire, so that it rejects requests signed with expired or invented ones.
"""

import datetime
import http.server
import itertools
import json
import socket
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

import leaks
from tests.endpoint import Key, certificates

ROLE_ARN = "arn:aws:iam::111122223333:role/infer"
XMLNS = "https://sts.amazonaws.com/doc/2011-06-15/"


class LivingKeys(dict):
    """The endpoint's keys; issued ones are removed when they expire."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.until = {}

    def get(self, name, default=None):
        if time.time() > self.until.get(name, float("inf")) + 0.5:  # in flight at the expiration
            return default
        return super().get(name, default)


class Issuer:
    """Issues credentials that live for `life` seconds; None: forever."""

    def __init__(self, keys, life=3600.0, token=True):
        self.keys, self.life, self.token = keys, life, token
        self.clock_skew_s = 0
        self.count = itertools.count(1)
        self.issued = []  # (key id, secret, token)

    def issue(self):
        number = next(self.count)
        set_ = (f"ASIAISSUED{number:06}", f"issued-secret/{number:06}+EXAMPLE",
                f"issued-token-{number:06}-EXAMPLE=" if self.token else None)
        self.remember(*set_)
        return (*set_, self.expiration(set_[0]))

    def expiration(self, key_id):
        if self.life is None:
            return None
        self.keys.until[key_id] = time.time() + self.life
        ends = time.time() + self.clock_skew_s + self.life
        return datetime.datetime.fromtimestamp(ends, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def remember(self, key_id, secret, token):
        self.issued.append((key_id, secret, token))
        self.keys[key_id] = Key(secret, token)
        leaks.learn(secret, token)

    def document(self, token_name, **more):
        """The JSON of credential_process (SessionToken), of containers and IMDS (Token)."""
        key_id, secret, token, expiration = self.issue()
        set_ = {**more, "AccessKeyId": key_id, "SecretAccessKey": secret}
        if token:
            set_[token_name] = token
        if expiration:
            set_["Expiration"] = expiration
        return json.dumps(set_)


@dataclass
class Asked:
    method: str
    path: str
    headers: dict
    form: dict = field(default_factory=dict)


class StandIn:
    """Use as a context manager. `fault` applies to every request until it is None: an int (that status), a pair of a
    status and a body, "stall", "cut", "garbage", "huge", "endless", "redirect", "expired", "denied"."""

    def __init__(self, keys, tls=False, life=3600.0, names=("localhost",), address=("127.0.0.1", 0)):
        self.issuer = Issuer(keys, life)
        self.fault = None
        self.asked = []
        self.role_name = "instance-role"
        self.session_tokens = set()   # of IMDS
        self.v2 = True
        self.empty_token = False      # IMDS responds to a session's PUT with 200 and an empty body
        self.bearer = None            # required of a container's request
        self.web_token = None         # the required web identity
        self.clock_skew_s = 0
        self.delay_s = 0              # before each response
        self.stopping = threading.Event()
        handler = type("Handler", (_Handler,), {"standin": self})
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        server = type("Server", (http.server.ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
        self.server = server(address, handler)
        self.tls = tls
        if tls:
            self.server.socket = certificates.context(list(names)).wrap_socket(self.server.socket, server_side=True)

    @property
    def url(self):
        return f"https://localhost:{self.server.server_port}" if self.tls else (
            f"http://127.0.0.1:{self.server.server_port}")

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    def count(self, path_or_action):
        return sum(asked.path.startswith(path_or_action) or asked.form.get("Action") == path_or_action
                   for asked in self.asked)


class Proxy:
    """An HTTP proxy that supports CONNECT and connects everything to one place. `asked` holds the targets."""

    def __init__(self, to):
        self.to, self.asked, self.heads = to, [], []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(4096)
        self.heads.append(head.decode())
        self.asked.append(head.split()[1].decode())
        there = socket.create_connection(self.to)
        peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=self._pump, args=(there, peer), daemon=True).start()
        self._pump(peer, there)

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    standin = None

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + self.standin.clock_skew_s)

    def _take(self):
        length = int(self.headers.get("Content-Length", 0))
        form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode())) if length else {}
        self.asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, form)
        self.standin.asked.append(self.asked)
        leaks.learn_request(self.headers.items(), form.items())

    def _respond(self, status, text, content_type="text/plain", **headers):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _misbehave(self, fault):
        self.close_connection = True
        if isinstance(fault, int):
            self._respond(fault, '{"code":"Broken","message":"on command"}')
        elif isinstance(fault, tuple):
            self._respond(*fault)
        elif fault == "stall":
            self.standin.stopping.wait(20)
        elif fault == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        elif fault == "garbage":
            self.wfile.write(b"\0\1\2garbage\r\n\r\n")
        elif fault == "huge":
            self._respond(200, "x" * 1000000)
        elif fault == "endless":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not self.standin.stopping.wait(0.05):
                self.wfile.write(b"1\r\nx\r\n")
        elif fault == "redirect":
            self._respond(302, "", Location="http://127.0.0.1:9/elsewhere")

    def _serve(self):
        self._take()
        self.standin.stopping.wait(self.standin.delay_s)
        fault = self.standin.fault
        try:
            if fault is not None and fault not in ("expired", "denied"):
                self._misbehave(fault)
            elif self.command == "POST":
                self._sts()
            elif "/latest/" in self.path:
                self._imds()
            elif self.path.startswith("/federation/"):
                self._sso()
            else:
                self._container()
        except OSError:
            pass

    do_GET = do_PUT = do_POST = _serve

    # -- sources

    def _issue(self, *arguments, **more):
        issuer = self.standin.issuer
        if self.standin.fault != "expired":
            return issuer.document(*arguments, **more)
        life, issuer.life = issuer.life, -60
        try:
            return issuer.document(*arguments, **more)
        finally:
            issuer.life = life

    def _container(self):
        if self.standin.fault == "denied" or self.headers.get("Authorization") != self.standin.bearer:
            self._respond(401, '{"code":"AccessDenied","message":"the token is not right"}')
            return
        self._respond(200, self._issue("Token", RoleArn=ROLE_ARN), "application/json")

    def _imds(self):
        standin = self.standin
        if self.command == "PUT":
            if not standin.v2:
                self._respond(404, "")
                return
            token = f"session-{len(standin.session_tokens)}=="
            standin.session_tokens.add(token)
            self._respond(200, "" if standin.empty_token else token)
        elif self.headers.get("x-aws-ec2-metadata-token") not in standin.session_tokens and standin.v2:
            self._respond(401, "")
        elif self.path == "/latest/meta-data/placement/region":
            self._respond(200, "us-east-1")
        elif self.path == "/latest/meta-data/iam/security-credentials/":
            self._respond(200, standin.role_name) if standin.role_name else self._respond(404, "")
        elif standin.fault == "denied":
            self._respond(200, '{"Code":"AssumeRoleUnauthorizedAccess"}', "application/json")
        else:
            self._respond(200, self._issue("Token", Code="Success", Type="AWS-HMAC"), "application/json")

    def _sso(self):
        if self.standin.fault == "denied" or self.headers.get("x-amz-sso_bearer_token") != "sso-bearer-EXAMPLE":
            self._respond(401, '{"message":"Session token not found or invalid"}')
            return
        key_id, secret, token, _ = self.standin.issuer.issue()
        self._respond(200, json.dumps({"roleCredentials": {
            "accessKeyId": key_id, "secretAccessKey": secret, "sessionToken": token,
            "expiration": int((time.time() + self.standin.issuer.life) * 1000)}}), "application/json")

    def _sts(self):
        standin, form = self.standin, self.asked.form
        action = form.get("Action")
        authorization = self.headers.get("Authorization", "")
        key_id = authorization.partition("Credential=")[2].partition("/")[0]
        if standin.fault == "denied":
            self._sts_error(403, "AccessDenied", "not authorized to perform: sts:AssumeRole")
        elif authorization and abs(self._signed_at() - time.time() - standin.clock_skew_s) > 300:
            self._sts_error(403, "SignatureDoesNotMatch", "Signature expired: it is too old or too young")
        elif action == "AssumeRoleWithWebIdentity" and form.get("WebIdentityToken") != standin.web_token:
            self._sts_error(400, "InvalidIdentityToken", "the token is not right")
        elif action != "AssumeRoleWithWebIdentity" and standin.issuer.keys.get(key_id) is None:
            self._sts_error(403, "InvalidClientTokenId", "the security token included is invalid")
        elif action == "GetCallerIdentity":
            self._respond(200, f'<R xmlns="{XMLNS}"><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/x</Arn>'
                              "<Account>111122223333</Account></GetCallerIdentityResult></R>", "text/xml")
        else:
            self._sts_set(action)

    def _signed_at(self):
        at = datetime.datetime.strptime(self.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
        return at.replace(tzinfo=datetime.timezone.utc).timestamp()

    def _sts_set(self, action):
        issuer = self.standin.issuer
        life = issuer.life
        if self.standin.fault == "expired":
            issuer.life = -60
        key_id, secret, token, expiration = issuer.issue()
        issuer.life = life
        self._respond(200, f'<{action}Response xmlns="{XMLNS}"><{action}Result>'
                     f"<Credentials><AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>{escape(secret)}"
                     f"</SecretAccessKey><SessionToken>{escape(token)}</SessionToken>"
                     f"<Expiration>{expiration}</Expiration></Credentials><AssumedRoleUser>"
                     f"<Arn>{ROLE_ARN}/x</Arn></AssumedRoleUser></{action}Result></{action}Response>", "text/xml")

    def _sts_error(self, status, code, message):
        self._respond(status, f'<ErrorResponse xmlns="{XMLNS}"><Error><Type>Sender</Type><Code>{code}</Code>'
                     f"<Message>{message}</Message></Error></ErrorResponse>", "text/xml")
