"""Who we are at Google: Application Default Credentials (https://google.aip.dev/4110), kept off the event loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, final

from asyncsecrets.credential import Credential
from asyncsecrets.errors import AsyncSecretsError, UnsupportedOperationError
from asyncsecrets.providers.google.errors import Call, translate
from asyncsecrets.providers.google.settings import GoogleSettings
from asyncsecrets.providers.renewal import PATIENCE, Renewal

__all__ = ["BearerTokens", "Shown"]


@final
class Shown:
    """What is shown to Google with each call. It does not show itself."""

    __slots__ = ("_headers",)

    def __init__(self, token: str, quota_project: str = "") -> None:
        headers = [("authorization", f"Bearer {token}")] if token else []
        if quota_project:
            headers.append(("x-goog-user-project", quota_project))
        self._headers = Credential(tuple(headers))

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that it is shown in."""
        return self._headers.reveal()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shown) and self._headers == other._headers

    def __hash__(self) -> int:
        return hash(self._headers)


class _Nobody:
    """Whoever shows nothing."""


class BearerTokens(Renewal):
    """The access tokens of the credentials that ``settings`` lead to."""

    what: ClassVar[str] = "Google credentials"
    may_hang: ClassVar[str] = "the metadata server, or the token endpoint,"

    def __init__(
        self,
        settings: GoogleSettings,
        call: Call,
        *,
        clock: Callable[[], float] = time.monotonic,
        held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
        patience: float = PATIENCE,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(call, clock=clock, held=held, patience=patience)
        self._settings = settings
        self._asker = call
        self._now = now

    def _find(self) -> Any:
        if self._settings.auth_method == "none":
            return _Nobody()
        raise UnsupportedOperationError("Application Default Credentials are not there yet")

    def _show(self, _: Any) -> Shown:
        return Shown("", self._settings.quota_project)

    def _has_ended(self, _: Exception) -> bool:
        return False

    def _translate(self, failure: Exception) -> AsyncSecretsError:
        return translate(self._asker, failure)

    def _ends_within(self, found: Any, seconds: float) -> bool:
        left = self._left(found)
        return left is not None and left < seconds

    def _left(self, found: Any) -> float | None:
        expiry = getattr(found, "expiry", None)
        return None if expiry is None else (expiry.replace(tzinfo=UTC) - self._now()).total_seconds()
