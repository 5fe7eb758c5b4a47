"""YAML in which every scalar stays the text that was written.

YAML's usual types are a trap for settings: ``no`` becomes false, ``0123`` becomes 83 and ``12:34:56`` becomes 45296.
Here a document is made of ``dict``, ``list`` and ``str`` only, and whoever reads a setting converts it by what the
setting is. Tags, merge keys, duplicate keys, recursive structures and several documents in one text are refused, and
so is whatever is too large, too deep or grows too much through aliases.

The text may hold credentials, so an error names the place and the kind of problem and never quotes the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

import yaml

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import ConfigError

__all__ = ["MAX_ALIASES", "MAX_ALIAS_NODES", "MAX_BYTES", "MAX_DEPTH", "load_strings"]

MAX_BYTES: Final = 1024 * 1024
"""The longest text that is read, in bytes of UTF-8."""

MAX_DEPTH: Final = 50
"""The deepest nesting of mappings and lists, with aliases followed."""

MAX_ALIASES: Final = 100
"""The most aliases (``*name``) in one document."""

MAX_ALIAS_NODES: Final = 10_000
"""The most mappings, lists and scalars that aliases may add to a document when they are followed."""

# libyaml reads 1 MiB in tenths of a second, the pure Python parser in many seconds. Both are driven through their
# events, so the result is the same; the pure one serves where PyYAML was built without libyaml.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What YAML calls not printable, in two: a set of more than two ranges beyond Latin-1 takes 8 ms to compile.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_NO_CHARACTERS: Final = re.compile(r"[\ud800-\udfff\ufffe\uffff]")

# The parsers' own words may quote the text (a character, a tag), so none of them is ever passed on.
_KINDS: Final = (
    ("cannot start any token", "a character that cannot start a value (put the value in quotes)"),
    ("expected ':'", "a ':' is missing after a key"),
    ("values are not allowed", "a ':' where no key can be (indentation, or a value that needs quotes)"),
    ("entries are not allowed", "a list entry where none can be (indentation)"),
    ("keys are not allowed", "a key where none can be (indentation)"),
    ("tab character", "a tab in the indentation (use spaces)"),
    ("unexpected end of stream", "a quoted text that does not end"),
    ("escape", "an unknown escape in a double-quoted text"),
    ("<document start>", "text after the end of the document"),
    ("<block end>", "indentation that fits no enclosing block"),
    ("did not find expected key", "indentation that fits no enclosing block"),
    ("'-' indicator", "indentation that fits no enclosing list"),
    ("',' or '", "a ',' or a closing bracket is missing"),
    ("tag", "a tag (tags are not supported)"),
    ("node content", "a value is missing"),
)


class _Mark(Protocol):
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class _RefusedError(Exception):
    """The document is refused, at ``mark``; never leaves this module."""

    def __init__(self, kind: str, mark: _Mark) -> None:
        super().__init__(kind)
        self.mark = mark


@configuring
def load_strings(text: str | bytes, *, origin: str) -> Any:
    """Read one YAML document into ``dict``, ``list`` and ``str``; an empty text is the empty string.

    ``origin`` says in errors where the text is from, usually a file's path. ``bytes`` are UTF-8, with or without a byte
    order mark. Raises ``ConfigError`` with the origin, line and column (both from 1).
    """
    try:
        return _document(_decode(text))
    except _RefusedError as error:
        problem = _place(error.mark) + str(error)
    except yaml.MarkedYAMLError as error:
        problem = _place(error.problem_mark or error.context_mark) + _kind(error.problem)
    except yaml.YAMLError:
        problem = ": not valid YAML"
    raise ConfigError(f"{origin}{problem}")


def _place(mark: _Mark | None) -> str:
    return f", line {mark.line + 1}, column {mark.column + 1}: " if mark else ": "


def _kind(problem: object) -> str:
    words = str(problem)
    return next((kind for part, kind in _KINDS if part in words), "not valid YAML")


@dataclass(frozen=True, slots=True)
class _Point:
    """A place that we found ourselves: line and column from 0."""

    line: int
    column: int

    @classmethod
    def after(cls, text: str) -> _Point:
        return cls(text.count("\n"), len(text) - text.rfind("\n") - 1)


def _decode(text: str | bytes) -> str:
    if len(text) > MAX_BYTES:
        raise _RefusedError(f"more than {MAX_BYTES} bytes", _Point(0, 0))
    if isinstance(text, bytes):
        text = _utf8(text)
    odd = [found.start() for pattern in (_CONTROLS, _NO_CHARACTERS) if (found := pattern.search(text))]
    if odd:
        raise _RefusedError("a control character or a lone surrogate", _Point.after(text[: min(odd)]))
    if len(text.encode()) > MAX_BYTES:
        raise _RefusedError(f"more than {MAX_BYTES} bytes", _Point(0, 0))
    return text


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        start = error.start
    raise _RefusedError("not UTF-8", _Point.after(data[:start].decode("utf-8")))


def _document(text: str) -> Any:
    builder = _Builder()
    for event in yaml.parse(text, Loader=_LOADER):
        builder.take(event)
    return builder.result


@dataclass(slots=True)
class _Node:
    """A mapping, list or scalar: ``nodes`` in it with itself, and the ``height`` of the tallest nesting in it."""

    value: Any
    anchor: str | None = None
    nodes: int = 1
    height: int = 0
    key: str | None = None

    def add(self, child: _Node) -> None:
        """Put ``child`` in, under the waiting key if this is a mapping."""
        self.nodes += child.nodes
        self.height = max(self.height, child.height + 1)
        if isinstance(self.value, list):
            self.value.append(child.value)
        else:
            self.value[self.key] = child.value
            self.key = None

    @property
    def wants_key(self) -> bool:
        return isinstance(self.value, dict) and self.key is None


class _Builder:
    """Builds the document from the parser's events, without recursion; every limit is checked before it is passed."""

    def __init__(self) -> None:
        self.result: Any = ""
        self._documents = 0
        self._open: list[_Node] = []
        self._anchored: dict[str, _Node] = {}
        self._aliases = 0
        self._alias_nodes = 0

    def take(self, event: Any) -> None:
        if take := self._TAKERS.get(type(event)):
            take(self, event)

    def _start_document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            _refuse("a second document", event)

    def _scalar(self, event: Any) -> None:
        self._check(event)
        if not (self._open and self._open[-1].wants_key):
            return self._finish(_Node(event.value, event.anchor))
        mapping = self._open[-1]
        if event.anchor:
            _refuse("an anchor on a key", event)
        if event.value == "<<" and not event.style:  # plain: None or "", depending on the parser
            _refuse("a merge key (merge keys are not supported)", event)
        if event.value in mapping.value:
            _refuse("a key that this mapping has already", event)
        mapping.key = event.value
        return None

    def _start(self, event: Any) -> None:
        self._check(event)
        self._check_depth(1, event)
        if self._open and self._open[-1].wants_key:
            _refuse("a key that is not text", event)
        self._open.append(_Node({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor, height=1))

    def _end(self, _: Any) -> None:
        self._finish(self._open.pop())

    def _alias(self, event: Any) -> None:
        if self._open and self._open[-1].wants_key:
            _refuse("an alias as a key", event)
        node = self._anchored.get(event.anchor)
        if node is None:
            recursive = any(outer.anchor == event.anchor for outer in self._open)
            _refuse("an alias to a structure that contains it" if recursive else "an alias without its anchor", event)
        self._aliases += 1
        self._alias_nodes += node.nodes
        if self._aliases > MAX_ALIASES or self._alias_nodes > MAX_ALIAS_NODES:
            _refuse("too many aliases, or aliases that grow too much", event)
        self._check_depth(node.height, event)
        self._finish(_Node(node.value, None, node.nodes, node.height))

    def _check(self, event: Any) -> None:
        if event.tag is not None:
            _refuse("a tag (tags are not supported)", event)
        if event.anchor in self._anchored or (event.anchor and any(node.anchor == event.anchor for node in self._open)):
            _refuse("an anchor that is used twice", event)

    def _check_depth(self, height: int, event: Any) -> None:
        if len(self._open) + height > MAX_DEPTH:
            _refuse(f"nested more than {MAX_DEPTH} levels deep", event)

    def _finish(self, node: _Node) -> None:
        if node.anchor:
            self._anchored[node.anchor] = node
        if self._open:
            self._open[-1].add(node)
        else:
            self.result = node.value

    _TAKERS: Final[dict[type, Callable[[_Builder, Any], None]]] = {
        yaml.DocumentStartEvent: _start_document,
        yaml.ScalarEvent: _scalar,
        yaml.MappingStartEvent: _start,
        yaml.SequenceStartEvent: _start,
        yaml.MappingEndEvent: _end,
        yaml.SequenceEndEvent: _end,
        yaml.AliasEvent: _alias,
    }


def _refuse(kind: str, event: Any) -> NoReturn:
    raise _RefusedError(kind, event.start_mark)
