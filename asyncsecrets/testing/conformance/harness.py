"""What the author of a provider gives to the conformance suite: a backend that the suite can arrange.

Secrets are prepared *by the manager's own means* and never through the provider under test: otherwise one wrong idea
of its author could be on both sides and cancel out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Self

from asyncsecrets.providers.base import Provider
from asyncsecrets.secret import Payload, Secret

__all__ = ["CANARY", "FAULTS", "ProviderHarness"]

CANARY: Final = "canary-5Tz0qWm8"
"""Part of every value that the suite stores. Fault answers with a body should quote it too: no error may repeat it."""

FAULTS: Final = (
    "unavailable",  # refused connection, 5xx, sealed
    "timeout",  # accepts the request and never answers
    "reset",  # reads the request, then drops the connection
    "rate_limited",  # throttled, without a hint how long
    "rate_limited_retry_after",  # throttled, with one
    "denied",  # knows who is asking, and says no
    "unauthenticated",  # does not know who is asking
    "malformed",  # a success whose body makes no sense
    "oversize",  # a success whose body is far too large
    "slow_body",  # an answer that trickles in and never ends
)


class ProviderHarness(ABC):
    """A provider in front of a backend that the harness controls. Entered and left inside the scenario's event loop.

    The backend starts in ``__aenter__`` and ends in ``__aexit__``; opening and closing ``provider`` is the suite's
    work. A provider that limits the time of one attempt is given a limit of a few seconds: well under ``patience``,
    and enough for fifty calls at once in asyncio's debug mode on a busy machine.
    """

    provider: Provider
    """The provider under test, constructed and not opened. It must be there once ``__aenter__`` has returned."""

    unsupported: Mapping[str, str] = {}
    """What this backend cannot show, and why: the name of a fault, payload or hostile name → the reason."""

    accepts: Collection[str] = ()
    """Which of ``UNUSUAL_NAMES`` secrets of this manager can have: the provider must not refuse them."""

    reserved: Collection[str] = ()
    """Which of those names only the manager itself gives to secrets, so that ``put`` creates none."""

    max_payload: int = 64 * 1024
    """The largest payload in bytes that the manager takes."""

    unknown_version: str = "999999"
    """A well-formed version that no secret has."""

    patience: float = 20.0
    """The most seconds that one scenario may take."""

    rotates: bool = False
    """Whether this backend can begin a rotation (``allow_rotation``), where the provider is a Rotator."""

    looks_first: Collection[str] = ("restore",)
    """Which changes look before they change anything: what fails first is then no write."""

    places: bool = False
    """Whether this backend has ``place``, where the provider is an Encrypter."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @abstractmethod
    async def seed(self, name: str, value: Payload) -> str | None:
        """Store ``value`` (as a new version, where there are versions) out of band. Return its version, or None."""

    @abstractmethod
    async def remove(self, name: str) -> None:
        """Remove the secret out of band."""

    async def allow_rotation(self, name: str) -> None:
        """Prepare a secret that is there so that the manager can be told to rotate it. ``rotates`` says that it can."""
        raise NotImplementedError("`rotates` is set, and allow_rotation() is not implemented")

    async def place(self, name: str, ciphertext: str) -> None:
        """Put what ``encrypt`` made where the provider reads it under ``name``. ``places`` says that this is here."""
        raise NotImplementedError("`places` is set, and place() is not implemented")

    def fault(self, kind: str) -> AbstractAsyncContextManager[None]:
        """Make the backend answer every secret request with the fault ``kind`` (one of ``FAULTS``) until left."""
        raise NotImplementedError(f"fault {kind!r} is neither implemented nor declared in `unsupported`")

    def name(self, stem: str) -> str:
        """A legal name of this manager for ``stem`` (letters and hyphens), different for different stems."""
        return f"Conformance{stem}"

    def payload(self, value: Payload) -> Payload:
        """What to give to ``put`` so that the secret's value is ``value``."""
        return value

    def value(self, secret: Secret) -> Secret:
        """The secret's value: a member of its payload where the provider has a ``default_field``."""
        field = self.provider.default_field
        return secret if field is None else secret.field(field)

    def attempts(self) -> int | None:
        """How many requests for secrets have reached the backend so far, or None where it cannot tell."""
        return None
