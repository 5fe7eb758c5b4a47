"""Values on their way into a model: what they are, but for their ``repr``.

pydantic shows what it was given: in the text of a ``ValidationError``, in the debug log of pydantic-settings, in the
local variables of its frames. All of them take the ``repr``. A model converts these types as it does ``str``,
``bytes``, ``dict`` and ``list``, and keeps nothing of them, except in a field of type ``Any`` or ``bytes``.
"""

from __future__ import annotations

from typing import Any, SupportsIndex, TypeVar

from asyncsecrets.secret import MASK

__all__ = ["HiddenBytes", "HiddenDict", "HiddenList", "HiddenText", "hide"]

K = TypeVar("K")
V = TypeVar("V")


class HiddenText(str):
    """A ``str`` whose ``repr`` is a mask."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)

    def __getitem__(self, key: SupportsIndex | slice) -> HiddenText:  # whoever prints long texts cuts them first
        return HiddenText(super().__getitem__(key))


class HiddenBytes(bytes):
    """``bytes`` whose ``repr`` is a mask."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


class HiddenDict(dict[K, V]):
    """A ``dict`` whose ``repr`` is a mask, also when pydantic-settings has merged it with another one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{{{MASK}}}"

    def copy(self) -> HiddenDict[K, V]:
        """Return a copy that hides itself too."""
        return HiddenDict(self)


class HiddenList(list[V]):
    """A ``list`` whose ``repr`` is a mask."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"[{MASK}]"


def hide(value: Any) -> Any:
    """``value`` hidden, with all that is in it. A number or a boolean in a dict or list is hidden by that."""
    if isinstance(value, str):
        return HiddenText(value)
    if isinstance(value, bytes):
        return HiddenBytes(value)
    if isinstance(value, dict):
        return HiddenDict({key: hide(inside) for key, inside in value.items()})
    if isinstance(value, list):
        return HiddenList(hide(inside) for inside in value)
    return value
