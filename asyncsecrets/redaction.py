"""Keeping values out of logs: a filter that masks every value handed out, and a leash for SDKs that log secrets.

Nothing here is a licence to log secrets. The filter is a net below everything else::

    handler.addFilter(RedactionFilter())

Put it on *handlers*: a filter on a logger does not see the records of the loggers below it. From the moment the
first one is made, every value that a client hands out is remembered (the newest 10,000 of them) and masked in
messages, arguments, tracebacks and ``extra`` fields: as it is, as ``repr`` or JSON escape it, or percent-encoded.
Values shorter than six characters are not masked: that would garble the log and betray them all the more. A handler
that makes something of an exception other than the usual traceback (its frames' local variables) is out of its reach.

Theory of operation. Every way of writing a value is found by six of its characters in one dict, so that a record costs
one lookup per character it has, however many values there are.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import traceback
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, quote_plus

from asyncsecrets.secret import MASK

__all__ = ["RedactionFilter", "contain", "contain_new", "handed_out"]

_LIMIT: Final = 10_000
_SHORTEST: Final = 6


class _Known:
    """The values to be masked, and where in each form of them to recognise it.

    ``forms`` has, by six characters, the forms that have them and at which position: the first, the middle or the last
    six of a form, whichever fewer others have. (Keys of one kind begin alike.) Written to under a lock by any thread;
    read without one, for the tuples are replaced, never changed.
    """

    def __init__(self) -> None:
        self.watching = False
        self.values: dict[str, None] = {}
        self.forms: dict[str, tuple[tuple[int, str], ...]] = {}
        self.lock = threading.Lock()

    def add(self, value: str) -> None:
        with self.lock:
            if value in self.values:
                return
            self.values[value] = None
            for form in _forms(value):
                self._add_form(form)
            if len(self.values) > _LIMIT:
                self._forget(next(iter(self.values)))

    def _add_form(self, form: str) -> None:
        places = _places(form)
        if not any((position, form) in self.forms.get(six, ()) for six, position in places):
            six, position = min(places, key=lambda place: len(self.forms.get(place[0], ())))
            self.forms[six] = (*self.forms.get(six, ()), (position, form))

    def _forget(self, value: str) -> None:
        del self.values[value]
        for form in _forms(value) - self.values.keys():
            for six, _ in _places(form):
                rest = tuple(other for other in self.forms.pop(six, ()) if other[1] != form)
                if rest:
                    self.forms[six] = rest


def _places(form: str) -> list[tuple[str, int]]:
    last = len(form) - _SHORTEST
    return [(form[position : position + _SHORTEST], position) for position in (0, last // 2, last)]


_known = _Known()


def handed_out(text: str) -> None:
    """Remember a value, if any filter is there to mask it. Clients call this when they make a value ready to read."""
    if _known.watching and len(text) >= _SHORTEST and text not in _known.values:
        _known.add(text)


class RedactionFilter(logging.Filter):
    """Masks every value handed out. Make it before the first secret is read; it drops no record and never raises."""

    def __init__(self) -> None:
        super().__init__()
        _known.watching = True  # values are process-wide, as handlers are

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask ``record`` in place and let it pass."""
        if _known.forms:
            _mask_message(record)
            _mask_traceback(record)
            for key, value in list(record.__dict__.items()):
                if key not in _STANDARD and _mask(shown := _shown(value)) != shown:
                    record.__dict__[key] = _mask(_text(value))
        return True


def _mask_message(record: logging.LogRecord) -> None:
    # The arguments by themselves too: a handler may format them in a way of its own.
    message, arguments = _message(record), _shown(record.args) if record.args else ""
    masked = _mask(message)
    if masked != message or _mask(arguments) != arguments:
        record.msg, record.args = masked, None


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # logging itself would print message and arguments, unmasked, to stderr
        record.msg, record.args = f"{_text(record.msg)} {_text(record.args)}", None
        return record.msg


def _mask_traceback(record: logging.LogRecord) -> None:
    if record.exc_info and record.exc_info[1] is not None:
        shown = _traceback(record.exc_info[1])
        masked = _mask(shown)
        if masked != shown:  # a formatter would format the exception anew, so it gets this text instead of it
            record.exc_info, record.exc_text = None, masked
    if record.exc_text:
        record.exc_text = _mask(record.exc_text)
    if record.stack_info:
        record.stack_info = _mask(record.stack_info)


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception:  # noqa: BLE001  # an exception whose str() fails
        return type(error).__name__


def _mask(text: str) -> str:
    """Return ``text`` with every form of every known value masked; overlapping ones as one."""
    known = _known.forms
    spans = [
        (at - position, at - position + len(form))
        for at in range(len(text) - _SHORTEST + 1)
        for position, form in known.get(text[at : at + _SHORTEST], ())
        if at >= position and text.startswith(form, at - position)
    ]
    pieces: list[str] = []
    shown = 0
    for start, end in sorted(spans):
        if start > shown or not pieces:
            pieces += [text[shown:start], MASK]
        shown = max(shown, end)
    return "".join([*pieces, text[shown:]])


def _forms(value: str) -> set[str]:
    data = value.encode("utf-8", "surrogatepass")
    return {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        repr(data)[2:-1],
        quote(data, safe=""),
        quote_plus(data, safe=""),
    }


def _shown(value: Any) -> str:
    """Everything that a formatter may make of ``value``."""
    shown = _text(value)
    try:
        return f"{shown}\n{value!r}" if not isinstance(value, str) else shown
    except Exception:  # noqa: BLE001  # somebody's object, somebody's repr
        return shown


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # as above
        return f"<{type(value).__name__}>"


_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class _Leash(logging.Filter):
    """Drops what the logger ``top`` and those below it say below INFO.

    A filter, because a level is no hold: whoever configures logging later sets it. Neither ``setLevel`` nor
    ``logging.config`` takes a logger's filters away. The levels are raised as well: loggers inherit those, and what
    is not said need not be formatted.
    """

    def __init__(self, top: str) -> None:
        super().__init__()
        self.users = 0
        self._top = top
        self._held: dict[logging.Logger, tuple[int, int]] = {}  # the levels before and since

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.INFO

    def hold(self) -> None:
        """Take hold of every logger that there is now."""
        for logger in [logging.getLogger(self._top), *_below(self._top)]:
            if logger not in self._held:
                self._held[logger] = logger.level, self._quieten(logger)
                logger.addFilter(self)

    def let_go(self) -> None:
        """Give each logger its level back, unless somebody has set another one in the meantime."""
        for logger, (before, since) in self._held.items():
            logger.removeFilter(self)
            if before != since == logger.level:
                logger.setLevel(before)
        self._held.clear()

    def _quieten(self, logger: logging.Logger) -> int:
        """Raise the logger's level, where it has one of its own; return what it is then."""
        # The top one must not rely on those above it; and must not speak up where they kept it silent.
        effective = max(logger.getEffectiveLevel(), logging.INFO)
        if logger.level < effective and (logger.level or logger.name == self._top):
            logger.setLevel(effective)
        return logger.level


class _Leashes:
    """Every leash there is, by its topmost logger. Used by any thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._leashes: dict[str, _Leash] = {}
        self._seen = 0

    def take(self, name: str) -> None:
        with self.lock:
            leash = self._leashes.setdefault(name, _Leash(name))
            leash.users += 1
            leash.hold()

    def give_back(self, name: str) -> None:
        with self.lock:
            leash = self._leashes[name]
            leash.users -= 1
            if not leash.users:
                del self._leashes[name]
                leash.let_go()

    def extend(self) -> None:
        count = len(logging.root.manager.loggerDict)
        if count != self._seen:
            with self.lock:
                for leash in self._leashes.values():
                    leash.hold()
            self._seen = count


_leashes = _Leashes()


@contextlib.contextmanager
def contain(*names: str) -> Iterator[None]:
    """Keep the loggers ``names``, and those below them, from saying what is below INFO while the context lasts.

    Some SDKs log requests and answers at DEBUG, secrets and credentials included. It holds however logging is
    configured meanwhile; for loggers that are made meanwhile see ``contain_new``. None is made to say more than before.
    Contexts may overlap; after the last, each logger has its old level again, unless somebody set another one.
    """
    for name in names:
        _leashes.take(name)
    try:
        yield
    finally:
        for name in names:
            _leashes.give_back(name)


def contain_new() -> None:
    """Extend every ``contain`` to loggers that were made since. Cheap: call it before each use of such an SDK."""
    _leashes.extend()


def _below(name: str) -> list[logging.Logger]:
    loggers = list(logging.root.manager.loggerDict.items())
    return [logger for key, logger in loggers if key.startswith(f"{name}.") and isinstance(logger, logging.Logger)]


def _after_fork() -> None:
    _known.lock = threading.Lock()  # a thread that stayed in the parent may have held the old ones
    _leashes.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
