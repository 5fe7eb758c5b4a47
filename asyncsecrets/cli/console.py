"""What a command says, and to whom.

Results go to stdout, errors and notes to stderr. With ``--json`` stdout gets exactly one JSON document, also when the
command fails, and stderr gets nothing. No secret is printed but by the commands that exist for it, through
``Console.payload``.

Each of the three may be closed, as a daemon's are. A result that has nowhere to go is an error; a note or an error is
lost, and the exit code tells.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, TextIO

from asyncsecrets.cli.exits import OutputError, family_of
from asyncsecrets.cli.streams import open_output, read_input, written
from asyncsecrets.errors import AsyncSecretsError, ProviderError, ResolveError

__all__ = ["Console", "printable"]

_PROGRAM: Final = "asyncsecrets"
_WHAT_TO_DO: Final = "what to do:"
_LINES, _NAMES = 2, 3  # the most of a message


class Console:
    """One invocation's input and output. ``as_json``: ``--json`` was given; ``debug``: ``--debug`` was."""

    def __init__(
        self,
        *,
        as_json: bool,
        debug: bool = False,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.as_json = as_json
        self.debug = debug
        self.stdin = stdin if stdin is not None else sys.stdin
        self._stdout = stdout if stdout is not None else sys.stdout
        self._stderr = stderr if stderr is not None else sys.stderr

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked: stdin and stderr are a terminal."""
        return self.reads_terminal and self.tells_terminal

    @property
    def reads_terminal(self) -> bool:
        """Whether what is read is typed now."""
        return _is_terminal(self.stdin)

    @property
    def tells_terminal(self) -> bool:
        """Whether notes are seen as they come."""
        return _is_terminal(self._stderr)

    @property
    def shows_on_terminal(self) -> bool:
        """Whether what is printed can be read over somebody's shoulder."""
        return _is_terminal(self._stdout)

    def read_bytes(self, limit: int) -> bytes:
        """Standard input to its end, undecoded, or the first ``limit`` bytes of it. Raises ConfigError."""
        return read_input(self.stdin, limit)

    def result(self, document: Mapping[str, Any], text: str) -> None:
        """Print the result: the document with ``--json``, the text (none for an empty one) without."""
        if self.as_json:
            self._say(json.dumps(document))
        elif text:
            self._say(text)

    def line(self, text: str) -> None:
        """Print one line of a result that comes bit by bit; nothing with ``--json``."""
        if not self.as_json:
            self._say(text)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
        """Lay out rows under headers: with rich on a terminal that has it, in plain columns otherwise."""
        cells = [[printable(cell) for cell in row] for row in rows]
        if self.shows_on_terminal:
            try:
                return _rich_table(headers, cells)
            except ModuleNotFoundError:
                pass
        return "\n".join(_plain_table(headers, cells))

    def payload(self, data: bytes, *, end_line: bool = False) -> None:
        """Write a value to stdout, byte for byte; ``end_line`` ends it with a line break if it has none."""
        with written():
            stream = open_output(self._stdout)
            stream.flush()
            stream.buffer.write(data + (b"\n" if end_line and not data.endswith(b"\n") else b""))
            stream.buffer.flush()

    def note(self, text: str) -> None:
        """Say something beside the result; nothing with ``--json``."""
        if not self.as_json:
            self._tell(text)

    def ask(self, question: str) -> bool:
        """Ask for a yes on the terminal; anything else is a no."""
        if self.stdin is None or self._stderr is None:
            return False
        self._stderr.write(f"{question} [y/N] ")
        self._stderr.flush()
        return self.stdin.readline().strip().lower() in {"y", "yes"}

    def error(self, error: BaseException, code: int | None = None, *, on_stderr: bool = False) -> int:
        """Report what ended the command, and return its exit code (``code``, or that of the error's family).

        ``on_stderr``: there also with ``--json``, because stdout is what failed.
        """
        code = family_of(error).value if code is None else code
        chain = list(_chain(error)) if self.debug else []
        if not self.as_json:
            self._tell("\n  ".join([f"{_PROGRAM}: {message_of(error)}", *chain]))
            return code
        text = json.dumps({"error": {**describe(error), "exit_code": code, **({"chain": chain} if chain else {})}})
        tell = self._tell if on_stderr else self._say
        try:
            tell(text)
        except OutputError:
            self._tell(text)
        return code

    def _say(self, text: str) -> None:
        """Write to stdout. Raises OutputError, and BrokenPipeError where nobody reads it any more."""
        with written():
            _write(self._stdout, text)

    def _tell(self, text: str) -> None:
        """Write to stderr: there is nobody left to tell of what could not be written there."""
        with suppress(OSError):
            _write(self._stderr, text)


def _write(stream: TextIO | None, text: str) -> None:
    target = open_output(stream)
    # A locale that cannot print a character must not turn a message into a traceback.
    encoding = target.encoding or "utf-8"
    target.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    target.flush()


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def printable(text: str) -> str:
    """``text`` with everything escaped that could steer a terminal or break a line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def message_of(error: BaseException) -> str:
    """What to say of an error. Of a foreign one its class only: its text may hold anything."""
    if isinstance(error, AsyncSecretsError):
        lines = [printable(line) for line in error.message.split("\n")]
        return _in_short(error, lines) if isinstance(error, ResolveError) and len(lines) > _LINES else "\n".join(lines)
    return f"internal error: {type(error).__name__} (a bug; --debug says where)"


def _in_short(error: ResolveError, lines: Sequence[str]) -> str:
    """Which secrets could not be read, and why the first of them; then what to do. ``--json`` has it of each."""
    names = [printable(name) for name in error.failures]
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    several = f"{len(names)} secrets could not be read: {', '.join(names[:_NAMES])}{more}; " if len(names) > 1 else ""
    first = f"{names[0]}: {message_of(next(iter(error.failures.values())))}".replace("\n", " ")
    is_remedy = lines[-1].startswith(_WHAT_TO_DO)
    return f"{several}{first}\n{lines[-1] if is_remedy else f'{_WHAT_TO_DO} asyncsecrets check NAME says it of each'}"


def describe(error: BaseException) -> dict[str, Any]:
    """An error for JSON."""
    document: dict[str, Any] = {
        "class": type(error).__name__,
        "family": family_of(error).word,
        "message": message_of(error),
    }
    if isinstance(error, ProviderError):
        document |= {"provider": error.provider, "name": error.name, "attempts": error.attempts}
    if isinstance(error, ResolveError):
        document["failures"] = {name: describe(failure) for name, failure in error.failures.items()}
    return document


def _chain(error: BaseException | None) -> Iterator[str]:
    """The classes of an error and of what led to it, each with the place it comes from; never a text of theirs."""
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {frames[-1].filename}:{frames[-1].lineno}, in {frames[-1].name}" if frames else ""
        yield f"{type(error).__name__}{place}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _plain_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for row in (headers, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _rich_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as rich draws it, as text. Cells are plain text: a name with brackets in it is not markup."""
    console: Any = import_module("rich.console").Console(force_terminal=True)
    text: Any = import_module("rich.text").Text
    table: Any = import_module("rich.table").Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(text(cell) for cell in row))
    with console.capture() as capture:
        console.print(table)
    return str(capture.get()).rstrip("\n")
