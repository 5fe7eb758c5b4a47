"""From checked settings and an environment to the fields of a provider's settings object."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from asyncsecrets.credential import Credential, revealed
from asyncsecrets.errors import ConfigError
from asyncsecrets.kinds import Kind, Value
from asyncsecrets.settings import COMMON, SYSTEMS

__all__ = ["WithEnviron", "fields_of"]

_WHOLE: Final = frozenset({"max_connections", "recovery_window_days"})
_MORE_THAN_NOTHING: Final = ("connect_timeout", "attempt_timeout", "max_connections")


class WithEnviron:
    """Settings of an SDK, which know the environment that they were made in."""

    __slots__ = ()

    environ: Mapping[str, str] | Credential[Mapping[str, str]]

    def __post_init__(self) -> None:
        """Have the environment not show itself. Raises ConfigError for times and numbers with which nothing works."""
        if not isinstance(self.environ, Credential):
            object.__setattr__(self, "environ", Credential(self.environ))
        for name in _MORE_THAN_NOTHING:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be greater than 0")

    def variables(self) -> Mapping[str, str]:
        """The environment: ``environ``, which does not show it."""
        variables: Mapping[str, str] = revealed(self.environ)
        return variables


def fields_of(
    system: str,
    settings: Mapping[str, Any],
    environ: Mapping[str, str],
    names: Mapping[str, str],
    prefix: str,
    *,
    later: Collection[str] = (),
) -> dict[str, Any]:
    """The fields that checked ``key_management_settings`` of ``system``, or else the environment, give.

    A field is called as ``names`` says, or like its setting without ``prefix``. ``later`` are settings whose variables
    are looked up when they are needed. What every source understands is none of its provider's. Raises ConfigError.
    """
    fields: dict[str, Any] = {}
    for key, setting in SYSTEMS[system].items():
        if key in COMMON:
            continue
        found: Value | None = settings.get(key)
        if found in (None, "") and key not in later:
            found = setting.from_environ(environ)
        if found not in (None, ""):
            name = names.get(key, key.removeprefix(prefix))
            fields[name] = _typed(setting.kind, found, whole=key in _WHOLE)
    return fields


def _typed(kind: Kind, value: Any, *, whole: bool) -> Any:
    """What a checked setting of ``kind`` says: a bool, a number (``whole``: an int), a tuple of texts, or the text."""
    if kind is Kind.BOOL:
        return value == "true"
    if kind is Kind.LIST:
        return tuple(value)
    if kind in {Kind.SECONDS, Kind.SECONDS_OR_ZERO, Kind.COUNT}:
        return int(value) if whole else float(value)
    return value
