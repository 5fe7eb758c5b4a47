"""What LiteLLM's ``sync_read_secret`` is answered with, without keeping an event loop on which others wait.

===============  ===================================================================================================
What is known    The answer
===============  ===================================================================================================
a value          the value: a dict lookup
it is absent     the environment's, for most of what LiteLLM asks is a feature flag
nothing          off an event loop: what the manager says. On one: the environment's, and the manager is asked behind
===============  ===================================================================================================

LiteLLM takes None, and any exception, to mean the environment. A name in ``hosted_keys`` is answered from the manager
or with None, and taken out of the environment of the process, so that nothing stands in for it there.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from asyncsecrets.errors import AsyncSecretsError, SecretNotFoundError, TransientError
from asyncsecrets.integrations.litellm.resident import Resident
from asyncsecrets.loops import current_loop, spawn
from asyncsecrets.secret import Secret

__all__ = ["Answers"]

_REMEMBERED: Final = 4_096  # absent names, and names on their way; LiteLLM asks for some hundred
_LOOK: Final = 0.2  # seconds between looks at what was asked for in vain on LiteLLM's loop


class Answers:
    """Answers for ``resident``'s client. ``hosted`` names never come from ``environ``; they and ``needed`` ones have to
    be there.

    ``patience``: seconds that a reader on an event loop may wait for what is not known. ``limit``: those that any other
    may. ``given(name, secret)`` is what of a secret LiteLLM is to have now.
    """

    def __init__(
        self,
        resident: Resident,
        hosted: frozenset[str],
        needed: frozenset[str] = frozenset(),
        *,
        patience: float = 0.0,
        limit: float = 10.0,
        environ: Mapping[str, str] = os.environ,
        given: Callable[[str, Secret], Secret] = lambda _, secret: secret,
    ) -> None:
        self._given = given
        self._resident = resident
        self._hosted = hosted
        self._needed = hosted | needed
        self._patience = patience
        self._limit = limit
        self._environ = environ
        self._absent: dict[str, None] = {}
        self._asked: set[str] = set()
        self._wanted: deque[str] = deque()
        self._loop: Callable[[], asyncio.AbstractEventLoop | None] = lambda: None
        # Of every loop that was asked on, the task that was first: LiteLLM also runs loops in threads for a moment.
        self._starts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Callable[[], asyncio.Task[Any] | None]]
        self._starts = weakref.WeakKeyDictionary()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The first loop that was asked on, of those that run: LiteLLM's."""
        return self._loop()

    def read(self, name: str) -> str | None:
        """Return a value, or None for LiteLLM to look into the environment. Raises AsyncSecretsError for a name in
        ``hosted`` that could not be had, where that was waited for."""
        self._resident.start()  # nothing, but in the child of a fork
        client = self._resident.client
        loop = current_loop()
        if loop is not None and loop is not self._loop():
            self._meet(loop)
        secret = client.peek(name)
        if secret is not None:
            return self._given(name, secret).reveal()
        try:
            if client.is_absent(name):
                return self._beside(name)
        except AsyncSecretsError:  # no secret can have such a name
            return self._beside(name)
        return self._ask(name, self._time_for(name, loop))

    def is_left_to_environment(self, name: str) -> bool:
        """Whether ``name`` is nothing that has to be there, so that it is no news if it is not."""
        return name not in self._needed

    async def follow(self) -> None:
        """Ask for what is wanted on LiteLLM's loop, as long as the client's loop runs.

        That loop is not to tell us: to wake another thread is to let it run first, which may take milliseconds.
        """
        self._asked.clear()  # what was on its way on another loop, as before a fork, does not arrive
        self._wanted.clear()
        while True:
            await asyncio.sleep(_LOOK)
            while self._wanted:
                spawn(self._fetch(self._wanted.popleft()), name="asyncsecrets-wanted")

    def _want(self, name: str) -> None:
        if name not in self._asked and len(self._asked) < _REMEMBERED:
            self._asked.add(name)
            self._wanted.append(name)

    def _meet(self, loop: asyncio.AbstractEventLoop) -> None:
        """The first task that asks on a loop is a start: nobody else waits for that loop yet."""
        known = self._loop()
        if known is None or not known.is_running():
            self._loop = weakref.ref(loop)
        if loop not in self._starts:
            task = asyncio.current_task()
            self._starts[loop] = _nobody if task is None else weakref.ref(task)

    def _beside(self, name: str) -> str | None:
        return None if name in self._hosted else self._environ.get(name)

    def _time_for(self, name: str, loop: asyncio.AbstractEventLoop | None) -> float:
        """How long who asks may wait, in seconds."""
        if loop is None:
            return self._limit
        start = self._starts.get(loop, _nobody)()
        if start is not None and start is asyncio.current_task():
            return self._limit
        return 0.0 if name in self._absent else self._patience

    def _ask(self, name: str, within: float) -> str | None:
        if not within:
            self._want(name)
            return self._beside(name)
        asking = self._resident.begin(partial(self._fetch, name))
        try:
            found = asking.result(within)
        except TimeoutError:
            found = None
        if isinstance(found, Secret):
            return self._given(name, found).reveal()
        loop = current_loop()
        if loop is not None and (found is None or isinstance(found, TransientError)):
            self._starts[loop] = _nobody  # it is given up once, not for each of the ninety names that a start asks for
        if name in self._hosted and found is not None and not isinstance(found, SecretNotFoundError):
            raise found
        return self._beside(name)

    async def _fetch(self, name: str) -> Secret | AsyncSecretsError:
        try:
            found = await self._resident.client.get(name)
        except SecretNotFoundError as error:
            self._absent[name] = None
            if len(self._absent) > _REMEMBERED:
                del self._absent[next(iter(self._absent))]
            return error.with_traceback(None)
        except AsyncSecretsError as error:
            return error.with_traceback(None)
        else:
            self._absent.pop(name, None)
            return found
        finally:
            self._asked.discard(name)


def _nobody() -> None:
    """No task that starts anything."""
