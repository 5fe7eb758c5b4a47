"""What callers see of a source's cache entries.

An entry holds what the manager stores; a caller sees a *view* of it: the whole payload, or a member of a JSON object.
All views of an entry are made from one fetch, and follow it: the cache tells this class of every change in the same
step, and the warm references change with it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from asyncsecrets.client.hot import Hot
from asyncsecrets.client.places import ENVIRONMENT, Key, Named, Place, Route, place_of
from asyncsecrets.errors import AsyncSecretsError, DecodeError, SecretNotFoundError
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.redaction import handed_out
from asyncsecrets.secret import Secret

__all__ = ["Changed", "Judged", "Views", "remember"]

Judged = Callable[[Place, AsyncSecretsError | None], bool]
"""Hears that there is no value in a place of an entry, or that there is one (None) after all; says whether it is
required."""

Changed = Callable[[str, Secret | None], None]
"""Hears of every reference that becomes warm, is renewed, or is warm no longer (None)."""


class Views:
    """The views of one source's entries, and which of them are warm: what ``Listener`` asks.

    ``peek`` returns the entry that the cache vouches for; ``environment`` stands in for what is absent;
    ``default_field`` returns the member of a JSON payload that is a secret's value, or None; ``judged`` hears of
    entries that do not have what is asked of them.
    """

    def __init__(
        self,
        system: str,
        hot: Hot,
        changed: Changed,
        *,
        peek: Callable[[Key], Secret | None],
        default_field: Callable[[], str | None],
        environment: EnvironmentProvider | None,
        judged: Judged,
    ) -> None:
        self._system = system
        self._hot = hot
        self._changed = changed
        self._peek = peek
        self._default_field = default_field
        self._environment = environment
        self._judged = judged
        self._lacking: dict[Place, Route[Named]] = {}  # what is required of an entry, and not in it
        # By entry, the references that were warm because of it: nearly always one. They go when the entry does, so
        # there are never many more of them than entries; and stay when nothing is vouched for, for the entries do.
        self._routes: dict[Key, Route[Named]] = {}
        self._others: dict[Key, dict[str, Route[Named]]] = {}

    # -- making them

    def warm(self, route: Route[Named]) -> Secret | None:
        """Return the view that is warm for ``route``, if there is one."""
        return self._hot.secrets.get(route.reference)

    def publish(self, secret: Secret, route: Route[Named]) -> Secret:
        """Return the view of ``secret``, made warm while the cache vouches for what it was made from."""
        view = self.read(secret, route)
        if route.reference and self._hot.publish(route.reference, view, self._peek, route.key, secret):
            self._note(route)
            self._changed(route.reference, view)
        return view

    def read(self, secret: Secret, route: Route[Named]) -> Secret:
        """Return what ``route`` means in ``secret``, for a reader: if it is not there, he misses it. Raises
        SecretNotFoundError, DecodeError."""
        try:
            view = self.of(secret, route)
        except AsyncSecretsError as error:
            self._lacks(route, error)
            raise
        if self._lacking:
            self._has(route)
        return view

    def of(self, secret: Secret, route: Route[Named]) -> Secret:
        """Return what ``route`` means in ``secret``. Raises SecretNotFoundError, DecodeError."""
        view = self._value(secret, route)
        if route.field is not None and view.source == ENVIRONMENT:
            view = view.field(route.field)
        remember(view)
        return view

    def _value(self, secret: Secret, route: Route[Named]) -> Secret:
        """The value, of which the environment's has no fields but the one that was asked for."""
        if secret.source == ENVIRONMENT:
            if route.source.is_environment or route.environment:
                return secret
            raise self._not_found(route, f"{route.name!r} is absent at source {route.source.name!r}")
        if route.member is not None:
            if not secret.has_field(route.member):  # raises for what is no JSON object: that is not absent, it is wrong
                return self._absent_member(secret, route, route.member)
            return secret.field(route.member) if route.field is None else secret.nested(route.member).field(route.field)
        return _chosen(secret, route.field, self._default_field())

    def _absent_member(self, secret: Secret, route: Route[Named], member: str) -> Secret:
        found = self.stand_in(route.name) if route.environment else None
        if found is not None:
            return found
        where = f"{route.name!r} is not a member of the secret {route.entry!r} at source {route.source.name!r}"
        nowhere = f"{where}, nor in the environment{self._remark()}" if route.environment else where
        raise self._not_found(route, f"{nowhere}: {_what_is_there(secret, member)}")

    def absent(self, error: SecretNotFoundError, route: Route[Named]) -> Secret:
        """Return what the environment has for a secret that is absent, or raise, naming both places."""
        found = self.stand_in_for(route.name, error) if route.environment else None
        if found is not None:
            view = found if route.field is None else found.field(route.field)
            remember(view)
            return view
        message = str(error)
        if route.member is not None:
            message += f"; {route.name!r} is read as a member of it (primary_secret_name)"
        if route.environment and error.reason == "absent":
            message += f"; the environment has no variable {route.name!r} either{self._remark()}"
        raise SecretNotFoundError(message, provider=error.provider, name=route.name, reason=error.reason)

    def stand_in_for(self, key: Key, error: BaseException) -> Secret | None:
        """Return the environment's answer, or None, for a name that the manager says is *absent*.

        Deleted, destroyed or disabled is not absent: somebody took the secret away, and nothing takes its place.
        """
        return self.stand_in(key) if getattr(error, "reason", "absent") == "absent" else None

    def stand_in(self, key: Key) -> Secret | None:
        """Return the environment's answer for a name that is absent here, or None. No I/O."""
        found = self._environment.lookup(key) if self._environment is not None and isinstance(key, str) else None
        return None if found is None else found.replace(source=ENVIRONMENT)

    def _remark(self) -> str:
        return "" if self._environment is None else self._environment.remark

    def _not_found(self, route: Route[Named], message: str) -> SecretNotFoundError:
        return SecretNotFoundError(message, provider=self._system, name=route.name)

    # -- what the cache tells us (asyncsecrets.cache.Listener)

    def stored(self, key: Key, value: Secret, previous: Secret | None) -> None:  # noqa: ARG002  # the protocol's
        """Every warm view of ``key`` is made anew, and what was missing in it looked for."""
        changes: list[tuple[str, Secret]] = []
        for route in self._take(key) if key in self._routes else ():
            try:
                view = self.of(value, route)
            except AsyncSecretsError as error:  # the member is gone: the next reader gets the truth
                self._remove(route)
                self._lacks(route, error)
                continue
            self._note(route)
            self._hot.publish(route.reference, view, self._peek, key, value)
            changes.append((route.reference, view))
        for reference, view in changes:  # who hears of one, and looks at another, finds that changed as well
            self._changed(reference, view)
        for place, route in list(self._lacking.items()):
            if place.key == key:
                with suppress(AsyncSecretsError):
                    self.read(value, route)

    def dropped(self, key: Key, previous: Secret, why: BaseException | None) -> None:  # noqa: ARG002  # the protocol's
        """No view of ``key`` is warm any more."""
        for route in self._take(key) if key in self._routes else ():
            self._remove(route)

    def withdrawn(self) -> None:
        """Nothing is warm any more. May be called from another thread."""
        self._hot.withdraw()

    def _lacks(self, route: Route[Named], error: AsyncSecretsError) -> None:
        place = place_of(route)
        if self._judged(place, error):
            self._lacking[place] = route

    def _has(self, route: Route[Named]) -> None:
        place = place_of(route)
        if self._lacking.pop(place, None) is not None:
            self._judged(place, None)

    def _note(self, route: Route[Named]) -> None:
        if self._routes.setdefault(route.key, route).reference != route.reference:
            self._others.setdefault(route.key, {})[route.reference] = route

    def _take(self, key: Key) -> list[Route[Named]]:
        """Every route that is noted for ``key``, which is not any more."""
        return [self._routes.pop(key), *self._others.pop(key, {}).values()]

    def _remove(self, route: Route[Named]) -> None:
        self._hot.remove(route.reference)
        self._changed(route.reference, None)


def _chosen(secret: Secret, field: str | None, default: str | None) -> Secret:
    """The value, or the field of it that is asked for; ``default`` is the member of the payload that is the value.

    Where that is all the payload has, its fields are those of the text in it, as at managers that store just the text.
    """
    if default is None:
        return secret if field is None else secret.field(field)
    if field is None:
        return _value(secret, default)
    if secret.fields() == [default] and not secret.has_field(field):
        return secret.nested(default).field(field)
    return secret.field(field)


def _value(secret: Secret, default: str) -> Secret:
    try:
        return secret.field(default)
    except DecodeError as error:
        failure = str(error)
    if not secret.has_field(default):  # raises for what is no JSON object
        absent = f"has no field {default!r}"
        failure = failure.replace(absent, f"{absent}, which is read where none is named (secret_field)", 1)
    raise DecodeError(failure)


def _what_is_there(secret: Secret, member: str) -> str:
    """Which members there are instead of one that is not."""
    try:
        secret.field(member)
    except DecodeError as error:
        return str(error)
    return f"{secret.name!r} has it"


def remember(view: Secret) -> None:
    """Have a value masked in logs, if anything masks."""
    handed_out(view.reveal_bytes() if view.is_binary else view.reveal())
