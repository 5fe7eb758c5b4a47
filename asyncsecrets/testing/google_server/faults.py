"""Faults on command: what the fake does wrong, to which calls, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from asyncsecrets.testing.google_server.refusals import Refused, exhausted

Damage = Literal["payload", "checksum", "no_checksum", "name", "garbage", "unverified"]
GARBAGE = b"\xff\xff\xff<html>502 Bad Gateway</html>"


@dataclass(slots=True, eq=False)
class Fault:
    """One fault: which calls it meets, how many of them, and what happens to those.

    ``method`` (of gRPC, such as ``AccessSecretVersion``; or ``token``, ``exchange``, ``impersonate``, ``subject``,
    ``metadata`` for the HTTP side) and ``name`` (a part of the resource's name) select. Without a method every gRPC
    call is met, and none of HTTP. ``skip`` lets the first so many pass, ``times`` is how many are met then (None: all).
    ``when`` is ``after`` if the call is to be carried out before it fails.
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

    def meets(self, method: str, name: str, *, named_only: bool) -> bool:
        """Whether this call is met; counts it."""
        fits = self.method == method or (self.method is None and not named_only)
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
        self._sleep = sleep
        self._cut = cut

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
        self, code: str, message: str = "The service is currently unavailable.", *, reason: str = "", **where: Any
    ) -> Fault:
        """Refuse with a status, by its gRPC name; with ``retry_after`` (s) there is a RetryInfo."""
        refusal = Refused(code, message, reason=reason, retry_after=where.pop("retry_after", None))
        return self.add(Fault("status", refusal=refusal, **where))

    def exhausted(self, retry_after: float | None = None, **where: Any) -> Fault:
        """RESOURCE_EXHAUSTED as of a used-up quota, with a RetryInfo if there is ``retry_after`` (s)."""
        return self.add(Fault("status", refusal=exhausted(retry_after), **where))

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
        bytes that are no message, or (KMS) what was sent not verified."""
        return self.add(Fault("corrupt", damage=damage, **where))

    def met(self, method: str, name: str, *, named_only: bool = False) -> list[Fault]:
        """What happens to this call."""
        found: list[Fault] = []
        for fault in self.active:
            if fault.kind == "delay" or all(other.kind == "delay" for other in found):
                found += [fault] * fault.meets(method, name, named_only=named_only)
        return found

    async def happen(self, faults: list[Fault], when: str, connection: asyncio.Transport | None = None) -> None:
        """Let them happen that are due before, or after, the call is carried out."""
        for fault in faults:
            if fault.when != when or fault.kind == "corrupt":
                continue
            if fault.kind == "delay":
                await self._sleep(fault.seconds)
                continue
            if fault.refusal is not None:
                raise fault.refusal
            if fault.kind == "drop":
                connection.abort() if connection else self._cut()
            await asyncio.Event().wait()  # for ever: the call ends with its client, or with its connection


def damaged(reply: Any, damage: Damage) -> Any:
    """The answer with that damage; what it has no field for is left out."""
    if damage == "garbage":
        return GARBAGE
    held = reply.payload if _has(reply, "payload") else reply
    if damage == "name":
        reply.name = _another(reply.name)
    for field in ("data", "plaintext", "ciphertext"):
        if not _has(held, field):
            continue
        if damage == "payload":
            setattr(held, field, _flipped(getattr(held, field)))
        _damage_checksum(held, f"{field}_crc32c", damage)
    if damage == "unverified" and _has(reply, "verified_plaintext_crc32c"):
        reply.verified_plaintext_crc32c = False
    return reply


def _damage_checksum(held: Any, field: str, damage: Damage) -> None:
    if damage == "no_checksum":
        held.ClearField(field)
    elif damage == "checksum":
        old = getattr(held, field)
        if isinstance(old, int):
            setattr(held, field, old ^ 1)
        else:  # a wrapper, in KMS
            old.value ^= 1


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:] if data else b"\x01"


def _another(name: str) -> str:
    parts = name.split("/")
    place = next((i for i, part in enumerate(parts) if part in {"secrets", "cryptoKeys"}), 0) + 1
    return "/".join([*parts[:place], "another", *parts[place + 1 :]])


def _has(message: Any, field: str) -> bool:
    return field in message.DESCRIPTOR.fields_by_name
