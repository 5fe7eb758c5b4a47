"""The database of a LiteLLM proxy for as many calls of Prisma's as its key endpoints make: rows in memory.

LiteLLM's own ``PrismaClient`` runs on it, so that all that is not a row is LiteLLM's. Prisma itself fetches a program
when it is installed, so it is in no environment of tests.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

__all__ = ["Database", "client_on"]

Row = dict[str, Any]


class Database:
    """A table by each attribute's name."""

    def __init__(self) -> None:
        self._tables: dict[str, Table] = defaultdict(Table)

    def __getattr__(self, name: str) -> Table:
        return self._tables[name]

    @contextlib.asynccontextmanager
    async def tx(self, **_: Any) -> AsyncIterator[Self]:
        yield self

    async def query_raw(self, *_: Any) -> list[Row]:
        return []

    async def execute_raw(self, *_: Any) -> int:
        return 0


class Table:
    """Rows of virtual keys: no other table of the proxy has any in these tests."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    async def find_many(self, where: Mapping[str, Any] | None = None, **_: Any) -> list[Any]:
        return [_shown(row) for row in self._found(where)]

    async def find_first(self, where: Mapping[str, Any] | None = None, **_: Any) -> Any:
        return next((_shown(row) for row in self._found(where)), None)

    find_unique = find_first

    async def count(self, where: Mapping[str, Any] | None = None, **_: Any) -> int:
        return len(self._found(where))

    async def create(self, data: Row, **_: Any) -> Any:
        self._rows.append(_stored(data))
        return _shown(self._rows[-1])

    async def create_many(self, data: list[Row], **_: Any) -> int:
        self._rows += map(_stored, data)
        return len(data)

    async def update(self, where: Mapping[str, Any], data: Mapping[str, Any], **_: Any) -> Any:
        for row in self._found(where):
            row.update(_stored(data))
            return _shown(row)
        return None

    async def upsert(self, where: Mapping[str, Any], data: Mapping[str, Row], **_: Any) -> Any:
        return await self.update(where, data["update"]) or await self.create(data["create"])

    async def delete_many(self, where: Mapping[str, Any] | None = None, **_: Any) -> int:
        gone = self._found(where)
        self._rows = [row for row in self._rows if row not in gone]
        return len(gone)

    def _found(self, where: Mapping[str, Any] | None) -> list[Row]:
        return [row for row in self._rows if _matches(row, where or {})]


def _matches(row: Row, where: Mapping[str, Any]) -> bool:
    return all(_is_met(row, column, wanted) for column, wanted in where.items())


def _is_met(row: Row, column: str, wanted: Any) -> bool:
    if column == "NOT":
        return not _matches(row, wanted)
    if column in {"AND", "OR"}:
        return (all if column == "AND" else any)(_matches(row, one) for one in wanted)
    if isinstance(wanted, Mapping):
        return row.get(column) in wanted["in"]
    return bool(row.get(column) == wanted)


def _stored(data: Mapping[str, Any]) -> Row:
    """A row as the database gives it back: LiteLLM writes JSON columns as texts."""
    return {column: _parsed(value) for column, value in data.items()}


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.startswith(("{", "[")) else value


def _shown(row: Row) -> Any:
    token = importlib.import_module("litellm.proxy._types").LiteLLM_VerificationToken
    return token(**{column: value for column, value in row.items() if column in token.model_fields})


def client_on(database: Database, logging: Any) -> Any:
    """LiteLLM's own client, on ``database``. ``logging`` is the proxy's."""
    kind = importlib.import_module("litellm.proxy.utils").PrismaClient
    client = kind.__new__(kind)
    client.db = database
    client.proxy_logging_obj = logging
    return client
