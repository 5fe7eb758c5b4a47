"""The process environment, and a ``.env`` file for what it does not have.

It is a source of its own (``env``), and where every other source looks for the names that its manager does not have.
A variable that is set and empty is present: its value is the empty text. The environment has no versions.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from asyncsecrets.boundary import configuring
from asyncsecrets.credential import Credential
from asyncsecrets.errors import (
    AsyncSecretsError,
    ClosedError,
    ConfigError,
    InvalidNameError,
    MalformedResponseError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.loops import in_thread
from asyncsecrets.providers.additions import Additions
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.references import check_name, fault_of
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.trust import UsualFile

__all__ = ["FOUND_DOTENV", "EnvironmentProvider", "check_variable"]

FOUND_DOTENV: Final = UsualFile(".env", "or name it: env_file in the section asyncsecrets of a configuration you name")
"""The ``.env`` of the working directory, which is read without being named."""


@guarded
class EnvironmentProvider:
    """Reads ``environ`` (default: the process environment), then the file ``dotenv`` where it exists.

    ``dotenv`` is a path, or what several providers share of it. A ``FoundFile`` is judged before it is read: see
    ``asyncsecrets.trust``; a ``UsualFile`` that has mistakes is used as far as it can be: see
    ``asyncsecrets.providers.additions``.

    Both are live: a variable that changes, and a file that changes, are seen by the next ``get``. The grammar of
    the file is in ``asyncsecrets.providers.dotenv``.
    """

    system: ClassVar[str] = "env"
    default_field: str | None = None

    @configuring
    def __init__(
        self, environ: Mapping[str, str] | None = None, *, dotenv: str | os.PathLike[str] | None = None
    ) -> None:
        self._environ = None if environ is None else Credential(environ)
        self._additions = dotenv if isinstance(dotenv, Additions) else Additions(dotenv, environ=environ)
        self._closed = False
        self._turn = asyncio.Lock()

    @classmethod
    @configuring
    def from_settings(cls, settings: Mapping[str, Any], environ: Mapping[str, str]) -> EnvironmentProvider:  # noqa: ARG003  # it has no settings
        """The environment, and ``.env`` in the working directory."""
        return cls(environ, dotenv=FOUND_DOTENV)

    async def open(self) -> None:
        """Read the ``.env`` file if it is one that is named. Raises ConfigError if that cannot be understood or read.

        The one of the working directory is read when it is first asked for a name: who never asks it never hears of it.
        """
        if self._closed:
            self._additions.forget()
        self._closed = False
        if not self._additions.is_usual:
            await self.look()

    async def aclose(self) -> None:
        """Refuse calls from now on."""
        self._closed = True

    def abandon(self) -> None:
        """Start with a new lock on the file: a thread of the parent process may have held the old one."""
        self._additions.abandon()
        self._turn = asyncio.Lock()

    async def look(self) -> None:
        """Read the ``.env`` file if it changed: ``lookup`` answers from what was seen last. Raises ConfigError."""
        problem = await self._refresh()
        if problem is not None:
            raise ConfigError(str(problem))

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Return the variable, from the environment or else from the ``.env`` file as it is now."""
        self._check_open()
        check_variable(name, self.system)
        if version is not None:
            raise UnsupportedOperationError(f"env: {name!r} has no versions; leave the version out")
        problem = None if self._additions.is_above(name, self._variables) else await self._refresh(name)
        if problem is not None:
            raise problem
        secret = self.lookup(name)
        if secret is None:
            raise SecretNotFoundError(f"env: {name!r} is not set{self.remark}", provider=self.system, name=name)
        return secret

    def lookup(self, name: str) -> Secret | None:
        """Return the variable without I/O, or None: the ``.env`` file is as ``look`` or ``get`` last saw it."""
        self._check_open()
        if fault_of(name) or "=" in name:
            return None
        value = self._additions.get(name, self._variables)
        return None if value is None else Secret(_payload(value), name=name)

    @property
    def remark(self) -> str:
        """``; …``: what of the ``.env`` file is not used, for whoever misses a name; mostly nothing."""
        return self._additions.remark

    @property
    def _variables(self) -> Mapping[str, str]:
        return os.environ if self._environ is None else self._environ.reveal()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("env: the provider is closed")

    async def _refresh(self, name: str | None = None) -> AsyncSecretsError | None:
        """Read the file if it changed. Return the error if there is one, for the caller to raise without a context."""
        if not self._additions.has_file:
            return None
        try:
            async with self._turn:  # or everybody who waits for a pipe would keep a thread
                await in_thread(self._additions.read)
        except ConfigError as error:
            if self._additions.is_usual:  # others could have written it
                return ConfigError(f"env: {error}")
            return MalformedResponseError(f"env: {error}", provider=self.system, name=name)
        except OSError as error:
            message = f"env: {self._additions.path} cannot be read: {os.strerror(error.errno or 0)}"
            return UnavailableError(message, provider=self.system, name=name)
        return None


def check_variable(name: str, system: str) -> None:
    """Raise InvalidNameError unless a variable can have this name: that of a secret, without a ``=``."""
    check_name(name, system)
    if "=" in name:
        raise InvalidNameError(f"{system}: {name!a} cannot name a variable: it has a '='", provider=system, name=name)


def _payload(value: str) -> Payload:
    """The variable's text, or its bytes where they are not UTF-8: Python spells those as lone surrogates."""
    if not any("\udc80" <= char <= "\udcff" for char in value):
        return value
    try:
        return os.fsencode(value)
    except UnicodeEncodeError:  # not from the process environment: a mapping with text that no environment can hold
        return value
