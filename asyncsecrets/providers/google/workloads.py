"""Workload identity federation (https://google.aip.dev/auth/4117): what another cloud knows us by, exchanged.

The exchange is google-auth's, and so is what is particular to AWS. Other subjects are taken here: google-auth takes a
file with the line break at its end, has a program read our standard input, and takes its complaints for its answer.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import time
from collections.abc import Mapping
from typing import Any, Final

from google.auth import aws, identity_pool

from asyncsecrets.credential import shown_path, usable
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.credential_files import read_credential_file
from asyncsecrets.providers.programs import ProgramError, output_of

__all__ = ["SubjectError", "account_in", "federated"]

_AWS: Final = "urn:ietf:params:aws:token-type:aws4_request"
_SOURCES: Final = frozenset({"executable", "file", "url"})
_TOLD: Final = "GOOGLE_EXTERNAL_ACCOUNT_"
_ALLOW: Final = f"{_TOLD}ALLOW_EXECUTABLES"


class SubjectError(Exception):
    """There is no token to exchange. Its text says why, and shows nothing of what was read."""


def federated(info: Mapping[str, Any], scopes: list[str]) -> Any:
    """The credentials of a file of the type ``external_account``. Raises google-auth's errors, and Python's."""
    if info["subject_token_type"] == _AWS:
        return aws.Credentials.from_info(info, scopes=scopes)
    known = {key: info[key] for key in info if key != "credential_source"}
    return identity_pool.Credentials.from_info({**known, "subject_token_supplier": _Supplier(info)}, scopes=scopes)


def account_in(url: str) -> str:
    """The service account that is impersonated at ``url``."""
    return url.rpartition("/")[2].removesuffix(":generateAccessToken")


class _Supplier(identity_pool.SubjectTokenSupplier):  # type: ignore[misc]  # google-auth has no types
    """Takes a token anew each time: who gives it gives another as it expires."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._source = info["credential_source"]
        self._account = account_in(str(info.get("service_account_impersonation_url") or ""))
        [self._kind] = _SOURCES & self._source.keys()

    def get_subject_token(self, context: Any, request: Any) -> str:
        """The token. Raises SubjectError, and our errors of the request for one."""
        try:
            if self._kind == "executable":
                return self._of_program(context)
            return self._of_url(request) if self._kind == "url" else self._of_file(str(self._source["file"]))
        except ConfigError as error:
            problem = str(error)
        except ProgramError as error:
            problem = f"the program of credential_source {error}"
        raise SubjectError(problem)

    def _of_file(self, path: str) -> str:
        where = f"the file {shown_path(path)} of credential_source"
        return self._in_form(read_credential_file(path, where), where)

    def _of_url(self, request: Any) -> str:
        answer = request(url=self._source["url"], method="GET", headers=self._source.get("headers") or {})
        if answer.status != 200:
            raise SubjectError(f"the url of credential_source gives no token (HTTP {answer.status})")
        return self._in_form(answer.data.decode("utf-8", "replace"), "what the url of credential_source gives")

    def _in_form(self, text: str, where: str) -> str:
        form, token = self._source.get("format") or {}, text
        if form.get("type", "text") == "json":
            try:
                token = str(json.loads(text)[form["subject_token_field_name"]])
            except (ValueError, KeyError, TypeError, RecursionError):
                token = ""
        if not (token := usable(token, where)):
            raise ConfigError(f"{where} has no token where format says that it is")
        return token

    def _of_program(self, context: Any) -> str:
        """What a program gives, if programs are allowed; or has kept, until that ends."""
        program = self._source["executable"]
        kept = str(program.get("output_file") or "")
        if os.environ.get(_ALLOW) != "1":
            raise ProgramError(f"is not run: set {_ALLOW}=1 in the environment of this process")
        if token := _kept_in(kept):
            return token
        seconds = min(120.0, max(5.0, float(program.get("timeout_millis") or 30_000) / 1000))
        text = output_of(shlex.split(program["command"]), self._environ(context, kept), seconds)
        return _token_in(text if text.strip() or not kept else read_credential_file(kept, _KEPT))

    def _environ(self, context: Any, kept: str) -> Mapping[str, str]:
        told = {"AUDIENCE": context.audience, "TOKEN_TYPE": context.subject_token_type, "INTERACTIVE": "0"}
        told |= {"OUTPUT_FILE": kept} if kept else {}
        told |= {"IMPERSONATED_EMAIL": self._account} if self._account else {}
        return os.environ | {f"{_TOLD}{name}": value for name, value in told.items()}


_KEPT: Final = "the output_file of credential_source"


def _kept_in(path: str) -> str:
    """The token that a program has kept; empty where there is none, or none that says that it is still good."""
    with contextlib.suppress(ConfigError, ProgramError):
        return _token_in(read_credential_file(path, _KEPT), ends=0.0) if path else ""
    return ""


def _token_in(text: str, *, ends: float = math.inf) -> str:
    """The token in an answer of a program's; ``ends`` is when one ends that does not say so. Raises ProgramError."""
    problem = "gives an answer that makes no sense"
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        answer: Any = json.loads(text)
        if not answer["success"]:
            problem = "says that it gives no token"
        elif float(answer.get("expiration_time", ends)) <= time.time():
            problem = "gives a token that has ended"
        else:
            return usable(answer.get("id_token") or answer["saml_response"], "the token of the program")
    raise ProgramError(problem)
