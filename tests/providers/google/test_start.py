"""What the event loop has to do itself while a client at Google starts and reads its first secret."""

from __future__ import annotations

import pytest

from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.conftest import settings_at
from tests.providers.starting import blocking_in

PROGRAM = """
def load():
    from asyncsecrets.providers.google.connection import Connection
    from asyncsecrets.providers.google.services import SECRET_MANAGER
    from asyncsecrets.providers.google.settings import GoogleSettings
    return Connection, SECRET_MANAGER, GoogleSettings

async def main(settings, environ):
    global counting
    counting = True
    Connection, service, kind = await in_thread(load)
    system = "google_secret_manager"
    connection = Connection(service, system, kind.from_mapping(system, settings, environ))
    await connection.open()
    from google.cloud.secretmanager_v1 import AccessSecretVersionRequest
    name = "projects/example-project/secrets/NAME/versions/latest"
    request = AccessSecretVersionRequest(name=name)
    from asyncsecrets.providers.google.errors import Call
    await connection.call(Call(system, "AccessSecretVersion", "NAME", "name=" + name), request)
    counting = False
    await connection.aclose()
"""


@pytest.mark.parametrize("way", ["service account", "user", "machine"])
async def test_nothing_blocks_the_loop(way):
    """Importing the SDK, reading certificates and finding credentials are for threads: the loop does none."""
    async with GoogleServer(tls=True, tokens=()) as server:
        server.add("NAME", "canary")
        file = None
        if way != "machine":
            identity = server.identity
            user = way == "user"
            file = (
                identity.authorized_user_file(token_uri=server.token_uri) if user else identity.service_account_file()
            )
        environ = {} if file else {"GCE_METADATA_HOST": server.url.partition("//")[2]}
        sdk = ("google", "grpc")
        by_threads = await blocking_in(PROGRAM, settings_at(server, file), environ, sdk=sdk)
    assert {"grpc", "google.auth"} <= by_threads
