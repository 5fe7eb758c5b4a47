"""Secret: a value that does not show itself.

A ``Secret`` carries one payload with its name, version and age. Its payload leaves it by
``reveal`` and ``reveal_bytes`` only: ``repr``, ``str``, ``format``, f-strings, ``%``, ``vars``,
pickle, ``copy``, ``json`` and iteration show a mask or refuse. What Python cannot prevent (a debugger, a core dump,
``gc.get_referents``) is listed in the security notes of the documentation.

Nothing that raises here has a payload, or a part of one, among its local variables: tracebacks are printed with them
by ``pytest -l``, error trackers and ``capture_locals``.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Final, NoReturn, final

from asyncsecrets.errors import DecodeError

__all__ = ["MASK", "Payload", "Secret"]

MASK: Final = "**********"

Payload = str | bytes
"""What a secret manager stores: text, or bytes where it keeps binary secrets."""


@final
class Secret:
    """One version of one secret, without showing it. Immutable: everybody who asks may be given the same one.

    ``name`` is the manager's own identifier; ``version`` its id of this immutable value, as text, or None where the
    manager has none; ``created`` when that version was made, where known; ``source`` the configured source it came from
    (``environment`` where the environment answered). ``age`` is the time since it was fetched, in seconds.
    """

    __slots__ = (
        "__members",
        "__payload",
        "__weakref__",
        "_clock",
        "_created",
        "_fetched_at",
        "_name",
        "_source",
        "_version",
    )
    # What object.__getstate__ looks at first: without it, it would hand out every slot, the payload among them.
    __slotnames__: ClassVar[list[str]] = []

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
        self._name = name
        self._version = version
        self._created = created
        self._source = source
        self._clock = clock
        self._fetched_at = clock() if fetched_at is None else fetched_at
        self.__members: dict[str, Any] | None = None
        if not isinstance(payload, str | bytes):
            kind = type(payload).__name__
            del payload
            raise TypeError(f"the payload of a Secret is str or bytes, not {kind}")
        self.__payload = payload

    @property
    def name(self) -> str:
        """The manager's own identifier."""
        return self._name

    @property
    def version(self) -> str | None:
        """The manager's id of this value, or None where it has none."""
        return self._version

    @property
    def created(self) -> datetime | None:
        """When this version was made, or None where that is not known."""
        return self._created

    @property
    def source(self) -> str:
        """The configured source that this came from, ``environment`` where the environment answered."""
        return self._source

    @property
    def age(self) -> float:
        """Seconds since this value was fetched from its manager."""
        return max(0.0, self._clock() - self._fetched_at)

    @property
    def is_binary(self) -> bool:
        """Whether the manager stores this secret as bytes."""
        return isinstance(self.__payload, bytes)

    def reveal(self) -> str:
        """Return the value as text: exactly what is stored, never stripped or converted.

        Raises ``DecodeError`` if it is binary and not UTF-8.
        """
        if isinstance(self.__payload, str):
            return self.__payload
        text = _decoded(self.__payload)
        if text is None:
            raise DecodeError(f"{self._name!r} is binary and not UTF-8 text; use reveal_bytes()")
        return text

    def reveal_bytes(self) -> bytes:
        """Return the value as bytes (UTF-8 where it is text).

        Raises ``DecodeError`` for text that has no UTF-8 form (lone surrogates).
        """
        if isinstance(self.__payload, bytes):
            return self.__payload
        data = _encoded(self.__payload)
        if data is None:
            raise DecodeError(f"{self._name!r} has characters that are not Unicode text (lone surrogates)")
        return data

    def field(self, field: str) -> Secret:
        """Return one member of a JSON object payload as a Secret of its own.

        The member must be text: a number or a boolean has no one text that is surely the stored one. Raises
        ``DecodeError`` if the payload is not a JSON object, or has no such text member.
        """
        if not self.has_field(field):
            raise DecodeError(f"{self._name!r} has no field {field!r}")
        if not isinstance(self._document()[field], str):
            kind = _kind(self._document()[field])
            raise DecodeError(f"field {field!r} of {self._name!r} is {kind}, not text; store it as a JSON string")
        return self.replace(self._document()[field])

    def has_field(self, field: str) -> bool:
        """Whether the JSON object payload has this member, of whatever type.

        Raises ``DecodeError`` if the payload is not a JSON object.
        """
        return field in self._document()

    def fields(self) -> list[str]:
        """Return the member names of a JSON object payload, or an empty list for any other payload."""
        try:
            return list(self._document())
        except DecodeError:
            return []

    def _document(self) -> dict[str, Any]:
        # Parsed once: a secret of a thousand members is asked for each of them.
        if self.__members is None:
            self.__members = _object(self.__payload)
        if self.__members is None:
            raise DecodeError(f"{self._name!r} is not a JSON object, so it has no fields")
        return self.__members

    def replace(self, payload: Payload | None = None, *, source: str | None = None) -> Secret:
        """Return this secret with another payload or source, and the same name, version and age."""
        return Secret(
            self.__payload if payload is None else payload,
            name=self._name,
            version=self._version,
            created=self._created,
            source=self._source if source is None else source,
            clock=self._clock,
            fetched_at=self._fetched_at,
        )

    def equals(self, other: Secret | Payload) -> bool:
        """Compare values in constant time. Use this in assertions: ``==`` on revealed text prints it on failure."""
        payload = other.__payload if isinstance(other, Secret) else other  # noqa: SLF001  # the same class
        return hmac.compare_digest(_comparable(self.__payload), _comparable(payload))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self._name == other._name and self._version == other._version and self.equals(other)

    __hash__ = None  # type: ignore[assignment]  # a hash would be a fingerprint of the value

    def __repr__(self) -> str:
        version = f", version={self._version!r}" if self._version is not None else ""
        return f"Secret({self._name!r}{version})"

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


def _decoded(payload: bytes) -> str | None:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:  # holds the bytes: whoever raises does so outside this block, without it as __context__
        return None


def _encoded(payload: str) -> bytes | None:
    try:
        return payload.encode("utf-8")
    except UnicodeEncodeError:  # as above
        return None


def _comparable(payload: Payload) -> bytes:
    return payload if isinstance(payload, bytes) else payload.encode("utf-8", "surrogatepass")


def _object(payload: Payload) -> dict[str, Any] | None:
    text = payload if isinstance(payload, str) else _decoded(payload)
    try:
        document = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):  # JSONDecodeError holds the document
        return None
    return document if isinstance(document, dict) else None


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null")
