"""The configuration file that LiteLLM runs on, and the names that have to be there before it may start."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asyncsecrets.config import DEFAULT_SOURCE, Config, load_config
from asyncsecrets.documents import references
from asyncsecrets.errors import ConfigError, InvalidNameError
from asyncsecrets.kinds import Kind, Setting
from asyncsecrets.references import parse

__all__ = ["Needs", "find", "load", "needs_of", "patience_of"]

_PROXY: Final = "litellm.proxy.proxy_server"
_VARIABLES: Final = ("CONFIG_FILE_PATH", "WORKER_CONFIG")  # LiteLLM's own, in its order
_BEHIND: Final = """\
declare the manager that the secrets are in beside general_settings:
asyncsecrets:
  sources:
    default:
      key_management_system: hashicorp_vault"""


@dataclass(frozen=True, slots=True)
class Needs:
    """The names of a configuration, as LiteLLM asks for them.

    ``required``: without one of them LiteLLM does not start. ``used``: LiteLLM starts without one that does not exist,
    and not without one that could not be asked for. ``hosted``: those of ``required`` that the environment must never
    stand in for. ``places`` says where else than in the parameters of models a name is used.
    """

    required: tuple[str, ...]
    used: tuple[str, ...]
    hosted: frozenset[str]
    places: Mapping[str, str]


def find(named: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path:
    """The configuration file: ``named``, or that of ``ASYNCSECRETS_CONFIG``, or the one that LiteLLM reads. Raises
    ConfigError."""
    return Path(named or environ.get("ASYNCSECRETS_CONFIG") or _litellm_file(environ)).absolute()


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the configuration in a file, which has to name the manager behind LiteLLM's hook. Raises ConfigError."""
    config = load_config(path, environ)
    if config.sources[DEFAULT_SOURCE].system == "custom":
        raise ConfigError(
            f"{config.origin}: key_management_system: custom says that LiteLLM asks asyncsecrets, and not whom "
            f"asyncsecrets asks; {_BEHIND}"
        )
    return config


def patience_of(config: Config) -> float:
    """Seconds that a reader on LiteLLM's loop may wait for what is not known yet: ``asyncsecrets.litellm.patience``."""
    ours = config.document.reveal().get("asyncsecrets")
    section = ours.get("litellm") if isinstance(ours, Mapping) else None
    where = f"{config.origin}: asyncsecrets.litellm"
    if section is None or section == "":
        return 0.0
    if not isinstance(section, Mapping) or set(section) - {"patience"}:
        raise ConfigError(f"{where} must be a mapping, and patience is all that it may have")
    patience = Setting(Kind.SECONDS_OR_ZERO).check(section.get("patience", "0"), f"{where}.patience")
    return float(str(patience))


def _litellm_file(environ: Mapping[str, str]) -> str:
    """The path of the file that LiteLLM is just reading."""
    proxy = sys.modules.get(_PROXY)
    read = getattr(proxy, "user_config_file_path", None)
    for path in (read, *map(environ.get, _VARIABLES)):
        if path and Path(path).is_file():
            return str(path)
    raise ConfigError(
        "LiteLLM does not say which file it is configured by (one in a bucket is none); name it: ASYNCSECRETS_CONFIG"
    )


def needs_of(config: Config) -> Needs:
    """What LiteLLM will ask for. ``general_settings`` is required: without ``master_key`` LiteLLM lets anybody in."""
    source = config.sources[DEFAULT_SOURCE]
    hosted = (source.hosted_keys or frozenset()) if source.access_mode.reads else frozenset[str]()
    required, used, places = dict.fromkeys(sorted(hosted)), dict[str, None](), dict[str, str]()
    for path, text in references(config.document.reveal()):
        name = _name_in(text)
        if name is None:
            continue
        (required if path[0] == "general_settings" else used)[name] = None
        if not (path[0] == "model_list" and path[2:3] == ("litellm_params",) and len(path) == 4):
            places.setdefault(name, ".".join(map(str, path)))
    return Needs(tuple(required), tuple(name for name in used if name not in required), hosted, places)


def _name_in(text: str) -> str | None:
    """The name that LiteLLM asks for where the file says ``text``: it knows no other reference than ``os.environ/``."""
    try:
        reference = parse(text)
    except (ConfigError, InvalidNameError):
        return None
    return reference.name if reference.is_plain else None
