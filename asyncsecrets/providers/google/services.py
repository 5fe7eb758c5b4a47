"""The two services that are spoken to: where they are, and what Google's own client of each is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

__all__ = ["KMS", "SECRET_MANAGER", "Service", "attribute_of"]

_WORD_START: Final = re.compile(r"(?<!^)(?=[A-Z])")


@cache
def attribute_of(name: str) -> str:
    """What Google's clients call an operation, or a service, in Python: ``access_secret_version``."""
    return _WORD_START.sub("_", name).lower()


@dataclass(frozen=True, slots=True)
class Service:
    """One API: its ``name`` as a host has it, the ``package`` of Google's client, and what it is called in there."""

    name: str
    package: str
    called: str

    def host(self, universe: str, location: str = "") -> str:
        """Where it is; regional secrets are at an endpoint of their location."""
        return f"{self.name}.{location}.rep.{universe}" if location else f"{self.name}.{universe}"

    def transport(self) -> Any:
        """The class of Google's client that speaks it over a channel. Imports a lot: in a thread, the first time."""
        transports = import_module(f"{self.package}.services.{attribute_of(self.called)}.transports")
        return getattr(transports, f"{self.called}GrpcAsyncIOTransport")

    def request(self, operation: str, fields: Mapping[str, Any]) -> Any:
        """The message that asks for ``operation`` (``AccessSecretVersion``)."""
        kind = _message(self.package, operation)
        if fields.keys() != {"name"}:
            return kind(fields)
        request = kind()
        kind.pb(request).name = fields["name"]  # as the constructor, in less than half of its time
        return request


@cache
def _message(package: str, operation: str) -> Any:
    return getattr(import_module(package), f"{operation}Request")


SECRET_MANAGER: Final = Service("secretmanager", "google.cloud.secretmanager_v1", "SecretManagerService")
KMS: Final = Service("cloudkms", "google.cloud.kms_v1", "KeyManagementService")
