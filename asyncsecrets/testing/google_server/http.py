"""The HTTP side: OAuth, token exchange, impersonation, and the metadata server of a machine in the cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from asyncsecrets.testing.google_server.faults import Faults
from asyncsecrets.testing.google_server.identity import Identity
from asyncsecrets.testing.google_server.log import Log
from asyncsecrets.testing.google_server.refusals import Refused

_FLAVOR: Final = {"Metadata-Flavor": "Google"}
_STATUS: Final = {
    "INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429, "UNAVAILABLE": 503,
}  # fmt: skip

Answer = Callable[[Mapping[str, str], str], Any]


class HttpSide:
    """Listens on a port that stays the same whenever it is opened again."""

    def __init__(self, identity: Identity, faults: Faults, log: Log) -> None:
        self._identity, self._faults, self._log = identity, faults, log
        self._port = 0
        self._runner: web.AppRunner | None = None

    async def open(self, host: str) -> None:
        """Listen."""
        identity, app = self._identity, web.Application()
        accounts = "/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        app.router.add_post("/token", self._endpoint("token", identity.token))
        app.router.add_post("/v1/token", self._endpoint("exchange", identity.exchange))
        app.router.add_post(accounts, self._endpoint("impersonate", identity.impersonate))
        app.router.add_get("/subject/{name}", self._endpoint("subject", identity.subject))
        for path in ("/", "/computeMetadata/v1/{path:.*}"):
            app.router.add_get(path, self._endpoint("metadata", identity.metadata))
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        identity.url = f"http://{host}:{self._port}"

    async def close(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _endpoint(self, method: str, answer: Answer) -> Callable[[web.Request], Any]:
        async def serve(request: web.Request) -> web.StreamResponse:
            form = {**request.match_info, **{key: str(text) for key, text in (await request.post()).items()}}
            record = self._log.note(method, form.get("grant_type") or request.path, dict(request.headers))
            faults = self._faults.met(method, record.name, named_only=True)
            try:
                if method == "metadata" and request.headers.get("Metadata-Flavor") != "Google":
                    raise Refused("PERMISSION_DENIED", "Missing Metadata-Flavor:Google header.")  # noqa: TRY301
                await self._faults.happen(faults, "before", request.transport)
                reply = answer(form, request.headers.get("Authorization", ""))
                await self._faults.happen(faults, "after", request.transport)
            except Refused as refused:
                record.code = refused.code
                body = {"error": refused.reason or refused.code, "error_description": refused.message}
                return web.json_response(body, status=_STATUS.get(refused.code, 500), headers=_FLAVOR)
            record.code = "OK"
            if any(fault.kind == "corrupt" for fault in faults):
                return web.Response(text="<html>502 Bad Gateway</html>", headers=_FLAVOR)
            if isinstance(reply, str):
                return web.Response(text=reply, headers=_FLAVOR)
            return web.json_response(reply, headers=_FLAVOR)

        return serve
