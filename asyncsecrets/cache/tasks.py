"""How the cache starts and ends its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

__all__ = ["cancel_all", "spawn"]


def spawn(
    coroutine: Coroutine[Any, Any, None],
    *,
    name: str,
    loop: asyncio.AbstractEventLoop,
    context: Context | None = None,
) -> asyncio.Task[None]:
    """Start ``coroutine`` on ``loop``, at its next turn; hold on to the task, for asyncio does not.

    Not by ``loop.create_task``: an eager task factory would run a part of it before the caller has put on record that
    it runs. A loop that is closed without ending its tasks cannot end this one either, and nothing is lost with it,
    so its destruction is not reported.
    """
    task: asyncio.Task[None] = asyncio.Task(coroutine, loop=loop, name=name, context=context)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # as asyncio's own gather() does
    return task


async def cancel_all(tasks: set[asyncio.Task[None]], *, within: float | None) -> None:
    """Cancel ``tasks`` and wait for their end, ``within`` seconds if given. Does not say how they ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=within)
