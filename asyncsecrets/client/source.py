"""A source: a provider with its freshness, its retry, and what is warm because of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from asyncsecrets.boundary import fresh
from asyncsecrets.cache import SingleFlightCache, boot_time
from asyncsecrets.client.asking import Asking
from asyncsecrets.client.batching import Batcher
from asyncsecrets.client.calls import Calls, Reading
from asyncsecrets.client.connection import CLOSE_WITHIN, Connection
from asyncsecrets.client.effects import Effects
from asyncsecrets.client.floors import Doubt
from asyncsecrets.client.home import Home, cancel_elsewhere
from asyncsecrets.client.hot import Hot
from asyncsecrets.client.kin import Kin
from asyncsecrets.client.known import Known
from asyncsecrets.client.places import Key, Place, Route
from asyncsecrets.client.reporting import Reporter
from asyncsecrets.client.traits import Traits
from asyncsecrets.client.verdicts import checked, policy_of, verdict_of
from asyncsecrets.client.views import Changed, Views
from asyncsecrets.config import SourceConfig
from asyncsecrets.errands import set_out, under, whose
from asyncsecrets.errors import AsyncSecretsError, SecretNotFoundError
from asyncsecrets.forks import Inherited
from asyncsecrets.loops import ending, retrieve
from asyncsecrets.providers.base import BatchReader, Provider
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.retry import Retry
from asyncsecrets.secret import Secret

__all__ = ["Source"]

T = TypeVar("T")

_LEAST = 0.1  # seconds that a provider has to close, however long it was until its reads had ended


class Source(Traits):
    """One configured source. Made without I/O; its provider is opened when it is first needed.

    The provider is ``provider``, or made by ``build``; ``environment`` stands in for names that are absent here;
    ``changed`` hears of every reference that becomes warm, is renewed, or is warm no longer. ``reporter``
    tells operators how it fares, by the ``wall`` clock. Everything but ``peek`` runs at ``home``.
    """

    def __init__(
        self,
        config: SourceConfig,
        hot: Hot,
        *,
        provider: Provider | None = None,
        build: Callable[[], Provider],
        environment: EnvironmentProvider | None,
        retry: Retry,
        changed: Changed,
        cache_options: dict[str, Any],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.name = config.name
        self.config = config
        self.access_mode = config.access_mode
        self.hosted_keys = config.hosted_keys
        self.primary_secret_name = config.primary_secret_name
        self.is_environment = config.system == "env"
        self.retry = retry
        self._wall = wall
        self.home = Home(config.system, max(retry.policy.deadline, CLOSE_WITHIN), self._moved)
        self._keeps = config.freshness.cached and config.access_mode.reads
        self._environment = environment if config.hosted_keys is None and not self.is_environment else None
        self._batcher: Batcher | None = None
        self._close_by = float("inf")
        self._connection = self._new_connection(provider, build)
        self.views = self._new_views(hot, changed)
        self.reporter = self._new_reporter(cache_options.get("clock", boot_time), wall)
        self.calls = Calls(config, retry, self._connection, self.reporter, self.home)
        self.tasks = self.calls.tasks
        self._kin = Kin(self._connection, lambda: self.cache.keys())  # noqa: PLW0108  # there is no cache yet
        self.known = self._new_known(cache_options.get("clock", boot_time))
        self._asking = Asking(self.known)
        self.cache = self._new_cache(cache_options)
        self.effects = Effects(
            self.name, self.home, self.cache, self.known, self._kin, self.reporter, keeps=self._keeps
        )
        for name in config.hosted_keys or ():
            self.reporter.require(self._place_of(name))
        _sources.add(self)

    # -- what it is made of: cache, reporter and views lead to one another, and are looked up when asked

    def _new_connection(self, provider: Provider | None, build: Callable[[], Provider]) -> Connection:
        return Connection(
            self.name,
            provider,
            build,
            companion=self._environment,
            opened=self._provider_opened,
            at_home=lambda: self.home.here,
        )

    def _new_views(self, hot: Hot, changed: Changed) -> Views:
        return Views(
            self.config.system,
            hot,
            changed,
            peek=lambda key: self.cache.peek(key),  # noqa: PLW0108  # there is no cache yet
            default_field=lambda: self.default_field,
            environment=self._environment,
            judged=lambda place, error: self.reporter.judged(place, error),  # noqa: PLW0108  # nor a reporter
        )

    def _new_reporter(self, clock: Callable[[], float], wall: Callable[[], float]) -> Reporter:
        return Reporter(
            self.name,
            self.config.system,
            self.views,
            held=lambda: len(self.cache),
            fetch=self._begin_to_fetch,
            clock=clock,
            wall=wall,
        )

    def _new_known(self, clock: Callable[[], float]) -> Known:
        return Known(
            self.config.freshness.read_your_writes,
            self.reporter,
            entry=lambda key: self.cache.recall(key),  # noqa: PLW0108  # as above
            spellings=self._kin.spellings,
            clock=clock,
            wall=self._wall,
        )

    def _new_cache(self, options: dict[str, Any]) -> SingleFlightCache[Key, Secret]:
        confirm_after = options.get("confirm_after")
        policy = policy_of(self.config)
        return SingleFlightCache(
            self._fetch,
            policy if confirm_after is None else replace(policy, confirm_after=confirm_after),
            classify=verdict_of,
            # The members of one secret are stood in for one by one, when they are asked for.
            stand_in=self.views.stand_in_for if self.primary_secret_name is None else None,
            listener=self.known,
            observer=self.reporter,
            outage=self.calls.outage,
            begun=self._kin.note if self.access_mode.writes else None,
            on_end=self._loop_ended,
            expires=_expires,
            wall=self._wall,
            **{option: value for option, value in options.items() if option != "confirm_after"},
        )

    def is_member(self, name: str) -> bool:
        """Whether ``name`` is not a secret of its own here but a member of the primary one."""
        primary = self.primary_secret_name
        return primary is not None and name != primary and not name.startswith(self.config.virtual_key_prefix)

    def _place_of(self, name: str) -> Place:
        return Place(self.primary_secret_name or "", name) if self.is_member(name) else Place(name)

    # -- reading

    def landing(self, route: Route[Source]) -> asyncio.Future[Secret] | None:
        """Return what to wait for, where a read of ``route`` is the flight of its entry and nothing else."""
        if self._keeps and route.key not in self.cache.hot and self.home.claim():
            return self.cache.join(route.key)
        return None

    async def read(self, route: Route[Source]) -> Secret:
        """Return the value that ``route`` leads to: from memory, or by one flight shared with everybody else."""
        if not self._keeps:
            self._ask_in_turn(route.key)
            return await self.tasks.run(partial(self._read_through, route))
        secret = self.cache.hot.get(route.key)
        if secret is not None and not self._is_doubtful(secret, route):
            return self.views.publish(secret, route)
        if secret is not None:
            self._ask_in_turn(route.key)
        try:
            secret = await (self.cache.join(route.key) if secret is None else self.cache.refresh(route.key))
        except SecretNotFoundError as error:
            absent = error.with_traceback(None)  # which holds this frame
        else:
            return self.seen(secret, route)
        return self.views.absent(absent, route)

    def warm(self, route: Route[Source]) -> Secret | None:
        """Return what ``read`` does, where that is in memory; None where it is not. No I/O. Raises as ``read``."""
        secret = self.cache.hot.get(route.key)
        return None if secret is None or self._is_doubtful(secret, route) else self.views.read(secret, route)

    def _ask_in_turn(self, key: Key) -> None:
        """Raise the error of whoever is not to ask for ``key`` now, as the cache does for what it fetches."""
        if self.calls.outage.lasts and (spared := self.calls.outage.spared(key)) is not None:
            try:
                raise spared
            finally:
                del spared  # it would hold itself, by its traceback and this frame

    def _begin_to_fetch(self, key: Key) -> None:
        """Have ``key`` in the cache soon, if it can be had, though nobody waits for it."""
        if self._keeps and self.home.here and not self._connection.closed:
            self.cache.join(key).add_done_callback(retrieve)

    def fetch_missing(self) -> None:
        """Have what is missing in the cache soon, if it can be had. From any thread."""
        condition = self.reporter.condition
        for name in (*condition.cut_off.copy(), *condition.own.copy()):
            self.home.post(partial(self._begin_to_fetch, name.key if isinstance(name, Place) else name))

    def seen(self, secret: Secret, route: Route[Source]) -> Secret:
        """Return the view of what a flight brought. One of the many who waited may have made it already."""
        return self.views.warm(route) or self.views.publish(secret, route)

    def _is_doubtful(self, secret: Secret, route: Route[Source]) -> bool:
        """Whether the environment stands in for a secret that is asked of this source alone, and was absent before.

        What stands in is believed for the refresh interval; *absent* is not.
        """
        return secret.source != self.name and not route.environment and secret.age > self.config.freshness.negative_ttl

    async def _read_through(self, route: Route[Source]) -> Secret:
        set_out(under(self, route.key))  # it is shared with nobody, and so has no flight
        try:
            with self.reporter.uncached(route.key):
                secret = await self._fetch(route.key)
            return self.views.read(secret, route)
        except SecretNotFoundError as error:
            absent = error.with_traceback(None)  # which holds this frame
        return self.views.absent(absent, route)

    async def refresh(self, route: Route[Source]) -> Secret:
        """Ask the manager anew now."""
        if not self._keeps:
            return await self.tasks.run(partial(self._read_through, route))
        try:
            return self.views.read(await self.cache.refresh(route.key), route)
        except SecretNotFoundError as error:
            absent = error.with_traceback(None)  # which holds this frame
        return self.views.absent(absent, route)

    def peek(self, name: str) -> Secret | None:
        """Return the manager's current secret called ``name`` if it is warm."""
        secret = self.cache.peek(name)
        return secret if secret is not None and secret.source == self.name else None

    def is_absent(self, route: Route[Source]) -> bool:
        """Whether it is known that nothing is where ``route`` leads. No I/O, from any thread."""
        entry = self.cache.peek(route.key)
        if entry is None:
            return self.cache.is_absent(route.key)
        try:
            self.views.of(entry, route)
        except SecretNotFoundError:
            return True
        return False

    # -- asking the manager

    async def _fetch(self, key: Key) -> Secret:
        name, version = (key, None) if isinstance(key, str) else key
        loop, heard = asyncio.get_running_loop(), None
        began = now = loop.time()
        errand = whose()
        if errand is not None:
            began = errand.began = now if errand.began is None else errand.began
        try:
            since = None if self._connection.here is not None else await self.calls.opened(name)
            secret = await self.calls.told(name, self._ask(name, version, since, self._used(now - began)))
            secret = self._checked(name, secret)
            if self.known.doubt(key, secret) is None:
                if self.primary_secret_name is not None:
                    await self._look_beside()
                return secret
        except SecretNotFoundError as error:
            doubt = self.known.doubt(key, error)
            if doubt is None:
                await self._missed(key, error)
                raise
            heard = fresh(error) if doubt is Doubt.VANISHED else None
        try:
            return await self.current(key, spent=loop.time() - began, heard=heard)
        except SecretNotFoundError as error:
            await self._missed(key, error)
            raise

    async def _missed(self, key: Key, error: SecretNotFoundError) -> None:
        if self.cache.recall(key) is None:  # else it is asked for twice, and the cache tells what it believes
            self.known.missed(key, error)
        if self._environment is not None:
            await self._environment.look()  # whether the .env file has changed

    async def _look_beside(self) -> None:
        """Have the ``.env`` file at hand where the environment may stand in for a member that the secret has not."""
        if self._environment is not None:
            with suppress(AsyncSecretsError):  # it concerns those who miss a member: they are told (``remark``)
                await self._environment.look()

    async def current(self, key: Key, *, spent: float = 0.0, heard: SecretNotFoundError | None = None) -> Secret:
        """Ask for what is the truth now, whatever is cached: of the place that takes the writes, where that can be.

        ``spent``: seconds that went before; up to half of the time that there is counts as used. Raises
        UnavailableError while the answers are behind what is known. ``heard``: see ``Asking.current``.
        """
        name = key if isinstance(key, str) else key[0]
        spent = self._used(spent)
        secret = await self.calls.call(name, lambda provider: self._asking.current(provider, key, heard), spent=spent)
        return self._checked(name, secret)

    def _checked(self, name: str, secret: Secret) -> Secret:
        return checked(secret, self.config.system, name).replace(source=self.name)

    def _used(self, seconds: float) -> float:
        """How much of its time a question has used up that was asked before: some of it may have been waiting."""
        return min(seconds, 0.5 * self.tasks.gate.patience) if seconds else 0.0

    def _ask(self, name: str, version: str | None, since: float | None, spent: float) -> Awaitable[Secret]:
        batcher = self._batcher
        if version is None and batcher is not None:  # which does the retries
            return batcher.get(name, since)
        return self.calls.in_turn(name, Reading(name, version), since=since, spent=spent)

    # -- life

    async def start(self) -> None:
        """Open the provider and start renewing. Raises what is wrong with the configuration."""
        await self.calls.open()
        self.cache.start()

    @ending(CLOSE_WITHIN + 0.25, "asyncsecrets-close")
    def aclose(self) -> Coroutine[Any, Any, None]:
        """Close everything, within two seconds. Whoever waits gets ClosedError."""
        self.reporter.close()
        return self._close()

    async def _close(self) -> None:
        self._close_by = asyncio.get_running_loop().time() + CLOSE_WITHIN
        try:
            await self.tasks.close(CLOSE_WITHIN / 2)
        finally:
            self._connection.closed = True
        try:
            async with asyncio.timeout_at(self._close_by):
                await self.cache.aclose()
                await self._loop_ended()
        except TimeoutError:
            self._connection.abandon()

    def _provider_opened(self) -> None:
        provider = self._connection.provider
        self.tasks.gate = self.calls.new_gate()
        if isinstance(provider, BatchReader):
            self._batcher, self.cache.batch_size = Batcher(provider, self.calls.in_turn), provider.batch_size
        self.cache.start()  # what is open is to be closed when the loop ends, and it is the cache that notices

    async def _loop_ended(self) -> None:
        # Visits to a source that is closed end by themselves; one of them may be what closes it.
        await self.home.leave(self._close_here, end_visits=not self._connection.closed)

    async def _close_here(self) -> None:
        within = min(CLOSE_WITHIN, max(_LEAST, self._close_by - asyncio.get_running_loop().time()))
        if self._batcher is not None:
            await self._batcher.close(within)
        await self._connection.close(within)

    def _moved(self, old: asyncio.AbstractEventLoop) -> None:
        """Another loop is home from now on: nothing that is under way on ``old`` may touch anything any more."""
        under_way = self.tasks.all | self.cache.tasks | self._connection.tasks
        if self._batcher is not None:
            under_way |= self._batcher.tasks
        self.cache.forget_loop()
        self._let_go()
        cancel_elsewhere(under_way, old)

    def forked(self) -> None:
        """Be at home nowhere, in the child of a fork."""
        self.home.abandon()
        self._let_go()

    def _let_go(self) -> None:
        self.tasks.abandon()
        self._connection.abandon()
        self._batcher = None


def _expires(secret: Secret) -> float | None:
    return None if secret.expires is None else secret.expires.timestamp()


_sources: Inherited[Source] = Inherited(Source.forked)
