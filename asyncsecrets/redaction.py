"""Keeping values out of logs: a filter that masks every value handed out, and a leash for SDKs that log secrets.

Nothing here is a licence to log secrets. The filter is a net below everything else::

    handler.addFilter(RedactionFilter())

Put it on *handlers*: a filter on a logger does not see the records of the loggers below it. From the moment the
first one is made, every value that a client hands out is remembered (the newest 10,000 of them) and masked in
messages, arguments, tracebacks and ``extra`` fields, as it is, JSON-escaped or percent-encoded. Values shorter
than six characters are not masked: that would garble the log and betray them all the more.
"""

from __future__ import annotations

import contextlib
import json
import logging
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from asyncsecrets.secret import MASK

__all__ = ["RedactionFilter", "contain", "handed_out"]

_LIMIT: Final = 10_000
_SHORTEST: Final = 6

_values: dict[str, None] = {}
_watching = False


def handed_out(text: str) -> None:
    """Remember a value, if any filter is there to mask it. Clients call this; a hit does not."""
    if _watching and len(text) >= _SHORTEST and text not in _values:
        _values[text] = None
        if len(_values) > _LIMIT:
            del _values[next(iter(_values))]


class RedactionFilter(logging.Filter):
    """Masks every value handed out. Make it before the first secret is read; it drops no record."""

    def __init__(self) -> None:
        super().__init__()
        global _watching  # noqa: PLW0603  # values are process-wide, as handlers are
        _watching = True

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask ``record`` in place and let it pass."""
        shown = _shown(record)
        present = [form for value in _values for form in _forms(value) if form in shown]
        if present:
            _mask_record(record, sorted(present, key=len, reverse=True))
        return True


def _shown(record: logging.LogRecord) -> str:
    """Everything that any formatter could show of ``record``, in one text."""
    parts = [record.getMessage(), record.exc_text or "", record.stack_info or ""]
    if record.exc_info and record.exc_info[1] is not None:
        parts.append("".join(traceback.format_exception(record.exc_info[1])))
    parts += [_text(value) for key, value in record.__dict__.items() if key not in _STANDARD]
    return "\n".join(parts)


def _mask_record(record: logging.LogRecord, present: list[str]) -> None:
    record.msg, record.args = _mask(record.getMessage(), present), None
    if record.exc_info and record.exc_info[1] is not None:
        # A formatter would format the exception anew, so it gets the masked text instead of the exception.
        record.exc_text = _mask("".join(traceback.format_exception(record.exc_info[1])).rstrip("\n"), present)
        record.exc_info = None
    elif record.exc_text:
        record.exc_text = _mask(record.exc_text, present)
    if record.stack_info:
        record.stack_info = _mask(record.stack_info, present)
    for key, value in record.__dict__.items():
        if key not in _STANDARD and any(form in _text(value) for form in present):
            record.__dict__[key] = _mask(_text(value), present)


def _mask(text: str, present: list[str]) -> str:
    for form in present:
        text = text.replace(form, MASK)
    return text


def _forms(value: str) -> set[str]:
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], quote(value, safe="")}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


_contained: Counter[str] = Counter()
_levels: dict[str, int] = {}


@contextlib.contextmanager
def contain(*names: str) -> Iterator[None]:
    """Keep the loggers ``names``, and those below them, at INFO or above while the context lasts.

    Some SDKs log requests and answers at DEBUG, secrets and credentials included. Contexts may overlap; the level
    that was there before the first one comes back after the last.
    """
    for name in names:
        logger = logging.getLogger(name)
        if not _contained[name]:
            _levels[name] = logger.level
            logger.setLevel(max(logger.level, logging.INFO))
        _contained[name] += 1
    try:
        yield
    finally:
        for name in names:
            _contained[name] -= 1
            if not _contained[name]:
                logging.getLogger(name).setLevel(_levels.pop(name))
