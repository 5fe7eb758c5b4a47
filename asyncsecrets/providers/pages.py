"""Answers that come in pages: what fails or takes too long in the middle goes on from there when it is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from asyncsecrets.errors import AsyncSecretsError, TransientError

__all__ = ["Pages"]

T = TypeVar("T")

_KEPT: Final = 30.0
MOST: Final = 10_000
"""Twice as many as the 500,000 secrets that an account of AWS may have take."""


@dataclass(slots=True)
class _Reading:
    """How far one reading has come."""

    found: list[Any] = field(default_factory=list)
    token: str = ""
    pages: int = 0
    stopped: float = 0.0


class Pages:
    """Reads every page of an answer.

    A reading that a transient failure or its caller's deadline stops is kept for 30 seconds of ``clock``: a retry goes
    on with the page that is missing, so that an account of any size can be listed at last. It is forgotten when this
    process changes anything: what is read anew shows what was written.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stopped: dict[Hashable, _Reading] = {}
        self._changes = 0

    def forget(self) -> None:
        """Something has changed: no reading goes on that began before."""
        self._stopped.clear()
        self._changes += 1

    async def read(
        self,
        key: Hashable,
        fetch: Callable[[str], Awaitable[tuple[list[T], str] | None]],
        *,
        endless: Callable[[str], AsyncSecretsError],
        narrow: bool = False,
    ) -> list[T]:
        """Everything on the pages of what ``key`` stands for.

        ``fetch`` returns what is on the page that a token leads to (``""``: the first one) and the token of the next
        page, or None where the manager knows the token no more: then all is read anew. ``endless`` makes the error for
        an answer without an end, of a text; ``narrow``: a prefix makes it shorter.
        """
        reading, before = self._resumed(key), self._changes
        try:
            while reading.pages < MOST:
                if self._add(reading, await fetch(reading.token)):
                    return reading.found
        except (TransientError, asyncio.CancelledError) as error:
            if self._changes == before:
                reading.stopped = self._clock()
                self._stopped[key] = reading
            if isinstance(error, TransientError) and reading.pages:
                shorter = "narrow it with a prefix, or " if narrow else ""
                error.message += f" (after {reading.pages:,} pages: {shorter}ask again, which goes on from there)"
            raise
        raise endless(f"the answer goes on for more than {MOST:,} pages")

    @staticmethod
    def _add(reading: _Reading, page: tuple[list[Any], str] | None) -> bool:
        """Add a page; whether it is the last one."""
        reading.pages += 1
        if page is None:
            reading.found, reading.token = [], ""
            return False
        found, reading.token = page
        reading.found += found
        return not reading.token

    def _resumed(self, key: Hashable) -> _Reading:
        oldest = self._clock() - _KEPT
        self._stopped = {kept: reading for kept, reading in self._stopped.items() if reading.stopped > oldest}
        return self._stopped.pop(key, None) or _Reading()
