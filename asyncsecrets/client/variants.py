"""Sources that differ from the declared ones in some settings: those of a team."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from asyncsecrets.client.source import Source
from asyncsecrets.client.sources import Maker
from asyncsecrets.declared import ProviderSettings, SourceConfig
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.base import Provider
from asyncsecrets.settings import nearest, vocabulary

__all__ = ["Variants"]

_MOST: Final = 256


class Variants:
    """Sources as they are declared but for some settings, one for each distinct set of these.

    ``given``: the providers that were handed over, and so have no settings.
    """

    def __init__(self, maker: Maker, given: Mapping[str, Provider]) -> None:
        self._maker = maker
        self._given = given
        self._made: dict[tuple[str, bytes], Source] = {}

    @property
    def made(self) -> tuple[Source, ...]:
        """All of them."""
        return tuple(self._made.values())

    def of(self, source: Source, settings: Mapping[str, Any]) -> Source:
        """The variant of ``source`` with these settings. Raises ConfigError."""
        declared = source.config
        checked = _checked(declared, settings)
        key = declared.name, hashlib.sha256(json.dumps(checked, sort_keys=True).encode()).digest()
        if key not in self._made:
            self._check_room(declared)
            name, merged = f"{declared.name}:{len(self._made) + 1}", ProviderSettings({**declared.settings, **checked})
            variant = replace(declared, name=name, settings=merged, hosted_keys=None, primary_secret_name=None)
            self._made[key] = self._maker.declared(variant)
        return self._made[key]

    def _check_room(self, declared: SourceConfig) -> None:
        if declared.name in self._given:
            raise ConfigError(
                f"source {declared.name!r} was given its provider, which has no settings to replace: declare it in a "
                f"configuration, or make a client for each provider"
            )
        if len(self._made) >= _MOST:
            raise ConfigError(
                f"there are {_MOST} sets of replaced settings already: those of many teams are better "
                f"declared as sources, in several clients"
            )


def _checked(declared: SourceConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    words = vocabulary(declared.system)
    for key in settings:
        if key not in words:
            raise ConfigError(f"{declared.system} has no setting {str(key)[:80]!a}{nearest(str(key), words)}")
    return {key: words[key].check(value, f"the setting {key}") for key, value in settings.items()}
