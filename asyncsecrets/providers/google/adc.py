"""Application Default Credentials (https://google.aip.dev/auth/4110), found in the environment of the settings.

google-auth's own search reads the process's environment, sleeps between attempts and asks a machine that is none of
Google's for ten seconds. What is found is its classes all the same; which of them, the type in the file says.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from google.auth import external_account_authorized_user, impersonated_credentials
from google.oauth2 import credentials as user
from google.oauth2 import service_account

from asyncsecrets.credential import shown_path
from asyncsecrets.errors import AuthenticationError, ConfigError
from asyncsecrets.kinds import Tidied
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.credential_files import read_credential_file
from asyncsecrets.providers.google.machine import Machine, MetadataServer
from asyncsecrets.providers.google.settings import PROJECT, GoogleSettings
from asyncsecrets.providers.google.workloads import account_in, federated

__all__ = ["Found", "find"]

_SCOPES: Final = ["https://www.googleapis.com/auth/cloud-platform"]
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
    if found.credentials.universe_domain != settings.universe_domain:
        raise call.error(ConfigError, f"{_ANOTHER_UNIVERSE} {settings.universe_domain!r}")
    found.project = environ.get("GOOGLE_CLOUD_PROJECT") or environ.get("GCLOUD_PROJECT") or found.project
    found.quota_project = settings.quota_project or found.quota_project
    if found.quota_project and not PROJECT.fullmatch(found.quota_project):
        raise call.error(ConfigError, "quota_project_id in the file of the credentials is no project: make it anew")
    if settings.impersonate:
        found.ahead = _AHEAD
        found.credentials = impersonated_credentials.Credentials(found.credentials, settings.impersonate, _SCOPES)
    return found


def _in_a_file(settings: GoogleSettings, call: Call, environ: Mapping[str, str]) -> Found | None:
    path = settings.credentials_file or environ.get(_VARIABLE, "")
    source = f"google_application_credentials ({_VARIABLE})"
    if not path:
        path, source = _of_gcloud(environ), "`gcloud auth application-default login`"
        if not Path(path).is_file():
            return None
    where = f"{call.system}: the file {shown_path(path)} of {source}"
    info: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        info = json.loads(read_credential_file(path, where), strict=False)  # of a private key shells make lines
    if not isinstance(info, dict):
        raise ConfigError(f"{where} is no JSON object: it is to be a file of credentials as Google writes them")
    return Found(_credentials(info, where), str(info.get("project_id") or ""), str(info.get("quota_project_id") or ""))


def _of_gcloud(environ: Mapping[str, str]) -> str:
    """Where gcloud keeps them (``CLOUDSDK_CONFIG``, else below the home, or APPDATA on Windows)."""
    variable, *folders = ("APPDATA", "gcloud") if os.name == "nt" else ("HOME", ".config", "gcloud")
    folder = environ.get("CLOUDSDK_CONFIG") or (environ.get(variable) and Path(environ[variable], *folders))
    return str(Path(folder, "application_default_credentials.json")) if folder else ""


def _credentials(info: Mapping[str, Any], where: str) -> Any:
    """By the type that the file says, and no other. Raises ConfigError."""
    kind = info.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ConfigError(f"{where} has none of the types that are supported, {', '.join(_TYPES)}")
    with contextlib.suppress(Exception):  # google-auth's, and Python's of what is no text: they quote what they read
        return _TYPES[kind](info)
    raise ConfigError(f"{where} is of the type {kind}, and cannot be used: it is damaged or incomplete; make it anew")


def _service_account(info: Mapping[str, Any]) -> Any:
    """Signs its tokens itself (https://google.aip.dev/auth/4111): no token endpoint is on the way."""
    key = info["private_key"].replace("\\n", "\n")  # escaped twice, as templates leave it; no PEM has a backslash
    known = {**info, "private_key": key}
    return service_account.Credentials.from_service_account_info(known, scopes=_SCOPES, always_use_jwt_access=True)


def _user(info: Mapping[str, Any]) -> Any:
    found = user.Credentials.from_authorized_user_info(info)
    return found.with_token_uri(info["token_uri"]) if info.get("token_uri") else found


def _impersonated(info: Mapping[str, Any]) -> Any:
    """As another service account, by credentials that are in the same file."""
    source, url = info["source_credentials"], str(info["service_account_impersonation_url"])
    return impersonated_credentials.Credentials(
        _TYPES[source["type"]](source),
        account_in(url),
        _SCOPES,
        delegates=info.get("delegates"),
        iam_endpoint_override=url,
    )


_TYPES: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "service_account": _service_account,
    "authorized_user": _user,
    "external_account": partial(federated, scopes=_SCOPES),
    "external_account_authorized_user": external_account_authorized_user.Credentials.from_info,
    "impersonated_service_account": _impersonated,
}
"""By the type in a file: what makes credentials of it."""


def _of_the_machine(call: Call, server: MetadataServer) -> Found:
    if not server.is_there():
        raise call.error(AuthenticationError, _NONE)
    universe = server.ask("universe/universe-domain") or "googleapis.com"
    return Found(Machine(server, _SCOPES, universe), server.ask("project/project-id") or "", ahead=_AHEAD_OF_A_CACHE)


_ANOTHER_UNIVERSE: Final = (
    "the credentials are of another universe than google_universe_domain (or GOOGLE_CLOUD_UNIVERSE_DOMAIN) says,"
)
_NONE: Final = (
    "there are no Google credentials: set GOOGLE_APPLICATION_CREDENTIALS to a file of credentials, run `gcloud auth "
    "application-default login`, or give the machine, pod or service a service account (this is none of Google's: no "
    "metadata server answers)"
)
