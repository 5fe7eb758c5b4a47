"""What serves many, or nobody in particular, runs in no request's context and keeps no request alive."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets import SecretsClient, default, get_secret
from asyncsecrets.config import AccessMode, Freshness, SourceConfig
from asyncsecrets.deadlines import Deadline
from asyncsecrets.errors import SecretNotFoundError, UnavailableError
from asyncsecrets.testing.vault_server import VaultServer
from tests.client.support import Manager, client_of, client_with, down, in_virtual_time, settled, virtual_client

pytestmark = pytest.mark.usefixtures("small_heap")

VAULT = {"key_management_system": "hashicorp_vault", "key_management_settings": {"access_mode": "read_and_write"}}

request: contextvars.ContextVar[Request | None] = contextvars.ContextVar("request", default=None)


class Request:
    """Something that a framework keeps in the context of one request."""


async def serve(handle: Callable[[], Awaitable[Any]]) -> weakref.ref[Request]:
    """Handle one request in a task of its own; return what tells whether it is still alive."""

    async def one() -> weakref.ref[Request]:
        mine = Request()
        request.set(mine)
        await handle()
        return weakref.ref(mine)

    ref = await asyncio.create_task(one())
    await settled()
    gc.collect()
    return ref


async def _watch(client: SecretsClient) -> None:
    follower = client.watch("NAME")
    await anext(follower)
    other = asyncio.ensure_future(anext(follower))
    await settled()
    await client.put("NAME", "canary-3")
    await other
    await follower.aclose()  # type: ignore[attr-defined]


async def _from_another_loop(client: SecretsClient) -> None:
    # Not by to_thread: its thread has the context in hand for a moment longer than the answer takes to come.
    work = contextvars.copy_context().run
    thread = threading.Thread(target=work, args=(asyncio.run, client.refresh("NAME")))
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)
    thread.join()


OPERATIONS: dict[str, Callable[[SecretsClient], Awaitable[Any]]] = {
    "get": lambda client: client.get("NAME"),
    "refresh": lambda client: client.refresh("NAME"),
    "put": lambda client: client.put("NAME", "canary-2"),
    "delete": lambda client: client.delete("NAME"),
    "list": lambda client: client.list(),
    "many": lambda client: client.get_many(["NAME", "OTHER"]),
    "watch": _watch,
    "another loop": _from_another_loop,
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("opened", [True, False])
async def test_an_open_client_keeps_no_request(operation: str, opened: bool) -> None:
    """Neither do its connection, which is kept, its token's lease, which is looked up, and its time limits' timer."""
    async with VaultServer() as server:
        environ = {"VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token}
        client = SecretsClient.from_config({"general_settings": VAULT}, environ=environ)
        async with client_of(Manager()) as other:
            await other.list()
        if opened:
            await client.start()
        async with SecretsClient.from_config({"general_settings": VAULT}, environ=environ) as writer:
            await writer.put("NAME", "canary-1")
            await writer.put("OTHER", "canary-1")
        assert (await serve(lambda: OPERATIONS[operation](client)))() is None
        await client.aclose()


async def test_neither_a_fetch_nor_a_write_runs_in_the_context_of_the_first_who_asks() -> None:
    """Those who join it, and those who come later, are served by it as well."""
    seen: list[Request | None] = []

    class Curious(Manager):
        async def _before(self, operation: str, name: str) -> None:
            seen.append(request.get())
            await super()._before(operation, name)

    async with client_of(Curious({"NAME": "canary"})) as client:
        for handle in (lambda: client.get("NAME"), lambda: client.put("NAME", "canary-2"), client.list):
            await serve(handle)
    assert seen == [None] * 3


async def test_a_request_that_is_gone_is_not_kept_by_the_fetch_it_began() -> None:
    """Its reader was cancelled; the fetch goes on."""
    manager = Manager({"NAME": "canary"})
    async with client_of(manager) as client:
        manager.gate = asyncio.Event()

        async def cut_short() -> None:
            for operation in (client.get("NAME"), client.put("NAME", "canary-2")):
                waiting = asyncio.ensure_future(operation)
                await settled()
                waiting.cancel()
                await asyncio.wait([waiting])

        assert (await serve(cut_short))() is None
        assert len(manager.calls) == 2
        manager.gate.set()


async def test_a_failure_keeps_no_request() -> None:
    """Neither does what is remembered of it, nor the retry that is due."""
    manager = Manager({"NAME": "canary"})
    async with client_of(manager) as client:
        await client.get("NAME")
        manager.failure = down

        async def fail() -> None:
            for name in ("NAME", "OTHER", "ABSENT"):
                with pytest.raises(UnavailableError):
                    await client.refresh(name)

        assert (await serve(fail))() is None


async def test_the_default_client_keeps_no_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It was opened by the first one that asked, and lives on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASYNCSECRETS_CONFIG", raising=False)
    monkeypatch.setenv("CANARY_NAME", "canary-env")
    assert (await serve(lambda: get_secret("CANARY_NAME")))() is None
    for client in default._open:
        await client.aclose()  # type: ignore[attr-defined]


def test_a_follower_that_has_left_is_not_kept_by_its_timer() -> None:
    """The timer is for a day, and asyncio keeps one that is cancelled until its time has come."""

    async def main(clock: Any) -> None:
        client = virtual_client(clock, Manager({"NAME": "canary"}))

        async def follow() -> None:
            follower = client.watch("NAME")
            await anext(follower)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(follower), 1.0)

        assert (await serve(follow))() is None
        await client.aclose()

    in_virtual_time(main)


async def test_a_time_limit_keeps_no_request() -> None:
    """One timer serves all operations with the same limit, and goes on from one to the next."""
    deadline = Deadline(3600.0)

    async def limited() -> None:
        with deadline.limit():
            await asyncio.sleep(0)

    assert (await serve(limited))() is None


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("operation", ["get", "absent", "put", "versions"])
async def test_what_has_ended_is_not_left_to_the_collector(operation: str, cached: bool) -> None:
    """Neither the task of a fetch or a write, nor its context, nor who waited: they hold each other to the end only."""
    manager = Manager({f"N{number}": "canary" for number in range(200)})
    mode, freshness = AccessMode("read_and_write"), Freshness(cached=cached)
    declared = SourceConfig(name="default", system="memory", access_mode=mode, freshness=freshness)
    async with client_with({"default": (declared, manager)}) as client:
        work = {
            "get": lambda number: client.get(f"N{number}"),
            "absent": lambda number: _failing(client.get(f"ABSENT{number}")),
            "put": lambda number: client.put(f"N{number}", "canary-2"),
            "versions": lambda number: client.versions(f"N{number}"),
        }[operation]
        await work(0)
        gc.collect()
        gc.disable()
        try:
            for number in range(1, 101):
                await work(number)
            await settled()
            assert gc.collect() < 100
        finally:
            gc.enable()


async def _failing(reading: Awaitable[Any]) -> None:
    with contextlib.suppress(SecretNotFoundError):  # pytest.raises() would hold its traceback
        await reading
