"""What the fake refuses with: a status, Google's wording, and the details that googleapis.com sends with it.

The packages of the extra ``google`` are loaded here, when they are first needed.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

from asyncsecrets.errors import MissingDependencyError

_DEVELOPERS: Final = "See https://developers.google.com/identity/sign-in/web/devconsole-project."
_EXPECTED: Final = "Expected OAuth 2 access token, login cookie or other valid authentication credential."


def need(module: str) -> Any:
    """A module of the extra.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        pass
    raise MissingDependencyError(f"the Google fake needs {module}: pip install 'asyncsecrets[google]'", extra="google")


class Refused(Exception):  # noqa: N818 - what a server says, not what went wrong in it
    """A status with its message; ``reason`` goes into an ErrorInfo, and ``retry_after`` (s) into a RetryInfo."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        reason: str = "",
        domain: str = "googleapis.com",
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.reason, self.domain = code, message, reason, domain
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after

    def status(self) -> Any:
        """The code as grpc has it."""
        return need("grpc").StatusCode[self.code]

    def trailer(self) -> tuple[tuple[str, bytes], ...]:
        """The trailing metadata with the details; none if there are none."""
        details = need("google.rpc.error_details_pb2")
        status = need("google.rpc.status_pb2").Status(code=self.status().value[0], message=self.message)
        if self.reason:
            info = details.ErrorInfo(reason=self.reason, domain=self.domain, metadata=self.metadata)
            status.details.add().Pack(info)
        if self.retry_after is not None:
            retry = details.RetryInfo()
            retry.retry_delay.FromNanoseconds(int(self.retry_after * 1e9))
            status.details.add().Pack(retry)
        return (("grpc-status-details-bin", status.SerializeToString()),) if status.details else ()


def invalid(message: str) -> Refused:
    """The request can never be right."""
    return Refused("INVALID_ARGUMENT", message)


def absent(what: str, name: str) -> Refused:
    """There is no such resource."""
    return Refused("NOT_FOUND", f"{what} [{name}] not found.")


def stale_etag(name: str) -> Refused:
    """Somebody else was there before."""
    return Refused("FAILED_PRECONDITION", f"The etag provided in the request does not match that of [{name}].")


def no_credentials(metadata: Mapping[str, str]) -> Refused:
    """The request came without a token."""
    message = f"Request is missing required authentication credential. {_EXPECTED} {_DEVELOPERS}"
    return Refused("UNAUTHENTICATED", message, reason="CREDENTIALS_MISSING", metadata=metadata)


def bad_credentials(metadata: Mapping[str, str], *, expired: bool) -> Refused:
    """The token has expired, or never was one."""
    message = f"Request had invalid authentication credentials. {_EXPECTED} {_DEVELOPERS}"
    reason = "ACCESS_TOKEN_EXPIRED" if expired else "ACCESS_TOKEN_TYPE_UNSUPPORTED"
    return Refused("UNAUTHENTICATED", message, reason=reason, metadata=metadata)


def denied(permission: str, name: str) -> Refused:
    """No permission, or no such thing: Google does not say which."""
    message = f"Permission '{permission}' denied for resource '{name}' (or it may not exist)."
    facts = {"permission": permission, "resource": name}
    return Refused(
        "PERMISSION_DENIED", message, reason="IAM_PERMISSION_DENIED", domain="iam.googleapis.com", metadata=facts
    )


def broken_project(reason: str, project: str, number: str, service: str) -> Refused:
    """The project cannot use the service: SERVICE_DISABLED, BILLING_DISABLED, CONSUMER_INVALID, or another reason."""
    console = "https://console.developers.google.com"
    again = "recently, wait a few minutes for the action to propagate to our systems and retry."
    messages = {
        "SERVICE_DISABLED": f"{service} has not been used in project {number} before or it is disabled. Enable it by "
        f"visiting {console}/apis/api/{service}/overview?project={number} then retry. If you enabled this API {again}",
        "BILLING_DISABLED": f"This API method requires billing to be enabled. Please enable billing on project "
        f"#{number} by visiting {console}/billing/enable?project={number} then retry. If you enabled billing for this "
        f"project {again}",
        "CONSUMER_INVALID": f"Project '{project}' not found or deleted.",
    }
    facts = {"service": service, "consumer": f"projects/{number}"}
    message = messages.get(reason, f"Project '{project}' cannot use {service}.")
    return Refused("PERMISSION_DENIED", message, reason=reason, metadata=facts)


def exhausted(retry_after: float | None) -> Refused:
    """The quota of the minute is used up."""
    message = "Quota exceeded for quota metric 'Access requests' and limit 'Access requests per minute'."
    return Refused("RESOURCE_EXHAUSTED", message, reason="RATE_LIMIT_EXCEEDED", retry_after=retry_after)
