"""config.yaml and the environment → typed, validated sources. Nothing is sent anywhere, no provider is imported.

The file is the one that LiteLLM reads: ``general_settings`` with ``key_management_system`` and
``key_management_settings``. Everything else in it belongs to other programs and is left alone. One more section is
ours::

    asyncsecrets:
      env_file: .env            # adds to the environment what it does not have
      retry: {attempts: 5, deadline: 20, backoff: [0.2, 5]}
      sources:
        team-vault:             # referred to as secret://team-vault/NAME
          key_management_system: hashicorp_vault
          key_management_settings: {addr: https://vault.example.com:8200, refresh_interval: 300}

The manager of ``general_settings`` is the source ``default``; without one, the environment is. A key with an empty
value is the same as no key, but for ``secret_field``. A setting of the form ``os.environ/NAME`` is looked up in the
real environment here and now, since what leads to a manager cannot be asked of one.

Errors name the file and the key. They never show a value: it may be a token in the wrong place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from asyncsecrets import registry
from asyncsecrets.boundary import configuring
from asyncsecrets.declared import DEFAULT_SOURCE, AccessMode, Freshness, ProviderSettings, SourceConfig, retry_policy
from asyncsecrets.documents import references, replace_references
from asyncsecrets.errors import ConfigError
from asyncsecrets.references import check_source
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.settings import COMMON, SENT_FILES, SYSTEMS, Kind, Setting, Tidied, nearest, variables, vocabulary
from asyncsecrets.trust import FoundFile, check_found, is_personal
from asyncsecrets.yaml import MAX_BYTES, load_strings

__all__ = [
    "DEFAULT_SOURCE",
    "NAME_IT",
    "AccessMode",
    "Config",
    "Freshness",
    "SourceConfig",
    "load_config",
    "references",
    "replace_references",
]

_MAX_DEPTH: Final = 10  # of a mapping handed in; our own sections are five levels deep
_ENVIRON: Final = "os.environ/"
_LOCAL_REFRESH: Final = 10.0  # seconds

NAME_IT: Final = "or name it, if you trust it: --config config.yaml or ASYNCSECRETS_CONFIG"
"""What to do about a config.yaml that is not obeyed because nobody named it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every source by name, ``default`` among them.

    ``env_file``: a .env that adds to the environment what it does not have, a ``FoundFile`` where only a file that
    nobody named names it; ``retry``: the retry policy of every source, None for the usual one; ``origin``: the file all
    this is from.
    """

    sources: Mapping[str, SourceConfig]
    env_file: Path | FoundFile | None = None
    retry: RetryPolicy | None = None
    origin: str = ""

    @staticmethod
    @configuring
    def from_environment(environ: Mapping[str, str], cwd: Path) -> Config:
        """The configuration of a program that was given none.

        The file that ``ASYNCSECRETS_CONFIG`` names; else ``config.yaml`` in ``cwd`` if it has a
        ``key_management_system`` or an ``asyncsecrets`` section; else the manager that
        ``ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM`` names, with settings from the environment only; else the environment.

        A ``config.yaml`` that was found like this is obeyed only if nobody else could have written it, and takes from
        ``environ`` only what belongs to the manager. Raises ConfigError.
        """
        named = Tidied(environ)
        if path := named.get("ASYNCSECRETS_CONFIG"):
            return _load_file(cwd / path, environ)
        if _is_ours(nearby := cwd / "config.yaml"):
            return _load_found(nearby, environ)
        reader = _Reader("ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM", environ)
        system = named.get("ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM", "env")
        return Config(sources={DEFAULT_SOURCE: reader.source(DEFAULT_SOURCE, system, {}, "")})


@configuring
def load_config(config: str | os.PathLike[str] | Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """Read a configuration file, or check a mapping of the same shape. Reads at most the one file, synchronously.

    ``environ`` is the real environment: ``os.environ/NAME`` in a manager's settings and the variables of freshness are
    looked up there. A relative ``env_file`` is relative to the file, or left as it is in a mapping. Raises ConfigError.
    """
    if not isinstance(config, Mapping):
        return _load_file(Path(config), environ)
    reader = _Reader("configuration", environ)
    sources, env_file = reader.read(config)
    return Config(sources=sources, env_file=Path(env_file) if env_file else None, retry=reader.retry)


def _load_file(path: Path, environ: Mapping[str, str], *, found: bool = False) -> Config:
    document = load_strings(_read_file(path), origin=str(path))
    reader = _Reader(str(path), environ, found=found)
    sources, env_file = reader.read(document)
    dotenv = path.parent / env_file if env_file else None
    return Config(sources=sources, env_file=dotenv, retry=reader.retry, origin=str(path))


def _load_found(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a file that nobody named. What it names is as good as itself, and is judged too."""
    _check_found(path, NAME_IT)
    config = _load_file(path, environ, found=True)
    for source in config.sources.values():
        store = source.settings.get("local_file") if source.system == "local" else None
        if isinstance(store, str) and Path(store).exists():
            _check_found(Path(store), NAME_IT)
    return replace(config, env_file=None if config.env_file is None else FoundFile(config.env_file, NAME_IT))


def _check_found(path: Path, remedy: str) -> None:
    try:
        return check_found(path, remedy)
    except OSError as error:
        problem = error.strerror
    raise ConfigError(f"{path}: whose it is cannot be seen: {problem}; {remedy}")


class _Reader:
    """Checks one document section by section. ``origin`` begins every error, ``environ`` is the real environment.

    ``found``: nobody named the document, so a setting of it takes no variable but its manager's own.
    """

    def __init__(self, origin: str, environ: Mapping[str, str], *, found: bool = False) -> None:
        self._origin = origin
        self._environ = environ
        self._found = found
        self.retry: RetryPolicy | None = None

    def read(self, document: Any) -> tuple[dict[str, SourceConfig], str]:
        """Return the sources and ``env_file`` of a whole document."""
        root = self._section(document, "the document")
        self._check_near_misses(root, ("general_settings", "asyncsecrets"), "the document")
        general = self._section(root.get("general_settings"), "general_settings")
        ours = self._section(_plain(root.get("asyncsecrets"), "asyncsecrets"), "asyncsecrets")
        self._check_keys(ours, ("env_file", "retry", "sources"), "asyncsecrets")
        self.retry = retry_policy(
            self._section(ours.get("retry"), "asyncsecrets.retry"), f"{self._origin}: asyncsecrets.retry"
        )
        sources = {
            name: self._named_source(name, declared)
            for name, declared in self._section(ours.get("sources"), "asyncsecrets.sources").items()
        }
        if default := self._default_source(general):
            if DEFAULT_SOURCE in sources:
                raise self._error(
                    "asyncsecrets.sources.default", "is general_settings' manager already; rename this one"
                )
            sources[DEFAULT_SOURCE] = default
        sources.setdefault(DEFAULT_SOURCE, self.source(DEFAULT_SOURCE, "env", {}, "general_settings"))
        return sources, self._text(ours.get("env_file"), "asyncsecrets.env_file")

    def _default_source(self, general: Mapping[str, Any]) -> SourceConfig | None:
        """The manager of ``general_settings``, whose other keys are somebody else's."""
        self._check_near_misses(general, ("key_management_system", "key_management_settings"), "general_settings")
        ours = {key: _plain(general.get(key), key) for key in ("key_management_system", "key_management_settings")}
        if ours["key_management_settings"] and not ours["key_management_system"]:
            raise self._error("general_settings", "has key_management_settings without a key_management_system")
        return self._declared_source(DEFAULT_SOURCE, ours, "general_settings") if any(ours.values()) else None

    def _named_source(self, name: str, declared: Any) -> SourceConfig:
        check_source(name)
        where = f"asyncsecrets.sources.{name}"
        section = self._section(declared, where)
        self._check_keys(section, ("key_management_settings", "key_management_system"), where)
        if not section.get("key_management_system"):
            raise self._error(where, "needs a key_management_system")
        return self._declared_source(name, section, where)

    def _declared_source(self, name: str, section: Mapping[str, Any], where: str) -> SourceConfig:
        known = frozenset({"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM"})
        system = self._expand(section["key_management_system"], f"{where}.key_management_system", known)
        settings = self._section(section.get("key_management_settings"), f"{where}.key_management_settings")
        return self.source(name, self._text(system, f"{where}.key_management_system"), settings, where)

    def source(self, name: str, system: str, settings: Mapping[str, Any], where: str) -> SourceConfig:
        """Check ``settings``, plain data, against the vocabulary of ``system``."""
        registry.check(system, f"{self._origin}: {where}.key_management_system" if where else self._origin)
        words = vocabulary(system)
        values = self._values(system, words, settings, f"{where}.key_management_settings")
        for key in COMMON:
            if key not in values and (fallback := words[key].from_environ(self._environ)) is not None:
                values[key] = fallback
        return _source(name, system, values)

    def _values(
        self, system: str, words: Mapping[str, Setting], settings: Mapping[str, Any], where: str
    ) -> ProviderSettings:
        values = ProviderSettings()
        for key, value in settings.items():
            if (setting := words.get(key)) is None:
                self._check_unlisted(system, key, where)
            place = f"{where}.{key}"
            known = variables(system, key)
            # Names are names, also when they are written as references.
            found = value if setting and setting.kind is Kind.NAMES else self._expand(value, place, known)
            if self._found and key in SENT_FILES and value == found:
                self._check_sent(value, place, known)
            if found != "" or (setting is not None and setting.may_be_empty):
                values[key] = setting.check(found, f"{self._origin}: {place}") if setting else found
        return values

    def _check_sent(self, value: Any, where: str, known: AbstractSet[str]) -> None:
        """What is sent to the manager is not another's: neither a variable nor a file. ``oidc/…`` is LiteLLM's way."""
        path = str(value).removeprefix("oidc/file/")
        if path.startswith(("oidc/env/", "oidc/env_path/")):
            if (variable := path.split("/", 2)[2]) not in known:
                raise self._error(where, f"may not have the variable {variable[:200]!a}: {_foreign(known)}")
        elif is_personal(path, Path(self._origin).parent, Path(self._environ.get("HOME") or Path.home())):
            problem = "names a file of your own, and what is in it would be sent to the place that this file names"
            raise self._error(where, f"{problem}; {NAME_IT}")

    def _check_unlisted(self, system: str, key: str, where: str) -> None:
        """A class of somebody's own knows its settings itself; for a built-in manager an unknown one is an error."""
        if system == "custom" or system not in registry.BUILT_IN:
            return
        owners = [other for other, words in SYSTEMS.items() if key in words]
        hint = f", it is one of {', '.join(owners)}" if owners else _known(key, vocabulary(system))
        raise self._error(where, f"has {key[:80]!a}, which is not a setting of {system}{hint}")

    def _check_keys(self, section: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in section:
            if key not in known:
                raise self._error(where, f"has {key[:80]!a}, which is not a setting{_known(key, known)}")

    def _check_near_misses(self, section: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        """Other keys are somebody else's, but one that is all but ours would have secrets read from the environment."""
        for key in section:
            for word in get_close_matches(str(key)[:100], known, n=1, cutoff=0.88):
                if key not in known and word not in section:
                    raise self._error(where, f"has {str(key)[:80]!a}; did you mean {word!r}?")

    def _expand(self, value: Any, where: str, known: AbstractSet[str]) -> Any:
        """``value`` with variables for the references in it: in a file that was found, only ``known`` ones."""
        if isinstance(value, list):
            return [self._expand(item, where, known) for item in value]
        if isinstance(value, dict):
            return {key: self._expand(item, where, known) for key, item in value.items()}
        if value.startswith("secret://"):
            raise self._error(where, "cannot be a secret:// reference: what leads to a manager is not asked of one")
        if not value.startswith(_ENVIRON):
            return value
        variable = value.removeprefix(_ENVIRON)
        if self._found and variable not in known:
            raise self._error(where, f"may not have the variable {variable[:200]!a}: {_foreign(known)}")
        if variable not in self._environ:
            raise self._error(where, f"needs the environment variable {variable[:200]!a}, which is not set")
        return self._environ[variable]

    def _section(self, value: Any, where: str) -> Mapping[str, Any]:
        if value is None or value == "":
            return {}
        if not isinstance(value, Mapping):
            raise self._error(where, "must be a mapping")
        return value

    def _text(self, value: Any, where: str) -> str:
        if value is not None and not isinstance(value, str):
            raise self._error(where, "must be a text")
        return value or ""

    def _error(self, where: str, problem: str) -> ConfigError:
        return ConfigError(f"{self._origin}: {where} {problem}")


def _foreign(known: AbstractSet[str]) -> str:
    own = f"only a variable of its own ({', '.join(sorted(known))})" if known else "none"
    return f"a file that nobody named gets {own}, lest it send what is another's to a place of its choice; {NAME_IT}"


def _known(key: str, words: Iterable[str]) -> str:
    """The one of ``words`` that was meant, or all of them."""
    return nearest(key, words) or f"; there are: {', '.join(sorted(words))}"


def _source(name: str, system: str, values: ProviderSettings) -> SourceConfig:
    """Sort checked ``values`` into what all sources have and what is the provider's own."""
    given: dict[str, Any] = {key: values.pop(key) for key in COMMON if key in values}
    hosted = given.get("hosted_keys")
    return SourceConfig(
        name=name,
        system=system,
        settings=values,
        hosted_keys=None if hosted is None else frozenset(hosted),
        primary_secret_name=given.get("primary_secret_name"),
        access_mode=AccessMode(given.get("access_mode", "read_only")),
        store_virtual_keys=given.get("store_virtual_keys") == "true",
        virtual_key_prefix=given.get("prefix_for_stored_virtual_keys", "litellm/"),
        freshness=_freshness(given, system),
    )


def _freshness(given: Mapping[str, Any], system: str) -> Freshness:
    kinds: dict[str, Any] = {
        "refresh_interval": float,
        "max_stale": float,
        "negative_ttl": float,
        "max_entries": int,
        "on_denied": str,
        "read_your_writes": float,
    }
    chosen = {key: kind(given[key]) for key, kind in kinds.items() if key in given}
    if system == "local":  # a file that has not changed costs one stat to ask
        chosen.setdefault("refresh_interval", _LOCAL_REFRESH)
        chosen.setdefault("read_your_writes", 0.0)  # a file is never behind itself
    return Freshness(**chosen, cached=given.get("always_read_secret_manager") != "true")


def _plain(value: Any, where: str, depth: int = 0) -> Any:
    """Bring a value of somebody's mapping to what a file would have given: texts, lists and mappings."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    if depth > _MAX_DEPTH:
        raise ConfigError(f"{where} is nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        return {str(key): _plain(item, where, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, where, depth + 1) for item in value]
    raise ConfigError(f"{where} holds something that is not a text, number, boolean, list or mapping")


def _is_ours(path: Path) -> bool:
    """Whether a config.yaml that nobody named has a section for us. One of another program may be anything."""
    try:
        data = _read_file(path) if path.is_file() else b""
    except OSError:  # a working directory that may not be looked into
        return False
    try:
        document = load_strings(data, origin=str(path))
    except ConfigError:
        return b"key_management_system" in data or b"asyncsecrets" in data
    if not isinstance(document, dict):
        return False
    general = document.get("general_settings")
    return "asyncsecrets" in document or (isinstance(general, dict) and "key_management_system" in general)


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        problem = getattr(error, "strerror", None) or "not a path"
    raise ConfigError(f"{path}: cannot be read: {problem}")
