"""A file that several people use: owners, groups, modes, access lists, and whose its lock is."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import tempfile
from pathlib import Path

import pytest

from asyncsecrets.errors import UnsupportedOperationError
from asyncsecrets.providers import files
from asyncsecrets.providers.files import replace_file, try_locked

ROOT = os.geteuid() == 0
ALICE, BOB, TEAM, STRANGERS = 61001, 61002, 62000, 62001

only_root = pytest.mark.skipif(not ROOT, reason="only root can give files to others, and act as them")


@contextlib.contextmanager
def acting_as(uid, gid):
    """Be somebody else for a while."""
    groups, own = os.getgroups(), os.getegid()
    os.setgroups([gid])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(own)
        os.setgroups(groups)


@pytest.fixture
def store():
    """A file in a folder that everybody can enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "store"
        path.write_bytes(b"canary-old")
        yield path


def give(path, uid, gid, mode):
    os.chown(path, uid, gid)
    path.chmod(mode)


def rights(path):
    found = path.stat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def lock_of(path):
    return path.with_name(f".{path.name}.lock")


def write(path, data=b"canary-new"):
    with try_locked(path) as is_ours:
        assert is_ours
        replace_file(path, data)


@only_root
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660, 0o644])
def test_a_write_by_root_leaves_the_owner(store, mode):
    """Root's write changes the content and not whose the file is; nor is its lock out of the owner's reach."""
    give(store.parent, ALICE, TEAM, 0o700)
    give(store, ALICE, TEAM, mode)
    write(store)
    assert rights(store) == (ALICE, TEAM, mode)
    with acting_as(ALICE, TEAM):
        write(store, b"canary-alice")
        assert store.read_bytes() == b"canary-alice"
    write(store)
    assert rights(store) == (ALICE, TEAM, mode)


@only_root
@pytest.mark.parametrize("lock", [None, 0o600], ids=["new lock", "lock of an earlier version"])
def test_a_group_shares(store, lock):
    """Each member of the group reads and writes, whoever was first; nobody else does, nor can anybody hold the lock."""
    give(store.parent, 0, TEAM, 0o2775)
    give(store, 0, TEAM, 0o660)
    if lock is not None:
        lock_of(store).touch(mode=lock)
        write(store)
    for user in (ALICE, BOB, ALICE):
        with acting_as(user, TEAM):
            write(store)
        assert rights(store)[1:] == (TEAM, 0o660)
    assert rights(lock_of(store))[1:] == (TEAM, 0o660)
    with acting_as(BOB, STRANGERS), pytest.raises(PermissionError), try_locked(store):
        pass


@only_root
def test_a_write_that_would_lock_its_owner_out(store):
    """Who may write the folder but cannot keep owner and group leaves the file as it was."""
    give(store.parent, 0, 0, 0o777)
    for uid, gid, mode in ((ALICE, TEAM, 0o644), (ALICE, TEAM, 0o664), (0, 0, 0o660)):
        give(store, uid, gid, mode)
        with acting_as(BOB, STRANGERS), pytest.raises(PermissionError) as caught:
            replace_file(store, b"canary-new")
        assert caught.value.filename == str(store)
        assert rights(store) == (uid, gid, mode)
        assert store.read_bytes() == b"canary-old"
        assert [file.name for file in store.parent.iterdir()] == ["store"]


def test_an_owner_that_cannot_be_given(store, monkeypatch):
    """In a container whose user namespace does not know the owner, root too is told instead of locking him out."""
    found, real = store.stat(), os.fstat
    monkeypatch.setattr(files.os, "fchown", lambda *_: (_ for _ in ()).throw(OSError(errno.EINVAL, "Invalid argument")))
    monkeypatch.setattr(
        files.os, "fstat", lambda descriptor: os.stat_result([*real(descriptor)[:4], found.st_uid + 1, *found[5:10]])
    )
    store.chmod(0o640)
    with pytest.raises(PermissionError):
        replace_file(store, b"canary-new")
    assert store.read_bytes() == b"canary-old"
    store.chmod(0o660)
    replace_file(store, b"canary-new")
    assert store.read_bytes() == b"canary-new"


def test_an_access_list_stays(store):
    """What ``setfacl`` gave to others is still theirs after a write."""
    entries = [(1, 6, 2**32 - 1), (2, 6, ALICE), (4, 4, 2**32 - 1), (16, 6, 2**32 - 1), (32, 0, 2**32 - 1)]
    given = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(store, "system.posix_acl_access", given)
    except (AttributeError, OSError):
        pytest.skip("this file system has no access control lists")
    write(store)
    assert os.getxattr(store, "system.posix_acl_access") == given


@pytest.mark.parametrize(("mode", "lock"), [(0o600, 0o600), (0o640, 0o600), (0o660, 0o660), (0o664, 0o660)])
def test_who_may_hold_the_lock(store, mode, lock):
    """Who may write the file, and nobody else: who holds it keeps the others from writing."""
    store.chmod(mode)
    write(store)
    assert rights(lock_of(store))[2] == lock


def test_a_lock_that_leads_elsewhere(store):
    """A link at the lock's name is not followed, and a second name of another file is not given to the group."""
    store.chmod(0o660)
    other = store.with_name("other")
    other.touch(mode=0o600)
    lock_of(store).symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"), try_locked(store):
        pass
    lock_of(store).unlink()
    lock_of(store).hardlink_to(other)
    with try_locked(store):
        assert rights(other)[2] == 0o600


def test_a_lock_that_another_makes_meanwhile(store, monkeypatch):
    """Who comes second takes the first one's lock file."""
    real = os.open

    def late(path, flags, *mode):
        if flags & os.O_EXCL:
            lock_of(store).touch()
        return real(path, flags, *mode)

    monkeypatch.setattr(files.os, "open", late)
    with try_locked(store) as is_ours, try_locked(store) as is_ours_too:
        assert (is_ours, is_ours_too) == (True, False)


@pytest.mark.parametrize("code", ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EBADF"])
def test_a_file_system_without_locks(store, monkeypatch, code):
    """It is said, and never taken for a lock that is held, or for one that is ours."""

    def refuse(*_):
        raise OSError(getattr(errno, code), "no")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with pytest.raises(UnsupportedOperationError, match=r"keeps no locks .* NFS"), try_locked(store):
        pass
    assert store.read_bytes() == b"canary-old"


def test_a_lock_that_fails_for_now(store, monkeypatch):
    """A server that does not answer is another thing than one without locks."""

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files.fcntl, "flock", fail)
    with pytest.raises(OSError, match="Input/output error"), try_locked(store):
        pass
