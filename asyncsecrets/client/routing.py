"""Which source a name is asked of: four rules, as one function without I/O.

1. ``access_mode: write_only``, or ``hosted_keys`` given and the name not among them: the real environment.
2. Otherwise the manager is asked; what it has is the answer.
3. The manager says *absent* and the name is not in ``hosted_keys``: the real environment stands in.
4. The manager could not be asked: that error, never silently the environment.

A reference that names a source is asked of that source and of nothing else. A name that the configuration says is
another one (``environment_variables``) is that, unless it is among hosted_keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from asyncsecrets import references
from asyncsecrets.client.places import ENVIRONMENT, Route
from asyncsecrets.client.source import Source
from asyncsecrets.config import DEFAULT_SOURCE, AccessMode
from asyncsecrets.errors import AccessModeError, ConfigError, UnsupportedOperationError
from asyncsecrets.settings import nearest
from asyncsecrets.templates import is_template

__all__ = ["Router", "check_reads", "check_writes"]

_ROUTES: Final = 1_024


class Router:
    """The sources by name, and the way to them. ``aliases``: names and the references that they stand for; ``origin``:
    the file that says so."""

    def __init__(
        self, sources: Mapping[str, Source], aliases: Mapping[str, str] = MappingProxyType({}), origin: str = ""
    ) -> None:
        self.sources = sources
        self.origin = origin
        self._aliases = aliases
        # Where a text is asked never changes. Ten thousand readers of one cold name ask where ten thousand times.
        self._known = lru_cache(_ROUTES)(self._route_text)

    def route(self, text: str) -> Route[Source]:
        """Say where ``text``, a name or reference, is asked. Raises ConfigError, also for what is no text."""
        try:
            return self._known(text)
        except TypeError:  # such as a list, which no cache can look up
            pass
        return self._route_text(text)

    def source(self, name: str | None) -> Source:
        """Return the source called ``name``, or the default one. Raises ConfigError naming the nearest one."""
        wanted = DEFAULT_SOURCE if name is None else name
        if not isinstance(wanted, str):
            raise ConfigError(f"the name of a source is text, not {type(wanted).__name__}")
        if wanted in self.sources:
            return self.sources[wanted]
        known = ", ".join(sorted(self.sources))
        hint = nearest(wanted, self.sources) or "; a name of the default source is written secret:///NAME"
        raise ConfigError(f"there is no source {wanted[:80]!a} (configured: {known}){hint}")

    def _route_text(self, text: str) -> Route[Source]:
        if isinstance(text, str) and not references.is_reference(text):
            references.check_name(text)
            return self._default_route(text, text)
        reference = references.parse(text)
        # Percent-encoding can write one name in endless ways. Only one of them is kept warm, or they would fill memory.
        warm = text if "%" not in text or not text.startswith("secret:") or text == references.render(reference) else ""
        return self._route(warm, reference)

    def route_with(self, text: str, *, version: str | None, field: str | None, source: str | None) -> Route[Source]:
        """Say where ``text`` is asked when a call's keywords say what it leaves open.

        The answer is never kept warm: warm references are found by their text alone.
        """
        return self._route("", _completed(references.parse(text), version=version, field=field, source=source))

    def writable(self, text: str, source: str | None) -> tuple[Source, str]:
        """Return the source to write to and the name there.

        Raises AccessModeError, ConfigError, UnsupportedOperationError before anything is sent.
        """
        found, name = self._to_write(_whole(text, source))
        if found.is_member(name):
            primary = found.primary_secret_name
            raise UnsupportedOperationError(
                f"{name!r} is read as a member of the secret {primary!r} (primary_secret_name); write {primary!r} as a "
                f"whole",
            )
        return found, name

    def place(self, text: str, source: str | None) -> tuple[Source, str, str | None]:
        """Return where a reader of ``text`` gets his value: the source, the secret there, and which member of it.

        Raises as ``writable``, and UnsupportedOperationError where he gets it from the environment.
        """
        reference = _whole(text, source)
        found, name = self._to_write(reference)
        primary, hosted = found.primary_secret_name, found.hosted_keys
        if reference.source is None and hosted is not None and name not in {*hosted, primary}:
            raise UnsupportedOperationError(
                f"{name!r} is read from the environment, for it is not among hosted_keys; name the source if you mean "
                f"what is there"
            )
        return (found, primary or "", name) if found.is_member(name) else (found, name, None)

    def _to_write(self, reference: references.Reference) -> tuple[Source, str]:
        found, name = self.source(reference.source), reference.name
        if found.is_environment:
            how = "; configure a manager (asyncsecrets init sets up a local store)" if reference.source is None else ""
            raise UnsupportedOperationError(f"{name!r} cannot be written: the environment is read only{how}")
        check_writes(found)
        if reference.source is None and self._is_alias(name, found):
            raise UnsupportedOperationError(
                f"{name!r} is read as {self._aliases[name]} (environment_variables in {self.origin}); write that"
            )
        return found, name

    def readable(self, source: str | None) -> Source:
        """Return the source to look around in. Raises AccessModeError before anything is sent."""
        found = self.source(source)
        check_reads(found)
        return found

    def versions_of(self, text: str, source: str | None) -> tuple[Source, str]:
        """Return the source whose versions of a secret are asked for, and the name there."""
        reference = _whole(text, source)
        found = self.readable(reference.source)
        if found.is_member(reference.name):
            return found, found.primary_secret_name or ""
        return found, reference.name

    def _route(self, text: str, reference: references.Reference) -> Route[Source]:
        if reference.source is not None:
            source = self.readable(reference.source)
            rule = f"the reference names source {source.name!r}"
            route = _to_manager(text, reference.name, source, environment=False, rule=rule)
        else:
            route = self._default_route(text, reference.name)
        if (reference.field and route.field) or (reference.version and isinstance(route.key, tuple)):
            raise ConfigError(
                f"{reference.name!r} is read as {self._aliases[reference.name]} (environment_variables), which is a "
                f"field or a version already; say it there"
            )
        route.field = route.field or reference.field
        if reference.version is not None:
            route.key, route.environment = (route.entry, reference.version), False  # the environment has no versions
        return route

    def _default_route(self, text: str, name: str) -> Route[Source]:
        source = self.source(None)
        hosted = source.hosted_keys
        if self._is_alias(name, source):
            return self._aliased(text, name)
        if source.access_mode is AccessMode.WRITE_ONLY:
            return self._to_environment(text, name, "access_mode is write_only, so the environment is asked")
        if hosted is None and source.is_environment:
            return _to_manager(text, name, source, environment=False, rule="the environment is the default source")
        if hosted is None:
            rule = f"source {source.name!r} is asked; the environment stands in if it is absent there"
            return _to_manager(text, name, source, environment=True, rule=rule)
        if name not in hosted:
            return self._to_environment(text, name, "not among hosted_keys, so the environment is asked")
        rule = f"among hosted_keys, so source {source.name!r} is asked and nothing else"
        return _to_manager(text, name, source, environment=False, rule=rule)

    def _is_alias(self, name: str, source: Source) -> bool:
        return name in self._aliases and name not in (source.hosted_keys or ())

    def _aliased(self, text: str, name: str) -> Route[Source]:
        target = self._aliases[name]
        if is_template(target):
            raise ConfigError(
                f"{name!r} is a text with references in it (environment_variables of {self.origin}): "
                "`asyncsecrets run` sets it, and client.resolve() fills in such a text; within another one, write it "
                "out"
            )
        route = self._route(text, references.parse(target))
        route.rule = f"environment_variables says that it is {target}: {route.rule}"
        return route

    def _to_environment(self, text: str, name: str, rule: str) -> Route[Source]:
        return _to_manager(text, name, self.sources[ENVIRONMENT], environment=False, rule=rule)


def check_writes(source: Source) -> None:
    """Raise AccessModeError where ``access_mode`` forbids to write to a source."""
    if not source.access_mode.writes:
        raise AccessModeError(
            f"source {source.name!r} is read_only; to write to it, set access_mode: read_and_write (or write_only) "
            f"in its key_management_settings",
        )


def check_reads(source: Source) -> None:
    """Raise AccessModeError where ``access_mode`` forbids to read from a source."""
    if not source.access_mode.reads:
        raise AccessModeError(
            f"source {source.name!r} is write_only; to read from it, set access_mode: read_and_write in its "
            f"key_management_settings"
        )


def _to_manager(text: str, name: str, source: Source, *, environment: bool, rule: str) -> Route[Source]:
    primary = source.primary_secret_name
    if primary is None or not source.is_member(name):
        return Route(text, name, source, name, None, None, environment, rule)
    return Route(text, name, source, primary, name, None, environment, rule)


def _whole(text: str, source: str | None) -> references.Reference:
    """The reference to a secret as a whole, of no one version."""
    reference = _completed(references.parse(text), source=source)
    if reference.version is not None or reference.field is not None:
        raise ConfigError(f"{text[:200]!a} is a version or a field of a secret; name the secret as a whole")
    return reference


def _completed(reference: references.Reference, **given: str | None) -> references.Reference:
    for part, value in given.items():
        if value is None:
            continue
        stated = getattr(reference, part)
        if stated is not None and stated != value:
            raise ConfigError(f"the reference says {part} {stated!r} and the call says {value!r}; say it once")
        reference = replace(reference, **{part: value})
    return reference
