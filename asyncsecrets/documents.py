"""References inside a document: finding them, and putting values in their place.

A document is made of ``dict``, ``list``, ``tuple`` and scalars, such as a configuration file is once it has been read.
A reference is a text that is one from its first character to its last, or stands within one as ``${…}`` (see
``asyncsecrets.templates``); any other text, and keys, are left alone.

So are the sections of a configuration file that lead to managers (``key_management_settings`` and
``asyncsecrets``): their references are settings that a manager needs for itself, and those come from the real
environment only: a manager cannot be asked for what leads to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from asyncsecrets.boundary import afresh
from asyncsecrets.errors import ConfigError
from asyncsecrets.templates import filled, references_in

__all__ = ["MAX_DEPTH", "DocumentPath", "references", "replace_references"]

MAX_DEPTH: Final = 100
"""The deepest nesting of a document."""

_BOOTSTRAP: Final = (("general_settings", "key_management_settings"), ("asyncsecrets",))

DocumentPath = tuple[str | int, ...]
"""The keys and list positions that lead to one scalar."""


def references(document: Any) -> Iterator[tuple[DocumentPath, str]]:
    """Yield the path and text of every reference in ``document``, in order, whether the text is well-formed or not.

    A text with several references in it is the path of each. Raises ``ConfigError`` for a document nested deeper than
    ``MAX_DEPTH`` (a recursive one is), and for what begins like a reference within a text and is none.
    """
    yield from _walk(document, ())


@afresh
def replace_references(document: Any, values: Mapping[str, str]) -> Any:
    """Return a copy of ``document`` with every reference replaced by its value in ``values``, by reference text.

    A value is put in as it is and never read as a reference itself. Raises KeyError for a reference without a value,
    and ``ConfigError`` as ``references`` does.
    """
    return _replace(document, values, ())


def _walk(node: Any, path: DocumentPath) -> Iterator[tuple[DocumentPath, str]]:
    _check_depth(path)
    if path in _BOOTSTRAP:
        return
    if isinstance(node, str):
        yield from ((path, reference) for reference in _references_in(node, path))
    elif isinstance(node, dict):
        for key, child in node.items():
            yield from _walk(child, (*path, key))
    elif isinstance(node, list | tuple):
        for position, child in enumerate(node):
            yield from _walk(child, (*path, position))


def _references_in(text: str, path: DocumentPath) -> list[str]:
    try:
        return references_in(text)
    except ConfigError as error:
        problem = error.message
    raise ConfigError(f"{'.'.join(map(str, path)) or 'the document'}: {problem}")


def _replace(node: Any, values: Mapping[str, str], path: DocumentPath) -> Any:
    _check_depth(path)
    if path in _BOOTSTRAP:
        return node
    if isinstance(node, str):
        return filled(node, values)
    if isinstance(node, dict):
        return {key: _replace(child, values, (*path, key)) for key, child in node.items()}
    if isinstance(node, list | tuple):
        children = [_replace(child, values, (*path, position)) for position, child in enumerate(node)]
        return children if isinstance(node, list) else _tuple_like(node, children)
    return node


def _tuple_like(node: tuple[Any, ...], children: list[Any]) -> tuple[Any, ...]:
    """A tuple of ``children``; a named one where ``node`` is one."""
    make: Callable[[list[Any]], tuple[Any, ...]] = getattr(node, "_make", tuple)
    return make(children)


def _check_depth(path: DocumentPath) -> None:
    if len(path) > MAX_DEPTH:
        raise ConfigError(f"the document is nested more than {MAX_DEPTH} levels deep")
