"""How requests travel to AWS: over one aiohttp session of our own, which botocore hands its signed requests to.

botocore's own transport reads its certificates on the event loop, follows redirects with the whole request, and reads
answers of any length within no total time. This one does none of that.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from yarl import URL

from asyncsecrets.errors import ClosedError, ConfigError
from asyncsecrets.providers.aws.errors import EncodedError, RedirectedError, TooLargeError
from asyncsecrets.providers.aws.mocked import answer_of, is_active
from asyncsecrets.providers.aws.refusals import is_write
from asyncsecrets.providers.aws.settings import AwsSettings
from asyncsecrets.providers.aws.wire import bundle_of, trusting
from asyncsecrets.providers.connections import connector
from asyncsecrets.providers.loopback import LoopbackResolver
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.sessions import forget_session, send_once
from asyncsecrets.providers.turns import Turns
from asyncsecrets.providers.ways import is_encoded, proxy_of
from asyncsecrets.sending import is_out

__all__ = ["Transport"]

_CAP: Final = 8 * 1024 * 1024
"""Twenty secrets of 64 KiB, every character of them escaped in JSON, are a little less."""

_KEEP_ALIVE: Final = 12.0
"""Seconds; AWS closes idle connections after 20 at the earliest, and a closed one costs a write its certainty."""


class Transport:
    """Sends signed requests to one endpoint. ``system`` names the provider in errors."""

    def __init__(self, settings: AwsSettings, system: str) -> None:
        self._settings = settings
        self._system = system
        self._session: aiohttp.ClientSession | None = None
        self.turns = Turns()
        self._room = asyncio.Semaphore(settings.max_connections)
        self._ssl: ssl.SSLContext | bool = True
        self.proxy: Proxy | None = None
        """What carries requests to AWS, once ``prepare`` has looked for it."""
        self._no_way = ""
        self._resolver: Callable[[], LoopbackResolver | None] = lambda: None

    @property
    def is_open(self) -> bool:
        return self._session is not None

    def prepare(self, endpoint: str, ca_bundle: str | None) -> None:
        """Read certificates and proxy settings for ``endpoint``. Blocks: for a thread. Raises ConfigError.

        A proxy that is not spoken here concerns only who sends something.
        """
        if endpoint.startswith("https:"):
            environ = self._settings.variables()
            self._ssl = trusting(bundle_of(ca_bundle, environ))
            try:
                self.proxy = proxy_of(endpoint, environ)
            except ConfigError as error:
                self._no_way = f"{self._system}: {error.message}"
        elif not self._settings.allow_insecure_http:
            self._resolver = LoopbackResolver

    def open(self) -> None:
        """Make the session on the running loop."""
        settings = self._settings
        self.turns = Turns()
        self._room = asyncio.Semaphore(settings.max_connections)
        self._session = aiohttp.ClientSession(
            connector=connector(
                patience=0.9 * settings.attempt_timeout,
                limit=settings.max_connections,
                keepalive_timeout=_KEEP_ALIVE,
                resolver=self._resolver(),
            ),
            timeout=aiohttp.ClientTimeout(total=settings.attempt_timeout, sock_connect=settings.connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers={"Content-Type", "Accept"},
            auto_decompress=False,
            trust_env=False,
        )
        send_once(self._session)

    async def send(self, request: Any, **_: Any) -> AioAWSResponse:
        """Make one attempt: botocore's event ``before-send``, whose result it takes for the answer."""
        self.turns.over()
        session = self._session
        if session is None:
            raise ClosedError(f"the {self._system} provider is not open")
        if self._no_way and not is_active():
            raise ConfigError(self._no_way)
        # Waiting for a connection is no part of the attempt: it says nothing about AWS.
        async with self._room:
            if is_write(_operation(request.headers)):
                is_out()
            return await self._exchange(session, request)

    async def _exchange(self, session: aiohttp.ClientSession, request: Any) -> AioAWSResponse:
        if (mocked := answer_of(request)) is not None:
            headers = {key.lower(): value for key, value in mocked.headers.items()}
            return AioAWSResponse(request.url, mocked.status_code, headers, _Body(mocked.content))
        async with session.request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body,
            headers=_headers(request.headers),
            allow_redirects=False,
            ssl=self._ssl,
            **(self.proxy.options() if self.proxy is not None else {}),
        ) as response:
            if 300 <= response.status < 400:
                raise RedirectedError
            body = await _read(response)
            headers = {key.lower(): value for key, value in response.headers.items()}
            if is_encoded(headers.get("content-encoding", ""), body) and response.status < 500:
                raise EncodedError
            return AioAWSResponse(request.url, response.status, headers, _Body(body))

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def abandon(self) -> None:
        """Forget the session without touching its loop."""
        session, self._session = self._session, None
        if session is not None:
            forget_session(session)


class _Body:
    """An answer that has been read, in the shape that aiobotocore reads it from. Its repr shows nothing."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


def _operation(signed: Mapping[str, str | bytes]) -> str:
    target = signed.get("X-Amz-Target", "")
    return (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]


def _headers(signed: Mapping[str, str | bytes]) -> dict[str, str]:
    headers = {key: value.decode() if isinstance(value, bytes) else value for key, value in signed.items()}
    return headers | {"Accept-Encoding": "identity"}


async def _read(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length <= _CAP:
        return await response.read()
    chunks: list[bytes] = []
    total = 0
    async for chunk in response.content.iter_any():
        total += len(chunk)
        if total > _CAP:
            response.close()
            raise TooLargeError
        chunks.append(chunk)
    return b"".join(chunks)
