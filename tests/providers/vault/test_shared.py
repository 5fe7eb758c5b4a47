"""One task that many wait for: whose outcome each of them gets, and what a cancellation means."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.errors import ClosedError, UnavailableError
from asyncsecrets.providers.vault.shared import SharedTask


class Work:
    """Runs until it is let go; returns how many runs there were."""

    def __init__(self):
        self.runs = 0
        self.go = asyncio.Event()
        self.task = SharedTask(self.run, "test")

    async def run(self):
        self.runs += 1
        run = self.runs
        await self.go.wait()
        return run


async def begun(work, times=1):
    """Who waits for a run, once that runs."""
    waiting = [asyncio.create_task(work.task.join()) for _ in range(times)]
    await asyncio.sleep(0.001)
    return waiting


async def test_who_waits_gets_the_outcome_of_the_run_that_was_waited_for():
    """Also when the next run has begun before it has its turn."""
    work = Work()
    first = await begun(work, 3)
    task = work.task.start()
    later = []
    task.add_done_callback(lambda _: later.append(asyncio.ensure_future(work.task.join())))
    work.go.set()
    assert await asyncio.gather(*first) == [1, 1, 1]
    assert await later[0] == 2


async def test_a_run_that_has_ended_is_not_joined():
    """Not even before its end has been noted."""
    work = Work()
    work.go.set()
    first = work.task.start()
    joined = []

    async def watch():
        while not first.done():
            await asyncio.sleep(0)
        joined.append(await work.task.join())

    await watch()
    assert joined == [2]


async def test_a_stranger_who_cancels_it_has_closed_nothing():
    """A program that cancels every task of its loop has the run begin again."""
    work = Work()
    waiting = await begun(work, 2)
    work.task.start().cancel()
    await asyncio.sleep(0.001)
    work.go.set()
    assert await asyncio.gather(*waiting) == [2, 2]


async def test_who_cancels_it_again_and_again_makes_it_transient():
    """Nobody waits for ever."""
    work = Work()
    (waiting,) = await begun(work)
    while not waiting.done():
        work.task.start().cancel()
        await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="cancelled"):
        await waiting


async def test_closing_ends_who_waits():
    """That is what ClosedError is for."""
    work = Work()
    (waiting,) = await begun(work)
    await work.task.cancel()
    with pytest.raises(ClosedError):
        await waiting


async def test_a_bug_is_reported_without_its_text_and_frames():
    """Nobody waits for it, so the loop's handler hears of it: which exception, and where, and no value."""
    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))

    async def fail():
        token = "canary-token"
        raise ValueError(token)

    await asyncio.wait([SharedTask(fail, "a-login").start()])
    await asyncio.sleep(0)
    asyncio.get_running_loop().set_exception_handler(None)
    assert len(heard) == 1
    assert heard[0]["message"].startswith("ValueError ended a-login in test_shared.py, line ")
    assert set(heard[0]) == {"message"}
