"""The log of what came, for assertions: bounded in number and in bytes, whatever anybody sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncsecrets.testing.vault_server.wire import split_target

KEPT_REQUESTS = 20_000
KEPT_BYTES = 8 * 1024 * 1024
KEPT_BODY = 1024 * 1024


@dataclass(slots=True, eq=False)
class RequestRecord:
    """One request as it came. ``target`` is the raw path with its query; ``status`` is None until it is answered.

    Token and body are kept for assertions, and never shown. The body is empty if it had more than 1 MiB, or if nobody
    vouches for it: the token is not alive, no fault met the request, and the server refused it.
    """

    method: str
    target: str
    host: str
    header_names: frozenset[str]
    namespace: str = ""
    token: str | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)
    status: int | None = None
    fault: str | None = None

    @property
    def path(self) -> str:
        """The raw path without the query."""
        return split_target(self.target)[0]

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    def size(self) -> int:
        """How many characters and bytes of the client's it keeps."""
        texts = (self.method, self.target, self.host, self.namespace, self.token or "", self.body)
        return sum(map(len, texts)) + sum(map(len, self.header_names))


class RequestLog(list[RequestRecord]):
    """The latest requests: at most 20,000, and at most 8 MiB of what clients sent.

    A list of its users', who may clear it: so the size is only a guess between two countings, and never too low.
    """

    def __init__(self) -> None:
        super().__init__()
        self._size = 0

    def note(self, method: str, target: str, headers: Mapping[str, str]) -> RequestRecord:
        """Append a request, its body not yet included."""
        names = frozenset(name.lower() for name in headers)
        if self and self[-1].header_names == names:
            names = self[-1].header_names  # most requests of a client have the same: one set for all of them
        token, namespace = headers.get("X-Vault-Token"), headers.get("X-Vault-Namespace", "")
        record = RequestRecord(method, target, headers.get("Host", ""), names, namespace, token)
        self.append(record)
        del self[:-KEPT_REQUESTS]
        self._grow(record.size())
        return record

    def keep_body(self, record: RequestRecord, body: bytes) -> None:
        """Let ``record`` have its body, unless that is too long."""
        if len(body) <= KEPT_BODY:
            record.body = body
            self._grow(len(body))

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > KEPT_BYTES:
            self._size = sum(record.size() for record in self)
        if self._size > KEPT_BYTES:
            self._halve()

    def _halve(self) -> None:
        """Drop the oldest until half of the room is free, so that counting is rare; the newest stays."""
        while len(self) > 1 and self._size > KEPT_BYTES // 2:
            self._size -= self.pop(0).size()
