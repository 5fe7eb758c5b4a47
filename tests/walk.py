"""A walk over what a program can call, while everything goes wrong, by somebody who looks into every frame.

``Watch`` is what error reporters and debuggers of asyncio see: the frames of what is raised, what the loop's exception
handler is told, and every task and future, running or done. ``Walk`` makes each call under it and keeps the places
where a canary was seen, not the canary.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError

import asyncsecrets
from tests.canaries import CANARY
from tests.frames import leaks

Call = Callable[[], Awaitable[object] | object]

_LONGEST = 8.0  # seconds that one call may take
PACKAGE = f"{Path(asyncsecrets.__file__).parent}/"


class Watch:
    """Looks at tasks, futures, the work of threads, and what nobody retrieved."""

    def __init__(self) -> None:
        self.seen = 0
        self.found: set[str] = set()

    @contextlib.contextmanager
    def over(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Watch what happens on ``loop``."""
        watch, thread, future = self, loop.run_in_executor, loop.create_future

        class Task(asyncio.Task[Any]):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                self.add_done_callback(watch._ended)

        def run_in_executor(pool: Any, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
            self._look(f"the arguments of {work!r:.60}", f"{work!r} {args!r}")
            return thread(pool, work, *args)

        def create_future() -> asyncio.Future[Any]:
            made = future()
            made.add_done_callback(self._ended)
            return made

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "Task", Task)
            patch.setattr(loop, "run_in_executor", run_in_executor)
            patch.setattr(loop, "create_future", create_future)
            loop.set_task_factory(lambda loop, work, **options: Task(work, loop=loop, **options))
            loop.set_exception_handler(self._handle)
            try:
                yield
            finally:
                loop.set_task_factory(None)
                loop.set_exception_handler(None)

    def tasks(self) -> None:
        """Look at all that runs now."""
        for task in asyncio.all_tasks():
            self._look(f"running task {task.get_name()}", repr(task))

    def _ended(self, future: Any) -> None:
        name = future.get_name() if isinstance(future, asyncio.Task) else "future"
        if isinstance(future._exception, aiohttp.ClientError | HttpProcessingError):
            return  # aiohttp's own, between its parser and whoever reads: what is no HTTP is quoted in there
        self._look(f"{name} that ended", repr(future))

    def _handle(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._look("the loop's exception handler", " ".join(map(repr, context.values())))
        error = context.get("exception")
        self.found |= {f"the loop's exception handler: {place}" for place in (leaks(error) if error else ())}

    def _look(self, where: str, text: str) -> None:
        self.seen += 1
        if CANARY in text:
            self.found.add(where.replace(CANARY, "…"))


class Walk:
    """Makes calls, each under every fault, and counts them.

    What they raise brings no frame of the package along, but for those whose names begin with a word of ``unguarded``.
    """

    def __init__(self, watch: Watch, unguarded: frozenset[str] = frozenset()) -> None:
        self.watch = watch
        self._unguarded = unguarded
        self.calls: set[str] = set()
        self.faults: set[str] = set()
        self.made = 0
        self.raised = 0
        self.found: set[str] = set()

    @property
    def leaked(self) -> set[str]:
        """Where a canary was seen."""
        return self.found | self.watch.found

    def __str__(self) -> str:
        return f"{len(self.calls)} calls x {len(self.faults)} faults, {self.made} made, {self.raised} raised"

    async def under(self, fault: str, calls: Mapping[str, Call], *, cancel_after: int | None = None) -> None:
        """Make all of ``calls`` at once; cancel each in the middle, so many turns of the loop later, where told so."""
        self.faults.add(fault)
        self.calls |= calls.keys()
        making = [asyncio.ensure_future(self._make(name, fault, call)) for name, call in calls.items()]
        if cancel_after is not None:
            for _ in range(cancel_after):
                await asyncio.sleep(0)
            self.watch.tasks()
            for task in making:
                task.cancel()
        await asyncio.wait(making)
        self.watch.tasks()

    async def _make(self, name: str, fault: str, call: Call) -> None:
        """Returns nothing, and keeps nothing: what a call returns is whose it is that calls."""
        self.made += 1
        try:
            async with asyncio.timeout(_LONGEST):
                made = call()
                if inspect.isawaitable(made):
                    await made
        except BaseException as error:  # noqa: BLE001  # a cancellation, too, and whatever else there is
            self.raised += 1
            self.found |= {f"{name} under {fault}: {place}" for place in leaks(error)}
            if name.partition(" ")[0] not in self._unguarded:
                self.found |= {f"{name} under {fault}: the frame {frame}" for frame in _ours(error)}


def _ours(error: BaseException) -> list[str]:
    """The frames of the package that an error brings along, but for that of the boundary."""
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [
        f"{Path(code.co_filename).name} {code.co_name}"
        for code in frames
        if code.co_filename.startswith(PACKAGE) and not code.co_filename.endswith("boundary.py")
    ]
