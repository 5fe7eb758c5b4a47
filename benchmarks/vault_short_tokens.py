"""Tokens that live for two seconds, under load: no read may fail, whatever the renewals do.

Every read asks the server: nothing is cached, nothing is tried again. Two kinds of tokens one after another: renewable
up to a maximum TTL of eight seconds, and batch tokens, which cannot be renewed. Logins and renewals are counted on
the wire.

``python -m benchmarks.vault_short_tokens [SECONDS]`` (60 for each kind by default) against the dev server, or the
binary that BENCH_VAULT names.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from asyncsecrets import SecretsClient
from asyncsecrets.config import Config, Freshness, SourceConfig
from asyncsecrets.errors import AsyncSecretsError
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.retry import RetryPolicy
from benchmarks.vault_process import VaultProcess
from benchmarks.vault_wire import Wire

__all__ = ["KINDS", "Report", "measure"]

NAMES = 10
KINDS: dict[str, dict[str, Any]] = {
    "renewable, at most 8 s": {"token_ttl": "2s", "token_max_ttl": "8s"},
    "batch, not renewable": {"token_ttl": "2s", "token_type": "batch"},
}


@dataclass
class Report:
    """What readers saw, and what was asked of the server."""

    reads: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    logins: int = 0
    renewals: int = 0
    refused: int = 0


class _App:
    """An AppRole at a mount of its own, for some secrets in a folder of their own."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.own = f"short-{secrets.token_hex(4)}"

    async def prepare(self, role: dict[str, Any]) -> dict[str, str]:
        """Make them; returns the settings that log in."""
        call, own = self._call, self.own
        for number in range(NAMES):
            await call("POST", f"secret/data/{own}/{number}", {"data": {"key": f"canary-{number}"}})
        await call("POST", f"sys/auth/{own}", {"type": "approle"})
        policy = f'path "secret/data/{own}/*" {{ capabilities = ["read"] }}'
        await call("POST", f"sys/policies/acl/{own}", {"policy": policy})
        await call("POST", f"auth/{own}/role/app", {"token_policies": own, **role})
        role_id = (await call("GET", f"auth/{own}/role/app/role-id"))["data"]["role_id"]
        secret_id = (await call("POST", f"auth/{own}/role/app/secret-id", {}))["data"]["secret_id"]
        return {"approle_role_id": role_id, "approle_secret_id": secret_id, "approle_mount_path": own}

    async def clean(self) -> None:
        """Remove them."""
        for path in (f"sys/auth/{self.own}", f"sys/policies/acl/{self.own}"):
            await self._call("DELETE", path)
        for number in range(NAMES):
            await self._call("DELETE", f"secret/metadata/{self.own}/{number}")


async def _read(client: SecretsClient, report: Report, until: float) -> None:
    number, clock = 0, asyncio.get_running_loop().time
    while clock() < until:
        number = (number + 1) % NAMES
        try:
            found = await client.get(str(number))
        except AsyncSecretsError as error:
            report.errors[type(error).__name__] += 1
        else:
            if not found.equals(f"canary-{number}"):
                report.errors["wrong value"] += 1
            report.reads += 1
        await asyncio.sleep(0.02)


async def measure(url: str, token: str, role: dict[str, Any], seconds: float, *, readers: int = 16) -> Report:
    """Read for so many seconds with tokens of this role."""
    async with aiohttp.ClientSession(headers={"X-Vault-Token": token}) as session:

        async def call(method: str, path: str, body: Any = None) -> Any:
            async with session.request(method, f"{url}/v1/{path}", json=body) as answer:
                return await answer.json() if answer.status == 200 else None

        app = _App(call)
        try:
            login = await app.prepare(role)
            return await _load(url, app.own, login, seconds, readers)
        finally:
            await app.clean()


async def _load(url: str, folder: str, login: dict[str, str], seconds: float, readers: int) -> Report:
    report = Report()
    source = SourceConfig(name="default", system="hashicorp_vault", freshness=Freshness(cached=False))
    config, once = Config(sources={"default": source}), RetryPolicy(attempts=1)
    async with Wire(url) as wire:
        provider = VaultProvider(VaultSettings(addr=wire.url, path_prefix=folder, attempt_timeout=10.0, **login))
        async with SecretsClient(config, providers={"default": provider}, environ={}, retry=once) as client:
            until = asyncio.get_running_loop().time() + seconds
            await asyncio.gather(*(_read(client, report, until) for _ in range(readers)))
        report.logins = wire.count("POST", f"/v1/auth/{folder}/login")
        report.renewals = wire.count("POST", "/v1/auth/token/renew-self")
        report.refused = wire.count("GET", "/v1/secret/data/") - report.reads - sum(report.errors.values())
    return report


def main() -> None:
    """Run every kind; fail if a read failed."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    failed = 0
    with VaultProcess.running() as server:
        for kind, role in KINDS.items():
            report = asyncio.run(measure(server.url, server.token, role, seconds))
            failed += sum(report.errors.values())
            print(f"tokens of 2 s ({kind}), 16 readers, {seconds:g} s")
            print(f"  reads               {report.reads:,}, failed {sum(report.errors.values())} {dict(report.errors)}")
            print(f"  logins, renewals    {report.logins}, {report.renewals}")
            print(f"  refused and asked again {report.refused}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
