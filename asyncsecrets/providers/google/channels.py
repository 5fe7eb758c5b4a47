"""gRPC channels: one for each address, made on the running loop when it is first needed, and never taken along.

A channel of ``grpc.aio`` belongs to the loop that made it, and to one process: gRPC has threads, which a fork does not
copy, and a child that finds gRPC as its parent left it waits for them for ever. So all channels are let go of right
before a fork, which ends these threads; parent and child make their own anew.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Final

import grpc

from asyncsecrets.providers.google.services import Service
from asyncsecrets.providers.google.settings import GoogleSettings

__all__ = ["Channels"]

_OPTIONS: Final = (
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 8 * 1024 * 1024),
)

_all: weakref.WeakSet[Channels] = weakref.WeakSet()


class Channels:
    """The channels of one source to one service, on one loop at a time. ``roots`` are the CAs to trust, as PEM."""

    def __init__(self, service: Service, settings: GoogleSettings, roots: bytes | None = None) -> None:
        self._service = service
        self._settings = settings
        self._roots = roots
        self._made: dict[str, tuple[Any, Any]] = {}
        _all.add(self)

    def stub(self, operation: str, location: str = "") -> Callable[..., Any]:
        """What calls ``operation`` (``access_secret_version``) at ``location``, on the running loop."""
        found = self._made.get(location)
        if found is None:
            channel = self._new(location)
            found = self._made[location] = channel, self._service.transport()(channel=channel)
        stub: Callable[..., Any] = getattr(found[1], operation)
        return stub

    async def aclose(self) -> None:
        """Close them all."""
        made, self._made = self._made, {}
        for channel, _ in made.values():
            await channel.close()

    def drop(self) -> None:
        """Let go of them all at once: what is under way on them fails."""
        self._made.clear()

    def _new(self, location: str) -> Any:
        endpoint = self._settings.endpoint
        target = (
            endpoint.partition("://")[2] or endpoint or self._service.host(self._settings.universe_domain, location)
        )
        if endpoint.startswith("http://"):
            return grpc.aio.insecure_channel(target, options=_OPTIONS)
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(self._roots), options=_OPTIONS)


def _before_fork() -> None:
    for channels in list(_all):
        channels.drop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
