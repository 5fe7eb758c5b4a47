"""The sources of one client, made from its configuration. No I/O."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from asyncsecrets import registry
from asyncsecrets.client.hot import Hot
from asyncsecrets.client.routing import ENVIRONMENT
from asyncsecrets.client.source import Source
from asyncsecrets.client.views import Changed
from asyncsecrets.config import DEFAULT_SOURCE, Config, Freshness, SourceConfig
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.base import Provider
from asyncsecrets.providers.environment import FOUND_DOTENV, EnvironmentProvider
from asyncsecrets.retry import Retry

__all__ = ["build_sources"]

# The environment costs nothing to ask, and may be changed by the process itself.
_FRESHNESS = Freshness(refresh_interval=10.0, max_stale=60.0, negative_ttl=0.0)


def build_sources(
    config: Config,
    providers: Mapping[str, Provider],
    environ: Mapping[str, str] | None,
    hot: Hot,
    *,
    retry: Retry,
    changed: Changed,
    cache_options: dict[str, Any],
    wall: Callable[[], float],
) -> dict[str, Source]:
    """Return the sources of ``config`` by name, and the environment, which every client has.

    ``environ`` None is the process's own environment, and the ``.env`` file in the working directory. Raises
    ConfigError.
    """
    dotenv = config.env_file if config.env_file is not None or environ is not None else FOUND_DOTENV
    variables = os.environ if environ is None else environ

    def source(declared: SourceConfig, provider: Provider | None, stand_in: EnvironmentProvider | None) -> Source:
        return Source(
            declared,
            hot,
            provider=provider,
            build=partial(registry.build, declared.system, declared.settings, variables, dotenv=dotenv),
            environment=stand_in,
            retry=retry,
            changed=changed,
            cache_options=cache_options,
            wall=wall,
        )

    own = SourceConfig(name=ENVIRONMENT, system="env", freshness=_FRESHNESS)
    sources = {ENVIRONMENT: source(own, EnvironmentProvider(environ, dotenv=dotenv), None)}
    for name, declared in config.sources.items():
        if name == ENVIRONMENT:
            raise ConfigError(
                f"a source cannot be called {ENVIRONMENT!r}: that is what the process environment is called"
            )
        if declared.system == "env" and name not in providers:
            sources[name] = sources[ENVIRONMENT]
        else:
            # One of its own for each: the environment as a source is opened and closed by itself. A key service reads
            # the environment already; what it does not find there must not come back undecrypted.
            stands_in = name == DEFAULT_SOURCE and declared.system not in registry.KEY_SERVICES
            stand_in = EnvironmentProvider(environ, dotenv=dotenv) if stands_in else None
            sources[name] = source(declared, providers.get(name), stand_in)
    return sources
