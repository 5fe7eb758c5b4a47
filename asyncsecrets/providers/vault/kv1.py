"""KV version 1: every secret a JSON object, without versions, compare-and-set or a way back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from yarl import URL

from asyncsecrets.providers.vault.client import VaultClient
from asyncsecrets.providers.vault.documents import confirm, object_text, secret_body, stored_in
from asyncsecrets.providers.vault.errors import Call, Operation, translate
from asyncsecrets.providers.vault.paths import Paths
from asyncsecrets.secret import Secret

__all__ = ["KV1"]


class KV1:
    """The operations of one KV v1 mount. ``clock`` is the monotonic one of a Secret's age."""

    version = 1

    def __init__(self, client: VaultClient, paths: Paths, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._paths = paths
        self._clock = clock

    async def get(self, name: str) -> Secret:
        """Read a secret."""
        call = self._call("read", "GET", name)
        answer = await self._client.call(call)
        if answer.status != 200:
            raise translate(call, answer)
        return Secret(object_text(call, stored_in(call, answer)), name=name, clock=self._clock)

    async def put(self, name: str, members: Mapping[str, Any]) -> Secret:
        """Write a secret, whatever was there."""
        call = self._call("write", "POST", name, secret_body(members))
        await self._done(call)
        return Secret(object_text(call, dict(members)), name=name, clock=self._clock)

    async def delete(self, name: str) -> None:
        """Remove a secret for good."""
        await self._done(self._call("delete", "DELETE", name))

    def folder(self, folder: str, query: str) -> URL:
        """The URL that lists a folder."""
        return self._paths.folder(folder, "", query)

    async def _done(self, call: Call) -> None:
        answer = await self._client.call(call)
        if answer.status not in {200, 204}:
            raise translate(call, answer)
        if answer.status == 200:
            confirm(call, answer)

    def _call(self, operation: Operation, method: str, name: str, body: bytes | None = None) -> Call:
        return Call(operation, method, self._paths.secret(name, ""), name, body, within=self._paths.login_namespace)
