"""What a child of a fork has from its parent: every object, and no thread or task that belongs to one."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Inherited"]

T = TypeVar("T")


class Inherited(Generic[T]):
    """The objects of one kind that are alive. ``tell`` is called of each in the child of a fork, before anything else
    of ours runs there; kinds in the order in which they were made."""

    def __init__(self, tell: Callable[[T], None]) -> None:
        self._all: weakref.WeakSet[T] = weakref.WeakSet()
        self._tell = tell
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._told)

    def add(self, one: T) -> None:
        """Have it told, as long as it is alive."""
        self._all.add(one)

    def _told(self) -> None:
        for one in list(self._all):
            self._tell(one)
