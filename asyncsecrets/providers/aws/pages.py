"""Answers that come in pages: what fails or takes too long in the middle goes on from there when it is asked again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from asyncsecrets.errors import TransientError
from asyncsecrets.providers.aws.documents import malformed

__all__ = ["READS", "Pages"]

READS: Final = frozenset({"GetSecretValue", "ListSecretVersionIds", "ListSecrets"})
"""The operations that change nothing."""

_KEPT: Final = 30.0
_MOST: Final = 10_000
"""Twice as many as the 500,000 secrets that an account may have take."""

_OUTDATED: Final = frozenset({"InvalidNextTokenException"})


class _Call(Protocol):
    def __call__(
        self, operation: str, name: str | None, parameters: Mapping[str, Any], unless: frozenset[str]
    ) -> Awaitable[dict[str, Any] | None]: ...


@dataclass(slots=True)
class _Reading:
    """How far one reading has come."""

    found: list[Any] = field(default_factory=list)
    token: dict[str, str] = field(default_factory=dict)
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
        self._stopped: dict[str, _Reading] = {}
        self._changes = 0

    def forget(self) -> None:
        """Something has changed: no reading goes on that began before."""
        self._stopped.clear()
        self._changes += 1

    async def read(
        self,
        call: _Call,
        operation: str,
        name: str | None,
        parameters: Mapping[str, Any],
        take: Callable[[dict[str, Any]], list[Any]],
    ) -> list[Any]:
        """What ``take`` takes of each page that ``operation`` answers with."""
        key = json.dumps([operation, name, parameters], sort_keys=True)
        reading, before = self._resumed(key), self._changes
        try:
            while reading.pages < _MOST:
                page = await call(operation, name, {**parameters, **reading.token}, _OUTDATED)
                if self._add(reading, page, take):
                    return reading.found
        except (TransientError, asyncio.CancelledError) as error:
            if self._changes == before:
                reading.stopped = self._clock()
                self._stopped[key] = reading
            if isinstance(error, TransientError) and reading.pages:
                shorter = "" if name else "narrow it with a prefix, or "
                error.message += f" (after {reading.pages:,} pages: {shorter}ask again, which goes on from there)"
            raise
        raise malformed(name, f"the answer to {operation} goes on for more than {_MOST:,} pages")

    @staticmethod
    def _add(reading: _Reading, page: dict[str, Any] | None, take: Callable[[dict[str, Any]], list[Any]]) -> bool:
        """Add a page; whether it is the last one. None: AWS has forgotten the token, so all is read anew."""
        reading.pages += 1
        if page is None:
            reading.found, reading.token = [], {}
            return False
        reading.found += take(page)
        following = page.get("NextToken")
        reading.token = {"NextToken": str(following)}
        return not following

    def _resumed(self, key: str) -> _Reading:
        oldest = self._clock() - _KEPT
        self._stopped = {kept: reading for kept, reading in self._stopped.items() if reading.stopped > oldest}
        return self._stopped.pop(key, None) or _Reading()
