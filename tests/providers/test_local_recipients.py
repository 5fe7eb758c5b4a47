"""The local store of several people: who is let in, who is out, what vouches for the list; stores of an earlier day."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets.errors import (
    AuthenticationError,
    ClosedError,
    ConfigError,
    ConflictError,
    IntegrityError,
    MalformedResponseError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers import local_recipients
from asyncsecrets.providers.local import generate_key
from asyncsecrets.providers.local_keys import count_readers
from asyncsecrets.providers.local_store import Recipient, Store, is_recipient_name
from tests.providers.local_support import OTHER_PUBLIC, OTHER_SECRET, PUBLIC, SECRET, load, opened, opened_by_hand, save

THIRD_SECRET, THIRD_PUBLIC = generate_key()
DATA = Path(__file__).parents[1] / "data"


async def filled(local):
    """Secrets of every kind: old versions, bytes, deleted, destroyed."""
    await local.put("NAME", "canary-first")
    await local.put("NAME", "canary-second")
    await local.put("BYTES", b"canary-\xff")
    await local.put("GONE", "canary-gone")
    await local.delete("GONE")
    await local.put("DESTROYED", "canary-destroyed")
    await local.destroy("DESTROYED", ["1"])


async def contents(path, **settings):
    """All that a key can read of a store, with what the file says of it."""
    local = await opened(path, **settings)
    await local.restore("GONE")
    found = {
        (name, info.version): (info.created, (await local.get(name, info.version)).reveal_bytes())
        for name in ("NAME", "BYTES", "GONE")
        for info in await local.versions(name)
    }
    await local.delete("GONE")
    assert [info.state for info in await local.versions("DESTROYED")] == ["destroyed"]
    await local.aclose()
    return found


def tampered(path, change):
    """Have somebody who can write the file, and holds no key, change the list in it."""
    document = load(path)
    change(document["recipients"])
    save(path, document)


# In and out


async def test_a_public_key_in_capitals_is_the_same_key(local, path):
    """As it is in a QR code; the file has it in small letters, and stays one that can be read."""
    await local.put("NAME", "canary")
    found = await local.add_recipient(OTHER_PUBLIC.upper(), "other")
    assert [one.key for one in found.recipients] == [PUBLIC, OTHER_PUBLIC]
    assert (await (await opened(path, key=OTHER_SECRET)).get("NAME")).equals("canary")
    with pytest.raises(ConfigError):
        await local.add_recipient(THIRD_PUBLIC[:9] + THIRD_PUBLIC[9:].upper())
    found = await local.remove_recipient(OTHER_PUBLIC.upper())
    assert [one.key for one in found.recipients] == [PUBLIC]


async def test_who_is_let_in_reads_everything(local, path):
    """Old versions and deleted ones too; nothing else about them changes; and what is written later as well."""
    await filled(local)
    before = await contents(path, key=SECRET)
    found = await local.add_recipient(OTHER_PUBLIC, "bob")
    assert found.recipients == (Recipient(PUBLIC), Recipient(OTHER_PUBLIC, "bob"))
    assert (found.own, found.mismatched) == ((PUBLIC,), ())
    assert found.secrets == ("BYTES", "GONE", "NAME")
    assert await contents(path, key=SECRET) == await contents(path, key=OTHER_SECRET) == before
    await local.put("LATER", "canary-later")
    assert (await (await opened(path, key=OTHER_SECRET)).get("LATER")).equals("canary-later")


async def test_who_is_removed_reads_nothing_any_more(local, path):
    """Of the file as it is now; of an earlier copy everything, which nobody can take back."""
    await filled(local)
    await local.add_recipient(OTHER_PUBLIC, "bob")
    before, copy = await contents(path, key=SECRET), path.read_bytes()
    found = await local.remove_recipient("bob")
    assert found.recipients == (Recipient(PUBLIC),)
    other = await opened(path, key=OTHER_SECRET)
    for version in ("1", "2"):
        with pytest.raises(AuthenticationError, match="not among the recipients"):
            await other.get("NAME", version)
    assert OTHER_PUBLIC not in path.read_text()
    assert await contents(path, key=SECRET) == before
    path.write_bytes(copy)
    assert (await other.get("NAME")).equals("canary-second")


async def test_the_file_of_several(local, path):
    """The layout: a recipient without a name is a line; each value bears the fingerprint of the list, encrypted."""
    await local.put("NAME", "canary")
    assert opened_by_hand(path, "NAME") == b'["asyncsecrets-local-1", "NAME", 1, "text"]\ncanary'
    await local.add_recipient(OTHER_PUBLIC, "bob")
    assert load(path)["recipients"] == [PUBLIC, {"key": OTHER_PUBLIC, "name": "bob"}]
    fingerprint = Store((Recipient(OTHER_PUBLIC, "bob"), Recipient(PUBLIC)), {}).fingerprint
    header = f'["asyncsecrets-local-1", "NAME", 1, "text", "{fingerprint}"]\ncanary'
    assert opened_by_hand(path, "NAME") == opened_by_hand(path, "NAME", secret=OTHER_SECRET) == header.encode()
    await local.remove_recipient(OTHER_PUBLIC)
    assert load(path)["recipients"] == [PUBLIC]
    assert opened_by_hand(path, "NAME") == b'["asyncsecrets-local-1", "NAME", 1, "text"]\ncanary'


async def test_a_key_is_replaced(local, path):
    """One's own, by adding the new one and removing the old one with that."""
    await filled(local)
    before = await contents(path, key=SECRET)
    await local.add_recipient(OTHER_PUBLIC)
    other = await opened(path, key=OTHER_SECRET)
    await other.remove_recipient(PUBLIC)
    assert await contents(path, key=OTHER_SECRET) == before
    with pytest.raises(AuthenticationError):
        await local.get("NAME")


async def test_nothing_to_do_leaves_the_file_alone(local, path):
    """Who is in already is no change; another name for the same key is one."""
    await filled(local)
    await local.add_recipient(OTHER_PUBLIC, "bob")
    before = path.read_bytes()
    await local.add_recipient(OTHER_PUBLIC)
    await local.add_recipient(f" {OTHER_PUBLIC}\r\n", " bob ")
    await local.accept_recipients()
    assert path.read_bytes() == before
    await local.add_recipient(OTHER_PUBLIC, "robert")
    assert [one.name for one in (await local.recipients()).recipients] == ["", "robert"]
    assert (await local.recipients()).mismatched == ()


async def test_what_is_refused(local, path):
    """Each with its own class, and the file as it was."""
    await filled(local)
    await local.add_recipient(OTHER_PUBLIC, "bob")
    before = path.read_bytes()
    for call, error in (
        (local.add_recipient("age1canary"), ConfigError),
        (local.add_recipient(SECRET), ConfigError),
        (local.add_recipient(THIRD_PUBLIC, "bob"), ConflictError),
        (local.add_recipient(THIRD_PUBLIC, "a\nb"), ConfigError),
        (local.add_recipient(THIRD_PUBLIC, THIRD_PUBLIC), ConfigError),
        (local.remove_recipient("alice"), SecretNotFoundError),
        (local.remove_recipient(""), SecretNotFoundError),
        (local.remove_recipient(THIRD_PUBLIC), SecretNotFoundError),
        (local.remove_recipient(PUBLIC), UnsupportedOperationError),
    ):
        with pytest.raises(error) as caught:
            await call
        assert caught.value.__context__ is None
        assert SECRET not in str(caught.value)
    await local.remove_recipient("bob")
    with pytest.raises(UnsupportedOperationError, match="last recipient"):
        await local.remove_recipient(PUBLIC)
    path.write_bytes(before)
    tampered(path, lambda recipients: recipients.append({"key": THIRD_PUBLIC, "name": "bob"}))
    with pytest.raises(ConflictError, match="several recipients are called 'bob'"):
        await local.remove_recipient("bob")


async def test_who_has_no_key_changes_no_list(local, path):
    """Nor who has that of somebody else; both may look."""
    await filled(local)
    before = path.read_bytes()
    for given_key in ({}, {"key": OTHER_SECRET}):
        stranger = await opened(path, **given_key)
        for call in (
            stranger.add_recipient(OTHER_PUBLIC),
            stranger.remove_recipient(PUBLIC),
            stranger.accept_recipients(),
        ):
            with pytest.raises((AuthenticationError, UnsupportedOperationError)):
                await call
        assert (await stranger.recipients()).own == ()
    assert path.read_bytes() == before
    await local.aclose()
    for call in (local.recipients(), local.add_recipient(OTHER_PUBLIC)):
        with pytest.raises(ClosedError):
            await call


async def test_a_value_that_cannot_be_read_keeps_all_as_it_is(local, path):
    """What is closed to this key, or damaged, is not lost on the way: nothing is changed, and it is named."""
    await filled(local)
    tampered(path, lambda recipients: recipients.append(OTHER_PUBLIC))
    before = path.read_bytes()
    other = await opened(path, key=OTHER_SECRET)
    with pytest.raises(AuthenticationError, match=r"cannot read 'BYTES', 'GONE', 'NAME', .* recipients accept"):
        await other.accept_recipients()
    assert path.read_bytes() == before
    document = load(path)
    document["secrets"]["NAME"][0]["value"] = document["secrets"]["BYTES"][0]["value"]
    save(path, document)
    before = path.read_bytes()
    with pytest.raises(IntegrityError, match=r"damaged or were moved: 'NAME'"):
        await local.accept_recipients()
    assert path.read_bytes() == before


async def test_a_store_that_is_too_full(local, path, monkeypatch):
    """No old version goes for a recipient: it is refused, and says what makes room."""
    await filled(local)
    before = path.read_bytes()
    monkeypatch.setattr(local_recipients, "MAX_BYTES", len(before) + 20)
    with pytest.raises(UnsupportedOperationError, match="destroy old versions"):
        await local.add_recipient(OTHER_PUBLIC)
    assert path.read_bytes() == before


async def test_a_bad_key_in_the_list(local, path):
    """What is no public key fails it before anything is encrypted."""
    await filled(local)
    tampered(path, lambda recipients: recipients.append("age1canary"))
    with pytest.raises(MalformedResponseError, match="not an age public key"):
        await local.accept_recipients()


# What vouches for the list

FORGERIES = {
    "one more": lambda recipients: recipients.append(THIRD_PUBLIC),
    "one more, with a name": lambda recipients: recipients.append({"key": THIRD_PUBLIC, "name": "carol"}),
    "another one's place": lambda recipients: recipients.__setitem__(1, {"key": THIRD_PUBLIC, "name": "bob"}),
    "names swapped": lambda recipients: recipients.__setitem__(1, {"key": OTHER_PUBLIC, "name": "carol"}),
    "one less": lambda recipients: recipients.pop(),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_list_that_was_changed_by_hand(local, path, forgery):
    """It is shown, and nothing that is in the store is encrypted to it until somebody has looked."""
    await filled(local)
    await local.add_recipient(OTHER_PUBLIC, "bob")
    tampered(path, FORGERIES[forgery])
    before = path.read_bytes()
    fourth = generate_key()[1]
    with pytest.raises(IntegrityError, match=r"'BYTES', 'GONE', 'NAME'\nwhat to do: .* recipients accept"):
        await local.add_recipient(fourth, "dave")
    assert path.read_bytes() == before
    assert (await local.recipients()).mismatched == ("BYTES", "GONE", "NAME")
    await local.accept_recipients()
    assert (await local.recipients()).mismatched == ()
    await local.add_recipient(fourth, "dave")


async def test_who_put_himself_on_the_list_is_removed(local, path):
    """For that nobody has to accept him first; without others on the list, too."""
    for name in ("", "bob"):
        await filled(local)
        if name:
            await local.add_recipient(OTHER_PUBLIC, name)
        tampered(path, lambda recipients: recipients.append(THIRD_PUBLIC))
        await local.remove_recipient(THIRD_PUBLIC)
        assert (await local.recipients()).mismatched == ()
        with pytest.raises(AuthenticationError):
            await (await opened(path, key=THIRD_SECRET)).get("NAME")


async def test_a_merge_of_two_branches(local, path):
    """One adds somebody, the other stores a secret: the merged file says so, and is put right."""
    await local.put("NAME", "canary")
    await local.put("MERGED", "canary-merged")
    merged = load(path)["secrets"]["MERGED"]
    await local.destroy("MERGED")
    await local.add_recipient(OTHER_PUBLIC, "bob")
    document = load(path)
    document["secrets"]["MERGED"] = merged
    save(path, document)
    other = await opened(path, key=OTHER_SECRET)
    with pytest.raises(AuthenticationError, match="recipients accept"):
        await other.get("MERGED")
    for reader in (local, other, await opened(path)):
        assert (await reader.recipients()).mismatched == ("MERGED",)
    await local.accept_recipients()
    assert (await other.get("MERGED")).equals("canary-merged")


def test_the_fingerprint():
    """It is of keys and names, in any order, and of nothing where there is one key."""
    alice, bob = Recipient(PUBLIC, "alice"), Recipient(OTHER_PUBLIC, "bob")

    def of(*recipients):
        return Store(recipients, {}).fingerprint

    assert of(alice) == ""
    assert of(alice, bob) == of(bob, alice)
    others = [(alice, Recipient(OTHER_PUBLIC)), (Recipient(PUBLIC, "bob"), Recipient(OTHER_PUBLIC, "alice"))]
    assert len({of(alice, bob), *(of(*other) for other in others), of(alice, bob, Recipient(THIRD_PUBLIC))}) == 4
    assert len(of(alice, bob)) == 32


async def test_how_many_can_read(local, path):
    """It is counted without a key, the lines that age puts in against ossification aside; nonsense counts as none."""
    await local.add_recipient(OTHER_PUBLIC)
    await local.add_recipient(THIRD_PUBLIC)
    for number in range(20):
        await local.put(f"NAME{number}", "canary")
    values = [entries[0]["value"] for entries in load(path)["secrets"].values()]
    assert {count_readers(value) for value in values} == {3}
    assert count_readers("") == count_readers("-----BEGIN\nA\n-----END\n") == 0


@settings(deadline=None)
@given(st.text(max_size=20) | st.text(st.sampled_from("aZ0 _.@+/-\n"), max_size=66))
def test_names_of_recipients(name):
    """Whatever is a name is one line of printable ASCII, and cannot be taken for a key."""
    if is_recipient_name(name):
        assert len(name) <= 64
        assert name.isascii()
        assert name.isprintable()
        assert name == name.strip()
    assert not is_recipient_name(f"age1{name}")


# Several at once, and killed half-way


async def test_a_change_of_the_list_beside_writes(local, path):
    """Nothing is lost of either, and who is let in reads what was written meanwhile."""
    await filled(local)
    writer = await opened(path)
    await asyncio.gather(
        *(writer.put(f"W{number}", "canary") for number in range(5)), local.add_recipient(OTHER_PUBLIC)
    )
    other = await opened(path, key=OTHER_SECRET)
    assert (await other.recipients()).mismatched == ()
    for name in await other.list():
        await other.get(name)
    assert len(await other.list()) == 7


async def test_a_change_of_the_list_that_is_cancelled(local, path, monkeypatch):
    """It is not made, however far it has come before the file is put in its place."""
    await filled(local)
    before, loop, begun = path.read_bytes(), asyncio.get_running_loop(), asyncio.Event()
    real = local_recipients._sealed

    def held(*args):
        loop.call_soon_threadsafe(begun.set)
        return real(*args)

    monkeypatch.setattr(local_recipients, "_sealed", held)
    adding = asyncio.ensure_future(local.add_recipient(OTHER_PUBLIC))
    await begun.wait()
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    await local.put("OTHER", "canary")
    assert (await local.recipients()).recipients == (Recipient(PUBLIC),)
    assert before != path.read_bytes()


KILLED = """
    import asyncio, os, signal, sys
    from asyncsecrets.providers import files, local_file, local_keys
    from asyncsecrets.providers.local import LocalProvider

    folder, key, change, who, *steps = sys.argv[1:]
    local_keys.load_pyrage()
    places = {"files": files, "local_file": local_file, "keys": local_keys.Keys, "os": os}

    def kill_at(step):
        module, _, name = step.partition(".")
        real, calls = getattr(places[module], name), 0

        def killed(*args, **options):
            nonlocal calls
            calls += 1
            if calls == 2 or module != "keys":  # of what is done for every value: in the middle
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        setattr(places[module], name, killed)

    async def main(path):
        local = LocalProvider(path, key=key)
        await local.open()
        await getattr(local, change)(who)

    for step in steps:
        if not (child := os.fork()):
            kill_at(step)
            asyncio.run(main(f"{folder}/{step}/secrets.yaml"))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
STEPS = (
    "keys.unseal",
    "keys.seal",
    "local_file.render_within",
    "files._create_by_name",
    "files._make_like",
    "os.fsync",
    "os.replace",
    "files._settle",
)


@pytest.mark.parametrize("change", ["add_recipient", "remove_recipient"])
async def test_a_process_that_is_killed_as_it_encrypts_anew(local, path, tmp_path, change):
    """Whatever step it had come to, the store is the old one or the new one, whole, and the next change is made."""
    await filled(local)
    await local.add_recipient(OTHER_PUBLIC, "bob")
    wanted = await contents(path, key=SECRET)
    before = path.read_bytes()
    for step in STEPS:
        (tmp_path / step).mkdir()
        shutil.copy(path, tmp_path / step)
    who = THIRD_PUBLIC if change == "add_recipient" else "bob"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), SECRET, change, who, *STEPS]
    done = await asyncio.to_thread(subprocess.run, command, check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(STEPS)
    for step in STEPS:
        left = tmp_path / step / "secrets.yaml"
        assert (left.read_bytes() == before) == (step != "files._settle")
        again = await opened(left, key=SECRET)
        assert (await again.recipients()).mismatched == ()
        await again.add_recipient(generate_key()[1])
        assert await contents(left, key=SECRET) == wanted
        assert sorted(file.name for file in left.parent.iterdir()) == [".secrets.yaml.lock", "secrets.yaml"]


# Stores of an earlier day


@pytest.mark.parametrize("store", ["local-store-one.yaml", "local-store-two.yaml"])
async def test_a_store_of_an_earlier_version(tmp_path, store):
    """It opens unchanged, and so it stays until somebody is let in, who then reads all of it."""
    path = tmp_path / "secrets.yaml"
    shutil.copy(DATA / store, path)
    first, second = (DATA / "local-store-keys.txt").read_text().splitlines()[1:]
    local = await opened(path, key=first)
    assert (await local.get("NAME")).equals("canary-second")
    assert (await local.get("NAME", "1")).equals("canary-first")
    assert (await local.get("BINARY")).equals(b"canary-\xff\x00")
    assert await local.list() == ["BINARY", "NAME"]
    assert (await local.recipients()).mismatched == ()
    document = yaml.safe_load(path.read_text())
    await local.put("NEW", "canary-new")
    changed = yaml.safe_load(path.read_text())
    assert changed["secrets"].pop("NEW")[0]["version"] == "3"
    assert changed == document
    await local.add_recipient(THIRD_PUBLIC, "carol")
    for key in (first, THIRD_SECRET, *([second] if "two" in store else [])):
        reader = await opened(path, key=key)
        await reader.restore("team/GONE")
        assert (await reader.get("team/GONE")).equals("canary-gone")
        assert (await reader.get("NAME", "1")).equals("canary-first")
