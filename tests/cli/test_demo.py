"""`demo`: measured, checked, and gone without a trace."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Self

import pytest

from asyncsecrets.cli.demo import child, measure, story
from asyncsecrets.cli.demo.backend import Backend
from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import spawn


def processes() -> set[str]:
    """The demo's server processes that run."""
    return {
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"asyncsecrets.cli.demo.child" in _read(path)
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""


class InProcess:
    """The demo's server on the test's own loop, and faults of ours: what a broken product would look like."""

    token = "s.canary-demo"

    def __init__(self, *, deaf_to: tuple[str, ...] = (), extra_calls: int = 0) -> None:
        self.server = VaultServer(root_token=self.token)
        self.deaf_to = deaf_to
        self.extra_calls = extra_calls
        self.url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.aclose()

    async def start(self) -> None:
        """As Backend's."""
        self.url = (await child.act(self.server, {"do": "start"}))["url"]

    async def kill(self) -> None:
        """As Backend's, unless it is deaf to it."""
        if "kill" not in self.deaf_to:
            await child.act(self.server, {"do": "kill"})

    async def write(self, name: str, value: str) -> None:
        """As Backend's; deaf to it, only the first write counts."""
        if "rotation" not in self.deaf_to or not self.server.read_secret(name):
            await child.act(self.server, {"do": "write", "name": name, "value": value})

    async def count(self, name: str) -> int:
        """As Backend's, with calls that a broken cache would make."""
        counted = (await child.act(self.server, {"do": "count", "name": name}))["count"]
        self.extra, extra = getattr(self, "extra", 0) + self.extra_calls, getattr(self, "extra", 0)
        return int(counted) + extra


def tell(backend: Any = None) -> Awaitable[story.Outcome]:
    """Run the story with few readers."""
    return story.tell(lambda _: None, backend)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer readers and shorter waits: the figures do not matter here."""
    monkeypatch.setattr(story, "_STAMPEDE", 50)
    monkeypatch.setattr(story, "_READERS", 5)
    monkeypatch.setattr(story, "_SEEN_WITHIN", 2.5)
    monkeypatch.setattr(story, "_REFRESH", 0.2)
    monkeypatch.setattr(story, "_OUTAGE", 0.2)


def test_demo_as_a_newcomer_sees_it(workdir: Path) -> None:
    """Six steps, every promise kept, exit code 0; no file, no process, no connection is left."""
    (workdir / ".env").write_text("not a .env at all")
    started = time.monotonic()
    done = spawn("demo")
    assert done.returncode == 0, done.stdout
    assert time.monotonic() - started < 20
    out = done.stdout.decode()
    assert [line[0] for line in out.splitlines() if re.match(r"[0-9]  ", line)] == list("123456")
    assert re.search(r"asyncsecrets +1 +[0-9.]+\n", out)
    assert re.search(r"no cache +1,000 +[0-9.]+\n", out)
    assert "every promise held" in out
    assert done.stderr == b""
    assert [path.name for path in workdir.iterdir()] == [".env"]
    assert processes() == set()


def test_demo_as_json() -> None:
    """One document with the figures as measured."""
    done = spawn("demo", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr, document["ok"]) == (0, b"", True)
    measured = document["measured"]
    assert measured["cold_key"]["asyncsecrets"]["backend_calls"] == 1
    assert measured["cold_key"]["no cache"]["backend_calls"] == 1000
    assert measured["outage"]["reads_served"] > 0
    assert 0 < measured["warm_read_ns"]["get_secret"] < 100_000


def test_interrupted_demo_leaves_nothing_running() -> None:
    """Ctrl-C in the middle: no process stays behind."""
    command = [sys.executable, "-m", "asyncsecrets", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        while b"1  dev vault" not in process.stdout.readline():
            pass
        process.send_signal(2)
        process.communicate(timeout=20)
    assert process.returncode == 130
    deadline = time.monotonic() + 10
    while processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes() == set()


async def test_story_in_process(few: None) -> None:
    """All promises hold against a server that does as told."""
    outcome = await tell(InProcess())
    assert outcome.broken == []
    assert outcome.measured["outage"]["failed_refreshes"] >= 1
    assert outcome.measured["rotation_seen_seconds"] > 0


async def test_a_second_call_is_noticed(few: None) -> None:
    """A cache that lets two calls through breaks the first promise."""
    outcome = await tell(InProcess(extra_calls=1))
    assert any("one backend call for" in what for what in outcome.broken)


async def test_an_outage_that_is_none_is_noticed(few: None) -> None:
    """Serving on while nothing is down proves nothing, and is not claimed."""
    outcome = await tell(InProcess(deaf_to=("kill",)))
    assert any("an outage is noticed" in what for what in outcome.broken)


async def test_a_rotation_that_is_not_seen_is_noticed(few: None) -> None:
    """Readers that keep the old value break two promises."""
    outcome = await tell(InProcess(deaf_to=("rotation",)))
    assert any("a rotation is seen" in what for what in outcome.broken)
    assert any("comes back" in what for what in outcome.broken)
    assert outcome.ending.startswith("\nNOT KEPT: ")


def test_broken_promises_are_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends with 1."""
    from asyncsecrets.cli import main

    async def broken(_: object) -> story.Outcome:
        return story.Outcome({"seconds": 0.1}, ["something"])

    monkeypatch.setattr(story, "tell", broken)
    assert main(["demo"]) == 1


async def test_errors_of_readers_are_counted() -> None:
    """A reader that fails is counted by its error's class, and goes on."""

    async def fail(_: str) -> str:
        raise KeyError

    readers = measure.Readers(fail, "X")
    async with readers.running(2):
        await asyncio.sleep(0.03)
    assert readers.errors["KeyError"] >= 2
    assert readers.served == 0


async def test_a_stall_is_measured() -> None:
    """A blocked loop shows, in seconds."""
    async with measure.StallProbe() as probe:
        await asyncio.sleep(0.01)
        time.sleep(0.05)
        await asyncio.sleep(0.01)
    assert 0.04 < probe.worst < 5


async def test_plain_cache() -> None:
    """The stand-in for async-lru: it keeps what it has, and lets every reader of a cold key through."""
    calls = 0

    async def fetch(name: str) -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return name

    cache = measure.TtlDict(fetch, ttl=60)
    assert await measure.stampede(cache, "X", 10) > 0
    assert calls == 10
    assert await cache("X") == "X"
    assert calls == 10


async def test_backend_process_that_dies() -> None:
    """The demo does not hang when its server process is gone."""
    from asyncsecrets.errors import AsyncSecretsError

    async with Backend() as backend:
        await backend.write("X", "canary")
        assert backend._process is not None
        backend._process.kill()
        with pytest.raises(AsyncSecretsError, match="ended before the demo did"):
            await backend.count("X")
