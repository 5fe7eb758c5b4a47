"""How a client reads: one secret or many, from memory or by asking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from asyncsecrets.boundary import afresh
from asyncsecrets.client.bulk import read_all
from asyncsecrets.client.parts import Parts
from asyncsecrets.client.places import Route, place_of
from asyncsecrets.client.source import Source
from asyncsecrets.documents import references, replace_references
from asyncsecrets.errors import AsyncSecretsError, ClosedError, ConfigError, SecretNotFoundError
from asyncsecrets.loops import running_loop
from asyncsecrets.references import check_name
from asyncsecrets.secret import Secret

__all__ = ["Reading", "names_of"]


class Reading(Parts):
    """The part of ``SecretsClient`` that reads secrets."""

    async def get(
        self,
        name: str,
        *,
        version: str | None = None,
        field: str | None = None,
        source: str | None = None,
    ) -> Secret:
        """Return a secret. ``name`` is a name or a reference.

        * ``version``: this one instead of the current one.
        * ``field``: this member of a JSON object.
        * ``source``: ask this one source and nothing else.

        A secret that is cached costs one dict lookup, without keywords.
        """
        if version is None and field is None and source is None:
            try:
                return self._hot.secrets[name]
            except (KeyError, TypeError):  # what is no text is told so by the route
                pass
            if self._closed:
                self._check_open()
            route = self._router.route(name)
        else:
            self._check_open()
            route = self._router.route_with(name, version=version, field=field, source=source)
        landing, absent = route.source.landing(route), None
        if landing is None:
            return await self._get(route)
        # What Source.read() does, without its coroutine: ten thousand who wait for one flight take 40 % less memory.
        try:
            secret = await landing
        except SecretNotFoundError as error:
            absent = error.with_traceback(None)  # which holds this frame
        except ClosedError:
            if self._closed:
                raise
        else:  # one of the many who waited may have made the view already
            view = self._hot.secrets.get(route.reference)
            return route.source.seen(secret, route) if view is None else view
        if absent is not None:
            return route.source.views.absent(absent, route)
        return await self._get(route)  # another loop is home now

    async def _get(self, route: Route[Source]) -> Secret:
        found = route.source
        if found.home.claim():
            return await found.read(route)
        return await found.home.run(partial(found.read, route))

    @afresh
    async def get_many(self, names: Iterable[str], *, within: float | None = None) -> dict[str, Secret]:
        """Return several secrets by name, fetched at once. Raises ResolveError listing every name that failed.

        What is cached is returned as it is at one moment: members of one JSON secret are of one version of it.

        No more are asked for at once than there are connections. Each has the deadline of the retry policy from its
        turn; all together have that deadline once, and once more for each time that all connections are taken, or
        ``within`` seconds if that is less.
        """
        return await self._all(names, self.get, within)

    @afresh
    async def warm_up(self, names: Iterable[str], *, within: float | None = None) -> None:
        """Fetch ``names`` now, so that the first reader does not wait. Raises ResolveError listing all that failed.

        They are required from then on: ``health()`` is ``down`` while one of them cannot be had. It takes as long as
        ``get_many`` may, or ``within`` seconds if that is less.
        """
        await self._all(names, self._get_required, within)

    @afresh
    async def resolve(self, document: Any) -> Any:
        """Return a copy of ``document`` with every reference replaced by its value. Raises ResolveError listing all
        that failed, if one did. Values stay text, and are not looked at for references again."""
        found = await self._all((text for _, text in references(document)), self._readable_text)
        return replace_references(document, {text: secret.reveal() for text, secret in found.items()})

    def peek(self, name: str) -> Secret | None:
        """Return a secret if it is cached, else None. Synchronous, never I/O, from any thread.

        It has to have been read under this very name or reference. It is cached while the event loop runs that renews
        it.
        """
        try:  # 15 % less than dict.get, which is a method call
            return self._hot.secrets[name]
        except (KeyError, TypeError):
            return None

    @afresh
    def is_absent(self, name: str) -> bool:
        """Whether it is known that there is no such secret: the manager has said so less than ``negative_ttl`` ago, and
        nothing stands in. Synchronous, never I/O, from any thread.

        What ``peek`` has is not absent; of what neither of them knows, only ``get`` can tell. The environment alone is
        never known: asking it costs nothing.
        """
        self._check_open()
        route = self._router.route(name)
        return route.source.is_absent(route)

    @property
    def texts(self) -> dict[str, str]:
        """What is cached, as text by name or reference. Read only. Do not keep it: it is replaced by an empty dict when
        the event loop ends that renews the values."""
        return self._hot.texts

    @afresh
    async def refresh(self, name: str, *, source: str | None = None) -> Secret:
        """Ask the manager now, whatever is cached, and return what it says. A failure leaves the old value in place,
        unless the manager says that the secret is gone."""
        route = self._route(name, source)
        return await route.source.home.run(partial(route.source.refresh, route))

    @afresh
    def invalidate(self, name: str, *, source: str | None = None) -> None:
        """Forget what is cached for ``name``: the next reader asks the manager.

        From another thread than the one whose event loop this client lives on, it takes effect a moment later.
        """
        route = self._route(name, source)
        route.source.home.post(partial(route.source.cache.invalidate, route.key))

    # -- inside

    async def _get_required(self, name: str) -> Secret:
        self._check_open()
        route = self._router.route(name)
        route.source.reporter.require(place_of(route))
        return await self.get(name)

    async def _readable_text(self, name: str) -> Secret:
        secret = await self.get(name)
        secret.reveal()
        return secret

    async def _all(
        self, names: Iterable[str], read: Callable[[str], Awaitable[Secret]], within: float | None = None
    ) -> dict[str, Secret]:
        wanted = names_of(names)
        running_loop()
        sources = {name: source for name in wanted if (source := self._source_of(name)) is not None}
        counts = Counter(sources.values())
        time = max([await source.calls.time_for(count) for source, count in counts.items()], default=1.0)
        time = time if within is None else min(time, within)
        found = await read_all(wanted, read, time, lambda name: sources[name].config.system)
        # Each came at a moment of its own, and one that came early may have been renewed with one that came late.
        return {name: self._hot.secrets.get(name, secret) for name, secret in found.items()}

    def _source_of(self, name: str) -> Source | None:
        try:
            return self._router.route(name).source
        except AsyncSecretsError:
            return None  # whoever reads it is told why


def names_of(names: Iterable[str]) -> list[str]:
    """Several names, each once, in their order. Raises ConfigError, InvalidNameError."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigError("several names are expected, as text, in a list or other iterable")
    given: list[Any] = [*names]
    for name in given:
        if not isinstance(name, str):  # which could not even be listed among the failures
            check_name(name)
    return list(dict.fromkeys(given))
