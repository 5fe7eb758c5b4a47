"""Faults on command, by the official async clients: each does what it says, to the calls that it selects."""

from __future__ import annotations

import asyncio

import google_crc32c
import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.rpc.error_details_pb2 import RetryInfo

from asyncsecrets.testing.google_server import GoogleServer

from .conftest import NOW, async_clients, channel_to, refused


@pytest.fixture(autouse=True)
def _secret(server):
    server.add("NAME", "canary-1")


@pytest.fixture
def access(clients, names):
    """Read ``latest``, without the client's own retries."""

    def read(timeout=5.0, **metadata):
        return clients.secrets.access_secret_version(
            name=names.version(), retry=None, timeout=timeout, metadata=tuple(metadata.items())
        )

    return read


async def test_a_status_comes_as_often_as_asked(server, access):
    """To that method and name alone, after those that are to pass; with reason and RetryInfo."""
    fault = server.faults.status("UNAVAILABLE", method="AccessSecretVersion", name="NAME", times=2, skip=1)
    server.faults.status("INTERNAL", name="OTHER")
    server.faults.status("INTERNAL", method="Decrypt")
    assert (await access()).payload.data == b"canary-1"
    for _ in range(2):
        assert (await refused(access())).grpc_status_code.name == "UNAVAILABLE"
    assert (await access()).payload.data == b"canary-1"
    assert fault.hits == 2
    assert [(record.code, record.fault) for record in server.requests] == [
        ("OK", None),
        ("UNAVAILABLE", "status"),
        ("UNAVAILABLE", "status"),
        ("OK", None),
    ]
    server.faults.exhausted(1.5)
    error = await refused(access())
    assert (error.grpc_status_code.name, error.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED")
    [delay] = [detail.retry_delay for detail in error.details if isinstance(detail, RetryInfo)]
    assert (delay.seconds, delay.nanos) == (1, 500_000_000)
    server.faults.clear()
    assert (await access()).payload.data == b"canary-1"


async def test_a_write_may_be_carried_out_and_fail(server, clients, names, access):
    """``when="after"``: nobody hears that it was done."""
    fault = server.faults.status("UNAVAILABLE", method="AddSecretVersion", when="after")
    payload = {"data": b"canary-2"}
    assert (await refused(clients.secrets.add_secret_version(parent=names.secret(), payload=payload))).code == 503
    assert (await access()).payload.data == b"canary-2"
    server.faults.remove(fault)
    server.faults.status("UNAVAILABLE", method="AddSecretVersion")
    assert (await refused(clients.secrets.add_secret_version(parent=names.secret(), payload=payload))).code == 503
    assert server.value("NAME") == b"canary-2"
    assert len((await clients.secrets.list_secret_versions(parent=names.secret())).versions) == 2


async def test_no_answer_and_a_late_one(access):
    """A hang ends by the client's deadline; a delay is carried out by the server's sleep."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    async with GoogleServer(sleep=sleep) as server, channel_to(server) as channel:
        name = server.add("NAME", "canary")
        secrets = async_clients(channel).secrets
        server.faults.delay(3.0, times=1)
        server.faults.hang(skip=1)
        assert (await secrets.access_secret_version(name=name)).payload.data == b"canary"
        assert slept == [3.0]
        error = await refused(secrets.access_secret_version(name=name, retry=None, timeout=0.2))
        assert error.grpc_status_code.name == "DEADLINE_EXCEEDED"
        assert server.requests[-1].fault == "hang"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_dropped_connection(server, clients, names, access, when):
    """The client sees it, and connects again; whether a write was done is as it was told."""
    server.faults.drop(times=1, when=when, method="AddSecretVersion")
    payload = {"data": b"canary-2"}
    error = await refused(clients.secrets.add_secret_version(parent=names.secret(), payload=payload))
    assert error.grpc_status_code.name == "UNAVAILABLE"
    await connected(access)
    assert server.value("NAME") == (b"canary-2" if when == "after" else b"canary-1")


async def connected(access):
    """Read until the channel has connected again."""
    while True:
        try:
            return await access()
        except GoogleAPICallError as error:
            assert error.grpc_status_code.name in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}  # noqa: PT017
        await asyncio.sleep(0.05)


async def test_a_silent_loss(server, access):
    """Connections are kept and carry nothing, for good; a new one is as ever."""
    assert (await access()).payload.data == b"canary-1"
    server.fall_silent()
    assert (await refused(access(timeout=0.3))).grpc_status_code.name == "DEADLINE_EXCEEDED"
    assert server.count("AccessSecretVersion") == 1
    assert (await refused(access(timeout=0.1))).grpc_status_code.name == "DEADLINE_EXCEEDED"
    async with channel_to(server) as channel:
        answer = await async_clients(channel).secrets.access_secret_version(name=server.add("NAME", "canary-2"))
    assert answer.payload.data == b"canary-2"


async def test_answers_that_are_wrong(server, access):
    """A bit of the payload or the checksum, no checksum, another name: and what is stored stays as it is."""
    for damage in ("payload", "checksum", "no_checksum", "name"):
        server.faults.corrupt(damage, times=1)
        answer = await access()
        held = answer.payload
        right = held.data_crc32c == google_crc32c.value(held.data)
        assert (held.data == b"canary-1") is (damage != "payload")
        assert ("data_crc32c" in held) is (damage != "no_checksum")
        assert right is (damage == "name")
        assert ("/secrets/NAME/" in answer.name) is (damage != "name")
        assert google_crc32c.value((await access()).payload.data) == google_crc32c.value(b"canary-1")
    server.faults.corrupt("oversize", times=1)
    assert (await refused(access())).grpc_status_code.name == "RESOURCE_EXHAUSTED"
    server.faults.corrupt("garbage", times=1)
    assert await access() is None  # what grpc makes of an answer that is no message


async def test_what_is_stored_stays_as_it_is(server, clients, names):
    """Where an answer with another name is given."""
    server.faults.corrupt("name", times=1)
    right = f"projects/{server.number}/secrets/NAME"
    assert (await clients.secrets.get_secret(name=names.secret())).name == right.replace("NAME", "another")
    assert (await clients.secrets.get_secret(name=names.secret())).name == right


def test_the_log_is_bounded(server):
    """The latest 20,000 calls are kept."""
    for number in range(20_001):
        server.requests.note("GetSecret", str(number), {})
    assert (len(server.requests), server.requests[0].name) == (20_000, "1")


async def test_answers_of_kms_that_are_wrong(server, clients):
    """The same, and what was sent not verified."""
    key = server.key()
    sealed = (await clients.kms.encrypt(name=key.name, plaintext=b"canary")).ciphertext
    for damage in ("payload", "checksum", "no_checksum"):
        server.faults.corrupt(damage, times=2)
        opened = await clients.kms.decrypt(name=key.name, ciphertext=sealed)
        assert opened.plaintext_crc32c != google_crc32c.value(opened.plaintext)
        made = await clients.kms.encrypt(name=key.name, plaintext=b"canary")
        assert made.ciphertext_crc32c != google_crc32c.value(made.ciphertext)
    server.faults.corrupt("name", times=1)
    assert "/cryptoKeys/another/" in (await clients.kms.encrypt(name=key.name, plaintext=b"canary")).name
    server.faults.corrupt("unverified", times=1)
    request = {"name": key.name, "plaintext": b"canary", "plaintext_crc32c": google_crc32c.value(b"canary")}
    assert not (await clients.kms.encrypt(request=request)).verified_plaintext_crc32c
    assert (await clients.kms.encrypt(request=request)).verified_plaintext_crc32c


async def test_a_secret_that_the_server_deletes(server, access):
    """For whoever needs it gone."""
    server.delete("NAME")
    assert (await refused(access())).grpc_status_code.name == "NOT_FOUND"


async def test_death_and_return(server, clients, names, access):
    """The same port, the same data; nobody answers in between, and calls under way end."""
    endpoint, url = server.endpoint, server.url
    server.faults.hang(method="GetSecret")
    waiting = asyncio.ensure_future(clients.secrets.get_secret(name=names.secret(), retry=None))
    while not server.count("GetSecret"):
        await asyncio.sleep(0.01)
    await server.stop()
    assert (await refused(waiting)).grpc_status_code.name == "UNAVAILABLE"
    assert (await refused(access())).grpc_status_code.name == "UNAVAILABLE"
    await server.stop()
    await server.start()
    assert (server.endpoint, server.url) == (endpoint, url)
    assert (await connected(access)).payload.data == b"canary-1"


async def test_what_a_project_cannot(server, access):
    """Each with Google's reason and domain, until it is mended."""
    for reason in ("SERVICE_DISABLED", "BILLING_DISABLED", "CONSUMER_INVALID"):
        server.break_project(reason)
        error = await refused(access())
        assert (error.grpc_status_code.name, error.reason) == ("PERMISSION_DENIED", reason)
        assert error.domain == "googleapis.com"
        facts = {"service": "secretmanager.googleapis.com", "consumer": f"projects/{server.number}"}
        assert error.metadata == facts
    server.break_project(None)
    assert (await access()).payload.data == b"canary-1"


async def test_who_may_not(server, clients, names, access):
    """A denial looks like a project that is not there; it is for a permission, a name, a principal."""
    name = names.version().replace(server.project, "nobodys-project")
    absent = await refused(clients.secrets.access_secret_version(name=name, retry=None))
    server.deny("secretmanager.versions.access", name="NAME")
    denied = await refused(access())
    for error, resource in ((absent, name), (denied, names.version())):
        permission = "secretmanager.versions.access"
        assert (error.grpc_status_code.name, error.reason) == ("PERMISSION_DENIED", "IAM_PERMISSION_DENIED")
        assert (error.domain, error.metadata) == (
            "iam.googleapis.com",
            {"permission": permission, "resource": resource},
        )
        assert error.message == f"Permission '{permission}' denied for resource '{resource}' (or it may not exist)."
    assert (await clients.secrets.get_secret(name=names.secret())).name
    other = server.add("OTHER", "canary")
    assert (await clients.secrets.access_secret_version(name=other)).name == other
    server.allow()
    server.add_project("nobodys-project", "42")
    assert (await access()).payload.data == b"canary-1"
    assert (await refused(clients.secrets.access_secret_version(name=name, retry=None))).code == 404


async def test_what_came_is_kept_without_tokens(server, access):
    """Its method, name and metadata, for assertions; time is as it was given."""
    await access(authorization="Bearer canary-token", **{"x-goog-user-project": "billed"})
    [record] = server.requests
    assert (record.method, record.code) == ("AccessSecretVersion", "OK")
    assert record.metadata["authorization"] == "Bearer"
    assert record.metadata["x-goog-user-project"] == "billed"
    assert "canary" not in repr(record) + repr(record.metadata) + repr(server)
    assert (server.count("AccessSecretVersion"), server.count("AccessSecretVersion", "OTHER")) == (1, 0)
    assert server.now() == NOW
    server.requests.clear()
    assert server.count("AccessSecretVersion") == 0
