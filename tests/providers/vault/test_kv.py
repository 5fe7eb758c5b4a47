"""What the KV engines do beyond the provider contract, against the dev server and a real one."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import time
from datetime import UTC, datetime, timedelta

import hvac
import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import (
    ConfigError,
    ConflictError,
    DecodeError,
    InvalidNameError,
    MalformedResponseError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import (
    Destroyer,
    Lister,
    MetadataKeeper,
    Patcher,
    Restorer,
    VersionDeleter,
    VersionLister,
    Writer,
)
from asyncsecrets.providers.vault import listing
from asyncsecrets.providers.vault.documents import common_secret, object_text
from asyncsecrets.providers.vault.errors import Answer, Call, document_of
from asyncsecrets.testing.vault_server import VaultServer

from .backend import Backend
from .raw import RawServer, answer, document, mount, secret

REAL = os.environ.get("ASYNCSECRETS_TEST_REAL_VAULT") == "1"


@pytest.fixture(params=["fake", *(["real"] if REAL else [])])
async def kv(request, provider_at):
    """An open provider below a folder of its own; `kv.backend` prepares the server."""
    folder = f"kv-{secrets.token_hex(4)}"
    if request.param == "real":
        backend = Backend(os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"])
        async with provider_at(backend.url, token=backend.token, path_prefix=folder) as provider:
            provider.backend, provider.folder = backend, folder
            yield provider
        return
    server = VaultServer(root_token="canary-root")
    async with server, provider_at((await server.start()).url, path_prefix=folder) as provider:
        provider.backend, provider.folder = Backend(server.url, server.root_token), folder
        yield provider


async def reason(call):
    """Why it is not there."""
    with pytest.raises(SecretNotFoundError) as caught:
        await call
    return caught.value.reason


async def test_delete_restore_destroy(kv):
    """A version goes, comes back, and goes for good; each state has its name."""
    await kv.put("a", "canary-1")
    await kv.put("a", "canary-2")
    await kv.delete("a")
    assert await reason(kv.get("a")) == "deleted"
    assert (await kv.get("a", "1")).field("key").equals("canary-1")
    await kv.restore("a")
    assert (await kv.get("a")).field("key").equals("canary-2")
    await kv.delete_versions("a", ["1"])
    assert await reason(kv.get("a", "1")) == "deleted"
    await kv.destroy("a", ["1"])
    assert await reason(kv.restore("a", ["1"])) == "destroyed"
    assert await reason(kv.get("a", "1")) == "destroyed"
    assert [version.state for version in await kv.versions("a")] == ["destroyed", "enabled"]
    await kv.destroy("a")
    assert await reason(kv.get("a")) == "absent"
    assert await reason(kv.versions("a")) == "absent"
    await kv.destroy("a")


async def test_restore(kv):
    """What the last delete took comes back, or given versions, all or none; what is not deleted stays."""
    for number in (1, 2, 3):
        await kv.put("a", f"canary-{number}")
    await kv.restore("a")
    await kv.delete_versions("a", ["1", "2"])
    await kv.delete("a")
    await kv.restore("a")
    assert [version.state for version in await kv.versions("a")] == ["deleted", "deleted", "enabled"]
    await kv.destroy("a", ["2"])
    assert await reason(kv.restore("a", ["1", "2"])) == "destroyed"
    assert await reason(kv.restore("a", ["1", "4"])) == "absent"
    assert await reason(kv.get("a", "1")) == "deleted"
    await kv.restore("a", ["1", "3"])
    assert (await kv.get("a", "1")).field("key").equals("canary-1")
    await kv.destroy("a", ["3"])
    assert await reason(kv.restore("a")) == "destroyed"
    assert await reason(kv.restore("none")) == "absent"
    assert await reason(kv.restore("none", ["1"])) == "absent"
    await kv.destroy("none", ["1"])
    await kv.delete_versions("none", ["1"])


@pytest.mark.parametrize("versions", [[], (), "", "12"])
@pytest.mark.parametrize("operation", ["destroy", "restore", "delete_versions"])
async def test_versions_that_are_no_list(kv, operation, versions):
    """No versions never means all of them, and a text is not a list of its digits; nothing is changed."""
    for number in (1, 2):
        await kv.put("a", f"canary-{number}")
    with pytest.raises(ConfigError, match="versions"):
        await getattr(kv, operation)("a", versions)
    assert [version.state for version in await kv.versions("a")] == ["enabled", "enabled"]


async def test_contract(kv):
    """The provider is all that a manager with versions, metadata and a way back can be."""
    for protocol in (VersionLister, VersionDeleter, Restorer, Destroyer, Patcher, MetadataKeeper, Lister, Writer):
        assert isinstance(kv, protocol), protocol


async def test_a_deleted_secret_names_the_way_back(kv):
    """The error of a deleted version says what brings it back."""
    await kv.put("a", "canary")
    await kv.delete("a")
    with pytest.raises(SecretNotFoundError, match=r"restore\(\) or `asyncsecrets restore NAME`"):
        await kv.get("a")


@pytest.mark.parametrize("character", ["<", "\u2028"])
async def test_a_value_that_grows_on_its_way(kv, character):
    """What the server writes in six bytes each can be read wherever it could be written."""
    value = character * (1_000_000 // len(character.encode()))
    await kv.put("a", value)
    assert (await kv.get("a")).field("key").equals(value)


@pytest.mark.parametrize("version", ["0", "-1", "abc", "1.0", " 1", "\u0661", "99999999999999999999", ""])
async def test_no_such_version(kv, version):
    """What is not a version number is no version; the server would read some of these as the latest."""
    await kv.put("a", "canary-1")
    assert await reason(kv.get("a", version)) == "absent"
    for call in (kv.restore("a", [version]), kv.destroy("a", [version])):
        assert await reason(call) == "absent"


async def test_a_missing_version_is_not_a_missing_secret(kv):
    """The error of a version that is not there says so, and which is the current one; that of no secret does not."""
    await kv.put("a", "canary-1")
    await kv.put("a", "canary-2")
    for call in (kv.get("a", "7"), kv.restore("a", ["7"])):
        with pytest.raises(SecretNotFoundError, match="it has no version 7; the current one is 2") as caught:
            await call
        assert (caught.value.name, caught.value.reason) == ("a", "absent")
    await kv.delete("a")
    with pytest.raises(SecretNotFoundError, match="the current one is 2"):
        await kv.get("a", "7")
    with pytest.raises(SecretNotFoundError, match="it does not exist"):
        await kv.get("none", "7")


async def test_a_missing_version_where_the_secret_may_not_be_read(provider_at):
    """Where the second question fails the first one's answer is still an answer."""
    respond = lambda request: answer(404, {"errors": []}) if "version=" in request.target else answer(503)  # noqa: E731
    async with RawServer(respond) as server, provider_at(server.url) as provider:
        provider._mount.verified = True
        with pytest.raises(SecretNotFoundError, match="no version 7, or does not exist"):
            await provider.get("a", "7")


@pytest.mark.parametrize("ahead", [-86_400, 86_400])
async def test_deleted_by_the_servers_clock(provider_at, ahead):
    """A deletion time is judged by the clock that wrote it, however wrong ours is."""
    now = [time.time() + ahead]
    async with (
        VaultServer(root_token="canary-root", clock=lambda: now[0]) as server,
        provider_at(server.url) as provider,
    ):
        await provider.write_metadata("a", delete_version_after="1h")
        await provider.put("a", "canary-1")
        await provider.put("a", "canary-2")
        await provider.delete("a")
        assert [version.state for version in await provider.versions("a")] == ["enabled", "deleted"]
        now[0] += 3601
        assert [version.state for version in await provider.versions("a")] == ["deleted", "deleted"]


async def test_a_version_that_is_to_be_deleted_says_when(provider_at):
    """``delete_version_after`` gives a value its end: told by what is written and what is read, and kept to by both."""
    now = [1_800_000_000.0]
    async with (
        VaultServer(root_token="canary-root", clock=lambda: now[0]) as server,
        provider_at(server.url) as provider,
    ):
        await provider.put("a", "canary-1")
        assert (await provider.get("a")).expires is None
        await provider.write_metadata("a", delete_version_after="1h")
        written = await provider.put("a", "canary-2")
        ends = datetime.fromtimestamp(now[0] + 3600, UTC)
        assert written.expires == (await provider.get("a")).expires == (await provider.get("a", "2")).expires == ends
        assert (await provider.get("a", "1")).expires is None
        now[0] += 3599
        assert (await provider.get("a")).expires == ends
        now[0] += 1
        with pytest.raises(SecretNotFoundError) as caught:
            await provider.get("a")
        assert caught.value.reason == "deleted"


async def test_a_client_serves_no_version_that_vault_has_deleted(provider_at):
    """What ``delete_version_after`` ends is not in the cache any more, and the next reader is told by Vault."""
    now = [time.time()]
    async with VaultServer(root_token="canary-root", clock=lambda: now[0]) as server:
        options = {"wall_clock": lambda: now[0], "environ": {}}
        async with provider_at(server.url) as provider, SecretsClient.from_provider(provider, **options) as client:
            await provider.write_metadata("a", delete_version_after="1h")
            await client.put("a", "canary-1")
            secret = await client.get("a")
            (row,) = [row for source in client.status() for row in source.secrets]
            assert (row.ends, row.expires) == (pytest.approx(3600, abs=5), secret.expires)
            now[0] += 3601  # which a client notices when it looks at its clocks next: here, as it loses its loop
            for source in client._unique():
                source.cache.forget_loop()
            with pytest.raises(SecretNotFoundError, match="deleted"):
                await client.get("a")


@pytest.mark.parametrize("date", [None, "", "canary", "Thu, 01 Jan 2026 00:00:00"])
async def test_without_a_date(provider_at, date):
    """Where a proxy leaves out the server's time, ours is used."""
    later = datetime.now(UTC) + timedelta(hours=1)
    about = {"created_time": "2026-01-01T00:00:00Z", "deletion_time": later.isoformat(), "destroyed": False}
    metadata = document({"current_version": 1, "versions": {"1": about}})

    def respond(request):
        headers = {} if date is None else {"Date": date}
        return answer(body=mount()) if "/sys/internal/" in request.target else answer(body=metadata, **headers)

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        assert [version.state for version in await provider.versions("a")] == ["enabled"]
        provider._mount.likely._now = lambda: later
        assert [version.state for version in await provider.versions("a")] == ["deleted"]


@pytest.mark.parametrize("cas", ["", "-1", "x", "1.0", "\u0660"])
async def test_cas_that_is_no_version(kv, cas):
    """A cas that no version can have is a lost compare-and-set, and nothing is written."""
    await kv.put("a", "canary-1")
    with pytest.raises(ConflictError):
        await kv.put("a", "canary-2", cas=cas)
    assert (await kv.get("a")).version == "1"


async def test_cas_counts_deleted_versions(kv):
    """The version of a deleted secret is what cas is compared with."""
    await kv.put("a", "canary-1")
    await kv.delete("a")
    with pytest.raises(ConflictError):
        await kv.put("a", "canary-2", cas="0")
    assert (await kv.put("a", "canary-2", cas="1")).version == "2"


async def test_cas_required(kv):
    """Where CAS is required, a plain put looks the version up: for new, existing and deleted secrets."""
    for name in ("a", "b"):
        await kv.write_metadata(name, cas_required=True)
    assert (await kv.metadata("a")).cas_required
    for number in (1, 2):
        assert (await kv.put("a", f"canary-{number}")).version == str(number)
    await kv.delete("a")
    assert (await kv.put("a", "canary-3")).version == "3"
    with pytest.raises(ConflictError):
        await kv.put("a", "canary-4", cas="1")


async def test_patch_where_cas_is_required(kv):
    """A patch without cas looks the version up as a put does; patches that meet each other are all merged."""
    await kv.write_metadata("a", cas_required=True)
    assert await reason(kv.patch("a", {"user": "canary"})) == "absent"
    await kv.put("a", "canary-1")
    await asyncio.gather(*(kv.patch("a", {f"m{number}": "canary"}) for number in range(5)))
    assert (await kv.get("a")).fields() == ["key", "m0", "m1", "m2", "m3", "m4"]
    with pytest.raises(ConflictError):
        await kv.patch("a", {"user": "canary"}, cas="1")


async def test_patch_of_what_is_gone(kv):
    """A patch of a deleted or destroyed version says which of the two it is."""
    await kv.put("a", "canary-1")
    await kv.delete("a")
    assert await reason(kv.patch("a", {"user": "canary"})) == "deleted"
    await kv.destroy("a", ["1"])
    assert await reason(kv.patch("a", {"user": "canary"})) == "destroyed"


@pytest.mark.parametrize("value", [object(), float("nan"), "canary\ud800", b"canary", {"canary"}])
async def test_patch_with_what_is_no_json(kv, value):
    """What JSON cannot express is a DecodeError that holds nothing of it."""
    with pytest.raises(DecodeError) as caught:
        await kv.patch("a", {"user": value})
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"max_versions": -1},
        {"max_versions": 5_000_000_000},
        {"max_versions": True},
        {"delete_version_after": "canary"},
        {"delete_version_after": "-5s"},
        {"delete_version_after": ""},
        {"delete_version_after": "9999999h"},
        {"delete_version_after": "2562047h47m17s"},
        {"delete_version_after": "9" * 5000},
        {"custom": {"a": 5}},
        {"custom": {"a": ""}},
        {"custom": {"": "canary"}},
        {"custom": {"a": "ü" * 257}},
        {"custom": {"a" * 129: "canary"}},
        {"custom": {"a": "canary\n"}},
        {"custom": {"a": "canary\ud800"}},
        {"custom": {f"a{number}": "canary" for number in range(65)}},
    ],
)
async def test_metadata_that_cannot_be(kv, change):
    """What the server would refuse, or silently take for another number, is refused before it is sent."""
    await kv.put("a", "canary-1")
    with pytest.raises(ConfigError) as caught:
        await kv.write_metadata("a", **change)
    assert "canary" not in str(caught.value)
    about = await kv.metadata("a")
    assert (about.max_versions, about.delete_version_after, about.custom) == (0, "0s", {})


async def test_metadata_at_its_limits(kv):
    """What the server does accept is accepted here."""
    custom = {"ü" * 64: "ü" * 256, **{f"a{number}": "x" for number in range(63)}}
    for after in ("0s", "90", "2562047h47m16s", "1d", "1.5h", "1h30m"):
        await kv.write_metadata("a", custom=custom, delete_version_after=after, max_versions=2**31 - 1)
    about = await kv.metadata("a")
    assert (about.custom, about.delete_version_after, about.max_versions) == (custom, "1h30m0s", 2**31 - 1)
    await kv.write_metadata("a", custom={})
    assert (await kv.metadata("a")).custom == {}


async def test_writers_race_where_cas_is_required(kv):
    """Plain puts that meet each other are all written, in some order: no caller asked for a compare-and-set."""
    await kv.write_metadata("a", cas_required=True)
    written = await asyncio.gather(*(kv.put("a", f"canary-{number}") for number in range(6)))
    assert {secret.version for secret in written} == {str(number) for number in range(1, 7)}


async def test_a_race_that_is_never_won(provider_at):
    """Where somebody else is quicker each time, the tries end, with an error that does not speak of a cas given."""

    def respond(request):
        if "/sys/internal/" in request.target:
            return answer(body=mount())
        if request.method == "GET":
            return answer(body=secret())
        why = "did not match the current version" if b'"cas"' in request.body else "required for this call"
        return answer(400, {"errors": [f"check-and-set parameter {why}"]})

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        with pytest.raises(ConflictError, match="others changed it"):
            await provider.put("a", "canary")
        assert len([request for request in server.requests if "/sys/leader" not in request.target]) == 22
        with pytest.raises(ConflictError, match="since the version that cas names"):
            await provider.put("a", "canary", cas="7")
        assert len([request for request in server.requests if "/sys/leader" not in request.target]) == 23


async def test_patch(kv):
    """A patch keeps the other members; None removes one; a lost cas writes nothing."""
    await kv.put("a", "canary-1")
    assert await kv.patch("a", {"user": "canary-user"}) == "2"
    assert json.loads((await kv.get("a")).reveal()) == {"key": "canary-1", "user": "canary-user"}
    assert await kv.patch("a", {"user": None}, cas="2") == "3"
    assert (await kv.get("a")).fields() == ["key"]
    with pytest.raises(ConflictError):
        await kv.patch("a", {"user": "canary"}, cas="1")
    assert await reason(kv.patch("none", {"user": "canary"})) == "absent"


@pytest.mark.parametrize("prefix", ["x//", "//", "../", "a\x00b/", "x//y"])
async def test_prefix_that_no_name_has(provider_at, prefix):
    """A prefix whose folder no name can be in is refused before anything is sent, and named as it was given."""
    async with RawServer() as server, provider_at(server.url) as provider:
        with pytest.raises(InvalidNameError) as caught:
            await provider.list(prefix)
        assert not server.requests
        assert ("//" not in prefix) or repr(prefix) in str(caught.value)


NUMBERS = ["9007199254740993", "3.141592653589793238462643383279", "1e400", "1e-99999999999999999999999", "-1e-400"]


@pytest.mark.parametrize("number", NUMBERS)
async def test_numbers_that_vault_would_change(kv, provider_at, number):
    """A number that a 64-bit float cannot hold is refused, in a whole object and in a patch, without being shown."""
    given = kv.settings
    async with provider_at(given.addr, token=given.token, path_prefix=kv.folder, secret_field="") as provider:
        with pytest.raises(DecodeError, match="more digits than Vault keeps") as caught:
            await provider.put("a", f'{{"key": "canary", "deep": [{{"n": {number}}}]}}')
        assert number not in str(caught.value)
        for exact in ("9007199254740992", "0.1", "1.10", "-0", "1e22", "123456789012345000000"):
            await provider.put("a", f'{{"n": {exact}}}')
            assert json.loads((await provider.get("a")).reveal())["n"] == json.loads(exact)
        with pytest.raises(DecodeError, match="more digits than Vault keeps"):
            await provider.patch("a", {"n": [2**53 + 1]})


async def test_metadata(kv):
    """Custom metadata, retention and expiry are kept; a version that expires later is enabled until then."""
    await kv.write_metadata("a", custom={"owner": "canary"}, delete_version_after="1h", max_versions=2)
    assert await reason(kv.get("a")) == "absent"
    assert await reason(kv.versions("a")) == "absent"
    for number in range(3):
        await kv.put("a", f"canary-{number}")
    about = await kv.metadata("a")
    assert (about.custom, about.delete_version_after, about.max_versions) == ({"owner": "canary"}, "1h0m0s", 2)
    assert [(version.version, version.state, version.current) for version in about.versions] == [
        ("2", "enabled", False),
        ("3", "enabled", True),
    ]
    assert about.current_version == "3"
    assert about.created <= about.updated
    assert (await kv.get("a")).field("key").equals("canary-2")


async def test_list_is_recursive(kv):
    """Every level is listed with full names; a name may be a folder too."""
    names = ["a", "a/b", "a/b/c", "ab", "ä/ö", "z z/y"]
    await asyncio.gather(*(kv.put(name, "canary") for name in names))
    assert await kv.list() == sorted(names)
    assert await kv.list("a") == ["a", "a/b", "a/b/c", "ab"]
    assert await kv.list("a/") == ["a/b", "a/b/c"]
    assert await kv.list("a/b") == ["a/b", "a/b/c"]
    assert await kv.list("none/") == []


async def test_whole_object(kv, provider_at):
    """With an empty secret_field the value is the object: written as given, read as its text."""
    settings = {"token": kv.backend.token, "path_prefix": kv.folder, "secret_field": ""}
    async with provider_at(kv.backend.url, **settings) as provider:
        assert provider.default_field is None
        written = await provider.put("a", '{"b": "canary", "a": 1.5, "l": [true, null]}')
        assert (await provider.get("a")).equals(written)
        assert json.loads(written.reveal()) == {"b": "canary", "a": 1.5, "l": [True, None]}
        for payload in ("canary", "[]", "", '{"a": NaN}'):
            with pytest.raises(DecodeError) as caught:
                await provider.put("a", payload)
            assert "canary" not in str(caught.value)


async def test_values_that_cannot_be_stored(kv):
    """Bytes are refused with the remedy, a lone surrogate with the reason; nothing is sent."""
    with pytest.raises(UnsupportedOperationError, match="base64"):
        await kv.put("a", b"canary")
    with pytest.raises(DecodeError, match="UTF-8"):
        await kv.put("a", "canary\ud800")
    assert await reason(kv.get("a")) == "absent"


async def test_written_null(kv):
    """A version that another client wrote with `data: null` has no members."""
    await kv.backend("POST", f"secret/data/{kv.folder}/a", {"data": None})
    assert (await kv.get("a")).equals("{}")


async def test_hvac_reads_what_we_write(kv):
    """An independent client sees our versions, deletes and CAS, and we see its."""
    other = hvac.Client(url=kv.backend.url, token=kv.backend.token).secrets.kv.v2
    path = f"{kv.folder}/a"
    await kv.put("a", "canary-1")
    read = await asyncio.to_thread(other.read_secret_version, path, raise_on_deleted_version=True)
    assert read["data"]["data"] == {"key": "canary-1"}
    await asyncio.to_thread(other.create_or_update_secret, path, {"key": "canary-2"}, cas=1)
    assert (await kv.get("a")).field("key").equals("canary-2")
    with pytest.raises(ConflictError):
        await kv.put("a", "canary-3", cas="1")
    await asyncio.to_thread(other.delete_latest_version_of_secret, path)
    assert await reason(kv.get("a")) == "deleted"
    await kv.restore("a")
    read = await asyncio.to_thread(other.read_secret_version, path, raise_on_deleted_version=True)
    assert read["data"]["metadata"]["version"] == 2


@pytest.fixture
async def kv1(kv):
    """A KV v1 mount at the same server; its name."""
    name = f"{kv.folder}-v1"
    await kv.backend("POST", f"sys/mounts/{name}", {"type": "kv", "options": {"version": "1"}})
    return name


async def test_kv1_is_found_out(kv, kv1, provider_at):
    """On a KV v1 mount nothing lands in `data/`, and everything is read where it is."""
    async with provider_at(kv.backend.url, token=kv.backend.token, mount_name=kv1) as provider:
        assert await reason(provider.get("a")) == "absent"
        written = await provider.put("a", "canary-1")
        assert (await provider.get("a")).equals(written)
        assert written.version is None
        await provider.put("b/c", "canary-2")
        assert await provider.list() == ["a", "b/c"]
        for call in (
            provider.get("a", "1"),
            provider.put("a", "canary", cas="1"),
            provider.restore("a"),
            provider.destroy("a", ["1"]),
        ):
            with pytest.raises(UnsupportedOperationError, match="KV version 1"):
                await call
        await provider.delete("a")
        await provider.destroy("b/c")
        assert await provider.list() == []


@pytest.mark.parametrize(
    ("version", "call"), [(2, "get"), (2, "put"), (2, "delete"), (2, "list"), (1, "get"), (1, "put")]
)
async def test_wrong_kv_version_is_an_error(kv, kv1, provider_at, version, call):
    """A kv_version that the mount does not have is a configuration error, never absent, never a write elsewhere."""
    mount_name = kv1 if version == 2 else "secret"
    settings = {"token": kv.backend.token, "mount_name": mount_name, "kv_version": version}
    async with provider_at(kv.backend.url, **settings) as provider:
        calls = {
            "get": lambda: provider.get("a"),
            "put": lambda: provider.put("a", "canary"),
            "delete": lambda: provider.delete("a"),
            "list": provider.list,
        }
        with pytest.raises(ConfigError, match="kv_version"):
            await calls[call]()
    with pytest.raises(ValueError, match="404"):
        await kv.backend("GET", f"{kv1}/data/a")


@pytest.mark.parametrize("call", ["get", "put", "list", "restore"])
async def test_api_path_as_mount(kv, provider_at, call):
    """`secret/data`, which the API's paths suggest, is no mount: nothing is written a level too deep."""
    settings = {"mount_name": "secret/data", "path_prefix": kv.folder}
    async with provider_at(kv.backend.url, token=kv.backend.token, **settings) as provider:
        arguments = {"get": ("a",), "put": ("a", "canary"), "list": (), "restore": ("a",)}[call]
        with pytest.raises(ConfigError, match="within the mount 'secret'"):
            await getattr(provider, call)(*arguments)


async def test_folder_of_a_kv1_mount(kv, kv1, provider_at):
    """On KV v1 a path is a path: a mount name that goes on into a folder works as it always has."""
    async with provider_at(kv.backend.url, token=kv.backend.token, mount_name=f"{kv1}/team") as provider:
        await provider.put("a", "canary-1")
        assert (await provider.get("a")).field("key").equals("canary-1")
        assert await provider.list() == ["a"]


async def test_address_with_the_api_in_it(kv, provider_at):
    """An address that ends in /v1 is named as the mistake."""
    async with provider_at(f"{kv.backend.url}/v1", token=kv.backend.token) as provider:
        with pytest.raises(ConfigError, match="addr must not end in /v1"):
            await provider.get("a")


@pytest.mark.parametrize("call", ["get", "put", "list"])
async def test_missing_mount_and_namespace(kv, provider_at, call):
    """A mount or namespace that does not exist is a configuration error that says so, never an absent secret."""
    for settings in ({"mount_name": "nomount"}, {"namespace": "nowhere"}, {"mount_name": "nomount", "kv_version": 2}):
        async with provider_at(kv.backend.url, token=kv.backend.token, **settings) as provider:
            calls = {"get": lambda p=provider: p.get("a"), "put": lambda p=provider: p.put("a", "canary")}
            with pytest.raises(ConfigError, match=r"mount_name|namespace"):
                await calls.get(call, provider.list)()


async def test_other_engine(kv, provider_at):
    """A mount of another engine is a configuration error."""
    async with provider_at(kv.backend.url, token=kv.backend.token, mount_name="cubbyhole") as provider:
        with pytest.raises(ConfigError, match="mount_name"):
            await provider.put("a", "canary")


async def test_version_is_asked_once(provider_at):
    """However many callers need to know it, the mount's version is asked for once."""

    def respond(request):
        return answer(body=mount()) if "/sys/internal/" in request.target else answer(404, {"errors": []})

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        results = await asyncio.gather(*(provider.get(f"a{n}") for n in range(100)), return_exceptions=True)
        assert {type(result) for result in results} == {SecretNotFoundError}
        assert sum("/sys/internal/" in request.target for request in server.requests) == 1


async def test_version_question_that_fails(provider_at):
    """A failure to ask is that failure for all who waited, and is asked again by the next."""
    fail = [True]

    def respond(request):
        if "/sys/internal/" in request.target:
            return answer(503, b"") if fail[0] else answer(body=mount())
        return answer(404, {"errors": []})

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        results = await asyncio.gather(*(provider.get("a") for _ in range(50)), return_exceptions=True)
        assert {type(result) for result in results} == {UnavailableError}
        assert len({id(result) for result in results}) == 50
        assert {result.name for result in results} == {"a"}
        assert all("wanted for 'a'" in str(result) for result in results)
        fail[0] = False
        assert await reason(provider.get("a")) == "absent"


async def test_a_present_secret_needs_no_question(provider_at):
    """A read that finds a KV v2 secret is one request."""
    async with RawServer() as server, provider_at(server.url) as provider:
        await provider.get("a")
        assert len(server.requests) == 1


async def test_paging(provider_at):
    """A server that pages is asked for the next page; one that does not is not asked for ever."""
    names = [f"n{number:05d}" for number in range(2500)]

    def respond(request, pages=True):
        if "/sys/internal/" in request.target:
            return answer(body=mount())
        after = request.target.partition("after=")[2]
        rest = [name for name in names if name > after] if pages else names[:1000]
        return answer(body=document({"keys": rest[:1000]}))

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        assert await provider.list() == names
        assert len(server.requests) == 4
        server.respond = lambda request: respond(request, pages=False)
        assert await provider.list() == names[:1000]


@pytest.mark.parametrize("key", ["../", "..", "a/b", "/", "", "%2e%2e/", "a\nb", "a%00x", "\ud800", "a" * 2000, ".//"])
async def test_hostile_list(provider_at, key):
    """A server cannot lead a list anywhere: keys that are not one segment of a name are left out."""

    def respond(request):
        if "/sys/internal/" in request.target:
            return answer(body=mount())
        return answer(body=document({"keys": [key, "good"]}))

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        assert await provider.list() == ["good"]
        assert len(server.requests) == 2


async def test_endless_folders(provider_at):
    """A server that has a folder in every folder runs into the longest name."""

    def respond(request):
        body = mount() if "/sys/internal/" in request.target else document({"keys": ["deeper" * 10 + "/"]})
        return answer(body=body)

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        assert await provider.list() == []
        assert len(server.requests) < 30


@pytest.mark.parametrize("keys", [["a/", "b/"], ["a/", "b/", "c/", "name"], [f"n{number}/" for number in range(20)]])
async def test_list_in_circles(provider_at, monkeypatch, keys):
    """A server whose folders hold themselves is found out, or runs into the bound, before it costs much."""
    monkeypatch.setattr(listing, "_MOST_FOLDERS", 500)

    def respond(request):
        return answer(body=mount() if "/sys/internal/" in request.target else document({"keys": keys}))

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        with pytest.raises((MalformedResponseError, UnsupportedOperationError), match=r"in circles|longer prefixes"):
            await provider.list()
        assert len(server.requests) <= 502


async def test_list_without_end(provider_at, monkeypatch):
    """A server that always has a next page runs into the bound, with an error that says how to list less."""
    monkeypatch.setattr(listing, "_MOST_NAMES", 5000)
    counter = itertools.count(10**9)

    def respond(request):
        if "/sys/internal/" in request.target:
            return answer(body=mount())
        return answer(body=document({"keys": [f"n{next(counter)}" for _ in range(1000)]}))

    async with RawServer(respond) as server, provider_at(server.url) as provider:
        with pytest.raises(UnsupportedOperationError, match="longer prefixes"):
            await provider.list()
        assert len(server.requests) < 10


async def test_folders_that_look_alike(kv):
    """Equal folders in folders, as people may have them, are listed."""
    names = [f"{'/'.join(['d'] * depth)}/name" for depth in range(1, 20)]
    names += [f"{first}/{second}/{third}/x" for first in "ab" for second in "ab" for third in "ab"]
    await asyncio.gather(*(kv.put(name, "canary") for name in names))
    assert await kv.list() == sorted(names)


@pytest.mark.parametrize("keys", [None, "canary", [1], {}])
async def test_malformed_list(provider_at, keys):
    """A list that holds no names is MalformedResponseError."""
    respond = lambda request: answer(body=document({"keys": keys}))  # noqa: E731
    async with RawServer(respond) as server, provider_at(server.url) as provider:
        provider._mount.verified = True
        with pytest.raises(MalformedResponseError):
            await provider.list()


@pytest.mark.parametrize(
    "members",
    [
        {"key": "canary"},
        {"key": ""},
        {"": "x"},
        {"key": "üñ日🔑"},
        {"key": 'a\nb"c\\d\u0000</>&'},
        {"key": "x", "b": "y"},
        {"key": {"data": {"data": {"key": "y"}}}},
        {"key": '"},"metadata":{'},
        {"n": 1, "f": 1.5, "b": True, "z": None, "l": [1]},
        {},
    ],
)
def test_quick_reading_is_right(members):
    """The common answer that is matched instead of parsed gives what parsing gives, or is parsed."""
    call = Call("read", "GET", None, "a")
    body = answer(body=secret(members)).partition(b"\r\n\r\n")[2]
    slow = object_text(call, document_of(Answer(200, body).body)["data"]["data"])
    quick = common_secret(body)
    assert quick is None or quick == (slow, "2026-01-02T03:04:05.123456789Z", "1")
    assert (quick is not None) == (list(members.values()) in (["canary"], [""], ["x"]))
    assert json.loads(slow) == members


@pytest.mark.parametrize("cut", range(1, 60))
def test_quick_reading_of_a_cut_answer(cut):
    """An answer that is cut off, or goes on, is not taken for the common one."""
    body = answer(body=secret()).partition(b"\r\n\r\n")[2]
    assert common_secret(body)
    assert common_secret(body[:-cut]) is None
    assert common_secret(body + b"x") is None
    assert common_secret(body[cut:]) is None
