"""The one place where what azure.core, aiohttp and Azure say becomes an error of ours.

A vault's refusals are told apart by their status and code, and those of 403 by the code of their ``innererror``
(https://learn.microsoft.com/azure/key-vault/general/rest-error-codes). What it says beside them goes no further.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from azure.core.exceptions import AzureError, HttpResponseError

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    InsecureTransportError,
    InvalidNameError,
    MalformedResponseError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers import call as calling
from asyncsecrets.providers.azure.answers import Refusal
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.unanswered import Server, unanswered

__all__ = ["Call", "Meaning", "Refusal", "refusal_in", "translate"]


@dataclass(slots=True)
class Call(calling.Call):
    """One call of an operation of Key Vault, spelled as its REST API spells it (``GetSecret``)."""

    host: str = ""


Meaning = Callable[[Call, Refusal], AsyncSecretsError | None]
"""What a refusal means to an operation, where that is more than it always means; None otherwise."""


def refusal_in(failure: BaseException) -> Refusal | None:
    """What a vault has refused with, or None where it has not answered or has not refused."""
    response = failure.response if isinstance(failure, HttpResponseError) else None
    return Refusal.of(response) if response is not None and response.status_code >= 400 else None


def translate(
    call: Call, failure: BaseException, proxy: Proxy | None = None, meaning: Meaning | None = None
) -> AsyncSecretsError:
    """Return what ``failure`` means. Raise it outside the ``except`` block: the failure may hold secrets.

    ``proxy`` was to carry the request to the vault. ``meaning`` is asked of what is refused to nobody in particular.
    """
    if isinstance(failure, AsyncSecretsError):
        return failure
    refusal = refusal_in(failure)
    if refusal is not None:
        return _refused(call, refusal, meaning)
    if proxy is None and _is_unknown_host(failure):
        return ConfigError(call.says(f"there is no vault {call.host} (DNS): {_URI}, and this machine's DNS"))
    if isinstance(failure, ValueError) and "challenge" in str(failure):
        return call.error(InsecureTransportError, f"{call.host} wants a token for another service than a vault: {_URI}")
    error = unanswered(call, failure, Server("the vault", _TRUST, "azure_key_vault_uri and the network"), proxy)
    if error is None and isinstance(failure, AzureError) and not isinstance(failure, HttpResponseError):
        error = call.error(UnavailableError, f"the connection broke ({type(failure).__name__})", unknown=True)
    # What else there is, is a parser's complaint: it may quote the answer, so only its class is told.
    text = f"the answer makes no sense ({type(failure).__name__})"
    return error or call.error(MalformedResponseError, text, unknown=True)


_URI: Final = "check azure_key_vault_uri (AZURE_KEY_VAULT_URI)"
_TRUST: Final = "azure_ca_cert (or REQUESTS_CA_BUNDLE)"


def _is_unknown_host(failure: Any) -> bool:
    """Whether DNS says that there is no such name; where it says nothing, the network may be at fault."""
    found = failure.os_error if isinstance(failure, aiohttp.ClientConnectorDNSError) else None
    return isinstance(found, socket.gaierror) and found.errno in _NO_NAME


_NO_NAME: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def _refused(call: Call, refusal: Refusal, meaning: Meaning | None) -> AsyncSecretsError:
    error = _of_who_asks(call, refusal)
    if error is None and meaning is not None and refusal.is_azures:
        error = meaning(call, refusal)
    return error or _of_the_secret(call, refusal)


def _of_who_asks(call: Call, refusal: Refusal) -> AsyncSecretsError | None:
    """What is refused to who asks, whatever it was that was asked, or to everybody."""
    if refusal.status == 401:
        return call.error(AuthenticationError, _UNKNOWN if refusal.is_azures else _NO_VAULT)
    if refusal.status == 403 and not refusal.is_azures:
        return call.error(AccessDeniedError, _BARRED)
    if refusal.status == 403 and refusal.inner in _DENIED:
        return call.error(AccessDeniedError, _DENIED[refusal.inner](call))
    if refusal.status == 404 and refusal.code == "VaultNotFound":
        return ConfigError(call.says(f"there is no vault {call.host} where its name leads to: {_URI}, {_NO_ENDPOINT}"))
    if refusal.status == 429:
        error = call.error(RateLimitedError, f"the vault throttles {call.operation}: it has 4,000 calls in 10 seconds")
        error.retry_after = refusal.retry_after
        return error
    if refusal.status >= 500 or refusal.status == 408:
        text = f"the vault cannot answer now (HTTP {refusal.status})"
        return call.error(UnavailableError, text, unknown=True)
    return None


def _allow_policy(call: Call) -> str:
    return (
        f"the vault's access policy lacks the secret permission {_PERMISSIONS.get(call.operation, ('?',))[0]!r} for us"
    )


def _allow_role(call: Call) -> str:
    role = _PERMISSIONS.get(call.operation, ("", _OFFICER))[1]
    return f"the role {role!r} on the vault, or another with {call.operation}, is not assigned to us (or not yet)"


_READER: Final = "Key Vault Secrets User"
_OFFICER: Final = "Key Vault Secrets Officer"
_PERMISSIONS: Final = {
    "DeleteSecret": ("delete", _OFFICER),
    "GetDeletedSecret": ("get", _OFFICER),
    "GetDeletedSecrets": ("list", _OFFICER),
    "GetSecret": ("get", _READER),
    "GetSecretVersions": ("list", _READER),
    "GetSecrets": ("list", _READER),
    "PurgeDeletedSecret": ("purge", _OFFICER),  # the Purge Operator purges vaults, and no secrets
    "RecoverDeletedSecret": ("recover", _OFFICER),
    "SetSecret": ("set", _OFFICER),
    "UpdateSecret": ("set", _OFFICER),
}
"""The permission of an access policy, and the built-in role, that an operation needs."""

_FIREWALL: Final = (
    "the vault's firewall refuses this machine's address: allow it or its virtual network there, or come by a private "
    "endpoint"
)
_DENIED: Final[dict[str, Callable[[Call], str]]] = {
    "AccessDenied": _allow_policy,
    "ForbiddenByConnection": lambda _: _FIREWALL,
    "ForbiddenByFirewall": lambda _: _FIREWALL,
    "ForbiddenByPolicy": _allow_policy,
    "ForbiddenByRbac": _allow_role,
}
_UNKNOWN: Final = (
    "the vault does not accept the token: is azure_tenant_id (AZURE_TENANT_ID), or the tenant of the machine whose "
    "identity it is, that of the vault's subscription?"
)
_NO_ENDPOINT: Final = "and whether DNS leads to the vault's private endpoint, if it has one"
_NO_VAULT: Final = f"what answers asks for no token of Entra ID, as a vault does: {_URI}"
_BARRED: Final = f"a 403 that is not Azure's: something between us and the vault refuses; {_URI}, proxies and firewalls"


def _of_the_secret(call: Call, refusal: Refusal) -> AsyncSecretsError:
    """Refusals whose meaning depends on what was asked."""
    status, shown = refusal.status, refusal.inner or refusal.code or f"HTTP {refusal.status}"
    if not refusal.is_azures and status != 413:
        return call.error(MalformedResponseError, f"the answer is none of a vault ({shown}): {_URI}, and proxies")
    if status == 404:
        return call.error(SecretNotFoundError, "there is no such secret or version")
    if status == 409:
        return call.error(ConflictError, f"its state does not allow {call.operation} ({shown})")
    if status == 403:
        return call.error(AccessDeniedError, f"the vault refuses {call.operation} ({shown})")
    if status == 400:
        text = f"Azure finds the name, or another parameter of {call.operation}, invalid ({shown})"
        return call.error(InvalidNameError, text)
    if status == 413:
        return UnsupportedOperationError(call.says("the value is larger than the vault, or a proxy before it, accepts"))
    if status in {405, 501}:
        return UnsupportedOperationError(call.says(f"the vault does not have {call.operation} ({shown})"))
    return call.error(MalformedResponseError, f"the vault refuses in a way unknown here ({shown})", unknown=True)
