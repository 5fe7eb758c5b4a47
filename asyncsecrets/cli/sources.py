"""What every command shares: the configuration, the client, and the names that a configuration uses."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from asyncsecrets.errors import AsyncSecretsError, ConfigError, InvalidNameError

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.config import Config
    from asyncsecrets.documents import DocumentPath
    from asyncsecrets.references import Reference

__all__ = [
    "STORED",
    "Use",
    "at_source",
    "composed",
    "merge",
    "names_of",
    "nearest_name",
    "place_of",
    "read_config",
    "read_file",
    "uses",
    "using",
    "whole",
    "with_client",
    "writing",
]

T = TypeVar("T")

STORED: Final = "the local store"
"""The place of a name that is in use because the local store has it."""

_VARIABLES: Final = "environment_variables."
"""How the places begin in which a file gives a variable its name."""

_WITHIN: Final = " (within a text)"
"""How the places of references end that are not all of a text."""


def read_config(args: argparse.Namespace) -> Config:
    """The configuration of this invocation. Raises ConfigError."""
    from asyncsecrets.config import Config, load_config

    if args.config:
        return load_config(args.config, os.environ)
    return Config.from_environment(os.environ, Path.cwd())


def with_client(args: argparse.Namespace, work: Callable[[SecretsClient], Awaitable[T]]) -> T:
    """Run ``work`` with the client of this invocation, and close it. Raises AsyncSecretsError.

    Sources are opened when they are first asked, so that one which is wrong does not stand in the way of another.
    """
    return using(read_config(args), work)


def using(config: Config, work: Callable[[SecretsClient], Awaitable[T]]) -> T:
    """Run ``work`` with a client of ``config``, and close it."""
    import asyncio

    from asyncsecrets.client import SecretsClient

    async def session() -> T:
        client = SecretsClient(config)
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(session())


@dataclass(slots=True)
class Use:
    """One secret that a configuration uses: as it is referred to, and in which places.

    ``reference`` is None where the text of it is not well-formed, and ``problem`` says why.
    """

    text: str
    places: list[str] = field(default_factory=list)
    reference: Reference | None = None
    problem: ConfigError | InvalidNameError | None = None

    @property
    def is_only_stored(self) -> bool:
        """Whether nothing refers to it: the local store has it, and that is all."""
        return self.places == [STORED]

    @property
    def given(self) -> list[str]:
        """The variables that the file gives it: the keys of ``environment_variables`` that have it."""
        given = [place.removeprefix(_VARIABLES) for place in self.places if place.startswith(_VARIABLES)]
        return [variable for variable in given if not variable.endswith(_WITHIN)]

    @property
    def own(self) -> list[str]:
        """The variable of its own name, where it is nothing but a name and something else uses it.

        That it is stored is no use, and one that is given other variables everywhere needs none.
        """
        is_used = any(place != STORED and not place.startswith(_VARIABLES) for place in self.places)
        return [self.reference.name] if is_used and self.reference is not None and self.reference.is_plain else []


def uses(config: Config) -> list[Use]:
    """Every secret that ``config`` uses, once each: what its file refers to or hosts, and what its local store has.

    Blocks, and runs an event loop where there is a store. Raises ConfigError where there is nothing to go by, and what
    is wrong with a store if there is nothing else.
    """
    found = _written(config)
    if not _lists_its_names(config):
        if not config.origin:
            raise ConfigError(
                "no configuration found, so there are no names to go by: give --config PATH, or write a config.yaml "
                "(asyncsecrets init makes one)"
            )
        return merge(found)
    try:
        return merge([*found, *_stored(config)])
    except AsyncSecretsError:
        if not found:
            raise
    return merge(found)  # whoever reads these meets the same fault, and can say whose it is


def _written(config: Config) -> list[tuple[str, str]]:
    """What the file behind ``config`` refers to and hosts, with the places.

    Of what is a text with references in it, these are listed where that text stands.
    """
    from asyncsecrets import documents
    from asyncsecrets.templates import is_template

    document = config.document.reveal()
    found = [(text, _place(document, path, text)) for path, text in documents.references(document)]
    written = [(text, at) for text, at in found if at.endswith(_WITHIN) or not is_template(whole(config, text))]
    return [*written, *_hosted(config)]


def composed(config: Config) -> dict[str, str]:
    """The variables that the file gives a text with references in it: ``postgres://app:${secret://db}@…``."""
    from asyncsecrets.templates import is_template

    texts = {variable: whole(config, text) for variable, text in config.aliases.items()}
    return {variable: text for variable, text in texts.items() if is_template(text)}


def whole(config: Config, text: str) -> str:
    """The text with references in it that ``environment_variables`` gives the name in ``text``; else ``text``."""
    from asyncsecrets.templates import is_template

    followed = text
    while (name := _name_in(followed)) in config.aliases and not _is_hosted(config, name):
        followed = config.aliases[name]
    return followed if is_template(followed) else text


def _name_in(text: str) -> str:
    """The name that is asked of the default source, and nothing else said of it; else nothing."""
    from asyncsecrets.references import parse
    from asyncsecrets.templates import is_template

    try:
        reference = None if is_template(text) else parse(text)
    except (ConfigError, InvalidNameError):
        return ""
    return reference.name if reference is not None and reference.is_plain else ""


def _is_hosted(config: Config, name: str) -> bool:
    from asyncsecrets.config import DEFAULT_SOURCE

    return name in (config.sources[DEFAULT_SOURCE].hosted_keys or ())


def _place(document: Any, path: DocumentPath, text: str) -> str:
    for step in path:
        document = document[step]
    return place_of(path) + ("" if document == text else _WITHIN)


def _lists_its_names(config: Config) -> bool:
    """Whether the default source is a local store that is asked for every name: then the store is the list of them.

    Its names are readable and looking is free. The names of a server are everybody's, and are never taken as a whole.
    """
    from asyncsecrets.config import DEFAULT_SOURCE

    source = config.sources[DEFAULT_SOURCE]
    is_whole = source.hosted_keys is None and source.primary_secret_name is None
    return source.system == "local" and is_whole and source.access_mode.reads


def _stored(config: Config) -> list[tuple[str, str]]:
    from asyncsecrets.references import Reference, render

    names = using(config, lambda client: client.list())
    return [(render(Reference(name)), STORED) for name in names]


def merge(found: Iterable[tuple[str, str]]) -> list[Use]:
    """Sort references and their places by what they mean: ``NAME`` and ``os.environ/NAME`` are the same question."""
    from asyncsecrets import references

    merged: dict[object, Use] = {}
    for text, place in found:
        reference, problem = None, None
        try:
            reference = references.parse(text)
        except (ConfigError, InvalidNameError) as error:
            problem = error
        use = merged.setdefault(reference or text, Use(text, reference=reference, problem=problem))
        use.places.append(place)
    return list(merged.values())


def at_source(text: str, source: str | None) -> str:
    """``text`` as it is asked of ``source``, where that is given and the text names none. Raises ConfigError."""
    from asyncsecrets.references import parse, render

    if source is None:
        return text
    reference = parse(text)
    return text if reference.source is not None else render(replace(reference, source=source))


def _hosted(config: Config) -> Iterable[tuple[str, str]]:
    from asyncsecrets.config import DEFAULT_SOURCE
    from asyncsecrets.references import Reference, render

    for name, source in config.sources.items():
        for hosted in sorted(source.hosted_keys or ()):
            reference = Reference(hosted, None if name == DEFAULT_SOURCE else name)
            yield render(reference), f"hosted_keys of source {name}"


def names_of(config: Config) -> list[str]:
    """The names that a configuration's file refers to or hosts; none where there is no file to go by."""
    return [use.reference.name for use in merge(_written(config)) if use.reference is not None]


def nearest_name(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'X'?`` for the known name most like ``name``, upper or lower case aside, or nothing."""
    folded = {one.casefold(): one for one in known if one != name}
    found = difflib.get_close_matches(name[:100].casefold(), folded, n=1)
    return f"; did you mean {folded[found[0]]!r}?" if found else ""


def place_of(path: DocumentPath) -> str:
    """A path in a document as people write it: ``model_list[0].api_key``."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    return "".join(parts).removeprefix(".") or "the document"


def read_file(path: Path, *, limit: int = 1024 * 1024) -> bytes:
    """The bytes of a file, at most ``limit`` of them. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        problem = getattr(error, "strerror", None) or "not a path"
    else:
        if len(data) <= limit:
            return data
        problem = f"it has more than {limit} bytes"
    raise ConfigError(f"{path}: cannot be read: {problem}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell a place that cannot be written to from a bug. Raises ConfigError, and FileExistsError as it is."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        problem = os.strerror(error.errno or 0)
    else:
        return
    raise ConfigError(f"{path}: cannot be written: {problem}")
