"""What somebody may have meant who asked for a name that is absent: one that is used, or one that the source has."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from asyncsecrets.cli.sources import nearest_name
from asyncsecrets.errors import AsyncSecretsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from asyncsecrets.client import SecretsClient

__all__ = ["hints"]

_PATIENCE: Final = 2.0
"""The most seconds that a hint is waited for."""


async def hints(
    client: SecretsClient, source: str | None, absent: Sequence[str], known: Iterable[str]
) -> dict[str, str]:
    """Return ``; did you mean 'X'?``, or nothing, for each of the names that are ``absent`` at ``source``.

    ``known`` are the names that are used. Where none of them is like it, the source is asked for its names, once: one
    that cannot list, or does not answer, has none.
    """
    used = list(known)
    found = {name: nearest_name(name, used) for name in absent}
    rest = [name for name in absent if not found[name]]
    if rest:
        there = await _listed(client, source, _common_folder(rest))
        found.update({name: nearest_name(name, there) for name in rest})
    return found


async def _listed(client: SecretsClient, source: str | None, prefix: str) -> list[str]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await client.list(prefix, source=source)
    except (AsyncSecretsError, TimeoutError):  # the command has an error to tell of already
        return []


def _common_folder(names: Sequence[str]) -> str:
    """The folder that all of them are in: a large store is not listed as a whole for a typo in one corner."""
    folders = {name.rpartition("/")[0] for name in names}
    folder = folders.pop() if len(folders) == 1 else ""
    return f"{folder}/" if folder else ""
