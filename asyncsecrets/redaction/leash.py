"""A leash for SDKs that log secrets: their loggers are kept from saying what is below INFO."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator

__all__ = ["contain", "contain_new"]


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

        with contain("botocore"):
            ...

    Some SDKs log requests and answers at DEBUG, secrets and credentials included. It holds however logging is
    configured meanwhile. For loggers that are made meanwhile, call ``contain_new``. No logger says more than before.
    Contexts may overlap. After the last, each logger has its old level again, unless somebody set another one.
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
    _leashes.lock = threading.Lock()  # a thread that stayed in the parent may have held the old one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
