"""Without asyncio, with other loops than asyncio's own, and beside gevent."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import itertools
import pickle
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import trio
import uvloop

from asyncsecrets import SecretsClient, SingleFlightCache, get_secret, get_secret_bool
from asyncsecrets.errors import UnsupportedOperationError
from asyncsecrets.loops import in_thread
from asyncsecrets.providers.aws import AwsSecretsManagerProvider
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.providers.local import LocalProvider
from asyncsecrets.providers.vault import VaultProvider
from tests.client.support import Manager, client_of


async def fetch(key: str) -> str:
    return key


def cache() -> SingleFlightCache[str, str]:
    return SingleFlightCache(fetch)


def client() -> SecretsClient:
    return client_of(Manager({"NAME": "canary"}))


async def enter() -> None:
    async with client():
        pass


async def follow() -> None:
    await anext(client().watch("NAME"))


async def put_into_a_cache() -> None:
    cache().put("key", "value")


ENTRIES: dict[str, Callable[[], Awaitable[Any]]] = {
    "get_secret": lambda: get_secret("NAME"),
    "get_secret with a default": lambda: get_secret("NAME", "canary-default"),
    "get_secret_bool": lambda: get_secret_bool("NAME"),
    "cache.get": lambda: cache().get("key"),
    "cache.refresh": lambda: cache().refresh("key"),
    "cache.aclose": lambda: cache().aclose(),
    "cache.put": put_into_a_cache,
    "async with": enter,
    "start": lambda: client().start(),
    "aclose": lambda: client().aclose(),
    "get": lambda: client().get("NAME"),
    "get of a version": lambda: client().get("NAME", version="1"),
    "get_many": lambda: client().get_many(["NAME", "OTHER"]),
    "warm_up": lambda: client().warm_up(["NAME"]),
    "resolve": lambda: client().resolve({"key": "os.environ/NAME"}),
    "refresh": lambda: client().refresh("NAME"),
    "put": lambda: client().put("NAME", "canary-2"),
    "delete": lambda: client().delete("NAME"),
    "delete of a version": lambda: client().delete("NAME", versions=["1"]),
    "restore": lambda: client().restore("NAME"),
    "destroy": lambda: client().destroy("NAME"),
    "list": lambda: client().list(),
    "versions": lambda: client().versions("NAME"),
    "watch": follow,
    "vault": lambda: VaultProvider.from_settings(
        {}, {"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "canary"}
    ).open(),
    "aws": lambda: AwsSecretsManagerProvider.from_settings({"aws_region_name": "eu-west-1"}, {}).open(),
    "local": lambda: LocalProvider("secrets.yaml").open(),
    "env": lambda: EnvironmentProvider({}, dotenv=".env").open(),
}


def _under_trio(entry: Callable[[], Awaitable[Any]]) -> None:
    trio.run(entry)


def _under_nothing(entry: Callable[[], Awaitable[Any]]) -> None:
    waiting = entry().__await__()
    try:
        next(waiting)
    finally:
        waiting.close()


@pytest.mark.parametrize("run", [_under_trio, _under_nothing])
@pytest.mark.parametrize("entry", ENTRIES)
def test_without_asyncio_there_is_one_clear_error(
    entry: str, run: Callable[[Callable[[], Awaitable[Any]]], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ours, from everywhere, before anything is begun: no coroutine is left that was never awaited."""
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnsupportedOperationError, match="needs asyncio"):
            run(ENTRIES[entry])


def test_every_operation_of_the_client_is_among_the_entries() -> None:
    """A coroutine method that is new here has an entry above, or stands with those that go the same way."""
    methods = {name for name, _ in inspect.getmembers(SecretsClient, inspect.iscoroutinefunction) if name[0] != "_"}
    same_way = {"patch", "rotate", "metadata", "write_metadata", "encrypt"}  # by the same two functions as the rest
    assert methods - same_way <= set(ENTRIES)


def test_what_needs_no_loop_works_without_one() -> None:
    """Looking at what is there."""
    found = client()
    assert found.peek("NAME") is None
    found.invalidate("NAME")
    assert found.health().state
    assert found.explain("NAME").source == "default"
    assert len(found.status()) == 2


class Holder:
    """Something of somebody's own that holds it."""

    def __init__(self, what: object) -> None:
        self.held = {"held": [what]}


_COPYING: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (copy.copy, lambda what: what),
    *itertools.product(
        [copy.deepcopy, pickle.dumps, ForkingPickler.dumps],
        [lambda what: what, Holder, lambda what: functools.partial(print, what)],
    ),
    (ForkingPickler.dumps, lambda what: what.get),
]


@pytest.mark.parametrize("made", [client, cache])
@pytest.mark.parametrize(("copied", "holder"), _COPYING)
def test_neither_copied_nor_pickled(
    copied: Callable[[Any], Any], holder: Callable[[Any], Any], made: Callable[[], Any]
) -> None:
    """By itself or held by something else, by hand or for another process: it says what to do instead."""
    with pytest.raises(TypeError, match="Build one per process"):
        copied(holder(made()))


def test_uvloop_runs_it_all() -> None:
    """Cold and warm, a write, another loop after it."""
    found = client()

    async def use(expected: str) -> None:
        assert (await found.get("NAME")).reveal() == expected
        assert await found.list() == ["NAME"]
        await found.put("NAME", "canary-2")
        assert (await found.get("NAME")).reveal() == "canary-2"

    for expected in ("canary", "canary-2"):
        with uvloop_runner() as runner:
            runner.run(use(expected))
    with uvloop_runner() as runner:
        runner.run(found.aclose())


def uvloop_runner() -> Any:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


# -- gevent, which replaces threads and locks by greenlets in a process that has imported us already

_SERVED = """
async def main():
    async with SecretsClient.from_provider(MemoryProvider({"NAME": "canary"}), environ={}) as client:
        assert (await client.get("NAME")).reveal() == "canary"
        await client.put("NAME", "canary-2")
        assert await get_secret("NAME") == "canary-2"
    async def fetch(key):
        calls.append(key)
        return key
    calls = []
    cache = SingleFlightCache(fetch, CachePolicy(refresh_interval=0.1, max_stale=0.1), jitter=lambda: 1.0)
    await cache.get("k")
    end = time.monotonic() + 0.5
    while time.monotonic() < end:  # blocks its loop, and all greenlets of its thread
        pass
    assert cache.peek("k") is None or not REAL
    assert await cache.get("k") == "k"
    assert len(calls) > 1 or not REAL
    await cache.aclose()

def serve():
    asyncio.run(main())
    asyncio.run(main())
    print("served", flush=True)

gevent.spawn(serve).join(timeout=20)
"""

_IMPORTS = """
import asyncio, sys, time
from asyncsecrets import CachePolicy, SecretsClient, SingleFlightCache, get_secret
from asyncsecrets.providers.memory import MemoryProvider
MADE_BEFORE = SecretsClient.from_provider(MemoryProvider({"NAME": "canary"}), environ={})
"""

_PATCH = """
import gevent
from gevent import monkey
monkey.patch_all()
"""


@pytest.mark.parametrize("patched", ["before", "after", "after, and used before"])
def test_beside_gevent(patched: str) -> None:
    """Patched first or late, as a server does that loads the program before it forks: nothing waits for ever.

    Patched late, the guard is still a thread, and holds a loop that blocks to its promises; patched first, it is a
    greenlet like any other thread of the program.
    """
    used = "print(asyncio.run(MADE_BEFORE.list()))\n" if "used" in patched else ""
    order = [_PATCH, _IMPORTS] if patched == "before" else [_IMPORTS, used, _PATCH]
    program = "".join([*order, f"REAL = {patched != 'before'}\n", _SERVED])
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1:] == ["served"], done.stderr


# -- what is printed of tasks and futures


class Work:
    """Something that a thread does. Its repr is what a partial, or a dataclass, shows of its arguments."""

    def __init__(self, outcome: object) -> None:
        self._outcome = outcome

    def __call__(self) -> object:
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def __repr__(self) -> str:
        return f"Work({self._outcome!r})"


def executed(shown: list[str]) -> Callable[..., asyncio.Future[Any]]:
    """``run_in_executor`` of the running loop, which notes what is printed of it before and after."""
    real = asyncio.get_running_loop().run_in_executor

    def run(pool: Any, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future = real(pool, function, *args)
        shown.append(f"{function!r} {args!r} {future!r}")
        future.add_done_callback(lambda done: shown.append(repr(done)))
        return future

    return run


@pytest.mark.parametrize("outcome", [{"TOKEN": "canary"}, b"canary", OSError("canary"), KeyError("canary")])
async def test_nothing_of_a_threads_work_shows(monkeypatch: pytest.MonkeyPatch, outcome: object) -> None:
    """Tools print all futures, with their results and exceptions: what a thread did, and of what, is not in them."""
    shown: list[str] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", executed(shown))
    if isinstance(outcome, Exception):
        with pytest.raises(type(outcome)) as caught:
            await in_thread(Work(outcome))
        assert caught.value is outcome
    else:
        assert await in_thread(Work(outcome)) is outcome
    await asyncio.sleep(0)  # a future that was done before anybody waited calls back in the next turn
    assert len(shown) == 2
    assert "finished" in shown[1]
    assert "canary" not in "".join(shown)
