"""Masking whatever a record may carry, leaf by leaf: shapes stay, and what holds no value is left alone."""

from __future__ import annotations

import copy
import dataclasses
import json
import marshal
import types
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any, Final, Self, TypeVar, cast

from asyncsecrets.redaction import errors
from asyncsecrets.redaction.known import known
from asyncsecrets.secret import Secret

__all__ = ["Shown", "can_be_shown", "look", "mask", "refilled", "text_of"]

T = TypeVar("T")

_DEEPEST: Final = 40
_SLICED: Final = frozenset({dict, list, tuple})
_LARGE: Final = 1 << 15  # characters
_MARGIN: Final = 1 << 13
_LARGE_WITHIN: Final = 4  # levels of collections with few members
_SMALL: Final = 16
_SLICE: Final = 512  # members
_SLICE_MARGIN: Final = 1 << 10
_CHUNK: Final = 64
_SIMPLE: Final = frozenset({int, float, bool, type(None)})
_SILENT: Final = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.TracebackType, Secret)


class Shown(str):  # noqa: SLOT000  # a str has no room for slots that are named
    """The masked text of an object that showed a value, in its place; ``repr`` shows what the object's did, masked."""

    shown: str

    def __new__(cls, text: str, shown: str) -> Self:
        made = super().__new__(cls, text)
        made.shown = shown
        return made

    def __reduce__(self) -> tuple[type[Shown], tuple[str, str]]:
        return Shown, (self[:], self.shown)

    def __repr__(self) -> str:
        return self.shown


def mask(value: T) -> T:
    """Return ``value`` with every value that was handed out masked; the very object if there is none in it.

    Dicts, lists, tuples, sets, dataclasses and exceptions keep their shape and type, and are copied where something in
    them is masked. Another object that shows a value in its ``str`` or ``repr`` is replaced by that text. For
    structlog, loguru, error trackers and whatever else is no ``logging.Handler``. Never raises.
    """
    return cast("T", look(value)[0])


def look(value: object) -> tuple[object, object]:
    """Return ``value`` masked; and that to be printed in its place where only what meets it is to be looked for:
    the same, or without the middle of what is long in it and was looked through."""
    if type(value) is str:
        masked = known.mask(value)
        return masked, ends(masked)
    if not len(known):
        return value, value
    return _look_at_each(value) if _has_large(value) else _look_at_all(value)


def ends(text: str, margin: int = _MARGIN) -> str:
    """Return ``text`` without its middle."""
    return text if len(text) < 4 * margin else f"{text[:margin]}\0{text[-margin:]}"


def _has_large(value: Any, levels: int = _LARGE_WITHIN) -> bool:
    """Whether it is a small collection of what is better looked through by itself."""
    if not levels or type(value) not in _SLICED or len(value) > _SMALL:
        return False
    items = value.values() if type(value) is dict else value
    return any(_is_large(item) or _has_large(item, levels - 1) for item in items)


def _is_large(value: Any) -> bool:
    return (type(value) is str and len(value) >= _LARGE) or (type(value) in _SLICED and len(value) > _SLICE)


def _look_at_each(value: Any) -> tuple[object, object]:
    """The members by themselves; what begins in one and ends in another is left in what is printed."""
    if type(value) is not dict:
        looks = [look(item) for item in value]
        same = all(masked is item for (masked, _), item in zip(looks, value, strict=True))
        kind = type(value)
        return value if same else kind(masked for masked, _ in looks), kind(short for _, short in looks)
    entries = [(look(key), look(item)) for key, item in value.items()]
    same = all(key[0] is old and item[0] is value[old] for (key, item), old in zip(entries, value, strict=True))
    masked, short = ({key[i]: item[i] for key, item in entries} for i in (0, 1))
    return value if same else masked, short


def _look_at_slices(value: Any) -> tuple[object, object]:
    """Many members some hundreds at a time: only those among which there is a value are gone through one by one."""
    kind, items = type(value), list(value.items() if type(value) is dict else value)
    slices = [kind(items[start : start + _SLICE]) for start in range(0, len(items), _SLICE)]
    looks = [_look_at_all(part, 0) for part in slices]
    masked = value
    new: list[Any] = [masked for masked, _ in looks]
    if any(part is not old for part, old in zip(new, slices, strict=True)):
        masked = kind(chain.from_iterable(part.items() if kind is dict else part for part in new))
    texts = [short[1:-1] for _, short in looks if isinstance(short, Shown)]
    if len(texts) < len(looks):
        return masked, masked
    text = ", ".join(ends(text, _SLICE_MARGIN) for text in texts)
    return masked, Shown(text, text)


def _look_at_all(value: object, large: int = _LARGE) -> tuple[object, object]:
    try:
        text, shows_all = _written(value)
        found = bool(known.found(text))
    except Exception:  # noqa: BLE001  # keys that JSON has not, circles, depths: whoever goes through it will see
        text, shows_all, found = "", False, True
    if found and _is_large(value):
        return _look_at_slices(value)
    masked = _Walk().of(value) if found else value
    if not shows_all or len(text) < large:
        return masked, masked
    if found and known.found(text := repr(masked)):  # it takes several members to make the value
        return masked, masked
    return masked, Shown(ends(text), ends(text))


def text_of(value: object) -> str:
    """Return ``str(value)``, or a placeholder where that fails."""
    return _try(str, value)


def can_be_shown(value: object) -> bool:
    """Whether ``str(value)`` does not fail."""
    try:
        str(value)
    except Exception:  # noqa: BLE001  # somebody's object, somebody's str
        return False
    return True


def _repr_of(value: object) -> str:
    return _try(repr, value)


def _try(show: Callable[[object], str], value: object) -> str:
    try:
        return show(value)
    except Exception:  # noqa: BLE001  # somebody's object, somebody's str
        return f"<{type(value).__name__}>"


# -- whether there is anything to mask: everything written down in one go, by the interpreter's own encoder


def _may_show(value: object) -> bool:
    try:
        return bool(known.found(_written(value)[0]))
    except Exception:  # noqa: BLE001  # keys that JSON has not, circles, depths: whoever goes through it will see
        return True


def _written(value: Any) -> tuple[str, bool]:
    """All that is in ``value``, and whether that is its ``repr``."""
    try:
        marshal.dumps(value, 2)  # only what is of builtin types, without circles: it tells soonest
        text = repr(value)
    except ValueError:
        return _as_json(value), False
    return (text, True) if "<memory" not in text else (_as_json(value), False)


def _opened(value: object) -> object:
    """What there is to see in an object that JSON does not know."""
    if isinstance(value, bytes | bytearray | memoryview):
        return repr(bytes(value))
    if isinstance(value, Mapping):
        return [[key, item] for key, item in value.items()]
    if isinstance(value, AbstractSet | deque):
        return list(value)
    if isinstance(value, BaseException):
        return errors.texts(value)
    if _is_silent(value):
        return None
    return [text_of(value), _repr_of(value), _attributes(value) if _is_record(value) else None]


_as_json: Final = json.JSONEncoder(ensure_ascii=False, default=_opened).encode


def _is_silent(value: object) -> bool:
    """Whether it is of a kind that shows nothing but its name and address."""
    kind = type(value)
    return isinstance(value, _SILENT) or (kind.__repr__ is object.__repr__ and kind.__str__ is object.__str__)


def _is_record(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _attributes(value: Any) -> dict[str, object]:
    names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
    return {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in names}}


# -- and masking it


class _Walk:
    """One way through one value. What stands in itself, or too deep, is not gone into."""

    def __init__(self) -> None:
        self._inside: set[int] = set()

    def of(self, value: object) -> object:
        """Return ``value`` masked."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int | float):
            return known.mask(str(value)) if known.found(str(value)) else value
        if isinstance(value, bytes | bytearray | memoryview):
            return _bytes(value)
        if id(value) in self._inside or len(self._inside) > _DEEPEST:
            return "..."
        self._inside.add(id(value))
        try:
            return self._inner(value)
        finally:
            self._inside.discard(id(value))

    def _text(self, value: str) -> str:
        bare = str.__str__(value)
        masked = known.mask(bare)
        return value if masked is bare and _show_alike(value) else masked

    def _inner(self, value: object) -> object:
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, tuple):
            return self._tuple(value)
        if isinstance(value, list | AbstractSet | deque):
            items = self._each(value)
            return value if items is None else _rebuilt(value, items)
        if isinstance(value, BaseException):
            return errors.masked(value, self.of)
        return self._object(value)

    def _each(self, items: Iterable[object]) -> list[object] | None:
        """The items masked, or None if none of them had to be."""
        before = list(items)
        chunks = (before[start : start + _CHUNK] for start in range(0, len(before), _CHUNK))
        after = [item for chunk in chunks for item in self._chunk(chunk)]
        return after if any(new is not old for new, old in zip(after, before, strict=True)) else None

    def _chunk(self, items: list[object]) -> list[object]:
        return [self.of(item) for item in items] if len(items) < _CHUNK or _may_show(items) else items

    def _mapping(self, value: Mapping[Any, Any]) -> object:
        keys, items = self._each(value.keys()), self._each(value.values())
        if keys is None and items is None:
            return value
        return refilled(value, list(zip(keys or value.keys(), items or value.values(), strict=True)))

    def _tuple(self, value: tuple[Any, ...]) -> object:
        if _is_raised(value):
            error = cast("BaseException", self.of(value[1]))
            items = None if error is value[1] else [type(error), error, error.__traceback__]
        else:
            items = self._each(value)
        if items is None:
            return value
        if type(value) is tuple:
            return tuple(items)
        try:
            make = getattr(type(value), "_make", None)
            return make(items) if make else tuple.__new__(type(value), items)
        except Exception:  # noqa: BLE001  # of somebody's class
            return tuple(items)

    def _object(self, value: object) -> object:
        if _is_silent(value):
            return value
        if _is_record(value):
            value = self._record(value)
        text, shown = text_of(value), _repr_of(value)
        masked, masked_repr = known.mask(text), known.mask(shown)
        return value if masked is text and masked_repr is shown else Shown(masked, masked_repr)

    def _record(self, value: object) -> object:
        before = _attributes(value)
        after = {name: self.of(item) for name, item in before.items()}
        if all(after[name] is before[name] for name in before):
            return value
        try:
            made = object.__new__(type(value))
            for name, item in after.items():
                object.__setattr__(made, name, item)
        except Exception:  # noqa: BLE001  # of somebody's class
            return value
        return made


def _is_raised(value: tuple[Any, ...]) -> bool:
    """Whether it is what ``sys.exc_info()`` returns."""
    return len(value) == 3 and isinstance(value[0], type) and isinstance(value[1], BaseException)


def _bytes(value: bytes | bytearray | memoryview) -> object:
    bare = bytes(value)
    masked = known.mask(bare)
    if masked is bare:
        return value
    return bytearray(masked) if isinstance(value, bytearray) else masked


def _show_alike(value: str) -> bool:
    """Whether a str of a kind of its own shows no value in a way of its own."""
    return type(value) is str or not (known.found(text_of(value)) or known.found(_repr_of(value)))


def _rebuilt(value: Any, items: list[object]) -> object:
    """The same kind of collection with these items."""
    if isinstance(value, deque):
        return deque(items, value.maxlen)
    if isinstance(value, AbstractSet):
        return set(items) if isinstance(value, set) else frozenset(items)
    if type(value) is not list:
        try:
            made = copy.copy(value)
            made[:] = items
        except Exception:  # noqa: BLE001  # of somebody's class
            return items
        return made
    return items


def refilled(value: Mapping[Any, Any], items: list[tuple[Any, Any]]) -> object:
    """The same kind of mapping with these items."""
    if type(value) is dict or not isinstance(value, dict):
        return dict(items)
    try:
        made = copy.copy(value)
        made.clear()
        for key, item in items:
            made[key] = item
    except Exception:  # noqa: BLE001  # of somebody's class
        return dict(items)
    return made
