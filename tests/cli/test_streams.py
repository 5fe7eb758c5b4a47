"""Standard streams that are closed, full, or have nobody at the other end, as daemons and pipelines leave them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import VALUE

CHILD = """
import json, os, sys
streams = [stream is not None for stream in (sys.stdin, sys.stdout, sys.stderr)]
open("seen", "w").write(json.dumps([os.environ["NAME"], *streams]))
"""

COMMAND = f"{sys.executable} -m asyncsecrets"


def shell(line: str, **env: str) -> subprocess.CompletedProcess[str]:
    """What a shell does with ``line``, in which ``asyncsecrets`` is the command."""
    environ = {**os.environ, "PYTHONASYNCIODEBUG": "", "NAME": VALUE, **env}
    line = line.replace("asyncsecrets", COMMAND)
    return subprocess.run(["sh", "-c", line], env=environ, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_run_with_closed_streams(closed: str, workdir: Path) -> None:
    """The command runs, with its secrets, and finds closed what was closed; no file of ours takes the place."""
    (workdir / "child.py").write_text(CHILD)
    done = shell(f"asyncsecrets run --secret NAME -- {sys.executable} child.py {closed}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    seen = json.loads((workdir / "seen").read_text())
    assert seen == [VALUE, *("<&-" not in closed, " >&-" not in f" {closed}", "2>&-" not in closed)]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("asyncsecrets get NAME >&-", 9, "the output could not be written: standard output is closed"),
        ("asyncsecrets --help >&-", 9, "the output could not be written: standard output is closed"),
        ("asyncsecrets get NAME >/dev/full", 9, "the output could not be written: No space left"),
        ("asyncsecrets --version >/dev/full", 9, "the output could not be written: No space left"),
        ("asyncsecrets get MISSING >/dev/full", 3, "MISSING"),
        ("asyncsecrets get MISSING --json >/dev/full", 3, '"not_found"'),
        ("asyncsecrets get MISSING --json >&-", 3, '"not_found"'),
        ("asyncsecrets set NAME <&-", 2, "standard input cannot be read: it is closed"),
        ("asyncsecrets patch NAME <&-", 2, "standard input cannot be read: it is closed"),
        ("asyncsecrets resolve - <&-", 2, "standard input cannot be read: it is closed"),
        ("asyncsecrets set NAME 0>written", 2, "standard input cannot be read: "),
        ("asyncsecrets delete NAME <&-", 2, "there is nobody to ask"),
    ],
)
def test_nowhere_to_write_to_or_read_from(line: str, code: int, said: str) -> None:
    """One line that says so, and the exit code that is documented; never a bug."""
    done = shell(line)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("line", "code"), [("get NAME", 0), ("get MISSING", 3)])
@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full"])
def test_nobody_to_tell(line: str, code: int, closed: str) -> None:
    """Where stderr takes nothing the exit code says it, and stdout has what it would have had."""
    done = shell(f"asyncsecrets {line} {closed}")
    assert (done.returncode, done.stdout) == (code, VALUE if code == 0 else "")


def test_a_reader_that_goes_away_ends_help_quietly() -> None:
    """As it ends other tools."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "asyncsecrets", "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=30, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_no_file_of_ours_becomes_a_standard_stream() -> None:
    """What is opened while they are closed would be written to by whoever writes to standard output."""
    code = "import os; from asyncsecrets.cli.streams import fill_closed; fill_closed(); os._exit(os.open('.', 0))"
    done = subprocess.run(["sh", "-c", f'{sys.executable} -c "{code}" <&- >&- 2>&-'], timeout=30, check=False)
    assert done.returncode > 2
