"""A call to Vault by somebody who is logged in: transport and token together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, Final

from asyncsecrets.errors import ProviderError, UnavailableError
from asyncsecrets.providers.vault.auth.keeper import TokenKeeper
from asyncsecrets.providers.vault.auth.tokens import Token
from asyncsecrets.providers.vault.calls import make, wanted_for
from asyncsecrets.providers.vault.errors import Answer, Call, blames_token, errors_in
from asyncsecrets.providers.vault.http import Transport
from asyncsecrets.providers.vault.leader import Leader

__all__ = ["VaultClient"]

_CATCHES_UP: Final = 0.2  # seconds
_NOT_THERE_YET: Final = "the node does not know the token of a login a moment ago; does it lag behind the active one?"


class VaultClient:
    """Sends calls with a valid token. A 403 that blames the token is answered by one login and one more attempt.

    ``namespace`` is that of the login. With a ``leader`` it asks the active node, as far as that can be asked.
    """

    def __init__(
        self, transport: Transport, tokens: TokenKeeper, namespace: str = "", leader: Leader | None = None
    ) -> None:
        self.transport = transport
        self.tokens = tokens
        self.namespace = namespace
        self._leader = leader

    async def call(self, call: Call) -> Answer:
        """Return the server's answer, whatever its status. Raises what transport and login raise."""
        token = self.tokens.current() or await _for(call, self.tokens.obtain())
        answer = await self._send(call, token)
        if answer.status < 300:
            token.served = True
            return answer
        if answer.status == 403 and blames_token(answer) and self.tokens.is_new(token):
            await asyncio.sleep(_CATCHES_UP)
            answer = await self._of_new(call, token)
        if answer.status == 403 and blames_token(answer):
            return await self._again(call, answer, token)
        token.served = token.served or answer.status < 300 or _accepts_token(answer)
        return answer

    async def _of_new(self, call: Call, token: Token) -> Answer:
        """The answer at the second showing of a token that the node may not have heard of."""
        answer = await self._send(call, token)
        if answer.status == 403 and blames_token(answer) and self.tokens.is_new(token):
            raise make(UnavailableError, _NOT_THERE_YET, call)
        return answer

    async def _again(self, call: Call, answer: Answer, refused: Token) -> Answer:
        token = await _for(call, self.tokens.replace(refused))
        if token is refused:
            answer.token_is_good = True
            return answer
        answer = await self._send(call, token)
        token.served = token.served or answer.status < 300 or _accepts_token(answer)
        self.tokens.helped(answer.status != 403 or not blames_token(answer))
        return answer

    def _send(self, call: Call, token: Token) -> Awaitable[Answer]:
        return self.transport.send(call, token) if self._leader is None else self._to(self._leader, call, token)

    async def _to(self, leader: Leader, call: Call, token: Token) -> Answer:
        return await self.transport.send(call, token, node=await leader.node())


def _accepts_token(answer: Answer) -> bool:
    """Whether a refusal of the server's shows that it let the token in: an absent secret, or a policy's no."""
    texts = errors_in(answer.body) if answer.status in {403, 404} else None
    return texts == [] if answer.status == 404 else texts is not None and not blames_token(answer)


async def _for(call: Call, getting: Coroutine[Any, Any, Token]) -> Token:
    """A token; a failure to get one names the secret it was wanted for (each caller has its own copy of the error)."""
    try:
        return await getting
    except ProviderError as error:
        if error.name is None and call.name is not None:
            error.name = call.name
            error.message = wanted_for(error.message, call.name)
        raise
