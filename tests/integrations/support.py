"""Apps whose secrets a test holds in its hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncsecrets.integrations.serving import AppSecrets
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import ONCE, Manager, client_of, virtual_client

VALUES = {"A": "canary-a", "B": "canary-b", "C": "canary-c"}


def secrets_of(manager: Manager, *, client: Mapping[str, Any] | None = None, **policy: Any) -> AppSecrets:
    """An app's secrets, with ``manager`` as their source."""
    return AppSecrets(lambda: client_of(manager, **{"retry": ONCE, **(client or {})}), **policy)


def virtual_secrets(clock: VirtualClock, manager: Manager, *, client: Any = None, **policy: Any) -> AppSecrets:
    """The same on ``clock``, with every jitter at its middle."""
    options = {"retry": ONCE, "hosted_keys": None, **(client or {})}
    return AppSecrets(lambda: virtual_client(clock, manager, **options), jitter=lambda: 0.5, **policy)


def names_of(manager: Manager) -> list[str]:
    return [name for _, name in manager.calls]
