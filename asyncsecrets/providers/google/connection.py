"""Calls of Google's operations, by credentials that are renewed ahead, over channels of the running loop."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlsplit

from asyncsecrets.errors import (
    AsyncSecretsError,
    ClosedError,
    InsecureTransportError,
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
from asyncsecrets.providers.loopback import ELSEWHERE, ElsewhereError, is_local_name, resolve
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.quiet import without_collections
from asyncsecrets.providers.sdk import Outcome, SdkConnection
from asyncsecrets.providers.tls import files_in
from asyncsecrets.providers.ways import trusting
from asyncsecrets.sending import is_out, is_settled

__all__ = ["Connection", "Meaning"]


class Connection(SdkConnection):
    """Calls operations of ``service`` for the provider ``system``."""

    chatty: ClassVar[tuple[str, ...]] = ("google", "grpc", "urllib3", "requests")

    def __init__(self, service: Service, system: str, settings: GoogleSettings) -> None:
        super().__init__(system)
        self._service = service
        self._api = service.api
        self._settings = settings
        self._tokens = BearerTokens(settings, Call(system, "credentials"), held=self.discreet)
        self._channels: Channels | None = None
        self._roots: bytes | None = None

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
        call = Call(self._system, operation, name, self._api)
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
            problem = named(error, Call(self._system, "credentials", name, self._api))
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
            # Resource names have no percent sign: most of quote's time goes by slash after slash.
            params = quote(routing.replace("/", "%2F"), safe="=%")
            metadata = [("x-goog-request-params", params), *shown.headers()]
            channels = self._open_channels
            async with channels.room:  # waiting for it is no part of the attempt: it says nothing about Google
                sent, limit = is_out if call.writes else None, self._settings.attempt_timeout
                answer = await channels.call(call.operation, location, request, metadata, limit=limit, sent=sent)
            return Outcome(_understood(call, answer))
        except Exception as failure:  # noqa: BLE001  # translated, whatever it is
            status = status_of(failure)
            proxy = self._proxy(location) if status is not None else None
            error = translate(call, failure, meaning, proxy)
            if call.writes and status is not None and not getattr(error, "outcome_unknown", False):
                is_settled()
        if status in unless:
            return Outcome()
        return self._failed(call, error, shown if status == "UNAUTHENTICATED" else None)

    def _proxy(self, location: str) -> Proxy | None:
        return self._channels.proxy_to(location) if self._channels is not None else None

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
        self._roots = _roots_of(self._settings)
        _check_local_name(Call(self._system, "open"), self._settings.endpoint)

    def _bind(self) -> None:
        self._channels = Channels(self._service, self._settings, self._roots)

    async def _unbind(self) -> None:
        channels, self._channels = self._channels, None
        if channels is not None:
            await channels.aclose()

    def _drop(self) -> None:
        channels, self._channels = self._channels, None
        if channels is not None:
            channels.drop()


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
    if answer is None:  # it could not be parsed
        raise call.error(MalformedResponseError, "the answer is no message of Google's", unknown=True)
    return answer


def _roots_of(settings: GoogleSettings) -> bytes | None:
    """The CAs to trust, as PEM, of a file or a directory of them; None: gRPC's own. Blocks. Raises ConfigError."""
    path = settings.ca_cert
    if not path:
        return None
    trusting(path, "google_ca_cert and GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")  # of what is none, gRPC says nothing
    return b"\n".join(Path(file).read_bytes() for file in (files_in(path) if Path(path).is_dir() else [path]))


def _check_local_name(call: Call, endpoint: str) -> None:
    """Plain http to ``localhost`` stays here: raises InsecureTransportError where that is another machine. Blocks."""
    parts = urlsplit(endpoint)
    if parts.scheme == "http" and is_local_name(parts.hostname or ""):
        try:
            resolve(parts.hostname or "", parts.port or 80)
        except ElsewhereError:
            pass
        except OSError:
            return  # gRPC says so when it is called
        else:
            return
        raise call.error(InsecureTransportError, f"google_endpoint: {ELSEWHERE}")
