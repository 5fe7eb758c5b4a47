"""A command line, run in a thread beside the event loop on which a test has its servers."""

from __future__ import annotations

import asyncio
import io

import pytest

from asyncsecrets.cli import main


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Run one in an empty folder, with the environment that is given and no other setting: its code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    async def run(environ, *words, stdin=b""):
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            code = await asyncio.to_thread(main, [str(word) for word in words])
        return code, capsys.readouterr().out

    return run
