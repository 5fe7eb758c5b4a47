"""Secrets in a dict: the simplest real provider, and the test double for programs that use secrets.

::

    async with SecretsClient.from_provider(MemoryProvider({"OPENAI_API_KEY": "sk-test"})) as client: ...

It keeps versions, compares and sets, deletes recoverably and lists, so that code can be tried against it before it
meets a manager. Its secrets are its own: they survive closing and another event loop, and end with the object.
"""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from asyncsecrets.boundary import configuring
from asyncsecrets.credential import revealed
from asyncsecrets.errors import ClosedError, ConflictError, NotFoundReason, SecretNotFoundError
from asyncsecrets.providers.base import VersionInfo
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.references import check_name, fault_of
from asyncsecrets.secret import Payload, Secret

__all__ = ["MemoryProvider"]

Before = Callable[[str, str], Awaitable[None]]
State = Literal["enabled", "deleted", "destroyed"]


@dataclass(frozen=True, slots=True, repr=False)  # a generated repr would show the payload
class _Stored:
    payload: Payload
    created: datetime
    state: State = "enabled"


@guarded
class MemoryProvider:
    """Secrets in memory. ``secrets`` maps names to values; each becomes version ``"1"``.

    ``now`` tells the creation time of versions. ``before(operation, name)`` is awaited before each operation (``get``,
    ``put``, ``delete``, ``delete_versions``, ``restore``, ``destroy``, ``list``, ``versions``): let it wait to be a
    slow manager, or raise to be a failing one.

    ``set`` and ``remove`` are for the test that owns the double: they need no open provider and no event loop,
    and they are how a secret "is rotated by somebody else".
    """

    system: ClassVar[str] = "memory"
    default_field: str | None = None

    @configuring
    def __init__(
        self,
        secrets: Mapping[str, Payload] | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        before: Before | None = None,
    ) -> None:
        self.before = before
        self._now = now
        self._secrets: dict[str, list[_Stored]] = {}
        self._closed = False
        for name, payload in (secrets or {}).items():
            self.set(name, payload)

    @classmethod
    @configuring
    def from_settings(cls, settings: Mapping[str, Any], environ: Mapping[str, str]) -> MemoryProvider:  # noqa: ARG003  # it reads no environment
        """The setting ``secrets``, a mapping of names to values."""
        return cls(revealed(settings.get("secrets")))

    async def open(self) -> None:
        """Make it usable (again)."""
        self._closed = False

    async def aclose(self) -> None:
        """Refuse calls from now on; the secrets stay."""
        self._closed = True

    def abandon(self) -> None:
        """Nothing here belongs to an event loop."""

    def can_name(self, name: str) -> bool:
        """Whether a secret can be created by this name."""
        return not fault_of(name)

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Return the secret's current version, or the given one."""
        await self._begin("get", name)
        return self._read(name, version)

    def _read(self, name: str, version: str | None) -> Secret:
        versions = self._secrets.get(name, [])
        index = len(versions) - 1 if version is None else _index(version)
        if not 0 <= index < len(versions):
            raise self._not_found(name, version)
        stored = versions[index]
        if stored.state != "enabled":
            raise self._not_found(name, version, stored.state)
        return Secret(stored.payload, name=name, version=str(index + 1), created=stored.created)

    async def get_current(self, name: str, version: str | None = None) -> Secret:
        """As ``get``: there is one place that answers."""
        return await self.get(name, version)

    async def may_lag(self) -> bool:
        """No: see ``get_current``."""
        return False

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:  # noqa: ARG002  # no retry can apply a put twice here
        """Add a version. ``cas`` must be the current version, ``"0"`` where there is none or it is gone."""
        await self._begin("put", name)
        if cas is not None and cas != self._current(name):
            message = f"memory: {name!r} is not at version {cas!r} any more; read it again and decide anew"
            raise ConflictError(message, provider=self.system, name=name)
        version = self.set(name, payload)
        return Secret(payload, name=name, version=version, created=self._secrets[name][-1].created)

    async def delete(self, name: str) -> None:
        """Delete the current version; ``restore`` brings it back, and a given older version stays readable."""
        await self._begin("delete", name)
        self._mark(name, None, "deleted")

    async def delete_versions(self, name: str, versions: Sequence[str]) -> None:
        """Delete these versions; ``restore`` brings them back. Absent ones are not an error."""
        await self._begin("delete_versions", name)
        self._mark(name, versions, "deleted")

    async def restore(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Bring back the current version, or the given ones. One that is not deleted stays as it is.

        Raises SecretNotFoundError, and restores nothing, where one of them is destroyed or never was.
        """
        await self._begin("restore", name)
        stored = self._secrets.get(name, [])
        for version in [None] if versions is None else versions:
            index = len(stored) - 1 if version is None else _index(version)
            if not 0 <= index < len(stored):
                raise self._not_found(name, version)
            if stored[index].state == "destroyed":
                raise self._not_found(name, version, "destroyed")
        self._mark(name, versions, "enabled")

    async def destroy(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Remove the values of these versions for good, or the secret as if it had never been. Absent is no error."""
        await self._begin("destroy", name)
        if versions is None:
            self.remove(name)
        else:
            self._mark(name, versions, "destroyed")

    async def list(self, prefix: str = "") -> list[str]:
        """Return the sorted names, under ``prefix``, whose current version is not deleted."""
        await self._begin("list", prefix, check=False)
        return sorted(name for name in self._secrets if name.startswith(prefix) and self._current(name) != "0")

    async def versions(self, name: str) -> builtins.list[VersionInfo]:  # `list` is a method here
        """Return every version, oldest first."""
        await self._begin("versions", name)
        versions = self._secrets.get(name)
        if versions is None:
            raise self._not_found(name)
        return [
            VersionInfo(str(number), stored.created, stored.state, number == len(versions))
            for number, stored in enumerate(versions, 1)
        ]

    def set(self, name: str, payload: Payload) -> str:
        """Store a new version at once and return it."""
        self._check_name(name)
        versions = self._secrets.setdefault(name, [])
        versions.append(_Stored(payload, self._now()))
        return str(len(versions))

    def remove(self, name: str) -> None:
        """Forget the secret and all its versions at once, as if it had never been."""
        self._secrets.pop(name, None)

    def __repr__(self) -> str:
        return f"MemoryProvider({len(self._secrets)} secrets)"

    async def _begin(self, operation: str, name: str, *, check: bool = True) -> None:
        if self._closed:
            raise ClosedError("memory: the provider is closed")
        if check:
            self._check_name(name)
        if self.before is not None:
            await self.before(operation, name)

    def _check_name(self, name: str) -> None:
        check_name(name, self.system)

    def _current(self, name: str) -> str:
        versions = self._secrets.get(name)
        return str(len(versions)) if versions and versions[-1].state == "enabled" else "0"

    def _mark(self, name: str, versions: Sequence[str] | None, state: State) -> None:
        """Give the versions (None: the current one) another state. What is destroyed stays so."""
        stored = self._secrets.get(name, [])
        for index, one in enumerate(stored):
            chosen = index == len(stored) - 1 if versions is None else str(index + 1) in versions
            if chosen and one.state != "destroyed":
                stored[index] = replace(one, state=state, payload="" if state == "destroyed" else one.payload)

    def _not_found(
        self, name: str, version: str | None = None, reason: NotFoundReason = "absent"
    ) -> SecretNotFoundError:
        what = repr(name) if version is None else f"version {version!r} of {name!r}"
        states = {"deleted": "is deleted; restore it", "destroyed": "is destroyed; put it anew"}
        message = f"memory: {what} {states.get(reason, 'does not exist; put it first')}"
        return SecretNotFoundError(message, provider=self.system, name=name, reason=reason)


def _index(version: str) -> int:
    """The index of a version number, or -1 for text that is none: ``"01"`` is not version 1."""
    return int(version) - 1 if version.isascii() and version.isdigit() and version[0] != "0" else -1
