"""The environment that ``run`` gives to a command: which variables may be set, and to what.

A secret may not become a variable that decides which code the command runs: whoever may edit a list of names would
otherwise own the process. Nothing here does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from asyncsecrets.errors import ConfigError, DecodeError
from asyncsecrets.settings import vocabulary

__all__ = ["MAX_VARIABLE", "check_name", "check_value", "without_bootstrap"]

MAX_VARIABLE: Final = 128 * 1024
"""The longest ``NAME=value`` with its NUL, in bytes: Linux' MAX_ARG_STRLEN, from which on exec fails (E2BIG)."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}", re.ASCII)

_REFUSED_PREFIXES: Final = ("LD_", "DYLD_", "PYTHON", "BASH_FUNC_", "GCONV_", "GLIBC_", "MALLOC_", "_RLD")
_REFUSED: Final = frozenset(
    {
        "BASHOPTS",
        "BASH_ENV",
        "BROWSER",
        "CDPATH",
        "CLASSPATH",
        "EDITOR",
        "ENV",
        "GIT_ASKPASS",
        "GIT_CONFIG_COUNT",
        "GIT_EDITOR",
        "GIT_EXEC_PATH",
        "GIT_EXTERNAL_DIFF",
        "GIT_PAGER",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GLOBIGNORE",
        "HOME",
        "HOSTALIASES",
        "IFS",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "LESSCLOSE",
        "LESSOPEN",
        "LOCALDOMAIN",
        "LOCPATH",
        "LUA_CPATH",
        "LUA_INIT",
        "LUA_PATH",
        "NIS_PATH",
        "NLSPATH",
        "NODE_OPTIONS",
        "NODE_PATH",
        "NODE_REPL_EXTERNAL_MODULE",
        "OPENSSL_CONF",
        "OPENSSL_ENGINES",
        "OPENSSL_MODULES",
        "PAGER",
        "PATH",
        "PERL5DB",
        "PERL5LIB",
        "PERL5OPT",
        "PERLLIB",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "PROMPT_COMMAND",
        "PS4",
        "RESOLV_HOST_CONF",
        "RES_OPTIONS",
        "RUBYLIB",
        "RUBYOPT",
        "SHELL",
        "SHELLOPTS",
        "SSH_ASKPASS",
        "SSLKEYLOGFILE",
        "TERMCAP",
        "TERMINFO",
        "TERMINFO_DIRS",
        "TMPDIR",
        "TZDIR",
        "VISUAL",
        "ZDOTDIR",
        "_JAVA_OPTIONS",
    }
)


def check_name(name: str, origin: str) -> None:
    """Raise ConfigError unless a variable may be called ``name``; ``origin`` says who wants it."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{origin}: {name[:80]!a} cannot be an environment variable (letters, digits and _); give it another name "
            f"with --secret VARIABLE=REFERENCE, and choose the rest with --only"
        )
    if name.upper() in _REFUSED or name.upper().startswith(_REFUSED_PREFIXES):
        raise ConfigError(
            f"{origin}: {name} is not set from a secret, because it decides which code the command runs; give the "
            f"secret another name with --secret VARIABLE=REFERENCE"
        )


def check_value(name: str, value: bytes) -> None:
    """Raise DecodeError unless the variable ``name`` can hold ``value``."""
    if b"\0" in value:
        raise DecodeError(f"the value of {name} has a NUL byte, which no environment variable can hold")
    size = len(name) + len(value) + 2
    if size > MAX_VARIABLE:
        raise DecodeError(f"the value of {name} makes a variable of {size} bytes; the most is {MAX_VARIABLE}")


def without_bootstrap(environ: Mapping[str, str], systems: Iterable[str]) -> dict[str, str]:
    """``environ`` without the variables by which asyncsecrets finds and is let into ``systems``."""
    ours = {variable for system in systems for setting in vocabulary(system).values() for variable in setting.environ}
    return {name: value for name, value in environ.items() if name not in ours and not name.startswith("ASYNCSECRETS_")}
