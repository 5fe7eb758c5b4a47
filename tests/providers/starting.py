"""A start in a process of its own: what its event loop has to do itself, and what threads do for it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

WATCHED = """
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
"""
TOLD = """
asyncio.run(main(*json.loads(sys.argv[1])))
print(json.dumps(done))
"""


async def blocking_in(program, *arguments, sdk, **environ):
    """What ``main(*arguments)`` of a program does that blocks, while it counts.

    Asserts that nothing is said on stderr, and that its loop does none of it but for imports of what is none of ``sdk``
    (the first words of modules). Returns what threads import.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-c", WATCHED + program + TOLD, json.dumps(arguments)),
        env={**os.environ, **environ, "PYTHONASYNCIODEBUG": ""},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, said = await process.communicate()
    assert said.decode(errors="replace") == "", output
    done = json.loads(output)
    on_loop = [(event, what) for is_on_loop, event, what in done if is_on_loop]
    imports = [what for event, what in on_loop if event == "import" and what.startswith(sdk)]
    assert not imports, f"imported on the loop: {imports}"
    assert [each for each in on_loop if each[0] != "import"] == []
    return {what for is_on_loop, event, what in done if event == "import" and not is_on_loop}
