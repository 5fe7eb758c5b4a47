"""Secret Manager by the official async client: what is written, read, listed, and refused."""

from __future__ import annotations

import datetime as dt

import google_crc32c
import pytest
from google.cloud.secretmanager_v1 import SecretVersion
from google.protobuf import duration_pb2

from .conftest import NOW, refused

pytestmark = pytest.mark.filterwarnings("error")
AUTOMATIC = {"replication": {"automatic": {}}}


async def add(clients, names, *values, **secret):
    """Create NAME and add versions of it."""
    made = await clients.secrets.create_secret(
        request={"parent": names.parent, "secret_id": "NAME", "secret": AUTOMATIC | secret}
    )
    for value in values:
        await clients.secrets.add_secret_version(parent=names.secret(), payload={"data": value})
    return made


async def read(clients, name):
    """The data of a version."""
    return (await clients.secrets.access_secret_version(name=name, retry=None)).payload.data


async def test_a_version_is_read_by_latest_number_and_alias(server, clients, names):
    """The answer is by the project's number, with the version's own, and a checksum of the data."""
    await add(clients, names, b"canary-1", b"canary-2")
    secret = {"name": names.secret(), "version_aliases": {"old": 1}}
    await clients.secrets.update_secret(secret=secret, update_mask={"paths": ["version_aliases"]})
    for word, number in {"latest": 2, "1": 1, "old": 1}.items():
        answer = await clients.secrets.access_secret_version(name=names.version(word))
        assert answer.name == f"projects/{server.number}/secrets/NAME/versions/{number}"
        assert answer.payload.data == b"canary-%d" % number
        assert answer.payload.data_crc32c == google_crc32c.value(answer.payload.data)
    by_number = f"projects/{server.number}/secrets/NAME/versions/1"
    assert await read(clients, by_number) == b"canary-1"


async def test_what_is_absent(clients, names):
    """Google's words: without the secret or any version, and without that version."""
    latest = await refused(clients.secrets.access_secret_version(name=names.version()))
    assert latest.grpc_status_code.name == "NOT_FOUND"
    assert latest.message == "Secret [projects/123456789012/secrets/NAME] not found or has no versions."
    await add(clients, names, b"canary")
    for word in ("7", "no-alias"):
        gone = await refused(clients.secrets.access_secret_version(name=names.version(word)))
        assert gone.message == f"Secret Version [projects/123456789012/secrets/NAME/versions/{word}] not found."
    assert (await refused(clients.secrets.get_secret(name=names.secret("OTHER")))).grpc_status_code.name == "NOT_FOUND"


async def test_states_of_a_version(clients, names):
    """``latest`` is the newest whatever its state; disabled and destroyed ones are preconditions that fail."""
    await add(clients, names, b"canary-1", b"canary-2")
    await clients.secrets.disable_secret_version(name=names.version(2))
    error = await refused(clients.secrets.access_secret_version(name=names.version()))
    assert error.grpc_status_code.name == "FAILED_PRECONDITION"
    assert error.message == "Secret Version [projects/123456789012/secrets/NAME/versions/2] is in DISABLED state."
    await clients.secrets.enable_secret_version(name=names.version(2))
    assert await read(clients, names.version()) == b"canary-2"
    gone = await clients.secrets.destroy_secret_version(name=names.version(2))
    assert gone.state == SecretVersion.State.DESTROYED
    assert gone.destroy_time.timestamp() == NOW
    for call in (clients.secrets.access_secret_version, clients.secrets.enable_secret_version):
        assert "is in DESTROYED state" in (await refused(call(name=names.version(2)))).message


async def test_a_delayed_destruction(server, clients, names):
    """It is only disabled until its time comes; enabling restores it."""
    await add(clients, names, b"canary", version_destroy_ttl=duration_pb2.Duration(seconds=86_400))
    for _ in range(2):
        planned = await clients.secrets.destroy_secret_version(name=names.version(1))
        assert planned.state == SecretVersion.State.DISABLED
        assert planned.scheduled_destroy_time.timestamp() == server.now() + 86_400
        server.advance(86_399)
        await clients.secrets.enable_secret_version(name=names.version(1))
        server.advance(2)
        assert await read(clients, names.version(1)) == b"canary"
    await clients.secrets.destroy_secret_version(name=names.version(1))
    server.advance(86_400)
    assert "DESTROYED" in (await refused(clients.secrets.enable_secret_version(name=names.version(1)))).message


async def test_checksum_and_size_of_what_is_added(clients, names):
    """A wrong checksum, nothing, and more than 64 KiB are refused; a right one is noted."""
    await add(clients, names)
    payload = {"data": b"canary", "data_crc32c": google_crc32c.value(b"canary")}
    version = await clients.secrets.add_secret_version(parent=names.secret(), payload=payload)
    assert version.client_specified_payload_checksum
    for bad in (payload | {"data_crc32c": 1}, {"data": b""}, {"data": b"x" * 65_537}):
        error = await refused(clients.secrets.add_secret_version(parent=names.secret(), payload=bad))
        assert error.grpc_status_code.name == "INVALID_ARGUMENT"
    await clients.secrets.add_secret_version(parent=names.secret(), payload={"data": b"x" * 65_536})


async def test_what_is_given_when_a_secret_is_made(server, clients, names):
    """Labels, annotations, replication with a key of the customer's, and a lifetime that becomes a time."""
    key = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"
    replica = {"location": "europe-west1", "customer_managed_encryption": {"kms_key_name": key}}
    made = await add(
        clients,
        names,
        b"canary",
        replication={"user_managed": {"replicas": [replica]}},
        labels={"team": "a"},
        annotations={"why": "Because"},
        ttl=duration_pb2.Duration(seconds=60),
    )
    assert (dict(made.labels), dict(made.annotations)) == ({"team": "a"}, {"why": "Because"})
    assert made.expire_time.timestamp() == NOW + 60
    version = await clients.secrets.get_secret_version(name=names.version(1))
    [where] = version.replication_status.user_managed.replicas
    assert where.customer_managed_encryption.kms_key_version_name == f"{key}/cryptoKeyVersions/1"
    server.advance(60)
    assert (await refused(clients.secrets.get_secret(name=names.secret()))).grpc_status_code.name == "NOT_FOUND"


@pytest.mark.parametrize(
    ("secret_id", "secret", "code"),
    [
        ("a/b", AUTOMATIC, "INVALID_ARGUMENT"),
        ("x" * 256, AUTOMATIC, "INVALID_ARGUMENT"),
        ("NEW", {}, "INVALID_ARGUMENT"),
        ("NEW", AUTOMATIC | {"labels": {"Upper": "x"}}, "INVALID_ARGUMENT"),
        ("NEW", AUTOMATIC | {"version_aliases": {"old": 1}}, "INVALID_ARGUMENT"),
        ("NEW", AUTOMATIC | {"expire_time": dt.datetime(2001, 1, 1, tzinfo=dt.UTC)}, "INVALID_ARGUMENT"),
        ("NAME", AUTOMATIC, "ALREADY_EXISTS"),
    ],
)
async def test_what_cannot_be_made(clients, names, secret_id, secret, code):
    """Each with the status that Google has for it."""
    await add(clients, names)
    request = {"parent": names.parent, "secret_id": secret_id, "secret": secret}
    assert (await refused(clients.secrets.create_secret(request=request))).grpc_status_code.name == code


async def test_etags(clients, names):
    """Whoever was there before has changed it; none is no condition."""
    made = await add(clients, names, b"canary")
    secret, mask = {"name": names.secret(), "labels": {"a": "b"}, "etag": made.etag}, {"paths": ["labels"]}
    changed = await clients.secrets.update_secret(secret=secret, update_mask=mask)
    assert (changed.etag != made.etag, dict(changed.labels)) == (True, {"a": "b"})
    version = await clients.secrets.get_secret_version(name=names.version(1))
    stale = [
        clients.secrets.update_secret(secret=secret, update_mask=mask),
        clients.secrets.delete_secret(request={"name": names.secret(), "etag": made.etag}),
        clients.secrets.disable_secret_version(request={"name": names.version(1), "etag": '"other"'}),
    ]
    for call in stale:
        assert (await refused(call)).grpc_status_code.name == "FAILED_PRECONDITION"
    await clients.secrets.disable_secret_version(request={"name": names.version(1), "etag": version.etag})
    await clients.secrets.delete_secret(request={"name": names.secret(), "etag": changed.etag})
    assert (await refused(clients.secrets.get_secret(name=names.secret()))).grpc_status_code.name == "NOT_FOUND"


async def test_an_update_replaces_what_its_mask_names(clients, names):
    """And that alone; what cannot be changed is refused."""
    await add(clients, names, labels={"a": "b"}, annotations={"why": "x"})
    secret = {"name": names.secret(), "labels": {"c": "d"}, "annotations": {}}
    changed = await clients.secrets.update_secret(secret=secret, update_mask={"paths": ["labels"]})
    assert (dict(changed.labels), dict(changed.annotations)) == ({"c": "d"}, {"why": "x"})
    for paths in (["replication"], []):
        error = await refused(clients.secrets.update_secret(secret=secret, update_mask={"paths": paths}))
        assert error.grpc_status_code.name == "INVALID_ARGUMENT"


async def test_lists_with_pages_and_filters(server, clients, names):
    """Newest first, by pages; names hold the filter's word, labels are as asked."""
    for number in range(5):
        server.advance(1)
        server.add(f"app-{number}", "canary")
    await add(clients, names, b"canary-1", b"canary-2", labels={"team": "a"})

    async def listed(**request):
        pages = await clients.secrets.list_secrets(request={"parent": names.parent, **request})
        return [secret.name.rpartition("/")[2] async for secret in pages]

    everything = ["NAME", "app-4", "app-3", "app-2", "app-1", "app-0"]
    assert sorted(await listed()) == sorted(await listed(page_size=2)) == sorted(everything)
    assert await listed(filter="name:app-", page_size=2) == everything[1:]
    assert server.count("ListSecrets") == 1 + 3 + 3
    assert await listed(filter="labels.team=a") == await listed(filter="name:name AND labels.team:*") == ["NAME"]
    assert await listed(filter="labels.team=b") == []
    await clients.secrets.disable_secret_version(name=names.version(1))
    request = {"parent": names.secret(), "page_size": 1}
    versions = await clients.secrets.list_secret_versions(request=request)
    assert [version.name[-1] async for version in versions] == ["2", "1"]
    versions = await clients.secrets.list_secret_versions(request=request | {"filter": "state:DISABLED"})
    assert [version.name[-1] async for version in versions] == ["1"]
    for bad in ({"filter": "size>3"}, {"page_token": "!"}, {"page_size": -1}):
        assert (await refused(clients.secrets.list_secrets(request={"parent": names.parent, **bad}))).code == 400


async def test_regional_secrets(server, clients):
    """Beside a global one of the same name; without a replication."""
    parent = f"projects/{server.project}/locations/europe-west3"
    server.add("NAME", "canary-global")
    await clients.secrets.create_secret(request={"parent": parent, "secret_id": "NAME", "secret": {}})
    await clients.secrets.add_secret_version(parent=f"{parent}/secrets/NAME", payload={"data": b"canary-regional"})
    answer = await clients.secrets.access_secret_version(name=f"{parent}/secrets/NAME/versions/latest")
    assert answer.payload.data == b"canary-regional"
    assert answer.name == f"projects/{server.number}/locations/europe-west3/secrets/NAME/versions/1"
    request = {"parent": parent, "secret_id": "OTHER", "secret": AUTOMATIC}
    assert (await refused(clients.secrets.create_secret(request=request))).code == 400


async def test_readers_of_latest_may_lag(server, clients, names):
    """They see what was there so many seconds ago; a number is as it is, and so is the secret itself."""
    await add(clients, names, b"canary-1")
    server.advance(100)
    server.lag(30)
    await clients.secrets.add_secret_version(parent=names.secret(), payload={"data": b"canary-2"})
    await clients.secrets.disable_secret_version(name=names.version(1))
    assert await read(clients, names.version()) == b"canary-1"
    assert await read(clients, names.version(2)) == b"canary-2"
    listed = await clients.secrets.list_secret_versions(parent=names.secret())
    assert [(version.name[-1], version.state.name) async for version in listed] == [("1", "ENABLED")]
    assert (await refused(clients.secrets.access_secret_version(name=names.version(1)))).code == 400
    server.advance(30)
    assert await read(clients, names.version()) == b"canary-2"


async def test_readers_of_latest_may_stand_still(server, clients, names):
    """Until the lag is lifted: also for a secret that is new, and one that is deleted."""
    server.add("OLD", "canary-old")
    server.freeze_latest()
    await add(clients, names, b"canary-1")
    await clients.secrets.delete_secret(name=names.secret("OLD"))
    server.advance(10_000)
    assert (await refused(clients.secrets.access_secret_version(name=names.version()))).code == 404
    assert await read(clients, names.version("latest", "OLD")) == b"canary-old"
    listed = await clients.secrets.list_secrets(parent=names.parent)
    assert [secret.name.rpartition("/")[2] async for secret in listed] == ["OLD"]
    server.lag()
    assert await read(clients, names.version()) == b"canary-1"
    assert (await refused(clients.secrets.access_secret_version(name=names.version("latest", "OLD")))).code == 404
