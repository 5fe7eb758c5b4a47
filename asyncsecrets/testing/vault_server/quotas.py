"""Rate limit quotas: how many calls a path gets per interval and client."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from asyncsecrets.testing.vault_server._model import Refused, errors_reply

EXEMPT = {
    "sys/generate-recovery-token/attempt",
    "sys/generate-recovery-token/update",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/seal-status",
    "sys/unseal",
}


@dataclass(slots=True)
class Quota:
    """At most ``rate`` calls per ``interval`` seconds for each client, on paths under ``path``."""

    name: str
    path: str
    rate: float
    interval: int
    windows: dict[str, tuple[float, int]] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        return {
            "block_interval": 0,
            "inheritable": False,
            "interval": self.interval,
            "name": self.name,
            "path": self.path,
            "rate": self.rate,
            "role": "",
            "type": "rate-limit",
        }

    def take(self, client: str, now: float) -> tuple[bool, int, int]:
        """Whether the call fits, how many are left, and seconds until the window ends."""
        start, used = self.windows.get(client, (now, 0))
        if now >= start + self.interval:
            start, used = now, 0
        fits = used < self.rate
        self.windows[client] = (start, used + fits)
        left = max(0, int(self.rate) - used - fits)
        return fits, left, max(0, math.floor(start + self.interval - now))


class Quotas:
    """All quotas of the server; the one with the longest matching path decides."""

    def __init__(self) -> None:
        self.by_name: dict[str, Quota] = {}
        self.headers = False

    def check(self, path: str, client: str, now: float) -> None:
        """Count a call.

        Raises:
            Refused: 429; with ``Retry-After`` only where the operator switched the headers on.
        """
        matching = [quota for quota in self.by_name.values() if path.startswith(quota.path)]
        if not matching or path in EXEMPT:
            return
        quota = max(matching, key=lambda candidate: len(candidate.path))
        fits, left, reset = quota.take(client, now)
        if fits:
            return
        reply = errors_reply(429, f'request path "{path}": rate limit quota exceeded')
        if self.headers:
            reply.headers = {
                "Retry-After": str(reset),
                "X-Ratelimit-Limit": str(int(quota.rate)),
                "X-Ratelimit-Remaining": str(left),
                "X-Ratelimit-Reset": str(reset),
            }
        raise Refused(429, reply=reply)
