"""Programs of other tools that give credentials. They have no terminal, and not our standard input."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

__all__ = ["ProgramError", "output_of"]


class ProgramError(Exception):
    """A program gave nothing. Its text says why, to follow its name, and nothing that the program has written."""


def output_of(command: Sequence[str], environ: Mapping[str, str], seconds: float, folder: str | None = None) -> str:
    """What a program writes, in ``environ`` and ``folder``. Blocks, for ``seconds`` at most. Raises ProgramError."""
    try:
        ran = subprocess.run(  # noqa: S603  # the command is the owner's
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=seconds,
            env=dict(environ),
            cwd=folder,
            check=False,
        )
    except subprocess.TimeoutExpired:
        problem = f"did not end within {seconds:g} s"
    except OSError:
        problem = "is not there, or cannot be run"
    else:
        if ran.returncode == 0:
            return ran.stdout.decode("utf-8", "replace")
        problem = f"failed (exit {ran.returncode})"
    raise ProgramError(problem)
