"""What the event loop has to do itself while a connection starts and reads its first secret: it blocks on nothing.

How long it is kept is measured by `python -m benchmarks`; here it is counted what is done on its thread.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.providers.azure.conftest import settings_at

ROOT = Path(__file__).parents[3]

PROGRAM = """
import asyncio, concurrent.futures.thread, json, socket, sys, threading
import aiohttp, tenacity, yaml  # the base packages, which every program has
import asyncsecrets.client
from asyncsecrets.loops import in_thread

here, done, counting = threading.get_ident(), [], False
BLOCKING = {"import", "open", "os.listdir", "os.scandir", "socket.getaddrinfo", "subprocess.Popen", "time.sleep"}

def note(event, args):
    if counting and event in BLOCKING:
        done.append((threading.get_ident() == here, event, str(args[0]) if args else ""))

sys.addaudithook(note)
settings, environ, places = json.loads(sys.argv[1])
genuine = socket.getaddrinfo
socket.getaddrinfo = lambda host, port, *args, **more: genuine(*places.get(host, (host, port)), *args, **more)

def load():
    from asyncsecrets.providers.azure import connection
    return connection.Connection, connection.AzureSettings

async def main():
    global counting
    counting = True
    Connection, Settings = await in_thread(load)
    connection = Connection("azure_key_vault", Settings.from_mapping("azure_key_vault", settings, environ))
    await connection.open()
    await connection.call("GetSecret", "NAME", lambda client: client.get_secret("NAME"))
    counting = False
    await connection.aclose()

asyncio.run(main())
print(json.dumps(done))
"""


SDKS = ("azure", "msal", "cryptography", "requests", "urllib3")


@pytest.mark.parametrize("kind", ["client_secret", "client_certificate", "workload_identity", "imds"])
async def test_nothing_blocks_the_loop(server, kind):
    """Importing the SDKs, certificates, tokens and their files are for threads: the loop does none of it."""
    told = json.dumps([settings_at(server), server.environ(kind), dict(server.addresses)])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PROGRAM, told),
        env={**os.environ, "PYTHONASYNCIODEBUG": ""},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, said = await process.communicate()
    assert said == b""
    done = json.loads(output)
    by_threads = {what for on_loop, event, what in done if event == "import" and not on_loop}
    assert {"azure.keyvault.secrets.aio", "azure.identity", "msal"} <= by_threads
    on_loop = [(event, what) for is_on_loop, event, what in done if is_on_loop]
    assert [what for event, what in on_loop if event == "import" and what.startswith(SDKS)] == []
    assert [each for each in on_loop if each[0] != "import"] == []
