"""The settings of a source at Google, checked when they are made. Nothing is read but the arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

from asyncsecrets.boundary import configured, configuring
from asyncsecrets.credential import Credential
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.fields import WithEnviron, fields_of
from asyncsecrets.providers.loopback import is_loopback

__all__ = ["PROJECT", "GoogleSettings"]

PROJECT: Final = re.compile(r"(?:[a-z0-9.-]{1,63}:)?[a-z0-9-]{1,63}", re.ASCII)  # example.com:a-project is of old times
_DOMAIN: Final = re.compile(r"[a-z0-9-]{1,60}(\.[a-z0-9-]{1,60}){1,5}", re.ASCII)


@configured
@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleSettings(WithEnviron):
    """Where Google is and who we are there; times in seconds.

    Credentials are those of ``credentials_file``, else Application Default Credentials in ``environ`` (see
    ``asyncsecrets.providers.google.credentials``), as ``impersonate`` where that is given; with ``auth_method`` "none"
    none are shown, which suits a server that stands in for Google. ``endpoint`` replaces Google's own address:
    ``HOST:PORT`` or ``https://HOST:PORT``; ``http://`` is for loopback, or with ``allow_insecure_http``.

    At Secret Manager names are those of ``project``, and of ``location`` for regional secrets. ``replica_regions``,
    ``kms_key_id``, ``tags`` (labels), ``annotations``, ``ttl`` and ``version_destroy_ttl`` go to secrets that are
    created. At KMS ``kms_key`` is the key and ``aad`` what the ciphertext is bound to.

    Raises ConfigError for what cannot work.
    """

    environ: Mapping[str, str] | Credential[Mapping[str, str]] = field(default_factory=dict, compare=False)
    credentials_file: str = ""
    auth_method: str = "adc"
    impersonate: str = ""
    quota_project: str = ""
    universe_domain: str = "googleapis.com"
    endpoint: str = ""
    ca_cert: str = ""
    allow_insecure_http: bool = False
    connect_timeout: float = 2.0
    attempt_timeout: float = 5.0
    max_connections: int = 100
    project: str = ""
    location: str = ""
    replica_regions: tuple[str, ...] = ()
    kms_key_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    ttl: float = 0.0
    version_destroy_ttl: float = 0.0
    kms_key: str = ""
    aad: str = ""

    def __post_init__(self) -> None:
        WithEnviron.__post_init__(self)  # a dataclass with slots is another class than its methods were made in
        object.__setattr__(self, "endpoint", self.endpoint.rstrip("/"))
        if self.endpoint:
            _check_endpoint(self.endpoint, insecure=self.allow_insecure_http)
        for key, (form, says) in _FORMS.items():
            found = getattr(self, key)
            if found and not form.fullmatch(found):
                raise ConfigError(f"{says}, not {found[:100]!a}")

    @classmethod
    @configuring
    def from_mapping(cls, system: str, settings: Mapping[str, Any], environ: Mapping[str, str]) -> Self:
        """Build from checked ``key_management_settings`` of ``system`` and an environment. Raises ConfigError."""
        return cls(environ=environ, **fields_of(system, settings, environ, _NAMES, "google_"))


_NAMES: Final = {
    "additional_authenticated_data": "aad",
    "google_application_credentials": "credentials_file",
    "google_impersonate_service_account": "impersonate",
    "google_kms_resource_name": "kms_key",
    "google_quota_project_id": "quota_project",
    "google_secret_manager_location": "location",
    "google_secret_manager_project_id": "project",
}


_ACCOUNT: Final = re.compile(r"[A-Za-z0-9._-]{1,100}@[A-Za-z0-9.-]{1,200}|[0-9]{1,30}", re.ASCII)
_LOCATION: Final = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_ID: Final = "is a project's id, such as shop-1234, or its number"
_FORMS: Final = {
    "impersonate": (_ACCOUNT, "google_impersonate_service_account is NAME@PROJECT.iam.gserviceaccount.com"),
    "location": (_LOCATION, "google_secret_manager_location is a location, such as europe-west3"),
    "project": (PROJECT, f"GOOGLE_SECRET_MANAGER_PROJECT_ID (or google_secret_manager_project_id) {_ID}"),
    "quota_project": (PROJECT, f"google_quota_project_id (or GOOGLE_CLOUD_QUOTA_PROJECT) {_ID}"),
    "universe_domain": (_DOMAIN, "google_universe_domain (or GOOGLE_CLOUD_UNIVERSE_DOMAIN) is a domain"),
}
"""What goes into headers and addresses, by its form."""

_HOST_PORT: Final = re.compile(
    r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?", re.ASCII
)


def _check_endpoint(endpoint: str, *, insecure: bool) -> None:
    scheme, _, host = endpoint.rpartition("://")
    if scheme not in {"", "http", "https"} or not _HOST_PORT.fullmatch(host):
        example = "secretmanager.europe-west3.rep.googleapis.com:443"
        raise ConfigError(f"google_endpoint must be HOST:PORT, such as {example}")
    if scheme == "http" and not insecure and not is_loopback(urlsplit(endpoint).hostname or ""):
        text = "is plain http to another machine: every secret would cross the network readable. Use https"
        raise ConfigError(f"google_endpoint {text}")
