"""What is asked of asyncio: the loop that runs, and tasks, timers and calls that belong to nobody.

What asyncio starts takes along the context of whoever happened to start it: the trace, the session, the user of the
first request. A flight serves many, a connection is kept for the next ones and a token for days; they would keep that
request alive, and be counted to it. So all of them run in a context of their own, with nothing in it but the
*errand* (``asyncsecrets.errands``) that they are part of.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import sys
import warnings
import weakref
from collections.abc import Callable, Collection, Coroutine
from contextvars import Context
from typing import Any, Final, Generic, NoReturn, ParamSpec, TypeVar

from asyncsecrets.boundary import bared, place_of
from asyncsecrets.errands import carrying
from asyncsecrets.errors import UnsupportedOperationError

__all__ = [
    "LoopBound",
    "cancel_all",
    "current_loop",
    "ending",
    "in_thread",
    "is_asked_to_end",
    "report",
    "retrieve",
    "running_loop",
    "spawn",
    "tell",
    "warn_of_dropped",
    "weakly",
]

P = ParamSpec("P")
T = TypeVar("T")


current_loop: Final = asyncio._get_running_loop  # noqa: SLF001  # asyncio's own way to ask without an exception
"""Return the event loop that runs, or None where there is none."""


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that runs. Raises UnsupportedOperationError where there is none, as under trio."""
    loop = current_loop()
    if loop is not None:
        return loop
    raise UnsupportedOperationError(
        "asyncsecrets needs asyncio, and no asyncio event loop runs here; call it from a coroutine that asyncio.run() "
        "or an asyncio framework runs (under anyio: its asyncio backend; under trio: in a thread, by asyncio.run())"
    )


async def in_thread(work: Callable[[], T]) -> T:
    """Do what would block the loop in a thread. Raises as ``running_loop`` does, and what ``work`` raises.

    Neither ``work`` nor what comes of it shows in the executor's futures: whoever prints those prints their results.
    """
    running_loop()
    job = _Job(work)
    await asyncio.to_thread(job)
    return job.outcome()


class _Job(Generic[T]):
    """A call whose outcome stays in here: the call itself returns nothing, and never raises."""

    __slots__ = ("_error", "_result", "_work")

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            self._error = error

    def outcome(self) -> T:
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error  # it would hold itself, by its traceback and this frame


def spawn(
    coroutine: Coroutine[Any, Any, T],
    *,
    name: str,
    loop: asyncio.AbstractEventLoop | None = None,
    context: Context | None = None,
    done: Callable[[asyncio.Task[T]], object] | None = None,
) -> asyncio.Task[T]:
    """Start ``coroutine`` on ``loop``, or the running one, at its next turn; hold on to the task, for asyncio does not.

    It runs in ``context``, by default in one that is empty but for the errand; so does ``done(task)``, when it ended.

    Not by ``loop.create_task``: an eager task factory would run a part of it before the caller has put on record that
    it runs. A loop that is closed without ending its tasks cannot end this one either, and nothing is lost with it,
    so its destruction is not reported.
    """
    context = carrying() if context is None else context
    loop = asyncio.get_running_loop() if loop is None else loop
    task: asyncio.Task[T] = asyncio.Task(coroutine, loop=loop, name=name, context=context)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # as asyncio's own gather() does
    if done is not None:
        task.add_done_callback(done, context=context)
    return task


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> bool:
    """Have ``callback(*args)`` called on ``loop``, from any thread; False if that loop is closed and never will."""
    try:
        loop.call_soon_threadsafe(callback, *args, context=Context())
    except RuntimeError:
        return False
    return True


async def cancel_all(tasks: Collection[asyncio.Task[None]], *, within: float | None) -> None:
    """Cancel ``tasks`` and wait for their end, ``within`` seconds if given. Does not say how they ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=within)


def ending(
    within: float, name: str
) -> Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, Coroutine[Any, Any, None]]]:
    """Decorate a method that ends something: once it is called, that ends, whatever becomes of whoever called.

    The method does at once what takes no time, and returns a coroutine of the rest, which gets a task called ``name``.
    Where a loop runs, that is begun by the call: a task that is cancelled before it had its turn never begins. A
    cancellation of whoever waits is raised when all has ended, or after ``within`` seconds.
    """

    def decorate(begin: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Coroutine[Any, Any, None]]:
        @functools.wraps(begin)
        def call(*args: P.args, **options: P.kwargs) -> Coroutine[Any, Any, None]:
            def start() -> asyncio.Task[None]:
                running_loop()
                return spawn(begin(*args, **options), name=name, done=retrieve)

            return _outlasting(start() if _is_running() else None, start, within)

        # Frameworks ask before they await: see inspect.iscoroutinefunction.
        if sys.version_info >= (3, 12):
            return inspect.markcoroutinefunction(call)
        call._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001  # the same in 3.11
        return call

    return decorate


def _is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _outlasting(task: asyncio.Task[None] | None, start: Callable[[], asyncio.Task[None]], within: float) -> None:
    task = task or start()
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await _outlast(task, within)
        raise
    if not task.cancelled():
        task.result()


async def _outlast(task: asyncio.Task[None], within: float) -> None:
    """Wait for ``task``, whoever is cancelled meanwhile; the first cancellation is raised by who asks."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within
    while not task.done() and loop.time() < until:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=until - loop.time())


def is_asked_to_end() -> bool:
    """Whether a CancelledError here is a cancellation of the task that runs, and not of something it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def retrieve(task: asyncio.Future[Any]) -> None:
    """Take note of how ``task`` ended, so that asyncio does not: all who wanted to know may be gone.

    An exception that is no ``Exception`` is for the program and not for them: the loop's handler hears of it.
    """
    error: BaseException | None = None
    with contextlib.suppress(asyncio.CancelledError):  # asked for even so: the task lets go of it, and of its traceback
        error = task.exception()
    if error is not None and not isinstance(error, Exception):
        report(error, task)


def report(error: BaseException, task: asyncio.Future[Any]) -> None:
    """Have the loop's exception handler hear of ``error``, which ended ``task`` and which nobody waits for.

    Without its frames, in which there may be values: handlers print them, and error reporters send them. Not of
    KeyboardInterrupt and SystemExit: asyncio hands these on by itself, to whoever runs the loop.
    """
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return
    name = task.get_name() if isinstance(task, asyncio.Task) else "an answer"
    # Without the task itself: Python 3.12 would call the handler in the task's context, which this may be called in.
    context: dict[str, Any] = {"message": f"{type(error).__name__} ended {name}{place_of(error)}"}
    if not isinstance(error, Exception):  # the text of a bug's may quote a value
        context["exception"] = bared(error)
    task.get_loop().call_exception_handler(context)


def weakly(method: Callable[P, T]) -> Callable[P, T | None]:
    """Return a function that calls a bound method as long as its object is there, and does not keep it there."""
    ref, function = weakref.ref(method.__self__), method.__func__  # type: ignore[attr-defined]

    def call(*args: P.args, **options: P.kwargs) -> T | None:
        owner = ref()
        return None if owner is None else function(owner, *args, **options)

    return call


def warn_of_dropped(
    what: object, is_told: Callable[[], bool], is_finalizing: Callable[[], bool] = sys.is_finalizing
) -> None:
    """Say that ``what`` was dropped by a program that did not close it, if ``is_told()``: something of it went on.

    To be called by its finalizer. At the end of the interpreter nothing goes on, and modules have lost their globals:
    what is needed to find that out is an argument.
    """
    if is_finalizing() or not is_told():
        return
    message = (
        f"unclosed {type(what).__name__}: the program dropped it, so it has stopped refreshing; keep it as long as "
        f"it is used, and close it with `async with` or aclose()"
    )
    warnings.warn(message, ResourceWarning, source=what, stacklevel=2)


class LoopBound:
    """What belongs to one process, and there to one event loop at a time: it is neither copied nor pickled."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        kind = type(self).__name__
        raise TypeError(
            f"a {kind} can be neither copied nor pickled: its tasks, connections and locks belong to this process. "
            f"Build one per process, from the same configuration"
        )

    def __copy__(self) -> NoReturn:
        self.__reduce_ex__(4)

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce_ex__(4)
