"""Which secret of a vault a name means, and when two names would mean one.

A vault has names of 1 to 127 ASCII letters, digits and hyphens, and takes capitals for small letters. A name of these
is itself. One with underscores too is asked for with hyphens in their place, ``AZURE_API_KEY`` as ``AZURE-API-KEY``. So
several of these plain names are spelled alike there. Which one a secret was created by here, its tag tells
(``documents.MARK``): no other one leads to it. To what was created elsewhere each of them leads.

Any other name is escaped, capitals and underscores included (``litellm/team_a`` as ``litellm-x2f-team-x5f-a``), so that
it meets no other one.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from asyncsecrets.errors import AsyncSecretsError, InvalidNameError
from asyncsecrets.providers.call import fault
from asyncsecrets.providers.escaped import Escaping
from asyncsecrets.references import check_name, fault_of

__all__ = ["SYSTEM", "Place", "is_name", "is_version", "listed", "marked", "may_be_same", "place_of", "spellings"]

E = TypeVar("E", bound=AsyncSecretsError)

SYSTEM: Final = "azure_key_vault"

_LONGEST: Final = 127
_PLAIN: Final = re.compile(r"[0-9A-Za-z_-]{1,127}", re.ASCII)
_VERSION: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ADDRESS: Final = re.compile(r"https?://", re.IGNORECASE)
_ESCAPING: Final = Escaping(string.ascii_lowercase + string.digits + "-", caseless=True)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the secret ``name`` is: what it is called in the vault, and whether other names are ``shared`` with it
    there."""

    name: str
    spelled: str
    shared: bool

    def error(self, kind: type[E], text: str, **facts: Any) -> E:
        """An error of class ``kind`` about the secret, with ``facts`` that such an error tells."""
        return fault(kind, SYSTEM, self.name, text, **facts)

    @property
    def key(self) -> str:
        """The same for all names that are spelled alike, whatever their case."""
        return self.spelled.lower()


def place_of(name: str) -> Place:
    """Where the secret is. Raises InvalidNameError for what names none."""
    check_name(name, SYSTEM)
    found = _place(name)
    if found is None:
        raise _refusal(name)
    return found


def is_name(name: str) -> bool:
    """Whether a secret can have this name."""
    return not fault_of(name) and _place(name) is not None


def _place(name: str) -> Place | None:
    if _ADDRESS.match(name):
        return None
    hyphenated = name.replace("_", "-")
    if _PLAIN.fullmatch(name) and _escaped(hyphenated) is None:
        return Place(name, hyphenated, shared=True)
    spelled = _ESCAPING.encode(name)
    return Place(name, spelled, shared=False) if len(spelled) <= _LONGEST else None


def _escaped(spelled: str) -> str | None:
    """The name that is escaped so; None where none is, as in ``app-x86-key``."""
    found = _ESCAPING.decode(spelled)
    return None if found is None or found == spelled.lower() or fault_of(found) else found


def marked(key: str, mark: object) -> str | None:
    """``mark``, if it is one of the names that are spelled as ``key``."""
    place = _place(mark) if isinstance(mark, str) and not fault_of(mark) else None
    return place.name if place is not None and place.shared and place.key == key else None


def listed(spelled: str, mark: object) -> str:
    """The name of a secret that is called ``spelled`` in the vault, and ``mark`` by its tag, if it has one."""
    return marked(spelled.lower(), mark) or _escaped(spelled) or spelled


def may_be_same(name: str, other: str) -> bool:
    """Whether two names may be of one secret."""
    return name == other or bool(spellings(name) & spellings(other))


def spellings(name: str) -> frozenset[str]:
    """What else the secret may be called: two names that may be of one secret have one of these in common."""
    place = None if fault_of(name) else _place(name)
    return frozenset({name} if place is None or not place.shared else {place.key})


def is_version(version: str) -> bool:
    """Whether a version can be called so."""
    return _VERSION.fullmatch(version) is not None


def _refusal(name: str) -> InvalidNameError:
    remedy = (
        f"a vault has {_LONGEST} characters for a name; beside letters, digits, - and _ others take two for each byte, "
        "and three more for those in a row, and so do capitals and _ then"
    )
    if _ADDRESS.match(name):
        remedy = "give the name alone; the vault is azure_key_vault_uri, and a version is asked for by itself"
    return InvalidNameError(f"{SYSTEM}: {name[:600]!a} cannot name a secret: {remedy}", provider=SYSTEM, name=name)
