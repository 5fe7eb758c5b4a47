"""Event loops that come and go, forks, and what is left behind: nothing, and no word about it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from asyncsecrets.testing.vault_server import VaultServer

# Without asyncio's debug mode, which reports every slow callback of a busy machine on stderr.
QUIET = {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}

HEAD = """
import asyncio, gc, os, sys
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
provider = VaultProvider(VaultSettings(addr=sys.argv[1], ca_cert=sys.argv[2], token="canary-root"))
async def read():
    await provider.open()
    assert (await provider.get("name")).field("key").equals("canary-value")
def check():
    gc.collect()
"""

LOOP_GONE = """
for _ in range(3):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(read())
    loop.close()
    before = len(os.listdir("/proc/self/fd"))
    provider.abandon()
    check()
    assert len(os.listdir("/proc/self/fd")) < before
"""

RUN_TWICE = """
async def whole():
    await read()
    await provider.aclose()
for _ in range(3):
    asyncio.run(whole())
check()
"""

FORK = """
loop = asyncio.new_event_loop()
loop.run_until_complete(read())
child = os.fork()
if child == 0:
    asyncio.base_events.BaseEventLoop.__del__ = lambda self: None  # the parent's loop is not ours to close
    provider.abandon()
    async def whole():
        await read()
        await provider.aclose()
    asyncio.run(whole())
    check()
    print("child done")
else:
    assert os.waitpid(child, 0)[1] == 0
    loop.run_until_complete(read())
    loop.run_until_complete(provider.aclose())
    loop.close()
"""


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("script", [LOOP_GONE, RUN_TWICE, FORK], ids=["loop gone", "run twice", "fork"])
def test_leaves_nothing(tls, script):
    """A loop that ended, a second asyncio.run, a fork: right values, no warning, no descriptor left."""
    server = VaultServer(root_token="canary-root", tls=tls)
    server.write_secret("name", {"key": "canary-value"})
    with server.run_in_thread():
        command = [
            sys.executable,
            "-W",
            "error",
            "-c",
            HEAD + textwrap.dedent(script),
            server.url,
            server.ca_file or "",
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=QUIET)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == ("child done\n" if script is FORK else "")


def test_import_needs_no_loop_and_no_network():
    """Making a provider does no I/O and binds to no loop."""
    code = HEAD + "assert provider.default_field == 'key'"
    command = [sys.executable, "-W", "error", "-c", code, "https://vault.invalid:8200", ""]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=QUIET)
    assert (result.returncode, result.stderr) == (0, "")
