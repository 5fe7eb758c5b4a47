"""What a source is declared to be: its manager, its settings, how it may be used, and how fresh its values are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from asyncsecrets.boundary import configuring
from asyncsecrets.credential import concealed
from asyncsecrets.errors import ConfigError
from asyncsecrets.kinds import Kind, Setting, Value
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.settings import nearest, vocabulary

__all__ = ["DEFAULT_SOURCE", "AccessMode", "Freshness", "ProviderSettings", "SourceConfig", "retry_policy"]

DEFAULT_SOURCE: Final = "default"
"""The source that a bare name is asked of."""


class AccessMode(Enum):
    """What a source may be used for. ``write_only`` reads come from the environment."""

    READ_ONLY = "read_only"
    WRITE_ONLY = "write_only"
    READ_AND_WRITE = "read_and_write"

    @property
    def reads(self) -> bool:
        """Whether the manager is asked for values."""
        return self is not AccessMode.WRITE_ONLY

    @property
    def writes(self) -> bool:
        """Whether the manager may be written to."""
        return self is not AccessMode.READ_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How long values of a source are believed; all times in seconds.

    ``refresh_interval``: the age from which a value is fetched anew. ``max_stale``: how much longer an old value is
    served while fetching fails. ``negative_ttl``: how long *absent* is believed. ``max_entries``: how many values are
    kept. ``on_denied``: whether a value that may no longer be read is kept for ``max_stale`` or evicted. ``cached``:
    False asks the manager for every read. ``read_your_writes``: how long after a change of ours, or after a value was
    served, an answer that is older is not believed; 0 believes everything.
    """

    refresh_interval: float = 86_400.0
    max_stale: float = 86_400.0
    negative_ttl: float = 5.0
    max_entries: int = 10_000
    on_denied: Literal["keep", "evict"] = "keep"
    cached: bool = True
    read_your_writes: float = 60.0


class ProviderSettings(dict[str, Value]):
    """Checked settings of a provider: its repr shows the keys only."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<settings: {', '.join(self)}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One source: a manager, what it needs to know, which names it is asked for, and how fresh its values are.

    ``settings`` are the manager's own, checked, with environment variables not yet applied; they are kept with every
    credential as a ``Credential``, and every setting that only somebody's own class knows. ``hosted_keys`` None: every
    name is asked of the manager. ``primary_secret_name``: names are members of this one JSON secret.
    """

    name: str
    system: str
    settings: Mapping[str, Value] = field(default_factory=ProviderSettings)
    hosted_keys: frozenset[str] | None = None
    primary_secret_name: str | None = None
    access_mode: AccessMode = AccessMode.READ_ONLY
    store_virtual_keys: bool = False
    virtual_key_prefix: str = "litellm/"
    freshness: Freshness = field(default_factory=Freshness)

    def __post_init__(self) -> None:
        words = vocabulary(self.system)
        settings = {
            key: concealed(value) if key not in words or words[key].credential else value
            for key, value in self.settings.items()
        }
        object.__setattr__(self, "settings", ProviderSettings(settings))


_RETRY: Final = {
    "attempts": Setting(Kind.COUNT),
    "backoff": Setting(Kind.LIST),
    "deadline": Setting(Kind.SECONDS),
}


@configuring
def retry_policy(section: Mapping[str, object], where: str) -> RetryPolicy | None:
    """What ``retry:`` of a configuration says, None where it says nothing. Raises ConfigError with ``where``."""
    for key in section:
        if key not in _RETRY:
            hint = nearest(key, _RETRY) or f"; there are: {', '.join(_RETRY)}"
            raise ConfigError(f"{where} has {key[:80]!a}, which is not a setting{hint}")
    given = {key: _RETRY[key].check(value, f"{where}.{key}") for key, value in section.items() if value != ""}
    usual = RetryPolicy()
    attempts, deadline, backoff = given.get("attempts"), given.get("deadline"), given.get("backoff")
    return (
        RetryPolicy(
            attempts=int(str(attempts)) if attempts else usual.attempts,
            deadline=float(str(deadline)) if deadline else usual.deadline,
            backoff=_backoff(backoff, f"{where}.backoff") if backoff else usual.backoff,
        )
        if given
        else None
    )


def _backoff(value: object, where: str) -> tuple[float, float]:
    items = value if isinstance(value, list) else []
    seconds = [float(str(Setting(Kind.SECONDS_OR_ZERO).check(item, where))) for item in items]
    if len(seconds) != 2 or seconds[0] > seconds[1]:
        raise ConfigError(f"{where} must be two numbers of seconds, the smaller one first, such as [0.1, 2]")
    return seconds[0], seconds[1]
