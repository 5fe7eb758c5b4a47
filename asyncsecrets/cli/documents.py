"""A YAML or JSON document whose references are to be replaced, without changing anything else of it.

YAML keeps its text, comments and layout included: a reference in it becomes a double-quoted text. As JSON, a plain
scalar that both YAML's core schema and JSON read as a number, boolean or null is one; every other scalar is text.

The document is somebody else's, and is read as PyYAML does: merge keys are followed, of a duplicate key the last one
holds, and what has a tag is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, NoReturn

import yaml

from asyncsecrets.documents import DocumentPath, references, replace_references
from asyncsecrets.errors import ConfigError
from asyncsecrets.templates import filled
from asyncsecrets.yaml import load_strings

__all__ = ["JsonDocument", "YamlDocument", "read_document"]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TYPED: Final = re.compile(r"-?(0|[1-9][0-9]{0,299})(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?|true|false|null", re.ASCII)
_ANCHOR_OR_TAG: Final = re.compile(r"(?:[&!]\S*+\s++(?:#[^\n]*+\n\s*+)*+)++")
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """A document that was written as JSON, as it was read."""

    content: Any

    @property
    def references(self) -> list[tuple[DocumentPath, str]]:
        """Path and text of every reference, in order."""
        return list(references(self.content))

    def as_data(self, values: Mapping[str, str]) -> Any:
        """The document with ``values`` in the place of references."""
        return replace_references(self.content, values)

    def as_text(self, values: Mapping[str, str]) -> str:
        """The same as JSON, which is YAML, too."""
        return json.dumps(self.as_data(values), indent=2)


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A document that was written as YAML: its text, its content with every scalar as text, and its nodes."""

    text: str
    content: Any
    node: yaml.Node | None

    @property
    def references(self) -> list[tuple[DocumentPath, str]]:
        """Path and text of every reference, in order."""
        return list(references(self.content))

    def as_data(self, values: Mapping[str, str]) -> Any:
        """The document with ``values`` in the place of references, for JSON."""
        return replace_references(self._typed(self.node), values)

    def as_text(self, values: Mapping[str, str]) -> str:
        """The text with ``values`` in the place of references. Raises ConfigError if it does not read back as that."""
        places = {node.start_mark.index: (node.end_mark.index, filled(node.value, values)) for node in self._nodes()}
        text = self.text
        for start in sorted(places, reverse=True):
            end, value = places[start]
            end = start + len(text[start:end].rstrip())  # a block scalar goes on to the next line
            before = _ANCHOR_OR_TAG.match(text, start, end)
            text = text[: before.end() if before else start] + _quoted(value) + text[end:]
        if load_strings(text, origin="the result", own={}) != replace_references(self.content, values):
            raise ConfigError("the references in this document cannot be replaced in place; use --format json")
        return text

    def _nodes(self) -> list[yaml.Node]:
        return [_at(self.node, path) for path in dict.fromkeys(path for path, _ in self.references)]

    def _typed(self, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {key: self._typed(child) for key, child in _members(node).items()}
        if isinstance(node, yaml.SequenceNode):
            return [self._typed(child) for child in node.value]
        if node is None:
            return None
        return node.value if node.style or self._is_tagged(node) else _scalar(node.value)  # plain: none, or empty

    def _is_tagged(self, node: Any) -> bool:
        before = _ANCHOR_OR_TAG.match(self.text, node.start_mark.index)
        return before is not None and "!" in before[0]


def read_document(data: bytes, origin: str) -> JsonDocument | YamlDocument:
    """Read a document, as JSON where ``origin`` ends in ``.json``. Raises ConfigError, which does not quote it."""
    if origin.endswith(".json"):
        return JsonDocument(_json(data, origin))
    content = load_strings(data, origin=origin, own={})  # refuses what grows too much, and circles
    text = data.decode("utf-8-sig")
    try:
        return YamlDocument(text, content, yaml.compose(text, Loader=_LOADER))
    except yaml.YAMLError:
        pass
    raise ConfigError(f"{origin}: an anchor that is used twice; give each a name of its own")


def _json(data: bytes, origin: str) -> Any:
    try:
        return json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
    raise ConfigError(f"{origin}{f', line {line}' if line else ''}: not valid JSON")


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _at(node: Any, path: DocumentPath) -> yaml.Node:
    """The node at ``path``, which exists."""
    for step in path:
        node = node.value[int(step)] if isinstance(node, yaml.SequenceNode) else _members(node)[str(step)]
    found: yaml.Node = node
    return found


def _members(node: yaml.MappingNode) -> dict[str, yaml.Node]:
    """What a mapping holds, with what it merges: that gives way to its own, and to what is before it in a list."""
    merged: dict[str, yaml.Node] = {}
    own: dict[str, yaml.Node] = {}
    for key, child in node.value:
        if key.value != "<<" or key.style:
            own[key.value] = child
            continue
        for source in reversed(child.value) if isinstance(child, yaml.SequenceNode) else [child]:
            merged |= _members(source)
    return merged | own


def _scalar(text: str) -> Any:
    if text in {"", "~"}:
        return None
    value = json.loads(text) if _TYPED.fullmatch(text) else text
    return text if isinstance(value, float) and not isfinite(value) else value


def _quoted(value: str) -> str:
    """``value`` as a double-quoted scalar on one line. JSON's escapes are YAML's, but for those of surrogate pairs."""
    return _UNPRINTABLE.sub(lambda match: f"\\U{ord(match[0]):08X}", json.dumps(value, ensure_ascii=False))
