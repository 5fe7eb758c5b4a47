"""The cache against a reference model: anything may happen in any order, and these must hold.

A value is never older than its life, nor served after the end that it has by itself. A read that begins after a write
was acknowledged, or after a read brought a value, never brings an older one. What was deleted does not come back. One
fetch per key is on record. Everybody who waits is answered. Nothing is left when it is closed. An entry is in the dict
exactly if it is in the schedule.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import random
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from asyncsecrets.cache import CachePolicy, SingleFlightCache
from asyncsecrets.cache import renewer as renewer_module
from asyncsecrets.cache.guard import GRACE
from asyncsecrets.errors import ClosedError, SecretNotFoundError
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.cache.world import Record, VirtualGuard, WatchedClock, absent, check, denied, down, limited, nonsense

INTERVAL = 10.0
NOTICES_WITHIN = 30.0 + 2 * GRACE  # how long a suspended machine's cache may take to see that it was
KEYS = st.sampled_from("abc")
FAULTS = {"absent": absent, "denied": denied, "down": down, "limited": lambda _: limited(3.0), "nonsense": nonsense}


@dataclass(frozen=True)
class Value:
    """What is stored: a version that only ever grows, when it came, and when it ends by itself."""

    version: int
    born: float
    ends: float | None = None


@dataclass
class Read:
    """One reader: what it must not go below, and since when an answer of *absent* would be a lie."""

    key: str
    task: asyncio.Task[Value]
    loop: asyncio.AbstractEventLoop
    floor: int
    known_at: int
    done_at: tuple[float, float] = (0.0, 0.0)  # by both clocks


class Model:
    """The truth: what the backend holds, and what whoever reads now has a right to."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.step = 0
        self.version = 0
        self.backend: dict[str, int] = {}
        self.floor: dict[str, int] = defaultdict(int)  # the oldest version that a read may bring from now on
        self.known_at: dict[str, int] = defaultdict(int)  # when it was last certain that the key is there
        self.absent_at: dict[str, int] = defaultdict(int)  # when the backend last might have said that it is not
        self.fault: str | None = None
        self.seen: set[str] = set()  # faults that were ever injected
        self.delay = 0.5
        self.lasts: float | None = None  # for how long a value lasts that is made now
        self.record: Record  # of the cache that is open

    def write(self, key: str) -> int:
        self.version += 1
        self.backend[key] = self.version
        return self.version

    def acknowledge(self, key: str, version: int) -> None:
        self.floor[key] = max(self.floor[key], version)
        self.known_at[key] = self.step

    async def fetch(self, key: str) -> Value:
        version, fault = self.backend.get(key), self.fault
        if version is None or fault == "absent":
            self.absent_at[key] = self.step
        with self.record.fetching(key):
            await asyncio.sleep(self.delay)
        if fault is not None:
            raise FAULTS[fault](key)
        if version is None:
            raise absent(key)
        return self.value(version)

    def value(self, version: int) -> Value:
        now = self.clock.boot_time()
        return Value(version, now, None if self.lasts is None else now + self.lasts)


class CacheMachine(RuleBasedStateMachine):
    """Rules are what a program, a backend and a machine can do; between them the loop stands still."""

    @initialize(
        seed=st.integers(0, 2**32),
        max_stale=st.sampled_from([0.0, 5.0, 40.0]),
        concurrency=st.sampled_from([1, 2, 20]),
        max_entries=st.sampled_from([2, 100]),
        evict_denied=st.booleans(),
        batch_size=st.sampled_from([1, 3]),
        lasts=st.sampled_from([None, 3.0, 12.0]),
    )
    def begin(self, seed: int, batch_size: int, lasts: float | None, **policy: Any) -> None:
        self.batch_size = batch_size
        self.cut_short = False
        self.clock = WatchedClock()
        self.model = Model(self.clock)
        self.model.lasts = lasts
        for key in "abc":  # from nothing it takes many steps until there is anything to read
            self.model.write(key)
        self.kept, renewer_module.guard = renewer_module.guard, VirtualGuard(self.clock)  # type: ignore[assignment]
        self.policy = CachePolicy(
            refresh_interval=INTERVAL,
            negative_ttl=3.0,
            confirm_after=1.0,
            backoff=(0.5, 4.0),
            longest_wait=5.0,
            **policy,
        )
        self.random = random.Random(seed)
        self.complaints: list[str] = []
        self.reads: list[Read] = []
        self.suspended_at = float("-inf")
        self.parked: list[asyncio.AbstractEventLoop] = []
        self.open()

    def open(self) -> None:
        self.loop = self.clock.new_loop()
        self.loop.set_debug(False)  # which takes four times the time
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(str(context)))
        self.new_cache()

    def new_cache(self) -> None:
        self.cache: SingleFlightCache[str, Value] = SingleFlightCache(
            self.model.fetch,
            self.policy,
            clock=self.clock.boot_time,
            jitter=self.random.random,
            expires=lambda value: value.ends,
            wall=self.clock.boot_time,
        )
        self.cache.batch_size = self.batch_size
        self.model.record = Record(self.cache)

    def run(self, awaitable: Awaitable[Any]) -> Any:
        self.model.step += 1
        return self.loop.run_until_complete(asyncio.wait_for(awaitable, 1000.0))

    # -- a program

    @rule(key=KEYS, refresh=st.booleans())
    def read(self, key: str, refresh: bool) -> None:
        self.model.step += 1
        task = self.loop.create_task(self.cache.refresh(key) if refresh else self.cache.get(key))
        read = Read(key, task, self.loop, self.model.floor[key], self.model.known_at[key])
        task.add_done_callback(lambda _: setattr(read, "done_at", self.now()))
        self.reads.append(read)
        self.run(asyncio.sleep(0))

    @rule(key=KEYS)
    def read_now(self, key: str) -> None:
        """Before the loop's timers have their turn."""
        value = self.cache.peek(key)
        if value is not None:
            self.accept(key, value, self.model.floor[key], self.now())

    @rule(key=KEYS)
    def put(self, key: str) -> None:
        async def put() -> None:
            version = self.model.write(key)
            self.cache.put(key, self.model.value(version))
            self.model.record.disown(key)  # also what put launches itself, as it wakes the renewer
            self.model.acknowledge(key, version)

        self.run(put())

    @rule(key=KEYS)
    def invalidate(self, key: str) -> None:
        self.model.step += 1
        self.model.record.disown(key)
        self.cache.invalidate(key)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.model.step += 1
        self.model.backend.pop(key, None)
        self.model.floor[key] = self.model.version + 1
        self.model.record.disown(key)
        self.cache.invalidate(key)

    @rule(seconds=st.sampled_from([1.0, 5.0, 10.0]))
    def read_all_later(self, seconds: float) -> None:
        """What everybody is given when time has passed, by a backend that was well until then."""
        for key in "abc":
            self.read(key, refresh=False)
        self.run(asyncio.sleep(seconds))
        for key in "abc":
            self.read_now(key)

    @precondition(lambda self: any(not read.task.done() for read in self.reads))
    @rule(which=st.sampled_from(["first", "last", "middle"]))
    def cancel(self, which: str) -> None:
        waiting = [read for read in self.reads if not read.task.done() and read.loop is self.loop]
        if waiting:
            index = {"first": 0, "last": -1, "middle": len(waiting) // 2}[which]
            waiting[index].task.cancel()
            self.run(asyncio.sleep(0))

    @precondition(lambda self: self.cache._running)
    @rule()
    def cancel_flight(self) -> None:
        for flight in self.cache._running:
            if flight.task.get_loop() is self.loop:
                flight.task.cancel()
                self.cut_short = True
        self.run(asyncio.sleep(0))

    @rule()
    def close(self) -> None:
        async def close() -> None:
            await self.cache.aclose()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        self.run(close())
        left = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
        assert left == [], left
        self.settle_reads()
        assert not any(read.loop is self.loop for read in self.reads)
        self.new_cache()

    # -- a backend

    @rule(key=KEYS)
    def rotate(self, key: str) -> None:
        self.model.write(key)

    @rule(key=KEYS)
    def vanish(self, key: str) -> None:
        self.model.backend.pop(key, None)

    @rule(fault=st.sampled_from([None, None, *FAULTS]), delay=st.sampled_from([0.0, 0.5, 3.0, 20.0]))
    def behave(self, fault: str | None, delay: float) -> None:
        self.model.fault, self.model.delay = fault, delay
        self.model.seen.add(str(fault))

    @rule(seconds=st.sampled_from([None, 0.0, 3.0, 12.0, 30.0]))
    def last(self, seconds: float | None) -> None:
        self.model.lasts = seconds

    # -- a machine

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0, 10.0, 60.0]))
    def advance(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule(seconds=st.sampled_from([0.01, 1.0, 11.0, 100.0]))
    def freeze(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([1.0, 11.0, 1e6]))
    def suspend(self, seconds: float) -> None:
        self.clock.suspend(seconds)
        self.suspended_at = self.clock.monotonic()

    @rule(how=st.sampled_from(["ended", "closed", "stopped"]))
    def new_loop(self, how: str) -> None:
        old, cache = self.loop, self.cache
        if how == "ended":
            self.end(old)
        elif how == "closed":
            self.throw_away(old)
        else:
            self.parked.append(old)
        self.open()
        self.cache = cache
        self.model.record = Record(cache)

    @precondition(lambda self: self.parked)
    @rule()
    def resume(self) -> None:
        """A loop that was stopped runs on, after its cache has moved."""
        loop = self.parked.pop()
        self.model.step += 1
        loop.run_until_complete(asyncio.sleep(2.0))
        self.end(loop)

    def end(self, loop: asyncio.AbstractEventLoop) -> None:
        """As asyncio.run does, but always in the same order, so that what was found is found again."""
        tasks = asyncio.all_tasks(loop)
        known = [read.task for read in self.reads] + [flight.task for flight in self.cache._running]
        for task in [task for task in known if task in tasks] + sorted(
            tasks - {*known}, key=lambda task: task.get_name()
        ):
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks))
            for task in tasks:
                assert task.cancelled() or task.exception() is None or isinstance(task.exception(), ClosedError)
        assert asyncio.all_tasks(loop) == set()
        loop.close()

    def throw_away(self, loop: asyncio.AbstractEventLoop) -> None:
        for read in self.reads:
            read.task._log_destroy_pending = False  # the program's own tasks
        self.reads = [read for read in self.reads if read.loop is not loop]
        loop.close()

    # -- what must hold

    @invariant()
    def settle_reads(self) -> None:
        if not hasattr(self, "cache"):
            return
        for read in [read for read in self.reads if read.task.done()]:
            self.reads.remove(read)
            if not read.task.cancelled():
                self.judge(read)

    def judge(self, read: Read) -> None:
        error = read.task.exception()
        if error is None:
            self.accept(read.key, read.task.result(), read.floor, read.done_at)
        elif isinstance(error, SecretNotFoundError):
            assert self.model.absent_at[read.key] >= read.known_at, f"{read.key} is there, and was not found"
        elif "cancelled before it was answered" in str(error):
            assert self.cut_short
        elif not isinstance(error, ClosedError):
            assert type(error) in {type(FAULTS[fault](read.key)) for fault in self.model.seen if fault != "None"}
        if error is not None:
            assert error.__cause__ is None
            assert error.__context__ is None

    def now(self) -> tuple[float, float]:
        return self.clock.boot_time(), self.clock.monotonic()

    def accept(self, key: str, value: Value, floor: int, at: tuple[float, float]) -> None:
        age = at[0] - value.born
        if at[1] > self.suspended_at + NOTICES_WITHIN:
            assert age <= INTERVAL + self.policy.max_stale + 2 * GRACE, f"{key} is {age} seconds old"
            end = max(value.born, math.inf if value.ends is None else value.ends)  # who waited has also what had ended
            assert at[0] <= end + 2 * GRACE, f"{key} ended {at[0] - end} seconds ago"
        assert value.version >= floor, f"version {value.version} of {key}, which was at {floor} when it was asked for"
        self.model.floor[key] = max(self.model.floor[key], value.version)

    @invariant()
    def is_consistent(self) -> None:
        if hasattr(self, "cache"):
            check(self.cache)  # type: ignore[arg-type]
            assert self.complaints == []
            assert len(self.cache) <= self.policy.max_entries
            assert len(self.cache._absent) <= self.policy.max_negative

    def teardown(self) -> None:
        if not hasattr(self, "cache"):
            return
        try:
            self.everybody_is_answered()
            self.the_backend_is_believed()
            self.close()
            while self.parked:
                self.resume()
            self.end(self.loop)
            if self.random.random() < 0.1:  # it takes longer than everything else together
                gc.collect()
            assert self.complaints == []
        finally:
            renewer_module.guard = self.kept

    def everybody_is_answered(self) -> None:
        self.model.fault, self.model.delay, self.model.lasts = None, 0.0, None
        self.run(asyncio.sleep(100.0))
        self.settle_reads()
        assert not any(read.loop is self.loop for read in self.reads)

    def the_backend_is_believed(self) -> None:
        """With a backend that is well, the truth is one interval away at most, for whoever keeps reading."""
        for key in "abc":
            self.outcome(key)
        self.run(asyncio.sleep(2 * INTERVAL))
        for key in "abc":
            value, truth = self.outcome(key), self.model.backend.get(key)
            assert (None if value is None else value.version) == truth

    def outcome(self, key: str) -> Value | None:
        try:
            return self.run(self.cache.get(key))
        except SecretNotFoundError:
            return None


def _explore(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        CacheMachine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_cache_against_its_model() -> None:
    """A few thousand steps of everything at once."""
    _explore(examples=80, steps=30)


@pytest.mark.soak
@pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "soak", reason="long: make soak")
def test_the_cache_against_its_model_for_long() -> None:
    """Hundreds of thousands of steps."""
    _explore(examples=8_000, steps=60)
