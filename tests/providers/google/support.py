"""A provider at a fake whose clocks are moved by hand."""

from __future__ import annotations

from asyncsecrets.providers.google import GoogleSecretManagerProvider, GoogleSettings
from asyncsecrets.testing.google_server import GoogleServer

PROJECT = "example-project"


class Clock:
    """A time in seconds that moves when it is told to."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def settings(server: GoogleServer, **more) -> GoogleSettings:
    """The settings of a source at that server."""
    given = {"project": PROJECT, "attempt_timeout": 15.0, **more}
    return GoogleSettings(auth_method="none", endpoint=f"http://{server.endpoint}", **given)


def provider_at(server: GoogleServer, clock=lambda: 0.0, **more) -> GoogleSecretManagerProvider:
    """A provider for it, not opened."""
    return GoogleSecretManagerProvider(settings(server, **more), clock=clock, now=server.now)
