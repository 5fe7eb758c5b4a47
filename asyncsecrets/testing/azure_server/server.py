"""`AzureServer`: the fake, started and stopped, seeded, made to lag and to misbehave."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

import aiohttp

from asyncsecrets.testing import hosts
from asyncsecrets.testing.azure_server.calls import Faults
from asyncsecrets.testing.azure_server.entra import LOGINS, Entra
from asyncsecrets.testing.azure_server.http import Front
from asyncsecrets.testing.azure_server.machine import Machine
from asyncsecrets.testing.azure_server.vault import Rules, Vault
from asyncsecrets.testing.fakes import Fake
from asyncsecrets.testing.sites import HOST, Site, everything


class AzureServer(Fake):
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
        super().__init__("azure", clock)
        self.tenant, self.client_id = str(uuid.uuid4()), str(uuid.uuid4())
        self.entra = Entra(self.now, lambda: time.time() + self._moved, self.folder, self.tenant)
        self.client_secret = self.entra.add(self.client_id, client_secret)
        self.machine = Machine(self.entra, self.folder, str(uuid.uuid4()))
        self.rules, self.faults, self._vaults = Rules(), Faults(sleep), dict[str, Vault]()
        self._front = Front(self._vaults, self.entra, self.machine, self.faults, self.requests)
        certificate, self.ca_file = hosts.certify(self.folder, *LOGINS.values(), *(f"*.{suffix}" for suffix in LOGINS))
        self._site = Site(everything(self._front.of_azure), port, hosts.context_of(certificate))
        self._plain = Site(everything(self._front.of_machine))
        self.default = self.vault(vault)
        self.uri = self.default.uri

    @property
    def port(self) -> int:
        """Where vaults and logins are, with TLS; 0 until it is started."""
        return self._site.port

    @property
    def machine_url(self) -> str:
        """Where the endpoints of managed identity are; their paths stand in `environ`."""
        return f"http://{HOST}:{self._plain.port}"

    async def start(self) -> Self:
        """Listen, on the ports of before, with what was stored before. Raises OSError for a port that is taken."""
        await self._site.open()
        await self._plain.open()
        return self

    async def stop(self) -> None:
        """Die: the ports close and every connection ends. The data stay for another `start`."""
        await self._site.close()
        await self._plain.close()

    # How clients reach it

    @property
    def addresses(self) -> Mapping[str, tuple[str, int]]:
        """Where each name of Azure's is: host and port."""
        found = dict.fromkeys([*self._vaults, *LOGINS.values()], (HOST, self.port))
        return {**found, "169.254.169.254": (HOST, self._plain.port)}

    def connector(self, **options: Any) -> aiohttp.TCPConnector:
        """A connector for a session of aiohttp's on the running loop: it finds the names, and verifies TLS."""
        return hosts.connector(lambda: self.addresses, self.ca_file, **options)

    def adapter(self) -> Any:
        """The same for a session of requests': mount it at ``https://`` and ``http://``."""
        return hosts.adapter(lambda: self.addresses, self.ca_file, "azure")

    def environ(self, kind: str = "client_secret") -> dict[str, str]:
        """The variables by which a program finds the default vault and who it is: ``client_secret``,
        ``client_certificate``, ``workload_identity``, ``imds``, ``app_service`` or ``arc``."""
        url, app = self.machine_url, {"AZURE_TENANT_ID": self.tenant, "AZURE_CLIENT_ID": self.client_id}
        match kind:
            case "client_secret":
                found = app | {"AZURE_CLIENT_SECRET": self.client_secret}
            case "client_certificate":
                found = app | {"AZURE_CLIENT_CERTIFICATE_PATH": str(self.entra.certificate_file(self.client_id))}
            case "workload_identity":
                found = app | {"AZURE_FEDERATED_TOKEN_FILE": str(self.entra.federated_token_file(self.client_id))}
            case "imds":
                found = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": url}
            case "app_service":
                found = {"IDENTITY_ENDPOINT": f"{url}/msi/token", "IDENTITY_HEADER": self.machine.header}
            case "arc":
                found = {"IDENTITY_ENDPOINT": f"{url}/arc/token", "IMDS_ENDPOINT": url}
            case _:
                raise ValueError(f"there is no identity of the kind {kind!r}")
        return {"AZURE_KEY_VAULT_URI": self.uri, **found}

    # What is in it

    def vault(self, name: str, suffix: str = "vault.azure.net") -> Vault:
        """A vault, made if it is absent. Names of others do not resolve, as those of vaults that do not exist."""
        host = f"{name}.{suffix}".lower()
        if host not in self._vaults:
            self._vaults[host] = Vault(host, self.tenant, self.rules, self.now)
        return self._vaults[host]

    def add(self, name: str, value: str, *, vault: str | None = None, **facts: Any) -> str:
        """`Vault.add` of the default vault, or of that one."""
        return self.vault(vault or self.default.name).add(name, value, **facts)

    def value(self, name: str, version: str = "", *, vault: str | None = None) -> str:
        """`Vault.value` of the default vault, or of that one."""
        return self.vault(vault or self.default.name).value(name, version)

    def delete(self, name: str, *, vault: str | None = None) -> None:
        """`Vault.delete` of the default vault, or of that one."""
        self.vault(vault or self.default.name).delete(name)

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
