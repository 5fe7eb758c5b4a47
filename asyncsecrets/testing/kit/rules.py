"""What comes to the secrets of a test, and what it meets there: calls, faults and delays."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from asyncsecrets.boundary import fresh
from asyncsecrets.errors import AsyncSecretsError, ConfigError, ProviderError, UnavailableError

__all__ = ["Call", "Fault", "Faults", "error_of"]


@dataclass(frozen=True, slots=True)
class Call:
    """One question to a manager: the ``operation`` (``get``, ``put``, …), about what, at which source."""

    operation: str
    name: str
    source: str


@dataclass(slots=True, eq=False)
class Fault:
    """What meets calls until it is stopped: an error or a delay. As a context manager it stops at the end."""

    name: str | None
    source: str | None
    operation: str | None
    times: float
    seconds: float = 0.0
    error: Callable[[Call, str], AsyncSecretsError] | None = field(default=None, repr=False)
    hits: int = 0

    def meets(self, call: Call) -> bool:
        """Whether this call is met; counts it."""
        wanted = (self.name, self.source, self.operation)
        fits = all(
            one in {None, other} for one, other in zip(wanted, (call.name, call.source, call.operation), strict=True)
        )
        if not fits or self.hits >= self.times:
            return False
        self.hits += 1
        return True

    def stop(self) -> None:
        """Meet nobody any more."""
        self.times = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Faults:
    """Those in force."""

    def __init__(self) -> None:
        self._all: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Put one in force."""
        self._all.append(fault)
        return fault

    def clear(self) -> None:
        """Stop all."""
        for fault in self._all:
            fault.stop()
        self._all.clear()

    def met(self, call: Call) -> list[Fault]:
        """Which of them meet this call, the newest first."""
        return [fault for fault in reversed(self._all) if fault.meets(call)]


def limit_of(times: int | None) -> float:
    """How many calls a fault may meet. Raises ConfigError."""
    if times is None:
        return math.inf
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise ConfigError("times is how many calls are met: a whole number from 1, or None for all of them")
    return times


def error_of(error: AsyncSecretsError | type[AsyncSecretsError] | None) -> Callable[[Call, str], AsyncSecretsError]:
    """What makes the error of a call at a manager. Raises ConfigError for what is no error of ours."""
    if error is None:
        error = UnavailableError
    if isinstance(error, AsyncSecretsError):
        example = error
        return lambda _, __: fresh(example)
    if not (isinstance(error, type) and issubclass(error, AsyncSecretsError)):
        raise ConfigError(
            "what a manager fails with is a class of asyncsecrets.errors, or an instance of one; a provider raises no "
            "others"
        )
    kind = error

    def make(call: Call, system: str) -> AsyncSecretsError:
        text = f"{system}: {call.operation} of {call.name!r} failed, as the test said (fake_secrets.fail)"
        return kind(text, provider=system, name=call.name) if issubclass(kind, ProviderError) else kind(text)

    return make
