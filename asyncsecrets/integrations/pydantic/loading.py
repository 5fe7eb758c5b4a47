"""``load_settings``: read the secrets of a model, then make it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    SecretsSettingsSource,
    SettingsError,
)

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ConfigError
from asyncsecrets.integrations.pydantic.batch import Chosen, fetch
from asyncsecrets.integrations.pydantic.fields import wanted_of
from asyncsecrets.integrations.pydantic.problems import invalid, undecodable
from asyncsecrets.integrations.pydantic.source import AsyncSecretsSettingsSource, Loading, loading, values_of
from asyncsecrets.loops import in_thread

__all__ = ["Loader"]

M = TypeVar("M", bound=BaseModel)


class Loader(Generic[M]):
    """How one model is made of secrets, as often as it has to be. ``overrides`` are what the model is called with.

    Raises ConfigError for what is no model.
    """

    def __init__(
        self, model: type[M], client: SecretsClient, overrides: Mapping[str, Any], *, marked_only: bool
    ) -> None:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise ConfigError("load_settings() takes a class: a BaseSettings of pydantic-settings, or a BaseModel")
        self.client = client
        self._model = model
        self._is_settings = issubclass(model, BaseSettings)
        self._overrides = overrides
        self._wanted = [
            want
            for want in wanted_of(model, self._config(), marked_only=marked_only)
            if not any(self._is_given(choice.path) for choice in want.choices)
        ]

    async def read(self) -> list[Chosen]:
        """Read the secrets. Raises ResolveError listing every name that failed."""
        return await fetch(self.client, self._wanted, environment=self._is_settings)

    async def make(self, chosen: list[Chosen]) -> M:
        """Make the model, in a thread if it reads files. Raises ConfigError or DecodeError for what does not fit."""
        if self._is_settings:
            return await in_thread(lambda: self._made(chosen))
        return self._made(chosen)

    def _config(self) -> dict[str, Any]:
        """The settings that hold: those of the model, and what the call says instead, as in ``_env_prefix``."""
        said = {key[1:]: value for key, value in self._overrides.items() if key.startswith("_")}
        return {**self._model.model_config, **said}

    def _is_given(self, path: tuple[str, ...]) -> bool:
        """Whether the call has the value. A dict of a nested model may have a part of it."""
        given = self._overrides
        for key in (self._name_of(path[0]), *path[1:]):
            if key not in given:
                return False
            if not isinstance(given[key], Mapping):
                return True
            given = given[key]
        return False

    def _name_of(self, key: str) -> str:
        """The name by which the call gives the field of this key."""
        names = [key, *(name for name, field in self._model.model_fields.items() if field.validation_alias == key)]
        return next((name for name in names if name in self._overrides), key)

    def _made(self, chosen: list[Chosen]) -> M:
        token = loading.set(Loading(self._model, chosen))
        try:
            return self._model(**self._values(chosen))
        except ValidationError as error:
            problem = invalid(self._model, error, self._wanted, chosen)
        except SettingsError as error:
            problem = undecodable(self._model, error)
        finally:
            loading.reset(token)
        raise problem

    def _values(self, chosen: list[Chosen]) -> dict[str, Any]:
        if self._has_source():
            return dict(self._overrides)
        return _merged(values_of(self._model, chosen), self._overrides)

    def _has_source(self) -> bool:
        """Whether the model has put our source among its own, where it has the place that the model gave it."""
        if not issubclass(self._model, BaseSettings):
            return False
        model = cast("type[BaseSettings]", self._model)
        sources = model.settings_customise_sources(
            model,
            init_settings=InitSettingsSource(model, {}),
            env_settings=EnvSettingsSource(model),
            dotenv_settings=DotEnvSettingsSource(model),
            file_secret_settings=SecretsSettingsSource(model),
        )
        return any(isinstance(source, AsyncSecretsSettingsSource) for source in sources)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above``, and what ``below`` has beside it, also in nested dicts."""
    both = {key for key in above if isinstance(above[key], Mapping) and isinstance(below.get(key), Mapping)}
    return {**below, **above, **{key: _merged(below[key], above[key]) for key in both}}
