"""What all instances in one process share that LiteLLM makes of the hook: one client, and what is known through it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from asyncsecrets.client import SecretsClient
from asyncsecrets.config import Config
from asyncsecrets.errors import ResolveError
from asyncsecrets.integrations.litellm.answers import Answers
from asyncsecrets.integrations.litellm.files import find, load, needs_of, patience_of
from asyncsecrets.integrations.litellm.keys import Keys
from asyncsecrets.integrations.litellm.resident import Resident
from asyncsecrets.integrations.litellm.rotated import Rotated, models_of
from asyncsecrets.integrations.litellm.warming import warm
from asyncsecrets.journal import CONFIG, few, one_line, say
from asyncsecrets.loops import spawn
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.settings import variables, vocabulary

__all__ = ["Shared", "shared"]

_NAMED: Final = 20  # names in one line of a log


class Shared:
    """One client of ``config`` on a thread of its own, with all that LiteLLM needs of it read."""

    def __init__(self, config: Config, environ: MutableMapping[str, str] = os.environ) -> None:
        self._config = config
        self._environ = environ
        self.needs = needs_of(config)
        self._is_warm = False
        self.resident = Resident(SecretsClient(config), self._moved_in)
        self.keys = Keys(self.resident.client)
        self._rotated = Rotated(
            models_of(config.document.reveal()),
            self.needs.places,
            peek=self.resident.client.peek,
            loop=lambda: self.answers.loop,
        )
        self.answers = Answers(
            self.resident,
            self.needs.hosted,
            frozenset(self.needs.required),
            patience=patience_of(config),
            limit=(config.retry or RetryPolicy()).deadline,
            environ=environ,
            given=self._rotated.given,
        )

    def start(self) -> None:
        """Read all that LiteLLM needs, if that is not done. Blocks. Raises ResolveError naming what is missing."""
        self.resident.start()

    async def _moved_in(self) -> None:
        spawn(self.answers.follow(), name="asyncsecrets-litellm")
        try:
            absent = await warm(self.resident.client, self.needs)
        except ResolveError:
            if not self._is_warm:
                raise
            return  # in the child of a fork: what can be had is there, and the client says what is wrong
        if not self._is_warm:
            self._is_warm = True
            self.resident.client.on_change(self._rotated.heard)
            self._tell_absent(absent)
            self._take_out()

    def _tell_absent(self, absent: list[str]) -> None:
        if absent:
            names = few(absent, len(absent))
            say(CONFIG, logging.WARNING, "%s", one_line(f"{self._config.origin} uses what is nowhere: {names}"))

    def _take_out(self) -> None:
        """Have no variable stand in for what is the manager's: LiteLLM asks the environment when anything fails."""
        own = self._bootstrap()
        taken = [name for name in sorted(self.needs.hosted - own) if self._environ.pop(name, None) is not None]
        if taken:
            text = "the environment has what hosted_keys says is the manager's, and LiteLLM would use it if the manager"
            names = few(taken, len(taken))
            say(CONFIG, logging.WARNING, "%s", one_line(f"{text} failed; taken out of this process: {names}"))

    def _bootstrap(self) -> frozenset[str]:
        """The variables by which the managers are reached."""
        systems = {source.system for source in self._config.sources.values()}
        return frozenset(name for system in systems for key in vocabulary(system) for name in variables(system, key))


_shared: dict[Path, Shared] = {}
_turn = threading.Lock()


def shared(named: str | os.PathLike[str] | None = None) -> Shared:
    """What this process has for the configuration ``named`` (default: the one that LiteLLM reads), started.

    Blocks until all that LiteLLM needs is read. Raises ConfigError, and ResolveError naming what is missing.
    """
    path = find(named, os.environ)
    with _turn:
        found = _shared.get(path) or Shared(load(path, os.environ))
        found.start()
        _shared[path] = found
    return found


def _after_fork() -> None:
    global _turn  # noqa: PLW0603  # whoever held it stayed in the parent process
    _turn = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
