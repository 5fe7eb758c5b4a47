"""The environment of a program under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["Settings", "Variables"]


class Variables(Mapping[str, str]):
    """What ``given()`` returns at the moment."""

    def __init__(self, given: Callable[[], Mapping[str, str]]) -> None:
        self._given = given

    def __getitem__(self, name: str) -> str:
        return self._given()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given())

    def __len__(self) -> int:
        return len(self._given())


class Settings(Mapping[str, str]):
    """An environment in which the variables that a configuration's settings refer to need not be set: what is asked for
    by ``get`` and is not there is empty, which leaves the setting out."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        return self._environ[name]

    def __contains__(self, name: object) -> bool:
        return name in self._environ

    def get(self, name: str, default: Any = "") -> Any:
        """The variable, or nothing."""
        return self._environ.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)
