"""What becomes of each secret of a migration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from asyncsecrets.errors import AsyncSecretsError

__all__ = ["Report", "State", "Step"]

Done = Literal["create", "replace", "created", "replaced", "equal", "gone"]
Open = Literal["conflict", "collision", "invalid", "failed", "untried"]
State = Done | Open

_OPEN: Final = frozenset(get_args(Open))


@dataclass(frozen=True, slots=True)
class Step:
    """The secret ``name`` at the one side, ``to`` at the other. Never a value.

    ``state``:

    * ``create``, ``replace``: this would be done; ``created``, ``replaced``: it was done, and read back
    * ``equal``: the same value is there already
    * ``gone``: it has no value that could be read, such as a deleted one
    * ``conflict``: another value is there, or somebody else wrote meanwhile
    * ``collision``, ``invalid``: another secret would get the same name, or nothing can have this one
    * ``failed``: ``error`` says why; ``untried``: too many had failed before

    ``note`` is what else is to be known.
    """

    name: str
    to: str
    state: State
    note: str = ""
    error: AsyncSecretsError | None = field(default=None, compare=False)

    @property
    def is_fine(self) -> bool:
        """Whether nothing is left for somebody to do about it."""
        return self.state not in _OPEN


@dataclass(frozen=True, slots=True)
class Report:
    """All of them, sorted by name. ``applied``: whether they were to be written."""

    steps: tuple[Step, ...]
    applied: bool

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each state."""
        return dict(sorted(Counter(step.state for step in self.steps).items()))

    @property
    def open(self) -> tuple[Step, ...]:
        """Those about which somebody has to do something."""
        return tuple(step for step in self.steps if not step.is_fine)


def reported(steps: Iterable[Step], *, applied: bool) -> Report:
    """The report of these."""
    return Report(tuple(sorted(steps, key=lambda step: step.name)), applied)
