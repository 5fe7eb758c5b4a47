"""Replays the recorded exchanges against the dev server, over plain `http.client`, so that paths go out as they are."""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import re
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from asyncsecrets.testing.vault_server import VaultServer

STEPS = json.loads((Path(__file__).parents[2] / "data" / "openbao.json").read_text())
TLS_GROUP = "tls certificate"

FORMS = {
    "<time>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    "<uuid>": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "<token>": r"s\.\w+(\.\w+)?",
    "<client_token>": r"[sb]\.\w+(\.\w+)?",
    "<accessor>": r"\w+(\.\w+)?",
    "<root token>": r".+",
    "<key id>": r"([0-9a-f]{2}:)*[0-9a-f]{2}",
}
# Literal values of the recording that are another's on another server.
VARYING = {
    "2.0.0-HEAD": r"2\.0\.0-asyncsecrets-fake",  # says what it is
    "gSW9yj": r"\w{6}",  # a namespace's id
    "HmyvrF": r"\w{6}",
    "<uuid>.gSW9yj": FORMS["<uuid>"] + r"\.\w{6}",  # an entity of that namespace
    "568432626658053908621176132050657729261915781679": r"\d+",  # a certificate's serial number
}
# Keys that hold times or names of the machine: the recorder left them out, the servers send them.
NOT_RECORDED = {"creation_time", "issue_time", "expire_time", "last_renewal", "last_renewal_time"} | {
    "server_time_utc",
    "cluster_name",
    "cluster_id",
}


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def decoded(self) -> Any:
        if not self.body:
            return None
        kind = self.headers.get("content-type", "")
        return json.loads(self.body) if kind == "application/json" else {"<text>": self.body.decode()}


@dataclass
class Replayer:
    """Sends one step after the other, keeping what later steps need."""

    server: VaultServer
    clock: Clock
    values: dict[str, str]
    contexts: dict[str, ssl.SSLContext | None] = field(default_factory=dict)

    def run(self, step: dict[str, Any]) -> Answer:
        self.clock.now += 3 if step.get("note") == "expired" else 0.01
        request = step["request"]
        raw = self._fill(request["raw"]) if "raw" in request else None
        body = raw if raw is not None else (json.dumps(self._fill(request["body"])) if "body" in request else None)
        headers = {"X-Vault-Request": "true", **self._fill(request.get("headers", {}))}
        if "body" in request:
            headers.setdefault("Content-Type", "application/json")
        token = self._fill(request.get("token", self.server.root_token))
        if token is not None:
            headers["X-Vault-Token"] = token
        answer = self.send(request["method"], request["path"], headers, body, request.get("tls"))
        if "save" in step:
            name, *path = step["save"]
            found = answer.decoded
            for key in path:
                found = (found or {}).get(key)
            self.values[name] = str(found)
        return answer

    def send(self, method: str, path: str, headers: dict[str, str], body: str | None, tls: str | None = None) -> Answer:
        address = urlsplit(self.server.url)
        if address.scheme == "https":
            context = self.contexts[tls or ""]
            connection = http.client.HTTPSConnection(address.hostname, address.port, context=context, timeout=20)
        else:
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_accept_encoding=True)
            content = body.encode() if body is not None else None
            if content is not None:
                headers = {**headers, "Content-Length": str(len(content))}
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            with contextlib.suppress(ConnectionError):  # a body that is too large is refused before it is all sent
                if content is not None:
                    connection.send(content)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())

    def _fill(self, value: Any) -> Any:
        match value:
            case dict():
                return {key: self._fill(item) for key, item in value.items()}
            case list():
                return [self._fill(item) for item in value]
            case str():
                return self._fill_text(value)
        return value

    def _fill_text(self, text: str) -> str:
        sized = re.fullmatch(r"<(\d+) bytes>", text)
        if sized:
            return '{"data": {"key": "' + "x" * (int(sized[1]) - 21) + '"}}'
        text = text.replace("<root token>", self.server.root_token).replace("<unseal key>", self.server.unseal_key)
        return re.sub(r"\{\{(\w+)\}\}", lambda match: self.values[match[1]], text)


def differences(step: dict[str, Any], answer: Answer) -> list[str]:
    """How an answer differs from the recorded one; empty if it is alike."""
    found = [] if answer.status == step["status"] else [f"status {answer.status} instead of {step['status']}"]
    for name, value in step["headers"].items():
        if answer.headers.get(name) != value:
            found.append(f"header {name}: {answer.headers.get(name)!r} instead of {value!r}")
    return found + list(_compare(step["body"], answer.decoded, "body"))


def _compare(wanted: Any, given: Any, place: str) -> list[str]:
    if isinstance(wanted, dict) and isinstance(given, dict):
        extra = given.keys() - wanted.keys() - NOT_RECORDED
        found = [f"{place}.{key} is not in the recording" for key in sorted(extra)]
        for key, value in wanted.items():
            found += _compare(value, given[key], f"{place}.{key}") if key in given else [f"{place}.{key} is missing"]
        return found
    if isinstance(wanted, list) and isinstance(given, list) and len(wanted) == len(given):
        pairs = enumerate(zip(wanted, given, strict=True))
        return [text for at, (w, g) in pairs for text in _compare(w, g, f"{place}[{at}]")]
    form = {**FORMS, **VARYING}.get(wanted) if isinstance(wanted, str) else None
    if form is not None:
        return [] if isinstance(given, str) and re.fullmatch(form, given) else [f"{place}: {given!r} is no {wanted}"]
    same = type(wanted) is type(given) and wanted == given
    return [] if same else [f"{place}: {given!r} instead of {wanted!r}"]


class Signer:
    """Makes RS256 tokens."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public_pem(self) -> str:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def token(self, **claims: Any) -> str:
        parts = [{"alg": "RS256", "typ": "JWT"}, claims]
        message = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        signature = self._key.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{message}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def service_account(signer: Signer, now: float, name: str = "app") -> str:
    """A projected service account token."""
    account = {"namespace": "default", "serviceaccount": {"name": name, "uid": "u1"}}
    subject = f"system:serviceaccount:default:{name}"
    return signer.token(
        **{"iss": "kubernetes", "sub": subject, "iat": now, "exp": now + 3600, "kubernetes.io": account}
    )


@contextlib.contextmanager
def token_review(vouched_for: str):
    """A Kubernetes API server that knows one thing: whether it vouches for a token. Gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            good = self.path == "/apis/authentication.k8s.io/v1/tokenreviews" and review["spec"]["token"] == vouched_for
            user = {"username": "system:serviceaccount:default:app", "uid": "u1", "groups": []}
            status = {"authenticated": True, "user": user} if good else {"authenticated": False}
            body = json.dumps({**review, "status": status}).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
