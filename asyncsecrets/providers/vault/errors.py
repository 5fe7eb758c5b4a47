"""The one place where an answer of Vault, or a failure to get one, becomes one of our errors.

The cases come from 250 recorded exchanges with OpenBao and from HashiCorp's documentation where the two differ. Texts
of the server are matched, never repeated: an error message of ours holds no byte of a body or header.

A write that was refused was not applied. Where that is certain, because the answer is one that is given before anything
is done, the error does not say that its outcome is unknown.
"""

from __future__ import annotations

from typing import Any, Final

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
    RateLimitedError,
    SecretNotFoundError,
    TransientError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.vault.calls import (
    CAPABILITY,
    MAX_BODY,
    Answer,
    Call,
    Operation,
    TooLargeError,
    document_of,
    errors_in,
    make,
)
from asyncsecrets.providers.vault.facts import told_of
from asyncsecrets.providers.vault.failures import from_exception
from asyncsecrets.providers.vault.paths import SYSTEM
from asyncsecrets.providers.vault.routes import Route

__all__ = [
    "MAX_BODY",
    "Answer",
    "Call",
    "Operation",
    "TooLargeError",
    "blames_token",
    "cannot_serve",
    "document_of",
    "errors_in",
    "may_be_applied",
    "translate",
]


def translate(call: Call, fault: Answer | BaseException, route: Route | None = None) -> AsyncSecretsError:
    """Return the error for an answer that is not success, or for the exception that came instead of one.

    ``route`` is how the request travelled.
    """
    if not isinstance(fault, Answer):
        return from_exception(call, fault, route or Route(call.server))
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


def _from_answer(call: Call, answer: Answer) -> AsyncSecretsError:
    status = answer.status
    if 300 <= status < 400:
        # A standby that did not get the active node's answer to what it forwarded redirects, too: `forwardRequest` in
        # OpenBao's http/handler.go.
        return make(*_REDIRECTED[answer.standby], call, outcome_unknown=call.writes and answer.standby)
    if status in _FIXED:
        return make(*_FIXED[status], call)
    if status >= 500:
        return _server_fault(call, answer)
    judge = _BY_BODY.get(status)
    error = judge(call, answer) if judge is not None else None
    if error is not None:
        return error
    message = f"unexpected HTTP {status}; is addr really a Vault server?"
    # A success that is not Vault's may still be one: of a proxy that passed the write on.
    return make(MalformedResponseError, message, call, outcome_unknown=call.writes and status < 300)


# A standby redirects to the node that it takes for the active one, which changes while the cluster chooses a new one.
_UNLISTED: Final = (
    "the server is a standby and redirects to another node, which was not followed: that node is not in cluster_addrs, "
    "or redirects itself. Add the https address of every node of the cluster to cluster_addrs"
)
_ELSEWHERE: Final = (
    "the server redirects elsewhere, which was not followed. If that is the cluster's active node, add it to "
    "cluster_addrs"
)
_REDIRECTED: Final[dict[bool, tuple[type[AsyncSecretsError], str]]] = {
    True: (UnavailableError, _UNLISTED),
    False: (InsecureTransportError, _ELSEWHERE),
}
_TOO_LARGE: Final = "the value is larger than the server accepts, or has more members"
_NO_ACTIVE: Final = "the cluster has no active node at the moment; it answers again once it has chosen one"
_STANDBY: Final = (UnavailableError, "this node is a standby and does not serve requests")
_FIXED: Final[dict[int, tuple[type[AsyncSecretsError], str]]] = {
    401: (AuthenticationError, "the server, or a proxy before it, wants other credentials (HTTP 401)"),
    405: (ConfigError, "the engine at this mount cannot do that: is it a KV mount? Check mount_name"),
    408: (UnavailableError, "the server did not get the whole request in time (HTTP 408)"),
    412: (UnavailableError, "this replica has not caught up with an earlier write yet (HTTP 412)"),
    413: (UnsupportedOperationError, _TOO_LARGE),
    414: (InvalidNameError, "the name is longer than the server, or a proxy before it, accepts"),
    425: (UnavailableError, "the server takes no request so early in a connection (HTTP 425)"),
    431: (ConfigError, "the token or namespace is longer than the server, or a proxy before it, accepts (HTTP 431)"),
    472: _STANDBY,
    473: _STANDBY,
}


_LOCKED: Final = "an administrator has locked the namespace; it answers again once unlocked"
# What the server says with a status of 500 or 503 although it has done nothing: where in its code it says that, nothing
# was begun. Everything else may have come in the middle.
_UNDONE: Final = {
    "is sealed": (UnavailableError, "Vault is sealed; it answers again once unsealed"),
    "not initialized": (UnavailableError, "Vault is not initialized; it answers once that is done and it is unsealed"),
    "in standby mode": _STANDBY,
    "node is not active": _STANDBY,
    "active cluster node not found": (UnavailableError, _NO_ACTIVE),
    "active node not found": (UnavailableError, _NO_ACTIVE),
    "locked by an administrator": (UnavailableError, _LOCKED),
    "locked namespace": (UnavailableError, _LOCKED),
    "key being too large": (InvalidNameError, "the name is longer than the server's storage accepts"),
    "value being too large": (UnsupportedOperationError, _TOO_LARGE),
    "request body too large": (UnsupportedOperationError, _TOO_LARGE),
}
# A standby says it as well when the active node, to which it has forwarded a request, is gone before it has answered.
_LOST_ACTIVE: Final = "no active Vault instance"
# Of these, what another node of the cluster may answer otherwise.
_OF_ONE_NODE: Final = (
    "Vault is sealed",
    "not initialized",
    "in standby mode",
    "node is not active",
    "active cluster node not found",
    "active node not found",
)


def cannot_serve(answer: Answer, *, forwarded: bool) -> bool:
    """Whether a node says that it cannot serve, has changed nothing, and another node may be able to.

    ``forwarded``: that it may have handed a write on before.
    """
    if answer.status in {472, 473}:
        return True
    texts = " ".join(errors_in(answer.body) or ()) if answer.status in {500, 501, 503} else ""
    return any(text in texts for text in _OF_ONE_NODE) or (_LOST_ACTIVE in texts and not forwarded)


def may_be_applied(answer: Answer) -> bool:
    """Whether a refusal leaves open what became of the same write if it was made before."""
    return answer.status >= 500 or "check-and-set" in " ".join(errors_in(answer.body) or ())


def _server_fault(call: Call, answer: Answer) -> AsyncSecretsError:
    texts = " ".join(errors_in(answer.body) or ())
    undone = next((error for text, error in _UNDONE.items() if text in texts), None)
    if undone is not None:
        return make(*undone, call)
    if answer.status == 501 and call.operation not in {"read", "login"}:
        return make(UnsupportedOperationError, "the server does not have this call (HTTP 501); is it a stand-in?", call)
    refused = next((why for part, why in _BROKEN_LOGINS.items() if part in texts), None)
    if call.operation == "login" and refused is not None:
        return make(AuthenticationError, f"Vault refused the login: {refused}", call)
    message = _NO_ACTIVE if _LOST_ACTIVE in texts else f"Vault failed with HTTP {answer.status}; see its log"
    return make(UnavailableError, message, call, outcome_unknown=call.writes)


def _bad_request(call: Call, answer: Answer) -> AsyncSecretsError | None:
    texts = errors_in(answer.body)
    text = " ".join(texts or ())
    if texts is None and b"HTTPS" in answer.body:
        return make(InsecureTransportError, "addr is http, but the server speaks TLS there; use https", call)
    if "missing client token" in text:
        return make(AuthenticationError, _NOBODY, call)
    if call.operation == "login":
        refused = next((why for part, why in _LOGINS.items() if part in text), _REFUSED_LOGIN)
        return make(AuthenticationError, refused, call)
    known = next((error for part, error in _BAD_REQUESTS.items() if part in text), None)
    if known is not None:
        return make(*known, call)
    if call.writes and ("too large" in text or "exceed" in text):
        return make(UnsupportedOperationError, _TOO_LARGE, call)
    if not answer.body:
        return make(*_CHARACTERS, call)
    if texts:
        return make(MalformedResponseError, "the server calls the request malformed (HTTP 400); see its log", call)
    return None


_NOBODY: Final = (
    "no Vault token was sent: set HCP_VAULT_TOKEN or a login; a Vault Agent or Proxy at addr needs use_auto_auth_token"
)
# What the server calls its own fault, and is that of who logs in.
_BROKEN_LOGINS: Final = {
    "missing role_id": "it has no role_id; check approle_role_id",
    "client's certificate: x509: certificate has expired or is not yet valid": (
        "the client certificate has expired or is not valid yet; replace it (client_cert), or set the clocks right"
    ),
    "client's certificate": "it cannot verify the client certificate; check client_cert, and cert_role",
}
_LOGINS: Final = {
    "missing secret_id": (
        "Vault refused the login: the role wants a secret id, and none was sent; set approle_secret_id "
        "(HCP_VAULT_APPROLE_SECRET_ID) or approle_secret_id_file"
    ),
    "certificate": (
        "Vault refused the login: it does not accept the client certificate; check that it has not expired, that a "
        "role trusts its CA, and cert_role"
    ),
}
_REFUSED_LOGIN: Final = "Vault refused the login: check the role and its credentials"
_CHARACTERS: Final = (InvalidNameError, "the server does not accept the characters of this name")
_BAD_REQUESTS: Final[dict[str, tuple[type[AsyncSecretsError], str]]] = {
    "check-and-set parameter did not match": (
        ConflictError,
        "it was changed since the version that cas names; read it again",
    ),
    "check-and-set parameter required": (
        ConflictError,
        "its mount accepts writes with cas only; pass the current version as cas",
    ),
    "from non-versioned to versioned": (
        UnavailableError,
        "its mount is being upgraded to KV version 2, and answers again soon",
    ),
    "relative paths not supported": _CHARACTERS,
    "parent references": _CHARACTERS,
}


def _forbidden(call: Call, answer: Answer) -> AsyncSecretsError:
    if call.operation == "login":
        return make(AuthenticationError, _LOGIN_REFUSED, call)
    if answer.token_is_good:
        return make(AccessDeniedError, _REFUSED_ALL_THE_SAME, call)
    if blames_token(answer):
        return make(AuthenticationError, "the Vault token is not valid: expired, revoked, or another server's", call)
    if errors_in(answer.body) is None:
        return make(AccessDeniedError, "a 403 that is not Vault's: something between us and addr refuses", call)
    needed = f"the token's policy lacks the capability {CAPABILITY[call.operation]!r} on path {call.granted}"
    return make(AccessDeniedError, needed, call)


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
        return make(ConfigError, "a 404 that is not Vault's: check the host, port and path of addr", call)
    texts = document.get("errors")
    if texts == []:
        return _gone(call, "it does not exist", "absent")
    if isinstance(texts, list) and call.operation == "login":
        return make(ConfigError, _NO_LOGIN_THERE, call)
    if isinstance(texts, list):
        hint = (
            "addr must not end in /v1" if call.path.startswith("v1/") else "check mount_name, namespace and kv_version"
        )
        message = f"no such mount or namespace for {call.path!r}: {hint}"
        return make(ConfigError, message, call)
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
        return make(ConfigError, "the mount is not of the KV version that was asked for: check kv_version", call)
    if metadata.get("destroyed") is True:
        return _gone(call, "this version is destroyed and cannot be restored", "destroyed", metadata)
    message = "this version is deleted; restore() or `asyncsecrets restore NAME` brings it back"
    return _gone(call, message, "deleted", metadata)


def _gone(call: Call, message: str, reason: NotFoundReason, of: dict[str, Any] | None = None) -> AsyncSecretsError:
    text = f"{SYSTEM}: {call.subject}: {message}"
    return SecretNotFoundError(text, provider=SYSTEM, name=call.name, reason=reason, **told_of(of or {}))


def _throttled(call: Call, answer: Answer) -> AsyncSecretsError:
    text = f"{SYSTEM}: {call.subject}: a rate limit of the server is exceeded"
    return RateLimitedError(text, provider=SYSTEM, name=call.name, retry_after=answer.retry_after)


_BY_BODY: Final = {400: _bad_request, 403: _forbidden, 404: _not_found, 429: _throttled}
