"""The official sync clients as an independent driver, and a server in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket

import google_crc32c
import grpc
import pytest
from google.api_core.exceptions import FailedPrecondition, ServiceUnavailable
from google.cloud import kms_v1, secretmanager_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport

from asyncsecrets.testing.google_server import GoogleServer

from .conftest import async_clients, channel_to


def test_the_sync_clients_work_alike():
    """Create, add, access, list, disable, delete; encrypt and decrypt; nobody answers afterwards."""
    with GoogleServer.in_thread() as server, grpc.insecure_channel(server.endpoint) as channel:
        secrets = secretmanager_v1.SecretManagerServiceClient(
            transport=SecretManagerServiceGrpcTransport(channel=channel)
        )
        parent = f"projects/{server.project}"
        made = secrets.create_secret(parent=parent, secret_id="NAME", secret={"replication": {"automatic": {}}})
        version = secrets.add_secret_version(parent=made.name, payload={"data": b"canary"})
        answer = secrets.access_secret_version(name=f"{parent}/secrets/NAME/versions/latest")
        assert (answer.name, answer.payload.data) == (version.name, b"canary")
        assert answer.payload.data_crc32c == google_crc32c.value(b"canary")
        assert [secret.name for secret in secrets.list_secrets(parent=parent)] == [made.name]
        secrets.disable_secret_version(name=version.name)
        with pytest.raises(FailedPrecondition, match="is in DISABLED state"):
            secrets.access_secret_version(name=version.name)
        secrets.delete_secret(name=made.name)
        kms = kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
        key = server.key()
        sealed = kms.encrypt(name=key.name, plaintext=b"canary")
        assert kms.decrypt(name=key.name, ciphertext=sealed.ciphertext).plaintext == b"canary"
        assert server.count("Encrypt") == 1
    with grpc.insecure_channel(server.endpoint) as channel:
        secrets = secretmanager_v1.SecretManagerServiceClient(
            transport=SecretManagerServiceGrpcTransport(channel=channel)
        )
        with pytest.raises(ServiceUnavailable):
            secrets.list_secrets(parent=parent, retry=None)


def test_async_clients_on_other_loops_beside_it(capfd):
    """Server and clients are on the loops of three threads, and nothing is said on stderr."""

    async def read(server, times):
        name = server.add("NAME", "canary")
        async with channel_to(server) as channel:
            secrets = async_clients(channel).secrets
            for _ in range(times):
                await asyncio.gather(*(secrets.access_secret_version(name=name) for _ in range(8)))

    async def both(server):
        await asyncio.gather(read(server, 20), asyncio.to_thread(asyncio.run, read(server, 20)))

    with GoogleServer.in_thread() as server:
        asyncio.run(both(server))
        assert server.count("AccessSecretVersion") == 2 * 20 * 8
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken():
    """It is said, and nothing is left behind."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"could not listen on 127.0.0.1:{port}"), GoogleServer.in_thread(port=port):
            pass


async def test_a_port_that_is_free_again():
    """A start that failed leaves nothing behind, and the next one succeeds."""
    server = GoogleServer()
    async with server:
        port = server.port
    with contextlib.closing(socket.create_server(("127.0.0.1", port))):
        with pytest.raises(OSError, match="in use"):
            await server.start()
        gc.collect()
    async with server, channel_to(server) as channel:
        answer = await async_clients(channel).secrets.access_secret_version(name=server.add("NAME", "canary"))
        assert (server.port, answer.payload.data) == (port, b"canary")


async def test_grpc_does_not_log_as_it_starts(caplog):
    """It would do so with a lock held that collected garbage may wait for, in a thread that logs."""
    caplog.set_level("DEBUG")
    async with GoogleServer() as server, channel_to(server) as channel:
        await async_clients(channel).secrets.access_secret_version(name=server.add("NAME", "canary"))
        assert not [record for record in caplog.records if record.name.startswith("grpc")]
    logging.getLogger("grpc._cython.cygrpc").debug("said again")
    assert "said again" in caplog.text
