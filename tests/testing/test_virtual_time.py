"""Virtual time: a day in no time, in the right order."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from asyncsecrets.testing import virtual_time
from asyncsecrets.testing.virtual_time import VirtualClock, VirtualTimeLoop


def test_a_day_passes_in_no_time() -> None:
    """And exactly a day."""
    clock, began = VirtualClock(), time.monotonic()
    before = clock.monotonic()
    with asyncio.Runner(loop_factory=clock.new_loop) as runner:
        runner.run(asyncio.sleep(86_400.0))
        runner.run(asyncio.sleep(400_000.0))  # more than the loop waits for at a time
    assert clock.monotonic() - before == pytest.approx(486_400.0)
    assert time.monotonic() - began < 5.0


def test_timers_run_in_order() -> None:
    """Whatever the order in which they were set; deadlines and sleeps agree."""
    order: list[float] = []

    async def note(seconds: float) -> None:
        await asyncio.sleep(seconds)
        order.append(seconds)

    async def main() -> None:
        await asyncio.gather(*(note(seconds) for seconds in (3.0, 1.0, 2.0, 1e-9, 1e6)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await asyncio.sleep(6.0)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    assert order == [1e-9, 1.0, 2.0, 3.0, 1e6]


def test_advancing_in_a_callback_makes_timers_late() -> None:
    """As a callback that blocks does, without the warning of debug mode."""

    async def main() -> float:
        timer = asyncio.create_task(asyncio.sleep(1.0))
        await asyncio.sleep(0)
        clock.advance(10.0)
        await timer
        return clock.monotonic()

    clock = VirtualClock(start=0.0)
    with asyncio.Runner(loop_factory=clock.new_loop, debug=True) as runner:
        assert runner.run(main()) == 10.0


def test_suspension_is_noticed_by_one_clock_only() -> None:
    """The loop's timers sleep too."""
    clock = VirtualClock(start=5.0)
    clock.suspend(100.0)
    assert (clock.monotonic(), clock.boot_time()) == (5.0, 105.0)


def test_time_does_not_run_backwards() -> None:
    """By no amount, by no clock; and it moves however small the step."""
    clock = VirtualClock(start=1e9)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1.0)
    with pytest.raises(ValueError, match="backwards"):
        clock.suspend(-1.0)
    clock.advance(1e-12)
    assert clock.monotonic() > 1e9


def test_a_deadlock_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ready, no timer, no other thread: a real loop would hang for ever."""
    monkeypatch.setattr(virtual_time, "_PATIENCE", 0.01)
    loop = VirtualTimeLoop()
    never = loop.create_future()
    with pytest.raises(RuntimeError, match="deadlock"):
        loop.run_until_complete(never)
    loop.close()


def test_another_thread_is_waited_for() -> None:
    """With no timer set, the loop waits in real time for what another thread has to say."""

    async def main() -> str:
        loop, said = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        threading.Timer(0.05, lambda: loop.call_soon_threadsafe(said.set_result, "hello")).start()
        return await said

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(main()) == "hello"


def test_threads_are_waited_for_in_real_time() -> None:
    """At the end of a loop: newer Pythons give them 300 seconds, which pass here before a thread has begun to end."""
    go = threading.Event()

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, go.wait, 10.0)
        threading.Timer(0.05, go.set).start()

    before = (clock := VirtualClock()).monotonic()
    with asyncio.Runner(loop_factory=clock.new_loop) as runner:
        runner.run(main())
    assert go.is_set()
    assert clock.monotonic() < before + 300.0
