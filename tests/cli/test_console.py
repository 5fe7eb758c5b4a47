"""Tables, with and without rich."""

from __future__ import annotations

import io
import re

import pytest

from asyncsecrets.cli.console import Console

ROWS = [("ok", "DB_PASSWORD", "1"), ("MISSING", "[red]x[/red]", "-")]


class Terminal(io.StringIO):
    """A stdout that is one."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_plain_columns() -> None:
    """In a pipe columns are aligned with blanks, whatever is installed."""
    table = Console(as_json=False, stdout=io.StringIO()).table(("", "NAME", "VERSION"), ROWS)
    assert table.splitlines() == [
        "         NAME          VERSION",
        "ok       DB_PASSWORD   1",
        "MISSING  [red]x[/red]  -",
    ]


def test_rich_on_a_terminal() -> None:
    """rich draws the same cells, and takes no name for markup."""
    pytest.importorskip("rich")
    table = Console(as_json=False, stdout=Terminal()).table(("", "NAME", "VERSION"), ROWS)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).split() for line in table.splitlines()]
    assert lines == [["NAME", "VERSION"], ["ok", "DB_PASSWORD", "1"], ["MISSING", "[red]x[/red]", "-"]]


def test_terminal_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base installation has plain columns there, too."""
    monkeypatch.setitem(__import__("sys").modules, "rich.console", None)
    table = Console(as_json=False, stdout=Terminal()).table(("", "NAME", "VERSION"), ROWS)
    assert table.splitlines()[1] == "ok       DB_PASSWORD   1"


def test_an_encoding_that_cannot_say_it() -> None:
    """A locale without a character gets it escaped, not a traceback."""
    raw = io.BytesIO()
    console = Console(as_json=False, stdout=io.TextIOWrapper(raw, encoding="ascii"))
    console.line("ü")
    assert raw.getvalue() == b"\\xfc\n"
