"""A put or a delete: decided when its outcome is unknown, visible to the next read.

A write runs in a task of its own (``Tasks``): a caller who is cancelled
leaves it to finish, because a write that is cut off half-way is one whose outcome nobody knows. It is tried again only
where it cannot have been applied. Where it may have been (sent, and never answered), a manager that knows a write again
by its token is given it again. Otherwise the current value is read back: if that is ours the write is done; if the
version that was current before is still current the write is made again, under the same token; otherwise
WriteOutcomeUnknownError says so. A compare-and-set is decided by itself (``asyncsecrets.client.swaps``): an equal value
may be somebody else's.

What is written goes through here as a ``Secret``, for the sake of tracebacks that show local
variables.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TypeVar, cast

from asyncsecrets.boundary import fresh
from asyncsecrets.client.outcomes import is_undecided, left_open, undecided
from asyncsecrets.client.source import Source
from asyncsecrets.client.swaps import Applied, swapped
from asyncsecrets.client.tasks import Work
from asyncsecrets.client.views import remember
from asyncsecrets.errors import (
    ConflictError,
    DeadlineExceededError,
    DecodeError,
    ProviderError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import Encrypter, Provider, Writer
from asyncsecrets.secret import Payload, Secret

__all__ = ["Delete", "Put", "delete", "delete_at_home", "put", "put_at_home", "sealed"]

T = TypeVar("T")


async def put_at_home(source: Source, name: str, value: Secret, cas: str | None) -> Secret:
    """Put at the source's home, and return the value as it now is."""
    write = Put(name, value, cas)
    written = await source.home.run(
        partial(put, source, write),
        repeatable=False,
        decide=partial(put, source, write, interrupted=True),
    )
    field = source.default_field
    return written if field is None else written.field(field)


async def delete_at_home(source: Source, name: str) -> None:
    """Delete at the source's home; absent is not an error."""
    write = Delete(name)
    await source.home.run(
        partial(delete, source, write),
        repeatable=False,
        decide=partial(delete, source, write, interrupted=True),
    )


def sealed(name: str, payload: object) -> Secret | DecodeError:
    """Return a payload as a Secret, or the error to raise for what no store could give back as it was.

    It is not raised here, because its traceback would hold the frame of the caller, who still has the payload.
    """
    if not isinstance(payload, str | bytes):
        return DecodeError(f"the value of {name!r} must be str or bytes, not {type(payload).__name__}")
    secret = Secret(payload, name=name)
    try:
        secret.reveal_bytes()
    except DecodeError as error:
        return fresh(error)
    remember(secret)
    return secret


class Put:
    """One logical put, with one token for all attempts, so that the store can tell a retry."""

    def __init__(self, name: str, value: Secret, cas: str | None) -> None:
        self.name = name
        self.cas = cas or ""
        self.token = secrets.token_hex(16)
        self.is_guarded = cas is not None
        self._value = value
        self.expected: str | None = None
        self.is_known_again = False
        self.made_again = False

    def begin(self, source: Source) -> None:
        """Remember what it replaces, where that is known."""
        self.expected = self.expected or _version(source.peek(self.name)) or source.known.current(self.name)

    async def make(self, provider: Provider, *, again: bool = False) -> Secret:
        """One attempt; ``again``: of a write without ``cas``, after one that may have been applied."""
        writer = _writer(provider)
        if self.is_guarded:
            return await writer.put(self.name, _payload(self._value), cas=self.cas, token=self.token)
        self.is_known_again = getattr(provider, "idempotent_writes", False)
        self.made_again = again
        # A try that is never answered may be applied at any later time. Given the version that it replaces, it is
        # applied to that one or not at all: neither twice, nor over a later write of ours.
        guard = self.expected if getattr(provider, "guards_writes", False) else None
        try:
            return await writer.put(self.name, _payload(self._value), cas=guard, token=self.token)
        except ConflictError:
            if again or guard is None:
                raise
        # Somebody else wrote since we read, and our caller asked for no compare-and-set: the last one wins.
        return await writer.put(self.name, _payload(self._value), token=self.token)

    def is_applied(self, source: Source, current: Secret | None) -> bool:
        """Whether ``current`` is as good as what it wrote: its value, and not the version that it replaces."""
        replaced = self.expected is not None and _version(current) == self.expected
        return current is not None and not replaced and _holds(source, current, self._value)

    async def may_be(self, source: Source, secret: Secret) -> bool:
        """Whether ``secret`` holds what it writes."""
        return _holds(source, secret, self._value)

    def as_version(self, version: str) -> Secret:
        """What it wrote, as the version that it is."""
        return Secret(_payload(self._value), name=self.name, version=version)


class Delete:
    """One delete. It cannot be guarded, and by itself the manager does not know it again."""

    is_known_again = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.expected: str | None = None

    def begin(self, source: Source) -> None:
        """Remember what it takes away, where that is known."""
        self.expected = self.expected or _version(source.peek(self.name))

    async def make(self, provider: Provider, *, again: bool) -> None:  # noqa: ARG002  # see above
        """One attempt."""
        await _writer(provider).delete(self.name)

    def is_applied(self, source: Source, current: Secret | None) -> bool:  # noqa: ARG002  # as a put is
        """Whether there is nothing now."""
        return current is None


async def put(source: Source, write: Put, *, interrupted: bool = False) -> Secret:
    """Make ``write``, and return the secret as it now is. ``interrupted``: it was begun elsewhere, and not ended."""
    return await _begun(source, write.name, lambda: _put(source, write, interrupted), interrupted)


async def delete(source: Source, write: Delete, *, interrupted: bool = False) -> None:
    """Delete; absent is not an error. ``interrupted`` as for ``put``."""
    await _begun(source, write.name, lambda: _delete(source, write, interrupted), interrupted)


async def _begun(source: Source, name: str, work: Work[T], interrupted: bool) -> T:
    try:
        return await source.tasks.write(name, work)
    except DeadlineExceededError:  # its turn did not come
        if not interrupted:
            raise
    raise undecided(source, name, None)


async def _put(source: Source, write: Put, interrupted: bool) -> Secret:
    if write.is_guarded:
        return await _swap(source, write, interrupted)
    name = write.name
    try:
        written = await _decided(source, write, interrupted)
    except ConflictError:
        source.effects.forget(name)  # somebody else wrote
        raise
    # No await since the write returned: the next read sees it.
    written = source.effects.written(name, cast("Secret", written))
    if write.made_again and write.is_known_again:
        source.effects.doubt(name)  # the first try may have been applied long ago, and somebody else's write since then
    return written


async def _swap(source: Source, write: Put, interrupted: bool) -> Secret:
    name = write.name
    try:
        return source.effects.written(name, await swapped(source, write, interrupted=interrupted))
    except ConflictError:
        # Somebody else wrote: whoever reads again to decide anew must not get the old value.
        source.effects.changed(name, lambda known: known.replaced(name, write.cas))
        raise
    except Applied as applied:
        version, replaced = applied.version, applied.replaced
    written = source.effects.written(name, write.as_version(version))
    if replaced:
        source.effects.changed(name, lambda known: known.replaced(name, version))
    return written


async def _delete(source: Source, write: Delete, interrupted: bool) -> None:
    await _decided(source, write, interrupted)
    for_good = source.deletes_for_good
    source.effects.changed(write.name, lambda known: known.removed(write.name, for_good=for_good), gone=True)


async def _decided(source: Source, write: Put | Delete, interrupted: bool) -> Secret | None:
    """Make a write until it is known to be applied, twice at most; return what it returned, or else what is there now.

    ``write.expected`` is the version that it replaces, where that is known. ``write.is_known_again`` says, once it was
    tried, whether the manager applies it once although it is sent twice: then it is not read back in between. One that
    was ``interrupted`` has been tried once, with an outcome that nobody knows.
    """
    name = write.name
    if not interrupted:  # what is known by now may have come after it
        write.begin(source)
    why: ProviderError | None = None
    for last_try in (False, True):
        try:
            if last_try or not interrupted:
                return await source.calls.call(name, partial(write.make, again=last_try), decide=True)
        except ProviderError as error:
            # A conflict at the second try may be one with our own first try, which was applied after it was read back;
            # and what the second try meets says nothing of a first one that was not read back.
            open_still = last_try and (write.is_known_again or isinstance(error, ConflictError | DeadlineExceededError))
            if not (open_still or is_undecided(error)):
                raise
            why = error
        if write.is_known_again and not last_try:
            continue
        current = await _read_back(source, name, why)
        if write.is_applied(source, current):
            return current
        # Is it still the one that was current before? Then making the write again cannot undo anybody else's.
        if last_try or write.expected != (_version(current) if current is not None else "0"):
            break
    left_open(source, name, current)
    raise undecided(source, name, why)


async def _read_back(source: Source, name: str, why: ProviderError | None) -> Secret | None:
    """Return the current secret, or None where there is none, of who takes the writes: a node that lags may still have
    the value of long ago that was written again. A failure to read leaves the outcome unknown."""
    try:
        return await source.current(name)
    except SecretNotFoundError:
        return None
    except ProviderError:
        source.effects.doubt(name)
    raise undecided(source, name, why)


def _holds(source: Source, secret: Secret, value: Secret) -> bool:
    """Whether ``secret``'s value is the one that was written, in whatever form the manager keeps it."""
    try:
        field = source.default_field
        found = secret if field is None else secret.field(field)
        return found.equals(value) or source.kept(found).equals(source.kept(value))
    except DecodeError:
        return False


def _version(secret: Secret | None) -> str | None:
    return secret.version if secret is not None else None


def _payload(value: Secret) -> Payload:
    return value.reveal_bytes() if value.is_binary else value.reveal()


def _writer(provider: Provider) -> Writer:
    if not isinstance(provider, Writer):
        hint = "; it stores nothing: encrypt a value, and set the variable" if isinstance(provider, Encrypter) else ""
        raise UnsupportedOperationError(f"{provider.system} cannot be written to through asyncsecrets{hint}")
    return provider
