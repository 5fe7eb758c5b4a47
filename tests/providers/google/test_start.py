"""What the event loop has to do itself while a client at Google starts and reads its first secret."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.conftest import settings_at

ROOT = Path(__file__).parents[3]

PROGRAM = """
import asyncio, concurrent.futures.thread, json, sys, threading
import aiohttp, tenacity, yaml  # the base packages, which every program has
import asyncsecrets.client
from asyncsecrets.loops import in_thread

here, done, counting = threading.get_ident(), [], False
BLOCKING = {"import", "open", "os.listdir", "os.scandir", "socket.getaddrinfo", "subprocess.Popen", "time.sleep"}

def note(event, args):
    if counting and event in BLOCKING:
        done.append((threading.get_ident() == here, event, str(args[0]) if args else ""))

sys.addaudithook(note)

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
    await connection.call("AccessSecretVersion", "NAME", request, routing="name=" + name)
    counting = False
    await connection.aclose()

asyncio.run(main(*json.loads(sys.argv[1])))
print(json.dumps(done))
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
        settings = settings_at(server, file)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM,
            json.dumps([settings, environ]),
            env={**os.environ, "PYTHONASYNCIODEBUG": ""},
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    done = json.loads(output)
    by_threads = [what for on_loop, event, what in done if event == "import" and not on_loop]
    assert {"grpc", "google.auth"} <= set(by_threads)
    on_loop = [(event, what) for is_on_loop, event, what in done if is_on_loop]
    assert [what for event, what in on_loop if event == "import" and what.startswith(("google", "grpc"))] == []
    assert [each for each in on_loop if each[0] != "import"] == []
