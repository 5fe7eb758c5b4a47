"""Calls of Google's operations, by credentials that are renewed ahead, over channels of the running loop."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import Any, ClassVar, Final
from urllib.parse import quote

from asyncsecrets.errors import (
    AsyncSecretsError,
    ClosedError,
    ConfigError,
    MalformedResponseError,
    UnsupportedOperationError,
)
from asyncsecrets.loops import in_thread, running_loop
from asyncsecrets.providers.call import named
from asyncsecrets.providers.google.channels import Channels
from asyncsecrets.providers.google.credentials import BearerTokens
from asyncsecrets.providers.google.errors import Call, Meaning, status_of, translate
from asyncsecrets.providers.google.services import Service
from asyncsecrets.providers.google.settings import GoogleSettings
from asyncsecrets.providers.quiet import without_collections
from asyncsecrets.providers.sdk import Outcome, SdkConnection
from asyncsecrets.sending import is_out, is_settled

__all__ = ["Connection", "Meaning"]

_WORD_START: Final = re.compile(r"(?<!^)(?=[A-Z])")


class Connection(SdkConnection):
    """Calls operations of ``service`` for the provider ``system``."""

    chatty: ClassVar[tuple[str, ...]] = ("google", "grpc", "urllib3", "requests")

    def __init__(self, service: Service, system: str, settings: GoogleSettings) -> None:
        super().__init__(system)
        self._service = service
        self._settings = settings
        self._tokens = BearerTokens(settings, Call(system, "credentials"), held=self.discreet)
        self._channels: Channels | None = None

    async def call(
        self,
        operation: str,
        name: str | None,
        request: Any,
        *,
        routing: str,
        location: str = "",
        unless: frozenset[str] = frozenset(),
        meaning: Meaning | None = None,
    ) -> Any:
        """Call ``operation`` (``AccessSecretVersion``) about the secret ``name`` with ``request``: one attempt.

        ``routing`` is the header that gRPC calls of Google carry (``name=projects/…``, https://google.aip.dev/4222).
        None is the answer if Google's status is among ``unless``. ``meaning`` tells what a status means to this
        operation, where it is more than it always means. Raises our errors, ClosedError.
        """
        call = Call(self._system, operation, name, self._service)
        return await self._ask(call, lambda: self._attempt(call, request, routing, location, unless, meaning))

    async def open(self) -> None:
        """Make the client, in a thread, and what belongs to the loop. Nothing is sent.

        Raises ConfigError, UnsupportedOperationError where gevent has replaced threads.
        """
        if not self.is_open:
            running_loop()
            _check_threads()
            await in_thread(_keep_googles_logs_apart)
        await super().open()

    async def project(self, name: str | None = None) -> str:
        """The project of the credentials, or that of the environment before it; empty where there is none.

        ``name`` is the secret that it is asked for, for errors. Raises as ``call`` does, before anything is sent.
        """
        if not self.is_open:
            raise ClosedError(f"the {self._system} provider is not open")
        problem: AsyncSecretsError
        try:
            found: str = (await self._tokens.current()).project
        except AsyncSecretsError as error:
            problem = named(error, Call(self._system, "credentials", name, self._service))
        else:
            return found
        raise problem

    async def _attempt(
        self,
        call: Call,
        request: Any,
        routing: str,
        location: str,
        unless: frozenset[str],
        meaning: Meaning | None,
    ) -> Outcome:
        error: AsyncSecretsError
        status = shown = None
        try:
            shown = await self._tokens.current()
            key, _, value = routing.partition("=")
            metadata = [("x-goog-request-params", f"{key}={quote(value, safe='')}"), *shown.headers()]
            if call.writes:
                is_out()
            stub = self._open_channels.stub(_WORD_START.sub("_", call.operation).lower(), location)
            answer = await stub(request, timeout=self._settings.attempt_timeout, metadata=metadata)
            return Outcome(_understood(call, answer))
        except Exception as failure:  # noqa: BLE001  # translated, whatever it is
            status = status_of(failure)
            error = translate(call, failure, meaning)
            if call.writes and status is not None and not getattr(error, "outcome_unknown", False):
                is_settled()
        if status in unless:
            return Outcome()
        return self._failed(call, error, shown if status == "UNAUTHENTICATED" else None)

    @property
    def _open_channels(self) -> Channels:
        if self._channels is None:
            raise ClosedError(f"{self._system} was closed meanwhile")
        return self._channels

    # -- what an SDK is (see SdkConnection)

    @property
    def _credentials(self) -> BearerTokens:
        return self._tokens

    @property
    def is_open(self) -> bool:
        """Whether it is bound to a loop."""
        return self._channels is not None

    def _make(self) -> None:
        self._service.transport()

    def _bind(self) -> None:
        self._channels = Channels(self._service, self._settings)

    async def _unbind(self) -> None:
        channels, self._channels = self._channels, None
        if channels is not None:
            await channels.aclose()

    def _drop(self) -> None:
        channels, self._channels = self._channels, None
        if channels is not None:
            channels.drop()

    def _misconfigured(self, failure: Exception) -> AsyncSecretsError:
        error = translate(Call(self._system, "open"), failure)
        if isinstance(error, ConfigError):
            return error
        return ConfigError(f"{self._system}: the Google settings cannot be used ({type(failure).__name__})")


def _check_threads() -> None:
    """gRPC has a thread that polls for asyncio. As a greenlet it would stop all others, for good and without a word."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        raise UnsupportedOperationError(_GEVENT)


_GEVENT: Final = (
    "gevent has replaced this process's threads, and gRPC for asyncio, by which Google is asked, hangs then: read "
    "secrets in a process that gevent has not patched, and start this one with them (`asyncsecrets run`), or use "
    "another kind of worker"
)


def _keep_googles_logs_apart() -> None:
    """Google's clients keep their loggers from those above, where payloads would be seen, if nobody has configured them
    yet. ``discreet`` would look like a configuration, and others' clients would show them when it is over."""
    with without_collections(), contextlib.suppress(ImportError):  # older ones log no payloads
        from google.api_core import client_logging  # noqa: PLC0415  # for a thread

        client_logging.initialize_logging()


def _understood(call: Call, answer: Any) -> Any:
    if answer is None:  # gRPC has logged that it could not parse it, and goes on
        raise call.error(MalformedResponseError, "the answer is no message of Google's", unknown=True)
    return answer
