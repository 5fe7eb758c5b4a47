"""Workload identity federation (https://google.aip.dev/auth/4117): what another cloud knows us by, exchanged.

The exchange is google-auth's, and so is what is particular to AWS, whose variables it reads from the process. Other
subjects come from here: google-auth takes files as they are, and runs programs with our standard input.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from google.auth import aws, identity_pool

from asyncsecrets.credential import shown_path, usable
from asyncsecrets.errors import AuthenticationError, ConfigError
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.credential_files import read_credential_file
from asyncsecrets.providers.programs import ProgramError, output_of

__all__ = ["account_in", "federated"]

_AWS: Final = "urn:ietf:params:aws:token-type:aws4_request"
_ALLOW: Final = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"
_NEVER: Final = 9e12
_TOKENS: Final = {
    "urn:ietf:params:oauth:token-type:jwt": "id_token",
    "urn:ietf:params:oauth:token-type:id_token": "id_token",
    "urn:ietf:params:oauth:token-type:saml2": "saml_response",
}


def federated(
    info: Mapping[str, Any], where: str, call: Call, environ: Mapping[str, str], scopes: tuple[str, ...]
) -> Any:
    """The credentials of an ``external_account`` file, which is ``where``. Raises ConfigError and google-auth's."""
    source, rest = info["credential_source"], {key: info[key] for key in info if key != "credential_source"}
    if info["subject_token_type"] == _AWS:
        return aws.Credentials.from_info(info, scopes=list(scopes))
    if "executable" in source:
        take: Any = _Program(info, call, environ)
    elif "file" in source:
        take = partial(_of_file, source, call)
    elif "url" in source:
        take = partial(_of_url, source, call)
    else:
        raise ConfigError(f"{where}: its credential_source has no file, url or executable, and is not for AWS")
    return identity_pool.Credentials.from_info({**rest, "subject_token_supplier": _Supplier(take)}, scopes=list(scopes))


class _Supplier(identity_pool.SubjectTokenSupplier):  # type: ignore[misc]  # google-auth has no types
    def __init__(self, take: Callable[[Any, Any], str]) -> None:
        self._take = take

    def get_subject_token(self, context: Any, request: Any) -> str:
        return self._take(context, request)


def _of_file(source: Mapping[str, Any], call: Call, *_: Any) -> str:
    """A token in a file, read anew each time: who writes it rewrites it as it expires."""
    where = f"the file {shown_path(str(source['file']))} of credential_source"
    try:
        return _token_in(read_credential_file(str(source["file"]), where), source, where)
    except ConfigError as error:
        problem = str(error)
    raise call.error(AuthenticationError, problem)


def _of_url(source: Mapping[str, Any], call: Call, _: Any, request: Any) -> str:
    """A token that somebody beside this machine gives."""
    answer = request(url=source["url"], method="GET", headers=source.get("headers") or {})
    problem = f"the url of credential_source gives no token (HTTP {answer.status})"
    if answer.status == 200:
        try:
            return _token_in(answer.data.decode("utf-8", "replace"), source, "what the url of credential_source gives")
        except ConfigError as error:
            problem = str(error)
    raise call.error(AuthenticationError, problem)


def account_in(url: str) -> str:
    """The service account that is impersonated at ``url``."""
    return url.rpartition("/")[2].removesuffix(":generateAccessToken")


def _token_in(text: str, source: Mapping[str, Any], where: str) -> str:
    form = source.get("format") or {}
    if form.get("type", "text") == "json":
        try:
            text = str(json.loads(text)[form["subject_token_field_name"]])
        except (ValueError, KeyError, TypeError):
            text = ""
    if not text:
        raise ConfigError(f"{where} has no token where format says that it is")
    return usable(text, where)


class _Program:
    """A token that a program gives, if programs are allowed. It has no terminal, and not our standard input."""

    def __init__(self, info: Mapping[str, Any], call: Call, environ: Mapping[str, str]) -> None:
        source = info["credential_source"]["executable"]
        self._account = account_in(info.get("service_account_impersonation_url") or "")
        self._command = shlex.split(source["command"])
        self._seconds = min(120.0, max(5.0, float(source.get("timeout_millis") or 30_000) / 1000))
        self._kept = str(source.get("output_file") or "")
        self._call = call
        self._environ = environ

    def __call__(self, context: Any, _: Any) -> str:
        if self._environ.get(_ALLOW) != "1":
            raise ConfigError(f"{self._call.system}: credential_source is a program: set {_ALLOW} to 1 to have it run")
        kept = self._read_kept()
        return (kept and self._token(kept, context, kept=True)) or self._token(self._run(context), context)

    def _read_kept(self) -> str:
        if not self._kept or not Path(self._kept).exists():
            return ""
        return read_credential_file(self._kept, f"the output_file {self._kept!r} of credential_source")

    def _run(self, context: Any) -> str:
        told = {"AUDIENCE": context.audience, "TOKEN_TYPE": context.subject_token_type, "INTERACTIVE": "0"}
        told |= {"OUTPUT_FILE": self._kept} if self._kept else {}
        told |= {"IMPERSONATED_EMAIL": self._account} if self._account else {}
        environ = {**self._environ, **{f"GOOGLE_EXTERNAL_ACCOUNT_{name}": value for name, value in told.items()}}
        try:
            return output_of(self._command, environ, self._seconds)
        except ProgramError as error:
            problem = str(error)
        raise self._call.error(AuthenticationError, f"the program of credential_source {problem}")

    def _token(self, text: str, context: Any, *, kept: bool = False) -> str:
        """The token in what it wrote; what was kept and has ended is empty."""
        problem = "what the program of credential_source gives makes no sense"
        try:
            answer: Any = json.loads(text)
            ends = float(answer.get("expiration_time", 0 if kept else _NEVER))
            if kept and ends <= time.time():
                return ""
            if not answer["success"]:
                problem = "the program of credential_source says that it gives no token"
            elif ends > time.time():
                return usable(answer[_TOKENS[context.subject_token_type]], "the token of the program")
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise self._call.error(AuthenticationError, problem)
