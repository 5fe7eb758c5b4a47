"""The one place where what gRPC and Google say becomes an error of ours.

Google's errors are told apart by their status and, where there is one, the reason in their details
(``google.rpc.ErrorInfo``, https://google.aip.dev/193). Of what Google says, the names of permissions, services and
projects go into our messages, and nothing else.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.api_core.exceptions import from_grpc_error
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    InsecureTransportError,
    IntegrityError,
    InvalidNameError,
    MalformedResponseError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers import call as calling
from asyncsecrets.providers.google.reasons import REASONS, allowing, permission_of
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.tunnels import unconnected

__all__ = ["Call", "status_of", "translate"]


@dataclass(slots=True)
class Call(calling.Call):
    """One call of an operation of Google, spelled as Google spells it (``AccessSecretVersion``), at ``location``.

    ``routing`` is the header that it carries (``name=projects/…``, https://google.aip.dev/4222). With a status among
    ``unless`` its answer is None. ``meaning`` tells what a status means to this operation, from the call, the status
    and Google's text, which must not be quoted; it returns None for no more than that always means.
    """

    routing: str = ""
    location: str = ""
    unless: frozenset[str] = frozenset()
    meaning: Callable[[Call, str, str], AsyncSecretsError | None] | None = None


def status_of(failure: BaseException) -> str | None:
    """Google's status of a failure (``NOT_FOUND``), or None where nobody answered."""
    return failure.code().name if isinstance(failure, grpc.aio.AioRpcError) else None


def translate(call: Call, failure: BaseException, proxy: Proxy | None = None) -> AsyncSecretsError:
    """Return what ``failure`` means. Raise it outside the ``except`` block: the failure may hold secrets.

    The ``meaning`` of the call is asked of what is not refused to who asks; ``proxy`` was to carry it.
    """
    if isinstance(failure, AsyncSecretsError):
        return failure
    status = status_of(failure)
    if status is None:
        return call.error(MalformedResponseError, f"the answer makes no sense ({type(failure).__name__})", unknown=True)
    said = _Said.of(failure)
    error = _unsent(call, said.text, proxy) if status == "UNAVAILABLE" else _refused(call, status, said)
    if error is None and call.meaning is not None:
        error = call.meaning(call, status, said.text)
    return error or _answered(call, status, said.text)


@dataclass(frozen=True, slots=True)
class _Said:
    """What Google says beside a status, as far as it may be passed on; and its text, which may not."""

    text: str
    reason: str = ""
    permission: str = ""
    service: str = ""
    consumer: str = "the project that calls are counted to"
    retry_after: float | None = None

    @classmethod
    def of(cls, failure: Any) -> _Said:
        text = failure.details() or ""
        found = _PERMISSION.search(text)
        parts: dict[str, Any] = {"permission": found[1]} if found else {}
        for detail in _details(failure):
            if isinstance(detail, ErrorInfo):
                told = {**detail.metadata, "reason": detail.reason}
                parts |= {key: told[key] for key, form in _TOKENS.items() if form.fullmatch(told.get(key, ""))}
            elif isinstance(detail, RetryInfo):
                delay = detail.retry_delay  # which may be longer than any timedelta
                parts["retry_after"] = max(0.0, delay.seconds + delay.nanos / 1e9) or None
        return cls(text, **parts)


_PERMISSION: Final = re.compile(r"[Pp]ermission '([a-z]{1,40}\.[A-Za-z]{1,40}\.[A-Za-z]{1,40})'", re.ASCII)
_TOKENS: Final = {
    "reason": re.compile(r"[A-Z][A-Z0-9_]{0,62}", re.ASCII),
    "permission": re.compile(r"[a-z]{1,40}\.[A-Za-z]{1,40}\.[A-Za-z]{1,40}", re.ASCII),
    "service": re.compile(r"[a-z0-9-]{1,60}(\.[a-z0-9-]{1,60}){1,4}", re.ASCII),
    "consumer": re.compile(r"projects/[a-z0-9:.-]{1,80}", re.ASCII),
}


def _details(failure: Any) -> Any:
    with contextlib.suppress(Exception):  # of what cannot be parsed, or says something else than the status
        return from_grpc_error(failure).details
    return ()


def _refused(call: Call, status: str, said: _Said) -> AsyncSecretsError | None:
    """What is refused to who asks, whatever it was that was asked; and what was damaged on its way."""
    for kind, reasons in REASONS.items():
        if said.reason in reasons:
            service = said.service or f"{permission_of(call.operation).partition('.')[0]}.googleapis.com"
            return call.error(kind, reasons[said.reason].format(service=service, project=said.consumer))
    if status == "UNAUTHENTICATED":
        return call.error(AuthenticationError, _UNKNOWN)
    if status == "PERMISSION_DENIED" and said.text.startswith(_HTTP):
        return call.error(AccessDeniedError, _BARRED)
    if status == "PERMISSION_DENIED":
        permission = said.permission or permission_of(call.operation)
        return call.error(AccessDeniedError, f"{allowing(permission)}; {_HIDDEN}")
    if status == "RESOURCE_EXHAUSTED" and _TOO_LARGE in said.text:
        return call.error(MalformedResponseError, "the answer is too large to be one of Google", unknown=True)
    if status == "RESOURCE_EXHAUSTED":
        text = f"a quota of {call.operation} is used up; ask for more if this goes on"
        return call.error(RateLimitedError, text, retry_after=said.retry_after)
    if status == "INVALID_ARGUMENT" and call.operation in _WITH_CHECKSUMS and _CHECKSUM.search(said.text):
        return call.error(IntegrityError, "what was sent does not match its checksum: it was damaged on its way")
    return None


_UNKNOWN: Final = "Google does not accept the credentials: have they expired, or been revoked?"
_HTTP: Final = "Received http2 header with status"
_TOO_LARGE: Final = "larger than max"  # as gRPC itself says of what it does not take in
_HIDDEN: Final = "Google says the same of a project, or a secret or key in it, that does not exist"
_BARRED: Final = (
    "a 403 that is not Google's: something between us and Google refuses, or google_endpoint is not Google; check the "
    "endpoint, proxies and firewalls"
)
_WITH_CHECKSUMS: Final = frozenset({"AddSecretVersion", "Decrypt", "Encrypt"})
_CHECKSUM: Final = re.compile(r"crc32c|checksum", re.IGNORECASE)


def _unsent(call: Call, text: str, proxy: Proxy | None) -> AsyncSecretsError | None:
    """What it means that there was no connection that anything could be sent on. gRPC's own texts tell."""
    shown = text.lower()
    for sign, problem in _TLS.items():
        if sign in shown:
            return call.error(InsecureTransportError, f"TLS to Google failed{problem}")
    if not _UNCONNECTED.search(text):
        return None
    if proxy is None:
        return call.error(UnavailableError, "Google cannot be reached: check google_endpoint, location, DNS, network")
    found = _TUNNEL.search(text)
    fault = unconnected(proxy, "Google", int(found[1]) if found else None, OSError())
    return call.error(fault.kind, fault.text)


_TLS: Final = {
    "certificate_verify_failed": ", its certificate is not trusted: check google_ca_cert "
    "(GRPC_DEFAULT_SSL_ROOTS_FILE_PATH) and this machine's clock, or does somebody open TLS? Then name its CA",
    "handshake failed": ": is TLS spoken at google_endpoint? (http:// in it speaks none)",
    "verification check failed": ", its certificate is for another host name: check google_endpoint",
}
_UNCONNECTED: Final = re.compile("^failed to connect|^connections to all back|^errors resolving |DNS resolution failed")
_TUNNEL: Final = re.compile(r"HTTP proxy returned response code ([0-9]{3})\b", re.ASCII)


def _answered(call: Call, status: str, text: str) -> AsyncSecretsError:
    """What a status means of what was asked."""
    if status == "NOT_FOUND" and call.operation == "CreateSecret":
        return call.error(ConfigError, "there is no such project, location or KMS key: check the source's settings")
    if status == "INVALID_ARGUMENT" and call.operation in _WITH_SETTINGS:
        return call.error(ConfigError, f"Google finds a parameter of {call.operation} invalid: {_SETTINGS}")
    if status == "UNIMPLEMENTED" and call.operation not in _EVERYWHERE and not text.startswith(_HTTP):
        return call.error(UnsupportedOperationError, f"the server does not have {call.operation}; is it Google's?")
    kind, says = _MEANINGS.get(status, (MalformedResponseError, _NONSENSE))
    return call.error(kind, says.format(call.operation, status), unknown=status not in _DECIDED)


_WITH_SETTINGS: Final = frozenset({"CreateSecret", "UpdateSecret"})
_SETTINGS: Final = "check replica_regions, kms_key_id, tags, annotations, ttl and version_destroy_ttl"
_EVERYWHERE: Final = frozenset({"AccessSecretVersion", "Decrypt"})
_NONSENSE: Final = "the answer is none of Google's ({1}); is google_endpoint right?"
_INVALID: Final = "Google finds the name, or another parameter of {0}, invalid"
_DOWN: Final = "Google cannot answer now ({1})"
_MEANINGS: Final[Mapping[str, tuple[type[AsyncSecretsError], str]]] = {
    "ABORTED": (UnavailableError, "Google was asked for two things at once that exclude each other"),
    "ALREADY_EXISTS": (ConflictError, "a secret of this name exists already"),
    "DEADLINE_EXCEEDED": (UnavailableError, "Google did not answer in time"),
    "FAILED_PRECONDITION": (ConflictError, "its state does not allow {0}, or it was changed meanwhile"),
    "INVALID_ARGUMENT": (InvalidNameError, _INVALID),
    "NOT_FOUND": (SecretNotFoundError, "there is no such secret or version"),
    "OUT_OF_RANGE": (InvalidNameError, _INVALID),
    **dict.fromkeys(("CANCELLED", "INTERNAL", "UNAVAILABLE", "UNKNOWN"), (UnavailableError, _DOWN)),
}
_DECIDED: Final = {"ABORTED", "ALREADY_EXISTS", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE"}
"""After these nothing was applied."""
