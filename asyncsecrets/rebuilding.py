"""An object that is made with secrets, and made anew when they change: a connection pool, an HTTP client."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, Self, TypeVar, overload

from asyncsecrets.boundary import afresh, fresh, place_of
from asyncsecrets.client import SecretsClient
from asyncsecrets.client.reading import names_of
from asyncsecrets.client.watching import differs
from asyncsecrets.errors import AsyncSecretsError, ClosedError, ConfigError, UnavailableError
from asyncsecrets.journal import few, one_line
from asyncsecrets.loops import LoopBound, cancel_all, ending, is_asked_to_end, retrieve, running_loop, spawn
from asyncsecrets.secret import Secret

__all__ = ["Rebuilt"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_PAUSE: Final = 1.0, 60.0  # seconds before what failed is tried again: the first time, and at most
_APART: Final = 1.0  # seconds between two questions that refresh() puts to the manager
_CLOSE_WITHIN: Final = 10.0  # seconds for which a cancellation of whoever closes waits for the end


class Rebuilt(LoopBound, Generic[T]):
    """An object that is made with a secret, and made anew whenever that has changed.

        async def connect(password: Secret) -> asyncpg.Pool:
            return await asyncpg.create_pool(user="app", password=password.reveal())

        async with Rebuilt(secrets, "DB_PASSWORD", build=connect, retire=asyncpg.Pool.close) as pool:
            await pool.current.execute("select 1")

    ``build`` is a coroutine function. It gets the ``Secret``; where several names are given, in a list, all of them by
    name, as they are at one moment. ``retire``, a function or coroutine function, ends an object that was replaced:
    ``grace`` seconds after it was, and not while somebody has it by ``use()``. It gets each object once.

    A build that fails leaves the object that is there in use. It is tried again after 1 to 60 s, growing and with
    jitter, and at once when the secret changes again. That is logged once, without values.

    Entering builds the first object, and raises what that raises. Leaving retires all there are, at once. It belongs to
    the event loop on which it was entered. ``jitter`` returns random numbers from 0 to 1.
    """

    @overload
    def __init__(
        self,
        client: SecretsClient,
        names: str,
        *,
        build: Callable[[Secret], Awaitable[T]],
        retire: Callable[[T], object] | None = None,
        grace: float = 30.0,
        jitter: Callable[[], float] = random.random,
    ) -> None: ...

    @overload
    def __init__(
        self,
        client: SecretsClient,
        names: Iterable[str],
        *,
        build: Callable[[Mapping[str, Secret]], Awaitable[T]],
        retire: Callable[[T], object] | None = None,
        grace: float = 30.0,
        jitter: Callable[[], float] = random.random,
    ) -> None: ...

    @afresh
    def __init__(
        self,
        client: SecretsClient,
        names: str | Iterable[str],
        *,
        build: Callable[[Any], Awaitable[T]],
        retire: Callable[[T], object] | None = None,
        grace: float = 30.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not grace >= 0:
            raise ConfigError("grace is a number of seconds, zero or more")
        if not names:
            raise ConfigError("there is no name here of a secret to build with")
        self._client = client
        self._single = names if isinstance(names, str) else None
        self._names = [names] if isinstance(names, str) else names_of(names)
        self._build = build
        self._retire = retire
        self._grace = grace
        self._jitter = jitter
        self._held: _Held[T] | None = None
        self._is_open = False
        self._tasks: list[asyncio.Task[None]] = []
        self._retiring: dict[_Held[T], asyncio.Task[None]] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._not_before = 0.0  # in the loop's time: when refresh() may ask next
        self._answer: asyncio.Future[None] | None = None  # what the refresh under way waits for

    # -- its life

    @afresh
    async def __aenter__(self) -> Self:
        """Read the secrets and build the first object. Raises what either raises."""
        if self._held is not None:
            raise ConfigError("this Rebuilt is open; build another one, or enter it again when it has ended")
        found = await self._client.get_many(self._names)
        held = _Held(found, await self._built(found))
        if self._held is not None:  # somebody else was faster
            await self._end(held)
            raise ConfigError("this Rebuilt was entered twice at once; build one for each")
        self._held, self._is_open, self._news = held, True, asyncio.Event()
        self._tasks = [
            spawn(self._listen(), name="asyncsecrets-rebuild-listen", done=retrieve),
            spawn(self._keep(), name="asyncsecrets-rebuild", done=retrieve),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @ending(_CLOSE_WITHIN, "asyncsecrets-rebuild-close")
    def aclose(self) -> Coroutine[Any, Any, None]:
        """Stop following, and retire all objects there are, at once. Harmless when closed.

        It takes as long as ``retire`` does. A task that is cancelled while it waits for this is told so when everything
        has ended, or after ten seconds.
        """
        self._is_open = False
        return self._close()

    async def _close(self) -> None:
        tasks, self._tasks = self._tasks, []
        await cancel_all([*tasks, *([self._refreshing] if self._refreshing else [])], within=None)
        if self._held is not None and tasks:
            self._replaced(self._held)
        for held in self._retiring:
            held.hurry()
        if self._retiring:
            await asyncio.wait(list(self._retiring.values()))
        if tasks:
            self._held = None

    # -- what a program asks of it

    @property
    def current(self) -> T:
        """The object that is made with the newest secret. Raises ClosedError before it is entered, and after its end.

        Take it anew for each thing you do. It can be used for ``grace`` seconds after it was replaced.
        """
        return self._there().value

    def use(self) -> _Use[T]:
        """Have the object that is current now, which is not retired before the block ends, however long that takes.

        ::

            async with pool.use() as connections:
                await connections.execute(report)
        """
        return _Use(self._there)

    @afresh
    async def refresh(self, failed: T | None = None) -> T:
        """Ask the manager now, have the object built anew if the secret has changed, and return what is current then.

        It is for what says that the secret is wrong, such as a failed login. Any number of callers share one question
        and one build, and there is one question a second at most. ``failed`` is the object that it was: if that has
        been replaced meanwhile, nothing is asked.

        Raises what the manager or ``build`` says; the object that is there stays in use.
        """
        there = self._there().value
        if failed is not None and failed is not there:
            return there
        del there, failed
        if self._refreshing is None:
            self._refreshing = spawn(self._refresh(), name="asyncsecrets-rebuild-refresh", done=self._refreshed)
        try:
            await asyncio.shield(self._refreshing)
        except asyncio.CancelledError:
            if is_asked_to_end():
                raise
            self._there()  # it was closed
            raise
        return self._there().value

    def _there(self) -> _Held[T]:
        if self._held is None or not self._is_open:
            raise ClosedError("this Rebuilt is not open; use what it builds within `async with Rebuilt(...) as name`")
        return self._held

    # -- asking now

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._not_before - loop.time())
        self._not_before = loop.time() + _APART
        await asyncio.gather(*(self._client.refresh(name) for name in self._names))
        self._answer = loop.create_future()
        self._news.set()
        await self._answer

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = self._answer = None
        retrieve(task)

    # -- following

    async def _listen(self) -> None:
        """Pass on that there is news, as long as the client is open."""
        failures = 0
        while True:
            try:
                async for _ in self._client.watch_many(self._names, wait=True):
                    failures = 0
                    self._news.set()
            except ClosedError:
                return
            except AsyncSecretsError:  # such as a policy that was taken away: the client has told operators of it
                failures += 1
            await asyncio.sleep(self._pause(failures))

    async def _keep(self) -> None:
        """Build anew what is not made with the newest secrets. This is the one place that does."""
        failures = 0
        while True:
            await self._told(self._pause(failures) if failures else None)
            answer, self._answer = self._answer, None
            try:
                await self._renew()
            except ClosedError as error:
                _give(answer, error)
                return
            except Exception as error:  # noqa: BLE001  # somebody's build may fail in any way it likes
                if not failures:
                    self._say_why(error)
                failures += 1
                _give(answer, error)
            else:
                if failures:
                    logger.info("what is built with %s was built anew after all", self._title)
                failures = 0
                _give(answer, None)

    async def _told(self, within: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._news.wait()
        self._news.clear()

    async def _renew(self) -> None:
        found = await self._client.get_many(self._names)
        held = self._there()
        if any(differs(held.found[name], found[name]) for name in self._names):
            self._held = _Held(found, await self._built(found))
            self._replaced(held)

    async def _built(self, found: Mapping[str, Secret]) -> T:
        building = self._build(found if self._single is None else found[self._single])
        if not inspect.isawaitable(building):
            raise ConfigError(
                f"build returned an object of type {type(building).__name__}; make it a coroutine function"
            )
        try:
            return await building
        except asyncio.CancelledError:
            if is_asked_to_end():
                raise
        what = "something that build waited for was cancelled, and not by whoever waits for build"
        raise UnavailableError(what, provider="build", name=self._title)

    def _pause(self, failures: int) -> float:
        return min(_PAUSE[1], _PAUSE[0] * 2.0 ** min(failures - 1, 10)) * (0.5 + 0.5 * self._jitter())

    def _say_why(self, error: Exception) -> None:
        # What a foreign exception says may quote a value: a connection's address, for instance.
        why = (
            one_line(str(error)) if isinstance(error, AsyncSecretsError) else f"{type(error).__name__}{place_of(error)}"
        )
        logger.error(
            "what is built with %s could not be built anew: %s. The one before stays in use; it is tried again",
            self._title,
            why,
        )

    @property
    def _title(self) -> str:
        return few(self._names, len(self._names))

    # -- retiring

    def _replaced(self, held: _Held[T]) -> None:
        """Have ``held`` retired when its time has come."""
        ending = spawn(self._outlive(held), name="asyncsecrets-rebuild-retire", done=retrieve)
        self._retiring[held] = ending
        ending.add_done_callback(lambda _: self._retiring.pop(held))

    async def _outlive(self, held: _Held[T]) -> None:
        await held.spent(self._grace)
        await self._end(held)

    async def _end(self, held: _Held[T]) -> None:
        try:
            if self._retire is not None and inspect.isawaitable(ended := self._retire(held.value)):
                await ended
        except (Exception, asyncio.CancelledError) as error:  # as above
            if is_asked_to_end():
                raise
            logger.error(  # noqa: TRY400  # a traceback would show values
                "what was built with %s could not be retired: %s%s", self._title, type(error).__name__, place_of(error)
            )


class _Held(Generic[T]):
    """An object, what it was made with, and how many have it by ``use()``."""

    __slots__ = ("_hurried", "_stirred", "_users", "found", "value")

    def __init__(self, found: Mapping[str, Secret], value: T) -> None:
        self.found = found
        self.value = value
        self._users = 0
        self._hurried = False
        self._stirred = asyncio.Event()

    def take(self) -> None:
        """One more has it."""
        self._users += 1

    def leave(self) -> None:
        """One has it no longer."""
        self._users -= 1
        self._stirred.set()

    def hurry(self) -> None:
        """It is to be retired now."""
        self._hurried = True
        self._stirred.set()

    async def spent(self, grace: float) -> None:
        """Wait until it is to be retired: ``grace`` seconds from now, and when nobody has it; or in a hurry."""
        loop = running_loop()
        due = loop.time() + grace
        while not self._hurried and (self._users or loop.time() < due):
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due if loop.time() < due else None):
                    await self._stirred.wait()


class _Use(Generic[T]):
    """A block in which an object is not retired."""

    def __init__(self, there: Callable[[], _Held[T]]) -> None:
        self._there = there

    async def __aenter__(self) -> T:
        self._held = self._there()
        self._held.take()
        return self._held.value

    async def __aexit__(self, *_: object) -> None:
        self._held.leave()


def _give(answer: asyncio.Future[None] | None, error: Exception | None) -> None:
    if answer is None or answer.done():
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(fresh(error))
