"""The secrets of one model, read together: from the manager, or from what is warm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from asyncsecrets.client import SecretsClient
from asyncsecrets.client.places import ENVIRONMENT
from asyncsecrets.errors import (
    AsyncSecretsError,
    ClosedError,
    ConfigError,
    DecodeError,
    InvalidNameError,
    ResolveError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.integrations.pydantic.fields import Choice, Wanted
from asyncsecrets.integrations.pydantic.hidden import hide
from asyncsecrets.secret import Secret

__all__ = ["Chosen", "fetch", "warm"]

_READS = 3  # of secrets that change while they are read

_absent: WeakKeyDictionary[SecretsClient, set[str]] = WeakKeyDictionary()  # names that were asked for in vain

Outcome = Secret | AsyncSecretsError | None
"""What came of one name. None: it is absent, and the next choice is looked at."""


class Chosen(NamedTuple):
    """A secret that was read for a field, and where in the model it goes."""

    path: tuple[str, ...]
    reference: str
    secret: Secret
    whole: bool

    def value(self) -> Any:
        """What the model is given: the ``Secret``, its text, or its bytes where it is no text."""
        if self.whole:
            return self.secret
        try:
            return hide(self.secret.reveal())
        except DecodeError:
            return hide(self.secret.reveal_bytes())


async def fetch(client: SecretsClient, wanted: list[Wanted], *, environment: bool) -> list[Chosen]:
    """Read everything that is wanted, concurrently; what is absent is left out.

    With ``environment``, the model reads the environment itself: what the environment has counts as absent, unless the
    field is marked. Members of one secret are of one version. Raises ResolveError listing every name that failed.
    """
    name = ""
    for _ in range(_READS):
        chosen = _newest(client, await _fetch_once(client, wanted, environment))
        torn = _torn(chosen)
        if torn is None:
            return chosen
        name = torn.secret.name
        client.invalidate(torn.reference)
    raise UnavailableError(
        f"{name!r} had another version each time its members were read; try again", provider="asyncsecrets", name=name
    )


async def _fetch_once(client: SecretsClient, wanted: list[Wanted], environment: bool) -> list[Chosen]:
    """Ask for the first choice of every field, then for the next one of those that were absent, and so on."""
    outcomes: dict[str, Secret | AsyncSecretsError] = {}
    left = wanted
    for turn in range(max((len(want.choices) for want in wanted), default=0)):
        left = [want for want in left if turn < len(want.choices)]
        names = {want.choices[turn].reference for want in left}
        outcomes |= await _ask(client, names - outcomes.keys())
        left = [want for want in left if _judged(want, outcomes[want.choices[turn].reference], environment) is None]
    _absent[client] = _absent.get(client, set()) - outcomes.keys() | {
        name for name, outcome in outcomes.items() if isinstance(outcome, SecretNotFoundError | InvalidNameError)
    }
    return _settled(client, wanted, outcomes, environment)


async def _ask(client: SecretsClient, names: Iterable[str]) -> dict[str, Secret | AsyncSecretsError]:
    outcomes: dict[str, Secret | AsyncSecretsError] = {}
    left = sorted(names)
    while left:
        try:
            return outcomes | await client.get_many(left)
        except ResolveError as error:
            outcomes |= error.failures
        left = [name for name in left if name not in outcomes]  # which are warm by now
    return outcomes


def _judged(want: Wanted, outcome: Secret | AsyncSecretsError, environment: bool) -> Outcome:
    if isinstance(outcome, Secret):
        return None if environment and not want.marked and outcome.source == ENVIRONMENT else outcome
    if isinstance(outcome, SecretNotFoundError) and outcome.reason == "absent":
        return None
    if isinstance(outcome, InvalidNameError) and not want.marked:  # the manager has no secret of such a name
        return None
    return outcome


def _settled(
    client: SecretsClient, wanted: list[Wanted], outcomes: Mapping[str, Secret | AsyncSecretsError], environment: bool
) -> list[Chosen]:
    chosen: list[Chosen] = []
    failures: dict[str, AsyncSecretsError] = {}
    for want in wanted:
        found = _first(want, outcomes.get, environment)
        if found is None:
            failures |= _promised(client, want, outcomes)
        elif isinstance(found[1], Secret):
            chosen.append(Chosen(found[0].path, found[0].reference, found[1], want.whole))
        else:
            failures[found[0].reference] = found[1]
    if failures:
        raise next((error for error in failures.values() if isinstance(error, ClosedError)), ResolveError(failures))
    return chosen


def _first(
    want: Wanted, look: Callable[[str], Outcome], environment: bool
) -> tuple[Choice, Secret | AsyncSecretsError] | None:
    for choice in want.choices:
        found = look(choice.reference)
        outcome = None if found is None else _judged(want, found, environment)
        if outcome is not None:
            return choice, outcome
    return None


def _promised(
    client: SecretsClient, want: Wanted, outcomes: Mapping[str, Secret | AsyncSecretsError]
) -> dict[str, AsyncSecretsError]:
    """What is among hosted_keys, absent and has no default: nothing may stand in for it."""
    if not want.required:
        return {}
    hosted = client.hosted_keys
    asked = {choice.reference: outcomes[choice.reference] for choice in want.choices}
    return {
        name: error
        for name, error in asked.items()
        if isinstance(error, SecretNotFoundError) and name.removeprefix("os.environ/") in hosted
    }


def _newest(client: SecretsClient, chosen: list[Chosen]) -> list[Chosen]:
    """What is cached at this very moment: members of one secret change there together, and may have, meanwhile."""
    return [each._replace(secret=client.peek(each.reference) or each.secret) for each in chosen]


def _torn(chosen: list[Chosen]) -> Chosen | None:
    """A secret of which two versions were chosen, as only one that is not cached can be."""
    versions: dict[tuple[str, str], str | None] = {}
    for each in chosen:
        secret = each.secret
        if "version=" in each.reference:  # asked for by its number, beside the current one
            continue
        if versions.setdefault((secret.source, secret.name), secret.version) != secret.version:
            return each
    return None


def warm(client: SecretsClient, model: str, wanted: list[Wanted], *, environment: bool) -> list[Chosen]:
    """Choose from what is cached, without I/O. Raises ConfigError for what was not read yet."""
    asked = _absent.get(client, set())
    cold: dict[str, None] = {}

    def look(name: str) -> Outcome:
        secret = client.peek(name)
        if secret is None and name not in asked:
            cold[name] = None
        return secret

    found = [(want, _first(want, look, environment)) for want in wanted]
    if cold:
        raise ConfigError(
            f"{model} is made from secrets that are not in memory: {', '.join(map(repr, cold))}. A settings source "
            f"cannot wait for a manager; call `await load_settings({model})`, or do so once before"
        )
    return [
        Chosen(first[0].path, first[0].reference, first[1], want.whole)
        for want, first in found
        if first is not None and isinstance(first[1], Secret)
    ]
