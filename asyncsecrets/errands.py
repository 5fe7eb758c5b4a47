"""Which fetch waits for which, so that one that asks for itself is told so instead of waiting for ever.

A fetch may ask for other keys on its way: a provider of somebody's own reads its credentials through a client. If
``a`` asks for ``b``, and ``b`` for ``a``, each waits for the other. Who asks is in the context that the fetch runs in,
so this costs a look at a context variable on a miss, and nothing on a hit.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, ContextVar
from typing import Any, Final, Protocol

from asyncsecrets.errors import UnsupportedOperationError

__all__ = ["Errand", "Places", "carrying", "come_back", "current", "set_out", "under", "wait_for", "whose"]


class Places(Protocol):
    """Where a bounded number of errands may be at once."""

    def let_in(self, turn: asyncio.Future[None]) -> None:
        """Let in at once who waits for this ``turn``."""


class Errand:
    """A fetch of ``key`` for ``owner``, or whatever else may be waited for: ``task``, and what that starts.

    ``above`` is the errand that it is part of, where it is shared with nobody. Whoever has a place and waits for it
    keeps that place meanwhile; so where that is, it need not wait for one of its own.
    """

    __slots__ = ("_has", "_owed", "_queue", "above", "began", "key", "owner", "task", "waits")

    task: asyncio.Future[Any]

    def __init__(self, key: Any, owner: object = None, above: Errand | None = None) -> None:
        self.key = key
        self.owner = owner
        self.above = above
        self.began: float | None = None
        """When, in the loop's time, it first asked: an answer that would end an entry is asked for twice."""
        self.waits: dict[asyncio.Future[Any], Errand] | None = None
        """What it waits for, by the future of each that it has."""
        self._has: Places | None = None
        self._owed: tuple[Places, ...] = ()
        self._queue: tuple[Places, asyncio.Future[None]] | None = None

    def begin(self, places: Places | None) -> None:
        """It has one of ``places`` from now on; None: it has none any more."""
        self._has = places

    def is_owed(self, places: Places) -> bool:
        """Whether somebody who has one of ``places`` waits for it."""
        return places in self._owed

    def queue(self, places: Places, turn: asyncio.Future[None]) -> None:
        """It waits for its ``turn`` at ``places``."""
        self._queue = places, turn

    def _needed_by(self, asker: Errand) -> None:
        if asker._has is not None or asker._owed:
            self._owed = (*self._owed, *asker._owed, *([] if asker._has is None else [asker._has]))
            if self._queue is not None and self._queue[0] in self._owed:
                self._queue[0].let_in(self._queue[1])


current: Final[ContextVar[Errand | None]] = ContextVar("asyncsecrets-errand", default=None)
"""The errand that the running code was begun for, which may have ended: see ``whose``."""


def whose() -> Errand | None:
    """The errand that the running code is part of, while it lasts."""
    errand = current.get()
    return None if errand is None or errand.task.done() else errand


def set_out(errand: Errand) -> None:
    """Whatever runs in this context from now on is part of ``errand``."""
    current.set(errand)


def come_back() -> None:
    """Whatever runs in this context from now on is part of no errand.

    An errand holds its task, and that its context: if this held the errand, only the collector could let go of them.
    """
    current.set(None)


def carrying() -> Context:
    """Return a context that is empty but for the errand that the running code is part of."""
    context, errand = Context(), current.get()
    if errand is not None:
        context.run(set_out, errand)
    return context


def wait_for(errand: Errand, waiter: asyncio.Future[Any], asker: Errand) -> None:
    """Note that ``asker`` waits for ``errand``, until ``waiter`` is done.

    Raises UnsupportedOperationError, which shows the way, where that one waits for ``asker`` already.
    """
    way = _way(errand, asker)
    if way:
        raise _cycle([asker, *way])
    if asker.waits is None:
        asker.waits = {}
    asker.waits[waiter] = errand
    errand._needed_by(asker)  # noqa: SLF001  # the same module
    waits = asker.waits
    waiter.add_done_callback(lambda done: waits.pop(done, None))


def under(owner: object, key: object) -> Errand:
    """Return an errand of the running task that is shared with nobody, as part of the current one.

    Raises UnsupportedOperationError where that is part, in the end, of one for the same ``owner`` and ``key``.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # it awaits what it fetches
    above = whose()
    errand = Errand(key, owner, above)
    errand.task = task
    if above is not None:
        wait_for(errand, task, above)
    way = [errand]
    while above is not None and not above.task.done():
        way.append(above)
        if above.owner is owner and above.key == key:
            raise _cycle(way[::-1])
        above = above.above
    return errand


def _way(start: Errand, goal: Errand) -> list[Errand]:
    """The errands from ``start`` to ``goal``, each of which waits for the next; none if there is no such way."""
    seen, ways = {start}, [[start]]
    while ways:
        way = ways.pop()
        if way[-1] is goal:
            return way
        for waiter, other in list((way[-1].waits or {}).items()):
            if other not in seen and not waiter.done():
                seen.add(other)
                ways.append([*way, other])
    return []


def _cycle(way: list[Errand]) -> UnsupportedOperationError:
    shown = " -> ".join(repr(errand.key)[:200] for errand in way)
    return UnsupportedOperationError(
        f"a fetch waits for itself, and would for ever: {shown}; a provider must not ask for what it is itself asked "
        f"for on the way there"
    )
