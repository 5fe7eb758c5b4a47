"""One source, for a part of a program that keeps secrets of its own there, such as virtual keys.

Whoever reads through a client is bound by the rules of routing. A store asks its source and nothing else, and may read
what it has written itself where ``access_mode`` is ``write_only``: nobody else is given that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from asyncsecrets.client.places import Route
from asyncsecrets.client.puts import delete_at_home, put_at_home
from asyncsecrets.client.routing import check_reads, check_writes
from asyncsecrets.client.source import Source
from asyncsecrets.client.views import remember
from asyncsecrets.client.writing import metadata, restore, write_metadata
from asyncsecrets.declared import SourceConfig
from asyncsecrets.errors import UnsupportedOperationError
from asyncsecrets.providers.base import Lister, Provider, SecretMetadata
from asyncsecrets.secret import Secret

__all__ = ["Store"]


class Store:
    """The secrets of the source that ``found()`` is. ``check_open`` raises ClosedError where its client is closed."""

    def __init__(self, found: Callable[[], Source], check_open: Callable[[], None]) -> None:
        self._found = found
        self._check_open = check_open

    @property
    def _source(self) -> Source:
        return self._found()

    @property
    def declared(self) -> SourceConfig:
        """What the source is declared to be."""
        return self._source.config

    @property
    def lists_deleted(self) -> bool:
        """Whether the manager lists names of deleted secrets too."""
        return self._source.lists_deleted

    @property
    def writes_within(self) -> float:
        """Seconds within which a write has been applied, or never will be, as far as clocks can tell."""
        return self._source.retry.policy.deadline

    @property
    def default_field(self) -> str | None:
        """The member of an object that is a secret's value, or None where the payload is."""
        return self._source.default_field

    @property
    def keeps_objects(self) -> bool:
        """Whether a payload is an object here, whose text the manager writes in its own way. Builds the provider."""
        return self._source.keeps_objects

    def spellings(self, name: str) -> frozenset[str]:
        """What the secret may be called: two names that may be of one secret have one of these in common. No I/O."""
        return self._source.spellings(name)

    def check_value(self, name: str, value: Secret) -> None:
        """Raise DecodeError, UnsupportedOperationError for a value that the manager cannot keep as ``name``. No I/O."""
        self._source.check_value(Secret(value.reveal_bytes() if value.is_binary else value.reveal(), name=name))

    def check_writable(self) -> None:
        """Raise AccessModeError, UnsupportedOperationError, ClosedError where nothing can be written. No I/O."""
        self._check_open()
        if self._source.is_environment:
            raise UnsupportedOperationError("the environment is read only: keys are stored at a secret manager")
        check_writes(self._source)

    def check_readable(self) -> None:
        """Raise AccessModeError, ClosedError where nothing can be read for others. No I/O."""
        self._check_open()
        check_reads(self._source)

    async def can_name(self) -> Callable[[str], bool]:
        """What says, without I/O, whether a secret can be created by a name: opens the provider."""
        self._check_open()
        return await self._source.home.run(partial(_can_name, self._source))

    async def get(self, name: str) -> Secret:
        """The value, from memory if it is there. Raises SecretNotFoundError."""
        route, source = self._route(name), self._source
        return await source.home.run(partial(source.read, route))

    def warm(self, name: str) -> Secret | None:
        """What ``get`` returns, if it is in memory; None if it is not. No I/O. Raises as ``get``."""
        return self._source.warm(self._route(name))

    async def refresh(self, name: str) -> Secret:
        """The value as the manager has it now, which is what ``get`` returns from then on."""
        route, source = self._route(name), self._source
        return await source.home.run(partial(source.refresh, route))

    async def current(self, name: str, version: str | None = None, *, whole: bool = False) -> Secret:
        """The value as it is where writes arrive, past what is cached. Raises SecretNotFoundError.

        ``whole``: the object that the value is a member of, where the source has a ``default_field``.
        """
        self._check_open()
        key = name if version is None else (name, version)
        secret = await self._source.home.run(partial(self._source.current, key))
        field = None if whole else self._source.default_field
        value = secret if field is None else secret.field(field)
        remember(value)
        return value

    async def put(self, name: str, value: Secret, cas: str | None = None) -> Secret:
        """As ``SecretsClient.put``."""
        self.check_writable()
        remember(value)
        return await put_at_home(self._source, name, value, cas)

    async def delete(self, name: str) -> None:
        """As ``SecretsClient.delete``."""
        self.check_writable()
        await delete_at_home(self._source, name)

    async def restore(self, name: str) -> None:
        """As ``SecretsClient.restore``."""
        self.check_writable()
        await self._source.home.run(partial(restore, self._source, name))

    async def metadata(self, name: str) -> SecretMetadata:
        """As ``SecretsClient.metadata``."""
        self._check_open()
        return await self._source.home.run(partial(metadata, self._source, name))

    async def write_custom_metadata(self, name: str, custom: Mapping[str, str]) -> None:
        """As ``SecretsClient.write_metadata``."""
        self.check_writable()
        await self._source.home.run(partial(write_metadata, self._source, name, {"custom": custom}))

    def forget(self, name: str) -> None:
        """Have nothing of ``name`` cached any more: who does not read it often is not to have it renewed."""
        self._source.home.post(partial(self._source.cache.invalidate, name))

    async def list(self, prefix: str) -> list[str]:
        """The names that start with ``prefix``, sorted; at some managers those of deleted secrets, too."""
        self._check_open()
        call = partial(self._source.calls.call, None, partial(_list, prefix=prefix), paged=True)
        return await self._source.home.run(partial(self._source.tasks.run, call))

    def _route(self, name: str) -> Route[Source]:
        self._check_open()
        return Route("", name, self._source, name, None, None, environment=False, rule="")


async def _list(provider: Provider, prefix: str) -> list[str]:
    if not isinstance(provider, Lister):
        raise UnsupportedOperationError(f"{provider.system} cannot list its secrets: say which by name")
    return await provider.list(prefix)


async def _can_name(source: Source) -> Callable[[str], bool]:
    await source.calls.opened(None)
    return source.can_name
