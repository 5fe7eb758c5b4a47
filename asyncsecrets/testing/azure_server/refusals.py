"""What the fake refuses with, in Azure's wording: Key Vault, Entra ID and the machine each have their own form."""

from __future__ import annotations

import time
import uuid
from typing import Any, Final

PAGE: Final = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
_CODES: Final = {
    400: "BadParameter", 401: "Unauthorized", 403: "Forbidden", 404: "SecretNotFound", 405: "MethodNotAllowed",
    409: "Conflict", 429: "Throttled", 503: "ServiceUnavailable",
}  # fmt: skip
_HELP: Final = "For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid="
_ABSENT: Final = (
    "A secret with (name/id) {} was not found in this key vault. If you recently deleted this secret you may be able "
    f"to recover it using the correct recovery command. {_HELP}2125182"
)
_TAKEN: Final = {
    "ObjectIsDeletedButRecoverable": "in a deleted but recoverable state, and its name cannot be reused; in this "
    "state, the secret can only be recovered or purged.",
    "ObjectIsBeingDeleted": "being deleted and cannot be re-created; retry later.",
    "ObjectIsBeingRecovered": "being recovered and cannot be re-created; retry later.",
}
_VERBS: Final = {
    "GetSecret": "get", "SetSecret": "set", "UpdateSecret": "set", "DeleteSecret": "delete", "GetDeletedSecret": "get",
    "RecoverDeletedSecret": "recover", "PurgeDeletedSecret": "purge",
}  # fmt: skip
_CALLER: Final = "\r\nCaller: appid={principal}\r\nVault: {vault};location=local\r\n"
_FORBIDDEN: Final = {
    "ForbiddenByFirewall": f"Client address is not authorized and caller is not a trusted service.{_CALLER}",
    "ForbiddenByRbac": "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny "
    "assignments or role definitions were changed recently, please observe propagation time.\r\n"
    f"Action: 'Microsoft.KeyVault/vaults/secrets/{{verb}}Secret/action'{_CALLER}",
    "ForbiddenByPolicy": "The user, group or application 'appid={principal}' does not have secrets {verb} permission "
    f"on key vault '{{vault}};location=local'. {_HELP}2125287",
}
_ENTRA: Final = {
    "50049": (400, "invalid_instance", "Unknown or invalid instance."),
    "70003": (400, "unsupported_grant_type", "The app requested an unsupported grant type '{}'."),
    "90002": (400, "invalid_request", "Tenant '{}' not found. Check to make sure you have the correct tenant ID."),
    "700016": (400, "unauthorized_client", "Application with identifier '{}' was not found in the directory."),
    "700024": (401, "invalid_client", "Client assertion is not within its valid time range."),
    "700027": (401, "invalid_client", "Client assertion contains an invalid signature. [The key was not found.]"),
    "7000215": (401, "invalid_client", "Invalid client secret provided. Ensure that it is the value, not the ID."),
    "7000218": (401, "invalid_client", "The request body must contain 'client_assertion' or 'client_secret'."),
    "7000222": (401, "invalid_client", "The provided client secret keys for app '{}' are expired."),
}  # fmt: skip


class Refused(Exception):  # noqa: N818 - what a server says, not what went wrong in it
    """A status, a code and a message. ``inner`` is Key Vault's innererror, or the number behind AADSTS; ``claims`` go
    into a challenge; ``page`` is an HTML page in place of all that."""

    def __init__(
        self, status: int, message: str = "", inner: str = "", *, code: str = "", claims: str = "", page: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.message, self.inner, self.claims, self.page = status, message, inner, claims, page
        self.code, self.headers = code or _CODES.get(status, "InternalServerError"), headers or {}

    def of_vault(self) -> dict[str, Any]:
        """As Key Vault writes it."""
        inner = {"innererror": {"code": self.inner}} if self.inner else {}
        return {"error": {"code": self.code, "message": self.message, **inner}}

    def of_entra(self) -> dict[str, Any]:
        """As Entra ID writes it."""
        trace, at = str(uuid.uuid4()), time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        told = f"AADSTS{self.inner}: {self.message} Trace ID: {trace} Correlation ID: {trace} Timestamp: {at}"
        facts = {"timestamp": at, "trace_id": trace, "correlation_id": trace}
        return {"error": self.code, "error_description": told, "error_codes": [int(self.inner or 0)], **facts}

    def of_machine(self) -> dict[str, Any]:
        """As IMDS, Arc and (the last two) App Service write it."""
        told = {"error": self.code, "error_description": self.message}
        return {**told, "statusCode": self.status, "message": self.message}


def absent(name: str) -> Refused:
    """There is no such secret, or version of it."""
    return Refused(404, _ABSENT.format(name))


def taken(state: str, name: str) -> Refused:
    """The name is that of a secret that is deleted, or in limbo."""
    return Refused(409, f"Secret {name} is currently {_TAKEN[state]}", state)


def forbidden(inner: str, principal: str, vault: str, operation: str) -> Refused:
    """Denied by a firewall, by a role that is missing, or by an access policy."""
    facts = {"principal": principal, "vault": vault, "verb": _VERBS.get(operation, "list")}
    return Refused(403, _FORBIDDEN[inner].format(**facts), inner)


def entra(number: str, about: str = "") -> Refused:
    """What Entra ID numbers so."""
    status, code, message = _ENTRA[number]
    return Refused(status, message.format(about), number, code=code)
