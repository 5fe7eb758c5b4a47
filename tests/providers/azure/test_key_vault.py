"""Key Vault through its provider: values and dates, whose a name is, what is deleted, lists, damaged answers."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import UTC, datetime

import pytest

from asyncsecrets import retry
from asyncsecrets.errors import (
    AccessDeniedError,
    ConfigError,
    ConflictError,
    DecodeError,
    InvalidNameError,
    MalformedResponseError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.azure import AzureKeyVaultProvider, AzureSettings, key_vault
from asyncsecrets.providers.azure.documents import Facts
from asyncsecrets.testing.azure_server import AzureServer
from tests.providers.azure.conftest import SYSTEM, settings_at

MARK = "asyncsecrets-name"
VERSION = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def server(names):
    """A fake in which nothing is, whose time stands still unless it is moved."""
    async with AzureServer(client_secret="canary-of-the-client", clock=lambda: 1_800_000_000.5) as running:
        names.update(running.addresses)
        yield running


@pytest.fixture
async def build(server):
    """Make open providers at the fake, whose time passes where they wait."""
    made = []

    async def sleep(seconds):
        server.advance(seconds)
        await asyncio.sleep(0)

    async def new(**more):
        settings = AzureSettings.from_mapping(SYSTEM, settings_at(server, **more), server.environ())
        provider = AzureKeyVaultProvider(settings, clock=server.now, now=server.now, sleep=sleep)
        await provider.open()
        made.append(provider)
        return provider

    yield new
    for provider in made:
        await provider.aclose()


@pytest.fixture
async def provider(build):
    """One without settings of its own."""
    return await build()


def tags(server, name):
    """The tags of a secret's newest version."""
    secret = server.default._secrets[name.lower()]
    return next(reversed(secret.versions.values())).about.get("tags", {})


def about(server, name):
    """What else its newest version has."""
    secret = server.default._secrets[name.lower()]
    version = next(reversed(secret.versions.values()))
    return version.attributes, version.about


def asked(server, *methods):
    """How often each of them was asked for."""
    return tuple(server.count(method) for method in methods)


# -- reading


async def test_the_seeds_example(server, provider):
    """AZURE_API_KEY is read as AZURE-API-KEY, which others have made."""
    version = server.add("AZURE-API-KEY", "canary")
    for name in ("AZURE_API_KEY", "AZURE-API-KEY", "azure-api-key"):
        secret = await provider.get(name)
        assert secret.equals("canary")
        assert (secret.name, secret.version, secret.expires) == (name, version, None)
        assert secret.created == datetime.fromtimestamp(int(server.now()), UTC)


async def test_a_vault_that_is_given_with_its_port(server, build):
    """Its answers are about the vault without one, and about none else."""
    server.add("NAME", "canary")
    assert (await (await build(azure_key_vault_uri=f"{server.uri}:443")).get("NAME")).equals("canary")


@pytest.mark.parametrize("version", ["1", "", "latest", "A" * 32, "../x", VERSION + "0"])
async def test_what_is_no_version_is_not_asked_for(server, provider, version):
    """A version has 32 hexadecimal digits."""
    server.add("NAME", "canary")
    with pytest.raises(SecretNotFoundError, match="32 hexadecimal digits"):
        await provider.get("NAME", version)
    assert asked(server, "GetSecret", "challenge") == (0, 0)


@pytest.mark.parametrize("dates_refuse", [False, True])
@pytest.mark.parametrize(
    ("attributes", "reason", "remedy"),
    [
        ({"enabled": False}, "disabled", "enable it"),
        ({"exp": -1}, "expired", "expiration date"),
        ({"nbf": 60}, "not_yet_valid", "activation date"),
    ],
)
async def test_what_is_not_handed_out(server, provider, attributes, reason, remedy, dates_refuse):
    """What is disabled or outside its dates is not found, with the reason: Azure itself looks at no dates."""
    server.rules.dates_refuse = dates_refuse
    now = int(server.now())
    old = server.add("NAME", "canary 1")
    given = {key: value if key == "enabled" else now + value for key, value in attributes.items()}
    new = server.add("NAME", "canary 2", attributes=given)
    for version in (None, new):
        with pytest.raises(SecretNotFoundError, match=remedy) as caught:
            await provider.get("NAME", version)
        assert caught.value.reason == reason
        assert caught.value.version in ({version, new} if not dates_refuse and reason != "disabled" else {version})
    assert (await provider.get("NAME", old)).equals("canary 1")


async def test_the_end_of_a_value(server, provider):
    """It is told, and at that moment the value is not had any more; not before."""
    end = int(server.now()) + 60
    server.add("NAME", "canary", attributes={"exp": end, "nbf": end - 60})
    assert (await provider.get("NAME")).expires == datetime.fromtimestamp(end, UTC)
    server.advance(61)
    with pytest.raises(SecretNotFoundError) as caught:
        await provider.get("NAME")
    assert caught.value.reason == "expired"
    assert caught.value.created is not None


# -- writing


async def test_a_version_gets_what_the_settings_say(server, build):
    """Tags, content type and dates are those of a version; the tag of the name is added."""
    provider = await build(tags={"team": "a"}, content_type="text/plain", ttl="3600", valid_after="60")
    now = int(server.now())
    written = await provider.put("A_B", "canary")
    attributes, more = about(server, "A-B")
    assert more == {"contentType": "text/plain", "tags": {"team": "a", MARK: "A_B"}}
    assert attributes["exp"] - now in range(3600, 3604)
    assert attributes["nbf"] - now in range(60, 64)
    assert written.expires is not None
    assert written.expires.timestamp() <= server.now(), "what is not valid yet is not to be served from memory"
    server.advance(64)
    assert (await provider.get("A_B")).expires == datetime.fromtimestamp(attributes["exp"], UTC)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"tags": {f"t{number}": "x" for number in range(15)}}, "tags: a secret has 15"),
        ({"tags": {MARK: "NAME"}}, MARK),
        ({"ttl": 60.0, "valid_after": 60.0}, "before it is valid"),
    ],
)
def test_settings_that_no_version_can_have(settings, text):
    """They are refused before anything is opened."""
    with pytest.raises(ConfigError, match=text):
        AzureKeyVaultProvider(AzureSettings(vault_uri="https://demo.vault.azure.net", **settings))


async def test_settings_that_the_vault_refuses(server, build):
    """It is not the name that is wrong then."""
    provider = await build(content_type="x" * 600)
    with pytest.raises(ConfigError, match="content_type"):
        await provider.put("NAME", "canary")
    server.faults.page(400, method="SetSecret")
    with pytest.raises(MalformedResponseError, match="none of a vault"):
        await provider.put("NAME", "canary")


@pytest.mark.parametrize(
    ("payload", "error"),
    [("canary" + "x" * 25_595, DecodeError), ("canary\ud800", DecodeError), (b"canary", UnsupportedOperationError)],
)
async def test_what_a_vault_cannot_keep_is_not_sent(server, provider, payload, error):
    """25 KiB of text, at most."""
    with pytest.raises(error):
        await provider.put("NAME", payload)
    await provider.put("NAME", "canary" + "x" * 25_594)
    assert asked(server, "SetSecret") == (1,)


@pytest.mark.parametrize("cas", ["0", VERSION, ""])
async def test_there_is_no_compare_and_set(server, provider, cas):
    """Nothing is sent."""
    with pytest.raises(UnsupportedOperationError, match="no compare-and-set"):
        await provider.put("NAME", "canary", cas=cas)
    assert not server.requests


# -- whose a name is


@pytest.mark.parametrize(("name", "other"), [("A_B", "A-B"), ("A-B", "A_B"), ("a", "A"), ("Team_a", "TEAM-A")])
async def test_another_name_does_not_lead_to_what_was_created_here(server, provider, build, name, other):
    """It is absent under that, and nothing can be done to it: two names are not one secret."""
    written = await provider.put(name, "canary 1")
    for asking in (provider, await build()):
        with pytest.raises(SecretNotFoundError, match=f"was created as '{name}'") as caught:
            await asking.get(other)
        assert (caught.value.reason, caught.value.version) == ("absent", written.version)
        with pytest.raises(SecretNotFoundError):
            await asking.versions(other)
        for change in (
            asking.put(other, "canary 2"),
            asking.delete(other),
            asking.restore(other),
            asking.destroy(other),
        ):
            with pytest.raises(InvalidNameError, match=f"was created as '{name}'"):
                await change
        assert asking.same_secret(name, other)
        assert (await asking.get(name)).version == written.version
        assert await asking.list() == [name]
    assert asked(server, "SetSecret", "DeleteSecret", "RecoverDeletedSecret", "PurgeDeletedSecret") == (1, 0, 0, 0)


async def test_another_name_does_not_lead_to_what_was_deleted(server, provider, build):
    """Neither to recover nor to purge it, and no write recovers it by the way."""
    await provider.put("A_B", "canary")
    await provider.delete("A_B")
    reaching = await build(recover_deleted="true")
    for change in (reaching.restore("A-B"), reaching.destroy("A-B"), reaching.put("A-B", "canary 2")):
        with pytest.raises(InvalidNameError):
            await change
    assert asked(server, "RecoverDeletedSecret", "PurgeDeletedSecret") == (0, 0)
    await provider.restore("A_B")
    assert (await provider.get("A_B")).equals("canary")


async def test_what_others_have_created_has_every_name_that_is_spelled_so(server, provider):
    """For reading and for writing; it gets no tag, or other programs that read it by another name would lose it."""
    server.add("A-B", "canary 1", tags={"owner": "theirs"})
    await provider.put("A_B", "canary 2")
    await provider.put("a-b", "canary 3")
    assert (await provider.get("A-B")).equals("canary 3")
    assert MARK not in tags(server, "A-B")
    assert await provider.list() == ["A-B"]


async def test_what_others_have_written_since(server, provider):
    """A version without the tag takes it away."""
    await provider.put("A_B", "canary 1")
    server.add("A-B", "canary 2")
    assert (await provider.get("A-B")).equals("canary 2")


async def test_a_change_reads_once_whose_a_name_is(server, provider):
    """And again after some minutes; a read and a write tell it, too. A name that meets no other needs none."""
    await provider.put("A_B", "canary 1")
    await provider.put("A_B", "canary 2")
    assert asked(server, "GetSecret", "SetSecret") == (1, 2)
    server.advance(301)
    await provider.put("A_B", "canary 3")
    assert asked(server, "GetSecret", "SetSecret") == (2, 3)
    await provider.delete("A_B")
    await provider.delete("A_B")  # what it was is forgotten
    assert asked(server, "GetSecret", "DeleteSecret") == (3, 1)
    await provider.put("litellm/a", "canary")
    await provider.delete("litellm/a")
    assert asked(server, "GetSecret", "SetSecret", "DeleteSecret") == (3, 4, 2)
    assert MARK not in tags(server, "litellm-x2f-a")


async def test_an_old_version_does_not_say_whose_a_secret_is(server, provider, build):
    """It is the newest one that does, whichever was read before."""
    old = await provider.put("A_B", "canary 1")
    server.add("A-B", "canary 2")
    asking = await build()
    assert (await asking.get("A_B", old.version)).equals("canary 1")
    await asking.put("A_B", "canary 3")
    assert MARK not in tags(server, "A-B")


@pytest.mark.parametrize("mark", [None, "A_B"])
async def test_whose_a_disabled_secret_is(server, provider, mark):
    """Its value cannot be read, so its versions are asked."""
    made = {} if mark is None else {"tags": {MARK: mark}}
    server.add("A-B", "canary 1")
    server.advance(1)
    server.add("A-B", "canary 2", attributes={"enabled": False}, **made)
    if mark is None:
        await provider.put("a-b", "canary 3")
        assert (await provider.get("A-B")).equals("canary 3")
    else:
        with pytest.raises(InvalidNameError):
            await provider.put("a-b", "canary 3")
        await provider.put("A_B", "canary 3")
        assert tags(server, "A-B") == {MARK: "A_B"}


@pytest.mark.parametrize("place", ["first", "last"])
async def test_whose_a_secret_is_its_newest_version_says(server, provider, place):
    """Versions come in no order: the one that was made last counts, wherever it stands."""
    server.add("A-B", "canary 1", tags={MARK: "A_B"})
    server.advance(1)
    server.add("A-B", "canary 2", attributes={"enabled": False}, tags={MARK: "a-b"})
    secret = server.default._secrets["a-b"]
    ids = sorted(secret.versions, reverse=place == "first")
    for each, key in zip(secret.versions.values(), ids, strict=True):
        each.id = key
    secret.versions = {each.id: each for each in secret.versions.values()}
    with pytest.raises(InvalidNameError):
        await provider.put("A_B", "canary anew")
    await provider.put("a-b", "canary anew")


def test_the_moment_at_which_a_version_ends():
    """It is over then; and one that begins then has begun."""
    moment = datetime.fromtimestamp(1_800_000_000, UTC)
    assert Facts(VERSION, expires=moment).state(1_800_000_000.0) == "expired"
    assert Facts(VERSION, begins=moment).state(1_800_000_000.0) == "enabled"


async def test_who_may_not_look_does_not_write(server, provider):
    """It could be another name's secret: the error says which permission is missing."""
    server.deny("ForbiddenByPolicy", method="GetSecret")
    with pytest.raises(AccessDeniedError, match="'get'"):
        await provider.put("A_B", "canary")
    await provider.put("litellm/a", "canary")
    assert asked(server, "SetSecret") == (1,)


# -- what is deleted


async def test_a_deleted_secret_keeps_its_name(server, provider, build):
    """The conflict says what there is to do; where that is wanted it is recovered, and gets a version."""
    old = await provider.put("NAME", "canary 1")
    await provider.delete("NAME")
    with pytest.raises(ConflictError, match="recover_deleted") as caught:
        await provider.put("NAME", "canary 2")
    assert not caught.value.outcome_unknown
    server.rules.recovering = 3.0
    reaching = await build(recover_deleted="true")
    await reaching.put("NAME", "canary 2")
    assert (await reaching.get("NAME")).equals("canary 2")
    assert (await reaching.get("NAME", old.version)).equals("canary 1")
    assert tags(server, "NAME") == {MARK: "NAME"}


async def test_limbos_are_waited_for(server, provider, build):
    """A deletion takes its time until it can be recovered or purged, a recovery until it can be read, and a purge
    until the name is free."""
    rules = server.rules
    rules.deleting, rules.recovering, rules.purging = 1.0, 2.0, 3.0
    await provider.put("A", "canary 1")
    await provider.delete("A")
    await provider.restore("A")
    assert (await provider.get("A")).equals("canary 1")
    await provider.destroy("A")
    await provider.put("A", "canary 2")
    assert (await provider.get("A")).equals("canary 2")
    await provider.delete("A")
    await provider.destroy("A")
    await (await build(recover_deleted="true")).put("A", "canary 3")
    assert len(await provider.versions("A")) == 1


async def test_nothing_is_purged_before_it_is_deleted(server, provider):
    """A vault need not know yet what is being deleted: that would pass for nothing to be purged."""
    await provider.put("A", "canary")
    server.rules.deleting = 2.0
    missing = server.faults.status(404, "SecretNotFound", method="PurgeDeletedSecret")
    await provider.destroy("A")
    assert missing.hits == 1
    assert server.now() > 1_800_000_002


@pytest.mark.parametrize("operation", ["restore", "destroy"])
async def test_a_conflict_without_an_inner_code(server, provider, operation):
    """It is a limbo: Azure has always the outer code, and nothing else is a conflict here."""
    await provider.put("A", "canary")
    await provider.delete("A")
    methods = {"restore": "RecoverDeletedSecret", "destroy": "PurgeDeletedSecret"}
    conflict = server.faults.status(409, "Conflict", method=methods[operation], times=2)
    await getattr(provider, operation)("A")
    assert conflict.hits == 2
    assert server.count(methods[operation]) == 3


async def test_limbos_are_not_waited_for_without_end(server, provider, build):
    """The error says what goes on, and that it may be asked again: nothing of it is unknown but what was done."""
    await provider.put("A", "canary")
    server.rules.deleting = 60.0
    begun = server.now()
    with pytest.raises(ConflictError, match="being deleted"):
        await provider.destroy("A")
    with pytest.raises(ConflictError, match="being deleted"):
        await provider.restore("A")
    with pytest.raises(ConflictError, match="try again"):
        await provider.put("A", "canary")
    assert 12 < server.now() - begun < 16
    assert server.count("GetDeletedSecret") < 40
    server.advance(60)
    server.rules.recovering = 60.0
    with pytest.raises(ConflictError, match="being recovered"):
        await provider.restore("A")
    server.advance(60)
    await provider.restore("A")
    assert (await provider.get("A")).equals("canary")


async def test_a_put_that_recovers_has_one_wait(server, provider, build):
    """For the deletion and the recovery together."""
    await provider.put("A", "canary")
    server.rules.deleting, server.rules.recovering = 3.0, 60.0
    await provider.delete("A")
    reaching, begun = await build(recover_deleted="true"), server.now()
    with pytest.raises(ConflictError, match="try again"):
        await reaching.put("A", "canary 2")
    assert 3 < server.now() - begun < 6


def test_a_wait_fits_into_an_attempt():
    """What is told at its end is more than that there was no answer in time."""
    assert (1 - retry._RESERVE) * retry.RetryPolicy().deadline > key_vault._LIMBO


async def test_a_vault_that_lets_nothing_be_purged(server, provider, monkeypatch):
    """It is deleted, and that it is not purged is said."""
    await provider.put("A", "canary")
    server.default._secrets["a"].versions.popitem()[1]
    server.add("A", "canary")
    next(iter(server.default._secrets["a"].versions.values())).attributes["recoveryLevel"] = "Recoverable"
    with pytest.raises(UnsupportedOperationError, match="purge protection"):
        await provider.destroy("A")
    with pytest.raises(SecretNotFoundError):
        await provider.get("A")
    assert asked(server, "PurgeDeletedSecret") == (0,)


@pytest.mark.parametrize("versions", [[], [VERSION]])
async def test_single_versions_are_neither_recovered_nor_purged(server, provider, versions):
    """An empty list is no word for all of them."""
    for change in (provider.restore("A", versions), provider.destroy("A", versions)):
        with pytest.raises(UnsupportedOperationError, match="leave the versions out"):
            await change
    assert not server.requests


async def test_who_may_recover_and_not_read(server, provider):
    """Whether it can be read again he cannot see, and need not."""
    await provider.put("litellm/a", "canary")
    await provider.delete("litellm/a")
    server.deny("ForbiddenByPolicy", method="GetSecret")
    await provider.restore("litellm/a")
    server.allow()
    assert (await provider.get("litellm/a")).equals("canary")


# -- lists


async def test_a_list_has_the_names_that_secrets_are_read_by(server, provider):
    """Page by page: of the tag, of what is escaped, or Azure's."""
    names = ["A_B", "litellm/team_A", "Plain-One", "app-x86-key", *(f"N{number:03}" for number in range(60))]
    for name in names:
        await provider.put(name, "canary")
    server.add("Theirs-B", "canary")
    server.add("with-x2F-slash", "canary")
    assert await provider.list() == sorted([*names, "Theirs-B", "with/slash"])
    assert await provider.list("litellm/") == ["litellm/team_A"]
    assert await provider.list("N05") == [f"N05{number}" for number in range(10)]
    assert server.count("GetSecrets") == 9


async def test_a_list_goes_on_where_it_stopped(server, provider):
    """After a failure in the middle, and through pages on which nothing is."""
    for number in range(60):
        server.add(f"N{number:03}", "canary")
    server.faults.status(503, method="GetSecrets", skip=1, times=1)
    with pytest.raises(UnavailableError, match="goes on from there"):
        await provider.list()
    assert len(await provider.list()) == 60
    assert server.count("GetSecrets") == 4


async def test_a_list_of_before_is_over_once_it_is_closed(server, provider):
    """Whoever opens it again asks for all of it."""
    for number in range(60):
        server.add(f"N{number:03}", "canary")
    server.faults.status(503, method="GetSecrets", skip=1, times=1)
    with pytest.raises(UnavailableError):
        await provider.list()
    await provider.aclose()
    await provider.open()
    assert len(await provider.list()) == 60
    assert server.count("GetSecrets") == 5


@pytest.mark.parametrize("what", ["write", "token"])
async def test_a_list_begins_anew(server, provider, what):
    """Where something was written here since, or the vault does not know any more where it stopped."""
    for number in range(60):
        server.add(f"N{number:03}", "canary")
    server.faults.status(503, method="GetSecrets", skip=1, times=1)
    with pytest.raises(UnavailableError):
        await provider.list()
    if what == "write":
        await provider.put("A", "canary")
    else:
        server.faults.status(400, "BadParameter", method="GetSecrets", times=1)
        server.add("A", "canary")
    found = await provider.list()
    assert (found[0], len(found)) == ("A", 61)
    assert server.count("GetSecrets") == {"write": 5, "token": 6}[what]


async def test_versions_of_one_second_of_which_the_current_one_is_disabled(server, provider, monkeypatch):
    """Azure does not say which one that is, as it hands it out to nobody: it is one that is disabled."""
    now = server.now()
    monkeypatch.setattr(server, "_clock", lambda: now)
    for _ in range(5):
        server.add("A", "canary")
    last = server.add("A", "canary", attributes={"enabled": False})
    found = await provider.versions("A")
    assert len({each.created for each in found}) == 1
    assert [(each.version, each.state) for each in found if each.current] == [(last, "disabled")]


async def test_versions_are_told_with_their_states(server, provider):
    """Oldest first; of those of one second it is asked which is current."""
    now = int(server.now())
    made = []
    for attributes in ({"enabled": False}, {"exp": now - 1}, {"nbf": now + 3600}, {}):
        server.advance(1)
        made.append(server.add("A", "canary", attributes=attributes))
    infos = await provider.versions("A")
    assert [info.version for info in infos] == made
    assert [info.state for info in infos] == ["disabled", "expired", "not_yet_valid", "enabled"]
    assert [info.current for info in infos] == [False, False, False, True]
    made += [server.add("A", "canary") for _ in range(30)]
    infos = await provider.versions("A")
    assert {info.version for info in infos} == set(made)
    assert [info.version for info in infos if info.current] == [made[-1]] == [infos[-1].version]


# -- damaged answers


@pytest.mark.parametrize("damage", ["truncated", "page", "secret", "vault"])
@pytest.mark.parametrize("operation", ["get", "put", "delete", "restore", "destroy", "list", "versions"])
async def test_an_answer_that_is_not_about_what_was_asked(server, provider, damage, operation):
    """Is taken for nothing: another vault's or secret's, half an answer, a page of a proxy."""
    await provider.put("A", "canary")
    if operation == "restore":
        await provider.delete("A")
    server.faults.corrupt(damage)
    arguments = {"put": ("A", "canary 2"), "list": ()}.get(operation, ("A",))
    if (operation, damage) == ("list", "secret"):
        assert await provider.list() == ["another"]
        return
    with pytest.raises(MalformedResponseError) as caught:
        await getattr(provider, operation)(*arguments)
    assert caught.value.outcome_unknown is (operation in {"put", "delete", "destroy"})


async def test_a_version_that_was_not_asked_for(server, provider, monkeypatch):
    """Is not taken for the one that was, nor an answer without a value."""
    old, new = server.add("A", "canary 1"), server.add("A", "canary 2")
    genuine = type(server.default).get_secret
    monkeypatch.setattr(type(server.default), "get_secret", lambda self, asked: genuine(self, _changed(asked, new)))
    with pytest.raises(MalformedResponseError, match="another version"):
        await provider.get("A", old)
    monkeypatch.setattr(type(server.default), "get_secret", lambda self, asked: {**genuine(self, asked), "value": None})
    with pytest.raises(MalformedResponseError, match="no value"):
        await provider.get("A")


def _changed(asked, version):
    asked.version = version
    return asked


async def test_many_names_each_have_their_own_value_or_are_refused(server, provider):
    """None is refused by the service, and none has another's value."""
    draw = random.Random(11)
    alphabets = ("ab-_", "aA_", "x2fF-_/A", "aé🔑/ .")
    drawn = {"".join(draw.choices(draw.choice(alphabets), k=draw.randint(1, 8))) for _ in range(300)}
    names = sorted(name for name in drawn if name.strip())
    written = []
    for name in names:
        with contextlib.suppress(InvalidNameError):
            await provider.put(name, f"canary {name}")
            written.append(name)
    assert len(written) < len(names)
    assert len(written) > 150
    for name in names:
        if name in written:
            assert (await provider.get(name)).equals(f"canary {name}")
        else:
            with pytest.raises(SecretNotFoundError):
                await provider.get(name)
    assert await provider.list() == written
    assert {record.code for record in server.requests} <= {"OK", "Unauthorized", "SecretNotFound"}
