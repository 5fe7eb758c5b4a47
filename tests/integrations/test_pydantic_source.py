"""The settings source among others: its place, and what a plain ``Settings()`` finds in memory."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ConfigError, DecodeError
from asyncsecrets.integrations.pydantic import AsyncSecretsSettingsSource, FromSecret, load_settings
from tests.client.support import Manager, client_of


@pytest.fixture(autouse=True)
def _variables(monkeypatch) -> None:
    monkeypatch.setattr("os.environ", {"FIRST": "environment", "THIRD": "environment"})


class Sourced(BaseSettings):
    """Settings whose environment comes before the secrets."""

    first: str = "default"
    second: str = "default"
    third: str = "default"
    token: Annotated[SecretStr, FromSecret("TOKEN")] = SecretStr("default")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the secrets."""
        return init_settings, env_settings, AsyncSecretsSettingsSource(settings_cls)


SECRETS = {"FIRST": "canary-1", "SECOND": "canary-2", "TOKEN": "canary-3"}


def _shown(settings: Sourced) -> tuple[str, str, str, str]:
    return settings.first, settings.second, settings.third, settings.token.get_secret_value()


async def test_the_source_stands_where_the_model_puts_it() -> None:
    async with client_of(Manager(SECRETS)) as client:
        settings = await load_settings(Sourced, client)
    assert _shown(settings) == ("environment", "canary-2", "environment", "canary-3")


async def test_plain_settings_find_in_memory_what_was_loaded_before() -> None:
    """Also what was absent then, without asking anybody."""
    manager = Manager(SECRETS)
    async with client_of(manager) as client:
        await load_settings(Sourced)
        asked = len(manager.calls)
        assert _shown(Sourced()) == ("environment", "canary-2", "environment", "canary-3")
        assert Sourced(second="given").second == "given"
        manager.set("SECOND", "canary-new")
        await client.refresh("SECOND")
        assert Sourced().second == "canary-new"
        assert len(manager.calls) == asked + 1


async def test_plain_settings_find_it_from_another_thread() -> None:
    async with client_of(Manager(SECRETS)):
        await load_settings(Sourced)
        assert (await asyncio.to_thread(Sourced)).second == "canary-2"


async def test_cold_settings_are_an_error_that_shows_the_way() -> None:
    async with client_of(Manager(SECRETS)) as client:
        await client.warm_up(["TOKEN", "SECOND"])
        with pytest.raises(ConfigError) as caught:
            Sourced()
    assert "'FIRST', 'first', 'THIRD', 'third'" in str(caught.value)
    assert "'TOKEN'" not in str(caught.value)
    assert "await load_settings(Sourced)" in str(caught.value)


def test_settings_without_a_client_are_an_error_that_shows_the_way() -> None:
    with pytest.raises(ConfigError, match=r"no client is open; call `await load_settings\(Sourced\)`"):
        Sourced()


async def test_what_left_the_memory_is_cold_again() -> None:
    async with client_of(Manager(SECRETS)) as client:
        await load_settings(Sourced)
        client.invalidate("TOKEN")
        with pytest.raises(ConfigError, match="TOKEN"):
            Sourced()


async def test_the_source_may_have_a_client_of_its_own_and_be_confined_to_marks() -> None:
    client = SecretsClient.from_provider(Manager(SECRETS), environ={})

    class Confined(Sourced):
        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, **sources: Any) -> Any:
            return (AsyncSecretsSettingsSource(settings_cls, client, marked_only=True),)

    async with client_of(Manager({})):
        await client.start()
        await client.get("TOKEN")
        assert _shown(Confined()) == ("default", "default", "default", "canary-3")
    await client.aclose()


async def test_models_that_are_made_while_another_is_loaded_get_their_own_secrets() -> None:
    """A settings object in the default of another one, and two that are loaded at once."""

    class Inner(Sourced):
        pass

    class Outer(BaseSettings):
        second: str

        def model_post_init(self, _: object) -> None:
            assert Inner().second == "canary-2"

    async with client_of(Manager(SECRETS)):
        await load_settings(Inner)
        outer, inner = await asyncio.gather(load_settings(Outer), load_settings(Inner))
        assert (outer.second, inner.second) == ("canary-2", "canary-2")


async def test_what_is_not_json_is_the_same_error_in_plain_settings() -> None:
    class Json(BaseSettings):
        numbers: list[int]

        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, **sources: Any) -> Any:
            return (AsyncSecretsSettingsSource(settings_cls),)

    async with client_of(Manager({"NUMBERS": "[canary"})) as client:
        await client.get("NUMBERS")
        with pytest.raises(DecodeError, match="the secret is not JSON"):
            Json()


async def test_a_nested_model_is_merged_with_what_other_sources_have(monkeypatch) -> None:
    class Db(BaseModel):
        host: str
        password: SecretStr

    class Nested(BaseSettings):
        model_config = SettingsConfigDict(env_nested_delimiter="__")
        db: Db

        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, **sources: Any) -> Any:
            return AsyncSecretsSettingsSource(settings_cls), sources["env_settings"]

    monkeypatch.setenv("DB__HOST", "environment")
    monkeypatch.setenv("DB__PASSWORD", "canary-environment")
    async with client_of(Manager({"DB": '{"password": "canary"}'})) as client:
        settings = await load_settings(Nested, client)
    assert settings.db.host == "environment"
    assert settings.db.password.get_secret_value() == "canary"


def test_the_source_says_what_it_is() -> None:
    assert repr(AsyncSecretsSettingsSource(Sourced)) == "AsyncSecretsSettingsSource(Sourced)"
