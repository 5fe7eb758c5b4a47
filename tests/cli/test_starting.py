"""Commands that are there and cannot be started: what `run` says, and the exit code that a shell would have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import VALUE, spawn

CASES = {
    "CRLF": (b"#!/bin/sh\r\necho started\r\n", "'/bin/sh\\r'; the file has the line ends of Windows"),
    "no interpreter": (b"#! /no/such/one -x\necho\n", "'/no/such/one', which is not there; install it"),
    "byte order mark": (b"\xef\xbb\xbf#!/bin/sh\necho\n", "a byte order mark stands before its first line"),
    "no first line": (b"echo started\n", "a script with a first line such as #!/bin/sh"),
    "empty": (b"", "neither a program for this machine nor a script"),
}


def script(workdir: Path, data: bytes, mode: int = 0o755) -> Path:
    """A command in the working directory, on PATH as well."""
    path = workdir / "command"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def run(*command: str, **env: str) -> tuple[int, bytes, str]:
    """Exit code, stdout and stderr of `run`."""
    done = spawn("run", "--secret", "NAME", "--", *command, env={"NAME": VALUE, **env})
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_with_a_script(case: str, workdir: Path) -> None:
    """The kernel says that there is no such file. We say which, and what to do; by a path and by PATH."""
    data, said = CASES[case]
    script(workdir, data)
    outcome = run("command", PATH=str(workdir)) if case == "CRLF" else run("./command")
    assert outcome[:2] == (126, b"")
    assert said in outcome[2]
    assert outcome[2].count("\n") == 1


def test_a_carriage_return_that_the_interpreter_is_given(workdir: Path) -> None:
    """`/usr/bin/env python3\\r` starts, and then says something that helps nobody: so we say it before."""
    script(workdir, b"#!/usr/bin/env python3\r\nprint(1)\r\n")
    code, _, said = run("./command")
    assert code == 127
    assert said.startswith("asyncsecrets: note: './command': its interpreter is given a carriage return")


def test_a_script_that_works(workdir: Path) -> None:
    """Nothing is said of it."""
    script(workdir, b'#!/usr/bin/env sh\nprintf %s "$NAME"')
    assert run("./command") == (0, VALUE.encode(), "")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("./command", 126, "may it be executed (chmod +x)?"),
        ("./no-such", 127, "no such command"),
        ("no-such", 127, "no such command"),
        ("", 127, "no such command"),
        ("./command/x", 127, "no such command"),
    ],
)
def test_what_is_no_command(command: str, code: int, said: str, workdir: Path) -> None:
    """126 for what is there, 127 for what is not, as shells say it."""
    script(workdir, b"#!/bin/sh\n", 0o644)
    outcome = run(command)
    assert outcome[0] == code
    assert said in outcome[2]
