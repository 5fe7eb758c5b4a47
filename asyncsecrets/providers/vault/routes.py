"""How a request travels to each node: over TLS or not, through a proxy or a socket of this machine.

Proxies are those that Vault's own tools follow, and of these only for https: the setting ``proxy``,
``HCP_VAULT_PROXY``, ``VAULT_PROXY_ADDR`` and ``VAULT_HTTP_PROXY``, each for every node and whatever ``NO_PROXY`` says
(``none``: no proxy at all), and otherwise ``HTTPS_PROXY``, and ``ALL_PROXY`` as hvac does, with ``NO_PROXY``.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, Final, TypedDict
from urllib.parse import urlsplit

import aiohttp

from asyncsecrets.credential import revealed
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.connections import connector, unix_connector
from asyncsecrets.providers.loopback import LoopbackResolver, is_loopback
from asyncsecrets.providers.proxies import Proxy, proxy_at, proxy_in, variable_in
from asyncsecrets.providers.vault.origins import Origins
from asyncsecrets.providers.vault.paths import socket_of
from asyncsecrets.providers.vault.settings import PROXY_VARIABLES, VaultSettings
from asyncsecrets.providers.vault.tls import TlsFiles

__all__ = ["Route", "Routes"]

_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Route:
    """What errors say of the way to a node: ``server`` is its host and port, or socket; ``proxy`` is on the way.

    ``passed_over``: a variable that should name CAs, and names none.
    """

    server: str
    proxy: Proxy | None = None
    passed_over: str = ""


class _Options(TypedDict):
    """What every request is sent with. ``ssl`` is replaced when certificates change on disk."""

    allow_redirects: bool
    ssl: ssl.SSLContext | bool
    server_hostname: str | None


class Routes:
    """See the module. ``load`` and ``reload`` block: call them in a thread."""

    def __init__(self, settings: VaultSettings, origins: Origins) -> None:
        self._settings = settings
        self._origins = origins
        self._files = TlsFiles(settings)
        self._socket = socket_of(settings.addr)
        self._proxies: dict[str, Proxy | ConfigError] = {}
        self._options: _Options = {
            "allow_redirects": False,
            "ssl": True,
            "server_hostname": settings.tls_server_name or None,
        }
        self.secure = origins.any_secure
        """Whether TLS is spoken with any node."""

    def load(self) -> None:
        """Read the TLS files and find the proxies. Raises ConfigError, though not for a proxy: see ``options``."""
        if self.secure:
            self._options["ssl"] = self._files.load()
            found = {node: self._proxy(node) for node in self._origins.nodes if node.startswith("https:")}
            self._proxies = {node: proxy for node, proxy in found.items() if proxy is not None}

    def reload(self) -> bool:
        """Take up certificates that changed on disk. Returns whether any had."""
        context = self._files.reload()
        if context is not None:
            self._options["ssl"] = context
        return context is not None

    def expired(self, now: Any) -> bool:
        """Whether the client certificate is not valid any more: see ``TlsFiles``."""
        return self._files.expired(now)

    def connector(self) -> aiohttp.BaseConnector:
        """What a session on the running loop connects with."""
        if self._socket:
            return unix_connector(self._socket, limit=0)
        resolver = LoopbackResolver() if self._origins.only_here else None
        return connector(patience=0.9 * self._settings.attempt_timeout, limit=0, resolver=resolver)

    def options(self, node: str) -> Any:
        """What a request to ``node`` is sent with. A proxy's password is in it: for no local variable.

        Raises ConfigError where the proxy is none that is spoken here: that concerns only who asks this node.
        """
        if not self._proxies or node not in self._proxies:
            return self._options
        proxy = self._proxies[node]
        if isinstance(proxy, ConfigError):
            raise ConfigError(proxy.message)
        name = self._settings.tls_server_name or _host(node).rstrip(".")
        return {**self._options, "server_hostname": name, **proxy.options()}

    def route(self, node: str) -> Route:
        """The way to ``node``, for errors."""
        if self._socket:
            return Route(f"the socket {self._socket!r}")
        parts = urlsplit(node)
        default = 443 if parts.scheme == "https" else 80
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        proxy = self._proxies.get(node)
        return Route(
            f"{host}:{parts.port or default}", proxy if isinstance(proxy, Proxy) else None, self._files.passed_over
        )

    def _proxy(self, node: str) -> Proxy | ConfigError | None:
        try:
            return self._chosen(node)
        except ConfigError as error:
            return error.with_traceback(None)

    def _chosen(self, node: str) -> Proxy | None:
        host, environ = _host(node), self._settings.ways()
        if is_loopback(host):
            return None
        if self._settings.proxy:
            return _named(revealed(self._settings.proxy), "the setting proxy")
        named = next((found for name in PROXY_VARIABLES if (found := variable_in(environ, name))), None)
        if named is not None:
            return _named(environ[named], named)
        return proxy_in(environ, host, urlsplit(node).port or 443, "HTTPS_PROXY", "ALL_PROXY")


def _named(address: str, source: str) -> Proxy | None:
    return None if address.strip().lower() == _NONE else proxy_at(address, source)


def _host(node: str) -> str:
    return urlsplit(node).hostname or ""
