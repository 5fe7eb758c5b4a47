"""The class by which LiteLLM asks asyncsecrets. Importing this module imports LiteLLM."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ClassVar, TypeVar

from litellm.integrations.custom_secret_manager import CustomSecretManager

from asyncsecrets.boundary import afresh
from asyncsecrets.integrations.litellm.keys import Keys
from asyncsecrets.integrations.litellm.quiet import keep_quiet
from asyncsecrets.integrations.litellm.shared import Shared, shared
from asyncsecrets.secret import Secret

__all__ = ["AsyncSecrets"]

T = TypeVar("T")


class AsyncSecrets(CustomSecretManager):  # type: ignore[misc]  # nobody has to have LiteLLM
    """LiteLLM's ``custom_secret_manager``: what LiteLLM reads and stores, it reads and stores through asyncsecrets.

    LiteLLM makes it, several times in one process. All of them share one client, on a thread of its own, by the
    configuration that LiteLLM runs on; ``config`` names another.

    Making one reads all that the configuration refers to. Raises ConfigError, and ResolveError naming every secret
    that could not be had: LiteLLM does not start then.
    """

    config: ClassVar[str | os.PathLike[str] | None] = None

    @afresh
    def __init__(self, config: str | os.PathLike[str] | None = None) -> None:
        super().__init__(secret_manager_name="asyncsecrets")  # noqa: S106  # what LiteLLM calls it
        self._shared: Shared = shared(config or self.config)
        keep_quiet(self._shared.answers.is_left_to_environment)

    @afresh
    def sync_read_secret(self, secret_name: str, optional_params: Any = None, timeout: Any = None) -> str | None:  # noqa: ARG002  # LiteLLM's signature; the second is its whole settings, and they are in our file
        """Return a secret, or None where the environment is to be asked. Does not wait on an event loop that serves."""
        return self._shared.answers.read(secret_name)

    @afresh
    async def async_read_secret(self, secret_name: str, optional_params: Any = None, timeout: Any = None) -> str | None:  # noqa: ARG002, ASYNC109  # as above; the second is the team's settings
        """Return a virtual key as the manager has it now, or None."""
        found = await self._do(partial(self._keys.read, secret_name, optional_params))
        return None if found is None else found.reveal()

    @afresh
    async def async_write_secret(
        self,
        secret_name: str,
        secret_value: str,
        description: str | None = None,  # noqa: ARG002  # asyncsecrets has it from the same file
        optional_params: Any = None,
        timeout: Any = None,  # noqa: ARG002, ASYNC109
        tags: Any = None,  # noqa: ARG002  # as the description
    ) -> dict[str, Any]:
        """Store a virtual key."""
        value = Secret(secret_value, name=secret_name)
        del secret_value
        return _told(await self._do(partial(self._keys.write, secret_name, value, optional_params)), secret_name)

    @afresh
    async def async_rotate_secret(
        self,
        current_secret_name: str,
        new_secret_name: str,
        new_secret_value: str,
        optional_params: Any = None,
        timeout: Any = None,  # noqa: ARG002, ASYNC109
    ) -> dict[str, Any]:
        """Replace a virtual key: in place under the same name, else the old one is deleted when the new one is read
        back."""
        value = Secret(new_secret_value, name=new_secret_name)
        del new_secret_value
        rotate = partial(self._keys.rotate, current_secret_name, new_secret_name, value, optional_params)
        return _told(await self._do(rotate), new_secret_name)

    @afresh
    async def async_delete_secret(
        self,
        secret_name: str,
        recovery_window_in_days: int | None = None,  # noqa: ARG002  # LiteLLM never says; it is a setting here
        optional_params: Any = None,
        timeout: Any = None,  # noqa: ARG002, ASYNC109
    ) -> dict[str, Any]:
        """Delete a virtual key. One that is not there is no error."""
        await self._do(partial(self._keys.delete, secret_name, optional_params))
        return {"name": secret_name}

    async def async_health_check(self, timeout: Any = None) -> bool:  # noqa: ARG002, ASYNC109
        """Whether everything that LiteLLM needs can be served."""
        return bool(self._shared.resident.client.health().state != "down")

    @property
    def _keys(self) -> Keys:
        return self._shared.keys

    async def _do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What ``work()`` comes to on the client's loop. It goes on if who waits is cancelled: LiteLLM has issued the
        key by then."""
        return await asyncio.shield(asyncio.wrap_future(self._shared.resident.begin(work)))


def _told(secret: Secret, name: str) -> dict[str, Any]:
    """What LiteLLM is told of a write: it looks at nothing of it, and logs it all."""
    return {"name": name, "version": secret.version}
