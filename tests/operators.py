"""What an operator reads: the lines of asyncsecrets' loggers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


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
