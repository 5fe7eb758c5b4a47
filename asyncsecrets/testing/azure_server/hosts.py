"""How clients find the fake under the names of Azure, with TLS that they verify: nothing of the machine is changed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from asyncsecrets.testing.needs import need

Addresses = Callable[[], Mapping[str, tuple[str, int]]]


class Resolver(AbstractResolver):
    """A resolver for aiohttp that knows the fake's names, and no other: they are where the fake listens."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Where a name is. Raises socket.gaierror for one that there is not."""
        address, at = find(self._addresses(), host, port)
        flags = socket.AI_NUMERICHOST
        return [ResolveResult(hostname=host, host=address, port=at, family=family, proto=0, flags=flags)]

    async def close(self) -> None:
        """Nothing is held."""


def find(addresses: Mapping[str, tuple[str, int]], host: str, port: int) -> tuple[str, int]:
    """Where a name is. Raises socket.gaierror for one that there is not."""
    if host in {"localhost", "127.0.0.1"}:
        return "127.0.0.1", port
    if host not in addresses:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return addresses[host]


def connector(addresses: Addresses, ca_file: str, **options: Any) -> aiohttp.TCPConnector:
    """A connector for a session on the running loop."""
    context = ssl.create_default_context(cafile=ca_file)
    return aiohttp.TCPConnector(resolver=Resolver(addresses), ssl=context, use_dns_cache=False, **options)


def adapter(addresses: Addresses, ca_file: str) -> Any:
    """An adapter for a session of requests'; what it goes to is not asked of DNS."""
    context = ssl.create_default_context(cafile=ca_file)
    pools, connections = need("urllib3.connectionpool", "azure"), need("urllib3.connection", "azure")
    base: Any = need("requests.adapters", "azure").HTTPAdapter

    failed = need("urllib3.exceptions", "azure").NewConnectionError

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


def certify(folder: Path, *names: str) -> tuple[ssl.SSLContext, str]:
    """The context of a server with these names, and the file of the throw-away CA that vouches for it."""
    authority = need("trustme", "testing").CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, "localhost", "127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return context, str(folder / "ca.pem")
