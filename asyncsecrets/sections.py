"""The sections of a configuration that are ours, checked: a document → typed, validated sources.

A setting of the form ``os.environ/NAME`` is looked up in the real environment here and now, since what leads to a
manager cannot be asked of one. A relative path is relative to the file that it stands in.

Errors name the file and the key. They never show a value: it may be a token in the wrong place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from asyncsecrets import registry
from asyncsecrets.declared import DEFAULT_SOURCE, AccessMode, Freshness, ProviderSettings, SourceConfig, retry_policy
from asyncsecrets.errors import ConfigError
from asyncsecrets.given import read_variables
from asyncsecrets.journal import CONFIG, few, one_line, say
from asyncsecrets.kinds import Kind, Setting
from asyncsecrets.references import check_source
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.settings import COMMON, FILES, LITELLM, SENT_FILES, SYSTEMS, nearest, variables, vocabulary
from asyncsecrets.trust import is_personal

__all__ = ["NAME_IT", "Sections", "is_for_us"]

_MAX_DEPTH: Final = 10  # of a mapping handed in; our own sections are five levels deep
_ENVIRON: Final = "os.environ/"
_LOCAL_REFRESH: Final = 10.0  # seconds
_TOP: Final = ("general_settings", "asyncsecrets", "include", "environment_variables")
_MANAGER: Final = ("key_management_system", "key_management_settings")

NAME_IT: Final = "or name it, if you trust it: --config config.yaml or ASYNCSECRETS_CONFIG"
"""What to do about a config.yaml that is not obeyed because nobody named it."""


def is_for_us(document: Mapping[str, Any]) -> bool:
    """Whether there is something in it, rightly spelled or not, that we would obey."""
    general = document.get("general_settings")
    inner = general if isinstance(general, Mapping) else {}
    return any(_near(key, (*_TOP[1:], *_MANAGER)) or (key != _TOP[0] and _near(key, _TOP[:1])) for key in document) or (
        any(_near(key, _MANAGER) for key in inner)
    )


def _near(key: object, words: Iterable[str]) -> str | None:
    """The one of ``words`` that ``key`` is, or all but is."""
    return next(iter(get_close_matches(str(key)[:100].lower().replace("-", "_"), list(words), n=1, cutoff=0.88)), None)


class Sections:
    """Checks one document section by section. ``origin`` begins every error, ``environ`` is the real environment.

    ``origins``: the file of each section, where there are files. ``found``: nobody named the document, so a setting of
    it takes no variable but its manager's own.
    """

    def __init__(
        self,
        origin: str,
        environ: Mapping[str, str],
        *,
        origins: Mapping[str, Path] = MappingProxyType({}),
        found: bool = False,
    ) -> None:
        self._origin = origin
        self._environ = environ
        self._origins = origins
        self._found = found

    def read(self, document: Any) -> Mapping[str, Any]:
        """Return the document, a mapping, whose sections have the names that they should."""
        root = self._section(document, "the document")
        self._check_near_misses(root, _TOP, "the document")
        for key in _MANAGER:
            if key in root:
                raise self._error("the document", f"has {key!r} at the top; it belongs under general_settings", key)
        return root

    def env_file(self, root: Mapping[str, Any]) -> Path | None:
        """The ``.env`` file that is named."""
        text = self._text(self._ours(root).get("env_file"), "asyncsecrets.env_file")
        return Path(self._path(text, "asyncsecrets")) if text else None

    def retry(self, root: Mapping[str, Any]) -> RetryPolicy | None:
        """The retry policy, if there is one."""
        where = "asyncsecrets.retry"
        return retry_policy(self._section(self._ours(root).get("retry"), where), self._at(where))

    def variables(self, root: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """The values and the references that variables are given."""
        section = self._section(root.get("environment_variables"), "environment_variables")
        given, aliases = read_variables(
            {str(key): _scalar(value) for key, value in section.items()}, self._at("environment_variables")
        )
        replaced = [name for name, value in given.items() if self._environ.get(name, value) != value]
        if replaced:
            names, at = few(replaced, len(replaced)), self._at("environment_variables")
            say(CONFIG, logging.WARNING, "%s", f"{one_line(at)} replaces what the environment has: {names}")
        return given, aliases

    def sources(self, root: Mapping[str, Any]) -> dict[str, SourceConfig]:
        """The sources that are declared, ``default`` among them only if it is."""
        general = self._section(root.get("general_settings"), "general_settings")
        declared = self._section(self._ours(root).get("sources"), "asyncsecrets.sources")
        hook = self._litellm_hook(general) if DEFAULT_SOURCE in declared else None
        if hook is not None:
            declared = {**declared, DEFAULT_SOURCE: self._behind(hook, declared[DEFAULT_SOURCE])}
        sources = {name: self._named_source(name, section) for name, section in declared.items()}
        if hook is None and (default := self._default_source(general)):
            if DEFAULT_SOURCE in sources:
                raise self._error(
                    "asyncsecrets.sources.default", "is general_settings' manager already; rename this one"
                )
            sources[DEFAULT_SOURCE] = default
        return sources

    def _litellm_hook(self, general: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The settings of ``general_settings`` where its manager is the class by which LiteLLM asks us: ``custom``."""
        self._check_near_misses(general, _MANAGER, "general_settings")
        if general.get("key_management_system") != "custom":
            return None
        settings = _plain(general.get("key_management_settings"), "key_management_settings")
        return self._section(settings, "general_settings.key_management_settings")

    def _behind(self, hook: Mapping[str, Any], declared: Any) -> Mapping[str, Any]:
        """The source behind LiteLLM's hook: what LiteLLM is told holds for it, where it does not say otherwise."""
        where = "asyncsecrets.sources.default"
        section = self._section(declared, where)
        own = self._section(section.get("key_management_settings"), f"{where}.key_management_settings")
        told = {key: value for key, value in hook.items() if key != "custom_secret_manager"}
        return {**section, "key_management_settings": {**told, **own}}

    def _ours(self, root: Mapping[str, Any]) -> Mapping[str, Any]:
        ours = self._section(_plain(root.get("asyncsecrets"), "asyncsecrets"), "asyncsecrets")
        self._check_keys(ours, ("env_file", "litellm", "retry", "sources"), "asyncsecrets")
        return ours

    def _default_source(self, general: Mapping[str, Any]) -> SourceConfig | None:
        """The manager of ``general_settings``, whose other keys are somebody else's."""
        self._check_near_misses(general, _MANAGER, "general_settings")
        ours = {key: _plain(general.get(key), key) for key in _MANAGER}
        if ours["key_management_settings"] and not ours["key_management_system"]:
            raise self._error(
                "general_settings",
                "has key_management_settings without a key_management_system; name the manager there",
            )
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
        registry.check(system, self._at(f"{where}.key_management_system") if where else self._origin)
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
            setting, place = words.get(key), f"{where}.{key}"
            if setting is None and key in LITELLM and self._is_built_in(system):
                self._tell_unused(value, place, system)
                continue
            if setting is None:
                self._check_unlisted(system, key, where)
            known = variables(system, key)
            # Names are names, also when they are written as references.
            found = value if setting and setting.kind is Kind.NAMES else self._expand(value, place, known)
            if found == value and key in FILES | SENT_FILES:  # it is not the environment's
                found = self._file(key, found, where)
                if self._found and key in SENT_FILES:
                    self._check_sent(found, place, known)
            if found != "" or (setting is not None and setting.may_be_empty):
                values[key] = setting.check(found, self._at(place)) if setting else found
        return values

    def _tell_unused(self, value: Any, where: str, system: str) -> None:
        """LiteLLM takes all its keys under every manager, and so do we: whoever changes the manager keeps the rest."""
        if value != "":
            say(CONFIG, logging.WARNING, "%s", one_line(f"{self._at(where)} has no effect on {system}"))

    def _file(self, key: str, value: Any, where: str) -> Any:
        """A setting that names a file, or in one case may be a token or LiteLLM's way to one."""
        if not isinstance(value, str) or not value:
            return value
        if key in FILES:
            return self._path(value, where)
        if value.startswith("oidc/file/"):
            return f"oidc/file/{self._path(value.removeprefix('oidc/file/'), where)}"
        is_token = value.startswith("oidc/") or (value.count(".") == 2 and "/" not in value)
        return value if is_token else self._path(value, where)

    def _path(self, path: str, where: str) -> str:
        """A path as it is from here: it is relative to the file that it is written in."""
        folder = self._folder(where)
        return path if folder is None or path.startswith("~") else str(folder / path)

    def _folder(self, where: str) -> Path | None:
        origin = self._origins.get(where.split(".", 1)[0])
        return None if origin is None else origin.parent

    def _check_sent(self, value: Any, where: str, known: AbstractSet[str]) -> None:
        """What is sent to the manager is not another's: neither a variable nor a file. ``oidc/…`` is LiteLLM's way."""
        path = str(value).removeprefix("oidc/file/")
        if path.startswith(("oidc/env/", "oidc/env_path/")):
            if (variable := path.split("/", 2)[2]) not in known:
                raise self._error(where, f"may not have the variable {variable[:200]!a}: {_foreign(known)}")
        elif is_personal(path, self._folder(where) or Path(), Path(self._environ.get("HOME") or Path.home())):
            problem = "names a file of your own, and what is in it would be sent to the place that this file names"
            raise self._error(where, f"{problem}; {NAME_IT}")

    def _check_unlisted(self, system: str, key: str, where: str) -> None:
        """A class of somebody's own knows its settings itself; for a built-in manager an unknown one is an error."""
        if not self._is_built_in(system):
            return
        owners = [other for other, words in SYSTEMS.items() if key in words]
        hint = f", it is one of {', '.join(owners)}" if owners else _known(key, vocabulary(system))
        raise self._error(where, f"has {key[:80]!a}, which is not a setting of {system}{hint}")

    @staticmethod
    def _is_built_in(system: str) -> bool:
        return system != "custom" and system in registry.BUILT_IN

    def _check_keys(self, section: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in section:
            if key not in known:
                raise self._error(where, f"has {key[:80]!a}, which is not a setting{_known(key, known)}")

    def _check_near_misses(self, section: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        """Other keys are somebody else's, but one that is all but ours would have secrets read from the environment."""
        for key in section:
            word = None if key in known else _near(key, known)
            if word is not None and word not in section:
                at = str(key) if known is _TOP else where
                raise self._error(where, f"has {str(key)[:80]!a}; did you mean {word!r}?", at)

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
        expanded = self._environ.get(variable)
        if expanded is None:
            raise self._error(where, f"needs the environment variable {variable[:200]!a}, which is not set")
        return expanded

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

    def _error(self, where: str, problem: str, section: str = "") -> ConfigError:
        return ConfigError(f"{self._at(where, section)} {problem}")

    def _at(self, where: str, section: str = "") -> str:
        """The file and the place in it; ``section``: the one that it is about, where ``where`` does not begin so."""
        return f"{self._origins.get(section or where.split('.', 1)[0], self._origin)}: {where}"


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
        virtual_key_prefix=_slashed(given.get("prefix_for_stored_virtual_keys", "litellm/")),
        freshness=_freshness(given, system),
    )


def _slashed(prefix: str) -> str:
    """The prefix as LiteLLM puts it before the name of a key."""
    return prefix if prefix.endswith("/") else f"{prefix}/"


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


def _scalar(value: Any) -> Any:
    """The text that a file would have given; what is none stays."""
    return value if isinstance(value, (list, tuple, Mapping)) else _plain(value, "environment_variables")
