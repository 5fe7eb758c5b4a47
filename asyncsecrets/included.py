"""A configuration file and those that it includes, as one document: as LiteLLM puts them together.

``include`` is a list of files, each relative to the file that names it. A list of the included file is added to the
one that is there already; any other section takes the place of that which is there. A file is taken in once.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from asyncsecrets.errors import ConfigError
from asyncsecrets.journal import CONFIG, one_line, say
from asyncsecrets.yaml import MAX_BYTES, Own, load_strings

__all__ = ["MAX_FILES", "MAX_TOTAL", "OWN", "Merged", "read_document", "read_merged"]

MAX_FILES: Final = 100
"""The most files that one configuration has."""

MAX_TOTAL: Final = 4 * MAX_BYTES
"""The most bytes that they have together."""

OWN: Final[Own] = {
    "asyncsecrets": None,
    "general_settings": {"key_management_system": None, "key_management_settings": None},
}
"""What of a configuration is ours, and strict; the rest is other programs'."""


@dataclass(slots=True)
class Merged:
    """The sections of a configuration, and the file that each is from."""

    path: Path
    document: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Path] = field(default_factory=dict)

    def add(self, path: Path, document: dict[str, Any]) -> None:
        """Take in the sections of ``path``."""
        for key, value in document.items():
            old = self.document.get(key)
            if isinstance(old, list) and isinstance(value, list):
                self.document[key] = old + value
                continue
            if key in self.document:
                self._replaced(key, path, value)
            self.document[key], self.origins[key] = value, path

    def _replaced(self, key: str, path: Path, value: Any) -> None:
        """Nothing of ours goes in silence."""
        there = f"{path}: {key} takes the place of that in {self.origins[key]}, which includes it"
        if key == "asyncsecrets" or (key == "general_settings" and _leads(self.document[key]) and not _leads(value)):
            what = "the section" if key == "asyncsecrets" else "its key_management_system"
            raise ConfigError(f"{there}, and {what} would be lost; have all of it in one file")
        if isinstance(value, dict):
            say(CONFIG, logging.WARNING, "%s", one_line(there))


def _leads(general: Any) -> bool:
    return isinstance(general, dict) and "key_management_system" in general


def read_merged(path: Path, check: Callable[[Path], None] = lambda _: None, *, pipe: bool = True) -> Merged:
    """Read a file, which may be a ``pipe``, and those that it includes: after ``check`` of each. Blocks.

    Raises ConfigError, which names the file, and what ``check`` raises.
    """
    return _Reading(path, check, pipe=pipe).read()


class _Reading:
    def __init__(self, path: Path, check: Callable[[Path], None], *, pipe: bool) -> None:
        self._path = path
        self._pipe = pipe
        self._check = check
        self._ways: dict[str, set[str]] = {}
        self._left = MAX_TOTAL

    def read(self) -> Merged:
        merged = Merged(self._path)
        pending = list(self._take(self._path, merged))
        while pending:
            pending += self._include(*pending.pop(0), merged)
        return merged

    def _include(self, entry: str, by: Path, merged: Merged) -> list[tuple[str, Path]]:
        path = _place(entry, by, self._path)
        if not os.path.lexists(path):
            raise ConfigError(f"{by}: includes {entry[:200]!a}, and there is no file {path}")
        self._note(path, by)
        if _real(path) in self._ways:
            return []
        if len(self._ways) >= MAX_FILES:
            raise ConfigError(f"{by}: more than {MAX_FILES} files are included")
        self._check(path)
        return self._take(path, merged)

    def _note(self, path: Path, by: Path) -> None:
        """Raise ConfigError if ``path`` includes ``by``, by whatever way."""
        target, source = _real(path), _real(by)
        rest, seen = [target], set[str]()
        while rest:
            here = rest.pop()
            if here == source:
                raise ConfigError(f"{by}: includes {path}, which includes it; a file cannot include itself")
            if here not in seen:
                seen.add(here)
                rest += self._ways.get(here, ())
        self._ways[source].add(target)

    def _take(self, path: Path, merged: Merged) -> list[tuple[str, Path]]:
        self._ways[_real(path)] = set()
        data = _bytes(path, pipe=self._pipe and path is self._path)
        self._left -= len(data)
        if self._left < 0:
            raise ConfigError(f"{path}: with the files that are included these are more than {MAX_TOTAL} bytes")
        document = _mapping(path, data)
        entries = document.pop("include", [])
        if not (isinstance(entries, list) and all(isinstance(entry, str) and entry for entry in entries)):
            raise ConfigError(f"{path}: include must be a list of files")
        merged.add(path, document)
        return [(entry, path) for entry in entries]


def _place(entry: str, by: Path, root: Path) -> Path:
    """Where the file is: beside the one that includes it, or, as it once was, beside the first one of all."""
    path, beside_root = by.parent / entry, root.parent / entry
    if os.path.lexists(path) or not os.path.lexists(beside_root):
        return path
    say(CONFIG, logging.WARNING, "%s", one_line(f"{by}: {entry} is not beside it; {beside_root} is read"))
    return beside_root


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a NUL: reading it says so
        return str(path)


def read_document(path: Path) -> dict[str, Any]:
    """Read one file, which must be there and have a section. Raises ConfigError."""
    return _mapping(path, _bytes(path, pipe=False))


def _mapping(path: Path, data: bytes) -> dict[str, Any]:
    document = load_strings(data, origin=str(path), own=OWN)
    if document == "":
        raise ConfigError(f"{path}: the document is empty; write a section into it, or remove it")
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: the document must be a mapping")
    return document


def _bytes(path: Path, *, pipe: bool) -> bytes:
    try:
        mode = path.stat().st_mode
        if pipe or stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        problem = "it is not a regular file"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        problem = getattr(error, "strerror", None) or "not a path"
    raise ConfigError(f"{path}: cannot be read: {problem}")
