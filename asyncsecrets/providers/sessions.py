"""Letting go of a session whose loop is gone, or belongs to the parent of a fork.

Closing it properly is impossible then: the loop is closed, has stopped and may never go on, or is shared with another
process whose sockets an orderly close would shut down. What remains is to close *this* process's file descriptors and
to keep the finalizers of aiohttp and asyncio from complaining. Neither offers that publicly, so this module reaches
for a few private attributes, each guarded: where one is missing, a ResourceWarning is the worst that happens.
"""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp

__all__ = ["forget_session", "send_once"]

# The process that each loop with a session of ours belongs to: a fork inherits loops, and shares what they poll with.
_process_of: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def send_once(session: aiohttp.ClientSession) -> None:
    """Keep aiohttp from sending a request again by itself when a kept connection turns out closed.

    It does so for idempotent methods, DELETE among them. But a DELETE that was applied and not answered, sent
    again, may delete what somebody wrote in between. There is no public switch.
    """
    _process_of.setdefault(session._loop, os.getpid())  # noqa: SLF001 - its own, which it binds to when it is made
    session._retry_connection = False  # noqa: SLF001 - see above; a test counts the requests


def forget_session(session: aiohttp.ClientSession) -> None:
    """Drop a session's sockets without any I/O on its loop."""
    connector: Any = session.connector
    session.detach()
    if connector is None:
        return
    pooled = [protocol for queue in getattr(connector, "_conns", {}).values() for protocol, _ in queue]
    for protocol in [*pooled, *getattr(connector, "_acquired", ())]:
        _drop(getattr(protocol, "transport", None))
    for handle in ("_cleanup_handle", "_cleanup_closed_handle"):
        timer = getattr(connector, handle, None)
        if timer is not None:
            timer.cancel()
    getattr(connector, "_conns", {}).clear()
    getattr(connector, "_acquired", set()).clear()
    connector._closed = True  # noqa: SLF001 - what its own close() sets; stops the finalizer


def _drop(transport: Any) -> None:
    """Close a transport's socket behind its back; TLS transports wrap the plain one."""
    if transport is None:
        return
    inner = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    if inner is not None:
        transport._closed = True  # noqa: SLF001 - stops the TLS transport's finalizer
        transport = inner
    sock = getattr(transport, "_sock", None)
    if sock is not None:
        _unregister(getattr(transport, "_loop", None), sock.fileno())
        sock.close()
        transport._sock = None  # noqa: SLF001 - stops the socket transport's finalizer


def _unregister(loop: Any, descriptor: int) -> None:
    """Have a loop that may go on forget a descriptor: the next socket that is opened will have the same number."""
    if loop is None or loop.is_closed() or _process_of.get(loop) != os.getpid():
        return
    for forget in ("_remove_reader", "_remove_writer"):
        getattr(loop, forget, lambda _: None)(descriptor)
    getattr(loop, "_transports", {}).pop(descriptor, None)
