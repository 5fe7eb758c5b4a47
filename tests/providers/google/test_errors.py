"""What Google, gRPC and google-auth say, and which error of ours it is: the class, the remedy, and what is left out."""

from __future__ import annotations

import copy
import pickle
import traceback

import grpc
import pytest
from google.auth import exceptions
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    InsecureTransportError,
    InvalidNameError,
    MalformedResponseError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.google.errors import Call, translate
from asyncsecrets.providers.google.grants import translate_credentials
from asyncsecrets.providers.google.reasons import permission_of

SYSTEM = "google_secret_manager"
HTTP = "Received http2 header with status: 403"


def refusal(status, text="canary", *, reason="", metadata=(), retry=None, details=None):
    """What gRPC raises."""
    told = status_pb2.Status(code=grpc.StatusCode[status].value[0], message=text)
    if reason:
        info = error_details_pb2.ErrorInfo(reason=reason, domain="googleapis.com", metadata=dict(metadata))
        told.details.add().Pack(info)
    if retry is not None:
        told.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=retry, nanos=500_000_000)))
    trailer = details if details is not None else told.SerializeToString()
    return grpc.aio.AioRpcError(
        grpc.StatusCode[status],
        initial_metadata=grpc.aio.Metadata(("x-canary", "canary")),
        trailing_metadata=grpc.aio.Metadata(("grpc-status-details-bin", trailer)),
        details=text,
    )


def said(operation, failure, proxy=None):
    """The error of ours, which shows nothing and holds on to nothing."""
    error = translate(Call(SYSTEM, operation, "NAME"), failure, proxy)
    assert error.__context__ is None
    assert error.__cause__ is None
    shown = "".join(traceback.format_exception(error)) + repr(vars(error))
    assert "canary" not in shown
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(other), str(other)) == (type(error), str(error))
    return error


READ, WRITE, CREATE = "AccessSecretVersion", "AddSecretVersion", "CreateSecret"
CONSUMER = {"service": "secretmanager.googleapis.com", "consumer": "projects/123"}
UNREACHED = "failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:443: canary"

TABLE = {
    "absent": (READ, refusal("NOT_FOUND"), SecretNotFoundError, "no such secret or version"),
    "absent of a write": (WRITE, refusal("NOT_FOUND"), SecretNotFoundError, "no such secret"),
    "nothing to create with": (CREATE, refusal("NOT_FOUND"), ConfigError, "project, location or KMS key"),
    "taken": (CREATE, refusal("ALREADY_EXISTS"), ConflictError, "exists already"),
    "state": (WRITE, refusal("FAILED_PRECONDITION"), ConflictError, "state does not allow AddSecretVersion"),
    "name": (READ, refusal("INVALID_ARGUMENT"), InvalidNameError, "AccessSecretVersion, invalid"),
    "settings": (CREATE, refusal("INVALID_ARGUMENT"), ConfigError, "replica_regions"),
    "a label of that name": (CREATE, refusal("INVALID_ARGUMENT", "canary checksum"), ConfigError, "tags, annotations"),
    "range": (READ, refusal("OUT_OF_RANGE"), InvalidNameError, "invalid"),
    "denied": (READ, refusal("PERMISSION_DENIED"), AccessDeniedError,
               r"allow secretmanager.versions.access \(roles/secretmanager.secretAccessor\).*does not exist"),
    "denied, told": (WRITE, refusal("PERMISSION_DENIED", reason="IAM_PERMISSION_DENIED",
                                    metadata={"permission": "secretmanager.secrets.get", "resource": "canary"}),
                     AccessDeniedError, r"secretmanager.secrets.get \(roles/secretmanager.viewer\)"),
    "denied, in words": (CREATE, refusal("PERMISSION_DENIED", "Permission 'secretmanager.secrets.create' denied for"),
                         AccessDeniedError, r"secretmanager.secrets.create \(roles/secretmanager.admin\)"),
    "denied, odd": (READ, refusal("PERMISSION_DENIED", reason="canary canary", metadata={"permission": "canary"}),
                    AccessDeniedError, "secretmanager.versions.access"),
    "a key": ("Decrypt", refusal("PERMISSION_DENIED"), AccessDeniedError, "useToDecrypt.*cryptoKeyDecrypter"),
    "scope": (READ, refusal("PERMISSION_DENIED", reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT"), AccessDeniedError,
              "scope cloud-platform"),
    "perimeter": (READ, refusal("PERMISSION_DENIED", reason="SECURITY_POLICY_VIOLATED"), AccessDeniedError, "VPC"),
    "quota project": (READ, refusal("PERMISSION_DENIED", reason="USER_PROJECT_DENIED"), AccessDeniedError,
                      "serviceusage.services.use.*google_quota_project_id"),
    "somebody between": (READ, refusal("PERMISSION_DENIED", HTTP), AccessDeniedError, "proxies and firewalls"),
    "not enabled": (READ, refusal("PERMISSION_DENIED", reason="SERVICE_DISABLED", metadata=CONSUMER), ConfigError,
                    "is not enabled in projects/123: `gcloud services enable secretmanager.googleapis.com`"),
    "of a user": (READ, refusal("PERMISSION_DENIED", reason="SERVICE_DISABLED", metadata=CONSUMER), ConfigError,
                  "set google_quota_project_id"),
    "odd names": (READ, refusal("PERMISSION_DENIED", reason="SERVICE_DISABLED",
                                metadata={"service": "canary canary", "consumer": "canary"}), ConfigError,
                  "secretmanager.googleapis.com is not enabled in the project that"),
    "billing": (READ, refusal("PERMISSION_DENIED", reason="BILLING_DISABLED", metadata=CONSUMER), ConfigError,
                "billing is not enabled for projects/123"),
    "no project": (READ, refusal("PERMISSION_DENIED", reason="CONSUMER_INVALID", metadata=CONSUMER), ConfigError,
                   "no such project"),
    "suspended": (READ, refusal("PERMISSION_DENIED", reason="CONSUMER_SUSPENDED"), ConfigError, "suspended"),
    "expired": (READ, refusal("UNAUTHENTICATED", reason="ACCESS_TOKEN_EXPIRED"), AuthenticationError, "clock"),
    "missing": (READ, refusal("UNAUTHENTICATED", reason="CREDENTIALS_MISSING"), AuthenticationError, "auth_method"),
    "account": (READ, refusal("UNAUTHENTICATED", reason="ACCOUNT_STATE_INVALID"), AuthenticationError, "disabled"),
    "not known": (READ, refusal("UNAUTHENTICATED"), AuthenticationError, "does not accept the credentials"),
    "throttled": (READ, refusal("RESOURCE_EXHAUSTED"), RateLimitedError, "quota of AccessSecretVersion"),
    "too large": (READ, refusal("RESOURCE_EXHAUSTED", "CLIENT: Received message larger than max (1 vs. 2)"),
                  MalformedResponseError, "too large"),
    "not there": (WRITE, refusal("UNIMPLEMENTED"), UnsupportedOperationError, "does not have AddSecretVersion"),
    "no Google": (READ, refusal("UNIMPLEMENTED"), MalformedResponseError, "is google_endpoint right"),
    "a page": (WRITE, refusal("UNIMPLEMENTED", "Received http2 header with status: 404"), MalformedResponseError,
               "is google_endpoint right"),
    "two at once": (WRITE, refusal("ABORTED"), UnavailableError, "at once"),
    "late": (READ, refusal("DEADLINE_EXCEEDED"), UnavailableError, "in time"),
    "down": (READ, refusal("UNAVAILABLE"), UnavailableError, "UNAVAILABLE"),
    "internal": (READ, refusal("INTERNAL"), UnavailableError, "INTERNAL"),
    "unknown": (READ, refusal("UNKNOWN"), UnavailableError, "UNKNOWN"),
    "cancelled": (READ, refusal("CANCELLED"), UnavailableError, "CANCELLED"),
    "lost": (READ, refusal("DATA_LOSS"), MalformedResponseError, "DATA_LOSS"),
    "DNS": (READ, refusal("UNAVAILABLE", "errors resolving canary:443"), UnavailableError, "DNS"),
    "DNS, older": (READ, refusal("UNAVAILABLE", "DNS resolution failed for canary"), UnavailableError, "DNS"),
    "refused": (READ, refusal("UNAVAILABLE", UNREACHED), UnavailableError, "cannot be reached"),
    "TLS": (READ, refusal("UNAVAILABLE", f"{UNREACHED} Ssl handshake failed: CERTIFICATE_VERIFY_FAILED"),
            InsecureTransportError, "google_ca_cert"),
    "no message": (READ, ValueError("canary"), MalformedResponseError, r"\(ValueError\)"),
}  # fmt: skip


@pytest.mark.parametrize("what", TABLE)
def test_what_it_means(what):
    """Each status and reason; of what Google says nothing but names goes on."""
    operation, failure, kind, says = TABLE[what]
    error = said(operation, failure)
    assert type(error) is kind
    with pytest.raises(kind, match=says):
        raise error
    if not isinstance(error, (ConfigError, UnsupportedOperationError)):
        assert error.name == "NAME"


UNKNOWN = {"late", "down", "internal", "unknown", "cancelled", "lost", "no message", "too large", "no Google", "a page"}


@pytest.mark.parametrize("what", TABLE)
@pytest.mark.parametrize("operation", [WRITE, CREATE, "DeleteSecret"])
def test_what_may_have_been_applied(what, operation):
    """Of a write: where Google, or gRPC, says no, it was not; where nobody says anything, nobody knows."""
    error = said(operation, TABLE[what][1])
    expected = what in UNKNOWN and not isinstance(error, UnsupportedOperationError)
    assert getattr(error, "outcome_unknown", False) == expected
    assert not getattr(said(READ, TABLE[what][1]), "outcome_unknown", False)


def test_when_to_come_again():
    """RetryInfo says it, where it is one."""
    assert said(READ, refusal("RESOURCE_EXHAUSTED", retry=7)).retry_after == 7.5
    assert said(READ, refusal("RESOURCE_EXHAUSTED")).retry_after is None
    assert said(READ, refusal("RESOURCE_EXHAUSTED", retry=-9)).retry_after is None
    assert said(READ, refusal("RESOURCE_EXHAUSTED", retry=2**62)).retry_after == 2.0**62


@pytest.mark.parametrize("details", [b"\xff\xffcanary", b"", AnyMessage(type_url="canary").SerializeToString()])
def test_details_that_are_none(details):
    """They say nothing, and the status does."""
    assert type(said(READ, refusal("NOT_FOUND", details=details))) is SecretNotFoundError


@pytest.mark.parametrize(
    ("operation", "permission"),
    [
        ("AccessSecretVersion", "secretmanager.versions.access"),
        ("AddSecretVersion", "secretmanager.versions.add"),
        ("CreateSecret", "secretmanager.secrets.create"),
        ("DeleteSecret", "secretmanager.secrets.delete"),
        ("DestroySecretVersion", "secretmanager.versions.destroy"),
        ("EnableSecretVersion", "secretmanager.versions.enable"),
        ("GetSecret", "secretmanager.secrets.get"),
        ("GetSecretVersion", "secretmanager.versions.get"),
        ("ListSecretVersions", "secretmanager.versions.list"),
        ("ListSecrets", "secretmanager.secrets.list"),
        ("UpdateSecret", "secretmanager.secrets.update"),
        ("Decrypt", "cloudkms.cryptoKeyVersions.useToDecrypt"),
    ],
)
def test_permissions(operation, permission):
    """That of each operation, as IAM calls it."""
    assert permission_of(operation) == permission


# -- credentials


def oauth(**answer):
    """What google-auth raises of a token endpoint's answer."""
    return exceptions.RefreshError("canary: canary", {"error_description": "canary", **answer})


DENIED = '{"error": {"code": 403, "message": "canary", "status": "PERMISSION_DENIED"}}'
GRANTS = {
    "revoked": (oauth(error="invalid_grant"), AuthenticationError, "application-default login.*clock right"),
    "to be confirmed": (oauth(error="invalid_grant", error_subtype="invalid_rapt"), AuthenticationError,
                        "run out. A user: run `gcloud auth application-default login`"),
    "client": (oauth(error="invalid_client"), AuthenticationError, "OAuth client"),
    "pool": (exceptions.OAuthError("canary", '{"error": "invalid_target"}'), AuthenticationError, "audience"),
    "another": (oauth(error="canary"), AuthenticationError, r"refuses.*\(RefreshError\)"),
    "no document": (exceptions.RefreshError("canary", "canary"), AuthenticationError, "refuses"),
    "a list": (exceptions.RefreshError("canary", "[1]"), AuthenticationError, "refuses"),
    "not impersonated": (exceptions.RefreshError("canary", DENIED), AccessDeniedError,
                         r"iam.serviceAccounts.getAccessToken \(roles/iam.serviceAccountTokenCreator\)"),
    "nobody to impersonate": (exceptions.RefreshError("canary", DENIED.replace("PERMISSION_DENIED", "NOT_FOUND")),
                              ConfigError, "no such service account"),
    "no impersonation": (exceptions.RefreshError("canary", DENIED.replace("PERMISSION_DENIED", "canary")),
                         AuthenticationError, "impersonated"),
    "nonsense": (KeyError("canary"), AuthenticationError, r"\(KeyError\)"),
    "ours": (UnavailableError("as it is", provider=SYSTEM), UnavailableError, "as it is"),
}  # fmt: skip


@pytest.mark.parametrize("what", GRANTS)
def test_credentials(what):
    """What gives them refuses, or gives nonsense: with what to do, and nothing of what it says."""
    failure, kind, says = GRANTS[what]
    error = translate_credentials(Call(SYSTEM, "credentials"), failure)
    assert type(error) is kind
    with pytest.raises(kind, match=says):
        raise error
    assert "canary" not in str(error)
