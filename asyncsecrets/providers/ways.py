"""Which way a request for credentials may take, whoever sends it.

Such requests carry tokens and bring keys. Plain http goes to this machine and its links only, where no proxy is asked;
``localhost`` counts as this machine if it resolves so; https goes through the proxy that the environment names.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from asyncsecrets.credential import shown_path
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.loopback import is_local_name, is_loopback, resolve
from asyncsecrets.providers.proxies import Proxy, is_exempt, proxy_at, proxy_in, variable_in
from asyncsecrets.providers.tls import client_context, trust

__all__ = ["attempts", "check_way", "is_encoded", "is_near", "proxy_of", "trusting"]

_METADATA: Final = frozenset({"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"})
"""The services of AWS and Google beside a machine and a pod, which have link-local addresses in IPv4 only."""

_HTTPS_PROXY: Final = "HTTPS_PROXY"
_OF_SYSTEM: Final = "the system's settings"


def is_near(host: str) -> bool:
    """Whether what is sent to ``host`` leaves no link: then no proxy is on the way, and plain http will do."""
    if is_loopback(host) or host in _METADATA:
        return True
    try:
        return ip_address(host).is_link_local
    except ValueError:
        return False


def proxy_of(address: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for ``address``, if that is https and not near. Of plain http a proxy would see all.

    It is that of ``HTTPS_PROXY`` in ``environ`` or, as SDKs have it, in the process's environment, or the system's
    (macOS, Windows). Raises ConfigError for one that is not spoken here.
    """
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or 443
    if parts.scheme != "https" or is_near(host):
        return None
    given = environ if variable_in(environ, _HTTPS_PROXY) else os.environ
    if variable_in(given, _HTTPS_PROXY):
        return proxy_in(given, host, port, _HTTPS_PROXY)
    found = None if _is_exempt_by_system(parts.netloc) else getproxies().get("https")
    return proxy_at(found, _OF_SYSTEM) if found and not is_exempt(host, port, given) else None


def _is_exempt_by_system(netloc: str) -> bool:
    try:
        return bool(proxy_bypass(netloc))
    except (TypeError, socket.gaierror):  # macOS and Windows ask DNS
        return False


def check_way(url: str, where: str, example: str, *, insecure: bool) -> None:
    """Raise ConfigError, which names ``where`` the address is from, where a request must not go. ``insecure`` plain
    http goes anywhere."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"{where} is not an address such as {example}")
    if parts.scheme == "http" and not insecure and not is_near(parts.hostname):
        raise ConfigError(
            f"{where} is plain http to another machine: the credentials would cross the network readable. "
            "Use https, or a loopback or link-local address"
        )


def attempts(url: str, *, insecure: bool) -> Iterator[tuple[str, str]]:
    """``url`` with each address that a local name has, or as it is, and the host to tell: what was checked is what is
    asked. Blocks. Raises ElsewhereError, and OSError where the name does not resolve."""
    parts = urlsplit(url)
    if insecure or parts.scheme != "http" or not is_local_name(parts.hostname or ""):
        yield url, ""
        return
    for address in resolve(parts.hostname or "", parts.port or 80):
        host = f"[{address}]" if ":" in address else address
        yield parts._replace(netloc=f"{host}:{parts.port or 80}").geturl(), parts.netloc


def is_encoded(coding: str, body: bytes) -> bool:
    """Whether somebody has compressed a body: it says so, and begins as neither JSON nor XML does."""
    return bool(body) and body[:1] not in b"{<" and coding.strip().lower() not in {"", "identity"}


def trusting(bundle: str, settings: str) -> ssl.SSLContext:
    """A context that trusts ``bundle``, a file or directory. Blocks. Raises ConfigError, which names ``settings``."""
    context = client_context()
    if not trust(context, bundle):
        raise ConfigError(f"{shown_path(bundle)} is not a readable PEM file of CA certificates: check {settings}")
    return context
