"""What ``dev --from FILE`` starts a server with: the secrets of a file, each as the object that Vault keeps.

A file whose name ends in ``.yaml``, ``.yml`` or ``.json`` is a local store, a configuration (of which the secrets are
read that it uses), or a seed: names, each with a text or with members that are texts. Any other is a ``.env`` file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asyncsecrets.cli.sources import read_file, uses, using
from asyncsecrets.errors import ConfigError

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.config import Config
    from asyncsecrets.references import Reference
    from asyncsecrets.secret import Secret

__all__ = ["Seed", "read_seed", "seed_of"]

Seed = Mapping[str, Mapping[str, Any]]
"""Names, and the object of each."""

_DOCUMENTS: Final = frozenset({".yaml", ".yml", ".json"})


def read_seed(path: Path) -> Seed:
    """Read every secret of ``path``: all of them, or an error that says which could not be read.

    Blocks, and runs an event loop for a store and a configuration. Raises AsyncSecretsError.
    """
    if path.suffix.lower() not in _DOCUMENTS:
        return _of_dotenv(path)
    from asyncsecrets.config import load_config
    from asyncsecrets.documents import references
    from asyncsecrets.included import OWN
    from asyncsecrets.yaml import load_strings

    document = load_strings(read_file(path), origin=str(path), own=OWN)
    if isinstance(document, dict) and "recipients" in document:
        return _of_texts(using(load_config(_config_of_store(path), os.environ), _everything))
    is_seed = isinstance(document, dict) and {*OWN, "include"}.isdisjoint(document)
    if not is_seed or any(references(document)):
        return seed_of(load_config(path, os.environ))
    load_config(path, {})  # a section whose name is all but right is no secret
    return _of_names(load_strings(read_file(path), origin=str(path)), path)


def _of_dotenv(path: Path) -> Seed:
    from asyncsecrets.providers.dotenv import parse_dotenv

    variables = parse_dotenv(read_file(path), origin=str(path), environ=os.environ)
    return {name: {"key": value} for name, value in variables.items()}


def _of_names(document: Mapping[str, Any], path: Path) -> Seed:
    return {name: _object(value, f"{path}: {name[:80]!a}") for name, value in document.items()}


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if isinstance(value, str):
        return {"key": value}
    if isinstance(value, dict) and value and all(isinstance(member, str) for member in value.values()):
        return value
    raise ConfigError(
        f"{where} is neither a text nor members that are texts; write NAME: VALUE, or NAME: {{MEMBER: VALUE}}"
    )


def _of_texts(secrets: Mapping[str, Secret]) -> Seed:
    return {name: {"key": secret.reveal()} for name, secret in secrets.items()}


async def _everything(client: SecretsClient) -> dict[str, Secret]:
    return await client.get_many(await client.list())


def _config_of_store(path: Path) -> dict[str, Any]:
    return {
        "general_settings": {"key_management_system": "local", "key_management_settings": {"local_file": str(path)}}
    }


def seed_of(config: Config) -> Seed:
    """The secrets that ``config`` uses of its default source. Where that keeps objects, one of which it uses members
    is taken as a whole."""
    from asyncsecrets.config import DEFAULT_SOURCE
    from asyncsecrets.references import Reference, render

    used = [use.reference for use in uses(config) if use.reference is not None and use.reference.source is None]
    wholes = _with_members(used) if config.sources[DEFAULT_SOURCE].system == "hashicorp_vault" else set()
    texts = {one.name: render(Reference(one.name)) for one in used if one.name not in wholes}
    objects = {name: render(Reference(name, field="json:")) for name in wholes}
    found = using(config, lambda client: client.get_many([*texts.values(), *objects.values()]))
    return {
        **_of_texts({name: found[text] for name, text in texts.items()}),
        **{name: json.loads(found[text].reveal()) for name, text in objects.items()},
    }


def _with_members(used: Iterable[Reference]) -> set[str]:
    return {one.name for one in used if one.field is not None}
