"""What a source's provider says of itself: of how it keeps secrets, and what it calls them."""

from __future__ import annotations

import re

from asyncsecrets.client.connection import Connection
from asyncsecrets.errors import InvalidNameError
from asyncsecrets.secret import Secret

__all__ = ["Traits"]

# What any manager can have, as far as nobody says otherwise.
_SAFE = re.compile(r"(?!(?:.*/)?\.+(?:/|\Z))[A-Za-z0-9/._-]{1,255}", re.ASCII)


class Traits:
    """The part of ``Source`` that tells this of ``_connection``'s provider. All but ``remarks`` build it."""

    _connection: Connection

    @property
    def default_field(self) -> str | None:
        """The member of a JSON payload that is a secret's value here, or None. Builds the provider."""
        return self._connection.provider.default_field

    @property
    def previous_version(self) -> str | None:
        """The label of the version that was current before, where the manager has one."""
        return getattr(self._connection.provider, "previous_version", None)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the provider says of itself that is no error. Does not build it."""
        return tuple(getattr(self._connection.built, "remarks", ()))

    @property
    def deletes_for_good(self) -> bool:
        """Whether what is deleted cannot be restored."""
        return getattr(self._connection.provider, "deletes_for_good", False)

    @property
    def lists_deleted(self) -> bool:
        """Whether the manager lists deleted secrets, too. Builds the provider."""
        return getattr(self._connection.provider, "lists_deleted", False)

    @property
    def keeps_objects(self) -> bool:
        """Whether another text may be read than was put, of the same object. Builds the provider."""
        return self.default_field is None and hasattr(self._connection.provider, "as_kept")

    def can_name(self, name: str) -> bool:
        """Whether a secret can be created by this name. Builds the provider."""
        can_name = getattr(self._connection.provider, "can_name", None)
        return _SAFE.fullmatch(name) is not None if can_name is None else bool(can_name(name))

    def spelled(self, entry: str) -> str:
        """How the manager spells the name of a secret; empty for what it has no name for."""
        spelled = getattr(self._connection.provider, "spelled", str)
        try:
            return str(spelled(entry))
        except InvalidNameError:
            return ""

    def spellings(self, entry: str) -> frozenset[str]:
        """What the secret may be called: two names that may be of one secret have one of these in common."""
        others = getattr(self._connection.provider, "spellings", lambda _: ())
        return frozenset({self.spelled(entry) or entry, *others(entry)})

    def check_value(self, value: Secret) -> None:
        """Raise what a put would for a value that the manager cannot keep. Builds the provider."""
        check = getattr(self._connection.provider, "check_value", None)
        if check is not None:
            check(value.name, value.reveal_bytes() if value.is_binary else value.reveal())

    def kept(self, value: Secret) -> Secret:
        """``value`` in the form in which the manager keeps it."""
        kept = getattr(self._connection.provider, "as_kept", None)
        return value if kept is None or value.is_binary else Secret(kept(value.reveal()), name=value.name)

    def arrives_within(self, default: float) -> float:
        """How many seconds after it was given up a request may still arrive: those of the attempt's deadline."""
        return float(getattr(self._connection.provider, "attempt_timeout", default))
