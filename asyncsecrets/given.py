"""``environment_variables``: the section of LiteLLM's by which a file gives variables their values.

A text is the variable's value, whatever the process has. A reference means that the variable is what that is:
``REDIS_PASSWORD: os.environ/PROD_REDIS_PASSWORD``. A text with references in it (``asyncsecrets.templates``) is for the
command ``run``; whoever reads the variable is told so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from asyncsecrets.errors import ConfigError, InvalidNameError
from asyncsecrets.journal import CONFIG, one_line, say
from asyncsecrets.references import Reference, is_reference, parse
from asyncsecrets.templates import is_template

__all__ = ["read_variables"]


def read_variables(section: Mapping[str, Any], where: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values, and the references, of variables; ``where`` begins what is said of it.

    What LiteLLM would make no sense of (a list as a value) is left out, with a warning. Raises ConfigError for
    variables that are named in a circle.
    """
    given: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for name, value in section.items():
        if not isinstance(value, str) or not name or "=" in name or "\0" in name:
            problem = "cannot name a variable" if isinstance(value, str) else "is not a text"
            say(CONFIG, logging.WARNING, "%s", one_line(f"{where}: {name[:80]!r} {problem}; it is not used"))
        elif is_reference(value) or is_template(value):
            aliases[name] = value
        elif value:
            given[name] = value
    aliases = {name: value for name, value in aliases.items() if _target(value) != Reference(name)}
    _check_circles(aliases, where)
    return given, aliases


def _target(text: str) -> Reference | None:
    """What is referred to, if it is asked of the default source: there the name may be another variable's."""
    if is_template(text):
        return None
    try:
        reference = parse(text)
    except (ConfigError, InvalidNameError):  # whoever asks for it is told
        return None
    return reference if reference.source is None else None


def _check_circles(aliases: Mapping[str, str], where: str) -> None:
    settled: set[str] = set()
    for start in aliases:
        name, way = start, set[str]()
        while name in aliases and name not in settled:
            if name in way:
                raise ConfigError(f"{where}: {name[:80]!a} is named by a reference that leads back to it")
            way.add(name)
            target = _target(aliases[name])
            name = target.name if target is not None else ""
        settled |= way
