"""How clients find a fake under the names of the real one, with TLS that they verify: nothing of the machine is
changed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from asyncsecrets.testing.needs import need
from asyncsecrets.testing.sites import HOST

Addresses = Callable[[], Mapping[str, tuple[str, int]]]


def find(addresses: Mapping[str, tuple[str, int]], host: str, port: int) -> tuple[str, int]:
    """Where a name is. Raises socket.gaierror for one that there is not."""
    if host in {"localhost", HOST}:
        return HOST, port
    if host not in addresses:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return addresses[host]


class Resolver(AbstractResolver):
    """A resolver for aiohttp that knows the names of a fake, and no other."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Where a name is, its port included. Raises socket.gaierror for one that there is not."""
        address, at = find(self._addresses(), host, port)
        flags = socket.AI_NUMERICHOST
        return [ResolveResult(hostname=host, host=address, port=at, family=family, proto=0, flags=flags)]

    async def close(self) -> None:
        """Nothing is held."""


def connector(addresses: Addresses, ca_file: str, **options: Any) -> aiohttp.TCPConnector:
    """A connector for a session of aiohttp's on the running loop."""
    context = ssl.create_default_context(cafile=ca_file)
    return aiohttp.TCPConnector(resolver=Resolver(addresses), ssl=context, use_dns_cache=False, **options)


def adapter(addresses: Addresses, ca_file: str, extra: str) -> Any:
    """An adapter for a session of requests', which comes with that extra. It does not ask DNS."""
    context = ssl.create_default_context(cafile=ca_file)
    pools, connections = need("urllib3.connectionpool", extra), need("urllib3.connection", extra)
    failed = need("urllib3.exceptions", extra).NewConnectionError
    base: Any = need("requests.adapters", extra).HTTPAdapter

    def connected(connection: Any) -> socket.socket:
        try:
            return socket.create_connection(find(addresses(), connection.host, connection.port), connection.timeout)
        except OSError as error:
            raise failed(connection, str(error)) from None

    def pool_of(scheme: str) -> Any:
        of = getattr(connections, f"{scheme}Connection")
        made = type(of.__name__, (of,), {"_new_conn": connected})
        return type("Pool", (getattr(pools, f"{scheme}ConnectionPool"),), {"ConnectionCls": made})

    class Adapter(base):  # type: ignore[misc]  # it is loaded when it is needed
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, ssl_context=context, **options)
            self.poolmanager.pool_classes_by_scheme = {"https": pool_of("HTTPS"), "http": pool_of("HTTP")}

    return Adapter()


def certify(folder: Path, *names: str) -> tuple[Any, str]:
    """A certificate of a server with these names and those of this machine, as trustme has it, and the file of the
    throw-away CA that vouches for it."""
    authority, file = need("trustme", "testing").CA(), folder / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return authority.issue_cert(*names, "localhost", HOST), str(file)


def context_of(certificate: Any) -> ssl.SSLContext:
    """The context of a server with that certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context
