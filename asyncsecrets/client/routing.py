"""Which source a name is asked of: the rules of SPEC §2, as one function without I/O.

1. ``access_mode: write_only``, or ``hosted_keys`` given and the name not among them: the real environment.
2. Otherwise the manager is asked; what it has is the answer.
3. The manager says *absent* and the name is not in ``hosted_keys``: the real environment stands in.
4. The manager could not be asked: that error, never silently the environment.

A reference that names a source is asked of that source and of nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from asyncsecrets import references
from asyncsecrets.config import DEFAULT_SOURCE, AccessMode
from asyncsecrets.errors import AccessModeError, ConfigError
from asyncsecrets.settings import nearest

if TYPE_CHECKING:
    from asyncsecrets.client.source import Key, Source

__all__ = ["ENVIRONMENT", "Route", "Router"]

ENVIRONMENT: Final = "environment"


@dataclass(frozen=True, slots=True)
class Route:
    """Where one reference leads.

    ``key`` is the cache entry that answers it and ``fields`` the way from that entry's payload to the value. The
    environment stands in for an absent secret where ``environment`` says so. ``rule`` says in words why.
    """

    reference: str
    name: str
    source: Source
    key: Key
    fields: tuple[str, ...]
    environment: bool
    rule: str


class Router:
    """The sources by name, and the way to them."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = sources

    def source(self, name: str | None) -> Source:
        """Return the source called ``name``, or the default one. Raises ConfigError naming the nearest one."""
        wanted = DEFAULT_SOURCE if name is None else name
        if wanted in self.sources:
            return self.sources[wanted]
        known = ", ".join(sorted(self.sources))
        raise ConfigError(f"there is no source {wanted!r} (configured: {known}){nearest(wanted, self.sources)}")

    def route(
        self,
        text: str,
        *,
        version: str | None = None,
        field: str | None = None,
        source: str | None = None,
    ) -> Route:
        """Say where ``text``, a name or reference, is asked. The keywords add to a reference that leaves them open."""
        reference = references.parse(text)
        if version is not None or field is not None or source is not None:
            reference = _completed(reference, version=version, field=field, source=source)
        if reference.source is not None:
            return self._explicit(text, reference)
        return self._by_rule(text, reference)

    def writable(self, source: str | None) -> Source:
        """Return the source to write to. Raises AccessModeError before anything is sent."""
        found = self.source(source)
        if found.access_mode is AccessMode.READ_ONLY:
            raise AccessModeError(
                f"source {found.name!r} is read_only; to write to it, set access_mode: read_and_write (or write_only) "
                f"in its key_management_settings",
            )
        return found

    def _explicit(self, text: str, reference: references.Reference) -> Route:
        source = self.source(reference.source)
        if source.access_mode is AccessMode.WRITE_ONLY:
            raise AccessModeError(f"source {source.name!r} is write_only; to read from it, set read_and_write")
        rule = f"the reference names source {source.name!r}"
        return _to_manager(text, reference, source, environment=False, rule=rule)

    def _by_rule(self, text: str, reference: references.Reference) -> Route:
        source, name = self.source(None), reference.name
        hosted = source.hosted_keys
        if source.access_mode is AccessMode.WRITE_ONLY:
            return self._to_environment(text, reference, "access_mode is write_only, so the environment is asked")
        if hosted is None:
            rule = f"source {source.name!r} is asked; the environment stands in if it is absent there"
            return _to_manager(text, reference, source, environment=True, rule=rule)
        if name not in hosted:
            return self._to_environment(text, reference, "not among hosted_keys, so the environment is asked")
        rule = f"among hosted_keys, so source {source.name!r} is asked and nothing else"
        return _to_manager(text, reference, source, environment=False, rule=rule)

    def _to_environment(self, text: str, reference: references.Reference, rule: str) -> Route:
        source = self.sources[ENVIRONMENT]
        fields = (reference.field,) if reference.field is not None else ()
        return Route(text, reference.name, source, _key(reference.name, reference.version), fields, False, rule)


def _to_manager(text: str, reference: references.Reference, source: Source, *, environment: bool, rule: str) -> Route:
    name, version, field = reference.name, reference.version, reference.field
    environment = environment and version is None and not source.is_environment
    if source.primary_secret_name is not None:
        path: tuple[str | None, str | None] = (name, field)
        entry = source.primary_secret_name
    else:
        path = (field if field is not None else source.default_field, None)
        entry = name
    fields = tuple(member for member in path if member is not None)
    return Route(text, name, source, _key(entry, version), fields, environment, rule)


def _key(name: str, version: str | None) -> Key:
    return name if version is None else (name, version)


def _completed(reference: references.Reference, **given: str | None) -> references.Reference:
    for part, value in given.items():
        if value is None:
            continue
        stated = getattr(reference, part)
        if stated is not None and stated != value:
            raise ConfigError(f"the reference says {part} {stated!r} and the call says {value!r}; say it once")
        reference = replace(reference, **{part: value})
    return reference
