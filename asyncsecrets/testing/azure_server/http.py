"""How requests come in: which operation of which service each is, and how what comes of it is written."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from aiohttp import web

from asyncsecrets.testing.azure_server.calls import Faults, Log, RequestRecord, damaged
from asyncsecrets.testing.azure_server.entra import LOGINS, Entra
from asyncsecrets.testing.azure_server.machine import Machine
from asyncsecrets.testing.azure_server.refusals import PAGE, Refused, forbidden
from asyncsecrets.testing.azure_server.vault import Asked, Vault, check

_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_OPERATIONS: Final = {
    ("PUT", "secrets/*"): "SetSecret",
    ("GET", "secrets/*"): "GetSecret",
    ("GET", "secrets/*/*"): "GetSecret",
    ("PATCH", "secrets/*"): "UpdateSecret",
    ("PATCH", "secrets/*/*"): "UpdateSecret",
    ("DELETE", "secrets/*"): "DeleteSecret",
    ("GET", "secrets"): "GetSecrets",
    ("GET", "secrets/*/versions"): "GetSecretVersions",
    ("GET", "deletedsecrets"): "GetDeletedSecrets",
    ("GET", "deletedsecrets/*"): "GetDeletedSecret",
    ("POST", "deletedsecrets/*/recover"): "RecoverDeletedSecret",
    ("DELETE", "deletedsecrets/*"): "PurgeDeletedSecret",
}
_MACHINE: Final = {"/metadata/identity/oauth2/token": "imds", "/msi/token": "app_service", "/arc/token": "arc"}
Denial = tuple[str, str | None, str | None, str]
Work = Callable[[], Any]


@dataclass(slots=True)
class Front:
    """Takes every request through log, faults, credentials and permissions to what it is for."""

    vaults: dict[str, Vault]
    entra: Entra
    machine: Machine
    faults: Faults
    log: Log
    denials: list[Denial] = field(default_factory=list)

    def encrypted(self) -> web.Application:
        """The side with TLS: vaults and logins, told apart by ``Host``."""
        return _application(self._of_azure)

    def plain(self) -> web.Application:
        """The side without: the endpoints of managed identity."""
        return _application(self._of_machine)

    async def _of_azure(self, request: web.Request) -> web.StreamResponse:
        host = request.host.partition(":")[0].lower()
        vault = self.vaults.get(host)
        if vault is None and (login := _login(request.path)):
            method, tenant = login
            form = {**request.query, **{key: str(text) for key, text in (await request.post()).items()}}
            work = partial(getattr(self.entra, method), request.host, tenant, form)
            return await self._carry_out(request, method, lambda _: work(), Refused.of_entra)
        if vault is None and host in {"localhost", "127.0.0.1"}:
            vault = next(iter(self.vaults.values()))
        return web.Response(status=404) if vault is None else await self._of_vault(request, vault)

    async def _of_vault(self, request: web.Request, vault: Vault) -> web.StreamResponse:
        operation, name, version = _operation(request.method, request.path)
        body = await request.read()
        method = operation if "Authorization" in request.headers else "challenge"

        def work(record: RequestRecord) -> Any:
            record.principal = self.entra.holder(request.headers.get("Authorization", ""), vault.resource, vault.tenant)
            self._admit(record, vault)
            if not operation:
                raise Refused(405, "MethodNotAllowed", "The fake has no such operation.")
            asked = Asked(request.host, name, version, request.query, _parsed(body))
            check(asked, named=operation not in {"GetSecrets", "GetDeletedSecrets"})
            return getattr(vault, _CAPITAL.sub("_", operation).lower())(asked)

        response = await self._carry_out(request, method, work, Refused.of_vault)
        if response.status == 401:
            response.headers["WWW-Authenticate"] = _challenge(vault, response.headers.popall("claims", [""])[0])
        return response

    async def _of_machine(self, request: web.Request) -> web.StreamResponse:
        method = _MACHINE.get(request.path)
        if method is None:
            return web.Response(status=404)
        work = partial(getattr(self.machine, method), request.query, request.headers)
        return await self._carry_out(request, method, lambda _: work(), Refused.of_machine)

    async def _carry_out(
        self, request: web.Request, method: str, work: Callable[[RequestRecord], Any], write: Callable[[Refused], Any]
    ) -> web.StreamResponse:
        record = self.log.note(method, request.host + request.path, dict(request.headers))
        faults = self.faults.met(record)
        try:
            await self.faults.happen(faults, "before", request.transport)
            reply = work(record)
            await self.faults.happen(faults, "after", request.transport)
        except Refused as refused:
            record.code = refused.inner or refused.code
            return _refusal(refused, write)
        record.code = "OK"
        if reply is None:
            return web.Response(status=204, headers=_headers())
        body = json.dumps(reply).encode()
        for fault in faults:
            body = damaged(body, fault.damage, request) if fault.kind == "corrupt" else body
        kind = "text/html" if body == PAGE else "application/json"
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=_headers())

    def _admit(self, record: RequestRecord, vault: Vault) -> None:
        for inner, method, principal, name in self.denials:
            if method in {None, record.method} and principal in {None, record.principal} and name in record.name:
                raise forbidden(inner, record.principal, vault.name, record.method)


def _application(handler: Any) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    return app


def _login(path: str) -> tuple[str, str] | None:
    """The method and the tenant, if this is a path of Entra ID."""
    tenant, _, rest = path.removeprefix("/").partition("/")
    known = {
        "oauth2/v2.0/token": "token",
        "discovery/instance": "discovery",
        "v2.0/.well-known/openid-configuration": "configuration",
    }
    return (known[rest], tenant) if rest in known else None


def _operation(verb: str, path: str) -> tuple[str, str, str]:
    """The operation of Key Vault's, with the name and the version in the path."""
    parts = path.removeprefix("/").removesuffix("/").split("/")
    name, last = (*parts[1:], "", "")[:2]
    shape = "/".join(part if at != 1 and part in _WORDS else "*" for at, part in enumerate(parts))
    return _OPERATIONS.get((verb, shape), ""), name, "" if last in _WORDS else last


_WORDS: Final = {"secrets", "deletedsecrets", "versions", "recover"}


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused(400, message="The body is no JSON.")
    return found


def _challenge(vault: Vault, claims: str) -> str:
    told = f'Bearer authorization="https://{LOGINS[vault.host.partition(".")[2]]}/{vault.tenant}"'
    if claims:
        return f'{told}, error="insufficient_claims", claims="{claims}"'
    return f'{told}, resource="{vault.resource}"'


def _headers() -> dict[str, str]:
    return {
        "Cache-Control": "no-cache", "x-ms-request-id": secrets.token_hex(16), "x-ms-keyvault-region": "local",
    }  # fmt: skip


def _refusal(refused: Refused, write: Callable[[Refused], Any]) -> web.Response:
    headers = _headers() | refused.headers
    if refused.page:
        return web.Response(status=refused.status, body=PAGE, content_type="text/html", headers=headers)
    return web.json_response(write(refused), status=refused.status, headers=headers)
