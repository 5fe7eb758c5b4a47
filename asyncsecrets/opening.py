"""Opening the default client when nobody has: once, for any number of callers, and not on the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from asyncsecrets import default
from asyncsecrets.boundary import bared
from asyncsecrets.default import DefaultClient
from asyncsecrets.errors import ClosedError
from asyncsecrets.loops import in_thread, retrieve, running_loop, spawn

__all__ = ["open_default"]

_opening: asyncio.Task[DefaultClient] | None = None


async def open_default(build: Callable[[], DefaultClient]) -> DefaultClient:
    """Build a client in a thread (it imports, and reads files), and make it the default unless another is open by then.

    Raises what ``build`` raises, for each caller an instance of its own, and ClosedError when the loop is shut down.
    """
    global _opening  # noqa: PLW0603
    loop = running_loop()
    opening = _opening
    if opening is None or opening.done() or opening.get_loop() is not loop:
        opening = _opening = spawn(_open(build), name="asyncsecrets-open-default", loop=loop, done=_opened)
    await asyncio.wait({opening})  # not awaited directly: a cancelled caller would cancel it for everybody
    if opening.cancelled():
        raise ClosedError("the event loop was shut down while the default client was being opened")
    error = opening.exception()
    if error is not None:
        raise bared(error)
    return opening.result()


async def _open(build: Callable[[], DefaultClient]) -> DefaultClient:
    client = await in_thread(build)
    return default.push_if_none(client)


def _opened(opening: asyncio.Task[DefaultClient]) -> None:
    global _opening  # noqa: PLW0603
    if _opening is opening:
        _opening = None  # it would keep the client
    retrieve(opening)


def _after_fork() -> None:
    global _opening  # noqa: PLW0603
    _opening = None  # its task stayed in the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
