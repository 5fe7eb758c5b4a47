"""What an app reads when it starts, and what becomes of the start if that cannot be had.

A name is *required*: without it the app does not start. Or *degraded*: the app starts without it where waiting can
help (the error is transient), and is not ready until it can be had. Or *optional*: the app goes without it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import AsyncSecretsError, ConfigError, ResolveError
from asyncsecrets.journal import APP, few, say

__all__ = ["Failures", "Needs", "needs_of", "read_again", "read_at_start"]

Failures = Mapping[str, AsyncSecretsError]
Required = Iterable[str] | Literal["hosted"]


@dataclass(frozen=True, slots=True)
class Needs:
    """What an app reads when it starts. ``within`` and ``spread`` are in seconds."""

    required: tuple[str, ...] | Literal["hosted"]
    optional: tuple[str, ...]
    degraded: tuple[str, ...] | bool
    within: float
    spread: float

    @property
    def are_said(self) -> bool:
        """Whether it is said what is needed and what is not."""
        return bool(self.required or self.optional or self.degraded)

    @property
    def listed(self) -> frozenset[str]:
        """What is needed by name."""
        names = (names for names in (self.required, self.degraded) if isinstance(names, tuple))
        return frozenset(chain.from_iterable(names))

    def names(self, client: SecretsClient) -> tuple[str, ...]:
        """What the app is not ready without."""
        return tuple(dict.fromkeys([*self._hosted(client), *sorted(self.listed)]))

    def may_wait(self, name: str, error: AsyncSecretsError) -> bool:
        """Whether the app starts without ``name``, which ``error`` says cannot be had."""
        return error.transient and (self.degraded if isinstance(self.degraded, bool) else name in self.degraded)

    def _hosted(self, client: SecretsClient) -> Iterable[str]:
        if self.required != "hosted":
            return ()
        if not client.hosted_keys:
            raise ConfigError(
                "required='hosted', and no source has hosted_keys; list them in the configuration, or the names here"
            )
        return (name for name in client.hosted_keys if name not in self.optional)


def needs_of(
    required: Required, optional: Iterable[str], degraded: Iterable[str] | bool, within: float, spread: float
) -> Needs:
    """Check what was given. Raises ConfigError."""
    needs = Needs(
        required="hosted" if required == "hosted" else _names("required", required),
        optional=_names("optional", optional),
        degraded=degraded if isinstance(degraded, bool) else _names("degraded", degraded),
        within=_seconds("within", within),
        spread=_seconds("spread", spread),
    )
    if both := needs.listed & {*needs.optional}:
        raise ConfigError(f"{few(sorted(both), len(both))} cannot be optional and needed: decide for one")
    return needs


def _names(what: str, names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigError(f"{what} takes several names, in a list or other iterable")
    given = tuple(names)
    if not all(isinstance(name, str) for name in given):
        raise ConfigError(f"{what} takes names of secrets, which are text")
    return given


def _seconds(what: str, seconds: float) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ConfigError(f"{what} is a number of seconds, 0 or more")
    return float(seconds)


async def read_at_start(client: SecretsClient, needs: Needs, names: Iterable[str]) -> tuple[Failures, Failures]:
    """Read ``names``, which the app needs, and what is optional. Return of each what it starts without and keeps asking
    for.

    Raises ResolveError with all that cannot be had, if the app does not start without.
    """
    failed, lacking = await _read(client, names, needs.optional, needs.within)
    if any(not needs.may_wait(name, error) for name, error in failed.items()):
        raise ResolveError({**failed})
    if lacking:
        say(
            APP, logging.WARNING, "the app goes without %s that %s optional: %s", _count(lacking),
            "is" if len(lacking) == 1 else "are", _told(lacking),
        )  # fmt: skip
    if failed:
        say(
            APP, logging.ERROR, "the app has started without %s: %s. It is not ready before it has all, and keeps "
            "asking", _count(failed), _told(failed),
        )  # fmt: skip
    return failed, _passing(lacking)


async def read_again(
    client: SecretsClient, needed: Iterable[str], optional: Iterable[str]
) -> tuple[Failures, Failures]:
    """Read what the app has started without. Return of each what it keeps asking for."""
    failed, lacking = await _read(client, needed, optional)
    return failed, _passing(lacking)


async def _read(
    client: SecretsClient, needed: Iterable[str], optional: Iterable[str], within: float | None = None
) -> tuple[Failures, Failures]:
    return await asyncio.gather(
        _failures_of(client.warm_up(needed, within=within)),
        _failures_of(client.get_many(optional, within=within)),
    )


async def _failures_of(reading: Awaitable[object]) -> Failures:
    """What could not be read, by name."""
    try:
        await reading
    except ResolveError as error:
        return error.failures
    return {}


def _passing(failures: Failures) -> Failures:
    return {name: error for name, error in failures.items() if error.transient}


def _count(failures: Failures) -> str:
    return f"{len(failures)} secret" + ("s" if len(failures) > 1 else "")


def _told(failures: Failures) -> str:
    return few((f"{name} ({type(error).__name__})" for name, error in failures.items()), len(failures), most=20)
