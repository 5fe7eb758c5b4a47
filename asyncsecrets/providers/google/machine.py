"""The metadata server beside a machine, pod or service of Google's, which gives tokens of its service account.

https://google.aip.dev/auth/4115. It is asked here and not by google-auth, which reads its address from the process's
environment when it is imported, and sleeps between attempts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from google.auth.credentials import Credentials

from asyncsecrets.errors import AccessDeniedError, AuthenticationError, MalformedResponseError, UnavailableError
from asyncsecrets.providers.patience import Patience
from asyncsecrets.providers.wire import Answer, Wire

__all__ = ["Machine", "MetadataServer"]

_ADDRESS: Final = "169.254.169.254"
_NAME: Final = "metadata.google.internal"
_FLAVOR: Final = "Metadata-Flavor"
_PRODUCT: Final = Path("/sys/class/dmi/id/product_name")
_GIVEN: Final = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT")
_SERVICES: Final = ("K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET", "GAE_ENV")
"""What Cloud Run, Cloud Functions and App Engine set, whose sandboxes may not show the hardware."""

_NOT_READY: Final = 20.0
"""Seconds. On GKE the metadata server is there some ten seconds after a pod has started."""


class MetadataServer:
    """Asks it over ``wire``. ``sleep`` waits for so many seconds."""

    def __init__(self, wire: Wire, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self.call = wire.call
        self._wire = wire
        self._patience = Patience(_NOT_READY, sleep)

    @property
    def is_awaited(self) -> bool:
        """Whether it is asked again and again at the moment, since it did not answer."""
        return self._patience.is_tried

    def is_there(self) -> bool:
        """Whether this is a machine, pod or service of Google's, or somebody has set where the server is."""
        environ = self._wire.environ
        if environ.get("NO_GCE_CHECK") == "true":
            return False
        return any(environ.get(name) for name in (*_GIVEN, *_SERVICES)) or _is_googles_hardware() or self._answers()

    def ask(self, path: str) -> str | None:
        """What it says under ``path``, or None where it has nothing there (404).

        Raises UnavailableError, after asking for 20 s, AccessDeniedError, MalformedResponseError.
        """
        return self._patience.ask(lambda: self._text(self._get(f"/computeMetadata/v1/{path}")))

    def _get(self, path: str) -> Answer:
        environ = self._wire.environ
        host = next((environ[name] for name in (*_GIVEN, "GCE_METADATA_IP") if environ.get(name)), _ADDRESS)
        host = host.removeprefix("http://").rstrip("/")  # a host and its port; some write an address
        host = host.replace(_NAME, _ADDRESS)  # what DNS says of it need not be believed
        where = "the metadata server (GCE_METADATA_HOST)"
        return self._wire.send(where, f"http://{host}{path}", "GET", {_FLAVOR: "Google"}, None)

    def _text(self, answer: Answer) -> str | None:
        if answer.status == 404:
            return None
        if answer.status == 403:
            raise self.call.error(AccessDeniedError, _FORBIDDEN)
        if answer.status >= 500 or answer.status == 429:
            raise self.call.error(UnavailableError, f"the metadata server cannot answer (HTTP {answer.status})")
        if answer.status != 200 or answer.headers.get(_FLAVOR) != "Google":
            raise self.call.error(MalformedResponseError, "what answers as the metadata server is none of Google's")
        return answer.data.decode("ascii", "replace").strip()

    def _answers(self) -> bool:
        try:
            return self._get("/").headers.get(_FLAVOR) == "Google"
        except (UnavailableError, MalformedResponseError):
            return False


class Machine(Credentials):  # type: ignore[misc]  # google-auth has no types
    """The service account of this machine, pod or service."""

    def __init__(self, server: MetadataServer, scopes: Sequence[str], universe: str) -> None:
        super().__init__()
        self._universe_domain = universe
        self._server = server
        self._path = f"instance/service-accounts/default/token?scopes={','.join(scopes)}"

    def refresh(self, _: object) -> None:
        """Ask for a token: it is the one of before until that is about to end. Raises what Python does of nonsense."""
        found = self._server.ask(self._path)
        if found is None:
            raise self._server.call.error(AuthenticationError, _NO_ACCOUNT)
        answer: Any = json.loads(found)
        self.token = answer["access_token"]
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=answer["expires_in"])


def _is_googles_hardware() -> bool:
    try:
        return _PRODUCT.read_text(encoding="utf-8", errors="replace").strip().startswith("Google")
    except OSError:
        return False


_FORBIDDEN: Final = (
    "the metadata server may not give a token of the service account: on GKE, bind roles/iam.workloadIdentityUser on "
    "it to the pod's Kubernetes service account"
)
_NO_ACCOUNT: Final = (
    "this machine, pod or service has no service account: attach one, with the scope cloud-platform, or set "
    "GOOGLE_APPLICATION_CREDENTIALS"
)
