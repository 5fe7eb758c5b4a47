"""The conformance suite against a real server, once through every way to log in.

Besides ASYNCSECRETS_TEST_REAL_VAULT, VAULT_ADDR and VAULT_TOKEN, the login by TLS certificate wants the path of a
`vault` or `bao` binary in ASYNCSECRETS_TEST_VAULT_BINARY: it needs a server with TLS of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.server
import json
import os
import secrets
import socket
import ssl
import subprocess
import threading
import time

import pytest
import trustme

from asyncsecrets.testing.conformance import ProviderConformance
from tests.providers.vault.backend import Backend, Issuer
from tests.providers.vault.test_conformance import Place, RealHarness

from .conftest import REAL
from .logins import POLICY

ROLE = {"token_policies": "conformance", "token_ttl": "1h"}
CLAIMS = {
    "iss": "https://kubernetes.default.svc",
    "aud": ["https://kubernetes.default.svc"],
    "sub": "system:serviceaccount:default:app",
    "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "app", "uid": "canary-uid"}},
}


class Review(http.server.BaseHTTPRequestHandler):
    """The cluster's TokenReview API, which vouches for the token it is told of."""

    def do_POST(self):
        spec = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["spec"]
        known = spec["token"] == self.server.vouched
        user = {"username": CLAIMS["sub"], "uid": "canary-uid", "groups": []} if known else {}
        status = {"authenticated": known, "user": user, "audiences": spec.get("audiences") or []}
        body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing: a log line is not ours to print."""


@contextlib.contextmanager
def cluster(vouched):
    """A cluster on a thread of its own, as the suite's tests each have a loop of their own."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Review) as server:
        server.vouched = vouched
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def mounted(kind, namespace=""):
    """An auth mount of ours on the named server, with a policy that may do everything with secrets: (ask, its path)."""
    place, path = Place.named(), f"conformance-{secrets.token_hex(4)}"
    backend = Backend(place.url, place.token)

    def ask(method, where, body=None):
        return asyncio.run(backend(method, where, body, namespace))

    ask("POST", f"sys/auth/{path}", {"type": kind})
    ask("POST", "sys/policies/acl/conformance", {"policy": POLICY})
    try:
        yield ask, path
    finally:
        ask("DELETE", f"sys/auth/{path}")
        ask("DELETE", "sys/policies/acl/conformance")


def role_of(ask, path):
    """An AppRole; the settings that log in with it."""
    ask("POST", f"auth/{path}/role/app", ROLE)
    role_id = ask("GET", f"auth/{path}/role/app/role-id")["data"]["role_id"]
    secret_id = ask("POST", f"auth/{path}/role/app/secret-id", {})["data"]["secret_id"]
    return {"approle_mount_path": path, "approle_role_id": role_id, "approle_secret_id": secret_id}


@contextlib.contextmanager
def approle(folder):
    """Role id and secret id."""
    with mounted("approle") as (ask, path):
        yield Place.named(**role_of(ask, path))


@contextlib.contextmanager
def namespaces(folder):
    """AppRole and secrets in a namespace within a namespace."""
    root, outer = Place.named(), f"conformance-{secrets.token_hex(4)}"
    inner = f"{outer}/inner"
    backend = Backend(root.url, root.token)
    try:
        asyncio.run(backend("POST", f"sys/namespaces/{outer}", {}))
    except ValueError:
        pytest.skip("the server has no namespaces")
    asyncio.run(backend("POST", "sys/namespaces/inner", {}, outer))
    asyncio.run(backend("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}, inner))
    try:
        with mounted("approle", inner) as (ask, path):
            settings = role_of(ask, path) | {"namespace": inner}
            yield Place(root.url, root.token, settings, namespace=inner)
    finally:
        asyncio.run(backend("DELETE", "sys/namespaces/inner", None, outer))
        asyncio.run(deleted(backend, outer))


async def deleted(backend, namespace):
    """Delete a namespace, once those in it are gone: the server takes its time with that."""
    for _ in range(100):
        with contextlib.suppress(ValueError):
            await backend("DELETE", f"sys/namespaces/{namespace}")
            return
        await asyncio.sleep(0.05)
    pytest.fail("the server does not delete a namespace")


@contextlib.contextmanager
def jwt(folder):
    """A JWT in a file."""
    issuer, file = Issuer(), folder / "jwt"
    file.write_text(issuer.sign(exp=int(time.time()) + 3600))
    with mounted("jwt") as (ask, path):
        ask("POST", f"auth/{path}/config", {"jwt_validation_pubkeys": [issuer.public_key]})
        role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"]}
        ask("POST", f"auth/{path}/role/app", role | ROLE)
        yield Place.named(jwt_mount_path=path, jwt_role="app", jwt_file=str(file))


@contextlib.contextmanager
def kubernetes(folder):
    """A service account's token in a file, for which a cluster vouches."""
    file = folder / "service-account"
    file.write_text(Issuer().sign(**CLAIMS, exp=int(time.time()) + 3600))
    authority = trustme.CA().cert_pem.bytes().decode()
    with cluster(file.read_text()) as host, mounted("kubernetes") as (ask, path):
        config = {"kubernetes_host": host, "disable_local_ca_jwt": True, "disable_iss_validation": True}
        ask("POST", f"auth/{path}/config", config | {"kubernetes_ca_cert": authority})
        role = {"bound_service_account_names": "app", "bound_service_account_namespaces": "default"}
        ask("POST", f"auth/{path}/role/app", role | ROLE)
        yield Place.named(kubernetes_mount_path=path, kubernetes_role="app", kubernetes_token_file=str(file))


@contextlib.contextmanager
def token_file(folder):
    """A token in a file."""
    file, place = folder / "token", Place.named()
    file.write_text(place.token + "\n")
    yield Place.named(token_file=str(file))


@contextlib.contextmanager
def running(binary, folder):
    """A dev server of the binary's with TLS: (its address, its root token, the file of its CA)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    options = [
        "-dev",
        "-dev-tls",
        f"-dev-tls-cert-dir={folder}",
        "-dev-no-store-token",
        "-dev-root-token-id=canary-root",
    ]
    command = [binary, "server", *options, f"-dev-listen-address={address}"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"https://{address}", "canary-root", wait_for_ca(folder, process, port)
        finally:
            process.terminate()


def wait_for_ca(folder, process, port):
    """The CA file, once the server that wrote it listens."""
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        files = list(folder.glob("*-ca.pem"))
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            if files:
                return str(files[0])
        time.sleep(0.1)
    pytest.fail("the binary does not start a dev server with TLS")


@contextlib.contextmanager
def cert(folder):
    """A TLS client certificate."""
    binary = os.environ.get("ASYNCSECRETS_TEST_VAULT_BINARY")
    if not binary:
        pytest.skip("ASYNCSECRETS_TEST_VAULT_BINARY does not name a binary to start a server with TLS")
    issued = trustme.CA().issue_cert("app@canary.test", common_name="app", not_after=in_a_day())
    pem = issued.cert_chain_pems[0].bytes()
    (folder / "client.pem").write_bytes(pem)
    (folder / "client.key").write_bytes(issued.private_key_pem.bytes())
    with running(binary, folder) as (url, root, authority):
        context = ssl.create_default_context(cafile=authority)
        backend = Backend(url, root, context)
        asyncio.run(backend("POST", "sys/auth/cert", {"type": "cert"}))
        asyncio.run(backend("POST", "sys/policies/acl/conformance", {"policy": POLICY}))
        asyncio.run(backend("POST", "auth/cert/certs/app", {"certificate": pem.decode(), **ROLE}))
        client = {"client_cert": str(folder / "client.pem"), "client_key": str(folder / "client.key")}
        yield Place(url, root, {"ca_cert": authority, "cert_role": "app", **client}, ssl=context)


def in_a_day():
    """When a certificate made now ends."""
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=1)


LOGINS = [token_file, approle, namespaces, jwt, kubernetes, cert]

if REAL:  # else there is nothing to collect, not something to skip

    @pytest.fixture(scope="module", params=LOGINS, ids=lambda login: login.__name__)
    def place(request, tmp_path_factory):
        """A real server, ready for one way to log in."""
        with request.param(tmp_path_factory.mktemp("login")) as place:
            yield place

    class TestLogins(ProviderConformance):
        """The whole suite, but for faults, which a real server does not have on command."""

        @pytest.fixture
        def harness(self, place):
            """KV v2 at `secret/`."""
            return RealHarness(place)

        def test_one_login_serves_all(self, harness):
            """What the suite does is done by a login of ours, one for any number of callers."""

            async def use():
                async with harness:
                    await harness.seed("a", "canary")
                    await harness.provider.open()
                    await asyncio.gather(*(harness.provider.get("a") for _ in range(20)))
                    await harness.provider.aclose()

            asyncio.run(use())
            ours = "token_file" not in harness.place.settings
            assert harness.provider.tokens.logins == int(ours)
