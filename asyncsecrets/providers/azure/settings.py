"""The settings of a source at Azure, checked when they are made. Nothing is read but the arguments."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from asyncsecrets.boundary import configured, configuring
from asyncsecrets.credential import BLANKS, Credential, conceal, concealed, revealed, usable
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.fields import WithEnviron, fields_of

__all__ = ["AzureSettings"]


@configured
@dataclass(frozen=True, slots=True, kw_only=True)
class AzureSettings(WithEnviron):
    """Which vault it is and who we are at Azure; times in seconds.

    ``vault_uri`` is ``https://NAME.vault.azure.net``, or that of another cloud. ``auth_method`` says by what we are
    known to Entra ID: ``client_secret`` and ``client_certificate`` (a file, PEM or PKCS#12) of the application
    ``client_id`` in the tenant ``tenant_id``, ``workload_identity`` by the token in ``federated_token_file``,
    ``managed_identity`` of the machine (``client_id``: one that was assigned to it), ``cli`` by the login of a
    developer; ``default`` takes the first of them that there is, in this order. ``authority_host`` is where tokens are
    asked for (default: that of the vault's cloud), ``ca_cert`` whom to trust.

    ``tags`` and ``content_type`` go to each version that is written, which is valid ``valid_after`` seconds later and
    expires after ``ttl``. With ``recover_deleted`` a deleted secret whose name is written is recovered, and gets a
    version. Blanks around a text do not matter. Credentials, and the environment, are given as they are and kept as
    ``Credential``. Raises ConfigError for what cannot work.
    """

    vault_uri: str
    environ: Mapping[str, str] | Credential[Mapping[str, str]] = field(default_factory=dict, compare=False)
    auth_method: str = "default"
    tenant_id: str = ""
    client_id: str = ""
    client_secret: str | Credential[str] = ""
    client_certificate_path: str = ""
    client_certificate_password: str | Credential[str] = ""
    federated_token_file: str = ""
    authority_host: str = ""
    ca_cert: str = ""
    allow_insecure_http: bool = False
    connect_timeout: float = 2.0
    attempt_timeout: float = 5.0
    max_connections: int = 100
    tags: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    ttl: float = 0.0
    valid_after: float = 0.0
    recover_deleted: bool = False

    def __post_init__(self) -> None:
        WithEnviron.__post_init__(self)  # a dataclass with slots is another class than its methods were made in
        conceal(self, "client_secret", "client_certificate_password")
        for name, value in self._tidied().items():
            object.__setattr__(self, name, value)
        for name in ("tenant_id", "client_id"):
            if not _ID.fullmatch(getattr(self, name)):
                raise ConfigError(f"azure_{name} must be an id such as 72f988bf-86f1-41af-91ab-2d7cd011db47")

    def _tidied(self) -> dict[str, object]:
        vault = _address(self.vault_uri, "azure_key_vault_uri", "https://NAME.vault.azure.net")
        authority = self.authority_host or _CLOUDS.get(vault.partition(".")[2], _AUTHORITY)
        secret = usable(revealed(self.client_secret), "azure_client_secret (AZURE_CLIENT_SECRET)")
        return {
            **{name: getattr(self, name).strip(BLANKS) for name in _TEXTS},
            "client_secret": concealed(secret),
            "vault_uri": vault,
            "authority_host": _address(authority, "azure_authority_host", _AUTHORITY),
        }

    def identity(self) -> Hashable:
        """What says who we are and how that is asked for. It does not show itself."""
        said = (getattr(self, each.name) for each in fields(self) if each.name not in _OF_THE_VAULT)
        return (*said, Credential(tuple(sorted(self.variables().items()))))

    @classmethod
    @configuring
    def from_mapping(cls, system: str, settings: Mapping[str, Any], environ: Mapping[str, str]) -> Self:
        """Build from checked ``key_management_settings`` of ``system`` and an environment. Raises ConfigError."""
        found = fields_of(system, settings, environ, _NAMES, "azure_")
        return cls(environ=environ, **{"vault_uri": "", **found})


_NAMES: Final = {"azure_key_vault_uri": "vault_uri"}
_TEXTS: Final = ("tenant_id", "client_id", "client_certificate_path", "federated_token_file", "ca_cert")
_OF_THE_VAULT: Final = frozenset(
    {"vault_uri", "environ", "max_connections", "tags", "content_type", "ttl", "valid_after", "recover_deleted"}
)
"""What sources with one identity may differ in."""

_ID: Final = re.compile(r"[A-Za-z0-9.-]{0,253}", re.ASCII)
_ADDRESS: Final = re.compile(r"(?:https://)?([a-z0-9][a-z0-9.-]{0,252}(?::[0-9]{1,5})?)/*", re.ASCII)
_AUTHORITY: Final = "https://login.microsoftonline.com"
_CLOUDS: Final = {
    "vault.azure.cn": "https://login.chinacloudapi.cn",
    "vault.usgovcloudapi.net": "https://login.microsoftonline.us",
}
"""Where tokens are asked for in other clouds, by the domain of their vaults."""


def _address(text: str, where: str, example: str) -> str:
    """``https://host[:port]``, in lower case and without slashes at its end."""
    found = _ADDRESS.fullmatch(text.strip(BLANKS).lower())
    if found is None:
        missing = f"{where} ({where.upper()}) is missing: it" if not text.strip(BLANKS) else where
        raise ConfigError(f"{missing} must be an address such as {example}: https, and nothing behind the host")
    return f"https://{found[1]}"
