"""A compare-and-set that was not answered: what became of it.

It is made again, under the same ``cas``: however often it arrives, it is applied once or not at all, and an answer to
any of its tries is an answer to the write. If that says that the version has changed, it was changed by an earlier try
of our own or by somebody else. An equal value proves nothing, for whoever counts from the same number writes the same.
So only what tells the writer counts: a version that bears our token is ours; a next version with another value is
somebody else's, and then ours can never be applied. What is left is unknown, and is said to be.
"""

from __future__ import annotations

from collections.abc import Awaitable
from enum import Enum
from typing import Any, Protocol, TypeVar

from asyncsecrets.boundary import fresh
from asyncsecrets.client.outcomes import is_undecided, left_open, undecided
from asyncsecrets.client.source import Source
from asyncsecrets.errors import (
    ConflictError,
    DeadlineExceededError,
    ProviderError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.providers.base import Provider
from asyncsecrets.secret import Secret

__all__ = ["Applied", "Swap", "swapped"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_ARRIVES_WITHIN = 5.0  # seconds after it was given up, where the provider does not say; it is the attempt's deadline


class Swap(Protocol[T_co]):
    """A write under a compare-and-set."""

    name: str
    token: str
    cas: str

    def make(self, provider: Provider) -> Awaitable[T_co]:
        """One attempt."""

    def may_be(self, source: Source, secret: Secret) -> Awaitable[bool]:
        """Whether ``secret`` holds what it writes, or that cannot be told."""


class Applied(Exception):  # noqa: N818  # no error: it says how a write ended
    """The write was applied as this version, and is current no more if ``replaced``."""

    def __init__(self, version: str, *, replaced: bool) -> None:
        super().__init__()
        self.version = version
        self.replaced = replaced


class _Fate(Enum):
    UNCHANGED = "unchanged"
    OTHERS = "others"
    UNKNOWN = "unknown"


async def swapped(source: Source, write: Swap[T], *, interrupted: bool = False) -> T:
    """Make ``write`` until it is known what became of it; return what an answered try returned.

    ``interrupted``: it was begun before, elsewhere, and nobody knows how that ended. Raises ``Applied`` where an
    earlier try is seen to have been; ConflictError if it is not and never will be; UnavailableError if it was not, and
    cannot be any more by this; else WriteOutcomeUnknownError.
    """
    why: ProviderError
    newer = None if interrupted else source.known.newer(write.name, write.cas)
    for number in range(max(2, source.retry.policy.attempts)):
        if number > 1:
            await source.retry.pause(number - 1)
        try:
            return await source.calls.call(write.name, write.make, decide=True)
        except ProviderError as error:
            if number == 0 and not interrupted and not is_undecided(error):
                raise
            why = error
        if not is_undecided(why) or isinstance(why, DeadlineExceededError):
            break  # refused: because it has changed, or for a reason that says nothing of an earlier try; or too late
    fate, current = await _fate(source, write, why)
    if newer is not None and fate is _Fate.UNKNOWN and _is_at_least(current, newer):
        fate = _Fate.OTHERS  # it had lost before it was sent, as this client knew: the answer said so, and was lost
    if fate is _Fate.UNCHANGED and not isinstance(why, ConflictError):
        in_time = await source.calls.pause(source.arrives_within(_ARRIVES_WITHIN))
        fate, current = await _fate(source, write, why) if in_time else (_Fate.UNKNOWN, current)
    raise _meant(source, write, fate, current, why)


def _is_at_least(current: Secret | None, version: str) -> bool:
    return current is not None and str(current.version).isdigit() and int(str(current.version)) >= int(version)


def _meant(source: Source, write: Swap[Any], fate: _Fate, current: Secret | None, why: ProviderError) -> ProviderError:
    name, system = write.name, source.config.system
    if fate is _Fate.OTHERS:
        text = f"{name!r} is not at version {write.cas} any more, by a write of somebody else's; read it again"
        return ConflictError(f"{system}: {text}", provider=system, name=name)
    if fate is _Fate.UNCHANGED and not isinstance(why, ConflictError):
        source.effects.doubt(name)
        text = f"{why.message}; it was not applied: version {write.cas} is still current. It may be made again"
        return UnavailableError(text, provider=system, name=name)
    left_open(source, name, current)
    return undecided(source, name, why)


async def _fate(source: Source, write: Swap[Any], why: ProviderError) -> tuple[_Fate, Secret | None]:
    """What became of it, and what there is now. Raises ``Applied``, WriteOutcomeUnknownError."""
    current = await _read(source, write, write.name, why)
    if isinstance(current, SecretNotFoundError):
        unchanged = write.cas == (current.version or "0")
        return (_Fate.UNCHANGED if unchanged else _Fate.UNKNOWN), None
    if current.version == write.cas:
        return _Fate.UNCHANGED, current
    if current.version == write.token:
        raise Applied(write.token, replaced=False)
    successor = await _successor(source, write, current, why)
    if successor is None or await write.may_be(source, successor):
        return _Fate.UNKNOWN, current
    return _Fate.OTHERS, current


async def _successor(source: Source, write: Swap[Any], current: Secret, why: ProviderError) -> Secret | None:
    """The version that took the place of the one that was compared with, where that can be found."""
    if source.previous_version is not None:
        return await _after_previous(source, write, current, why)
    if not write.cas.isdigit() or current.version is None or not current.version.isdigit():
        return None
    following = str(int(write.cas) + 1)
    if current.version == following:
        return current
    if int(current.version) < int(following) or write.cas == "0":
        return None  # made anew, or there was one before that is gone
    found = await _read(source, write, (write.name, following), why)
    return found if isinstance(found, Secret) else None


async def _after_previous(source: Source, write: Swap[Any], current: Secret, why: ProviderError) -> Secret | None:
    """The same where versions have no order, but the manager knows which one was current before."""
    previous = await _read(source, write, (write.name, str(source.previous_version)), why)
    if not isinstance(previous, Secret):
        return None
    if previous.version == write.token:
        raise Applied(write.token, replaced=True)
    return current if previous.version == write.cas else None


async def _read(
    source: Source, write: Swap[Any], key: str | tuple[str, str], why: ProviderError
) -> Secret | SecretNotFoundError:
    try:
        return await source.current(key)
    except SecretNotFoundError as error:
        return fresh(error)
    except ProviderError:
        source.effects.doubt(write.name)
    raise undecided(source, write.name, why)
