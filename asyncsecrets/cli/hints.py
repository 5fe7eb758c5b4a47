"""What to do about a name that is absent: what may have been meant by it, and how it gets to where it is looked for."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Final

from asyncsecrets.cli.console import printable
from asyncsecrets.cli.sources import nearest_name
from asyncsecrets.errors import AsyncSecretsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from asyncsecrets.client import SecretsClient
    from asyncsecrets.config import Config, SourceConfig

__all__ = ["hints", "remedy", "unhosted"]

_PATIENCE: Final = 2.0
"""The most seconds that a hint is waited for."""

_KEY_SERVICES: Final = ("aws_kms", "google_kms")


async def hints(
    client: SecretsClient, source: str | None, absent: Sequence[str], known: Iterable[str]
) -> dict[str, str]:
    """Return ``; did you mean 'X'?``, or nothing, for each of the names that are ``absent`` at ``source``.

    ``known`` are the names that are used. Where none of them is like it, the source is asked for its names, once: one
    that cannot list, or does not answer, has none.
    """
    used = list(known)
    found = {name: nearest_name(name, used) for name in absent}
    rest = [name for name in absent if not found[name]]
    if rest:
        there = await _listed(client, source, _common_folder(rest))
        found.update({name: nearest_name(name, there) for name in rest})
    return found


async def _listed(client: SecretsClient, source: str | None, prefix: str) -> list[str]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await client.list(prefix, source=source)
    except (AsyncSecretsError, TimeoutError):  # the command has an error to tell of already
        return []


def _common_folder(names: Sequence[str]) -> str:
    """The folder that all of them are in: a large store is not listed as a whole for a typo in one corner."""
    folders = {name.rpartition("/")[0] for name in names}
    folder = folders.pop() if len(folders) == 1 else ""
    return f"{folder}/" if folder else ""


def unhosted(config: Config, name: str) -> str:
    """Return ``; …``: how to have the default source asked for ``name``, where ``hosted_keys`` keeps it from that."""
    from asyncsecrets.config import DEFAULT_SOURCE

    source = config.sources[DEFAULT_SOURCE]
    if source.hosted_keys is None or name in source.hosted_keys or not source.access_mode.reads:
        return ""
    place = f"hosted_keys in {config.origin}" if config.origin else "hosted_keys"
    return (
        f"; to have source {DEFAULT_SOURCE!r} asked, add {printable(name)} to {place}, or ask it by name: "
        f"--source {DEFAULT_SOURCE}"
    )


def remedy(config: Config, source: str, name: str, path: str | None = None) -> str:
    """Return how ``name`` gets to ``source``, where it is absent. ``path`` is the configuration's, if it was given."""
    from asyncsecrets.config import DEFAULT_SOURCE

    found = config.sources.get(source)
    if found is None or found.system == "env":
        return "set it in the environment or in .env"
    quoted = shlex.quote(printable(name))
    if found.system == "hashicorp_vault" and (bare := _within_mount(found, name)):
        return f"leave the mount out, it is a setting (mount_name): {printable(bare)}"
    if found.system in _KEY_SERVICES:
        return f"encrypt it for the environment: asyncsecrets encrypt {quoted}"
    options = [("--source", source if source != DEFAULT_SOURCE else None), ("--config", path)]
    words = "".join(f" {option} {shlex.quote(value)}" for option, value in options if value)
    return _how_to_write(found, quoted, words)


def _within_mount(source: SourceConfig, name: str) -> str:
    """What is left of ``name`` without its beginning, where that is the mount as in a path of the API or the CLI."""
    mount = source.settings.get("mount_name") or "secret"
    begins = (f"{mount}/data/", f"{mount}/")
    return next((name.removeprefix(start) for start in begins if name.startswith(start)), "")


def _how_to_write(source: SourceConfig, quoted: str, words: str) -> str:
    primary = source.primary_secret_name
    command = f"set {quoted}" if primary is None else f"patch {shlex.quote(printable(primary))}"
    if source.access_mode.writes:
        return f"set it: asyncsecrets {command}{words}"
    return (
        f"store it with the manager's own tools, or allow writing (access_mode: read_and_write) and set it: "
        f"asyncsecrets {command}{words}"
    )
