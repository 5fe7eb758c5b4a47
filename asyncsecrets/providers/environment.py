"""The process environment, and a ``.env`` file for what it does not have.

It is a source of its own (``env``), and where every other source looks for the names that its manager does not have.
A variable that is set and empty is present: its value is the empty text. The environment has no versions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from asyncsecrets.boundary import configuring
from asyncsecrets.credential import Credential
from asyncsecrets.errors import (
    ClosedError,
    ConfigError,
    InvalidNameError,
    MalformedResponseError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.loops import in_thread
from asyncsecrets.providers.dotenv import parse_dotenv
from asyncsecrets.providers.files import WatchedFile
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.references import check_name, fault_of
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.trust import FoundFile

__all__ = ["FOUND_DOTENV", "EnvironmentProvider", "check_variable"]

FOUND_DOTENV: Final = FoundFile(".env", "or name it: env_file in the section asyncsecrets of a configuration you name")
"""The ``.env`` of the working directory, which is read without being named."""


@guarded
class EnvironmentProvider:
    """Reads ``environ`` (default: the process environment), then the file ``dotenv`` where it exists.

    A ``dotenv`` that is a ``FoundFile`` is judged before it is read: see ``asyncsecrets.trust``.

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
        self._path = None if dotenv is None else Path(dotenv)
        self._check = dotenv.check if isinstance(dotenv, FoundFile) else lambda: None
        self._closed = False
        self._loaded: dict[str, str] = {}
        self.abandon()

    @classmethod
    @configuring
    def from_settings(cls, settings: Mapping[str, Any], environ: Mapping[str, str]) -> EnvironmentProvider:  # noqa: ARG003  # it has no settings
        """The environment, and ``.env`` in the working directory."""
        return cls(environ, dotenv=FOUND_DOTENV)

    async def open(self) -> None:
        """Read the ``.env`` file. Raises ConfigError if it is there and cannot be understood or read."""
        self._closed = False
        problem = await self._refresh()
        if problem is not None:
            raise ConfigError(str(problem))

    async def aclose(self) -> None:
        """Refuse calls from now on."""
        self._closed = True

    def abandon(self) -> None:
        """Start with a new lock on the file: a thread of the parent process may have held the old one."""
        self._file = None if self._path is None else WatchedFile(self._path, self._parse, check=self._check)

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Return the variable, from the environment or else from the ``.env`` file as it is now."""
        self._check_open()
        check_variable(name, self.system)
        if version is not None:
            raise UnsupportedOperationError(f"env: {name!r} has no versions; leave the version out")
        problem = None if name in self._variables else await self._refresh(name)
        if problem is not None:
            raise problem
        secret = self.lookup(name)
        if secret is None:
            raise SecretNotFoundError(f"env: {name!r} is not set", provider=self.system, name=name)
        return secret

    def lookup(self, name: str) -> Secret | None:
        """Return the variable without I/O, or None: the ``.env`` file is as ``open`` or ``get`` last saw it."""
        self._check_open()
        if fault_of(name) or "=" in name:
            return None
        value = self._variables.get(name, self._loaded.get(name))
        return None if value is None else Secret(_payload(value), name=name)

    @property
    def _variables(self) -> Mapping[str, str]:
        return os.environ if self._environ is None else self._environ.reveal()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("env: the provider is closed")

    def _parse(self, data: bytes) -> dict[str, str]:
        return parse_dotenv(data, origin=str(self._path))

    async def _refresh(self, name: str | None = None) -> MalformedResponseError | UnavailableError | None:
        """Read the file if it changed. Return the error if there is one, for the caller to raise without a context."""
        if self._file is None:
            return None
        try:
            self._loaded = await in_thread(self._file.read)
        except FileNotFoundError:
            self._loaded = {}
        except ConfigError as error:
            return MalformedResponseError(f"env: {error}", provider=self.system, name=name)
        except OSError as error:
            message = f"env: {self._path} cannot be read: {os.strerror(error.errno or 0)}"
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
