"""Loops one after another, loops that stop, freeze and are thrown away, threads, forks, suspended machines."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import pytest

from asyncsecrets.cache import CachePolicy, SingleFlightCache
from asyncsecrets.cache import renewer as renewer_module
from asyncsecrets.errors import UnavailableError, UnsupportedOperationError
from tests.cache.world import DELAY, INTERVAL, MAX_STALE, Recorder, VirtualGuard, World, check, down, settle


@pytest.fixture
def guard(world: World, monkeypatch: pytest.MonkeyPatch) -> VirtualGuard:
    """A guard on the world's clock instead of the one with a thread."""
    made = VirtualGuard(world.clock)
    monkeypatch.setattr(renewer_module, "guard", made)
    return made


# -- one run after another


def test_several_runs_share_the_values(world: World) -> None:
    """Values survive a new loop; no CancelledError comes out of an old one."""
    world.backend.values["k"] = "v"
    cache = world.cache()
    for _ in range(100):
        assert world.run(lambda: cache.get("k"), debug=False) == "v"
    assert len(world.backend.calls) == 1


def test_a_run_that_ends_in_the_middle_of_a_fetch(world: World) -> None:
    """The next run fetches anew: a flight of the old loop answers nobody, and raises nothing here."""
    world.backend.values["k"] = "v"
    cache = world.cache()

    async def abandon() -> None:
        task = asyncio.create_task(cache.get("k"))
        await asyncio.sleep(DELAY / 2)
        task.cancel()

    world.run(abandon)
    assert world.run(lambda: cache.get("k")) == "v"
    assert len(world.backend.calls) == 2


def test_a_value_that_expired_between_two_runs_is_not_served(world: World) -> None:
    """Nobody vouches between runs; the next read looks at the clock."""
    world.backend.values["k"] = "old"
    cache = world.cache()
    world.run(lambda: cache.get("k"))
    assert cache.peek("k") is None
    world.clock.advance(INTERVAL + MAX_STALE + 1.0)
    world.backend.values["k"] = "new"
    assert world.run(lambda: cache.get("k")) == "new"


def test_a_renewal_cut_short_by_the_end_of_its_loop_is_done_on_the_next(world: World) -> None:
    """Those in the air and those in line: nothing is left overdue until it dies."""
    world.backend.values = {"a": "old", "b": "old"}
    cache = world.cache(concurrency=1, max_stale=10_000.0)

    async def first() -> None:
        await asyncio.gather(cache.get("a"), cache.get("b"))
        world.backend.delay = 10.0
        await asyncio.sleep(INTERVAL)
        assert sum(world.backend.in_flight.values()) == 1

    async def second() -> None:
        cache.start()
        await asyncio.sleep(10.0)

    world.run(first)
    world.backend.values, world.backend.delay = {"a": "new", "b": "new"}, 0.0
    world.run(second)
    assert (cache._entries["a"], cache._entries["b"]) == ("new", "new")


def test_on_end_is_awaited_on_every_loop(world: World) -> None:
    """However the run ends, and before its loop closes."""
    ended: list[asyncio.AbstractEventLoop] = []

    async def on_end() -> None:
        await asyncio.sleep(0.1)
        ended.append(asyncio.get_running_loop())

    world.backend.values["k"] = "v"
    cache = world.cache(on_end=on_end)
    for _ in range(3):
        world.run(lambda: cache.get("k"))
    assert len(ended) == len(set(map(id, ended))) == 3


def test_two_running_loops_are_told_apart(world: World) -> None:
    """The second is refused at once and in words, instead of hanging; what is warm can be peeked at."""
    world.backend.values["k"] = "v"
    cache = world.cache()
    outcomes: list[object] = []

    async def intruder() -> None:
        outcomes.append(cache.peek("k"))
        for call in (cache.get("cold"), cache.refresh("k"), cache.aclose()):
            with pytest.raises(UnsupportedOperationError, match="another running event loop"):
                await call
        with pytest.raises(UnsupportedOperationError):
            cache.put("k", "x")

    async def main() -> None:
        await cache.get("k")
        thread = threading.Thread(target=lambda: asyncio.run(intruder()))
        thread.start()
        thread.join()
        assert await cache.get("k") == "v"

    world.run(main)
    assert outcomes == ["v"]


def test_a_thread_with_its_own_loop_after_the_first_ended(world: World) -> None:
    """A loop that has ended owns nothing."""
    world.backend.values["k"] = "v"
    cache = world.cache()
    world.run(lambda: cache.get("k"))
    values: list[str] = []
    thread = threading.Thread(target=lambda: values.append(world.run(lambda: cache.get("k"))))
    thread.start()
    thread.join()
    assert values == ["v"]


# -- loops that stop


def test_a_stopped_loop_resumed_before_the_expiry(world: World, guard: VirtualGuard) -> None:
    """Nothing was missed: a hit is a hit."""
    world.backend.values["k"] = "v"
    cache = world.cache(guarded=True)
    loop = world.clock.new_loop()
    assert loop.run_until_complete(cache.get("k")) == "v"
    world.clock.advance(20.0)
    assert cache.peek("k") == "v"
    assert loop.run_until_complete(cache.get("k")) == "v"
    loop.run_until_complete(cache.aclose())
    loop.close()
    assert len(world.backend.calls) == 1


def test_a_stopped_loop_resumed_past_the_expiry(world: World, guard: VirtualGuard) -> None:
    """The first read after it does not get what expired meanwhile."""
    world.backend.values["k"] = "old"
    cache = world.cache(guarded=True)
    loop = world.clock.new_loop()
    loop.run_until_complete(cache.get("k"))
    world.clock.advance(INTERVAL + MAX_STALE)
    assert cache.peek("k") is None
    world.backend.values["k"] = "new"
    assert loop.run_until_complete(cache.get("k")) == "new"
    loop.run_until_complete(cache.aclose())
    loop.close()


def test_a_stopped_loop_whose_cache_moved_on(world: World) -> None:
    """Its flights come home when it is resumed, and change nothing; its end closes nothing of the new loop's."""
    ended: list[asyncio.AbstractEventLoop] = []

    async def on_end() -> None:
        ended.append(asyncio.get_running_loop())

    world.backend.values["k"], world.backend.delay = "old", 10.0
    cache = world.cache(on_end=on_end)
    first = world.clock.new_loop()
    waiter = first.create_task(cache.get("k"))
    first.run_until_complete(asyncio.sleep(1.0))
    world.backend.values["k"] = "new"

    async def second() -> None:
        assert await cache.get("k") == "new"

    async def resumed() -> None:
        assert await waiter == "old"

    world.run(second)
    first.run_until_complete(resumed())
    assert cache._entries["k"] == "new"
    for task in asyncio.all_tasks(first):
        task.cancel()
    first.run_until_complete(asyncio.sleep(0.1))
    first.close()
    assert len(ended) == 1
    assert ended[0] is not first


def test_close_from_another_loop_leaves_the_stopped_one_alone(world: World) -> None:
    """Its waiters are not touched from here: their loop may be closed."""
    world.backend.values["k"] = "v"
    cache = world.cache()
    first = world.clock.new_loop()
    waiter = first.create_task(cache.get("k"))
    first.run_until_complete(asyncio.sleep(DELAY / 2))
    world.run(cache.aclose)
    assert not waiter.done()
    waiter.cancel()
    first.run_until_complete(asyncio.gather(waiter, return_exceptions=True))
    first.close()


# -- loops that freeze


def test_a_frozen_loop_does_not_serve_what_expired(world: World, guard: VirtualGuard) -> None:
    """A callback blocks the loop past the end of a life: the very next read, before any timer, fetches."""

    async def main() -> None:
        cache = await world.warm(guarded=True)
        world.backend.values["k"] = "new"
        world.clock.advance(INTERVAL + MAX_STALE)
        assert cache.hot == {}
        assert await cache.get("k") == "new"
        assert cache.stats.expired == 1

    world.run(main)


def test_what_is_vouched_for_again_is_promised_in_the_same_step(world: World, guard: VirtualGuard) -> None:
    """The loop may freeze again before the renewer has its turn."""

    async def main() -> None:
        cache = await world.warm(guarded=True)
        await settle()
        guard.promises.clear()
        cache._withdraw()
        cache.start()
        assert cache.peek("k") == "old"
        world.clock.advance(INTERVAL + MAX_STALE)
        assert cache.peek("k") is None

    world.run(main)


def test_a_value_put_and_frozen_in_the_same_step(world: World, guard: VirtualGuard) -> None:
    """The promise is given with the value, not when the renewer next has its turn."""

    async def main() -> None:
        cache = world.cache(guarded=True)
        world.backend.values["k"] = "new"
        cache.put("k", "old")
        world.clock.advance(INTERVAL + MAX_STALE)
        assert await cache.get("k") == "new"

    world.run(main)


def test_a_value_put_where_a_dead_alarm_is_all_there_is(world: World, guard: VirtualGuard) -> None:
    """The renewer is to wake for a retry of what has expired. That is early enough for the new value, if it wakes."""

    async def main() -> None:
        cache = await world.warm(guarded=True)
        world.backend.fault = down("k")
        await asyncio.sleep(INTERVAL + MAX_STALE - DELAY)
        assert cache.peek("k") == "old"
        await asyncio.sleep(2 * DELAY)
        assert cache.peek("k") is None
        assert guard.promises == {}
        assert world.clock.boot_time() < cache._renewer._wakes_at < world.clock.boot_time() + INTERVAL
        cache.put("k", "new")
        world.clock.advance(INTERVAL + MAX_STALE)
        assert cache.peek("k") is None

    world.run(main)


def test_a_busy_loop_keeps_its_hits(world: World, guard: VirtualGuard) -> None:
    """Being late with a renewal is no reason to send readers the slow way: nothing has expired."""

    async def main() -> None:
        cache = await world.warm(guarded=True)
        world.clock.advance(INTERVAL * 0.2)
        await asyncio.sleep(INTERVAL * 0.8 - 2 * DELAY)
        world.clock.advance(4 * DELAY)
        assert cache.peek("k") == "old"
        assert cache.stats.misses == 1

    world.run(main)


def test_a_withdrawn_cache_serves_what_is_still_good(world: World, guard: VirtualGuard) -> None:
    """The next read vouches for it again, without a call."""

    async def main() -> None:
        recorder = Recorder()
        cache = await world.warm(guarded=True, listener=recorder)
        world.clock.advance(INTERVAL * 0.5)
        assert cache.hot == {}
        assert recorder.heard[-1] == ("withdrawn",)
        assert await cache.get("k") == "old"
        assert cache.hot == {"k": "old"}
        assert len(world.backend.calls) == 1

    world.run(main)


def test_resuming_does_not_carry_out_renewals_at_once(world: World, guard: VirtualGuard) -> None:
    """Ten thousand overdue renewals are the renewer's work, in small pieces; a reader only pays for what expired."""
    world.backend.values = {f"k{i}": "v" for i in range(10_000)}

    async def main() -> None:
        cache = world.cache(guarded=True, max_stale=10 * INTERVAL)
        for key in world.backend.values:
            cache.put(key, "v")
        await settle()
        world.clock.advance(INTERVAL * 2)
        cache.start()
        assert len(cache.hot) == 10_000
        assert len(cache._schedule._timed) == 0
        await cache.aclose()

    world.run(main, debug=False)


def test_a_real_loop_blocked_past_an_expiry() -> None:
    """The same with the real guard and its thread: 0.2 s of life, 0.4 s of blocked loop."""

    async def main() -> None:
        values = iter(["old", "new"])

        async def fetch(key: str) -> str:
            return next(values)

        cache: SingleFlightCache[str, str] = SingleFlightCache(
            fetch, CachePolicy(refresh_interval=0.1, max_stale=0.1), jitter=lambda: 1.0
        )
        assert await cache.get("k") == "old"
        time.sleep(0.4)
        assert cache.peek("k") is None
        assert await cache.get("k") == "new"
        await cache.aclose()

    asyncio.run(main(), debug=False)  # debug mode would rightly say that the loop was blocked


# -- clocks


@pytest.mark.parametrize("seconds", [INTERVAL + MAX_STALE, 3600.0, 86_400.0, 3e8])
def test_a_suspended_machine_serves_nothing_expired_for_long(world: World, seconds: float) -> None:
    """The loop's timers slept too; half a minute after waking up, whoever reads gets a new value."""

    async def main() -> None:
        cache = await world.warm()
        world.backend.values["k"] = "new"
        world.clock.suspend(seconds)
        await asyncio.sleep(30.0)
        assert await cache.get("k") == "new"

    world.run(main)


def test_a_suspended_machine_and_a_new_read_of_another_key(world: World) -> None:
    """A jump of the clock is seen as soon as anything wakes the renewer."""

    async def main() -> None:
        cache = await world.warm()
        world.clock.suspend(INTERVAL + MAX_STALE)
        cache.put("soon", "x")
        cache.invalidate("soon")
        await asyncio.sleep(30.0)
        assert cache.stats.expired == 1

    world.run(main)


def test_a_jump_within_life_renews(world: World) -> None:
    """Overdue after the jump: the old value is served while the renewal is in the air."""

    async def main() -> None:
        cache = await world.warm()
        world.backend.values["k"] = "new"
        world.clock.suspend(INTERVAL + 1.0)
        assert await cache.get("k") == "old"
        await asyncio.sleep(30.0 + DELAY + 0.1)
        assert cache.peek("k") == "new"

    world.run(main)


# -- loops that are thrown away


def test_a_loop_closed_without_ending_its_tasks(world: World) -> None:
    """No 'Task was destroyed', no 'coroutine ignored GeneratorExit'; the next loop finds the values."""
    world.backend.values = {"k": "v", "slow": "s"}
    cache = world.cache()
    loop = world.clock.new_loop()
    loop.run_until_complete(cache.get("k"))
    world.backend.delay = 100.0
    waiter = loop.create_task(cache.get("slow"))
    loop.run_until_complete(asyncio.sleep(0))
    waiter._log_destroy_pending = False  # the test's own task
    loop.close()
    del loop, waiter
    gc.collect()
    world.backend.delay = DELAY
    assert world.run(lambda: cache.get("k")) == "v"
    assert world.run(lambda: cache.get("slow")) == "s"


def test_a_cache_thrown_away_with_its_loop(world: World) -> None:
    """Collected, silently, although nobody closed either; the guard lets go of it."""

    async def fetch(key: str) -> str:
        await asyncio.sleep(0)
        return key

    for stop_early in (False, True):
        cache: SingleFlightCache[str, str] = SingleFlightCache(fetch, CachePolicy(), clock=world.clock.boot_time)
        loop = world.clock.new_loop()
        loop.run_until_complete(asyncio.sleep(0) if stop_early else cache.get("k"))
        loop.close()
        ref = weakref.ref(cache)
        renewer_module.guard.release(cache._renewer)
        del cache, loop
        gc.collect()
        assert ref() is None


def test_the_renewer_keeps_nothing_of_the_request_that_started_it(world: World) -> None:
    """It runs for days; the context of the first reader does not."""
    request: contextvars.ContextVar[object] = contextvars.ContextVar("request")

    class Request:
        pass

    async def handler(cache: SingleFlightCache[str, str]) -> weakref.ref[Request]:
        mine = Request()
        request.set(mine)
        await cache.get("k")
        return weakref.ref(mine)

    async def main() -> None:
        world.backend.values["k"] = "v"
        cache = world.cache()
        ref = await asyncio.create_task(handler(cache))
        await settle()
        gc.collect()
        assert ref() is None

    world.run(main, debug=False)


# -- other processes

_PREAMBLE = """
import asyncio, gc, logging, os, sys
# On a busy machine debug mode may find any callback slow; that is not what these programs are about.
logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing"))
from asyncsecrets.cache import CachePolicy, SingleFlightCache
calls = []
async def fetch(key):
    calls.append(key)
    await asyncio.sleep(0.01)
    return f"{key}-{len(calls)}"
cache = SingleFlightCache(fetch, CachePolicy())
"""


def _python(program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", _PREAMBLE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("inside", ["running", "between"])
def test_a_fork_with_a_warm_cache(inside: str) -> None:
    """The child reads the value without a call, fetches what is cold, and leaves without a word; so does the parent."""
    in_child = """
        def child():
            async def main():
                assert await cache.get("warm") == "warm-1"
                assert await cache.get("cold") == "cold-2", calls
                await cache.aclose()
            asyncio.run(main())
        def wait(pid):
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """
    between = """
        asyncio.run(cache.get("warm"))
        if (pid := os.fork()) == 0:
            child()
            sys.exit(0)
        wait(pid)
        assert asyncio.run(cache.get("warm")) == "warm-1"
    """
    running = """
        async def parent():
            await cache.get("warm")
            reader = asyncio.create_task(cache.get("slow"))
            await asyncio.sleep(0)
            if (pid := os.fork()) == 0:
                try:
                    import threading
                    thread = threading.Thread(target=child)  # a thread of its own: this one's loop is the parent's
                    thread.start()
                    thread.join()
                finally:
                    os._exit(calls != ["warm", "cold"])
            wait(pid)
            assert await reader == "slow-2"
            assert await cache.get("warm") == "warm-1"
        asyncio.run(parent())
    """
    program = textwrap.dedent(in_child) + textwrap.dedent(between if inside == "between" else running)
    done = _python(program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_has_a_guard_of_its_own() -> None:
    """The parent's thread does not exist in the child; a loop that is blocked there serves nothing expired either."""
    done = _python("""
        import time
        async def parent():
            await cache.get("warm")
            await asyncio.sleep(0.01)
        async def child():
            short = SingleFlightCache(fetch, CachePolicy(refresh_interval=0.1, max_stale=0.1))
            await short.get("k")
            time.sleep(0.5)
            assert short.peek("k") is None
            await short.aclose()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(parent())
        if (pid := os.fork()) == 0:
            asyncio.run(child())
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        loop.run_until_complete(cache.aclose())
        loop.close()
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_script_that_closes_nothing_exits_silently() -> None:
    """Two runs, a flight left in the air, no aclose: nothing on stderr under -W error and debug mode."""
    done = _python("""
        async def main():
            assert await cache.get("a") == "a-1"
            asyncio.create_task(cache.get("b"))
            await asyncio.sleep(0)
        asyncio.run(main())
        assert asyncio.run(cache.get("a")) == "a-1"
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_loop_abandoned_at_exit_is_silent() -> None:
    """Closed with the renewer and a flight pending, then the interpreter ends."""
    done = _python("""
        loop = asyncio.new_event_loop()
        loop.run_until_complete(cache.get("a"))
        task = loop.create_task(cache.get("b"))
        loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False  # this program's own
        loop.close()
        del task, cache, loop
        gc.collect()
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_used_at_interpreter_exit() -> None:
    """An atexit handler may still read: no thread can be started then, and none is needed."""
    done = _python("""
        import atexit
        atexit.register(lambda: print(asyncio.run(cache.get("late"))))
    """)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "late-1", "")


def test_an_outage_across_loops(world: World) -> None:
    """The bound on age holds across runs as within one."""
    world.backend.values["k"] = "old"
    cache = world.cache()
    world.run(lambda: cache.get("k"))
    world.backend.fault = down()
    world.clock.advance(INTERVAL + MAX_STALE - 1.0)
    assert world.run(lambda: cache.get("k")) == "old"
    world.clock.advance(1.0)
    with pytest.raises(UnavailableError):
        world.run(lambda: cache.get("k"))
    check(cache)
