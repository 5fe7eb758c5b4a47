"""How requests travel to a vault and to Entra ID: by rules of ours, handed over by Azure's pipelines."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

from azure.core.pipeline.policies import AsyncHTTPPolicy
from azure.core.pipeline.transport import AsyncHttpTransport, HttpTransport

from asyncsecrets.errors import AsyncSecretsError, InsecureTransportError
from asyncsecrets.providers.azure.answers import Answered
from asyncsecrets.providers.azure.grants import refused
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.https import Https
from asyncsecrets.providers.wire import Wire
from asyncsecrets.sending import is_out, is_settled

__all__ = ["Attempt", "HandsOn", "ToEntra", "ToVault", "attempt"]


class Attempt:
    """One attempt at an operation, as far as it has come."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.shown: Any = None
        """The token that was shown last."""
        self.asked = 0
        """How many tokens were asked for: a second one as the vault has refused the first."""
        self.is_challenged = False
        """Whether the vault has said by now whom to ask for a token; else that is remembered from elsewhere."""
        self._is_out = False

    def is_sent(self) -> None:
        """A request that may change something is sent now."""
        if not self._is_out:
            self._is_out = True
            is_out()

    def is_refused(self) -> None:
        """It has changed nothing."""
        if self._is_out:
            self._is_out = False
            is_settled()


attempt: Final[ContextVar[Attempt]] = ContextVar("attempt")


class ToVault(AsyncHttpTransport):  # type: ignore[misc]  # azure.core is not there for mypy
    """Sends what the client of one vault has prepared, over ``https``, and to no other host."""

    def __init__(self, https: Https, vault_uri: str) -> None:
        self._https = https
        self._vault = _place(vault_uri)
        self._root = f"{vault_uri}/"

    async def send(self, request: Any, **_: Any) -> Answered:
        ours = attempt.get()
        url = request.url  # an answer says where its next page is; the others begin as the vault does
        if not url.startswith(self._root) and _place(url) != self._vault:
            raise ours.call.error(
                InsecureTransportError, "the vault's answer leads to another host; it is not followed"
            )
        headers, body = dict(request.headers), request.content
        if ours.shown is None:  # without a token it only asks who is to be asked for one
            headers.pop("Authorization", None)
            headers, body = {**headers, "Content-Length": "0"} if body else headers, None
        may_change = request.method != "GET" and "Authorization" in headers
        answer = await self._https.exchange(
            request.method,
            url,
            headers,
            body.encode() if isinstance(body, str) else body,
            sending=ours.is_sent if may_change else _nothing,
        )
        if answer.status == 401:
            ours.is_challenged = True
            ours.is_refused()
        return Answered(request, answer)

    async def open(self) -> None:
        """The session is opened by who has made it."""

    async def close(self) -> None:
        """The session is closed by who has made it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """The session is closed by who has made it."""


class HandsOn(AsyncHTTPPolicy):  # type: ignore[misc]  # azure.core is not there for mypy
    """Stands where Azure's client would try again, follow a redirect or do something else that is not to be done."""

    def send(self, request: Any) -> Any:
        return self.next.send(request)


class ToEntra(HttpTransport):  # type: ignore[misc]  # azure.core is not there for mypy
    """Sends what a credential of azure-identity has prepared, over ``wire``. For a thread, and one token."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.problem: AsyncSecretsError | None = None
        """What the last request has failed with; azure-identity tells the text of it, at most."""

    def send(self, request: Any, **_: Any) -> Answered:
        self.problem = None
        body = request.content
        if isinstance(body, dict):
            body = urlencode(body)
        sent = body.encode() if isinstance(body, str) else body
        try:
            answer = self._wire.send("azure_authority_host", request.url, request.method, dict(request.headers), sent)
        except AsyncSecretsError as error:
            self.problem = error
            raise
        if answer.status >= 400:
            self.problem = refused(self._wire.call, answer)
        return Answered(request, answer)

    def open(self) -> None:
        """Each request has a connection of its own."""

    def close(self) -> None:
        """Each request has a connection of its own."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Each request has a connection of its own."""


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        return (parts.hostname or "") if parts.scheme == "https" else "", parts.port or 443
    except ValueError:
        return "", 0


def _nothing() -> None:
    """A request that changes nothing is sent."""
