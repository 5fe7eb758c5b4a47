"""The one place where what botocore, aiohttp and AWS say becomes an error of ours.

AWS's errors are told apart by ``Error.Code``, never by HTTP status: the same fault has had different ones. Where there
is no answer of AWS behind it (a load balancer's page), botocore uses the status as code, and so does the table here.
A message of AWS is looked at for the name of an IAM action, for deletion and for replicas, and goes no further.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from botocore import exceptions as botocore

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
from asyncsecrets.providers.loopback import ElsewhereError, is_elsewhere
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.tls import certificate_fault, doubts_issuer
from asyncsecrets.providers.tunnels import fault_of

__all__ = [
    "REPLICATED",
    "SCHEDULED",
    "Call",
    "EncodedError",
    "RedirectedError",
    "TooLargeError",
    "code_of",
    "translate",
    "translate_chain",
]


REPLICATED: Final = "it has replicas"
SCHEDULED: Final = "scheduled for deletion"
"""Each is part of the messages about a secret in that state, and of no others."""


class RedirectedError(Exception):
    """AWS answered with a redirect, which is not followed: the request holds secrets."""


class EncodedError(Exception):
    """The answer is compressed, which was not asked for."""


class TooLargeError(Exception):
    """The answer is longer than any that AWS gives."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation, spelled as AWS spells it (``GetSecretValue``), for what errors say about it."""

    system: str
    operation: str
    name: str | None = None
    region: str = ""

    @property
    def writes(self) -> bool:
        """Whether it may have been applied although no answer came."""
        return is_write(self.operation)

    @property
    def action(self) -> str:
        """The IAM action that permits it."""
        return f"{'kms' if self.system == 'aws_kms' else 'secretsmanager'}:{self.operation}"

    def says(self, text: str) -> str:
        """A message about this call."""
        return f"{self.system}: {self.name!r}: {text}" if self.name is not None else f"{self.system}: {text}"

    def error(self, kind: type[ProviderError], text: str, *, unknown: bool = False) -> ProviderError:
        """An error of class ``kind`` about this call. ``unknown``: as a write it may have been applied."""
        error = kind(self.says(text), provider=self.system, name=self.name)
        error.outcome_unknown = unknown and self.writes
        return error


def is_write(operation: str) -> bool:
    """Whether ``operation``, as AWS spells it, may change something."""
    return operation in _WRITES


def translate(call: Call, failure: BaseException, proxy: Proxy | None = None) -> AsyncSecretsError:
    """Return what ``failure`` means. Raise it outside the ``except`` block: the failure may hold secrets.

    ``proxy`` is what was to carry the request to AWS.
    """
    if isinstance(failure, AsyncSecretsError):
        return failure
    if isinstance(failure, botocore.ClientError):
        return _passed_on(call, failure) or _refused(call, failure)
    fault = fault_of(failure, proxy, "AWS") if proxy is not None else None
    if fault is not None:
        return fault.error(call.says(fault.text), provider=call.system, name=call.name)
    return _failed(call, failure, proxy)


def translate_chain(call: Call, failure: BaseException) -> AsyncSecretsError:
    """The same for a failure to find credentials: where neither AWS nor the way to it failed, what gives them did.

    Programs, files and services may give anything, and botocore passes on what Python makes of it.
    """
    if isinstance(failure, (*_SDK, *_INSECURE, EncodedError, ElsewhereError, ConnectionError, TimeoutError)):
        return translate(call, failure)
    if isinstance(failure, OSError):
        why = "the program or a file that they come from is not there, or cannot be run or read"
    elif type(failure) is RuntimeError:
        why = "those that were given have expired (is this machine's clock right?)"
    else:
        why = f"what was given makes no sense ({type(failure).__name__})"
    return call.error(AuthenticationError, f"{_NOT_OBTAINED}: {why}; {_WHENCE}")


def code_of(failure: BaseException) -> str | None:
    """AWS's code of a failure, or None where AWS did not answer."""
    return str(failure.response.get("Error", {}).get("Code", "")) if isinstance(failure, botocore.ClientError) else None


# -- AWS answered with an error

_WRITES: Final = frozenset(
    {
        "CreateSecret",
        "DeleteSecret",
        "PutSecretValue",
        "RemoveRegionsFromReplication",
        "RestoreSecret",
        "RotateSecret",
        "UpdateSecretVersionStage",
    }
)
_STS: Final = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"})

_ACTION: Final = re.compile(r"perform: ((?:secretsmanager|kms|sts):[A-Za-z]{1,60})\b", re.ASCII)
# LocalStack before version 4 breaks at what moto, of which it is made, says: that is quoted in its message.
_QUOTED: Final = re.compile(r'"__type": ?"(ResourceNotFoundException|InvalidRequestException)"', re.ASCII)
_SHOWABLE: Final = re.compile(r"[A-Za-z0-9.]{1,64}", re.ASCII)


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
        return call.error(SecretNotFoundError, f"there is no such secret or version{_in(call.region)} of this account")
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
        return ConfigError(call.says(f"the KMS key is not there{_in(call.region)} or cannot do that: check kms_key_id"))
    if code in {"InvalidParameterException", "ValidationException", "InvalidParameterValue", "ValidationError"}:
        return _invalid(call)
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
        f"the name belongs to a secret that is {SCHEDULED}: {_RESTORE}; `asyncsecrets destroy NAME` deletes it for "
        "good, and frees the name after seconds",
    )


def _replicated(call: Call, *, is_replica: bool) -> AsyncSecretsError:
    if is_replica:
        return ConfigError(call.says(f"the secret{_in(call.region)} is a replica: write to it where its original is"))
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


def _invalid(call: Call) -> AsyncSecretsError:
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


def _in(region: str) -> str:
    return f" in {region}" if region else ""


# -- AWS did not answer

_LOGIN: Final = getattr(botocore, "LoginError", botocore.SSOError)  # `aws login`, which older ones do not know
_CREDENTIALS: Final = (
    _LOGIN,
    botocore.CredentialRetrievalError,
    botocore.MetadataRetrievalError,
    botocore.SSOError,
    botocore.TokenRetrievalError,
    botocore.RefreshWithMFAUnsupportedError,
)
_SETTINGS: Final = (
    botocore.ProfileNotFound,
    botocore.ConfigNotFound,
    botocore.ConfigParseError,
    botocore.InvalidConfigError,
    botocore.InvalidRegionError,
    botocore.InfiniteLoopConfigError,
    botocore.UnknownCredentialError,
    botocore.PartialCredentialsError,
    botocore.UnknownServiceError,
    botocore.BaseEndpointResolverError,
    botocore.EndpointProviderError,
)
_UNSENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientProxyConnectionError)
_INSECURE: Final = (aiohttp.ClientSSLError, botocore.SSLError, ssl.SSLError, ssl.CertificateError)
_BROKEN: Final = (
    aiohttp.ClientError,
    botocore.HTTPClientError,
    botocore.ConnectionError,
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
)


def _failed(call: Call, failure: BaseException, proxy: Proxy | None = None) -> AsyncSecretsError:
    if isinstance(failure, botocore.NoCredentialsError):
        return call.error(AuthenticationError, NO_CREDENTIALS)
    if isinstance(failure, botocore.NoRegionError):
        return ConfigError(f"{call.system}: {NO_REGION}")
    if isinstance(failure, _CREDENTIALS):
        return call.error(AuthenticationError, f"{_NOT_OBTAINED}: {_anew(failure) or _WHENCE}")
    if isinstance(failure, botocore.ParamValidationError):  # found here: nothing was sent
        return _invalid(call)
    if isinstance(failure, _SETTINGS):
        what = _PROBLEMS.get(type(failure).__name__, "the AWS configuration of this machine or source is wrong")
        return ConfigError(f"{call.system}: {what} ({type(failure).__name__})")
    if is_elsewhere(failure):
        return call.error(InsecureTransportError, _ELSEWHERE)
    if isinstance(failure, _INSECURE):
        return call.error(InsecureTransportError, _tls_failed(failure, proxy))
    return _unanswered(call, failure)


def _tls_failed(failure: BaseException, proxy: Proxy | None) -> str:
    fault = certificate_fault(failure)
    shown = f" ({fault})" if fault else ""
    opener = "somebody" if proxy is None else str(proxy)
    if not doubts_issuer(fault):
        return f"TLS to AWS failed{shown}: check the endpoint and this machine's clock, or does {opener} open TLS?"
    return f"TLS to AWS failed{shown}: is AWS_CA_BUNDLE right, or does {opener} open TLS? Then name its CA there"


def _anew(failure: BaseException) -> str:
    """What a person has to do where a login of theirs has run out, or nothing."""
    if isinstance(failure, (botocore.SSOError, botocore.TokenRetrievalError)):
        return "the single sign-on has run out: run `aws sso login` (with --profile, for one that is not the default)"
    return "the login has run out: run `aws login`" if isinstance(failure, _LOGIN) else ""


def _unanswered(call: Call, failure: BaseException) -> ProviderError:
    if isinstance(failure, RedirectedError):
        return call.error(InsecureTransportError, "AWS does not redirect, and the endpoint did; it is not followed")
    if isinstance(failure, EncodedError):
        return call.error(MalformedResponseError, _ENCODED, unknown=True)
    if isinstance(failure, TooLargeError):
        return call.error(MalformedResponseError, "the answer is too large to be one of AWS", unknown=True)
    if isinstance(failure, _UNSENT):
        return call.error(
            UnavailableError, f"AWS cannot be reached{_in(call.region)}: check region, endpoint and network"
        )
    if isinstance(failure, _BROKEN):
        late = isinstance(failure, (TimeoutError, botocore.ReadTimeoutError, botocore.ConnectTimeoutError))
        text = "AWS did not answer in time" if late else "the connection to AWS broke"
        return call.error(UnavailableError, text, unknown=True)
    # A parser's complaint: it may quote the answer, so only its class is told.
    return call.error(MalformedResponseError, f"the answer makes no sense ({type(failure).__name__})", unknown=True)


_ENCODED: Final = (
    "the answer is compressed, which was not asked for: a proxy does that, or what stands in for AWS; have it leave "
    "AWS's answers as they are"
)
_SDK: Final = (AsyncSecretsError, botocore.BotoCoreError, botocore.ClientError)
_NOT_OBTAINED: Final = "the AWS credentials could not be obtained"
_WHENCE: Final = "check the profile (its credential_process), the container or the instance role they come from"
NO_CREDENTIALS: Final = (
    "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (aws_profile_name or "
    "AWS_PROFILE), or give the machine, pod or container a role"
)
_ELSEWHERE: Final = (
    "localhost is another machine, by this one's hosts file or DNS, and plain http does not leave this one: nothing "
    "was sent. Mend that, or write 127.0.0.1"
)
NO_REGION: Final = (
    "no AWS region: set AWS_REGION_NAME (or AWS_REGION, AWS_DEFAULT_REGION), the setting aws_region_name, or a region "
    "in the profile"
)
_PROBLEMS: Final = {
    "ProfileNotFound": "there is no such AWS profile: check aws_profile_name, AWS_PROFILE and ~/.aws/config",
    "InvalidRegionError": "aws_region_name cannot be a region",
    "PartialCredentialsError": "one half of the AWS credentials is missing: a key needs its secret key, and the "
    "role_arn of a profile its source_profile or credential_source",
    "InfiniteLoopConfigError": "profiles lead in a circle: check role_arn and source_profile in ~/.aws/config",
    "InvalidConfigError": "a profile is incomplete or contradicts itself: check its role_arn, source_profile and "
    "credential_source (or sso_…) in ~/.aws/config, and AWS_ROLE_ARN beside AWS_WEB_IDENTITY_TOKEN_FILE",
    "ConfigParseError": "~/.aws/config or ~/.aws/credentials (see AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE) "
    "cannot be parsed: it needs [sections] of key = value lines, and no byte order mark",
}
