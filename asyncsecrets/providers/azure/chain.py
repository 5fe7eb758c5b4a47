"""Which identity it is, by ``auth_method`` and what there is in settings and environment."""

from __future__ import annotations

from typing import Final

from asyncsecrets.errors import AuthenticationError
from asyncsecrets.providers.azure.applications import WAYS, Application, is_given
from asyncsecrets.providers.azure.identities import Identity
from asyncsecrets.providers.azure.logins import Login
from asyncsecrets.providers.azure.machine import Machine
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.patience import Patience
from asyncsecrets.providers.wire import Wire

__all__ = ["TRUST", "find"]

TRUST: Final = "azure_ca_cert (or REQUESTS_CA_BUNDLE)"


def find(settings: AzureSettings, call: Call, patience: Patience) -> Identity:
    """Find it anew. Blocks, for about a second at most. Raises AuthenticationError, ConfigError."""
    way, wire = settings.auth_method, Wire.of(settings, call, TRUST)
    if way == "default":
        way = next((known for known in WAYS if is_given(settings, known)), way)
    if way in WAYS:
        return Application(settings, wire, way)
    machine = Machine(settings.client_id, wire, patience)
    login = Login(settings.variables(), settings.tenant_id, call)
    if way == "managed_identity" or (way == "default" and machine.is_there()):
        return machine
    if way == "cli" or login.is_there():
        return login
    raise call.error(AuthenticationError, _NONE)


_NONE: Final = (
    "there are no Azure credentials: set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, give the machine, "
    "app or pod an identity, or run `az login` (no identity endpoint answers, and no az, azd or pwsh is in PATH)"
)
