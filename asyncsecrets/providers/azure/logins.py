"""The login of a developer: the Azure CLI, the Azure Developer CLI and PowerShell give tokens to who may run them."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from asyncsecrets.errors import AuthenticationError
from asyncsecrets.providers.azure.identities import AHEAD_OF_A_CACHE, Target
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.programs import ProgramError, output_of

__all__ = ["Login"]

_SECONDS: Final = 10.0


class _Tool(NamedTuple):
    """A program, what gives a token, and what a developer logs in by."""

    names: tuple[str, ...]
    arguments: Callable[[Target], list[str]]
    login: str

    def found(self, environ: Mapping[str, str]) -> str | None:
        path = environ.get("PATH", "")
        return next((found for name in self.names if path and (found := shutil.which(name, path=path))), None)


class Login:
    """Gives tokens of the first tool that does. ``tenant`` is where it is asked for them, else it is the vault's."""

    ahead = AHEAD_OF_A_CACHE

    def __init__(self, environ: Mapping[str, str], tenant: str, call: Call) -> None:
        self._environ = environ
        self._tenant = tenant
        self._call = call
        self._tools: tuple[_Tool, ...] = _TOOLS

    def is_there(self) -> bool:
        """Whether any of them is installed."""
        return any(tool.found(self._environ) for tool in self._tools)

    def token(self, target: Target, _: str) -> tuple[str, float]:
        """A token and its end. Raises AuthenticationError, with what to do."""
        target = target._replace(tenant=self._tenant or target.tenant)
        problems = [_ABSENT]
        for tool in self._tools:
            if program := tool.found(self._environ):
                try:
                    found = _token_in(self._output(program, tool.arguments(target)))
                except ProgramError as error:
                    problems.append(f"{tool.names[0]} {error}: run `{tool.login}`")
                else:
                    self._tools = (tool,)  # it will do next time, too
                    return found
        raise self._call.error(AuthenticationError, "; ".join(problems[1:] or problems))

    def _output(self, program: str, arguments: list[str]) -> str:
        # Not where we are: az is a module of Python, and would import those that lie about.
        folder = self._environ.get("SYSTEMROOT") if os.name == "nt" else "/"
        return output_of([program, *arguments], self._environ, _SECONDS, folder)


def _token_in(text: str) -> tuple[str, float]:
    """The token and its end in what a tool writes, each of which has other names for them. Raises ProgramError."""
    try:
        found: Any = json.loads(text)
        token = found.get("accessToken") or found["token"]
        ends = found.get("expires_on") or datetime.fromisoformat(found["expiresOn"]).timestamp()
        return str(token), float(ends)
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
_TOOLS: Final = (
    _Tool(("az",), _of_az, "az login"),
    _Tool(("azd",), _of_azd, "azd auth login"),
    _Tool(("pwsh", "powershell"), _of_powershell, "Connect-AzAccount"),
)
_ABSENT: Final = "neither az, azd nor pwsh is in PATH: install the Azure CLI, and run `az login`"
