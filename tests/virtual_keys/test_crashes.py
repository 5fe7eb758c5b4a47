"""A process that ends at any step of a change: the old key works until the new one is confirmed, and nothing is lost.

The process is cut off from its manager before each of its calls in turn, which is after the one before. Another one
finds what it has left.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from asyncsecrets.errors import AsyncSecretsError, ConflictError, SecretNotFoundError, UnavailableError
from asyncsecrets.redaction import RedactionFilter, mask
from asyncsecrets.redaction.known import known
from asyncsecrets.secret import MASK
from tests.virtual_keys.support import Manager, Plain, Times, Unversioned, client_of, keys_of

OLD, NEW = "sk-canary-old", "sk-canary-new"

CHANGES = {
    "rotate": lambda keys: keys.rotate("team-a", NEW),
    "rename": lambda keys: keys.rename("team-a", "team-b"),
    "rename and rotate": lambda keys: keys.rename("team-a", "team-b", NEW),
}


class World:
    """A manager, and processes at it: each has a connection of its own to what is stored."""

    def __init__(self, kind):
        self.kind = kind
        self.stored = kind()
        self.times = Times()

    def copy(self):
        """The same, for somebody else to change."""
        other = World(self.kind)
        other.stored._secrets = {name: list(kept) for name, kept in self.stored._secrets.items()}
        other.times.now = self.times.now
        return other

    def connection(self):
        connected = self.kind()
        connected._secrets = self.stored._secrets
        return connected

    async def cut_off(self, change, after):
        """Make ``change`` in a process that is cut off after so many calls; whether it came to its end."""
        manager = self.connection()

        def fail(operation, name):
            cut = len(manager.calls) > after
            return UnavailableError("memory: gone", provider="memory") if cut else None

        manager.fail = fail
        async with client_of(manager) as client:
            try:
                await change(keys_of(client, self.times))
            except AsyncSecretsError:
                return False
        return True

    async def accepted(self, *candidates):
        """Which are, for whichever of the two aliases, in a process that knows nothing yet."""
        async with client_of(self.connection()) as client:
            keys = keys_of(client, self.times)
            return [
                any([await keys.verify(candidate, alias) for alias in ("team-a", "team-b")]) for candidate in candidates
            ]


@pytest.fixture(params=[Manager, Plain, Unversioned], ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


async def every_step(kind, change):
    """The world after a process was cut off, for each number of calls that it might have made."""
    after = 0
    while True:
        world = World(kind)
        async with client_of(world.connection()) as client:
            await keys_of(client, world.times).store("team-a", OLD)
        done = await world.cut_off(change, after)
        yield after, world
        if done:
            assert after > 6
            return
        after += 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [*((Manager, name) for name in CHANGES), (Plain, "rotate"), (Plain, "rename and rotate"), (Unversioned, "rotate")],
)
async def test_cut_off_and_reconciled(kind, name):
    """The old key is accepted at each step, and afterwards there is nothing left to do, whichever way it was ended."""
    async for after, world in every_step(kind, CHANGES[name]):
        assert await world.accepted(OLD) == [True], after
        world.times.now += 121
        for fix in ("finish", "undo"):
            await reconciled(world.copy(), name, fix, after)


async def reconciled(world, name, fix, after):
    """End what was left, and see that nothing is lost."""
    async with client_of(world.connection()) as client:
        keys = keys_of(client, world.times)
        found = await keys.reconcile(fix)
        pending = [one for one in found if one.state == "half_done"]
        assert not [one for one in found if one.problem], after
        assert [one for one in await keys.reconcile() if one.is_open] == [], after
        [alias] = await keys.list()
        current = (await keys.get(alias)).reveal()
        assert current in {OLD, NEW}
        if pending and fix == "finish":
            assert (alias, current) == ended(name), after
        elif pending and name == "rotate":
            assert (alias, current) == ("team-a", OLD), after
        for candidate in (OLD, current):
            assert await keys.verify(candidate, alias) is not None, after


def ended(name):
    return ("team-a" if name == "rotate" else "team-b", OLD if name == "rename" else NEW)


async def test_cut_off_and_rotated_again(kind):
    """A rotation goes on where the one before ended, and the key that nobody was told is what it comes to."""
    async for after, world in every_step(kind, lambda keys: keys.rotate("team-a", NEW)):
        world.times.now += 121
        async with client_of(world.connection()) as client:
            keys = keys_of(client, world.times)
            resumed = [one for one in await keys.reconcile() if one.state == "half_done"]
            done = await keys.rotate("team-a")
            assert done.key.equals(NEW) is bool(resumed), after
        assert await world.accepted(OLD, done.key.reveal()) == [True, True], after


ANOTHER = {
    "rotate": lambda keys: keys.rotate("team-a", NEW, grace=0),
    "delete": lambda keys: keys.delete("team-a"),
    "replace": lambda keys: keys.store("team-a", NEW, replace=True),
    "rename": lambda keys: keys.rename("team-a", "team-c", NEW, grace=0),
}


@pytest.mark.parametrize("another", ANOTHER)
async def test_something_else_is_done_after_a_renaming_was_cut_off(another):
    """The copy under the other alias is taken back: a key that was revoked there would live on under that name."""
    async for after, world in every_step(Manager, lambda keys: keys.rename("team-a", "team-b")):
        was_renamed = "litellm/team-a" not in world.stored.values
        world.times.now += 121
        async with client_of(world.connection()) as client:
            keys = keys_of(client, world.times)
            with suppress(SecretNotFoundError):
                await ANOTHER[another](keys)
            assert await keys.list() == [*ended_by(another, was_renamed)], after
        assert await world.accepted(OLD) == [was_renamed], after


def ended_by(another, was_renamed):
    """The aliases that there are afterwards; where the key was at its new place, that is where it stays."""
    alias = {"rotate": "team-a", "replace": "team-a", "rename": "team-c"}.get(another)
    if not was_renamed:
        return [alias] if alias else []
    return ["team-a", "team-b"] if another == "replace" else ["team-b"]


@pytest.mark.parametrize("key", [None, NEW])
async def test_a_renaming_that_was_cut_off_is_asked_for_again(key):
    """It is finished, and that is what it comes to."""
    async for after, world in every_step(Manager, lambda keys: keys.rename("team-a", "team-b", key)):
        world.times.now += 121
        async with client_of(world.connection()) as client:
            keys = keys_of(client, world.times)
            is_half_done = [one for one in await keys.reconcile() if one.state == "half_done"]
            if "litellm/team-a" in world.stored.values or is_half_done:
                done = await keys.rename("team-a", "team-b", key)
                assert (done.alias, done.key.reveal()) == ("team-b", key or OLD), after
            assert await keys.list() == ["team-b"], after
            await keys.reconcile("finish")
            assert [one for one in await keys.reconcile() if one.is_open] == [], after
        assert await world.accepted(OLD, key or OLD) == [True, True], after


@pytest.mark.parametrize("fix", ["finish", "undo"])
@pytest.mark.parametrize("replaced", [None, "sk-canary-replaced"])
async def test_a_key_that_was_taken_away_while_a_renaming_lay_there(fix, replaced):
    """By somebody who knows nothing of records: reconciling brings it back nowhere."""
    async for after, world in every_step(Manager, lambda keys: keys.rename("team-a", "team-b")):
        if "litellm/team-b" in world.stored.values:
            return
        world.stored.remove("litellm/team-a")
        if replaced:
            world.stored.set("litellm/team-a", replaced)
        world.times.now += 121
        async with client_of(world.connection()) as client:
            keys = keys_of(client, world.times)
            await keys.reconcile(fix)
            assert await keys.reconcile() == [], after
        assert await world.accepted(OLD) == [False], after


async def test_two_renamings_of_one_key_to_and_fro():
    """Both were cut off. Deleting one alias deletes the other's copy, and finds an end."""
    world = World(Manager)
    async with client_of(world.connection()) as client:
        await keys_of(client, world.times).store("team-a", OLD)
    assert not await world.cut_off(lambda keys: keys.rename("team-a", "team-b"), 8)
    world.times.now += 121
    assert not await world.cut_off(lambda keys: keys.rename("team-b", "team-a"), 5)
    world.times.now += 121
    async with client_of(world.connection()) as client:
        keys = keys_of(client, world.times)
        assert [one.kind for one in await keys.reconcile() if one.state == "half_done"] == ["renaming"] * 2
        await keys.delete("team-a")
        assert await keys.list() == []
    assert await world.accepted(OLD) == [False]


async def test_a_key_whose_renaming_is_under_way_is_not_replaced():
    """The old key would live on under the other alias."""
    world = World(Manager)
    async with client_of(world.connection()) as client:
        keys = keys_of(client, world.times)
        await keys.store("team-a", OLD)
        assert not await world.cut_off(lambda keys: keys.rename("team-a", "team-b"), 8)
        with pytest.raises(ConflictError, match="under way"):
            await keys.create("team-a", replace=True)
        world.times.now += 121
        await keys.create("team-a", replace=True)
    assert await world.accepted(OLD) == [False]


async def test_a_key_that_is_replaced_while_it_is_renamed_is_not_deleted():
    """By somebody who writes the old name once more."""
    world = World(Manager)
    manager = world.connection()
    async with client_of(manager) as client:
        keys = keys_of(client, world.times)
        await keys.store("team-a", OLD)
        manager.fail = lambda operation, name: (
            manager.set("litellm/team-a", NEW) and None if (operation, name) == ("put", "litellm/team-b") else None
        )
        await keys.rename("team-a", "team-b")
    assert world.stored.values["litellm/team-a"] == NEW


@pytest.mark.parametrize("back", [1e6, 121.0])
async def test_a_clock_that_goes_back(back):
    """Nobody waits for the time at which it was wrong."""
    async for after, world in every_step(Manager, lambda keys: keys.rotate("team-a", NEW)):
        world.times.now -= back
        async with client_of(world.connection()) as client:
            keys = keys_of(client, world.times)
            assert [one for one in await keys.reconcile() if one.state == "under_way"] == [], after
            await keys.rotate("team-a", NEW)
            assert [one for one in await keys.reconcile("finish") if one.problem] == [], after


async def test_a_clock_that_is_a_little_behind():
    """What another machine has just begun is under way, though it is not yet begun by this one's time."""
    world = World(Manager)
    async with client_of(world.connection()) as client:
        await keys_of(client, world.times).store("team-a", OLD)
    assert not await world.cut_off(lambda keys: keys.rotate("team-a", NEW), 6)
    world.times.now -= 60
    async with client_of(world.connection()) as client:
        keys = keys_of(client, world.times)
        assert [one.state for one in await keys.reconcile("finish")] == ["under_way"]
        with pytest.raises(ConflictError, match="under way"):
            await keys.delete("team-a")


@asynccontextmanager
async def undone_meanwhile(world, name, times):
    """The keys of a process that is taken for dead before it puts ``name`` for the first or second time (``times``), so
    that another one undoes what it has begun; and what that has undone."""
    slow, undone = world.connection(), []
    async with client_of(slow) as client, client_of(world.connection()) as other:
        keys, operator = keys_of(client, world.times), keys_of(other, world.times)
        await keys.store("team-a", OLD)

        async def undo(operation, called):
            slow.calls.append((operation, called))
            if (operation, called) == ("put", name) and slow.calls.count(("put", name)) == times and not undone:
                world.times.now += 121
                undone.extend(await operator.reconcile("undo"))

        slow.calls.clear()
        slow.before = undo
        yield keys, undone


async def test_a_process_that_was_taken_for_dead_comes_too_late():
    """It is undone meanwhile, and its key does not become current any more: the manager compares."""
    world = World(Manager)
    async with undone_meanwhile(world, "litellm/team-a", 1) as (keys, undone):
        with pytest.raises(AsyncSecretsError, match=r"somebody else|given another|taken longer"):
            await keys.rotate("team-a", NEW)
        assert [one.fixed for one in undone] == [True]
    assert world.stored.values["litellm/team-a"] == OLD
    assert await world.accepted(OLD, NEW) == [True, False]


@pytest.mark.parametrize("name", CHANGES)
async def test_a_process_that_is_suspended_anywhere_undoes_no_undo(kind, name):
    """It goes on two minutes later, as if nothing had been: at whatever manager, what was undone meanwhile stays."""
    suspended = 0
    for at in range(1, 40):
        world = World(kind)
        slow, undone, stays, told = world.connection(), [], [], None
        async with client_of(slow) as client, client_of(world.connection()) as other:
            await keys_of(other, world.times).store("team-a", OLD)

            async def suspend(operation, _, slow=slow, world=world, other=other, undone=undone, at=at, stays=stays):
                slow.calls.append((operation, ""))
                if len(slow.calls) == at and operation == "get":  # what is sent is applied in time, or never
                    world.times.now += 121
                    undone += await keys_of(other, world.times).reconcile("undo")
                    stays.append("litellm/team-a" in world.stored.values)

            slow.before = suspend
            with suppress(AsyncSecretsError):
                told = await CHANGES[name](keys_of(client, world.times))
            if len(slow.calls) < at:
                break
        if any(one.state == "half_done" and one.fixed for one in undone):
            suspended += 1
            if stays == [True]:  # a renaming whose old name is gone is brought to its end
                assert told is None, at
                assert world.stored.values["litellm/team-a"] == OLD, at
            assert await world.accepted(OLD) == [True], at
            async with client_of(world.connection()) as client:
                assert [one for one in await keys_of(client, world.times).reconcile() if one.is_open] == [], at
    assert suspended > 1


async def test_one_that_is_undone_after_it_has_switched_is_not_told_that_it_is_done():
    """Its key is not the current one; whoever knows it already is let in for its grace."""
    world = World(Manager)
    async with undone_meanwhile(world, "litellm/.rotation/team-a", 2) as (keys, undone):
        with pytest.raises(ConflictError, match="somebody else has ended this otherwise"):
            await keys.rotate("team-a", NEW)
        assert undone
    assert world.stored.values["litellm/team-a"] == OLD
    assert await world.accepted(OLD, NEW) == [True, True]


@pytest.mark.parametrize("kind", [Manager, Plain])
async def test_two_go_on_with_the_same(kind):
    """Both come to the same end."""
    async for after, world in every_step(kind, lambda keys: keys.rotate("team-a", NEW)):
        world.times.now += 121
        async with client_of(world.connection()) as one, client_of(world.connection()) as two:
            found = await asyncio.gather(*(keys_of(client, world.times).reconcile("finish") for client in (one, two)))
            assert not [finding.problem for each in found for finding in each if finding.problem], after
        assert await world.accepted(OLD) == [True], after


async def test_the_old_key_of_what_was_broken_off_is_not_accepted_for_ever():
    """It was revoked: by a rotation without grace that ended between switching and writing that down."""
    world = World(Manager)
    async with client_of(world.connection()) as client:
        await keys_of(client, world.times).store("team-a", OLD)
    assert not await world.cut_off(lambda keys: keys.rotate("team-a", NEW, grace=0), 7)
    assert world.stored.values["litellm/team-a"] == NEW
    assert await world.accepted(OLD) == [True]
    world.times.now += 121
    assert await world.accepted(OLD, NEW) == [False, True]


async def test_keys_of_what_another_process_has_begun_are_masked():
    """As soon as its record is read: an error of a consumer may quote one of them."""
    world, older, old, new = World(Manager), "older-canarybird", "old-canarybird", "new-canarybird"
    async with client_of(world.connection()) as client:
        keys = keys_of(client, world.times)
        await keys.store("team-a", older)
        await keys.rotate("team-a", old)
    assert not await world.cut_off(lambda keys: keys.rotate("team-a", new), 6)
    known.clear()  # as in a process of its own
    RedactionFilter()
    async with client_of(world.connection()) as client:
        await keys_of(client, world.times).reconcile()
        assert [mask(f"it is {key}") for key in (older, old, new)] == [f"it is {MASK}"] * 3


@pytest.mark.parametrize("change", CHANGES)
async def test_who_knows_that_nobody_else_is_at_it_need_not_wait(change):
    """Without patience what is pending counts as broken off at once, and no change gives itself up."""
    async with client_of(Manager({"litellm/team-a": OLD})) as client:
        times = Times()
        keys = keys_of(client, times, patience=0)
        done = await CHANGES[change](keys)
        assert await keys.verify(done.key.reveal(), done.alias) is not None
        assert not any(found.is_open for found in await keys.reconcile())
