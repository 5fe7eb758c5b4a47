"""Who we are at Google: Application Default Credentials (https://google.aip.dev/4110), kept off the event loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from google.auth.exceptions import GoogleAuthError
from google.auth.transport import DEFAULT_RETRYABLE_STATUS_CODES

from asyncsecrets.credential import Credential
from asyncsecrets.errors import AsyncSecretsError, UnavailableError
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.google.adc import Found, find
from asyncsecrets.providers.google.grants import translate_credentials
from asyncsecrets.providers.google.machine import MetadataServer
from asyncsecrets.providers.google.settings import GoogleSettings
from asyncsecrets.providers.renewal import PATIENCE, Renewal
from asyncsecrets.providers.wire import Answer, Wire

__all__ = ["BearerTokens", "Shown"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown to Google with each call, in ``headers``, which do not show themselves; and the ``project`` of the
    credentials, where they have one."""

    headers: Credential[tuple[tuple[str, str], ...]]
    project: str = field(default="", compare=False)


class BearerTokens(Renewal):
    """The access tokens of the credentials that ``settings`` lead to. ``now`` is the time of day, ``sleep`` waits for
    so many seconds in the thread; the rest is as for ``Renewal``."""

    what: ClassVar[str] = "Google credentials"
    may_hang: ClassVar[str] = "the metadata server, the token endpoint or the program of credential_source"

    def __init__(
        self,
        settings: GoogleSettings,
        call: Call,
        *,
        clock: Callable[[], float] = time.monotonic,
        held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
        patience: float = PATIENCE,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(call, clock=clock, held=held, patience=patience)
        self._settings = settings
        self._now = now
        self._wire = wire = Wire.of(settings, call, _TRUST)
        connect, read = wire.timeout
        self._server = MetadataServer(replace(wire, timeout=(min(1.0, connect), read)), sleep=sleep)

    def _find(self) -> Found:
        if self._settings.auth_method == "none":
            return Found(None, quota_project=self._settings.quota_project)
        return find(self._settings, self._call, self._server)

    def _show(self, found: Found) -> Shown:
        headers = [("x-goog-user-project", found.quota_project)] if found.quota_project else []
        if found.credentials is not None:
            found.credentials.refresh(self._request)
            headers.append(("authorization", f"Bearer {self._token(str(found.credentials.token or ''))}"))
        return Shown(Credential(tuple(headers)), found.project)

    def _request(
        self, url: str, method: str = "GET", body: bytes | None = None, headers: Any = None, **_: Any
    ) -> Answer:
        """What google-auth sends by (``google.auth.transport.Request``). It would sleep, and ask again itself."""
        answer = self._wire.send("what gives tokens", url, method, headers or {}, body)
        if answer.status in DEFAULT_RETRYABLE_STATUS_CODES:
            raise self._call.error(UnavailableError, f"what gives tokens cannot answer now (HTTP {answer.status})")
        return answer

    def _has_ended(self, failure: Exception) -> bool:
        return isinstance(failure, GoogleAuthError)

    def _translate(self, failure: Exception) -> AsyncSecretsError:
        return translate_credentials(self._call, failure)

    def _left(self, found: Found) -> float | None:
        expiry = getattr(found.credentials, "expiry", None)
        return None if expiry is None else float((expiry.replace(tzinfo=UTC) - self._now()).total_seconds())

    def _ahead(self, found: Found) -> float:
        return found.ahead

    def _delay(self) -> str:
        return _NOT_READY if self._server.is_awaited else super()._delay()


_TRUST: Final = "google_ca_cert (or GRPC_DEFAULT_SSL_ROOTS_FILE_PATH) or REQUESTS_CA_BUNDLE"
_NOT_READY: Final = (
    "the metadata server does not answer yet, as in the first ten seconds of a pod on GKE; it is asked again"
)
