"""Applications of Entra ID, and workloads that are known as one: by a secret, a certificate or a federated token.

Each token is asked for by a credential of azure-identity's of its own, of what its files hold by then: so there is
nothing to close, and no cache that gives a token again which a vault has refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from azure.core.pipeline.policies import ContentDecodePolicy
from azure.identity import CertificateCredential, ClientAssertionCredential, ClientSecretCredential

from asyncsecrets.credential import revealed, shown_path, usable
from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ConfigError
from asyncsecrets.providers.azure.grants import NOT_OBTAINED
from asyncsecrets.providers.azure.identities import Target
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.providers.azure.transport import ToEntra
from asyncsecrets.providers.credential_files import read_credential_file
from asyncsecrets.providers.files import read_regular
from asyncsecrets.providers.wire import Wire
from asyncsecrets.settings import Tidied

__all__ = ["WAYS", "Application", "is_given"]


class Application:
    """``way`` is the ``auth_method``. Raises ConfigError for settings that are missing for it."""

    ahead = 15 * 60.0

    def __init__(self, settings: AzureSettings, wire: Wire, way: str) -> None:
        setting, self._make = WAYS[way]
        missing = [name for name in (setting, "tenant_id", "client_id") if not getattr(settings, name)]
        if missing:
            needs = " and ".join(f"azure_{name} (AZURE_{name.upper()})" for name in missing)
            raise ConfigError(f"{wire.call.system}: who we are at Azure ({way}) needs {needs} too")
        self._settings = settings
        self._wire = wire

    def token(self, target: Target, claims: str) -> tuple[str, float]:
        """A token and its end. Raises AuthenticationError, ConfigError, UnavailableError, …"""
        transport = ToEntra(self._wire)
        options = {
            "tenant_id": self._tenant(target),
            "client_id": self._settings.client_id,
            "authority": self._settings.authority_host,
            "disable_instance_discovery": True,
            "transport": transport,
            "policies": [ContentDecodePolicy()],  # and none that sends again, follows redirects, traces or logs
        }
        problem: AsyncSecretsError
        try:
            with self._make(self._settings, options) as credential:
                found = credential.get_token(target.scope, claims=claims or None, enable_cae=True)
                return found.token, float(found.expires_on)
        except AsyncSecretsError as ours:
            problem = ours
        except Exception as failure:  # noqa: BLE001  # azure-identity's and MSAL's: they quote what was answered
            why = f"{NOT_OBTAINED}: what was answered makes no sense ({type(failure).__name__})"
            problem = self._wire.call.error(AuthenticationError, why)
        raise transport.problem or problem

    def _tenant(self, target: Target) -> str:
        """Ours; or the vault's where it is allowed, as in azure-identity: no tenant but a named one gets secrets."""
        ours, theirs = self._settings.tenant_id, target.tenant
        allowed = Tidied(self._settings.variables()).get("AZURE_ADDITIONALLY_ALLOWED_TENANTS", "").split(";")
        if not theirs or theirs.lower() == ours.lower() or "." in ours or ours.lower() == "adfs":
            return ours
        if "*" in allowed or theirs in allowed:
            return theirs
        raise ConfigError(
            f"{self._wire.call.system}: the vault is in the tenant {theirs}, and azure_tenant_id (AZURE_TENANT_ID) is "
            f"{ours}: set the vault's, or name it in AZURE_ADDITIONALLY_ALLOWED_TENANTS if the application is in both"
        )


def _of_secret(settings: AzureSettings, options: dict[str, Any]) -> Any:
    return ClientSecretCredential(client_secret=revealed(settings.client_secret), **options)


def _of_certificate(settings: AzureSettings, options: dict[str, Any]) -> Any:
    path, password = settings.client_certificate_path, revealed(settings.client_certificate_password) or None
    chain = Tidied(settings.variables()).get("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "").lower() in {"1", "true"}
    where = f"the file {shown_path(path)} of azure_client_certificate_path (AZURE_CLIENT_CERTIFICATE_PATH)"
    try:
        data = read_regular(Path(path))
    except (OSError, ValueError, ConfigError):
        problem = "cannot be read: check that it exists and that this process may read it"
    else:
        try:
            return CertificateCredential(
                certificate_data=data, password=password, send_certificate_chain=chain, **options
            )
        except (ValueError, TypeError):  # cryptography's, which may quote it
            problem = (
                "is not a certificate with its RSA key in PEM or PKCS#12, or azure_client_certificate_password "
                "(AZURE_CLIENT_CERTIFICATE_PASSWORD) is not that of its key"
            )
    raise ConfigError(f"{where} {problem}")


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
