"""The dead man's switch, in real time: it waits as a thread waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from asyncsecrets.cache import guard as guard_module
from asyncsecrets.cache.guard import Guard


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait for another thread."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "GRACE", 0.0)


def test_a_broken_promise_is_withdrawn_once() -> None:
    """From the guard's thread; the thread then ends, for nothing is promised any more."""
    guard, threads = Guard(), []
    guard.promise("owner", 0.01, lambda: threads.append(threading.get_ident()))
    assert until(lambda: bool(threads))
    assert threads != [threading.get_ident()]
    assert until(lambda: not guard._runs)


def test_a_promise_renewed_in_time_is_kept() -> None:
    """The later one holds."""
    guard, broken = Guard(), []
    guard.promise("owner", 0.05, lambda: broken.append("first"))
    guard.promise("owner", 3600.0, lambda: broken.append("second"))
    guard.promise("other", 0.1, lambda: broken.append("other"))
    assert until(lambda: broken == ["other"])
    guard.release("owner")
    assert until(lambda: not guard._runs)


def test_an_earlier_promise_wakes_the_thread() -> None:
    """It does not sleep through it until the one that it waited for."""
    guard, broken = Guard(), []
    guard.promise("late", 3600.0, lambda: broken.append("late"))
    time.sleep(0.02)  # it is asleep
    guard.promise("soon", 0.01, lambda: broken.append("soon"))
    assert until(lambda: broken == ["soon"])
    guard.release("late")


def test_a_release_ends_the_thread() -> None:
    """It holds nobody back, and starts again with the next promise."""
    guard, broken = Guard(), []
    for _ in range(3):
        guard.promise("owner", 3600.0, lambda: broken.append("owner"))
        guard.release("owner")
        guard.release("owner")
        assert until(lambda: not guard._runs)
    assert broken == []


def test_a_thread_that_cannot_be_started_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of the interpreter; the next promise tries again."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    guard, broken = Guard(), []
    with monkeypatch.context() as patch:
        patch.setattr(guard_module, "start_new_thread", refuse)
        guard.promise("owner", 0.0, lambda: broken.append("owner"))
    assert not guard._runs
    guard.promise("owner", 0.0, lambda: broken.append("owner"))
    assert until(lambda: broken == ["owner"])
