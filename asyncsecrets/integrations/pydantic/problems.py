"""What is said of a model that cannot be made: fields and kinds of errors, and nothing of what was in them.

A ``ValidationError`` shows what was given, in its text and in ``errors()``; the text of a single error may hold it
too, as does the key of a dict in its place. So a place is shown as far as the model has names for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from asyncsecrets.errors import AsyncSecretsError, ConfigError, DecodeError
from asyncsecrets.integrations.pydantic.batch import Chosen
from asyncsecrets.integrations.pydantic.fields import Wanted, known_keys

__all__ = ["UndecodableError", "invalid", "undecodable"]

_KINDS: Final = frozenset(get_args(ErrorType))
_OTHER: Final = "value_error"
_UNKNOWN: Final = "..."
_NAMED: Final = re.compile(r'error (getting|parsing) value for field "\w+" from source "\w+"')


def invalid(
    model: type[BaseModel], error: ValidationError, wanted: Iterable[Wanted], chosen: Iterable[Chosen]
) -> AsyncSecretsError:
    """What is raised instead of ``error``: DecodeError if all of it is about secrets, else ConfigError."""
    origins = {each.path: each.reference for each in chosen}
    known = known_keys(model)
    lines, from_secrets = [], True
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        origin = _origin(each["loc"], origins)
        missing = each["type"] == "missing"
        from_secrets = from_secrets and origin is not None and not missing
        kind = each["type"] if each["type"] in _KINDS else _OTHER
        lines.append(f"\n  {_place(each['loc'], known)}: {kind}{_about(each['loc'], origin, wanted, missing=missing)}")
    count = f"{len(lines)} field" + ("s" if len(lines) != 1 else "")
    kind_of_error = DecodeError if from_secrets else ConfigError
    return kind_of_error(f"{model.__name__} cannot be made, {count} at fault:{''.join(lines)}")


class UndecodableError(ValueError):
    """A secret is not the JSON that its field asks for. Says why, without the text."""


def undecodable(model: type[BaseModel], error: Exception) -> AsyncSecretsError:
    """What is raised instead of an error of pydantic-settings. Only what names a field is repeated of it."""
    named = _NAMED.match(str(error))
    what = named[0] if named else "a settings source failed; its own text may show a value, so it is left out"
    if isinstance(error.__cause__, UndecodableError):
        return DecodeError(f"{model.__name__}: {what}: the secret {error.__cause__}")
    return ConfigError(f"{model.__name__}: {what}")


def _place(loc: tuple[int | str, ...], known: set[str]) -> str:
    parts: list[str] = []
    for part in loc:
        if isinstance(part, str) and parts and part not in known:
            parts.append(_UNKNOWN)
            break
        parts.append(ascii(part)[1:-1] if isinstance(part, str) else str(part))
    return ".".join(parts) or "the model"


def _origin(loc: tuple[int | str, ...], origins: dict[tuple[str, ...], str]) -> str | None:
    """The secret that the value at this place is from, or a part of, or has a part from."""
    place = tuple(map(str, loc))
    around = [origins[place[:end]] for end in range(len(place), 0, -1) if place[:end] in origins]
    within = [reference for path, reference in origins.items() if path[: len(place)] == place]
    return next(iter(around + within), None)


def _about(loc: tuple[int | str, ...], origin: str | None, wanted: Iterable[Wanted], *, missing: bool) -> str:
    if origin is not None:
        return f" (from the secret {origin!r})"
    names = [choice.reference for want in wanted for choice in want.choices if choice.path == loc]
    return f" (there is no secret {' or '.join(map(repr, names))})" if missing and names else ""
