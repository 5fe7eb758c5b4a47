"""What an error reporter that captures local variables would send of an error."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.canaries import CANARY

TESTS = f"{Path(__file__).parent}/"


def leaks(error: BaseException) -> list[str]:
    """The places of an error, its causes, contexts and members, and their frames, that hold a canary.

    The tests' own frames are not looked at, and only they. What a program hands in is in its frames anyway.
    """
    return [place for place, text in captured(error) if CANARY in text]


def captured(error: BaseException) -> Iterator[tuple[str, str]]:
    """Every text of it, with its place."""
    for each in _chain(error):
        what = type(each).__name__
        yield from ((f"{what}: {kind}", text) for kind, text in _said(each))
        for frame, line in traceback.walk_tb(each.__traceback__):
            if not frame.f_code.co_filename.startswith(TESTS):
                place = f"{what}: {Path(frame.f_code.co_filename).name}:{line} {frame.f_code.co_name}"
                yield from ((f"{place}: {name}", _shown(value)) for name, value in frame.f_locals.items())


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  # of what is half made
        return type(error).__name__


def _said(error: BaseException) -> Iterator[tuple[str, str]]:
    yield from (("message", str(error)), ("repr", repr(error)), ("args", repr(error.args)))
    yield from ((f"attribute {name}", repr(value)) for name, value in vars(error).items())
    yield from ((f"attribute {name}", repr(getattr(error, name))) for name in ("object", "doc") if hasattr(error, name))


def _chain(error: BaseException) -> list[BaseException]:
    """The error, its causes and contexts, whether they would be shown or not, and the errors that it tells of."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or any(each is other for other in found):
            continue
        found.append(each)
        members = [*getattr(each, "exceptions", ()), *getattr(each, "failures", {}).values()]
        waiting += [each.__cause__, each.__context__, *members]
    return found
