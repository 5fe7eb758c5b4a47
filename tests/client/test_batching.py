"""Misses that travel together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import pytest

from asyncsecrets.errors import (
    AccessDeniedError,
    DeadlineExceededError,
    InvalidNameError,
    ProviderError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.secret import Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import ONCE, Manager, client_of, denied, down, in_virtual_time, settled, value

Answer = Callable[[str], Secret | ProviderError | None]


class Batches(Manager):
    """A manager with a call for many names. ``answer`` may answer for one name otherwise, or (None) not at all."""

    batch_size: ClassVar[int] = 20

    def __init__(self, secrets: Mapping[str, str]) -> None:
        super().__init__(secrets)
        self.batches: list[list[str]] = []
        self.batch_failures: list[Exception] = []
        self.answer: dict[str, Answer] = {}

    async def get_many(self, names: Sequence[str]) -> Mapping[str, Secret | ProviderError]:
        self.batches.append(list(names))
        if self.gate is not None:
            await self.gate.wait()
        if self.batch_failures:
            raise self.batch_failures.pop(0)
        answers: dict[str, Secret | ProviderError] = {}
        for name in names:
            answer = self.answer[name](name) if name in self.answer else Secret(f"canary-{name}", name=name)
            if answer is not None:
                answers[name] = answer
        return answers


def absent(name: str) -> ProviderError:
    """The manager does not have it."""
    return SecretNotFoundError(f"memory: no {name!r}; put it first", provider="memory", name=name)


def batches(count: int) -> Batches:
    """With so many secrets."""
    return Batches({f"N{i}": f"canary-N{i}" for i in range(count)})


async def test_a_thousand_cold_names_cost_fifty_calls() -> None:
    """Twenty at a time, in the turn they are asked for; also when nothing was opened before."""
    for started in (True, False):
        manager = batches(1000)
        client = client_of(manager)
        if started:
            await client.start()
        found = await client.get_many([f"N{i}" for i in range(1000)])
        assert all(secret.reveal() == f"canary-{name}" for name, secret in found.items())
        assert len(manager.batches) == 50
        assert manager.calls == []
        await client.aclose()


async def test_a_name_alone_is_asked_for_in_the_plain_way() -> None:
    """A batch of one is no batch; neither is a version."""
    manager = batches(3)
    async with client_of(manager) as client:
        assert value(await client.get("N0")) == "canary-N0"
        await asyncio.gather(client.get("N1", version="1"), client.get("N2", version="1"))
    assert manager.batches == []
    assert len(manager.calls) == 3


@pytest.mark.parametrize(("count", "intervals"), [(20, 10), (200, 10), (1000, 2)])
def test_renewals_travel_together(count: int, intervals: int) -> None:
    """Their first renewals fall all over the interval; yet it takes few calls more than one in twenty."""

    async def main(clock: VirtualClock) -> None:
        phases = random.Random(1)
        options = {"clock": clock.boot_time, "guarded": False, "jitter": phases.random}
        manager = batches(count)
        async with client_of(manager, cache_options=options, refresh_interval=100.0, max_entries=2000) as client:
            await client.warm_up([f"N{i}" for i in range(count)])
            first = len(manager.batches)
            await asyncio.sleep(100.0 * intervals + 10.0)
            assert all(client.peek(f"N{i}") for i in range(count))
        per_interval = (len(manager.batches) + len(manager.calls) - first) / intervals
        assert per_interval <= count / 20 * 1.25 + 1

    in_virtual_time(main)


def test_retries_travel_together() -> None:
    """After an outage, too, and during it."""

    async def main(clock: VirtualClock) -> None:
        options = {"clock": clock.boot_time, "guarded": False, "jitter": random.Random(1).random}
        manager = batches(100)
        client = client_of(manager, cache_options=options, refresh_interval=100.0, max_stale=1000.0, retry=ONCE)
        async with client:
            await client.warm_up([f"N{i}" for i in range(100)])
            await asyncio.sleep(300.0)
            manager.failure = down
            manager.batch_failures = [down("a batch")] * 10_000
            before = len(manager.batches) + len(manager.calls)
            await asyncio.sleep(300.0)
            during = len(manager.batches) + len(manager.calls) - before
            assert during <= 100  # 100 names that come back alone, each every 45 s, would be more than 600
            assert all(client.peek(f"N{i}") for i in range(100))

    in_virtual_time(main)


async def test_names_without_an_answer_are_asked_for_by_themselves() -> None:
    """And names that were refused for the moment; what is answered for good is not asked again."""
    manager = batches(5)
    manager.answer = {"N1": lambda _: None, "N2": down, "N3": denied, "N4": absent}
    async with client_of(manager) as client:
        answers = await asyncio.gather(*(client.get(f"N{i}") for i in range(5)), return_exceptions=True)
    assert [value(answer) if isinstance(answer, Secret) else type(answer) for answer in answers] == [
        "canary-N0",
        "canary-N1",
        "canary-N2",
        AccessDeniedError,
        SecretNotFoundError,
    ]
    assert len(manager.batches) == 1
    assert sorted(manager.calls) == [("get", "N1"), ("get", "N2")]


async def test_a_batch_is_retried_as_a_whole() -> None:
    """Twenty names that were retried one by one would be twenty calls."""
    manager = batches(20)
    async with client_of(manager, retry=RetryPolicy(backoff=(0.001, 0.001))) as client:
        manager.batch_failures = [down("a batch"), down("a batch")]
        found = await client.get_many([f"N{i}" for i in range(20)])
    assert len(found) == 20
    assert len(manager.batches) == 3
    assert manager.calls == []


async def test_a_batch_that_fails_for_good_fails_each_of_its_names() -> None:
    """Each with an error of its own, which counts the attempts; no name is then tried alone."""
    manager = batches(20)
    async with client_of(manager, retry=RetryPolicy(backoff=(0.001, 0.001))) as client:
        manager.batch_failures = [down("a batch")] * 3
        errors = await asyncio.gather(*(client.get(f"N{i}") for i in range(20)), return_exceptions=True)
        assert {type(error) for error in errors} == {UnavailableError}
        assert {error.attempts for error in errors if isinstance(error, ProviderError)} == {3}
        assert [error.name for error in errors if isinstance(error, ProviderError)] == [f"N{i}" for i in range(20)]
        assert len({id(error) for error in errors}) == 20
        assert len(manager.batches) == 3
        assert manager.calls == []
        assert client.health().failing_sources == ("default",)
        assert value(await client.get("N0")) == "canary-N0"


async def test_an_error_about_another_name_is_nobody_elses() -> None:
    """A batch that fails because of one name: that one has the error, and the others are asked for by themselves."""
    manager = batches(4)
    manager.batch_failures = [InvalidNameError("memory: 'N1' is none", provider="memory", name="N1")]
    async with client_of(manager) as client:
        answers = await asyncio.gather(*(client.get(f"N{i}") for i in range(4)), return_exceptions=True)
    assert [value(a) if isinstance(a, Secret) else type(a) for a in answers] == [
        "canary-N0",
        InvalidNameError,
        "canary-N2",
        "canary-N3",
    ]
    assert sorted(manager.calls) == [("get", "N0"), ("get", "N2"), ("get", "N3")]


async def test_an_answer_about_another_name_is_none() -> None:
    """An error that a batch gives for a name, and that names another, is not handed on."""
    manager = batches(2)
    manager.answer = {"N0": lambda _: absent("N1")}
    async with client_of(manager) as client:
        answers = await asyncio.gather(client.get("N0"), client.get("N1"))
    assert [value(answer) for answer in answers] == ["canary-N0", "canary-N1"]


async def test_one_cancelled_reader_takes_nobody_along() -> None:
    """Its name still travels, and the others arrive."""
    manager = batches(5)
    manager.gate = asyncio.Event()
    async with client_of(manager) as client:
        readers = [asyncio.create_task(client.get(f"N{i}")) for i in range(5)]
        await settled()
        readers[0].cancel()
        await settled()
        manager.gate.set()
        assert [value(secret) for secret in await asyncio.gather(*readers[1:])] == [f"canary-N{i}" for i in range(1, 5)]
        assert value(client.peek("N0")) is None
        assert value(await client.get("N0")) == "canary-N0"
    assert len(manager.batches) == 1


async def test_a_batch_that_hangs_ends_with_the_deadline() -> None:
    """The deadline of one read is that of the batch."""
    manager = batches(5)
    manager.gate = asyncio.Event()
    async with client_of(manager, retry=RetryPolicy(deadline=0.05)) as client:
        errors = await asyncio.gather(*(client.get(f"N{i}") for i in range(5)), return_exceptions=True)
        assert {type(error) for error in errors} == {DeadlineExceededError}


async def test_a_batch_that_is_ended_ends_for_who_waits_for_it() -> None:
    """At once, and not with his deadline: its loop is being left, and whoever can asks elsewhere."""
    manager = batches(2)
    manager.gate = asyncio.Event()
    async with client_of(manager) as client:
        readers = [asyncio.create_task(client.get(name)) for name in ("N0", "N1")]
        await settled()
        batcher = client._sources["default"]._batcher
        assert batcher is not None
        await batcher.close(1)
        async with asyncio.timeout(1):
            outcomes = await asyncio.gather(*readers, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [UnavailableError] * 2


async def test_closing_ends_batches() -> None:
    """No task of ours is left when the client is closed in the middle of one."""
    manager = batches(5)
    manager.gate = asyncio.Event()
    client = client_of(manager)
    readers = [asyncio.create_task(client.get(f"N{i}")) for i in range(5)]
    await settled()
    await client.aclose()
    await asyncio.wait(readers)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("asyncsecrets")]


@pytest.mark.parametrize("wrong", [{"N0": "canary"}, {"OTHER": Secret("canary", name="OTHER")}, {}])
async def test_answers_that_make_no_sense(wrong: Mapping[str, Secret]) -> None:
    """A batch that answers for others, or not at all, or with what is no Secret, confuses nobody."""
    manager = batches(2)
    manager.get_many = lambda names: _returning(wrong)  # type: ignore[method-assign,assignment,return-value]
    async with client_of(manager) as client:
        first, second = await asyncio.gather(client.get("N0"), client.get("N1"), return_exceptions=True)
        assert isinstance(second, Secret)
        assert second.reveal() == "canary-N1"
        assert isinstance(first, Secret if "N0" not in wrong else ProviderError)


async def _returning(answers: Mapping[str, Secret]) -> Mapping[str, Secret]:
    return answers
