"""Calls of Google's operations, by credentials that are renewed ahead, over channels of the running loop."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import quote

from asyncsecrets.errors import ClosedError, InsecureTransportError, MalformedResponseError, UnsupportedOperationError
from asyncsecrets.loops import in_thread, running_loop
from asyncsecrets.providers.google.channels import Channels
from asyncsecrets.providers.google.credentials import BearerTokens
from asyncsecrets.providers.google.errors import Call, status_of, translate
from asyncsecrets.providers.google.services import Service
from asyncsecrets.providers.google.settings import GoogleSettings
from asyncsecrets.providers.loopback import ELSEWHERE, ElsewhereError
from asyncsecrets.providers.quiet import without_collections
from asyncsecrets.providers.sdk import Outcome, SdkConnection
from asyncsecrets.providers.tls import files_in
from asyncsecrets.providers.ways import attempts, trusting
from asyncsecrets.sending import is_settled

__all__ = ["Connection"]


class Connection(SdkConnection):
    """Calls operations of ``service`` for the provider ``system``."""

    chatty: ClassVar[tuple[str, ...]] = ("google", "grpc", "urllib3", "requests")

    def __init__(self, service: Service, system: str, settings: GoogleSettings) -> None:
        super().__init__(system)
        self._service = service
        self._settings = settings
        self._tokens = BearerTokens(settings, Call(system, "credentials"), held=self.discreet)
        self._channels: Channels | None = None
        self._roots: bytes | None = None

    async def call(self, call: Call, request: Any) -> Any:
        """What is answered to a call with ``request``: one attempt. Raises our errors, ClosedError."""
        return await self._ask(call, lambda: self._attempt(call, request))

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
        shown = await self._naming(Call(self._system, "credentials", name), self._tokens.current())
        return str(shown.project)

    async def _attempt(self, call: Call, request: Any) -> Outcome:
        channels = shown = None
        try:
            shown = await self._tokens.current()
            # Resource names have no percent sign: most of quote's time goes by slash after slash.
            params = quote(call.routing.replace("/", "%2F"), safe="=%")
            metadata = [("x-goog-request-params", params), *shown.headers.reveal()]
            channels = self._channels
            if channels is None:
                return self._failed(call, ClosedError(f"{self._system} was closed meanwhile"))
            async with channels.room:  # waiting for it is no part of the attempt: it says nothing about Google
                answer = await channels.call(call, request, metadata, self._settings.attempt_timeout)
            if answer is None:  # it could not be parsed
                text = "the answer is no message of Google's"
                return self._failed(call, call.error(MalformedResponseError, text, unknown=True))
            return Outcome(answer)
        except Exception as failure:  # noqa: BLE001  # translated, whatever it is
            status = status_of(failure)
            proxy = channels.proxy_to(call.location) if channels is not None and status is not None else None
            error = translate(call, failure, proxy)
            if call.writes and status is not None and not getattr(error, "outcome_unknown", False):
                is_settled()
        if status in call.unless:
            return Outcome()
        return self._failed(call, error, shown if status == "UNAUTHENTICATED" else None)

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


def _roots_of(settings: GoogleSettings) -> bytes | None:
    """The CAs to trust, as PEM, of a file or a directory of them; None: gRPC's own. Blocks. Raises ConfigError."""
    path = settings.ca_cert
    if not path:
        return None
    trusting(path, "google_ca_cert and GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")  # of what is none, gRPC says nothing
    return b"\n".join(Path(file).read_bytes() for file in (files_in(path) if Path(path).is_dir() else [path]))


def _check_local_name(call: Call, endpoint: str) -> None:
    """Plain http to ``localhost`` stays here: raises InsecureTransportError where that is another machine. Blocks."""
    is_elsewhere = False
    try:
        list(attempts(endpoint, insecure=False))
    except OSError as failure:  # for others: gRPC says so when it is called
        is_elsewhere = isinstance(failure, ElsewhereError)
    if is_elsewhere:
        raise call.error(InsecureTransportError, f"google_endpoint: {ELSEWHERE}")
