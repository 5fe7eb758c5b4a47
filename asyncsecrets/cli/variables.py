"""The environment that ``run`` gives to a command: which variables may be set, and to what.

Whoever may add a name to a manager must not choose the command's variables: there are too many that decide which code
a command runs, and every tool brings new ones. So a variable is set because the configuration or the command line
names it, never because a secret of that name exists. The list here is the second line behind that rule: it asks for
an explicit word before a name that is on it is set, whoever names it. That it has gaps is why it is not the first.
Nothing here does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from asyncsecrets.credential import Credential, revealed
from asyncsecrets.declared import SourceConfig
from asyncsecrets.errors import ConfigError, DecodeError
from asyncsecrets.settings import vocabulary

__all__ = [
    "MAX_VARIABLE",
    "check_names",
    "check_value",
    "credentials_in",
    "decides",
    "is_possible",
    "listed",
    "misfit",
    "without_bootstrap",
]

MAX_VARIABLE: Final = 128 * 1024
"""The longest ``NAME=value`` with its NUL, in bytes: Linux' MAX_ARG_STRLEN, from which on exec fails (E2BIG)."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}", re.ASCII)

_TOLD: Final = 3
"""The most names in a message."""

_ALWAYS: Final = frozenset({"ASYNCSECRETS_KEY"})
_OF_AWS: Final = ("AWS_SECURITY_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")
"""Credentials of botocore beside those that are settings: a session token by its old name, and a container's."""

_NO_WAY_IN: Final = frozenset({"proxy"})
"""Settings that are kept as credentials, and let nobody into a manager: the command needs the same way out."""

_BY_CHANCE: Final = frozenset({"HOSTNAME", "LOGNAME", "SUDO_USER", "USER", "USERNAME"})
"""Variables whose value is no credential, although a token for development may be the same word (``root``)."""

_SHORTEST: Final = 4
_SHORTEST_OF_A_STRANGER: Final = 16
"""The fewest characters of a credential: below that a variable has the same value by chance, as a region has."""

# None of these holds a secret in ordinary life. Addresses are not here (proxies, registries, servers): they may have a
# password in them, so a configuration that names one as a secret may well mean it.
_DECIDING_STARTS: Final = (
    *("LD_", "DYLD_", "_RLD", "GCONV_", "GLIBC_", "MALLOC_"),
    *("BASH", "PYTHON", "PERL", "RUBYLIB", "RUBYOPT", "LUA_PATH", "LUA_CPATH", "LUA_INIT", "JULIA_", "R_PROFILE"),
    *("CORECLR_", "COR_", "GIT_CONFIG", "GIT_SSH", "GIT_SSL", "GIT_TRACE", "GIT_EDITOR", "GIT_PAGER", "NPM_CONFIG_"),
    *("CARGO_ALIAS_", "CARGO_BUILD_", "CARGO_TARGET_", "GTK_", "QT_", "XDG_", "CGO_", "OPENSSL_"),
)
_DECIDING_ENDS: Final = (
    *("_ASKPASS", "_BROWSER", "_EDITOR", "_PAGER", "_PRELOAD", "_RUNNER", "_STARTUP_HOOKS", "_WRAPPER"),
    *("_JAVA_OPTIONS", "_TOOL_OPTIONS", "_OPTS", "SAN_OPTIONS"),
    *("_LIBRARY_PATH", "_LOAD_PATH", "_MODULE_PATH", "_PLUGIN_PATH", "_CA_BUNDLE", "_CA_CERTS"),
)
_KINDS: Final = {
    "where the system, shells and terminals look for things": """
        PATH HOME SHELL TMPDIR LIBPATH SHLIB_PATH LOCPATH NLSPATH NIS_PATH TZDIR TERMCAP TERMINFO TERMINFO_DIRS
        CDPATH ENV FPATH GLOBIGNORE IFS INPUTRC PROMPT_COMMAND PS4 SHELLOPTS ZDOTDIR
        BROWSER EDITOR FCEDIT VISUAL EXINIT VIMINIT MYVIMRC EMACSLOADPATH
        PAGER MANPAGER LESS LESSCLOSE LESSKEY LESSKEYIN LESSOPEN""",
    "what runtimes of languages load": """
        CLASSPATH JAVA_HOME JAVA_OPTIONS NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE ELECTRON_RUN_AS_NODE
        DOTNET_ADDITIONAL_DEPS DOTNET_ROOT DOTNET_SHARED_STORE PHPRC PHP_INI_SCAN_DIR RUBYSHELL GEM_HOME GEM_PATH
        R_ENVIRON R_ENVIRON_USER R_HOME R_LIBS R_LIBS_USER TCLLIBPATH VIRTUAL_ENV UV_PYTHON
        ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS ELIXIR_ERL_OPTIONS""",
    "what build tools run": """
        MAKEFILES MAKEFLAGS GNUMAKEFLAGS MFLAGS MAVEN_ARGS BUNDLE_GEMFILE BUNDLE_PATH PYTEST_ADDOPTS PYTEST_PLUGINS
        CC CXX CPP LD AR CFLAGS CXXFLAGS CPPFLAGS LDFLAGS COMPILER_PATH GCC_EXEC_PREFIX
        CMAKE_TOOLCHAIN_FILE PKG_CONFIG PKG_CONFIG_PATH
        RUSTC RUSTDOC RUSTFLAGS RUSTDOCFLAGS RUSTUP_HOME RUSTUP_TOOLCHAIN CARGO_HOME
        GOFLAGS GOENV GOPATH GOROOT GOTOOLCHAIN GOINSECURE GONOSUMDB GOSUMDB""",
    "what tools take as commands, or as configuration that may hold some": """
        GIT_DIR GIT_EXEC_PATH GIT_EXTERNAL_DIFF GIT_PROXY_COMMAND GIT_TEMPLATE_DIR GIT_ALTERNATE_OBJECT_DIRECTORIES
        ANSIBLE_CONFIG AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE CURL_HOME DOCKER_CONFIG KUBECONFIG
        PIP_CONFIG_FILE RIPGREP_CONFIG_PATH TF_CLI_CONFIG_FILE WGETRC""",
    "whom the command trusts, and where it finds them": """
        SSL_CERT_FILE SSL_CERT_DIR SSLKEYLOGFILE DENO_CERT NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED
        VAULT_CACERT VAULT_CAPATH VAULT_SKIP_VERIFY HOSTALIASES LOCALDOMAIN RESOLV_HOST_CONF RES_OPTIONS""",
}
_DECIDING: Final = frozenset(name for names in _KINDS.values() for name in names.split())


def is_possible(name: str) -> bool:
    """Whether a variable can have this name at all: letters, digits and ``_``."""
    return _NAME.fullmatch(name) is not None


def decides(name: str) -> bool:
    """Whether a variable of this name is known to decide which code a command runs or whom it trusts, in any case.

    ``npm_config_*`` is read in lower case, and systems differ about the others.
    """
    upper = name.upper()
    return upper in _DECIDING or upper.startswith(_DECIDING_STARTS) or upper.endswith(_DECIDING_ENDS)


def check_names(names: Iterable[str], origin: str, allowed: Collection[str] = ()) -> None:
    """Raise ConfigError unless variables may be called ``names``; ``origin`` says who wants them.

    ``allowed``: those that were asked for by an explicit word, although they decide what runs.
    """
    names = list(names)
    for name in names:
        if not is_possible(name):
            raise ConfigError(
                f"{origin}: {name[:80]!a} cannot be an environment variable (letters, digits and _); give it another "
                f"name with --secret VARIABLE=REFERENCE, and choose the rest with --only"
            )
    deciding = [name for name in names if decides(name) and name not in allowed]
    if deciding:
        raise ConfigError(
            f"{origin}: such a variable decides which code the command runs or whom it trusts: {listed(deciding)}\n"
            f"what to do: --allow {deciding[0]} sets it all the same; --secret VARIABLE=REFERENCE gives the secret "
            f"another name"
        )


def listed(names: Collection[str]) -> str:
    """``names`` for a message: the first few, shortened, and how many more."""
    few = [name if len(name) <= 80 else f"{name[:79]}…" for name in list(names)[:_TOLD]]
    more = len(names) - len(few)
    return ", ".join(few) + (f" and {more} more" if more else "")


def misfit(name: str, value: bytes) -> str:
    """Why the variable ``name`` cannot hold ``value``, or nothing. Any bytes but NUL are fine."""
    if b"\0" in value:
        return f"the value of {name} has a NUL byte, which no environment variable can hold"
    size = len(name) + len(value) + 2
    if size > MAX_VARIABLE:
        return f"the value of {name} makes a variable of {size} bytes; the most is {MAX_VARIABLE}"
    return ""


def check_value(name: str, value: bytes) -> None:
    """Raise DecodeError unless the variable ``name`` can hold ``value``."""
    if problem := misfit(name, value):
        raise DecodeError(f"{problem}; leave it out, or have the command read it: asyncsecrets get")


def without_bootstrap(environ: Mapping[str, str], systems: Iterable[str]) -> dict[str, str]:
    """``environ`` without the variables by which asyncsecrets finds and is let into ``systems``."""
    ours = {variable for system in systems for setting in vocabulary(system).values() for variable in setting.environ}
    return {name: value for name, value in environ.items() if name not in ours and not name.startswith("ASYNCSECRETS_")}


def credentials_in(environ: Mapping[str, str], sources: Iterable[SourceConfig]) -> list[str]:
    """The variables that let whoever has them into ``sources``: those that the managers read by themselves, any whose
    value a setting of theirs has (``token: os.environ/MY_TOKEN``), and copies of either. An empty one lets nobody in.
    """
    declared = [*sources]
    known = _ALWAYS | {name for source in declared for name in _credential_variables(source.system)}
    values = {value for source in declared for value in _credentials_of(source)}
    values |= {value for name in known if len(value := environ.get(name, "")) >= _SHORTEST_OF_A_STRANGER}
    others = {name for name, value in environ.items() if value in values} - _BY_CHANCE
    return [name for name, value in environ.items() if value and (name in known or name in others)]


def _credential_variables(system: str) -> Iterable[str]:
    words = vocabulary(system).items()
    own = [name for key, word in words if word.credential and key not in _NO_WAY_IN for name in word.environ]
    return [*own, *(_OF_AWS if system in {"aws_kms", "aws_secret_manager"} else ())]


def _credentials_of(source: SourceConfig) -> Iterable[str]:
    """The credentials among the settings. What only somebody's own class knows counts as one, if it is long enough."""
    words = vocabulary(source.system)
    for key, value in source.settings.items():
        counts = source.system != "memory" and key not in _NO_WAY_IN
        text = revealed(value) if isinstance(value, Credential) and counts else None
        if isinstance(text, str) and len(text) >= (_SHORTEST if key in words else _SHORTEST_OF_A_STRANGER):
            yield text
