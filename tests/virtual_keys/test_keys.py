"""Keys are created, stored, rotated, renamed, deleted and verified: what a gateway does with them."""

from __future__ import annotations

import asyncio
import re

import pytest

from asyncsecrets import VirtualKeys
from asyncsecrets.errors import (
    AccessDeniedError,
    ConfigError,
    ConflictError,
    DecodeError,
    InvalidNameError,
    PartialRotationError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.secret import Secret
from tests.virtual_keys.support import Manager, Plain, Times, Unversioned, client_of, keys_of

KINDS = [Manager, Plain, Unversioned]
NAME, RECORD = "litellm/team-a", "litellm/.rotation/team-a"


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def manager(request):
    return request.param()


@pytest.fixture
def times():
    return Times()


@pytest.fixture
async def keys(manager, times):
    async with client_of(manager) as client:
        yield keys_of(client, times)


async def test_a_key_of_a_real_source_of_randomness(times):
    """256 bits, in the alphabet of URLs, behind ``sk-``; no two alike."""
    async with client_of(MemoryProvider()) as client:
        keys = VirtualKeys(client)
        made = [(await keys.create(f"team-{number}")).reveal() for number in range(20)]
    assert len(set(made)) == 20
    assert all(re.fullmatch(r"sk-[A-Za-z0-9_-]{43}", key) for key in made)


async def test_life_of_a_key(manager, keys, times):
    """The name has the plain key; the one before is accepted for its grace, and not a second longer."""
    first = await keys.create("team-a")
    assert manager.values == {NAME: first.reveal()}
    done = await keys.rotate("team-a", grace=60)
    assert manager.values[NAME] == done.key.reveal() != first.reveal()
    assert done.until == times.now + 60
    match = await keys.verify(first.reveal(), "team-a")
    assert (match.alias, match.which, match.until) == ("team-a", "previous", done.until)
    assert (await keys.verify(done.key.reveal())).which == "current"
    times.now += 59
    assert await keys.verify(first.reveal()) is not None
    times.now += 1
    assert await keys.verify(first.reveal()) is None
    assert await keys.verify(first.reveal(), "team-a") is None
    await keys.delete("team-a")
    assert await keys.verify(done.key.reveal(), "team-a") is None
    assert await keys.verify(done.key.reveal()) is None
    assert await keys.list() == []
    assert manager.values == {}


async def test_a_rotation_never_deletes(manager, keys):
    """Its own name is updated in place, also when that is all that LiteLLM says: the same name, another key."""
    await keys.create("team-a")
    await keys.rotate("team-a", "sk-canary-of-litellm")
    assert manager.values[NAME] == "sk-canary-of-litellm"
    assert [operation for operation, _ in manager.calls if operation in {"delete", "destroy"}] == []


async def test_without_grace_the_old_key_ends_at_once(manager, keys):
    """What was leaked is not accepted for an hour more."""
    first = await keys.create("team-a")
    done = await keys.rotate("team-a", grace=0)
    assert done.until is None
    assert await keys.verify(first.reveal(), "team-a") is None
    assert first.reveal() not in manager.values[RECORD]


async def test_keys_of_several_rotations_are_accepted(keys):
    """Each until its own time is over."""
    first = await keys.create("team-a")
    second = (await keys.rotate("team-a", grace=100)).key
    third = (await keys.rotate("team-a", grace=100)).key
    for key, which in ((first, "previous"), (second, "previous"), (third, "current")):
        assert (await keys.verify(key.reveal(), "team-a")).which == which


async def test_creating_never_overwrites(manager, keys):
    """Unless it is told to."""
    first = await keys.create("team-a")
    with pytest.raises(ConflictError, match="is there"):
        await keys.create("team-a")
    with pytest.raises(ConflictError, match="is there"):
        await keys.store("team-a", "sk-canary-other")
    assert manager.values == {NAME: first.reveal()}
    await keys.store("team-a", "sk-canary-other", replace=True)
    assert manager.values == {NAME: "sk-canary-other"}


async def test_what_was_deleted_can_be_created_anew(manager, keys):
    """And what was accepted beside the key before is not any more, whoever deleted it."""
    first = await keys.create("team-a")
    await keys.rotate("team-a")
    await manager.delete(NAME)
    await keys.create("team-a")
    assert await keys.verify(first.reveal(), "team-a") is None
    await keys.delete("team-a")
    again = await keys.create("team-a")
    assert manager.values == {NAME: again.reveal()}


async def test_renaming(manager, keys):
    """The key and what is accepted beside it go along; nothing is left behind."""
    first = await keys.create("team-a")
    second = (await keys.rotate("team-a", grace=60)).key
    done = await keys.rename("team-a", "team-b")
    assert done.key.equals(second)
    assert done.until is None
    assert sorted(manager.values) == ["litellm/.rotation/team-b", "litellm/team-b"]
    assert (await keys.verify(second.reveal(), "team-b")).which == "current"
    assert (await keys.verify(first.reveal())).alias == "team-b"
    assert await keys.list() == ["team-b"]
    third = await keys.rename("team-b", "team-c", "sk-canary-third", grace=60)
    assert third.until is not None
    for key in (first.reveal(), second.reveal(), "sk-canary-third"):
        assert (await keys.verify(key, "team-c")) is not None
    with pytest.raises(SecretNotFoundError, match="no virtual key 'team-a'"):
        await keys.rename("team-a", "team-d")


async def test_renaming_to_an_alias_that_has_a_key(manager, keys):
    """Both stay as they are, and nothing is pending."""
    await keys.store("team-a", "sk-canary-a")
    await keys.store("team-b", "sk-canary-b")
    with pytest.raises(ConflictError):
        await keys.rename("team-a", "team-b")
    assert (manager.values[NAME], manager.values["litellm/team-b"]) == ("sk-canary-a", "sk-canary-b")
    assert await keys.reconcile() == []
    with pytest.raises(ConfigError, match="another alias"):
        await keys.rename("team-a", "team-a")


async def test_what_is_not_there(keys):
    """It cannot be rotated; deleting it is no error."""
    with pytest.raises(SecretNotFoundError, match=r"no virtual key 'nobody' \(litellm/nobody\)"):
        await keys.rotate("nobody")
    await keys.delete("nobody")
    assert await keys.verify("sk-canary-none", "nobody") is None
    with pytest.raises(SecretNotFoundError):
        await keys.get("nobody")


@pytest.mark.parametrize(
    "bad", ["", None, 7, b"sk-canary", "sk-\ud800"], ids=["empty", "none", "number", "bytes", "lone"]
)
async def test_what_is_no_key(manager, keys, bad):
    """It is stored nowhere, and accepted nowhere."""
    await keys.create("team-a")
    manager.calls.clear()
    with pytest.raises(DecodeError):
        await keys.store("team-b", bad)
    if bad is not None:
        with pytest.raises(DecodeError):
            await keys.rotate("team-a", bad)
        with pytest.raises(DecodeError):
            await keys.rename("team-a", "team-b", bad)
    assert await keys.verify(bad) is None
    assert manager.calls == []


async def test_settings_that_cannot_work(keys):
    """Are refused where they are given."""
    async with client_of(MemoryProvider()) as client:
        for bad in (-1, 1e12, float("inf"), float("nan"), "60", True):
            with pytest.raises(ConfigError, match="seconds"):
                VirtualKeys(client, grace=bad)
            with pytest.raises(ConfigError, match="seconds"):
                await keys.rotate("team-a", grace=bad)
        with pytest.raises(ConfigError, match="no source"):
            VirtualKeys(client, "other")
    with pytest.raises(ConfigError, match="finish"):
        await keys.reconcile("both")


@pytest.mark.parametrize("alias", ["", None, 7, "\ud800", "a" * 2000], ids=["empty", "none", "number", "lone", "long"])
async def test_aliases_that_cannot_be(manager, keys, alias):
    """They are refused before a key is made, so that no key was issued that is stored nowhere."""
    for refused in (keys.create(alias), keys.store(alias, "sk-canary"), keys.rotate(alias), keys.delete(alias)):
        with pytest.raises(InvalidNameError, match="alias of a virtual key"):
            await refused
    assert manager.calls == []


async def test_names_as_others_compose_them(keys):
    """LiteLLM hands over prefix and alias in one."""
    assert await keys.alias_in("litellm/my key") == "my key"
    assert await keys.name_of("my key") == "litellm/my key"
    for wrong in ("other/my key", "litellm", None, 7):
        with pytest.raises(InvalidNameError, match="prefix"):
            await keys.alias_in(wrong)


# -- verifying


async def test_a_gateway_asks_the_manager_once(manager, keys, times):
    """What is warm costs no call; guesses cost one list a second, however many there are."""
    made = [(await keys.create(f"team-{number}")).reveal() for number in range(5)]
    assert await keys.verify("sk-canary-guess") is None
    manager.calls.clear()
    for _ in range(20):
        for number, key in enumerate(made):
            assert (await keys.verify(key)).alias == f"team-{number}"
            assert (await keys.verify(key, f"team-{number}")).which == "current"
        assert await asyncio.gather(*(keys.verify(f"sk-canary-guess-{number}") for number in range(5))) == [None] * 5
    assert manager.calls == []
    times.now += 1
    await asyncio.gather(*(keys.verify(f"sk-canary-guess-{number}") for number in range(50)))
    assert [operation for operation, _ in manager.calls if operation == "list"] == ["list"]


async def test_a_key_that_another_process_has_made(manager, keys, times):
    """It is found: new, or rotated; the one before within its grace, too."""
    async with client_of(manager) as client:
        other = keys_of(client, times)
        assert await keys.verify("sk-canary-guess") is None
        times.now += 1
        first = await other.create("team-a")
        assert (await keys.verify(first.reveal())).which == "current"
        times.now += 1
        second = await other.rotate("team-a")
        assert (await keys.verify(second.key.reveal(), "team-a")).which == "current"
        assert (await keys.verify(first.reveal(), "team-a")).which == "previous"


async def test_guesses_read_no_key_again(manager, keys, times):
    """That an alias has no record is believed for a few seconds only, and not asked for again at every guess."""
    async with client_of(manager, negative_ttl=0.0) as client:
        keys = keys_of(client, times)
        for number in range(5):
            await keys.create(f"team-{number}")
        assert await keys.verify("sk-canary-guess") is None
        manager.calls.clear()
        for _ in range(5):
            times.now += 1
            assert await keys.verify("sk-canary-guess") is None
    assert [operation for operation, _ in manager.calls] == ["list"] * 5


async def test_a_key_that_is_made_while_others_are_listed(manager, keys, times):
    """Is known at once: the list that was begun before does not take it away."""
    await keys.create("team-a")
    listed, go_on, names = asyncio.Event(), asyncio.Event(), manager.list

    async def slow(prefix: str = "") -> list[str]:
        found = await names(prefix)
        listed.set()
        await go_on.wait()
        return found

    manager.list = slow
    guess = asyncio.create_task(keys.verify("sk-canary-guess"))
    await listed.wait()
    made = await keys.create("team-b")
    go_on.set()
    assert await guess is None
    assert (await keys.verify(made.reveal())).alias == "team-b"


async def test_a_key_that_is_replaced_ends_with_all_beside_it(manager, keys):
    """Also the one before it, within its grace."""
    first = await keys.create("team-a")
    second = (await keys.rotate("team-a", grace=60)).key
    third = await keys.create("team-a", replace=True)
    for alias in ("team-a", None):
        assert await keys.verify(first.reveal(), alias) is None
        assert await keys.verify(second.reveal(), alias) is None
        assert (await keys.verify(third.reveal(), alias)).which == "current"


async def test_creating_over_a_live_key_leaves_its_grace_alone(manager, keys):
    """A conflict changes nothing."""
    first = await keys.create("team-a")
    await keys.rotate("team-a", grace=60)
    with pytest.raises(ConflictError, match="it is there already; take another name"):
        await keys.create("team-a")
    assert (await keys.verify(first.reveal(), "team-a")).which == "previous"


async def test_nothing_can_fail_once_a_key_is_stored(manager, keys):
    """Or it would be there, and nobody have been told it: what is wrong with the record is said before."""
    manager.set(RECORD, '{"canary": 1}')
    with pytest.raises(DecodeError, match="not the record of a virtual key"):
        await keys.create("team-a")
    assert NAME not in manager.values
    await keys.create("team-b")
    changed = manager.calls.index(("put", "litellm/team-b"))
    assert {name for _, name in manager.calls[changed:]} == {"litellm/team-b"}


async def test_an_alias_is_not_asked_for_at_every_guess(manager, keys, times):
    """Once a second, and by nobody else's name."""
    await keys.create("team-a")
    await keys.verify("sk-canary-guess", "team-a")
    manager.calls.clear()
    for number in range(50):
        assert await keys.verify(f"sk-canary-guess-{number}", "team-a") is None
    assert len(manager.calls) <= 1  # the absence of a record is believed for some seconds
    times.now += 1
    assert await keys.verify("sk-canary-guess", "team-a") is None
    assert len(manager.calls) <= 3


async def test_a_record_that_cannot_be_read_locks_nobody_out(manager, keys):
    """The current key is accepted; what changes the key says what is wrong."""
    key = await keys.create("team-a")
    manager.set(RECORD, '{"canary": 1}')
    assert (await keys.verify(key.reveal(), "team-a")).which == "current"
    assert await keys.verify("sk-canary-guess", "team-a") is None
    for change in (keys.rotate("team-a"), keys.delete("team-a"), keys.rename("team-a", "team-b")):
        with pytest.raises(DecodeError, match="not the record of a virtual key"):
            await change
    [finding] = await keys.reconcile("finish")
    assert (finding.state, finding.alias, finding.is_open) == ("damaged", "team-a", True)
    assert manager.values[NAME] == key.reveal()


async def test_a_manager_that_is_down_is_nobody_s_no(manager, keys):
    """The gateway is told, and not that the key is unknown."""
    manager.fail = lambda operation, name: UnavailableError("memory: down", provider="memory")
    for asked in (keys.verify("sk-canary"), keys.verify("sk-canary", "team-a"), keys.list(), keys.reconcile()):
        with pytest.raises(UnavailableError):
            await asked


# -- two at once


async def test_of_two_who_create_one_does(manager, times):
    """Whoever is refused has not issued his key."""
    async with client_of(manager) as one, client_of(manager) as two:
        made = await asyncio.gather(
            *(keys_of(client, times).store("team-a", f"sk-canary-{n}") for n, client in enumerate((one, two))),
            return_exceptions=True,
        )
    [won] = [outcome.reveal() for outcome in made if not isinstance(outcome, ConflictError)]
    assert manager.values[NAME] == won


async def test_of_two_who_rotate_one_does(manager, times):
    """One wins; the other's key was never current, and the old one is accepted."""
    async with client_of(manager) as one, client_of(manager) as two:
        first = await keys_of(one, times).create("team-a")
        outcomes = await asyncio.gather(
            *(keys_of(client, times).rotate("team-a", f"sk-canary-{n}") for n, client in enumerate((one, two))),
            return_exceptions=True,
        )
        [won] = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
        [lost] = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert isinstance(lost, ConflictError)
        assert manager.values[NAME] == won.key.reveal()
    async with client_of(manager) as client:
        keys = keys_of(client, times)
        assert (await keys.verify(first.reveal(), "team-a")).which == "previous"
        assert [one.state for one in await keys.reconcile()] == ["in_grace"]


@pytest.mark.parametrize("kind", [Plain, Unversioned])
async def test_a_claim_that_arrives_late(kind, times):
    """Where nothing is compared, who claims a key waits for as long as another's claim may be on its way."""
    first, second = kind(), kind()
    second._secrets = first._secrets
    claimed = asyncio.Event()

    async def late(operation, name):
        if (operation, name) == ("put", RECORD):
            await claimed.wait()

    async def sleep(seconds):
        claimed.set()
        await times.sleep(seconds)

    second.before = late
    async with client_of(first) as one, client_of(second) as two:
        await keys_of(one, times).store("team-a", "sk-canary-old")
        early = asyncio.create_task(keys_of(one, times, sleep=sleep).rotate("team-a", "sk-canary-early"))
        won = await keys_of(two, times).rotate("team-a", "sk-canary-late")
        with pytest.raises(ConflictError):
            await early
    assert times.slept[0] == 10.0
    assert first.values[NAME] == won.key.reveal() == "sk-canary-late"


async def test_a_rotation_whose_answer_was_lost(manager, keys):
    """Asked for again with the same key, it is done already: nothing is written, and the old key keeps its grace."""
    first = await keys.create("team-a")
    done = await keys.rotate("team-a", "sk-canary-new", grace=60)
    manager.calls.clear()
    again = await keys.rotate("team-a", "sk-canary-new", grace=60)
    assert again.until == done.until
    assert again.key.equals("sk-canary-new")
    assert manager.changes == []
    assert (await keys.verify(first.reveal(), "team-a")).until == done.until


@pytest.mark.parametrize("before", [RECORD, NAME])
async def test_somebody_writes_the_key_while_it_is_rotated(manager, keys, times, before):
    """What he wrote stays; the rotation says that it was overtaken, and leaves nothing behind: neither something that
    is under way, nor the old key, which he has replaced."""
    if before == NAME and type(manager) is not Manager:
        return  # without a compare-and-set, of two who write in the same moment the last one counts
    first = await keys.create("team-a")
    written = []

    def overtake(operation, name):
        if (operation, name) == ("put", before) and not written:
            written.append(manager.set(NAME, "sk-canary-of-somebody"))

    manager.fail = overtake
    with pytest.raises(ConflictError, match="somebody else"):
        await keys.rotate("team-a")
    assert manager.values[NAME] == "sk-canary-of-somebody"
    assert await keys.reconcile() == []
    async with client_of(manager) as other:
        assert await keys_of(other, times).verify(first.reveal(), "team-a") is None


class Losing(Manager):
    """It acknowledges what it is given for ``lost``, and has not got it."""

    lost = ""

    async def put(self, name, payload, *, cas=None, token=""):
        if name != self.lost:
            return await super().put(name, payload, cas=cas, token=token)
        await self._note("put", name)
        return Secret(payload, name=name, version="99")


@pytest.mark.parametrize("lost", [RECORD, NAME, "litellm/team-b"])
async def test_what_was_written_is_read_back_before_anything_follows(times, lost):
    """A manager that acknowledges and forgets takes no key away: nothing is switched to, or deleted for, what is not
    there, and nothing is left to do."""
    manager = Losing()
    async with client_of(manager) as client:
        keys = keys_of(client, times)
        first = await keys.create("team-a")
        manager.lost = lost
        with pytest.raises(ConflictError):
            await (keys.rename("team-a", "team-b") if lost == "litellm/team-b" else keys.rotate("team-a"))
        assert manager.values[NAME] == first.reveal()
        manager.lost = ""
        assert await keys.reconcile() == []
        assert await keys.list() == ["team-a"]


async def test_a_manager_that_fails_half_way(manager, keys, times):
    """The error says what stands where, and the old key is accepted; later it is finished."""
    first = await keys.create("team-a")

    def refuse(operation, name):
        refused = (operation, name) == ("put", NAME)
        return UnavailableError("memory: down", provider="memory") if refused else None

    manager.fail = refuse
    with pytest.raises(PartialRotationError, match="reconcile") as caught:
        await keys.rotate("team-a", "sk-canary-new")
    assert caught.value.created == RECORD
    assert "canary" not in str(caught.value)
    assert (await keys.verify(first.reveal(), "team-a")).which == "current"
    manager.fail = lambda operation, name: None
    with pytest.raises(ConflictError, match="under way"):
        await keys.rotate("team-a")
    assert [one.state for one in await keys.reconcile("finish")] == ["under_way"]
    times.now += 121
    done = await keys.rotate("team-a")
    assert done.key.equals("sk-canary-new")
    assert (await keys.verify(first.reveal(), "team-a")).which == "previous"


# -- reconciling


async def test_what_there_is_to_reconcile(manager, keys, times):
    """Every state, each told once; what is nobody's business here is left alone."""
    first = await keys.create("team-a")
    await keys.create("team-b")
    await keys.rotate("team-a", grace=100)
    await keys.rotate("team-b", grace=10_000)
    manager.set("litellm/name-x20-b", "canary of somebody else")
    found = {one.state: one for one in await keys.reconcile(known=["team-b", "team-z"])}
    assert sorted(found) == ["foreign", "in_grace", "missing", "unknown"]
    assert (found["foreign"].name, found["foreign"].alias) == ("litellm/name-x20-b", None)
    assert (found["missing"].alias, found["unknown"].alias) == ("team-z", "team-a")
    times.now += 200
    await manager.delete("litellm/team-b")
    assert {one.state for one in await keys.reconcile()} == {"foreign", "expired", "orphan"}
    fixed = {one.state: one.fixed for one in await keys.reconcile("finish")}
    assert fixed == {"foreign": False, "expired": True, "orphan": True}
    assert [one.state for one in await keys.reconcile()] == ["foreign"]
    assert first.reveal() not in manager.values[RECORD]
    assert manager.values["litellm/name-x20-b"] == "canary of somebody else"


async def test_what_cannot_be_fixed_is_told(manager, keys, times):
    """And the rest is fixed."""
    for alias in ("team-a", "team-b"):
        await keys.create(alias)
        await keys.rotate(alias, grace=10)
    times.now += 200
    down = UnavailableError("memory: down", provider="memory")
    manager.fail = lambda operation, name: down if (operation, name) == ("put", RECORD) else None
    found = {one.alias: one for one in await keys.reconcile("finish")}
    assert (found["team-a"].fixed, found["team-b"].fixed) == (False, True)
    assert found["team-a"].problem
    assert found["team-a"].is_open


async def test_one_that_cannot_be_asked_for_keeps_nothing_else_from_being_fixed(manager, keys, times):
    """It is told, as something to look at; and nothing goes on when the answer is there."""
    for alias in ("team-a", "team-b", "team-c"):
        await keys.create(alias)
        await keys.rotate(alias, grace=10)
    times.now += 200
    denied = AccessDeniedError("memory: no", provider="memory")
    manager.fail = lambda operation, name: denied if name in {RECORD, "litellm/team-b"} else None
    found = {one.alias: one for one in await keys.reconcile("finish")}
    assert {alias: one.state for alias, one in found.items()} == {
        "team-a": "unreadable",
        "team-b": "unreadable",
        "team-c": "expired",
    }
    assert (found["team-a"].is_open, found["team-a"].problem, found["team-c"].fixed) == (True, "memory: no", True)


async def test_what_is_known_is_looked_at_before_anything_is_done(manager, keys):
    """One alias is no collection of them, though it is one of letters."""
    with pytest.raises(ConfigError, match="known"):
        await keys.reconcile("finish", known="team-a")
    with pytest.raises(InvalidNameError):
        await keys.reconcile("finish", known=["team-a", ""])
    assert manager.calls == []
