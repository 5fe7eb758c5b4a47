"""One loop after another, loops in other threads, forks, and loops that stand still."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import asyncsecrets
from asyncsecrets import SecretsClient, get_secret
from asyncsecrets.errors import DeadlineExceededError, SecretNotFoundError, WriteOutcomeUnknownError
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.vault_server import VaultServer
from tests.client.support import ONCE, Manager, client_of, settled, text_of, value
from tests.client.test_batching import batches

VAULT = {"key_management_system": "hashicorp_vault", "key_management_settings": {"access_mode": "read_and_write"}}


class Recorder(Manager):
    """Remembers on which loops it was called."""

    def __init__(self, secrets: dict[str, str]) -> None:
        super().__init__(secrets)
        self.loops: list[asyncio.AbstractEventLoop] = []

    async def get(self, name: str, version: str | None = None) -> Secret:
        self.loops.append(asyncio.get_running_loop())
        return await super().get(name, version)


async def in_thread(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run ``work`` on a loop of its own in another thread, while this one runs on."""
    return await asyncio.to_thread(lambda: asyncio.run(work()))


async def test_another_threads_loop_is_answered() -> None:
    """Warm from memory, cold by the loop that the client lives on; errors too, and writes."""
    manager = Recorder({"WARM": "canary-w", "COLD": "canary-c"})
    async with client_of(manager) as client:
        await client.get("WARM")

        async def visit() -> list[str | None]:
            answers = [await get_secret("WARM"), await get_secret("COLD"), await get_secret("NONE", "canary-default")]
            with pytest.raises(SecretNotFoundError):
                await client.get("NONE")
            await client.put("NEW", "canary-n")
            answers += [value(await client.get("NEW")), value(await client.refresh("COLD"))]
            assert await client.list() == ["COLD", "NEW", "WARM"]
            client.invalidate("NEW")
            return [*answers, value(await client.get("NEW"))]

        assert await in_thread(visit) == ["canary-w", "canary-c", "canary-default", "canary-n", "canary-c", "canary-n"]
        assert set(manager.loops) == {asyncio.get_running_loop()}
        assert manager.opened == 1


async def test_many_threads_cost_one_call() -> None:
    """Twenty threads with loops of their own, cold at once."""
    manager = Recorder({"COLD": "canary"})
    async with client_of(manager):
        answers = await asyncio.gather(*(in_thread(lambda: get_secret("COLD")) for _ in range(20)))
    assert set(answers) == {"canary"}
    assert manager.calls == [("get", "COLD")]


@pytest.mark.parametrize("switch_interval", [0.005, 0.00001, 0.0000001])
async def test_threads_that_come_first_and_go(switch_interval: float) -> None:
    """Nobody opened the client: the first loop is its home while it lasts, then the next one; nobody sees it end,
    however often the threads are switched."""
    usual = sys.getswitchinterval()
    manager = Recorder({f"N{i}": "canary" for i in range(40)})
    client = client_of(manager)
    sys.setswitchinterval(switch_interval)
    try:
        answers = await asyncio.gather(*(in_thread(lambda i=i: text_of(client, f"N{i}")) for i in range(40)))
    finally:
        sys.setswitchinterval(usual)
    assert answers == ["canary"] * 40
    assert await text_of(client, "N0") == "canary"
    await client.aclose()


class Slow(Manager):
    """Takes its time to answer and to close."""

    async def get(self, name: str, version: str | None = None) -> Secret:
        await asyncio.sleep(0.001)
        return await super().get(name, version)

    async def aclose(self) -> None:
        await asyncio.sleep(0.001)
        await super().aclose()


async def anything(client: SecretsClient, names: list[str], chance: random.Random) -> None:
    """What a program may ask, a few times."""
    for _ in range(chance.randrange(1, 5)):
        name = chance.choice(names)
        match chance.randrange(6):
            case 0:
                client.invalidate(name)
            case 1:
                assert value(await client.refresh(name)) == "canary"
            case 2:
                assert len(await client.get_many(names)) == len(names)
            case 3:
                assert value(await anext(client.watch(name))) == "canary"
            case _:
                assert value(await client.get(name)) == "canary"


@pytest.mark.parametrize("switch_interval", [0.005, 0.00001])
def test_threads_that_do_everything_at_once(switch_interval: float) -> None:
    """Loops that begin and end in six threads, with whatever a program may ask: nothing hangs, nothing fails."""
    names = [f"N{i}" for i in range(10)]
    client = client_of(Slow(dict.fromkeys(names, "canary")), refresh_interval=0.05, max_stale=60.0)

    def thread(number: int) -> None:
        chance = random.Random(number)
        for _ in range(25):
            asyncio.run(asyncio.wait_for(anything(client, names, chance), 10))

    usual = sys.getswitchinterval()
    sys.setswitchinterval(switch_interval)
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(thread, range(6)))
    finally:
        sys.setswitchinterval(usual)
    asyncio.run(client.aclose())


async def test_a_home_that_ends_in_the_middle_of_a_read() -> None:
    """The reader on another loop is not cancelled with it: the read is made again, here."""
    manager = Manager({"NAME": "canary"})
    client = client_of(manager)
    arrived, go = threading.Event(), threading.Event()

    async def host() -> None:
        blocked = asyncio.Event()
        manager.gate = blocked
        reader = asyncio.ensure_future(text_of(client, "NAME"))
        while not manager.calls:
            await asyncio.sleep(0)
        arrived.set()
        while not go.is_set():
            await asyncio.sleep(0.01)
        manager.gate = None
        reader.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(host()))
    thread.start()
    await asyncio.to_thread(arrived.wait, 5)
    reader = asyncio.create_task(text_of(client, "NAME"))
    await asyncio.sleep(0.05)
    go.set()
    async with asyncio.timeout(5):
        assert await reader == "canary"
    await asyncio.to_thread(thread.join)
    await client.aclose()


async def test_a_home_that_ends_in_the_middle_of_a_write() -> None:
    """It is read back, and not made again on a guess: nobody knows, and that is said."""
    manager = Manager()
    client = client_of(manager)
    arrived, go = threading.Event(), threading.Event()

    async def host() -> None:
        await client.start()
        manager.gate = asyncio.Event()
        arrived.set()
        while not go.is_set():
            await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(host()))
    thread.start()
    await asyncio.to_thread(arrived.wait, 5)
    writer = asyncio.create_task(client.put("NAME", "canary"))
    while not manager.calls:
        await asyncio.sleep(0.01)
    manager.gate = None  # another write would go through
    go.set()
    async with asyncio.timeout(5):
        with pytest.raises(WriteOutcomeUnknownError):
            await writer
    await asyncio.to_thread(thread.join)
    assert manager.calls == [("put", "NAME"), ("get", "NAME")]
    await client.aclose()


class HangsOnce(Manager):
    """Never answers its first change, whether it ``applies`` it or not."""

    def __init__(self, applies: bool) -> None:
        super().__init__({"NAME": "canary-1"})
        self.applies = applies
        self.hangs = threading.Event()

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        return await self._once(super().put(name, payload, cas=cas, token=token))

    async def delete(self, name: str) -> None:
        await self._once(super().delete(name))

    async def _once(self, change: Coroutine[Any, Any, Any]) -> Any:
        if self.hangs.is_set():
            return await change
        if self.applies:
            await change
        change.close()
        self.hangs.set()
        return await asyncio.sleep(3600)


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("operation", ["put", "delete"])
async def test_a_home_that_ends_in_the_middle_of_a_write_that_can_be_decided(operation: str, applied: bool) -> None:
    """Done if it was applied; made again, once, if the version from before is still there."""
    manager = HangsOnce(applied)
    client = client_of(manager)
    ready = threading.Event()

    async def host() -> None:
        await client.get("NAME")
        ready.set()
        await asyncio.to_thread(manager.hangs.wait, 5)

    thread = threading.Thread(target=lambda: asyncio.run(host()))
    thread.start()
    await asyncio.to_thread(ready.wait, 5)
    await (client.put("NAME", "canary-2") if operation == "put" else client.delete("NAME"))
    await asyncio.to_thread(thread.join)
    assert [made for made, _ in manager.calls if made != "get"] == [operation]  # applied once, there or here
    if operation == "put":
        assert value(await client.get("NAME")) == "canary-2"
    else:
        with pytest.raises(SecretNotFoundError):
            await client.get("NAME")
    await client.aclose()


class Thread:
    """A thread with a loop that lasts, and that runs only now and then."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self.loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run the loop until ``work`` is done, and stop it again."""
        return self._pool.submit(lambda: self.loop.run_until_complete(work)).result(10)

    def end(self) -> None:
        self._pool.submit(self.loop.close).result(10)
        self._pool.shutdown()


class AppliesAndWaits(Manager):
    """Has applied a write long before it says so."""

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        written = await super().put(name, payload, cas=cas, token=token)
        await asyncio.sleep(0.1)
        return written


def test_a_write_that_stands_still_with_its_loop() -> None:
    """Another loop takes the place and writes; when the first one goes on, it neither fails otherwise than by not
    knowing, nor brings its old value back."""
    manager = AppliesAndWaits({"NAME": "canary-1"})
    client = client_of(manager)
    first, second = Thread(), Thread()

    async def begin() -> asyncio.Task[Secret]:
        writing = asyncio.ensure_future(client.put("NAME", "canary-2"))
        await asyncio.sleep(0.03)
        return writing

    async def end(writing: asyncio.Task[Secret]) -> None:
        with pytest.raises(WriteOutcomeUnknownError):
            await writing

    writing = first.run(begin())
    assert value(second.run(client.put("NAME", "canary-3"))) == "canary-3"
    first.run(end(writing))
    assert value(second.run(client.get("NAME"))) == "canary-3"
    assert value(first.run(client.refresh("NAME"))) == "canary-3"
    second.run(client.aclose())
    first.end()
    second.end()


def test_a_read_that_stands_still_with_its_loop() -> None:
    """It is made again where home is now."""
    manager = Manager({"NAME": "canary", "OTHER": "canary-o"})
    client = client_of(manager)
    first, second = Thread(), Thread()

    async def begin() -> list[asyncio.Task[Secret]]:
        manager.gate = asyncio.Event()
        reading = [asyncio.ensure_future(client.get("NAME")), asyncio.ensure_future(client.refresh("NAME"))]
        await settled()
        return reading

    async def end(reading: list[asyncio.Task[Secret]]) -> list[str | None]:
        return [value(secret) for secret in await asyncio.gather(*reading)]

    reading = first.run(begin())
    manager.gate = None
    assert value(second.run(client.get("OTHER"))) == "canary-o"
    assert first.run(end(reading)) == ["canary", "canary"]
    first.run(client.aclose())
    first.end()
    second.end()


def test_a_batch_that_stands_still_with_its_loop() -> None:
    """It is ended when its loop goes on, and so is all else that was there; its names are asked for anew."""
    manager = batches(3)
    client = client_of(manager)
    first, second = Thread(), Thread()

    async def begin() -> list[asyncio.Task[Secret]]:
        manager.gate = asyncio.Event()
        reading = [asyncio.ensure_future(client.get(name)) for name in ("N0", "N1")]
        await settled()
        return reading

    async def end(reading: list[asyncio.Task[Secret]]) -> list[str | None]:
        found = [value(secret) for secret in await asyncio.gather(*reading)]
        await settled()
        ours = [name for task in asyncio.all_tasks() if (name := task.get_name()).startswith("asyncsecrets")]
        assert ours == ["asyncsecrets-renewer"]  # which came with them
        return found

    reading = first.run(begin())
    manager.gate = None
    assert value(second.run(client.get("N2"))) == "canary-N2"
    assert first.run(end(reading)) == ["canary-N0", "canary-N1"]
    first.run(client.aclose())
    first.end()
    second.end()


async def test_nothing_of_the_parents_is_open_in_a_fork() -> None:
    """What is open belongs to both then: the child lets go of it at once, and opens what it needs."""
    manager = Manager({"NAME": "canary", "OTHER": "canary-o"})
    async with client_of(manager) as client:
        await client.get("NAME")
        source = client._sources["default"]
        source.cache.forget_loop()
        source.forked()
        assert (manager.opened, manager.abandoned) == (1, 1)
        assert value(await client.get("OTHER")) == "canary-o"
        assert manager.opened == 2


def test_two_loops_that_take_turns_in_one_thread() -> None:
    """With real connections: those of the loop that has stopped are let go of, and its next ones work."""
    with VaultServer().run_in_thread() as server:
        environ = {"VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token}
        client = SecretsClient.from_config({"general_settings": VAULT}, environ=environ)
        loops = [asyncio.new_event_loop() for _ in range(2)]
        for number in range(6):
            for loop in loops:
                text = f"canary-{number}"
                loop.run_until_complete(client.put("NAME", text))
                assert value(loop.run_until_complete(client.refresh("NAME"))) == text
        asyncio.run(client.aclose())
        for loop in loops:
            loop.close()


class StopsBeforeItBegins:
    """An event loop that stops running after a few looks at it, with all that it was given still to do."""

    def __init__(self) -> None:
        self.looks = 3

    def is_running(self) -> bool:
        self.looks -= 1
        return self.looks > 0

    def is_closed(self) -> bool:
        return self.looks <= 0

    def call_soon_threadsafe(self, *_: object, **__: object) -> None: ...

    def get_debug(self) -> bool:
        return False


async def test_a_home_that_stops_before_it_begins() -> None:
    """What was not begun is done here, a write too; and Python does not warn of a coroutine that nobody awaited."""
    manager = Manager()
    async with client_of(manager) as client:
        home = client._sources["default"].home
        home._loop = StopsBeforeItBegins()  # type: ignore[assignment]
        async with asyncio.timeout(5):
            assert value(await client.put("NAME", "canary")) == "canary"
    gc.collect()
    assert manager.calls == [("put", "NAME")]


def test_a_provider_that_hangs_in_close_does_not_hold_up_a_script() -> None:
    """When the loop ends, what was opened has two seconds to close; then it is left behind."""

    class Hangs(Manager):
        async def aclose(self) -> None:
            await asyncio.sleep(3600)

    manager = Hangs({"NAME": "canary"})
    client = client_of(manager)
    started = time.monotonic()
    assert asyncio.run(text_of(client, "NAME")) == "canary"
    assert time.monotonic() - started < 4
    assert manager.abandoned


async def test_a_home_that_is_blocked() -> None:
    """Nobody waits for it for ever: an error that says what is wrong. What is warm is answered all the same."""
    client = client_of(Manager({"NAME": "canary", "WARM": "canary-w"}), retry=RetryPolicy(deadline=0.1))
    ready, release = threading.Event(), threading.Event()

    async def host() -> None:
        await client.get("WARM")
        ready.set()
        await asyncio.sleep(0)
        release.wait(10)

    thread = threading.Thread(target=lambda: asyncio.run(host()))
    thread.start()
    await asyncio.to_thread(ready.wait, 5)
    assert value(await client.get("WARM")) == "canary-w"
    with pytest.raises(DeadlineExceededError, match="is it blocked"):
        await client.get("NAME")
    release.set()
    await asyncio.to_thread(thread.join)
    assert value(await client.get("NAME")) == "canary"
    await client.aclose()


async def test_closing_from_another_thread() -> None:
    """It is carried out where the client lives."""
    manager = Manager({"NAME": "canary"})
    client = client_of(manager)
    await client.start()
    await client.get("NAME")
    closing = client._sources["default"].aclose
    closings = []

    async def aclose() -> None:
        closings.append(asyncio.get_running_loop())
        await closing()

    client._sources["default"].aclose = aclose  # type: ignore[method-assign]
    await in_thread(client.aclose)
    assert manager.closed == 1
    assert closings == [asyncio.get_running_loop()]


async def test_following_from_another_thread() -> None:
    """A rotation is told to an iterator on another loop."""
    manager = Manager({"NAME": "canary-1"})
    async with client_of(manager) as client:
        seen: list[str | None] = []

        async def follow() -> None:
            async for secret in client.watch("NAME"):
                seen.append(value(secret))
                if len(seen) == 2:
                    return

        follower = asyncio.create_task(in_thread(follow))
        while not seen:
            await asyncio.sleep(0.01)
        await client.put("NAME", "canary-2")
        async with asyncio.timeout(5):
            await follower
        assert seen == ["canary-1", "canary-2"]


def test_one_loop_after_another() -> None:
    """Values are carried over, sessions and tasks are not; no call is made for what is still fresh."""
    manager = Manager({"NAME": "canary"})
    client = client_of(manager)
    for _ in range(20):
        assert asyncio.run(text_of(client, "NAME")) == "canary"
    assert manager.calls == [("get", "NAME")]
    assert manager.opened == manager.closed == 1
    asyncio.run(client.refresh("NAME"))
    assert (manager.opened, manager.closed) == (2, 2)
    asyncio.run(client.aclose())


def test_a_loop_that_died_without_a_word() -> None:
    """Closed in the middle of a flight, with nothing ended: the next loop starts clean."""
    manager = Manager({"NAME": "canary"})
    client = client_of(manager, retry=ONCE)
    loop = asyncio.new_event_loop()

    async def begin() -> None:
        manager.gate = asyncio.Event()
        tasks.extend(asyncio.ensure_future(work) for work in (client.get("NAME"), client.put("OTHER", "canary")))
        await settled()

    tasks: list[asyncio.Future[Any]] = []
    loop.run_until_complete(begin())
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    others = asyncio.all_tasks(loop)
    for task in others:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    manager.gate = None
    assert asyncio.run(text_of(client, "NAME")) == "canary"
    assert manager.abandoned
    asyncio.run(client.aclose())


SCRIPT = """
import asyncio, os, sys, time
from asyncsecrets import SecretsClient, get_secret
from asyncsecrets.providers.memory import MemoryProvider

calls = []
async def before(operation, name):
    calls.append(name)

provider = MemoryProvider({"NAME": "canary", "COLD": "canary-cold"}, before=before)
client = SecretsClient.from_provider(provider, environ={})
{body}
"""


async def run(body: str) -> tuple[int, str, str]:
    """Run a script as strictly as Python can, and return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-X",
        "dev",
        "-c",
        SCRIPT.replace("{body}", body),
        env={"PYTHONPATH": str(Path(asyncsecrets.__file__).parents[1])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    complaints = [line for line in err.decode().splitlines() if not (line.startswith("Executing <") and "took" in line)]
    return process.returncode or 0, out.decode(), "\n".join(complaints)


_DONE_BEFORE = """
asyncio.run(client.get("NAME"))
from asyncsecrets import default
default.push(client)
fork()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are a matter of POSIX")
@pytest.mark.parametrize("inside", [True, False])
async def test_a_fork_of_a_process_with_a_warm_client(inside: bool) -> None:
    """The child, forked beside a loop or out of one, reads what was warm without a call, and what was cold with one;
    the parent goes on; neither says a word at exit."""
    body = """
def child():
    del calls[:]
    async def main():
        assert await get_secret("NAME") == "canary"
        assert calls == [], calls
        assert await get_secret("COLD") == "canary-cold"
        await client.put("NEW", "canary-new")
        assert await get_secret("NEW") == "canary-new"
        await client.aclose()
        print("child", calls, flush=True)
    asyncio.run(main())

async def parent():
    async with client:
        assert await get_secret("NAME") == "canary"
        writer = asyncio.create_task(client.put("OTHER", "canary"))
        await asyncio.sleep(0)
        FORK
        await writer
        assert await get_secret("NAME") == "canary"
        assert await get_secret("COLD") == "canary-cold"

def fork():
    pid = os.fork()
    if not pid:
        try:
            child()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0

EITHER
print("parent")
"""
    if inside:
        body = body.replace("FORK", "fork()").replace("EITHER", "asyncio.run(parent())")
    else:
        body = body.replace("FORK", "pass").replace("EITHER", _DONE_BEFORE)
    code, out, err = await run(body)
    assert err == ""
    assert code == 0
    assert out == "child ['COLD', 'NEW']\nparent\n"


async def test_a_loop_that_stood_still_past_an_expiry() -> None:
    """After a blocking call that outlasted a value's life, the next read asks the manager: no old value, no error."""
    body = """
async def main():
    options = {"refresh_interval": 0.2, "max_stale": 0.1}
    client = SecretsClient.from_provider(provider, environ={}, **options)
    async with client:
        assert await get_secret("NAME") == "canary"
        provider.set("NAME", "canary-rotated")
        time.sleep(0.6)
        print(client.peek("NAME"), await get_secret("NAME"))
asyncio.run(main())
"""
    assert await run(body) == (0, "None canary-rotated\n", "")


async def test_an_exit_in_the_middle_of_everything() -> None:
    """A main that returns while reads, writes and followers wait: no warning, no traceback."""
    body = """
async def main():
    started = SecretsClient.from_provider(provider, environ={})
    await started.get("NAME")
    async def hang(operation, name):
        await asyncio.sleep(3600)
    provider.before = hang
    follower = started.watch("NAME")
    await anext(follower)
    globals()["kept"] = [asyncio.ensure_future(work) for work in (
        started.get("COLD"), started.put("X", "canary"), started.list(), anext(follower), started.refresh("NAME"))]
    await asyncio.sleep(0.05)
asyncio.run(main())
print("done")
"""
    assert await run(body) == (0, "done\n", "")


def test_a_frozen_loop_serves_nothing_that_is_too_old_to_another_thread() -> None:
    """While the loop that renews is blocked, what passes the end of its life is warm no more, for any thread."""
    client = client_of(Manager({"NAME": "canary"}), refresh_interval=0.1, max_stale=0.1)

    async def main() -> tuple[bool, bool]:
        async with client:
            await client.get("NAME")
            warm = client.peek("NAME") is not None
            time.sleep(0.5)
            return warm, client.peek("NAME") is not None

    assert asyncio.run(main()) == (True, False)
