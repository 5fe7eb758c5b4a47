"""Whose key a candidate is, where another process has changed it, a list lags, or not everything can be read."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets import VirtualKeys
from asyncsecrets.errors import AccessDeniedError, AccessModeError, DecodeError, SecretNotFoundError, UnavailableError
from asyncsecrets.virtual_keys import matching
from asyncsecrets.virtual_keys.names import Names
from asyncsecrets.virtual_keys.questions import Questions
from tests.virtual_keys.support import Manager, Times, client_of, keys_of

GUESS = "sk-canary-guess"
DOWN = UnavailableError("memory: down", provider="memory")


@pytest.fixture
def manager():
    return Manager({"litellm/team-a": "sk-canary-a", "litellm/team-b": "sk-canary-b"})


@pytest.fixture
def times():
    return Times()


@pytest.fixture
async def keys(manager, times):
    async with client_of(manager) as client:
        yield keys_of(client, times)


async def whose(keys, candidate, alias=None):
    found = await keys.verify(candidate, alias)
    return None if found is None else found.alias


async def test_warm_up(manager, keys):
    """Afterwards nothing is asked; also of the keys that could be read beside one that could not."""
    await keys.warm_up()
    manager.calls.clear()
    assert await whose(keys, "sk-canary-a") == "team-a"
    assert await whose(keys, "sk-canary-b") == "team-b"
    assert manager.calls == []


async def test_warm_up_tells_what_cannot_be_read(manager, keys):
    """And has read the rest."""
    manager.fail = lambda _, name: DOWN if name == "litellm/team-b" else None
    with pytest.raises(UnavailableError):
        await keys.warm_up()
    manager.calls.clear()
    assert await whose(keys, "sk-canary-a") == "team-a"
    assert manager.calls == []


async def test_warm_up_asks_anew(manager, keys):
    """However short a time ago it was asked."""
    await keys.warm_up()
    manager.set("litellm/team-c", "sk-canary-c")
    await keys.warm_up()
    assert await whose(keys, "sk-canary-c") == "team-c"


async def test_an_outage_is_no_refusal(manager, keys, times):
    """Whoever comes within the same second is told as well: the key may be a good one."""
    manager.fail = lambda *_: DOWN
    for asked in ("sk-canary-a", "sk-canary-a", GUESS):
        with pytest.raises(UnavailableError):
            await keys.verify(asked)
    assert [operation for operation, _ in manager.calls] == ["list"]
    manager.fail = lambda *_: None
    times.now += 1
    assert await whose(keys, "sk-canary-a") == "team-a"
    assert await whose(keys, GUESS) is None


async def test_an_outage_is_no_refusal_for_an_alias(manager, keys, times):
    """Its key is cached, and may have been rotated meanwhile."""
    assert await whose(keys, "sk-canary-a", "team-a") == "team-a"
    manager.fail = lambda *_: DOWN
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await keys.verify(GUESS, "team-a")
        assert await whose(keys, "sk-canary-a", "team-a") == "team-a"


async def test_one_that_cannot_be_read_locks_nobody_out(manager, keys, times):
    """What is no text is nobody's key. One that is denied may be the candidate."""
    manager.set("litellm/binary", b"\xff\xfe canary")
    manager.set("litellm/damaged", "canary")
    damaged = DecodeError("'litellm/damaged' is not a JSON object")
    manager.fail = lambda _, name: damaged if name == "litellm/damaged" else None
    assert await whose(keys, "sk-canary-a") == "team-a"
    assert await whose(keys, GUESS) is None
    times.now += 1
    manager.set("litellm/denied", "sk-canary-denied")
    denied = AccessDeniedError("memory: no", provider="memory")
    manager.fail = lambda _, name: denied if name == "litellm/denied" else None
    assert await whose(keys, "sk-canary-b") == "team-b"
    for _ in range(2):
        with pytest.raises(AccessDeniedError):
            await keys.verify(GUESS)


async def test_a_key_that_another_process_has_renamed(manager, keys, times):
    """It is found under its new alias, though it was known under another one."""
    await keys.warm_up()
    async with client_of(manager) as client:  # which would close the manager
        await keys_of(client, times).rename("team-a", "team-z")
        times.now += 1
        assert await whose(keys, "sk-canary-a") == "team-a"  # cached
        with pytest.raises(SecretNotFoundError):
            await keys._store.refresh("litellm/team-a")
        assert await whose(keys, "sk-canary-a") == "team-z"


async def test_two_aliases_with_one_key(manager, keys):
    """Who deletes one of them takes nothing from the other."""
    manager.set("litellm/team-b", "sk-canary-a")
    assert await whose(keys, "sk-canary-a") == "team-b"
    await keys.delete("team-b")
    assert await whose(keys, "sk-canary-a") == "team-a"


async def test_a_guess_does_not_keep_the_loop(manager, keys, times, monkeypatch):
    """However many keys there are: others get their turns, names are read off once, and what is known takes no task."""
    monkeypatch.setattr(matching, "_AT_ONCE", 10)
    for number in range(100):
        manager.set(f"litellm/team-{number}", f"sk-canary-{number}")
    rotated = await keys.rotate("team-7")
    await keys.warm_up()
    times.now += 1
    read_off, alias = [], Names.alias
    monkeypatch.setattr(Names, "alias", lambda self, name: read_off.append(name) or alias(self, name))
    monkeypatch.setattr(matching, "_read", None)
    guessing, turns = asyncio.create_task(keys.verify(GUESS)), 0
    while not guessing.done():
        await asyncio.sleep(0)
        turns += 1
    assert guessing.result() is None
    assert turns > 20
    assert read_off == ["litellm/.rotation/team-7"]
    assert await whose(keys, "sk-canary-7") == await whose(keys, rotated.key.reveal()) == "team-7"


async def test_a_list_that_lags(manager, keys, times):
    """What was made here stays known, and what another process has deleted does not."""
    await keys.warm_up()
    key = (await keys.create("team-c")).reveal()
    manager.list = lambda prefix="": asyncio.sleep(0, ["litellm/team-a"])
    assert await whose(keys, GUESS) is None
    times.now += 1
    assert await whose(keys, GUESS) is None
    assert await whose(keys, key) == "team-c"
    assert set(keys._matcher._index.values()) == {"team-a", "team-b", "team-c"}
    manager.remove("litellm/team-b")
    keys._store.forget("litellm/team-b")
    await keys.warm_up()
    assert set(keys._matcher._index.values()) == {"team-a", "team-c"}


async def test_what_is_made_during_a_load(manager, keys):
    """A rotation here counts, and not what was read before."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    noted = manager.before

    async def slow(operation, name):
        await noted(operation, name)
        if (operation, name) == ("get", "litellm/team-b"):
            reached.set()
            await go_on.wait()

    assert await whose(keys, "sk-canary-a", "team-a") == "team-a"
    manager.before = slow
    loading = asyncio.create_task(keys.warm_up())
    await reached.wait()
    made = (await keys.create("team-c")).reveal()
    rotated = (await keys.rotate("team-a")).key.reveal()
    go_on.set()
    await loading
    manager.calls.clear()
    assert [await whose(keys, key) for key in (made, rotated)] == ["team-c", "team-a"]
    assert manager.calls == []


async def test_who_asks_while_the_manager_is_asked_waits(manager, keys, times):
    """Two bring a key at once that another process has just rotated to: both are let in."""
    assert await whose(keys, "sk-canary-a", "team-a") == "team-a"
    manager.set("litellm/team-a", "sk-canary-new")
    times.now += 1
    both = await asyncio.gather(*(whose(keys, "sk-canary-new", "team-a") for _ in range(2)))
    assert both == ["team-a", "team-a"]


async def test_who_gives_up_waiting_takes_nobody_along(manager, keys):
    """The others are answered."""
    first = asyncio.create_task(keys.verify("sk-canary-a"))
    second = asyncio.create_task(keys.verify("sk-canary-b"))
    for _ in range(3):
        await asyncio.sleep(0)
    first.cancel()
    assert (await second).alias == "team-b"
    assert [operation for operation, _ in manager.calls].count("list") == 1
    assert first.cancelled() or first.done()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_write_only_is_not_warmed():
    """Nobody is given a key there, and so nothing is read."""
    manager = Manager({"litellm/team-a": "sk-canary-a"})
    async with client_of(manager, access_mode="write_only") as client:
        with pytest.raises(AccessModeError):
            await keys_of(client, Times()).warm_up()
    assert manager.calls == []


def test_a_question_of_another_loop_is_put_again():
    """What was left unanswered there is no answer; and a clock that goes back keeps nobody from asking."""
    times, answers = Times(), []

    async def never():
        await asyncio.Event().wait()

    async def answer():
        answers.append(1)

    async def left():
        asking = asyncio.create_task(questions.ask("x", never))
        await asyncio.sleep(0)
        asking.cancel()

    questions = Questions(times)
    asyncio.run(left())
    assert asyncio.run(questions.ask("x", answer)) is None
    assert asyncio.run(questions.ask("x", answer)) is None
    assert len(answers) == 1
    times.now -= 100
    assert asyncio.run(questions.ask("x", answer)) is None
    assert len(answers) == 2


@pytest.mark.secrets({"litellm/team-a": "sk-canary-a"})
async def test_grace_passes_with_the_clock_of_a_test(fake_secrets, secrets_clock):
    """Where a program was given no clock of its own."""
    keys = VirtualKeys(fake_secrets.client)
    rotated = await keys.rotate("team-a", grace=600)
    assert (await keys.verify("sk-canary-a")).which == "previous"
    await secrets_clock.advance(601)
    assert await keys.verify("sk-canary-a") is None
    assert (await keys.verify(rotated.key.reveal())).which == "current"
