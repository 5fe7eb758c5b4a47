"""The one place where what aiohttp, azure.core and a vault say becomes an error of ours.

A vault's refusals are told apart by their status and code, and those of 403 by the code of their ``innererror``
(https://learn.microsoft.com/azure/key-vault/general/rest-error-codes). What it says beside them goes no further.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

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
)
from asyncsecrets.providers import call as calling
from asyncsecrets.providers.azure.answers import Refusal
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.unanswered import Server, unanswered

__all__ = ["Call", "refused", "translate"]


Meaning = Callable[["Call", Refusal], AsyncSecretsError | None]
"""What a vault's refusal means to an operation, where that is more than it always means; None otherwise."""


@dataclass(slots=True)  # not frozen: each read makes one
class Call(calling.Call):
    """One call of an operation of Key Vault, spelled as its REST API spells it (``GetSecret``), of the vault at
    ``host``.

    ``take`` makes the answer of the object that the vault answers with; ``unless`` has it instead where the vault
    refuses by such a code, or an inner one. ``meaning`` is asked what another refusal means.
    """

    host: str = ""
    take: Callable[[Any], Any] = dict
    unless: Mapping[str, Any] | None = None
    meaning: Meaning | None = None

    @property
    def permission(self) -> str:
        """What an access policy has to allow."""
        return "list" if self.operation.endswith("s") else re.split("(?=[A-Z])", self.operation)[1].lower()

    @property
    def role(self) -> str:
        """A built-in role that allows it. The Purge Operator purges vaults, and no secrets."""
        return "Key Vault Secrets User" if self.operation.startswith("GetSecret") else "Key Vault Secrets Officer"


def translate(call: Call, failure: BaseException, proxy: Proxy | None = None) -> AsyncSecretsError:
    """What ``failure`` means. Raise it outside the ``except`` block: the failure may hold secrets.

    ``proxy`` was to carry the request to the vault.
    """
    if isinstance(failure, AsyncSecretsError):
        return failure
    if proxy is None and _is_unknown_host(failure):
        return call.error(ConfigError, f"there is no vault {call.host} (DNS): {_URI}, and this machine's DNS")
    if isinstance(failure, ValueError) and "challenge" in str(failure):
        return call.error(InsecureTransportError, f"{call.host} wants a token for another service than a vault: {_URI}")
    error = unanswered(call, failure, _SERVER, proxy)
    # What else there is, is a parser's complaint: it may quote the answer, so only its class is told.
    text = f"the answer makes no sense ({type(failure).__name__})"
    return error or call.error(MalformedResponseError, text)


_URI: Final = "check azure_key_vault_uri (AZURE_KEY_VAULT_URI)"
_SERVER: Final = Server("the vault", "azure_ca_cert (or REQUESTS_CA_BUNDLE)", "azure_key_vault_uri and the network")


def _is_unknown_host(failure: Any) -> bool:
    """Whether DNS says that there is no such name; where it says nothing, the network may be at fault."""
    found = failure.os_error if isinstance(failure, aiohttp.ClientConnectorDNSError) else None
    return isinstance(found, socket.gaierror) and found.errno in _NO_NAME


_NO_NAME: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def refused(call: Call, refusal: Refusal) -> AsyncSecretsError:
    """What it means that a vault refuses, or something before it."""
    status = refusal.status
    if status == 429:
        text = f"the vault throttles {call.operation}: it has 4,000 calls in 10 seconds"
        return call.error(RateLimitedError, text, retry_after=refusal.retry_after)
    if status >= 500 or status == 408:
        return call.error(UnavailableError, f"the vault cannot answer now (HTTP {status})", unknown=True)
    if refusal.code and call.meaning is not None and (meant := call.meaning(call, refusal)) is not None:
        return meant
    meanings: Mapping[object, _Said] = _OF_A_VAULT if refusal.code else _OF_OTHERS
    kind, text = meanings[next((key for key in (refusal.inner, refusal.code, status) if key in meanings), None)]
    return call.error(kind, text.format(call=call, shown=refusal.inner or refusal.code or f"HTTP {status}"))


_POLICY: Final = "the vault's access policy lacks the secret permission {call.permission!r} for us"
_FIREWALL: Final = (
    "the vault's firewall refuses this machine's address: allow it or its virtual network there, or come by a private "
    "endpoint"
)
_ROLE: Final = (
    "the role {call.role!r} on the vault, or another with {call.operation}, is not assigned to us (or not yet)"
)
_UNKNOWN: Final = (
    "the vault does not accept the token: is azure_tenant_id (AZURE_TENANT_ID), or the tenant of the machine whose "
    "identity it is, that of the vault's subscription?"
)
_NO_VAULT: Final = (
    f"there is no vault {{call.host}} where its name leads to: {_URI}, and whether DNS leads to the vault's private "
    "endpoint, if it has one"
)
_Said = tuple[type[AsyncSecretsError], str]
_OF_A_VAULT: Final[Mapping[object, _Said]] = {
    "AccessDenied": (AccessDeniedError, _POLICY),
    "ForbiddenByConnection": (AccessDeniedError, _FIREWALL),
    "ForbiddenByFirewall": (AccessDeniedError, _FIREWALL),
    "ForbiddenByPolicy": (AccessDeniedError, _POLICY),
    "ForbiddenByRbac": (AccessDeniedError, _ROLE),
    "VaultNotFound": (ConfigError, _NO_VAULT),
    400: (InvalidNameError, "Azure finds the name, or another parameter of {call.operation}, invalid ({shown})"),
    401: (AuthenticationError, _UNKNOWN),
    403: (AccessDeniedError, "the vault refuses {call.operation} ({shown})"),
    404: (SecretNotFoundError, "there is no such secret or version"),
    409: (ConflictError, "its state does not allow {call.operation} ({shown})"),
    None: (MalformedResponseError, "the vault refuses in a way unknown here ({shown})"),
}
"""By the inner code, the code or the status of what a vault refuses."""

_OF_OTHERS: Final[Mapping[object, _Said]] = {
    401: (AuthenticationError, f"what answers asks for no token of Entra ID, as a vault does: {_URI}"),
    403: (
        AccessDeniedError,
        f"a 403 that is not Azure's: something between us and the vault refuses; {_URI}, proxies and firewalls",
    ),
    None: (MalformedResponseError, f"the answer is none of a vault ({{shown}}): {_URI}, and proxies"),
}
"""By its status: a refusal of something that is no vault."""
