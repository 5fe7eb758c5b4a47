"""gRPC channels: one for each address, made on the running loop when it is first needed, and never taken along.

A channel of ``grpc.aio`` belongs to the loop that made it, and to one process: gRPC has threads, which a fork does not
copy, and a child that finds gRPC as its parent left it waits for them for ever. So all channels are let go of right
before a fork, which leaves these threads nothing to do, and gRPC stops them; parent and child make channels anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc._channel  # which `insecure_channel` imports when it is called: on the event loop

from asyncsecrets.credential import Credential
from asyncsecrets.errors import ClosedError, ConfigError, UnsupportedOperationError
from asyncsecrets.providers.google.errors import Call, status_of
from asyncsecrets.providers.google.services import Service, attribute_of
from asyncsecrets.providers.google.settings import GoogleSettings
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.ways import proxy_of
from asyncsecrets.sending import is_out

__all__ = ["Channels"]

_LARGEST: Final = 8 * 1024 * 1024
_IDLE: Final = 2 * 60 * 1000
"""Milliseconds. Load balancers and NAT forget a connection that is idle for four minutes, and tell nobody: so it is
closed before that. Secrets are read once and then renewed once a day; nothing is gained by holding it open with pings,
which Google takes no more often than every 30 s, and without a call under way not at all (ENHANCE_YOUR_CALM)."""

_OPTIONS: Final = (
    ("grpc.enable_retries", 0),  # ours are the only ones
    ("grpc.use_local_subchannel_pool", 1),  # else another channel has the same connection
    ("grpc.client_idle_timeout_ms", _IDLE),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_receive_message_length", _LARGEST),
)
_SILENCE: Final = frozenset({"DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED"})

_all: weakref.WeakSet[Channels] = weakref.WeakSet()


class Channels:
    """The channels of one source to one service, on one loop at a time. ``roots`` are the CAs to trust, as PEM (None:
    gRPC's own). ``room`` bounds how many calls are under way."""

    def __init__(self, service: Service, settings: GoogleSettings, roots: bytes | None = None) -> None:
        self._service = service
        self._settings = settings
        self._roots = roots
        self._lines: dict[str, _Line] = {}
        self._is_closed = False
        self.room = asyncio.Semaphore(settings.max_connections)
        _all.add(self)

    async def call(self, call: Call, request: Any, metadata: Any, limit: float) -> Any:
        """What is answered within ``limit`` seconds: one attempt.

        Raises gRPC's errors, ClosedError if it was closed meanwhile, and UnsupportedOperationError in a child of a fork
        that gRPC does not work in. A channel that nobody has answered on while a call waited in vain is not used again:
        what is at its other end may have forgotten it, and gRPC tries to connect more and more seldom.
        """
        line = self._lines.get(call.location) or self._new(call.location)
        stub, heard = getattr(line.transport, attribute_of(call.operation)), line.heard
        if call.writes:
            is_out()
        try:
            answer = await stub(request, timeout=limit, metadata=metadata)
        except grpc.aio.AioRpcError as failure:
            if status_of(failure) not in _SILENCE:
                line.heard += 1
            elif line.heard == heard and self._lines.get(call.location) is line:
                del self._lines[call.location]
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._is_closed and task is not None and not task.cancelling():
                raise ClosedError(f"{self._service.name} was closed meanwhile") from None
            raise
        line.heard += 1
        return answer.reveal()

    async def aclose(self) -> None:
        """Close them all; calls under way end with ClosedError."""
        self._is_closed = True
        lines, self._lines = self._lines, {}
        for line in lines.values():
            await line.channel.close()

    def drop(self) -> None:
        """Let go of them all at once. A call under way has hold of its own, and goes on."""
        self._lines.clear()

    def _new(self, location: str) -> _Line:
        if _inherited:
            raise UnsupportedOperationError(_INHERITED)
        _keep()
        line = self._lines[location] = _Line(self._service, self._connected(location))
        return line

    def _target(self, location: str) -> str:
        settings = self._settings
        given = settings.endpoint.partition("://")[2] or settings.endpoint
        return given or self._service.host(settings.universe_domain, location)

    @property
    def _is_plain(self) -> bool:
        return self._settings.endpoint.startswith("http://")

    def proxy_to(self, location: str) -> Proxy | None:
        """What carries calls there: none for plain http and to this machine. Raises ConfigError for one that is not
        spoken here."""
        if self._is_plain:
            return None
        proxy = proxy_of(f"https://{self._target(location)}", self._settings.variables())
        if proxy is not None and proxy.url.scheme != "http":
            raise ConfigError(f"{proxy}: gRPC speaks to http:// proxies alone: name such a one, or Google in NO_PROXY")
        return proxy

    def _connected(self, location: str) -> Any:
        proxy = self.proxy_to(location)
        # gRPC itself reads the process's environment, and takes http_proxy for everything.
        way = ("grpc.http_proxy", proxy.with_user()) if proxy is not None else ("grpc.enable_http_proxy", 0)
        options = (*_OPTIONS, *_timeouts(self._settings), way)
        if self._is_plain:
            return grpc.aio.insecure_channel(self._target(location), options=options)
        trusted = grpc.ssl_channel_credentials(self._roots)
        return grpc.aio.secure_channel(self._target(location), trusted, options=options)


class _Line:
    """A channel, with Google's own transport over it. ``heard`` counts what was answered."""

    def __init__(self, service: Service, channel: Any) -> None:
        self.channel = channel
        self.transport = service.transport()(channel=_Discreet(channel))
        self.heard = 0


class _Discreet:
    """The channel that the transport sees. gRPC keeps answers as results of tasks, whose repr shows them.

    The transport adds an interceptor that logs payloads at DEBUG, and costs every call a task: here it is added to
    nothing.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._unary_unary_interceptors: list[Any] = []

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, **_: Any
    ) -> Callable[..., Any]:
        """What calls ``method``; what it answers does not show itself."""

        def concealed(data: bytes) -> Credential[Any]:
            with contextlib.suppress(Exception):  # gRPC would log it, with what could not be parsed in the frame
                return Credential(response_deserializer(data))
            return Credential(None)

        made: Callable[..., Any] = self._channel.unary_unary(method, request_serializer, concealed)
        return made


grpc.aio.Channel.register(_Discreet)


def _timeouts(settings: GoogleSettings) -> tuple[tuple[str, Any], ...]:
    """gRPC tries to connect for as long as it would wait at least before it tries anew. What TCP does not acknowledge
    for as long as an answer to a ping would be waited for ends the connection (TCP_USER_TIMEOUT)."""
    connect = int(1000 * settings.connect_timeout)
    return ("grpc.min_reconnect_backoff_ms", connect), ("grpc.keepalive_timeout_ms", max(connect, 1000))


# -- forks

_kept: Any = None
_polled = _inherited = False
_INHERITED: Final = (
    "this process was forked while a call to Google was under way (or with GRPC_ENABLE_FORK_SUPPORT=0), so gRPC cannot "
    "be used in it: fork before the first call, or while none is under way, or start processes by spawn or forkserver"
)


def _is_alone() -> bool:
    """Whether gRPC is told to have no part in forks."""
    return os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() in {"0", "false"}


def _keep() -> None:
    """Have gRPC stay when its last channel is gone, by one that is never used.

    It would end itself in a thread that nobody sees, under a lock, and wait as long as a fork lasts: the child would
    have the lock without the thread, and stop for good at its first channel.
    """
    global _kept  # noqa: PLW0603  # gRPC is the process's
    if _kept is None and not _is_alone():
        _kept = grpc.insecure_channel("unix:none")


def _polls() -> bool:
    """Whether gRPC's thread for asyncio is alive: it is as long as there is a channel, whosever."""
    return any("_poll_wrapper" in thread.name for thread in threading.enumerate())


def _before_fork() -> None:
    global _polled  # noqa: PLW0603  # it is the child that asks
    # gRPC ends its threads some time after its last channel is gone. Without its support of forks nobody waits for it.
    alone = _is_alone() and _polls()
    for channels in list(_all):
        channels.drop()
    if _all and _polls():
        gc.collect()  # a channel may be part of a circle
    _polled = alone or _polls()


def _after_fork() -> None:
    global _inherited  # noqa: PLW0603  # gRPC is the process's
    _inherited = _inherited or _polled


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
