"""The settings source: what was read, in the shape in which pydantic-settings makes a model of it.

pydantic-settings is asked to decode: which fields are JSON, what becomes of unions, enums and ``NoDecode``, is its
business, and the same as for environment variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError
from pydantic_settings.sources.utils import parse_env_vars

from asyncsecrets import exact
from asyncsecrets.boundary import afresh
from asyncsecrets.client import SecretsClient
from asyncsecrets.default import current_client
from asyncsecrets.errors import ConfigError
from asyncsecrets.integrations.pydantic.batch import Chosen, warm
from asyncsecrets.integrations.pydantic.fields import wanted_of
from asyncsecrets.integrations.pydantic.hidden import hide
from asyncsecrets.integrations.pydantic.problems import UndecodableError, undecodable

__all__ = ["AsyncSecretsSettingsSource", "Loading", "loading", "values_of"]

_BETWEEN: Final = "\x1f"  # the keys of a path; no field has it in its name


class Loading(NamedTuple):
    """The model that ``load_settings`` is making, and what it has read for it."""

    model: type[BaseModel]
    chosen: list[Chosen]


loading: ContextVar[Loading | None] = ContextVar("loading", default=None)


class AsyncSecretsSettingsSource(EnvSettingsSource):
    """A settings source that reads secrets from memory, for ``settings_customise_sources``.

    It stands where you put it among the other sources. ``load_settings`` reads the secrets first; a plain
    ``Settings()`` finds them in memory from then on, while the client is open. Raises ConfigError for a secret that is
    not in memory, for a source cannot wait.

    ``client`` is the one to read through; by default the one that ``get_secret`` reads through. With ``marked_only``,
    only fields that ``FromSecret`` marks are looked at.
    """

    def __init__(
        self, settings_cls: type[BaseSettings], client: SecretsClient | None = None, *, marked_only: bool = False
    ) -> None:
        # Names are spelled by now, so nothing is left to do for prefix, case and delimiter.
        super().__init__(settings_cls, case_sensitive=True, env_prefix="", env_nested_delimiter=_BETWEEN)
        self.maxsplit = -1
        self._client = client
        self._marked_only = marked_only

    @afresh
    def __call__(self) -> dict[str, Any]:
        """Return the values of all fields that there is a secret for."""
        under_way = loading.get()
        if under_way is not None and under_way.model is self.settings_cls:
            return self.shaped(under_way.chosen)
        return self.shaped(self._warm())

    def shaped(self, chosen: list[Chosen]) -> dict[str, Any]:
        """The values of ``chosen``, decoded and nested. Raises DecodeError for what is not JSON where its field is."""
        values = {_BETWEEN.join(each.path): each.value() for each in chosen}
        self.env_vars = parse_env_vars(
            cast("Mapping[str, str | None]", values),
            case_sensitive=True,
            ignore_empty=bool(self.config.get("env_ignore_empty")),
            parse_none_str=self.env_parse_none_str,
        )
        try:
            return super().__call__()
        except SettingsError as error:
            problem = undecodable(self.settings_cls, error)
        raise problem

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Decode JSON by the parser that secrets are decoded by. Raises ValueError, without the text."""
        # Asked of null, it is None unless the field says that it decodes for itself.
        if not isinstance(value, str) or super().decode_complex_value(field_name, field, "null") is not None:
            return value
        decoded = exact.plain(value)
        if isinstance(decoded, exact.Flaw):
            raise UndecodableError(decoded.problem)
        return hide(decoded)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {}

    def _warm(self) -> list[Chosen]:
        client = self._client or cast("SecretsClient | None", current_client())
        name = self.settings_cls.__name__
        if client is None:
            raise ConfigError(
                f"{name} is made from secrets, and no client is open; call `await load_settings({name})` within "
                f"`async with SecretsClient...`"
            )
        wanted = wanted_of(self.settings_cls, self.config, marked_only=self._marked_only)
        return warm(client, name, wanted, environment=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings_cls.__name__})"


def values_of(model: type[BaseModel], chosen: list[Chosen]) -> dict[str, Any]:
    """What ``model`` is given for ``chosen``. It may be a plain model: pydantic-settings looks at its fields only."""
    return AsyncSecretsSettingsSource(cast("type[BaseSettings]", model)).shaped(chosen)
