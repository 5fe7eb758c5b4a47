"""Files that are watched, replaced and locked."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading

import pytest

from asyncsecrets.errors import ConfigError
from asyncsecrets.providers import files
from asyncsecrets.providers.files import (
    MAX_BYTES,
    WatchedFile,
    create_file,
    make_folder,
    read_regular,
    replace_file,
    try_locked,
)

SECOND = 1_000_000_000


@pytest.fixture
def path(tmp_path):
    """A file that was written long ago."""
    path = tmp_path / "file"
    write(path, b"canary-a")
    return path


def write(path, data, at=1_700_000_000):
    path.write_bytes(data)
    os.utime(path, (at, at))


class Parsed:
    """A parse function that counts."""

    count = 0

    def __call__(self, data):
        self.count += 1
        if data == b"damaged":
            raise ConfigError("damaged")
        return data.decode()


def test_unchanged_file_is_parsed_once(path):
    """A file that is left alone is parsed once, however often it is read."""
    parsed = Parsed()
    watched = WatchedFile(path, parsed)
    assert [watched.read() for _ in range(3)] == ["canary-a"] * 3
    assert parsed.count == 1


@pytest.mark.parametrize("change", ["size", "time", "same size and time", "replaced"])
def test_changed_file_is_parsed_again(path, change):
    """A change is seen whatever of the file it leaves the same: even its size and its time set back."""
    watched = WatchedFile(path, Parsed())
    assert watched.read() == "canary-a"
    if change == "size":
        write(path, b"canary-longer")
    if change == "time":
        write(path, b"canary-b", at=1_700_000_001)
    if change == "same size and time":
        write(path, b"canary-b")
    if change == "replaced":
        write(path.with_name("new"), b"canary-b")
        path.with_name("new").replace(path)
    assert watched.read() == ("canary-longer" if change == "size" else "canary-b")


def test_fresh_file_is_not_trusted(path):
    """Within the two seconds in which a coarse clock could hide a second write, the file is parsed at each read."""
    now = path.stat().st_mtime_ns + 2 * SECOND
    parsed = Parsed()
    watched = WatchedFile(path, parsed, now=lambda: now)
    watched.read()
    watched.read()
    assert parsed.count == 2
    now += 1
    watched.read()
    watched.read()
    assert parsed.count == 3


def test_file_from_the_future_is_not_trusted(path):
    """A file whose time is ahead of the clock is parsed at each read."""
    parsed = Parsed()
    watched = WatchedFile(path, parsed, now=lambda: 0)
    watched.read()
    watched.read()
    assert parsed.count == 2


def test_damage_is_not_remembered_nor_hidden(path):
    """A damaged file raises at each read, the content from before does not come back, and a mended file is read."""
    watched = WatchedFile(path, Parsed())
    watched.read()
    write(path, b"damaged")
    for _ in range(2):
        with pytest.raises(ConfigError):
            watched.read()
    write(path, b"canary-b")
    assert watched.read() == "canary-b"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        watched.read()


def test_size_limit(path):
    """A file of exactly the limit is read, one byte more is refused."""
    path.write_bytes(b"x" * MAX_BYTES)
    assert len(read_regular(path)) == MAX_BYTES
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        read_regular(path)


def test_only_regular_files(tmp_path):
    """A folder, a device and a pipe are refused at once."""
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe", tmp_path.__class__("/dev/null")):
        with pytest.raises(ConfigError, match="not a regular file"):
            read_regular(odd)


@pytest.fixture(params=["without a name first", "by its name"])
def way(request, monkeypatch):
    """Both ways to make a file: the second is for systems and file systems that cannot do the first."""
    if request.param == "by its name":
        monkeypatch.delattr(files.os, "O_TMPFILE", raising=False)
    return request.param


@pytest.mark.usefixtures("way")
def test_create_is_exclusive_and_private(tmp_path):
    """A new file is its owner's alone whatever the umask, and an existing one is never written over."""
    old = os.umask(0)
    try:
        create_file(tmp_path / "new", b"canary")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "new", b"other")
    assert (tmp_path / "new").read_bytes() == b"canary"
    assert [file.name for file in tmp_path.iterdir()] == ["new"]


@pytest.mark.usefixtures("way")
def test_failed_creation_leaves_nothing(tmp_path, monkeypatch):
    """A file that could not be written to the disk is not there."""

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        create_file(tmp_path / "new", b"canary")
    assert list(tmp_path.iterdir()) == []


def test_file_system_that_gives_no_names_later(tmp_path, monkeypatch):
    """Where a file cannot be given its name afterwards, it is made by its name."""

    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(files.os, "link", refuse)
    create_file(tmp_path / "new", b"canary")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"canary"]


@pytest.fixture
def synced(monkeypatch):
    """The inodes that were synced, in order, and ``rename`` where a file took another's place."""
    events = []
    fsync, replace = os.fsync, files.Path.replace
    monkeypatch.setattr(
        files.os, "fsync", lambda descriptor: events.append(os.fstat(descriptor).st_ino) or fsync(descriptor)
    )
    monkeypatch.setattr(files.Path, "replace", lambda path, target: events.append("rename") or replace(path, target))
    return events


@pytest.mark.usefixtures("way")
def test_what_survives_a_loss_of_power(tmp_path, synced):
    """A file is on the disk before its name is, each folder that was made is named there, and the same for a change."""
    folder = tmp_path / "a" / "b"
    make_folder(folder)
    assert synced == [tmp_path.stat().st_ino, folder.parent.stat().st_ino]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    make_folder(folder)
    assert len(synced) == 2
    create_file(folder / "new", b"canary")
    assert synced[2:] == [(folder / "new").stat().st_ino, folder.stat().st_ino]
    replace_file(folder / "new", b"canary-b")
    assert synced[4:] == [(folder / "new").stat().st_ino, "rename", folder.stat().st_ino]


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from asyncsecrets.providers import files

    def killed(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    os.link = os.replace = os.rename = killed
    getattr(files, sys.argv[1])(Path(sys.argv[2]), b"canary-lost")
"""


def killed_within(function, path):
    """Have another process begin, and be killed just before the file would get its name."""
    code = textwrap.dedent(KILLED)
    outcome = subprocess.run([sys.executable, "-c", code, function, str(path)], check=False, timeout=60)
    assert outcome.returncode == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="this system has no files without a name")
def test_process_that_is_killed_as_it_creates(tmp_path):
    """It leaves nothing, neither half a file nor a temporary one."""
    killed_within("create_file", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_process_that_is_killed_as_it_replaces(path):
    """The old content stays; what was begun is removed by the next one, and is never taken for the file."""
    for _ in range(2):
        killed_within("replace_file", path)
        assert path.read_bytes() == b"canary-a"
        assert sorted(file.name for file in path.parent.iterdir()) == [".file.new", "file"]
    replace_file(path, b"canary-b")
    assert path.read_bytes() == b"canary-b"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["symbolic link", "hard link"])
def test_leftover_that_leads_elsewhere(path, kind):
    """Nothing is written through what lies at the temporary file's name."""
    other = path.with_name("other")
    write(other, b"canary-other")
    trap = path.with_name(".file.new")
    trap.symlink_to(other) if kind == "symbolic link" else trap.hardlink_to(other)
    replace_file(path, b"canary-b")
    assert (path.read_bytes(), other.read_bytes()) == (b"canary-b", b"canary-other")
    assert not path.is_symlink()


def test_readers_see_all_or_nothing(path):
    """While a file is replaced again and again, every read is of one whole content."""
    contents = {bytes([letter]) * 50_000 for letter in b"abc"}
    replace_file(path, b"a" * 50_000)
    done = threading.Event()

    def replace():
        for content in sorted(contents) * 20:
            replace_file(path, content)
        done.set()

    thread = threading.Thread(target=replace)
    thread.start()
    while not done.is_set():
        assert path.read_bytes() in contents
    thread.join()


@pytest.mark.parametrize("step", ["fsync", "fchmod", "replace"])
def test_failed_replacement_changes_nothing(path, monkeypatch, step):
    """Whatever step fails, the old content is there and no other file is."""

    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files.Path if step == "replace" else files.os, step, fail)
    with pytest.raises(OSError, match="Input/output error"):
        replace_file(path, b"canary-b")
    monkeypatch.undo()
    assert path.read_bytes() == b"canary-a"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_replacement_that_is_not_wanted_any_more(path):
    """It is asked when the new content is there; then the old one stays, and nothing else."""
    seen = []
    replace_file(path, b"canary-b", lambda: seen.append(path.with_name(".file.new").read_bytes()))
    assert seen == [b"canary-b"]
    assert path.read_bytes() == b"canary-a"
    assert list(path.parent.iterdir()) == [path]


def test_folder_that_cannot_be_synced(path, monkeypatch):
    """The content is in place when the folder is synced; a file system that cannot do that is no failure."""

    def fail(_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(files, "_sync", fail)
    replace_file(path, b"canary-b")
    assert path.read_bytes() == b"canary-b"


def test_lock_excludes(path):
    """One holder at a time, also through a symbolic link; the other is told so at once."""
    link = path.with_name("link")
    link.symlink_to(path)
    with try_locked(path) as is_ours, try_locked(link) as is_ours_too:
        assert (is_ours, is_ours_too) == (True, False)


def test_lock_is_released(path):
    """The lock is free again after an error, and its file is its owner's alone."""
    with pytest.raises(ZeroDivisionError), try_locked(path):
        raise ZeroDivisionError
    with try_locked(path) as is_ours:
        assert is_ours
        assert stat.S_IMODE(path.with_name(".file.lock").stat().st_mode) == 0o600
