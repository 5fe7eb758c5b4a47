"""The sources of one client, made from its configuration. No I/O."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from asyncsecrets import registry
from asyncsecrets.boundary import configuring
from asyncsecrets.client import stand_ins
from asyncsecrets.client.hot import Hot
from asyncsecrets.client.places import ENVIRONMENT
from asyncsecrets.client.source import Source
from asyncsecrets.client.views import Changed
from asyncsecrets.config import DEFAULT_SOURCE, AccessMode, Config, Freshness, SourceConfig
from asyncsecrets.credential import revealed
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.additions import Additions
from asyncsecrets.providers.base import Provider
from asyncsecrets.providers.environment import FOUND_DOTENV, EnvironmentProvider
from asyncsecrets.retry import Retry

__all__ = ["Maker", "build_sources", "only_source"]

# The environment costs nothing to ask, and may be changed by the process itself.
_FRESHNESS = Freshness(refresh_interval=10.0, max_stale=60.0, negative_ttl=0.0)
# What stands in for it is a manager in a test, and is renewed like one.
_LIKE_A_MANAGER = Freshness(negative_ttl=0.0)


class Maker:
    """Makes the sources of ``config``, one by one. No I/O.

    ``environ`` None is the process's own environment, and the ``.env`` file in the working directory. Raises
    ConfigError.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str] | None,
        hot: Hot,
        *,
        retry: Retry,
        changed: Changed,
        cache_options: dict[str, Any],
        wall: Callable[[], float],
    ) -> None:
        dotenv = config.env_file if config.env_file is not None or environ is not None else FOUND_DOTENV
        self._stand_in = stand_in = stand_ins.current()
        if stand_in is not None:
            environ, dotenv, retry = stand_in.variables(environ), None, stand_in.hurried(retry)
        cache_options, wall = stand_ins.timed(cache_options, wall)
        # Shared by all: a pipe can be read once.
        additions = Additions(dotenv, given=revealed(dict(config.given)), environ=environ)
        self.environment = partial(EnvironmentProvider, environ, dotenv=additions)
        self._build = partial(registry.build, environ=os.environ if environ is None else environ, dotenv=additions)
        self.source = partial(Source, hot=hot, retry=retry, changed=changed, cache_options=cache_options, wall=wall)

    def own(self) -> Source:
        """The environment as a source."""
        build, stand_in = self.environment, self._stand_in
        freshness = _FRESHNESS if stand_in is None else _LIKE_A_MANAGER
        own = SourceConfig(name=ENVIRONMENT, system="env", freshness=freshness)
        provider = build() if stand_in is None else stand_in.provider(own, build())
        return self.source(own, provider=provider, build=build, environment=None)

    def declared(
        self, declared: SourceConfig, provider: Provider | None = None, *, stood_in_for: bool = False
    ) -> Source:
        """The source that is ``declared``, with its ``provider`` if that is made already; whether the environment has
        what is absent there."""
        if provider is None and self._stand_in is not None:
            provider = self._stand_in.provider(declared)
        return self.source(
            declared,
            provider=provider,
            build=partial(self._build, declared.system, declared.settings),
            # One of its own for each: the environment as a source is opened and closed by itself.
            environment=self.environment() if stood_in_for else None,
        )


def build_sources(config: Config, providers: Mapping[str, Provider], maker: Maker) -> dict[str, Source]:
    """Return the sources of ``config`` by name, and the environment, which every client has. Raises ConfigError."""
    sources = {ENVIRONMENT: maker.own()}
    for name, declared in config.sources.items():
        if name == ENVIRONMENT:
            raise ConfigError(
                f"a source cannot be called {ENVIRONMENT!r}: that is what the process environment is called"
            )
        if declared.system == "env" and name not in providers:
            sources[name] = sources[ENVIRONMENT]
            continue
        stood_in_for = _is_stood_in_for(name, declared)
        sources[name] = maker.declared(declared, providers.get(name), stood_in_for=stood_in_for)
    return sources


@configuring
def only_source(
    provider: Provider, freshness: Freshness, access_mode: str, hosted_keys: Iterable[str] | None
) -> SourceConfig:
    """What a source is that was given its provider. Raises ConfigError."""
    if isinstance(hosted_keys, str):
        raise ConfigError("hosted_keys is a list of names, not one string")
    if access_mode not in {mode.value for mode in AccessMode}:
        raise ConfigError(f"access_mode must be one of {', '.join(mode.value for mode in AccessMode)}")
    return SourceConfig(
        name=DEFAULT_SOURCE,
        system=provider.system,
        hosted_keys=None if hosted_keys is None else frozenset(hosted_keys),
        access_mode=AccessMode(access_mode),
        store_virtual_keys=True,  # whoever hands over a provider, and asks for keys in it, means it
        freshness=freshness,
    )


def _is_stood_in_for(name: str, declared: SourceConfig) -> bool:
    """Whether the environment has what is absent in a source: not in a key service, which reads the environment
    already. What it does not find there must not come back undecrypted."""
    return name == DEFAULT_SOURCE and declared.system not in registry.KEY_SERVICES
