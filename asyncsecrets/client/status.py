"""What a client says of itself: ages, versions, renewals, errors. Never a value, a length or a hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from asyncsecrets.client.routing import Route
from asyncsecrets.client.source import Source
from asyncsecrets.errors import (
    AsyncSecretsError,
    ConflictError,
    InvalidNameError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.secret import Secret

__all__ = ["Explanation", "Health", "SecretStatus", "SourceStatus", "explain", "health_of", "status_of"]


@dataclass(frozen=True, slots=True)
class SecretStatus:
    """One cached secret. ``age`` and ``next_renewal`` in seconds; ``failures``: renewals failed since it was
    fetched."""

    name: str
    version: str | None
    answered_by: str
    age: float
    next_renewal: float | None
    failures: int

    @property
    def state(self) -> Literal["fresh", "stale"]:
        """``stale`` while renewing it fails."""
        return "stale" if self.failures else "fresh"


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source: its secrets, what it was asked so far, and the class of its last call's error."""

    name: str
    system: str
    secrets: tuple[SecretStatus, ...]
    calls: int
    joined: int
    renewals: int
    failures: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """``ok``; ``degraded``: values are served that could not be renewed, or a source's last call failed. For readiness
    probes: degraded is still able to serve."""

    state: Literal["ok", "degraded"]
    stale: tuple[str, ...]
    failing_sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which rule decides where a reference is read, and what is known of it now."""

    reference: str
    source: str
    system: str
    entry: str
    field: str | None
    rule: str
    warm: bool
    answered_by: str | None
    version: str | None
    age: float | None


def status_of(source: Source) -> SourceStatus:
    """Describe ``source``. O(number of its secrets)."""
    states = source.cache.states()
    rows = []
    for key, secret in list(source.cache.hot.items()):
        state = states.get(key)
        rows.append(
            SecretStatus(
                name=secret.name,
                version=secret.version,
                answered_by=secret.source,
                age=secret.age,
                next_renewal=state.next_renewal if state is not None else None,
                failures=state.failures if state is not None else 0,
            ),
        )
    stats = source.cache.stats
    return SourceStatus(
        name=source.name,
        system=source.config.system,
        secrets=tuple(sorted(rows, key=lambda row: (row.name, row.version or ""))),
        calls=stats.flights,
        joined=stats.joined,
        renewals=stats.renewals,
        failures=sum(stats.failures.values()),
        last_error=source.last_error.__name__ if source.last_error is not None else None,
    )


# What is wrong with what was asked for, not with the source: callers choose the names they ask for.
_HARMLESS = {
    error.__name__ for error in (ConflictError, InvalidNameError, SecretNotFoundError, UnsupportedOperationError)
}


def health_of(sources: list[SourceStatus]) -> Health:
    """Sum up."""
    stale = tuple(row.name for source in sources for row in source.secrets if row.state == "stale")
    failing = tuple(source.name for source in sources if source.last_error not in {None, *_HARMLESS})
    return Health(state="degraded" if stale or failing else "ok", stale=stale, failing_sources=failing)


def explain(reference: str, route: Route) -> Explanation:
    """Say where ``route`` leads and what is known there. No I/O."""
    entry = route.source.cache.peek(route.key)
    field = route.source.default_field if route.member is None and route.field is None else route.field
    view = _view(entry, route)
    return Explanation(
        reference=reference,
        source=route.source.name,
        system=route.source.config.system,
        entry=route.entry,
        field=".".join(part for part in (route.member, field) if part is not None) or None,
        rule=route.rule,
        warm=view is not None,
        answered_by=view.source if view is not None else None,
        version=view.version if view is not None else None,
        age=view.age if view is not None else None,
    )


def _view(entry: Secret | None, route: Route) -> Secret | None:
    try:
        return None if entry is None else route.source.views.of(entry, route)
    except AsyncSecretsError:
        return None
