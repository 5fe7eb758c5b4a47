"""The calls that come: the log of them, for assertions, and the faults that they meet on command."""

from __future__ import annotations

import asyncio
import copy
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from asyncsecrets.testing.google_server.refusals import Refused

Damage = Literal["payload", "checksum", "no_checksum", "name", "garbage", "oversize", "unverified"]
_KEPT: Final = 20_000
_TOO_LARGE: Final = 9 * 1024 * 1024  # bytes; grpc takes 4 MiB, and asyncsecrets 8


@dataclass(slots=True, eq=False)
class RequestRecord:
    """One call as it came: ``name`` is the resource, or its parent where it is made or listed; ``metadata`` is without
    the token. ``code`` is None until it is answered; ``fault`` is what it met."""

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
        shown = {key.lower(): text for key, text in metadata.items()}
        shown |= {"authorization": "Bearer"} if "authorization" in shown else {}
        self.append(RequestRecord(method, name, shown))
        if len(self) > _KEPT:
            self.popleft()
        return self[-1]


@dataclass(slots=True, eq=False)
class Fault:
    """One fault: which calls it meets, how many of them, and what happens to those.

    ``method`` (of gRPC, such as ``AccessSecretVersion``; or ``token``, ``exchange``, ``impersonate``, ``subject``,
    ``metadata`` of the HTTP side) and ``name`` (a part of the resource's name) select. Without a method every gRPC
    call is met, and none of HTTP. ``skip`` lets the first so many pass, ``times`` is how many are met then (None:
    all). ``when`` is ``after`` if the call is to be carried out before it fails.
    """

    kind: Literal["status", "hang", "delay", "drop", "corrupt"]
    method: str | None = None
    name: str = ""
    times: int | None = None
    skip: int = 0
    when: Literal["before", "after"] = "before"
    seconds: float = 0.0
    refusal: Refused | None = None
    damage: Damage = "payload"
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


class Faults:
    """The faults in force. Delays add up; of the others the first that matches happens, in order of adding.

    ``where`` in every method is any of ``method``, ``name``, ``times``, ``skip``, ``when``.
    """

    def __init__(self, sleep: Callable[[float], Awaitable[object]], cut: Callable[[], None]) -> None:
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

    def status(
        self, code: str, message: str = "The service is unavailable.", *, reason: str = "", **where: Any
    ) -> Fault:
        """Refuse with a status, by its gRPC name; with ``retry_after`` (s) there is a RetryInfo."""
        return self.add(
            Fault("status", refusal=Refused(code, message, reason, where.pop("retry_after", None)), **where)
        )

    def exhausted(self, retry_after: float | None = None, **where: Any) -> Fault:
        """RESOURCE_EXHAUSTED as of a used-up quota, with a RetryInfo if there is ``retry_after`` (s)."""
        message = "Quota exceeded for quota metric 'Access requests' and limit 'Access requests per minute'."
        return self.status(
            "RESOURCE_EXHAUSTED", message, reason="RATE_LIMIT_EXCEEDED", retry_after=retry_after, **where
        )

    def hang(self, **where: Any) -> Fault:
        """Accept and never answer."""
        return self.add(Fault("hang", **where))

    def delay(self, seconds: float, **where: Any) -> Fault:
        """Answer later."""
        return self.add(Fault("delay", seconds=seconds, **where))

    def drop(self, **where: Any) -> Fault:
        """End every connection instead of answering."""
        return self.add(Fault("drop", **where))

    def corrupt(self, damage: Damage = "payload", **where: Any) -> Fault:
        """Answer wrongly: a bit flipped in the payload or in its checksum, no checksum, another resource's name,
        bytes that are no message, more than grpc takes, or (KMS) what was sent not verified."""
        return self.add(Fault("corrupt", damage=damage, **where))

    def met(self, record: RequestRecord) -> list[Fault]:
        """What happens to this call."""
        found: list[Fault] = []
        for fault in self.active:
            if (fault.kind == "delay" or record.fault is None) and fault.meets(record.method, record.name):
                found.append(fault)
                record.fault = record.fault if fault.kind == "delay" else fault.kind
        return found

    async def happen(self, faults: list[Fault], when: str, connection: asyncio.Transport | None = None) -> None:
        """Let them happen that are due before, or after, the call is carried out."""
        for fault in faults:
            if fault.when != when or fault.kind == "corrupt":
                continue
            if fault.refusal is not None:
                raise fault.refusal
            if fault.kind == "delay":
                await self._sleep(fault.seconds)
                continue
            if fault.kind == "drop":
                connection.abort() if connection else self._cut()
            await asyncio.Event().wait()  # for ever: the call ends with its client, or with its connection


def damaged(reply: Any, damage: Damage) -> Any:
    """A copy of the answer with that damage."""
    if damage == "garbage":
        return b"\xff\xff\xff<html>502 Bad Gateway</html>"
    reply = copy.deepcopy(reply)
    held = reply.payload if "payload" in reply.DESCRIPTOR.fields_by_name else reply
    if damage == "name" and hasattr(reply, "name"):
        reply.name = re.sub("(secrets|cryptoKeys)/[^/]+", r"\1/another", reply.name)
    elif damage == "unverified" and hasattr(reply, "verified_plaintext_crc32c"):
        reply.verified_plaintext_crc32c = reply.verified_additional_authenticated_data_crc32c = False
    for data in {"data", "plaintext", "ciphertext"} & set(held.DESCRIPTOR.fields_by_name):
        checksum = getattr(held, f"{data}_crc32c")
        if damage == "oversize":
            setattr(held, data, b"x" * _TOO_LARGE)
        elif damage == "payload":
            setattr(held, data, bytes(byte ^ (place == 0) for place, byte in enumerate(getattr(held, data))))
        elif damage == "no_checksum":
            held.ClearField(f"{data}_crc32c")
        elif damage == "checksum" and isinstance(checksum, int):
            setattr(held, f"{data}_crc32c", checksum ^ 1)
        elif damage == "checksum":  # in KMS it is a message of its own
            checksum.value ^= 1
    return reply
