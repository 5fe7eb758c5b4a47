"""The second question, where an answer was behind what is known.

A node that lags usually catches up within moments. So it is asked again a few times, ever later, and where the manager
can be told to answer from the place that takes the writes, it is told so.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asyncsecrets.boundary import fresh
from asyncsecrets.client.floors import Doubt
from asyncsecrets.client.known import Known
from asyncsecrets.client.places import Key
from asyncsecrets.errors import SecretNotFoundError, UnavailableError
from asyncsecrets.providers.base import CurrentReader, Provider
from asyncsecrets.secret import Secret

__all__ = ["Asking"]

_PAUSES: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)  # seconds before each question


class Asking:
    """Asks one provider until its answer is not behind. ``sleep`` and ``jitter`` (0 to 1) are arguments for tests."""

    def __init__(
        self,
        known: Known,
        *,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._known = known
        self._jitter = jitter
        self._sleep = sleep

    async def current(
        self, provider: Provider, key: Key, heard: SecretNotFoundError | None = None
    ) -> Secret | UnavailableError:
        """Return what ``key`` is now, or the error for what stays behind: that is not tried again. Raises
        SecretNotFoundError.

        ``heard`` is an answer by which it has vanished: that is believed at once of who says not to lag. The cache asks
        for it twice before it drops what is served.
        """
        if heard is not None and not await _may_lag(provider):
            raise fresh(heard)
        doubt: Doubt | None = None
        answer: Secret | SecretNotFoundError
        for pause in _PAUSES:
            if pause:
                await self._sleep(pause * (0.75 + 0.5 * self._jitter()))
            answer = await _asked(provider, key)
            doubt = self._known.doubt(key, answer)
            if doubt is None:
                break
        else:
            # What cannot be told from a lag by itself is believed of who says not to lag, but not at once: between us
            # and a manager there may be others, who answer for it.
            if doubt is Doubt.BEHIND or await _may_lag(provider):
                return self._behind(provider, key, answer)
        if isinstance(answer, Secret):
            return answer
        raise answer

    def _behind(self, provider: Provider, key: Key, answer: Secret | SecretNotFoundError) -> UnavailableError:
        name = key if isinstance(key, str) else key[0]
        said = f"version {answer.version}" if isinstance(answer, Secret) and answer.version else "an older value"
        if not isinstance(answer, Secret):
            said = f"that it is {answer.reason}"
        return UnavailableError(
            f"{provider.system}: {name!r}: the answer is behind what is known: {self._known.describe(name)}, and the "
            f"manager still says {said}; a node or replica lags. It is asked again, and believed after "
            f"read_your_writes seconds",
            provider=provider.system,
            name=name,
        )


async def _asked(provider: Provider, key: Key) -> Secret | SecretNotFoundError:
    name, version = (key, None) if isinstance(key, str) else key
    try:
        return await (provider.get_current if isinstance(provider, CurrentReader) else provider.get)(name, version)
    except SecretNotFoundError as error:
        return fresh(error)


async def _may_lag(provider: Provider) -> bool:
    return await provider.may_lag() if isinstance(provider, CurrentReader) else True
