"""The identity of the machine, app or container that this runs on, by the service beside it that gives its tokens.

https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token. It is asked here and
not by azure-identity, which reads its address from the process's environment, and asks for up to 75 seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from asyncsecrets.errors import AuthenticationError, MalformedResponseError, ProviderError, UnavailableError
from asyncsecrets.providers.azure.answers import document_in
from asyncsecrets.providers.azure.identities import AHEAD_OF_A_CACHE, Target
from asyncsecrets.providers.patience import Patience
from asyncsecrets.providers.wire import Wire

__all__ = ["Machine"]

_ENDPOINT: Final = "IDENTITY_ENDPOINT"
_OTHER_IMDS: Final = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
_IMDS: Final = "http://169.254.169.254"
_IMDS_PATH: Final = "/metadata/identity/oauth2/token"
_ARC: Final = "2020-06-01"
_KEYS: Final = "/var/opt/azcmagent/tokens"
_NOT_READY: Final = frozenset({404, 408, 410, 429})
"""What IMDS says while it starts, or is renewed, beside 5xx."""


class Machine:
    """Gives tokens of the identity ``client_id`` that is assigned to the machine, or of its own if that is empty.

    ``now`` is the time of day in seconds since the epoch.
    """

    ahead = AHEAD_OF_A_CACHE

    def __init__(self, client_id: str, wire: Wire, patience: Patience, now: Callable[[], float] = time.time) -> None:
        self._environ = wire.environ
        self._client_id = client_id
        self._wire = wire
        self._patience = patience
        self._now = now

    def is_there(self) -> bool:
        """Whether there is such a service: the environment says so, or it answers, for which it has a second."""
        if _ENDPOINT in self._environ or _OTHER_IMDS in self._environ:
            return True
        probe = replace(self._wire, timeout=(1.0, 1.0))
        try:  # without its header it gives no token, and says so at once
            answer = probe.send("IMDS", f"{_IMDS}{_IMDS_PATH}?api-version=2018-02-01", "GET", {}, None)
        except ProviderError:  # whoever has this address in a network that is none of Azure's
            return False
        return answer.status == 400 and "error" in document_in(answer.data)

    def token(self, target: Target, _: str) -> tuple[str, float]:
        """A token and its end. Raises AuthenticationError, UnavailableError, …"""
        return self._patience.ask(lambda: self._token(target.resource))

    def _token(self, resource: str) -> tuple[str, float]:
        where, url, version, headers = self._service()
        of = {"client_id": self._client_id} if self._client_id else {}
        url = f"{url}?{urlencode({'api-version': version, 'resource': resource, **of})}"
        answer = self._wire.send(where, url, "GET", headers, None)
        if answer.status == 401 and version == _ARC:
            key = self._key(answer.headers.get("WWW-Authenticate", ""))
            answer = self._wire.send(where, url, "GET", {**headers, "Authorization": f"Basic {key}"}, None)
        if answer.status != 200:
            raise self._refused(answer.status)
        return self._token_in(document_in(answer.data))

    def _service(self) -> tuple[str, str, str, Mapping[str, str]]:
        """What says where tokens are given, that address, the version of its interface and what it wants to see."""
        metadata = {"Metadata": "true"}
        if url := self._environ.get(_ENDPOINT):
            if header := self._environ.get("IDENTITY_HEADER"):
                return _ENDPOINT, url, "2019-08-01", {"X-IDENTITY-HEADER": header}
            return _ENDPOINT, url, _ARC, metadata
        where = _OTHER_IMDS if _OTHER_IMDS in self._environ else "IMDS"
        return where, self._environ.get(_OTHER_IMDS, _IMDS).rstrip("/") + _IMDS_PATH, "2018-02-01", metadata

    def _key(self, challenge: str) -> str:
        """The content of the file that an Arc agent names, which only those can read who may have a token: one of its
        own folder, and no other."""
        windows = self._environ.get("PROGRAMDATA")
        folder = Path(windows, "AzureConnectedMachineAgent", "Tokens") if windows else Path(_KEYS)
        path = Path(challenge.partition("=")[2].strip())
        try:
            if path.parent == folder and path.suffix == ".key" and path.stat().st_size <= 4096:
                return path.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            pass
        raise self._wire.call.error(AuthenticationError, _NO_KEY)

    def _refused(self, status: int) -> ProviderError:
        error = self._wire.call.error
        if status in _NOT_READY or status >= 500:
            return error(UnavailableError, f"the machine's identity endpoint cannot answer now (HTTP {status})")
        if status in {400, 403}:
            return error(AuthenticationError, _NO_OTHER if self._client_id else _NONE)
        return error(AuthenticationError, f"the machine's identity endpoint refuses (HTTP {status}): {_HEADER}")

    def _token_in(self, found: Mapping[str, Any]) -> tuple[str, float]:
        """Older agents of Arc give the machine's own where another identity was asked for."""
        if self._client_id and str(found.get("client_id") or self._client_id).lower() != self._client_id.lower():
            raise self._wire.call.error(AuthenticationError, _NO_OTHER)
        try:
            ends = found.get("expires_on") or self._now() + float(found["expires_in"])
            return str(found["access_token"]), float(ends)
        except (KeyError, ValueError, TypeError):
            pass
        raise self._wire.call.error(MalformedResponseError, "the machine's identity endpoint gives no token")


_HEADER: Final = "are IDENTITY_ENDPOINT and IDENTITY_HEADER those that this machine was given?"
_NO_KEY: Final = (
    "the key that the Arc agent names is none of its own, or cannot be read: the user of this process is to be in the "
    "group himds, or root (Windows: an administrator)"
)
_NONE: Final = (
    "this machine, app or container has no identity of its own: enable its system-assigned identity, or name one that "
    "is assigned to it by azure_client_id (AZURE_CLIENT_ID)"
)
_NO_OTHER: Final = (
    "no identity of this client id is assigned to this machine, app or container: check azure_client_id "
    "(AZURE_CLIENT_ID), or assign it"
)
