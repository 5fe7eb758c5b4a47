"""Compare-and-set, by a claim on the secret: several writers, those that crash, and those that take no part."""

from __future__ import annotations

import asyncio
import random

import pytest

from asyncsecrets.errors import ConflictError, UnavailableError
from asyncsecrets.providers.google.documents import CLAIM
from asyncsecrets.secret import Secret
from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.support import provider_at

TOKEN = "0123456789abcdef"


@pytest.fixture
async def server():
    async with GoogleServer(clock=lambda: 1_800_000_000.0) as server:
        yield server


@pytest.fixture
async def writers(server):
    """Five writers that know nothing of one another."""
    writers = [provider_at(server) for _ in range(5)]
    for writer in writers:
        await writer.open()
    yield writers
    for writer in writers:
        await writer.aclose()


@pytest.fixture
def writer(writers):
    return writers[0]


def numbers(server, name="A"):
    return list(server._store.secrets[f"projects/{server.number}/secrets/{name}"].versions)


def annotations(server):
    return server._store.secrets[f"projects/{server.number}/secrets/A"].about.annotations


@pytest.mark.parametrize("cas", ["0", "2"])
@pytest.mark.parametrize("seed", range(8))
async def test_of_writers_that_race_one_wins(server, writers, cas, seed):
    """And its value is the one that is there, wherever the others were delayed."""
    for number in range(int(cas)):
        server.add("A", f"canary {number}")
    chance = random.Random(seed)
    for method in ("CreateSecret", "GetSecret", "GetSecretVersion", "UpdateSecret", "AddSecretVersion"):
        for skip in range(5):
            server.faults.delay(chance.random() * 0.02, method=method, skip=skip, times=1)
    puts = [writer.put("A", f"canary of {number}", cas=cas) for number, writer in enumerate(writers)]
    answers = await asyncio.gather(*puts, return_exceptions=True)
    (won,) = [number for number, answer in enumerate(answers) if isinstance(answer, Secret)]
    assert [type(answer) for answer in answers].count(ConflictError) == 4
    assert server.value("A") == f"canary of {won}".encode()
    assert len(numbers(server)) == int(cas) + 1


async def test_a_claim_that_was_made_use_of_holds_up_nobody(server, writers):
    """It was of another number."""
    first, second, *_ = writers
    server.add("A", "canary 1")
    assert (await first.put("A", "canary 2", cas="1")).version == "2"
    assert (await second.put("A", "canary 3", cas="2")).version == "3"


async def test_writers_that_count(server, writers):
    """Each reads, adds one and writes it if nobody was faster: nothing is lost."""
    server.add("A", "0 canary")

    async def count(writer):
        for _ in range(3):
            while True:
                found = await writer.get_current("A")
                value = f"{int(found.reveal().split()[0]) + 1} canary"
                try:
                    await writer.put("A", value, cas=found.version)
                except ConflictError:
                    await asyncio.sleep(0.002)
                else:
                    break

    await asyncio.gather(*map(count, writers))
    assert server.value("A") == b"15 canary"
    assert numbers(server) == list(range(1, 17))


async def test_one_that_crashed_between_claim_and_version(server, writers):
    """Its claim holds for a minute. Then somebody else may write, and if it comes back after all, it has lost."""
    first, second, *_ = writers
    server.add("A", "canary 1")
    hanging = server.faults.hang(method="AddSecretVersion", times=1)
    crashed = asyncio.create_task(first.put("A", "canary of the first", cas="1", token=TOKEN))
    while not hanging.hits:
        await asyncio.sleep(0.001)
    crashed.cancel()
    await asyncio.wait([crashed])
    with pytest.raises(ConflictError, match="somebody else writes version 2, or just has"):
        await second.put("A", "canary of the second", cas="1")
    server.advance(59)
    with pytest.raises(ConflictError):
        await second.put("A", "canary of the second", cas="1")
    server.advance(2)
    assert (await second.put("A", "canary of the second", cas="1")).version == "2"
    with pytest.raises(ConflictError):
        await first.put("A", "canary of the first", cas="1", token=TOKEN)
    assert numbers(server) == [1, 2]


async def test_the_claim_of_one_that_crashed_is_its_own(server, writers):
    """Made again under its token, it goes on where it stopped."""
    server.add("A", "canary 1")
    server.faults.status("UNAVAILABLE", method="AddSecretVersion", times=1)
    with pytest.raises(UnavailableError) as caught:
        await writers[0].put("A", "canary 2", cas="1", token=TOKEN)
    assert caught.value.outcome_unknown
    assert (await writers[1].put("A", "canary 2", cas="1", token=TOKEN)).version == "2"
    assert numbers(server) == [1, 2]


@pytest.mark.parametrize("cas", ["0", "1"])
async def test_a_write_that_was_applied_and_not_answered(server, writers, cas):
    """Made again under its token it is done, and adds nothing; another value under that token is not."""
    if cas == "1":
        server.add("A", "canary 1")
    server.faults.status("UNAVAILABLE", method="AddSecretVersion", when="after", times=1)
    with pytest.raises(UnavailableError):
        await writers[0].put("A", "canary new", cas=cas, token=TOKEN)
    written = await writers[1].put("A", "canary new", cas=cas, token=TOKEN)
    assert written.version == str(int(cas) + 1)
    assert len(numbers(server)) == int(cas) + 1
    with pytest.raises(ConflictError):
        await writers[1].put("A", "canary new", cas=cas)


async def test_a_write_that_arrives_twice(server, writer):
    """The first one arrived while the second was on its way: both are ours, and the value is."""
    server.add("A", "canary 1")
    server.faults.status("UNAVAILABLE", method="AddSecretVersion", when="after", times=1)
    with pytest.raises(UnavailableError):
        await writer.put("A", "canary 2", cas="1", token=TOKEN)
    server.faults.status("NOT_FOUND", method="AccessSecretVersion", times=1)  # as if it was not there yet
    assert (await writer.put("A", "canary 2", cas="1", token=TOKEN)).version == "3"
    assert server.value("A") == b"canary 2"


async def test_a_version_of_somebody_else_under_our_claim(server, writer):
    """Made again under its token, a write that finds the number taken has lost, and adds nothing."""
    server.add("A", "canary 1")
    server.faults.status("UNAVAILABLE", method="AddSecretVersion", times=1)
    with pytest.raises(UnavailableError):
        await writer.put("A", "canary of ours", cas="1", token=TOKEN)
    server.add("A", "canary of somebody")
    with pytest.raises(ConflictError):
        await writer.put("A", "canary of ours", cas="1", token=TOKEN)
    assert server.value("A") == b"canary of somebody"


@pytest.mark.parametrize("method", ["UpdateSecret", "CreateSecret"])
async def test_a_claim_that_is_not_answered_has_written_no_value(server, writer, method):
    """So the write may simply be made again."""
    cas = "0"
    if method == "UpdateSecret":
        server.add("A", "canary 1")
        cas = "1"
    server.faults.status("UNAVAILABLE", method=method, when="after", times=1)
    with pytest.raises(UnavailableError) as caught:
        await writer.put("A", "canary 2", cas=cas, token=TOKEN)
    assert not caught.value.outcome_unknown
    await writer.put("A", "canary 2", cas=cas, token=TOKEN)
    assert server.value("A") == b"canary 2"


async def test_one_who_takes_no_part(server, writers, monkeypatch):
    """Google's numbers tell of a version in between, and the error says which ones they are."""
    server.add("A", "canary 1")
    go_on = asyncio.Event()
    monkeypatch.setattr(server.faults, "_sleep", lambda _: go_on.wait())
    delay = server.faults.delay(1.0, method="AddSecretVersion", times=1)
    swapping = asyncio.create_task(writers[0].put("A", "canary of ours", cas="1"))
    while not delay.hits:
        await asyncio.sleep(0.001)
    await writers[1].put("A", "canary of somebody")
    go_on.set()
    with pytest.raises(ConflictError, match="ours is 3, and not 2"):
        await swapping


@pytest.mark.parametrize("cas", ["2", "0", "7", "999999", "x", "", "-1", "1 2", "01"])
async def test_what_is_not_the_last_version(server, writer, cas):
    """Nothing is added, and nothing claimed."""
    for number in (1, 2, 3):
        server.add("A", f"canary {number}")
    with pytest.raises(ConflictError):
        await writer.put("A", "canary lost", cas=cas)
    assert numbers(server) == [1, 2, 3]
    assert CLAIM not in annotations(server)


async def test_a_secret_that_is_not_there(server, writer):
    """It has no version to compare with, and is not created."""
    with pytest.raises(ConflictError):
        await writer.put("A", "canary", cas="1")
    assert not server._store.secrets


async def test_a_secret_that_is_deleted_meanwhile(server, writers, monkeypatch):
    """The version is not added anywhere."""
    server.add("A", "canary 1")
    go_on = asyncio.Event()
    monkeypatch.setattr(server.faults, "_sleep", lambda _: go_on.wait())
    delay = server.faults.delay(1.0, method="AddSecretVersion", times=1)
    swapping = asyncio.create_task(writers[0].put("A", "canary 2", cas="1"))
    while not delay.hits:
        await asyncio.sleep(0.001)
    await writers[1].delete("A")
    go_on.set()
    with pytest.raises(ConflictError, match="deleted"):
        await swapping


async def test_a_secret_that_others_change_all_the_time(server, writer):
    """It gives up at last."""
    server.add("A", "canary 1")
    server.faults.status("FAILED_PRECONDITION", method="UpdateSecret", times=2)
    assert (await writer.put("A", "canary 2", cas="1")).version == "2"
    server.faults.status("FAILED_PRECONDITION", method="UpdateSecret")
    with pytest.raises(ConflictError, match="all the time"):
        await writer.put("A", "canary 3", cas="2")


async def test_annotations_of_others_stay(server, writer):
    """And what is no claim is none."""
    server.add("A", "canary 1")
    annotations(server).update({"owner": "Bo", CLAIM: "nonsense"})
    await writer.put("A", "canary 2", cas="1", token="a token that no claim can hold/")
    assert annotations(server)["owner"] == "Bo"
    assert annotations(server)[CLAIM].startswith("2 ")


async def test_what_a_compare_and_set_takes(server, writer):
    """The permissions in the guide are these calls'."""
    server.add("A", "canary 1")
    await writer.put("A", "canary 2", cas="1")
    asked = [record.method for record in server.requests]
    assert asked == ["GetSecret", "GetSecretVersion", "GetSecretVersion", "UpdateSecret", "AddSecretVersion"]
