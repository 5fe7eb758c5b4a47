"""Settings: what is loaded has the type of its model."""

from __future__ import annotations

from typing import Annotated, assert_type

from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

import asyncsecrets
from asyncsecrets import Secret, SecretsClient
from asyncsecrets.integrations.pydantic import (
    AsyncSecretsSettingsSource,
    FromSecret,
    LiveSettings,
    load_settings,
)


class Settings(BaseSettings):
    """Fields of several kinds."""

    password: SecretStr
    token: Annotated[Secret | None, FromSecret("TOKEN")] = None
    workers: int = 2

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ours among others."""
        return init_settings, AsyncSecretsSettingsSource(settings_cls, marked_only=True), env_settings


class Plain(BaseModel):
    """A model of pydantic alone."""

    password: SecretStr


async def main(client: SecretsClient) -> None:
    """Every way of loading."""
    assert_type(await load_settings(Settings), Settings)
    assert_type(await asyncsecrets.load_settings(Plain, client, password="given"), Plain)
    assert_type((await load_settings(Settings, client, marked_only=True)).token, Secret | None)
    live = await load_settings(Settings, live=True)
    assert_type(live, LiveSettings[Settings])
    assert_type(live.current.password, SecretStr)
    live.on_change(lambda settings: print(settings.workers))()
    live.close()

    await load_settings(3)  # type: ignore[call-overload]
    await load_settings(Settings, "client")  # type: ignore[call-overload]
    await load_settings(Settings, live="yes")  # type: ignore[call-overload]
    FromSecret(3)  # type: ignore[arg-type]
