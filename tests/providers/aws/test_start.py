"""What the event loop has to do itself while a client at AWS starts and reads its first secret.

How long it is kept is measured by `python -m benchmarks.aws`; here it is counted what is done on its thread.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.providers.aws.conftest import ENVIRON

ROOT = Path(__file__).parents[3]

PROGRAM = """
import asyncio, concurrent.futures.thread, json, sys, threading
import aiohttp, tenacity, yaml  # the base packages, which every program has
import asyncsecrets.client
from asyncsecrets import SecretsClient

here, done, counting = threading.get_ident(), [], False
BLOCKING = {"import", "open", "os.listdir", "os.scandir", "socket.getaddrinfo", "subprocess.Popen", "time.sleep"}

def note(event, args):
    if counting and event in BLOCKING:
        done.append((threading.get_ident() == here, event, str(args[0]) if args else ""))

sys.addaudithook(note)

async def main(settings):
    global counting
    settings = {"key_management_system": "aws_secret_manager", "key_management_settings": settings}
    counting = True
    async with SecretsClient.from_config({"general_settings": settings}) as secrets:
        await secrets.get("db")
        counting = False

asyncio.run(main(json.loads(sys.argv[1])))
print(json.dumps(done))
"""

SDK = ("aioboto3", "aiobotocore", "boto3", "botocore")


@pytest.mark.parametrize("role", [False, True], ids=["keys", "role"])
async def test_nothing_blocks_the_loop(aws, role):
    """Importing the SDK, its model files, certificates and finding credentials are for threads: the loop does none."""
    await aws.store("db", "canary")
    settings = {"attempt_timeout": "15"}
    if role:
        settings |= {"aws_role_name": "arn:aws:iam::123456789012:role/reader", "aws_sts_endpoint": aws.url}
    environment = {**os.environ, **ENVIRON, "AWS_ENDPOINT_URL": aws.url, "PYTHONASYNCIODEBUG": ""}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, json.dumps(settings), env=environment, cwd=ROOT, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    done = json.loads(output)
    by_threads = [what for on_loop, event, what in done if event == "import" and not on_loop]
    assert {"aiobotocore.session", "botocore.session"} <= set(by_threads)
    assert not {"aioboto3", "boto3"} & set(by_threads)  # of what `asyncsecrets[aws]` brings: aiobotocore will do
    on_loop = [(event, what) for is_on_loop, event, what in done if is_on_loop]
    assert [what for event, what in on_loop if event == "import" and what.startswith(SDK)] == []
    assert [each for each in on_loop if each[0] != "import"] == []
