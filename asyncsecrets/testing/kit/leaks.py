"""`LeakWatch`: looks for the values of secrets where none should be."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

from asyncsecrets.errors import ConfigError
from asyncsecrets.secret import Secret
from asyncsecrets.testing.kit.held import held

__all__ = ["LeakWatch"]

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__)
_BODIES: Final = ("content", "body", "text", "data")
_MOST_LOCALS: Final = 100_000  # characters of a local variable's repr that are looked through


class LeakWatch:
    """Call it, with whatever might hold a value, to look there and through all that was logged so far.

    What may be given: exceptions (their text, notes, causes and contexts, and the local variables of their frames),
    responses of any HTTP client or framework (headers and body), log records, text, bytes, and anything else by its
    ``str`` and ``repr``. Looked for are the values of all secrets that there ever were in the tests of this process, as
    they are and in base64, percent-encoded, escaped as in JSON, HTML and Python, and split over lines; of six
    characters and more.

    Raises AssertionError, which names the secrets and the places and shows no value.
    """

    def __init__(self) -> None:
        self._records: list[logging.LogRecord] = []

    def __repr__(self) -> str:
        return f"<LeakWatch: {len(self._records)} log records>"

    @contextmanager
    def installed(self) -> Iterator[LeakWatch]:
        """Have every log record noted until the block ends, whichever logger it is of."""
        before = logging.getLogRecordFactory()

        def note(*arguments: Any, **options: Any) -> logging.LogRecord:
            record = before(*arguments, **options)
            self._records.append(record)
            return record

        logging.setLogRecordFactory(note)
        try:
            yield self
        finally:
            if logging.getLogRecordFactory() is note:
                logging.setLogRecordFactory(before)

    def __call__(self, *things: object) -> None:
        __tracebackhide__ = True
        problem = self.problem(*things)
        del things  # what raises from here on has them in no local variable
        if problem is not None:
            raise AssertionError(problem)

    def problem(self, *things: object) -> str | None:
        """Which secret leaked where, or None. Raises ConfigError for a response whose body was not read."""
        places = [(place, held.names_in(text)) for place, text in self._texts(things)]
        leaks = sorted({f"{', '.join(map(_named, names))} in {place}" for place, names in places if names})
        return f"secrets leaked (no value is shown): {'; '.join(leaks)}" if leaks else None

    def _texts(self, things: Iterable[object]) -> Iterator[tuple[str, str | bytes]]:
        for record in [*self._records]:
            place = f"a log record of {record.name} ({record.filename}, line {record.lineno})"
            yield from ((place, text) for text in _of_record(record))
        for thing in things:
            yield from _of(thing)


def _named(name: str) -> str:
    return repr(name) if name else "a value"


def _of(thing: object) -> Iterator[tuple[str, str | bytes]]:
    place = f"{type(thing).__name__} that was given"
    if isinstance(thing, str | bytes):
        yield place, thing
    elif isinstance(thing, BaseException):
        yield from ((f"{type(thing).__name__}, {place}", text) for place, text in _of_exception(thing, set()))
    elif isinstance(thing, logging.LogRecord):
        yield from ((place, text) for text in _of_record(thing))
    elif hasattr(thing, "headers"):
        yield from _of_response(thing)
    else:
        yield from ((place, text) for text in (str(thing), repr(thing)))


def _of_record(record: logging.LogRecord) -> Iterator[str]:
    yield from (_message(record), repr(record.msg), repr(record.args), record.exc_text or "", record.stack_info or "")
    yield from (repr(value) for key, value in record.__dict__.items() if key not in _STANDARD)
    if record.exc_info and record.exc_info[1] is not None:
        yield from (text for _, text in _of_exception(record.exc_info[1], set()))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # its arguments do not fit: logging says so itself, and they are looked at
        return ""


def _of_exception(error: BaseException, seen: set[int]) -> Iterator[tuple[str, str]]:
    if id(error) in seen:
        return
    seen.add(id(error))
    yield "its text", "".join(traceback.format_exception_only(error))
    yield "its arguments", repr(error.args) + repr(vars(error))
    yield from _of_frames(error.__traceback__)
    within = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for other in (error.__cause__, error.__context__, *within):
        if other is not None:
            yield from _of_exception(other, seen)


def _of_frames(trace: TracebackType | None) -> Iterator[tuple[str, str]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        if not trace.tb_frame.f_locals.get("__tracebackhide__"):
            for name, value in trace.tb_frame.f_locals.items():
                yield f"the local variable {name} of {code.co_name}, line {trace.tb_lineno}", _shown(value)
        trace = trace.tb_next


def _shown(value: object) -> str:
    if isinstance(value, LeakWatch | Secret):
        return ""
    try:
        return repr(value)[:_MOST_LOCALS]
    except Exception:  # noqa: BLE001  # it cannot be shown by anybody
        return ""


def _of_response(response: Any) -> Iterator[tuple[str, str | bytes]]:
    headers = response.headers
    items = headers.items() if isinstance(headers, Mapping) or hasattr(headers, "items") else headers
    yield from ((f"the header {_text(key)} of a response", f"{_text(value)}") for key, value in items)
    bodies = [body for name in _BODIES if isinstance(body := getattr(response, name, None), str | bytes)]
    if not bodies:
        raise ConfigError(
            f"the body of this {type(response).__name__} is not at hand: read it, and give what was read, as in "
            f"assert_no_secret_leaks(dict(response.headers), await response.read())"
        )
    yield from (("the body of a response", body) for body in bodies)


def _text(part: object) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else str(part)
