"""Settings of pydantic and pydantic-settings whose fields are secrets.

::

    class Settings(BaseSettings):
        db_password: SecretStr

    settings = await load_settings(Settings)

Needs ``asyncsecrets[pydantic]``.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal, TypeVar, cast, overload

from asyncsecrets.boundary import configuring
from asyncsecrets.client import SecretsClient
from asyncsecrets.default import default_client
from asyncsecrets.errors import MissingDependencyError

if find_spec("pydantic_settings") is None:
    raise MissingDependencyError(
        "settings need the package 'pydantic-settings', which is not installed: pip install \"asyncsecrets[pydantic]\"",
        extra="pydantic",
    )

from pydantic import BaseModel

from asyncsecrets.integrations.pydantic.fields import FromSecret
from asyncsecrets.integrations.pydantic.live import LiveSettings
from asyncsecrets.integrations.pydantic.loading import Loader
from asyncsecrets.integrations.pydantic.source import AsyncSecretsSettingsSource

__all__ = ["AsyncSecretsSettingsSource", "FromSecret", "LiveSettings", "load_settings"]

M = TypeVar("M", bound=BaseModel)


@overload
async def load_settings(
    model: type[M],
    client: SecretsClient | None = None,
    *,
    live: Literal[False] = False,
    marked_only: bool = False,
    **overrides: Any,
) -> M: ...


@overload
async def load_settings(
    model: type[M],
    client: SecretsClient | None = None,
    *,
    live: Literal[True],
    marked_only: bool = False,
    **overrides: Any,
) -> LiveSettings[M]: ...


@configuring
async def load_settings(
    model: type[M],
    client: SecretsClient | None = None,
    *,
    live: bool = False,
    marked_only: bool = False,
    **overrides: Any,
) -> M | LiveSettings[M]:
    """Make a model of pydantic or pydantic-settings whose fields are read from secrets, all of them concurrently.

    A field is read from the secret that ``FromSecret`` marks it with; else from the one that is called as the
    environment variable is that pydantic-settings would read. What the manager does not have comes from the model's
    other sources, in their order. A manager that is down or says no is an error, and never the environment.

    * ``client``: the one to read through. Default: the one that ``get_secret`` reads through.
    * ``live``: return ``LiveSettings``, which follow the secrets.
    * ``marked_only``: ask only for what ``FromSecret`` marks.
    * ``overrides``: values that are given and not asked for, and what else the model is called with.

    Raises ResolveError listing every name that could not be read, DecodeError where a secret does not fit its field,
    ConfigError where anything else does not; none of them shows a value.
    """
    using = client if client is not None else cast("SecretsClient", await default_client())
    loader = Loader(model, using, overrides, marked_only=marked_only)
    chosen = await loader.read()
    settings = await loader.make(chosen)
    return LiveSettings(loader, chosen, settings) if live else settings
