"""What a client tells without giving a value away, and how it is followed: names, versions, changes, condition."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from asyncsecrets.boundary import afresh
from asyncsecrets.client.callbacks import OnChange
from asyncsecrets.client.places import place_of
from asyncsecrets.client.reading import Reading, names_of
from asyncsecrets.client.source import Source
from asyncsecrets.client.status import Explanation, Health, SourceStatus, explain, health_of, status_of
from asyncsecrets.client.watching import Watch
from asyncsecrets.config import DEFAULT_SOURCE
from asyncsecrets.errors import ConfigError, UnsupportedOperationError
from asyncsecrets.providers.base import Lister, Provider, VersionInfo, VersionLister
from asyncsecrets.references import Reference, check_prefix, render
from asyncsecrets.secret import Secret

__all__ = ["Looking"]

T = TypeVar("T")


class Looking(Reading):
    """The part of ``SecretsClient`` that looks around: what there is, what becomes of it, and how the sources are."""

    @afresh
    async def list(self, prefix: str = "", *, source: str | None = None) -> builtins.list[str]:
        """Return the names of a source's secrets that start with ``prefix``, sorted."""

        async def ask(provider: Provider) -> builtins.list[str]:
            if not isinstance(provider, Lister):
                raise UnsupportedOperationError(
                    f"{provider.system} cannot list its secrets; ask for one by its name, or another source"
                )
            return await provider.list(prefix)

        self._check_open()
        check_prefix(prefix)
        return await _ask(self._router.readable(source), None, ask, paged=True)

    @afresh
    async def versions(self, name: str, *, source: str | None = None) -> builtins.list[VersionInfo]:
        """Return what the manager knows of each version of a secret, oldest first."""
        self._check_open()
        target, entry = self._router.versions_of(name, source)

        async def ask(provider: Provider) -> builtins.list[VersionInfo]:
            if not isinstance(provider, VersionLister):
                raise UnsupportedOperationError(f"{provider.system} keeps no versions that could be listed")
            return await provider.versions(entry)

        return await _ask(target, entry, ask)

    @afresh
    def watch(self, name: str, *, wait: bool = False) -> Watch[Secret]:
        """Follow a secret: yields it now, and again whenever it has another version or value.

            async for secret in secrets.watch("DB_PASSWORD"):
                await log_in_again(secret.reveal())

        A consumer that is slower than the rotations sees the newest value, not every one. A manager that cannot be
        reached for a while does not end it. A secret that is gone does, with the error that says so, and so does
        closing the client, with ClosedError.

        With ``wait``, a secret that is not there, or cannot be had at first, is waited for. It is looked for every
        minute, at first sooner; if somebody else reads it meanwhile, it is there at once.

        Taking the next value may be cancelled, by a time limit for instance, and is done again without a loss. There is
        nothing to be closed. Each task has a ``watch`` of its own, on any event loop.
        """

        async def read() -> dict[str, Secret]:
            return {name: await self.get(name)}

        return self._watch([name], read, lambda found: found[name], wait=wait)

    @afresh
    def watch_many(self, names: Iterable[str], *, wait: bool = False) -> Watch[dict[str, Secret]]:
        """Follow several secrets at once: yields all of them, by name, now and whenever one of them has changed.

        What is of one secret of the manager is of one version of it: a user and a password that are members of one
        JSON object belong together. Otherwise as ``watch``; what cannot be had is listed in a ResolveError.
        """
        wanted = names_of(names)
        if not wanted:
            raise ConfigError("there is no name here to be followed")
        return self._watch(wanted, partial(self.get_many, wanted), dict, wait=wait)

    def _watch(
        self,
        names: builtins.list[str],
        read: Callable[[], Awaitable[Mapping[str, Secret]]],
        shape: Callable[[Mapping[str, Secret]], T],
        *,
        wait: bool,
    ) -> Watch[T]:
        freshness = [self._route(name, None).source.config.freshness for name in names]
        return Watch(
            self._watchers,
            names,
            read,
            self.peek,
            shape,
            every=min(found.refresh_interval for found in freshness),
            kept=all(found.cached for found in freshness),
            wait=wait,
        )

    @afresh
    def on_change(self, callback: OnChange, name: str | None = None) -> Callable[[], None]:
        """Call ``callback(reference, secret)`` whenever a secret that was read has another version or value.

        With ``name``, only for the one that is read under this name or reference.

        It is a plain function. It is called on the event loop of this client, in the step in which the value changes,
        once for each change and reference, and must not block. What it raises is logged, without the value, and harms
        nobody else. Returns a function that ends it; closing the client does so, too.

        It reads nothing: a secret that nobody reads has no changes, nor has one of a source that caches nothing. Those
        are followed with ``watch``.
        """
        self._check_open()
        if name is not None:
            self._route(name, None)
        return self._watchers.callbacks.add(callback, name)

    @afresh
    def status(self) -> builtins.list[SourceStatus]:
        """Describe every source, what is cached of it, and what is wrong with it. Never a value. From any thread."""
        return [status_of(source) for source in self._unique()]

    @afresh
    def health(self) -> Health:
        """Say whether everything that is served is fresh, and can be served. No I/O. From any thread.

        It goes by the last answers. A client that is ``down`` and that nobody asks stays so: let a readiness probe
        ask, with ``warm_up``.
        """
        return health_of(self._unique())

    @property
    def hosted_keys(self) -> tuple[str, ...]:
        """The ``hosted_keys`` of every source that can be read, as names, or references where it is not the default."""
        return tuple(
            name if source.name == DEFAULT_SOURCE else render(Reference(name, source.name))
            for source in self._unique()
            if source.access_mode.reads
            for name in sorted(source.hosted_keys or ())
        )

    @afresh
    def lacking(self, names: Iterable[str] | None = None) -> dict[str, str]:
        """Return which of ``names`` are known to be ``missing``, or all that is, with the class of the error.

        No I/O, from any thread. As ``health()``, it goes by the last answers.
        """
        if names is None:
            return {name: why for source in self._unique() for name, why in source.reporter.condition.whys().items()}
        routes = {name: self._router.route(name) for name in names}
        why = {name: route.source.reporter.condition.why_missing(place_of(route)) for name, route in routes.items()}
        return {name: error for name, error in why.items() if error is not None}

    @afresh
    def fetch_missing(self) -> None:
        """Ask for all that ``health()`` says is missing, in the background. Returns at once. From any thread."""
        self._check_open()
        for source in self._unique():
            source.fetch_missing()

    @afresh
    def explain(self, name: str) -> Explanation:
        """Say where ``name`` is read, by which rule, and what is cached of it. No I/O."""
        return explain(name, self._route(name, None), self._router.origin)


async def _ask(source: Source, name: str | None, ask: Callable[[Provider], Awaitable[T]], *, paged: bool = False) -> T:
    return await source.home.run(partial(source.tasks.run, partial(source.calls.call, name, ask, paged=paged)))
