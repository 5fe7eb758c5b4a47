"""What is kept of the health of a source, step by step."""

from __future__ import annotations

import math

import pytest

from asyncsecrets.client.condition import Condition
from asyncsecrets.client.places import Place
from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    DecodeError,
    InvalidNameError,
    MalformedResponseError,
    SecretNotFoundError,
    UnavailableError,
    WriteOutcomeUnknownError,
)

DOWN = UnavailableError("down", provider="x")
DENIED = AccessDeniedError("denied", provider="x")
REFUSED = AuthenticationError("refused", provider="x")
ABSENT = SecretNotFoundError("absent", provider="x")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def condition(clock: Clock) -> Condition:
    return Condition(clock, lambda: 5.0)


def test_nothing_is_done_for_an_answer_in_quiet_times(condition: Condition) -> None:
    """Names that have left are looked after; when the last of them is there again, or is rightly gone, nothing is."""
    assert not condition.at_ease  # nobody has answered
    condition.answered()
    assert (condition.is_well, condition.at_ease) == (True, True)
    condition.dropped("A")
    condition.dropped("B")
    assert (condition.is_well, condition.at_ease) == (True, False)
    condition.forget("A")
    assert not condition.at_ease
    condition.forget("B")
    assert condition.at_ease
    condition.call_failed(DOWN)
    assert (condition.is_well, condition.at_ease) == (False, False)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DOWN, "unreachable"),
        (WriteOutcomeUnknownError("?", provider="x"), "unreachable"),
        (DENIED, "denied"),
        (REFUSED, "credentials"),
        (ABSENT, "absent"),
        (DecodeError("no field"), "content"),
        (ConfigError("wrong"), "configuration"),
        (MalformedResponseError("odd", provider="x"), "nonsense"),
    ],
)
def test_what_kind_of_trouble_it_is(condition: Condition, error: AsyncSecretsError, kind: str) -> None:
    condition.require(Place("A"))
    condition.lacks("A", error)
    assert condition.cause is not None
    assert (condition.cause.kind, condition.cause.error) == (kind, type(error).__name__)
    assert (condition.state, condition.missing()) == ("down", ["A"])


def test_a_question_that_was_wrong_is_no_trouble_of_what_was_served(condition: Condition) -> None:
    """Whatever became of the name."""
    condition.answered()
    for error in (ABSENT, ConflictError("taken", provider="x"), InvalidNameError("no name", provider="x")):
        condition.dropped("A")
        condition.failed("A", error, None)
        assert (condition.state, condition.missing()) == ("fresh", [])


def test_a_value_that_is_not_due_is_not_stale(condition: Condition) -> None:
    """It was asked for by somebody, and is kept for as long as ever."""
    condition.answered()
    condition.dropped("A")
    condition.failed("A", DOWN, math.inf)
    assert (condition.state, list(condition.stale), condition.missing()) == ("degraded", [], [])


def test_a_stale_value_ends_when_it_was_told_last(condition: Condition, clock: Clock) -> None:
    condition.answered()
    condition.failed("A", DOWN, 2_000.0)
    condition.failed("A", DOWN, 3_000.0)
    assert (condition.first_end(), condition.stale["A"].failures) == (3_000.0, 2)
    condition.failed("B", DENIED, 2_500.0)
    assert condition.first_end() == 2_500.0
    clock.now = 3_000.0
    condition.expired("A")
    assert condition.cause is not None
    assert condition.cause.kind == "unreachable"  # that of the one that has ended
    condition.dropped("B")
    assert (condition.missing(), list(condition.stale)) == (["A"], [])


def test_refused_again_is_of_one_trouble(condition: Condition) -> None:
    """Once is not again; nor is what was refused before all was well."""
    condition.answered()
    condition.failed("A", DENIED, 2_000.0)
    condition.failed("B", DENIED, 2_000.0)
    assert not condition.refused_again
    condition.failed("A", REFUSED, 2_000.0)
    assert condition.refused_again
    condition.failed("B", DOWN, 2_000.0)
    assert condition.refused_again
    for name in "AB":
        condition.forget(name)
    assert (condition.state, condition.refused_again, condition.cause, condition.trouble) == (
        "fresh",
        False,
        None,
        None,
    )


def test_whose_trouble_it_is(condition: Condition, clock: Clock) -> None:
    """The source's, if nobody was answered since the second failure; its own, if it was denied, or others were."""
    condition.answered()
    for name, error, answered_again in [("S", DOWN, False), ("D", DENIED, False), ("O", DOWN, True)]:
        clock.now += 100
        for _ in range(2):
            condition.failed(name, error, clock.now + 10)
        clock.now += 1
        if answered_again:
            condition.answered()
        condition.expired(name)
    assert (list(condition.cut_off), list(condition.own)) == ([], ["D", "O"])
    condition.dropped("N")
    condition.failed("N", DOWN, None)  # once: it may have been the moment in which all fell silent
    assert list(condition.cut_off) == ["N"]
    condition.answered()
    assert condition.missing() == ["D", "O"]


def test_the_trouble_is_as_old_as_its_first_failure(condition: Condition, clock: Clock) -> None:
    condition.call_failed(DOWN)
    clock.now += 100
    condition.failed("A", DOWN, 2_000.0)
    assert condition.trouble is not None
    assert (condition.trouble.since, condition.trouble.wall) == (1_000.0, 5.0)


def test_what_is_remembered_is_bounded(condition: Condition) -> None:
    """The oldest leave first; of what is required the first stay."""
    condition.answered()
    for i in range(10_010):
        condition.dropped(f"N{i}")
        condition.require(Place(f"N{i}"))
    assert (len(condition._ended), "N9009" in condition._ended, "N9010" in condition._ended) == (1_000, False, True)
    for i in range(10_010):
        condition.lacks(f"N{i}", DOWN)
    assert (len(condition.own), "N9" in condition.own, "N10" in condition.own) == (10_000, False, True)
    assert condition.is_required(Place("N0"))
    assert not condition.is_required(Place("N10009"))


def test_missed_for_an_hour(condition: Condition, clock: Clock) -> None:
    """Looked at once a minute, when anybody is answered."""
    condition.answered()
    for name in ("A", "B"):
        condition.dropped(name)
        condition.failed(name, DENIED, None)
        clock.now += 1_790
        condition.answered()
    assert condition.missing() == ["A", "B"]
    clock.now += 61
    condition.answered()
    assert condition.missing() == ["B"]
    clock.now += 30_000
    condition.failed("B", DOWN, None)  # whoever asks misses it again
    assert condition.missing() == ["B"]


def test_absent_is_an_answer(condition: Condition) -> None:
    """To whoever asked for what is not required."""
    condition.call_failed(DOWN)
    assert condition.state == "down"
    condition.absent("A", ABSENT)
    assert condition.state == "fresh"


def test_before_the_first_answer_nothing_is_well(condition: Condition) -> None:
    condition.forget("A")
    assert (condition.state, condition.is_well) == ("unknown", False)
    condition.answered()
    assert (condition.state, condition.at_ease) == ("fresh", True)


def test_one_failure_may_be_of_the_moment_in_which_all_fell_silent(condition: Condition, clock: Clock) -> None:
    """So an answer to others after it makes it nobody's own; nor does one after failures of an hour ago."""
    condition.answered()
    condition.failed("A", DOWN, 2_000.0)
    clock.now += 1
    condition.answered()
    condition.expired("A")
    assert list(condition.cut_off) == ["A"]
    condition.failed("A", DOWN, None)
    condition.answered()
    clock.now += 4_000
    condition.answered()
    condition.failed("A", DOWN, None)
    assert (list(condition.cut_off), list(condition.own)) == (["A"], [])


def test_what_is_required_is_missing_until_it_is_answered_itself(condition: Condition) -> None:
    condition.require(Place("R"))
    condition.answered()
    for name in ("R", "N"):
        condition.dropped(name)
        condition.failed(name, DOWN, None)
    assert condition.missing() == ["R", "N"]
    condition.answered()
    assert (condition.state, condition.missing()) == ("down", ["R"])
    condition.forget("R")
    assert condition.state == "fresh"
