"""What a client says of itself: ages, versions, renewals, errors. Never a value, a length or a hash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from asyncsecrets.cache import EntryState, Verdict
from asyncsecrets.client.condition import State
from asyncsecrets.client.places import Route
from asyncsecrets.client.rotations import label
from asyncsecrets.client.source import Source
from asyncsecrets.errors import AsyncSecretsError
from asyncsecrets.journal import utc
from asyncsecrets.secret import Secret

__all__ = ["Explanation", "Health", "SecretStatus", "SourceStatus", "explain", "health_of", "status_of"]


@dataclass(frozen=True, slots=True)
class SecretStatus:
    """One cached secret. Durations are in seconds.

    * ``answered_by``: the source that the value came from, ``environment`` where the environment answered.
    * ``age``: since it was fetched. ``next_renewal``: until it is fetched anew.
    * ``ends``: until it is served no longer, unless it is renewed.
    * ``expires``: when the manager itself ends this value (``Secret.expires``), in UTC; None where it does not.
    * ``failures``: how many renewals have failed since it was fetched.
    """

    name: str
    version: str | None
    answered_by: str
    age: float
    next_renewal: float | None
    failures: int
    ends: float | None
    expires: datetime | None = None

    @property
    def state(self) -> Literal["fresh", "stale"]:
        """``stale`` while renewing it fails."""
        return "stale" if self.failures else "fresh"


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source: its secrets, what it was asked so far, and what is wrong with it.

    * ``state``: as in ``Health``, or ``unknown`` where nobody has asked it yet.
    * ``secrets``: what is cached. ``calls``: fetches so far. ``joined``: readers who waited for the fetch of another.
    * ``renewals``, ``failures``: how many there were.
    * ``remarks``: what the provider says of itself that is no error, such as answers that could not be checked.

    While it is not well (moments are in UTC, by the wall clock):

    * ``last_error``, ``last_error_message``: the class and the message of the last error.
    * ``failing_since``: when it began.
    * ``values_end``: when the first of the stale values is served no longer.
    * ``missing``: which secrets cannot be served.
    """

    name: str
    system: str
    state: State
    secrets: tuple[SecretStatus, ...]
    calls: int
    joined: int
    renewals: int
    failures: int
    last_error: str | None
    last_error_message: str | None
    failing_since: datetime | None
    values_end: datetime | None
    missing: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """How all sources are, by the worst of them. ``fresh`` and ``degraded`` are able to serve.

    * ``fresh``: nothing is known to be wrong.
    * ``degraded``: everything that was served can be served. But some values are ``stale``, or a source's last call
      failed.
    * ``down``: secrets that were served, or are required, are ``missing``; or a source has never answered.

    Required are ``hosted_keys`` and what was given to ``warm_up``. A source that nobody has asked is fresh. What is
    wrong with a question (no such secret, no such name, a conflict) says nothing of a source. But a secret that is
    required and not there is missing.
    """

    state: Literal["fresh", "degraded", "down"]
    stale: tuple[str, ...]
    missing: tuple[str, ...]
    failing_sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a reference is read, by which rule, and what is cached of it now.

    * ``source``, ``system``: where it is asked. ``entry``: the secret's name there, and ``spelled`` how the manager
      itself spells that (empty where it can have no such name). ``field``: the member of it.
    * ``rule``: why there.
    * ``warm``: whether it is cached. ``answered_by``, ``version``, ``age`` (seconds) and ``expires`` (when the manager
      itself ends it, in UTC) are of what is cached.
    * ``configuration``: the file that the sources are from; empty where there is none.
    """

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
    configuration: str = ""
    expires: datetime | None = None
    spelled: str = ""


def status_of(source: Source) -> SourceStatus:
    """Describe ``source``. O(number of its secrets)."""
    states = source.cache.states()
    rows = [_row(secret, states.get(key)) for key, secret in source.cache.hot.copy().items()]
    stats, condition, reporter = source.cache.stats, source.reporter.condition, source.reporter
    cause, trouble, first = condition.cause, condition.trouble, condition.first_end()
    return SourceStatus(
        name=source.name,
        system=source.config.system,
        state=condition.state,
        secrets=tuple(sorted(rows, key=lambda row: (row.name, row.version or ""))),
        calls=stats.flights,
        joined=stats.joined,
        renewals=stats.renewals,
        failures=sum(stats.failures[verdict] for verdict in Verdict),
        last_error=cause.error if cause is not None else None,
        last_error_message=cause.message if cause is not None else None,
        failing_since=utc(trouble.wall) if trouble is not None else None,
        values_end=utc(reporter.wall_of(first)) if first is not None else None,
        missing=tuple(condition.missing()),
        remarks=source.remarks,
    )


def _row(secret: Secret, state: EntryState | None) -> SecretStatus:
    return SecretStatus(
        name=secret.name,
        version=secret.version,
        answered_by=secret.source,
        age=secret.age,
        next_renewal=state.next_renewal if state is not None else None,
        failures=state.failures if state is not None else 0,
        ends=state.ends if state is not None else None,
        expires=secret.expires,
    )


def health_of(sources: Iterable[Source]) -> Health:
    """Sum up."""
    conditions = [(source.name, source.reporter.condition) for source in sources]
    states = {condition.state for _, condition in conditions}
    return Health(
        state="down" if "down" in states else "degraded" if "degraded" in states else "fresh",
        stale=tuple(label(key) for _, condition in conditions for key in condition.stale.copy()),
        missing=tuple(name for _, condition in conditions for name in condition.missing()),
        failing_sources=tuple(name for name, condition in conditions if condition.state in {"degraded", "down"}),
    )


def explain(reference: str, route: Route[Source], configuration: str = "") -> Explanation:
    """Say where ``route`` leads and what is known there. No I/O."""
    entry = route.source.cache.peek(route.key)
    field = route.source.default_field if route.member is None and route.field is None else route.field
    view = _view(entry, route)
    return Explanation(
        reference=reference,
        source=route.source.name,
        system=route.source.config.system,
        entry=route.entry,
        field=_place(route.member, field),
        rule=route.rule,
        warm=view is not None,
        answered_by=view.source if view is not None else None,
        version=view.version if view is not None else None,
        age=view.age if view is not None else None,
        configuration=configuration,
        expires=view.expires if view is not None else None,
        spelled=route.source.spelled(route.entry),
    )


def _place(member: str | None, field: str | None) -> str | None:
    if member is None or field is None:
        return member if field is None else field
    return f"{member}{field}" if field.startswith("/") else f"{member}.{field}"


def _view(entry: Secret | None, route: Route[Source]) -> Secret | None:
    try:
        return None if entry is None else route.source.views.of(entry, route)
    except AsyncSecretsError:
        return None
