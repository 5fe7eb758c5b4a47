"""The table of errors: every code of AWS and every failure of the SDK is one class of ours, with a remedy."""

from __future__ import annotations

import ssl

import aiohttp
import pytest
from botocore import exceptions as botocore
from hypothesis import example, given
from hypothesis import strategies as st

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    InsecureTransportError,
    IntegrityError,
    InvalidNameError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.aws.errors import translate
from asyncsecrets.providers.aws.refusals import Call
from asyncsecrets.providers.unanswered import RedirectedError, TooLargeError

GET, PUT, CREATE = "GetSecretValue", "PutSecretValue", "CreateSecret"


def client_error(code, operation=GET, message="canary", status=400, **headers):
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return botocore.ClientError(response, operation)


CODES = [
    ("ResourceNotFoundException", GET, SecretNotFoundError, "no such secret"),
    ("ResourceNotFoundException", CREATE, ConfigError, "kms_key_id"),
    ("InvalidRequestException", GET, ConflictError, "state"),
    ("InvalidRequestException", "RotateSecret", ConflictError, "rotation-lambda-arn"),
    ("ResourceExistsException", CREATE, ConflictError, "exists"),
    ("InvalidRequestException", PUT, ConflictError, "managed by another"),
    ("LimitExceededException", CREATE, ConflictError, "quota"),
    ("LimitExceededException", PUT, ConflictError, "every ten minutes"),
    ("PreconditionNotMetException", CREATE, ConflictError, "replica_regions"),
    ("ValidationException", GET, InvalidNameError, "invalid"),
    ("413", PUT, UnsupportedOperationError, "larger"),
    ("RequestEntityTooLarge", CREATE, UnsupportedOperationError, "larger"),
    ("InvalidParameterException", CREATE, ConfigError, "replica_regions"),
    ("AccessDeniedException", GET, AccessDeniedError, "secretsmanager:GetSecretValue"),
    ("DecryptionFailure", GET, AccessDeniedError, "kms:Decrypt"),
    ("EncryptionFailure", PUT, AccessDeniedError, "kms:GenerateDataKey"),
    ("DisabledException", GET, AccessDeniedError, "disabled"),
    ("KMSInvalidStateException", GET, AccessDeniedError, "pending"),
    ("UnrecognizedClientException", GET, AuthenticationError, "AWS_ACCESS_KEY_ID"),
    ("InvalidClientTokenId", GET, AuthenticationError, "AWS_ACCESS_KEY_ID"),
    ("ExpiredTokenException", GET, AuthenticationError, "expired"),
    ("ExpiredToken", GET, AuthenticationError, "expired"),
    ("InvalidSignatureException", GET, AuthenticationError, "AWS_SECRET_ACCESS_KEY"),
    ("SignatureDoesNotMatch", GET, AuthenticationError, "clock"),
    ("RequestExpired", GET, AuthenticationError, "clock"),
    ("MissingAuthenticationTokenException", GET, AuthenticationError, "no credentials"),
    ("ThrottlingException", GET, RateLimitedError, "throttles"),
    ("TooManyRequestsException", GET, RateLimitedError, "throttles"),
    ("InternalServiceError", GET, UnavailableError, "InternalServiceError"),
    ("KMSInternalException", GET, UnavailableError, "KMSInternalException"),
    ("DependencyTimeoutException", GET, UnavailableError, "now"),
    ("InvalidCiphertextException", GET, IntegrityError, "encryption_context"),
    ("IncorrectKeyException", GET, IntegrityError, "kms_key_id"),
    ("NotFoundException", GET, ConfigError, "kms_key_id"),
    ("Nonsense", GET, MalformedResponseError, "Nonsense"),
    ("nonsense\n\x1b[31m", GET, MalformedResponseError, "no code"),
]


@pytest.mark.parametrize(("code", "operation", "kind", "says"), CODES)
@pytest.mark.parametrize("status", [400, 404])
def test_code(code, operation, kind, says, status):
    """AWS's code decides, whatever the HTTP status; the message says what to do and quotes nothing."""
    error = translate(Call("aws_secret_manager", operation, "db"), client_error(code, operation, status=status))
    assert type(error) is kind
    assert says in str(error)
    assert "'db'" in str(error)
    assert "canary" not in str(error)


ALIKE = {
    RateLimitedError: """
        PriorRequestNotComplete ProvisionedThroughputExceededException RequestLimitExceeded RequestThrottled
        RequestThrottledException SlowDown Throttling ThrottledException ThrottlingException TooManyRequestsException
        429""",
    UnavailableError: """
        DependencyTimeoutException IDPCommunicationError InternalFailure InternalServerError InternalServerException
        InternalServiceError InternalServiceErrorException KMSInternalException KeyUnavailableException RequestTimeout
        RequestTimeoutException ServiceUnavailable ServiceUnavailableException""",
    AuthenticationError: """
        AuthFailure ExpiredToken ExpiredTokenException IDPRejectedClaim IncompleteSignature
        IncompleteSignatureException InvalidAccessKeyId InvalidClientTokenId InvalidIdentityToken
        InvalidSignatureException InvalidToken MissingAuthenticationToken MissingAuthenticationTokenException
        RequestExpired RequestTimeTooSkewed SignatureDoesNotMatch TokenRefreshRequired UnrecognizedClientException
        401""",
}


@pytest.mark.parametrize(("kind", "codes"), ALIKE.items())
def test_codes_that_mean_the_same(kind, codes):
    """All that the references of the three services name, and that other services of AWS give in their place."""
    for code in codes.split():
        assert type(translate(Call("aws_secret_manager", GET, "db"), client_error(code))) is kind, code


def test_status_without_a_code():
    """What a load balancer answers has its status for a code."""
    for status, kind in [
        (500, UnavailableError),
        (502, UnavailableError),
        (503, UnavailableError),
        (504, UnavailableError),
    ]:
        assert type(translate(Call("s", GET), client_error(str(status), status=status))) is kind
    assert type(translate(Call("s", GET), client_error("429", status=429))) is RateLimitedError
    barred = translate(Call("s", GET), client_error("403", status=403))
    assert type(barred) is AccessDeniedError
    assert "something between us and AWS" in str(barred)
    assert "IAM" not in str(barred)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("User: arn:x is not authorized to perform: kms:Decrypt on resource: canary", "kms:Decrypt"),
        ("Access to KMS is not allowed. canary", "kms:Decrypt"),
        ("User: arn:x is not authorized to perform: evil:Thing", "secretsmanager:GetSecretValue"),
    ],
)
def test_missing_action(message, says):
    """The IAM action that is missing is the one that AWS names, if it is one of ours."""
    error = translate(Call("aws_secret_manager", GET, "db"), client_error("AccessDeniedException", message=message))
    assert type(error) is AccessDeniedError
    assert says in str(error)
    assert "canary" not in str(error)


SCHEDULED = [
    "You can't perform this operation on the secret because it was marked for deletion.",
    "You can't create this secret because a secret with this name is already scheduled for deletion.",
    "You tried to perform the operation on a secret that's currently marked deleted. canary",
    "You can't perform this operation on the secret because it was deleted.",
]


@pytest.mark.parametrize("message", SCHEDULED)
def test_scheduled_for_deletion(message):
    """However AWS says that a secret is scheduled for deletion, the error names what brings it back."""
    failure = client_error("InvalidRequestException", message=message)
    read = translate(Call("aws_secret_manager", GET, "db"), failure)
    assert isinstance(read, SecretNotFoundError)
    assert read.reason == "pending_deletion"
    write = translate(Call("aws_secret_manager", PUT, "db"), failure)
    assert type(write) is ConflictError
    for error in (read, write):
        assert "`await client.restore(name)`" in str(error)
        assert "`asyncsecrets restore NAME`" in str(error)
        assert "canary" not in str(error)


@pytest.mark.parametrize("code", ["InvalidParameterException", "InvalidRequestException"])
def test_replicas(code):
    """A secret with replicas, or that is one, is told from a deleted one and from a wrong name."""
    held = client_error(code, message="You can't delete secret canary that still has replica regions [us-east-1].")
    error = translate(Call("aws_secret_manager", "DeleteSecret", "db"), held)
    assert type(error) is ConflictError
    assert "remove-regions-from-replication" in str(error)
    assert "canary" not in str(error)
    assert "scheduled" not in str(error)
    text = "Operation not permitted on a replica secret. Call must be made in primary secret's region."
    error = translate(Call("aws_secret_manager", PUT, "db", "us-east-1"), client_error(code, message=text))
    assert type(error) is ConfigError
    assert "in us-east-1 is a replica" in str(error)


def test_assume_role():
    """A role that cannot be assumed names the action and the trust policy; STS's refusals are no name's fault."""
    call = Call("aws_secret_manager", GET, "db")
    assert "sts:AssumeRole" in str(translate(call, client_error("AccessDenied", "AssumeRole")))
    assert isinstance(translate(call, client_error("ValidationError", "AssumeRole")), ConfigError)
    expired = translate(call, client_error("ExpiredTokenException", "AssumeRoleWithWebIdentity"))
    assert isinstance(expired, AuthenticationError)
    assert "aws_web_identity_token" in str(
        translate(call, client_error("InvalidIdentityToken", "AssumeRoleWithWebIdentity"))
    )


@pytest.mark.parametrize(
    ("hint", "seconds"), [("7", 7.0), ("", None), ("0", None), ("-1", None), ("soon", None), ("9" * 9, None)]
)
def test_retry_after(hint, seconds):
    """Retry-After is seconds, or nothing."""
    error = translate(Call("s", GET), client_error("ThrottlingException", **{"retry-after": hint}))
    assert error.retry_after == seconds


FAILURES = [
    (botocore.NoCredentialsError(), AuthenticationError, "AWS_ACCESS_KEY_ID"),
    (botocore.NoRegionError(), ConfigError, "AWS_REGION_NAME"),
    (botocore.PartialCredentialsError(provider="x", cred_var="y"), ConfigError, "secret key"),
    (botocore.CredentialRetrievalError(provider="x", error_msg="canary"), AuthenticationError, "profile"),
    (botocore.SSOTokenLoadError(error_msg="canary"), AuthenticationError, "aws sso login"),
    (botocore.UnauthorizedSSOTokenError(), AuthenticationError, "aws sso login"),
    (botocore.ProfileNotFound(profile="canary"), ConfigError, "aws_profile_name"),
    (botocore.ConfigParseError(path="canary"), ConfigError, "~/.aws/config"),
    (botocore.EndpointConnectionError(endpoint_url="canary"), UnavailableError, "broke"),
    (botocore.ConnectTimeoutError(endpoint_url="canary"), UnavailableError, "in time"),
    (botocore.SSLError(endpoint_url="canary", error="canary"), InsecureTransportError, "AWS_CA_BUNDLE"),
    (ssl.SSLCertVerificationError("canary"), InsecureTransportError, "AWS_CA_BUNDLE"),
    (aiohttp.ServerDisconnectedError("canary"), UnavailableError, "broke"),
    (aiohttp.ClientPayloadError("canary"), UnavailableError, "broke"),
    (aiohttp.ConnectionTimeoutError("canary"), UnavailableError, "region"),
    (TimeoutError("canary"), UnavailableError, "in time"),
    (ConnectionResetError("canary"), UnavailableError, "broke"),
    (botocore.ParamValidationError(report="canary"), InvalidNameError, "GetSecretValue"),
    (RedirectedError(), InsecureTransportError, "redirect"),
    (TooLargeError(), MalformedResponseError, "large"),
    (RecursionError("canary"), MalformedResponseError, "RecursionError"),
    (UnicodeDecodeError("utf-8", b"canary", 0, 1, "canary"), MalformedResponseError, "UnicodeDecodeError"),
]


@pytest.mark.parametrize(("failure", "kind", "says"), FAILURES, ids=lambda value: type(value).__name__)
def test_no_answer(failure, kind, says):
    """What fails without an answer of AWS is told apart too, and quoted as little."""
    error = translate(Call("aws_secret_manager", GET, "db"), failure)
    assert type(error) is kind
    assert says in str(error)
    assert "canary" not in str(error)


def test_unknown_outcome():
    """A write that was sent and not answered may have been applied; a read, or what was never sent, not."""
    unknown = [
        TimeoutError(),
        ConnectionResetError(),
        aiohttp.ServerDisconnectedError(),
        client_error("InternalServiceError", PUT, status=500),
    ]
    for failure in unknown:
        assert translate(Call("s", PUT, "db"), failure).outcome_unknown
        assert not translate(Call("s", GET, "db"), failure).outcome_unknown
    unsent = (aiohttp.ConnectionTimeoutError(), botocore.ParamValidationError(report=""))
    undone = [
        client_error("ThrottlingException", PUT),
        client_error("KeyUnavailableException", PUT, status=500),
        client_error("IDPCommunicationError", "AssumeRoleWithWebIdentity"),
        client_error("ServiceUnavailable", "AssumeRole", status=503),
    ]
    for failure in (*undone, RedirectedError(), *unsent):
        assert not translate(Call("s", PUT, "db"), failure).outcome_unknown


@given(st.text(), st.text(), st.sampled_from([GET, PUT, CREATE, "Decrypt"]), st.integers(0, 599))
@example("", "", PUT, 501)
def test_anything(code, message, operation, status):
    """Whatever AWS says is one of our errors, and its message goes no further."""
    error = translate(Call("s", operation, "db"), client_error(code, operation, f"canary{message}", status))
    assert isinstance(error, AsyncSecretsError)
    assert "canary" not in str(error)
    assert isinstance(error, ProviderError | ConfigError | UnsupportedOperationError)
