"""Renewals, retries and ends of life, without a loop."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from asyncsecrets.cache.policy import CachePolicy
from asyncsecrets.cache.schedule import Event, Schedule

POLICY = CachePolicy(refresh_interval=1024.0, max_stale=100.0, backoff=(1.0, 60.0))


def schedule(policy: CachePolicy = POLICY, jitter: float = 1.0) -> Schedule[str]:
    return Schedule(policy, lambda: jitter)


def drain(of: Schedule[str], now: float) -> list[tuple[Event, str]]:
    events = []
    while (due := of.pop(now)) is not None:
        events.append(due)
        if due[0] is Event.EXPIRE:
            of.end(due[1])
    return events


def test_an_empty_schedule_has_nothing_to_say() -> None:
    """No wake-up, and nothing to be careful of."""
    empty = schedule()
    assert (empty.next_at(), empty.safe_until(), empty.pop(1e9), len(empty)) == (float("inf"), float("inf"), None, 0)


def test_an_entry_is_handed_out_once_per_interval() -> None:
    """Then it is overdue until somebody says what became of it."""
    of = schedule()
    of.begin("k", 0.0)
    assert drain(of, 1023.0) == []
    assert drain(of, 1024.0) == [(Event.RENEW, "k")]
    assert of.is_overdue("k")
    assert drain(of, 1100.0) == []
    of.renew("k", 1100.0)
    assert not of.is_overdue("k")
    assert of.due_times() == {"k": 2124.0}


def test_an_overdue_entry_expires_whatever_becomes_of_its_renewal() -> None:
    """At the interval and max_stale from its birth."""
    of = schedule()
    of.begin("k", 0.0)
    drain(of, 1024.0)
    assert (of.next_at(), of.safe_until()) == (1124.0, 1124.0)
    assert drain(of, 1123.9) == []
    assert drain(of, 1124.0) == [(Event.EXPIRE, "k")]
    assert len(of) == 0


def test_an_entry_that_is_found_past_its_life_only_expires() -> None:
    """After a jump of the clock: no renewal of what is dropped anyway."""
    of = schedule()
    of.begin("k", 0.0)
    assert drain(of, 5000.0) == [(Event.EXPIRE, "k")]


def test_nothing_expires_before_safe_until() -> None:
    """What is scheduled may be late for its renewal by max_stale before anything is old."""
    of = schedule()
    of.begin("k", 0.0)
    assert of.safe_until() == 1124.0


def test_failures_back_off_and_are_forgotten_with_a_value() -> None:
    """1, 2, 4 … seconds, times a half to one."""
    of = schedule(jitter=0.0)
    of.begin("k", 0.0)
    now = 20.0
    drain(of, now)
    waits = []
    for _ in range(8):
        of.failed("k", now)
        at = of.due_times()["k"]
        waits.append(at - now)
        now = at
        assert drain(of, now) == [(Event.RENEW, "k")]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert of.failures("k") == 8
    of.renew("k", now)
    assert of.failures("k") == 0


def test_a_failure_of_what_is_not_overdue_changes_nothing() -> None:
    """A refresh that somebody asked for and that failed: the entry will have its turn."""
    of = schedule()
    of.begin("k", 0.0)
    of.failed("k", 10.0)
    of.failed("unknown", 10.0)
    assert of.due_times() == {"k": 1024.0}
    assert of.failures("k") == 0


def test_a_later_retry_replaces_an_earlier_one() -> None:
    """Retry-After of a second failure holds, although the first one's alarm still rings."""
    of = schedule()
    of.begin("k", 0.0)
    drain(of, 1024.0)
    of.failed("k", 1024.0)
    of.failed("k", 1024.0, wait=50.0)
    assert drain(of, 1050.0) == []
    assert drain(of, 1073.0) == []
    assert drain(of, 1099.0) == [(Event.RENEW, "k")]


def test_what_was_under_way_is_due_again() -> None:
    """Whoever carried it out is gone."""
    of = schedule()
    for key in "abc":
        of.begin(key, 0.0)
    drain(of, 1024.0)
    of.failed("a", 1024.0, wait=60.0)
    of.again(1025.0)
    assert sorted(key for _, key in drain(of, 1025.0)) == ["b", "c"]
    assert drain(of, 1114.0) == [(Event.RENEW, "a")]
    of.again(1115.0)
    assert sorted(key for _, key in drain(of, 1115.0)) == ["a", "b", "c"]


@pytest.mark.parametrize("failures", [31, 1100])
def test_the_backoff_does_not_overflow(failures: int) -> None:
    """An outage of a year is still retried every minute."""
    of = schedule(CachePolicy(refresh_interval=10.0, max_stale=1e9))
    of.begin("k", 0.0)
    now = 10.0
    for _ in range(failures):
        drain(of, now)
        of.failed("k", now)
        now = of.due_times()["k"]
    assert of.failures("k") == failures
    assert drain(of, now) == [(Event.RENEW, "k")]


def test_a_value_in_doubt_is_due_now_and_lives_no_longer() -> None:
    """It is renewed at once, and what is not renewed ends max_stale from now: never later than it would have."""
    of = schedule(jitter=1.0)
    of.begin("k", 0.0)
    of.hasten("k", 100.0)
    assert drain(of, 100.0) == [(Event.RENEW, "k")]
    of.failed("k", 100.0)
    of.hasten("k", 101.0)
    assert of.due_times()["k"] == 101.0
    assert len(of) == 1
    assert of.ends_at("k") == 100.0 + POLICY.max_stale
    of.failed("k", 101.0, wait=500.0)
    assert drain(of, 199.9) == []
    assert drain(of, 200.0) == [(Event.EXPIRE, "k")]


def test_what_failed_is_tried_again_when_the_backend_is_back() -> None:
    """One success after failures brings the others forward; they do not sit out their own backoff."""
    of = schedule(jitter=1.0)
    for key in ("a", "b", "c"):
        of.begin(key, 0.0)
    drain(of, 1024.0)
    for _ in range(6):
        of.failed("a", 1024.0)
        of.failed("b", 1024.0)
    assert of.due_times()["b"] > 1040.0
    of.renew("a", 1025.0)
    assert of.due_times()["b"] == 1026.0
    assert of.due_times()["c"] == float("inf")  # its renewal is under way
    assert drain(of, 1026.0) == [(Event.RENEW, "b")]


def test_those_who_are_brought_forward_do_not_come_in_one_moment() -> None:
    """Within the first backoff, each at a moment of its own."""
    of = Schedule(CachePolicy(refresh_interval=1024.0), random.Random(7).random)
    keys = [str(number) for number in range(200)]
    for key in ["first", *keys]:
        of.begin(key, 0.0)
    drain(of, 1024.0)
    for key in ["first", *keys]:
        for _ in range(8):
            of.failed(key, 1024.0)
    of.renew("first", 1025.0)
    due = of.due_times()
    assert all(1025.0 <= due[key] <= 1026.0 for key in keys)
    tenths = Counter(int(10 * (due[key] - 1025.0)) for key in keys)
    assert max(tenths.values()) < 40


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_what_was_told_to_wait_waits(jitter: float) -> None:
    """Whoever else is answered meanwhile, or whatever becomes of its value; only its own backoff is cut short."""
    said = [jitter]
    of = Schedule(CachePolicy(refresh_interval=1024.0), lambda: said[0])
    for key in ("first", "told", "longer", "doubted"):
        of.begin(key, 0.0)
    drain(of, 1024.0)
    for _ in range(7):  # from now on the backoff is between half a minute and a whole one
        of.failed("told", 1024.0)
    for key in ("first", "told", "doubted"):
        of.failed(key, 1024.0, wait=10.0)
    of.failed("longer", 1024.0, wait=100.0)
    of.renew("first", 1025.0)
    of.hasten("doubted", 1026.0)
    due = of.due_times()
    assert due["told"] == 1034.0 + 5.0 * jitter
    assert due["longer"] == 1124.0 + 50.0 * jitter
    assert due["doubted"] == 1034.0
    assert of.pop_company(1033.9, 5) == []
    assert sorted(of.pop_company(1034.0, 5)) == ["doubted", "told"]  # told at the same time, in one call


def test_company_is_the_next_to_be_due() -> None:
    """Within half an interval, so many, each once; they expire when they would have."""
    of = schedule(jitter=0.0)
    for number in range(5):
        of.begin(str(number), 100.0 * number)
    late = schedule(jitter=1.0)
    late.begin("late", 0.0)
    assert late.pop_company(500.0, 5) == []
    now = of.next_at()
    assert drain(of, now) == [(Event.RENEW, "0")]
    assert of.pop_company(now, 3) == ["1", "2", "3"]
    assert all(of.is_overdue(key) for key in "0123")
    of.renew("1", now)
    assert of.due_times()["1"] == pytest.approx(now + 1024.0, abs=1.0)
    assert drain(of, 1020.0) == [(Event.RENEW, "4")]
    assert (Event.EXPIRE, "0") in drain(of, 1024.0 + 100.0)


def test_company_after_a_failure_is_who_failed_too() -> None:
    """Their retries are at moments of their own; the first of them takes the others along, but not early for ever."""
    of = schedule(jitter=0.0)
    for key in "abc":
        of.begin(key, 0.0)
    drain(of, 20.0)
    of.failed("a", 20.0)
    of.failed("b", 20.0)
    of.failed("b", 20.0)  # half a second later than the first
    of.failed("c", 20.0, wait=5.0)
    assert drain(of, 20.5) == [(Event.RENEW, "a")]
    assert of.pop_company(20.5, 5) == ["b"]
    assert of.pop_company(20.5, 5) == []  # that one was told to wait
    assert drain(of, 25.0) == [(Event.RENEW, "c")]


def test_company_is_not_who_is_past_its_life() -> None:
    """It only expires."""
    of = schedule(jitter=0.0)
    of.begin("old", 0.0)
    assert of.pop_company(2000.0, 5) == []
    assert drain(of, 2000.0) == [(Event.EXPIRE, "old")]


def test_who_is_to_be_tried_again_is_not_swept_out() -> None:
    """With the dead alarms of another entry, of which there may be thousands."""
    of = schedule()
    for key in "ab":
        of.begin(key, 0.0)
    drain(of, 1024.0)
    of.failed("b", 1024.0)
    for _ in range(3_000):
        of.failed("a", 1024.0)
    assert len(of._alarms) < 2_000
    assert drain(of, 1025.0) == [(Event.RENEW, "b")]
    assert drain(of, 1084.0) == [(Event.RENEW, "a")]
    assert drain(of, 1124.0) == [(Event.EXPIRE, "a"), (Event.EXPIRE, "b")]
