"""Misses that come in one turn of the loop travel together, where the manager answers for many names in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVar

from asyncsecrets.cache.flight import fresh
from asyncsecrets.client.operations import cut_short
from asyncsecrets.errors import ProviderError
from asyncsecrets.loops import is_asked_to_end, spawn
from asyncsecrets.providers.base import BatchReader
from asyncsecrets.retry import Retry, may_retry
from asyncsecrets.secret import Secret

__all__ = ["Batcher"]

T = TypeVar("T")

_Answer = asyncio.Future[Secret | None]


class Batcher:
    """Collects the names asked for in one turn of the loop and asks for them ``provider.batch_size`` at a time.

    A batch is retried as a whole: names that were retried one by one would each come back at a time of its own, and
    one failed call become twenty. A batch that fails for good fails each of its names, with an error of its own. A name
    that a batch does not answer for, or only for the moment, or with a fault of another name, is asked for on its own.
    """

    def __init__(self, provider: BatchReader, retry: Retry) -> None:
        self._provider = provider
        self._retry = retry
        self._waiting: dict[str, list[_Answer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, name: str) -> Secret:
        """Fetch the current version of ``name``, in company where there is any; retries included."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._depart, context=Context())
        answer: _Answer = loop.create_future()
        self._waiting.setdefault(name, []).append(answer)
        secret = await answer
        if secret is not None:
            return secret
        return await self._attempts(lambda: self._provider.get(name), name)

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
        names = list(waiting)
        size = self._provider.batch_size
        for start in range(0, len(names), size):
            chunk = {name: waiting[name] for name in names[start : start + size]}
            self._tasks.add(spawn(self._travel(chunk), name="asyncsecrets-batch", done=self._tasks.discard))

    async def _travel(self, waiting: dict[str, list[_Answer]]) -> None:
        answers: dict[str, Secret | BaseException] = {}
        try:
            if len(waiting) > 1:  # one name alone is asked for in the plain way
                answers.update(await self._attempts(lambda: self._provider.get_many(list(waiting))))
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
            _settle(futures, _own(answers.get(name), name))

    async def _attempts(self, attempt: Callable[[], Awaitable[T]], name: str | None = None) -> T:
        return await self._retry.run(attempt, provider=self._provider.system, name=name)


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


def _settle(futures: list[_Answer], answer: Secret | BaseException | None) -> None:
    for future in futures:
        if future.done():  # its caller was cancelled
            continue
        if isinstance(answer, BaseException):
            future.set_exception(fresh(answer))
        else:
            future.set_result(answer)
