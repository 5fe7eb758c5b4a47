"""The watched event loop that scenarios run in, and assertions that show no value when they fail."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from asyncsecrets.errors import AsyncSecretsError, ProviderError
from asyncsecrets.testing.conformance.harness import CANARY, ProviderHarness

__all__ = ["check_error", "expect", "raised", "run"]

Scenario = Callable[[], Awaitable[None]]
E = TypeVar("E", bound=AsyncSecretsError)


def run(harness: ProviderHarness, scenario: Scenario) -> None:
    """Run ``scenario`` with the harness entered and its provider open, on a new event loop in debug mode.

    Raises AssertionError if something is left over afterwards: a task, a warning about a resource or a coroutine, an
    error that only the event loop saw, or a value in a log record.
    """
    with _watched() as complaints, _collected(), asyncio.Runner(debug=True) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(str(context.get("message"))))
        runner.run(_supervised(harness, scenario, complaints))
    expect(not complaints, "left over after the scenario: " + "; ".join(complaints))


async def _supervised(harness: ProviderHarness, scenario: Scenario, complaints: list[str]) -> None:
    async with asyncio.timeout(harness.patience), harness:
        await harness.provider.open()
        try:
            await scenario()
        finally:
            await harness.provider.aclose()
    for _ in range(20):  # what was cancelled ends within a few turns of the loop
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    complaints.extend(f"task {task.get_name()}" for task in left)


@contextmanager
def _collected() -> Iterator[None]:
    """Collect the garbage that is made meanwhile, so that it warns here. What was there before costs no time."""
    gc.freeze()
    try:
        yield
        gc.collect()
    finally:
        gc.unfreeze()


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Collect what is said where no caller looks. Nothing collected holds a value."""
    complaints: list[str] = []
    root, handler, hook = logging.getLogger(), _CanaryHandler(complaints), sys.unraisablehook
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    sys.unraisablehook = lambda unraisable: complaints.append(f"unraisable {unraisable.exc_type.__name__}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield complaints
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        sys.unraisablehook = hook
    complaints.extend(_warning(item) for item in caught if issubclass(item.category, ResourceWarning | RuntimeWarning))


def _warning(item: warnings.WarningMessage) -> str:
    return f"{item.category.__name__} from {item.filename}:{item.lineno}"


class _CanaryHandler(logging.Handler):
    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        if CANARY in self.format(record) or CANARY in repr(record.__dict__):
            self._complaints.append(f"a value in a log record of {record.name!r}")


def expect(holds: bool, message: str) -> None:
    """Assert without ``assert``: pytest's rewriting would print the values that are compared."""
    if not holds:
        raise AssertionError(message)


async def raised(call: Awaitable[object], *classes: type[E]) -> E:
    """Return the error that ``call`` raises, which must be of exactly one of ``classes`` and clean (`check_error`)."""
    error: BaseException | None = None
    try:
        await call
    except Exception as caught:  # noqa: BLE001  # whatever a provider raises is what is examined here
        error = caught
    wanted = " or ".join(cls.__name__ for cls in classes)
    if type(error) not in classes:
        raise AssertionError(f"expected {wanted}, got {type(error).__name__ if error else 'an answer'}")
    check_error(error)
    return cast("E", error)


def check_error(error: BaseException | None) -> None:
    """Assert that an error is ours, says who failed, survives pickling, and carries no value and no foreign error."""
    for link in _chain(error):
        expect(isinstance(link, AsyncSecretsError), f"a foreign {type(link).__name__} rides along with the error")
    expect(isinstance(error, AsyncSecretsError), f"{type(error).__name__} is not an error of asyncsecrets")
    expect(not _holds_canary(error, set()), f"{type(error).__name__} holds a value")
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    expect(type(copied) is type(error), f"{type(error).__name__} does not survive pickling")
    if isinstance(error, ProviderError):
        expect(bool(error.provider), f"{type(error).__name__} does not name the provider")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, its causes and its contexts, also where ``raise … from None`` only hides them."""
    seen: list[BaseException] = []
    queue = [error]
    while queue:
        link = queue.pop()
        if link is not None and not any(link is known for known in seen):
            seen.append(link)
            queue += [link.__cause__, link.__context__]
    yield from seen


def _holds_canary(thing: Any, seen: set[int]) -> bool:
    if id(thing) in seen:
        return False
    seen.add(id(thing))
    if isinstance(thing, str | bytes | bytearray):
        return CANARY in thing if isinstance(thing, str) else CANARY.encode() in thing
    if CANARY in repr(thing):
        return True
    return any(_holds_canary(part, seen) for part in _parts(thing))


def _parts(thing: Any) -> list[Any]:
    if isinstance(thing, Mapping):
        return [*thing.keys(), *thing.values()]
    if isinstance(thing, tuple | list | set | frozenset):
        return list(thing)
    if isinstance(thing, BaseException):
        return [thing.args, thing.__dict__, thing.__cause__, thing.__context__]
    return []
