"""How many operations of one source run at once, and how long those wait whose turn has not come."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context

from asyncsecrets.errands import Errand
from asyncsecrets.errors import DeadlineExceededError

__all__ = ["DEFAULT_ROOM", "Gate"]

DEFAULT_ROOM = 100
"""Operations at once, of a provider that does not say for how many it has connections."""

_LEAST = 0.05  # of the patience: whoever has less left could begin, and not end


class Gate:
    """Lets in ``room`` operations at once, in the order in which they came.

    Waiting for one's turn says nothing about the manager, so an operation has ``patience`` seconds from its turn. But
    while nobody is answered, the time of those who wait runs as well: a manager that is mute keeps nobody longer than
    that, whoever was before them. ``system`` is the manager, for errors. For one event loop.
    """

    __slots__ = ("_answered_at", "_free", "_loop", "_system", "_timer", "_waiting", "patience", "room")

    def __init__(self, system: str, patience: float, room: int = DEFAULT_ROOM) -> None:
        self._system = system
        self.patience = patience
        self.room = self._free = room
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._answered_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def enter(self) -> bool:
        """Begin at once if there is room, and say so. Whoever has begun must ``leave``."""
        if self._free < 1:
            return False
        self._free -= 1
        return True

    async def turn(self, name: str | None, since: float, errand: Errand | None = None) -> float:
        """Wait for one's turn, having come at ``since``; return when the operation that now begins must have ended.

        Both are times of the loop. Whoever has a place here and waits for ``errand`` makes room for it. Raises
        DeadlineExceededError: nothing was begun.
        """
        if errand is not None and errand.is_owed(self):
            self._free -= 1
        elif not self.enter():
            await self._wait(name, since, errand)
        return self.due(since)

    def let_in(self, turn: asyncio.Future[None]) -> None:
        """Let in at once who waits for this ``turn``: there are more than ``room`` for a while."""
        if not turn.done():
            self._free -= 1
            turn.set_result(None)

    def due(self, since: float) -> float:
        """When whoever came at ``since`` must have ended, had they begun when last somebody was answered."""
        return max(since, self._answered_at) + self.patience

    def answered(self) -> None:
        """The manager has answered somebody."""
        self._answered_at = asyncio.get_running_loop().time()

    def leave(self, *, answered: bool = False) -> None:
        """An operation has ended, and was ``answered`` or not: the next one begins."""
        if answered:
            self.answered()
        self._free += 1
        if self._waiting and self._loop is not None and not self._loop.is_closed():
            self._let_in(self._loop)

    def too_late(self, name: str | None) -> DeadlineExceededError:
        """The error of whoever could not begin in time."""
        what = "the operation" if name is None else f"reading or writing {name!r}"
        return DeadlineExceededError(
            f"{what} at {self._system} was not begun: none of those before it was answered for {self.patience:g} s; "
            f"is it reachable, and is it slow?",
            provider=self._system,
            name=name,
        ).after(0)

    def is_too_late(self, since: float) -> bool:
        """Whether whoever came at ``since`` could not end in time any more."""
        return self._is_late(since, asyncio.get_running_loop())

    def _is_late(self, since: float, loop: asyncio.AbstractEventLoop) -> bool:
        return self.due(since) - loop.time() < _LEAST * self.patience

    async def _wait(self, name: str | None, since: float, errand: Errand | None) -> None:
        loop = self._loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append((since, turn))
        if errand is not None:
            errand.queue(self, turn)
        if self._timer is None:
            self._timer = loop.call_at(self.due(since), self._look, loop, context=Context())
        try:
            await turn
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:  # both in the same turn of the loop
                self.leave()
            raise
        else:
            return
        raise self.too_late(name)  # not above: it would have the other as its context

    def _let_in(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and self._free > 0:
            since, turn = self._waiting.popleft()
            if turn.done():  # cancelled
                continue
            if self._is_late(since, loop):
                turn.set_exception(TimeoutError())
                continue
            self._free -= 1
            turn.set_result(None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up for those who have waited in vain for too long."""
        self._timer = None
        while self._waiting:
            since, turn = self._waiting[0]
            if not turn.done():
                if not self._is_late(since, loop):
                    self._timer = loop.call_at(self.due(since), self._look, loop, context=Context())
                    return
                turn.set_exception(TimeoutError())
            self._waiting.popleft()
