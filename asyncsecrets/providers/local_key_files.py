"""Where the keys of the local store come from: a text, a file that is named, or the one that ``init`` makes."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from asyncsecrets.boundary import afresh, configuring
from asyncsecrets.credential import Credential, shown_path
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.files import create_file, make_folder, read_regular
from asyncsecrets.providers.local_keys import Keys
from asyncsecrets.trust import check_found

__all__ = ["KeySource", "default_key_file", "read_key_file", "write_key_file"]

_GIVEN: Final = "the key that was given (local_key or ASYNCSECRETS_KEY)"
_GROUP_READS: Final = stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP


class KeySource:
    """What a provider was given: ``key``, a text; else ``key_file``; else ``usual``, a file that need not be there."""

    def __init__(self, key: Credential[str] | None, key_file: Path | None, usual: Path | None) -> None:
        self._key = key
        self._key_file = key_file
        self.usual = usual

    def read(self) -> Keys:
        """The keys; none where nothing was given. Blocks. Raises ConfigError, MissingDependencyError."""
        if self._key is not None:
            return Keys(self._key.reveal(), origin=_GIVEN)
        path = self._key_file
        if path is None and self.usual is not None and self.usual.exists():
            path = self.usual
            check_found(path, "or name it, if you trust it: ASYNCSECRETS_KEY_FILE")
        return Keys() if path is None else Keys(read_key_file(path), origin=f"the key file {path}")

    def again(self, known: Keys) -> Keys:
        """The keys as they are now, where a file may have been changed since; ``known`` where it is of no use now."""
        try:
            return self.read()
        except ConfigError:
            return known


@configuring
def default_key_file(environ: Mapping[str, str]) -> Path:
    """``ASYNCSECRETS_KEY_FILE``, else ``asyncsecrets/key.txt`` in the user's configuration folder (XDG)."""
    if given := environ.get("ASYNCSECRETS_KEY_FILE"):
        return Path(given)
    base = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or Path.home()) / ".config"
    return Path(base) / "asyncsecrets" / "key.txt"


@afresh
def read_key_file(path: Path) -> str:
    """Return a key file's text. Raises ConfigError if it is not there, or others than its owner can read it.

    Its group may read it where that is somebody else's decision: the file is on a read-only mount, as a Kubernetes
    secret is, or root's and this user is another (PostgreSQL's rule for its key files).
    """
    try:
        found = path.stat()
        data = read_regular(path) if stat.S_ISREG(found.st_mode) else None
        is_read_only = _is_read_only(path)
    except OSError as error:
        problem = os.strerror(error.errno or 0)
    else:
        if data is None:  # a pipe, as shells make it of <(command), can be read once only, and may never end
            raise ConfigError(f"local: the key file {path} is not a regular file; give its text by ASYNCSECRETS_KEY")
        if _is_exposed(found, is_read_only=is_read_only):
            remedy = "mount it with mode 0440 or 0400 (defaultMode)" if is_read_only else f"run: chmod 600 {path}"
            raise ConfigError(f"local: the key file {path} can be read by others than its owner; {remedy}")
        return _decoded(data)
    raise ConfigError(f"local: the key file {shown_path(str(path))} cannot be read: {problem}")


def _is_exposed(found: os.stat_result, *, is_read_only: bool) -> bool:
    mode = stat.S_IMODE(found.st_mode)
    if not mode & (stat.S_IRWXG | stat.S_IRWXO) or not hasattr(os, "geteuid"):  # Windows has no such modes
        return False
    return bool(mode & ~_GROUP_READS) or not (is_read_only or found.st_uid == 0 != os.geteuid())


def _is_read_only(path: Path) -> bool:
    return hasattr(os, "statvfs") and bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _decoded(data: bytes) -> str:
    """Text as editors and shells leave it: those of Windows begin it with a mark, and may write UTF-16."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if utf16 else "utf-8-sig", "replace")  # what is not text is not a key either


@afresh
def write_key_file(path: str | Path, secret: str, public: str, *, now: datetime | None = None) -> None:
    """Write a new key file that only its owner can read, and its folder where it is not there.

    Both survive a loss of power from here on, so that a store that is made next never outlives its key. Raises
    ConfigError if there is a key file already, and OSError.
    """
    created = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"# created: {created}\n# public key: {public}\n{secret}\n"
    make_folder(Path(path).parent)
    try:
        return create_file(Path(path), text.encode())
    except FileExistsError:
        pass
    raise ConfigError(f"local: {path} is there already, and a key is never replaced; choose another file")
