"""What can be mounted: the base of all secrets engines, KV v1 and the cubbyhole."""

from __future__ import annotations

import json

from asyncsecrets import exact
from asyncsecrets.testing.vault_server._model import (
    Call,
    Refused,
    Reply,
    absent,
    envelope,
    listing,
    no_content,
    page,
    unsupported_operation,
    unsupported_path,
)
from asyncsecrets.testing.vault_server.store import FlatStore

DEFAULT_LEASE = 2764800  # 32 days, the server's default


class Engine:
    """Something that can be mounted. ``path`` is relative to the mount. This one, ``identity/``, answers nothing."""

    def exists(self, _path: str, /) -> bool:
        """Whether a write to the path is an update rather than a create."""
        return True

    def handle(self, _call: Call, _path: str, /) -> Reply:
        """Answer a call."""
        raise unsupported_path()


class FlatEngine(Engine):
    """KV v1. The whole body is the secret; ``ttl`` in it is told back as the lease duration."""

    def __init__(self) -> None:
        self.store = FlatStore()

    def exists(self, path: str, /) -> bool:
        return path in self.store.entries

    def handle(self, call: Call, path: str, /) -> Reply:
        entries = self.store.entries
        match call.operation:
            case "read":
                return self._read(path)
            case "list":
                return listing(page(self.store.list(path), call))
            case "create" | "update":
                if not call.body:
                    raise Refused(400, "missing data fields")
                entries[path] = call.stored()
            case "delete":
                entries.pop(path, None)
            case _:
                raise unsupported_operation()
        return no_content()

    def _read(self, path: str) -> Reply:
        data = self.store.entries.get(path)
        if data is None:
            raise absent()
        try:
            told = Call("", "read", "", 0, body=json.loads(exact.written(data)))
            lease = told.seconds("ttl", told.seconds("lease", DEFAULT_LEASE))
        except Refused:
            lease = DEFAULT_LEASE
        return envelope(data, lease_duration=lease)


class CubbyholeEngine(FlatEngine):
    """A store of one's own for every token."""

    def __init__(self) -> None:
        super().__init__()
        self._stores: dict[str, FlatStore] = {}

    def handle(self, call: Call, path: str, /) -> Reply:
        self.store = self._stores.setdefault(call.token or "", FlatStore())
        reply = super().handle(call, path)
        if isinstance(reply.body, dict):
            reply.body["lease_duration"] = 0
        return reply
