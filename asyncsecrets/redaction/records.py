"""The filter: a record keeps its shape, and loses its values."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any, Final

from asyncsecrets.redaction import errors
from asyncsecrets.redaction.known import known, watch
from asyncsecrets.redaction.leaves import Shown, can_be_shown, look, mask, refilled, text_of
from asyncsecrets.secret import MASK

__all__ = ["RedactionFilter"]

_NAMES: Final = ("name", "threadName", "processName", "taskName")
_OURS: Final = frozenset(logging.makeLogRecord({}).__dict__) - {"exc_text", "stack_info"} | {"asctime", *_NAMES}


class RedactionFilter(logging.Filter):
    """Masks every value handed out, also those that are cached when it is made. It drops no record and never raises.

        handler.addFilter(RedactionFilter())

    What a formatter reads keeps its shape. ``args`` stays a tuple of the same length or a mapping of the same keys,
    ``msg`` the event dict of structlog, ``exc_info`` an exception of the same class with the same traceback.
    """

    def __init__(self) -> None:
        super().__init__()
        watch()  # values are process-wide, as handlers are

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask ``record`` in place and let it pass."""
        if len(known):
            try:
                _mask(record)
            except Exception:  # noqa: BLE001  # rather without its contents than lost, or shown
                _conceal(record)
        return True


def _mask(record: logging.LogRecord) -> None:
    for name, value in list(record.__dict__.items()):
        if name not in _OURS:
            masked = mask(value)
            if masked is not value:
                record.__dict__[name] = masked
    _mask_names(record)
    _mask_error(record)
    _mask_message(record)


def _mask_names(record: logging.LogRecord) -> None:
    """Those of the logger, the thread, the process and the task: who made them may have put a value there."""
    names = {name: value for name in _NAMES if isinstance(value := record.__dict__.get(name), str)}
    if known.found("\0".join(names.values())):
        record.__dict__.update((name, mask(value)) for name, value in names.items())


def _conceal(record: logging.LogRecord) -> None:
    for name in set(record.__dict__) - _OURS | record.__dict__.keys() & _NAMES:
        record.__dict__[name] = MASK if record.__dict__[name] else record.__dict__[name]
    record.msg, record.args, record.exc_info = MASK, (), None


class _Template(str):
    """A message that is not lost where its arguments do not fit: they were wrong, or are masked where a number was."""

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def __mod__(self, arguments: Any) -> str:
        try:
            return super().__mod__(arguments)
        except Exception:  # noqa: BLE001  # logging itself would print message and arguments to stderr
            return f"{self[:]} {text_of(arguments)}"


def _mask_message(record: logging.LogRecord) -> None:
    record.msg = mask(record.msg)
    if not isinstance(record.msg, str | dict) and not can_be_shown(record.msg):
        record.msg = text_of(record.msg)
    if not record.args:
        return
    record.args, short = _arguments(record)
    message = _message(short)
    if message is None:
        record.msg = _Template(text_of(record.msg))
    elif known.found(message):  # it takes both, it and an argument, to make the value
        record.args = _none_of(record.args)
        if known.found(message := _message(record) or ""):
            record.msg, record.args = known.mask(message), ()


def _message(record: logging.LogRecord) -> str | None:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # wrong arguments, or none for getMessage
        return None


def _arguments(record: logging.LogRecord) -> tuple[Any, logging.LogRecord]:
    """The arguments masked; and the record with those in which only what meets the message is left to be found."""
    arguments: Any = record.args
    if type(arguments) is tuple:
        looks = [look(argument) for argument in arguments]
        masked: Any = tuple(masked for masked, _ in looks)
        masked = masked if any(new is not old for new, old in zip(masked, arguments, strict=True)) else arguments
        short: Any = tuple(short for _, short in looks)
    else:
        masked, short = look(arguments)
        if isinstance(short, Shown):  # it is no mapping
            short = masked if "%(" in text_of(record.msg) else (short,)
    other = copy.copy(record)
    other.args = short
    return masked, other


def _none_of(arguments: Any) -> Any:
    """The arguments, all masked but for numbers."""
    if isinstance(arguments, Mapping):
        return refilled(arguments, [(key, _nothing_of(value)) for key, value in arguments.items()])
    return tuple(_nothing_of(argument) for argument in arguments)


def _nothing_of(argument: Any) -> Any:
    return argument if isinstance(argument, int | float) else MASK


def _mask_error(record: logging.LogRecord) -> None:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if error is None:
        return
    stand_in = errors.masked(error, mask)
    written = errors.trace(stand_in)
    if known.found(written):  # in a line of source: whoever formats the exception anew gets it without these
        record.exc_text = record.exc_text or known.mask(written)
        stand_in = errors.stand_in(error, mask, frames=False)
    if stand_in is not error:
        record.exc_info = type(stand_in), stand_in, stand_in.__traceback__
