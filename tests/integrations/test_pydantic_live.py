"""LiveSettings: one snapshot that follows its secrets."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from asyncsecrets.client import SecretsClient
from asyncsecrets.config import Freshness, SourceConfig
from asyncsecrets.errors import ClosedError, DecodeError, ResolveError
from asyncsecrets.integrations.pydantic import FromSecret, LiveSettings, load_settings
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import (
    ONCE,
    Failure,
    Manager,
    client_of,
    client_with,
    denied,
    down,
    in_virtual_time,
    settled,
    virtual_client,
    virtual_options,
)

LOGGER = "asyncsecrets.settings"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch) -> None:
    monkeypatch.setattr("os.environ", {})


class Login(BaseModel):
    """A user and a password that belong together, and a limit beside them."""

    user: Annotated[str, FromSecret("secret:///login?field=user")]
    password: Annotated[SecretStr, FromSecret("secret:///login?field=password")]
    limit: Annotated[int, FromSecret("LIMIT")] = 1

    def pair(self) -> tuple[str, str]:
        """Both."""
        return self.user, self.password.get_secret_value()


def login(number: int) -> str:
    """What the manager stores."""
    return f'{{"user": "user-{number}", "password": "canary-{number}"}}'


def _manager() -> Manager:
    return Manager({"login": login(1), "LIMIT": "5"})


async def _rotated(client: SecretsClient, manager: Manager, name: str, text: str) -> None:
    manager.set(name, text)
    await client.refresh(name)
    await settled()


async def test_a_snapshot_is_replaced_when_a_secret_of_it_rotates() -> None:
    manager = _manager()
    async with client_of(manager) as client:
        live = await load_settings(Login, client, live=True)
        assert isinstance(live, LiveSettings)
        first = live.current
        assert first.pair() == ("user-1", "canary-1")
        await _rotated(client, manager, "login", login(2))
        assert live.current.pair() == ("user-2", "canary-2")
        assert first.pair() == ("user-1", "canary-1")  # whoever took it keeps what belongs together
        await _rotated(client, manager, "LIMIT", "6")
        assert (live.current.limit, live.current.user) == (6, "user-2")


async def test_what_belongs_together_is_never_mixed() -> None:
    """Whoever reads at any moment, and whoever is told, sees members of one version."""
    manager = _manager()
    told: list[tuple[str, str]] = []
    async with client_of(manager) as client:
        live = await load_settings(Login, client, live=True)
        live.on_change(lambda settings: told.append(settings.pair()))
        client.on_change(lambda *_: told.append(live.current.pair()))
        for number in range(2, 30):
            manager.set("login", login(number))
            refreshing = asyncio.ensure_future(client.refresh("secret:///login?field=password"))
            while not refreshing.done():
                told.append(live.current.pair())
                await asyncio.sleep(0)
            await settled()
    assert {(user.removeprefix("user-"), password.removeprefix("canary-")) for user, password in told} == {
        (str(number), str(number)) for number in range(1, 30)
    }


def test_it_follows_the_background_refresh() -> None:
    async def main(clock: VirtualClock) -> None:
        manager = _manager()
        async with virtual_client(clock, manager, refresh_interval=100) as client:
            live = await load_settings(Login, client, live=True)
            manager.set("login", login(2))
            await asyncio.sleep(101)
            assert live.current.pair() == ("user-2", "canary-2")

    in_virtual_time(main)


async def test_settings_that_are_made_in_a_thread_follow_too() -> None:
    class Settings(BaseSettings):
        model_config = SettingsConfigDict(env_prefix="APP_")
        password: SecretStr
        workers: int = 2

    manager = Manager({"APP_PASSWORD": "canary-1"})
    changed = asyncio.Event()
    async with client_of(manager) as client:
        live = await load_settings(Settings, client, live=True, workers=3)
        live.on_change(lambda _: changed.set())
        await _rotated(client, manager, "APP_PASSWORD", "canary-2")
        await changed.wait()
        assert (live.current.password.get_secret_value(), live.current.workers) == ("canary-2", 3)


async def test_a_rotation_while_a_snapshot_is_made_is_not_lost() -> None:
    class Slow(BaseSettings):
        password: SecretStr

    manager = Manager({"PASSWORD": "canary-0"})
    seen: list[str] = []
    last = asyncio.Event()

    def note(settings: Slow) -> None:
        seen.append(settings.password.get_secret_value())
        if seen[-1] == "canary-9":
            last.set()

    async with client_of(manager) as client:
        live = await load_settings(Slow, client, live=True)
        live.on_change(note)
        for number in range(1, 10):
            manager.set("PASSWORD", f"canary-{number}")
            await client.refresh("PASSWORD")
        await last.wait()
        assert live.current.password.get_secret_value() == "canary-9"
    assert seen == sorted(set(seen))


async def test_a_rotation_during_the_first_load_is_not_lost() -> None:
    manager = _manager()
    async with client_of(manager) as client:
        await client.get("secret:///login?field=user")
        manager.gate = asyncio.Event()
        loading = asyncio.ensure_future(load_settings(Login, client, live=True))
        await settled()  # it has the user, and waits for the limit
        manager.set("login", login(2))
        manager.gate.set()
        await client.refresh("login")
        live = await loading
        await settled()
        assert live.current.pair() == ("user-2", "canary-2")


async def test_members_of_what_is_not_cached_are_of_one_version() -> None:
    """Each is a call of its own there; when the secret rotates between two, both are read again."""

    class Rotating(Manager):
        async def get(self, name: str, version: str | None = None) -> Any:
            found = await super().get(name, version)
            if len(self.calls) == 1:
                self.set("login", login(2))
            return found

    manager = Rotating({"login": login(1), "LIMIT": "5"})
    source = SourceConfig(name="default", system="memory", freshness=Freshness(cached=False))
    async with client_with({"default": (source, manager)}) as client:
        settings = await load_settings(Login, client)
        assert settings.pair() == ("user-2", "canary-2")


@pytest.mark.parametrize("text", ["canary", '{"canary": 1}', '"canary'])
async def test_a_value_that_the_model_refuses_leaves_the_last_snapshot(text: str, caplog) -> None:
    """It is logged once, without the value, until there is one that the model takes."""
    manager = _manager()
    async with client_of(manager) as client:
        live = await load_settings(Login, client, live=True)
        before = live.current
        for suffix in (" ", "  "):
            await _rotated(client, manager, "LIMIT", text + suffix)
        assert live.current is before
        said = [record for record in caplog.records if record.name == LOGGER]
        assert [record.levelno for record in said] == [logging.WARNING]
        assert "limit: int_parsing (from the secret 'LIMIT')" in said[0].getMessage()
        await _rotated(client, manager, "LIMIT", "7")
        assert live.current.limit == 7
        await _rotated(client, manager, "LIMIT", text)
        assert len([record for record in caplog.records if record.name == LOGGER]) == 2


async def test_a_validator_that_raises_anything_leaves_the_last_snapshot(caplog) -> None:
    class Raising(BaseModel):
        limit: Annotated[int, FromSecret("LIMIT")]

        @field_validator("limit")
        @classmethod
        def _check(cls, value: int) -> int:
            if value > 5:
                raise RuntimeError(f"canary {value}")
            return value

    manager = _manager()
    async with client_of(manager) as client:
        live = await load_settings(Raising, client, live=True)
        await _rotated(client, manager, "LIMIT", "6")
        assert live.current.limit == 5
    assert [record.getMessage() for record in caplog.records if record.name == LOGGER] == [
        "settings keep their last values: RuntimeError"
    ]


@pytest.mark.parametrize("failure", [down, denied])
def test_what_cannot_be_had_keeps_the_last_snapshot_and_is_caught_up_with(failure: Failure, caplog) -> None:
    """One secret has rotated, another one has left the memory and cannot be had: both come within a minute."""

    async def main(clock: VirtualClock) -> None:
        manager = _manager()
        async with virtual_client(clock, manager, refresh_interval=100_000, retry=ONCE) as client:
            live = await load_settings(Login, client, live=True)
            await settled()
            manager.set("login", login(2))
            client.invalidate("LIMIT")
            await client.refresh("login")
            manager.failure = failure
            await asyncio.sleep(300)
            assert live.current.pair() == ("user-1", "canary-1")
            manager.failure = None
            await asyncio.sleep(70)
            assert live.current.pair() == ("user-2", "canary-2")

    in_virtual_time(main)
    said = [record for record in caplog.records if record.name == LOGGER]
    assert len(said) == (failure is denied)  # an outage is what its source tells of


@pytest.mark.parametrize("failure", [down, denied])
def test_what_was_absent_and_cannot_be_looked_for_holds_a_rotation_back_for_a_minute_at_most(failure: Failure) -> None:
    """It is not followed, so nobody tells of it: it has to be asked for again."""

    async def main(clock: VirtualClock) -> None:
        manager = _manager()
        manager.remove("LIMIT")

        async def before(operation: str, name: str) -> None:
            if name == "LIMIT":
                raise failure(name)

        options = {"refresh_interval": 100_000, "retry": ONCE, "negative_ttl": 0.0, "environ": {}}
        async with virtual_client(clock, manager, **options) as client:
            live = await load_settings(Login, client, live=True)
            manager.before = before
            await _rotated(client, manager, "login", login(2))
            await asyncio.sleep(300)
            assert live.current.pair() == ("user-1", "canary-1")
            manager.before = None
            await asyncio.sleep(70)
            assert live.current.pair() == ("user-2", "canary-2")

    in_virtual_time(main)


def test_a_secret_that_is_deleted_is_waited_for() -> None:
    async def main(clock: VirtualClock) -> None:
        manager = _manager()
        async with virtual_client(clock, manager, refresh_interval=100, negative_ttl=0.0) as client:
            live = await load_settings(Login, client, live=True)
            await client.delete("login")
            await asyncio.sleep(300)
            assert live.current.pair() == ("user-1", "canary-1")
            manager.set("login", login(2))
            await asyncio.sleep(70)
            assert live.current.pair() == ("user-2", "canary-2")

    in_virtual_time(main)


def test_what_is_not_cached_is_looked_at_every_refresh_interval() -> None:
    async def main(clock: VirtualClock) -> None:
        manager = _manager()
        freshness = Freshness(cached=False, refresh_interval=100.0)
        source = SourceConfig(name="default", system="memory", freshness=freshness)
        async with client_with({"default": (source, manager)}, **virtual_options(clock)) as client:
            live = await load_settings(Login, client, live=True)
            manager.set("login", login(2))
            await asyncio.sleep(101)
            assert live.current.pair() == ("user-2", "canary-2")

    in_virtual_time(main)


async def test_settings_without_a_secret_have_nothing_to_follow() -> None:
    class Bare(BaseModel):
        limit: int = 1

    async with client_of(Manager({})) as client:
        live = await load_settings(Bare, client, live=True)
        await settled()
        assert live._task.done()
        assert live.current.limit == 1


async def test_callbacks_are_told_of_each_snapshot_and_harm_nobody(caplog) -> None:
    manager = _manager()
    told: list[int] = []

    def fail(settings: Login) -> None:
        raise RuntimeError(settings.password.get_secret_value())

    async with client_of(manager) as client:
        live = await load_settings(Login, client, live=True)
        live.on_change(fail)
        remove = live.on_change(lambda settings: told.append(settings.limit))
        await _rotated(client, manager, "LIMIT", "6")
        remove()
        remove()
        await _rotated(client, manager, "LIMIT", "7")
        assert live.current.limit == 7
    assert told == [6]
    assert "an on_change callback of settings failed: RuntimeError" in caplog.messages


async def test_a_refresh_that_brings_the_same_changes_nothing() -> None:
    manager = _manager()
    async with client_of(manager) as client:
        live = await load_settings(Login, client, live=True)
        before = live.current
        await client.refresh("login")
        await settled()
        assert live.current is before


@pytest.mark.parametrize("end", [LiveSettings.close, None])
async def test_it_ends_with_its_client_or_when_it_is_closed(end: Callable[[LiveSettings[Any]], None] | None) -> None:
    """What was current stays so."""
    manager = _manager()
    async with client_of(manager) as client:
        live = await load_settings(Login, client, live=True)
        if end is not None:
            end(live)
            end(live)
            await _rotated(client, manager, "login", login(2))
            assert live.current.pair() == ("user-1", "canary-1")
    await settled()
    assert live.current.pair() == ("user-1", "canary-1")
    assert live._task.done()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "asyncsecrets-settings"] == []


async def test_closing_the_client_while_a_snapshot_waits_ends_it_without_a_word(caplog) -> None:
    manager = _manager()
    async with client_of(manager, retry=ONCE) as client:
        live = await load_settings(Login, client, live=True)
        manager.set("login", login(2))
        await client.refresh("login")
        client.invalidate("LIMIT")
        manager.gate = asyncio.Event()
        await settled()
        assert not live._task.done()
    await settled()
    assert live._task.done()
    assert [record for record in caplog.records if record.name == LOGGER] == []


async def test_a_first_load_that_fails_leaves_nothing_behind() -> None:
    manager = Manager({"login": login(1), "LIMIT": "canary"})
    async with client_of(manager) as client:
        with pytest.raises(DecodeError):
            await load_settings(Login, client, live=True)
        manager.failure = down
        client.invalidate("LIMIT")
        with pytest.raises(ResolveError):
            await load_settings(Login, client, live=True)
        gc.collect()
        assert [found for found in gc.get_objects() if isinstance(found, LiveSettings)] == []


async def test_a_load_that_is_cancelled_leaves_nothing_behind() -> None:
    manager = _manager()
    manager.gate = asyncio.Event()
    async with client_of(manager) as client:
        loading = asyncio.ensure_future(load_settings(Login, client, live=True))
        await settled()
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        del loading
        manager.gate.set()
        await settled()
        gc.collect()
        assert [found for found in gc.get_objects() if isinstance(found, LiveSettings)] == []


async def test_a_closed_client_loads_nothing() -> None:
    async with client_of(_manager()) as client:
        pass
    with pytest.raises(ClosedError):
        await load_settings(Login, client, live=True)
