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
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, final

from asyncsecrets import exact, members
from asyncsecrets.errors import DecodeError, MissingDependencyError

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = ["MASK", "Payload", "Secret", "on_member", "payload_of"]

MASK: Final = "**********"

Payload = str | bytes
"""What a secret manager stores: text, or bytes where it keeps binary secrets."""

_listeners: list[Callable[[Payload], None]] = []


def on_member(listener: Callable[[Payload], None]) -> None:
    """Have ``listener`` called with every payload that is taken from another one, for it to be masked in logs."""
    _listeners.append(listener)


@final
class Secret:
    """One version of one secret, without showing it. Immutable: everybody who asks may be given the same one.

    ``repr``, ``str``, ``format`` and logs show a mask. Call ``reveal`` or ``reveal_bytes`` where the value is used.

    Raises ``TypeError`` for a payload that is neither text nor bytes, ``ValueError`` for an ``expires`` without a zone.
    """

    __slots__ = (
        "__members",
        "__payload",
        "__weakref__",
        "_clock",
        "_created",
        "_expires",
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
        expires: datetime | None = None,
        source: str = "",
        clock: Callable[[], float] = time.monotonic,
        fetched_at: float | None = None,
    ) -> None:
        flaw = _flaw(payload, expires)
        if flaw is not None:
            del payload
            self._hold("", None, name, version, created, None, source, clock, 0.0)  # for its repr, in a traceback
            error, problem = flaw
            raise error(problem)
        at = clock() if fetched_at is None else fetched_at
        self._hold(payload, None, name, version, created, expires and _utc(expires), source, clock, at)

    def _hold(
        self,
        payload: Payload,
        found: dict[str, Any] | None,
        name: str,
        version: str | None,
        created: datetime | None,
        expires: datetime | None,
        source: str,
        clock: Callable[[], float],
        fetched_at: float,
    ) -> None:
        self.__payload = payload
        self.__members = found
        self._name = name
        self._version = version
        self._created = created
        self._expires = expires
        self._source = source
        self._clock = clock
        self._fetched_at = fetched_at

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
    def expires(self) -> datetime | None:
        """When this value ends, in UTC, or None where it has no end.

        From then on its manager does not hand it out, and a client does not serve it from memory.
        """
        return self._expires

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

        * ``password``: the member of that name.
        * ``/db/port``: a nested member, by its path (RFC 6901).
        * ``json:db``, ``json:/db/port``: the JSON text of what is there. ``json:`` alone: that of the whole.

        A number or a boolean is its JSON text, exactly as it stands in the payload: ``1.10``, ``true``. Null, lists and
        objects have only the text that ``json:`` asks for. Raises ``DecodeError``, naming the members that there
        are, if there is no such member or text, or the payload is not a JSON object.
        """
        return self._member(self._document().read(field))

    def nested(self, field: str) -> Secret:
        """Return a member as ``field`` does; where that has no text, such as an object, as its JSON text."""
        return self._member(self._document().read_any(field))

    def has_field(self, field: str) -> bool:
        """Whether there is such a member, of whatever type. ``field`` is as for the method ``field``.

        Raises ``DecodeError`` if the payload is not a JSON object.
        """
        return self._document().has(field)

    def fields(self) -> list[str]:
        """Return the member names of a JSON object payload, or an empty list for any other payload."""
        try:
            return self._document().names()
        except DecodeError:
            return []

    def json(self) -> Any:
        """Return a JSON payload as plain Python objects, made anew by each call. They do not mask themselves.

        Integers are ``int``, other numbers ``float`` with its precision; ``field`` has the digits as they were written.
        Raises ``DecodeError`` for a payload that is not JSON; names a member twice; holds ``NaN``, or a number that
        ``int`` or ``float`` cannot hold; is nested too deep; or has more than 50,000 values.
        """
        found = exact.plain(self.reveal())
        if isinstance(found, exact.Flaw):
            raise DecodeError(f"{self._name!r} {found.problem}")
        return found

    def _member(self, found: str | exact.Flaw) -> Secret:
        if isinstance(found, exact.Flaw):
            raise DecodeError(f"{self._name!r} {found.problem}")
        return self.replace(found)

    def _document(self) -> members.Document:
        # Parsed once: a secret of a thousand members is asked for each of them. A dict of texts is nothing to the
        # garbage collector.
        if self.__members is None:
            found = members.parse(self._text() or "")
            if isinstance(found, exact.Flaw):
                raise DecodeError(f"{self._name!r} {found.problem}")
            self.__members = found
        return members.Document(self.__members, self._text() or "")

    def _text(self) -> str | None:
        return self.__payload if isinstance(self.__payload, str) else _decoded(self.__payload)

    def replace(self, payload: Payload | None = None, *, source: str | None = None) -> Secret:
        """Return this secret with another payload or source, and the same name, version, age and end."""
        if payload is not None:
            for listener in _listeners:
                listener(payload)
        other = Secret.__new__(Secret)  # half the constructor's time; what that looks at has been looked at
        other._hold(  # noqa: SLF001  # the same class
            self.__payload if payload is None else payload,
            self.__members if payload is None else None,
            self._name,
            self._version,
            self._created,
            self._expires,
            self._source if source is None else source,
            self._clock,
            self._fetched_at,
        )
        return other

    def to_pydantic(self) -> SecretStr:
        """Return the value as pydantic's ``SecretStr``, for a model that declares one.

        Raises as ``reveal``, and MissingDependencyError without pydantic.
        """
        shown: SecretStr = _pydantic().SecretStr(self.reveal())
        return shown

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """How pydantic takes a Secret as a field: as it is, or made of text, bytes or pydantic's own secrets."""
        from pydantic_core import core_schema  # noqa: PLC0415  # as above; whoever asks for this has it

        masked = core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        return core_schema.with_info_plain_validator_function(_taken, serialization=masked)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return {"type": "string", "format": "password", "writeOnly": True}

    def equals(self, other: Secret | Payload) -> bool:
        """Compare values in constant time. Use this in assertions: there, ``==`` on revealed text prints it."""
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


def _pydantic() -> Any:
    try:
        import pydantic  # noqa: PLC0415  # many times the cost of importing this package
    except ModuleNotFoundError:
        pass
    else:
        return pydantic
    raise MissingDependencyError(
        "this needs the package 'pydantic', which is not installed: pip install \"asyncsecrets[pydantic]\"",
        extra="pydantic",
    )


def _taken(value: Any, info: Any) -> Secret:
    """What a field of pydantic is given, as a Secret that is named after the field."""
    if isinstance(value, Secret):
        return value
    payload = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    if not isinstance(payload, str | bytes):
        raise ValueError("a Secret is made of text or bytes")  # noqa: TRY004  # pydantic makes its own error of this
    return Secret(payload, name=getattr(info, "field_name", None) or "value")


def _flaw(payload: object, expires: datetime | None) -> tuple[type[Exception], str] | None:
    if not isinstance(payload, str | bytes):
        return TypeError, f"the payload of a Secret is str or bytes, not {type(payload).__name__}"
    if expires is not None and expires.utcoffset() is None:
        return ValueError, "the end of a Secret (expires) needs a time zone: nobody could tell when it is"
    return None


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # in another zone there are hours that UTC has no year for
        return datetime.max.replace(tzinfo=UTC) if moment.year > 1 else datetime.min.replace(tzinfo=UTC)


def payload_of(data: bytes) -> Payload:
    """What was stored as bytes: text where it is UTF-8."""
    text = _decoded(data)
    return data if text is None else text


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
