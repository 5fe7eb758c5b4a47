"""LiteLLM logs an ERROR with a traceback for every name that its manager does not have: feature flags, at each request.

What is left to the environment because the manager does not have it is no error, and not logged as one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

__all__ = ["keep_quiet"]

_LOGGER: Final = logging.getLogger("LiteLLM")
_BEGINNING: Final = "Defaulting to os.environ value for key="
_MIDDLE: Final = ". An exception occurred"


class _Quiet(logging.Filter):
    def __init__(self, is_expected: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_expected = is_expected

    def filter(self, record: logging.LogRecord) -> bool:
        if not (isinstance(record.msg, str) and record.msg.startswith(_BEGINNING)):
            return True
        # Another filter of LiteLLM's may have put the arguments into the message already.
        name, told, _ = record.getMessage().removeprefix(_BEGINNING).partition(_MIDDLE)
        return not (told and self._is_expected(name))


def keep_quiet(is_expected: Callable[[str], bool]) -> None:
    """Keep out of LiteLLM's log what it says of names that are ``is_expected``. The last such function counts."""
    for known in [one for one in _LOGGER.filters if isinstance(one, _Quiet)]:
        _LOGGER.removeFilter(known)
    _LOGGER.filters.insert(0, _Quiet(is_expected))  # before those that look for secrets in what is not logged
