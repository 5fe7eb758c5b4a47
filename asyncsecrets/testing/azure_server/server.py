"""`AzureServer`: the fake, started and stopped, seeded, made to lag and to misbehave."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import uuid
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import aiohttp

from asyncsecrets.testing.azure_server import hosts
from asyncsecrets.testing.azure_server.calls import Faults, Log
from asyncsecrets.testing.azure_server.entra import LOGINS, Entra
from asyncsecrets.testing.azure_server.http import Front
from asyncsecrets.testing.azure_server.machine import Machine
from asyncsecrets.testing.azure_server.vault import Asked, Rules, Vault
from asyncsecrets.testing.sites import HOST, Site
from asyncsecrets.testing.threads import served_in_thread


class AzureServer:
    """Key Vault, Entra ID and managed identity on loopback; see the package for what it can do. ``clock`` gives
    seconds since the epoch.

    Raises:
        MissingDependencyError: without the extra ``testing``.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        vault: str = "demo",
        client_secret: str | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="asyncsecrets-azure-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self._clock, self._moved = clock, 0.0
        self.tenant, self.client_id = str(uuid.uuid4()), str(uuid.uuid4())
        self.entra = Entra(self.now, lambda: time.time() + self._moved, self.folder, self.tenant)
        self.client_secret = self.entra.add(self.client_id, client_secret)
        self.machine = Machine(self.entra, self.folder, str(uuid.uuid4()))
        self.rules, self.requests, self.faults = Rules(), Log(), Faults(sleep)
        self._vaults: dict[str, Vault] = {}
        self._front = Front(self._vaults, self.entra, self.machine, self.faults, self.requests)
        context, self.ca_file = hosts.certify(self.folder, *LOGINS.values(), *(f"*.{suffix}" for suffix in LOGINS))
        self._site, self._plain = Site(self._front.encrypted, port, context), Site(self._front.plain)
        self.default = self.vault(vault)

    def __repr__(self) -> str:
        return f"<AzureServer {HOST}:{self.port}>"

    @property
    def port(self) -> int:
        """Where vaults and logins are, with TLS; 0 until it is started."""
        return self._site.port

    @property
    def uri(self) -> str:
        """The address of the default vault, by its name in Azure."""
        return self.default.uri

    @property
    def machine_url(self) -> str:
        """Where the endpoints of managed identity are; their paths stand in `environ`."""
        return f"http://{HOST}:{self._plain.port}"

    async def start(self) -> Self:
        """Listen, on the ports of before, with what was stored before. Raises OSError for a port that is taken."""
        try:
            await self._site.open()
            await self._plain.open()
        except OSError:
            await self.stop()
            raise
        return self

    async def stop(self) -> None:
        """Die: the ports close and every connection ends. The data stay for another `start`."""
        await self._site.close()
        await self._plain.close()

    aclose = stop

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @classmethod
    def in_thread(cls, **settings: Any) -> AbstractContextManager[Self]:
        """A server on an event loop in a thread of its own, for clients that block."""
        server = cls(**settings)
        return served_in_thread(server, f"{HOST}:{server.port}")

    # How clients reach it

    @property
    def addresses(self) -> Mapping[str, tuple[str, int]]:
        """Where each name of Azure's is: host and port."""
        return {
            **dict.fromkeys([*self._vaults, *LOGINS.values()], (HOST, self.port)),
            "169.254.169.254": (HOST, self._plain.port),
        }

    def connector(self, **options: Any) -> aiohttp.TCPConnector:
        """A connector for a session of aiohttp's on the running loop: it finds the names, and verifies TLS."""
        return hosts.connector(lambda: self.addresses, self.ca_file, **options)

    def adapter(self) -> Any:
        """The same for a session of requests': mount it at ``https://`` and ``http://``."""
        return hosts.adapter(lambda: self.addresses, self.ca_file)

    def environ(self, kind: str = "client_secret") -> dict[str, str]:
        """The variables by which a program finds the default vault and who it is: ``client_secret``,
        ``client_certificate``, ``workload_identity``, ``imds``, ``app_service`` or ``arc``."""
        app = {"AZURE_TENANT_ID": self.tenant, "AZURE_CLIENT_ID": self.client_id}
        found = {
            "client_secret": lambda: {**app, "AZURE_CLIENT_SECRET": self.client_secret},
            "client_certificate": lambda: {
                **app,
                "AZURE_CLIENT_CERTIFICATE_PATH": str(self.entra.certificate_file(self.client_id)),
            },
            "workload_identity": lambda: {
                **app,
                "AZURE_FEDERATED_TOKEN_FILE": str(self.entra.federated_token_file(self.client_id)),
            },
            "imds": lambda: {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.machine_url},
            "app_service": lambda: {
                "IDENTITY_ENDPOINT": f"{self.machine_url}/msi/token",
                "IDENTITY_HEADER": self.machine.header,
            },
            "arc": lambda: {
                "IDENTITY_ENDPOINT": f"{self.machine_url}/arc/token",
                "IMDS_ENDPOINT": self.machine_url,
            },
        }
        return {"AZURE_KEY_VAULT_URI": self.uri, **found[kind]()}

    # Time

    def now(self) -> float:
        """The server's time, in seconds since the epoch."""
        return self._clock() + self._moved

    def advance(self, seconds: float) -> None:
        """Let time pass: tokens expire, limbos and lags end."""
        self._moved += seconds

    # What is in it

    def vault(self, name: str, suffix: str = "vault.azure.net") -> Vault:
        """A vault, made if it is absent. Names of others do not resolve, as those of vaults that do not exist."""
        host = f"{name}.{suffix}".lower()
        if host not in self._vaults:
            self._vaults[host] = Vault(host, self.tenant, self.rules, self.now)
        return self._vaults[host]

    def add(
        self, name: str, value: str, *, vault: str | None = None, attributes: dict[str, Any] | None = None, **about: Any
    ) -> str:
        """Add a version to a secret, which is made if it is absent; the version. ``attributes`` are ``enabled``,
        ``nbf``, ``exp``; ``about`` are ``contentType`` and ``tags``."""
        body = {"value": value, "attributes": attributes or {}, **about}
        made = self._of(vault).set_secret(self._asked(name, vault, body=body))
        return str(made["id"]).rpartition("/")[2]

    def value(self, name: str, version: str = "", *, vault: str | None = None) -> str:
        """The value of a version, the newest if none is named."""
        return str(self._of(vault).get_secret(self._asked(name, vault, version))["value"])

    def delete(self, name: str, *, vault: str | None = None) -> None:
        """Delete a secret softly."""
        self._of(vault).delete_secret(self._asked(name, vault))

    def _of(self, vault: str | None) -> Vault:
        return self.default if vault is None else self.vault(vault)

    def _asked(self, name: str, vault: str | None, version: str = "", body: dict[str, Any] | None = None) -> Asked:
        return Asked(self._of(vault).host, name, version, {}, body or {})

    def count(self, method: str, name: str = "") -> int:
        """How many calls of that method there were, of hosts and paths that hold ``name``."""
        return self.requests.of(method, name)

    # What goes wrong

    def deny(
        self, inner: str = "ForbiddenByRbac", *, method: str | None = None, principal: str | None = None, name: str = ""
    ) -> None:
        """Deny a method (each) to a principal (everyone) where host and path hold ``name``: ``ForbiddenByRbac``,
        ``ForbiddenByPolicy`` or ``ForbiddenByFirewall``."""
        self._front.denials.append((inner, method, principal, name))

    def allow(self) -> None:
        """Lift every denial."""
        self._front.denials.clear()

    def freeze(self) -> None:
        """Show readers what there is now, whatever is written, until `lag`: the other region of the pair."""
        for vault in self._vaults.values():
            vault.past.freeze()

    def lag(self, seconds: float = 0.0) -> None:
        """Show them every change so much later; 0 is at once."""
        for vault in self._vaults.values():
            vault.past.thaw(seconds)
