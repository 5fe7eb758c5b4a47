"""What a read does."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.errors import (
    InvalidNameError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import BatchReader
from asyncsecrets.secret import Secret
from asyncsecrets.testing.conformance.cases import HOSTILE_NAMES, JSON_MEMBERS, JSON_OBJECT, PAYLOADS
from asyncsecrets.testing.conformance.harness import CANARY, ProviderHarness
from asyncsecrets.testing.conformance.steps import (
    expect_absent,
    expect_error,
    expect_value,
    needs,
    payload_of,
    scenario,
)
from asyncsecrets.testing.conformance.watch import check_error, expect, raised


class Reading:
    """What a read does."""

    @scenario
    async def test_latest(self, harness: ProviderHarness) -> None:
        """A get returns the current value, and a changed one at the very next get."""
        name = harness.name("Latest")
        await harness.seed(name, f"{CANARY} first")
        await expect_value(harness, name, f"{CANARY} first")
        version = await harness.seed(name, f"{CANARY} second")
        secret = await expect_value(harness, name, f"{CANARY} second")
        expect(secret.version == version, "the Secret's version is not the stored one")

    @scenario
    async def test_given_version(self, harness: ProviderHarness) -> None:
        """A given version is that version, whatever is current; a store without versions refuses the question."""
        name = harness.name("Version")
        first = await harness.seed(name, f"{CANARY} first")
        second = await harness.seed(name, f"{CANARY} second")
        if first is None or second is None:
            await raised(harness.provider.get(name, harness.unknown_version), UnsupportedOperationError)
            return
        old = await expect_value(harness, name, f"{CANARY} first", first)
        new = await expect_value(harness, name, f"{CANARY} second", second)
        expect([old.version, new.version] == [first, second], "the Secret's version is not the one asked for")
        await expect_error(harness, name, harness.provider.get(name, harness.unknown_version), SecretNotFoundError)

    @scenario
    async def test_missing(self, harness: ProviderHarness) -> None:
        """What never existed is SecretNotFoundError with the reason ``absent``."""
        await harness.seed(harness.name("Missing"), CANARY)
        error = await expect_absent(harness, harness.name("MissingToo"))
        expect(error.reason == "absent", f"the reason is {error.reason!r}, not 'absent'")

    @scenario
    async def test_removed(self, harness: ProviderHarness) -> None:
        """What was removed behind the provider's back is SecretNotFoundError at the very next get."""
        name = harness.name("Removed")
        await harness.seed(name, CANARY)
        await expect_value(harness, name, CANARY)
        await harness.remove(name)
        await expect_absent(harness, name)

    @scenario
    async def test_members(self, harness: ProviderHarness) -> None:
        """A value that is a JSON object has its members as fields, and not a digit of them is changed."""
        name = harness.name("Members")
        await harness.seed(name, JSON_OBJECT)
        value = harness.value(await expect_value(harness, name, JSON_OBJECT))
        for field, text in JSON_MEMBERS.items():
            expect(value.field(field).equals(text), f"the field {field!r} has another text")

    @pytest.mark.parametrize("kind", PAYLOADS)
    @scenario
    async def test_payload(self, harness: ProviderHarness, kind: str) -> None:
        """A payload comes back exactly as stored: never stripped, decoded, expanded or converted."""
        needs(harness, kind)
        value = payload_of(harness, kind)
        await harness.seed(harness.name("Payload"), value)
        await expect_value(harness, harness.name("Payload"), value)

    @pytest.mark.parametrize("kind", HOSTILE_NAMES)
    @scenario
    async def test_hostile_name(self, harness: ProviderHarness, kind: str) -> None:
        """A hostile name is refused or is a name of its own: reading it never reaches another secret."""
        needs(harness, kind)
        victim = harness.name("Vict-im")
        hostile = HOSTILE_NAMES[kind](victim)
        await harness.seed(victim, CANARY)
        before = harness.attempts()
        call = harness.provider.get(hostile)
        error = await expect_error(harness, hostile, call, SecretNotFoundError, InvalidNameError)
        if isinstance(error, InvalidNameError):
            expect(harness.attempts() == before, "a name that is refused must not be sent")

    @scenario
    async def test_concurrent(self, harness: ProviderHarness) -> None:
        """Fifty gets at once each get their own answer."""
        names = [harness.name(f"Many{letter}") for letter in "ABCDE"]
        for name in names:
            await harness.seed(name, f"{CANARY} {name}")
        await asyncio.gather(*(expect_value(harness, name, f"{CANARY} {name}") for name in names * 10))

    @scenario
    async def test_batch(self, harness: ProviderHarness) -> None:
        """A batch answers for each name as get does, or leaves it out."""
        provider, name, missing = harness.provider, harness.name("Batch"), harness.name("BatchMissing")
        if not isinstance(provider, BatchReader):
            pytest.skip(f"{provider.system} has no batch call")
        await harness.seed(name, CANARY)
        answers = await provider.get_many([name, missing])
        expect(set(answers) <= {name, missing}, "an answer for a name that was not asked")
        found, absent = answers.get(name), answers.get(missing)
        expect(isinstance(found, Secret) and harness.value(found).equals(CANARY), "the batch does not hold the value")
        expect(
            absent is None or isinstance(absent, SecretNotFoundError), "a missing name has another answer in a batch"
        )

    @scenario
    async def test_batch_of_hostile_names(self, harness: ProviderHarness) -> None:
        """A name that the manager cannot have is answered with its own error, and the names beside it with values."""
        provider, name = harness.provider, harness.name("Batch-Mixed")
        if not isinstance(provider, BatchReader):
            pytest.skip(f"{provider.system} has no batch call")
        await harness.seed(name, CANARY)
        for hostile in [make(name) for kind, make in HOSTILE_NAMES.items() if kind not in harness.unsupported]:
            answers = await provider.get_many([name, hostile])
            found, refused = answers.get(name), answers.get(hostile)
            expect(isinstance(found, Secret) and harness.value(found).equals(CANARY), f"{hostile!a} spoils a batch")
            if refused is not None:
                expect(isinstance(refused, SecretNotFoundError | InvalidNameError), f"a batch answers for {hostile!a}")
                expect(getattr(refused, "name", None) == hostile, "an error in a batch names another secret")
                check_error(refused if isinstance(refused, BaseException) else None)
