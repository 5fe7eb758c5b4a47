"""What an operator reads: the lines of asyncsecrets' loggers, and a client whose clocks both move with virtual time."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from asyncsecrets.client import SecretsClient
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import client_of

NOON = 1_800_000_000.0 - 1_000.0  # of Unix time, when a virtual clock begins; 2027-01-15 08:00:00Z


class Log(logging.Handler):
    """The lines so far."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def take(self, logger: str = "asyncsecrets") -> list[tuple[str, str]]:
        """The lines since the last time, as level and text."""
        taken, self.records = self.records, []
        return [(record.levelname, record.getMessage()) for record in taken if record.name.startswith(logger)]

    def levels(self) -> list[str]:
        """The levels of the lines since the last time."""
        return [level for level, _ in self.take()]


@contextlib.contextmanager
def listening() -> Iterator[Log]:
    """Read what is logged in here."""
    log, logger = Log(), logging.getLogger("asyncsecrets")
    before = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    try:
        yield log
    finally:
        logger.removeHandler(log)
        logger.setLevel(before)


def watched_client(clock: VirtualClock, manager: MemoryProvider, **options: Any) -> SecretsClient:
    """A client that goes by ``clock``, the wall clock included, with every jitter at its middle."""
    return client_of(
        manager,
        cache_options={"clock": clock.boot_time, "guarded": False},
        jitter=lambda: 0.5,
        wall_clock=lambda: NOON + clock.boot_time(),
        **options,
    )
