"""What it means that there is no way to a server through a proxy, whichever library noticed.

All of it happens before there is a connection to the server, so nothing was sent to it, and none of it is its fault.
"""

from __future__ import annotations

import errno
from typing import Final, NamedTuple

import aiohttp

from asyncsecrets.errors import AsyncSecretsError, ConfigError, InsecureTransportError, ProviderError, UnavailableError
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.tls import certificate_fault

__all__ = ["ProxyFault", "broken", "fault_of", "unconnected"]


class ProxyFault(NamedTuple):
    """What is wrong with a proxy: the class of the error, and its text."""

    kind: type[AsyncSecretsError]
    text: str

    def error(self, message: str, *, provider: str, name: str | None = None) -> AsyncSecretsError:
        """The error, with ``message`` in the place of the text."""
        if issubclass(self.kind, ProviderError):
            return self.kind(message, provider=provider, name=name)
        return self.kind(message)


def fault_of(error: BaseException, proxy: Proxy, server: str) -> ProxyFault | None:
    """What an exception of aiohttp says about ``proxy``, or None where it is about ``server`` (its host and port)."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refusal(error.status, proxy, server)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ProxyFault(UnavailableError, f"{proxy}: its name cannot be resolved (DNS); {_CHECK}")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        text = f"{proxy} gave no connection to {server} in time (connect_timeout); {_CHECK}"
        return ProxyFault(UnavailableError, text)
    if isinstance(error, aiohttp.ClientSSLError) and _is_to(proxy, error):
        why = certificate_fault(error) or "is it really https that it speaks?"
        text = f"TLS to {proxy} failed: {why}; check its address, and the CA (the server's settings hold for it too)"
        return ProxyFault(InsecureTransportError, text)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return ProxyFault(UnavailableError, f"{proxy} {_why_not(error.os_error)}; {_CHECK}")
    return None


def unconnected(proxy: Proxy, server: str, status: int | None, error: BaseException) -> ProxyFault:
    """What it means that another library got no tunnel: ``status`` is what the proxy answered, if it did."""
    if status is not None:
        return _refusal(status, proxy, server)
    why = certificate_fault(error)
    if why:
        text = (
            f"TLS to {proxy} failed: {why}; check its address, and the CAs that are trusted (the server's hold for it)"
        )
        return ProxyFault(InsecureTransportError, text)
    return ProxyFault(UnavailableError, f"{proxy} cannot be reached; {_CHECK}")


def broken(proxy: Proxy, server: str) -> ProxyFault:
    """What it means that a connection through ``proxy`` ended or was not made in time, where nobody knows by whom."""
    return ProxyFault(UnavailableError, f"the connection to {server} through {proxy} broke; {_CHECK}")


def _refusal(status: int, proxy: Proxy, server: str) -> ProxyFault:
    """What the answer of a proxy that opens no tunnel says."""
    if status == 407:
        what = "another user and password" if proxy.user else "a user and password"
        return ProxyFault(
            ConfigError, f"{proxy} wants {what} (HTTP 407): write them as http://user:password@host:port there"
        )
    if status == 429 or status >= 500:
        text = f"{proxy} cannot connect to {server} (HTTP {status}): does it reach that, or is it overloaded?"
        return ProxyFault(UnavailableError, text)
    text = f"{proxy} refuses to connect to {server} (HTTP {status}): have it allowed there, or name it in NO_PROXY"
    return ProxyFault(ConfigError, text)


_CHECK: Final = "check that variable or setting, and the network; NO_PROXY names what is reached without it"


def _is_to(proxy: Proxy, error: aiohttp.ClientSSLError) -> bool:
    return proxy.url.scheme == "https" and (error.host, error.port) == (proxy.url.raw_host, proxy.url.port)


def _why_not(error: OSError) -> str:
    return _FAULTS.get(error.errno or 0, "cannot be reached")


_FAULTS: Final = {
    errno.ECONNREFUSED: "cannot be reached: the connection was refused",
    errno.ECONNRESET: "hung up when it was asked for a connection",
    errno.EPROTO: "does not answer as an http proxy does",
}
