"""How an SDK's requests travel: over one aiohttp session of our own, whichever SDK has prepared them.

SDKs' own transports read certificates on the event loop, follow redirects with the whole request, and read answers of
any length within no total time. This one does none of that.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import aiohttp
from yarl import URL

from asyncsecrets.errors import ClosedError, ConfigError
from asyncsecrets.providers.connections import connector
from asyncsecrets.providers.loopback import LoopbackResolver
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.sdk import SdkConnection
from asyncsecrets.providers.sessions import forget_session, send_once
from asyncsecrets.providers.turns import Turns
from asyncsecrets.providers.unanswered import EncodedError, RedirectedError, TooLargeError
from asyncsecrets.providers.ways import is_encoded, proxy_of
from asyncsecrets.providers.wire import Answer

__all__ = ["Https", "HttpsConnection", "Limits"]

_CAP: Final = 8 * 1024 * 1024
"""Twenty secrets of 64 KiB, every character of them escaped in JSON, are a little less."""

_KEEP_ALIVE: Final = 12.0
"""Seconds. AWS closes idle connections after 20 at the earliest; a closed one costs a write its certainty."""


class Limits(Protocol):
    """What settings say of requests; times in seconds."""

    @property
    def connect_timeout(self) -> float: ...
    @property
    def attempt_timeout(self) -> float: ...
    @property
    def max_connections(self) -> int: ...
    @property
    def allow_insecure_http(self) -> bool: ...
    def variables(self) -> Mapping[str, str]:
        """The environment, which names proxies."""


class Https:
    """Sends requests to one server. ``system`` names the provider in errors."""

    def __init__(self, settings: Limits, system: str) -> None:
        self._settings = settings
        self._system = system
        self._session: aiohttp.ClientSession | None = None
        self.turns = Turns()
        self._room = asyncio.Semaphore(settings.max_connections)
        self._ssl: ssl.SSLContext | bool = True
        self.proxy: Proxy | None = None
        """What carries requests to the server, once ``prepare`` has looked for it."""
        self._no_way = ""
        self._resolver: Callable[[], LoopbackResolver | None] = lambda: None

    @property
    def is_open(self) -> bool:
        return self._session is not None

    def prepare(self, endpoint: str, trusting: Callable[[], ssl.SSLContext]) -> None:
        """Read certificates and proxy settings for ``endpoint``. Blocks: for a thread. Raises ConfigError.

        A proxy that is not spoken here concerns only who sends something.
        """
        if endpoint.startswith("https:"):
            self._ssl = trusting()
            try:
                self.proxy = proxy_of(endpoint, self._settings.variables())
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

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any,
        *,
        sending: Callable[[], object] = lambda: None,
    ) -> Answer:
        """The answer to one request, whatever its status; ``sending`` is called right before it is sent.

        Raises ClosedError, ConfigError, what ``unanswered`` understands.
        """
        self.turns.over()
        session = self._session
        if session is None:
            raise ClosedError(f"the {self._system} provider is not open")
        if self._no_way:
            raise ConfigError(self._no_way)
        # Waiting for a connection is no part of the attempt: it says nothing about the server.
        async with self._room:
            sending()
            async with session.request(
                method,
                URL(url, encoded=True),
                data=body,
                headers={**headers, "Accept-Encoding": "identity"},
                allow_redirects=False,
                ssl=self._ssl,
                **(self.proxy.options() if self.proxy is not None else {}),
            ) as response:
                return await _answer(response)

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def abandon(self) -> None:
        """Forget the session without touching its loop."""
        session, self._session = self._session, None
        if session is not None:
            forget_session(session)


class HttpsConnection(SdkConnection):
    """Speaks to one service over ``_https``, and has nothing else that belongs to an event loop."""

    _https: Https

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self._https.is_open

    def _bind(self) -> None:
        self._https.open()

    async def _unbind(self) -> None:
        await self._https.aclose()

    def _drop(self) -> None:
        self._https.abandon()


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    if 300 <= response.status < 400:
        raise RedirectedError
    body = await _read(response)
    if is_encoded(response.headers.get("Content-Encoding", ""), body) and response.status < 500:
        raise EncodedError
    return Answer(response.status, response.headers, body)


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
