"""Programs that give credentials, and services that are not ready to."""

from __future__ import annotations

import os

import pytest

from asyncsecrets.errors import AuthenticationError, UnavailableError
from asyncsecrets.providers.patience import Patience
from asyncsecrets.providers.programs import ProgramError, output_of

SHELL = "/bin/sh"


@pytest.fixture
def typed():
    """Somebody types something at our standard input."""
    read, write = os.pipe()
    os.write(write, b"canary\n")
    before = os.dup(0)
    os.dup2(read, 0)
    yield
    os.dup2(before, 0)
    for descriptor in (read, write, before):
        os.close(descriptor)


@pytest.mark.usefixtures("typed")
def test_it_has_nothing_of_ours():
    """Neither what is typed, nor the environment of this process; it is in the folder that is wanted."""
    script = "read line; echo \"<$line> $PWD $(env | cut -d= -f1 | grep -v '^_$' | sort | tr '\\n' ' ')\""
    assert output_of([SHELL, "-c", script], {"PATH": os.defpath, "ONLY": "x"}, 10, "/") == "<> / ONLY PATH PWD \n"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["-c", "echo canary; exit 3"], r"^failed \(exit 3\)$"),
        (["-c", "kill -9 $$"], r"^failed \(exit -9\)$"),
        (["-c", "exec sleep 60"], "^did not end within 0.2 s$"),
    ],
)
def test_it_gives_nothing(command, why):
    """It is said why, and nothing of what it wrote."""
    with pytest.raises(ProgramError, match=why):
        output_of([SHELL, *command], {"PATH": os.defpath}, 0.2 if "within" in why else 10)


def test_it_is_not_there():
    """Nor can be run."""
    for command in ("/nowhere/program", "/etc/passwd"):
        with pytest.raises(ProgramError, match="is not there, or cannot be run"):
            output_of([command], {}, 10)


def test_patience():
    """Asked again, half a second apart, for as long as it lasts; another failure is none that waiting helps."""
    slept, asked = [], []
    patience = Patience(2.0, slept.append, lambda: sum(slept))

    def once():
        asked.append(patience.is_tried)
        if len(asked) < 3:
            raise UnavailableError("not yet", provider="x")
        return "token"

    assert patience.ask(once) == "token"
    assert asked == [False, True, True]
    assert not patience.is_tried
    asked.clear()
    slept.clear()

    def never():
        asked.append(1)
        raise UnavailableError("never", provider="x")

    with pytest.raises(UnavailableError, match="never"):
        patience.ask(never)
    assert (len(asked), sum(slept)) == (5, 2.0)
    assert not patience.is_tried

    def refuse():
        raise AuthenticationError("no", provider="x")

    with pytest.raises(AuthenticationError):
        patience.ask(refuse)
    assert sum(slept) == 2.0
