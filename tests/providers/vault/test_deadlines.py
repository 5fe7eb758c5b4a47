"""Time limits from one timer: they end what is overdue, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.providers.vault.deadlines import Deadlines


@pytest.fixture
async def deadlines():
    """A limit of 50 ms."""
    deadlines = Deadlines(0.05)
    deadlines.open()
    yield deadlines
    deadlines.forget()


async def limited(deadlines, work):
    """What a request does: "late" if its limit ended it."""
    task = deadlines.start()
    try:
        return await work
    except asyncio.CancelledError:
        if not deadlines.passed(task):
            raise
        return "late"
    finally:
        deadlines.end(task)


async def test_overdue(deadlines):
    """A task that is overdue is ended, goes on afterwards, and can be limited again."""

    async def twice():
        first = await limited(deadlines, asyncio.sleep(10))
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)
        return first, await limited(deadlines, asyncio.sleep(0, "done")), await limited(deadlines, asyncio.sleep(10))

    assert await asyncio.wait_for(twice(), 1) == ("late", "done", "late")


async def test_in_time(deadlines):
    """Of many tasks only the slow ones are ended."""
    works = [limited(deadlines, asyncio.sleep(10 if number % 3 == 0 else 0, "done")) for number in range(99)]
    results = await asyncio.wait_for(asyncio.gather(*works), 1)
    assert (results.count("late"), results.count("done")) == (33, 66)


async def test_somebody_elses_cancellation(deadlines):
    """A cancellation from outside is never swallowed, also not when the limit passes in the same moment."""
    alone = asyncio.ensure_future(limited(deadlines, asyncio.sleep(10)))
    await asyncio.sleep(0)
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
    both = asyncio.ensure_future(limited(deadlines, asyncio.sleep(10)))
    await asyncio.sleep(0)
    deadlines._running[both] = (0.0, 0)
    deadlines._look()
    both.cancel()
    with pytest.raises(asyncio.CancelledError):
        await both


async def test_a_timeout_around_it(deadlines):
    """A shorter asyncio.timeout around a request is that timeout's, not ours."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await limited(deadlines, asyncio.sleep(10))


async def test_idle(deadlines):
    """Without requests there is no timer, and nothing is remembered."""
    await limited(deadlines, asyncio.sleep(0))
    await asyncio.sleep(0.01)
    assert deadlines._timer is None
    assert not deadlines._running
    assert not deadlines._overdue
