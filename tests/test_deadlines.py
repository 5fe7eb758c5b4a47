"""Deadline: the rules of asyncio.timeout, on one timer for all."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from asyncsecrets.deadlines import Deadline, Once


async def limited(deadline: Deadline, seconds: float) -> str:
    """Take ``seconds`` under ``deadline``."""
    with deadline.limit():
        await asyncio.sleep(seconds)
    return "done"


async def test_what_is_in_time_is_left_alone():
    """An operation that ends in time returns, and later ones are not affected."""
    deadline = Deadline(0.05)
    for _ in range(10):
        assert await limited(deadline, 0.01) == "done"


async def test_what_is_late_is_ended():
    """TimeoutError, and the task goes on as if nothing had been cancelled."""
    with pytest.raises(TimeoutError):
        await limited(Deadline(0.01), 5)
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


async def test_each_has_the_whole_time():
    """A limit that began later ends later, also when the timer was set for an earlier one."""
    deadline = Deadline(0.06)

    async def later() -> str:
        await asyncio.sleep(0.04)
        return await limited(deadline, 0.04)

    late, fine = await asyncio.gather(limited(deadline, 5), later(), return_exceptions=True)
    assert isinstance(late, TimeoutError)
    assert fine == "done"


async def test_a_cancellation_from_outside_stays_one():
    """Who cancels the task gets a cancelled task, not a TimeoutError."""
    task = asyncio.create_task(limited(Deadline(10), 5))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_wins_over_the_limit():
    """Both in the same turn of the loop: the caller's cancellation is not swallowed."""
    deadline = Deadline(0.01)
    task = asyncio.create_task(limited(deadline, 5))
    await asyncio.sleep(0)
    deadline._queue[0].due = 0.0
    deadline._fire(asyncio.get_running_loop())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_operation_passes():
    """The limit has nothing to say about it."""
    deadline = Deadline(1)
    with pytest.raises(KeyError), deadline.limit():
        raise KeyError
    assert all(limit.task is None for limit in deadline._queue)


async def test_limits_nest():
    """The inner one ends the inner operation only."""
    outer, inner = Deadline(5), Deadline(0.01)
    with outer.limit():
        with pytest.raises(TimeoutError):
            await limited(inner, 5)
        await asyncio.sleep(0.01)


async def test_what_is_done_does_not_pile_up():
    """Ten thousand operations leave next to nothing in the queue, and one timer in the loop."""
    deadline = Deadline(60)
    for _ in range(10_000):
        with deadline.limit():
            pass
    assert len(deadline._queue) <= 2


async def test_what_was_done_at_once_goes_with_what_follows():
    """A storm leaves its limits in the queue, until the timer fires or so many more have come."""
    deadline = Deadline(60)
    with contextlib.ExitStack() as storm:
        for _ in range(1_000):
            storm.enter_context(deadline.limit())
    assert len(deadline._queue) == 1_000
    for _ in range(1_000):
        with deadline.limit():
            pass
    assert len(deadline._queue) <= 2


class TestOnce:
    """A limit of one operation alone."""

    async def test_the_rules_are_the_same(self):
        """In time it is left alone; late it is ended, and the task goes on; a cancellation from outside stays one."""
        assert await limited(Once(10), 0) == "done"
        with pytest.raises(TimeoutError):
            await limited(Once(0.01), 5)
        assert asyncio.current_task().cancelling() == 0
        task = asyncio.create_task(limited(Once(10), 5))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    @pytest.mark.parametrize("failure", [None, ValueError])
    async def test_nothing_is_left_of_it(self, failure: type[Exception] | None):
        """Whether it succeeds or fails: no timer that keeps the operation until its time."""
        loop = asyncio.get_running_loop()
        before = {timer for timer in loop._scheduled if not timer.cancelled()}
        with contextlib.suppress(ValueError), Once(60).limit():
            await asyncio.sleep(0)
            if failure is not None:
                raise failure
        assert {timer for timer in loop._scheduled if not timer.cancelled()} == before


def test_one_loop_after_another():
    """The loop that is gone is forgotten, with its timer."""
    deadline = Deadline(0.01)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            asyncio.run(limited(deadline, 5))
        assert asyncio.run(limited(deadline, 0)) == "done"


def test_two_loops_at_once():
    """The loops of two threads do not disturb one another: each has its timer."""
    deadline = Deadline(0.05)

    def late() -> None:
        for _ in range(5):
            with pytest.raises(TimeoutError):
                asyncio.run(limited(deadline, 5))

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(late), threads.submit(late)]:
            done.result(timeout=10)


async def test_only_inside_a_task():
    """There would be nothing to cancel."""
    answer: list[BaseException] = []

    def outside() -> None:
        try:
            with Deadline(1).limit():
                pass
        except RuntimeError as error:
            answer.append(error)

    asyncio.get_running_loop().call_soon(outside)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(answer) == 1
