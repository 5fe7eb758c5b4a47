"""What may be taken from a value and logged by itself: its long lines, the members of a JSON document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from asyncsecrets.secret import Payload

__all__ = ["SHORTEST", "parts"]

SHORTEST: Final = 6
"""Characters below which nothing is masked: that would garble the log and betray the value all the more."""

_SHORTEST_LINE: Final = 12
_SHORTEST_NUMBER: Final = 8
_MOST: Final = 5_000

# The lines around a key or a certificate are the same for all of them.
_ARMOUR: Final = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")
# A word such as a JSON secret has beside its password: "postgres", "localhost". Who takes it by itself has it masked.
_WORD: Final = re.compile(r"[A-Z]?[a-z]{1,10}|[A-Z]{1,11}")


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def parts(value: Payload) -> set[Payload]:
    """Return ``value`` and what may be taken from it, each with at least ``SHORTEST`` characters that are no blanks."""
    text = _text(value)
    if text is None:
        return {value} if len(value.strip()) >= SHORTEST else set()
    document = _document(text)
    found = _lines(text) if document is None else _members(document)
    return {text, *islice(found, _MOST)} if len(text.strip()) >= SHORTEST else set()


def _text(value: Payload) -> str | None:
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _lines(text: str) -> Iterator[str]:
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _SHORTEST_LINE and not _ARMOUR.fullmatch(line))


def _document(text: str) -> Any:
    bare = text.strip().removeprefix("\ufeff")
    if not bare.startswith(("{", "[")):
        return None
    try:
        return json.loads(bare, parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        return None


def _members(document: Any) -> Iterator[str]:
    """Every text and number in a document, and what is in it where that is a document again."""
    todo = [document]
    while todo:
        item = todo.pop()
        if isinstance(item, dict | list):
            todo += item.values() if isinstance(item, dict) else item
        elif isinstance(item, str):
            if _is_telling(item):
                yield str(item)
            todo += [inner] if (inner := _document(item)) is not None else []


def _is_telling(item: str) -> bool:
    shortest = _SHORTEST_NUMBER if isinstance(item, _Number) else SHORTEST
    return len(item.strip()) >= shortest and not _WORD.fullmatch(item)
