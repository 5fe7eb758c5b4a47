"""`VaultServer`: the dev server, started and stopped, killed and restarted, sealed and made to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import secrets
import ssl
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Self

from asyncsecrets import exact
from asyncsecrets.testing.threads import served_in_thread
from asyncsecrets.testing.vault_server._crypto import Authority, ClientCertificate
from asyncsecrets.testing.vault_server._model import Call, Clock, Operation, Pending, Reply
from asyncsecrets.testing.vault_server.core import Core
from asyncsecrets.testing.vault_server.faults import Faults
from asyncsecrets.testing.vault_server.guard import Guard
from asyncsecrets.testing.vault_server.http import Front, Listener, Sleep
from asyncsecrets.testing.vault_server.requests import RequestRecord
from asyncsecrets.testing.vault_server.state import TokenReview


class VaultServer:
    """A server that answers as OpenBao does, for tests, demonstrations and development. It is a fake: everything is
    in memory, nothing is encrypted, and it listens on loopback only.

    ::

        async with VaultServer() as server:
            server.write_secret("db/password", {"key": "…"})
            ...  # server.url, server.root_token

    ``secret/`` is a KV v2 mount, as in dev mode. ``namespaces`` are created with such a mount each (parents first).
    ``clock`` gives seconds since the epoch and rules every lifetime; ``sleep`` carries out latency and drip.
    ``tls`` serves https with a throw-away CA (`ca_file`) and asks clients for a certificate. ``token_review`` stands in
    for the Kubernetes cluster: it takes a token and the audiences, and gives the status of a TokenReview.
    ``hostnames`` are names (or addresses) that may stand in ``Host`` beside those of loopback: for a client that
    reaches the server by another name. What comes from a web page is refused with 403 (see `guard`).
    ``standby_for`` makes a node that redirects (307) to that address, or with ``""`` knows no active node (500).

    Raises:
        ValueError: ``host`` is not a loopback address, or one of ``hostnames`` is not a name.
        MissingDependencyError: ``tls`` without trustme.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        root_token: str | None = None,
        tls: bool = False,
        hostnames: Iterable[str] = (),
        namespaces: Iterable[str] = (),
        standby_for: str | None = None,
        token_review: TokenReview | None = None,
        clock: Clock = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.host = _loopback(host)
        self.port = port
        self.root_token = root_token or "s.dev" + secrets.token_hex(12)
        self.core = Core(self.root_token, clock())
        self.core.standby_for = standby_for
        self.core.token_review = token_review
        self.faults = Faults()
        self._clock = clock
        self._front = Front(self.core, self.faults, Guard(hostnames), clock, sleep)
        self._listener: Listener | None = None
        self._socket: asyncio.Server | None = None
        self._authority = Authority(self.host) if tls else None
        self._context: ssl.SSLContext | None = None
        if self._authority is not None:
            self._context = self._authority.server_context()
            self.core.trust = self._trust
        for namespace in namespaces:
            self.create_namespace(namespace)

    def __repr__(self) -> str:
        return f"<VaultServer {self.url} {'sealed' if self.core.sealed else 'unsealed'}>"

    # -- running ------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it listens; port 0 until it is started."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._context else 'http'}://{host}:{self.port}"

    @property
    def ca_file(self) -> str | None:
        """The PEM file of the CA that signed the server's certificate; None without TLS."""
        return self._authority.ca_file if self._authority else None

    def client_certificate(self, name: str) -> ClientCertificate:
        """A new client certificate with the common name ``name``, signed by the server's CA.

        Raises:
            ValueError: the server has no TLS.
        """
        if self._authority is None:
            raise ValueError("client certificates need VaultServer(tls=True)")
        return self._authority.client(name)

    def _trust(self, pem: str) -> None:
        """Let connections present this certificate; which role it fits is the auth method's business."""
        if self._context is not None:
            self._context.load_verify_locations(cadata=pem)

    @property
    def running(self) -> bool:
        """Whether it listens: it was started, and neither killed nor closed since."""
        return self._socket is not None

    async def start(self) -> Self:
        """Listen. The port stays the same over `kill`, `aclose` and another `start`."""
        if self._socket is not None:
            return self
        loop = asyncio.get_running_loop()
        self._listener = self._front.listener()
        self._socket = await loop.create_server(
            self._listener, self.host, self.port, ssl=self._context, reuse_address=True, backlog=1024
        )
        self.port = self._socket.sockets[0].getsockname()[1]
        return self

    async def aclose(self) -> None:
        """Stop listening and end every connection. The data stay for another `start`."""
        listener = self.kill()
        if listener is not None:
            await listener.shutdown(timeout=0)

    def kill(self) -> Listener | None:
        """Die at once: the port closes, every connection is reset. The data stay for another `start`.

        To be called on the server's own event loop; so not from outside `run_in_thread`.
        """
        listener, self._listener = self._listener, None
        server, self._socket = self._socket, None
        if server is not None:
            server.close()
        if listener is not None:
            listener.cut()
        return listener

    async def restart(self) -> None:
        """`kill`, then `start` on the same port with the same data."""
        await self.aclose()
        await self.start()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def run_in_thread(self) -> AbstractContextManager[Self]:
        """Run on an event loop in a thread of its own, for clients that block."""
        return served_in_thread(self, f"{self.host}:{self.port}")

    # -- what tests look at -------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[RequestRecord]:
        """The latest requests (up to 20,000 and 8 MiB), oldest first. Clear it to begin anew.

        Those to the control paths are not in it, nor those that were refused for coming from a page.
        """
        return self._front.requests

    def count(self, method: str | None = None, prefix: str = "") -> int:
        """How many requests had this method (any if None) and a raw path that starts with ``prefix``."""
        return sum(method in {None, record.method} and record.target.startswith(prefix) for record in self.requests)

    # -- what an operator does ----------------------------------------------------------------------------------

    def seal(self) -> None:
        """Answer 503 ``Vault is sealed`` from now on."""
        self.core.sealed = True

    def unseal(self) -> None:
        """Answer again."""
        self.core.sealed = False

    @property
    def unseal_key(self) -> str:
        """The one key share, for ``sys/unseal``."""
        return self.core.unseal_key

    def call(
        self,
        operation: Operation,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        namespace: str = "",
        token: str | None = None,
    ) -> dict[str, Any]:
        """Carry out one call without HTTP, with the root token unless another is given; the decoded answer.

        Raises:
            ValueError: the server refused; the message holds the status and the server's errors.
        """
        content = json.dumps(body or {}).encode()
        call = Call("CALL", operation, path, self._clock(), body or {}, namespace=namespace, content=content)
        call.token = token or self.root_token
        reply = self.core.answer(call)
        if isinstance(reply, Pending) or reply.status >= 400:
            raise ValueError(f"{operation} {path} was refused: {_refusal(reply)}")
        return json.loads(exact.written(reply.body)) if isinstance(reply.body, dict) else {}

    def create_namespace(self, path: str) -> None:
        """Create a namespace (and its parents where they are missing), each with a KV v2 mount ``secret/``."""
        parent = ""
        for name in path.strip("/").split("/"):
            if f"{parent}{name}/" not in self.core.namespaces:
                self.call("update", f"sys/namespaces/{name}", namespace=parent)
                mount = {"type": "kv", "options": {"version": "2"}}
                self.call("update", "sys/mounts/secret", mount, namespace=f"{parent}{name}")
            parent += name + "/"

    def write_secret(
        self, path: str, data: dict[str, Any], *, mount: str = "secret", namespace: str = "", cas: int | None = None
    ) -> int:
        """Write a version of a KV v2 secret; its number."""
        body: dict[str, Any] = {"data": data} if cas is None else {"data": data, "options": {"cas": cas}}
        reply = self.call("update", f"{mount.strip('/')}/data/{path}", body, namespace=namespace)
        return int(reply["data"]["version"])

    def read_secret(
        self, path: str, *, mount: str = "secret", namespace: str = "", version: int = 0
    ) -> dict[str, Any] | None:
        """A version of a KV v2 secret (0: the latest); None if it is absent, deleted or destroyed."""
        name = f"{mount.strip('/')}/data/{path}"
        try:
            reply = self.call("read", name, {"version": version}, namespace=namespace)
        except ValueError:
            return None
        data: dict[str, Any] | None = reply["data"]["data"]
        return data

    def delete_secret(self, path: str, *, mount: str = "secret", namespace: str = "") -> None:
        """Soft-delete the latest version of a KV v2 secret."""
        self.call("delete", f"{mount.strip('/')}/data/{path}", namespace=namespace)

    def write_policy(self, name: str, text: str, *, namespace: str = "") -> None:
        """Write a policy (HCL or JSON)."""
        self.call("update", f"sys/policies/acl/{name}", {"policy": text}, namespace=namespace)

    def create_token(self, *policies: str, namespace: str = "", **parameters: Any) -> str:
        """A new token; ``parameters`` as for ``auth/token/create`` (``ttl="1h"``, ``num_uses=3``, …)."""
        body = {"policies": list(policies) or ["root"], "no_parent": True, **parameters}
        reply = self.call("update", "auth/token/create", body, namespace=namespace)
        return str(reply["auth"]["client_token"])

    def revoke_token(self, token: str) -> None:
        """End a token and its children."""
        self.call("update", "auth/token/revoke", {"token": token})


def _refusal(reply: Reply | Pending) -> str:
    if isinstance(reply, Pending):
        return "it needs the network"
    errors = reply.body.get("errors", []) if isinstance(reply.body, dict) else []
    return f"{reply.status} {'; '.join(errors)}"


def _loopback(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return host
    raise ValueError(f"the dev server is a fake and listens on loopback only, not on {host}: use 127.0.0.1 or ::1")
