"""How far something has come, on stderr: drawn by rich on a terminal that has it, else not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from asyncsecrets.cli.console import Console

__all__ = ["Bar", "progress"]

Bar = Callable[[int, int], None]
"""Is told how many are done, and of how many."""


@contextmanager
def progress(console: Console, what: str) -> Iterator[Bar]:
    """A bar for as long as the block lasts."""
    drawn = _drawn() if console.tells_terminal and not console.as_json else None
    if drawn is None:
        yield lambda _done, _total: None
        return
    with drawn:
        task = drawn.add_task(what, total=None)
        yield lambda done, total: drawn.update(task, completed=done, total=total)


def _drawn() -> Any:
    try:
        rich, console = import_module("rich.progress"), import_module("rich.console")
    except ModuleNotFoundError:
        return None
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
    )
    return rich.Progress(*columns, console=console.Console(stderr=True), transient=True)
