"""Connections that are kept from one request to the next, and when one of them is not used again.

An answer of HTTP/1.1 does not say which request it belongs to; only its place on the connection does. aiohttp takes
what arrives on an idle connection (a second answer, one that comes late, a proxy's 408) for the answer to the next
request. Here a connection on which anything has arrived since its last answer, or which the other side has closed, is
not used again: the next request goes over another one.

aiohttp has no public way to say so, nor to close only what is idle, so this module reaches for private attributes.
Where one is missing, a connection is used as aiohttp uses it; the tests of this module tell.
"""

from __future__ import annotations

import asyncio
import errno
import math
import select
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

__all__ = ["connector", "drop_idle", "unix_connector"]

_POLL: Final[Any] = getattr(select, "poll", None)  # not everywhere; without it, what the loop has seen has to do


def connector(*, patience: float = math.inf, **options: Any) -> aiohttp.TCPConnector:
    """A connector for a session on the running loop: one that takes no answer for another's.

    ``patience``: for how many seconds a proxy is waited for at most, which should be less than a request may take.
    """
    made = _Connector(**options)
    made.patience = patience
    return made


def unix_connector(path: str, **options: Any) -> aiohttp.UnixConnector:
    """The same for a session that talks to the socket at ``path`` of this machine, and to nobody else."""
    return _UnixConnector(path, **options)


def drop_idle(session: aiohttp.ClientSession) -> int:
    """Close the connections that wait to be used again, and none that is in use; return how many there were.

    A firewall that forgets its state, or a machine that vanishes, leaves a whole pool of connections that look good and
    answer nobody. Each of them would cost a caller one attempt's time: once one has turned out dead, all are dropped.
    """
    pools: dict[Any, Any] = getattr(session.connector, "_conns", {})
    idle = [protocol for pool in pools.values() for protocol, _ in pool]
    pools.clear()
    for protocol in idle:
        _abort(protocol)
    return len(idle)


class _Attentive(aiohttp.BaseConnector):
    """Makes connections that know whether a request is under way."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._factory: Any = partial(_Connection, asyncio.get_running_loop())

    def _release(self, key: Any, protocol: Any, **how: Any) -> None:
        super()._release(key, protocol, **how)
        protocol.is_idle = True


class _UnixConnector(_Attentive, aiohttp.UnixConnector):
    """To one socket of this machine."""


class _Connector(_Attentive, aiohttp.TCPConnector):
    """To other machines, also through a proxy: then what ends before the tunnel is there is the proxy's fault.

    aiohttp limits how long a proxy may think by the time of the whole request, and tells a proxy that hangs up from a
    server that does by nothing. Here both happen while there is no connection: nothing was sent.
    """

    patience: float

    async def _create_proxy_connection(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's
        try:
            # Once to the proxy, and once from there.
            async with asyncio.timeout(min(self.patience, 2 * (timeout.sock_connect or math.inf))):
                return await super()._create_proxy_connection(req, traces, timeout)
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, TimeoutError):
            raise
        except (aiohttp.ClientConnectionError, OSError):
            number = errno.ECONNRESET
        except (aiohttp.ClientError, ValueError):
            number = errno.EPROTO  # what it answers is no HTTP
        raise aiohttp.ClientProxyConnectionError(req.connection_key, OSError(number, ""))


class _Connection(ResponseHandler):
    """A connection. What arrives on it while it is idle answers nothing that was asked, and ends it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.is_idle = True
        self._socket: Any = None

    def set_response_params(self, **params: Any) -> None:
        """A request is about to be sent."""
        self.is_idle = False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived; none, where aiohttp goes on with those that it had put aside."""
        if self.is_idle and data:
            _abort(self)
        else:
            super().data_received(data)

    def is_connected(self) -> bool:
        """Whether it may be used. An idle one that may not be used for another request is ended here."""
        if self.is_idle and super().is_connected() and (self._has_more() or self._has_unread()):
            _abort(self)
        return super().is_connected()

    def _has_more(self) -> bool:
        """Whether the last answer was followed by something, be it another answer or the beginning of one."""
        parser = getattr(self, "_parser", None)
        if parser is None or getattr(self, "_buffer", None):
            return parser is not None
        if getattr(parser, "_tail", None) or getattr(parser, "_lines", None):  # of the parser in Python; C's is hidden
            return True
        try:
            return parser.feed_eof() is not None  # its last call: each request gets a parser of its own
        except Exception:  # noqa: BLE001  # whatever the parser finds wrong with it
            return True

    def _has_unread(self) -> bool:
        """Whether the socket holds bytes, or the other side's end, that the loop has not come round to."""
        if self._socket is None:
            self._socket = _watched(self.transport)
        return bool(self._socket and self._socket.poll(0))


def _watched(transport: Any) -> Any:
    """Something to ask whether a transport's socket can be read, or False where there is no such thing."""
    sock = transport.get_extra_info("socket")
    if sock is None or _POLL is None:
        return False
    watched = _POLL()
    watched.register(sock.fileno(), select.POLLIN)
    return watched


def _abort(protocol: Any) -> None:
    transport = getattr(protocol, "transport", None)
    if transport is not None:
        transport.abort()  # an orderly end, TLS's above all, would wait for a peer that is not there, or not trusted
