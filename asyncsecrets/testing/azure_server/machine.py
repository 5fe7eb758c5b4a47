"""The endpoints of managed identity: of a virtual machine (IMDS), of App Service, and of Azure Arc."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncsecrets.testing.azure_server.entra import Entra
from asyncsecrets.testing.azure_server.refusals import Refused

Text = Mapping[str, str]


class Machine:
    """A machine with identities: ``system`` is the client id of its own (None: it has none), ``assigned`` are others'.

    ``header`` is what App Service proves its callers by. Arc does it by a file in ``arc_folder``, new for each call.
    """

    def __init__(self, entra: Entra, folder: Path, system: str) -> None:
        self.system: str | None = system
        self.assigned: set[str] = set()
        self.header, self.arc_folder = secrets.token_hex(16), folder
        self._entra, self._arc_keys = entra, set[str]()

    def imds(self, query: Text, headers: Text) -> dict[str, Any]:
        """``/metadata/identity/oauth2/token``."""
        if headers.get("Metadata") != "true":
            raise Refused(400, "invalid_request", "Required metadata header not specified")
        return self._token(query)

    def app_service(self, query: Text, headers: Text) -> dict[str, Any]:
        """``IDENTITY_ENDPOINT`` of App Service, Functions and Container Apps."""
        if headers.get("X-IDENTITY-HEADER") != self.header:
            raise Refused(401, "unauthorized", "The X-IDENTITY-HEADER is not that of this app.")
        return self._token(query)

    def arc(self, query: Text, headers: Text) -> dict[str, Any]:
        """``IDENTITY_ENDPOINT`` of the Arc agent: who can read a file of root's is answered."""
        if headers.get("Metadata") != "true":
            raise Refused(400, "invalid_request", "Required metadata header not specified")
        key = headers.get("Authorization", "").removeprefix("Basic ")
        if key not in self._arc_keys:
            raise Refused(401, "unauthorized", "No key was sent.", headers={"WWW-Authenticate": self._challenge()})
        self._arc_keys.discard(key)
        return self._token(query)

    def _challenge(self) -> str:
        key = secrets.token_urlsafe(24)
        self._arc_keys.add(key)
        file = self.arc_folder / f"{secrets.token_hex(8)}.key"
        file.touch(mode=0o600)
        file.write_text(key, encoding="utf-8")
        return f"Basic realm={file}"

    def _token(self, query: Text) -> dict[str, Any]:
        wanted = query.get("client_id")
        client = self.system if wanted is None else wanted
        if client is None or (wanted is not None and wanted not in {*self.assigned, self.system}):
            raise Refused(400, "invalid_request", "Identity not found")
        if not query.get("resource") or not query.get("api-version"):
            raise Refused(400, "invalid_request", "Parameters resource and api-version are required.")
        life = int(self._entra.lifetime)
        return {
            "access_token": self._entra.issue(client, query["resource"]),
            "client_id": client,
            "expires_in": str(life),
            "expires_on": str(int(self._entra.wall()) + life),
            "resource": query["resource"],
            "token_type": "Bearer",
        }
