"""The identity of the machine, app or container that this runs on, by the service beside it that gives its tokens.

https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token. It is asked here and
not by azure-identity, which reads its address from the process's environment, and asks for up to 75 seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlencode

from asyncsecrets.errors import AuthenticationError, MalformedResponseError, ProviderError, UnavailableError
from asyncsecrets.providers.azure.answers import document_in
from asyncsecrets.providers.azure.identities import AHEAD_OF_A_CACHE, Target
from asyncsecrets.providers.patience import Patience
from asyncsecrets.providers.wire import Answer, Wire

__all__ = ["Machine"]

_IMDS: Final = "http://169.254.169.254"
_IMDS_PATH: Final = "/metadata/identity/oauth2/token"
_OTHER_IMDS: Final = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
_METADATA: Final = {"Metadata": "true"}
_KEYS: Final = "/var/opt/azcmagent/tokens"
_NOT_READY: Final = frozenset({404, 408, 410, 429})
"""What IMDS says while it starts, or is renewed, beside 5xx."""


class _Endpoint(NamedTuple):
    """Where tokens are given, ``where`` that is known from, and how they are asked for."""

    where: str
    url: str
    version: str
    headers: Mapping[str, str]
    has_keys: bool = False
    """Whether it wants the content of a file that only those can read who may have a token (Azure Arc)."""


class Machine:
    """Gives tokens of the identity ``client_id`` that is assigned to the machine, or of its own if that is empty.

    ``now`` is the time of day in seconds since the epoch.
    """

    ahead = AHEAD_OF_A_CACHE

    def __init__(
        self,
        client_id: str,
        wire: Wire,
        patience: Patience,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._environ = wire.environ
        self._client_id = client_id
        self._wire = wire
        self._patience = patience
        self._now = now

    def is_there(self) -> bool:
        """Whether there is such a service: the environment says so, or it answers, for which it has a second."""
        if any(name in self._environ for name in ("IDENTITY_ENDPOINT", _OTHER_IMDS)):
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
        found = self._endpoint()
        query = {"api-version": found.version, "resource": resource}
        if self._client_id:
            query["client_id"] = self._client_id
        url = f"{found.url}?{urlencode(query)}"
        answer = self._wire.send(found.where, url, "GET", found.headers, None)
        if found.has_keys and answer.status == 401:
            key = self._key(answer.headers.get("WWW-Authenticate", ""))
            answer = self._wire.send(found.where, url, "GET", {**found.headers, "Authorization": f"Basic {key}"}, None)
        self._check(answer)
        return self._token_in(answer.data)

    def _endpoint(self) -> _Endpoint:
        environ = self._environ
        if url := environ.get("IDENTITY_ENDPOINT"):
            if header := environ.get("IDENTITY_HEADER"):
                return _Endpoint("IDENTITY_ENDPOINT", url, "2019-08-01", {"X-IDENTITY-HEADER": header})
            return _Endpoint("IDENTITY_ENDPOINT", url, "2020-06-01", _METADATA, has_keys=True)
        host = environ.get(_OTHER_IMDS, _IMDS).rstrip("/")
        where = _OTHER_IMDS if _OTHER_IMDS in environ else "IMDS"
        return _Endpoint(where, f"{host}{_IMDS_PATH}", "2018-02-01", _METADATA)

    def _key(self, challenge: str) -> str:
        """The content of the file that an Arc agent names: one of its own folder, and no other."""
        folder = Path(self._environ["PROGRAMDATA"], _WINDOWS_KEYS) if "PROGRAMDATA" in self._environ else Path(_KEYS)
        path = Path(challenge.partition("=")[2].strip())
        if path.parent != folder or path.suffix != ".key":
            raise self._wire.call.error(MalformedResponseError, "the Arc agent names a file that is none of its own")
        try:
            if path.stat().st_size <= 4096:
                return path.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            pass
        raise self._wire.call.error(AuthenticationError, _NO_KEY)

    def _check(self, answer: Answer) -> None:
        error = self._wire.call.error
        if answer.status in _NOT_READY or answer.status >= 500:
            text = f"the machine's identity endpoint cannot answer now (HTTP {answer.status})"
            raise error(UnavailableError, text)
        if answer.status in {400, 403}:
            raise error(AuthenticationError, _NO_OTHER if self._client_id else _NONE)
        if answer.status != 200:
            text = f"the machine's identity endpoint refuses (HTTP {answer.status}): are IDENTITY_ENDPOINT and "
            raise error(AuthenticationError, f"{text}IDENTITY_HEADER those that this machine was given?")

    def _token_in(self, data: bytes) -> tuple[str, float]:
        found = document_in(data)
        of = str(found.get("client_id") or self._client_id)
        if self._client_id and of.lower() != self._client_id.lower():
            raise self._wire.call.error(AuthenticationError, _NO_OTHER)
        try:
            ends = float(found["expires_on"]) if "expires_on" in found else self._now() + float(found["expires_in"])
            return str(found["access_token"]), ends
        except (KeyError, ValueError, TypeError):
            pass
        raise self._wire.call.error(MalformedResponseError, "the machine's identity endpoint gives no token")


_WINDOWS_KEYS: Final = os.path.join("AzureConnectedMachineAgent", "Tokens")  # noqa: PTH118
_NO_KEY: Final = (
    "the key of the Arc agent cannot be read: the user of this process is to be in the group himds, or root (Windows: "
    "an administrator)"
)
_NONE: Final = (
    "this machine, app or container has no identity of its own: enable its system-assigned identity, or name one that "
    "is assigned to it by azure_client_id (AZURE_CLIENT_ID)"
)
_NO_OTHER: Final = (
    "no identity of this client id is assigned to this machine, app or container: check azure_client_id "
    "(AZURE_CLIENT_ID), or assign it"
)
