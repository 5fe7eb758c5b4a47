"""Who can read the local store: the list of recipients, and all values encrypted to exactly these.

The list stands in the file in clear, and whoever can write the file can write the list. What vouches for it is the
values: each one bears the fingerprint of the list that it was encrypted to, where only who has a key can see it, and
nobody else can make such a value again without knowing it. So before anything is encrypted anew, every value is opened;
where one does not fit the list, somebody has changed that by hand, and a person has to look at it first.

What this does not stop: an earlier copy of the file is a good file, for those who could read it then. A program that
only writes has no key, and encrypts to whoever is on the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import (
    AuthenticationError,
    ConfigError,
    ConflictError,
    IntegrityError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.files import MAX_BYTES
from asyncsecrets.providers.local_keys import Keys, Opened, UnsealError, check_recipients, count_readers
from asyncsecrets.providers.local_store import Entry, Recipient, Store, is_recipient_name, render_store

__all__ = ["RecipientList", "added", "list_of", "new_recipient", "reencrypted", "removed"]

_SYSTEM: Final = "local"
_TOLD: Final = 3  # the most names in a message


@dataclass(frozen=True, slots=True)
class RecipientList:
    """Who can read a store.

    ``own``: of their keys those that we hold, by the public half. ``secrets``: the names of the secrets that have
    values. ``mismatched``: of these, those with a value that was encrypted to others than these recipients; without a
    key, as far as their number tells.
    """

    recipients: tuple[Recipient, ...]
    own: tuple[str, ...]
    secrets: tuple[str, ...]
    mismatched: tuple[str, ...]


@configuring
def new_recipient(key: str, name: str = "") -> Recipient:
    """Check what somebody typed. Raises ConfigError, which repeats neither."""
    key, name = _typed(key), name.strip()
    if key.upper().startswith("AGE-SECRET-KEY-"):
        raise ConfigError(
            "local: this is a secret key, which nobody else may see; a recipient is its public half (age1…)"
        )
    check_recipients([key])
    if name and not is_recipient_name(name):
        raise ConfigError("local: a recipient's name is up to 64 letters (A to Z), digits, blanks and _ . @ + / -")
    return Recipient(key, name)


def _typed(text: str) -> str:
    """A key as the file has it: what is all capitals is the same key (Bech32)."""
    text = text.strip()
    return text.lower() if text.isupper() and text.startswith("AGE1") else text


def list_of(store: Store, keys: Keys) -> RecipientList:
    """Who can read ``store``, of whom we hold ``keys``."""
    names = tuple(dict.fromkeys(name for name, _ in _values(store)))
    own = tuple(key for key in keys.recipients if key in store.keys)
    mismatched = dict.fromkeys(name for name, entry in _values(store) if not _seems_to_fit(store, name, entry, keys))
    return RecipientList(store.recipients, own, names, tuple(mismatched))


def _seems_to_fit(store: Store, name: str, entry: Entry, keys: Keys) -> bool:
    """As ``_fits``; of a value that cannot be opened the number of its readers has to do."""
    opened = Opened(b"", "")
    with suppress(UnsealError):
        opened = keys.unseal(entry.value, name, entry.version)
    return _fits(store, entry, opened)


def added(store: Store, recipient: Recipient) -> tuple[Recipient, ...]:
    """The list with one more; one who is on it already is given the name. Raises ConflictError for another's name."""
    if recipient.name and any(one.name == recipient.name and one.key != recipient.key for one in store.recipients):
        message = f"local: another recipient is called {recipient.name!r}; choose another name"
        raise ConflictError(message, provider=_SYSTEM, name=None)
    if recipient.key not in store.keys:
        return (*store.recipients, recipient)
    return tuple(
        replace(one, name=recipient.name or one.name) if one.key == recipient.key else one for one in store.recipients
    )


def removed(store: Store, who: str, keys: Keys) -> tuple[Recipient, ...]:
    """The list without the one of that public key or name.

    Raises SecretNotFoundError, ConflictError for a name of several, UnsupportedOperationError for the one whose key is
    in use: then nobody could see that the store is still whole.
    """
    who = _typed(who)
    found = {one.key for one in store.recipients if who and who in {one.key, one.name}}
    if not found:
        message = "local: no recipient has this key or name; asyncsecrets recipients lists them"
        raise SecretNotFoundError(message, provider=_SYSTEM, name=None)
    if len(found) > 1:
        message = f"local: several recipients are called {who!r}; say which by the key"
        raise ConflictError(message, provider=_SYSTEM, name=None)
    rest = tuple(one for one in store.recipients if one.key not in found)
    if not {one.key for one in rest} & set(keys.recipients):
        raise UnsupportedOperationError(
            "local: neither the last recipient nor the one whose key is in use can be removed; have another one do it"
        )
    return rest


def reencrypted(
    store: Store, recipients: tuple[Recipient, ...], keys: Keys, *, origin: str, accepted: bool = False
) -> Store:
    """``store`` with every value encrypted to exactly ``recipients``; itself where it is so already.

    ``accepted``: somebody has looked at the list of ``origin``, so that its values need not vouch for it. All or
    nothing: raises AuthenticationError where a value cannot be opened with ``keys``, IntegrityError where one is
    damaged or does not fit the list, UnsupportedOperationError where all of it is too much for one file.
    """
    check_recipients(store.keys)
    _check_key(store, keys, origin)
    new = replace(store, recipients=recipients)
    opened = _opened(store, keys, origin)
    strange = [name for name, entry, one in opened if not (_fits(store, entry, one) or _fits(new, entry, one))]
    if strange and not accepted:
        raise _changed_by_hand(strange, origin)
    if recipients == store.recipients and not strange:
        return store
    values = {(name, entry.version): _sealed(new, name, entry, one, keys) for name, entry, one in opened}
    secrets = {
        name: tuple(replace(entry, value=values.get((name, entry.version), "")) for entry in entries)
        for name, entries in store.secrets.items()
    }
    return _within(replace(new, secrets=secrets), origin)


def _values(store: Store) -> Iterator[tuple[str, Entry]]:
    for name, entries in store.secrets.items():
        yield from ((name, entry) for entry in entries if not entry.destroyed)


def _check_key(store: Store, keys: Keys, origin: str) -> None:
    if not set(keys.recipients) & set(store.keys):
        held = f"the key is of {keys.recipients[0]}, which is none" if keys else "there is no key"
        message = f"local: only a recipient can change the recipients of {origin}, and {held}"
        raise AuthenticationError(message, provider=_SYSTEM, name=None)


def _opened(store: Store, keys: Keys, origin: str) -> list[tuple[str, Entry, Opened]]:
    """Every value. Raises AuthenticationError or IntegrityError, with the names, where that is not all of them."""
    opened: list[tuple[str, Entry, Opened]] = []
    closed: list[str] = []
    damaged: list[str] = []
    for name, entry in _values(store):
        try:
            opened.append((name, entry, keys.unseal(entry.value, name, entry.version)))
        except UnsealError as error:
            (closed if error.wrong_key else damaged).append(name)
    if damaged:
        message = (
            f"local: values in {origin} are damaged or were moved: {_listed(damaged)}; restore it from version control"
        )
        raise IntegrityError(message, provider=_SYSTEM, name=None)
    if closed:
        message = (
            f"local: nothing was changed: this key cannot read {_listed(closed)}, encrypted before it was a recipient; "
            f"have somebody who can do this, or run: asyncsecrets recipients accept"
        )
        raise AuthenticationError(message, provider=_SYSTEM, name=None)
    return opened


def _fits(store: Store, entry: Entry, opened: Opened) -> bool:
    """Whether a value was encrypted to the recipients of ``store``. One that was for a single key bears nothing."""
    if opened.fingerprint:
        return opened.fingerprint == store.fingerprint
    return count_readers(entry.value) == len(store.keys)


def _sealed(store: Store, name: str, entry: Entry, opened: Opened, keys: Keys) -> str:
    return keys.seal(opened.payload, name, entry.version, store.keys, store.fingerprint)


def _within(store: Store, origin: str) -> Store:
    if len(render_store(store)) > MAX_BYTES:  # no old version goes for this: who asked for it is told of none
        raise UnsupportedOperationError(
            f"local: {origin} cannot grow beyond {MAX_BYTES} bytes, and each recipient takes room in every value; "
            f"destroy old versions, or keep large secrets in another file"
        )
    return store


def _changed_by_hand(names: Sequence[str], origin: str) -> IntegrityError:
    return IntegrityError(
        f"local: the recipients in {origin} are not those that values were encrypted to: {_listed(names)}\n"
        f"what to do: see who is on the list; remove who should not be, or run: asyncsecrets recipients accept",
        provider=_SYSTEM,
        name=None,
    )


def _listed(names: Sequence[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = len(unique) - _TOLD
    return ", ".join(map(repr, unique[:_TOLD])) + (f" and {more} more" if more > 0 else "")
