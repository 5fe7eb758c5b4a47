"""YAML in which every scalar stays the text that was written.

YAML's usual types are a trap for settings: ``no`` becomes false, ``0123`` becomes 83 and ``12:34:56`` becomes 45296.
Here a document is made of ``dict``, ``list`` and ``str`` only, and whoever reads a setting converts it by what the
setting is. Tags, merge keys, duplicate keys, recursive structures and several documents in one text are refused, and
so is whatever is too large, too deep or grows too much through aliases.

A file may have parts that are somebody else's. Whoever says which ones are his ``own`` has the others read as PyYAML
does: a merge key is followed, of a duplicate key the last one holds, an anchor may be used twice, and a tag means
nothing. By whatever way something of that comes into an own part, it is refused there. In such a file a plain ``null``
or ``~`` is a value that is left out, the empty text, as it is to every program that shares the file.

The text may hold credentials, so an error names the place and the kind of problem and never quotes the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn, Protocol

import yaml

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import ConfigError

__all__ = ["MAX_ALIASES", "MAX_ALIAS_NODES", "MAX_BYTES", "MAX_DEPTH", "Own", "load_strings"]

Own = Mapping[str, "Own | None"]
"""Keys whose values are read strictly (None), or have parts that are."""

MAX_BYTES: Final = 1024 * 1024
"""The longest text that is read, in bytes of UTF-8."""

MAX_DEPTH: Final = 50
"""The deepest nesting of mappings and lists, with aliases followed."""

MAX_ALIASES: Final = 1_000
"""The most aliases (``*name``) in one document."""

MAX_ALIAS_NODES: Final = 50_000
"""The most mappings, lists and scalars that aliases may add to a document when they are followed."""

# libyaml reads 1 MiB in tenths of a second, the pure Python parser in many seconds. Both are driven through their
# events, so the result is the same; the pure one serves where PyYAML was built without libyaml.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULLS: Final = frozenset({"~", "null", "Null", "NULL"})

# What YAML calls not printable, in two: a set of more than two ranges beyond Latin-1 takes 8 ms to compile.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_NO_CHARACTERS: Final = re.compile(r"[\ud800-\udfff\ufffe\uffff]")

_TAB: Final = "a tab in the indentation (use spaces)"

# The parsers' own words may quote the text (a character, a tag), so none of them is ever passed on.
_KINDS: Final = (
    ("cannot start any token", "a character that cannot start a value (put the value in quotes)"),
    ("expected ':'", "a ':' is missing after a key"),
    ("values are not allowed", "a ':' where no key can be (indentation, or a value that needs quotes)"),
    ("entries are not allowed", "a list entry where none can be (indentation)"),
    ("keys are not allowed", "a key where none can be (indentation)"),
    ("tab character", _TAB),
    ("unexpected end of stream", "a quoted text that does not end"),
    ("escape", "an unknown escape in a double-quoted text"),
    ("<document start>", "text after the end of the document"),
    ("<block end>", "indentation that fits no enclosing block"),
    ("did not find expected key", "indentation that fits no enclosing block, or no ':' after the key before it"),
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
def load_strings(text: str | bytes, *, origin: str, own: Own | None = None) -> Any:
    """Read one YAML document into ``dict``, ``list`` and ``str``; an empty text is the empty string.

    ``own``: which parts of it are read strictly, where the others are somebody else's; by default all of it is.

    ``origin`` says in errors where the text is from, usually a file's path. ``bytes`` are UTF-8, with or without a byte
    order mark. Raises ``ConfigError`` with the origin, line and column (both from 1).
    """
    try:
        return _document(_decode(text), own)
    except _RefusedError as error:
        problem = _place(error.mark) + str(error)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = _place(mark) + (_TAB if _is_tab(text, mark) else _kind(error.problem))
    except yaml.YAMLError:
        problem = ": not valid YAML"
    raise ConfigError(f"{origin}{problem}")


def _place(mark: _Mark | None) -> str:
    return f", line {mark.line + 1}, column {mark.column + 1}: " if mark else ": "


def _is_tab(text: str | bytes, mark: _Mark | None) -> bool:
    lines = _decode(text).splitlines() if mark else []
    return mark is not None and "".join(lines[mark.line : mark.line + 1])[mark.column :].startswith("\t")


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


def _document(text: str, own: Own | None) -> Any:
    builder = _Builder(strict=own is None)
    for event in yaml.parse(text, Loader=_LOADER):
        builder.take(event)
    builder.root.check(own or {})
    return builder.root.value


Flaw = tuple[str, _Mark]


@dataclass(slots=True)
class _Parts:
    """The nodes of a mapping or list where some of it may be somebody else's: keys that it has twice are ``doubles``,
    and what its merge keys merge are ``merges``."""

    members: dict[str, _Node] = field(default_factory=dict)
    items: list[_Node] = field(default_factory=list)
    doubles: dict[str, Flaw] = field(default_factory=dict)
    merges: list[_Node] = field(default_factory=list)


@dataclass(slots=True)
class _Node:
    """A mapping, list or scalar: ``nodes`` in it with itself, and the ``height`` of the tallest nesting in it.

    ``flaw``: the first thing in it that no own part may have. ``parts`` are kept only of what has some.
    """

    value: Any
    anchor: str | None = None
    nodes: int = 1
    height: int = 0
    flaw: Flaw | None = None
    key: str | None = None
    merging: bool = False
    parts: _Parts | None = None

    def add(self, child: _Node) -> None:
        """Put ``child`` in, under the waiting key if this is a mapping."""
        self.nodes += child.nodes
        self.height = max(self.height, child.height + 1)
        self.flaw = self.flaw or child.flaw
        if self.parts is not None:
            self._keep(child, self.parts)
        if self.merging:
            self.merging = False
        elif isinstance(self.value, list):
            self.value.append(child.value)
        else:
            self.value[self.key] = child.value
            self.key = None

    def _keep(self, child: _Node, parts: _Parts) -> None:
        if self.merging:
            parts.merges.append(child)
        elif self.key is None:
            parts.items.append(child)
        else:
            parts.members[self.key] = child

    @property
    def wants_key(self) -> bool:
        return isinstance(self.value, dict) and self.key is None and not self.merging

    def merge(self, parts: _Parts, event: Any) -> None:
        """Put in what is merged: it gives way to what stands here itself; of several mappings, the first one wins."""
        merged: dict[str, _Node] = {}
        for node in parts.merges:
            sources = node.parts.items if node.parts and isinstance(node.value, list) else [node]
            for source in reversed(sources):
                if source.parts is None or not isinstance(source.value, dict):
                    _refuse("a merge key that merges something else than mappings", event)
                merged |= source.parts.members
                parts.doubles = source.parts.doubles | parts.doubles
        parts.members = merged | parts.members
        self.value = {key: member.value for key, member in parts.members.items()}

    def check(self, own: Own) -> None:
        """Refuse what an ``own`` part must not have."""
        parts = self.parts or _Parts()
        for key, inner in own.items():
            member = parts.members.get(key)
            flaw = parts.doubles.get(key) or (member.flaw if member is not None and inner is None else None)
            if flaw is not None:
                raise _RefusedError(*flaw)
            if member is not None and inner is not None:
                member.check(inner)


class _Builder:
    """Builds the document from the parser's events, without recursion; every limit is checked before it is passed."""

    def __init__(self, *, strict: bool) -> None:
        self.root = _Node("")
        self._strict = strict
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
        node = _Node(event.value, event.anchor, flaw=self._look(event))
        if not (self._open and self._open[-1].wants_key):
            if event.implicit[0] and event.value in _NULLS and not self._strict:
                node.value = ""
            self._finish(node)
        elif event.value == "<<" and not event.style:  # plain: None or "", depending on the parser
            self._open[-1].flaw = self._open[-1].flaw or self._flaw("a merge key (merge keys are not supported)", event)
            self._open[-1].merging = True
        else:
            if event.anchor:
                node.flaw = node.flaw or self._flaw("an anchor on a key", event)
                self._anchored[event.anchor] = node
            self._key(node, event)

    def _key(self, node: _Node, event: Any) -> None:
        mapping = self._open[-1]
        if not isinstance(node.value, str):
            _refuse("a key that is not text", event)
        mapping.flaw = mapping.flaw or node.flaw
        if node.value in mapping.value:
            double = self._flaw("a key that this mapping has already", event)
            mapping.flaw = mapping.flaw or double
            if mapping.parts is not None:
                mapping.parts.doubles.setdefault(node.value, double)
        mapping.key = node.value

    def _start(self, event: Any) -> None:
        flaw = self._look(event)
        self._check_depth(1, event)
        if self._open and self._open[-1].wants_key:
            _refuse("a key that is not text", event)
        is_mapping, parts = isinstance(event, yaml.MappingStartEvent), None if self._strict else _Parts()
        self._open.append(_Node({} if is_mapping else [], event.anchor, height=1, flaw=flaw, parts=parts))

    def _end(self, event: Any) -> None:
        node = self._open.pop()
        if node.parts is not None and node.parts.merges:
            node.merge(node.parts, event)
        self._finish(node)

    def _alias(self, event: Any) -> None:
        node = self._anchored.get(event.anchor)
        if node is None or any(outer.anchor == event.anchor for outer in self._open):
            recursive = any(outer.anchor == event.anchor for outer in self._open)
            _refuse("an alias to a structure that contains it" if recursive else "an alias without its anchor", event)
        self._aliases += 1
        self._alias_nodes += node.nodes
        if self._aliases > MAX_ALIASES or self._alias_nodes > MAX_ALIAS_NODES:
            _refuse("too many aliases, or aliases that grow too much", event)
        self._check_depth(node.height, event)
        if self._open and self._open[-1].wants_key:
            self._key(replace(node, flaw=self._flaw("an alias as a key", event)), event)
        else:
            self._finish(replace(node, anchor=None))

    def _look(self, event: Any) -> Flaw | None:
        """What a strict reader has against the node that begins here."""
        if event.tag is not None:
            return self._flaw("a tag (tags are not supported)", event)
        if event.anchor in self._anchored or (event.anchor and any(node.anchor == event.anchor for node in self._open)):
            return self._flaw("an anchor that is used twice", event)
        return None

    def _flaw(self, kind: str, event: Any) -> Flaw:
        """Refuse it, or note it where it may stand in somebody else's part."""
        if self._strict:
            _refuse(kind, event)
        return kind, event.start_mark

    def _check_depth(self, height: int, event: Any) -> None:
        if len(self._open) + height > MAX_DEPTH:
            _refuse(f"nested more than {MAX_DEPTH} levels deep", event)

    def _finish(self, node: _Node) -> None:
        if node.anchor:
            self._anchored[node.anchor] = node
        if self._open:
            self._open[-1].add(node)
        else:
            self.root = node

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
