"""Files as a provider needs them: read again when they change, replaced in one step, changed by one process at a time.

Everything here blocks, so it is for a thread.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Generic, TypeVar

from asyncsecrets.errors import ConfigError, UnsupportedOperationError

try:
    import fcntl
except ImportError:  # Windows, where everything else here works
    fcntl = None  # type: ignore[assignment]

__all__ = ["MAX_BYTES", "WatchedFile", "create_file", "make_folder", "read_regular", "replace_file", "try_locked"]

T = TypeVar("T")

MAX_BYTES: Final = 1024 * 1024
"""The largest file that is read, in bytes."""

_SETTLED: Final = 2_000_000_000  # ns; the coarsest file time still in use (FAT) counts in two seconds
_GROUP: Final = stat.S_IRWXG
_SHARED: Final = stat.S_IRGRP | stat.S_IWGRP
_ACCESS_LIST: Final = "system.posix_acl_access"
_NO_LOCKS: Final = frozenset(
    {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF}
)  # what flock(2) says where a file system or a server keeps none, such as NFS without its lock service

_Signature = tuple[int, int, int, int]


class WatchedFile(Generic[T]):
    """The content of one file. ``read`` may be called from several threads at once.

    ``parse`` makes the content of its bytes, and raises ConfigError for bytes that make no sense. ``check`` is called
    before the file is read, and raises what is against reading it. ``now`` is the wall clock in nanoseconds, to compare
    with the file's own time.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[bytes], T],
        *,
        check: Callable[[], None] = lambda: None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self._parse = parse
        self._check = check
        self._now = now
        self._lock = threading.Lock()
        self._known: tuple[_Signature, T] | None = None

    def read(self) -> T:
        """Return the file's content as it is now; an unchanged file costs one ``stat``.

        Raises ConfigError (``check``'s, ``parse``'s, or for what is not a file of at most ``MAX_BYTES``) and OSError.
        """
        with self._lock:
            found = self.path.stat()
            if self._known is not None and self._known[0] == _signature(found):
                return self._known[1]
            self._known = None
            self._check()
            content = self._parse(_contents(self.path, found))
            # Two writes within one tick of the file's clock look alike: what is so fresh is read again next time.
            if self._now() - found.st_mtime_ns > _SETTLED:
                self._known = _signature(found), content
            return content


def _signature(found: os.stat_result) -> _Signature:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_regular(path: Path) -> bytes:
    """Return a file's bytes. Raises ConfigError for what is not a file of at most ``MAX_BYTES``, and OSError."""
    return _contents(path, path.stat())


def _contents(path: Path, found: os.stat_result) -> bytes:
    if not stat.S_ISREG(found.st_mode):  # reading a pipe would block for ever
        raise ConfigError(f"{path} is not a regular file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES} bytes")
    return data


def make_folder(path: Path) -> None:
    """Make a folder that only its owner can enter, and those above it, unless they are there. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    _settle(path.parent)


def create_file(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read. It survives a loss of power from here on.

    On Linux it is complete from its first moment, and a process that is killed leaves nothing behind. Raises
    FileExistsError, and any other OSError; then there is no new file.
    """
    if not _create_at_once(path, data):
        _create_by_name(path, data)
    _settle(path.parent)


def _create_at_once(path: Path, data: bytes) -> bool:
    """Write a file that has no name, then give it one. Return False where that cannot be done: see open(2)."""
    try:
        descriptor = os.open(path.parent, getattr(os, "O_TMPFILE", 0) | os.O_WRONLY, 0o600)
    except OSError:  # without that flag, too: a folder cannot be written to
        return False
    with os.fdopen(descriptor, "wb") as file:
        _write(file, data)
        try:  # the folder's descriptor, though the path needs none, has Python follow the link of /proc to the file
            os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
        except FileExistsError:
            raise
        except OSError:
            return False
    return True


def _create_by_name(path: Path, data: bytes, like: Path | None = None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if like is not None:
                _make_like(descriptor, like)
            _write(file, data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def replace_file(path: Path, data: bytes, is_wanted: Callable[[], bool] = lambda: True) -> None:
    """Replace the content of the file that is at ``path``, so that readers see all of it or nothing.

    Its mode, its access control list and, as far as this user can give them, its owner and group stay: see
    ``_make_like``. ``is_wanted`` is asked once, when the new content is on the disk and only has to be given its name;
    if it is not, the old content stays. A symbolic link stays one: its target is replaced. The caller holds the file's
    lock, for the new content is written to one fixed name beside it, ``.NAME.new``: what a killed process left there is
    removed by the next one. Raises OSError; the old content is then still there.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        _create_by_name(temporary, data, like=path)
        if is_wanted():
            temporary.replace(path)
            _settle(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _make_like(descriptor: int, path: Path) -> None:
    """Give a new file what lets people use the one at ``path``: mode, access control list, owner and group.

    Only root gives a file to somebody else. Of one that a group shares the group and the mode are what counts, so it
    becomes the writer's. Raises PermissionError where somebody would be locked out. The descriptor, and never the new
    file's path, is changed: in a folder that others write, that may be a link by now.
    """
    if not hasattr(os, "fchown"):  # Windows, where a new file has the rights of its folder
        return
    old, new = path.stat(), os.fstat(descriptor)
    has_owner = new.st_uid == old.st_uid or _is_given(descriptor, old.st_uid, -1) or _is_shared(old)
    has_group = new.st_gid == old.st_gid or _is_given(descriptor, -1, old.st_gid) or not old.st_mode & _GROUP
    if not (has_owner and has_group):
        raise PermissionError(errno.EPERM, "the owner or group would change, and lock others out", str(path))
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    with suppress(AttributeError, OSError):  # most files have none, and not every system has them
        os.setxattr(descriptor, _ACCESS_LIST, os.getxattr(path, _ACCESS_LIST))


def _is_given(descriptor: int, uid: int, gid: int) -> bool:
    try:
        os.fchown(descriptor, uid, gid)
    except OSError:  # EPERM; EINVAL for an owner that the user namespace of a container does not know
        return False
    return True


def _is_shared(found: os.stat_result) -> bool:
    return found.st_mode & _SHARED == _SHARED


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """Have the names of a folder survive a loss of power, where its file system can do that."""
    with suppress(OSError):
        _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def try_locked(path: Path) -> Iterator[bool]:
    """Hold the lock of the file at ``path`` against other threads and processes, or yield False: somebody else does.

    It never waits: a thread that does is one that nobody else can use for as long as the holder likes. The lock is of a
    file beside it, which stays: removing it would let two processes hold two different ones. Whoever may write the file
    may hold its lock, and nobody else. A process that dies lets go. Raises OSError, and UnsupportedOperationError.
    """
    path = path.resolve()
    found = path.stat()
    descriptor = _open_lock(path.with_name(f".{path.name}.lock"))
    try:
        _share_lock(descriptor, found)
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    # NFS wants a lock's file open for writing. A link here is nobody's of ours.
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    with suppress(FileNotFoundError):
        return os.open(path, flags)  # not O_CREAT: Linux refuses that for another's file in a folder such as /tmp
    with suppress(FileExistsError):
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    return os.open(path, flags)


def _share_lock(descriptor: int, store: os.stat_result) -> None:
    """Have those who may write the file be able to hold its lock. Whose lock file it is mends one of an earlier day."""
    if not hasattr(os, "fchown"):
        return
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid() or found.st_nlink != 1:  # not ours to give, or another file's second name
        return
    group = stat.S_IRGRP | stat.S_IWGRP if store.st_mode & stat.S_IWGRP else 0
    others = stat.S_IROTH | stat.S_IWOTH if store.st_mode & stat.S_IWOTH else 0
    if found.st_gid != store.st_gid and not _is_given(descriptor, -1, store.st_gid):
        group = 0
    mode = stat.S_IRUSR | stat.S_IWUSR | group | others
    if stat.S_IMODE(found.st_mode) != mode:
        os.fchmod(descriptor, mode)
    if found.st_uid != store.st_uid:
        _is_given(descriptor, store.st_uid, -1)


def _lock(descriptor: int) -> bool:
    if fcntl is None:
        raise UnsupportedOperationError("this system has no file locks (flock), without which writes could be lost")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        problem = os.strerror(error.errno or 0)
    else:
        return True
    raise UnsupportedOperationError(
        f"this file system keeps no locks ({problem}), without which writes could be lost; "
        f"have NFS mounted with its locks, or keep the store on a local disk"
    )
