"""Which proxy carries https to which host, as the environment or a setting has it.

A proxy is asked for a tunnel (CONNECT): it hears the server's host and port, its own user and password, and nothing
else; TLS is spoken with the server itself. Of plain http it would hear everything, so no proxy is used for that, nor
for what is on this machine.

Spellings are those of botocore, curl and Go taken together: with or without a scheme, with ``user:password@``, names of
variables in any case, of which the lower one is preferred. ``NO_PROXY`` holds hosts, which stand for their subdomains
too, addresses and networks (CIDR), each with a port or without, or ``*``. Names are not resolved for it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import quote, unquote

from yarl import URL

from asyncsecrets.credential import Credential
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.loopback import is_loopback

__all__ = ["NO_PROXY", "Proxy", "is_exempt", "proxy_at", "proxy_in", "variable_in"]

NO_PROXY: Final = "no_proxy"

_ADDRESS: Final = re.compile(
    r"(?:(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,15}):)?//)?"
    r"(?:(?P<user>[!-.0->@-\[\]-~]{0,1000})@)?"  # neither of / ? \, with which an address goes on
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}))"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?#][!-~]{0,1000})?"
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """An http or https proxy. ``url`` is its address without user and password, ``source`` what it was taken from.

    Its text names it, for errors, and shows neither user nor password.
    """

    url: URL
    source: str
    user: Credential[str]
    """``user:password`` as it is shown to the proxy, or empty."""

    def __str__(self) -> str:
        return f"the proxy {self.address} ({self.source})"

    @property
    def address(self) -> str:
        """``http://host:port``."""
        return f"{self.url.scheme}://{self.url.raw_authority}"

    def with_user(self) -> str:
        """Its address with user and password, percent-encoded, for who takes nothing else. For no local variable."""
        user = ":".join(quote(part, safe="") for part in self.user.reveal().split(":", 1))
        return f"{self.url.scheme}://{user}@{self.url.raw_authority}" if user else self.address

    def options(self) -> dict[str, Any]:
        """What aiohttp's requests are made with. The user's name and password are in it: for no local variable."""
        headers = {"Proxy-Authorization": f"Basic {_encoded(self.user.reveal())}"} if self.user else {}
        return {"proxy": self.url, "proxy_headers": headers}


def proxy_at(address: str, source: str) -> Proxy:
    """The proxy that ``address`` names. Raises ConfigError with ``source``, and without the address."""
    found = _ADDRESS.fullmatch(address.strip())
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        raise ConfigError(
            f"{source} is not the address of a proxy: write http://host:port, or http://user:password@host:port with "
            f"%40 for @, %2F for / and %5C for \\ in user and password"
        )
    scheme = (found["scheme"] or "http").lower()
    if scheme not in {"http", "https"}:
        kind = "a SOCKS proxy" if scheme.startswith("socks") else "a proxy of another kind than http and https"
        raise ConfigError(
            f"{source} names {kind}, which is not spoken here: name an http:// one, or the server's host in NO_PROXY"
        )
    port = f":{int(found['port'])}" if found["port"] else ""
    url = URL(f"{scheme}://{found['host'].lower()}{port}", encoded=True)
    return Proxy(url, source, Credential(unquote(found["user"] or "")))


def proxy_in(environ: Mapping[str, str], host: str, port: int, *variables: str) -> Proxy | None:
    """The proxy for https to ``host`` that the first of ``variables`` names which is set, unless it needs none.

    Raises ConfigError for a variable that names no proxy of ours.
    """
    named = next((found for name in variables if (found := variable_in(environ, name))), None)
    if named is None or is_loopback(host) or is_exempt(host, port, environ):
        return None
    return proxy_at(environ[named], named)


def variable_in(environ: Mapping[str, str], name: str) -> str | None:
    """How ``name`` is spelled in an environment: in lower case, or else in any other; None where it is not set."""
    lower = name.lower()
    if environ.get(lower, "").strip():
        return lower
    return next((found for found in environ if found.lower() == lower and environ[found].strip()), None)


def is_exempt(host: str, port: int, environ: Mapping[str, str]) -> bool:
    """Whether ``NO_PROXY`` says that ``host`` is reached without a proxy."""
    variable = variable_in(environ, NO_PROXY)
    if variable is None:
        return False
    entries = re.split(r"[\s,;]+", environ[variable].strip().lower())
    return any(_covers(entry, _bare(host), port) for entry in entries if entry)


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    found = _ENTRY.fullmatch(entry)
    if found is None or int(found["port"] or port) != port:
        return False
    name = _bare(found["host"])
    if (address := _network(host)) is not None:
        network = _network(name)
        return network is not None and network.version == address.version and address.subnet_of(network)
    return bool(name) and (host == name or host.endswith(f".{name}"))


_ENTRY: Final = re.compile(
    r"(?P<host>\[[0-9a-f:.]+\](?:/[0-9]+)?|[0-9a-f]*:[0-9a-f:.]*:[0-9a-f.:]*(?:/[0-9]+)?|[^:]+)(?::(?P<port>[0-9]{1,5}))?"
)


def _bare(host: str) -> str:
    """A host or an entry without brackets, and the dots and star by which an entry says: and what is below."""
    return host.lower().replace("[", "").replace("]", "").removeprefix("*").strip(".")


def _network(text: str) -> Any:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _encoded(user: str) -> str:
    return base64.b64encode(user.encode()).decode("ascii")
