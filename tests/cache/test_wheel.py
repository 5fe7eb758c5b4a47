"""The timer wheel against a plain dict, and the arithmetic of its ticks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.cache.wheel import Wheel

SPAN = 1024.0  # a tick of one second


def drain(wheel: Wheel[str], now: float) -> list[tuple[str, float]]:
    taken = []
    while (due := wheel.pop(now)) is not None:
        taken.append(due)
    return taken


@pytest.mark.parametrize("span", [0.0005, 0.1, 1.0, 300.0, 86_400.0, 3e7])
@pytest.mark.parametrize("phase", [0.0, 0.31, 0.9999, 1.0])
def test_a_key_comes_out_at_most_a_tick_early_and_never_late(span: float, phase: float) -> None:
    """With its birth, rounded down by at most a tick."""
    wheel: Wheel[str] = Wheel(span)
    tick, now = max(span / 1024, 0.001), 12_345.678
    wheel.add("k", now, phase)
    due = now + span * phase
    at = wheel.next_at()
    assert at is not None
    assert due - tick <= at <= due
    assert wheel.pop(at - tick / 2) is None
    assert wheel.pop(max(at, now)) == ("k", pytest.approx(now, abs=tick))
    assert (len(wheel), wheel.next_at(), wheel.pop(1e9)) == (0, None, None)


def test_a_forgotten_key_does_not_come_out() -> None:
    """Nor does it count."""
    wheel: Wheel[str] = Wheel(SPAN)
    wheel.add("a", 0.0, 0.5)
    wheel.add("b", 0.0, 0.5)
    wheel.forget("a")
    assert len(wheel) == 1
    assert wheel.due_times() == {"b": 512.0}
    assert drain(wheel, SPAN) == [("b", 0.0)]


def test_a_key_forgotten_and_added_again_comes_out_once() -> None:
    """At the later time, whatever the phase: its dead membership must come out first."""
    wheel: Wheel[str] = Wheel(SPAN)
    wheel.add("k", 0.0, 1.0)
    wheel.forget("k")
    wheel.add("k", 10.0, 0.0)
    assert drain(wheel, SPAN) == []
    assert wheel.due_times() == {"k": SPAN + 10.0}
    assert drain(wheel, SPAN + 10.0) == [("k", 10.0)]


def test_a_bucket_half_taken_out_is_what_comes_next() -> None:
    """Whoever stops in the middle of a bucket must not think that nothing is due before the next one."""
    wheel: Wheel[str] = Wheel(SPAN)
    for key in "ab":
        wheel.add(key, 0.0, 0.5)
    wheel.add("later", 0.0, 1.0)
    assert wheel.pop(SPAN) == ("a", 0.0)
    assert wheel.next_at() == 512.0
    assert wheel.due_times() == {"b": 512.0, "later": SPAN}
    assert drain(wheel, 512.0) == [("b", 0.0)]
    assert wheel.next_at() == SPAN


def test_births_share_their_floats() -> None:
    """A thousand keys of one tick cost one float."""
    wheel: Wheel[str] = Wheel(SPAN)
    for number in range(1000):
        wheel.add(str(number), 5.0 + number / 1001, 1.0)
    assert len({id(born) for _, born in drain(wheel, 2 * SPAN)}) <= 2


def test_a_sweep_in_the_middle_of_a_bucket_loses_no_key() -> None:
    """Between two keys of one bucket, others are forgotten and added until the dead are swept out."""
    wheel: Wheel[str] = Wheel(SPAN)
    for number in range(3000):
        wheel.add(str(number), 0.0, 0.5)
    taken = [wheel.pop(SPAN) for _ in range(10)]
    for _ in range(3):
        for number in range(10, 2900):
            wheel.forget(str(number))
            wheel.add(str(number), SPAN, 1.0)
    assert wheel._size < 3 * 2990  # a sweep there was
    living = {str(number) for number in range(10, 3000)}
    assert len(wheel) == len(living)
    assert set(wheel.due_times()) == living
    assert len(taken) == 10
    early = [key for key, _ in drain(wheel, SPAN)]
    assert sorted(early) == sorted(str(number) for number in range(2900, 3000))
    late = [key for key, _ in drain(wheel, 2 * SPAN)]
    assert sorted(late) == sorted(str(number) for number in range(10, 2900))


def test_a_million_forgettings_cost_no_memory() -> None:
    """One key, put again and again."""
    wheel: Wheel[str] = Wheel(SPAN)
    wheel.add("k", 0.0, 1.0)
    for number in range(100_000):
        wheel.forget("k")
        wheel.add("k", number / 1000, 1.0)
    assert wheel._size <= 1024 + 2 * 1 + 1
    assert len(wheel) == 1


def test_a_sweep_leaves_no_empty_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be moments at which there is nothing to do."""
    monkeypatch.setattr("asyncsecrets.cache.wheel._SWEEP_AT", 2)
    wheel: Wheel[str] = Wheel(SPAN)
    for number in range(4):
        wheel.add(str(number), float(number), 1.0)
    for number in range(4):
        wheel.forget(str(number))
    assert len(wheel._buckets) == len(wheel._order) <= 1


def test_what_is_taken_early_are_the_next_ones_due() -> None:
    """So many, and only of those that are due in time; what is left of their bucket stays where it was."""
    wheel: Wheel[str] = Wheel(SPAN)
    for key, phase in {"c": 0.5, "b": 0.25, "a": 0.25, "d": 1.0}.items():
        wheel.add(key, 0.0, phase)
    assert wheel.pop_early(600.0, 1) == [("b", 0.0)]
    assert wheel.next_at() == 256.0
    assert wheel.pop(255.0) is None
    wheel.add("first", 0.0, 0.1)
    wheel.add("e", 0.0, 0.25)
    assert drain(wheel, 110.0) == [("first", 0.0)]
    assert wheel.pop_early(600.0, 9) == [("a", 0.0), ("e", 0.0), ("c", 0.0)]
    assert wheel.due_times() == {"d": SPAN}
    assert wheel.pop_early(600.0, 0) == []


_KEYS = st.sampled_from("abcd")
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), _KEYS, st.floats(0, 1)),
        st.tuples(st.just("forget"), _KEYS, st.just(0.0)),
        st.tuples(st.just("advance"), st.just(""), st.floats(0, 2 * SPAN)),
        st.tuples(st.just("pop"), st.just(""), st.just(0.0)),
        st.tuples(st.just("pop early"), st.just(""), st.floats(0, SPAN)),
    ),
    max_size=60,
)


@given(steps=_STEPS, sweep_at=st.sampled_from([0, 1, 1024]))
def test_the_wheel_against_a_dict(steps: list[tuple[str, str, float]], sweep_at: int) -> None:
    """Whatever is done to it: the living come out, each once, in time, with their birth; the dead never."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncsecrets.cache.wheel._SWEEP_AT", sweep_at)
        _compare(steps)


def _compare(steps: list[tuple[str, str, float]]) -> None:
    wheel: Wheel[str] = Wheel(SPAN)
    model: dict[str, float] = {}
    now = 0.0
    for step, key, amount in steps:
        if step == "add" and key not in model:
            model[key] = now
            wheel.add(key, now, amount)
        elif step == "forget" and key in model:
            del model[key]
            wheel.forget(key)
        elif step == "advance":
            now += amount
        elif step == "pop" and (due := wheel.pop(now)) is not None:
            assert model.pop(due[0]) - 1.0 <= due[1] <= now
        elif step == "pop early":
            _compare_early(wheel, model, now + amount)
        assert len(wheel) == len(model)
        assert set(wheel.due_times()) == set(model)
    taken = drain(wheel, now + SPAN + 1.0)
    assert sorted(key for key, _ in taken) == sorted(model)
    assert all(model[key] - 1.0 < born <= model[key] for key, born in taken)


def _compare_early(wheel: Wheel[str], model: dict[str, float], until: float) -> None:
    due_times = wheel.due_times()
    taken = [key for key, _ in wheel.pop_early(until, 2)]
    due = sorted(when for when in due_times.values() if when <= until)
    assert [due_times[key] for key in taken] == due[:2]
    for key in taken:
        del model[key]


def test_a_list_that_another_thread_may_look_at_is_never_turned_round() -> None:
    """A snapshot is made from any thread: what was taken hold of before a bucket's turn must still make sense."""
    wheel: Wheel[str] = Wheel(SPAN)
    for at in range(3):
        for key in "abc":
            wheel.add(f"{key}{at}", float(at), 0.5)
    held, coming = wheel._buckets.copy(), wheel._coming
    before = {at: list(bucket) for at, bucket in held.items()}
    while wheel.pop(SPAN) is not None:
        coming = wheel._coming
        shown = coming[:]
        wheel.pop_early(SPAN, 1)
        assert {at: list(bucket) for at, bucket in held.items()} == before
        assert coming == shown[: len(coming)]
