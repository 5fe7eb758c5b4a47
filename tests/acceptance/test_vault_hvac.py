"""hvac, written by others for the real servers, writes what we read and reads what we write."""

from __future__ import annotations

import json

import hvac.exceptions
import pytest

from asyncsecrets.errors import ConflictError, DecodeError, InvalidNameError, SecretNotFoundError

TEXTS = [
    "canary",
    "",
    "  canary \n",
    "canary-ünïcödé-🔑-\u2028-\ufeff",
    '{"canary": "looks like JSON"}',
    "canary\x00\t\r\n\x7f\\\"'<&>%",
    "0",
    "canary-0123456789" * 5_000,
]
OBJECT = {
    "key": "canary",
    "text": "ü",
    "int": 42,
    "big": 12345678901234567890,
    "float": 1.5,
    "small": 1e-9,
    "yes": True,
    "none": None,
    "list": ["canary", 1, {"a": []}],
    "nested": {"ö": {"b": ""}},
    "": "empty name",
}
AS_KEPT = 12345678901234567000  # what the server makes of "big"; hvac lets it, we refuse the number
NAMES = [
    "plain",
    "a/b/c",
    "with space",
    "ünïcode/日本",
    "plus+plus",
    "..x",
    "a=b&c,d:e@f",
    "(g)!*'$~",
    "semi;colon",
    "key-🔑",
    "back\\slash",
]


@pytest.fixture
async def we(stage):
    """A provider with the root token."""
    async with stage.provider() as provider:
        yield provider


@pytest.fixture
def path(stage):
    """The path that hvac uses for one of our names."""
    return lambda name: f"{stage.own}/{name}"


async def theirs(they, path, version=None):
    """What hvac reads."""
    answer = await they(
        they.kv.read_secret_version, path, version=version, raise_on_deleted_version=True, mount_point="secret"
    )
    return answer["data"]["data"]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_texts(stage, we, they, path, text):
    """Any text is the same to both, byte for byte, through the client as well."""
    await they(they.kv.create_or_update_secret, path("from-hvac"), {"key": text})
    async with stage.client(we) as client:
        assert (await client.get("from-hvac")).equals(text)
        await client.put("from-us", text)
    assert await theirs(they, path("from-us")) == {"key": text}


async def test_whole_objects(stage, they, path):
    """Objects with members of every JSON type come back alike, both ways."""
    async with stage.provider(secret_field="") as we:
        await they(they.kv.create_or_update_secret, path("from-hvac"), OBJECT)
        with pytest.raises(DecodeError, match="more digits than Vault keeps"):
            await we.put("from-us", json.dumps(OBJECT))
        await we.put("from-us", json.dumps({**OBJECT, "big": AS_KEPT}))
        ours = [json.loads((await we.get(name)).reveal()) for name in ("from-hvac", "from-us")]
    seen = [await theirs(they, path(name)) for name in ("from-hvac", "from-us")]
    assert ours == seen
    assert ours[0] == ours[1]
    assert {**ours[0], "big": None} == {**OBJECT, "big": None}
    assert ours[0]["big"] == AS_KEPT


@pytest.mark.parametrize("name", NAMES)
async def test_names(we, they, path, name):
    """A name is the same secret to both, and is listed alike."""
    await they(they.kv.create_or_update_secret, path(name), {"key": "canary-theirs"})
    assert (await we.get(name)).field("key").equals("canary-theirs")
    await we.put(name, "canary-ours")
    assert await theirs(they, path(name)) == {"key": "canary-ours"}
    assert await we.list() == [name]


@pytest.mark.parametrize("name", ["cafe\u0301", "dots\uff0e\uff0e"])
async def test_names_that_we_refuse(we, they, path, name):
    """A name of theirs that looks like another one is an error that says so; it neither hides nor breaks the others."""
    for each in (name, "other"):
        await they(they.kv.create_or_update_secret, path(each), {"key": "canary"})
    with pytest.raises(InvalidNameError):
        await we.get(name)
    assert "other" in await we.list()


async def test_versions(we, they, path):
    """Version numbers mean the same, whoever made them; every version stays readable."""
    for number in range(1, 7):
        value = f"canary-{number}"
        if number % 2:
            answer = await they(they.kv.create_or_update_secret, path("x"), {"key": value})
            assert answer["data"]["version"] == number
        else:
            assert (await we.put("x", value)).version == str(number)
    for number in range(1, 7):
        secret = await we.get("x", str(number))
        assert secret.version == str(number)
        assert secret.field("key").equals(f"canary-{number}")
        assert await theirs(they, path("x"), number) == {"key": f"canary-{number}"}
    known = (await they(they.kv.read_secret_metadata, path("x")))["data"]
    assert [version.version for version in await we.versions("x")] == list(known["versions"])
    assert [version.version for version in await we.versions("x") if version.current] == [str(known["current_version"])]
    with pytest.raises(SecretNotFoundError):
        await we.get("x", "7")


async def test_compare_and_set(we, they, path):
    """Each side's compare-and-set sees the other side's writes."""
    conflict = hvac.exceptions.InvalidRequest
    write = they.kv.create_or_update_secret
    await we.put("x", "canary-1", cas="0")
    with pytest.raises(conflict):
        await they(write, path("x"), {"key": "canary-no"}, cas=0)
    assert (await they(write, path("x"), {"key": "canary-2"}, cas=1))["data"]["version"] == 2
    for stale in ("0", "1", "3"):
        with pytest.raises(ConflictError):
            await we.put("x", "canary-no", cas=stale)
    assert (await we.put("x", "canary-3", cas="2")).version == "3"
    with pytest.raises(conflict):
        await they(write, path("x"), {"key": "canary-no"}, cas=2)
    await they(they.kv.delete_latest_version_of_secret, path("x"))
    with pytest.raises(ConflictError):
        await we.put("x", "canary-no", cas="0")  # deleted, yet version 3 is what a compare-and-set compares with
    assert (await we.put("x", "canary-4", cas="3")).version == "4"


async def test_mounts_that_require_cas(we, they, path):
    """Where hvac's user has made compare-and-set a must, our writes pass it, also over a deleted version."""
    await they(they.kv.update_metadata, path("x"), cas_required=True)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="required"):
        await they(they.kv.create_or_update_secret, path("x"), {"key": "canary-no"})
    assert (await we.put("x", "canary-1")).version == "1"
    assert (await we.put("x", "canary-2")).version == "2"
    await we.delete("x")
    assert (await we.put("x", "canary-3")).version == "3"
    with pytest.raises(ConflictError):
        await we.put("x", "canary-no", cas="1")
    assert await theirs(they, path("x")) == {"key": "canary-3"}


async def test_deleted_and_undeleted(we, they, path):
    """What one side deletes the other side sees as deleted, and can restore."""
    await we.put("x", "canary-1")
    await we.delete("x")
    with pytest.raises(hvac.exceptions.InvalidPath):
        await theirs(they, path("x"))
    await they(they.kv.undelete_secret_versions, path("x"), [1])
    assert (await we.get("x")).field("key").equals("canary-1")
    await they(they.kv.delete_latest_version_of_secret, path("x"))
    with pytest.raises(SecretNotFoundError) as caught:
        await we.get("x")
    assert caught.value.reason == "deleted"
    await we.restore("x")
    assert await theirs(they, path("x")) == {"key": "canary-1"}


async def test_given_versions_deleted_and_destroyed(we, they, path):
    """The same for versions that are not the current one, and for good."""
    for number in range(1, 6):
        await we.put("x", f"canary-{number}")
    await we.delete_versions("x", ["1", "2"])
    await they(they.kv.delete_secret_versions, path("x"), [3])
    await they(they.kv.destroy_secret_versions, path("x"), [2])
    await we.destroy("x", ["4"])
    states = ["deleted", "destroyed", "deleted", "destroyed", "enabled"]
    assert [version.state for version in await we.versions("x")] == states
    for number, state in enumerate(states[:4], start=1):
        with pytest.raises(SecretNotFoundError) as caught:
            await we.get("x", str(number))
        assert caught.value.reason == state
        with pytest.raises(hvac.exceptions.InvalidPath):
            await theirs(they, path("x"), number)
    assert (await we.get("x")).field("key").equals("canary-5")
    known = (await they(they.kv.read_secret_metadata, path("x")))["data"]["versions"]
    assert [version["destroyed"] for version in known.values()] == [state == "destroyed" for state in states]


async def test_deleted_for_good(we, they, path):
    """After a delete for good by either side there is nothing, and numbering starts anew."""
    await we.put("x", "canary")
    await they(they.kv.delete_metadata_and_all_versions, path("x"))
    with pytest.raises(SecretNotFoundError) as caught:
        await we.get("x")
    assert caught.value.reason == "absent"
    assert (await we.put("x", "canary", cas="0")).version == "1"
    await we.destroy("x")
    with pytest.raises(hvac.exceptions.InvalidPath):
        await they(they.kv.read_secret_metadata, path("x"))


async def test_metadata(we, they, path):
    """Custom metadata and limits are the same on both sides, and what one leaves out stays."""
    await they(they.kv.update_metadata, path("x"), max_versions=3, custom_metadata={"owner": "tests", "ü": "ö"})
    await we.put("x", "canary")
    await we.write_metadata("x", delete_version_after="90m")
    metadata = await we.metadata("x")
    assert (metadata.max_versions, metadata.delete_version_after) == (3, "1h30m0s")
    assert dict(metadata.custom) == {"owner": "tests", "ü": "ö"}
    assert metadata.current_version == "1"
    await we.write_metadata("x", custom={"owner": "us"}, max_versions=5, cas_required=True)
    known = (await they(they.kv.read_secret_metadata, path("x")))["data"]
    assert (known["max_versions"], known["cas_required"], known["delete_version_after"]) == (5, True, "1h30m0s")
    assert known["custom_metadata"] == {"owner": "us"}


async def test_max_versions_prunes_alike(we, they, path):
    """The oldest version that is gone for them is gone for us."""
    await they(they.kv.update_metadata, path("x"), max_versions=2)
    for number in range(1, 5):
        await we.put("x", f"canary-{number}")
    assert [version.version for version in await we.versions("x")] == ["3", "4"]
    with pytest.raises(SecretNotFoundError):
        await we.get("x", "2")
    with pytest.raises(hvac.exceptions.InvalidPath):
        await theirs(they, path("x"), 2)


async def test_lists(we, they, path):
    """Folders and names as either side made them; deleted secrets are still listed, destroyed ones are not."""
    names = ["a", "a/b", "a/c/d", "b", "team/x"]
    for index, name in enumerate(names):
        if index % 2:
            await we.put(name, "canary")
        else:
            await they(they.kv.create_or_update_secret, path(name), {"key": "canary"})
    assert await we.list() == names
    assert (await they(they.kv.list_secrets, path("")))["data"]["keys"] == ["a", "a/", "b", "team/"]
    assert await we.list("a") == ["a", "a/b", "a/c/d"]
    await we.delete("b")
    await they(they.kv.delete_metadata_and_all_versions, path("a/b"))
    assert await we.list() == ["a", "a/c/d", "b", "team/x"]


async def test_patches(we, they, path):
    """A patch of either side keeps the members that it does not name."""
    await they(they.kv.create_or_update_secret, path("x"), {"key": "canary-1", "user": "app", "old": "canary"})
    assert await we.patch("x", {"key": "canary-2", "old": None}) == "2"
    assert await theirs(they, path("x")) == {"key": "canary-2", "user": "app"}
    with pytest.warns(DeprecationWarning, match="raise_on_deleted_version"):  # hvac's patch reads, and warns itself
        await they(they.kv.patch, path("x"), {"user": "other"})
    secret = await we.get("x")
    assert (secret.version, secret.field("user").reveal()) == ("3", "other")
    assert secret.field("key").equals("canary-2")


async def test_kv_version_1(stage, they):
    """The older engine, at a mount of our own."""
    await they(they.client.sys.enable_secrets_engine, "kv", path=stage.own, options={"version": "1"})
    kv = they.client.secrets.kv.v1
    async with stage.provider(mount_name=stage.own, path_prefix="") as we:
        await they(kv.create_or_update_secret, "team/x", {"key": "canary-1"}, mount_point=stage.own)
        secret = await we.get("team/x")
        assert secret.version is None
        assert secret.field("key").equals("canary-1")
        await we.put("team/y", "canary-2")
        assert (await they(kv.read_secret, "team/y", mount_point=stage.own))["data"] == {"key": "canary-2"}
        assert await we.list() == ["team/x", "team/y"]
        await they(kv.delete_secret, "team/x", mount_point=stage.own)
        with pytest.raises(SecretNotFoundError):
            await we.get("team/x")
        await we.delete("team/y")
        with pytest.raises(hvac.exceptions.InvalidPath):
            await they(kv.read_secret, "team/y", mount_point=stage.own)
