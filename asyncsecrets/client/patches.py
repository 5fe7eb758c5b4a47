"""One logical patch, and whether a version is what it made."""

from __future__ import annotations

import json
import secrets
from typing import Any

from asyncsecrets.client.source import Source
from asyncsecrets.errors import AsyncSecretsError
from asyncsecrets.providers.base import Patcher, Provider
from asyncsecrets.secret import Secret

__all__ = ["Patch"]


class Patch:
    """Changes of members under a compare-and-set (``asyncsecrets.client.swaps.Swap``). ``patcher`` returns the provider
    as one that patches, or raises."""

    def __init__(self, name: str, changes: Secret, cas: str, patcher: Any) -> None:
        self.name = name
        self.cas = cas
        self.token = secrets.token_hex(16)
        self._changes = changes
        self._patcher = patcher

    async def make(self, provider: Provider) -> str:
        """One attempt."""
        patcher: Patcher = self._patcher(provider)
        return await patcher.patch(self.name, json.loads(self._changes.reveal()), cas=self.cas)

    async def may_be(self, source: Source, secret: Secret) -> bool:
        """Whether it is what the patch made of the version that it was for, or that cannot be told.

        What becomes of a null within a list is not told by RFC 7396, and servers differ: some leave it out.
        """
        changes = json.loads(self._changes.reveal())
        if _has_null_in_list(changes):
            return True
        try:
            before = await source.current((self.name, self.cas))
            return bool(_merged(before.json(), changes) == secret.json())
        except AsyncSecretsError:
            return True


def _has_null_in_list(changes: Any, *, within: bool = False) -> bool:
    if isinstance(changes, dict):
        return any(_has_null_in_list(change, within=within) for change in changes.values())
    if isinstance(changes, list):
        return any(_has_null_in_list(item, within=True) for item in changes)
    return within and changes is None


def _merged(target: Any, changes: Any) -> Any:
    """RFC 7396: what ``changes`` make of ``target``."""
    if not isinstance(changes, dict):
        return changes
    result = dict(target) if isinstance(target, dict) else {}
    for member, change in changes.items():
        if change is None:
            result.pop(member, None)
        else:
            result[member] = _merged(result.get(member), change)
    return result
