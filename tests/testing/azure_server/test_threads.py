"""The SDK's sync client as an independent driver, and a server in a thread of its own."""

from __future__ import annotations

import contextlib
import socket

import pytest
import requests
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError, ServiceRequestError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from asyncsecrets.testing.azure_server import AzureServer


def test_the_sync_client_works_alike():
    """Set, get, update, list, delete, recover, purge; nobody answers afterwards."""
    with requests.Session() as session:
        with AzureServer.in_thread(vault="threads") as server:
            session.mount("https://", server.adapter())
            transport = RequestsTransport(session=session, session_owner=False)
            app = server.tenant, server.client_id, server.client_secret
            client = SecretClient(server.uri, ClientSecretCredential(*app, transport=transport), transport=transport)
            version = client.set_secret("NAME", "canary").properties.version
            assert client.get_secret("name", version).value == "canary"
            client.update_secret_properties("NAME", version, tags={"team": "web"})
            assert [item.tags for item in client.list_properties_of_secrets()] == [{"team": "web"}]
            client.begin_delete_secret("NAME").wait()
            with pytest.raises(ResourceNotFoundError):
                client.get_secret("NAME")
            with pytest.raises(ResourceExistsError):
                client.set_secret("NAME", "canary")
            client.begin_recover_deleted_secret("NAME").wait()
            client.begin_delete_secret("NAME").wait()
            client.purge_deleted_secret("NAME")
            assert list(client.list_deleted_secrets()) == []
            assert server.count("SetSecret") == 2
        with pytest.raises(ServiceRequestError):
            client.get_secret("NAME", retry_total=0)


def test_a_port_that_is_taken():
    """It is said, and nothing is left behind."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"could not listen on 127.0.0.1:{port}"), AzureServer.in_thread(port=port):
            pass
