"""Secret: a value that does not show itself.

A :class:`Secret` carries one payload with its name, version and age. Its payload leaves it by
:meth:`~Secret.reveal` and :meth:`~Secret.reveal_bytes` only: ``repr``, ``str``, ``format``, f-strings, ``%``, ``vars``,
pickle, ``copy``, ``json`` and iteration show a mask or refuse. What Python cannot prevent (a debugger, a core dump,
``gc.get_referents``) is listed in the security notes of the documentation.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NoReturn, final

from asyncsecrets.errors import DecodeError

__all__ = ["MASK", "Payload", "Secret"]

MASK: Final = "**********"

_ABSENT: Final = object()

Payload = str | bytes
"""What a secret manager stores: text, or bytes where it keeps binary secrets."""


@final
class Secret:
    """One version of one secret, without showing it.

    ``name`` is the manager's own identifier; ``version`` its id of this immutable value, as text, or None where the
    manager has none; ``created`` when that version was made, where known; ``source`` the configured source it came from
    (``environment`` where the environment answered). ``age`` is the time since it was fetched, in seconds.
    """

    __slots__ = (
        "__members",
        "__payload",
        "__weakref__",
        "_clock",
        "_fetched_at",
        "created",
        "name",
        "source",
        "version",
    )

    def __init__(
        self,
        payload: Payload,
        *,
        name: str,
        version: str | None = None,
        created: datetime | None = None,
        source: str = "",
        clock: Callable[[], float] = time.monotonic,
        fetched_at: float | None = None,
    ) -> None:
        self.__payload = payload
        self.__members: dict[str, Any] | None = None
        self.name = name
        self.version = version
        self.created = created
        self.source = source
        self._clock = clock
        self._fetched_at = clock() if fetched_at is None else fetched_at

    def reveal(self) -> str:
        """Return the value as text: exactly what is stored, never stripped or converted.

        Raises :class:`~asyncsecrets.errors.DecodeError` if it is binary and not UTF-8.
        """
        payload = self.__payload
        return payload if isinstance(payload, str) else _text(payload, self.name)

    def reveal_bytes(self) -> bytes:
        """Return the value as bytes (UTF-8 where it is text)."""
        payload = self.__payload
        return payload if isinstance(payload, bytes) else payload.encode("utf-8")

    @property
    def is_binary(self) -> bool:
        """Whether the manager stores this secret as bytes."""
        return isinstance(self.__payload, bytes)

    @property
    def age(self) -> float:
        """Seconds since this value was fetched from its manager."""
        return max(0.0, self._clock() - self._fetched_at)

    def field(self, field: str) -> Secret:
        """Return one member of a JSON object payload as a Secret of its own.

        The member must be text: a number or a boolean has no one text that is surely the stored one. Raises
        :class:`~asyncsecrets.errors.DecodeError` if the payload is not a JSON object, or has no such text member.
        """
        value = self._document().get(field, _ABSENT)
        if value is _ABSENT:
            raise DecodeError(f"{self.name!r} has no field {field!r}")
        if not isinstance(value, str):
            raise DecodeError(
                f"field {field!r} of {self.name!r} is {_kind(value)}, not text; store it as a JSON string"
            )
        return self.replace(value)

    def fields(self) -> list[str]:
        """Return the member names of a JSON object payload, or an empty list for any other payload."""
        try:
            return list(self._document())
        except DecodeError:
            return []

    def _document(self) -> dict[str, Any]:
        # Parsed once: a secret of a thousand members is asked for each of them.
        if self.__members is None:
            self.__members = _object(self.reveal(), self.name)
        return self.__members

    def replace(self, payload: Payload | None = None, *, source: str | None = None) -> Secret:
        """Return this secret with another payload or source, and the same name, version and age."""
        return Secret(
            self.__payload if payload is None else payload,
            name=self.name,
            version=self.version,
            created=self.created,
            source=self.source if source is None else source,
            clock=self._clock,
            fetched_at=self._fetched_at,
        )

    def equals(self, other: Secret | Payload) -> bool:
        """Compare values in constant time. Use this in assertions: ``==`` on revealed text prints it on failure."""
        theirs = other.reveal_bytes() if isinstance(other, Secret) else _bytes(other)
        return hmac.compare_digest(self.reveal_bytes(), theirs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self.name == other.name and self.version == other.version and self.equals(other)

    __hash__ = None  # type: ignore[assignment]  # a hash would be a fingerprint of the value

    def __repr__(self) -> str:
        version = f", version={self.version!r}" if self.version is not None else ""
        return f"Secret({self.name!r}{version})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return True

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_Secret__")]

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError("a Secret cannot be pickled, copied or iterated; call reveal() where the value is used")

    __reduce__ = __reduce_ex__ = __getstate__ = __copy__ = __deepcopy__ = _refuse
    __iter__ = __len__ = __getitem__ = __bytes__ = _refuse


def _bytes(payload: Payload) -> bytes:
    return payload if isinstance(payload, bytes) else payload.encode("utf-8", "surrogatepass")


def _text(payload: bytes, name: str) -> str:
    # Raised outside the except block: UnicodeDecodeError holds the bytes, and must not ride along as __context__.
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise DecodeError(f"{name!r} is binary and not UTF-8 text; use reveal_bytes()")


def _object(text: str, name: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None  # JSONDecodeError holds the document: raise ours outside this block
    if isinstance(document, dict):
        return document
    raise DecodeError(f"{name!r} is not a JSON object, so it has no fields")


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null")
