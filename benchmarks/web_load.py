"""Requests to a server on this machine, over connections that are kept: as little of our own cost as can be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.web_store import free_port

PATIENCE = 60.0
_PATIENT = ["--timeout-worker-healthcheck", "60"]  # a worker that is slow to start is not to be started again


@dataclass
class Answers:
    """What came back: how often which text, and what failed."""

    texts: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def made(self) -> int:
        """How many requests there were."""
        return self.texts.total() + self.failed.total()


class Connection:
    """One connection, for one request after another."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: app\r\n\r\n".encode()
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self) -> tuple[int, str]:
        """One request: the status and the body. Raises OSError, EOFError."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        return int(head[9:12]), body.decode()

    def close(self) -> None:
        """Forget the connection; the next request makes another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


async def load(port: int, path: str, answers: Answers, *, connections: int, pause: float, until: asyncio.Event) -> None:
    """Ask over so many connections, each with a pause after each answer, until told to end."""

    async def ask_on() -> None:
        connection = Connection(port, path)
        while not until.is_set():
            try:
                status, text = await connection.ask()
            except (OSError, EOFError, IndexError, ValueError) as error:
                answers.failed[type(error).__name__] += 1
                connection.close()
            else:
                if status == 200:
                    answers.texts[text] += 1
                else:
                    answers.failed[str(status)] += 1
            await asyncio.sleep(pause)
        connection.close()

    await asyncio.gather(*(ask_on() for _ in range(connections)))


@dataclass
class Server:
    """A server process, and what it says on standard error."""

    port: int
    process: subprocess.Popen[str]
    output: Path

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.output.read_text()


@contextlib.contextmanager
def served(environ: Mapping[str, str], *, workers: int = 1) -> Iterator[Server]:
    """``benchmarks.web_app`` under uvicorn, ended with the block."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.web_app:app", "--port", str(port), "--log-level", "warning"]
    with tempfile.NamedTemporaryFile("w+") as output:
        process = subprocess.Popen(
            command + (["--workers", str(workers), *_PATIENT] if workers > 1 else []),
            env={**os.environ, **environ},
            stderr=output,
            text=True,
        )
        try:
            yield Server(port, process, Path(output.name))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def readiness(port: int) -> tuple[int, str]:
    """What ``/readyz`` answers: the status, and what it says; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def wait_until_ready(server: Server) -> None:
    """Wait until ``/readyz`` says yes."""
    until = time.monotonic() + PATIENCE
    while readiness(server.port)[0] != 200:
        if time.monotonic() > until:
            raise TimeoutError(f"the app is not ready: {server.said}")
        time.sleep(0.05)
