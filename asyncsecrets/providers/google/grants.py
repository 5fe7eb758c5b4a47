"""What it means that there are no credentials: what google-auth raises, and what gives tokens answers."""

from __future__ import annotations

import json
from typing import Any, Final

from google.auth import exceptions

from asyncsecrets.errors import AccessDeniedError, AsyncSecretsError, AuthenticationError, ConfigError
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.google.reasons import allowing

__all__ = ["translate_credentials"]

_NOT_OBTAINED: Final = "the Google credentials could not be obtained"
_LOGIN: Final = "run `gcloud auth application-default login`"
_POOL: Final = "check the workload identity pool, its provider and its conditions, and the file's audience"

_CODES: Final = {
    "invalid_client": "the OAuth client in their file is not known: make the file anew",
    "invalid_grant": f"what they are renewed with is not accepted. A user: {_LOGIN}. A service account: is its key "
    "deleted, is it disabled, is this machine's clock right? A workload: has its token expired?",
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
    if not isinstance(failure, exceptions.GoogleAuthError):
        why = f"what was given makes no sense ({type(failure).__name__})"
        return call.error(AuthenticationError, f"{_NOT_OBTAINED}: {why}")
    answer = _answer_in(failure)
    error = answer.get("error")
    if isinstance(error, dict):  # of an API of Google's: a service account is impersonated
        return _not_impersonated(call, str(error.get("status")))
    if answer.get("error_subtype") in {"invalid_rapt", "rapt_required"} or "Reauthentication" in str(failure):
        return call.error(AuthenticationError, f"{_NOT_OBTAINED}: the login has run out; {_LOGIN}")
    why = _CODES.get(str(error), f"what gives them refuses, or its answer makes no sense ({type(failure).__name__})")
    return call.error(AuthenticationError, f"{_NOT_OBTAINED}: {why}")


def _not_impersonated(call: Call, status: str) -> AsyncSecretsError:
    if status == "PERMISSION_DENIED":
        allow = allowing("iam.serviceAccounts.getAccessToken")
        text = f"{allow} on the service account to impersonate, and enable iamcredentials.googleapis.com"
        return call.error(AccessDeniedError, text)
    if status in {"NOT_FOUND", "INVALID_ARGUMENT"}:
        return ConfigError(call.says("there is no such service account to impersonate, or it is disabled"))
    return call.error(AuthenticationError, f"{_NOT_OBTAINED}: no service account can be impersonated")


def _answer_in(failure: BaseException) -> dict[str, Any]:
    """What was answered, where google-auth has left it in its exception: as a document, or as its text."""
    for part in failure.args:
        found: Any = part
        if isinstance(part, str):
            try:
                found = json.loads(part)
            except ValueError:
                continue
        if isinstance(found, dict):
            return found
    return {}
