"""`GoogleServer`: the fake, started and stopped, seeded, made to lag and to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Self

from asyncsecrets.redaction import contain
from asyncsecrets.testing import hosts
from asyncsecrets.testing.fakes import Fake
from asyncsecrets.testing.google_server.calls import Faults
from asyncsecrets.testing.google_server.http import HttpSide
from asyncsecrets.testing.google_server.identity import Identity
from asyncsecrets.testing.google_server.kms import Key, KeyManagement
from asyncsecrets.testing.google_server.projects import Projects
from asyncsecrets.testing.google_server.refusals import need
from asyncsecrets.testing.google_server.secret_manager import SecretManager
from asyncsecrets.testing.google_server.store import Store
from asyncsecrets.testing.google_server.wire import Dispatcher, Relay
from asyncsecrets.testing.sites import HOST

_OPTIONS: Final = (("grpc.so_reuseport", 0), ("grpc.http2.max_ping_strikes", 0))


class GoogleServer(Fake):
    """Secret Manager and KMS on loopback; see the package for what it can do. ``clock`` gives seconds since the epoch.

    Raises:
        MissingDependencyError: without the extra ``google``, or ``tls`` without trustme.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        project: str = "example-project",
        number: str = "123456789012",
        tls: bool = False,
        tokens: Iterable[str] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        super().__init__("google", clock)
        self.project, self.number, self.projects = project, number, Projects()
        self.projects.numbers[project] = number
        self._relay = Relay(HOST, port)
        self.faults = Faults(sleep, self._relay.cut)
        self.identity = Identity(tokens, self.now, self.folder, project)
        self.tokens = self.identity.tokens
        self._http = HttpSide(self.identity, self.faults, self.requests)
        self._store = Store(self.now)
        self._secrets = SecretManager(self._store, self.projects, self.now)
        self._kms = KeyManagement(self.projects, self.now)
        self.ca_file: str | None = None
        self._credentials = self._certify() if tls else None
        self._server: Any = None
        # grpc.aio logs as it starts, with a lock of its own held; garbage of its own that is collected while another
        # thread logs waits for that lock, and the two for each other.
        self._leash = contextlib.ExitStack()

    @property
    def endpoint(self) -> str:
        """Where gRPC listens: host and port; port 0 until it is started."""
        return f"{'localhost' if self._credentials else HOST}:{self._relay.port}"

    @property
    def port(self) -> int:
        """That of the endpoint."""
        return self._relay.port

    @property
    def url(self) -> str:
        """Where the HTTP side listens; empty until it is started."""
        return self.identity.url

    @property
    def token_uri(self) -> str:
        """Where OAuth tokens are got."""
        return f"{self.url}/token"

    async def start(self) -> Self:
        """Listen, on the ports of before, with what was stored before. Raises OSError for a port that is taken."""
        if self._server is None:
            self._leash.enter_context(contain("grpc"))
            # Ports first: a server of grpc.aio that is let go of before it was started takes the process with it.
            await self._listen()
            server, behind, secure = need("grpc.aio").server(options=_OPTIONS), f"{HOST}:0", self._credentials
            dispatcher = Dispatcher(self.faults, self.identity, self.projects, self.requests)
            server.add_generic_rpc_handlers([dispatcher.handler(each) for each in (self._secrets, self._kms)])
            port = server.add_secure_port(behind, secure) if secure else server.add_insecure_port(behind)
            await server.start()
            self._server, self._relay.behind = server, port
        return self

    async def _listen(self) -> None:
        try:
            await self._http.open()
            await self._relay.open()
        except OSError:
            self._leash.close()
            await self._http.close()
            raise

    async def stop(self) -> None:
        """Die: the ports close and every connection ends. The data stay for another `start`."""
        server, self._server = self._server, None
        if server is not None:
            await self._relay.close()
            await server.stop(None)
            await self._http.close()
            self._leash.close()

    def _certify(self) -> Any:
        issued, self.ca_file = hosts.certify(self.folder)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        return need("grpc").ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])

    def add(self, name: str, value: str | bytes, *, location: str | None = None, project: str | None = None) -> str:
        """Add a version to a secret, which is made if it is absent; the version's resource name."""
        types = self._secrets.types
        parent = f"projects/{project or self.project}" + (f"/locations/{location}" if location else "")
        full = f"{parent}/secrets/{name}"
        if self._store.find(self.projects.canonical(full)) is None:
            secret: Any = {} if location else {"replication": {"automatic": {}}}
            self._secrets.create_secret(types.CreateSecretRequest.pb()(parent=parent, secret_id=name, secret=secret))
        payload = {"data": value.encode() if isinstance(value, str) else value}
        request = types.AddSecretVersionRequest.pb()(parent=full, payload=payload)
        return str(self._secrets.add_secret_version(request).name)

    def value(self, name: str, version: str = "latest", *, project: str | None = None) -> bytes:
        """The data of a version."""
        full = f"projects/{project or self.project}/secrets/{name}/versions/{version}"
        request = self._secrets.types.AccessSecretVersionRequest.pb()(name=full)
        return bytes(self._secrets.access_secret_version(request).payload.data)

    def delete(self, name: str, *, project: str | None = None) -> None:
        """Delete a secret with its versions."""
        request = self._secrets.types.DeleteSecretRequest.pb()
        self._secrets.delete_secret(request(name=f"projects/{project or self.project}/secrets/{name}"))

    def encrypt(self, plaintext: bytes, key: Key | None = None, *, aad: bytes = b"") -> bytes:
        """A ciphertext, by the primary version of a key (that of `key`)."""
        request = self._kms.types.EncryptRequest.pb()(name=(key or self.key()).name, plaintext=plaintext)
        request.additional_authenticated_data = aad
        return bytes(self._kms.encrypt(request).ciphertext)

    def key(self, name: str = "key", *, ring: str = "ring", location: str = "global") -> Key:
        """A symmetric key of KMS, made if it is absent."""
        return self._kms.add(f"projects/{self.project}/locations/{location}/keyRings/{ring}/cryptoKeys/{name}")

    def add_project(self, project: str, number: str) -> None:
        """Another project; what is in a project that is not known is denied."""
        self.projects.numbers[project] = number

    def break_project(self, reason: str | None, project: str | None = None) -> None:
        """Refuse everything in a project: SERVICE_DISABLED, BILLING_DISABLED, CONSUMER_INVALID; None mends it."""
        self.projects.broken[project or self.project] = reason or ""

    def deny(self, permission: str | None = None, *, principal: str | None = None, name: str = "") -> None:
        """Deny a permission (each) to a principal (everyone) for resources whose names hold ``name``."""
        self.projects.denials.append((permission, principal, name))

    def allow(self) -> None:
        """Lift every denial."""
        self.projects.denials.clear()

    def freeze_latest(self) -> None:
        """Show readers of ``latest``, aliases and lists what there is now, whatever is written, until `lag`."""
        self._store.past.freeze()

    def lag(self, seconds: float = 0.0) -> None:
        """Show them every change so much later; 0 is at once."""
        self._store.past.thaw(seconds)

    def fall_silent(self) -> None:
        """Keep gRPC's connections and lose their bytes, as a load balancer does that forgot them. New ones work."""
        self._relay.forget()
