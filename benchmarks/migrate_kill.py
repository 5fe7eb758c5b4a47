"""``python -m benchmarks.migrate_kill [N]``: N secrets (10,000) copied between two managers, killed in the middle.

From one Vault-compatible server to another, by the command, which is killed with SIGKILL again and again; then once to
its end. Afterwards: is each there, has any two versions, and was a value printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from asyncsecrets import SecretsClient
from benchmarks.vault_process import VaultProcess

_KILLS = 3
_WORD = "canary-migrated"


def main(count: int = 10_000) -> int:
    """Print a table; 1 where anything is lost, twice or shown."""
    with (
        tempfile.TemporaryDirectory() as folder,
        VaultProcess.running() as origin,
        VaultProcess.running() as target,
    ):
        for number in range(count):
            origin.write(_name(number), f"{_WORD}-{number}")
        path = _configured(Path(folder), origin, target)
        return _measured(path, count)


def _measured(path: Path, count: int) -> int:
    printed = b""
    for kill in range(1, _KILLS + 1):
        done, said = _killed(path, count * kill // (_KILLS + 1))
        printed += said
        print(f"killed after {done:,} of {count:,}")
    began = time.monotonic()
    last = _command(path)
    said, errors = last.communicate()
    printed += said + errors
    counts = json.loads(said)["counts"]
    print(f"then to the end in {time.monotonic() - began:.1f} s: {counts}")
    lacking, twice = asyncio.run(_examined(path, count))
    shown = printed.count(_WORD.encode())
    print(f"lacking or different: {lacking}; with more than one version: {twice}; values printed: {shown}")
    return int(bool(lacking or twice or shown or last.returncode or sum(counts.values()) != count))


def _name(number: int) -> str:
    return f"many/{number:05}"


def _configured(folder: Path, origin: VaultProcess, target: VaultProcess) -> Path:
    def of(server: VaultProcess) -> dict[str, object]:
        settings = {"addr": server.url, "token": server.token, "access_mode": "read_and_write"}
        return {"key_management_system": "hashicorp_vault", "key_management_settings": settings}

    path = folder / "config.yaml"
    document = {"general_settings": of(origin), "asyncsecrets": {"sources": {"new": of(target)}}}
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


def _command(path: Path) -> subprocess.Popen[bytes]:
    words = ["--config", str(path), "--json", "migrate", "default", "new", "--apply", "--concurrency", "20"]
    command = [sys.executable, "-m", "asyncsecrets", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ.copy())


def _killed(path: Path, after: int) -> tuple[int, bytes]:
    """Kill it once about ``after`` secrets are there; how many there are, and what it said."""
    process = _command(path)
    while asyncio.run(_there(path)) < after and process.poll() is None:
        time.sleep(2.0)
    process.kill()
    said, errors = process.communicate()
    return asyncio.run(_there(path)), said + errors


async def _there(path: Path) -> int:
    async with SecretsClient.from_config(path, environ={}) as client:
        return len(await client.list("many/", source="new"))


async def _examined(path: Path, count: int) -> tuple[int, int]:
    lacking = twice = 0
    async with SecretsClient.from_config(path, environ={}) as client:
        for first in range(0, count, 100):
            numbers = range(first, min(first + 100, count))
            names = {f"secret://new/{_name(number)}": f"{_WORD}-{number}" for number in numbers}
            found = await client.get_many(names)
            lacking += sum(not found[name].equals(value) for name, value in names.items())
            twice += sum(secret.version != "1" for secret in found.values())
    return lacking, twice


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
