"""`completion`: a script for each shell, which knows every command and option and starts nothing of ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from asyncsecrets.cli.app import COMMANDS, every_parser
from tests.cli.conftest import Run

SHELLS = ("bash", "fish", "zsh")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_in_the_script(shell: str, cli: Run) -> None:
    """And what it prints is no program of ours that would be started at every key."""
    outcome = cli("completion", shell)
    assert (outcome.code, outcome.err) == (0, "")
    options = {option for parser in every_parser().values() for option in parser._option_string_actions}
    dashes = "" if shell == "fish" else "--"
    wanted = {*COMMANDS, *(dashes + option[2:] for option in options if option.startswith("--"))}
    assert {word for word in wanted if word not in outcome.out} == set()
    assert "$(asyncsecrets" not in outcome.out


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_takes_the_script(shell: str, workdir: Path, cli: Run) -> None:
    """Its own check of the syntax, where it is installed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (workdir / "script").write_text(cli("completion", shell).out)
    subprocess.run([shell, "-n", "script"], check=True, timeout=30)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["resol"], ["resolve"]),
        (["get", "--rev"], ["--reveal"]),
        (["--config", "x", "run", "--keep"], ["--keep-credentials"]),
        (["get", "NA"], []),
        (["run", "--", "asyncsecrets-no-such"], []),
    ],
)
def test_bash_completes(line: list[str], found: list[str], workdir: Path, cli: Run) -> None:
    """Commands first, then the options of the command; names of secrets are nobody's to list."""
    words = " ".join(["asyncsecrets", *line])
    asked = f'COMP_WORDS=({words}); COMP_CWORD={len(line)}; _asyncsecrets; echo "${{COMPREPLY[@]}}"'
    script = f"{cli('completion', 'bash').out}\n{asked}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert (done.stdout.split(), done.stderr) == (found, "")


def test_another_shell(cli: Run) -> None:
    """Those that there are are named."""
    assert "choose bash, zsh or fish" in cli("completion", "canary").err
