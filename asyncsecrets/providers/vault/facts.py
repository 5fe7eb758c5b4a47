"""What Vault's metadata say of one version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["moment", "told_of"]


def moment(value: Any) -> datetime | None:
    """A time of Vault's, or None where it is absent. One without a time zone is UTC, as all that Vault writes."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) and value else None
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def told_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The version and the time of its creation, as the arguments of an error about it."""
    number = metadata.get("version")
    return {
        "version": str(number) if type(number) is int else None,
        "created": moment(metadata.get("created_time")),
    }
