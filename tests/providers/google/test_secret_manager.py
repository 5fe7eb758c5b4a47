"""What the provider asks of Secret Manager, and what it makes of the answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from asyncsecrets.errors import (
    AccessDeniedError,
    ClosedError,
    ConfigError,
    ConflictError,
    DecodeError,
    IntegrityError,
    MalformedResponseError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.google.documents import CLAIM, names_of, versions_of
from asyncsecrets.providers.google.names import Names
from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.support import PROJECT, Clock, provider_at

NOW = 1_800_000_000.0
HOUR = 3600.0


@pytest.fixture
async def server():
    async with GoogleServer(clock=lambda: NOW) as server:
        yield server


@pytest.fixture
def clock():
    """The provider's monotonic clock."""
    return Clock(0.0)


@pytest.fixture
async def build(server, clock):
    """Make an open provider; it is closed afterwards."""
    opened = []

    async def build(**more):
        provider = provider_at(server, clock, **more)
        opened.append(provider)
        await provider.open()
        return provider

    yield build
    for provider in opened:
        await provider.aclose()


@pytest.fixture
async def provider(build):
    return await build()


def asked(server):
    """The operations that were asked for, in order."""
    return [record.method for record in server.requests]


def about(server, name, location=""):
    """What the server keeps of a secret."""
    place = f"projects/{server.number}" + (f"/locations/{location}" if location else "")
    return server._store.secrets[f"{place}/secrets/{name}"].about


# -- reading


async def test_one_read_is_one_call(server, provider):
    """Also where the value is bytes; text is text."""
    server.add("TEXT", "canary ä")
    server.add("BYTES", b"canary \xff")
    assert (await provider.get("TEXT")).reveal() == "canary ä"
    found = await provider.get("BYTES")
    assert (found.reveal_bytes(), found.is_binary, found.version) == (b"canary \xff", True, "1")
    assert asked(server) == ["AccessSecretVersion"] * 2


async def test_versions_by_number_and_alias(server, provider):
    """Each is what it is called, and the number is what it is."""
    server.add("A", "canary 1")
    server.add("A", "canary 2")
    about(server, "A").version_aliases["stable"] = 1
    server._store.changed(about(server, "A").name)
    for version, number in [("1", "1"), ("2", "2"), ("stable", "1"), ("latest", "2"), (None, "2")]:
        found = await provider.get("A", version)
        assert (found.version, found.equals(f"canary {number}")) == (number, True)


async def test_secrets_of_another_project(server, provider):
    """By their resource names, read and written."""
    server.add_project("other-project", "99")
    server.add("A", "canary", project="other-project")
    assert (await provider.get("projects/other-project/secrets/A")).equals("canary")
    assert (await provider.get("projects/99/secrets/A", "1")).equals("canary")
    await provider.put("projects/other-project/secrets/B", "canary b")
    assert server.value("B", project="other-project") == b"canary b"
    with pytest.raises(SecretNotFoundError):
        await provider.get("A")


async def test_regional_secrets(server, build):
    """The source's own, and by resource name from any source."""
    provider = await build(location="europe-west3", kms_key_id="projects/p/locations/{region}/keyRings/r/cryptoKeys/k")
    await provider.put("A/b", "canary")
    assert (await provider.get("A/b")).equals("canary")
    assert await provider.list("A/") == ["A/b"]
    secret = about(server, "A-x2F-b", "europe-west3")
    assert "locations/europe-west3/keyRings" in secret.customer_managed_encryption.kms_key_name
    other = await build()
    assert await other.list() == []
    name = f"projects/{PROJECT}/locations/europe-west3/secrets/A-x2F-b"
    assert (await other.get(name)).equals("canary")
    asked = [list(each._connection._channels._lines) for each in (provider, other)]
    assert asked == [["europe-west3"], ["", "europe-west3"]]


@pytest.mark.parametrize("damage", ["payload", "checksum"])
async def test_a_flipped_bit_is_never_a_value(server, provider, damage):
    """Of the value, or of its checksum."""
    server.add("A", "canary")
    server.faults.corrupt(damage, times=1)
    with pytest.raises(IntegrityError, match="'A'"):
        await provider.get("A")
    assert (await provider.get("A")).equals("canary")
    assert provider.remarks == ()


async def test_what_comes_without_a_checksum_is_served_and_said(server, provider):
    """What stands between may not know the field."""
    server.add("A", "canary")
    server.faults.corrupt("no_checksum", times=2)
    for _ in range(3):
        assert (await provider.get("A")).equals("canary")
    assert provider.remarks == ("answers without a checksum, which were served unchecked: 2",)


async def test_an_answer_about_another_secret_is_refused(server, provider):
    """For every operation that names one."""
    server.add("A", "canary")
    server.faults.corrupt("name")
    for call in (provider.get("A"), provider.metadata("A")):
        with pytest.raises(MalformedResponseError, match="another"):
            await call
    for call in (
        provider.put("A", "canary 2"),
        provider.put("B", "canary 2"),
        provider.delete_versions("A", ["1"]),
        provider.destroy("A", ["1"]),
    ):
        with pytest.raises(MalformedResponseError, match="another") as caught:
            await call
        assert caught.value.outcome_unknown or caught.value.name == "B"  # of which only the secret was created


async def test_an_answer_about_another_version_is_refused(server, provider, monkeypatch):
    """Whoever asks for a number gets that one."""
    server.add("A", "canary 1")
    server.add("A", "canary 2")
    monkeypatch.setattr(server._secrets, "access_secret_version", _always(server._secrets.access_secret_version, "2"))
    with pytest.raises(MalformedResponseError, match="another version"):
        await provider.get("A", "1")
    assert (await provider.get("A", "2")).equals("canary 2")


def _always(access, number):
    def changed(request):
        request.name = request.name.rpartition("/")[0] + f"/{number}"
        return access(request)

    return changed


@pytest.mark.parametrize("resource", ["projects/1/secrets/B/versions/1", "projects/1/secrets/A", "", "A", "é"])
def test_a_list_of_other_things_is_refused(resource):
    """As the other answers are."""
    target = Names(PROJECT, "").target("A")
    with pytest.raises(MalformedResponseError):
        versions_of(target, SimpleNamespace(versions=[SimpleNamespace(name=resource, state=1)]))
    with pytest.raises(MalformedResponseError):
        names_of(
            replace(target, location="l"),
            Names(PROJECT, "l"),
            SimpleNamespace(secrets=[SimpleNamespace(name=resource)]),
        )


# -- states


async def test_states_have_their_reasons(server, build):
    """Disabled and destroyed are told by Google; that it is to be destroyed, by the version."""
    provider = await build(version_destroy_ttl=86_400.0)
    for number in ("1", "2", "3"):
        await provider.put("A", f"canary {number}")
    server.add("B", "canary")
    await provider.delete_versions("A", ["1"])
    await provider.destroy("A", ["2"])
    await provider.destroy("B", ["1"])
    for name, version, reason in (("A", "1", "disabled"), ("A", "2", "pending_deletion"), ("B", "1", "destroyed")):
        with pytest.raises(SecretNotFoundError) as caught:
            await provider.get(name, version)
        assert (caught.value.reason, caught.value.version) == (reason, version)
    states = [(info.version, info.state, info.current) for info in await provider.versions("A")]
    assert states == [("1", "disabled", False), ("2", "pending_deletion", False), ("3", "enabled", True)]
    server.deny("secretmanager.versions.get")
    with pytest.raises(SecretNotFoundError) as caught:
        await provider.get("A", "2")
    assert caught.value.reason == "disabled"  # who may not look is told what Google says


async def test_a_last_version_that_is_disabled_is_what_there_is(server, provider):
    """Google serves no older one in its place, and neither does the provider."""
    server.add("A", "canary 1")
    await provider.put("A", "canary 2")
    await provider.delete_versions("A", ["2"])
    for read in (provider.get, provider.get_current):
        with pytest.raises(SecretNotFoundError) as caught:
            await read("A")
        assert (caught.value.reason, caught.value.version) == ("disabled", "2")
    await provider.restore("A")
    assert (await provider.get("A")).equals("canary 2")


async def test_a_scheduled_destruction_is_taken_back(server, build):
    """By restoring the version, until it is done."""
    provider = await build(version_destroy_ttl=86_400.0)
    await provider.put("A", "canary")
    await provider.destroy("A")
    await provider.put("A", "canary again")
    await provider.destroy("A", ["1"])
    await provider.restore("A")
    assert (await provider.get("A")).equals("canary again")
    await provider.destroy("A", ["1"])
    server.advance(86_401)
    with pytest.raises(SecretNotFoundError) as caught:
        await provider.restore("A", ["1"])
    assert caught.value.reason == "destroyed"


async def test_another_failed_precondition_is_no_absence(server, provider):
    """A key of KMS that is disabled hides a value, and does not remove it."""
    server.add("A", "canary")
    server.faults.status("FAILED_PRECONDITION", "Key [projects/p/…/cryptoKeys/k] is in DISABLED state.", times=1)
    with pytest.raises(AccessDeniedError, match="key of KMS"):
        await provider.get("A")


@pytest.mark.parametrize("version", ["0", "a b", "", "1/../2", "x" * 99])
async def test_what_no_version_is_called_is_absent(server, provider, version):
    """And nothing is sent."""
    with pytest.raises(SecretNotFoundError, match="no version can be called"):
        await provider.get("A", version)
    assert not server.requests


# -- writing


async def test_a_put_that_creates(server, build):
    """With what the settings give to new secrets; who has it already is sent the version only."""
    provider = await build(
        tags={"team": "a"}, annotations={"owner": "Bo"}, ttl=90_000.0, version_destroy_ttl=86_400.5, kms_key_id="k"
    )
    written = await provider.put("A", "canary")
    secret = about(server, "A")
    assert (dict(secret.labels), dict(secret.annotations)) == ({"team": "a"}, {"owner": "Bo"})
    assert secret.version_destroy_ttl.ToNanoseconds() == 86_400_500_000_000
    assert secret.replication.automatic.customer_managed_encryption.kms_key_name == "k"
    assert written.version == "1"
    assert written.expires == datetime.fromtimestamp(NOW + 90_000, UTC)
    before = len(server.requests)
    assert (await provider.put("A", b"canary \xff")).version == "2"
    assert asked(server)[before:] == ["AddSecretVersion"]
    assert server.value("A") == b"canary \xff"


async def test_replicas(server, build):
    """Where they are, with their keys."""
    key = "projects/p/locations/{region}/keyRings/r/cryptoKeys/k"
    provider = await build(replica_regions=("us-east1", "us-west1"), kms_key_id=key)
    await provider.put("A", "canary")
    replicas = about(server, "A").replication.user_managed.replicas
    found = [(replica.location, replica.customer_managed_encryption.kms_key_name) for replica in replicas]
    assert found == [(place, key.replace("{region}", place)) for place in ("us-east1", "us-west1")]


def test_a_location_has_no_replicas(server):
    """It is said when it is made."""
    with pytest.raises(ConfigError, match="replica_regions"):
        provider_at(server, location="europe-west3", replica_regions=("us-east1",))


async def test_no_project(server, build):
    """Neither in the settings nor in the credentials: said with what to set, before anything is asked."""
    provider = await build(project="")
    for call in (partial(provider.get, "A"), provider.list, partial(provider.put, "A", "canary")):
        with pytest.raises(ConfigError, match="GOOGLE_SECRET_MANAGER_PROJECT_ID"):
            await call()
    assert not server.requests


@pytest.mark.parametrize("payload", ["", "x" * 65_537, b"canary" * 11_000, "canary \ud800"])
async def test_what_google_cannot_keep_is_refused_before_it_is_sent(server, provider, payload):
    """Too little, too much, no text."""
    with pytest.raises(DecodeError):
        await provider.put("A", payload)
    assert not server.requests


async def test_what_is_damaged_on_its_way_there_is_not_written(server, provider, monkeypatch):
    """Google compares it with the checksum that goes with it."""
    server.add("A", "canary")
    monkeypatch.setattr("asyncsecrets.providers.google.operations.crc32c", lambda _: 1)
    with pytest.raises(IntegrityError) as caught:
        await provider.put("A", "canary 2")
    assert not caught.value.outcome_unknown
    assert server.value("A") == b"canary"


async def test_two_who_create_at_once(server, provider):
    """One of them creates it, and both have added their version."""
    written = await asyncio.gather(*(provider.put("A", f"canary {number}") for number in range(5)))
    assert sorted(secret.version for secret in written) == ["1", "2", "3", "4", "5"]


async def test_a_put_after_one_that_stopped_half_way(server, provider):
    """It was created, and has no version: absent, and no obstacle, for ``cas`` neither."""
    server.faults.status("RESOURCE_EXHAUSTED", method="AddSecretVersion", skip=1, times=1)
    with pytest.raises(Exception, match="'A'"):
        await provider.put("A", "canary")
    with pytest.raises(SecretNotFoundError):
        await provider.get("A")
    assert (await provider.put("A", "canary", cas="0")).version == "1"


async def test_a_creation_that_is_not_answered_has_written_no_value(server, provider):
    """So the put may simply be made again."""
    server.faults.status("UNAVAILABLE", method="CreateSecret", when="after", times=1)
    with pytest.raises(UnavailableError) as caught:
        await provider.put("A", "canary")
    assert not caught.value.outcome_unknown
    assert (await provider.put("A", "canary")).version == "1"


async def test_an_addition_that_is_not_answered_says_so(server, provider):
    """It may have been made."""
    server.add("A", "canary")
    server.faults.status("UNAVAILABLE", method="AddSecretVersion", when="after", times=1)
    with pytest.raises(UnavailableError) as caught:
        await provider.put("A", "canary 2")
    assert caught.value.outcome_unknown
    assert (await provider.get_current("A")).equals("canary 2")


async def test_a_put_that_finds_nothing_after_it_created(server, provider):
    """It may be tried again."""
    server.faults.status("NOT_FOUND", method="AddSecretVersion", times=2)
    with pytest.raises(UnavailableError) as caught:
        await provider.put("A", "canary")
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize("versions", ["12", ["stable"], ["latest"], ["0"], ["1", ""]])
async def test_what_is_changed_is_given_by_number(server, provider, versions):
    """An alias may stand for another version by then, and a text is not a list of digits."""
    server.add("A", "canary")
    for change in (provider.delete_versions, provider.destroy, provider.restore):
        with pytest.raises(UnsupportedOperationError):
            await change("A", versions)
    assert not server.requests


# -- lists


async def test_lists_are_read_page_by_page(server, provider, monkeypatch):
    """However many there are; a page that fails is asked for again, and not those before it."""
    monkeypatch.setattr("asyncsecrets.providers.google.secret_manager._PAGE", 10)
    names = [f"team/{number:02}" for number in range(25)]
    for name in names:
        server.add(name.replace("/", "-x2F-"), "canary")
        server.add("other-" + name[-2:], "canary")
    server.faults.status("UNAVAILABLE", skip=2, times=1)
    with pytest.raises(UnavailableError, match="after 2 pages"):
        await provider.list("team/")
    assert await provider.list("team/") == names
    assert server.count("ListSecrets") == 4
    assert await provider.list("Team/") == []  # Google's filter takes it for the same
    assert len(await provider.list()) == 50


async def test_a_list_that_google_knows_no_more_is_read_anew(server, provider, monkeypatch):
    """A token of a page holds for a while."""
    monkeypatch.setattr("asyncsecrets.providers.google.secret_manager._PAGE", 1)
    for name in ("A", "B", "C"):
        server.add(name, "canary")
    server.faults.status("INVALID_ARGUMENT", skip=2, times=1)
    assert await provider.list() == ["A", "B", "C"]
    assert server.count("ListSecrets") == 6


async def test_a_list_after_a_write_is_read_anew(server, provider, monkeypatch):
    """What was read before may be older than what was written."""
    monkeypatch.setattr("asyncsecrets.providers.google.secret_manager._PAGE", 1)
    for name in ("A", "B"):
        server.add(name, "canary")
    server.faults.status("UNAVAILABLE", method="ListSecrets", skip=1, times=1)
    with pytest.raises(UnavailableError):
        await provider.list()
    await provider.put("C", "canary")
    assert await provider.list() == ["A", "B", "C"]


@pytest.mark.parametrize("end", ["closed", "abandoned"])
async def test_a_list_of_before_does_not_go_on(server, provider, monkeypatch, end):
    """A source that is opened anew may be of a child of a fork, a long time after."""
    monkeypatch.setattr("asyncsecrets.providers.google.secret_manager._PAGE", 1)
    for name in ("A", "B"):
        server.add(name, "canary")
    server.faults.status("UNAVAILABLE", method="ListSecrets", skip=1, times=1)
    with pytest.raises(UnavailableError):
        await provider.list()
    if end == "closed":
        await provider.aclose()
    else:
        provider.abandon()
    await provider.open()
    assert await provider.list() == ["A", "B"]
    assert server.count("ListSecrets") == 4


async def test_what_stands_in_the_header(server, provider):
    """Google routes a call by it, so it names what the call is about."""
    await provider.put("A", "canary", cas="0")
    await provider.write_metadata("A", custom={"a": "b"})
    await provider.get("A")
    await provider.list()
    found = {record.method: unquote(record.metadata["x-goog-request-params"]) for record in server.requests}
    secret = f"projects/{PROJECT}/secrets/A"
    assert found == {
        "CreateSecret": f"parent=projects/{PROJECT}",
        "AddSecretVersion": f"parent={secret}",
        "GetSecret": f"name={secret}",
        "UpdateSecret": f"secret.name={secret}",
        "AccessSecretVersion": f"name={secret}/versions/latest",
        "ListSecrets": f"parent=projects/{PROJECT}",
    }


async def test_which_endpoint_is_asked(server, build, monkeypatch):
    """That of the location that the secret is in, not of the source's."""
    asked_at = []
    provider = await build(location="europe-west3")
    channels = provider._connection._channels
    call = channels.call
    monkeypatch.setattr(channels, "call", lambda *a, **more: asked_at.append(a[0].location) or call(*a, **more))
    for name in ("A", f"projects/{PROJECT}/secrets/A", f"projects/{PROJECT}/locations/us-east1/secrets/A"):
        with pytest.raises(SecretNotFoundError):
            await provider.get(name)
    await provider.list()
    assert asked_at == ["europe-west3", "", "us-east1", "europe-west3"]


async def test_a_closed_provider_looks_for_no_project(build):
    """Whatever is asked of it."""
    provider = await build(project="")
    await provider.aclose()
    for call in (partial(provider.get, "A"), provider.list):
        with pytest.raises(ClosedError):
            await call()


async def test_ids_that_no_plain_name_leads_to(server, provider):
    """They are listed by resource names, which read them."""
    ids = {"a-x41-": b"canary 1", "projects-x2F-p-x2F-secrets-x2F-a": b"canary 2", "a-xFF-": b"canary 3"}
    for found, value in ids.items():
        server.add(found, value)
    listed = await provider.list()
    assert listed == sorted(f"projects/{PROJECT}/secrets/{found}" for found in ids)
    for name in listed:
        assert (await provider.get(name)).equals(ids[name.rpartition("/")[2]])
    assert await provider.list("projects/") == listed
    assert await provider.list("p") == listed
    assert await provider.list("a") == []


# -- what is asked of the secret itself


async def test_metadata(server, provider):
    """Annotations are what is custom; a claim is kept, and not shown."""
    await provider.put("A", "canary", cas="0")
    await provider.put("A", "canary 2")
    await provider.write_metadata("A", custom={"team": "a"})
    found = await provider.metadata("A")
    assert (found.current_version, found.custom, found.created) == (
        "2",
        {"team": "a"},
        datetime.fromtimestamp(NOW, UTC),
    )
    assert CLAIM in about(server, "A").annotations


@pytest.mark.parametrize("setting", [{"max_versions": 3}, {"cas_required": True}, {"delete_version_after": "1h"}])
async def test_metadata_that_google_has_not(server, provider, setting):
    """Refused as a whole."""
    server.add("A", "canary")
    with pytest.raises(UnsupportedOperationError):
        await provider.write_metadata("A", custom={"team": "a"}, **setting)
    assert not server.requests


async def test_metadata_that_somebody_else_changes_meanwhile(server, provider):
    """It is read again; whoever never gets through is told so."""
    server.add("A", "canary")
    server.faults.status("FAILED_PRECONDITION", method="UpdateSecret", times=2)
    await provider.write_metadata("A", custom={"team": "a"})
    assert about(server, "A").annotations["team"] == "a"
    server.faults.status("ABORTED", method="UpdateSecret")
    with pytest.raises(ConflictError):
        await provider.write_metadata("A", custom={"team": "b"})


async def test_an_end_is_looked_up_where_new_secrets_have_one(server, build, clock):
    """Once an hour, and again when it has come; whoever may not look serves without."""
    await (await build(ttl=1000.0)).put("A", "canary")
    server.requests.clear()
    provider = await build(ttl=1000.0)
    for _ in range(3):
        assert (await provider.get("A")).expires == datetime.fromtimestamp(NOW + 1000, UTC)
    assert server.count("GetSecret") == 1
    about(server, "A").expire_time.FromSeconds(int(NOW) + 5000)
    server._store.changed(about(server, "A").name)
    server.advance(1001)
    assert (await provider.get("A")).expires == datetime.fromtimestamp(NOW + 5000, UTC)
    clock.at += HOUR + 1
    server.deny("secretmanager.secrets.get")
    for _ in range(3):
        assert (await provider.get("A")).expires is None
    assert server.count("GetSecret") == 3
    server.advance(5000)
    with pytest.raises(SecretNotFoundError):
        await provider.get("A")


async def test_the_end_of_what_was_deleted_is_not_that_of_what_is_made_anew(server, build):
    """It is looked up again."""
    provider = await build(ttl=1000.0)
    await provider.put("A", "canary")
    await provider.delete("A")
    server.add("A", "canary anew")
    assert (await provider.get("A")).expires is None


async def test_no_end_is_looked_up_where_they_have_none(server, provider):
    """It would be a second call for nothing."""
    server.add("A", "canary")
    assert (await provider.get("A")).expires is None
    assert asked(server) == ["AccessSecretVersion"]


async def test_denied_is_not_absent(server, provider):
    """Google hides an absent project behind it."""
    server.add("A", "canary")
    server.deny()
    with pytest.raises(AccessDeniedError):
        await provider.get("A")
    with pytest.raises(AccessDeniedError):
        await provider.put("A", "canary")
