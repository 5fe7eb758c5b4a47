"""Which node of a cluster takes the writes, so that it can be asked what another one may not know yet.

Every node tells it to whoever asks (``sys/leader``), as the address that the cluster has for it. It is asked directly
only where that address is ``addr`` or one of ``cluster_addrs``: a token goes nowhere else. OpenBao, whose standbys
answer reads by themselves, has no header that would make one hand a read on; HashiCorp Vault has.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from asyncsecrets.errors import AsyncSecretsError
from asyncsecrets.providers.vault.errors import Call, document_of
from asyncsecrets.providers.vault.http import Transport
from asyncsecrets.providers.vault.sender import Sender
from asyncsecrets.providers.vault.shared import SharedTask

__all__ = ["Leader"]

_BELIEVED: Final = 0.5  # seconds; so long one answer serves everybody who asks
_NOBODY: Final = Sender()


class Leader:
    """The active node of the cluster that ``transport`` leads to. ``clock`` is in monotonic seconds."""

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._until = float("-inf")
        self._node: str | None = None
        self._alone = False
        self._looking: SharedTask[None] = SharedTask(self._ask, "asyncsecrets-vault-leader")

    async def node(self) -> str | None:
        """The address of the active node, or None where it is not known, or not to be asked."""
        await self._look()
        return self._node

    async def answers_for_all(self) -> bool:
        """Whether it is the active node that answers who asks ``node``, or there is one node only."""
        await self._look()
        return self._alone or (self._node is not None and not self._transport.is_left_out(self._node))

    async def _look(self) -> None:
        if self._clock() >= self._until:
            await self._looking.join()

    async def aclose(self) -> None:
        """End a question under way."""
        await self._looking.cancel()

    def abandon(self) -> None:
        """Forget a question on a loop that is gone."""
        self._looking.forget()

    async def _ask(self) -> None:
        self._node, self._alone = None, False
        call = Call("metadata", "GET", self._transport.at("/v1/sys/leader"))
        try:
            answer = await self._transport.send(call, _NOBODY)
        except AsyncSecretsError:  # whoever wants to know asks the usual node, and hears of it there
            return
        told = document_of(answer.body) if answer.status == 200 else None
        if told is None:
            return
        address = told.get("leader_address")
        self._alone = told.get("ha_enabled") is False
        self._node = self._transport.trusted(address) if isinstance(address, str) else None
        self._until = self._clock() + _BELIEVED
