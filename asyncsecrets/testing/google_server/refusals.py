"""What the fake refuses with: a status, Google's wording, and the details that googleapis.com sends with it.

The packages of the extra ``google`` are loaded here, when they are first needed.
"""

from __future__ import annotations

from typing import Any

from asyncsecrets.testing import needs


def need(module: str) -> Any:
    """A module of the extra; raises MissingDependencyError without it."""
    return needs.need(module, "google")


class Refused(Exception):  # noqa: N818 - what a server says, not what went wrong in it
    """A status by its gRPC name. A reason goes into an ErrorInfo with the facts, seconds to wait into a RetryInfo."""

    def __init__(
        self, code: str, message: str, reason: str = "", retry_after: float | None = None, **facts: str
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.reason = code, message, reason
        self._retry_after, self._facts = retry_after, facts

    def status(self) -> tuple[Any, str, tuple[tuple[str, bytes], ...]]:
        """What grpc's ``abort`` takes: the code, the message, and the trailing metadata with the details."""
        code, kinds = need("grpc").StatusCode[self.code], need("google.rpc.error_details_pb2")
        status = need("google.rpc.status_pb2").Status(code=code.value[0], message=self.message)
        if self.reason:
            domain = "iam.googleapis.com" if self.reason.startswith("IAM_") else "googleapis.com"
            status.details.add().Pack(kinds.ErrorInfo(reason=self.reason, domain=domain, metadata=self._facts))
        if self._retry_after is not None:
            retry = kinds.RetryInfo()
            retry.retry_delay.FromNanoseconds(int(self._retry_after * 1e9))
            status.details.add().Pack(retry)
        return code, self.message, (("grpc-status-details-bin", status.SerializeToString()),) if status.details else ()


def invalid(message: str) -> Refused:
    """The request can never be right."""
    return Refused("INVALID_ARGUMENT", message)


def absent(what: str, name: str) -> Refused:
    """There is no such thing."""
    return Refused("NOT_FOUND", f"{what} [{name}] not found.")


def unauthenticated(reason: str, **facts: str) -> Refused:
    """There is no token, or one that is no good."""
    problem = "Request had invalid authentication credentials."
    if reason == "CREDENTIALS_MISSING":
        problem = "Request is missing required authentication credential."
    message = f"{problem} Expected OAuth 2 access token, login cookie or other valid authentication credential."
    return Refused("UNAUTHENTICATED", message, reason, None, **facts)
