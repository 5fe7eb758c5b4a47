"""The secrets of the fake, and what a replica that lags still shows of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from asyncsecrets.testing.lagging import Lagging

ENABLED, DISABLED, DESTROYED = 1, 2, 3  # as the state of a SecretVersion and of a CryptoKeyVersion


@dataclass(slots=True)
class Version:
    """A version: its description as the service has it, and its data."""

    about: Any = field(repr=False)
    data: bytes = field(repr=False)

    def destroy(self, now: float) -> None:
        """Lose the data."""
        self.data, self.about.state = b"", DESTROYED
        self.about.ClearField("scheduled_destroy_time")
        set_time(self.about.destroy_time, now)


@dataclass(slots=True)
class Secret:
    """A secret: its description as the service has it, and its versions by number, oldest first."""

    about: Any = field(repr=False)
    versions: dict[int, Version] = field(default_factory=dict)

    def number_of(self, word: str) -> int:
        """The number that ``latest``, an alias or a number stands for; 0 if it is none."""
        if word == "latest":
            return max(self.versions, default=0)
        return int(word) if word.isdecimal() else dict(self.about.version_aliases).get(word, 0)


class Store:
    """Secrets by their full names, with the number of the project in them. `find` is strongly consistent, `seen` lags
    as ``past`` says."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.secrets: dict[str, Secret] = {}
        self.past: Lagging[Secret] = Lagging(now)
        self._tags, self._now = 0, now

    def changed(self, name: str) -> None:
        """Note that a secret was created, changed or deleted."""
        self.past.changed(name, self.secrets.get(name))

    def etag(self) -> str:
        """A new one."""
        self._tags += 1
        return f'"{self._tags:014x}"'

    def find(self, name: str) -> Secret | None:
        """The secret as it is."""
        return self._settled(self.secrets.get(name))

    def seen(self, name: str) -> Secret | None:
        """The secret as readers of ``latest``, aliases and lists see it."""
        return self._settled(self.past.seen(name))

    def listed(self, parent: str) -> list[Secret]:
        """What lists show below a parent, newest first."""
        names = [name for name in self.past.names() if name.rpartition("/secrets/")[0] == parent]
        found = [secret for name in names if (secret := self.seen(name)) is not None]
        return sorted(found, key=lambda secret: seconds(secret.about.create_time))[::-1]

    def _settled(self, secret: Secret | None) -> Secret | None:
        """The secret at this time: it may have expired, and versions may have been due to be destroyed."""
        now = self._now()
        if secret is None or (secret.about.HasField("expire_time") and seconds(secret.about.expire_time) <= now):
            return None
        for version in secret.versions.values():
            due = seconds(version.about.scheduled_destroy_time)
            if 0 < due <= now:
                version.destroy(due)
        return secret


def seconds(timestamp: Any) -> float:
    """A Timestamp or Duration in seconds."""
    return float(timestamp.seconds) + float(timestamp.nanos) / 1e9


def set_time(timestamp: Any, now: float) -> None:
    """Set a Timestamp."""
    timestamp.FromNanoseconds(int(now * 1e6) * 1000)
