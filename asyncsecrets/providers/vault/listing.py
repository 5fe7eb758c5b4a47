"""Listing names: folder by folder, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from yarl import URL

from asyncsecrets.errors import InvalidNameError, MalformedResponseError, UnsupportedOperationError
from asyncsecrets.providers.vault.client import VaultClient
from asyncsecrets.providers.vault.documents import keys_of
from asyncsecrets.providers.vault.errors import Call, errors_in, translate
from asyncsecrets.providers.vault.paths import SYSTEM, Paths, encode_name

__all__ = ["folder_of", "list_names"]

_PAGE = 1000  # names; OpenBao pages, HashiCorp Vault ignores the wish and sends all
_MAX_LIST = 32 * 1024 * 1024  # bytes of one answer, for a server that does not page
_AT_ONCE = 8  # folders
_MOST_NAMES = 1_000_000
_MOST_FOLDERS = 100_000  # requests, and more where a folder has several pages
_CIRCLES = 6  # levels that look the same


class _Engine(Protocol):
    def folder(self, folder: str, query: str) -> URL: ...


def folder_of(prefix: str, paths: Paths) -> str:
    """The folder in which names that start with ``prefix`` are, with its slash. Raises InvalidNameError."""
    folder = prefix.rpartition("/")[0]
    if not folder:
        return ""
    if "//" in prefix:
        raise InvalidNameError(
            f"no name of a Vault secret starts with {prefix!r}: it has two slashes in a row", provider=SYSTEM
        )
    encode_name(folder, paths.prefix)
    return f"{folder}/"


async def list_names(client: VaultClient, paths: Paths, engine: _Engine, prefix: str) -> list[str]:
    """Every name that starts with ``prefix``, sorted; folders are descended into.

    Names that our grammar refuses are left out: no operation could address them. Raises what a call raises, and
    UnsupportedOperationError for more than a million names or 100,000 folders.
    """
    found: list[str] = []
    folders = [_Folder(folder_of(prefix, paths))]
    gate = asyncio.Semaphore(_AT_ONCE)
    looked = 0

    async def look(folder: _Folder) -> list[str]:
        async with gate:
            return await _folder(client, engine, folder.name)

    while folders:
        looked += len(folders)
        _check_size(prefix, len(found), looked)
        answers = await _together([look(folder) for folder in folders])
        below: list[_Folder] = []
        for folder, keys in zip(folders, answers, strict=True):
            wanted = [key for key in keys if _usable(key) and (folder.name + key).startswith(prefix)]
            found += [folder.name + key for key in wanted if not key.endswith("/")]
            below += folder.below([key for key in wanted if key.endswith("/") and _fits(folder.name + key, paths)])
        folders = below
    _check_size(prefix, len(found), looked)
    return sorted(found)


@dataclass(slots=True)
class _Folder:
    """A folder to look into. ``same``: how many levels above it in a row held the same folders."""

    name: str
    siblings: tuple[str, ...] = ()
    same: int = 0

    def below(self, keys: list[str]) -> list[_Folder]:
        """The folders in it. Raises MalformedResponseError where the server leads in circles."""
        siblings = tuple(keys)
        # One folder in each is a chain, which the longest name ends; two in each are 2, 4, 8 ... without end.
        same = self.same + 1 if len(keys) > 1 and siblings == self.siblings else 0
        if same >= _CIRCLES:
            raise MalformedResponseError(
                f"{SYSTEM}: the list of {self.name!r} goes in circles: each folder holds the same folders again",
                provider=SYSTEM,
            )
        return [_Folder(self.name + key, siblings, same) for key in keys]


def _check_size(prefix: str, names: int, folders: int) -> None:
    if names > _MOST_NAMES or folders > _MOST_FOLDERS:
        raise UnsupportedOperationError(
            f"{SYSTEM}: more than {_MOST_NAMES} names or {_MOST_FOLDERS} folders start with {prefix!r}; list longer "
            f"prefixes one by one"
        )


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
        _check_size(folder, len(keys), 0)
        if len(page) != _PAGE or not new:
            return keys


async def _page(client: VaultClient, engine: _Engine, folder: str, after: str) -> list[str]:
    query = f"list=true&limit={_PAGE}" + (f"&after={quote(after, safe='')}" if after else "")
    call = Call("list", "GET", engine.folder(folder, query), folder or None, cap=_MAX_LIST, within=client.namespace)
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
