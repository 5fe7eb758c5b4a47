"""A rotation: the hook first, then readers; and whatever ends it, the value that the consumer has is not lost."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from asyncsecrets import SecretsClient, rotating
from asyncsecrets.errors import (
    AccessModeError,
    ConfigError,
    ConflictError,
    DecodeError,
    PartialRotationError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.rotating import PENDING, Password
from asyncsecrets.testing.vault_server import VaultServer
from tests.virtual_keys.support import Manager, Plain, Times, Unversioned, client_of

STAGED = f"DB{PENDING}"


async def rotate(client, name, generator, **options):
    """Where it would wait a clock is moved."""
    return await rotating.rotate(client, name, generator, **{"sleep": Times().sleep, **options})


def staged(manager, name=STAGED):
    """The value that is kept for a rotation that goes on; None also where what is left holds none."""
    found = manager.values.get(name)
    return None if found is None else json.loads(found)["value"]


class Values:
    """A generator of canaries."""

    def __init__(self):
        self._numbers = itertools.count(1)

    def make(self):
        return f"canary-new-{next(self._numbers)}"


class Consumer:
    """What has the secret's value, too; it takes one that is set twice."""

    def __init__(self, value="canary-old"):
        self.value = value
        self.calls = 0
        self.failure = None

    async def set(self, old, new):
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        assert self.value in {old.reveal(), new.reveal()}
        self.value = new.reveal()


@pytest.fixture(params=[Manager, Plain, Unversioned], ids=lambda kind: kind.__name__)
def manager(request):
    return request.param({"DB": "canary-old"})


async def test_new_value(manager):
    """Without a hook: put, read back, and seen by the next reader."""
    async with client_of(manager) as client:
        assert (await client.get("DB")).equals("canary-old")
        done = await rotate(client, "DB", Password())
        assert manager.values == {"DB": done.reveal()}
        assert (await client.get("DB")).equals(done)
    assert len(done.reveal()) == 32
    assert [name for operation, name in manager.changes] == ["DB"]


async def test_the_consumer_comes_first(manager):
    """When the hook is called readers have the old value, and the new one is kept."""
    consumer, seen = Consumer(), []

    async def hook(old, new):
        seen.append((old.reveal(), manager.values["DB"], staged(manager) == new.reveal()))
        await consumer.set(old, new)

    async with client_of(manager) as client:
        done = await rotate(client, "DB", Values(), set_at_consumer=hook)
    assert seen == [("canary-old", "canary-old", True)]
    assert manager.values == {"DB": "canary-new-1"} == {"DB": consumer.value}
    assert done.equals("canary-new-1")


async def test_a_hook_that_fails(manager):
    """Nothing is promoted, its own text is not repeated, and the next rotation sets the same value."""
    consumer, values = Consumer(), Values()
    consumer.failure = RuntimeError("refused canary-new-1")
    async with client_of(manager) as client:
        with pytest.raises(PartialRotationError, match="did not take the new value") as caught:
            await rotate(client, "DB", values, set_at_consumer=consumer.set)
        assert caught.value.created == STAGED
        assert "canary" not in str(caught.value)
        assert caught.value.__context__ is None
        assert manager.values["DB"] == "canary-old" == consumer.value
        with pytest.raises(PartialRotationError, match="an earlier rotation"):
            await rotate(client, "DB", values)
        assert manager.values["DB"] == "canary-old"
        consumer.failure = None
        await rotate(client, "DB", values, set_at_consumer=consumer.set)
        assert manager.values == {"DB": "canary-new-1"} == {"DB": consumer.value}
        await rotate(client, "DB", values, set_at_consumer=consumer.set)
        assert manager.values == {"DB": "canary-new-2"} == {"DB": consumer.value}


async def test_restart(manager):
    """What was kept is given up, and another value made."""
    consumer, values = Consumer(), Values()
    consumer.failure = OSError()
    async with client_of(manager) as client:
        with pytest.raises(PartialRotationError):
            await rotate(client, "DB", values, set_at_consumer=consumer.set)
        consumer.failure = None
        await rotate(client, "DB", values, set_at_consumer=consumer.set, restart=True)
    assert manager.values == {"DB": "canary-new-2"} == {"DB": consumer.value}


async def test_what_was_promoted_and_not_tidied_is_no_rotation_that_was_broken_off(manager):
    """Its value is the current one: the next rotation, with a hook or without, makes another."""
    consumer, values = Consumer(), Values()

    def fail(operation, name):
        ends = (operation, name) == ("put", STAGED) and manager.values["DB"] != "canary-old"
        return UnavailableError("memory: gone", provider="memory", name=name) if ends else None

    manager.fail = fail
    async with client_of(manager) as client:
        await rotate(client, "DB", values, set_at_consumer=consumer.set)
        assert staged(manager) == manager.values["DB"] == "canary-new-1"
        manager.fail = lambda operation, name: None
        assert (await rotate(client, "DB", values)).equals("canary-new-2")
    assert consumer.calls == 1


async def test_a_manager_that_loses_what_is_kept(manager):
    """The consumer is not told."""
    consumer, put = Consumer(), manager.put

    async def lose(name, payload, **options):
        written = await put(name, payload, **options)
        if name == STAGED:
            manager.remove(name)
        return written

    manager.put = lose
    async with client_of(manager) as client:
        with pytest.raises(ConflictError):
            await rotate(client, "DB", Values(), set_at_consumer=consumer.set)
    assert (consumer.calls, manager.values) == (0, {"DB": "canary-old"})


async def test_what_is_read_back_is_something_else():
    """It is not said to be done."""

    class Forgetful(Manager):
        def set(self, name, payload):
            return super().set(name, f"{payload}-cut"[:-6])

    async with client_of(Forgetful({"DB": "canary-old"})) as client:
        with pytest.raises(ConflictError, match="something else is read back") as caught:
            await rotate(client, "DB", Values())
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("kind", [Plain, Unversioned], ids=lambda kind: kind.__name__)
async def test_somebody_else_claims_it_where_nothing_is_compared(kind):
    """Whoever wrote last has it: the other one sees that after a while, and tells the consumer nothing."""
    manager, consumer = kind({"DB": "canary-old"}), Consumer()

    async def sleep(seconds):
        manager.set(STAGED, "canary-theirs")

    async with client_of(manager) as client:
        with pytest.raises(ConflictError):
            await rotate(client, "DB", Values(), set_at_consumer=consumer.set, sleep=sleep)
    assert (consumer.calls, manager.values) == (0, {"DB": "canary-old", STAGED: "canary-theirs"})


async def test_restart_without_a_hook(manager):
    """What was kept is given up, and not left behind."""
    consumer, values = Consumer(), Values()
    consumer.failure = OSError()
    async with client_of(manager) as client:
        with pytest.raises(PartialRotationError):
            await rotate(client, "DB", values, set_at_consumer=consumer.set)
        assert (await rotate(client, "DB", values, restart=True)).equals("canary-new-2")
    assert manager.values == {"DB": "canary-new-2"}


async def test_promoted_by_somebody_else_who_went_on_with_the_same(manager):
    """That is what was wanted."""
    consumer = Consumer()

    async def hook(old, new):
        await consumer.set(old, new)
        manager.set("DB", new.reveal())

    async with client_of(manager) as client:
        assert (await rotate(client, "DB", Values(), set_at_consumer=hook)).equals("canary-new-1")
    assert manager.values == {"DB": "canary-new-1"}


@pytest.mark.parametrize("kind", [Manager, Plain, Unversioned], ids=lambda kind: kind.__name__)
async def test_cut_off_anywhere(kind):
    """Old or new is at both, or the new one is kept; and the next rotation brings both together."""
    for after in itertools.count():
        manager, consumer, values = kind({"DB": "canary-old"}), Consumer(), Values()

        def fail(operation, name, manager=manager, after=after):
            cut = len(manager.calls) > after
            return UnavailableError("memory: gone", provider="memory", name=name) if cut else None

        manager.fail = fail
        async with client_of(manager) as client:
            rotation = rotate(client, "DB", values, set_at_consumer=consumer.set)
            [outcome] = await asyncio.gather(rotation, return_exceptions=True)
        done = len(manager.calls) <= after
        is_apart = consumer.value != manager.values["DB"]
        assert isinstance(outcome, PartialRotationError) or not is_apart
        assert not is_apart or staged(manager) == consumer.value
        manager.fail = lambda operation, name: None
        async with client_of(manager) as client:
            await rotate(client, "DB", values, set_at_consumer=consumer.set)
        assert manager.values == {"DB": consumer.value}, after
        if done:
            break
    assert after > 5


async def test_two_at_once(manager):
    """One of them is told; both sides agree."""
    consumer, times, numbers = Consumer(), Times(), Values()
    async with client_of(manager) as one, client_of(manager) as other:
        outcomes = await asyncio.gather(
            *(
                rotate(client, "DB", numbers, set_at_consumer=consumer.set, sleep=times.sleep)
                for client in (one, other)
            ),
            return_exceptions=True,
        )
    assert {type(outcome).__name__ for outcome in outcomes} <= {"Secret", "ConflictError", "PartialRotationError"}
    assert "Secret" in {type(outcome).__name__ for outcome in outcomes}
    assert manager.values == {"DB": consumer.value}


async def test_written_by_somebody_else_before_the_consumer_is_told(manager):
    """While the new value is being kept: then the consumer is told nothing, and nothing is left."""
    consumer = Consumer()

    async def write(operation, name):
        if (operation, name) == ("put", STAGED) and manager.values == {"DB": "canary-old"}:
            manager.set("DB", "canary-theirs")

    manager.before = write
    async with client_of(manager) as client:
        with pytest.raises(ConflictError, match="meanwhile"):
            await rotate(client, "DB", Values(), set_at_consumer=consumer.set)
    assert (consumer.calls, manager.values) == (0, {"DB": "canary-theirs"})


async def test_what_has_just_ended_deletes_nothing_of_the_next_one(manager):
    """Between the last two steps of a rotation the next one waits, until nothing more is to be deleted."""
    consumer, times, slow = Consumer(), Times(), asyncio.Event()

    async def hold(operation, name):
        if operation == "delete" and not slow.is_set():
            await slow.wait()

    manager.before = hold

    async def sleep(seconds):
        slow.set()
        await times.sleep(seconds)

    async with client_of(manager) as one, client_of(manager) as other:
        first = asyncio.create_task(rotate(one, "DB", Values(), set_at_consumer=consumer.set))
        async with asyncio.timeout(30):
            while staged(manager) is not None or STAGED not in manager.values:
                await asyncio.sleep(0)
        consumer.failure = OSError()
        with pytest.raises(PartialRotationError):
            await rotate(other, "DB", Values(), set_at_consumer=consumer.set, sleep=sleep)
        await first
    assert staged(manager) is not None
    assert times.slept[0] > 0


async def test_somebody_else_writes_meanwhile(manager):
    """Theirs is not written over, and where the new value is kept is said."""
    consumer = Consumer()

    async def hook(old, new):
        await consumer.set(old, new)
        manager.set("DB", "canary-theirs")

    async with client_of(manager) as client:
        with pytest.raises(PartialRotationError, match="consumer has the new value"):
            await rotate(client, "DB", Values(), set_at_consumer=hook)
    assert (manager.values["DB"], staged(manager)) == ("canary-theirs", consumer.value)


async def test_cancelled_in_the_hook():
    """It ends there, and what is kept is there for the next one."""
    manager, reached = Manager({"DB": "canary-old"}), asyncio.Event()

    async def hook(old, new):
        reached.set()
        await asyncio.Event().wait()

    async with client_of(manager) as client:
        task = asyncio.create_task(rotate(client, "DB", Values(), set_at_consumer=hook))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (manager.values["DB"], staged(manager)) == ("canary-old", "canary-new-1")


async def test_a_member():
    """The others stay as they are written."""
    manager = Manager({"DB": '{"user": "canary-user", "password": "canary-old", "n": 1.10}'})
    async with client_of(manager) as client:
        done = await rotate(client, "DB", Values(), field="password", set_at_consumer=Consumer().set)
        assert done.equals("canary-new-1")
        for field in ("nothing", "/password", "json:", ""):
            with pytest.raises(DecodeError if field == "nothing" else ConfigError):
                await rotate(client, "DB", Values(), field=field)
    assert json.loads(manager.values["DB"]) == {"user": "canary-user", "password": "canary-new-1", "n": 1.1}
    assert "1.10" in manager.values["DB"]
    assert list(manager.values) == ["DB"]


async def test_vault():
    """Also of an object, of which the other members stay; under a compare-and-set."""
    with VaultServer().run_in_thread() as server:
        server.write_secret("plain", {"key": "canary-old"})
        server.write_secret("object", {"key": "canary-old", "user": "canary-user"})
        server.write_secret("other", {"password": "canary-old", "user": "canary-user"})
        settings = {"addr": server.url, "token": server.root_token, "access_mode": "read_and_write"}
        document = {"key_management_system": "hashicorp_vault", "key_management_settings": settings}
        async with SecretsClient.from_config({"general_settings": document}, environ={}) as client:
            for name, field in (("plain", None), ("object", None), ("other", "password")):
                consumer = Consumer()
                done = await rotate(client, name, Values(), field=field, set_at_consumer=consumer.set)
                assert done.version == "2"
                assert consumer.value == "canary-new-1"
                assert (await client.get(name, field=field)).equals("canary-new-1")
            with pytest.raises(DecodeError):
                await rotate(client, "other", Values())
        assert server.read_secret("plain") == {"key": "canary-new-1"}
        assert server.read_secret("object") == {"key": "canary-new-1", "user": "canary-user"}
        assert server.read_secret("other") == {"password": "canary-new-1", "user": "canary-user"}


async def test_refused():
    """Before anything is made or sent."""
    manager = Manager({"DB": "canary-old"})
    async with client_of(manager, access_mode="read_only") as client:
        with pytest.raises(AccessModeError):
            await rotate(client, "DB", Values())
        assert manager.calls == []
    async with client_of(manager, access_mode="write_only") as client:
        with pytest.raises(SecretNotFoundError, match="cannot be rotated"):
            await rotate(client, "nothing", Values())
        await rotate(client, "DB", Values())
    assert manager.values == {"DB": "canary-new-1"}


async def test_names_that_lead_elsewhere():
    """What readers of a name get is rotated, or nothing: not what nobody reads."""
    section = {"key_management_system": "memory", "key_management_settings": {}}
    general = {
        **section,
        "key_management_settings": {"access_mode": "read_and_write", "hosted_keys": ["DB"]},
    }
    other = {**section, "key_management_settings": {"access_mode": "read_and_write"}}
    document = {
        "general_settings": general,
        "environment_variables": {"ALIAS": "secret://other/DB"},
        "asyncsecrets": {"sources": {"other": other}},
    }
    managers = {"default": Manager({"DB": "canary-old", "FREE": "canary-old"}), "other": Manager({"DB": "canary-old"})}
    async with SecretsClient.from_config(document, environ={}, providers=managers) as client:
        for name, problem in (
            ("ALIAS", "is read as secret://other/DB"),
            ("FREE", "not among hosted_keys"),
            ("secret://environment/DB", "read only"),
        ):
            with pytest.raises(UnsupportedOperationError, match=problem):
                await rotate(client, name, Values())
        for name in ("secret:///DB?version=1", "secret:///DB?field=a"):
            with pytest.raises(ConfigError, match="as a whole"):
                await rotate(client, name, Values())
        with pytest.raises(ConfigError, match="say it once"):
            await rotate(client, "secret://other/DB", Values(), source="default")
        assert [manager.changes for manager in managers.values()] == [[], []]
        await rotate(client, "secret://other/DB", Values())
        assert managers["other"].values == {"DB": "canary-new-1"}
        await rotate(client, "FREE", Values(), source="default")
        assert managers["default"].values == {"DB": "canary-old", "FREE": "canary-new-1"}


async def test_two_secrets_whose_values_would_be_kept_under_one_name():
    """``a`` of ``DB``, and ``DB-a``: neither takes the other's value."""
    manager, consumer = Manager({"DB": '{"a": "canary-old"}', "DB-a": "canary-old"}), Consumer()
    consumer.failure = OSError()
    async with client_of(manager) as client:
        with pytest.raises(PartialRotationError):
            await rotate(client, "DB", Values(), field="a", set_at_consumer=consumer.set)
        consumer.failure = None
        with pytest.raises(ConflictError, match="somebody's"):
            await rotate(client, "DB-a", Values(), set_at_consumer=consumer.set)
        assert (await rotate(client, "DB", Values(), field="a", set_at_consumer=consumer.set)).equals("canary-new-1")
        assert (await rotate(client, "DB-a", Values())).equals("canary-new-1")
