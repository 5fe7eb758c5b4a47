"""An example as its user starts it: a server process of its own, beside a store that rotates, dies and comes back.

    with Store({"SIGNING_KEY": "canary-1"}) as store:
        with started(["-m", "uvicorn", "app:app", "--port", "0"], EXAMPLES / "fastapi_app", store) as app:
            assert app.get("/readyz").status == 200
            lives_through_rotation_and_outage(app, store, probe)

An example has a ``config.yaml`` for Vault with a ``refresh_interval``. It is started with a copy of it that says
a fraction of a second. Its output is kept, and looked through for canaries, warnings and tracebacks when it has ended.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from asyncsecrets.testing.vault_server import VaultServer
from tests.canaries import CANARY

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

REFRESH = 0.3  # seconds: how often an example asks the store, so that a test need not wait
PATIENCE = 60.0  # seconds until a test gives up on what should come: a loaded machine is slow, not wrong
_PACE = 0.05  # seconds between the requests of a stream
_ADDRESS = re.compile(r"http://127\.0\.0\.1:([1-9]\d*)")
_TROUBLE = re.compile(r"^.*(?:\w+Warning: |Traceback \(most recent call last\)|was never awaited).*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.text)


class Store:
    """A Vault-compatible server in a thread, which can die, and come back on the same port with what it had."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self.server = VaultServer()
        self._life = ExitStack()
        for name, value in (secrets or {}).items():
            self.rotate(name, value)

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def rotate(self, name: str, value: str) -> None:
        """Store another value; also while it is dead."""
        self.server.write_secret(name, {"key": value})

    def die(self) -> None:
        """End every connection, and refuse new ones."""
        self._life.close()

    def come_back(self) -> None:
        """Answer again."""
        self._life.enter_context(self.server.run_in_thread())

    @property
    def environ(self) -> dict[str, str]:
        """What leads a program to it."""
        return {"VAULT_ADDR": self.server.url, "VAULT_TOKEN": self.server.root_token}

    def reads(self, name: str = "") -> int:
        """How often a secret was read since the start: that name, or any."""
        return self.server.count("GET", f"/v1/secret/data/{name}")


class Process:
    """A program that runs, and what it has said so far on standard output and error."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def said(self) -> str:
        """Its output so far."""
        return self._output.read_text()

    def says(self, text: str, *, times: int = 1) -> None:
        """Wait until it has said ``text``, so many times."""
        self.wait(lambda: self.said.count(text) >= times, f"it says {text!r}")

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait until ``condition()`` holds; fail if the program has ended, or it takes too long."""

        def check() -> object:
            assert self.process.poll() is None, f"it has ended, {self.process.returncode}:\n{self.said}"
            return condition()

        until(check, what, lambda: self.said)

    def end(self) -> int:
        """Ask it to end, and see that it does; the exit code, -15 where the signal itself ended it."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


class App(Process):
    """A server process, asked over HTTP."""

    port: int

    def listen(self, port: int | None, path: str) -> None:
        """Wait until it answers ``path`` with 200. Where no port was chosen for it, its output has it."""
        if port is None:
            self.wait(lambda: _ADDRESS.search(self.said), "it says where it listens")
            found = _ADDRESS.search(self.said)
            assert found is not None
            port = int(found[1])
        self.port = port
        self.wait(lambda: self._answers(path), f"{path} answers 200")

    def get(self, path: str, **headers: str) -> Reply:
        """Ask once, on a connection of its own. Raises OSError."""
        return self._ask("GET", path, None, headers)

    def post(self, path: str, body: object, **headers: str) -> Reply:
        """Send something as JSON. Raises OSError."""
        return self._ask("POST", path, json.dumps(body), {"content-type": "application/json", **headers})

    def _ask(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Reply:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Reply(response.status, response.read().decode(), dict(response.getheaders()))

    def _answers(self, path: str) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get(path).status == 200
        return False

    @contextlib.contextmanager
    def stream(self, path: str, **headers: str) -> Iterator[Stream]:
        """Ask for ``path`` all the time, one request after another, until the block ends."""
        stream = Stream()
        thread = threading.Thread(
            target=stream.run, args=(partial(self.get, **headers), path), name="stream", daemon=True
        )
        thread.start()
        try:
            yield stream
        finally:
            stream.ended.set()
            thread.join(PATIENCE)


class Stream:
    """Requests that were made one after another."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.made = 0
        self.failed: list[str] = []

    def run(self, get: Callable[[str], Reply], path: str) -> None:
        """Ask until it is ended."""
        while not self.ended.wait(_PACE):
            try:
                reply = get(path)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
            else:
                if reply.status != 200:
                    self.failed.append(f"{reply.status} {reply.text[:200]}")
            self.made += 1


def until(condition: Callable[[], object], what: str, said: Callable[[], str] = str) -> None:
    """Wait until ``condition()`` holds, or fail, with what was ``said`` meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}\n{said()}"
        time.sleep(0.02)


@contextlib.contextmanager
def run(command: Sequence[str], folder: Path, store: Store, *, stdin: int = subprocess.DEVNULL) -> Iterator[Process]:
    """``python command`` in the folder of an example, its secrets in ``store``; ended with the block, its output looked
    through."""
    with _spawned(command, folder, store, stdin) as process:
        yield process


@contextlib.contextmanager
def started(
    command: Sequence[str], folder: Path, store: Store, *, ready: str = "/readyz", refresh: float = REFRESH
) -> Iterator[App]:
    """The same for a server, from when it answers ``ready`` with 200.

    It is told to listen on port 0, by its command or by ``PORT``, and says which one that became. For one that does not
    say so, ``{port}`` in the command becomes a port that was free a moment ago.
    """
    port = _free_port() if any("{port}" in word for word in command) else None
    words = [word.replace("{port}", str(port)) for word in command]
    with _spawned(words, folder, store, refresh=refresh) as app:
        app.listen(port, ready)
        yield app


@contextlib.contextmanager
def _spawned(
    command: Sequence[str], folder: Path, store: Store, stdin: int = subprocess.DEVNULL, refresh: float = REFRESH
) -> Iterator[App]:
    with tempfile.TemporaryDirectory() as place, ExitStack() as life:
        output = Path(place, "output.txt")
        process = life.enter_context(
            subprocess.Popen(
                [sys.executable, *command],
                cwd=folder,
                env=_environ(place, _quick_config(folder, place, refresh), store),
                stdin=stdin,
                stdout=life.enter_context(output.open("w")),
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        life.callback(_stop, process)
        app = App(process, output)
        yield app
        _stop(process)
        assert _TROUBLE.findall(app.said) == [], app.said
        leaked = CANARY in app.said
        assert not leaked, "a value is in the output (not repeated here)"


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def _quick_config(folder: Path, place: str, refresh: float) -> Path:
    """The example's own configuration, renewed as often as a test needs."""
    text = (folder / "config.yaml").read_text()
    quick, changes = re.subn(r"refresh_interval: \d+", f"refresh_interval: {refresh}", text)
    assert changes == 1, text
    path = Path(place, "config.yaml")
    path.write_text(quick)
    return path


def _environ(place: str, config: Path, store: Store) -> dict[str, str]:
    """No variable of the test run leads an example to other managers, or has asyncio watch it."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": place,
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "default",
        "PYTHONPATH": str(ROOT),
        "ASYNCSECRETS_CONFIG": str(config),
        "PORT": "0",
        **store.environ,
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def lives_through_rotation_and_outage(app: App, store: Store, name: str, path: str, sign: Callable[[str], str]) -> None:
    """A rotation is seen without a restart, and the store's death and return leave no failed request.

    ``sign(value)`` is what the app answers for ``path`` while the secret ``name`` has that value.
    """

    def is_seen(value: str) -> None:
        app.wait(lambda: app.get(path).text == sign(value), "a rotation is seen")

    with app.stream(path) as stream:
        for value in (f"{CANARY}-{name}-1", f"{CANARY}-{name}-2"):
            store.rotate(name, value)
            is_seen(value)
        store.die()
        app.wait(lambda: stream.failed or "is stale" in app.said, "it says that a renewal has failed")
        before = stream.made
        until(lambda: stream.failed or stream.made > before + 10, "requests are answered in the outage")
        assert not stream.failed, stream.failed
        store.rotate(name, f"{CANARY}-{name}-3")
        store.come_back()
        is_seen(f"{CANARY}-{name}-3")
    assert not stream.failed, stream.failed
