"""The calls that come to a fake: the log of them, for assertions, and the faults that they meet on command."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

_KEPT: Final = 20_000
_SECRET: Final = {"x-identity-header"}


@dataclass(slots=True, eq=False)
class RequestRecord:
    """One call as it came: ``name`` is what it is about; ``metadata`` are its headers, without the token. ``code`` is
    None until it is answered; ``fault`` is what it met."""

    method: str
    name: str
    metadata: dict[str, str] = field(repr=False)
    principal: str = ""
    code: str | None = None
    fault: str | None = None


class Log(deque[RequestRecord]):
    """The latest calls, oldest first."""

    def note(self, method: str, name: str, metadata: Mapping[str, str]) -> RequestRecord:
        """Append one."""
        shown = {key.lower(): text for key, text in metadata.items() if key.lower() not in _SECRET}
        shown |= {"authorization": shown["authorization"].split(" ")[0]} if "authorization" in shown else {}
        self.append(RequestRecord(method, name, shown))
        if len(self) > _KEPT:
            self.popleft()
        return self[-1]

    def of(self, method: str, name: str = "") -> int:
        """How many there are of that method, about what holds ``name``."""
        return sum(record.method == method and name in record.name for record in self)


@dataclass(slots=True, eq=False)
class Fault:
    """One fault: which calls it meets, how many of them, and what happens to those.

    ``method`` and ``name`` (a part of what the call is about) select. Without a method every operation of the service
    is met, and nothing of what is around it (tokens, metadata), whose methods are in lower case. ``skip`` lets the
    first so many pass, ``times`` is how many are met then (None: all). ``when`` is ``after`` if the call is to be
    carried out before it fails.
    """

    kind: Literal["status", "hang", "delay", "drop", "corrupt"]
    method: str | None = None
    name: str = ""
    times: int | None = None
    skip: int = 0
    when: Literal["before", "after"] = "before"
    seconds: float = 0.0
    refusal: Exception | None = None
    damage: str = ""
    hits: int = 0

    def meets(self, method: str, name: str) -> bool:
        """Whether this call is met; counts it."""
        fits = self.method == method or (self.method is None and method[:1].isupper())
        if not fits or self.name not in name or self.times == 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times = None if self.times is None else self.times - 1
        self.hits += 1
        return True


class BaseFaults:
    """The faults in force. Delays add up; of the others the first that matches happens, in order of adding.

    ``where`` in every method is any of ``method``, ``name``, ``times``, ``skip``, ``when``.
    """

    def __init__(self, sleep: Callable[[float], Awaitable[object]], cut: Callable[[], None] | None = None) -> None:
        self.active: list[Fault] = []
        self._sleep, self._cut = sleep, cut

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force."""
        self.active.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take a fault out of force; one that is not in force is left alone."""
        self.active = [other for other in self.active if other is not fault]

    def clear(self) -> None:
        """Behave again."""
        self.active = []

    def hang(self, **where: Any) -> Fault:
        """Accept and never answer."""
        return self.add(Fault("hang", **where))

    def delay(self, seconds: float, **where: Any) -> Fault:
        """Answer later."""
        return self.add(Fault("delay", seconds=seconds, **where))

    def drop(self, **where: Any) -> Fault:
        """End the connection instead of answering."""
        return self.add(Fault("drop", **where))

    def met(self, record: RequestRecord) -> list[Fault]:
        """What happens to this call."""
        found: list[Fault] = []
        for fault in self.active:
            if (fault.kind == "delay" or record.fault is None) and fault.meets(record.method, record.name):
                found.append(fault)
                record.fault = record.fault if fault.kind == "delay" else fault.kind
        return found

    async def happen(self, faults: list[Fault], when: str, connection: asyncio.Transport | None = None) -> None:
        """Let them happen that are due before, or after, the call is carried out. Without a ``connection`` a drop
        ends all of them."""
        for fault in faults:
            if fault.when != when or fault.kind == "corrupt":
                continue
            if fault.refusal is not None:
                raise fault.refusal
            if fault.kind == "delay":
                await self._sleep(fault.seconds)
                continue
            if fault.kind == "drop" and connection is not None:
                connection.abort()
            elif fault.kind == "drop" and self._cut is not None:
                self._cut()
            await asyncio.Event().wait()  # for ever: the call ends with its client, or with its connection
