"""What it means that Entra ID gives no token, by the numbers of its errors (AADSTS…).

https://learn.microsoft.com/entra/identity-platform/reference-error-codes. What it says beside them goes no further.
"""

from __future__ import annotations

from typing import Final

from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ConfigError, RateLimitedError, UnavailableError
from asyncsecrets.providers.azure.answers import document_in, retry_after
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.wire import Answer

__all__ = ["NOT_OBTAINED", "refused"]

NOT_OBTAINED: Final = "Entra ID gives no token"

_FEDERATED: Final = (
    "no federated credential of the application fits the token in AZURE_FEDERATED_TOKEN_FILE: compare issuer, subject "
    "(system:serviceaccount:NAMESPACE:NAME) and audience"
)
_CODES: Final = {
    50034: "there is no such user in the tenant",
    50057: "the user is disabled",
    53003: "a policy of Conditional Access refuses: ask who keeps it",
    70021: _FEDERATED,
    700016: "azure_client_id (AZURE_CLIENT_ID) is no application of the tenant azure_tenant_id (AZURE_TENANT_ID)",
    700024: "the signed assertion has expired or is not valid yet: is this machine's clock right, and is the token in "
    "AZURE_FEDERATED_TOKEN_FILE renewed?",
    700027: "the certificate is not one of the application's: upload its public part to the app registration",
    700211: _FEDERATED,
    700212: _FEDERATED,
    700213: _FEDERATED,
    7000112: "the application azure_client_id (AZURE_CLIENT_ID) is disabled in the tenant",
    7000215: "azure_client_secret (AZURE_CLIENT_SECRET) is wrong: it is the secret's value, not its id",
    7000222: "azure_client_secret (AZURE_CLIENT_SECRET) has expired: make another one for the application",
}
_TENANT: Final = "there is no such tenant at azure_authority_host: check azure_tenant_id (AZURE_TENANT_ID)"
_CONFIGURATION: Final = {
    90002: _TENANT,
    900023: _TENANT,
    500011: "the tenant knows no Azure Key Vault: is azure_tenant_id (AZURE_TENANT_ID) that of the vault?",
}


def refused(call: Call, answer: Answer) -> AsyncSecretsError:
    """What an answer of Entra ID that is no success means."""
    if answer.status == 429:
        error = call.error(RateLimitedError, "Entra ID throttles requests for tokens")
        error.retry_after = retry_after(answer.headers.get("Retry-After", ""))
        return error
    if answer.status >= 500 or answer.status == 408:
        return call.error(UnavailableError, f"Entra ID cannot answer now (HTTP {answer.status})")
    number = _number_in(answer.data)
    if number in _CONFIGURATION:
        return ConfigError(call.says(_CONFIGURATION[number]))
    shown = f" (AADSTS{number})" if number else f" (HTTP {answer.status})"
    why = _CODES.get(number, "check the application, its tenant and its credentials; is azure_authority_host right?")
    return call.error(AuthenticationError, f"{NOT_OBTAINED}{shown}: {why}")


def _number_in(body: bytes) -> int:
    numbers = document_in(body).get("error_codes")
    first = numbers[0] if isinstance(numbers, list) and numbers else 0
    return first if isinstance(first, int) and 0 < first < 10**9 else 0
