"""The table of auth methods."""

from __future__ import annotations

from typing import Final

from asyncsecrets.testing.vault_server.auth import AuthMethod
from asyncsecrets.testing.vault_server.auth_approle import AppRoleMethod
from asyncsecrets.testing.vault_server.auth_cert import CertificateMethod
from asyncsecrets.testing.vault_server.auth_jwt import JwtMethod
from asyncsecrets.testing.vault_server.auth_kubernetes import KubernetesMethod
from asyncsecrets.testing.vault_server.auth_token import TokenMethod

_METHODS: Final[tuple[type[AuthMethod], ...]] = (
    TokenMethod,
    AppRoleMethod,
    JwtMethod,
    KubernetesMethod,
    CertificateMethod,
)


def new_method(kind: str) -> AuthMethod | None:
    """A new auth method of this kind, or None if there is none here."""
    made = next((method for method in _METHODS if method.kind == kind), None)
    return made() if made else None
