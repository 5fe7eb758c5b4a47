"""The endpoints of managed identity: of a virtual machine (IMDS), of App Service, and of Azure Arc."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncsecrets.testing.azure_server.entra import Entra
from asyncsecrets.testing.azure_server.refusals import Refused
from asyncsecrets.testing.fakes import write_private

Text = Mapping[str, str]


class Machine:
    """A machine with identities: ``system`` is the client id of its own (None: it has none), ``assigned`` are others'.

    ``header`` is what App Service proves its callers by. Arc does it by a file in ``arc_folder``, new for each call.
    """

    def __init__(self, entra: Entra, folder: Path, system: str) -> None:
        self.system: str | None = system
        self.header, self.arc_folder = secrets.token_hex(16), folder
        self._entra, self.assigned, self._arc_keys = entra, set[str](), set[str]()

    def imds(self, query: Text, headers: Text) -> dict[str, Any]:
        """``/metadata/identity/oauth2/token``."""
        if headers.get("Metadata") != "true":
            raise Refused(400, "Required metadata header not specified", code="invalid_request")
        return self._token(query)

    def app_service(self, query: Text, headers: Text) -> dict[str, Any]:
        """``IDENTITY_ENDPOINT`` of App Service, Functions and Container Apps."""
        if headers.get("X-IDENTITY-HEADER") != self.header:
            raise Refused(401, "The X-IDENTITY-HEADER is not that of this app.", code="unauthorized")
        return self._token(query)

    def arc(self, query: Text, headers: Text) -> dict[str, Any]:
        """``IDENTITY_ENDPOINT`` of the Arc agent: who can read a file of root's is answered."""
        key = headers.get("Authorization", "").removeprefix("Basic ")
        if key not in self._arc_keys:
            headers = {"WWW-Authenticate": self._challenge()}
            raise Refused(401, "Read the file that the challenge names.", code="unauthorized", headers=headers)
        self._arc_keys.discard(key)
        return self.imds(query, headers)

    def _challenge(self) -> str:
        key, file = secrets.token_urlsafe(24), self.arc_folder / f"{secrets.token_hex(8)}.key"
        self._arc_keys.add(key)
        return f"Basic realm={write_private(file, key)}"

    def _token(self, query: Text) -> dict[str, Any]:
        client, resource = query.get("client_id", self.system), query.get("resource")
        if client is None or client not in {*self.assigned, self.system}:
            raise Refused(400, "Identity not found", code="invalid_request")
        if not resource or not query.get("api-version"):
            raise Refused(400, "Parameters resource and api-version are required.", code="invalid_request")
        life = int(self._entra.lifetime)
        ends = {"expires_in": str(life), "expires_on": str(int(self._entra.wall()) + life)}
        token = self._entra.issue(client, resource)
        return {"access_token": token, "client_id": client, **ends, "resource": resource, "token_type": "Bearer"}
