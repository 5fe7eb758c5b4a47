"""LocalProvider: several at once, in threads and processes, and a file that is full."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pkgutil import resolve_name

import pytest

from asyncsecrets.errors import ConflictError, UnavailableError
from asyncsecrets.providers import files, local_keys
from asyncsecrets.sending import followed
from tests.providers.local_support import SECRET, opened


async def test_external_change_is_seen(local, path):
    """What another process writes is seen by the next get, without opening again, however quickly it follows."""
    other = await opened(path)
    for number in range(20):
        await other.put("NAME", f"canary-{number}")
        assert (await local.get("NAME")).equals(f"canary-{number}")


async def test_unchanged_file_is_parsed_once(local, path, monkeypatch):
    """Once the file's clock has moved on, reading an unchanged file parses nothing."""
    await local.put("NAME", "canary")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    await local.get("NAME")
    monkeypatch.setattr(local._file._watched, "_parse", None)
    assert (await local.get("NAME")).equals("canary")


async def test_concurrent_puts_are_not_lost(local):
    """Writes that run at once are all there afterwards, each with its own version."""
    written = await asyncio.gather(*(local.put("NAME", f"canary-{number}") for number in range(8)))
    assert sorted(secret.version for secret in written) == list("12345678")
    for secret in written:
        assert (await local.get("NAME", secret.version)).equals(secret)


WRITER = """
    import asyncio, sys
    from asyncsecrets.providers.local import LocalProvider

    async def main(path, prefix):
        local = LocalProvider(path, lock_timeout=60)
        await local.open()
        for number in range(10):
            await local.put(f"{prefix}{number}", "canary")
        await local.aclose()

    asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_do_not_lose_each_others_writes(local, path):
    """Three processes that write the same file at once lose nothing."""
    code = textwrap.dedent(WRITER)
    writers = [await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(path), prefix) for prefix in "abc"]
    assert [await writer.wait() for writer in writers] == [0, 0, 0]
    assert await local.list() == sorted(f"{prefix}{number}" for prefix in "abc" for number in range(10))


async def test_lock_that_is_never_released(path):
    """A write waits for another's lock as long as it may, then says so and leaves the file alone; reads do not wait."""
    local = await opened(path, key=SECRET, lock_timeout=0.02)
    with files.try_locked(path) as is_ours:
        assert is_ours
        with pytest.raises(UnavailableError, match=r"another process has held the lock .* for 0\.02 s") as caught:
            await local.put("NAME", "canary")
        assert caught.value.__context__ is None
        assert await local.list() == []
    await local.put("NAME", "canary")


async def test_a_lock_that_is_held_takes_no_threads(path):
    """While many writes wait for a lock, the one thread that the program has does its work, and reads ours."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    local = await opened(path, key=SECRET, lock_timeout=60)
    with files.try_locked(path):
        puts = [asyncio.ensure_future(local.put(f"NAME{number}", "canary")) for number in range(8)]
        async with asyncio.timeout(20):
            for _ in range(20):
                await asyncio.to_thread(int)
            assert await local.list() == []
        assert not any(put.done() for put in puts)
    await asyncio.gather(*puts)
    assert len(await local.list()) == 8


async def test_a_write_that_is_cancelled_as_it_waits(path):
    """It ends at once, and what it would have written is not written later."""
    local = await opened(path, key=SECRET, lock_timeout=60)
    with files.try_locked(path):
        put = asyncio.ensure_future(local.put("NAME", "canary"))
        await asyncio.to_thread(int)
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
    await local.put("OTHER", "canary")
    assert await local.list() == ["OTHER"]


async def cancelled_at(step, write, monkeypatch):
    """Cancel ``write`` when the one thread of the program begins ``step``, and have that go on only then.

    Return whether the write is said to be out.
    """
    loop, function = asyncio.get_running_loop(), resolve_name(step)
    is_there, goes_on = asyncio.Event(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))

    def held(*args, **kwargs):
        loop.call_soon_threadsafe(is_there.set)
        assert goes_on.wait(20)
        return function(*args, **kwargs)

    async def said():
        with followed() as sending:
            with pytest.raises(asyncio.CancelledError):
                await write
            return sending.out

    monkeypatch.setattr(step, held)
    task = asyncio.ensure_future(said())
    await is_there.wait()
    task.cancel()
    try:
        return await task
    finally:
        goes_on.set()


WRITES = {
    "put": lambda local: local.put("NAME", "canary-new"),
    "delete": lambda local: local.delete("NAME"),
    "destroy": lambda local: local.destroy("NAME"),
}
BEFORE = ("local_file.try_locked", "local_file.read_regular", "local_file.render_within", "files._create_by_name")


@pytest.mark.parametrize("step", BEFORE)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_write_that_is_cancelled_in_its_thread_is_not_made(path, monkeypatch, write, step):
    """No thread can be ended; but however far it has come, it does not put the new file in place any more."""
    local = await opened(path, key=SECRET)
    await local.put("NAME", "canary-old")
    assert not await cancelled_at(f"asyncsecrets.providers.{step}", write(local), monkeypatch)
    await local.put("OTHER", "canary")  # that thread is the one which does this, later
    assert [info.version for info in await local.versions("NAME")] == ["1"]
    assert (await local.get("NAME")).equals("canary-old")
    assert {file.name for file in path.parent.iterdir()} == {"secrets.yaml", ".secrets.yaml.lock"}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_write_that_is_cancelled_as_its_file_is_put_in_place(path, monkeypatch, write):
    """It is made, and said to be out."""
    local = await opened(path, key=SECRET)
    await local.put("NAME", "canary-old")
    assert await cancelled_at("pathlib.Path.replace", write(local), monkeypatch)
    await local.put("OTHER", "canary")
    current = (await local.versions("NAME"))[-1] if "NAME" in path.read_text() else None
    assert current is None or (current.version, current.state) in {("2", "enabled"), ("1", "deleted")}


async def test_lost_compare_and_set_across_providers(local, path):
    """Compare-and-set holds between two providers on one file."""
    first = await local.put("NAME", "canary-first")
    other = await opened(path)
    await other.put("NAME", "canary-second", cas=first.version)
    with pytest.raises(ConflictError):
        await local.put("NAME", "canary-lost", cas=first.version)
    assert (await local.get("NAME")).equals("canary-second")


async def test_nothing_blocks_the_loop(local, monkeypatch):
    """Files, locks and encryption are used in threads only."""
    threads = []

    def noted(function):
        return lambda *args, **kwargs: threads.append(threading.get_ident()) or function(*args, **kwargs)

    monkeypatch.setattr("asyncsecrets.providers.local_file.try_locked", noted(files.try_locked))
    monkeypatch.setattr("asyncsecrets.providers.local_file.read_regular", noted(files.read_regular))
    monkeypatch.setattr(local_keys.Keys, "seal", noted(local_keys.Keys.seal))
    monkeypatch.setattr(local_keys.Keys, "unseal", noted(local_keys.Keys.unseal))
    monkeypatch.setattr(local_keys, "load_pyrage", noted(local_keys.load_pyrage))
    monkeypatch.setattr(local._file, "read", noted(local._file.read))
    await local.open()
    await local.put("NAME", "canary")
    await local.get("NAME")
    await local.delete("NAME")
    assert len(threads) >= 9
    assert threading.get_ident() not in threads


async def test_large_secrets_stay_writable(local, path):
    """However often large secrets change, each can, and small ones keep their history; readers see the newest."""
    for number in range(3):
        await local.put("SMALL", f"canary-{number}")
    for number in range(1, 9):
        for name, kilobytes in (("KEYSTORE", 90), ("BUNDLE", 60)):
            secret = await local.put(name, bytes([number]) * kilobytes * 1000)
            assert secret.version == str(number)
            assert path.stat().st_size <= files.MAX_BYTES
            assert (await local.get(name)).equals(secret)
    kept = {name: [info.version for info in await local.versions(name)] for name in ("SMALL", "KEYSTORE", "BUNDLE")}
    assert kept["SMALL"] == ["1", "2", "3"]
    assert kept["KEYSTORE"][-2:] == kept["BUNDLE"][-2:] == ["7", "8"]
    await local.put("OTHER", "canary" + "x" * 400_000)
    await local.delete("KEYSTORE")
    await local.restore("KEYSTORE")
    assert (await local.get("KEYSTORE")).version == "8"
    assert (await local.put("KEYSTORE", "canary-small", cas="8")).version == "9"


async def test_a_mark_that_does_not_fit(local, path, monkeypatch):
    """A full file can still have its secrets deleted: an old version makes room for the mark."""
    await local.put("NAME", "canary-old")
    await local.put("NAME", "canary-new")
    monkeypatch.setattr("asyncsecrets.providers.local_file.MAX_BYTES", path.stat().st_size)
    await local.delete("NAME")
    assert [(info.version, info.state) for info in await local.versions("NAME")] == [("2", "deleted")]
