"""Which class talks to which manager, and what that can do: ``key_management_system`` → a class, imported when needed.

A provider class offers ``from_settings(settings, environ)``, a pure class method that does no I/O. ``settings`` are the
checked ``key_management_settings`` of its source without what all sources share (see ``asyncsecrets.settings``),
``environ`` the environment for whatever they leave out. Credentials are ``Credential`` for the classes here, and text
for a class of somebody's own.

A class of one's own is named by the setting ``custom_secret_manager`` of the manager ``custom``, as ``module.Class`` or
``module:Class``; or by a package's entry point in the group ``asyncsecrets.providers``, whose name is then a
``key_management_system`` like any other. A built-in name cannot be taken over.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from asyncsecrets.boundary import configuring
from asyncsecrets.credential import revealed
from asyncsecrets.declared import ProviderSettings
from asyncsecrets.errors import ConfigError, MissingDependencyError, UnsupportedOperationError
from asyncsecrets.kinds import Value
from asyncsecrets.providers.base import (
    Destroyer,
    Encrypter,
    MetadataKeeper,
    Patcher,
    Provider,
    Restorer,
    Rotator,
    VersionDeleter,
)
from asyncsecrets.settings import nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

__all__ = ["BUILT_IN", "ENTRY_POINTS", "KEY_SERVICES", "Entry", "ProviderFactory", "build", "check", "load", "unable"]

ENTRY_POINTS: Final = "asyncsecrets.providers"
"""The group of entry points in which other packages register their provider classes."""

KEY_SERVICES: Final = frozenset({"aws_kms", "google_kms"})
"""Managers that hold no secrets: they decrypt what stands in the environment."""

_TARGET: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*[.:][A-Za-z_]\w*", re.ASCII)


class ProviderFactory(Protocol):
    """What the registry asks of a provider class."""

    def from_settings(self, settings: Mapping[str, Value], environ: Mapping[str, str]) -> Provider:
        """Make a provider; no I/O. Raises ConfigError for settings that are missing, unknown or at odds."""


class KeyServiceFactory(Protocol):
    """What it asks of the class of a key service."""

    def from_settings(
        self, settings: Mapping[str, Value], environ: Mapping[str, str], *, dotenv: str | os.PathLike[str] | None = None
    ) -> Provider:
        """As ``ProviderFactory.from_settings``; ciphertext may stand in the file ``dotenv`` too."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a manager's class is (``module:Class``; empty where it is anybody's) and the extra that its SDK comes with.

    ``beside_litellm``: the extra to take instead of ``extra`` where LiteLLM is in the same environment.
    ``can``: the protocols of ``asyncsecrets.providers.base`` that the class has and others lack, so that their errors
    can name its manager without importing an SDK. A test holds them against the class.
    """

    target: str
    extra: str | None = None
    beside_litellm: str | None = None
    can: tuple[type, ...] = ()


BUILT_IN: Final[Mapping[str, Entry]] = {
    "aws_kms": Entry("asyncsecrets.providers.aws:AwsKmsProvider", "aws", "aws-aiobotocore", (Encrypter,)),
    "aws_secret_manager": Entry(
        "asyncsecrets.providers.aws:AwsSecretsManagerProvider",
        "aws",
        "aws-aiobotocore",
        (Restorer, Destroyer, Rotator),
    ),
    "azure_key_vault": Entry("asyncsecrets.providers.azure:AzureKeyVaultProvider", "azure", can=(Restorer, Destroyer)),
    "custom": Entry(""),
    "env": Entry("asyncsecrets.providers.environment:EnvironmentProvider"),
    "google_kms": Entry("asyncsecrets.providers.google:GoogleKmsProvider", "google", can=(Encrypter,)),
    "google_secret_manager": Entry(
        "asyncsecrets.providers.google:GoogleSecretManagerProvider",
        "google",
        can=(VersionDeleter, Restorer, Destroyer, MetadataKeeper),
    ),
    "hashicorp_vault": Entry(
        "asyncsecrets.providers.vault:VaultProvider",
        can=(VersionDeleter, Restorer, Destroyer, Patcher, MetadataKeeper),
    ),
    "local": Entry("asyncsecrets.providers.local:LocalProvider", "local", can=(VersionDeleter, Restorer, Destroyer)),
    "memory": Entry("asyncsecrets.providers.memory:MemoryProvider", can=(VersionDeleter, Restorer, Destroyer)),
}
"""The managers that asyncsecrets knows by itself, sorted by name."""


@configuring
def check(system: str, where: str = "key_management_system") -> None:
    """Raise ConfigError, with ``where`` and the nearest known name, unless ``system`` is a manager. Imports nothing."""
    if system not in BUILT_IN and not _entry_point(system):
        hint = _containing(system) or nearest(system, _there())
        raise ConfigError(f"{where}: no secret manager is called {system[:80]!a}{hint} (known: {', '.join(_there())})")


@configuring
def load(system: str, custom: str | None = None) -> ProviderFactory:
    """Import and return the provider class of ``system``; ``custom`` is its ``custom_secret_manager``.

    Raises ConfigError for a manager that does not exist, MissingDependencyError naming the extra to install.
    """
    check(system)
    if system == "custom":
        return _load_custom(custom)
    if system not in BUILT_IN:
        return _import(_entry_point(system) or "", system)
    return _load_built_in(system, BUILT_IN[system])


@configuring
def build(
    system: str,
    settings: Mapping[str, Value],
    environ: Mapping[str, str],
    *,
    dotenv: str | os.PathLike[str] | None = None,
) -> Provider:
    """Make the provider of ``system``: import its class and hand it its settings. No I/O. Raises as ``load``.

    ``dotenv`` is the ``.env`` file that adds to ``environ``; only ``KEY_SERVICES``, which read it, are told of it.
    """
    custom = settings.get("custom_secret_manager")
    found = load(system, custom if isinstance(custom, str) else None)
    if system in KEY_SERVICES:
        return cast("KeyServiceFactory", found).from_settings(settings, environ, dotenv=dotenv)
    if system == "custom" or system not in BUILT_IN:
        settings = ProviderSettings({key: revealed(value) for key, value in settings.items()})
    return found.from_settings(settings, environ)


def unable(provider: object, protocol: type, what: str) -> UnsupportedOperationError:
    """The error of a provider that lacks ``protocol``: it ``what`` ("cannot …"), and these managers can."""
    system = getattr(provider, "system", type(provider).__name__)
    able = ", ".join(name for name, entry in BUILT_IN.items() if protocol in entry.can)
    return UnsupportedOperationError(f"{system} {what} (managers that can: {able})")


def entry_points(*, group: str, name: str | None = None) -> EntryPoints:
    """What is installed: looked at, and imported, only for a manager that is none of ours."""
    from importlib import metadata  # noqa: PLC0415  # a tenth of what the command takes to start

    found = metadata.entry_points(group=group)
    return found if name is None else found.select(name=name)


def _there() -> list[str]:
    """The managers that there are, sorted."""
    return sorted({*BUILT_IN, *entry_points(group=ENTRY_POINTS).names})


def _containing(word: str) -> str:
    """The managers whose names ``word`` is a part of: ``vault``, ``aws``."""
    found = [repr(system) for system in _there() if len(word) > 2 and word.lower() in system]
    return f", did you mean {' or '.join(found)}?" if found else ""


def _entry_point(system: str) -> str | None:
    """The target registered under ``system``. Raises ConfigError if two packages register different ones."""
    targets = {found.value for found in entry_points(group=ENTRY_POINTS, name=system)}
    if len(targets) > 1:
        raise ConfigError(f"several installed packages register the secret manager {system!r}; uninstall all but one")
    return targets.pop() if targets else None


def _load_built_in(system: str, entry: Entry) -> ProviderFactory:
    try:
        return _import(entry.target, system)
    except ModuleNotFoundError as error:
        missing = error.name or "a package"
        if missing.partition(".")[0] == "asyncsecrets":
            raise
    # Out here, so that the import's own error and its frames are not carried along.
    package = f"asyncsecrets[{entry.extra}]" if entry.extra else "asyncsecrets"
    other = f', or beside LiteLLM "asyncsecrets[{entry.beside_litellm}]"' if entry.beside_litellm else ""
    raise MissingDependencyError(
        f'{system} needs the package {missing!r}, which is not installed: pip install "{package}"{other}',
        extra=entry.extra or "",
    )


def _load_custom(target: str | None) -> ProviderFactory:
    if not target:
        raise ConfigError("the manager 'custom' needs the setting custom_secret_manager: module.Class")
    try:
        return _import(target, "custom_secret_manager")
    except ModuleNotFoundError as error:
        missing = error.name
    raise ConfigError(f"custom_secret_manager {target[:200]!a}: no module named {missing!r} can be imported")


def _import(target: str, what: str) -> ProviderFactory:
    if not _TARGET.fullmatch(target):
        raise ConfigError(f"{what}: {target[:200]!a} names no class; write module.Class")
    module, _, name = target.replace(":", ".").rpartition(".")
    found = getattr(importlib.import_module(module), name, None)
    if not (isinstance(found, type) and callable(getattr(found, "from_settings", None))):
        raise ConfigError(f"{what}: {target[:200]!a} is not a class with a class method from_settings")
    return cast("ProviderFactory", found)
