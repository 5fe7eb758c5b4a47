"""How a line for operators is put."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from contextvars import ContextVar

import pytest

from asyncsecrets.journal import SOURCE, Seldom, Soon, duration, few, moment, one_line, say
from asyncsecrets.testing.virtual_time import VirtualClock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3_600, "1 h"),
        (3_605, "1 h"),
        (86_399, "23 h 59 min"),
        (2 * 86_400 + 3_700, "2 d 1 h"),
    ],
)
def test_a_duration_is_in_its_two_largest_units(seconds: float, text: str) -> None:
    """As somebody would say it."""
    assert duration(seconds) == text


def test_a_moment_is_in_utc_and_says_so() -> None:
    """Whoever reads may be anywhere; and no value keeps a line from being said."""
    assert moment(1_800_000_000.9) == "2027-01-15 08:00:00Z"
    assert moment(float("inf")).startswith("9999-12-31")


def test_a_few_names_stand_for_all() -> None:
    """With how many there are beside them."""
    assert few(["A"], 1) == "A"
    assert few(["A", "B", "C"], 3) == "A, B, C"
    assert few(iter(["A", "B", "C", "D"]), 20) == "A, B, C and 17 more"


def test_what_would_begin_a_line_is_escaped() -> None:
    """Line ends of every alphabet, and what moves a terminal's cursor."""
    assert one_line("a\r\nb\u2028c\x1b[2Jd\x85é") == r"a\r\nb\u2028c\x1b[2Jd\x85é"


def test_seldom_passes_once_in_its_time() -> None:
    """And then again."""
    now = [0.0]
    seldom = Seldom(60.0, lambda: now[0])
    passed = []
    for now[0] in (0.0, 1.0, 59.0, 60.0, 61.0, 200.0):
        passed.append(seldom.passes())
    assert passed == [True, False, False, True, False, True]


def test_a_broken_filter_does_not_reach_whoever_says_something() -> None:
    """A handler's own faults are logging's; a filter's are nobody's."""
    asked: list[str] = []

    def broken(record: logging.LogRecord) -> bool:
        asked.append(record.levelname)
        raise RuntimeError(record.levelname)

    SOURCE.addFilter(broken)
    try:
        say(SOURCE, logging.ERROR, "%s", "heard by nobody")
    finally:
        SOURCE.removeFilter(broken)
    assert asked == ["ERROR"]


class _Teller:
    def __init__(self, apart: float = 0.0) -> None:
        self.told = 0
        self.soon = Soon(self.tell, apart)

    def tell(self) -> None:
        self.told += 1


async def test_soon_is_once_at_the_end_of_the_turn() -> None:
    """However often it is asked for; and afterwards not before its time."""
    teller = _Teller(apart=0.05)
    for _ in range(100):
        teller.soon()
    assert teller.told == 0
    await asyncio.sleep(0)
    assert teller.told == 1
    teller.soon()
    await asyncio.sleep(0)
    assert teller.told == 1
    await asyncio.sleep(0.06)
    assert teller.told == 2


def test_soon_needs_no_loop_and_outlives_one() -> None:
    """Without a loop at once; what a loop took with it, the next one does."""
    teller = _Teller()
    teller.soon()
    assert teller.told == 1

    loop = asyncio.new_event_loop()
    with pytest.raises(RuntimeError):
        loop.run_until_complete(_stops(teller))
    loop.close()

    async def again() -> None:
        teller.soon()
        await asyncio.sleep(0)

    before = teller.told
    asyncio.run(again())
    assert teller.told == before + 1


async def _stops(teller: _Teller) -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    teller.soon()
    await asyncio.sleep(3600)


async def test_soon_keeps_nothing_alive() -> None:
    """Whoever is gone has nothing to say."""
    teller = _Teller(apart=3_600.0)
    teller.soon()
    await asyncio.sleep(0)
    teller.soon()
    gone = weakref.ref(teller)
    del teller
    gc.collect()
    assert gone() is None


def test_soon_keeps_its_distance() -> None:
    """From the last time that it was called, and by no clock but the running loop's."""
    told: list[float] = []

    class Teller:
        def tell(self) -> None:
            told.append(clock.monotonic() - 1_000.0)

    async def asked(*pauses: float) -> None:
        for pause in pauses:
            await asyncio.sleep(pause)
            soon()
        await asyncio.sleep(20)

    clock, teller = VirtualClock(), Teller()
    soon = Soon(teller.tell, 5.0)
    with asyncio.Runner(loop_factory=clock.new_loop) as runner:
        runner.run(asked(0, 1, 5))
    assert told == [0, 5, 10]
    clock, told[:] = VirtualClock(start=10.0), []
    with asyncio.Runner(loop_factory=clock.new_loop) as runner:
        runner.run(asked(0))
    assert told == [pytest.approx(10.0 + 5.0 - 1_000.0)]  # not a quarter of an hour


def test_soon_is_asked_on_another_loop_than_where_it_waits() -> None:
    """Which may never come to it."""
    teller, first = _Teller(), asyncio.new_event_loop()

    async def ask() -> None:
        teller.soon()
        await asyncio.sleep(0)

    first.call_soon(teller.soon)
    first.call_soon(first.stop)
    try:
        first.run_forever()
        assert teller.told == 0
        asyncio.run(ask())
        assert teller.told == 1
    finally:
        first.close()


@pytest.mark.parametrize("apart", [0.0, 5.0])
def test_soon_is_called_in_nobodys_context_and_not_for_who_is_gone(apart: float) -> None:
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[str] = []

    class Teller:
        def tell(self) -> None:
            seen.append(request.get())

    async def main() -> None:
        problems: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        request.set("mine")
        for forgotten in (False, True):
            teller = Teller()
            soon = Soon(teller.tell, apart)
            for _ in range(2):
                soon()
                if forgotten:
                    del teller
                    gc.collect()
                    break
                await asyncio.sleep(apart / 2)
            await asyncio.sleep(2 * apart)
        assert problems == []

    with asyncio.Runner(loop_factory=VirtualClock().new_loop) as runner:
        runner.run(main())
    assert set(seen) == {"none"}
    assert len(seen) == 2


def test_each_of_a_few_names_is_one_line() -> None:
    assert few(["two\nlines", "b"], 3) == "two\\nlines, b and 1 more"
