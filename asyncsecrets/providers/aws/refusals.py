"""What an error that AWS answered with means.

AWS's errors are told apart by ``Error.Code``, never by HTTP status: the same fault has had different ones. Where there
is no answer of AWS behind it (a load balancer's page), botocore uses the status as code, and so does the table here.
A message of AWS is looked at for the name of an IAM action, for deletion and for replicas, and goes no further.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from botocore import exceptions as botocore

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    IntegrityError,
    InvalidNameError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers import call as calling
from asyncsecrets.providers.aws.codes import (
    AUTHENTICATION,
    CIPHERTEXT,
    DENIED,
    KEY,
    THROTTLED,
    TOO_LARGE,
    UNAVAILABLE,
    UNDONE,
    UNKNOWN_OPERATION,
)

__all__ = ["REPLICATED", "SCHEDULED", "Call", "code_of", "invalid", "refused"]

REPLICATED: Final = "it has replicas"
SCHEDULED: Final = "scheduled for deletion"
"""Each is part of the messages about a secret in that state, and of no others."""


@dataclass(slots=True)
class Call(calling.Call):
    """One call of an operation of AWS, in ``region``."""

    region: str = ""

    @property
    def action(self) -> str:
        """The IAM action that permits it."""
        return f"{'kms' if self.system == 'aws_kms' else 'secretsmanager'}:{self.operation}"

    @property
    def place(self) -> str:
        """Where it went, for the middle of a message."""
        return f" in {self.region}" if self.region else ""


def code_of(failure: BaseException) -> str | None:
    """AWS's code of a failure, or None where AWS did not answer."""
    return str(failure.response.get("Error", {}).get("Code", "")) if isinstance(failure, botocore.ClientError) else None


_STS: Final = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"})

_ACTION: Final = re.compile(r"perform: ((?:secretsmanager|kms|sts):[A-Za-z]{1,60})\b", re.ASCII)
# LocalStack before version 4 breaks at what moto, of which it is made, says: that is quoted in its message.
_QUOTED: Final = re.compile(r'"__type": ?"(ResourceNotFoundException|InvalidRequestException)"', re.ASCII)
_SHOWABLE: Final = re.compile(r"[A-Za-z0-9.]{1,64}", re.ASCII)


def refused(call: Call, failure: botocore.ClientError) -> AsyncSecretsError:
    """Return what an error that AWS, or what stands in for it, answered with means."""
    return _passed_on(call, failure) or _refused(call, failure)


def _refused(call: Call, failure: botocore.ClientError) -> AsyncSecretsError:
    code, message = str(code_of(failure)), str(failure.response.get("Error", {}).get("Message", ""))
    if failure.operation_name in _STS:
        call = Call(call.system, call.operation, call.name, "STS")
    if code in THROTTLED:
        return _rate_limited(call, failure)
    if code in DENIED:
        return _denied(call, failure, message)
    if code in AUTHENTICATION:
        return call.error(AuthenticationError, AUTHENTICATION[code])
    if code in KEY:
        return call.error(AccessDeniedError, KEY[code])
    if code in CIPHERTEXT:
        return call.error(IntegrityError, CIPHERTEXT[code])
    if code in TOO_LARGE:
        return UnsupportedOperationError(call.says("the value is larger than AWS, or a proxy before it, accepts"))
    if call.operation not in _EVERYWHERE and (code in UNKNOWN_OPERATION or _status(failure) == 501):
        return UnsupportedOperationError(call.says(f"the server does not have {call.operation}; {_STAND_IN}"))
    if code in UNAVAILABLE or _status(failure) >= 500:
        undone = code in UNDONE or call.region == "STS"
        return call.error(UnavailableError, f"AWS cannot answer now ({_shown(code)})", unknown=not undone)
    return _about_the_secret(call, code, message)


# What a server that stands in for AWS has, if it has anything: where that fails as if it had not, something is wrong.
_EVERYWHERE: Final = frozenset({"GetSecretValue", "Decrypt", "credentials"})
_STAND_IN: Final = "stand-ins for AWS (LocalStack, moto) have more in newer versions"


def _passed_on(call: Call, failure: botocore.ClientError) -> AsyncSecretsError | None:
    """What a stand-in means that breaks at an error which it should have passed on."""
    message = str(failure.response.get("Error", {}).get("Message", ""))
    meant = _QUOTED.search(message) if code_of(failure) == "InternalError" else None
    return None if meant is None else _about_the_secret(call, meant[1], message)


def _about_the_secret(call: Call, code: str, message: str) -> AsyncSecretsError:
    """Errors whose meaning depends on what was asked."""
    if code == "ResourceNotFoundException" and call.operation != "CreateSecret":
        return call.error(SecretNotFoundError, f"there is no such secret or version{call.place} of this account")
    if code == "InvalidRequestException" and _DELETED.search(message):
        return _pending_deletion(call)
    if code in _STATES and (replicas := _REPLICAS.search(message)):
        return _replicated(call, is_replica=bool(replicas["replica"]))
    if code == "InvalidRequestException":
        hint = _HINTS.get(call.operation, ": is it managed by another AWS service?")
        return call.error(ConflictError, f"its state does not allow {call.operation}{hint}")
    if code == "ResourceExistsException":
        return call.error(ConflictError, "a secret of this name, or a version of this token, exists already")
    if code == "LimitExceededException":
        return call.error(ConflictError, f"AWS refuses {call.operation}: {_QUOTAS.get(call.operation, _QUOTA)}")
    if code == "PreconditionNotMetException":
        return call.error(ConflictError, f"AWS refuses {call.operation}: {_PRIOR}")
    if code in {"ResourceNotFoundException", "NotFoundException", "InvalidKeyUsageException", "InvalidArnException"}:
        return ConfigError(call.says(f"the KMS key is not there{call.place} or cannot do that: check kms_key_id"))
    if code in {"InvalidParameterException", "ValidationException", "InvalidParameterValue", "ValidationError"}:
        return invalid(call)
    return call.error(
        MalformedResponseError, f"AWS answered with an error unknown here ({_shown(code)}); is the endpoint AWS?"
    )


_HINTS: Final = {
    "RotateSecret": ": a rotation is in progress, or none is configured (`aws secretsmanager rotate-secret "
    "--rotation-lambda-arn …` configures it)",
}


_QUOTA: Final = "a quota of the account is used up"
_VERSIONS: Final = (
    "the secret has as many versions as it may have, and AWS removes none that is not a day old: write it no more "
    "often than every ten minutes"
)
_QUOTAS: Final = {"PutSecretValue": _VERSIONS, "UpdateSecretVersionStage": _VERSIONS}
_STATES: Final = frozenset({"InvalidParameterException", "InvalidRequestException"})
_DELETED: Final = re.compile(r"(?:marked|scheduled)\s+for\s+deletion|(?:marked|was)\s+deleted", re.ASCII)
_REPLICAS: Final = re.compile(r"replica regions|(?P<replica>on a replica secret)", re.ASCII)
_RESTORE: Final = "`await client.restore(name)` or `asyncsecrets restore NAME` brings it back"


_PRIOR: Final = (
    "AWS says that a step before it is missing, and not which; with replica_regions: is each of them enabled in "
    "the account, and kms_key_id usable there?"
)


def _pending_deletion(call: Call) -> ProviderError:
    if not call.writes:
        text = call.says(f"it is {SCHEDULED}: {_RESTORE}")
        return SecretNotFoundError(text, provider=call.system, name=call.name, reason="pending_deletion")
    return call.error(
        ConflictError,
        f"the name belongs to a secret that is {SCHEDULED}: {_RESTORE}, as a put does with recover_deleted: true; "
        "`asyncsecrets destroy NAME` deletes it for good, and frees the name after seconds",
    )


def _replicated(call: Call, *, is_replica: bool) -> AsyncSecretsError:
    if is_replica:
        return ConfigError(call.says(f"the secret{call.place} is a replica: write to it where its original is"))
    return call.error(
        ConflictError,
        f"{REPLICATED}, which AWS does not delete with it: `aws secretsmanager remove-regions-from-replication "
        "--secret-id NAME --remove-replica-regions REGION …` deletes them",
    )


_BARRED: Final = (
    "a 403 without AWS's reason: something between us and AWS refuses, or the endpoint is not AWS; check the endpoint, "
    "proxies and firewalls"
)


def _denied(call: Call, failure: botocore.ClientError, message: str) -> ProviderError:
    found = _ACTION.search(message)
    if code_of(failure) == "403":
        return call.error(AccessDeniedError, _BARRED)
    if failure.operation_name in _STS:
        action = f"sts:{failure.operation_name}"
        return call.error(AccessDeniedError, f"the role cannot be assumed: allow {action}, in its trust policy too")
    if found is None and "KMS" in message:
        return call.error(
            AccessDeniedError, "allow kms:Decrypt (to write: kms:GenerateDataKey) on the secret's KMS key"
        )
    return call.error(AccessDeniedError, f"the IAM policy lacks the action {found[1] if found else call.action}")


def invalid(call: Call) -> AsyncSecretsError:
    """The error of a call with a parameter that cannot be."""
    if call.region == "STS":
        return ConfigError(call.says("STS refuses the request: check aws_role_name, aws_session_name, aws_external_id"))
    if call.operation in {"CreateSecret", "Encrypt", "Decrypt"}:
        wrong = (
            "description, tags, replica_regions or kms_key_id" if call.writes else "kms_key_id or encryption_context"
        )
        return ConfigError(call.says(f"AWS finds a parameter of {call.operation} invalid: check {wrong}"))
    return call.error(InvalidNameError, f"AWS finds the name, or another parameter of {call.operation}, invalid")


def _rate_limited(call: Call, failure: botocore.ClientError) -> ProviderError:
    error = call.error(RateLimitedError, f"AWS throttles {call.operation}; ask for a higher quota if this goes on")
    headers: dict[str, Any] = failure.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    hint = str(headers.get("retry-after", ""))
    if isinstance(error, RateLimitedError) and hint.isascii() and hint.isdigit() and len(hint) < 7:
        error.retry_after = float(hint) or None
    return error


def _status(failure: botocore.ClientError) -> int:
    return int(failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _shown(code: str) -> str:
    return code if _SHOWABLE.fullmatch(code) else "no code"
