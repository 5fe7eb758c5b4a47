"""Before LiteLLM starts: every secret that it will ask for is read, or one error names what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import AsyncSecretsError, ResolveError, SecretNotFoundError
from asyncsecrets.integrations.litellm.files import Needs

__all__ = ["warm"]


async def warm(client: SecretsClient, needs: Needs) -> list[str]:
    """Read all that LiteLLM ``needs``. Return the names that do not exist, and need not.

    Raises ResolveError listing those that do not exist and have to, and those that could not be asked for.
    """
    required, used = await asyncio.gather(
        _failures(client.warm_up(needs.required)), _failures(client.get_many(needs.used))
    )
    absent = [name for name, error in used.items() if isinstance(error, SecretNotFoundError)]
    fatal = required | {name: error for name, error in used.items() if name not in absent}
    if fatal:
        raise ResolveError(fatal)
    return absent


async def _failures(reading: Awaitable[object]) -> dict[str, AsyncSecretsError]:
    try:
        await reading
    except ResolveError as error:
        return error.failures
    return {}
