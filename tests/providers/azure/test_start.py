"""What the event loop has to do itself while a connection starts and reads its first secret: it blocks on nothing.

How long it is kept is measured by `python -m benchmarks`; here it is counted what is done on its thread.
"""

from __future__ import annotations

import pytest

from tests.providers.azure.conftest import settings_at
from tests.providers.starting import blocking_in

PROGRAM = """
def load():
    from asyncsecrets.providers.azure import connection
    return connection.Connection, connection.AzureSettings

async def main(settings, environ, places):
    global counting
    genuine = socket.getaddrinfo
    socket.getaddrinfo = lambda host, port, *args, **more: genuine(*places.get(host, (host, port)), *args, **more)
    counting = True
    Connection, Settings = await in_thread(load)
    connection = Connection("azure_key_vault", Settings.from_mapping("azure_key_vault", settings, environ))
    await connection.open()
    from azure.core.rest import HttpRequest
    await connection.call("GetSecret", "NAME", HttpRequest("GET", "/secrets/NAME/"), lambda found: found["value"])
    counting = False
    await connection.aclose()
"""
SDKS = ("azure", "msal", "cryptography", "requests", "urllib3")


@pytest.mark.parametrize("kind", ["client_secret", "client_certificate", "workload_identity", "imds"])
async def test_nothing_blocks_the_loop(server, kind):
    """Importing the SDKs, certificates, tokens and their files are for threads: the loop does none of it."""
    environ, places = server.environ(kind), dict(server.addresses)
    by_threads = await blocking_in(PROGRAM, settings_at(server), environ, places, sdk=SDKS)
    assert {"azure.keyvault.secrets.aio", "azure.identity", "msal"} <= by_threads
