"""The boundary of a provider, for whoever calls it directly. A client has one of its own, around every provider."""

from __future__ import annotations

from inspect import isfunction
from typing import TypeVar

from asyncsecrets.boundary import afresh

__all__ = ["guarded"]

C = TypeVar("C", bound=type)


def guarded(cls: C) -> C:
    """Have every public method that a provider's class defines raise afresh: see ``asyncsecrets.boundary``.

    The frames below hold tokens, bodies and values, and error reporters capture them. A class that inherits methods has
    them as the class does that defines them, which is decorated itself.
    """
    for name, member in [*vars(cls).items()]:
        if isfunction(member) and not name.startswith("_"):
            setattr(cls, name, afresh(member))
    return cls
