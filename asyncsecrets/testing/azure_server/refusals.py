"""What the fake refuses with, in Azure's wording: Key Vault, Entra ID and the machine each have their own form."""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

PAGE: Final = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
_CODES: Final = {
    400: "BadParameter", 401: "Unauthorized", 403: "Forbidden", 404: "SecretNotFound", 409: "Conflict",
    429: "Throttled", 500: "InternalServerError", 503: "ServiceUnavailable",
}  # fmt: skip
_HELP: Final = "For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid="
_FORBIDDEN: Final = {
    "ForbiddenByFirewall": "Client address is not authorized and caller is not a trusted service.\r\n"
    "Client address: 127.0.0.1\r\nCaller: appid={principal}\r\nVault: {vault};location=local",
    "ForbiddenByRbac": "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny "
    "assignments or role definitions were changed recently, please observe propagation time.\r\n"
    "Caller: appid={principal}\r\nAction: '{action}'\r\nAssignment: (not found)\r\nVault: {vault};location=local\r\n",
}
_VERBS: Final = {
    "GetSecret": ("get", "getSecret/action"),
    "SetSecret": ("set", "setSecret/action"),
    "UpdateSecret": ("set", "setSecret/action"),
    "DeleteSecret": ("delete", "delete"),
    "GetDeletedSecret": ("get", "readMetadata/action"),
    "RecoverDeletedSecret": ("recover", "recover/action"),
    "PurgeDeletedSecret": ("purge", "purge/action"),
}
_BY_POLICY: Final = (
    "The user, group or application 'appid={principal}' does not have secrets {verb} permission on key vault "
    f"'{{vault}};location=local'. {_HELP}2125287"
)


class Refused(Exception):  # noqa: N818 - what a server says, not what went wrong in it
    """A status, a code and a message; ``inner`` is Key Vault's innererror, ``page`` an HTML page in their place."""

    def __init__(
        self,
        status: int,
        code: str = "",
        message: str = "The service refused.",
        inner: str = "",
        *,
        headers: dict[str, str] | None = None,
        page: bool = False,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.inner, self.page = status, message, inner, page
        self.code, self.headers = code or _CODES.get(status, "InternalServerError"), headers or {}

    def of_vault(self) -> dict[str, Any]:
        """As Key Vault writes it."""
        inner = {"innererror": {"code": self.inner}} if self.inner else {}
        return {"error": {"code": self.code, "message": self.message, **inner}}

    def of_entra(self) -> dict[str, Any]:
        """As Entra ID writes it: ``inner`` is the number behind AADSTS."""
        trace, at = secrets.token_hex(16), time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        told = f"AADSTS{self.inner}: {self.message} Trace ID: {trace} Correlation ID: {trace} Timestamp: {at}"
        numbers = [int(self.inner)] if self.inner else []
        return {
            "error": self.code, "error_description": told if numbers else self.message, "error_codes": numbers,
            "timestamp": at, "trace_id": trace, "correlation_id": trace,
        }  # fmt: skip

    def of_machine(self) -> dict[str, Any]:
        """As the endpoints of managed identity write it."""
        told = {"error": self.code, "error_description": self.message}
        return {**told, "statusCode": self.status, "message": self.message}


def absent(name: str) -> Refused:
    """There is no such secret, or version of it."""
    message = (
        f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may "
        f"be able to recover it using the correct recovery command. {_HELP}2125182"
    )
    return Refused(404, message=message)


def conflict(inner: str, name: str) -> Refused:
    """The name is taken by a secret that is deleted, or in limbo."""
    states = {
        "ObjectIsDeletedButRecoverable": "in a deleted but recoverable state, and its name cannot be reused; in this "
        "state, the secret can only be recovered or purged.",
        "ObjectIsBeingDeleted": "being deleted and cannot be re-created; retry later.",
        "ObjectIsBeingRecovered": "being recovered and cannot be re-created; retry later.",
    }
    return Refused(409, message=f"Secret {name} is currently {states[inner]}", inner=inner)


def forbidden(inner: str, principal: str, vault: str, operation: str) -> Refused:
    """Denied by a firewall, by a role that is missing, or (anything else) by an access policy."""
    verb, action = _VERBS.get(operation, ("list", "readMetadata/action"))
    message = _FORBIDDEN.get(inner, _BY_POLICY).format(
        principal=principal, vault=vault, verb=verb, action=f"Microsoft.KeyVault/vaults/secrets/{action}"
    )
    return Refused(403, message=message, inner=inner)
