"""Azure Key Vault, through Azure's own client for asyncio."""

from __future__ import annotations

from asyncsecrets.providers.quiet import without_collections

with without_collections():
    from asyncsecrets.providers.azure.key_vault import AzureKeyVaultProvider
    from asyncsecrets.providers.azure.settings import AzureSettings

__all__ = ["AzureKeyVaultProvider", "AzureSettings"]
