"""Reading many names at once: all of them, or one error that lists every name that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from asyncsecrets.deadlines import Deadline
from asyncsecrets.errors import AsyncSecretsError, DeadlineExceededError, ResolveError, UnavailableError
from asyncsecrets.secret import Secret

__all__ = ["read_all"]

Read = Callable[[str], Awaitable[Secret]]
SystemOf = Callable[[str], str]
Outcome = Secret | AsyncSecretsError | None


async def read_all(names: Collection[str], read: Read, within: float, system_of: SystemOf) -> dict[str, Secret]:
    """``read`` every name, at once, ``within`` so many seconds. Raises ResolveError.

    ``system_of(name)`` is the manager that a name is read from, for errors.
    """
    deadline = Deadline(within)
    outcomes = await _attempts(read, names, deadline)
    # In an outage one or two of them were asked for, for all; if it is over, the others are to be had by now.
    if any(isinstance(outcome, Secret) for outcome in outcomes.values()):
        outcomes |= await _attempts(read, [name for name in names if _was_spared(outcomes[name])], deadline)
    found: dict[str, Secret] = {}
    failures: dict[str, AsyncSecretsError] = {}
    for name, outcome in outcomes.items():
        if isinstance(outcome, Secret):
            found[name] = outcome
        else:
            failures[name] = outcome or _late(name, system_of(name), len(names), within)
    if failures:
        raise ResolveError(failures)
    return found


async def _attempts(read: Read, names: Collection[str], deadline: Deadline) -> dict[str, Outcome]:
    outcomes = await asyncio.gather(*(_attempt(read, name, deadline) for name in names))
    return dict(zip(names, outcomes, strict=True))


def _was_spared(outcome: Outcome) -> bool:
    return isinstance(outcome, UnavailableError) and not outcome.attempts


async def _attempt(read: Read, name: str, deadline: Deadline) -> Outcome:
    """What came of it: None if it took too long."""
    try:
        with deadline.limit() as limit:
            return await read(name)
    except AsyncSecretsError as error:
        return error
    except TimeoutError:
        if not limit.expired:
            raise
    return None


def _late(name: str, system: str, names: int, within: float) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"{name!r} at {system} was not read in the {within:.4g} s that {names} names may take; is it reachable, and is "
        f"it slow?",
        provider=system,
        name=name,
    )
