"""What it means that there are no credentials: what google-auth raises, and what gives tokens answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, Final

from google.auth import exceptions

from asyncsecrets.errors import AccessDeniedError, AsyncSecretsError, AuthenticationError, ConfigError
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.google.reasons import allowing
from asyncsecrets.providers.google.workloads import SubjectError

__all__ = ["translate_credentials"]

_NOT_OBTAINED: Final = "the Google credentials could not be obtained"
_LOGIN: Final = "run `gcloud auth application-default login`"
_POOL: Final = "check the workload identity pool, its provider and its conditions, and the file's audience"

_CODES: Final = {
    "invalid_client": "the OAuth client in their file is not known: make the file anew",
    "invalid_grant": f"what they are renewed with is not accepted, or has run out. A user: {_LOGIN}. A service "
    "account: is its key deleted, is it disabled, is this machine's clock right? A workload: has its token expired?",
    "invalid_request": f"the request is not accepted: {_POOL}",
    "invalid_scope": "the scope cloud-platform is not allowed to them",
    "invalid_target": f"the audience is not known: {_POOL}",
    "unauthorized_client": f"they may not ask for tokens: {_POOL}",
}
"""By the error code of OAuth (RFC 6749 §5.2, RFC 8693 §2.2.2)."""


def translate_credentials(call: Call, failure: BaseException) -> AsyncSecretsError:
    """Return what a failure to find or renew credentials means. Raise it outside the ``except`` block."""
    if isinstance(failure, AsyncSecretsError):
        return failure
    error, kind = _error_in(failure), type(failure).__name__
    if isinstance(error, dict):  # of an API of Google's: a service account is impersonated
        return call.error(*_IMPERSONATED.get(str(error.get("status")), (AuthenticationError, _NO_IMPERSONATION)))
    if isinstance(failure, SubjectError):
        why = str(failure)
    elif isinstance(failure, exceptions.GoogleAuthError):
        why = _CODES.get(str(error), f"what gives them refuses, or its answer makes no sense ({kind})")
    else:
        why = f"what was given makes no sense ({kind})"
    return call.error(AuthenticationError, f"{_NOT_OBTAINED}: {why}")


_NO_IMPERSONATION: Final = f"{_NOT_OBTAINED}: the service account cannot be impersonated"
_ALLOW: Final = f"{allowing('iam.serviceAccounts.getAccessToken')} on the service account to impersonate"
_IMPERSONATED: Final[Mapping[str, tuple[type[AsyncSecretsError], str]]] = {
    "NOT_FOUND": (ConfigError, "there is no such service account to impersonate, or it is disabled"),
    "PERMISSION_DENIED": (AccessDeniedError, f"{_ALLOW}, and enable iamcredentials.googleapis.com"),
}
"""By Google's status."""


def _error_in(failure: BaseException) -> Any:
    """What the answer says that is wrong, which google-auth leaves in its exception: as a document, or as its text."""
    answer = failure.args[1] if len(failure.args) > 1 else None
    if isinstance(answer, str):
        with contextlib.suppress(ValueError):
            answer = json.loads(answer)
    return answer.get("error") if isinstance(answer, dict) else None
