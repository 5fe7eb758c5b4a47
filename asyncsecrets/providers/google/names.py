"""What Secret Manager can be asked for: names, resource names, version numbers and aliases.

The grammars are allowlists and are checked before anything is sent. Source: the API reference of Secret Manager
(``CreateSecretRequest.secret_id``, ``Secret.version_aliases``) and that of Resource Manager (project ids and numbers).
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field
from typing import Final

from asyncsecrets.errors import InvalidNameError
from asyncsecrets.providers.escaped import Escaping
from asyncsecrets.providers.google.settings import PROJECT
from asyncsecrets.references import check_name, fault_of

__all__ = ["LATEST", "SYSTEM", "Names", "Target", "is_number", "may_be_same_project", "version_word"]

SYSTEM: Final = "google_secret_manager"

LATEST: Final = "latest"
"""The alias of the version that was added last, as far as the one who answers knows."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_RESOURCE: Final = re.compile(
    rf"projects/(?P<project>{PROJECT.pattern})"
    r"(?:/locations/(?P<location>[a-z0-9-]{1,63}))?/secrets/(?P<id>[A-Za-z0-9_-]{1,255})"
)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}")
_ALIAS: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_MARK: Final = "projects/"
_ESCAPING: Final = Escaping(string.ascii_letters + string.digits + "_-")


def version_word(version: str | None) -> str | None:
    """How ``version`` is called in a resource name: ``latest``, a number or an alias. None: no version is called so."""
    if version is None:
        return LATEST
    return version if _NUMBER.fullmatch(version) or _ALIAS.fullmatch(version) else None


def is_number(version: str) -> bool:
    """Whether a version can have this number."""
    return _NUMBER.fullmatch(version) is not None


@dataclass(slots=True)  # not frozen: each read makes one, and that would take three times as long
class Target:
    """The secret ``name``: its ``project`` (an id or a number; empty: that of the credentials), location, id, and its
    resource name. Never changed."""

    name: str
    project: str
    location: str
    id: str
    resource: str = field(init=False)

    def __post_init__(self) -> None:
        self.resource = f"{self.parent}/secrets/{self.id}"

    @property
    def parent(self) -> str:
        """What it is in."""
        return parent_of(self.project, self.location)

    def version(self, word: str) -> str:
        """The resource name of one of its versions."""
        return f"{self.resource}/versions/{word}"

    def is_called(self, resource: str) -> bool:
        """Whether ``resource`` may name it: Google answers with a project's number where it was asked by the id."""
        found = _RESOURCE.fullmatch(resource)
        if found is None or (found["location"] or "", found["id"]) != (self.location, self.id):
            return False
        return may_be_same_project(found["project"], self.project)


def parent_of(project: str, location: str) -> str:
    """What the secrets of a project, or of one of its locations, are in."""
    return f"projects/{project}" + (f"/locations/{location}" if location else "")


def may_be_same_project(project: str, other: str) -> bool:
    """Whether both may be one project: of an id and a number nobody knows."""
    return project == other or project.isdecimal() != other.isdecimal()


class Names:
    """The names of a source whose own secrets are of ``project`` (empty: that of the credentials) and ``location``."""

    def __init__(self, project: str, location: str) -> None:
        self._project = project
        self._location = location

    def target(self, name: str) -> Target:
        """The secret that is meant. Raises InvalidNameError for what names none."""
        check_name(name, SYSTEM)
        found = self._named(name)
        if found is None:
            raise _refusal(name)
        return found

    def has(self, name: str) -> bool:
        """Whether a secret can have this name."""
        return self._target(name) is not None

    def _target(self, name: str) -> Target | None:
        return None if fault_of(name) else self._named(name)

    def _named(self, name: str) -> Target | None:
        if not name.startswith(_MARK):
            spelled = _ESCAPING.encode(name)
            return Target(name, self._project, self._location, spelled) if _ID.fullmatch(spelled) else None
        found = _RESOURCE.fullmatch(name)
        return Target(name, found["project"], found["location"] or "", found["id"]) if found else None

    def listed(self, project: str, found: str) -> str:
        """The name of a secret of ours that has the id ``found``: the plain one, or else its resource name."""
        return self._plain(found) or f"{parent_of(project, self._location)}/secrets/{found}"

    def filter(self, prefix: str) -> str:
        """A filter of a list that leaves in whatever has a name which begins with ``prefix``.

        Source: Google's guide, "Filter lists of secrets": ``name:`` finds a part of the id.
        """
        if not prefix or _MARK.startswith(prefix) or prefix.startswith(_MARK):  # resource names, which begin so, too
            return ""
        beginning = _ESCAPING.beginning(prefix)
        return f'name:"{beginning}"' if beginning else ""

    def spellings(self, name: str) -> frozenset[str]:
        """What else the secret may be called here: two names that may be of one secret have one of these in common.

        A resource name of another project's number may be one of ours: nobody knows our number.
        """
        target = self._target(name)
        if target is None or not name.startswith(_MARK):
            return frozenset({name})
        spelled = {target.resource}
        if target.location == self._location and (
            not self._project or may_be_same_project(target.project, self._project)
        ):
            spelled.add(self._plain(target.id) or f"{_MARK}/secrets/{target.id}")
        return frozenset(spelled)

    def may_be_same(self, name: str, other: str) -> bool:
        """Whether two names may be of one secret. It errs by saying yes."""
        return name == other or bool(self.spellings(name) & self.spellings(other))

    def _plain(self, found: str) -> str | None:
        """The plain name that is spelled ``found``, or None."""
        name = _ESCAPING.decode(found)
        return name if name is not None and not name.startswith(_MARK) and self.has(name) else None


def _refusal(name: str) -> InvalidNameError:
    remedy = _RESOURCES if name.startswith(_MARK) else _PLAIN
    return InvalidNameError(f"{SYSTEM}: {name[:600]!a} cannot name a secret: {remedy}", provider=SYSTEM, name=name)


_PLAIN: Final = (
    "a plain name has at most 255 characters; for others than letters, digits, _ and - each byte takes two, and those "
    "in a row take three more"
)
_RESOURCES: Final = (
    "a resource name is projects/P/secrets/ID or projects/P/locations/L/secrets/ID; a version is asked for by itself, "
    "version='7'"
)
