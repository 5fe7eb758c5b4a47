"""A secret as a handler takes it: as text, as a bool, or as a ``Secret``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from asyncsecrets.boundary import afresh
from asyncsecrets.client import SecretsClient
from asyncsecrets.default import bool_of
from asyncsecrets.errors import ConfigError, SecretNotFoundError
from asyncsecrets.references import check_name
from asyncsecrets.secret import Secret

__all__ = ["MISSING", "reading"]

MISSING: Final = object()
"""No default: a secret that does not exist is an error."""

_KINDS: Final[dict[type, Callable[[Secret], Any]]] = {
    str: Secret.reveal,
    bool: lambda found: bool_of(found.reveal(), found.name),
    Secret: lambda found: found,
}


def reading(name: str, kind: type, default: object) -> Callable[[SecretsClient], Awaitable[Any]]:
    """Return what reads a secret as ``kind``: ``str``, ``bool`` (as ``get_secret_bool`` reads it) or ``Secret``.

    ``default`` stands for a secret that does not exist, and for nothing else. Raises ConfigError for another kind.
    """
    check_name(name)
    if kind not in _KINDS:
        raise ConfigError(f"secret({name!r}) is read as str, bool or Secret, not as {kind!r}")
    form = _KINDS[kind]

    @afresh
    async def read(client: SecretsClient) -> Any:
        try:
            return form(await client.get(name))
        except SecretNotFoundError:
            if default is MISSING:
                raise
            return default

    return read
