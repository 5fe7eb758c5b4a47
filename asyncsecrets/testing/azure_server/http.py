"""How requests come in: which operation of which service each is, and how what comes of it is written."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from aiohttp import web

from asyncsecrets.testing.azure_server.calls import Faults, damaged
from asyncsecrets.testing.azure_server.entra import LOGINS, Entra
from asyncsecrets.testing.azure_server.machine import Machine
from asyncsecrets.testing.azure_server.refusals import PAGE, Refused, forbidden
from asyncsecrets.testing.azure_server.vault import Asked, Vault, check
from asyncsecrets.testing.calls import Log, RequestRecord

_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_OPERATIONS: Final = {
    "PUT secrets/*": "SetSecret", "GET secrets/*": "GetSecret", "PATCH secrets/*": "UpdateSecret",
    "DELETE secrets/*": "DeleteSecret", "GET secrets": "GetSecrets", "GET secrets/*/versions": "GetSecretVersions",
    "GET deletedsecrets": "GetDeletedSecrets", "GET deletedsecrets/*": "GetDeletedSecret",
    "POST deletedsecrets/*/recover": "RecoverDeletedSecret", "DELETE deletedsecrets/*": "PurgeDeletedSecret",
}  # fmt: skip
_LOGINS: Final = {
    "oauth2/v2.0/token": "token", "discovery/instance": "discovery",
    "v2.0/.well-known/openid-configuration": "configuration",
}  # fmt: skip
_MACHINE: Final = {"/metadata/identity/oauth2/token": "imds", "/msi/token": "app_service", "/arc/token": "arc"}
Work = Callable[[RequestRecord], Any]


@dataclass(slots=True)
class Front:
    """Takes every request through log, faults, credentials and permissions to what it is for. ``denials`` are of an
    innererror, a method, a principal and a part of host and path (None and an empty one stand for all)."""

    vaults: dict[str, Vault]
    entra: Entra
    machine: Machine
    faults: Faults
    log: Log
    denials: list[tuple[str, str | None, str | None, str]] = field(default_factory=list)

    async def of_azure(self, request: web.Request) -> web.StreamResponse:
        """The side with TLS: vaults and logins, told apart by ``Host``."""
        host, (tenant, _, rest) = request.host.partition(":")[0].lower(), request.path[1:].partition("/")
        if host not in self.vaults and (method := _LOGINS.get(rest)):
            form = {**request.query, **{key: str(text) for key, text in (await request.post()).items()}}
            work = partial(getattr(self.entra, method), request.host, tenant, form)
            return await self._carry_out(request, method, lambda _: work(), Refused.of_entra)
        vault = next(iter(self.vaults.values())) if host == "localhost" else self.vaults.get(host)
        return web.Response(status=404) if vault is None else await self._of_vault(request, vault)

    async def of_machine(self, request: web.Request) -> web.StreamResponse:
        """The side without: the endpoints of managed identity."""
        method = _MACHINE.get(request.path)
        if method is None:
            return web.Response(status=404)
        work = partial(getattr(self.machine, method), request.query, request.headers)
        return await self._carry_out(request, method, lambda _: work(), Refused.of_machine)

    async def _of_vault(self, request: web.Request, vault: Vault) -> web.StreamResponse:
        operation, name, version = _operation(request)
        body, authorization = await request.read(), request.headers.get("Authorization", "")

        def work(record: RequestRecord) -> Any:
            record.principal = self.entra.holder(authorization, vault.resource, vault.tenant)
            self._admit(record, vault)
            if not operation:
                raise Refused(405, "The fake has no such operation.")
            asked = Asked(request.host, name, version, request.query, _parsed(body))
            check(asked, named=operation not in {"GetSecrets", "GetDeletedSecrets"})
            return getattr(vault, _CAPITAL.sub("_", operation).lower())(asked)

        def write(refused: Refused) -> Any:
            if refused.status == 401:
                refused.headers["WWW-Authenticate"] = _challenge(vault, refused.claims)
            return refused.of_vault()

        return await self._carry_out(request, operation if authorization else "challenge", work, write)

    async def _carry_out(
        self, request: web.Request, method: str, work: Work, write: Callable[[Refused], Any]
    ) -> web.StreamResponse:
        record = self.log.note(method, request.host + request.path, dict(request.headers))
        faults = self.faults.met(record)
        try:
            await self.faults.happen(faults, "before", request.transport)
            reply = work(record)
            await self.faults.happen(faults, "after", request.transport)
        except Refused as refused:
            record.code = refused.inner or refused.code
            body = PAGE if refused.page else json.dumps(write(refused)).encode()
            return _response(refused.status, body, refused.headers)
        record.code = "OK"
        if reply is None:
            return web.Response(status=204)
        body = json.dumps(reply).encode()
        for fault in faults:
            body = damaged(body, fault.damage, request) if fault.kind == "corrupt" else body
        return _response(200, body, {})

    def _admit(self, record: RequestRecord, vault: Vault) -> None:
        for inner, method, principal, name in self.denials:
            if method in {None, record.method} and principal in {None, record.principal} and name in record.name:
                raise forbidden(inner, record.principal, vault.name, record.method)


def _operation(request: web.Request) -> tuple[str, str, str]:
    """The operation of Key Vault's, with the name and the version in the path; an empty one if there is none."""
    kind, *rest = request.path[1:].removesuffix("/").split("/")
    name, last = (*rest, "", "")[:2]
    shape = "/".join([f"{request.method} {kind}", *["*"][: len(rest)], *rest[1:]])
    operation = _OPERATIONS.get(shape, "")
    if operation or len(rest) != 2:
        return operation, name, ""
    operation = _OPERATIONS.get(f"{request.method} {kind}/*", "")
    return operation if operation in {"GetSecret", "UpdateSecret"} else "", name, last


def _parsed(body: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        if isinstance(found := json.loads(body or b"{}"), dict):
            return found
    raise Refused(400, "The body is no JSON.")


def _challenge(vault: Vault, claims: str) -> str:
    told = f'Bearer authorization="https://{LOGINS[vault.resource.removeprefix("https://")]}/{vault.tenant}"'
    if claims:
        return f'{told}, error="insufficient_claims", claims="{base64.b64encode(claims.encode()).decode()}"'
    return f'{told}, resource="{vault.resource}"'


def _response(status: int, body: bytes, headers: dict[str, str]) -> web.Response:
    kind = "text/html" if body == PAGE else "application/json"
    headers = {"Cache-Control": "no-cache", "x-ms-request-id": secrets.token_hex(16), **headers}
    return web.Response(status=status, body=body, content_type=kind, charset="utf-8", headers=headers)
