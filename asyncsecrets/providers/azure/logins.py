"""The login of a developer: the Azure CLI, the Azure Developer CLI and PowerShell give tokens to who may run them.

They are run here and not by azure-identity, which looks for them in the process's environment, and keeps what they
write in its exceptions.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from asyncsecrets.errors import AuthenticationError
from asyncsecrets.providers.azure.identities import AHEAD_OF_A_CACHE, Target
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.programs import ProgramError, output_of

__all__ = ["Login"]

_SECONDS: Final = 10.0


class Login:
    """Gives tokens of the first tool that does. ``tenant`` is where it is asked for them, else it is the vault's."""

    ahead = AHEAD_OF_A_CACHE

    def __init__(self, environ: Mapping[str, str], tenant: str, call: Call) -> None:
        self._environ = environ
        self._tenant = tenant
        self._call = call
        self._programs = {tool: found for tool in _TOOLS if (found := shutil.which(tool, path=environ.get("PATH", "")))}

    def is_there(self) -> bool:
        """Whether any of them is installed."""
        return bool(self._programs)

    def token(self, target: Target, _: str) -> tuple[str, float]:
        """A token and its end. Raises AuthenticationError, with what to do."""
        target, problems = target._replace(tenant=self._tenant or target.tenant), []
        for tool, program in self._programs.items():
            arguments, login = _TOOLS[tool]
            try:
                found = _token_in(self._output([program, *arguments(target)]))
            except ProgramError as error:
                problems.append(f"{tool} {error}: run `{login}`")
            else:
                self._programs = {tool: program}  # it will do next time, too
                return found
        raise self._call.error(AuthenticationError, "; ".join(problems) or _ABSENT)

    def _output(self, command: list[str]) -> str:
        # Not where we are: az is a module of Python, and would import those that lie about.
        return output_of(command, self._environ, _SECONDS, self._environ.get("SYSTEMROOT") if os.name == "nt" else "/")


def _token_in(text: str) -> tuple[str, float]:
    """The token and its end in what a tool writes, each of which has other names for them. Raises ProgramError."""
    try:
        found: Any = json.loads(text)
        ends = found.get("expires_on") or datetime.fromisoformat(found["expiresOn"]).timestamp()
        return str(found.get("accessToken") or found["token"]), float(ends)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ProgramError("gives no token")


def _of_az(target: Target) -> list[str]:
    tenant = ["--tenant", target.tenant] if target.tenant else []
    return ["account", "get-access-token", "--output", "json", "--resource", target.resource, *tenant]


def _of_azd(target: Target) -> list[str]:
    tenant = ["--tenant-id", target.tenant] if target.tenant else []
    return ["auth", "token", "--output", "json", "--no-prompt", "--scope", target.scope, *tenant]


def _of_powershell(target: Target) -> list[str]:
    tenant = f"-TenantId '{target.tenant}'" if target.tenant else ""
    script = _SCRIPT.format(resource=target.resource, tenant=tenant)
    return ["-NoProfile", "-NonInteractive", "-EncodedCommand", base64.b64encode(script.encode("utf-16-le")).decode()]


_SCRIPT: Final = """$ErrorActionPreference = 'Stop'
$found = Get-AzAccessToken -ResourceUrl '{resource}' {tenant} -WarningAction Ignore
$token = $found.Token
if ($token -is [Security.SecureString]) {{ $token = [Net.NetworkCredential]::new('', $token).Password }}
@{{ token = $token; expires_on = $found.ExpiresOn.ToUnixTimeSeconds() }} | ConvertTo-Json
"""
_TOOLS: Final[Mapping[str, tuple[Callable[[Target], list[str]], str]]] = {
    "az": (_of_az, "az login"),
    "azd": (_of_azd, "azd auth login"),
    "pwsh": (_of_powershell, "Connect-AzAccount"),
    "powershell": (_of_powershell, "Connect-AzAccount"),
}
"""By its program: what has a tool give a token, and what a developer logs in by."""

_ABSENT: Final = "neither az, azd nor pwsh is in PATH: install the Azure CLI, and run `az login`"
