"""Where a value is: the entry that holds it, the place in that, and the route on which one reference leads there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

__all__ = ["ENVIRONMENT", "Key", "Name", "Named", "Place", "Route", "place_of"]

ENVIRONMENT: Final = "environment"
"""The source that every client has: the process environment."""

Key = str | tuple[str, str]
"""A cache entry: a name for the current version, or a name and a version."""


class Place(NamedTuple):
    """Where in an entry a value is: in a ``member``, where ``primary_secret_name`` applies, and a ``field``."""

    key: Key
    member: str | None = None
    field: str | None = None


Name = Key | Place
"""An entry, or a place in one."""


class Named(Protocol):
    """What a source is to who only tells of it."""

    @property
    def name(self) -> str:
        """What it is called in the configuration."""

    @property
    def is_environment(self) -> bool:
        """Whether it is the environment."""


S_co = TypeVar("S_co", bound=Named, covariant=True)


@dataclass(slots=True)  # not frozen: a frozen one takes 1.5 µs to make, a tenth of what a miss costs beyond its I/O
class Route(Generic[S_co]):
    """Where one reference leads. Never changed once the router has made it.

    ``key`` is the cache entry that answers it; ``member`` its member that is the secret, where ``primary_secret_name``
    applies; ``field`` the field that was asked for. The environment stands in for an absent secret where
    ``environment`` says so. ``rule`` says in words why. The answer may be kept warm under ``reference``, unless that is
    empty.
    """

    reference: str
    name: str
    source: S_co
    key: Key
    member: str | None
    field: str | None
    environment: bool
    rule: str

    @property
    def entry(self) -> str:
        """The name of the secret that is asked of the manager."""
        return self.key if isinstance(self.key, str) else self.key[0]


def place_of(route: Route[Named]) -> Place:
    """Where the value is that ``route`` leads to."""
    return Place(route.key, route.member, route.field)
