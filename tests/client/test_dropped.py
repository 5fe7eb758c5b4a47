"""Clients and caches that the program drops without closing them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import asyncsecrets
from asyncsecrets import SecretsClient
from asyncsecrets.cache import CachePolicy, SingleFlightCache
from asyncsecrets.testing.vault_server import VaultServer
from tests.client.support import Manager, client_of, settled

pytestmark = pytest.mark.usefixtures("small_heap")

VAULT = {"general_settings": {"key_management_system": "hashicorp_vault"}}


@contextlib.contextmanager
def told() -> Iterator[list[str]]:
    """What the program is told of what it has not closed."""
    heard: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield heard
        gc.collect()
    heard += [str(warning.message) for warning in caught if warning.category is ResourceWarning]


def ours() -> list[str]:
    """The tasks of ours that run."""
    return sorted(task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("asyncsecrets"))


USES: dict[str, Callable[[SecretsClient], Awaitable[Any]]] = {
    "started": lambda client: client.start(),
    "read": lambda client: client.get("NAME"),
    "written": lambda client: client.put("NAME", "canary-2"),
    "followed": lambda client: anext(client.watch("NAME")),
}


@pytest.mark.parametrize("use", USES)
async def test_a_dropped_client_stops_and_says_so(use: str) -> None:
    """Its tasks end, its provider is closed, nothing is asked any more, and the program is told once."""
    manager = Manager({"NAME": "canary"})

    async def forgetful() -> None:
        await USES[use](client_of(manager, refresh_interval=0.02))

    with told() as heard:
        await forgetful()
        gc.collect()
        await settled()
        assert ours() == []
        assert manager.closed == 1
        calls = len(manager.calls)
        await asyncio.sleep(0.1)
        assert len(manager.calls) == calls
    assert len(heard) == 1
    assert "unclosed SecretsClient" in heard[0]
    assert "aclose()" in heard[0]


async def test_a_provider_that_knows_its_client_is_dropped_with_it() -> None:
    """They hold each other, and nobody holds them."""

    async def forgetful() -> None:
        manager = Manager({"NAME": "canary"})
        manager.client = client = client_of(manager)  # type: ignore[attr-defined]
        await client.get("NAME")

    with told() as heard:
        await forgetful()
        await settled()  # the fetch has a last word to say
        gc.collect()
        await settled()
        assert ours() == []
    assert len(heard) == 1


async def test_a_dropped_client_of_vault_lets_go_of_its_token_and_its_connections() -> None:
    """A token is looked up and renewed for nobody; a connection is kept for nobody."""
    async with VaultServer() as server:

        async def forgetful() -> None:
            environ = {"VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token}
            client = SecretsClient.from_config(VAULT, environ=environ)
            await client.get_many([])
            await client.start()
            with contextlib.suppress(asyncsecrets.errors.SecretNotFoundError):
                await client.get("NAME")

        with told() as heard:
            await forgetful()
            gc.collect()
            await asyncio.sleep(0.05)
            requests = len(server.requests)
            await asyncio.sleep(1.2)  # the lease of a given token is asked for after a second
            assert len(server.requests) == requests
            assert ours() == []
        assert [line[:22] for line in heard] == ["unclosed SecretsClient"]


async def test_a_dropped_cache_does_the_same() -> None:
    """By itself: what it was given to close is closed."""
    fetched, ended = [], []

    async def fetch(key: str) -> str:
        fetched.append(key)
        return key

    async def on_end() -> None:
        ended.append(asyncio.get_running_loop())

    async def forgetful() -> None:
        await SingleFlightCache(fetch, CachePolicy(refresh_interval=0.02), on_end=on_end).get("k")

    with told() as heard:
        await forgetful()
        await settled()
        gc.collect()
        await settled()
        assert (ours(), len(ended)) == ([], 1)
        calls = len(fetched)
        await asyncio.sleep(0.1)
        assert len(fetched) == calls
    assert [line[:26] for line in heard] == ["unclosed SingleFlightCache"]


async def test_a_client_whose_callers_are_gone_is_dropped_when_its_fetch_is_over() -> None:
    """The fetch goes on without its reader, and then there is nobody any more."""
    manager = Manager({"NAME": "canary"})
    manager.gate = asyncio.Event()

    async def forgetful() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client_of(manager).get("NAME"), 0.01)

    with told() as heard:
        await forgetful()
        manager.gate.set()
        await settled()
        gc.collect()
        await settled()
        assert ours() == []
    assert len(heard) == 1


async def test_a_client_that_another_thread_drops_ends_on_its_own_loop() -> None:
    """Finalizers run wherever the last reference is let go of."""
    manager = Manager({"NAME": "canary"})
    kept = [client_of(manager)]
    await kept[0].get("NAME")
    with told() as heard:
        thread = threading.Thread(target=kept.clear)
        thread.start()
        thread.join()
        gc.collect()
        await settled()
        assert ours() == []
        assert manager.closed == 1
    assert len(heard) == 1


async def test_nothing_is_said_of_what_was_closed_or_never_used() -> None:
    """Nor of one that is still in use."""
    with told() as heard:
        used = client_of(Manager({"NAME": "canary"}))
        await used.get("NAME")
        await used.aclose()
        async with client_of(Manager({"NAME": "canary"})) as entered:
            await entered.get("NAME")
        client_of(Manager())
        SingleFlightCache(Manager().get)
        with pytest.raises(asyncsecrets.errors.ConfigError):
            client_of(Manager(), hosted_keys="NAME")
        with pytest.raises(TypeError):
            SecretsClient()  # type: ignore[call-arg]
        del used, entered
    assert heard == []


def test_nothing_is_said_of_what_ended_with_its_loop() -> None:
    """Nothing of it goes on."""
    client = client_of(Manager({"NAME": "canary"}))
    with told() as heard:
        asyncio.run(client.start())
        del client
    assert heard == []


@pytest.mark.parametrize(
    "program",
    [
        "asyncio.run(get_secret('NAME'))",
        "client = SecretsClient.from_environment(); asyncio.run(client.get('NAME'))",
        """
loop = asyncio.new_event_loop(); client = SecretsClient.from_environment()
loop.run_until_complete(client.get('NAME')); loop.close()
""",
        """
client = SecretsClient.from_environment()
async def main():
    await client.get('NAME')
    sys.exit()
asyncio.run(main())
""",
    ],
)
def test_nothing_is_said_at_the_end_of_the_interpreter(program: str, tmp_path: Path) -> None:
    """Of a program that keeps its client to the end, however it ends."""
    code = f"import asyncio, sys\nfrom asyncsecrets import SecretsClient, get_secret\n{program}\n"
    environ = {"PYTHONPATH": str(Path(asyncsecrets.__file__).parents[1]), "NAME": "canary", "PATH": ""}
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_client_dropped_at_the_end_of_its_run_leaves_nothing_open(tmp_path: Path) -> None:
    """The one warning is ours: no session, transport or task is left for others to complain of."""
    code = """
import asyncio, sys
from asyncsecrets import SecretsClient
from asyncsecrets.testing.vault_server import VaultServer
async def main(server):
    environ = {"VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token}
    config = {"general_settings": {"key_management_system": "hashicorp_vault"}}
    client = SecretsClient.from_config(config, environ=environ)
    try:
        await client.get("NAME")
    except LookupError:
        pass
with VaultServer().run_in_thread() as server:
    asyncio.run(main(server))
"""
    environ = {"PYTHONPATH": str(Path(asyncsecrets.__file__).parents[1]), "PATH": ""}
    command = [sys.executable, "-X", "dev", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in done.stderr.splitlines() if "nclosed" in line or "Error" in line or "never" in line]
    assert len(said) == 1, done.stderr
    assert "unclosed SecretsClient" in said[0]
