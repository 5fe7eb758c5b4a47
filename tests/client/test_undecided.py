"""Changes and puts that were sent and not answered: made again where that is safe, else said to be undecided."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.errors import (
    AccessDeniedError,
    SecretNotFoundError,
    UnavailableError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.secret import Payload, Secret
from tests.client.able import CHANGES, Able, operations
from tests.client.support import ONCE, Manager, client_of, denied, value


class TestUnknownOutcome:
    """A change that was sent and not answered."""

    @pytest.mark.parametrize("operation", [name for name in CHANGES if name != "rotate"])
    @pytest.mark.parametrize("word", ["lost", "applied"])
    async def test_it_is_made_again(self, operation: str, word: str) -> None:
        """Once: making it twice is making it once. The next read sees it."""
        manager = Able(word, NAME='{"a": "canary-a"}')
        async with client_of(manager) as client:
            await client.get("NAME")
            manager.calls.clear()
            await operations(client)[operation]()
            assert [name for name, _ in manager.calls].count(operation) == 2
            if operation == "patch":
                assert (await client.get("NAME")).field("b").equals("canary-b")
            if operation in {"destroy", "delete_versions"}:
                with pytest.raises(SecretNotFoundError):
                    await client.get("NAME")

    @pytest.mark.parametrize("operation", CHANGES)
    @pytest.mark.parametrize("second", ["lost", "denied"])
    async def test_it_is_said_that_nobody_knows(self, operation: str, second: str) -> None:
        """What the second try meets says nothing of the first. What is cached is served, and asked for soon."""
        manager = Able("lost", second, NAME='{"a": "canary-a"}')
        async with client_of(manager, retry=ONCE) as client:
            await client.get("NAME")
            manager.calls.clear()
            with pytest.raises(WriteOutcomeUnknownError, match="'NAME'") as caught:
                await operations(client)[operation]()
            assert caught.value.outcome_unknown
            assert (second == "denied" and operation != "rotate") == ("may not read" in str(caught.value))
            assert client.peek("NAME") is not None
            async with asyncio.timeout(10):
                while ("get", "NAME") not in manager.calls:
                    await asyncio.sleep(0.01)

    async def test_a_patch_with_cas_may_have_lost_to_itself(self) -> None:
        """Made again, it finds what it would have made: its own, or somebody else's."""
        manager = Able("applied", NAME='{"a": "canary-a"}')
        async with client_of(manager) as client:
            with pytest.raises(WriteOutcomeUnknownError):
                await client.patch("NAME", {"a": "canary-new"}, cas="1")
            assert (await client.get("NAME")).field("a").equals("canary-new")
        assert [name for name, _ in manager.calls].count("patch") == 2

    async def test_that_it_was_absent_is_not_believed_any_more(self) -> None:
        """A restore that may have been applied: the next reader asks."""
        manager = Able("applied", "denied", NAME="canary")
        async with client_of(manager) as client:
            await client.delete("NAME")
            with pytest.raises(SecretNotFoundError):
                await client.get("NAME")
            with pytest.raises(WriteOutcomeUnknownError):
                await client.restore("NAME")
            assert value(await client.get("NAME")) == "canary"

    @pytest.mark.parametrize("operation", CHANGES)
    async def test_what_is_refused_is_not_made_again(self, operation: str) -> None:
        """It changes nothing, here or there."""
        manager = Able("denied", NAME='{"a": "canary-a"}')
        async with client_of(manager) as client:
            await client.get("NAME")
            with pytest.raises(AccessDeniedError):
                await operations(client)[operation]()
            assert client.peek("NAME") is not None
        assert [name for name, _ in manager.calls].count(operation) == 1


class Idempotent(Manager):
    """A manager that knows a write again by its token. ``script``: what becomes of each put, one word each."""

    idempotent_writes = True

    def __init__(self, *script: str, **secrets: Payload) -> None:
        super().__init__(secrets)
        self.script = list(script)
        self.known: dict[str, Secret] = {}
        self.tokens: list[str] = []

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        self.tokens.append(token)
        word = self.script.pop(0) if self.script else "ok"
        if word == "denied":
            raise denied(name)
        if word != "lost" and token not in self.known:
            self.known[token] = await super().put(name, payload, cas=cas, token=token)
        if word == "overwritten":
            self.set(name, "canary-theirs")
        if word == "ok":
            return self.known[token]
        raise UnavailableError("memory: no answer", provider="memory", name=name, outcome_unknown=True)


class TestIdempotentWrites:
    """A put whose outcome is unknown, where the manager knows it again."""

    @pytest.mark.parametrize("word", ["lost", "applied"])
    async def test_it_is_made_again_as_it_is(self, word: str) -> None:
        """Under the same token, although nobody knows what was there before, and without reading back first."""
        manager = Idempotent(word, NAME="canary-1")
        async with client_of(manager) as client:
            assert (await client.put("NAME", "canary-2")).version == "2"
            assert ("get", "NAME") not in manager.calls[: manager.calls.index(("put", "NAME")) + 1]
            assert value(client.peek("NAME") or await client.get("NAME")) == "canary-2"
        assert len(manager.tokens) == 2
        assert len(set(manager.tokens)) == 1

    async def test_somebody_else_wrote_in_between(self) -> None:
        """Ours was applied before theirs, and theirs is what is soon read."""
        manager = Idempotent("overwritten", NAME="canary-1")
        async with client_of(manager) as client:
            await client.put("NAME", "canary-2")
            async with asyncio.timeout(10):
                while value(await client.get("NAME")) != "canary-theirs":
                    await asyncio.sleep(0.01)

    @pytest.mark.parametrize(("script", "done"), [(["applied", "denied"], True), (["applied", "lost"], True),
                                                  (["lost", "denied"], False), (["lost", "lost"], False)])  # fmt: skip
    async def test_the_second_try_fails(self, script: list[str], done: bool) -> None:
        """Whatever it fails with, reading back decides, or says that nobody knows."""
        manager = Idempotent(*script, NAME="canary-1")
        async with client_of(manager) as client:
            if done:
                assert (await client.put("NAME", "canary-2")).version == "2"
            else:
                with pytest.raises(WriteOutcomeUnknownError):
                    await client.put("NAME", "canary-2")
            assert value(await client.get("NAME")) == ("canary-2" if done else "canary-1")

    async def test_with_cas_too(self) -> None:
        """And then it is known to be our own."""
        manager = Idempotent("applied", NAME="canary-1")
        async with client_of(manager) as client:
            assert (await client.put("NAME", "canary-2", cas="1")).version == "2"
        assert len(manager.tokens) == 2
        assert len(set(manager.tokens)) == 1

    async def test_what_is_refused_is_not_made_again(self) -> None:
        """It cannot have been applied."""
        manager = Idempotent("denied", NAME="canary-1")
        async with client_of(manager) as client:
            with pytest.raises(AccessDeniedError):
                await client.put("NAME", "canary-2")
        assert len(manager.tokens) == 1
