"""Which hosts are this machine: addresses by themselves, names by what they resolve to when a connection is made.

Plain http is spoken to this machine without being asked for. ``localhost`` is only a name, and whoever answers for it
(a hosts file, a DNS server with a search domain) may say another machine: RFC 6761 §6.3 wants loopback addresses and
nothing else, and what it wants is checked here, before there is a connection.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult

__all__ = ["ELSEWHERE", "ElsewhereError", "LoopbackResolver", "is_elsewhere", "is_local_name", "is_loopback", "resolve"]


ELSEWHERE: Final = (
    "localhost is another machine, by this one's hosts file or DNS, and plain http does not leave this one: nothing "
    "was sent. Mend that, or write 127.0.0.1"
)
"""What an error says of it."""


class ElsewhereError(OSError):
    """A name of this machine resolves to an address of another. Nothing was sent."""


def is_local_name(host: str) -> bool:
    """Whether ``host`` is ``localhost`` or a name below it."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def is_loopback(host: str) -> bool:
    """Whether ``host``, an address without brackets or a name, is this machine; of a name, if it resolves so."""
    if is_local_name(host):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def resolve(name: str, port: int) -> list[str]:
    """The addresses of a local name, in order. Blocks. Raises ElsewhereError, and OSError if there are none."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return _checked([str(address[0]) for *_, address in found])


class LoopbackResolver(ThreadedResolver):
    """Resolves for aiohttp. What is no local name is resolved as ever."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host``. Raises ElsewhereError for a local name with one that is not of this machine."""
        found = await super().resolve(host, port, family)
        if is_local_name(host):
            _checked(entry["host"] for entry in found)
        return found


def is_elsewhere(error: BaseException) -> bool:
    """Whether ``error``, of aiohttp or ours, is that a local name resolves to another machine."""
    return isinstance(getattr(error, "os_error", error), ElsewhereError)


def _checked(addresses: Iterable[str]) -> list[str]:
    found = list(dict.fromkeys(addresses))
    if not all(ip_address(address).is_loopback for address in found):
        raise ElsewhereError
    return found
