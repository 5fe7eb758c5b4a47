"""How requests travel to a vault: by rules of ours, handed over by Azure's pipeline."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from yarl import URL

from asyncsecrets import sending
from asyncsecrets.errors import InsecureTransportError
from asyncsecrets.providers.azure.answers import Answered
from asyncsecrets.providers.azure.errors import Call
from asyncsecrets.providers.https import Https

__all__ = ["Attempt", "HandsOn", "ToVault", "attempt"]


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
        self.is_out = False
        """Whether a request may have changed something."""

    def is_sent(self) -> None:
        """A request is sent now. Without a token it only asks who is to be asked for one."""
        self.is_out = self.call.writes and self.shown is not None
        if self.is_out:
            sending.is_out()

    def is_refused(self) -> None:
        """It has changed nothing."""
        if self.is_out:
            self.is_out = False
            sending.is_settled()


attempt: Final[ContextVar[Attempt]] = ContextVar("attempt")


class ToVault:
    """Sends what the client of one vault has prepared, over ``https``, and to no other host."""

    def __init__(self, https: Https, vault_uri: str) -> None:
        self._https = https
        self._root = f"{vault_uri}/"
        self._vault = _host(vault_uri)

    async def send(self, request: Any, **_: Any) -> Answered:
        ours, url = attempt.get(), request.url
        # An answer says where its next page is; the other addresses begin as the vault's does.
        if not url.startswith(self._root) and _host(url) != self._vault:
            text = "the vault's answer leads to another host; it is not followed"
            raise ours.call.error(InsecureTransportError, text)
        body = request.content
        answer = await self._https.exchange(
            request.method,
            url,
            request.headers,
            body.encode() if isinstance(body, str) else body,
            sending=ours.is_sent,
        )
        if answer.status == 401:
            ours.is_challenged = True
            ours.is_refused()
        return Answered(answer)


def _host(url: str) -> tuple[str, str | None, int | None]:
    parts = URL(url)
    return parts.scheme, parts.host, parts.port


class HandsOn:
    """Stands where Azure's client would try again, follow a redirect or do something else that is not to be done."""

    next: Any

    def send(self, request: Any) -> Any:
        return self.next.send(request)
