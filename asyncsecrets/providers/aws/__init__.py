"""AWS Secrets Manager and AWS KMS, through aiobotocore: aioboto3's, or by itself."""

from __future__ import annotations

from asyncsecrets.providers.quiet import without_collections

with without_collections():
    from asyncsecrets.providers.aws.kms import AwsKmsProvider
    from asyncsecrets.providers.aws.secrets_manager import AwsSecretsManagerProvider
    from asyncsecrets.providers.aws.settings import AwsSettings

__all__ = ["AwsKmsProvider", "AwsSecretsManagerProvider", "AwsSettings"]
