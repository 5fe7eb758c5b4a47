"""Cold reads from Azure Key Vault: what we add to Azure's own asynchronous client.

Over TLS that is verified, to a stub in a process of its own that answers as fast as an asyncio protocol can. ``bare``
is ``SecretClient.get_secret`` of ``azure.keyvault.secrets.aio`` as its documentation shows it, ``provider`` is ours
alone, and ``client`` a whole ``SecretsClient.get`` of a name never read before. All of them show one token, which is
there from the beginning, and verify the vault's challenge.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from benchmarks.beside_bare import Read, cold, show, stub

HOST = "benchmark.vault.azure.net"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
TOKEN = "canary-token"
READS = 500  # connections are kept for 12 s, and a round of a row is not to find them closed

# -- the stub, a process of its own

_BODY = (
    '{"value":"sk-canary-0123456789abcdef","id":"https://%s/secrets/%s/0123456789abcdef0123456789abcdef",'
    '"attributes":{"enabled":true,"created":1767225600,"updated":1767225600,'
    '"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90},"tags":{}}'
)
_CHALLENGE = (
    f'WWW-Authenticate: Bearer authorization="https://login.microsoftonline.com/{TENANT}", '
    'resource="https://vault.azure.net"\r\n'
)
_REQUEST = re.compile(rb"GET /secrets/([\w-]+)/.*?\r\nhost: ([\w.:-]+)", re.DOTALL | re.IGNORECASE)


class _Protocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        requests = (self._rest + data).split(b"\r\n\r\n")  # requests without bodies, so each ends its headers
        self._rest = requests.pop()
        for request in requests:
            self._transport.write(_answer(request))


def _answer(request: bytes) -> bytes:
    name, host = (part.decode() for part in _REQUEST.match(request).groups())
    status, more, body = "200 OK", "", _BODY % (host, name)
    if b"\r\nauthorization:" not in request.lower():
        status, more, body = "401 Unauthorized", _CHALLENGE, "{}"
    head = f"HTTP/1.1 {status}\r\n{more}Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


async def _serve() -> None:
    from asyncsecrets.testing.hosts import certify, context_of

    with tempfile.TemporaryDirectory() as folder:
        certificate, ca_file = certify(Path(folder), HOST)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Protocol, "127.0.0.1", 0, ssl=context_of(certificate))
        print(json.dumps([server.sockets[0].getsockname()[1], ca_file]), flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def _found(port: int) -> Iterator[None]:
    """Have the vault's name lead to the stub: a challenge is verified for a vault without a port."""
    genuine = socket.getaddrinfo

    def getaddrinfo(host: str | bytes, at: object, *args: object, **kwargs: object) -> object:
        host, at = ("127.0.0.1", port) if host in {HOST, HOST.encode()} else (host, at)
        return genuine(host, at, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        socket.getaddrinfo = genuine


# -- the rows


class _Token:
    """A credential that has its token."""

    ahead = 300.0

    async def get_token(self, *_: object, **__: object) -> object:
        from azure.core.credentials import AccessToken

        return AccessToken(TOKEN, int(time.time()) + 86_400)

    async def close(self) -> None:
        pass

    def token(self, *_: object) -> tuple[str, float]:
        """The same for our provider: see ``asyncsecrets.providers.azure.credentials``."""
        return TOKEN, time.time() + 86_400


_PATIENT = {"connect_timeout": "10", "attempt_timeout": "30"}  # as the bare client, on a busy machine


def _settings(ca_file: str) -> dict[str, str]:
    from asyncsecrets.providers.azure import credentials

    credentials.find = lambda *_: _Token()
    return {"azure_key_vault_uri": f"https://{HOST}", "azure_ca_cert": ca_file, **_PATIENT}


@contextlib.asynccontextmanager
async def _bare(ca_file: str) -> AsyncIterator[Read]:
    import aiohttp
    from azure.core.pipeline.transport import AioHttpTransport
    from azure.keyvault.secrets.aio import SecretClient

    # With connection_verify=ca_file Azure's transport reads the file for each request. A CA of the machine costs none.
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca_file))
    options = {"cookie_jar": aiohttp.DummyCookieJar(), "auto_decompress": False}  # as Azure's transport has them
    async with (
        aiohttp.ClientSession(connector=connector, **options) as session,
        SecretClient(f"https://{HOST}", _Token(), transport=AioHttpTransport(session=session)) as client,
    ):

        async def read(name: str) -> object:
            return (await client.get_secret(name)).value

        yield read


@contextlib.asynccontextmanager
async def _provider(ca_file: str) -> AsyncIterator[Read]:
    from asyncsecrets.providers.azure import AzureKeyVaultProvider

    provider = AzureKeyVaultProvider.from_settings(_settings(ca_file), {})
    await provider.open()
    yield provider.get
    await provider.aclose()


@contextlib.asynccontextmanager
async def _client(ca_file: str) -> AsyncIterator[Read]:
    from asyncsecrets import SecretsClient

    general = {"key_management_system": "azure_key_vault", "key_management_settings": _settings(ca_file)}
    async with SecretsClient.from_config({"general_settings": general}, environ={}) as client:
        yield client.get


ROWS = {"bare": _bare, "provider": _provider, "client": _client}


def main() -> None:
    """Print the table."""
    with stub("benchmarks.azure") as address:
        port, ca_file = json.loads(address)
        with _found(port):
            show(asyncio.run(cold(ROWS, ca_file, READS)))


if __name__ == "__main__":
    asyncio.run(_serve()) if sys.argv[1:] == ["serve"] else main()
