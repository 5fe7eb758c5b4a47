"""Applications of Entra ID, and workloads that are known as one: by a secret, a certificate or a federated token.

Each token is asked for by a credential of azure-identity's of its own, of what its files hold by then: so there is
nothing to close, and no cache that gives a token again which a vault has refused. What Entra ID refuses is told by the
number of its error (AADSTS…); what it says beside that goes no further.
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from azure.core.pipeline.policies import ContentDecodePolicy
from azure.identity import CertificateCredential, ClientAssertionCredential, ClientSecretCredential

from asyncsecrets.credential import revealed, shown_path, usable
from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ConfigError, RateLimitedError, UnavailableError
from asyncsecrets.kinds import Tidied
from asyncsecrets.providers.azure.answers import Answered, document_in, retry_after
from asyncsecrets.providers.azure.identities import Target
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.credential_files import read_credential_file
from asyncsecrets.providers.files import read_regular
from asyncsecrets.providers.wire import Answer, Wire

__all__ = ["WAYS", "Application", "is_given"]


class Application:
    """``way`` is the ``auth_method``. Raises ConfigError for settings that are missing for it."""

    def __init__(self, settings: AzureSettings, wire: Wire, way: str) -> None:
        setting, self._make = WAYS[way]
        missing = [name for name in (setting, "tenant_id", "client_id") if not getattr(settings, name)]
        if missing:
            needs = " and ".join(f"azure_{name} (AZURE_{name.upper()})" for name in missing)
            raise ConfigError(f"{wire.call.system}: who we are at Azure ({way}) needs {needs} too")
        self._settings = settings
        self._wire = wire

    def token(self, target: Target, claims: str) -> tuple[str, float]:
        """A token and its end. Raises AuthenticationError, ConfigError, UnavailableError, …; and what azure-identity
        and MSAL raise of answers that make no sense, and quote."""
        transport = _ToEntra(self._wire)
        options = {
            "tenant_id": self._tenant(target.tenant),
            "client_id": self._settings.client_id,
            "authority": self._settings.authority_host,
            "disable_instance_discovery": True,
            "transport": transport,
            "policies": [ContentDecodePolicy()],  # and none that sends again, follows redirects, traces or logs
        }
        try:
            found = self._make(self._settings, options).get_token(target.scope, claims=claims or None, enable_cae=True)
        except Exception:
            if transport.problem is None:
                raise
        else:
            return found.token, float(found.expires_on)
        raise transport.problem

    def _tenant(self, theirs: str) -> str:
        """Ours; or the vault's where it is allowed, as in azure-identity: no tenant but a named one gets secrets."""
        ours = self._settings.tenant_id
        if not theirs or theirs.lower() == ours.lower() or "." in ours:  # a domain cannot be compared with an id
            return ours
        allowed = Tidied(self._settings.variables()).get("AZURE_ADDITIONALLY_ALLOWED_TENANTS", "").split(";")
        if "*" in allowed or theirs in allowed:
            return theirs
        raise ConfigError(
            f"{self._wire.call.system}: the vault is in the tenant {theirs}, and azure_tenant_id (AZURE_TENANT_ID) is "
            f"{ours}: set the vault's, or name it in AZURE_ADDITIONALLY_ALLOWED_TENANTS if the application is in both"
        )


def _of_secret(settings: AzureSettings, options: dict[str, Any]) -> Any:
    return ClientSecretCredential(client_secret=revealed(settings.client_secret), **options)


def _of_certificate(settings: AzureSettings, options: dict[str, Any]) -> Any:
    chain = Tidied(settings.variables()).get("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "").lower() in {"1", "true"}
    options = {**options, "password": revealed(settings.client_certificate_password) or None}
    path = settings.client_certificate_path
    try:
        data = read_regular(Path(path))
        return CertificateCredential(certificate_data=data, send_certificate_chain=chain, **options)
    except (OSError, ValueError, TypeError, ConfigError):  # cryptography's, which may quote it
        pass
    raise ConfigError(
        f"the file {shown_path(path)} of azure_client_certificate_path (AZURE_CLIENT_CERTIFICATE_PATH) cannot be read, "
        "is not a certificate with its RSA key in PEM or PKCS#12, or azure_client_certificate_password "
        "(AZURE_CLIENT_CERTIFICATE_PASSWORD) is not that of its key"
    )


def _of_workload(settings: AzureSettings, options: dict[str, Any]) -> Any:
    path = settings.federated_token_file
    where = f"the file {shown_path(path)} of azure_federated_token_file (AZURE_FEDERATED_TOKEN_FILE)"
    token = usable(read_credential_file(path, where), where)
    return ClientAssertionCredential(func=lambda: token, **options)


WAYS: Final[dict[str, tuple[str, Callable[[AzureSettings, dict[str, Any]], Any]]]] = {
    "client_secret": ("client_secret", _of_secret),
    "client_certificate": ("client_certificate_path", _of_certificate),
    "workload_identity": ("federated_token_file", _of_workload),
}
"""By ``auth_method``: the setting that it takes, beside tenant and client, and what makes the credential."""


def is_given(settings: AzureSettings, way: str) -> bool:
    """Whether there is what an application proves itself by in that way.

    A federated token alone is none: AKS gives its file to every pod that asks, also to one without an application.
    """
    needed = [WAYS[way][0], *(("tenant_id", "client_id") if way == "workload_identity" else ())]
    return all(getattr(settings, name) for name in needed)


class _ToEntra:
    """Sends what a credential of azure-identity has prepared, over ``wire``. For a thread, and one token."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.problem: AsyncSecretsError | None = None
        """What a request has failed with; azure-identity tells the text of it, at most."""

    def send(self, request: Any, **_: Any) -> Answered:
        body = request.content
        sent = urlencode(body).encode() if isinstance(body, dict) else body
        try:
            answer = self._wire.send("azure_authority_host", request.url, request.method, dict(request.headers), sent)
        except AsyncSecretsError as error:
            self.problem = error
            raise
        if answer.status >= 400:
            self.problem = _refused(self._wire.call, answer)
        return Answered(answer)


def _refused(call: Call, answer: Answer) -> AsyncSecretsError:
    if answer.status == 429:
        wait = retry_after(answer.headers.get("Retry-After", ""))
        return call.error(RateLimitedError, "Entra ID throttles requests for tokens", retry_after=wait)
    if answer.status >= 500 or answer.status == 408:
        return call.error(UnavailableError, f"Entra ID cannot answer now (HTTP {answer.status})")
    numbers = document_in(answer.data).get("error_codes")
    number = numbers[0] if isinstance(numbers, list) and numbers and isinstance(numbers[0], int) else 0
    if number in _CONFIGURATION:
        return ConfigError(call.says(_CONFIGURATION[number]))
    shown = f"AADSTS{number}" if number else f"HTTP {answer.status}"
    return call.error(AuthenticationError, f"Entra ID gives no token ({shown}): {_CODES.get(number, _CHECK)}")


_CHECK: Final = "check the application, its tenant and its credentials; is azure_authority_host right?"
_FEDERATED: Final = (
    "no federated credential of the application fits the token in AZURE_FEDERATED_TOKEN_FILE: compare issuer, subject "
    "(system:serviceaccount:NAMESPACE:NAME) and audience"
)
_CODES: Final = {
    **dict.fromkeys((70021, 700211, 700212, 700213), _FEDERATED),
    700016: "azure_client_id (AZURE_CLIENT_ID) is no application of the tenant azure_tenant_id (AZURE_TENANT_ID)",
    700024: "the signed assertion has expired or is not valid yet: is this machine's clock right, and is the token in "
    "AZURE_FEDERATED_TOKEN_FILE renewed?",
    700027: "the certificate is not one of the application's: upload its public part to the app registration",
    7000215: "azure_client_secret (AZURE_CLIENT_SECRET) is wrong: it is the secret's value, not its id",
    7000222: "azure_client_secret (AZURE_CLIENT_SECRET) has expired: make another one for the application",
}
_TENANT: Final = "there is no such tenant at azure_authority_host: check azure_tenant_id (AZURE_TENANT_ID)"
_CONFIGURATION: Final = {
    90002: _TENANT,
    900023: _TENANT,
    500011: "the tenant knows no Azure Key Vault: is azure_tenant_id (AZURE_TENANT_ID) that of the vault?",
}
