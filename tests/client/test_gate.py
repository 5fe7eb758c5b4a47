"""How many operations run at once, and what those are told whose turn does not come."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.client.gate import Gate
from asyncsecrets.errors import DeadlineExceededError
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import in_virtual_time


class Door:
    """A gate, and operations that go through it. ``takes``: how long one does; ``answers``: whether it is answered."""

    def __init__(self, room: int, *, takes: float = 1.0, answers: bool = True) -> None:
        self.gate = Gate("memory", 10.0, room)
        self.takes = takes
        self.answers = answers
        self.inside = self.most = 0
        self.order: list[int] = []

    async def through(self, number: int = 0) -> float:
        """One operation; how long it had."""
        loop = asyncio.get_running_loop()
        due = await self.gate.turn("NAME", loop.time())
        had = due - loop.time()
        self.order.append(number)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(min(self.takes, had))
            if self.answers:
                self.gate.answered()
        finally:
            self.inside -= 1
            self.gate.leave()
        return had


def test_so_many_at_once_and_in_turn() -> None:
    """No more, no fewer, in the order in which they came; each has all of its time, however long it waited."""

    async def main(clock: VirtualClock) -> None:
        door = Door(7)
        had = await asyncio.gather(*(door.through(number) for number in range(700)))
        assert clock.monotonic() - 1000.0 == pytest.approx(100.0)
        assert (door.most, door.inside, door.gate.waiting) == (7, 0, 0)
        assert door.order == list(range(700))
        assert min(had) == pytest.approx(10.0)

    in_virtual_time(main)


def test_while_nobody_is_answered_time_runs_for_all() -> None:
    """Who has begun, who waits, and who comes later: each has ten seconds, and none begins what could not end."""

    async def main(clock: VirtualClock) -> None:
        door = Door(2, takes=3600.0, answers=False)

        async def timed(after: float) -> tuple[bool, float]:
            await asyncio.sleep(after)
            came = clock.monotonic()
            (outcome,) = await asyncio.gather(door.through(), return_exceptions=True)
            if isinstance(outcome, DeadlineExceededError):
                errors.append(outcome)
            return not isinstance(outcome, BaseException), clock.monotonic() - came

        errors: list[DeadlineExceededError] = []
        outcomes = await asyncio.gather(*(timed(after) for after in (0, 0, 0.1, 0.2, 0.4, 4.0, 6.0, 7.0)))
        assert [began for began, _ in outcomes] == [True, True, False, False, False, True, True, True]
        assert max(took for _, took in outcomes) == pytest.approx(10.0)
        assert [(error.attempts, error.__context__) for error in errors] == [(0, None)] * 3

    in_virtual_time(main)


def test_an_answer_now_and_then_is_enough() -> None:
    """A manager that takes nearly all of the time for each keeps nobody from having a turn."""

    async def main(clock: VirtualClock) -> None:
        door = Door(1, takes=9.9)
        await asyncio.gather(*(door.through() for _ in range(20)))
        assert clock.monotonic() - 1000.0 == pytest.approx(198.0)

    in_virtual_time(main)


@pytest.mark.parametrize("moment", ["waiting", "let in"])
def test_who_is_cancelled_takes_no_place(moment: str) -> None:
    """Neither one who waits, nor one who was let in in this very turn of the loop."""

    async def main(_: VirtualClock) -> None:
        gate = Gate("memory", 10.0, 1)
        assert gate.enter()
        loop = asyncio.get_running_loop()
        first, second = (asyncio.ensure_future(gate.turn("NAME", loop.time())) for _ in range(2))
        await asyncio.sleep(0)
        if moment == "let in":
            gate.leave()
        first.cancel()
        if moment == "waiting":
            await asyncio.sleep(0)
            gate.leave()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second == pytest.approx(loop.time() + 10.0)
        gate.leave()
        assert gate.enter()

    in_virtual_time(main)
