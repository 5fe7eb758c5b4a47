"""The two key/value stores, without HTTP: `VersionedStore` (KV v2) and `FlatStore` (KV v1).

Rules as OpenBao 2.6 follows them: a version number never comes back, a soft-deleted secret keeps its number for
compare-and-set, ``max_versions`` prunes on write, ``delete_version_after`` sets a deletion time in the future.
Times are seconds since the epoch and always arguments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from asyncsecrets.testing.vault_server._model import Refused, multi_error, through_floats

DEFAULT_MAX_VERSIONS = 10


@dataclass(slots=True)
class Version:
    """One version of a secret. ``deleted_at`` may lie in the future; then the version still reads."""

    data: dict[str, Any] | None = field(repr=False)
    created: float
    deleted_at: float | None = None
    destroyed: bool = False
    path: str = ""  # exactly as written

    def readable(self, now: float) -> bool:
        return not self.destroyed and not self.deleted(now)

    def deleted(self, now: float) -> bool:
        return self.deleted_at is not None and self.deleted_at <= now


@dataclass(slots=True)
class Settings:
    """What a mount and a secret can both say; 0 is "not set", ``delete_version_after`` is in seconds (-1: never)."""

    max_versions: int = 0
    cas_required: bool = False
    metadata_cas_required: bool = False
    delete_version_after: int = 0


@dataclass(slots=True)
class Entry:
    """A secret: its versions by number, and its metadata."""

    created: float
    updated: float
    settings: Settings = field(default_factory=Settings)
    versions: dict[int, Version] = field(default_factory=dict, repr=False)
    current: int = 0
    oldest: int = 0
    metadata_version: int = 0
    custom_metadata: dict[str, str] | None = None

    @property
    def latest(self) -> Version | None:
        return self.versions.get(self.current)


class VersionedStore:
    """KV v2 of one mount."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.entries: dict[str, Entry] = {}

    def find(self, path: str, version: int = 0) -> tuple[Entry, int, Version] | None:
        """The version asked for; 0 and less mean the latest. None if there is no such secret or version."""
        entry = self.entries.get(clean(path))
        if entry is None:
            return None
        number = version if version > 0 else entry.current
        found = entry.versions.get(number)
        return None if found is None else (entry, number, found)

    def write(self, path: str, data: dict[str, Any] | None, options: dict[str, Any], now: float) -> Entry:
        """Append a version.

        Raises:
            Refused: 400, compare-and-set was required, malformed or lost.
        """
        entry = self.entries.get(clean(path)) or Entry(now, now)
        self.check_cas(entry, options)
        self._append(entry, path, through_floats(data), now)
        self.entries[clean(path)] = entry
        return entry

    def check_data(self, path: str, version: Version, now: float) -> None:
        """The real server finds metadata by the cleaned path and data by the path as sent; where the two differ (a
        trailing slash), it finds the one and misses the other.

        Raises:
            Refused: 500, the version was written by another spelling of the path.
        """
        if version.readable(now) and version.path != path:
            raise Refused(500, multi_error("could not find version data"))

    def check_cas(self, entry: Entry, options: dict[str, Any]) -> None:
        if "cas" in options:
            given = str(int(options["cas"]) if isinstance(options["cas"], bool) else options["cas"] or 0)
            if not re.fullmatch(r"[+-]?[0-9]{1,18}", given):
                raise Refused(400, "error parsing check-and-set parameter")
            if int(given) != entry.current:
                raise Refused(400, "check-and-set parameter did not match the current version")
        elif self.settings.cas_required or entry.settings.cas_required:
            raise Refused(400, "check-and-set parameter required for this call")

    def patch(self, path: str, changes: dict[str, Any] | None, options: dict[str, Any], now: float) -> Entry | None:
        """Merge ``changes`` (RFC 7396) into the latest version as a new one; None if there is nothing to patch."""
        entry = self.entries.get(clean(path))
        if entry is None:
            return None
        self.check_cas(entry, options)
        latest = entry.latest
        if latest is None or not latest.readable(now):
            return None
        if latest.data is None:
            raise Refused(500, multi_error("resource does not exist"))
        self._append(entry, path, through_floats(merge_patch(latest.data, changes)), now)
        return entry

    def _append(self, entry: Entry, path: str, data: dict[str, Any] | None, now: float) -> None:
        entry.current += 1
        entry.versions[entry.current] = Version(data, now, self._deletion_time(entry, now), path=path)
        entry.updated = now
        keep = max(entry.settings.max_versions, self.settings.max_versions) or DEFAULT_MAX_VERSIONS
        if entry.current - entry.oldest >= keep:
            entry.oldest = entry.current - keep + 1
            entry.versions = {number: kept for number, kept in entry.versions.items() if number >= entry.oldest}

    def _deletion_time(self, entry: Entry, now: float) -> float | None:
        limits = [self.settings.delete_version_after, entry.settings.delete_version_after]
        if limits[0] < 0:
            return None
        set_limits = [limit for limit in limits if limit > 0]
        return now + min(set_limits) if set_limits else None

    def delete_latest(self, path: str, now: float) -> None:
        entry = self.entries.get(clean(path))
        if entry is not None:
            self.delete(path, [entry.current], now)

    def delete(self, path: str, numbers: list[int], now: float) -> None:
        """Soft-delete; what is not there is left alone."""
        for version in self._present(path, numbers):
            if not version.deleted(now):
                version.deleted_at = now

    def undelete(self, path: str, numbers: list[int], now: float) -> None:
        for version in self._present(path, numbers):
            version.deleted_at = self._deletion_time(self.entries[clean(path)], now)

    def destroy(self, path: str, numbers: list[int]) -> None:
        """Throw the data away for good; the numbers stay."""
        for version in self._present(path, numbers):
            version.destroyed, version.data = True, None

    def _present(self, path: str, numbers: list[int]) -> list[Version]:
        entry = self.entries.get(clean(path))
        found = (entry.versions.get(number) for number in numbers) if entry else ()
        return [version for version in found if version is not None and not version.destroyed]

    def list(self, folder: str) -> list[str]:
        return children(self.entries, folder)


class FlatStore:
    """KV v1 of one mount: a path, an object."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}

    def list(self, folder: str) -> list[str]:
        return children(self.entries, folder)


def clean(path: str) -> str:
    """The path under which metadata live: no doubled slashes, none at either end."""
    return "/".join(segment for segment in path.split("/") if segment)


def children(paths: dict[str, Any], folder: str) -> list[str]:
    """The names directly under ``folder``, sorted; a name that is itself a folder ends in a slash."""
    prefix = folder.rstrip("/") + "/" if folder.strip("/") else ""
    found = set()
    for path in paths:
        if path.startswith(prefix) and path != prefix:
            head, slash, _ = path[len(prefix) :].partition("/")
            found.add(head + slash)
    return sorted(found)


def merge_patch(target: Any, changes: Any) -> Any:
    """JSON merge patch: null removes, an object merges, anything else replaces."""
    if not isinstance(changes, dict):
        return changes
    merged = dict(target) if isinstance(target, dict) else {}
    for key, change in changes.items():
        if change is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), change)
    return merged


def subkeys(data: dict[str, Any], depth: int, level: int = 1) -> dict[str, Any]:
    """``data`` with every value replaced by null; ``depth`` 0 goes all the way down."""
    return {
        key: subkeys(value, depth, level + 1)
        if isinstance(value, dict) and value and (depth == 0 or level + 1 <= depth)
        else None
        for key, value in data.items()
    }
