"""The addresses of a cluster's nodes: what may be sent there, and where a redirect may lead."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.vault.calls import Call
from asyncsecrets.providers.vault.paths import is_address, is_loopback, socket_of, split_address
from asyncsecrets.providers.vault.settings import VaultSettings

__all__ = ["Origins"]

_LOCATION: Final = re.compile(r"(?P<origin>https?://[^/?#]+)(?P<target>/[^#]*)", re.IGNORECASE)
_DEFAULT_PORT: Final = re.compile(r"(https://[^/]*):443|(http://[^/]*):80")


class Origins:
    """The addresses of ``addr`` and ``cluster_addrs``. Raises ConfigError for one that would send a token in clear over
    a network.
    """

    def __init__(self, settings: VaultSettings) -> None:
        self.nodes = _origins(settings)
        """As configured, that of ``addr`` first."""
        self.any_secure = any(origin.startswith("https:") for origin in self.nodes)
        self.only_here = not settings.allow_insecure_http and any(node.startswith("http:") for node in self.nodes)
        """Whether plain http is allowed because it does not leave this machine."""

    def trusted(self, address: str) -> str | None:
        """The origin of the cluster, as configured, that ``address`` is, or None."""
        wanted = _without_default_port(address.rstrip("/"))
        return next((known for known in self.nodes if _without_default_port(known) == wanted), None)

    def redirect(self, call: Call, status: int, location: str) -> str | None:
        """The one place a redirect may lead: where we would ask ourselves, at an origin of the cluster.

        A server writes the location anew from the path that it decoded, so it encodes other characters than we do.
        What is sent is our own spelling at the origin as configured: in the location there is nothing to be fooled by.
        """
        found = _same_place(call, location) if status in {307, 308} else None
        if found is None:
            return None
        return self.trusted(found)

    def is_of_a_standby(self, call: Call, status: int, location: str) -> bool:
        """Whether a redirect that is not followed is one that a standby gives: to the same place at another address."""
        found = _same_place(call, location) if status == 307 else None
        if found is None or not is_address(found):
            return False
        return found.lower().startswith("https:") or not self.nodes[0].startswith("https:")


def _same_place(call: Call, location: str) -> str | None:
    """The origin of a location that names the path and query of the call, or None."""
    found = _LOCATION.fullmatch(location)
    return found["origin"] if found and _decoded(found["target"]) == _decoded(call.url.raw_path_qs) else None


def _decoded(target: str) -> tuple[bytes, bytes]:
    path, _, query = target.partition("?")
    return unquote_to_bytes(path), unquote_to_bytes(query)


def _without_default_port(origin: str) -> str:
    match = _DEFAULT_PORT.fullmatch(origin.lower())
    return (match[1] or match[2]) if match else origin.lower()


def _origins(settings: VaultSettings) -> tuple[str, ...]:
    own, _ = split_address(settings.addr)
    if settings.cluster_addrs and socket_of(settings.addr):
        raise ConfigError("cluster_addrs does not go with a socket as addr: who listens there chooses the node")
    nodes = [split_address(address, "cluster_addrs")[0] for address in settings.cluster_addrs]
    if own.startswith("http:") and not is_loopback(own) and not settings.allow_insecure_http:
        raise ConfigError(
            "addr is plain http to another machine: the token and every secret would cross the network readable. "
            "Use https, or set allow_insecure_http: true if the network itself is encrypted"
        )
    for node in nodes:
        trusted = settings.allow_insecure_http or is_loopback(node)
        if node.startswith("http:") and not (own.startswith("http:") and trusted):
            raise ConfigError(
                "cluster_addrs must be https; http only where addr is http too, on loopback or with allow_insecure_http"
            )
    return own, *nodes
