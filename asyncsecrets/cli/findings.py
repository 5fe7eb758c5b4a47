"""Which entries of a ``.env`` file look like secrets: by name, and by the shape of the value. A guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from asyncsecrets.references import is_reference

__all__ = ["look_like_secrets"]

_NAME: Final = re.compile(
    r"(pass(word|wd|phrase)?|pwd|secret|token|credentials?|private|api_?key|access_?key|signing|dsn|salt)",
    re.IGNORECASE,
)
_LAST_WORD: Final = re.compile(r"(^|_)(key|auth|cert)$", re.IGNORECASE)
_ABOUT_ONE: Final = re.compile(
    r"(_|^)(file|path|dir|name|id|url|uri|host|port|ttl|timeout|length|limit|enabled|expire[sd]?|expiry)$",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(
    r"""
      sk-[\w-]{16,} | (?:ghp|gho|ghs|ghu)_\w{20,} | github_pat_\w{20,} | glpat-[\w-]{16,} | xox[abeprs]-[\w-]{10,}
    | AKIA[A-Z0-9]{12,} | AIza[\w-]{30,} | eyJ[\w-]{10,}\.[\w.-]+ | hv[sb]\.[\w-]{16,} | AGE-SECRET-KEY-1\w+
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY----- | [a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@
    """,
    re.VERBOSE | re.IGNORECASE,
)


def look_like_secrets(entries: Mapping[str, str]) -> list[str]:
    """The names of the entries that look like secrets, in order. Empty values and references are none."""
    return [name for name, value in entries.items() if value and not is_reference(value) and _is_one(name, value)]


def _is_one(name: str, value: str) -> bool:
    if _VALUE.match(value):
        return True
    named_like_one = _NAME.search(name) or _LAST_WORD.search(name)
    return bool(named_like_one) and not _ABOUT_ONE.search(name)
