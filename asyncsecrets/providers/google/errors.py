"""The one place where what gRPC, google-auth and Google say becomes an error of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import grpc

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    MalformedResponseError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.providers import call as calling
from asyncsecrets.providers.google.services import Service

__all__ = ["Call", "status_of", "text_of", "translate"]


@dataclass(frozen=True, slots=True)
class Call(calling.Call):
    """One call of an operation of Google, spelled as Google spells it (``AccessSecretVersion``)."""

    service: Service | None = None

    @property
    def writes(self) -> bool:
        """Whether it may have been applied although no answer came."""
        return self.service is not None and self.operation in self.service.writes


def status_of(failure: BaseException) -> str | None:
    """Google's status of a failure (``NOT_FOUND``), or None where nobody answered."""
    return failure.code().name if isinstance(failure, grpc.aio.AioRpcError) else None


def text_of(failure: BaseException) -> str:
    """What Google said along with the status. It may name what no error of ours should."""
    return (failure.details() or "") if isinstance(failure, grpc.aio.AioRpcError) else ""


_TOO_LARGE: Final = "larger than max"  # as gRPC itself says of what it does not take in


def translate(call: Call, failure: BaseException) -> AsyncSecretsError:
    """Return what ``failure`` means. Raise it outside the ``except`` block: the failure may hold secrets."""
    if isinstance(failure, AsyncSecretsError):
        return failure
    status: Any = status_of(failure)
    if status == "NOT_FOUND":
        return call.error(SecretNotFoundError, "there is no such secret or version")
    if status == "PERMISSION_DENIED":
        return call.error(AccessDeniedError, "the IAM policy does not allow it, or there is no such project")
    if status == "UNAUTHENTICATED":
        return call.error(AuthenticationError, "Google does not accept the credentials")
    if status == "RESOURCE_EXHAUSTED" and _TOO_LARGE in text_of(failure):
        return call.error(MalformedResponseError, "the answer is too large to be one of Google", unknown=True)
    if status == "RESOURCE_EXHAUSTED":
        return call.error(RateLimitedError, "a quota is used up")
    if status in {"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED", "ABORTED"}:
        return call.error(UnavailableError, "Google did not answer", unknown=True)
    return call.error(MalformedResponseError, f"the answer makes no sense ({type(failure).__name__})", unknown=True)
