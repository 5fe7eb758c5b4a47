"""Google Secret Manager and Google Cloud KMS, through Google's own clients for asyncio."""

from __future__ import annotations

from asyncsecrets.providers.quiet import without_collections

with without_collections():
    from asyncsecrets.providers.google.kms import GoogleKmsProvider
    from asyncsecrets.providers.google.secret_manager import GoogleSecretManagerProvider
    from asyncsecrets.providers.google.settings import GoogleSettings

__all__ = ["GoogleKmsProvider", "GoogleSecretManagerProvider", "GoogleSettings"]
