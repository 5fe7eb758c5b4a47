"""A patch: changes of members of a JSON object, made until it is known to be applied, and what they made of it.

What is to be changed goes through here as one ``Secret`` that holds its JSON, for the sake of tracebacks that show
local variables.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from asyncsecrets.client.outcomes import made
from asyncsecrets.client.puts import sealed
from asyncsecrets.client.source import Source
from asyncsecrets.client.swaps import swapped
from asyncsecrets.client.views import remember
from asyncsecrets.errors import AsyncSecretsError, ConflictError, DecodeError, ProviderError
from asyncsecrets.providers.base import Patcher, Provider
from asyncsecrets.registry import unable
from asyncsecrets.secret import Secret

__all__ = ["patch", "sealed_changes"]


def sealed_changes(name: str, changes: object) -> Secret | DecodeError:
    """Return a patch as one Secret that holds its JSON, or the error to raise: see
    ``asyncsecrets.client.puts.sealed``."""
    if not isinstance(changes, Mapping) or not all(isinstance(member, str) for member in changes):
        return DecodeError(f"the changes of {name!r} must be a mapping of member names to values, None removes one")
    if not changes:
        return DecodeError(f"no changes of {name!r} given")
    text = _json(dict(changes))
    if text is None:
        return DecodeError(f"the changes of {name!r} hold what JSON has no form for")
    patch = sealed(name, text)
    if isinstance(patch, Secret):
        for value in changes.values():
            if isinstance(value, str):
                remember(Secret(value, name=name))
    return patch


def _json(changes: dict[str, Any]) -> str | None:
    try:
        return json.dumps(changes, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):  # some of these hold what they are about
        return None


async def patch(source: Source, name: str, changes: Secret, cas: str | None) -> Secret:
    """Merge ``changes`` into the secret, and return it as it then is."""

    async def merge(provider: Provider) -> str:
        return await _patcher(provider).patch(name, json.loads(changes.reveal()))

    async def change() -> Secret:
        try:
            if cas is None:
                version = await made(source, name, merge)
            else:
                version = await swapped(source, _Compared(name, changes, cas))
        except ConflictError:
            # Whoever reads again must not get the old value.
            source.effects.changed(name, lambda known: known.replaced(name, cas))
            raise
        source.effects.changed(name, lambda known: known.written(name, version))
        return source.effects.written(name, await _patched(source, name, version))

    return await source.tasks.write(name, change)


async def _patched(source: Source, name: str, version: str) -> Secret:
    """Read back what a patch made, and nothing else. A failure says that the patch itself is done."""
    try:
        secret = await source.current((name, version))
    except ProviderError as error:
        error.message = f"{name!r} was patched (version {version}) and then could not be read: {error.message}"
        raise
    remember(secret)
    return secret


class _Compared:
    """One that is compared first: a write under a compare-and-set (``asyncsecrets.client.swaps.Swap``)."""

    def __init__(self, name: str, changes: Secret, cas: str) -> None:
        self.name = name
        self.cas = cas
        self.token = secrets.token_hex(16)
        self._changes = changes

    async def make(self, provider: Provider) -> str:
        """One attempt."""
        return await _patcher(provider).patch(self.name, json.loads(self._changes.reveal()), cas=self.cas)

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


def _patcher(provider: Provider) -> Patcher:
    if not isinstance(provider, Patcher):
        raise unable(provider, Patcher, "cannot change single members; put the whole object instead")
    return provider


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
