"""Application Default Credentials (https://google.aip.dev/auth/4110), found in the environment of the settings.

google-auth's own search reads the process's environment, sleeps between attempts and asks a machine that is none of
Google's for ten seconds. What is found is its classes all the same; which of them, the type in the file says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from google.auth import external_account_authorized_user, impersonated_credentials
from google.oauth2 import credentials as user
from google.oauth2 import service_account

from asyncsecrets.credential import shown_path
from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ConfigError
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.credential_files import read_credential_file
from asyncsecrets.providers.google.machine import Machine, MetadataServer
from asyncsecrets.providers.google.settings import DOMAIN, PROJECT, GoogleSettings
from asyncsecrets.providers.google.workloads import account_in, federated
from asyncsecrets.settings import Tidied

__all__ = ["Found", "find"]

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_VARIABLE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_AHEAD: Final = 15 * 60.0
_AHEAD_OF_A_CACHE: Final = 225.0
"""Seconds: the metadata server gives the same token until four minutes before its end."""


@dataclass(slots=True)
class Found:
    """Credentials of google-auth's, and what else their file says. ``ahead``: how early a newer token is to be had."""

    credentials: Any = field(repr=False)
    project: str = ""
    quota_project: str = ""
    ahead: float = _AHEAD


def find(settings: GoogleSettings, call: Call, server: MetadataServer) -> Found:
    """Find them anew. Blocks. Raises AuthenticationError, ConfigError, UnavailableError."""
    environ = Tidied(settings.variables())
    found = _in_a_file(settings, call, environ) or _of_the_machine(call, server)
    _check_universe(found.credentials.universe_domain, settings.universe_domain, call)
    found.project = environ.get("GOOGLE_CLOUD_PROJECT") or environ.get("GCLOUD_PROJECT") or found.project
    found.quota_project = settings.quota_project or found.quota_project
    if found.quota_project and not PROJECT.fullmatch(found.quota_project):
        raise ConfigError(f"{call.system}: quota_project_id in the file of the credentials is no project: make it anew")
    if settings.impersonate:
        found.ahead = _AHEAD
        found.credentials = impersonated_credentials.Credentials(found.credentials, settings.impersonate, list(_SCOPES))
    return found


def _in_a_file(settings: GoogleSettings, call: Call, environ: Mapping[str, str]) -> Found | None:
    path, source = settings.credentials_file, f"google_application_credentials (or {_VARIABLE})"
    if not path:
        path, source = environ.get(_VARIABLE, ""), _VARIABLE
    if not path:
        path, source = _of_gcloud(environ), "`gcloud auth application-default login`"
        if not path or not Path(path).is_file():
            return None
    where = f"{call.system}: the file {shown_path(path)} of {source}"
    info = _document(read_credential_file(path, where), where)
    credentials = _credentials(info, where, call, environ)
    return Found(credentials, str(info.get("project_id") or ""), str(info.get("quota_project_id") or ""))


def _of_gcloud(environ: Mapping[str, str]) -> str:
    """Where gcloud keeps them (``CLOUDSDK_CONFIG``, else below the home, or APPDATA on Windows)."""
    folder = environ.get("CLOUDSDK_CONFIG", "")
    if not folder and os.name == "nt" and environ.get("APPDATA"):
        folder = os.path.join(environ["APPDATA"], "gcloud")  # noqa: PTH118
    elif not folder and environ.get("HOME"):
        folder = os.path.join(environ["HOME"], ".config", "gcloud")  # noqa: PTH118
    return os.path.join(folder, "application_default_credentials.json") if folder else ""  # noqa: PTH118


def _document(text: str, where: str) -> dict[str, Any]:
    try:
        found: Any = json.loads(text, strict=False)  # of a private key shells make lines
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        hint = " (is it base64 of one? Then decode it)" if text.startswith(_OF_AN_OBJECT) else ""
        raise ConfigError(f"{where} is no JSON object{hint}: it is to be a file of credentials as Google writes them")
    return found


_OF_AN_OBJECT: Final = ("ey", "ew")
"""How base64 of what begins with a brace begins."""


def _credentials(info: Mapping[str, Any], where: str, call: Call, environ: Mapping[str, str]) -> Any:
    """By the type that the file says, and no other. Raises ConfigError."""
    kind = info.get("type")
    if not isinstance(kind, str) or kind not in _KINDS:
        hint = "; it is a file of an OAuth client, not of credentials" if {"installed", "web"} & info.keys() else ""
        raise ConfigError(f"{where} has none of the types that are supported, {', '.join(_KINDS)}{hint}")
    needed, make = _KINDS[kind]
    missing = [name for name in needed if not info.get(name)]
    if missing:
        raise ConfigError(f"{where} is of the type {kind} and has no {missing[0]}: make it anew")
    try:
        return make(info, where, call, environ)
    except AsyncSecretsError as ours:
        error = ours
    except Exception:  # noqa: BLE001  # google-auth's, and Python's of what is no text: they quote what they read
        hint = " (its private_key is no PEM)" if kind == "service_account" else ""
        error = ConfigError(f"{where} is of the type {kind}, and cannot be used: it is damaged{hint}; make it anew")
    raise error


def _service_account(info: Mapping[str, Any], *_: Any) -> Any:
    """Signs its tokens itself (https://google.aip.dev/auth/4111): no token endpoint is on the way."""
    key = str(info["private_key"]).replace("\\n", "\n")  # escaped twice, as templates leave it; no PEM has a backslash
    known = {**info, "private_key": key}
    return service_account.Credentials.from_service_account_info(
        known, scopes=list(_SCOPES), always_use_jwt_access=True
    )


def _user(info: Mapping[str, Any], *_: Any) -> Any:
    found = user.Credentials.from_authorized_user_info(info)
    return found.with_token_uri(info["token_uri"]) if info.get("token_uri") else found


def _federated_user(info: Mapping[str, Any], *_: Any) -> Any:
    return external_account_authorized_user.Credentials.from_info(info)


def _federated(info: Mapping[str, Any], where: str, call: Call, environ: Mapping[str, str]) -> Any:
    return federated(info, where, call, environ, _SCOPES)


def _impersonated(info: Mapping[str, Any], where: str, call: Call, environ: Mapping[str, str]) -> Any:
    """As another service account, by credentials that are in the same file."""
    url = str(info["service_account_impersonation_url"])
    source = _credentials(info["source_credentials"], f"source_credentials in {where}", call, environ)
    return impersonated_credentials.Credentials(
        source, account_in(url), list(_SCOPES), delegates=info.get("delegates"), iam_endpoint_override=url
    )


_KINDS: Final[Mapping[str, tuple[tuple[str, ...], Callable[..., Any]]]] = {
    "service_account": (("client_email", "private_key", "token_uri"), _service_account),
    "authorized_user": (("client_id", "client_secret", "refresh_token"), _user),
    "external_account": (("audience", "subject_token_type", "token_url", "credential_source"), _federated),
    "external_account_authorized_user": (("refresh_token", "token_url", "client_id"), _federated_user),
    "impersonated_service_account": (("service_account_impersonation_url", "source_credentials"), _impersonated),
}
"""By the type in a file: what is needed there, and what makes credentials of it."""


def _of_the_machine(call: Call, server: MetadataServer) -> Found:
    if not server.is_there():
        raise call.error(AuthenticationError, _NONE)
    universe = server.ask("universe/universe-domain", patiently=True) or b"googleapis.com"
    machine = Machine(server, call, _SCOPES, universe.decode("ascii", "replace").strip())
    return Found(machine, server.text("project/project-id"), ahead=_AHEAD_OF_A_CACHE)


def _check_universe(theirs: str, ours: str, call: Call) -> None:
    if theirs != ours:
        of_which = f"the universe {theirs!r}" if DOMAIN.fullmatch(theirs) else "a universe that is no domain"
        raise ConfigError(
            f"{call.system}: the credentials are of {of_which}, and google_universe_domain (or "
            f"GOOGLE_CLOUD_UNIVERSE_DOMAIN) says {ours!r}: they must be the same"
        )


_NONE: Final = (
    "there are no Google credentials: set GOOGLE_APPLICATION_CREDENTIALS to a file of credentials, run `gcloud auth "
    "application-default login`, or give the machine, pod or service a service account (this is none of Google's: no "
    "metadata server answers)"
)
