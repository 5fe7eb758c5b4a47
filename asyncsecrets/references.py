"""References: the text by which a configuration file or a call names a secret.

===========================================  ==========================================================
``NAME``                                     a bare name, asked of the default source
``os.environ/NAME``                          the same question, in the notation of configuration files
``secret://SOURCE/NAME?version=V&field=F``   a source, a version and a field of a JSON object; each optional
===========================================  ==========================================================

An empty SOURCE (``secret:///NAME``) is the default source. In the third form NAME may have slashes, and every
character but ASCII letters, digits and ``-._~/@:=+,!`` is percent-encoded (UTF-8); in F those that stand are
``-._~/:``, in V ``-._~``.

The grammar only says where a name begins and ends, so that each form has the same names: ``/prod/db`` is
``secret:////prod/db``. Whether a secret can be called so is for its manager to say.

Parsing and rendering are exact: ``parse(render(reference)) == reference``, so no two references render alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from asyncsecrets.errors import ConfigError, InvalidNameError

__all__ = [
    "MAX_NAME",
    "Reference",
    "check_name",
    "check_prefix",
    "check_source",
    "fault_of",
    "is_reference",
    "parse",
    "render",
]

MAX_NAME: Final = 1024
"""The longest name, in characters."""

_MAX_PART: Final = 256
_MAX_TEXT: Final = 12 * (MAX_NAME + 3 * _MAX_PART)  # every character may take 12 once it is percent-encoded
_ENVIRON: Final = "os.environ/"
_SCHEME: Final = "secret://"
_SOURCE: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
_NAME_SAFE: Final = "/@:=+,!"
_ENCODED_NAME: Final = re.compile(r"(?:[A-Za-z0-9._~/@:=+,!-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_ENCODED_PART: Final = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_FIELD_SAFE: Final = "/:"  # a field may be a path, or begin with `json:`
_ENCODED_FIELD: Final = re.compile(r"(?:[A-Za-z0-9._~/:-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_HOW: Final = "write NAME, os.environ/NAME or secret://SOURCE/NAME?version=V&field=F"


@dataclass(frozen=True, slots=True)
class Reference:
    """Which secret is meant: ``name``, and where given the ``source``, ``version`` and ``field``.

    ``source`` None is the default source, ``version`` None the current version, ``field`` None the value as the source
    hands it out. Raises ``InvalidNameError`` for a name that no secret can have, ``ConfigError`` for another part that
    no reference can have.
    """

    name: str
    source: str | None = None
    version: str | None = None
    field: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.source is not None:
            check_source(self.source)
        if self.version is not None:
            _check_text(self.version, "version", _MAX_PART)
        if self.field is not None:
            _check_text(self.field, "field", _MAX_PART)

    @property
    def is_plain(self) -> bool:
        """Whether this is a name and nothing else."""
        return self.source is None and self.version is None and self.field is None


def is_reference(text: str) -> bool:
    """Whether ``text`` is written as a reference: ``os.environ/…`` or ``secret://…``, well-formed or not."""
    return text.startswith((_ENVIRON, _SCHEME))


def parse(text: str) -> Reference:
    """Read a bare name or a reference.

    Raises ``InvalidNameError`` where the name is one that no secret can have, ``ConfigError`` where it is not written
    as a reference is, both showing the text (shortened, escaped) and how to write it.
    """
    if not isinstance(text, str):
        check_name(text)
    if text.startswith(_SCHEME):
        return _parse_uri(text)
    return Reference(text.removeprefix(_ENVIRON))


def render(reference: Reference) -> str:
    """Write ``reference`` as it stands in a configuration file: ``os.environ/NAME`` where the name says it all."""
    if reference.is_plain:
        return _ENVIRON + reference.name
    parts = (("version", reference.version, ""), ("field", reference.field, _FIELD_SAFE))
    query = "&".join(f"{key}={quote(value, safe=safe)}" for key, value, safe in parts if value is not None)
    path = f"{_SCHEME}{reference.source or ''}/{quote(reference.name, safe=_NAME_SAFE)}"
    return f"{path}?{query}" if query else path


def fault_of(name: object) -> str:
    """Why no secret of any manager can be called ``name``, or an empty text.

    A name is text of 1 to 1024 printable characters, not all of them blank. That keeps out line breaks, NUL and other
    control characters, lone surrogates, and what turns the direction of text.
    """
    if not isinstance(name, str):
        return f"the name of a secret is text, not {type(name).__name__}"
    if not name:
        return f"a secret reference has an empty name: {_HOW}"
    if len(name) > MAX_NAME:
        return f"{_shown(name)}: the name of a secret has at most {MAX_NAME} characters"
    if not name.isprintable():
        return f"{_shown(name)}: the name of a secret has printable characters only"
    return "" if name.strip() else f"{_shown(name)}: the name of a secret is not all blanks"


def check_name(name: object, provider: str = "asyncsecrets") -> None:
    """Raise ``InvalidNameError`` for a ``name`` that no secret of any manager can have, before anything is sent."""
    if fault := fault_of(name):
        raise _invalid(name, fault, provider)


def check_prefix(prefix: object) -> None:
    """Raise ``InvalidNameError`` for what no name of a secret can begin with. The empty text begins every name."""
    if prefix != "" and (fault := fault_of(prefix)) and not (isinstance(prefix, str) and prefix.strip(" ") == ""):
        raise _invalid(prefix, fault, "asyncsecrets")


def _invalid(name: object, fault: str, provider: str = "asyncsecrets") -> InvalidNameError:
    return InvalidNameError(fault, provider=provider, name=name if isinstance(name, str) else None)


def check_source(source: str) -> None:
    """Raise ``ConfigError`` unless ``source`` can name a source."""
    if not isinstance(source, str):
        raise ConfigError(f"the name of a source is text, not {type(source).__name__}")
    if not _SOURCE.fullmatch(source):
        raise ConfigError(
            f"{_shown(source)} cannot name a source: use up to 64 of a-z, 0-9, '_' and '-', starting with a letter"
        )


def _parse_uri(text: str) -> Reference:
    if len(text) > _MAX_TEXT:
        raise _unnamed(text, f"it is longer than {_MAX_TEXT} characters")
    location, has_query, query = text.removeprefix(_SCHEME).partition("?")
    source, has_name, name = location.partition("/")
    if not has_name:
        raise _error(text, "it has a source and no name (the default source is left out: secret:///NAME)")
    if not name:
        raise _unnamed(text, "it has no name")
    if not _ENCODED_NAME.fullmatch(name):
        raise _error(text, "the name needs percent-encoding (a space is %20)")
    if has_query and not query:
        raise _error(text, "there is nothing after the '?'")
    parts = _parse_query(text, query)
    return Reference(_decode(text, name), source or None, parts.get("version"), parts.get("field"))


def _parse_query(text: str, query: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in query.split("&") if query else ():
        key, _, value = part.partition("=")
        if key not in {"version", "field"}:
            raise _error(text, f"{_shown(key)} is neither 'version' nor 'field'")
        if key in parts:
            raise _error(text, f"{key!r} is given twice")
        if not value:
            raise _error(text, f"{key!r} is empty")
        if not (_ENCODED_FIELD if key == "field" else _ENCODED_PART).fullmatch(value):
            raise _error(text, f"the {key} needs percent-encoding (a '+' is %2B)")
        parts[key] = _decode(text, value)
    return parts


def _decode(text: str, encoded: str) -> str:
    try:
        return unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise _unnamed(text, "what is percent-encoded is not UTF-8")


def _check_text(text: str, part: str, limit: int) -> None:
    if not isinstance(text, str):
        raise ConfigError(f"the {part} of a secret is text, not {type(text).__name__}")
    if not text:
        raise ConfigError(f"a secret reference has an empty {part}: {_HOW}")
    if len(text) > limit:
        raise ConfigError(f"{_shown(text)}: the {part} of a secret has at most {limit} characters")
    if not text.isprintable():  # also keeps out surrogates, line separators and what turns the direction of text
        raise ConfigError(f"{_shown(text)}: the {part} of a secret has printable characters only")


def _unnamed(text: str, problem: str) -> InvalidNameError:
    return _invalid(text, _error(text, problem).message)


def _error(text: str, problem: str) -> ConfigError:
    return ConfigError(f"{_shown(text)} is not a secret reference: {problem}; {_HOW}")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:80] + "...")
