"""Packages whose names are imported when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["finder"]


def finder(package: dict[str, Any], homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` (PEP 562) of the package with these ``globals()``. ``homes``: the module of each name."""

    def find(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415  # what is asked for nothing pays nothing

        value = package[name] = getattr(import_module(home), name)
        return value

    return find
