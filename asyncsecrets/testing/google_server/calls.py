"""The faults of this fake beside those that every one has, and what a wrong answer looks like."""

from __future__ import annotations

import copy
import re
from typing import Any, Final, Literal

from asyncsecrets.testing.calls import BaseFaults, Fault
from asyncsecrets.testing.google_server.refusals import Refused

Damage = Literal["payload", "checksum", "no_checksum", "name", "garbage", "oversize", "unverified"]
_TOO_LARGE: Final = 9 * 1024 * 1024  # bytes; grpc takes 4 MiB, and asyncsecrets 8


class Faults(BaseFaults):
    """The faults in force, by ``method`` (of gRPC, such as ``AccessSecretVersion``; or ``token``, ``exchange``,
    ``impersonate``, ``subject``, ``metadata`` of the HTTP side) and ``name`` (a part of the resource's)."""

    def status(
        self, code: str, message: str = "The service is unavailable.", *, reason: str = "", **where: Any
    ) -> Fault:
        """Refuse with a status, by its gRPC name; with ``retry_after`` (s) there is a RetryInfo."""
        refusal = Refused(code, message, reason, where.pop("retry_after", None))
        return self.add(Fault("status", refusal=refusal, **where))

    def exhausted(self, retry_after: float | None = None, **where: Any) -> Fault:
        """RESOURCE_EXHAUSTED as of a used-up quota, with a RetryInfo if there is ``retry_after`` (s)."""
        message = "Quota exceeded for quota metric 'Access requests' and limit 'Access requests per minute'."
        where |= {"reason": "RATE_LIMIT_EXCEEDED", "retry_after": retry_after}
        return self.status("RESOURCE_EXHAUSTED", message, **where)

    def corrupt(self, damage: Damage = "payload", **where: Any) -> Fault:
        """Answer wrongly: a bit flipped in the payload or in its checksum, no checksum, another resource's name,
        bytes that are no message, more than grpc takes, or (KMS) what was sent not verified."""
        return self.add(Fault("corrupt", damage=damage, **where))


def damaged(reply: Any, damage: str) -> Any:
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
