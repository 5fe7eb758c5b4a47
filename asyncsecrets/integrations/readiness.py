"""Whether an app is ready to be asked: what a readiness probe wants to know, and never a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from asyncsecrets.client.status import Health
from asyncsecrets.errors import TransientError

__all__ = ["CLOSED", "NO_STORE", "STARTING", "UNAVAILABLE", "Readiness", "closed_for", "readiness_of", "retry_after"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether an app has the secrets that it needs.

    * ``ready``: nothing that it needs is missing. Where no name was said to be needed or optional, nothing that it was
      served, and none of the ``hosted_keys``.
    * ``status``: ``closed`` or ``starting``; ``fresh``, nothing is known to be wrong; ``degraded``, it is ready, and
      something else is wrong; ``down``, it is not ready.
    * ``missing``: what it needs and does not have, with the class of the error.
    * ``stale``: what is served while renewing it fails.
    * ``failing_sources``: whose last call failed.
    """

    ready: bool
    status: Literal["closed", "starting", "fresh", "degraded", "down"]
    missing: Mapping[str, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    failing_sources: tuple[str, ...] = ()

    @property
    def http_status(self) -> Literal[200, 503]:
        """What an HTTP probe is answered."""
        return 200 if self.ready else 503

    def as_dict(self) -> dict[str, Any]:
        """The same, to be made JSON of."""
        return asdict(self)


NO_STORE: Final = {"cache-control": "no-store"}
"""The headers of an answer to a probe."""

UNAVAILABLE: Final = {"detail": "Service Unavailable"}
"""The body of a 503 for a secret that cannot be had for the moment: nothing of which secret, or why."""

CLOSED: Final = Readiness(ready=False, status="closed")
STARTING: Final = Readiness(ready=False, status="starting")


def closed_for(missing: Mapping[str, str]) -> Readiness:
    """It could not be opened without what is ``missing``."""
    return Readiness(ready=False, status="closed", missing=missing)


def readiness_of(health: Health, missing: Mapping[str, str]) -> Readiness:
    """Sum up. ``missing`` is what the app cannot do without."""
    status: Literal["fresh", "degraded", "down"] = "fresh" if health.state == "fresh" else "degraded"
    return Readiness(
        ready=not missing,
        status="down" if missing else status,
        missing=missing,
        stale=health.stale,
        failing_sources=health.failing_sources,
    )


def retry_after(error: Exception) -> dict[str, str]:
    """The headers of that 503: in how many seconds to ask again."""
    wait = error.retry_after if isinstance(error, TransientError) else None
    return {"retry-after": str(math.ceil(wait or 1.0))}
