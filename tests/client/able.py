"""A manager that can do everything there is a protocol for, and every change of a client, by name."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ConflictError, UnavailableError
from asyncsecrets.providers.base import SecretMetadata
from asyncsecrets.secret import Payload
from tests.client.support import Manager, denied

__all__ = ["CHANGES", "Able", "operations"]


class Able(Manager):
    """Memory that can do everything there is a protocol for. ``script``: what becomes of each change, one word each.

    ``lost``: not applied, and not answered; ``applied``: applied, and not answered; ``denied``: refused. ``rotates``:
    whether a rotation ends at once.
    """

    rotates = True

    def __init__(self, *script: str, **secrets: Payload) -> None:
        super().__init__(secrets)
        self.script = list(script)
        self.tokens: list[str] = []
        self.kept: dict[str, Any] = {}

    async def _change(self, operation: str, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
        word = self.script.pop(0) if self.script else "ok"
        if word == "denied":
            self.calls.append((operation, name))
            raise denied(name)
        if word == "lost":
            self.calls.append((operation, name))
        else:
            made = await make()
            if word == "ok":
                return made
        raise UnavailableError("memory: no answer", provider="memory", name=name, outcome_unknown=True)

    async def delete_versions(self, name: str, versions: Any) -> None:
        make = super().delete_versions
        await self._change("delete_versions", name, lambda: make(name, versions))

    async def restore(self, name: str, versions: Any = None) -> None:
        make = super().restore
        await self._change("restore", name, lambda: make(name, versions))

    async def destroy(self, name: str, versions: Any = None) -> None:
        make = super().destroy
        await self._change("destroy", name, lambda: make(name, versions))

    async def rotate(self, name: str, *, token: str = "") -> str:
        async def make() -> str:
            await self._begin("rotate", name)
            self.tokens.append(token)
            if not self.rotates:
                return str(int(self._current(name)) + 1)
            return self.set(name, f"canary-rotated-{len(self.tokens)}")

        return str(await self._change("rotate", name, make))

    async def patch(self, name: str, changes: Mapping[str, Any], *, cas: str | None = None) -> str:
        async def make() -> str:
            await self._begin("patch", name)
            if cas is not None and cas != self._current(name):
                raise ConflictError("memory: lost", provider="memory", name=name)
            if self._current(name) == "0":
                raise self._not_found(name)
            members = json.loads(self._secrets[name][-1].payload) | changes
            return self.set(name, json.dumps({key: one for key, one in members.items() if one is not None}))

        return str(await self._change("patch", name, make))

    async def metadata(self, name: str) -> SecretMetadata:
        await self._begin("metadata", name)
        return SecretMetadata(self._current(name), (), None, None, **self.kept)

    async def write_metadata(self, name: str, **changes: Any) -> None:
        async def make() -> None:
            await self._begin("write_metadata", name)
            self.kept.update({key: one for key, one in changes.items() if one is not None})

        await self._change("write_metadata", name, make)

    async def encrypt(self, plaintext: Payload) -> str:
        await self._begin("encrypt", "x")
        return f"sealed {len(plaintext)}"


def operations(client: SecretsClient, source: str | None = None) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Every change there is, of NAME."""
    return {
        "delete_versions": lambda: client.delete("NAME", versions=["1"], source=source),
        "restore": lambda: client.restore("NAME", source=source),
        "destroy": lambda: client.destroy("NAME", source=source),
        "rotate": lambda: client.rotate("NAME", source=source),
        "patch": lambda: client.patch("NAME", {"b": "canary-b"}, source=source),
        "write_metadata": lambda: client.write_metadata("NAME", max_versions=3, source=source),
    }


CHANGES = ["delete_versions", "restore", "destroy", "rotate", "patch", "write_metadata"]
