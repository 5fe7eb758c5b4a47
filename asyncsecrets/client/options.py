"""What a client can be built with, by name, so that a type checker finds a typo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from asyncsecrets.providers.base import Provider
from asyncsecrets.retry import RetryPolicy

__all__ = ["Options", "ProviderOptions"]


class ProviderOptions(TypedDict, total=False):
    """Of a client with one provider that is made already; see ``SecretsClient`` for what they mean."""

    environ: Mapping[str, str] | None
    retry: RetryPolicy | None
    jitter: Callable[[], float]
    cache_options: dict[str, Any] | None
    wall_clock: Callable[[], float]


class Options(ProviderOptions, total=False):
    """Of a client with a configuration."""

    providers: Mapping[str, Provider] | None
