"""AWS's error codes, sorted by what they mean, with the remedy where it is one for all of them.

Source: the "Common Errors" of the API references of Secrets Manager, KMS and STS, and their operations' own.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AUTHENTICATION",
    "CIPHERTEXT",
    "DENIED",
    "KEY",
    "STALE",
    "THROTTLED",
    "TOO_LARGE",
    "UNAVAILABLE",
    "UNDONE",
    "UNKNOWN_OPERATION",
]

_EXPIRED: Final = "the session token has expired: get new credentials, or use a role or profile, which renew themselves"
_UNKNOWN: Final = (
    "AWS does not know the access key: check AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN, that it is active, and that the "
    "account has enabled the region"
)
_UNSIGNED: Final = "the signature is wrong: check AWS_SECRET_ACCESS_KEY, and that this machine's clock is right"
_CLOCK: Final = "the signature is out of date: this machine's clock is wrong by minutes"
_IDENTITY: Final = "the web identity token is not accepted: check aws_web_identity_token, its expiry and its audience"

AUTHENTICATION: Final = {
    "AuthFailure": _UNKNOWN,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "IDPRejectedClaim": _IDENTITY,
    "IncompleteSignature": _UNSIGNED,
    "IncompleteSignatureException": _UNSIGNED,
    "InvalidAccessKeyId": _UNKNOWN,
    "InvalidClientTokenId": _UNKNOWN,
    "InvalidIdentityToken": _IDENTITY,
    "InvalidSignatureException": _UNSIGNED,
    "InvalidToken": _UNKNOWN,
    "MissingAuthenticationToken": "no credentials were sent: see AWS_ACCESS_KEY_ID, a profile, or a role",
    "MissingAuthenticationTokenException": "no credentials were sent: see AWS_ACCESS_KEY_ID, a profile, or a role",
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "SignatureDoesNotMatch": _UNSIGNED,
    "TokenRefreshRequired": _EXPIRED,
    "UnrecognizedClientException": _UNKNOWN,
    "401": _UNKNOWN,
}
STALE: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
"""Credentials have expired, or AWS does not know them: newer ones may do. A wrong signature or clock stays wrong."""

THROTTLED: Final = frozenset(
    {
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
        "429",
    }
)
UNAVAILABLE: Final = frozenset(
    {
        "DependencyTimeoutException",
        "IDPCommunicationError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "InternalServiceErrorException",
        "KMSInternalException",
        "KeyUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    }
)
UNDONE: Final = frozenset({"IDPCommunicationError", "KeyUnavailableException"})
"""Of these, what comes before anything is stored: there was no key to encrypt with, or who asks is not known yet."""
UNKNOWN_OPERATION: Final = frozenset(
    f"{code}{end}"
    for code in ("InvalidAction", "NotImplemented", "UnknownOperation", "UnsupportedOperation", "501")
    for end in ("", "Exception")
)
"""What a server that stands in for AWS, or a proxy, says of an operation that it does not have."""

TOO_LARGE: Final = frozenset({"413", "RequestEntityTooLarge", "RequestEntityTooLargeException", "RequestTooLarge"})
DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation", "403"})
KEY: Final = {
    "DecryptionFailure": "KMS cannot decrypt it: is kms:Decrypt allowed on the secret's key, and is the key enabled?",
    "DisabledException": "the KMS key is disabled: enable it (kms:EnableKey), or re-encrypt under another",
    "EncryptionFailure": "KMS cannot encrypt it: is kms:GenerateDataKey allowed on kms_key_id, and is the key enabled?",
    "InvalidGrantTokenException": "the grant of the KMS key is not valid",
    "KMSInvalidStateException": "the KMS key is pending deletion or import: cancel that (kms:CancelKeyDeletion)",
    "OptInRequired": "the account has not enabled this region or service",
    "RegionDisabledException": "STS is not activated in this region: activate it, or set aws_sts_endpoint",
}
CIPHERTEXT: Final = {
    "IncorrectKeyException": "it was encrypted under another key than kms_key_id",
    "InvalidCiphertextException": "KMS does not accept the ciphertext: it is damaged, of another region's or account's "
    "key, or was encrypted with another encryption_context",
}
