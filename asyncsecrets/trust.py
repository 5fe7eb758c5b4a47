"""Whether a file that nobody named may be obeyed: only if nobody but this user and root could have written it.

A program that names no configuration takes what lies in the folder it is started in. That folder may be a download,
a shared disk or ``/tmp``. So such a file is judged as ssh judges its own (``StrictModes`` of sshd, ``safe_path``), and
refused as git refuses the folder of another (``safe.directory``): by the owner and mode of the file, and of every
folder and symbolic link on the way to it, because who can write a folder can replace what is in it.

A file that is named, by an argument or a variable, is somebody's word and is not judged. Where files have no owner and
mode (Windows) nothing is.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asyncsecrets.errors import ConfigError

__all__ = ["FoundFile", "UsualFile", "check_found", "is_personal"]

_ROOT: Final = 0
_MAX_LINKS: Final = 40  # what Linux follows

Lstat = Callable[[Path], os.stat_result]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """The path of a file that nobody named. ``remedy`` says how it is named, for who trusts it all the same."""

    path: str | os.PathLike[str]
    remedy: str

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def check(self) -> None:
        """As ``check_found``."""
        check_found(self.path, self.remedy)


class UsualFile(FoundFile):
    """A file that is looked for where it usually is, and may be meant for other programs: its mistakes stop nobody."""

    __slots__ = ()


def check_found(path: str | os.PathLike[str], remedy: str, *, uid: int | None = None, lstat: Lstat = os.lstat) -> None:
    """Raise ConfigError, which says whose the file is and what to do, if others than ``uid`` and root could write it.

    ``uid`` is by default the effective user of this process. Look before you read: what is judged well can be replaced
    by nobody else. Blocks. Raises OSError where something on the way is not there or may not be looked at.
    """
    if not hasattr(os, "geteuid"):
        return
    me = os.geteuid() if uid is None else uid
    for place, found in _way(Path(path).absolute(), lstat):
        if fault := _fault(place, found, me):
            raise ConfigError(f"{os.fspath(path)}: nobody named this file, and others can write it: {fault}; {remedy}")


def is_personal(path: str | Path, folder: Path, home: Path) -> bool:
    """Whether a file outside of ``folder`` is the user's own: in ``home``, or of a process. Links are followed.

    Tools keep their credentials there, and ``/proc/self/environ`` is the environment. ``~/.vault-token`` is Vault's.
    """
    try:
        file, home, folder = Path(path).expanduser().resolve(), home.resolve(), folder.resolve()
    except (OSError, RuntimeError, ValueError):  # a circle of links, no home, a NUL
        return True
    if file.is_relative_to(folder) or file == home / ".vault-token":
        return False
    places = [Path("/proc"), Path("/run/user"), *([home] if home != Path(home.anchor) else [])]
    return any(file.is_relative_to(place) for place in places)


def _way(path: Path, lstat: Lstat) -> Iterator[tuple[Path, os.stat_result]]:
    """Every folder and link that the system passes on the way to ``path``, and the file that it comes to."""
    here, rest, links = Path(path.anchor), list(reversed(path.parts[1:])), 0
    yield here, lstat(here)
    while rest:
        place = here.parent if (part := rest.pop()) == ".." else here / part
        found = lstat(place)
        yield place, found
        if not stat.S_ISLNK(found.st_mode):
            here = place
            continue
        if (links := links + 1) > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = Path(os.readlink(place))  # noqa: PTH115  # readlink() of a path is the same, one object more
        here = Path(target.anchor) if target.is_absolute() else here
        rest += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def _fault(place: Path, found: os.stat_result, me: int) -> str:
    """What lets others write here, and the command that ends it; nothing if nothing does."""
    if found.st_uid not in {me, _ROOT}:
        # To be given what is a user's own is no remedy for root: it would lock that user out.
        remedy = f"run: chown {me} {place}" if me != _ROOT else "run this as that user"
        return f"{place} belongs to {_user(found.st_uid)} ({remedy})"
    # A link is as good as the folder it is in. In a sticky folder only the owner of an entry replaces it.
    if stat.S_ISLNK(found.st_mode) or (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
        return ""
    whose = f"{place} of {_user(found.st_uid)}"
    if found.st_mode & stat.S_IWOTH:
        return f"{whose} can be written by everybody (run: chmod go-w {place})"
    if found.st_mode & stat.S_IWGRP and not (_is_private(found.st_gid, found.st_uid) and not _has_list(place)):
        return f"{whose} can be written by the group {_group(found.st_gid)} (run: chmod g-w {place})"
    return ""


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415  # not on Windows

    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _group(gid: int) -> str:
    import grp  # noqa: PLC0415

    try:
        return f"{grp.getgrgid(gid).gr_name} (gid {gid})"
    except KeyError:
        return f"gid {gid}"


def _is_private(gid: int, uid: int) -> bool:
    """Whether this is the group of ``uid`` alone, of the same name, which systems with umask 002 give every user."""
    import grp  # noqa: PLC0415
    import pwd  # noqa: PLC0415

    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and not set(group.gr_mem) - {user.pw_name}


def _has_list(place: Path) -> bool:
    """Whether there is an access control list, by which the group's bits stand for anybody."""
    try:
        return "system.posix_acl_access" in os.listxattr(place)
    except (AttributeError, OSError):  # not Linux, or a file system without attributes
        return False
