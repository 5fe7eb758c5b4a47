"""Which secrets a model asks for: by the mark of a field, or by the names that pydantic-settings has for it.

The names are those of the environment variables that the field would be read from: aliases, ``env_prefix``,
``env_nested_delimiter`` and case as pydantic-settings has them. A manager cannot be searched without regard to case.
So where case does not matter, a name is asked for in capitals, and then as the model writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel
from pydantic.fields import FieldInfo

from asyncsecrets.boundary import configured
from asyncsecrets.references import parse
from asyncsecrets.secret import Secret

__all__ = ["Choice", "FromSecret", "Wanted", "known_keys", "wanted_of"]


@configured
@dataclass(frozen=True, slots=True)
class FromSecret:
    """Marks a field as read from one secret, whatever the field is called.

        password: Annotated[SecretStr, FromSecret("secret:///app/db?field=password")]

    ``reference`` is a name or a reference. Raises InvalidNameError or ConfigError for what cannot be one.
    """

    reference: str

    def __post_init__(self) -> None:
        parse(self.reference)


class Choice(NamedTuple):
    """One secret that a field can be read from, and the keys under which the model then takes the value."""

    path: tuple[str, ...]
    reference: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one field asks for: the first of ``choices`` that there is.

    ``marked``: by ``FromSecret``. ``required``: the field, and every one that it is in, has no default. ``whole``: the
    field takes a ``Secret`` as it is.
    """

    choices: tuple[Choice, ...]
    marked: bool
    required: bool
    whole: bool


class _Rules:
    """How pydantic-settings spells names, by the settings of one model."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        prefix, target = config.get("env_prefix") or "", config.get("env_prefix_target") or "variable"
        self._prefix = prefix if target in {"variable", "all"} else ""
        self._alias_prefix = prefix if target in {"alias", "all"} else ""
        self._delimiter = config.get("env_nested_delimiter") or ""
        self._splits = config.get("env_nested_max_split") or 0
        self._sensitive = bool(config.get("case_sensitive"))

    def names(self, key: str, stems: list[str], depth: int, *, alias: bool) -> list[str]:
        """The variables of a field with this key, ``depth`` models down; ``stems`` are those of the model it is in."""
        if not depth:
            return [(self._alias_prefix if alias else self._prefix) + key]
        if not self._delimiter or (self._splits and depth > self._splits):
            return []
        return [f"{stem}{self._delimiter}{key}" for stem in stems]

    def spellings(self, name: str) -> list[str]:
        return [name] if self._sensitive else list(dict.fromkeys([name.upper(), name]))


def wanted_of(model: type[BaseModel], config: Mapping[str, Any], *, marked_only: bool = False) -> list[Wanted]:
    """Everything that ``model`` asks for, nested models included. ``config`` has the settings that hold for it.

    With ``marked_only``, only what ``FromSecret`` marks. A model within itself is followed once.
    """
    return list(_walk(model, _Rules(config), (), [], (model,), marked_only=marked_only))


def _walk(
    model: type[Any],
    rules: _Rules,
    path: tuple[str, ...],
    stems: list[str],
    within: tuple[type[Any], ...],
    *,
    marked_only: bool,
    required: bool = True,
) -> Iterator[Wanted]:
    for name, field in _fields(model).items():
        keys = _keys(field, name, _config(model))
        named = [(key, rules.names(key, stems, len(path), alias=key != name)) for key in keys]
        needed, mark, below = required and field.is_required(), _mark(field), (*path, keys[0])
        choices = _choices(rules, mark, path, named, marked_only=marked_only)
        if choices:
            whole = Secret in _members(field.annotation)
            yield Wanted(tuple(dict.fromkeys(choices)), mark is not None, needed, whole)
        inner = [] if mark is not None else [each for _, names in named for each in names]
        for part in _members(field.annotation):
            if _is_model(part) and part not in within:
                yield from _walk(part, rules, below, inner, (*within, part), marked_only=marked_only, required=needed)


def _choices(
    rules: _Rules,
    mark: FromSecret | None,
    path: tuple[str, ...],
    named: list[tuple[str, list[str]]],
    *,
    marked_only: bool,
) -> list[Choice]:
    if mark is not None:
        return [Choice((*path, named[0][0]), mark.reference)]
    if marked_only:
        return []
    names = [(key, name) for key, names in named for name in names]
    return [Choice((*path, key), spelled) for key, name in names for spelled in rules.spellings(name)]


def known_keys(model: type[Any], seen: frozenset[type[Any]] = frozenset()) -> set[str]:
    """The names and aliases of all fields of ``model`` and of the models in it."""
    known: set[str] = set()
    for name, field in _fields(model).items():
        known |= {name, *_keys(field, name, _config(model))}
        for part in _members(field.annotation):
            if _is_model(part) and part not in seen:
                known |= known_keys(part, seen | {model, part})
    return known


def _fields(model: type[Any]) -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = model.__pydantic_fields__
    return fields


def _config(model: type[Any]) -> Mapping[str, Any]:
    found = getattr(model, "model_config", None) or getattr(model, "__pydantic_config__", None)
    return found or {}


def _is_model(part: Any) -> bool:
    """Whether this is a model or a dataclass of pydantic's, and not a RootModel, which stands for what it holds."""
    return isinstance(part, type) and hasattr(part, "__pydantic_fields__") and not issubclass(part, RootModel)


def _keys(field: FieldInfo, name: str, config: Mapping[str, Any]) -> list[str]:
    """The keys under which the model takes a value for this field, the one that it prefers first."""
    by_alias = config.get("validate_by_alias") is not False
    alias = field.validation_alias if by_alias else None
    choices = alias.choices if isinstance(alias, AliasChoices) else [] if alias is None else [alias]
    heads = [str(choice.path[0]) if isinstance(choice, AliasPath) else choice for choice in choices]
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    return list(dict.fromkeys([*heads, name] if by_name or not heads else heads))


def _mark(field: FieldInfo) -> FromSecret | None:
    found = [*field.metadata, *_metadata(field.annotation)]
    return next((mark for mark in found if isinstance(mark, FromSecret)), None)


def _metadata(annotation: Any) -> Iterator[Any]:
    """What ``Annotated`` says within a union."""
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    if _is_open(annotation):
        for part in get_args(annotation):
            yield from _metadata(part)


def _members(annotation: Any) -> list[Any]:
    """The types that a value may have: of a union all of them, without what ``Annotated`` and aliases put around."""
    plain = getattr(annotation, "__value__", annotation)
    if not _is_open(plain):
        return [plain]
    parts = get_args(plain)[:1] if get_origin(plain) is Annotated else get_args(plain)
    return [member for part in parts for member in _members(part)]


def _is_open(annotation: Any) -> bool:
    return get_origin(annotation) in {Union, UnionType, Annotated}
