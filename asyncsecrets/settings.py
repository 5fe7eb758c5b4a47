"""The vocabulary of ``key_management_settings``: for every manager its keys, their types and environment variables.

It is data, so that a file is checked in full before anything is sent, also for a manager whose SDK is not installed. A
key is named like the environment variable that it stands for, in lower case and without ``HCP_``: the setting
``vault_addr`` is ``HCP_VAULT_ADDR``. Several variables are asked in the order given here; an empty one counts as unset.

Checked values stay text, lists of text and mappings of text; a boolean becomes the text ``true`` or ``false``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from asyncsecrets.errors import ConfigError
from asyncsecrets.references import parse

__all__ = ["COMMON", "SYSTEMS", "Kind", "Setting", "Value", "nearest", "vocabulary"]

Value = str | list[str] | dict[str, str]
"""A checked setting."""

_TRUE: Final = frozenset({"true", "yes", "on"})
_FALSE: Final = frozenset({"false", "no", "off"})
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_COUNT: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class Kind(Enum):
    """The type of a setting; the value says in errors what is expected."""

    TEXT = "a text"
    BOOL = "true or false"
    SECONDS = "a number of seconds more than 0, such as 3600 or 0.5"
    SECONDS_OR_ZERO = "a number of seconds, 0 or more, such as 3600 or 0.5"
    COUNT = "a whole number from 1"
    LIST = "a list of texts"
    NAMES = "a list of secret names"
    MAPPING = "a mapping of texts"
    CHOICE = "one of"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: its ``kind``, the environment variables that stand in for it, and the ``choices`` of a CHOICE."""

    kind: Kind = Kind.TEXT
    environ: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def check(self, value: object, where: str) -> Value:
        """Return ``value`` checked. Raises ConfigError with ``where`` and what is expected, never with the value."""
        checked = _CHECKS[self.kind](self, value)
        if checked is None:
            raise ConfigError(f"{where} must be {self._expected}")
        return checked

    def from_environ(self, environ: Mapping[str, str]) -> Value | None:
        """The checked value of the first variable that is set, or None. Raises ConfigError naming the variable."""
        variable = next((name for name in self.environ if environ.get(name)), None)
        return None if variable is None else self.check(environ[variable], f"the environment variable {variable}")

    @property
    def _expected(self) -> str:
        return self.kind.value + (f" {', '.join(self.choices)}" if self.choices else "")


def _text(_: Setting, value: object) -> Value | None:
    return value if isinstance(value, str) else None


def _bool(_: Setting, value: object) -> Value | None:
    word = value.lower() if isinstance(value, str) else ""
    return "true" if word in _TRUE else "false" if word in _FALSE else None


def _seconds(setting: Setting, value: object) -> Value | None:
    if not (isinstance(value, str) and _SECONDS.fullmatch(value)):
        return None
    return value if float(value) > 0 or setting.kind is Kind.SECONDS_OR_ZERO else None


def _count(_: Setting, value: object) -> Value | None:
    return value if isinstance(value, str) and _COUNT.fullmatch(value) and int(value) > 0 else None


def _list(_: Setting, value: object) -> Value | None:
    return value if isinstance(value, list) and all(item and isinstance(item, str) for item in value) else None


def _names(setting: Setting, value: object) -> Value | None:
    # A name that is written as a reference means the name: `hosted_keys: [os.environ/KEY]`.
    if not isinstance(value, list) or _list(setting, value) is None:
        return None
    references = [parse(name) for name in value]
    return [reference.name for reference in references] if all(one.is_plain for one in references) else None


def _mapping(_: Setting, value: object) -> Value | None:
    return value if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()) else None


def _choice(setting: Setting, value: object) -> Value | None:
    return value if isinstance(value, str) and value in setting.choices else None


_CHECKS: Final = {
    Kind.TEXT: _text,
    Kind.BOOL: _bool,
    Kind.SECONDS: _seconds,
    Kind.SECONDS_OR_ZERO: _seconds,
    Kind.COUNT: _count,
    Kind.LIST: _list,
    Kind.NAMES: _names,
    Kind.MAPPING: _mapping,
    Kind.CHOICE: _choice,
}


def vocabulary(system: str) -> Mapping[str, Setting]:
    """Every setting of ``system``, those that all managers have included."""
    return {**COMMON, **SYSTEMS.get(system, {})}


def nearest(word: str, words: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the word most like ``word``, or nothing where none is like it."""
    found = difflib.get_close_matches(word[:100].lower(), list(words), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _variables(*names: str) -> dict[str, Setting]:
    """Texts, each from the environment variable of its own name."""
    return {name: Setting(environ=(name.upper(),)) for name in names}


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
    "refresh_interval": Setting(Kind.SECONDS, (_REFRESH,)),
    "store_virtual_keys": Setting(Kind.BOOL),
}
"""What every source understands: routing, virtual keys and freshness."""

_AWS: Final = {
    **_variables("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
    "aws_endpoint_url": Setting(),
    "aws_external_id": Setting(),
    "aws_profile_name": Setting(),
    "aws_region_name": Setting(environ=("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")),
    "aws_role_name": Setting(),
    "aws_session_name": Setting(),
    "aws_sts_endpoint": Setting(),
    "aws_web_identity_token": Setting(),
    "kms_key_id": Setting(),
}

_VAULT: Final = {
    "refresh_interval": Setting(Kind.SECONDS, ("HCP_VAULT_REFRESH_INTERVAL", _REFRESH)),
    "vault_addr": Setting(environ=("HCP_VAULT_ADDR", "VAULT_ADDR")),
    "vault_approle_mount_path": Setting(environ=("HCP_VAULT_APPROLE_MOUNT_PATH",)),
    "vault_approle_role_id": Setting(environ=("HCP_VAULT_APPROLE_ROLE_ID",)),
    "vault_approle_secret_id": Setting(environ=("HCP_VAULT_APPROLE_SECRET_ID",)),
    "vault_auth_method": Setting(Kind.CHOICE, choices=("token", "cert", "approle", "kubernetes", "jwt")),
    "vault_cacert": Setting(environ=("HCP_VAULT_CACERT", "VAULT_CACERT")),
    "vault_cert_mount_path": Setting(environ=("HCP_VAULT_CERT_MOUNT_PATH",)),
    "vault_cert_role": Setting(environ=("HCP_VAULT_CERT_ROLE",)),
    "vault_client_cert": Setting(environ=("HCP_VAULT_CLIENT_CERT",)),
    "vault_client_key": Setting(environ=("HCP_VAULT_CLIENT_KEY",)),
    "vault_field": Setting(environ=("HCP_VAULT_FIELD",)),
    "vault_jwt": Setting(environ=("HCP_VAULT_JWT",)),
    "vault_jwt_file": Setting(environ=("HCP_VAULT_JWT_FILE",)),
    "vault_jwt_mount_path": Setting(environ=("HCP_VAULT_JWT_MOUNT_PATH",)),
    "vault_jwt_role": Setting(environ=("HCP_VAULT_JWT_ROLE",)),
    "vault_kubernetes_mount_path": Setting(environ=("HCP_VAULT_KUBERNETES_MOUNT_PATH",)),
    "vault_kubernetes_role": Setting(environ=("HCP_VAULT_KUBERNETES_ROLE",)),
    "vault_kubernetes_token_file": Setting(environ=("HCP_VAULT_KUBERNETES_TOKEN_FILE",)),
    "vault_kv_version": Setting(Kind.CHOICE, ("HCP_VAULT_KV_VERSION",), ("1", "2")),
    "vault_login_namespace": Setting(environ=("HCP_VAULT_LOGIN_NAMESPACE",)),
    "vault_mount_name": Setting(environ=("HCP_VAULT_MOUNT_NAME",)),
    "vault_namespace": Setting(environ=("HCP_VAULT_NAMESPACE", "VAULT_NAMESPACE")),
    "vault_path_prefix": Setting(environ=("HCP_VAULT_PATH_PREFIX",)),
    "vault_secret_namespace": Setting(environ=("HCP_VAULT_SECRET_NAMESPACE",)),
    "vault_token": Setting(environ=("HCP_VAULT_TOKEN", "VAULT_TOKEN")),
    "vault_token_file": Setting(environ=("HCP_VAULT_TOKEN_FILE",)),
}

SYSTEMS: Final[Mapping[str, Mapping[str, Setting]]] = {
    "aws_kms": {**_AWS, "encryption_context": Setting(Kind.MAPPING)},
    "aws_secret_manager": {
        **_AWS,
        "description": Setting(),
        "replica_regions": Setting(Kind.LIST),
        "tags": Setting(Kind.MAPPING),
    },
    "azure_key_vault": {
        **_variables("azure_client_id", "azure_client_secret", "azure_key_vault_uri", "azure_tenant_id"),
        "tags": Setting(Kind.MAPPING),
    },
    "custom": {"custom_secret_manager": Setting()},
    "env": {},
    "google_kms": _variables("google_application_credentials", "google_kms_resource_name"),
    "google_secret_manager": {
        **_variables("google_application_credentials", "google_secret_manager_project_id"),
        "always_read_secret_manager": Setting(Kind.BOOL, ("GOOGLE_SECRET_MANAGER_ALWAYS_READ_SECRET_MANAGER",)),
        "refresh_interval": Setting(Kind.SECONDS, ("GOOGLE_SECRET_MANAGER_REFRESH_INTERVAL", _REFRESH)),
        "tags": Setting(Kind.MAPPING),
    },
    "hashicorp_vault": _VAULT,
    "local": {
        "local_file": Setting(environ=("ASYNCSECRETS_FILE",)),
        "local_key": Setting(environ=("ASYNCSECRETS_KEY",)),
        "local_key_file": Setting(environ=("ASYNCSECRETS_KEY_FILE",)),
    },
    "memory": {"memory_values": Setting(Kind.MAPPING)},
}
"""What each manager understands on top of :data:`COMMON` (or differently from it)."""
