"""JSON whose numbers stay as they were written, where Python's own reading would change their digits.

Nothing here raises for what is in a text: what is wrong comes back as a ``Flaw``, so that no frame with a payload in
it reaches a caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any, Final

__all__ = [
    "BOM",
    "DEEPEST",
    "MOST_VALUES",
    "NO_JSON",
    "PRESENTABLE",
    "TOO_DEEP",
    "TOO_WIDE",
    "Flaw",
    "Number",
    "double",
    "inside",
    "is_deep",
    "is_double",
    "is_wide",
    "numbers_in",
    "plain",
    "read",
    "same",
    "written",
]

PRESENTABLE: Final = re.compile(r"[\w.:/@+ -]{1,40}")
"""A member's name that may be shown: a longer one, or an odd one, may be a value itself."""

BOM: Final = "\ufeff"

_BRACKETS: Final = re.compile(r"[\[\]{}]")
_SINGLE: Final = re.compile(r'\{"([^"\\\x00-\x1f]*)": ?"([^"\\\x00-\x1f]*)"\}')
"""An object with one member, a text with nothing in it that JSON would have to escape."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why there is no answer, to follow the secret's name in an error. Never a value."""

    problem: str


MOST_VALUES: Final = 50_000
"""The most values in a JSON text that are read one by one. AWS's limit of 64 KiB leaves room for fewer; OpenBao refuses
objects of more than a thousand texts. Reading so many keeps the event loop for a tenth of a second."""

DEEPEST: Final = 256
"""The most levels of a JSON text. Python's own limit is another one in each version, and from 3.14 on the size of the
stack; parsers elsewhere take 64 to 1,000."""

TOO_DEEP: Final = Flaw("is JSON that is nested too deep")
TOO_WIDE: Final = Flaw(f"is JSON of more than {MOST_VALUES:,} values")
NO_JSON: Final = Flaw("is not JSON")


class Number(str):
    """A number as it was written."""

    __slots__ = ()


class _RefusedError(ValueError):
    """What Python's decoder takes, and JSON has not."""


def read(text: str) -> Any:
    """A JSON text with a ``Number`` for each number, or a Flaw. It may begin with a byte order mark."""
    single = _SINGLE.fullmatch(text)  # what most secrets are: an eighth of the time
    return {single[1]: single[2]} if single is not None else _attempt(_exact, text)


def plain(text: str) -> Any:
    """A JSON text as plain Python, or a Flaw: whole numbers as ``int``, others as ``float``."""
    return _attempt(_python, text)


def same(one: Any, other: Any) -> bool:
    """Whether two values that ``read`` made are the same JSON, whatever the order of members and the form of numbers.

    ``1.10`` is ``1.1``; ``true`` is not ``1``; and no digit is too small to count.
    """
    if isinstance(one, Number) and isinstance(other, Number):
        return one == other or _equal(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _equal(number: str, other: str) -> bool:
    try:
        return Decimal(number) == Decimal(other)
    except ArithmeticError:  # an exponent beyond even Decimal
        return False


def written(value: Any, *, sort: bool = True) -> str:
    """``value`` as JSON text without blanks, a ``Number`` as it is. Raises as ``json.dumps``, for what JSON has not."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Mapping):
        items = sorted(value.items()) if sort else value.items()
        return "{" + ",".join([f"{_encode(str(name))}:{written(inside, sort=sort)}" for name, inside in items]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join([written(inside, sort=sort) for inside in value]) + "]"
    return _encode(value)


def double(number: str) -> Number | None:
    """A number as Go and JavaScript write the 64-bit float that is nearest to it; None where it is beyond them all."""
    value = float(number)
    if not isfinite(value):
        return None
    if value and not 1e-6 <= abs(value) < 1e21:
        return Number(re.sub(r"e-0", "e-", repr(value)))
    text = format(Decimal(repr(value)), "f")
    return Number(text.removesuffix(".0"))


def is_double(number: str) -> bool:
    """Whether a 64-bit float is this very number: not 2**53 + 1, and not pi to 30 places."""
    nearest = double(number)
    try:
        return nearest is not None and Decimal(nearest) == Decimal(number)
    except ArithmeticError:  # an exponent beyond even Decimal
        return False


def numbers_in(value: Any) -> Iterator[Number]:
    """Every number in what ``read`` made."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, Number):
            yield value
        elif isinstance(value, dict | list):
            left.extend(inside(value))


def inside(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    """What an object or a list holds."""
    return value.values() if isinstance(value, dict) else value


def is_wide(text: str, most: int = MOST_VALUES) -> bool:
    """Whether a JSON text has more than ``most`` values: told before any of them is made, in a hundredth of the time.

    There is one more than there are commas and opening brackets outside of its texts.
    """
    if len(text) <= 2 * most:
        return False
    if _marks(text) < most:
        return False
    bare = _unescaped(text)
    if bare.count('"') > 4 * most:  # a value has two texts at most, itself and its name, each between two signs
        return True
    return _marks(_between(bare)) >= most


def is_deep(text: str, most: int = DEEPEST) -> bool:
    """Whether a JSON text, which is not wide, has more than ``most`` levels."""
    if text.count("[") + text.count("{") <= most:
        return False
    level = 0
    for mark in _BRACKETS.findall(_between(_unescaped(text))):
        level += 1 if mark in "[{" else -1
        if level > most:
            return True
    return False


def _unescaped(text: str) -> str:
    """A JSON text in which every quotation mark begins a text or ends one."""
    return text.replace("\\\\", "").replace('\\"', "")


def _between(unescaped: str) -> str:
    """What is outside of its texts."""
    return "".join(unescaped.split('"')[::2])


def _marks(text: str) -> int:
    return text.count(",") + text.count("[") + text.count("{")


def _attempt(decode: Callable[[str], Any], text: str) -> Any:
    if is_wide(text):
        return TOO_WIDE
    if is_deep(text):
        return TOO_DEEP
    try:
        return decode(text.removeprefix(BOM))
    except _RefusedError as refusal:
        return Flaw(f"is not proper JSON: {refusal}")
    except RecursionError:  # there was no more room on the caller's own stack
        return TOO_DEEP
    except ValueError:  # JSONDecodeError holds the document
        return NO_JSON


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _RefusedError(f"it has a member{' ' + repr(twice) if PRESENTABLE.fullmatch(twice) else ''} twice")
    return members


def _constant(_: str) -> Any:
    raise _RefusedError("NaN and Infinity are no numbers of JSON")


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise _RefusedError("a number of it has more digits than Python reads") from None


def _float(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise _RefusedError("a number of it is more than a float can hold")
    return number


_exact: Final = json.JSONDecoder(
    parse_int=Number, parse_float=Number, parse_constant=_constant, object_pairs_hook=_members
).decode
_python: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_float, parse_constant=_constant, object_pairs_hook=_members
).decode
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
