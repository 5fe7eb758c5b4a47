"""Reasons that Google gives for refusing who asks, each with its remedy, and which role has which permission.

Source: ``google.api.ErrorReason``, and the IAM pages of Secret Manager and Cloud KMS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from asyncsecrets.errors import AccessDeniedError, AsyncSecretsError, AuthenticationError, ConfigError

__all__ = ["REASONS", "allowing", "permission_of"]

_QUOTA: Final = "google_quota_project_id (GOOGLE_CLOUD_QUOTA_PROJECT)"

REASONS: Final[Mapping[type[AsyncSecretsError], Mapping[str, str]]] = {
    ConfigError: {
        "BILLING_DISABLED": "billing is not enabled for {project}: link a billing account to it",
        "CONSUMER_INVALID": f"there is no such project: check its id, and {_QUOTA}",
        "CONSUMER_SUSPENDED": "{project} is suspended: see its console",
        "SERVICE_DISABLED": "{service} is not enabled in {project}: `gcloud services enable {service}`, and wait some "
        f"minutes; or those of a user are counted to another project: set {_QUOTA}",
    },
    AuthenticationError: {
        "ACCESS_TOKEN_EXPIRED": "the access token has expired: is this machine's clock right?",
        "ACCOUNT_STATE_INVALID": "the account of the credentials is disabled or deleted: enable it, or use another",
        "CREDENTIALS_MISSING": "no credentials were shown: auth_method none is for what stands in for Google",
    },
    AccessDeniedError: {
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT": "the token lacks the scope cloud-platform: give the machine that scope",
        "SECURITY_POLICY_VIOLATED": "a perimeter of VPC Service Controls refuses: ask who keeps it",
        "USER_PROJECT_DENIED": "allow serviceusage.services.use (roles/serviceusage.serviceUsageConsumer) on the "
        f"project of {_QUOTA}",
    },
}
"""``service`` is the API that was asked, ``project`` the one that calls are counted to."""

_ROLES: Final = {
    "cloudkms.cryptoKeyVersions.useToDecrypt": "cloudkms.cryptoKeyDecrypter",
    "cloudkms.cryptoKeyVersions.useToEncrypt": "cloudkms.cryptoKeyEncrypter",
    "iam.serviceAccounts.getAccessToken": "iam.serviceAccountTokenCreator",
    "secretmanager.secrets.get": "secretmanager.viewer",
    "secretmanager.secrets.list": "secretmanager.viewer",
    "secretmanager.versions.access": "secretmanager.secretAccessor",
    "secretmanager.versions.add": "secretmanager.secretVersionAdder",
    "secretmanager.versions.destroy": "secretmanager.secretVersionManager",
    "secretmanager.versions.disable": "secretmanager.secretVersionManager",
    "secretmanager.versions.enable": "secretmanager.secretVersionManager",
    "secretmanager.versions.get": "secretmanager.viewer",
    "secretmanager.versions.list": "secretmanager.viewer",
}
_OPERATION: Final = re.compile(r"([A-Z][a-z]+)Secret(Version)?s?")


def permission_of(operation: str) -> str:
    """The permission that an operation needs: ``secretmanager.versions.access``."""
    found = _OPERATION.fullmatch(operation)
    if found is None:
        return f"cloudkms.cryptoKeyVersions.useTo{operation}"
    return f"secretmanager.{'versions' if found[2] else 'secrets'}.{found[1].lower()}"


def allowing(permission: str) -> str:
    """``allow <permission> (roles/<role that has it and little else>)``."""
    role = _ROLES.get(permission, "secretmanager.admin" if permission.startswith("secretmanager.") else "")
    return f"allow {permission} (roles/{role})" if role else f"allow {permission}"
