"""config.yaml and the environment → typed, validated sources. Nothing is sent anywhere, no provider is imported.

The file is the one that LiteLLM reads: ``general_settings`` with ``key_management_system`` and
``key_management_settings``, ``environment_variables``, and ``include``. Everything else in it belongs to other programs
and is left alone. One more section is ours::

    asyncsecrets:
      env_file: .env            # adds to the environment what it does not have
      retry: {attempts: 5, deadline: 20, backoff: [0.2, 5]}
      sources:
        team-vault:             # referred to as secret://team-vault/NAME
          key_management_system: hashicorp_vault
          key_management_settings: {addr: https://vault.example.com:8200, refresh_interval: 300}

The manager of ``general_settings`` is the source ``default``; without one, the environment is. A key with an empty
value is the same as no key, but for ``secret_field``.

A file that is found is checked like one that is named: nothing that is wrong in it leads to the environment instead.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from asyncsecrets.boundary import configuring
from asyncsecrets.credential import Credential, concealed
from asyncsecrets.declared import DEFAULT_SOURCE, AccessMode, Freshness, ProviderSettings, SourceConfig
from asyncsecrets.documents import references, replace_references
from asyncsecrets.errors import ConfigError
from asyncsecrets.finding import candidates
from asyncsecrets.included import Merged, read_document, read_merged
from asyncsecrets.journal import CONFIG, one_line, say
from asyncsecrets.kinds import Tidied
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.sections import NAME_IT, Sections, is_for_us
from asyncsecrets.trust import FoundFile, check_found

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every source by name, ``default`` among them.

    ``env_file``: a .env that adds to the environment what it does not have, a ``FoundFile`` where only a file that
    nobody named names it; ``retry``: the retry policy of every source, None for the usual one; ``origin``: the file all
    this is from. ``given`` are the values of variables, and ``aliases`` what other variables are; ``document`` is what
    the file and those that it includes say together.
    """

    sources: Mapping[str, SourceConfig]
    env_file: Path | FoundFile | None = None
    retry: RetryPolicy | None = None
    origin: str = ""
    given: Mapping[str, Credential[str]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    document: Credential[dict[str, Any]] = field(default_factory=lambda: Credential({}), repr=False)

    @staticmethod
    @configuring
    def from_environment(environ: Mapping[str, str], cwd: Path) -> Config:
        """The configuration of a program that was given none.

        The file that ``ASYNCSECRETS_CONFIG`` names; else the nearest ``config.yaml``, in ``cwd`` or above it up to the
        folder of the repository, that names a manager or has an ``asyncsecrets`` section; else the manager that
        ``ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM`` names, with settings from the environment only; else the environment. The
        nearest ``config.yaml`` that names no manager still gives variables their values.

        A ``config.yaml`` that was found like this is obeyed only if nobody else could have written it, and takes from
        ``environ`` only what belongs to the manager. Otherwise it is checked like one that is named: raises
        ConfigError for whatever is wrong in it.
        """
        named = Tidied(environ)
        if path := named.get("ASYNCSECRETS_CONFIG"):
            return _load_file(cwd / path, environ)
        config, declares = _found(environ, cwd)
        if declares:
            return config
        system = named.get("ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM", "env")
        sections = Sections("ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM", environ)
        return replace(config, sources={DEFAULT_SOURCE: sections.source(DEFAULT_SOURCE, system, {}, "")})


@configuring
def load_config(config: str | os.PathLike[str] | Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """Read a configuration file, with those that it includes, or check a mapping of the same shape. Synchronous.

    ``environ`` is the real environment: ``os.environ/NAME`` in a manager's settings and the variables of freshness are
    looked up there. Relative paths are relative to the file, or left as they are in a mapping. Raises ConfigError.
    """
    if not isinstance(config, Mapping):
        return _load_file(Path(config), environ)
    if "include" in config:
        raise ConfigError("configuration: include needs the path of a file, which its files are beside; pass that")
    loaded, _ = _checked(config, Sections("configuration", environ))
    return loaded


def _load_file(path: Path, environ: Mapping[str, str]) -> Config:
    config, _ = _load(path, environ)
    say(CONFIG, logging.DEBUG, "%s", f"the configuration is {one_line(config.origin)}")
    return config


def _load(path: Path, environ: Mapping[str, str], *, found: bool = False) -> tuple[Config, bool]:
    """The configuration in a file, and whether it names a manager or has our section."""
    merged = _read_found(path) if found else read_merged(path)
    sections = Sections(str(path), environ, origins=merged.origins, found=found)
    config, declares = _checked(merged.document, sections)
    stores = _with_stores(config.sources, merged.origins, environ)
    return replace(config, sources=stores, origin=str(path), document=Credential(merged.document)), declares


def _checked(document: Mapping[str, Any], sections: Sections) -> tuple[Config, bool]:
    root = sections.read(document)
    sources, env_file = sections.sources(root), sections.env_file(root)
    given, aliases = sections.variables(root)
    declares, retry = bool(sources) or "asyncsecrets" in root, sections.retry(root)
    sources.setdefault(DEFAULT_SOURCE, sections.source(DEFAULT_SOURCE, "env", {}, "general_settings"))
    config = Config(sources=sources, env_file=env_file, retry=retry, given=concealed(given), aliases=aliases)
    return config, declares


def _with_stores(
    sources: Mapping[str, SourceConfig], origins: Mapping[str, Path], environ: Mapping[str, str]
) -> dict[str, SourceConfig]:
    """``sources``, of which a local store that is not named is beside the file, if it is there."""
    return {name: _with_store(name, source, origins, environ) for name, source in sources.items()}


def _with_store(
    name: str, source: SourceConfig, origins: Mapping[str, Path], environ: Mapping[str, str]
) -> SourceConfig:
    if source.system != "local" or "local_file" in source.settings or Tidied(environ).get("ASYNCSECRETS_FILE"):
        return source
    section = "general_settings" if name == DEFAULT_SOURCE and "general_settings" in origins else "asyncsecrets"
    store = origins[section].parent / "secrets.yaml" if section in origins else Path()
    if store.parent.absolute() == Path.cwd() or not os.path.lexists(store):
        return source
    return replace(source, settings=ProviderSettings({**source.settings, "local_file": str(store)}))


def _found(environ: Mapping[str, str], cwd: Path) -> tuple[Config, bool]:
    """The configuration that lies where a program is started, and whether it names a manager."""
    nearest = None
    for path in candidates(cwd):
        if not _is_trusted(path):
            continue
        config, declares = _load_found(path, environ)
        if declares:
            say(CONFIG, logging.INFO, "%s", f"the configuration is {one_line(config.origin)}, which was found")
            return config, True
        nearest = nearest or config
    return nearest or Config(sources={}), False


def _load_found(path: Path, environ: Mapping[str, str]) -> tuple[Config, bool]:
    """Read a file that nobody named. What it names is as good as itself, and is judged too."""
    config, declares = _load(path, environ, found=True)
    for source in config.sources.values():
        store = source.settings.get("local_file") if source.system == "local" else None
        if isinstance(store, str) and Path(store).exists():
            _check_found(Path(store), NAME_IT)
    env_file = None if config.env_file is None else FoundFile(config.env_file, NAME_IT)
    return replace(config, env_file=env_file), declares


def _read_found(path: Path) -> Merged:
    try:
        return read_merged(path, partial(_check_found, remedy=NAME_IT), pipe=False)
    except ConfigError as error:
        problem = error.message
    if problem.endswith(NAME_IT):
        raise ConfigError(problem)
    raise ConfigError(f"{problem}; if it is another program's file, name your own: --config or ASYNCSECRETS_CONFIG")


def _is_trusted(path: Path) -> bool:
    """Whether nobody else could have written it. Raises ConfigError if somebody could, and it has something for us."""
    problem = ""
    try:
        _check_found(path, NAME_IT)
    except ConfigError as error:
        problem = error.message
    if problem and _is_for_us(path):
        raise ConfigError(problem)
    return not problem


def _is_for_us(path: Path) -> bool:
    try:
        return is_for_us(read_document(path))
    except ConfigError:
        return True


def _check_found(path: Path, remedy: str) -> None:
    try:
        return check_found(path, remedy)
    except FileNotFoundError:
        return None  # reading it says so
    except OSError as error:
        problem = error.strerror
    raise ConfigError(f"{path}: whose it is cannot be seen: {problem}; {remedy}")
