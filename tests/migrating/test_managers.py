"""From and to every manager: what comes over, what is found before anything is written, and what stands in the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import (
    ConfigError,
    ConflictError,
    DecodeError,
    InvalidNameError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.migrating import Migration
from asyncsecrets.retry import RetryPolicy
from tests.managers import PATIENT, place  # noqa: F401  # a fixture
from tests.virtual_keys.support import Manager

PLAIN = {
    "app/API_KEY": "sk-canary-1",
    "app/Multi-line.pem": "-----BEGIN canary-----\nMII==\r\n\n-----END canary-----\n",
    "app/json": '{"user": "canary-user", "password": "canary\\n", "n": 1.10, "deep": {"a": [1, null]}}',
    "app/number": "0123456789012345678901234567890",
    "app/Umläut": "canary-ü \u2028 \U0001f511",
    "app/blank": " canary\t",
}
LARGEST = {"azure": 25_600, "aws": 65_536, "google": 65_536}


def values_under(prefix, values=PLAIN):
    """Under names that AWS has, too."""
    return {f"{prefix}/{name.replace('ä', 'a')}": value for name, value in values.items()}


def client_of(place, memory, **settings):  # noqa: F811
    """The memory is its default source, the manager another one."""
    document = {
        "general_settings": {
            "key_management_system": "memory",
            "key_management_settings": {"access_mode": "read_and_write"},
        },
        "asyncsecrets": {"sources": {"new": place.section(**settings)}},
    }
    providers = {"default": memory}
    return SecretsClient.from_config(document, environ=place.environ, providers=providers, retry=PATIENT)


async def test_there_and_back(place):  # noqa: F811
    """Planned, copied, and then there is nothing to do; and what comes back is what it was, to the last byte."""
    values = values_under("back")
    async with client_of(place, Manager(values)) as client:
        there = Migration(client, "default", "new", prefix="back/")
        assert (await there.plan()).counts == {"create": len(values)}
        assert (await there.apply()).counts == {"created": len(values)}
        assert (await there.plan()).counts == (await there.apply()).counts == {"equal": len(values)}
        async with SecretsClient.from_provider(returned := Manager(), environ={}) as other:
            back = Migration(client, "new", None, to_client=other, prefix="back/")
            assert (await back.apply()).counts == {"created": len(values)}
    assert returned.values == values


async def test_what_it_cannot_keep_stands_in_the_plan(place):  # noqa: F811
    """And is a failure of its own: the rest comes over."""
    most = LARGEST.get(place.kind)
    values = {"keep/bytes": b"canary\xff", "keep/empty": "", "keep/fits": "canary".ljust(most or 9)}
    values |= {} if most is None else {"keep/large": "canary".ljust(most + 1)}
    refused = {
        "vault 1": {"bytes"},
        "vault 2": {"bytes"},
        "azure": {"bytes", "large"},
        "aws": {"empty", "large"},
        "google": {"empty", "large"},
        "local": set(),
    }[place.kind]
    async with client_of(place, Manager(values)) as client:
        migration = Migration(client, "default", "new", prefix="keep/")
        for report in (await migration.plan(), await migration.apply()):
            assert {step.name.removeprefix("keep/") for step in report.open} == refused
            for step in report.open:
                assert step.state == "failed"
                assert isinstance(step.error, DecodeError | UnsupportedOperationError)
                assert "canary" not in step.note
        assert (await Migration(client, "default", "new", names=["keep/fits"]).plan()).counts == {"equal": 1}


async def test_what_was_deleted_there(place):  # noqa: F811
    """It is made anew, which the plan says if the manager does; a name that is taken for a while says what helps."""
    async with client_of(place, Manager({"gone/A": "canary-new"})) as client:
        await client.put("gone/A", "canary-old", source="new")
        await client.delete("gone/A", source="new")
        migration = Migration(client, "default", "new", prefix="gone/")
        [planned] = (await migration.plan()).steps
        assert planned.state == "create"
        told = {"vault 2": "deleted", "local": "deleted", "aws": "pending deletion"}.get(place.kind)
        assert planned.note == (f"what is there is {told}" if told else "")
        [done] = (await migration.apply()).steps
        if not place.keeps_deleted:
            assert done.state == "created"
            return
        assert (done.state, type(done.error)) == ("conflict", ConflictError)
        assert "recover_deleted" in done.note
        assert "somebody else" not in done.note
    async with client_of(place, Manager({"gone/A": "canary-new"}), recover_deleted="true") as client:
        assert (await Migration(client, "default", "new").apply()).counts == {"created": 1}
        assert (await client.get("gone/A", source="new")).equals("canary-new")


async def test_an_object_and_the_same_in_another_order(place):  # noqa: F811
    """Vault has an object where the others have its text: they are equal whatever the order, and no value is taken for
    another one that Python finds equal."""
    settings = {"secret_field": ""} if place.system == "hashicorp_vault" else {}
    origin = Manager({"order/A": '{"b": 1.10, "a": true}'})
    async with client_of(place, origin, **settings) as client:
        await client.put("order/A", '{"a":true,"b":1.1}', source="new")
        migration = Migration(client, "default", "new", prefix="order/")
        origin.set("order/B", '{"z": 1.10, "a": [{"c": 1, "b": null}]}')
        state = "equal" if settings else "conflict"
        assert (await migration.plan()).counts == {state: 1, "create": 1}
        assert (await migration.apply()).counts == {state: 1, "created": 1}
        assert (await Migration(client, "default", "new", names=["order/B"]).apply()).counts == {"equal": 1}
        for other in ('{"b":1.1,"a":1}', '{"b":1.1000000000000001,"a":true}', '{"a":true}'):
            origin.set("order/A", other)
            assert (await migration.plan()).counts == {"conflict": 1, "equal": 1}


@pytest.mark.parametrize("place", ["azure"], indirect=True)
async def test_names_that_azure_does_not_tell_apart(place):  # noqa: F811
    """They are told of before anything is written, whatever their case; so is a name whose place another one has."""
    origin = Manager(dict.fromkeys(["A_B", "a-b", "c-d", "other"], "canary"))
    async with client_of(place, origin) as client:
        await client.put("C_D", "canary-theirs", source="new")
        planned = await Migration(client, "default", "new").plan()
        assert {step.name: step.state for step in planned.steps} == {
            "A_B": "collision",
            "a-b": "collision",
            "c-d": "invalid",
            "other": "create",
        }
        assert isinstance(planned.steps[2].error, InvalidNameError)
        assert "'C_D'" in planned.steps[2].note
        with pytest.raises(ConfigError, match="'A_B' as 'A_B': the same name as 'a-b'"):
            await Migration(client, "default", "new").apply()
        done = await Migration(client, "default", "new", names=["c-d", "other", "A_B"]).apply()
        assert {step.name: step.state for step in done.open} == {"c-d": "invalid"}
        renamed = await Migration(client, "default", "new", names=["c-d"], rename={"c-d": "c-d-2"}).apply()
        assert renamed.counts == {"created": 1}


@pytest.mark.parametrize("place", ["azure"], indirect=True)
@pytest.mark.parametrize(
    ("facts", "why"),
    [({"enabled": False}, "disabled"), ({"exp": 1_000_000_000}, "expired"), ({"nbf": 4_000_000_000}, "not yet valid")],
)
async def test_versions_that_azure_keeps_and_nobody_is_to_have(place, facts, why):  # noqa: F811
    """At the origin there is nothing to copy; at the target it is no value that would have to be overwritten."""
    name = why.replace(" ", "-")
    place.server.add(name, "canary-old", attributes=facts)
    async with client_of(place, Manager({name: "canary-new"})) as client:
        [step] = (await Migration(client, "new", "default", names=[name]).plan()).steps
        assert (step.state, step.note) == ("gone", f"it has no current value ({why})")
        migration = Migration(client, "default", "new", names=[name])
        for report, state in ((await migration.plan(), "create"), (await migration.apply(), "created")):
            assert [(step.state, step.note) for step in report.steps] == [(state, f"what is there is {why}")]
        assert (await client.get(name, source="new")).equals("canary-new")


@pytest.mark.parametrize("place", ["google"], indirect=True)
async def test_a_google_secret_without_a_version_and_one_that_is_disabled(place):  # noqa: F811
    """That a secret is there does not say that its value is."""
    names = ["bare", "off", "new"]
    async with client_of(place, Manager(dict.fromkeys(names, "canary"))) as client:
        place.server.add("new", "canary-old")
        next(secret for name, secret in place.server._store.secrets.items() if name.endswith("/new")).versions.clear()
        for name in ("bare", "off"):
            version = (await client.put(name, "canary-old", source="new")).version
            change = client.destroy if name == "bare" else client.delete
            await change(name, versions=[version], source="new")
        there = Migration(client, "new", "default", names=names)
        assert {step.name: step.note for step in (await there.plan()).steps} == {
            "new": "it has no current value (absent)",
            "bare": "it has no current value (destroyed)",
            "off": "it has no current value (disabled)",
        }
        back = Migration(client, "default", "new", names=names)
        assert (await back.apply()).counts == {"created": 3}
        assert (await back.apply()).counts == {"equal": 3}


@pytest.mark.parametrize("place", ["google"], indirect=True)
async def test_where_the_newest_is_told_late(place):  # noqa: F811
    """What was written a moment ago is not written again: each number is asked for until there is no more."""
    values = values_under("late")
    async with client_of(place, Manager(values)) as client:
        migration = Migration(client, "default", "new", prefix="late/", overwrite=True)
        await migration.apply()
        place.server.lag(1e6)
        try:
            newer = Manager({name: f"canary {value}" for name, value in values.items()})
            async with SecretsClient.from_provider(newer, environ={}) as other:
                again = Migration(other, None, "new", to_client=client, prefix="late/", overwrite=True)
                assert (await again.apply()).counts == {"replaced": len(values)}
                assert (await again.apply()).counts == {"equal": len(values)}
        finally:
            place.server.lag(0)


@pytest.mark.parametrize("place", ["azure"], indirect=True)
async def test_a_region_that_lags(place):  # noqa: F811
    """What cannot be read back is not said to be done; the next one finds it there, and writes nothing twice."""
    document = {"general_settings": place.section()}
    origin, once = Manager({"region/A": "canary"}), RetryPolicy(attempts=1)
    async with (
        SecretsClient.from_provider(origin, environ={}) as one,
        SecretsClient.from_config(document, environ=place.environ, retry=once) as other,
    ):
        migration = Migration(one, None, None, to_client=other)
        place.server.freeze()
        try:
            [step] = (await migration.apply()).steps
        finally:
            place.server.lag(0)
        assert (step.state, type(step.error)) == ("failed", UnavailableError)
        assert (await migration.apply()).counts == {"equal": 1}
        assert len(await other.versions("region/A")) == 1


@pytest.mark.parametrize("place", ["vault 1", "vault 2"], indirect=True)
async def test_a_secret_and_a_folder_of_one_name_and_one_that_holds_data(place):  # noqa: F811
    """All of them come over, each as it is."""
    held = {"data": {"data": {"inner": "canary"}, "metadata": {"version": 3}}, "n": 3}
    for path, document in {"tree": {"key": "canary-1"}, "tree/leaf": {"key": "canary-2"}, "tree/data": held}.items():
        is_first = place.kind == "vault 1"
        place.server.call(
            "update", *((f"kv/{path}", document) if is_first else (f"kv/data/{path}", {"data": document}))
        )
    async with client_of(place, target := Manager()) as client:
        assert (await Migration(client, "new", "default", prefix="tree").apply()).counts == {"created": 3}
    assert target.values["tree"] == "canary-1"
    assert target.values["tree/leaf"] == "canary-2"
    assert json.loads(target.values["tree/data"]) == held


async def test_within_one_source(place):  # noqa: F811
    """A copy under other names; never over one that is to be copied itself."""
    async with client_of(place, Manager()) as client:
        for name in ("one/a", "one/b"):
            await client.put(name, f"canary-{name}", source="new")
        copied = Migration(client, "new", "new", prefix="one/", rename={"one/*": "two/*"})
        assert (await copied.apply()).counts == {"created": 2}
        crossing = {"one/a": "one/b", "one/b": "one/c"}
        with pytest.raises(ConfigError, match="to be copied itself"):
            await Migration(client, "new", "new", prefix="one/", rename=crossing, overwrite=True).apply()
        assert (await client.get("one/b", source="new")).equals("canary-one/b")


def test_the_clock_of_the_fakes_is_the_machines():
    """The dates above are before and after any time at which this runs."""
    assert 1_000_000_000 < datetime.now(UTC).timestamp() < 4_000_000_000
