"""The file of the local store: what is in it, read strictly and written the same way every time.

::

    format: asyncsecrets-local-1
    recipients:                  # whoever holds one of these keys can read every value
    - age1…
    - key: age1…                 # one that was given a name, which is for people
      name: alice
    secrets:
      OPENAI_API_KEY:
      - version: '1'             # oldest first
        created: '2026-01-02T03:04:05Z'
        deleted: '2026-01-05T06:07:08Z'     # only where it is
        value: |
          -----BEGIN AGE ENCRYPTED FILE-----
          …
          -----END AGE ENCRYPTED FILE-----
      - version: '2'
        created: '2026-01-03T03:04:05Z'
        destroyed: '2026-01-05T06:07:08Z'   # in the place of a value that was removed for good

``destroyed_versions: '3'`` may follow the recipients: the highest version of any secret that was destroyed as a whole.

Names are sorted and a value that was not touched stays as it is, so a difference in version control shows what was
changed and nothing else. The encryption protects values, and that they belong to their name and version. It protects
neither names, times and marks nor the list of recipients, and does not tell who wrote a value or what was removed.
What vouches for the list is in ``asyncsecrets.providers.local_recipients``.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final, Literal, NoReturn

import yaml

from asyncsecrets import references
from asyncsecrets.boundary import configuring
from asyncsecrets.errors import ConfigError, DecodeError, UnsupportedOperationError
from asyncsecrets.secret import Payload
from asyncsecrets.yaml import load_strings

__all__ = [
    "Entry",
    "Recipient",
    "Store",
    "check_name",
    "check_storable",
    "is_recipient_name",
    "parse_store",
    "render_store",
    "render_within",
]

_FORMAT: Final = "asyncsecrets-local-1"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"

_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")
_TIME_TEXT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_RECIPIENT: Final = re.compile(r"age1[0-9a-z]{1,200}")
_RECIPIENT_NAME: Final = re.compile(r"(?!age1)[A-Za-z0-9](?:[A-Za-z0-9 _.@+/-]{0,62}[A-Za-z0-9])?")
_CIPHERTEXT: Final = re.compile(
    r"-----BEGIN AGE ENCRYPTED FILE-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END AGE ENCRYPTED FILE-----\n"
)

_INDENT: Final = 6  # bytes before each line of a value
_AROUND: Final = 66  # bytes, at least, of an entry's number and time

_HEADER: Final = """\
# Secrets of asyncsecrets. Names are readable, values are encrypted with age (https://age-encryption.org).
# Commit this file, review its changes as you review code, and keep the key out of the repository.
# Written by `asyncsecrets set`; comments of your own are not kept.
"""


def is_recipient_name(name: str) -> bool:
    """Whether a recipient can have this name: up to 64 ASCII letters, digits, blanks and ``_ . @ + / -``.

    The first and the last one are a letter or a digit, and it does not begin as a public key does.
    """
    return _RECIPIENT_NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Raise InvalidNameError unless a secret can have this name: here it can have any that is a name at all."""
    references.check_name(name, "local")


def check_storable(name: str, payload: Payload) -> None:
    """Raise InvalidNameError or DecodeError unless ``payload`` can be stored as ``name``."""
    check_name(name)
    if not isinstance(payload, str | bytes):
        raise DecodeError(f"local: the value for {name!r} is neither text nor bytes")
    if isinstance(payload, str) and any("\ud800" <= char <= "\udfff" for char in payload):
        raise DecodeError(f"local: the value for {name!r} is text that is not Unicode (a lone surrogate); store bytes")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who can read the store: a public key (``age1…``), and the name that people gave it, or none."""

    key: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.key})" if self.name else self.key


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a secret: its number, its times, and its ``value`` as armored ciphertext, empty if destroyed."""

    version: int
    created: datetime
    value: str
    deleted: datetime | None = None
    destroyed: datetime | None = None

    @property
    def state(self) -> Literal["enabled", "deleted", "destroyed"]:
        """What has become of it."""
        if self.destroyed:
            return "destroyed"
        return "deleted" if self.deleted else "enabled"

    @property
    def size(self) -> int:
        """About how many bytes it takes in the file, and not more than it does."""
        return len(self.value) + _INDENT * self.value.count("\n") + _AROUND

    def with_deleted(self, when: datetime | None) -> Entry:
        """This entry deleted at ``when``, or brought back; itself where that changes nothing, or it is destroyed."""
        changes = not self.destroyed and bool(self.deleted) != bool(when)
        return replace(self, deleted=when) if changes else self

    def with_destroyed(self, when: datetime) -> Entry:
        """This entry without its value; itself where it has none."""
        return self if self.destroyed else replace(self, value="", deleted=None, destroyed=when)


@dataclass(frozen=True, slots=True)
class Store:
    """What the file holds: ``recipients`` and, for each name, at least one entry, oldest first.

    No secret that was destroyed as a whole had a version above ``destroyed_versions``.
    """

    recipients: tuple[Recipient, ...]
    secrets: Mapping[str, tuple[Entry, ...]]
    destroyed_versions: int = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """The public keys that a value is encrypted to."""
        return tuple(recipient.key for recipient in self.recipients)

    @property
    def fingerprint(self) -> str:
        """What a value bears, encrypted, of the list that it was encrypted to; nothing where that is one key alone.

        128 bits of SHA-256 over the keys and names, in any order.
        """
        lines = sorted(f"{recipient.key} {recipient.name}\n" for recipient in self.recipients)
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:32] if lines[1:] else ""

    def entry(self, name: str, version: str | None = None) -> Entry | None:
        """The current entry, which may be deleted, or the one of exactly that version; None where there is none."""
        found = [entry for entry in self.secrets.get(name, ()) if version is None or str(entry.version) == version]
        return found[-1] if found else None

    def current(self, name: str) -> str:
        """The current version for a compare-and-set: ``"0"`` where there is none, or it is deleted or destroyed."""
        entry = self.entry(name)
        return str(entry.version) if entry is not None and entry.state == "enabled" else "0"

    def next_version(self, name: str) -> int:
        """The number of the next version: never one that a secret of that name has had, destroyed or not.

        A version that somebody has in hand for a compare-and-set, and a value in an earlier copy of the file, would
        else be taken for one of the new secret. One number for all names does not keep the names of what is gone.
        """
        last = self.entry(name)
        return (self.destroyed_versions if last is None else last.version) + 1

    def with_entry(self, name: str, entry: Entry, max_versions: int) -> Store:
        """This store with one more entry, and the newest ``max_versions`` of that name."""
        return replace(self, secrets={**self.secrets, name: (*self.secrets.get(name, ()), entry)[-max_versions:]})

    def with_fewer(self, excess: int) -> Store:
        """This store without old versions that take at least ``excess`` bytes of the file, or without any that is old.

        Each time the oldest goes of the secret whose old versions take the most: one large secret does not cost the
        small ones their history. The newest version of a secret, be it deleted, is never old.
        """
        kept = {name: list(entries) for name, entries in self.secrets.items()}
        heap = [(-sum(entry.size for entry in entries[:-1]), name) for name, entries in kept.items() if entries[1:]]
        heapq.heapify(heap)
        while excess > 0 and heap:
            old, name = heap[0]
            gone = kept[name].pop(0).size
            excess -= gone
            heapq.heapreplace(heap, (old + gone, name)) if kept[name][1:] else heapq.heappop(heap)
        return replace(self, secrets={name: tuple(entries) for name, entries in kept.items()})

    def with_changed(self, name: str, versions: Collection[str] | None, change: Callable[[Entry], Entry]) -> Store:
        """This store with ``change`` made to these versions of ``name`` (None: to the current one); itself where that
        changes nothing."""
        old = self.secrets.get(name, ())
        chosen = old[-1:] if versions is None else [entry for entry in old if str(entry.version) in versions]
        new = tuple(change(entry) if entry in chosen else entry for entry in old)
        return self if new == old else replace(self, secrets={**self.secrets, name: new})

    def without(self, name: str) -> Store:
        """This store without ``name``; itself where it is not there."""
        last = self.entry(name)
        if last is None:
            return self
        rest = {other: entries for other, entries in self.secrets.items() if other != name}
        return replace(self, secrets=rest, destroyed_versions=max(self.destroyed_versions, last.version))


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # whichever this PyYAML was built with
    """Writes texts of several lines as such."""


def _represent_text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def render_store(store: Store) -> bytes:
    """Return the file's bytes: equal stores are equal bytes."""
    document = {
        "format": _FORMAT,
        "recipients": [_rendered_recipient(recipient) for recipient in store.recipients],
        **({"destroyed_versions": str(store.destroyed_versions)} if store.destroyed_versions else {}),
        "secrets": {name: [_rendered(entry) for entry in store.secrets[name]] for name in sorted(store.secrets)},
    }
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=200)
    return (_HEADER + text).encode()


def render_within(store: Store, limit: int, *, origin: str) -> bytes:
    """Return at most ``limit`` bytes of the file, without the old versions that do not fit: see ``Store.with_fewer``.

    Raises UnsupportedOperationError with ``origin`` where the newest version of each secret is too much.
    """
    data = render_store(store)
    if len(data) > limit:
        data = render_store(store.with_fewer(len(data) - limit))
    if len(data) > limit:
        raise UnsupportedOperationError(
            f"local: {origin} cannot grow beyond {limit} bytes, and the newest version of each secret is more; "
            f"destroy secrets that are not needed, or keep large ones in another file"
        )
    return data


def _rendered_recipient(recipient: Recipient) -> str | dict[str, str]:
    return {"key": recipient.key, "name": recipient.name} if recipient.name else recipient.key


def _rendered(entry: Entry) -> dict[str, str]:
    rendered = {"version": str(entry.version), "created": entry.created.strftime(_TIME)}
    if entry.destroyed:
        return {**rendered, "destroyed": entry.destroyed.strftime(_TIME)}
    if entry.deleted:
        rendered["deleted"] = entry.deleted.strftime(_TIME)
    return {**rendered, "value": entry.value}


@configuring
def parse_store(data: bytes, *, origin: str) -> Store:
    """Read a file's bytes. Raises ConfigError with ``origin`` and the place; it never quotes the file beyond names."""
    return _Reader(origin).store(load_strings(data, origin=origin))


@dataclass(frozen=True, slots=True)
class _Reader:
    origin: str

    def store(self, document: Any) -> Store:
        fields = self._mapping(document, "the file", {"format", "recipients", "secrets"}, {"destroyed_versions"})
        if fields["format"] != _FORMAT:
            self._refuse(f"the format is not {_FORMAT}; a newer asyncsecrets may have written it")
        recipients = self._recipients(fields["recipients"])
        destroyed = fields.get("destroyed_versions", "0")
        if destroyed != "0" and not _matches(_VERSION, destroyed):
            self._refuse("destroyed_versions is not a number")
        return Store(recipients, self._secrets(fields["secrets"]), int(destroyed))

    def _recipients(self, recipients: Any) -> tuple[Recipient, ...]:
        if not isinstance(recipients, list) or not recipients:
            self._refuse("recipients is not a list of age public keys (age1…)")
        return tuple(self._recipient(recipient) for recipient in recipients)

    def _recipient(self, recipient: Any) -> Recipient:
        key, name = recipient, ""
        if isinstance(recipient, dict):
            fields = self._mapping(recipient, "a recipient", {"key", "name"})
            key, name = fields["key"], fields["name"]
            if not _matches(_RECIPIENT_NAME, name):
                self._refuse("the name of a recipient has characters that none can have")
        if not _matches(_RECIPIENT, key):
            self._refuse("recipients is not a list of age public keys (age1…)")
        return Recipient(key, name)

    def _secrets(self, secrets: Any) -> dict[str, tuple[Entry, ...]]:
        if secrets == "":  # nothing behind the key
            return {}
        if not isinstance(secrets, dict):
            self._refuse("secrets is not a mapping of names")
        return {name: self._entries(name, entries) for name, entries in secrets.items()}

    def _entries(self, name: str, entries: Any) -> tuple[Entry, ...]:
        if references.fault_of(name):
            self._refuse(f"{name[:80]!a} cannot name a secret")
        if not isinstance(entries, list) or not entries:
            self._refuse(f"{name!r} is not a list of versions")
        found = tuple(self._entry(name, entry) for entry in entries)
        if any(one.version >= next_one.version for one, next_one in pairwise(found)):
            self._refuse(f"the versions of {name!r} do not ascend; was the file merged?")
        return found

    def _entry(self, name: str, entry: Any) -> Entry:
        has_value = not (isinstance(entry, dict) and "destroyed" in entry)
        needed, optional = ({"value"}, {"deleted"}) if has_value else ({"destroyed"}, set())
        fields = self._mapping(entry, f"a version of {name!r}", {"version", "created", *needed}, optional)
        version = fields["version"]
        if not _matches(_VERSION, version):
            self._refuse(f"a version of {name!r} is not a number from 1")
        where = f"version {version} of {name!r}"
        if has_value and not _matches(_CIPHERTEXT, fields["value"]):
            self._refuse(f"the value of {where} is not an armored age file")
        times = {key: self._time(fields[key], where) for key in ("created", "deleted", "destroyed") if key in fields}
        return Entry(int(version), value=fields.get("value", ""), **times)

    def _time(self, text: Any, where: str) -> datetime:
        if _matches(_TIME_TEXT, text):
            try:
                return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
            except ValueError:
                pass  # such as month 13
        return self._refuse(f"a time of {where} is not like 2026-01-02T03:04:05Z")

    def _mapping(
        self, thing: Any, what: str, needed: set[str], optional: frozenset[str] | set[str] = frozenset()
    ) -> Any:
        if not isinstance(thing, dict) or not needed <= set(thing) <= needed | optional:
            self._refuse(f"{what} does not have the keys {', '.join(sorted(needed))} and no others")
        return thing

    def _refuse(self, problem: str) -> NoReturn:
        raise ConfigError(f"{self.origin}: {problem}; restore it from version control")


def _matches(pattern: re.Pattern[str], text: Any) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None
