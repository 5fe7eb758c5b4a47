"""Questions to the manager that strangers occasion: each is asked once for all who wait, and once a second at most."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from asyncsecrets.boundary import fresh
from asyncsecrets.errors import ClosedError
from asyncsecrets.loops import spawn

__all__ = ["Questions"]

_AGAIN_AFTER: Final = 1.0  # seconds
_MOST: Final = 10_000


@dataclass(slots=True)
class _Question:
    """Asked at ``at``. ``failure``: why there was no answer, or is none yet. ``has_ended``: it was not cut off."""

    at: float
    has_ended: bool = False
    failure: Exception | None = field(default_factory=lambda: ClosedError("the question was ended unanswered"))
    task: asyncio.Task[None] | None = None

    async def put(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Ask, and note how it went."""
        try:
            self.failure = await _failure_of(ask)
            self.has_ended = True
        finally:
            self.task = None

    @property
    def is_waited_for_here(self) -> bool:
        """Whether it is under way on the running loop."""
        return self.task is not None and self.task.get_loop() is asyncio.get_running_loop()


class Questions:
    """``clock`` is in monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._put: OrderedDict[str, _Question] = OrderedDict()

    async def ask(self, about: str, ask: Callable[[], Awaitable[object]], *, anew: bool = False) -> Exception | None:
        """Return why ``ask()`` failed; None if it was answered.

        Who asks while it is under way waits for it, and who comes within a second is told how it went: also that it
        failed. Not if it is to be asked ``anew``.
        """
        question = self._put.get(about)
        if question is None or not (question.is_waited_for_here or (not anew and self._is_recent(question))):
            question = self._begin(about, ask)
        if question.is_waited_for_here and question.task is not None:
            await asyncio.wait({question.task})
        return question.failure

    def forget(self, about: str) -> None:
        """Have the next one who asks be answered anew."""
        self._put.pop(about, None)

    def _is_recent(self, question: _Question) -> bool:
        return question.has_ended and 0 <= self._clock() - question.at < _AGAIN_AFTER

    def _begin(self, about: str, ask: Callable[[], Awaitable[object]]) -> _Question:
        question = self._put[about] = _Question(self._clock())
        question.task = spawn(question.put(ask), name="asyncsecrets-virtual-keys")
        self._put.move_to_end(about)
        if len(self._put) > _MOST:
            self._put.popitem(last=False)
        return question


async def _failure_of(ask: Callable[[], Awaitable[object]]) -> Exception | None:
    try:
        await ask()
    except Exception as error:  # noqa: BLE001  # for all who wait, and who come within the second
        return fresh(error)
    return None
