"""The one place where what gRPC, google-auth and Google say becomes an error of ours.

Google's errors are told apart by their status and, where there is one, the reason in their details
(``google.rpc.ErrorInfo``, https://google.aip.dev/193). Of what Google says, the names of permissions, services and
projects go into our messages, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    InsecureTransportError,
    InvalidNameError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers import call as calling
from asyncsecrets.providers.google.reasons import AUTHENTICATION, CONFIGURATION, DENIED, allowing, permission_of
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.tunnels import unconnected

__all__ = ["Call", "Meaning", "status_of", "translate"]


@dataclass(slots=True)
class Call(calling.Call):
    """One call of an operation of Google, spelled as Google spells it (``AccessSecretVersion``)."""

    api: str = ""
    """What the service is called where it is enabled."""


def status_of(failure: BaseException) -> str | None:
    """Google's status of a failure (``NOT_FOUND``), or None where nobody answered."""
    return failure.code().name if isinstance(failure, grpc.aio.AioRpcError) else None


def _text_of(failure: BaseException) -> str:
    """What Google said along with the status. It may name what no error of ours should."""
    return (failure.details() or "") if isinstance(failure, grpc.aio.AioRpcError) else ""


def _is_unconnected(failure: BaseException) -> bool:
    """Whether there was no connection that anything could be sent on."""
    return status_of(failure) == "UNAVAILABLE" and _UNCONNECTED.search(_text_of(failure)) is not None


Meaning = Callable[[Call, str, str], AsyncSecretsError | None]
"""What a status means of an operation, from the call, the status and Google's text, which must not be quoted; or None
for no more than it always means."""


def translate(
    call: Call, failure: BaseException, meaning: Meaning | None = None, proxy: Proxy | None = None
) -> AsyncSecretsError:
    """Return what ``failure`` means. Raise it outside the ``except`` block: the failure may hold secrets.

    ``meaning`` is asked of what is not refused to who asks, whatever that is; ``proxy`` was to carry the call.
    """
    if isinstance(failure, AsyncSecretsError):
        return failure
    status = status_of(failure)
    if status is None:
        return call.error(MalformedResponseError, f"the answer makes no sense ({type(failure).__name__})", unknown=True)
    said = _Said.of(failure)
    if proxy is not None and _is_unconnected(failure) and not _TLS.search(said.text):
        return _no_tunnel(call, said.text, proxy, failure)
    refused = _refused(call, status, said)
    if refused is None and meaning is not None:
        refused = meaning(call, status, said.text)
    return refused or _about_the_secret(call, status, said) or _unanswered(call, status, said)


@dataclass(frozen=True, slots=True)
class _Said:
    """What Google says beside a status, as far as it may be passed on."""

    text: str
    reason: str = ""
    permission: str = ""
    service: str = ""
    consumer: str = ""
    retry_after: float | None = None

    @classmethod
    def of(cls, failure: Any) -> _Said:
        text = _text_of(failure)
        found = _PERMISSION.search(text)
        parts: dict[str, Any] = {"permission": found[1]} if found else {}
        for detail in _details(failure):
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                info = error_details_pb2.ErrorInfo()
                detail.Unpack(info)
                told = {"reason": info.reason, **{key: info.metadata[key] for key in _TOKENS if key in info.metadata}}
                parts |= {key: word for key, word in told.items() if _TOKENS[key].fullmatch(word)}
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                retry = error_details_pb2.RetryInfo()
                detail.Unpack(retry)
                parts["retry_after"] = max(0.0, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9) or None
        return cls(text, **parts)


_PERMISSION: Final = re.compile(r"[Pp]ermission '([a-z]{1,40}\.[A-Za-z]{1,40}\.[A-Za-z]{1,40})'", re.ASCII)
_TOKENS: Final = {
    "reason": re.compile(r"[A-Z][A-Z0-9_]{0,62}", re.ASCII),
    "permission": re.compile(r"[a-z]{1,40}\.[A-Za-z]{1,40}\.[A-Za-z]{1,40}", re.ASCII),
    "service": re.compile(r"[a-z0-9-]{1,60}(\.[a-z0-9-]{1,60}){1,4}", re.ASCII),
    "consumer": re.compile(r"projects/[a-z0-9:.-]{1,80}", re.ASCII),
}


def _details(failure: Any) -> list[Any]:
    for key, value in failure.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                return list(status_pb2.Status.FromString(value).details)
            except (DecodeError, TypeError):
                return []
    return []


def _refused(call: Call, status: str, said: _Said) -> AsyncSecretsError | None:
    """What is refused to who asks, whatever it was that was asked."""
    if said.reason in CONFIGURATION:
        remedy = CONFIGURATION[said.reason](said.service or call.api, said.consumer)
        return ConfigError(call.says(remedy))
    if status == "UNAUTHENTICATED":
        return call.error(AuthenticationError, AUTHENTICATION.get(said.reason, AUTHENTICATION[""]))
    if status == "PERMISSION_DENIED":
        if said.text.startswith(_HTTP):
            return call.error(AccessDeniedError, _BARRED)
        permission = said.permission or permission_of(call.operation)
        return call.error(AccessDeniedError, DENIED.get(said.reason) or f"{allowing(permission)}; {_HIDDEN}")
    if status == "RESOURCE_EXHAUSTED":
        if _TOO_LARGE in said.text:
            return call.error(MalformedResponseError, "the answer is too large to be one of Google", unknown=True)
        error = call.error(RateLimitedError, f"a quota of {call.operation} is used up; ask for more if this goes on")
        error.retry_after = said.retry_after
        return error
    return None


_HTTP: Final = "Received http2 header with status"
_TOO_LARGE: Final = "larger than max"  # as gRPC itself says of what it does not take in
_HIDDEN: Final = "Google says the same of a project, or a secret or key in it, that does not exist"
_BARRED: Final = (
    "a 403 that is not Google's: something between us and Google refuses, or google_endpoint is not Google; check the "
    "endpoint, proxies and firewalls"
)


def _about_the_secret(call: Call, status: str, said: _Said) -> AsyncSecretsError | None:
    """Statuses whose meaning depends on what was asked."""
    if status == "NOT_FOUND" and call.operation == "CreateSecret":
        return ConfigError(call.says("there is no such project, location or KMS key: check the source's settings"))
    if status == "NOT_FOUND":
        return call.error(SecretNotFoundError, "there is no such secret or version")
    if status == "ALREADY_EXISTS":
        return call.error(ConflictError, "a secret of this name exists already")
    if status == "FAILED_PRECONDITION":
        return call.error(ConflictError, f"its state does not allow {call.operation}, or it was changed meanwhile")
    if status in {"INVALID_ARGUMENT", "OUT_OF_RANGE"}:
        if call.operation in _WITH_SETTINGS:
            return ConfigError(call.says(f"Google finds a parameter of {call.operation} invalid: {_SETTINGS}"))
        return call.error(InvalidNameError, f"Google finds the name, or another parameter of {call.operation}, invalid")
    if status == "UNIMPLEMENTED" and call.operation not in _EVERYWHERE and not said.text.startswith(_HTTP):
        return UnsupportedOperationError(call.says(f"the server does not have {call.operation}; is it Google's?"))
    return None


_WITH_SETTINGS: Final = frozenset({"CreateSecret", "UpdateSecret", "Encrypt"})
_SETTINGS: Final = "check replica_regions, kms_key_id, tags, annotations, ttl and version_destroy_ttl"
_EVERYWHERE: Final = frozenset({"AccessSecretVersion", "Decrypt"})


def _unanswered(call: Call, status: str, said: _Said) -> ProviderError:
    """What is no answer, or none that says anything. gRPC's own texts tell whether anything was sent."""
    if status == "ABORTED":
        return call.error(UnavailableError, "Google was asked for two things at once that exclude each other")
    if status == "DEADLINE_EXCEEDED":
        return call.error(UnavailableError, "Google did not answer in time", unknown=True)
    if status == "UNAVAILABLE" and _TLS.search(said.text):
        return call.error(InsecureTransportError, _tls_failed(said.text))
    if status == "UNAVAILABLE" and _DNS.search(said.text):
        return call.error(UnavailableError, "the name of Google's endpoint cannot be resolved (DNS): check the network")
    if status == "UNAVAILABLE" and _UNCONNECTED.search(said.text):
        return call.error(UnavailableError, "Google cannot be reached: check google_endpoint, location and the network")
    if status in {"UNAVAILABLE", "INTERNAL", "UNKNOWN", "CANCELLED"}:
        return call.error(UnavailableError, f"Google cannot answer now ({status})", unknown=True)
    return call.error(
        MalformedResponseError, f"the answer is none of Google's ({status}); is google_endpoint right?", unknown=True
    )


_DNS: Final = re.compile(r"^errors resolving |DNS resolution failed")
_UNCONNECTED: Final = re.compile(rf"^failed to connect|^connections to all backends failing|{_DNS.pattern}")
"""What gRPC itself says where it has sent nothing."""
_TLS: Final = re.compile("handshake failed|verification check failed", re.IGNORECASE)


def _tls_failed(text: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            "TLS to Google failed, its certificate is not trusted: check google_ca_cert "
            "(GRPC_DEFAULT_SSL_ROOTS_FILE_PATH) and this machine's clock, or does somebody open TLS? Then name its CA"
        )
    if "handshake" not in text:
        return "TLS to Google failed, its certificate is for another host name: check google_endpoint"
    return "TLS to Google failed: is TLS spoken at google_endpoint? (http:// in it speaks none)"


def _no_tunnel(call: Call, text: str, proxy: Proxy, failure: BaseException) -> AsyncSecretsError:
    found = _TUNNEL.search(text)
    fault = unconnected(proxy, "Google", int(found[1]) if found else None, failure)
    return fault.error(call.says(fault.text), provider=call.system, name=call.name)


_TUNNEL: Final = re.compile(r"HTTP proxy returned response code ([0-9]{3})\b", re.ASCII)
