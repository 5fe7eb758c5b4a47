"""The one place where an answer of Vault, or a failure to get one, becomes one of our errors.

The cases come from 250 recorded exchanges with OpenBao and from HashiCorp's documentation where the two differ. Texts
of the server are matched, never repeated: an error message of ours holds no byte of a body or header.
"""

from __future__ import annotations

import errno
import json
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import aiohttp
from yarl import URL

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    InsecureTransportError,
    InvalidNameError,
    MalformedResponseError,
    NotFoundReason,
    ProviderError,
    RateLimitedError,
    SecretNotFoundError,
    TransientError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.vault.paths import SYSTEM

__all__ = ["MAX_BODY", "Answer", "Call", "Operation", "TooLargeError", "blames_token", "errors_in", "translate"]

MAX_BODY: Final = 8 * 1024 * 1024
"""The most bytes of an answer that are read. Vault's own limit for one secret is about 1 MiB, and its JSON writes each
``<``, ``>`` and ``&`` in six bytes."""

Operation = Literal[
    "read",
    "write",
    "patch",
    "delete",
    "delete versions",
    "list",
    "restore",
    "destroy",
    "metadata",
    "write metadata",
    "mount",
    "login",
]

_CAPABILITY: Final[dict[Operation, str]] = {
    "read": "read",
    "write": "create and update",
    "patch": "patch",
    "delete": "delete",
    "delete versions": "update",  # a POST, as those of restore and destroy are
    "list": "list",
    "restore": "update",
    "destroy": "update",
    "metadata": "read",
    "write metadata": "create and update",
    "mount": "read",
    "login": "update",
}
_READS: Final = frozenset({"read", "list", "metadata", "mount", "login"})


@dataclass(slots=True)  # not frozen: one is made per read, and freezing triples the cost of that
class Call:
    """One request, and what its errors need to know. ``cap``: the most bytes of an answer that are read.

    ``within``: the namespace of the login, whose policies spell the path without it.
    """

    operation: Operation
    method: str
    url: URL
    name: str | None = None
    body: bytes | None = field(default=None, repr=False)
    cap: int = MAX_BODY
    within: str = ""

    @property
    def writes(self) -> bool:
        """Whether it may have changed something at the server."""
        return self.operation not in _READS

    @property
    def path(self) -> str:
        """The path with the namespace that it begins with, if there is any."""
        path = self.url.path.partition("/v1/")[2]
        return f"{path}/" if self.operation == "list" else path

    @property
    def granted(self) -> str:
        """The path as the policy spells it that would allow the call, and where that policy is."""
        inner = self.path.removeprefix(f"{self.within}/") if self.within else self.path
        return repr(self.path) if inner == self.path else f"{inner!r} of namespace {self.within!r}"

    @property
    def server(self) -> str:
        """Host and port. There are never credentials in an address: the setting's grammar knows none."""
        host = self.url.host or ""
        return f"[{host}]:{self.url.port}" if ":" in host else f"{host}:{self.url.port}"

    @property
    def subject(self) -> str:
        return repr(self.name) if self.name is not None else f"{self.operation} {self.path!r}"


@dataclass(slots=True)
class Answer:
    """What came back: status, body bytes, Retry-After in seconds, and what the server's clock says (metadata only).

    ``token_is_good``: that the server knows the token which it refuses here.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None
    token_is_good: bool = False
    date: datetime | None = None


class TooLargeError(ValueError):
    """The body is over the cap; reading stopped and the connection is dropped."""


def translate(call: Call, fault: Answer | BaseException) -> AsyncSecretsError:
    """Return the error for an answer that is not success, or for the exception that came instead of one."""
    if not isinstance(fault, Answer):
        return _from_exception(call, fault)
    error = _from_answer(call, fault)
    if isinstance(error, TransientError) and fault.retry_after is not None:
        error.retry_after = fault.retry_after
    return error


def blames_token(answer: Answer) -> bool:
    """Whether a 403 says that the token itself is no good, which a new login can cure.

    OpenBao: ``permission denied`` alone is about the token, within ``1 error occurred`` it is about the policy.
    HashiCorp Vault adds ``invalid token`` to the former.
    """
    texts = errors_in(answer.body)
    if texts is None:
        return False
    return texts == ["permission denied"] or any("invalid token" in t or "bad token" in t for t in texts)


def errors_in(body: bytes) -> list[str] | None:
    """The texts of ``{"errors": [...]}``, or None if the body is anything else."""
    document = document_of(body)
    texts = document.get("errors") if document is not None else None
    return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else None


def document_of(body: bytes) -> dict[str, Any] | None:
    """The JSON object a body is, or None."""
    try:
        document = _decode(body.decode())
    except (ValueError, RecursionError):  # both quote the body
        return None
    return document if isinstance(document, dict) else None


def _refuse(_: str) -> Any:
    raise ValueError


_decode: Final = json.JSONDecoder(parse_constant=_refuse).decode


def _from_answer(call: Call, answer: Answer) -> AsyncSecretsError:
    status = answer.status
    if 300 <= status < 400:
        return _make(InsecureTransportError, _REDIRECTED, call)
    if status in _FIXED:
        return _make(*_FIXED[status], call)
    if status >= 500:
        return _server_fault(call, answer)
    judge = _BY_BODY.get(status)
    error = judge(call, answer) if judge is not None else None
    if error is not None:
        return error
    message = f"unexpected HTTP {status}; is addr really a Vault server?"
    # A success that is not Vault's may still be one: of a proxy that passed the write on.
    return _make(MalformedResponseError, message, call, outcome_unknown=call.writes and status < 300)


_REDIRECTED: Final = (
    "the server redirects elsewhere, which was not followed. If that is the cluster's active node, add it to "
    "cluster_addrs"
)
_STANDBY: Final = (UnavailableError, "this node is a standby and does not serve requests")
_FIXED: Final[dict[int, tuple[type[AsyncSecretsError], str]]] = {
    401: (AuthenticationError, "the server, or a proxy before it, wants other credentials (HTTP 401)"),
    405: (ConfigError, "the engine at this mount cannot do that: is it a KV mount? Check mount_name"),
    412: (UnavailableError, "this replica has not caught up with an earlier write yet (HTTP 412)"),
    413: (UnsupportedOperationError, "the value is larger than the server accepts"),
    472: _STANDBY,
    473: _STANDBY,
}


def _server_fault(call: Call, answer: Answer) -> AsyncSecretsError:
    texts = " ".join(errors_in(answer.body) or ())
    if "sealed" in texts:
        return _make(UnavailableError, "Vault is sealed; it answers again once unsealed", call)
    if call.operation == "login" and "missing role_id" in texts:
        return _make(AuthenticationError, "Vault refused the login: it has no role_id; check approle_role_id", call)
    message = f"Vault failed with HTTP {answer.status}; see its log"
    return _make(UnavailableError, message, call, outcome_unknown=call.writes)


def _bad_request(call: Call, answer: Answer) -> AsyncSecretsError | None:
    texts = errors_in(answer.body)
    text = " ".join(texts or ())
    if texts is None and b"HTTPS" in answer.body:
        return _make(InsecureTransportError, "addr is http, but the server speaks TLS there; use https", call)
    if "missing client token" in text:
        return _make(AuthenticationError, "no Vault token was sent; set HCP_VAULT_TOKEN or a login", call)
    if call.operation == "login" and "missing secret_id" in text:
        return _make(AuthenticationError, _ROLE_ID_ALONE, call)
    if call.operation == "login":
        return _make(AuthenticationError, "Vault refused the login: check the role and its credentials", call)
    if "check-and-set parameter did not match" in text:
        return _make(ConflictError, "it was changed since the version that cas names; read it again", call)
    if "check-and-set parameter required" in text:
        return _make(ConflictError, "its mount accepts writes with cas only; pass the current version as cas", call)
    if "Upgrading from non-versioned to versioned" in text:
        return _make(UnavailableError, "its mount is being upgraded to KV version 2, and answers again soon", call)
    if "relative paths not supported" in text or not answer.body:
        return _make(InvalidNameError, "the server does not accept the characters of this name", call)
    if texts:
        return _make(MalformedResponseError, "the server calls the request malformed (HTTP 400); see its log", call)
    return None


_ROLE_ID_ALONE: Final = (
    "Vault refused the login: the role wants a secret id, and none was sent; set approle_secret_id "
    "(HCP_VAULT_APPROLE_SECRET_ID) or approle_secret_id_file"
)


def _forbidden(call: Call, answer: Answer) -> AsyncSecretsError:
    if call.operation == "login":
        return _make(AuthenticationError, _LOGIN_REFUSED, call)
    if answer.token_is_good:
        return _make(AccessDeniedError, _REFUSED_ALL_THE_SAME, call)
    if blames_token(answer):
        return _make(AuthenticationError, "the Vault token is not valid: expired, revoked, or another server's", call)
    if errors_in(answer.body) is None:
        return _make(AccessDeniedError, "a 403 that is not Vault's: something between us and addr refuses", call)
    needed = f"the token's policy lacks the capability {_CAPABILITY[call.operation]!r} on path {call.granted}"
    return _make(AccessDeniedError, needed, call)


_REFUSED_ALL_THE_SAME: Final = (
    "the server knows the token, but refuses it here, and a new login did not help: check the namespaces, the policy, "
    "and the role's bound CIDRs"
)
_LOGIN_REFUSED: Final = (
    "Vault refused the login (HTTP 403): check the credentials, that the auth method is enabled at this mount path, "
    "and login_namespace"
)


def _not_found(call: Call, answer: Answer) -> AsyncSecretsError | None:
    document = document_of(answer.body)
    if document is None:
        if call.operation == "patch" and not answer.body:
            return _gone(call, "it does not exist", "absent")
        return _make(ConfigError, "a 404 that is not Vault's: check the host, port and path of addr", call)
    texts = document.get("errors")
    if texts == []:
        return _gone(call, "it does not exist", "absent")
    if isinstance(texts, list) and call.operation == "login":
        return _make(ConfigError, _NO_LOGIN_THERE, call)
    if isinstance(texts, list):
        hint = (
            "addr must not end in /v1" if call.path.startswith("v1/") else "check mount_name, namespace and kv_version"
        )
        message = f"no such mount or namespace for {call.path!r}: {hint}"
        return _make(ConfigError, message, call)
    return _unreadable_version(call, document)


_NO_LOGIN_THERE: Final = (
    "no such auth mount or namespace: check login_namespace, and the mount of the auth method (approle_mount_path, "
    "cert_mount_path, kubernetes_mount_path or jwt_mount_path)"
)


def _unreadable_version(call: Call, document: dict[str, Any]) -> AsyncSecretsError:
    data = document.get("data")
    # To a read the metadata lie beside the (absent) data; to a patch they are all there is.
    metadata = data.get("metadata", data) if isinstance(data, dict) else None
    if not isinstance(metadata, dict) or "version" not in metadata:
        return _make(ConfigError, "the mount is not of the KV version that was asked for: check kv_version", call)
    if metadata.get("destroyed") is True:
        return _gone(call, "this version is destroyed and cannot be restored", "destroyed")
    return _gone(call, "this version is deleted; restore() or `asyncsecrets restore NAME` brings it back", "deleted")


def _gone(call: Call, message: str, reason: NotFoundReason) -> AsyncSecretsError:
    text = f"{SYSTEM}: {call.subject}: {message}"
    return SecretNotFoundError(text, provider=SYSTEM, name=call.name, reason=reason)


def _throttled(call: Call, answer: Answer) -> AsyncSecretsError:
    text = f"{SYSTEM}: {call.subject}: a rate limit of the server is exceeded"
    return RateLimitedError(text, provider=SYSTEM, name=call.name, retry_after=answer.retry_after)


_BY_BODY: Final = {400: _bad_request, 403: _forbidden, 404: _not_found, 429: _throttled}


def _from_exception(call: Call, error: BaseException) -> AsyncSecretsError:
    server = call.server
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch) or _is_tls(error):
        return _make(InsecureTransportError, f"TLS to {server} failed{_tls_fault(error)}: {_TLS_REMEDY}", call)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return _make(UnavailableError, f"no connection to {server}: {_connection_fault(error)}", call)
    unknown = call.writes
    if isinstance(error, TimeoutError):
        message = f"{server} did not answer in time (attempt_timeout)"
        return _make(UnavailableError, message, call, outcome_unknown=unknown)
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        message = f"the connection to {server} broke before the answer"
        return _make(UnavailableError, message, call, outcome_unknown=unknown)
    message = f"the answer of {server} is not valid HTTP, or has a longer head than accepted"
    if isinstance(error, TooLargeError):
        message = f"the answer of {server} is longer than {call.cap:,} bytes"
    return _make(MalformedResponseError, message, call, outcome_unknown=unknown)


def _connection_fault(error: BaseException) -> str:
    """Why there is no connection. The exception's own text is not used: it is not ours to vouch for."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved (DNS); check addr"
    if isinstance(error, TimeoutError):
        return "nobody answered in time (connect_timeout); check addr, firewalls and the network"
    if getattr(error, "errno", None) == errno.ECONNREFUSED:
        return "it was refused; check that the server runs there, and the port of addr"
    return "the network does not lead there; check addr, routes and the network"


_TLS_REMEDY: Final = "check ca_cert, tls_server_name, the client certificate, and that addr is the right one"
_CERTIFICATE_FAULTS: Final = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "its CA is not trusted",
    20: "its CA is not trusted",
    21: "its CA is not trusted",
    62: "the certificate is for another host name",
    64: "the certificate is for another address",
}


_TLS_FAULTS: Final = {
    "WRONG_VERSION_NUMBER": "no TLS is spoken there",
    "HTTP_REQUEST": "no TLS is spoken there",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a client certificate",
}


def _tls_fault(error: BaseException) -> str:
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error.__cause__
    fault = _CERTIFICATE_FAULTS.get(getattr(cause, "verify_code", 0)) or _TLS_FAULTS.get(getattr(cause, "reason", ""))
    return f" ({fault})" if fault else ""


def _is_tls(error: BaseException) -> bool:
    # With TLS 1.3 a refused client certificate shows at the first read, as an OSError around OpenSSL's own.
    return isinstance(error, ssl.SSLError) or (
        isinstance(error, aiohttp.ClientOSError) and isinstance(error.__cause__, ssl.SSLError)
    )


def _make(
    kind: type[AsyncSecretsError], message: str, call: Call, *, outcome_unknown: bool = False
) -> AsyncSecretsError:
    text = f"{SYSTEM}: {call.subject}: {message}"
    if issubclass(kind, ProviderError):
        return kind(text, provider=SYSTEM, name=call.name, outcome_unknown=outcome_unknown)
    return kind(text)
