"""``asyncsecrets demo``: what the cache does, measured in front of you, in a few seconds.

The server is the Vault-compatible fake in a process of its own, so that it takes no time from the readers' event loop,
and it counts the calls. Every figure is measured in this run. It needs nothing but the base installation, works
offline, and leaves nothing on disk and nothing running.
"""

from __future__ import annotations

import argparse

from asyncsecrets.cli.console import Console
from asyncsecrets.cli.exits import Family

HELP = "show, measured: many readers, a rotation and an outage against a real HTTP server"


def configure(parser: argparse.ArgumentParser) -> None:
    """It has no arguments of its own."""


def run(args: argparse.Namespace, console: Console) -> int:  # noqa: ARG001  # every command is called alike
    """Run the demo. The exit code is 1 if a promise did not hold."""
    import asyncio

    from asyncsecrets.cli.demo.story import tell

    outcome = asyncio.run(tell(console.line))
    document = {"ok": not outcome.broken, "broken_promises": outcome.broken, "measured": outcome.measured}
    console.result(document, outcome.ending)
    return Family.INTERNAL.value if outcome.broken else 0
