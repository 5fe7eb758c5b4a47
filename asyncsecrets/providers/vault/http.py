"""One HTTP request to Vault: a long-lived aiohttp session that neither follows, decompresses nor keeps anything.

A connection that breaks or falls silent takes the idle ones with it, so that the next attempt is made over a new one.

A token is sent to the node of ``addr`` and to those of ``cluster_addrs``, and nowhere else: when a standby answers 307
or 308 with the same path on one of them, and when a node cannot be reached, or says that it cannot serve. A request
that somebody may have taken up is not sent to another node. How it travels there, and through which proxy, is known
to ``.routes``; ``.netrc`` is not read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final, Literal

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from asyncsecrets.deadlines import Deadline
from asyncsecrets.errors import (
    AsyncSecretsError,
    AuthenticationError,
    ClosedError,
    ConfigError,
    ProviderError,
    UnavailableError,
)
from asyncsecrets.loops import in_thread, running_loop
from asyncsecrets.providers.connections import drop_idle
from asyncsecrets.providers.sessions import forget_session, send_once
from asyncsecrets.providers.vault.calls import Answer, Call, EncodedError, TooLargeError, make
from asyncsecrets.providers.vault.errors import cannot_serve, may_be_applied, translate
from asyncsecrets.providers.vault.failures import EXPIRED, hung_up, is_tls
from asyncsecrets.providers.vault.nodes import Nodes
from asyncsecrets.providers.vault.origins import Origins
from asyncsecrets.providers.vault.replicas import Replicas
from asyncsecrets.providers.vault.routes import Routes
from asyncsecrets.providers.vault.sender import Sender
from asyncsecrets.providers.vault.settings import VaultSettings
from asyncsecrets.sending import is_out, is_settled

__all__ = ["Transport"]

_OBJECT: Final = ord("{")
_ACTIVE_IS_GONE: Final = "the node that a standby calls the active one could not be reached a moment ago"
_FORWARDED: Final = "a standby redirected the write, and may have forwarded it before; the active node refused it then"


@dataclass(frozen=True, slots=True)
class _Way:
    """The way of a call to an answer: the node that is asked now, and what was met before.

    ``forward`` has a replica that is behind hand the call on to the active node. ``steered``: the node was named, by
    the caller or by a redirect, and not chosen for want of another. ``unforwarded``: a standby is told not to
    forward the call.
    """

    node: str
    redirected: bool = False
    steered: bool = False
    forward: bool = False
    unforwarded: bool = False
    tried: tuple[str, ...] = ()


class Transport:
    """Sends calls over one session, which belongs to the loop that ``open`` ran on.

    Raises ConfigError at once for an address that would send a token in clear over a network.
    """

    def __init__(
        self,
        settings: VaultSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._settings = settings
        self._origins = Origins(settings)
        self._nodes = Nodes(self._origins.nodes, clock)
        self._direct = _Way(self._nodes.first)
        # A standby that forwards a write and gets no answer redirects it as if it had not. One that is told not to, and
        # redirects, has done nothing; it is told so where the active node can be expected to be in the list.
        self._unforwarded = self._nodes.several
        self._routes = Routes(settings, self._origins)
        self._session: aiohttp.ClientSession | None = None
        self._replicas = Replicas()
        self._deadline = Deadline(settings.attempt_timeout)
        self._slots: asyncio.Semaphore

    async def open(self) -> None:
        """Read the TLS files (in a thread) and make the session. Raises ConfigError."""
        running_loop()
        if self._routes.secure:
            await in_thread(self._routes.load)
        settings = self._settings
        self._slots = asyncio.Semaphore(settings.max_connections)
        self._session = aiohttp.ClientSession(
            connector=self._routes.connector(),
            # The limit of the whole attempt is kept by self._deadline, at half the cost.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        send_once(self._session)

    @property
    def is_open(self) -> bool:
        return self._session is not None

    async def send(self, call: Call, sender: Sender, way: _Way | None = None, *, node: str | None = None) -> Answer:
        """Make one attempt; return whatever the server answers. ``node`` is asked first of all.

        Raises the translation of every transport failure; UnavailableError for a timeout.
        """
        if way is None:
            way = self._way(node)
            if self._unforwarded and call.writes:
                way = replace(way, unforwarded=True)
        outcome = await self._exchange(call, sender, way)
        if call.writes and _did_nothing(outcome, unforwarded=way.unforwarded):
            is_settled()
        if isinstance(outcome, _Failure):
            return await self._failed(call, sender, way, outcome)
        answer, location = outcome
        if answer.status < 300:
            self._nodes.served(way.node, in_use=not way.steered)
            return answer
        return await self._refused(call, sender, way, answer, location)

    def _way(self, node: str | None) -> _Way:
        if node is not None:
            return _Way(node, steered=True)
        chosen = self._nodes.choose()
        return self._direct if chosen is self._direct.node else _Way(chosen)  # nearly always; there are many reads

    async def _exchange(self, call: Call, sender: Sender, way: _Way) -> tuple[Answer, str] | _Failure:
        session = self._session
        if session is None:
            raise ClosedError("the Vault provider is not open")
        url = call.url if way.node == self._nodes.first else URL(way.node + call.url.raw_path_qs, encoded=True)
        await self._slots.acquire()  # before the time starts: who waits for a connection has sent nothing yet
        failure: _Failure | None = None
        try:
            if call.writes:
                is_out()
            with self._deadline.limit():
                async with session.request(
                    call.method,
                    url,
                    headers=self._headers(sender, call.method, way),  # never in a local: frames are printed
                    data=call.body,
                    **self._routes.options(way.node),
                ) as response:
                    answer = await self._answer(call, response)
                    return answer, "" if answer.status < 300 else response.headers.get("Location", "")
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            if _was_connected(error):
                drop_idle(session)  # they are as old as the one that failed, or older: the next attempt takes a new one
            # Translated here, raised elsewhere: the original may hold headers, and must not follow ours as its context.
            meant = translate(call if url is call.url else replace(call, url=url), error, self._routes.route(way.node))
            failure = _Failure(meant, _reach(error), hung_up(error))
        except ConfigError as error:  # of the way: nothing was sent
            failure = _Failure(make(ConfigError, error.message, call), "none", hung_up=False)
        except RuntimeError:
            if not session.closed:
                raise
        finally:
            self._slots.release()
        if failure is None or session.closed:
            raise ClosedError("the Vault provider was closed meanwhile")
        return failure

    async def _answer(self, call: Call, response: aiohttp.ClientResponse) -> Answer:
        length = response.content_length
        short = length is not None and length <= call.cap
        body = await (response.read() if short else _read(response, call.cap))
        if body and body[0] != _OBJECT and response.status < 500:
            _check_coding(response)
        if response.status >= 300:
            return Answer(response.status, body, _seconds(response.headers.get("Retry-After", ""), self._now))
        if call.operation == "read":
            return Answer(response.status, body)
        self._replicas.note(call.method, response.headers)
        return Answer(response.status, body, date=_date(response) if call.operation == "metadata" else None)

    @property
    def has_index(self) -> bool:
        """Whether the server said in which state it was after our last write, and takes that back with a read."""
        return bool(self._replicas)

    def _headers(self, sender: Sender, method: str, way: _Way) -> CIMultiDict[str]:
        headers = sender.headers(method, unforwarded=way.unforwarded)
        return self._replicas.headers(headers) if way.forward or self._replicas else headers

    async def _failed(self, call: Call, sender: Sender, way: _Way, failure: _Failure) -> Answer:
        # A server that refuses our certificate may be right: ours may have expired, and its successor be on disk. Some
        # servers refuse by hanging up, which looks like any broken connection, and then a write must not be repeated.
        if (failure.reach == "none" or not call.writes) and await self.reload_tls():
            return await self.send(call, sender, way)
        if failure.hung_up and await self._has_expired():
            raise make(AuthenticationError, EXPIRED, call, outcome_unknown=call.writes and failure.reach != "none")
        if failure.reach == "none":
            return await self._elsewhere(call, sender, way, failure.error)
        if failure.reach == "mute" and not call.writes:
            self._nodes.failed(way.node)  # the next attempt is made elsewhere; of a write, it is read back here
        raise failure.error

    async def _elsewhere(self, call: Call, sender: Sender, way: _Way, outcome: Answer | AsyncSecretsError) -> Answer:
        """Send a call, which nobody has taken up, to another node. ``outcome`` is what there is if there is none."""
        self._nodes.failed(way.node)
        tried = (*way.tried, way.node)
        other = self._nodes.other(tried) if not way.redirected else None
        if other is not None:
            return await self.send(call, sender, _Way(other, unforwarded=way.unforwarded, tried=tried))
        if isinstance(outcome, Answer):
            return outcome
        raise outcome

    async def _refused(self, call: Call, sender: Sender, way: _Way, answer: Answer, location: str) -> Answer:
        if answer.status == 412 and not way.forward:
            return await self.send(call, sender, replace(way, forward=True))  # a 412 is given before anything is done
        if answer.status == 412:
            self._replicas.forget()  # an index that even the active node does not know is another cluster's
        if answer.status >= 400:
            if self._nodes.several and cannot_serve(answer, forwarded=call.writes and not way.unforwarded):
                return await self._elsewhere(call, sender, way, answer)
            self._nodes.served(way.node, in_use=not way.steered)
            return answer
        target = None if way.redirected else self._origins.redirect(call, answer.status, location)
        if target is None:
            answer.standby = self._origins.is_of_a_standby(call, answer.status, location)
            if way.unforwarded and answer.standby:  # to a node that is not in the list: only a standby can lead there
                self._unforwarded = False
                return await self.send(call, sender, replace(way, unforwarded=False))
            raise translate(call, answer)
        if self._nodes.is_left_out(target):
            raise make(UnavailableError, _ACTIVE_IS_GONE, call, outcome_unknown=call.writes and not way.unforwarded)
        onward = replace(way, node=target, redirected=True, steered=True, unforwarded=False)
        return await (self._write_again if call.writes and not way.unforwarded else self.send)(call, sender, onward)

    async def _write_again(self, call: Call, sender: Sender, way: _Way) -> Answer:
        """Send a write to the node that a standby redirects to. The standby may have forwarded it before."""
        try:
            answer = await self.send(call, sender, way)
        except ProviderError as error:
            error.outcome_unknown = True
            raise
        if may_be_applied(answer):
            raise make(UnavailableError, _FORWARDED, call, outcome_unknown=True)
        return answer

    async def _has_expired(self) -> bool:
        """Whether the client certificate has: a reason to be hung up on that not every server gives."""
        return (
            self._routes.secure
            and bool(self._settings.client_cert)
            and await in_thread(partial(self._routes.expired, self._now()))
        )

    async def reload_tls(self) -> bool:
        """Take up certificates that changed on disk; new connections use them. Returns whether any had."""
        return self._routes.secure and await in_thread(self._routes.reload)

    def trusted(self, address: str) -> str | None:
        """The origin of the cluster, as configured, that ``address`` is, or None."""
        return self._origins.trusted(address)

    def at(self, path: str) -> URL:
        """The URL of a path at the configured address."""
        return URL(self._nodes.first + path, encoded=True)

    def is_left_out(self, node: str) -> bool:
        """Whether ``node`` could not be reached a moment ago."""
        return self._nodes.is_left_out(node)

    async def aclose(self) -> None:
        """Close the session. Harmless when closed already."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def abandon(self) -> None:
        """Forget the session without touching its loop."""
        session, self._session = self._session, None
        if session is not None:
            forget_session(session)


@dataclass(frozen=True, slots=True)
class _Failure:
    """That there was no answer. ``reach``: how far the request came: to no server, to a mute one, or out of sight.

    ``hung_up``: the server ended the connection, within the handshake or later.
    """

    error: AsyncSecretsError
    reach: Literal["none", "mute", "sent"]
    hung_up: bool


def _did_nothing(outcome: tuple[Answer, str] | _Failure, *, unforwarded: bool) -> bool:
    """Whether a write has certainly changed nothing. A standby that redirects it may have forwarded it before, unless
    it was told to leave it ``unforwarded``."""
    if isinstance(outcome, _Failure):
        return outcome.reach == "none"
    answer = outcome[0]
    undone = 300 <= answer.status < 500 and (unforwarded or answer.status != 307)
    return undone or cannot_serve(answer, forwarded=not unforwarded)


_UNCONNECTED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


def _reach(error: BaseException) -> Literal["none", "mute", "sent"]:
    if isinstance(error, _UNCONNECTED) or is_tls(error):
        return "none"
    return "mute" if isinstance(error, TimeoutError) else "sent"


def _was_connected(error: BaseException) -> bool:
    """Whether a connection broke or fell silent, rather than there being none, or a bad answer on it."""
    if isinstance(error, _UNCONNECTED):
        return False
    return isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError)


def _check_coding(response: aiohttp.ClientResponse) -> None:
    """Raise EncodedError for a body that is no JSON object because somebody on the way has compressed it."""
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise EncodedError


async def _read(response: aiohttp.ClientResponse, cap: int) -> bytes:
    """The body. Raises TooLargeError, and drops the connection, if it is longer than ``cap`` bytes."""
    chunks: list[bytes] = []
    total = 0
    async for chunk in response.content.iter_any():
        total += len(chunk)
        if total > cap:
            response.close()
            raise TooLargeError
        chunks.append(chunk)
    return b"".join(chunks)


def _date(response: aiohttp.ClientResponse) -> datetime | None:
    """What the server's clock says, to the second."""
    return _http_date(response.headers.get("Date", ""))


def _http_date(text: str) -> datetime | None:
    """A time as HTTP writes it. Nonsense is None, as is what lies so far off that reckoning with it would overflow."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None and 1970 <= date.year < 9999 else None


def _seconds(retry_after: str, now: Callable[[], datetime]) -> float | None:
    """Retry-After as seconds from now: a number, or an HTTP date. Nonsense is None."""
    if not retry_after:
        return None
    if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
        return float(retry_after)
    date = _http_date(retry_after)
    return max(0.0, (date - now()).total_seconds()) if date is not None else None
