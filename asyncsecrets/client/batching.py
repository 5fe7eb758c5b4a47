"""Misses that come in one turn of the loop travel together, where the manager answers for many names in one call."""

from __future__ import annotations

import asyncio

from asyncsecrets.cache.flight import fresh
from asyncsecrets.errors import ProviderError
from asyncsecrets.providers.base import BatchReader
from asyncsecrets.secret import Secret

__all__ = ["Batcher"]


class Batcher:
    """Collects the names asked for in one turn of the loop and asks for them ``provider.batch_size`` at a time.

    A name that a batch does not answer for is asked for on its own. A batch that fails as a whole fails each of its
    names, with an error of its own; the retries of these names meet in one batch again.
    """

    def __init__(self, provider: BatchReader) -> None:
        self._provider = provider
        self._waiting: dict[str, list[asyncio.Future[Secret | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, name: str) -> Secret:
        """Fetch the current version of ``name``: one attempt, in company where there is any."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._depart)
        answer: asyncio.Future[Secret | None] = loop.create_future()
        self._waiting.setdefault(name, []).append(answer)
        secret = await answer
        return await self._provider.get(name) if secret is None else secret

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone."""
        self._waiting, self._tasks = {}, set()

    def _depart(self) -> None:
        waiting, self._waiting = self._waiting, {}
        names = list(waiting)
        size = self._provider.batch_size
        for start in range(0, len(names), size):
            chunk = {name: waiting[name] for name in names[start : start + size]}
            task = asyncio.get_running_loop().create_task(self._travel(chunk), name="asyncsecrets-batch")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _travel(self, waiting: dict[str, list[asyncio.Future[Secret | None]]]) -> None:
        answers: dict[str, Secret | ProviderError] = {}
        failure: BaseException | None = None
        try:
            if len(waiting) > 1:  # one name alone is asked for in the plain way
                answers.update(await self._provider.get_many(list(waiting)))
        except Exception as error:  # noqa: BLE001  # goes to everybody who travelled
            failure = error
        except asyncio.CancelledError:
            _settle_all(waiting, asyncio.CancelledError())
            raise
        for name, futures in waiting.items():
            _settle(futures, failure or answers.get(name))


def _settle_all(waiting: dict[str, list[asyncio.Future[Secret | None]]], error: BaseException) -> None:
    for futures in waiting.values():
        _settle(futures, error)


def _settle(futures: list[asyncio.Future[Secret | None]], answer: Secret | BaseException | None) -> None:
    for future in futures:
        if future.done():
            continue
        if isinstance(answer, asyncio.CancelledError):
            future.cancel()
        elif isinstance(answer, BaseException):
            future.set_exception(fresh(answer))
        else:
            future.set_result(answer)
