"""Reasons that Google gives for refusing who asks, each with its remedy, and which role has which permission.

Source: ``google.api.ErrorReason``, and the IAM pages of Secret Manager and Cloud KMS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["AUTHENTICATION", "CONFIGURATION", "DENIED", "allowing", "permission_of"]

_GCLOUD: Final = "projects/764086051850"
"""That of gcloud's own OAuth client, which a user's credentials are counted to who have no project of their own."""
_SOME: Final = "the project that calls are counted to"
_QUOTA: Final = "google_quota_project_id (GOOGLE_CLOUD_QUOTA_PROJECT)"


def _disabled(service: str, consumer: str) -> str:
    if consumer == _GCLOUD:
        return f"a user's credentials need a project that their calls are counted to: set {_QUOTA}"
    project = f" --project={consumer.removeprefix('projects/')}" if consumer else ""
    return (
        f"{service} is not enabled in {consumer or _SOME}: `gcloud services enable {service}{project}`, and wait some "
        f"minutes; or those of a user are counted to another project: set {_QUOTA}"
    )


CONFIGURATION: Final[Mapping[str, Callable[[str, str], str]]] = {
    "SERVICE_DISABLED": _disabled,
    "BILLING_DISABLED": lambda _, consumer: (
        f"billing is not enabled for {consumer or _SOME}: link a billing account to it"
    ),
    "CONSUMER_INVALID": lambda _, consumer: (
        f"there is no such project{f' ({consumer})' if consumer else ''}: check its id, and {_QUOTA}"
    ),
    "CONSUMER_SUSPENDED": lambda _, consumer: f"{consumer or _SOME} is suspended: see its console",
}
"""From the service's host name and the project, where that is told, to what is to be done."""

_UNKNOWN: Final = "Google does not accept the credentials: have they expired, or been revoked?"
_ACCOUNT: Final = "the account of the credentials is disabled or deleted: enable it, or use another"
AUTHENTICATION: Final = {
    "": _UNKNOWN,
    "ACCESS_TOKEN_EXPIRED": "the access token has expired: is this machine's clock right?",
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": _UNKNOWN,
    "ACCOUNT_STATE_INVALID": _ACCOUNT,
    "CREDENTIALS_MISSING": "no credentials were shown: auth_method none is for what stands in for Google",
}

DENIED: Final = {
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": "the token lacks the scope cloud-platform: give the machine that access scope",
    "SECURITY_POLICY_VIOLATED": "a perimeter of VPC Service Controls refuses: ask who keeps it",
    "USER_PROJECT_DENIED": "allow serviceusage.services.use (roles/serviceusage.serviceUsageConsumer) on the project "
    f"of {_QUOTA}",
}

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
    "serviceusage.services.use": "serviceusage.serviceUsageConsumer",
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
