"""Pipes in the place of files: read to their end, and never waited for longer than was said."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.files import MAX_BYTES
from asyncsecrets.providers.pipes import read_pipe


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def write(pipe: Path, *chunks: bytes, end: threading.Event | None = None) -> threading.Thread:
    """Write to whoever opens it, chunk by chunk, and close it at the end."""

    def work() -> None:
        with pipe.open("wb", buffering=0) as file:
            for chunk in chunks:
                try:
                    file.write(chunk)
                except BrokenPipeError:
                    return
            if end is not None:
                end.wait()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("chunks", [(b"A=canary\n",), (b"A=can", b"ary\n"), (b"x" * 300_000,) * 3])
def test_is_read_to_its_end(pipe: Path, chunks: tuple[bytes, ...]):
    """Whatever it is written in, and also more than a pipe holds."""
    writer = write(pipe, *chunks)
    assert read_pipe(pipe) == b"".join(chunks)
    writer.join()


def test_a_writer_that_comes_later(pipe: Path):
    """Somebody has to say yes first; who has opened it and written nothing may come again."""
    with pipe.open("r+b", buffering=0):
        pass
    threading.Timer(0.05, write, (pipe, b"canary")).start()
    assert read_pipe(pipe) == b"canary"


def test_nobody_writes(pipe: Path):
    """It ends all the same."""
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"pipe: nobody wrote to this pipe within 0\.05 s; see to the program"):
        read_pipe(pipe, within=0.05)
    assert time.monotonic() - started < 2


def test_without_an_end(pipe: Path):
    """Half of a file is not a file."""
    end = threading.Event()
    writer = write(pipe, b"canary", end=end)
    with pytest.raises(ConfigError, match="what is written to this pipe did not end") as caught:
        read_pipe(pipe, within=0.1)
    assert "canary" not in str(caught.value)
    end.set()
    writer.join()


def test_without_measure(pipe: Path):
    """No more is kept than of a file."""
    writer = write(pipe, *[b"x" * 65_536] * (MAX_BYTES // 65_536 + 2))
    with pytest.raises(ConfigError, match="larger than"):
        read_pipe(pipe)
    writer.join()
