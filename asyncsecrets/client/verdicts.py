"""What an answer of a provider, or a failure of one, means to a source, and for how long."""

from __future__ import annotations

from asyncsecrets.boundary import place_of
from asyncsecrets.cache import CachePolicy, Verdict
from asyncsecrets.config import SourceConfig
from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigError,
    DecodeError,
    MalformedResponseError,
    ProviderError,
    SecretNotFoundError,
)
from asyncsecrets.secret import Secret

__all__ = ["checked", "foreign", "policy_of", "verdict_of"]


def verdict_of(error: BaseException) -> Verdict:
    """What a failure says about a secret: the errors' own classes, in the cache's four words."""
    if isinstance(error, SecretNotFoundError):
        return Verdict.ABSENT
    if isinstance(error, AccessDeniedError | AuthenticationError):
        return Verdict.DENIED
    return Verdict.TRANSIENT if getattr(error, "transient", False) else Verdict.POISONED


def checked(secret: Secret, system: str, name: str) -> Secret:
    """Refuse what no provider may return: nobody could use it, and a good value must not be replaced by it."""
    if not isinstance(secret, Secret):
        kind = type(secret).__name__
        del secret
        raise MalformedResponseError(f"{system} returned {kind} for {name!r}, not a Secret", provider=system, name=name)
    try:
        secret.reveal_bytes()
    except DecodeError as error:
        problem = error.message
    else:
        return secret
    raise MalformedResponseError(f"{system}: {problem}", provider=system, name=name)


def foreign(error: Exception, system: str, name: str | None) -> ProviderError:
    """What to say of an exception that is not one of ours: which and where. Its own text may hold a value."""
    return ProviderError(
        f"the provider {system!r} failed with {type(error).__name__}{place_of(error)}; that is a bug in it, for a "
        f"provider translates what its SDK raises into asyncsecrets.errors",
        provider=system,
        name=name,
        outcome_unknown=True,
    )


def policy_of(config: SourceConfig) -> CachePolicy:
    """For how long answers hold. Raises ConfigError."""
    freshness = config.freshness
    try:
        return CachePolicy(
            refresh_interval=freshness.refresh_interval,
            max_stale=freshness.max_stale,
            negative_ttl=freshness.negative_ttl,
            max_entries=freshness.max_entries,
            evict_denied=freshness.on_denied == "evict",
        )
    except ValueError as error:
        problem = str(error)
    raise ConfigError(f"source {config.name!r}: {problem}")
