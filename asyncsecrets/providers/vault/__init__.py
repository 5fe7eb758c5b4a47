"""HashiCorp Vault and OpenBao, spoken to over aiohttp without an SDK."""

from __future__ import annotations

from asyncsecrets.providers.vault.provider import VaultProvider
from asyncsecrets.providers.vault.settings import VaultSettings

__all__ = ["VaultProvider", "VaultSettings"]
