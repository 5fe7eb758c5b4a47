"""Copying between two sources: what is there afterwards, what is not written twice, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import (
    AccessDeniedError,
    AccessModeError,
    ConfigError,
    ConflictError,
    IntegrityError,
    UnavailableError,
)
from asyncsecrets.migrating import Migration
from asyncsecrets.migrating.names import renamed, rules_of
from asyncsecrets.providers.base import SecretMetadata
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.secret import Secret
from asyncsecrets.testing.vault_server import VaultServer
from tests.virtual_keys.support import Manager, Plain, Unversioned

NAMES = [f"app/{number:02}" for number in range(12)]


def values(names=NAMES):
    return {name: f"canary-{name}" for name in names}


def memory(**settings):
    return {"key_management_system": "memory", "key_management_settings": settings}


def client_of(origin, target, **settings):
    """A client of two sources, which need no settings: their providers are given."""
    document = {
        "general_settings": memory(access_mode="read_only"),
        "asyncsecrets": {"sources": {"new": memory(**{"access_mode": "read_and_write", **settings})}},
    }
    return SecretsClient.from_config(
        document, environ={}, providers={"default": origin, "new": target}, retry=RetryPolicy(attempts=1)
    )


async def migrated(origin, target, *, plan=False, **options):
    async with client_of(origin, target) as client:
        migration = Migration(client, "default", "new", **options)
        return await (migration.plan() if plan else migration.apply())


@pytest.fixture(params=[Manager, Plain, Unversioned], ids=lambda kind: kind.__name__)
def target(request):
    return request.param()


async def test_planned_then_done_then_nothing_to_do(target):
    """The plan writes nothing; all is copied; and what is equal gets no second version."""
    origin = Manager(values())
    planned = await migrated(origin, target, plan=True)
    assert (planned.counts, planned.applied, target.changes) == ({"create": 12}, False, [])
    done = await migrated(origin, target)
    assert (done.counts, done.open) == ({"created": 12}, ())
    assert target.values == values()
    again = await migrated(origin, target)
    assert again.counts == {"equal": 12}
    assert len(target.changes) == 12
    assert origin.changes == []
    assert "canary" not in repr((planned, done, again))


async def test_another_value_stays_unless_it_is_to_be_overwritten(target):
    """A conflict is told of, and the rest is copied."""
    origin = Manager(values())
    target.set(NAMES[3], "canary-own")
    done = await migrated(origin, target)
    assert (done.counts, [step.name for step in done.open]) == ({"conflict": 1, "created": 11}, [NAMES[3]])
    assert target.values[NAMES[3]] == "canary-own"
    assert (await migrated(origin, target, plan=True, overwrite=True)).counts == {"equal": 11, "replace": 1}
    assert (await migrated(origin, target, overwrite=True)).counts == {"equal": 11, "replaced": 1}
    assert target.values == values()


@pytest.mark.parametrize("after", [0, 1, 2, 3, 5, 8, 20])
async def test_cut_off_and_gone_on_with(target, after):
    """After it was cut off anywhere, the next one brings all of it over, and nothing twice."""

    def fail(operation, name):
        cut = len(target.calls) > after
        return UnavailableError("memory: gone", provider="memory", name=name) if cut else None

    origin, target.fail = Manager(values()), fail
    first = await migrated(origin, target, concurrency=4)
    assert first.counts.get("created", 0) <= len(target.values) < 12
    target.fail = lambda operation, name: None
    assert (await migrated(origin, target)).open == ()
    assert target.values == values()
    assert {name: len(kept) for name, kept in target._secrets.items()} == dict.fromkeys(NAMES, 1)


async def test_written_by_somebody_else_meanwhile():
    """Between the look and the write: theirs stays."""
    origin, target = Manager({"A": "canary-1"}), Manager()

    def fail(operation, name):
        if operation == "put" and not target._secrets:
            target.set("A", "canary-theirs")

    target.fail = fail
    [step] = (await migrated(origin, target)).steps
    assert (step.state, type(step.error)) == ("conflict", ConflictError)
    assert target.values == {"A": "canary-theirs"}


async def test_what_is_read_back_is_something_else():
    """A manager that keeps what it was not given is found out."""

    class Forgetful(Manager):
        def set(self, name, payload):
            return super().set(name, f"{payload}-cut"[:-6])

    [step] = (await migrated(Manager({"A": "canary-long"}), Forgetful())).steps
    assert (step.state, type(step.error)) == ("failed", IntegrityError)
    assert "canary" not in step.note


async def test_names():
    """Rules hold in order, and keep what the * stands for."""
    rules = rules_of({"app/db": "db", "app/*-key": "keys/*", "app/*": "prod/*"})
    names = ["app/db", "app/db2", "app/x-key", "app/-key", "app-key", "other"]
    assert [renamed(name, rules) for name in names] == ["db", "prod/db2", "keys/x", "keys/", "app-key", "other"]
    done = await migrated(Manager(values()), target := Manager(), rename={"app/*": "prod-*"}, prefix="app/0")
    assert done.counts == {"created": 10}
    assert sorted(target.values) == [f"prod-0{number}" for number in range(10)]


@pytest.mark.parametrize("rule", [("", "x"), ("x", ""), ("a*", "b"), ("a", "b*"), ("a**", "b**")])
def test_no_rule(rule):
    with pytest.raises(ConfigError, match="cannot become"):
        rules_of(dict([rule]))


async def test_names_that_meet_or_cannot_be():
    """They are told of before anything is written."""
    origin, target = Manager(values(["a/x", "b/x", "c", "d"])), Manager()
    rename = {"a/*": "*", "b/*": "*", "d": "d\x00"}
    planned = await migrated(origin, target, plan=True, rename=rename)
    assert {step.name: step.state for step in planned.steps} == {
        "a/x": "collision",
        "b/x": "collision",
        "c": "create",
        "d": "invalid",
    }
    assert len(planned.open) == 3
    with pytest.raises(ConfigError, match="nothing was written") as caught:
        await migrated(origin, target, rename=rename)
    assert "'a/x' as 'x': the same name as 'b/x'" in str(caught.value)
    assert target.changes == []
    with pytest.raises(ConfigError, match="the manager cannot have such a name"):
        await migrated(origin, target, rename={"d": "d\x00"})
    assert target.changes == []


async def test_chosen_names_and_what_is_gone():
    """A name that is given and not there is no failure of the others."""
    origin = Manager(values(["a", "b", "c"]))
    done = await migrated(origin, target := Manager(), names=["a", "b", "nothing"])
    assert done.counts == {"created": 2, "gone": 1}
    assert sorted(target.values) == ["a", "b"]


@pytest.mark.parametrize(("concurrency", "failed"), [(1, 20), (20, 100)])
async def test_a_manager_that_is_down_is_not_asked_for_each(concurrency, failed):
    """It is given up, after more than one round of those under way, and nothing is said to be done."""
    origin, target = Manager(values(map(str, range(130)))), Manager()
    target.fail = lambda operation, name: UnavailableError("memory: down", provider="memory", name=name)
    done = await migrated(origin, target, concurrency=concurrency)
    assert failed <= done.counts["failed"] < failed + concurrency
    assert done.counts["failed"] + done.counts["untried"] == 130 == len(done.open)


async def test_what_fails_does_not_stop_the_rest():
    origin, target = Manager(values()), Manager()

    def fail(operation, name):
        is_one = operation == "put" and name in NAMES[::2]
        return UnavailableError("memory: down", provider="memory", name=name) if is_one else None

    target.fail = fail
    done = await migrated(origin, target)
    assert done.counts == {"created": 6, "failed": 6}
    target.fail = lambda operation, name: None
    assert (await migrated(origin, target)).counts == {"created": 6, "equal": 6}


async def test_access_modes():
    """What may not be written or read is refused before anything is sent; write_only is enough for a target."""
    origin, target = Manager(values()), Manager()
    async with client_of(origin, target, access_mode="write_only") as client:
        assert (await Migration(client, "default", "new").apply()).counts == {"created": 12}
        calls = len(target.calls), len(origin.calls)
        with pytest.raises(AccessModeError, match="read_only"):
            await Migration(client, "new", "default").apply()
        with pytest.raises(AccessModeError, match="write_only"):
            await Migration(client, "new", "default", rename={"*": "x*"}).plan()
        assert (len(target.calls), len(origin.calls)) == calls


async def test_refused():
    async with client_of(Manager(), Manager()) as client:
        for options in ({"concurrency": 0}, {"names": "abc"}, {"target": "default"}):
            with pytest.raises(ConfigError):
                Migration(client, "default", **{"target": "new", **options})


async def test_to_another_client_and_heard():
    """Two configurations; and each step is heard of."""
    heard = []
    async with (
        SecretsClient.from_provider(Manager(values()), environ={}) as one,
        SecretsClient.from_provider(target := Manager(), environ={}) as other,
    ):
        migration = Migration(one, None, None, to_client=other)
        await migration.apply(lambda step, done, total: heard.append((step.name, done, total)))
        await asyncio.sleep(0)
        assert [source.secrets for source in other.status()] == [(), ()]  # nobody reads them: none is to be renewed
    assert [(done, total) for _, done, total in heard] == [(number, 12) for number in range(1, 13)]
    assert sorted(name for name, _, _ in heard) == NAMES
    assert target.values == values()


@pytest.fixture(scope="module")
def vaults():
    with VaultServer().run_in_thread() as one, VaultServer().run_in_thread() as other:
        yield one, other


def of_vault(server, **settings):
    own = {"addr": server.url, "token": server.root_token, "access_mode": "read_and_write", **settings}
    return {"key_management_system": "hashicorp_vault", "key_management_settings": own}


async def test_objects_of_vault(vaults):
    """An object is carried over with all its members; to a manager that has none, as JSON text; and never twice."""
    one, other = vaults
    one.write_secret("plain", {"key": "canary-plain"})
    one.write_secret("object", {"user": "canary-user", "password": "canary-password"})
    one.write_secret("more", {"key": "canary-key", "n": 1})
    document = {"general_settings": of_vault(one), "asyncsecrets": {"sources": {"new": of_vault(other)}}}
    async with SecretsClient.from_config(document, environ={}) as client:
        await client.put("taken away", "canary", source="default")
        await client.delete("taken away", source="default")
        await client.write_metadata("plain", custom={"owner": "team-a"}, source="default")
        migration = Migration(client, "default", "new")
        assert (await migration.apply()).counts == {"created": 3, "gone": 1}
        for name in ("plain", "object", "more"):
            assert other.read_secret(name) == one.read_secret(name)
        assert (await client.metadata("plain", source="new")).custom == {"owner": "team-a"}
        assert (await migration.apply()).counts == {"equal": 3, "gone": 1}
        one.write_secret("object", {"password": "canary-password", "user": "canary-user-2"})
        assert (await migration.apply()).counts == {"conflict": 1, "equal": 2, "gone": 1}
        assert (await Migration(client, "default", "new", overwrite=True).apply()).counts["replaced"] == 1
        assert other.read_secret("object") == {"password": "canary-password", "user": "canary-user-2"}
        assert len(await client.versions("object", source="new")) == 2
        target = Manager()
        async with SecretsClient.from_provider(target, environ={}) as memory:
            to_memory = Migration(client, "default", None, to_client=memory)
            assert (await to_memory.apply()).counts == {"created": 3, "gone": 1}
            assert (await to_memory.apply()).counts == {"equal": 3, "gone": 1}
            assert (await memory.get("plain")).equals("canary-plain")
            assert (await memory.get("more", field="key")).equals("canary-key")


async def test_metadata_is_copied_by_the_next_run_and_overwrites_nothing(vaults):
    """Where the one before ended between the value and its metadata."""
    one, other = vaults
    document = {"general_settings": of_vault(one), "asyncsecrets": {"sources": {"new": of_vault(other)}}}
    async with SecretsClient.from_config(document, environ={}) as client:
        for source in ("default", "new"):
            await client.put("described", "canary-same", source=source)
        await client.write_metadata("described", custom={"owner": "a", "tier": "1"}, source="default")
        await client.write_metadata("described", custom={"owner": "b"}, source="new")
        done = await Migration(client, "default", "new", names=["described"]).apply()
        assert done.counts == {"equal": 1}
        assert (await client.metadata("described", source="new")).custom == {"owner": "b", "tier": "1"}
        await Migration(client, "default", "new", names=["described"], overwrite=True).apply()
        assert (await client.metadata("described", source="new")).custom == {"owner": "a", "tier": "1"}


async def test_metadata_that_cannot_be_copied_undoes_no_copy():
    """The value is there, and a note says what is not."""

    class Described(Manager):
        async def metadata(self, name):
            return SecretMetadata("1", (), None, None, custom={"owner": "a"} if self is origin else {})

        async def write_metadata(self, name, **changes):
            raise AccessDeniedError("memory: denied", provider="memory", name=name)

    origin, target = Described({"A": "canary"}), Described()
    [step] = (await migrated(origin, target)).steps
    assert (step.state, step.note) == ("created", "its metadata was not copied: memory: denied")
    assert target.values == {"A": "canary"}


async def test_bytes_and_text():
    """What is stored is the very same bytes; Secret compares them."""
    origin = Manager({"a": b"canary\xff", "b": "canary\n", "c": '{"key": "canary"}'})
    await migrated(origin, target := Manager())
    assert target.values == origin.values
    assert Secret(target.values["b"], name="b").equals("canary\n")
