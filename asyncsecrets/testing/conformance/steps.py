"""The steps that scenarios are written in."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import pytest

from asyncsecrets.errors import ProviderError, SecretNotFoundError, UnsupportedOperationError
from asyncsecrets.providers.base import (
    Destroyer,
    Encrypter,
    Lister,
    MetadataKeeper,
    Patcher,
    Restorer,
    Rotator,
    VersionDeleter,
    VersionLister,
    Writer,
)
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.conformance.cases import PAYLOADS
from asyncsecrets.testing.conformance.harness import ProviderHarness
from asyncsecrets.testing.conformance.watch import check_error, expect, raised, run

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E", bound=ProviderError)
Test = Callable[Concatenate[Any, ProviderHarness, P], None]


def scenario(test: Callable[Concatenate[Any, ProviderHarness, P], Coroutine[Any, Any, None]]) -> Test[P]:
    """Make a plain test function of a coroutine function: see ``run``."""

    @functools.wraps(test)
    def plain(self: Any, harness: ProviderHarness, *args: P.args, **kwargs: P.kwargs) -> None:
        run(harness, lambda: test(self, harness, *args, **kwargs))

    return cast("Test[P]", plain)


def needs(harness: ProviderHarness, kind: str) -> None:
    """Skip, with its reason, what the harness declares that its backend cannot show."""
    if kind in harness.unsupported:
        pytest.skip(harness.unsupported[kind])


def writer_of(harness: ProviderHarness) -> Writer:
    """Return the provider as a Writer, or skip."""
    if not isinstance(harness.provider, Writer):
        pytest.skip(f"{harness.provider.system} does not write")
    return harness.provider


def lister_of(harness: ProviderHarness) -> Lister:
    """Return the provider as a Lister, or skip."""
    if not isinstance(harness.provider, Lister):
        pytest.skip(f"{harness.provider.system} does not list names")
    return harness.provider


def version_lister_of(harness: ProviderHarness) -> VersionLister:
    """Return the provider as a VersionLister, or skip."""
    if not isinstance(harness.provider, VersionLister):
        pytest.skip(f"{harness.provider.system} does not list versions")
    return harness.provider


def version_deleter_of(harness: ProviderHarness) -> VersionDeleter:
    """Return the provider as a VersionDeleter, or skip."""
    if not isinstance(harness.provider, VersionDeleter):
        pytest.skip(f"{harness.provider.system} does not delete versions")
    return harness.provider


def restorer_of(harness: ProviderHarness) -> Restorer:
    """Return the provider as a Restorer, or skip."""
    if not isinstance(harness.provider, Restorer):
        pytest.skip(f"{harness.provider.system} does not restore")
    return harness.provider


def destroyer_of(harness: ProviderHarness) -> Destroyer:
    """Return the provider as a Destroyer, or skip."""
    if not isinstance(harness.provider, Destroyer):
        pytest.skip(f"{harness.provider.system} does not destroy")
    return harness.provider


def patcher_of(harness: ProviderHarness) -> Patcher:
    """Return the provider as a Patcher, or skip."""
    if not isinstance(harness.provider, Patcher):
        pytest.skip(f"{harness.provider.system} does not patch")
    return harness.provider


def rotator_of(harness: ProviderHarness) -> Rotator:
    """Return the provider as a Rotator whose backend can rotate, or skip."""
    if not isinstance(harness.provider, Rotator):
        pytest.skip(f"{harness.provider.system} does not rotate")
    if not harness.rotates:
        pytest.skip("the harness does not say that its backend can rotate (`rotates`)")
    return harness.provider


def metadata_keeper_of(harness: ProviderHarness) -> MetadataKeeper:
    """Return the provider as a MetadataKeeper, or skip."""
    if not isinstance(harness.provider, MetadataKeeper):
        pytest.skip(f"{harness.provider.system} keeps no metadata")
    return harness.provider


def encrypter_of(harness: ProviderHarness) -> Encrypter:
    """Return the provider as an Encrypter whose backend can place ciphertext, or skip."""
    if not isinstance(harness.provider, Encrypter):
        pytest.skip(f"{harness.provider.system} encrypts nothing")
    if not harness.places:
        pytest.skip("the harness does not say where ciphertext is read (`places`)")
    return harness.provider


async def possible(call: Awaitable[T]) -> T:
    """Return what ``call`` returns; skip, with what the provider says, where the backend has nothing of the kind."""
    try:
        return await call
    except UnsupportedOperationError as error:
        check_error(error)
        problem = str(error)
    pytest.skip(problem)


async def expect_value(harness: ProviderHarness, name: str, value: Payload, version: str | None = None) -> Secret:
    """Read ``name`` and return the Secret, which must be exactly ``value``."""
    secret = await harness.provider.get(name, version)
    expect(isinstance(secret, Secret), f"get returned {type(secret).__name__}, not a Secret")
    expect(harness.value(secret).equals(value), "the value is not exactly what was stored")
    expect(secret.name == name, "the Secret has another name than the one asked for")
    return secret


async def expect_error(harness: ProviderHarness, name: str, call: Awaitable[object], *classes: type[E]) -> E:
    """Return the error that ``call`` raises, which must name the provider and the secret."""
    error = await raised(call, *classes)
    expect(error.provider == harness.provider.system, "the error does not name the provider")
    expect(error.name == name, "the error does not name the secret")
    return error


async def expect_absent(harness: ProviderHarness, name: str) -> SecretNotFoundError:
    """Return the SecretNotFoundError that reading ``name`` raises."""
    return await expect_error(harness, name, harness.provider.get(name), SecretNotFoundError)


async def put(harness: ProviderHarness, name: str, value: Payload, cas: str | None = None) -> Secret:
    """Write ``value``; skip where the provider does not write."""
    return await writer_of(harness).put(name, harness.payload(value), cas=cas, token=secrets.token_hex(16))


def payload_of(harness: ProviderHarness, kind: str) -> Payload:
    """Return the payload called ``kind``, ``largest`` in the size that this manager takes."""
    value = PAYLOADS[kind]
    if kind == "largest" and isinstance(value, str):
        return value + "x" * (harness.max_payload - len(value))
    return value


async def cancel_after(turns: int, call: Coroutine[Any, Any, Secret]) -> None:
    """Cancel ``call`` after some turns of the loop; it must end as cancelled unless it had ended before."""
    task = asyncio.ensure_future(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    ended = not task.cancel()
    await asyncio.wait([task])
    expect(ended or task.cancelled(), "a cancelled call did not end as cancelled")
    if not task.cancelled():
        expect(task.exception() is None, f"a call that ran to its end failed: {type(task.exception()).__name__}")
