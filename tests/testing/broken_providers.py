"""A sound provider on a scripted backend, and providers that each break one clause of the contract."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from contextlib import asynccontextmanager
from urllib.parse import unquote

from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConflictError,
    InvalidNameError,
    MalformedResponseError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import SecretMetadata
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.secret import Secret
from asyncsecrets.testing.conformance import CANARY, UNUSUAL_NAMES, ProviderHarness

SENT = {"timeout", "reset", "slow_body"}


def failure(kind, name, operation):
    """What a sound provider makes of each fault."""
    unknown = kind in SENT and operation != "get"
    if kind.startswith("rate_limited"):
        wait = 1.5 if kind.endswith("after") else None
        return RateLimitedError("slow down", provider="memory", name=name, retry_after=wait)
    classes = {
        "denied": AccessDeniedError,
        "unauthenticated": AuthenticationError,
        "malformed": MalformedResponseError,
        "oversize": MalformedResponseError,
    }
    return classes.get(kind, UnavailableError)("failed", provider="memory", name=name, outcome_unknown=unknown)


class Sound(MemoryProvider):
    """Memory behind a backend that takes a turn of the loop and fails as told."""

    kind: str | None = None
    attempts = 0
    batch_size = 20

    def __init__(self):
        super().__init__(before=self.travel)
        self.kept = {}

    async def travel(self, operation, name):
        await asyncio.sleep(0)
        self.attempts += 1
        if self.kind:
            raise self.failure(self.kind, name, operation)

    def failure(self, kind, name, operation):
        return failure(kind, name, operation)

    async def get_many(self, names):
        await self._begin("get_many", names[0])
        answers = await asyncio.gather(*(self.get(name) for name in names), return_exceptions=True)
        return dict(zip(names, answers, strict=True))

    async def patch(self, name, changes, *, cas=None):
        await self._begin("patch", name)
        if self._current(name) == "0":
            raise self._not_found(name)
        if cas not in (None, self._current(name)):
            raise ConflictError("lost", provider="memory", name=name)
        return self.set(name, json.dumps(self.merged(members_of(self._secrets[name][-1].payload), changes)))

    def merged(self, old, changes):
        new = {
            key: self.merged(old.get(key, {}), value) if isinstance(value, dict) else value
            for key, value in changes.items()
        }
        return {key: value for key, value in {**old, **new}.items() if value is not None}

    async def rotate(self, name, *, token=""):
        await self._begin("rotate", name)
        if self._current(name) == "0":
            raise self._not_found(name)
        return str(len(self._secrets[name]) + 1)

    async def metadata(self, name):
        infos = await self.versions(name)
        kept = self.kept.get(name, {})
        return SecretMetadata(self._current(name), tuple(infos), None, None, **kept)

    async def write_metadata(self, name, **changes):
        await self._begin("write_metadata", name)
        given = {key: value for key, value in changes.items() if value is not None}
        self.kept[name] = {**self.kept.get(name, {}), **given}

    async def encrypt(self, plaintext):
        await self._begin("encrypt", "PLAINTEXT")
        kind = "b" if isinstance(plaintext, bytes) else "t"
        data = Secret(plaintext, name="the plaintext").reveal_bytes()
        return kind + base64.b64encode(data).decode()


def members_of(payload):
    """The members of a payload, of which the suite patches also one that is no object."""
    try:
        return json.loads(payload)
    except ValueError:
        return {}


class Harness(ProviderHarness):
    """Seeds by the provider's synchronous methods."""

    patience = 2.0
    accepts = UNUSUAL_NAMES
    rotates = places = True

    async def allow_rotation(self, name):
        pass

    async def place(self, name, ciphertext):
        data = base64.b64decode(ciphertext[1:].partition(" ")[0])
        self.provider.set(name, data if ciphertext[0] == "b" else data.decode())

    def __init__(self, provider):
        self.provider = provider

    async def seed(self, name, value):
        return self.provider.set(name, value)

    async def remove(self, name):
        self.provider.remove(name)

    @asynccontextmanager
    async def fault(self, kind):
        self.provider.kind = kind
        try:
            yield
        finally:
            self.provider.kind = None

    def attempts(self):
        return self.provider.attempts


def payloads(provider):
    return [stored.payload for versions in provider._secrets.values() for stored in versions]


class Strips(Sound):
    async def get(self, name, version=None):
        secret = await super().get(name, version)
        return secret.replace(secret.reveal_bytes().strip())


class DecodesLossily(Sound):
    async def get(self, name, version=None):
        secret = await super().get(name, version)
        return secret.replace(secret.reveal_bytes().decode("utf-8", "ignore"))


class EmptyIsAbsent(Sound):
    async def get(self, name, version=None):
        secret = await super().get(name, version)
        if not secret.reveal_bytes():
            raise SecretNotFoundError("absent", provider="memory", name=name)
        return secret


class ReturnsText(Sound):
    async def get(self, name, version=None):
        return (await super().get(name, version)).reveal()


class ReturnsNone(Sound):
    async def get(self, name, version=None):
        try:
            return await super().get(name, version)
        except SecretNotFoundError:
            return None


class ForeignError(Sound):
    async def get(self, name, version=None):
        if name not in self._secrets:
            raise KeyError(name)
        return await super().get(name, version)


class ForeignContext(Sound):
    async def get(self, name, version=None):
        try:
            self._secrets[name]
        except KeyError:
            raise SecretNotFoundError("absent", provider="memory", name=name) from None
        return await super().get(name, version)


class WrongClass(Sound):
    async def get(self, name, version=None):
        if name and name not in self._secrets:
            raise UnavailableError("absent", provider="memory", name=name)
        return await super().get(name, version)


class WrongReason(Sound):
    def _not_found(self, name, version=None, reason="absent"):
        return super()._not_found(name, version, "deleted")


class NamelessError(Sound):
    def _not_found(self, name, version=None, reason="absent"):
        return SecretNotFoundError("absent", provider="memory", reason=reason)


class LeaksInError(Sound):
    def _not_found(self, name, version=None, reason="absent"):
        error = super()._not_found(name, version, reason)
        error.details = {"all": [str(self._secrets.keys()), payloads(self)]}
        return error


class LeaksInFault(Sound):
    def failure(self, kind, name, operation):
        error = failure(kind, name, operation)
        error.body = f"<html>{CANARY}</html>".encode()
        return error


class LeaksInRepr(Sound):
    def __repr__(self):
        return f"LeaksInRepr({payloads(self)})"


class LeaksInLog(Sound):
    async def get(self, name, version=None):
        secret = await super().get(name, version)
        logging.getLogger("broken").debug("got it", extra={"answer": secret.reveal()})
        return secret


class IgnoresVersion(Sound):
    async def get(self, name, version=None):
        return await super().get(name)


class CachesForEver(Sound):
    def __init__(self):
        super().__init__()
        self.cache = {}

    async def get(self, name, version=None):
        if (name, version) not in self.cache:
            self.cache[name, version] = await super().get(name, version)
        return self.cache[name, version]


class SharesState(Sound):
    async def get(self, name, version=None):
        self.name = name
        await asyncio.sleep(0)
        return await super().get(self.name, version)


class SwallowsCancel(Sound):
    async def get(self, name, version=None):
        try:
            return await super().get(name, version)
        except asyncio.CancelledError:
            return Secret("", name=name)


class BreaksWhenCancelled(Sound):
    broken = False

    async def get(self, name, version=None):
        if self.broken:
            raise UnavailableError("the connection is in use", provider="memory", name=name)
        self.broken = True
        secret = await super().get(name, version)
        self.broken = False
        return secret


class FoldsCase(Sound):
    async def get(self, name, version=None):
        known = next((known for known in self._secrets if known.lower() == name.lower()), name)
        return (await super().get(known, version)) if known != name else await super().get(name, version)


class DropsCharacters(Sound):
    async def get(self, name, version=None):
        return await super().get(name.encode("ascii", "ignore").decode(), version)


class RefusesNames(Sound):
    def _check_name(self, name):
        if "!" in name:
            raise InvalidNameError("no such names", provider="memory", name=name)
        super()._check_name(name)


class TrimsSlashes(Sound):
    async def get(self, name, version=None):
        secret = await super().get(name.strip("/"), version)
        return Secret(secret.reveal_bytes(), name=name, version=secret.version)


class DecodesOnWriting(Sound):
    async def put(self, name, payload, *, cas=None, token=""):
        return await super().put(unquote(name), payload, cas=cas, token=token)


class NormalisesOnDelete(Sound):
    async def delete(self, name):
        await super().delete(name.removeprefix("x/../") if name.startswith("x/../") else name)


class SendsBadNames(Sound):
    def _check_name(self, name):
        self.attempts += 1
        super()._check_name(name)


class RefusesSomeWrites(Sound):
    async def put(self, name, payload, *, cas=None, token=""):
        if name.startswith("x/"):
            self.set(name.removeprefix("x/../"), "overwritten")
            raise InvalidNameError("no such names", provider="memory", name=name)
        return await super().put(name, payload, cas=cas, token=token)


class IgnoresCas(Sound):
    async def put(self, name, payload, *, cas=None, token=""):
        return await super().put(name, payload, token=token)


class RacyCas(Sound):
    async def put(self, name, payload, *, cas=None, token=""):
        if cas == self._current(name):
            await asyncio.sleep(0)
            cas = None
        return await super().put(name, payload, cas=cas, token=token)


class WritesBeforeRefusing(Sound):
    async def put(self, name, payload, *, cas=None, token=""):
        secret = await super().put(name, payload, token=token)
        if cas is not None:
            raise UnsupportedOperationError("no compare-and-set here")
        return secret


class ReturnsOldVersion(Sound):
    async def put(self, name, payload, *, cas=None, token=""):
        await super().put(name, payload, cas=cas, token=token)
        return Secret(payload, name=name, version="1")


class DeleteDoesNothing(Sound):
    async def delete(self, name):
        await self._begin("delete", name)


class DeleteMinds(Sound):
    async def delete(self, name):
        await self.get(name)
        await super().delete(name)


class RestoreDoesNothing(Sound):
    async def restore(self, name, versions=None):
        await self._begin("restore", name)


class RestoreMinds(Sound):
    async def restore(self, name, versions=None):
        if self._current(name) != "0":
            raise self._not_found(name)
        await super().restore(name, versions)


class RestoreMakesWhatNeverWas(Sound):
    async def restore(self, name, versions=None):
        if name in self._secrets:
            await super().restore(name, versions)


class RestoresAll(Sound):
    async def restore(self, name, versions=None):
        await super().restore(name, versions and [str(number + 1) for number in range(len(self._secrets[name]))])


class DeletesCurrentToo(Sound):
    async def delete_versions(self, name, versions):
        await super().delete_versions(name, versions)
        await self.delete(name)


class DestroyOnlyDeletes(Sound):
    async def destroy(self, name, versions=None):
        if versions is None:
            await self.delete(name)
        else:
            await self.delete_versions(name, versions)


class DestroyMinds(Sound):
    async def destroy(self, name, versions=None):
        if name not in self._secrets:
            raise self._not_found(name)
        await super().destroy(name, versions)


class DestroysAll(Sound):
    async def destroy(self, name, versions=None):
        await super().destroy(name)


class NoVersionsMeansAll(Sound):
    async def destroy(self, name, versions=None):
        await super().destroy(name, versions or None)


class PatchReplaces(Sound):
    def merged(self, old, changes):
        return changes


class PatchIsShallow(Sound):
    def merged(self, old, changes):
        return {key: value for key, value in {**old, **changes}.items() if value is not None}


class PatchIgnoresCas(Sound):
    async def patch(self, name, changes, *, cas=None):
        return await super().patch(name, changes)


class PatchReturnsOldVersion(Sound):
    async def patch(self, name, changes, *, cas=None):
        await super().patch(name, changes, cas=cas)
        return "1"


class RotateReturnsOldVersion(Sound):
    async def rotate(self, name, *, token=""):
        await super().rotate(name, token=token)
        return self._current(name)


class MetadataForgets(Sound):
    async def write_metadata(self, name, **changes):
        self.kept.pop(name, None)
        await super().write_metadata(name, **changes)


class EmptyMetadataIsIgnored(Sound):
    async def write_metadata(self, name, **changes):
        await super().write_metadata(name, **{key: value for key, value in changes.items() if value != {}})


class EncryptShows(Sound):
    async def encrypt(self, plaintext):
        return await super().encrypt(plaintext) + f" # {plaintext!r}"


class EncryptStrips(Sound):
    async def encrypt(self, plaintext):
        return await super().encrypt(plaintext.strip())


class HidesUnknownChange(Sound):
    def failure(self, kind, name, operation):
        return failure(kind, name, "get" if operation == "patch" else operation)


class ListsFolders(Sound):
    async def list(self, prefix=""):
        return [name for name in await super().list() if name == prefix or name.startswith(prefix + "/") or not prefix]


class ListsUnsorted(Sound):
    async def list(self, prefix=""):
        return (await super().list(prefix))[::-1]


class NewestFirst(Sound):
    async def versions(self, name):
        return (await super().versions(name))[::-1]


class BatchMixesUp(Sound):
    async def get_many(self, names):
        answers = await super().get_many(names)
        return dict(zip(names, reversed(answers.values()), strict=True))


class BatchSpoils(Sound):
    async def get_many(self, names):
        for name in names:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise InvalidNameError("bad", provider="memory", name=name)
        return await super().get_many(names)


class DeniedIsAbsent(Sound):
    def failure(self, kind, name, operation):
        if kind == "denied":
            return SecretNotFoundError("absent", provider="memory", name=name)
        return failure(kind, name, operation)


class ForgetsRetryAfter(Sound):
    def failure(self, kind, name, operation):
        return failure(kind.removesuffix("_retry_after"), name, operation)


class Retries(Sound):
    async def get(self, name, version=None):
        try:
            return await super().get(name, version)
        except UnavailableError:
            pass
        return await super().get(name, version)


class HidesUnknownOutcome(Sound):
    def failure(self, kind, name, operation):
        return failure(kind, name, "get")


class UnknownForRefused(Sound):
    def failure(self, kind, name, operation):
        error = failure(kind, name, operation)
        error.outcome_unknown = True
        return error


class StaysBroken(Sound):
    def failure(self, kind, name, operation):
        self.before = self.again
        return failure(kind, name, operation)

    async def again(self, operation, name):
        raise UnavailableError("the connection is broken", provider="memory", name=name)


class Hangs(Sound):
    async def get(self, name, version=None):
        return await asyncio.get_running_loop().create_future()


class NeverCloses(Sound):
    async def aclose(self):
        pass


class ClosesOnce(Sound):
    async def aclose(self):
        if self._closed:
            raise RuntimeError("closed already")
        await super().aclose()


class LeavesTask(Sound):
    async def open(self):
        await super().open()
        self.task = asyncio.create_task(asyncio.sleep(3600), name="renewal")


class ForgetsAwait(Sound):
    async def aclose(self):
        asyncio.sleep(0)
        await super().aclose()


class ForgetsFile(Sound):
    async def get(self, name, version=None):
        cycle = [open(__file__)]  # noqa: PTH123, SIM115  # the defect
        cycle.append(cycle)
        return await super().get(name, version)


class BindsToLoop(Sound):
    loop = None

    async def open(self):
        self.loop = self.loop or asyncio.get_running_loop()
        await super().open()

    async def get(self, name, version=None):
        if self.loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        return await super().get(name, version)


class CannotBeAbandoned(Sound):
    loop = None

    async def open(self):
        if self.loop is not None:
            raise RuntimeError("it is open on another loop")
        self.loop = asyncio.get_running_loop()
        await super().open()

    async def aclose(self):
        self.loop = None
        await super().aclose()
