"""Copies of exceptions: an instance for each waiter."""

from __future__ import annotations

import asyncio
from typing import Self

import pytest

from asyncsecrets.boundary import fresh
from asyncsecrets.cache.flight import Flight
from asyncsecrets.errors import RateLimitedError, SecretNotFoundError


class DemandingError(Exception):
    """Its constructor asks for more than it hands on, so ``copy.copy`` fails."""

    def __init__(self, name: str, *, code: int) -> None:
        super().__init__(f"{name}: {code}")
        self.code = code


class StubbornError(Exception):
    """Cannot be made a second time in any way."""

    def __new__(cls, *args: object) -> Self:
        if args != ("once",):
            raise TypeError("only once")
        made = super().__new__(cls, *args)
        made.args = ("twice",)
        return made

    def __init__(self, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    "error",
    [
        SecretNotFoundError("gone", provider="p", name="n", reason="deleted"),
        RateLimitedError("slow", provider="p", retry_after=3.0),
        DemandingError("n", code=7),
        OSError(2, "no such file", "name"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        KeyError("k"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_copy_says_the_same_and_carries_nothing(error: Exception) -> None:
    """Type, arguments and attributes, but no traceback, context or cause."""
    error.__cause__ = error.__context__ = ValueError("context")
    with pytest.raises(type(error)) as raised:
        raise error
    copied = fresh(raised.value)
    assert copied is not error
    assert (type(copied), str(copied), copied.args, vars(copied)) == (type(error), str(error), error.args, vars(error))
    assert copied.__traceback__ is copied.__context__ is copied.__cause__ is None
    assert error.__traceback__ is not None


def test_what_cannot_be_copied_is_passed_on() -> None:
    """Stripped all the same."""
    error = StubbornError("once")
    assert fresh(error) is error


async def test_a_flight_answers_only_those_who_are_still_there() -> None:
    """A waiter that was cancelled is left alone."""
    flight: Flight[str, str] = Flight("k")
    gone, there = (asyncio.get_running_loop().create_future() for _ in range(2))
    flight.waiters += [gone, there]
    gone.cancel()
    flight.resolve("v")
    assert gone.cancelled()
    assert await there == "v"
    flight.fail(ValueError("nobody is left"))
