"""Writes whose outcome is unknown: which those are, what is done about it, and how it is said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from asyncsecrets.client.source import Source
from asyncsecrets.errors import ProviderError, WriteOutcomeUnknownError
from asyncsecrets.providers.base import Provider
from asyncsecrets.secret import Secret

__all__ = ["is_undecided", "left_open", "made", "undecided"]

T = TypeVar("T")


def is_undecided(error: ProviderError) -> bool:
    """Whether a write that failed so may have been applied: it was sent, and what the manager did is not known."""
    return error.outcome_unknown


def undecided(source: Source, name: str, why: ProviderError | None) -> WriteOutcomeUnknownError:
    """The error that says so; ``why`` is what the write ended with."""
    system = source.config.system
    if why is not None and not is_undecided(why):
        happened = f"the write of {name!r} was sent to {system} and not answered; made again it failed: {why.message}"
    else:
        happened = why.message if why is not None else f"the write of {name!r} to {system} was not answered"
    return WriteOutcomeUnknownError(
        f"{happened}; whether it was applied could not be decided; refresh {name!r} before writing it again",
        provider=system,
        name=name,
        outcome_unknown=True,
    )


def left_open(source: Source, name: str, current: Secret | None) -> None:
    """Serve what was found while looking what became of a write, and ask again soon: it may still be applied."""
    if current is None:
        source.effects.forget(name)
    else:
        source.effects.found(name, current)
        source.effects.doubt(name)


async def made(source: Source, name: str, work: Callable[[Provider], Awaitable[T]], *, again: bool = True) -> T:
    """Make a change; one whose outcome is unknown a second time, if ``again`` says that this changes no more."""
    error: ProviderError | None = None
    for _ in range(2 if again else 1):
        try:
            return await source.calls.call(name, work, decide=again and error is None)
        except ProviderError as failure:
            if error is None and not is_undecided(failure):
                raise
            error = failure  # at the second time, whatever it is says nothing of the first
    if source.peek(name) is None:
        # There is no value to serve meanwhile, and that it was absent is not believed any more.
        source.effects.changed(name, lambda known: known.undecided(name))
    else:
        source.effects.doubt(name)
    raise undecided(source, name, error)
