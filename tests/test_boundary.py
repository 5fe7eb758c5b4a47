"""What a public function raises brings no frame of ours along."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from asyncsecrets.boundary import afresh, bared, fresh, place_of
from asyncsecrets.errors import AsyncSecretsError, ConfigError, ResolveError, SecretNotFoundError
from tests.frames import leaks

VALUE = "canary-value"


class Hidden:
    """An argument that shows in every way what it is."""

    def __repr__(self) -> str:
        return VALUE


def broken(wrong: type[Exception] = ConfigError, token: str = VALUE) -> None:
    """Raises, with a value in its frame, its cause and its context."""
    try:
        parsed(token)
    except ValueError as error:
        raise wrong("wrong") from error


def parsed(token: str) -> int:
    """Fails as a parser does: its error quotes the text."""
    try:
        return {}[token]
    except KeyError as error:
        raise ValueError(token) from error


@afresh
def public(thing: object, *, option: object = None) -> None:
    """The docstring."""
    broken()


@afresh
async def public_coroutine(thing: object, *, option: object = None) -> None:
    """The docstring."""
    await asyncio.sleep(0)
    broken()


class Public:
    token = VALUE

    @afresh
    def __init__(self, thing: object = None) -> None:
        if thing is not None:
            broken()

    @classmethod
    @afresh
    def made(cls, thing: object) -> Public:
        return cls(thing)

    @afresh
    async def method(self, thing: object) -> None:
        broken()

    def __repr__(self) -> str:
        return self.token


WAYS: list[Callable[[], Any]] = [
    lambda: public(Hidden(), option=Hidden()),
    lambda: public_coroutine(Hidden(), option=Hidden()),
    lambda: Public(Hidden()),
    lambda: Public.made(Hidden()),
    lambda: Public().method(Hidden()),
]


async def outcome(way: Callable[[], Any]) -> BaseException | None:
    """What it raises."""
    try:
        found = way()
        if isinstance(found, Awaitable):
            await found
    except (AsyncSecretsError, ValueError, TimeoutError) as error:
        return error
    return None


@pytest.mark.parametrize("way", WAYS)
async def test_an_error_leaves_its_frames_behind(way: Callable[[], Any]) -> None:
    """Arguments, the object, causes and contexts: nothing of them is in it, and it is what it was."""
    error = await outcome(way)
    assert type(error) is ConfigError
    assert str(error) == "wrong"
    assert leaks(error) == []
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize("way", WAYS)
async def test_an_error_that_was_dealt_with_is_gone(way: Callable[[], Any]) -> None:
    """At once: nothing holds it, and by its traceback the frames of whoever caught it, until the collector comes."""
    gc.disable()
    try:
        error = await outcome(way)
        assert error is not None
        gone = weakref.ref(error)
        del error
        assert gone() is None
    finally:
        gc.enable()


async def test_the_watch_sees_what_is_not_guarded() -> None:
    """The tests here can fail."""
    error = await outcome(lambda: public.__wrapped__(Hidden()))  # type: ignore[attr-defined]
    assert error is not None
    assert isinstance(error.__cause__, ValueError)
    assert leaks(error.__cause__)


async def test_what_it_decorates_stays_what_it_was() -> None:
    """Its kind, name, docstring and signature; what it returns."""
    assert inspect.iscoroutinefunction(public_coroutine)
    assert not inspect.iscoroutinefunction(public)
    assert str(inspect.signature(public)) == "(thing: 'object', *, option: 'object' = None) -> 'None'"
    assert (public.__name__, public.__doc__) == ("public", "The docstring.")
    assert afresh(lambda: 5)() == 5
    assert isinstance(Public(), Public)


async def test_attributes_are_kept() -> None:
    """Whoever catches it decides by them."""

    @afresh
    def read() -> None:
        raise SecretNotFoundError("gone", provider="env", name="A", reason="deleted").after(3)

    error = await outcome(read)
    assert isinstance(error, SecretNotFoundError)
    assert (error.provider, error.name, error.reason, error.attempts) == ("env", "A", "deleted", 3)


async def test_a_cancellation_arrives_as_it_is_and_shows_nothing() -> None:
    """A time limit raises TimeoutError with it as its cause."""
    begun = asyncio.Event()

    @afresh
    async def read(token: str) -> None:
        begun.set()
        await asyncio.sleep(3600)

    async def limited() -> None:
        async with asyncio.timeout(None) as limit:
            begun.clear()
            asyncio.get_running_loop().call_soon(limit.reschedule, 0.0)
            await read(VALUE)

    error = await outcome(limited)
    assert isinstance(error, TimeoutError)
    assert isinstance(error.__cause__, asyncio.CancelledError)
    assert leaks(error) == []


async def test_a_cancellation_keeps_the_cancellations_before_it() -> None:
    """anyio tells by them whose it is; anything else of its context goes."""
    first, last = asyncio.CancelledError("Cancelled by cancel scope 1"), asyncio.CancelledError()
    first.__context__, last.__context__ = ValueError(VALUE), first
    assert bared(last) is last
    assert last.__context__ is first
    assert first.__context__ is None


async def test_the_errors_that_an_error_tells_of_are_fresh_too() -> None:
    """A failure of many lists one for each name."""
    failed: dict[str, AsyncSecretsError] = {}
    for name in ("a", "b"):
        try:
            broken()
        except ConfigError as error:
            failed[name] = error
    several = ResolveError(failed)
    assert leaks(several)
    copied = fresh(several)
    assert leaks(copied) == []
    assert list(copied.failures) == ["a", "b"]
    assert copied.failures["a"] is not failed["a"]


@afresh
def outer() -> None:
    """Calls what is guarded itself."""
    inner()


@afresh
def inner() -> None:
    """Raises what is not ours."""
    parsed(VALUE)


def test_a_bug_bears_a_note_of_its_place() -> None:
    """Of where it was raised, not of the boundary, and one only, however many it crosses; ours need none."""
    with pytest.raises(ValueError) as caught:  # its text is a value
        outer()
    assert caught.value.__notes__ == [f"raised in test_boundary.py, line {parsed.__code__.co_firstlineno + 5}"]
    assert place_of(caught.value) == f" in test_boundary.py, line {parsed.__code__.co_firstlineno + 5}"
    with pytest.raises(ConfigError) as refused:
        public(None)
    assert not hasattr(refused.value, "__notes__")


def test_a_note_is_not_put_on_the_original() -> None:
    """Which may be shared, and raised elsewhere."""
    original = KeyError("NAME")
    original.add_note("a note")
    with pytest.raises(KeyError):
        raise original
    assert bared(original).__notes__[:1] == ["a note"]
    assert original.__notes__ == ["a note"]
