"""The faults of this fake beside those that every one has, and what a wrong answer looks like."""

from __future__ import annotations

import json
import re
from typing import Any, Final, Literal

from aiohttp import web

from asyncsecrets.testing.azure_server.refusals import PAGE, Refused
from asyncsecrets.testing.calls import BaseFaults, Fault

Damage = Literal["truncated", "page", "secret", "vault", "oversize", "empty_page"]
_TOO_LARGE: Final = 4 * 1024 * 1024


class Faults(BaseFaults):
    """The faults in force, by ``method`` (of Key Vault's REST API, such as ``GetSecret``; or ``challenge``, ``token``,
    ``discovery``, ``configuration``, ``imds``, ``app_service``, ``arc``) and ``name`` (a part of host and path)."""

    def status(self, status: int, code: str = "", message: str = "Try later.", inner: str = "", **where: Any) -> Fault:
        """Refuse with a status. ``inner`` is Key Vault's innererror, or the number behind AADSTS; ``retry_after=`` (s)
        goes into a header."""
        wait = where.pop("retry_after", None)
        headers = {} if wait is None else {"Retry-After": f"{wait:g}"}
        return self.add(Fault("status", refusal=Refused(status, message, inner, code=code, headers=headers), **where))

    def throttle(self, retry_after: float | None = None, **where: Any) -> Fault:
        """429 as of a vault that was asked too often."""
        message = "Request was not processed because too many requests were received."
        return self.status(429, "Throttled", message, retry_after=retry_after, **where)

    def page(self, status: int = 502, **where: Any) -> Fault:
        """An HTML page of a proxy in place of the answer."""
        return self.add(Fault("status", refusal=Refused(status, page=True), **where))

    def corrupt(self, damage: Damage = "truncated", **where: Any) -> Fault:
        """Answer wrongly: half of the JSON, a page, another secret's or vault's ``id``, more than is sensible, or
        (lists) a page without items that says that there are more."""
        return self.add(Fault("corrupt", damage=damage, **where))


def damaged(body: bytes, damage: str, request: web.Request) -> bytes:
    """The body with that damage."""
    host, domain = request.host.encode(), request.host.partition(".")[2].encode()
    if damage == "page":
        return PAGE
    if damage == "oversize":
        return body[:-1] + b', "filler": "' + b"x" * _TOO_LARGE + b'"}'
    if damage == "secret":
        return re.sub(rb'/secrets/[^/"]+', b"/secrets/another", body)
    if damage == "vault":
        return body.replace(b"https://" + host, b"https://another." + domain)
    if damage == "empty_page":
        return json.dumps({"value": [], "nextLink": f"https://{request.host}{request.path_qs}"}).encode()
    return body[: len(body) // 2]
