"""A fake whose clock is moved by hand, and the official async clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import kms_v1, secretmanager_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcAsyncIOTransport
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)

from asyncsecrets.testing.google_server import GoogleServer

NOW = 1_800_000_000.0


def async_clients(channel: Any) -> Any:
    """The two official clients on a channel."""
    return SimpleNamespace(
        secrets=secretmanager_v1.SecretManagerServiceAsyncClient(
            transport=SecretManagerServiceGrpcAsyncIOTransport(channel=channel)
        ),
        kms=kms_v1.KeyManagementServiceAsyncClient(transport=KeyManagementServiceGrpcAsyncIOTransport(channel=channel)),
    )


def channel_to(server: GoogleServer) -> Any:
    """A channel with a connection of its own, which connects again at once after it has lost that."""
    options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.insecure_channel(server.endpoint, options=options)


async def refused(call: Any) -> GoogleAPICallError:
    """What the official client raises."""
    with pytest.raises(GoogleAPICallError) as caught:
        await call
    return caught.value


@pytest.fixture
async def server() -> AsyncIterator[GoogleServer]:
    """A running fake; its time stands still."""
    async with GoogleServer(clock=lambda: NOW) as running:
        yield running


@pytest.fixture
async def clients(server: GoogleServer) -> AsyncIterator[Any]:
    """The official clients; ``metadata=`` can be given with each call."""
    async with channel_to(server) as channel:
        yield async_clients(channel)


@pytest.fixture
def names(server: GoogleServer) -> Any:
    """Resource names as a client writes them, with the project's id."""
    parent = f"projects/{server.project}"
    return SimpleNamespace(
        parent=parent,
        secret=lambda name="NAME": f"{parent}/secrets/{name}",
        version=lambda version="latest", name="NAME": f"{parent}/secrets/{name}/versions/{version}",
    )
