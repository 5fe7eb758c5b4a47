"""Misses that come in one turn of the loop travel together, where the manager answers for many names in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from functools import partial
from typing import Any

from asyncsecrets.boundary import fresh
from asyncsecrets.client.tasks import cut_short
from asyncsecrets.errors import ProviderError
from asyncsecrets.loops import is_asked_to_end, spawn
from asyncsecrets.providers.base import BatchReader, Provider
from asyncsecrets.retry import may_retry
from asyncsecrets.secret import Secret

__all__ = ["Batcher"]

Run = Callable[..., Awaitable[Any]]  # Source._in_turn

_Answer = asyncio.Future[Secret | float]  # or the seconds that were spent in vain


class Batcher:
    """Collects the names asked for in one turn of the loop and asks for them ``provider.batch_size`` at a time.

    A batch is retried as a whole: names that were retried one by one would each come back at a time of its own, and
    one failed call become twenty. A batch that fails for good fails each of its names, with an error of its own. A name
    that a batch does not answer for, or only for the moment, or with a fault of another name, is asked for on its own,
    in the time that the batch left. ``run`` carries out one operation of the provider, when its turn has come.
    """

    def __init__(self, provider: BatchReader, run: Run) -> None:
        self._provider = provider
        self._run = run
        self._waiting: dict[str, list[_Answer]] = {}
        self._since: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, name: str, since: float | None = None) -> Secret:
        """Fetch the current version of ``name``, in company where there is any; retries included.

        ``since`` is when it was asked for, in the loop's time, if not now.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._depart, context=Context())
        answer: _Answer = loop.create_future()
        self._waiting.setdefault(name, []).append(answer)
        self._since = since if self._since is None else self._since
        found = await answer
        if isinstance(found, Secret):
            return found
        secret: Secret = await self._run(name, lambda provider: provider.get(name), since=since, spent=found)
        return secret

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The calls under way."""
        return set(self._tasks)

    async def close(self, within: float) -> None:
        """End the calls under way, ``within`` seconds."""
        tasks = self.tasks
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=within)

    def _depart(self) -> None:
        waiting, self._waiting = self._waiting, {}
        since, self._since = self._since, None
        names = list(waiting)
        size = self._provider.batch_size
        for start in range(0, len(names), size):
            chunk = {name: waiting[name] for name in names[start : start + size]}
            self._tasks.add(spawn(self._travel(chunk, since), name="asyncsecrets-batch", done=self._tasks.discard))

    async def _travel(self, waiting: dict[str, list[_Answer]], since: float | None) -> None:
        answers: dict[str, Secret | BaseException] = {}
        spent = _Stopwatch()
        try:
            if len(waiting) > 1:  # one name alone is asked for in the plain way
                answers.update(await self._run(None, partial(self._ask, list(waiting), spent), since=since))
        except asyncio.CancelledError:
            if is_asked_to_end():
                for futures in waiting.values():
                    _cancel(futures)
                raise
            answers = dict.fromkeys(waiting, cut_short(self._provider.system, None))
        except Exception as error:  # noqa: BLE001  # goes to everybody who travelled
            answers = dict.fromkeys(waiting, error)
        except BaseException as error:
            for futures in waiting.values():
                _settle(futures, error)
            raise
        else:
            answers = {name: answer for name, answer in answers.items() if not _may_succeed_alone(answer)}
        for name, futures in waiting.items():
            answer = _own(answers.get(name), name)
            _settle(futures, spent.seconds if answer is None else answer)

    def _ask(self, names: list[str], spent: _Stopwatch, _: Provider) -> Awaitable[Mapping[str, Secret | ProviderError]]:
        spent.start()
        return self._provider.get_many(names)


class _Stopwatch:
    """Measures the time since it was first started."""

    __slots__ = ("_started",)

    def __init__(self) -> None:
        self._started: float | None = None

    def start(self) -> None:
        if self._started is None:
            self._started = asyncio.get_running_loop().time()

    @property
    def seconds(self) -> float:
        return 0.0 if self._started is None else asyncio.get_running_loop().time() - self._started


def _may_succeed_alone(answer: Secret | BaseException) -> bool:
    return isinstance(answer, BaseException) and may_retry(answer)


def _own(answer: Secret | BaseException | None, name: str) -> Secret | BaseException | None:
    """``answer``, where it is an error as one about ``name``; None for a fault that lies with another name."""
    if not isinstance(answer, ProviderError) or answer.name == name:
        return answer
    if answer.name is not None and not may_retry(answer):
        return None
    own = fresh(answer)
    own.name = name
    return own


def _cancel(futures: list[_Answer]) -> None:
    for future in futures:
        future.cancel()


def _settle(futures: list[_Answer], answer: Secret | BaseException | float) -> None:
    for future in futures:
        if future.done():  # its caller was cancelled
            continue
        if isinstance(answer, BaseException):
            future.set_exception(fresh(answer))
        else:
            future.set_result(answer)
