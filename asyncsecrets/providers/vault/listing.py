"""Listing names: folder by folder, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from yarl import URL

from asyncsecrets.errors import InvalidNameError
from asyncsecrets.providers.vault.client import VaultClient
from asyncsecrets.providers.vault.documents import keys_of
from asyncsecrets.providers.vault.errors import Call, errors_in, translate
from asyncsecrets.providers.vault.paths import Paths, encode_name

__all__ = ["list_names"]

_PAGE = 1000  # names; OpenBao pages, HashiCorp Vault ignores the wish and sends all
_MAX_LIST = 32 * 1024 * 1024  # bytes of one answer, for a server that does not page
_AT_ONCE = 8  # folders


class _Engine(Protocol):
    def folder(self, folder: str, query: str) -> URL: ...


async def list_names(client: VaultClient, paths: Paths, engine: _Engine, prefix: str) -> list[str]:
    """Every name that starts with ``prefix``, sorted; folders are descended into.

    Names that our grammar refuses are left out: no operation could address them. Raises what a call raises.
    """
    found: list[str] = []
    start = prefix.rpartition("/")[0]
    folders = [f"{start}/" if start else ""]
    if folders[0]:
        encode_name(start, paths.prefix)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def look(folder: str) -> list[str]:
        async with gate:
            return await _folder(client, engine, folder)

    while folders:
        answers = await _together([look(folder) for folder in folders])
        names = [folder + key for folder, keys in zip(folders, answers, strict=True) for key in keys if _usable(key)]
        names = [name for name in names if name.startswith(prefix)]
        found += [name for name in names if not name.endswith("/")]
        folders = [name for name in names if name.endswith("/") and _fits(name, paths)]
    return sorted(found)


async def _together(coroutines: Sequence[Coroutine[Any, Any, list[str]]]) -> list[list[str]]:
    """All results, or the first failure once all have ended: nothing is left running."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise failures[0]
    return [result for result in results if not isinstance(result, BaseException)]


async def _folder(client: VaultClient, engine: _Engine, folder: str) -> list[str]:
    keys: list[str] = []
    while True:
        page = await _page(client, engine, folder, keys[-1] if keys else "")
        new = [key for key in page if not keys or key > keys[-1]]  # a server that does not page repeats itself
        keys += new
        if len(page) != _PAGE or not new:
            return keys


async def _page(client: VaultClient, engine: _Engine, folder: str, after: str) -> list[str]:
    query = f"list=true&limit={_PAGE}" + (f"&after={quote(after, safe='')}" if after else "")
    call = Call("list", "GET", engine.folder(folder, query), folder or None, cap=_MAX_LIST)
    answer = await client.call(call)
    if answer.status == 200:
        return sorted(keys_of(call, answer))
    if answer.status == 404 and errors_in(answer.body) == []:
        return []
    raise translate(call, answer)


def _usable(key: str) -> bool:
    """One segment, with a slash at the end if it is a folder: a server cannot lead us anywhere else."""
    try:
        encode_name(key.removesuffix("/"))
    except InvalidNameError:
        return False
    return "/" not in key[:-1]


def _fits(folder: str, paths: Paths) -> bool:
    try:
        encode_name(folder[:-1], paths.prefix)
    except InvalidNameError:
        return False
    return True
