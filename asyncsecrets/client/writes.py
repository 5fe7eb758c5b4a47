"""Writes: decided when their outcome is unknown, visible to the next read.

A write runs in a task of its own (:class:`~asyncsecrets.client.operations.Operations`): a caller who is cancelled
leaves it to finish, because a write that is cut off half-way is one whose outcome nobody knows. It is tried again only
where it cannot have been applied. Where it may have been (sent, and never answered), the current value is read back:
if that is ours the write is done; if the version that was current before is still current the write is made again,
under the same token; otherwise WriteOutcomeUnknownError says so.

What is written goes through here as a :class:`~asyncsecrets.secret.Secret`, for the sake of tracebacks that show local
variables.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from asyncsecrets.cache.flight import fresh
from asyncsecrets.client.source import Source
from asyncsecrets.client.views import remember
from asyncsecrets.errors import (
    ConflictError,
    DeadlineExceededError,
    DecodeError,
    ProviderError,
    SecretNotFoundError,
    UnsupportedOperationError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.providers.base import Provider, Writer
from asyncsecrets.secret import Payload, Secret

__all__ = ["delete", "put", "sealed"]


async def put(source: Source, name: str, value: Secret, cas: str | None) -> Secret:
    """Write ``value``, and return the secret as it now is."""
    return await source.operations.write(name, lambda: _put(source, name, value, cas))


async def delete(source: Source, name: str) -> None:
    """Delete; absent is not an error."""
    await source.operations.write(name, lambda: _delete(source, name))


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


async def _put(source: Source, name: str, value: Secret, cas: str | None) -> Secret:
    before = source.peek(name)
    token = secrets.token_hex(16)  # one for all attempts, so that the store can tell a retry

    async def write(provider: Provider, *, again: bool) -> Secret:
        writer = _writer(provider)
        # A try that is never answered may be applied at any later time. Given the version that it replaces, it is
        # applied to that one or not at all: neither twice, nor over a later write of ours.
        guard = _version(before) if cas is None and getattr(provider, "guards_writes", False) else cas
        try:
            return await writer.put(name, _payload(value), cas=guard, token=token)
        except ConflictError:
            if again or guard == cas:
                raise
        # Somebody else wrote since we read, and our caller asked for no compare-and-set: the last one wins.
        return await writer.put(name, _payload(value), token=token)

    def is_applied(current: Secret | None) -> bool:
        # A compare-and-set that was applied has made a version of its own, also of the value that was there before.
        return current is not None and _holds(source, current, value) and (cas is None or current.version != cas)

    try:
        written = await _decided(source, name, write, is_applied, cas if cas is not None else _version(before))
    except ConflictError:
        source.forget(name)  # somebody else wrote: whoever reads again to decide anew must not get the old value
        raise
    return source.written(name, cast("Secret", written))  # no await since the write returned: the next read sees it


async def _delete(source: Source, name: str) -> None:
    before = source.peek(name)

    async def remove(provider: Provider, *, again: bool) -> None:  # noqa: ARG001  # a delete cannot be guarded
        await _writer(provider).delete(name)

    await _decided(source, name, remove, lambda current: current is None, _version(before))
    source.forget(name)


async def _decided(
    source: Source,
    name: str,
    write: Callable[..., Awaitable[Secret | None]],
    is_applied: Callable[[Secret | None], bool],
    expected: str | None,
) -> Secret | None:
    """Make a write until it is known to be applied, twice at most; return what it returned, or else what is there now.

    ``write`` is told whether it is the second time; ``expected`` is the version that it replaces, where that is known.
    """
    for last_try in (False, True):
        try:
            return await source.call(name, partial(write, again=last_try))
        except ProviderError as error:
            # A deadline of ours that ran out says nothing of what the manager did. A conflict at the second try may be
            # one with our own first try, which was applied after it was read back.
            undecided = DeadlineExceededError | ConflictError if last_try else DeadlineExceededError
            if not (error.outcome_unknown or isinstance(error, undecided)):
                raise
            why = error.message if type(error) is ProviderError else ""  # a bug of the provider: say which
        current = await _read_back(source, name, why)
        if is_applied(current):
            return current
        # Is it still the one that was current before? Then making the write again cannot undo anybody else's.
        if last_try or expected != (_version(current) if current is not None else "0"):
            break
    if current is None:
        source.forget(name)
    else:
        source.written(name, current)  # it is what there is, whoever wrote it
        source.doubt(name)  # and may not be for long: our write may still be applied
    raise _undecided(source, name, why)


async def _read_back(source: Source, name: str, why: str) -> Secret | None:
    """Return the current secret, or None where there is none. A failure to read leaves the outcome unknown."""
    try:
        return await source.call(name, lambda provider: provider.get(name))
    except SecretNotFoundError:
        return None
    except ProviderError:
        source.doubt(name)
    raise _undecided(source, name, why)


def _holds(source: Source, secret: Secret, value: Secret) -> bool:
    """Whether ``secret``'s value is the one that was written."""
    try:
        field = source.default_field
        return (secret if field is None else secret.field(field)).equals(value)
    except DecodeError:
        return False


def _version(secret: Secret | None) -> str | None:
    return secret.version if secret is not None else None


def _payload(value: Secret) -> Payload:
    return value.reveal_bytes() if value.is_binary else value.reveal()


def _undecided(source: Source, name: str, why: str) -> WriteOutcomeUnknownError:
    system = source.config.system
    happened = why or f"the write of {name!r} was sent to {system} and not answered"
    return WriteOutcomeUnknownError(
        f"{happened}; reading it back did not decide whether it was applied; refresh {name!r} before writing it again",
        provider=system,
        name=name,
        outcome_unknown=True,
    )


def _writer(provider: Provider) -> Writer:
    if not isinstance(provider, Writer):
        raise UnsupportedOperationError(f"{provider.system} cannot be written to through asyncsecrets")
    return provider
