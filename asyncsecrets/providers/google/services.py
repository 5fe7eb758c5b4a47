"""The two services that are spoken to: where they are, and Google's own transport for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["KMS", "SECRET_MANAGER", "Service"]


@dataclass(frozen=True, slots=True)
class Service:
    """One API. ``transport`` imports and returns the class of Google's client that speaks it over a channel."""

    name: str
    transport: Callable[[], Any]
    writes: frozenset[str] = frozenset()

    def host(self, universe: str, location: str = "") -> str:
        """Where it is; regional secrets are at an endpoint of their location."""
        return f"{self.name}.{location}.rep.{universe}" if location else f"{self.name}.{universe}"


def _secret_manager() -> Any:
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (  # noqa: PLC0415
        SecretManagerServiceGrpcAsyncIOTransport,
    )

    return SecretManagerServiceGrpcAsyncIOTransport


def _kms() -> Any:
    from google.cloud.kms_v1.services.key_management_service.transports import (  # noqa: PLC0415
        KeyManagementServiceGrpcAsyncIOTransport,
    )

    return KeyManagementServiceGrpcAsyncIOTransport


SECRET_MANAGER: Final = Service(
    "secretmanager",
    _secret_manager,
    frozenset(
        {
            "AddSecretVersion",
            "CreateSecret",
            "DeleteSecret",
            "DestroySecretVersion",
            "DisableSecretVersion",
            "EnableSecretVersion",
            "UpdateSecret",
        }
    ),
)
KMS: Final = Service("cloudkms", _kms)
