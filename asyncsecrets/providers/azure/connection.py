"""Calls of a vault's operations by Azure's client, with tokens that are renewed ahead, over a session of ours."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, ClassVar, Final

from azure.core.rest import HttpRequest
from azure.keyvault.secrets.aio import SecretClient
from yarl import URL

from asyncsecrets import sending
from asyncsecrets.errors import AuthenticationError, ConfigError, InsecureTransportError, MalformedResponseError
from asyncsecrets.providers.azure.answers import Answered, Refusal
from asyncsecrets.providers.azure.credentials import TRUST, Shown, Tokens
from asyncsecrets.providers.azure.errors import Call, refused, translate
from asyncsecrets.providers.azure.identities import Target
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.providers.https import Https, HttpsConnection
from asyncsecrets.providers.sdk import Outcome
from asyncsecrets.providers.ways import trusting
from asyncsecrets.providers.wire import bundle_of

__all__ = ["Attempt", "Connection", "ToVault", "attempt"]

_SILENT: Final = logging.Logger("azure", logging.CRITICAL)  # noqa: LOG001  # nobody's: the SDK would tell every request
_NOT_OURS: Final = ("retry", "redirect", "proxy", "logging", "custom_hook")
_TOKENS: Final = "azure.identity._internal.get_token_mixin"


class Attempt:
    """One attempt at an operation, as far as it has come."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.shown: Shown | None = None
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


class Connection(HttpsConnection):
    """Calls operations of one vault for the provider ``system``."""

    chatty: ClassVar[tuple[str, ...]] = ("azure", "msal", "urllib3")
    # It tells of every token that it came, and how it failed in Entra ID's words. Who needs one is told anyway.
    terse: ClassVar[Mapping[str, Any]] = {_TOKENS: lambda record: record.levelno >= logging.ERROR}

    def __init__(self, system: str, settings: AzureSettings) -> None:
        super().__init__(system)
        self._settings = settings
        self._host = settings.vault_uri.removeprefix("https://")
        self._tokens = Tokens(settings, Call(system, "credentials"), held=self.discreet)
        self._https = Https(settings, system)
        self._client: SecretClient

    async def call(
        self, operation: str, name: str | None, request: HttpRequest, take: Callable[[Any], Any], **more: Any
    ) -> Any:
        """The answer to ``operation`` about the secret ``name``, which ``request`` asks for: one attempt.

        ``take`` and ``more`` are as for ``Call``. Raises our errors, ClosedError.
        """
        call = Call(self._system, operation, name, self._host, take, **more)
        return await self._ask(call, lambda: self._attempt(call, request))

    async def _attempt(self, call: Call, request: HttpRequest) -> Outcome:
        ours, refusal = Attempt(call), None
        before = attempt.set(ours)
        try:
            async with self._https.turns.turn():
                # The client's other methods wait for the end of a limbo, without an end of their own, and spend half of
                # a read's time on objects of every member. A stream, as else it parses the answer.
                answer = await self._client.send_request(request, stream=True)
            if answer.status_code < 400:
                return Outcome(call.take(json.loads(answer.content or b"{}")))
            refusal = Refusal.of(answer)
            error = refused(call, refusal)
        except Exception as failure:  # noqa: BLE001  # translated, whatever it is
            error = translate(call, failure, self._https.proxy)
        finally:
            attempt.reset(before)
        if isinstance(error, MalformedResponseError):
            error.outcome_unknown = ours.is_out
        if not getattr(error, "outcome_unknown", False):
            ours.is_refused()
        if refusal is not None and call.unless is not None:
            for code in (refusal.inner, refusal.code):
                if code in call.unless:
                    return Outcome(call.unless[code])
        stale = ours.shown if isinstance(error, AuthenticationError) and refusal and ours.asked == 1 else None
        return self._failed(call, error, stale)

    async def get_token_info(self, scope: str, *, options: Any = None) -> Shown:
        """The token for one request of Azure's client, whose credential this is, and whenever a vault wants another.

        It counts as ended, so that it is asked for anew. Raises as ``Tokens``.
        """
        self._https.turns.over()  # others need not wait for their turn while this waits for a token
        ours, wanted = attempt.get(), options or {}
        ours.asked += 1
        target = Target(scope, wanted.get("tenant_id") or "")
        if not _TARGET.fullmatch(" ".join(target)):  # URLs are made of it, and arguments of programs
            raise ValueError("the challenge names no scope or tenant")  # as Azure's client does
        if ours.shown is not None and ours.shown.target == target:
            await self._tokens.renew(ours.shown, wanted.get("claims") or "")
        try:
            ours.shown = shown = await self._tokens.current(target)
        except ConfigError:
            if ours.is_challenged:
                raise
            return _NONE  # the SDK remembers for the process whom to ask: the vault is asked again
        return shown

    # -- what an SDK is (see SdkConnection)

    @property
    def _credentials(self) -> Tokens:
        return self._tokens

    def _make(self) -> None:
        bundle = bundle_of(self._settings)
        self._https.prepare(self._settings.vault_uri, lambda: trusting(bundle, TRUST))

    def _bind(self) -> None:
        """Azure's client has a lock, so it belongs to one loop."""
        self._client = SecretClient(
            self._settings.vault_uri,
            self,
            transport=ToVault(self._https, self._settings.vault_uri),
            logger=_SILENT,
            auto_request_id=False,  # nobody is told the id
            **{f"{policy}_policy": HandsOn() for policy in _NOT_OURS},
        )
        self._tokens.join()
        super()._bind()


_NONE: Final = Shown("none", Target(""))
_TARGET: Final = re.compile(
    r"https://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?/{0,2}\.default [A-Za-z0-9.-]{0,253}", re.ASCII
)


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
