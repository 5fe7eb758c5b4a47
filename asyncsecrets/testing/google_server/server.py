"""`GoogleServer`: the fake, started and stopped, seeded, made to lag and to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self

from asyncsecrets.testing.google_server.faults import Faults
from asyncsecrets.testing.google_server.http import HttpSide
from asyncsecrets.testing.google_server.identity import Identity
from asyncsecrets.testing.google_server.kms import Key, KeyManagement
from asyncsecrets.testing.google_server.log import Log
from asyncsecrets.testing.google_server.projects import Denial, Projects
from asyncsecrets.testing.google_server.refusals import need
from asyncsecrets.testing.google_server.secret_manager import SecretManager
from asyncsecrets.testing.google_server.store import Store
from asyncsecrets.testing.google_server.wire import Dispatcher, Relay

_HOST: Final = "127.0.0.1"
_START_TIMEOUT: Final = 10.0
_OPTIONS: Final = (("grpc.so_reuseport", 0), ("grpc.http2.max_ping_strikes", 0))


class GoogleServer:
    """Secret Manager and KMS on loopback. It is a fake: everything is in memory and in clear.

    ``tokens`` are the bearer tokens that are accepted for ever (None: nobody is asked who he is; an empty set: only
    what `identity` issues). ``clock`` gives seconds since the epoch and rules every lifetime; `advance` moves it.

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
        self.project, self.number = project, number
        self.folder = Path(tempfile.mkdtemp(prefix="asyncsecrets-google-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self._clock, self._moved, self._relay = clock, 0.0, Relay(_HOST, port)
        self._server: Any = None
        self.projects = Projects()
        self.projects.numbers[project] = number
        self.requests = Log()
        self.faults = Faults(sleep, self._relay.cut)
        self.identity = Identity(tokens, self.now, self.folder, project)
        self._http = HttpSide(self.identity, self.faults, self.requests)
        self._store = Store(self.now)
        self._secrets = SecretManager(self._store, self.projects, self.now)
        self._kms = KeyManagement(self.projects, self.now)
        self.ca_file: str | None = None
        self._credentials = self._certify() if tls else None

    def __repr__(self) -> str:
        return f"<GoogleServer {self.endpoint}>"

    # -- running ------------------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """Where gRPC listens: host and port; port 0 until it is started."""
        return f"{'localhost' if self._credentials else _HOST}:{self._relay.port}"

    @property
    def url(self) -> str:
        """Where the HTTP side listens; empty until it is started."""
        return self.identity.url

    @property
    def token_uri(self) -> str:
        """Where OAuth tokens are got."""
        return f"{self.identity.url}/token"

    @property
    def tokens(self) -> set[str] | None:
        """The bearer tokens that are accepted for ever; None if nobody is asked for one."""
        return self.identity.tokens

    async def start(self) -> Self:
        """Listen, on the ports of before, with what was stored before."""
        if self._server is not None:
            return self
        server = need("grpc.aio").server(options=_OPTIONS)
        dispatcher = Dispatcher(self.faults, self.identity, self.projects, self.requests)
        server.add_generic_rpc_handlers([dispatcher.handler(each) for each in (self._secrets, self._kms)])
        behind = f"{_HOST}:0"
        secure = self._credentials
        port = server.add_secure_port(behind, secure) if secure else server.add_insecure_port(behind)
        await self._relay.open(port)
        await server.start()
        await self._http.open(_HOST)
        self._server = server
        return self

    async def stop(self) -> None:
        """Die: the ports close and every connection ends. The data stay for another `start`."""
        server, self._server = self._server, None
        if server is not None:
            await self._relay.close()
            await server.stop(None)
            await self._http.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @classmethod
    @contextlib.contextmanager
    def in_thread(cls, **settings: Any) -> Iterator[Self]:
        """A server on an event loop in a thread of its own, for clients that block."""
        server, ready, stop = cls(**settings), threading.Event(), asyncio.Event()
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=server._run, args=(loop, ready, stop), name="google-server", daemon=True)
        thread.start()
        try:
            if not ready.wait(_START_TIMEOUT) or server._server is None:
                raise OSError(f"the Google fake could not listen on {server.endpoint}")
            yield server
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(stop.set)
            thread.join(_START_TIMEOUT)

    def _run(self, loop: asyncio.AbstractEventLoop, ready: threading.Event, stop: asyncio.Event) -> None:
        async def serve() -> None:
            try:
                async with self:
                    ready.set()
                    await stop.wait()
            finally:
                ready.set()

        with contextlib.closing(loop), contextlib.suppress(OSError):
            loop.run_until_complete(serve())

    def _certify(self) -> Any:
        authority = need("trustme").CA()
        issued = authority.issue_cert("localhost", _HOST)
        self.ca_file = str(self.folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        return need("grpc").ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])

    # -- time ---------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """The server's time, in seconds since the epoch."""
        return self._clock() + self._moved

    def advance(self, seconds: float) -> None:
        """Let time pass: tokens expire, lags end, what was scheduled happens."""
        self._moved += seconds

    # -- what is there ------------------------------------------------------------------------------------------

    def add(self, name: str, value: str | bytes, *, location: str | None = None, project: str | None = None) -> str:
        """Add a version to a secret, which is made if it is absent; the version's resource name."""
        pb = self._secrets.types
        parent = f"projects/{project or self.project}" + (f"/locations/{location}" if location else "")
        full = f"{parent}/secrets/{name}"
        if self._store.find(self.projects.canonical(full)) is None:
            request = pb.CreateSecretRequest.pb()(parent=parent, secret_id=name)
            if not location:
                request.secret.replication.automatic.SetInParent()
            self._secrets.create_secret(request)
        request = pb.AddSecretVersionRequest.pb()(parent=full)
        request.payload.data = value.encode() if isinstance(value, str) else value
        return str(self._secrets.add_secret_version(request).name)

    def value(self, name: str, version: str = "latest", *, project: str | None = None) -> bytes:
        """The data of a version."""
        full = f"projects/{project or self.project}/secrets/{name}/versions/{version}"
        request = self._secrets.types.AccessSecretVersionRequest.pb()(name=full)
        return bytes(self._secrets.access_secret_version(request).payload.data)

    def key(
        self, name: str = "key", *, ring: str = "ring", location: str = "global", project: str | None = None
    ) -> Key:
        """A symmetric key of KMS, made if it is absent."""
        parent = f"projects/{project or self.project}/locations/{location}/keyRings/{ring}"
        return self._kms.add(f"{parent}/cryptoKeys/{name}")

    def count(self, method: str, name: str = "") -> int:
        """How many calls of that method there were, of names that hold ``name``."""
        return sum(record.method == method and name in record.name for record in self.requests)

    # -- what is wrong ------------------------------------------------------------------------------------------

    def add_project(self, project: str, number: str) -> None:
        """Another project; what is in a project that is not known is denied."""
        self.projects.numbers[project] = number

    def break_project(self, reason: str | None, project: str | None = None) -> None:
        """Refuse everything in a project: SERVICE_DISABLED, BILLING_DISABLED, CONSUMER_INVALID; None mends it."""
        self.projects.broken[project or self.project] = reason or ""

    def deny(self, permission: str | None = None, *, principal: str | None = None, name: str = "") -> None:
        """Deny a permission (each) to a principal (everyone) for resources whose names hold ``name``."""
        self.projects.denials.append(Denial(permission, principal, name))

    def allow(self) -> None:
        """Lift every denial."""
        self.projects.denials.clear()

    def freeze_latest(self) -> None:
        """Show readers of ``latest``, aliases and lists what there is now, whatever is written, until `lag`."""
        self._store.frozen = self._store.changes

    def lag(self, seconds: float = 0.0) -> None:
        """Show them every change so much later; 0 is at once."""
        self._store.lag, self._store.frozen = seconds, None

    def fall_silent(self) -> None:
        """Lose every byte of gRPC's connections, both ways, and keep them: as a load balancer that forgot them does.
        New ones are as ever."""
        self._relay.forget()
