"""The record beside a key: what is being done to it, and which keys are accepted beside the current one.

It is a secret of its own, so that any process can go on where another one ended, and its values are as safe as the key.
It is JSON with a form of its own; what has another form is not guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from asyncsecrets.errors import DecodeError
from asyncsecrets.secret import Secret

__all__ = ["Pending", "Previous", "Record", "read", "written"]

_FORM: Final = "asyncsecrets-virtual-key-1"
_MEMBERS: Final = {"form", "at", "done", "pending", "previous"}
_YEAR_10000: Final = 253_402_300_800  # seconds of the epoch; there is no date from then on
_PENDING: Final = {"kind", "id", "old", "new", "to", "begun", "grace"}

Kind = Literal["rotation", "renaming"]


@dataclass(frozen=True, slots=True)
class Pending:
    """What is under way: from the key ``old`` to ``new``, by ``id``.

    ``to``: the other alias of a renaming. ``begun``: when, in seconds of the epoch. ``grace``: for how many seconds
    ``old`` is accepted once ``new`` is current.
    """

    kind: Kind
    id: str
    old: Secret
    new: Secret
    begun: float
    grace: float
    to: str = ""


@dataclass(frozen=True, slots=True)
class Previous:
    """A key that is accepted ``until`` then, in seconds of the epoch."""

    key: Secret
    until: float


@dataclass(frozen=True, slots=True)
class Record:
    """``done``: the id of what was done last, unless that was given up. ``at``: when this was written, in seconds of
    the epoch."""

    at: float = 0.0
    done: str = ""
    pending: Pending | None = None
    previous: tuple[Previous, ...] = field(default=())

    def accepted(self, now: float) -> tuple[Previous, ...]:
        """The keys that are accepted beside the current one."""
        return tuple(one for one in self.previous if one.until > now)

    def begun(self, pending: Pending) -> Record:
        """As it is while that is under way."""
        return replace(self, at=pending.begun, pending=pending, previous=self.accepted(pending.begun))

    def ended(self, now: float, *more: Previous, done: bool) -> Record:
        """As it is when what was under way is ``done``, or was given up; ``more`` keys are accepted from then on."""
        accepted = tuple(one for one in (*self.previous, *more) if one.until > now)
        return Record(now, self.pending.id if done and self.pending is not None else "", None, accepted)


def written(name: str, record: Record) -> Secret:
    """The text of a record."""
    document: dict[str, Any] = {"form": _FORM, "at": record.at, "done": record.done}
    if record.pending is not None:
        pending = record.pending
        document["pending"] = {
            "kind": pending.kind,
            "id": pending.id,
            "old": pending.old.reveal(),
            "new": pending.new.reveal(),
            "to": pending.to,
            "begun": pending.begun,
            "grace": pending.grace,
        }
    document["previous"] = [{"key": one.key.reveal(), "until": one.until} for one in record.previous]
    return Secret(json.dumps(document), name=name)


def read(secret: Secret) -> Record:
    """Read the text of a record. Raises DecodeError for what is none."""
    with suppress(DecodeError, KeyError, TypeError, ValueError):
        document = secret.json()
        if isinstance(document, dict) and document.get("form") == _FORM and document.keys() <= _MEMBERS:
            return _read(secret.name, document)
    raise DecodeError(
        f"{secret.name!r} is not the record of a virtual key that this version of asyncsecrets has written; look who "
        f"wrote it, and delete it if nobody needs it"
    )


def _read(name: str, document: Mapping[str, Any]) -> Record:
    pending = document.get("pending")
    previous = tuple(_previous(name, one) for one in document["previous"])
    found = None if pending is None else _pending(name, pending)
    return Record(_time(document["at"]), _text(document["done"]), found, previous)


def _previous(name: str, document: Mapping[str, Any]) -> Previous:
    return Previous(_key(name, document["key"]), _time(document["until"]))


def _pending(name: str, document: Mapping[str, Any]) -> Pending:
    kind = document["kind"]
    if document.keys() != _PENDING or kind not in {"rotation", "renaming"}:
        raise ValueError(name)
    old, new = _key(name, document["old"]), _key(name, document["new"])
    begun, grace = _time(document["begun"]), _time(document["grace"])
    return Pending(kind, _text(document["id"]), old, new, begun, grace, _text(document["to"]))


def _key(name: str, value: object) -> Secret:
    return Secret(_text(value), name=name)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(type(value).__name__)
    if not 0 <= value < _YEAR_10000:
        raise ValueError(value)
    return float(value)
