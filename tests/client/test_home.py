"""Who is at home, when the place changes hands, and what is done there for others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

import pytest

from asyncsecrets.client.home import Home
from asyncsecrets.errors import DeadlineExceededError, WriteOutcomeUnknownError


class Elsewhere:
    """A loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.loop.close()

    def stop(self) -> None:
        """Stop it, as asyncio.run does several times before it closes its loop."""
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()

    async def do(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Await ``work()`` there."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self.loop))


async def claim(home: Home) -> bool:
    """Ask for the place."""
    return home.claim()


async def where() -> asyncio.AbstractEventLoop:
    """An operation that tells where it is carried out."""
    return asyncio.get_running_loop()


async def test_the_place_is_free_only_when_everything_there_is_closed() -> None:
    """Whoever comes while a loop closes what is bound to it waits for that, and is at home afterwards."""
    home = Home("memory", limit=5)
    closing, closed = threading.Event(), threading.Event()

    async def close() -> None:
        closing.set()
        await asyncio.sleep(0.05)
        closed.set()

    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        leaving = asyncio.create_task(other.do(lambda: home.leave(close)))
        await asyncio.to_thread(closing.wait, 5)
        assert not home.claim()
        assert await home.run(where) is asyncio.get_running_loop()
        assert closed.is_set()
        await leaving


async def test_a_loop_that_is_not_at_home_any_more_closes_nothing() -> None:
    """What is open belongs to somebody else by then."""
    home = Home("memory", limit=5)
    closed = []

    async def close() -> None:
        closed.append(asyncio.get_running_loop())

    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        await other.do(lambda: home.leave(close))
        assert home.claim()
        await other.do(lambda: home.leave(close))
        assert closed == [other.loop]


async def test_a_loop_that_has_stopped_may_go_on_for_a_moment() -> None:
    """asyncio.run stops its loop and runs it again to end its tasks: nobody takes its place in between."""
    home = Home("memory", limit=5)
    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        other.stop()
        assert not home.claim()
        assert await home.run(where) is asyncio.get_running_loop()


def test_a_loop_that_has_stopped_in_this_thread_is_not_waited_for() -> None:
    """Another one runs where it ran."""
    home = Home("memory", limit=5)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    try:
        assert [loop.run_until_complete(claim(home)) for loop in loops] == [True, True]
    finally:
        for loop in loops:
            loop.close()


async def test_a_visit_that_is_under_way_is_made_again_where_home_is_next() -> None:
    """A loop that closes ends what others have it do, and they see nothing of it."""
    home = Home("memory", limit=5)
    begun = threading.Event()

    async def operation() -> asyncio.AbstractEventLoop:
        if asyncio.get_running_loop() is other.loop:
            begun.set()
            await asyncio.sleep(3600)
        return asyncio.get_running_loop()

    async def close() -> None: ...

    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        visit = asyncio.create_task(home.run(operation))
        await asyncio.to_thread(begun.wait, 5)
        await other.do(lambda: home.leave(close))
        assert await visit is asyncio.get_running_loop()


async def test_a_visitor_who_is_cancelled_ends_the_visit() -> None:
    """Nobody wants the answer any more."""
    home = Home("memory", limit=5)
    begun, ended = threading.Event(), threading.Event()

    async def operation() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        visit = asyncio.create_task(home.run(operation))
        await asyncio.to_thread(begun.wait, 5)
        visit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await visit
        assert await asyncio.to_thread(ended.wait, 5)


async def test_a_loop_that_never_finishes_closing() -> None:
    """Whoever waits for it is told so, within the limit."""
    home = Home("memory", limit=0.1)
    closing, go = threading.Event(), threading.Event()

    async def close() -> None:
        closing.set()
        go.wait(5)

    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        leaving = asyncio.create_task(other.do(lambda: home.leave(close)))
        await asyncio.to_thread(closing.wait, 5)
        with pytest.raises(DeadlineExceededError, match="is it blocked"):
            await home.run(where)
        go.set()
        await leaving


async def test_what_is_posted_is_done_at_home() -> None:
    """There when somebody is at home elsewhere; here when nobody is; by the next one when that loop was stopped."""
    home = Home("memory", limit=5)
    done: list[int] = []
    waiting = threading.Event()

    def work() -> None:
        done.append(threading.get_ident())
        waiting.set()

    home.post(work)
    assert done == [threading.get_ident()]
    waiting.clear()
    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        home.post(work)
        assert await asyncio.to_thread(waiting.wait, 5)
        assert done == [threading.get_ident(), other.thread.ident]


class Deaf:
    """A loop that seems to run, and never comes to what it is given."""

    closed = False

    def is_running(self) -> bool:
        return not self.closed

    def is_closed(self) -> bool:
        return self.closed

    def call_soon_threadsafe(self, *_: Any, **__: Any) -> Any:
        if self.closed:
            raise RuntimeError("Event loop is closed")


async def test_mail_for_a_loop_that_ended_is_done_by_the_next() -> None:
    """A loop that ends before it comes to what was posted: nothing of it is lost."""
    home = Home("memory", limit=5)
    done: list[str] = []
    deaf = Deaf()
    home._loop = deaf  # type: ignore[assignment]
    home.post(lambda: done.append("done"))
    assert done == []
    deaf.closed = True
    assert home.claim()
    assert done == ["done"]


async def test_a_place_is_taken_in_one_step() -> None:
    """Whoever takes the place of a loop that did not leave it is told first, while nobody else can come."""
    told: list[tuple[asyncio.AbstractEventLoop, bool]] = []
    home = Home("memory", limit=5, moved=lambda old: told.append((old, home.here)))
    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        other.stop()
        assert await home.run(where) is asyncio.get_running_loop()
        assert told == [(other.loop, True)]
        other.thread = threading.Thread(target=other.loop.run_forever)
        other.thread.start()
        assert not await other.do(lambda: claim(home))
        assert home.here


async def test_a_loop_that_has_run_since_is_not_idle() -> None:
    """That nobody saw it running does not mean that it did not."""
    home = Home("memory", limit=5)
    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        other.stop()
        assert not home.claim()
        home._idle_since = 0.0  # long ago
        other.thread = threading.Thread(target=other.loop.run_forever)
        other.thread.start()
        await other.do(where)
        other.stop()
        assert not home.claim()


async def test_a_loop_that_is_busy_for_long_is_not_blocked() -> None:
    """As long as it gives a sign of life, whoever waits for an answer goes on waiting."""
    home = Home("memory", limit=0.1)

    async def long() -> str:
        await asyncio.sleep(0.3)
        return "done"

    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        assert await home.run(long) == "done"
        assert await home.run(long, repeatable=False) == "done"


async def test_a_write_that_a_blocked_loop_has_taken_up() -> None:
    """It may be applied: nobody makes it again, and nobody is told that it was not."""
    home = Home("memory", limit=0.1)
    begun, go = threading.Event(), threading.Event()

    async def write() -> None:
        begun.set()
        go.wait(5)

    async def decide() -> None:
        raise AssertionError("nobody can look there")

    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        with pytest.raises(WriteOutcomeUnknownError):
            await home.run(write, repeatable=False, decide=decide)
        assert begun.is_set()
        go.set()


async def test_what_was_given_up_is_not_begun() -> None:
    """A visit is either begun or given up, never both: a write is not made twice."""
    home = Home("memory", limit=0.05)
    made: list[str] = []
    free = threading.Event()

    async def write() -> None:
        made.append("made")

    with Elsewhere() as other:
        assert await other.do(lambda: claim(home))
        other.loop.call_soon_threadsafe(free.wait, 5)
        with pytest.raises(DeadlineExceededError):
            await home.run(write, repeatable=False)
        free.set()
        await other.do(where)
        assert made == []
