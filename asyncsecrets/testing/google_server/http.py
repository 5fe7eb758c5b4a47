"""The HTTP side: OAuth, token exchange, impersonation, and the metadata server of a machine in the cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from asyncsecrets.testing.calls import Log
from asyncsecrets.testing.google_server.calls import Faults
from asyncsecrets.testing.google_server.identity import Identity
from asyncsecrets.testing.google_server.refusals import Refused
from asyncsecrets.testing.sites import HOST, Site

_FLAVOR: Final = {"Metadata-Flavor": "Google"}
_STATUS: Final = {
    "INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429, "UNAVAILABLE": 503,
}  # fmt: skip


class HttpSide:
    """Listens on a port that stays the same whenever it is opened again."""

    def __init__(self, identity: Identity, faults: Faults, log: Log) -> None:
        self._identity, self._faults, self._log, self._site = identity, faults, log, Site(self._application)

    def _application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/token", self._endpoint("token"))
        app.router.add_post("/v1/token", self._endpoint("exchange"))
        tokens = "/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        app.router.add_post(tokens, self._endpoint("impersonate"))
        app.router.add_get("/subject/{name}", self._endpoint("subject"))
        app.router.add_get("/", self._endpoint("metadata"))
        app.router.add_get("/computeMetadata/v1/{path:.*}", self._endpoint("metadata"))
        return app

    async def open(self) -> None:
        """Listen."""
        await self._site.open()
        self._identity.url = f"http://{HOST}:{self._site.port}"

    async def close(self) -> None:
        """Listen no more."""
        await self._site.close()

    def _endpoint(self, method: str) -> Callable[[web.Request], Any]:
        async def serve(request: web.Request) -> web.StreamResponse:
            form = {**request.match_info, **{key: str(text) for key, text in (await request.post()).items()}}
            record = self._log.note(method, form.get("grant_type") or request.path, dict(request.headers))
            faults, connection, record.code = self._faults.met(record), request.transport, "OK"
            try:
                await self._faults.happen(faults, "before", connection)
                reply = self._answer(method, request, form)
                await self._faults.happen(faults, "after", connection)
            except Refused as refused:
                record.code = refused.code
                body = {"error": refused.reason or refused.code, "error_description": refused.message}
                return web.json_response(body, status=_STATUS.get(refused.code, 500), headers=_FLAVOR)
            if record.fault == "corrupt":
                reply = "<html>502 Bad Gateway</html>"
            is_text = isinstance(reply, str)
            return web.Response(text=reply, headers=_FLAVOR) if is_text else web.json_response(reply, headers=_FLAVOR)

        return serve

    def _answer(self, method: str, request: web.Request, form: dict[str, str]) -> Any:
        if method == "metadata" and request.headers.get("Metadata-Flavor") != "Google":
            raise Refused("PERMISSION_DENIED", "Missing Metadata-Flavor:Google header.")
        return getattr(self._identity, method)(form, request.headers.get("Authorization", ""))
