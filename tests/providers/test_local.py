"""LocalProvider: the conformance suite, keys, the file's life, tampering, and several processes."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pyrage
import pytest
import yaml

from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    ClosedError,
    ConfigError,
    ConflictError,
    DecodeError,
    IntegrityError,
    InvalidNameError,
    MalformedResponseError,
    MissingDependencyError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers import files
from asyncsecrets.providers.base import Lister, VersionLister, Writer
from asyncsecrets.providers.local import LocalProvider, generate_key, init_store, write_key_file
from asyncsecrets.secret import Payload
from asyncsecrets.testing.conformance import FAULTS, UNUSUAL_NAMES, ProviderConformance, ProviderHarness
from tests.providers.local_support import (
    NOW,
    OTHER_PUBLIC,
    OTHER_SECRET,
    PUBLIC,
    SECRET,
    load,
    opened,
    opened_by_hand,
    save,
    sealed,
)


def identity(path):
    """What differs after a file was written again; the inode alone may be used again."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


class LocalHarness(ProviderHarness):
    """Writes the file by hand, in place, with another YAML layout than the provider's."""

    unsupported: Mapping[str, str] = dict.fromkeys(FAULTS, "a file has no wire that could fail")
    accepts = UNUSUAL_NAMES

    def __init__(self, path: Path) -> None:
        init_store(path, PUBLIC)
        self.path = path
        self.provider = LocalProvider(path, key=SECRET)

    async def seed(self, name: str, value: Payload) -> str:
        document = load(self.path)
        entries = document["secrets"].setdefault(name, [])
        version = str(len(entries) + 1)
        created = "2026-01-02T03:04:05Z"
        entries.append({"version": version, "created": created, "value": sealed(name, version, value)})
        save(self.path, document)
        return version

    async def remove(self, name: str) -> None:
        document = load(self.path)
        del document["secrets"][name]
        save(self.path, document)


class TestConformance(ProviderConformance):
    """The contract of every provider."""

    @pytest.fixture
    def harness(self, tmp_path):
        """A provider on an empty store."""
        return LocalHarness(tmp_path / "secrets.yaml")


def test_capabilities():
    """It writes, lists names and lists versions; constructing it touches no file."""
    provider = LocalProvider("/nowhere/secrets.yaml")
    assert isinstance(provider, Writer)
    assert isinstance(provider, Lister)
    assert isinstance(provider, VersionLister)
    assert repr(provider) == "LocalProvider('/nowhere/secrets.yaml')"


# The file


def test_new_store(path):
    """A new store is readable by its owner only, empty, and never replaces another."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(path) == {"format": "asyncsecrets-local-1", "recipients": [PUBLIC], "secrets": {}}
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        init_store(path, OTHER_PUBLIC)
    assert path.read_bytes() == before


async def test_new_store_with_secrets(tmp_path):
    """A store can begin with secrets, as ``put`` would write them; one of them that cannot be stored leaves no file."""
    init_store(tmp_path / "begun", PUBLIC, {"A": "canary-a", "B": b"canary-\xff"}, now=lambda: NOW)
    init_store(tmp_path / "put", PUBLIC)
    begun = await opened(tmp_path / "begun", key=SECRET)
    other = await opened(tmp_path / "put", key=SECRET, now=lambda: NOW)
    for name in ("A", "B"):
        secret = await begun.get(name)
        await other.put(name, secret.reveal() if name == "A" else secret.reveal_bytes())
        assert await begun.versions(name) == await other.versions(name)
        assert (await other.get(name)).equals(secret)
    for secrets, error in (({"a\nb": "canary"}, InvalidNameError), ({"A": "canary\ud800"}, DecodeError)):
        with pytest.raises(error):
            init_store(tmp_path / "none", PUBLIC, secrets)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "recipient", ["", "age1canary", SECRET, "ssh-ed25519 AAAA"], ids=["empty", "broken", "secret", "ssh"]
)
def test_new_store_refuses_what_is_no_public_key(tmp_path, recipient):
    """A store is made for a public key only; a secret key given by mistake is not repeated, and no file is left."""
    with pytest.raises(ConfigError, match="not an age public key") as caught:
        init_store(tmp_path / "secrets.yaml", recipient)
    assert caught.value.__context__ is None
    assert list(tmp_path.iterdir()) == []


async def test_layout(local, path):
    """The file has readable names, sorted, and for each version its number, time and armored ciphertext."""
    await local.put("b/two", "canary-two")
    await local.put("A_ONE", "canary-one")
    document = load(path)
    assert list(document["secrets"]) == ["A_ONE", "b/two"]
    entry = document["secrets"]["A_ONE"][0]
    assert (entry["version"], entry["created"]) == ("1", "2026-01-02T03:04:05Z")
    assert opened_by_hand(path, "A_ONE") == b'["asyncsecrets-local-1", "A_ONE", 1, "text"]\ncanary-one'
    text = path.read_text()
    assert "\n  A_ONE:\n  - version: '1'\n" in text
    assert "canary" not in text


async def test_changes_are_local(local, path):
    """A write changes the lines of its secret and no others: a difference in version control is what was done."""
    for name in ("A", "B", "C"):
        await local.put(name, f"canary-{name}")
    before = path.read_text().splitlines()
    await local.put("B", "canary-new")
    after = path.read_text().splitlines()
    start = before.index("  C:")
    assert before[:start] == after[:start]
    assert before[start:] == after[len(after) - (len(before) - start) :]
    assert after[start] == "  - version: '2'"


async def test_nothing_to_do_leaves_the_file_alone(local, path):
    """A delete of what is not there, or is deleted, does not rewrite the file."""
    await local.put("NAME", "canary")
    await local.delete("NAME")
    before = identity(path)
    await local.delete("NAME")
    await local.delete("OTHER")
    assert identity(path) == before


async def test_mode_and_link_are_kept(path, tmp_path):
    """A write keeps the file's mode, and the symbolic link through which it was reached."""
    path.chmod(0o640)
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.yaml"
    link.symlink_to(path)
    local = await opened(link, key=SECRET)
    await local.put("NAME", "canary")
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert "NAME" in path.read_text()


async def test_no_file_is_left_behind(local, path, monkeypatch):
    """Beside the store there is its lock file and nothing else, also after a write that failed half-way."""

    def full(_):
        raise OSError(28, "No space left on device")

    await local.put("NAME", "canary-old")
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(UnavailableError, match="No space left"):
            await local.put("NAME", "canary-new")
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == [".secrets.yaml.lock", "secrets.yaml"]
    assert (await local.get("NAME")).equals("canary-old")


async def test_store_has_a_limit(local, path):
    """What would make the file too large to be read, with every old version gone, is refused and changes nothing."""
    await local.put("NAME", "canary-old")
    await local.put("NAME", "canary-small")
    before = path.read_bytes()
    with pytest.raises(UnsupportedOperationError, match=r"cannot grow beyond .* destroy secrets"):
        await local.put("LARGE", "canary" + "x" * files.MAX_BYTES)
    assert path.read_bytes() == before


NAMES = ["true", "null", "123", "1e3", "2026-01-02", "a:b", "x" * 1024, "x/../y", "_", "<<", "=", "? a", "-a", "# a"]


@pytest.mark.parametrize("name", NAMES)
async def test_names_that_yaml_might_convert(local, path, name):
    """A name is the same text in the file, whatever YAML would make of it unquoted."""
    await local.put(name, "canary")
    assert await local.list() == [name]
    assert list(yaml.safe_load(path.read_text())["secrets"]) == [name]
    assert (await local.get(name)).equals("canary")


@pytest.mark.parametrize("name", ["", " ", "a\n", "x" * 1025, "a\u200bb", "a\x00", "\ud800", "\u202ea"])
async def test_names_that_are_refused(local, path, name):
    """What cannot be a name anywhere is refused by every operation, with the file untouched."""
    before = identity(path)
    for call in (
        local.get(name),
        local.put(name, "canary"),
        local.delete(name),
        local.delete_versions(name, ["1"]),
        local.restore(name),
        local.destroy(name),
        local.versions(name),
    ):
        with pytest.raises(InvalidNameError):
            await call
    assert identity(path) == before


# Versions


async def test_deleted_and_restored(local, path):
    """A deleted secret says so, keeps its older versions readable, is not listed, and comes back as it was."""
    await local.put("NAME", "canary-first")
    await local.put("NAME", "canary-second")
    await local.delete("NAME")
    with pytest.raises(SecretNotFoundError, match="is deleted in") as caught:
        await local.get("NAME")
    assert caught.value.reason == "deleted"
    assert load(path)["secrets"]["NAME"][1]["deleted"] == "2026-01-02T03:04:05Z"
    assert (await local.get("NAME", "1")).equals("canary-first")
    assert await local.list() == []
    assert [(info.version, info.state) for info in await local.versions("NAME")] == [("1", "enabled"), ("2", "deleted")]
    await local.restore("NAME")
    secret = await local.get("NAME")
    assert secret.equals("canary-second")
    assert secret.created == NOW.replace(microsecond=0)


async def test_versions_deleted_restored_and_destroyed(local, path):
    """One by one, whatever is current; the file has no value of what is destroyed, and its number is not used again."""
    for number in (1, 2, 3):
        await local.put("NAME", f"canary-{number}")
    await local.delete_versions("NAME", ["1", "2", "9"])
    await local.destroy("NAME", ["3"])
    for gone in ("3", "9"):
        with pytest.raises(SecretNotFoundError, match=f"version '{gone}'"):
            await local.restore("NAME", ["2", gone])
    await local.restore("NAME", ["2"])
    assert [info.state for info in await local.versions("NAME")] == ["deleted", "enabled", "destroyed"]
    assert set(load(path)["secrets"]["NAME"][2]) == {"version", "created", "destroyed"}
    assert (await local.get("NAME", "2")).equals("canary-2")
    with pytest.raises(SecretNotFoundError, match="is destroyed in") as caught:
        await local.get("NAME")
    assert caught.value.reason == "destroyed"
    assert await local.list() == []
    assert (await local.put("NAME", "canary-4", cas="0")).version == "4"


async def test_destroyed_as_a_whole(local, path):
    """Nothing of it stays in the file; again, it is no error; and there is nothing to restore."""
    await local.put("NAME", "canary")
    await local.delete("NAME")
    await local.destroy("NAME")
    await local.destroy("NAME")
    assert load(path)["secrets"] in ({}, None)
    for versions in (None, ["1"]):
        with pytest.raises(SecretNotFoundError) as caught:
            await local.restore("NAME", versions)
        assert caught.value.reason == "absent"


async def test_numbers_of_a_secret_that_was_destroyed_are_not_used_again(local, path):
    """A version that somebody read of the old secret does not fit the new one; one number in the file sees to it."""
    for number in (1, 2, 3):
        stale = (await local.put("NAME", f"canary-{number}")).version
    await local.put("OTHER", "canary")
    await local.destroy("OTHER")
    await local.destroy("NAME")
    assert "NAME" not in path.read_text()
    assert (await local.put("NAME", "canary-new", cas="0")).version == "4"
    with pytest.raises(ConflictError):
        await local.put("NAME", "canary-late", cas=stale)
    assert (await local.put("NAME", "canary-newer", cas="4")).version == "5"
    await local.destroy("NAME")
    assert (await local.put("NAME", "canary-again")).version == "6"
    assert load(path)["destroyed_versions"] == "5"


async def test_without_a_key_the_file_for_it_is_named(path, tmp_path):
    """What was written without a key cannot be read; the message says where the key is looked for."""
    usual = tmp_path / "key.txt"
    local = await opened(path, usual_key_file=usual)
    await local.put("NAME", "canary")
    with pytest.raises(AuthenticationError, match="ASYNCSECRETS_KEY_FILE") as caught:
        await local.get("NAME")
    assert str(usual) in str(caught.value)


async def test_oldest_versions_go(path):
    """The newest versions are kept, as many as asked for, and their numbers go on."""
    local = LocalProvider.from_settings({"local_file": str(path), "local_key": SECRET, "local_max_versions": "2"}, {})
    await local.open()
    for number in range(1, 5):
        await local.put("NAME", f"canary-{number}")
    assert [info.version for info in await local.versions("NAME")] == ["3", "4"]
    with pytest.raises(SecretNotFoundError):
        await local.get("NAME", "2")
    with pytest.raises(ConfigError):
        LocalProvider(path, max_versions=0)


async def test_version_text_is_exact(local):
    """Text that is not exactly a version's number is an absent version."""
    await local.put("NAME", "canary")
    for version in ("", "0", "01", " 1", "1.0", "\uff11"):
        with pytest.raises(SecretNotFoundError):
            await local.get("NAME", version)


async def test_text_that_is_not_unicode(local):
    """Text with a lone surrogate cannot be encrypted, and its error does not hold it."""
    with pytest.raises(DecodeError) as caught:
        await local.put("NAME", "canary\ud800")
    assert caught.value.__context__ is None


# Keys


async def test_generated_keys():
    """A generated key is an age key, and another one each time."""
    secret, public = generate_key()
    assert secret.startswith("AGE-SECRET-KEY-1")
    assert str(pyrage.x25519.Identity.from_str(secret).to_public()) == public
    assert generate_key() != (secret, public)


async def test_key_file(path, tmp_path):
    """A written key file is its owner's alone, opens the store, and is never replaced."""
    key_file = tmp_path / "key.txt"
    write_key_file(key_file, SECRET, PUBLIC, now=NOW)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert key_file.read_text() == f"# created: 2026-01-02T03:04:05Z\n# public key: {PUBLIC}\n{SECRET}\n"
    local = await opened(path, key_file=key_file)
    await local.put("NAME", "canary")
    assert (await local.get("NAME")).equals("canary")
    with pytest.raises(ConfigError, match="never replaced") as caught:
        write_key_file(key_file, OTHER_SECRET, OTHER_PUBLIC)
    assert caught.value.__context__ is None
    assert SECRET in key_file.read_text()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o610])
async def test_key_file_that_others_can_read(path, tmp_path, mode):
    """A key file that is not its owner's alone is refused, with the command that mends it."""
    key_file = tmp_path / "key.txt"
    write_key_file(key_file, SECRET, PUBLIC)
    key_file.chmod(mode)
    with pytest.raises(ConfigError, match=r"chmod 600 .*key\.txt"):
        await opened(path, key_file=key_file)


def written_key(tmp_path, data, mode=0o600):
    key_file = tmp_path / "key.txt"
    key_file.write_bytes(data)
    key_file.chmod(mode)
    return key_file


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + f"# made by an editor\r\n{SECRET}\r\n".encode(),
        f"# made by a shell\r\n{SECRET}\r\n".encode("utf-16"),
        f"\n\n  {SECRET} \t \n\n".encode(),
        f"{SECRET}  # alice\r".encode(),
        f"  # two\n{OTHER_SECRET}\n{SECRET}".encode(),
    ],
    ids=["byte order mark and CRLF", "UTF-16", "blanks", "a comment behind it", "two keys"],
)
async def test_key_file_as_editors_leave_it(local, path, tmp_path, data):
    """Marks, line ends, blanks and comments around a key change nothing; nor do they in the environment's variable."""
    await local.put("NAME", "canary")
    by_file = await opened(path, key_file=written_key(tmp_path, data))
    assert (await by_file.get("NAME")).equals("canary")
    text = data.decode("utf-16" if data.startswith(b"\xff\xfe") else "utf-8")
    by_variable = LocalProvider.from_settings({"local_file": str(path)}, {"ASYNCSECRETS_KEY": text})
    await by_variable.open()
    assert (await by_variable.get("NAME")).equals("canary")


@pytest.mark.parametrize(
    ("mode", "read_only", "owner", "accepted"),
    [
        (0o440, True, 0, True),
        (0o440, True, 1000, True),
        (0o640, True, 0, True),
        (0o440, False, 0, True),
        (0o640, False, 0, True),
        (0o440, False, 1000, False),
        (0o444, True, 0, False),
        (0o460, True, 0, False),
        (0o450, True, 0, False),
        (0o404, True, 0, False),
        (0o644, False, 0, False),
    ],
)
async def test_key_file_that_a_group_can_read(path, tmp_path, monkeypatch, mode, read_only, owner, accepted):
    """By somebody else's decision, and not by accident: on a read-only mount, or root's while we are another user."""
    key_file = written_key(tmp_path, SECRET.encode(), mode)
    real = Path.stat

    def given(place, **options):
        found = real(place, **options)
        return os.stat_result([*found[:4], owner, *found[5:10]]) if place == key_file else found

    monkeypatch.setattr(Path, "stat", given)
    monkeypatch.setattr("asyncsecrets.providers.local_key_files.os.geteuid", lambda: 1000)
    monkeypatch.setattr("asyncsecrets.providers.local_key_files._is_read_only", lambda _: read_only)
    if accepted:
        assert (await opened(path, key_file=key_file))._keys
        return
    remedy = r"mount it with mode 0440" if read_only else r"chmod 600 .*key\.txt"
    with pytest.raises(ConfigError, match=remedy):
        await opened(path, key_file=key_file)


async def test_key_behind_links(path, tmp_path):
    """Whose a key is and who can read it is asked of the file that links lead to."""
    (tmp_path / "..data").mkdir()
    key_file = written_key(tmp_path / "..data", SECRET.encode())
    (tmp_path / "link").symlink_to(key_file)
    await opened(path, key_file=tmp_path / "link")
    key_file.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        await opened(path, key_file=tmp_path / "link")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        pytest.param(PUBLIC, "a public key", id="public"),
        ("-----BEGIN AGE ENCRYPTED FILE-----", "encrypted with a passphrase"),
        ("AGE-PLUGIN-CANARY-1QQ", "an age plugin"),
        ("ssh-ed25519 AAAA", "a key of ssh"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a key of ssh"),
    ],
)
async def test_key_of_another_kind(path, line, hint):
    """What it is instead is said, where that can be told by how it begins."""
    with pytest.raises(ConfigError, match=f"is not an age secret key .*; it is .*{hint}"):
        await opened(path, key=line)


@pytest.mark.parametrize(
    "text",
    [b"canary", b"AGE-SECRET-KEY-1CANARY", b"\xff\xfecanary", PUBLIC.encode()],
    ids=["word", "broken", "bytes", "public"],
)
async def test_key_that_is_none(path, tmp_path, text):
    """Text that is no key is refused by where it is from, without repeating it."""
    key_file = tmp_path / "key.txt"
    key_file.write_bytes(text)
    key_file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"the key file .*key\.txt is not an age secret key") as caught:
        await opened(path, key_file=key_file)
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value).replace(str(key_file), "").lower()


async def test_key_file_that_is_not_there(path, tmp_path):
    """A missing key file is a ConfigError that names it."""
    with pytest.raises(ConfigError, match=r"nowhere' cannot be read: No such file"):
        await opened(path, key_file=tmp_path / "nowhere")


async def test_writing_needs_no_key(path):
    """Without a key a secret can be written, listed and deleted; reading it says what is missing."""
    writer = await opened(path)
    await writer.put("NAME", "canary")
    assert await writer.list() == ["NAME"]
    assert len(await writer.versions("NAME")) == 1
    with pytest.raises(AuthenticationError, match="set ASYNCSECRETS_KEY or ASYNCSECRETS_KEY_FILE"):
        await writer.get("NAME")
    assert (await (await opened(path, key=SECRET)).get("NAME")).equals("canary")
    await writer.delete("NAME")
    assert await writer.list() == []


async def test_wrong_key(local, path):
    """A key that is not the store's can neither read nor write it, and the error names its public half."""
    await local.put("NAME", "canary")
    other = await opened(path, key=OTHER_SECRET)
    for call in (other.get("NAME"), other.put("NAME", "canary-lost")):
        with pytest.raises(AuthenticationError, match=f"this key is of {OTHER_PUBLIC}, which is not among") as caught:
            await call
        assert caught.value.__context__ is None
        assert OTHER_SECRET not in str(caught.value)
    assert len(await local.versions("NAME")) == 1


async def test_several_recipients_and_keys(local, path):
    """A value is for the recipients of the time it was written; several keys are tried in turn."""
    await local.put("OLD", "canary-old")
    document = load(path)
    document["recipients"].append(OTHER_PUBLIC)
    save(path, document)
    await local.put("NEW", "canary-new")
    other = await opened(path, key=OTHER_SECRET)
    assert (await other.get("NEW")).equals("canary-new")
    with pytest.raises(AuthenticationError, match="before this key was a recipient"):
        await other.get("OLD")
    both = await opened(path, key=f"# two keys\n{OTHER_SECRET}\n\n{SECRET}\n")
    assert (await both.get("OLD")).equals("canary-old")


async def test_bad_recipient_in_the_file(local, path):
    """A recipient that is no public key fails the write, which writes nothing."""
    document = load(path)
    document["recipients"].append("age1canary")
    save(path, document)
    with pytest.raises(MalformedResponseError, match="not an age public key"):
        await local.put("NAME", "canary")
    assert await local.list() == []


async def test_key_is_forgotten_on_close(local):
    """A closed provider holds no key any more."""
    await local.aclose()
    assert local._keys is None
    with pytest.raises(ClosedError):
        await local.restore("NAME")


async def test_missing_package(path, monkeypatch):
    """Without pyrage the opening names the extra and the command; nothing of the import error rides along."""
    monkeypatch.setitem(sys.modules, "pyrage", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "asyncsecrets\[local\]"') as caught:
        await opened(path, key=SECRET)
    assert caught.value.extra == "local"
    assert caught.value.__context__ is None


def test_import_is_lazy():
    """Importing the provider imports no encryption library."""
    code = "import sys, asyncsecrets.providers.local; print('pyrage' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


async def test_from_settings(path, tmp_path):
    """The settings win over the environment, a key of either kind over any key there."""
    await (await opened(path)).put("NAME", "canary")
    write_key_file(tmp_path / "key", SECRET, PUBLIC)
    environ = {"ASYNCSECRETS_FILE": str(path), "ASYNCSECRETS_KEY": SECRET}
    wrong = {"ASYNCSECRETS_FILE": "/nowhere", "ASYNCSECRETS_KEY": OTHER_SECRET}
    for settings, variables in [
        ({}, environ),
        ({"local_file": str(path), "local_key": SECRET}, wrong),
        ({"local_file": str(path), "local_key_file": str(tmp_path / "key")}, wrong),
        ({"local_file": str(path)}, {"ASYNCSECRETS_KEY_FILE": str(tmp_path / "key"), "ASYNCSECRETS_KEY": ""}),
        ({"local_file": str(path)}, {"ASYNCSECRETS_KEY_FILE": f"{tmp_path / 'key'}\r\n", "ASYNCSECRETS_KEY": "\n"}),
    ]:
        local = LocalProvider.from_settings(settings, variables)
        await local.open()
        assert (await local.get("NAME")).equals("canary")
    assert LocalProvider.from_settings({}, {}).path == LocalProvider().path == Path("secrets.yaml")


# Tampering and damage


async def test_moved_ciphertext(local, path):
    """A ciphertext that is moved to another name or version is refused, wherever it came from."""
    await local.put("ADMIN", "canary-admin")
    await local.put("GUEST", "canary-guest")
    await local.put("GUEST", "canary-guest-second")
    good = load(path)
    admin = good["secrets"]["ADMIN"][0]["value"]
    first = good["secrets"]["GUEST"][0]["value"]
    for moved in (admin, first):
        document = load(path)
        document["secrets"]["GUEST"][1]["value"] = moved
        save(path, document)
        with pytest.raises(IntegrityError, match="version 2 of 'GUEST' is damaged or was moved") as caught:
            await local.get("GUEST")
        assert (caught.value.name, caught.value.__context__) == ("GUEST", None)
        assert (await local.get("ADMIN")).equals("canary-admin")
    save(path, good)
    assert (await local.get("GUEST")).equals("canary-guest-second")


async def test_binary_is_not_read_as_text(local, path):
    """A payload says itself whether it is text: what is not UTF-8 and claims to be text is refused."""
    await local.put("NAME", "canary")
    document = load(path)
    forged = json.dumps(["asyncsecrets-local-1", "NAME", 1, "text"]).encode() + b"\ncanary\xff"
    recipient = pyrage.x25519.Recipient.from_str(PUBLIC)
    document["secrets"]["NAME"][0]["value"] = pyrage.encrypt(forged, [recipient], armored=True).decode()
    save(path, document)
    with pytest.raises(IntegrityError) as caught:
        await local.get("NAME")
    assert caught.value.__context__ is None


async def test_every_damaged_line_is_noticed(local, path):
    """Whatever line of a ciphertext is damaged, the value is refused: no damaged value is ever returned."""
    await local.put("NAME", "canary" * 40)
    good = load(path)
    lines = good["secrets"]["NAME"][0]["value"].splitlines()
    for index in range(1, len(lines) - 1):
        document = load(path)
        swapped = ("A" if lines[index][0] != "A" else "B") + lines[index][1:]
        damaged = [*lines[:index], swapped, *lines[index + 1 :]]
        document["secrets"]["NAME"][0]["value"] = "\n".join(damaged) + "\n"
        save(path, document)
        with pytest.raises((IntegrityError, AuthenticationError)) as caught:
            await local.get("NAME")
        assert caught.value.__context__ is None


DAMAGE = {
    "not YAML": "secrets: [canary",
    "merge conflict": "<<<<<<< ours\nformat: canary\n",
    "not a mapping": "- canary\n",
    "empty": "",
    "unknown format": "format: canary\nrecipients: [age1x]\nsecrets: {}\n",
    "no recipients": "format: asyncsecrets-local-1\nrecipients: []\nsecrets: {}\n",
    "unknown key": "format: asyncsecrets-local-1\nrecipients: [age1x]\nsecrets: {}\ncanary: 1\n",
    "secrets a list": "format: asyncsecrets-local-1\nrecipients: [age1x]\nsecrets: [canary]\n",
    "tag": "format: asyncsecrets-local-1\nrecipients: [age1x]\nsecrets: !!python/object:canary {}\n",
    "not UTF-8": b"\xff\xfecanary",
}

ENTRY = {"version": "1", "created": "2026-01-02T03:04:05Z", "value": sealed("NAME", "1", "canary")}

BAD_ENTRIES = {
    "no version": {"created": ENTRY["created"], "value": ENTRY["value"]},
    "more keys": {**ENTRY, "canary": "x"},
    "version 0": {**ENTRY, "version": "0"},
    "version 01": {**ENTRY, "version": "01"},
    "version text": {**ENTRY, "version": "canary"},
    "plain value": {**ENTRY, "value": "canary in clear"},
    "value a list": {**ENTRY, "value": ["canary"]},
    "value and more": {**ENTRY, "value": ENTRY["value"] + "canary\n"},
    "no time": {**ENTRY, "created": "canary"},
    "month 13": {**ENTRY, "created": "2026-13-02T03:04:05Z"},
    "deleted true": {**ENTRY, "deleted": "true"},
    "not a mapping": "canary",
}


def damaged_files():
    yield from DAMAGE.items()
    for what, entry in BAD_ENTRIES.items():
        yield (
            what,
            yaml.safe_dump({"format": "asyncsecrets-local-1", "recipients": [PUBLIC], "secrets": {"NAME": [entry]}}),
        )
    for what, secrets in {
        "no versions": {"NAME": []},
        "hostile name": {"a\nb": [ENTRY]},
        "versions that descend": {"NAME": [{**ENTRY, "version": "2"}, ENTRY]},
        "a version twice": {"NAME": [ENTRY, ENTRY]},
    }.items():
        yield what, yaml.safe_dump({"format": "asyncsecrets-local-1", "recipients": [PUBLIC], "secrets": secrets})


@pytest.mark.parametrize(("what", "content"), list(damaged_files()), ids=[what for what, _ in damaged_files()])
async def test_damaged_file(local, path, what, content):
    """A damaged file is refused when opened, read and written, by its place, and is left as it is."""
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"secrets\.yaml") as opening:
        await opened(path, key=SECRET)
    for call in (local.get("NAME"), local.put("NAME", "canary-new"), local.delete("NAME"), local.list()):
        with pytest.raises(MalformedResponseError, match=r"secrets\.yaml") as caught:
            await call
        assert "canary" not in str(caught.value).replace("canary-new", "")
        assert caught.value.__context__ is None
    assert "canary" not in str(opening.value)
    assert path.read_bytes() == data


async def test_missing_file(local, path):
    """A store that was never made is a ConfigError with the command; one that vanishes is unavailable, not absent."""
    path.unlink()
    with pytest.raises(ConfigError, match="make one with: asyncsecrets init") as opening:
        await opened(path, key=SECRET)
    assert opening.value.__context__ is None
    for call in (local.get("NAME"), local.put("NAME", "canary")):
        with pytest.raises(UnavailableError, match="No such file") as caught:
            await call
        assert (caught.value.name, caught.value.__context__) == ("NAME", None)
    assert not path.exists()


async def test_denied_by_the_file_system(local, monkeypatch):
    """A refusal of the file system is AccessDeniedError, without the file system's error."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/store")

    monkeypatch.setattr("asyncsecrets.providers.local_file.replace_file", refuse)
    with pytest.raises(AccessDeniedError, match="no permission to use /store") as caught:
        await local.put("NAME", "canary")
    assert caught.value.__context__ is None


async def test_the_key_that_init_made_is_found(tmp_path):
    """Without a key in settings or environment, the usual file is read, so a committed configuration names no path."""
    secret, public = generate_key()
    usual = tmp_path / ".config" / "asyncsecrets" / "key.txt"
    usual.parent.mkdir(parents=True)
    write_key_file(usual, secret, public)
    init_store(tmp_path / "secrets.yaml", public)
    settings = {"local_file": str(tmp_path / "secrets.yaml")}
    provider = LocalProvider.from_settings(settings, {"HOME": str(tmp_path)})
    await provider.open()
    await provider.put("NAME", "canary-found")
    assert (await provider.get("NAME")).equals("canary-found")
    await provider.aclose()


# Where the file is


@pytest.mark.parametrize(
    ("step", "code", "said"),
    [
        ("pathlib.Path.replace", errno.EBUSY, r"mounted by itself .*; mount its folder instead"),
        ("pathlib.Path.replace", errno.EXDEV, r"mounted by itself .*; mount its folder instead"),
        ("asyncsecrets.providers.files._open_lock", errno.EROFS, r"read-only file system; mount it writable"),
    ],
)
async def test_a_place_where_the_file_cannot_be_replaced(local, path, monkeypatch, step, code, said):
    """A file that is a mount, or on a read-only one, is no outage: it says what to do, and is left as it was."""

    def refuse(*_, **__):
        raise OSError(code, "no", str(path))

    await local.put("NAME", "canary-old")
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(step, refuse)
        with pytest.raises(UnsupportedOperationError, match=said) as caught:
            await local.put("NAME", "canary-new")
    assert caught.value.__context__ is None
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == [".secrets.yaml.lock", "secrets.yaml"]
    assert (await local.get("NAME")).equals("canary-old")


async def test_a_store_behind_links_that_are_swapped(local, path, tmp_path):
    """Read through the links of a Kubernetes volume, each get sees the content that they lead to now."""
    for number in (1, 2):
        await local.put("NAME", f"canary-{number}")
        folder = tmp_path / f"..{number}"
        folder.mkdir()
        (folder / "secrets.yaml").write_bytes(path.read_bytes())
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "..data").symlink_to(tmp_path / "..1")
    (mounted / "secrets.yaml").symlink_to("..data/secrets.yaml")
    reader = await opened(mounted / "secrets.yaml", key=SECRET)
    assert (await reader.get("NAME")).equals("canary-1")
    (mounted / "..next").symlink_to(tmp_path / "..2")
    (mounted / "..next").replace(mounted / "..data")
    assert (await reader.get("NAME")).equals("canary-2")


async def test_a_key_of_blanks_is_none(path, tmp_path):
    """A variable that a pipeline has set to nothing counts as unset, so the next place is looked at."""
    key_file = written_key(tmp_path, SECRET.encode())
    environ = {"ASYNCSECRETS_KEY": " \n", "ASYNCSECRETS_KEY_FILE": str(key_file)}
    local = LocalProvider.from_settings({"local_file": str(path)}, environ)
    await local.open()
    await local.put("NAME", "canary")
    assert (await local.get("NAME")).equals("canary")


async def test_a_key_file_that_is_none(path, tmp_path):
    """A pipe or a folder is refused at once, with the other way to give a key."""
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="not a regular file; give its text by ASYNCSECRETS_KEY"):
            await opened(path, key_file=odd)


async def test_a_store_as_an_editor_or_a_checkout_leaves_it(local, path):
    """A byte order mark and CRLF change nothing, and are gone with the next write."""
    await local.put("NAME", "canary-a\nb")
    data = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
    assert (await local.get("NAME")).equals("canary-a\nb")
    await local.put("OTHER", "canary")
    assert path.read_bytes().startswith(data[:200])
    assert b"\r" not in path.read_bytes()


async def test_a_key_file_that_is_changed(path, tmp_path):
    """As Kubernetes does: who was given another key reads and writes with it, and needs no new start."""
    key_file = written_key(tmp_path, SECRET.encode())
    local = await opened(path, key_file=key_file)
    await local.put("NAME", "canary")
    owner = await opened(path, key=SECRET)
    await owner.add_recipient(OTHER_PUBLIC)
    other = await opened(path, key=OTHER_SECRET)
    await other.remove_recipient(PUBLIC)
    for mode, data in ((0o600, b"canary"), (0o644, OTHER_SECRET.encode())):  # of no use yet
        written_key(tmp_path, data, mode)
        for call in (local.get("NAME"), local.put("NAME", "canary-lost")):
            with pytest.raises(AuthenticationError, match=f"this key is of {PUBLIC}"):
                await call
    written_key(tmp_path, OTHER_SECRET.encode())
    await local.put("OTHER", "canary-other")
    assert (await local.get("NAME")).equals("canary")
    assert (await local.recipients()).own == (OTHER_PUBLIC,)
    key_file.unlink()
    assert (await local.get("OTHER")).equals("canary-other")


async def test_a_key_that_comes_later(path, tmp_path):
    """A program that only wrote reads, once there is a key where it is looked for, and forgets it when it is closed."""
    local = await opened(path, usual_key_file=tmp_path / "key.txt")
    await local.put("NAME", "canary")
    with pytest.raises(AuthenticationError):
        await local.get("NAME")
    written_key(tmp_path, SECRET.encode())
    assert (await local.get("NAME")).equals("canary")
    await local.aclose()
    assert local._keys is None
