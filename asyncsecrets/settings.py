"""The vocabulary of ``key_management_settings``: for every manager its keys, their types and environment variables.

It is data, so that a file is checked in full before anything is sent, also for a manager whose SDK is not installed.
The environment variables of a setting stand in for it in the order given; an empty one, or one of blanks, counts as
unset. Providers apply them (which credentials win together is their knowledge), all but those of freshness.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from asyncsecrets.kinds import Kind, Setting

__all__ = [
    "COMMON",
    "FILES",
    "LITELLM",
    "SENT_FILES",
    "SYSTEMS",
    "nearest",
    "variables",
    "vocabulary",
]


def vocabulary(system: str) -> Mapping[str, Setting]:
    """Every setting of ``system``, those that all managers have included."""
    return {**COMMON, **SYSTEMS.get(system, {})}


def variables(system: str, key: str) -> frozenset[str]:
    """The environment variables that the setting ``key`` of ``system`` may be taken from by a file that nobody named.

    Those that stand in for it or are called like it, and what the manager's other tools call it; nothing else, also of
    the same manager: its token is not a part of a path, and the key that signs is never sent.
    """
    known = vocabulary(system).get(key)
    own = set(known.environ if known else ()) | set(_ALSO.get(key, ()))
    if own or (known is None and key.upper() in _TAKEN):
        return frozenset(own)
    return frozenset({key.upper()})


def nearest(word: str, words: Iterable[str]) -> str:
    """``, did you mean 'x'?`` for the word most like ``word``, or nothing where none is like it."""
    found = difflib.get_close_matches(word[:100].lower(), list(words), n=1)
    return f", did you mean {found[0]!r}?" if found else ""


def _variables(*names: str, credentials: bool = False) -> dict[str, Setting]:
    """Texts, each from the environment variable of its own name."""
    return {name: Setting(environ=(name.upper(),), credential=credentials) for name in names}


_REFRESH: Final = "SECRET_MANAGER_REFRESH_INTERVAL"

COMMON: Final[Mapping[str, Setting]] = {
    "access_mode": Setting(Kind.CHOICE, choices=("read_only", "write_only", "read_and_write")),
    "always_read_secret_manager": Setting(Kind.BOOL),
    "hosted_keys": Setting(Kind.NAMES),
    "max_entries": Setting(Kind.COUNT),
    "max_stale": Setting(Kind.SECONDS_OR_ZERO),
    "negative_ttl": Setting(Kind.SECONDS_OR_ZERO),
    "on_denied": Setting(Kind.CHOICE, choices=("keep", "evict")),
    "prefix_for_stored_virtual_keys": Setting(),
    "primary_secret_name": Setting(),
    "read_your_writes": Setting(Kind.SECONDS_OR_ZERO),
    "refresh_interval": Setting(Kind.SECONDS, (_REFRESH,)),
    "store_virtual_keys": Setting(Kind.BOOL),
}
"""What every source understands: routing, virtual keys and freshness."""

_AWS: Final = {
    **_variables("aws_access_key_id", "aws_secret_access_key", "aws_session_token", credentials=True),
    "allow_insecure_http": Setting(Kind.BOOL),
    "attempt_timeout": Setting(Kind.SECONDS),
    "aws_endpoint_url": Setting(),
    "aws_external_id": Setting(credential=True),
    "aws_profile_name": Setting(),
    "aws_region_name": Setting(environ=("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")),
    "aws_role_name": Setting(),
    "aws_session_name": Setting(),
    "aws_sts_endpoint": Setting(),
    "aws_web_identity_token": Setting(credential=True),
    "connect_timeout": Setting(Kind.SECONDS),
    "kms_key_id": Setting(),
    "max_connections": Setting(Kind.COUNT),
}


_GOOGLE: Final = {
    **_variables("google_application_credentials"),
    "allow_insecure_http": Setting(Kind.BOOL),
    "attempt_timeout": Setting(Kind.SECONDS),
    "auth_method": Setting(Kind.CHOICE, choices=("adc", "none")),
    "connect_timeout": Setting(Kind.SECONDS),
    "google_ca_cert": Setting(environ=("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",)),
    "google_endpoint": Setting(),
    "google_impersonate_service_account": Setting(),
    "google_quota_project_id": Setting(environ=("GOOGLE_CLOUD_QUOTA_PROJECT",)),
    "google_universe_domain": Setting(environ=("GOOGLE_CLOUD_UNIVERSE_DOMAIN",)),
    "max_connections": Setting(Kind.COUNT),
}

_AZURE_LOGINS: Final = (
    "default",
    "client_secret",
    "client_certificate",
    "workload_identity",
    "managed_identity",
    "cli",
)


def _vault(
    name: str, kind: Kind = Kind.TEXT, *, tools: str = "", choices: tuple[str, ...] = (), credential: bool = False
) -> Setting:
    """A setting of Vault, from its ``HCP_VAULT_`` variable, else from the one that every Vault tool reads."""
    variables = (f"HCP_VAULT_{name.upper()}", *([tools] if tools else []))
    return Setting(kind, variables, choices, credential=credential)


_VAULT_LOGINS: Final = ("token", "token_file", "approle", "cert", "kubernetes", "jwt", "none")

_VAULT: Final = {
    "addr": replace(_vault("addr"), environ=("HCP_VAULT_ADDR", "VAULT_AGENT_ADDR", "VAULT_ADDR")),
    "allow_insecure_http": _vault("allow_insecure_http", Kind.BOOL),
    "approle_mount_path": _vault("approle_mount_path"),
    "approle_role_id": _vault("approle_role_id", credential=True),
    "approle_secret_id": _vault("approle_secret_id", credential=True),
    "approle_secret_id_file": _vault("approle_secret_id_file"),
    "approle_secret_id_wrapped": _vault("approle_secret_id_wrapped", Kind.BOOL),
    "attempt_timeout": _vault("attempt_timeout", Kind.SECONDS),
    "auth_method": _vault("auth_method", Kind.CHOICE, choices=_VAULT_LOGINS),
    "ca_cert": _vault("ca_cert", tools="VAULT_CACERT"),
    "ca_path": _vault("ca_path", tools="VAULT_CAPATH"),
    "cert_mount_path": _vault("cert_mount_path"),
    "cert_role": _vault("cert_role"),
    "client_cert": _vault("client_cert", tools="VAULT_CLIENT_CERT"),
    "client_key": _vault("client_key", tools="VAULT_CLIENT_KEY"),
    "client_key_password": _vault("client_key_password", credential=True),
    "cluster_addrs": _vault("cluster_addrs", Kind.LIST),
    "connect_timeout": _vault("connect_timeout", Kind.SECONDS),
    "jwt_file": _vault("jwt_file"),
    "jwt_mount_path": _vault("jwt_mount_path"),
    "jwt_role": _vault("jwt_role"),
    "kubernetes_mount_path": _vault("kubernetes_mount_path"),
    "kubernetes_role": _vault("kubernetes_role"),
    "kubernetes_token_file": _vault("kubernetes_token_file"),
    "kv_version": _vault("kv_version", Kind.CHOICE, choices=("1", "2")),
    "login_namespace": _vault("login_namespace"),
    "max_connections": _vault("max_connections", Kind.COUNT),
    "mount_name": _vault("mount_name"),
    "namespace": _vault("namespace", tools="VAULT_NAMESPACE"),
    "path_prefix": _vault("path_prefix"),
    "proxy": _vault("proxy", credential=True),
    "refresh_interval": Setting(Kind.SECONDS, ("HCP_VAULT_REFRESH_INTERVAL", _REFRESH)),
    "renew_token": _vault("renew_token", Kind.BOOL),
    "revoke_on_close": _vault("revoke_on_close", Kind.BOOL),
    "secret_field": replace(_vault("secret_field"), may_be_empty=True),
    "secret_namespace": _vault("secret_namespace"),
    "tls_server_name": _vault("tls_server_name", tools="VAULT_TLS_SERVER_NAME"),
    "token": _vault("token", tools="VAULT_TOKEN", credential=True),
    "token_file": _vault("token_file"),
}

SYSTEMS: Final[Mapping[str, Mapping[str, Setting]]] = {
    "aws_kms": {**_AWS, "encryption_context": Setting(Kind.MAPPING)},
    "aws_secret_manager": {
        **_AWS,
        "description": Setting(),
        "force_delete": Setting(Kind.BOOL),
        "recover_deleted": Setting(Kind.BOOL),
        "recovery_window_days": Setting(Kind.COUNT),
        "replica_regions": Setting(Kind.LIST),
        "tags": Setting(Kind.MAPPING),
    },
    "azure_key_vault": {
        **_variables("azure_client_id", "azure_key_vault_uri", "azure_tenant_id"),
        **_variables("azure_authority_host", "azure_client_certificate_path", "azure_federated_token_file"),
        **_variables("azure_client_certificate_password", "azure_client_secret", credentials=True),
        "allow_insecure_http": Setting(Kind.BOOL),
        "attempt_timeout": Setting(Kind.SECONDS),
        "auth_method": Setting(Kind.CHOICE, choices=_AZURE_LOGINS),
        "azure_ca_cert": Setting(),
        "connect_timeout": Setting(Kind.SECONDS),
        "content_type": Setting(),
        "max_connections": Setting(Kind.COUNT),
        "recover_deleted": Setting(Kind.BOOL),
        "tags": Setting(Kind.MAPPING),
        "ttl": Setting(Kind.SECONDS),
        "valid_after": Setting(Kind.SECONDS),
    },
    "custom": {"custom_secret_manager": Setting()},
    "env": {},
    "google_kms": {
        **_GOOGLE,
        **_variables("google_kms_resource_name"),
        "additional_authenticated_data": Setting(),
    },
    "google_secret_manager": {
        **_GOOGLE,
        **_variables("google_secret_manager_location", "google_secret_manager_project_id"),
        "always_read_secret_manager": Setting(Kind.BOOL, ("GOOGLE_SECRET_MANAGER_ALWAYS_READ_SECRET_MANAGER",)),
        "annotations": Setting(Kind.MAPPING),
        "kms_key_id": Setting(),
        "refresh_interval": Setting(Kind.SECONDS, ("GOOGLE_SECRET_MANAGER_REFRESH_INTERVAL", _REFRESH)),
        "replica_regions": Setting(Kind.LIST),
        "tags": Setting(Kind.MAPPING),
        "ttl": Setting(Kind.SECONDS),
        "version_destroy_ttl": Setting(Kind.SECONDS),
    },
    "hashicorp_vault": _VAULT,
    "local": {
        "local_file": Setting(environ=("ASYNCSECRETS_FILE",)),
        "local_key": Setting(environ=("ASYNCSECRETS_KEY",), credential=True),
        "local_key_file": Setting(environ=("ASYNCSECRETS_KEY_FILE",)),
        "local_max_versions": Setting(Kind.COUNT),
    },
    "memory": {"secrets": Setting(Kind.MAPPING, credential=True)},
}
"""What each manager understands on top of ``COMMON`` (or differently from it)."""

_ALSO: Final[Mapping[str, tuple[str, ...]]] = {
    "aws_endpoint_url": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL_SECRETS_MANAGER"),
    "aws_profile_name": ("AWS_PROFILE_NAME", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
    "aws_role_name": ("AWS_ROLE_NAME", "AWS_ROLE_ARN"),
    "aws_session_name": ("AWS_SESSION_NAME", "AWS_ROLE_SESSION_NAME"),
    "aws_sts_endpoint": ("AWS_STS_ENDPOINT", "AWS_ENDPOINT_URL_STS"),
    "aws_web_identity_token": ("AWS_WEB_IDENTITY_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "cluster_addrs": ("HCP_VAULT_ADDR", "VAULT_ADDR"),
    "login_namespace": ("HCP_VAULT_NAMESPACE", "VAULT_NAMESPACE"),
    "proxy": ("VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"),
    "secret_namespace": ("HCP_VAULT_NAMESPACE", "VAULT_NAMESPACE"),
}
"""Variables that stand in for nothing here, and that a setting is rightly taken from: see ``variables``."""

SENT_FILES: Final = frozenset(
    {
        *("approle_secret_id_file", "aws_web_identity_token", "azure_federated_token_file", "jwt_file"),
        *("kubernetes_token_file", "token_file"),
    }
)
"""Settings that name a file whose content is sent to the manager. (A private key signs, and stays here.)"""

FILES: Final = SENT_FILES - {"aws_web_identity_token"} | {
    *("ca_cert", "ca_path", "client_cert", "client_key"),
    *("azure_ca_cert", "azure_client_certificate_path"),
    *("google_application_credentials", "local_file", "local_key_file"),
}
"""Settings that name a file, and nothing else."""

LITELLM: Final = frozenset(
    {
        *("aws_external_id", "aws_profile_name", "aws_region_name", "aws_role_name", "aws_session_name"),
        *("aws_sts_endpoint", "aws_web_identity_token", "custom_secret_manager", "description", "kms_key_id"),
        *("replica_regions", "tags"),
    }
)
"""Settings that LiteLLM takes under every manager, beside those that every manager has here (``COMMON``)."""

_TAKEN: Final = frozenset({key.upper() for words in SYSTEMS.values() for key in words}) | {
    variable for words in SYSTEMS.values() for setting in words.values() for variable in setting.environ
}
"""What the managers that are known here call their own: no setting of another's class is taken from it."""
