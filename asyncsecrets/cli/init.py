"""``asyncsecrets init``: from a ``.env`` file to an encrypted store and a config.yaml, in one step.

It adds and never takes away: nothing is deleted, uploaded or rewritten, and running it again finds everything done.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from asyncsecrets.cli.console import Console
from asyncsecrets.cli.findings import look_like_secrets
from asyncsecrets.cli.sources import names_of, read_file, uses, using, writing
from asyncsecrets.cli.variables import decides, is_possible, listed
from asyncsecrets.errors import ConfigError

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.config import Config
    from asyncsecrets.providers.local import LocalProvider

HELP = "set up the local store: a key, secrets.yaml, config.yaml, with the secrets of a .env file"

_STORE: Final = Path("secrets.yaml")
_ENV_FILE: Final = Path(".env")
_NAME_IT: Final = "or name it, if you trust it: --env-file .env"
_LOCK_FILE: Final = ".secrets.yaml.lock"
# Without hosted_keys, so that a secret that is stored later is read, checked and run with like those of today.
_MANAGER: Final = """\
  key_management_system: local     # later: hashicorp_vault, aws_secret_manager, ...
  key_management_settings:
    access_mode: read_and_write    # so that `asyncsecrets set` may write
    refresh_interval: 60
"""
_CONFIG: Final = "general_settings:\n" + _MANAGER
_VARIABLES: Final = "environment_variables:             # what `asyncsecrets run` sets, by name\n"


@dataclass(slots=True)
class Steps:
    """What was done, in order."""

    console: Console
    taken: list[dict[str, str]] = field(default_factory=list)

    def add(self, action: str, what: object, remark: str) -> None:
        """Record one step and show it."""
        self.taken.append({"action": action, "what": str(what), "remark": remark})
        self.console.line(f"{action:<7} {what!s:<28} {remark}".rstrip())


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--env-file", metavar="PATH", type=Path, help="default: .env")
    parser.add_argument("--all", action="store_true", help="take every entry, not only those that look like secrets")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do every step that is not done yet, then read every secret back."""
    import asyncio

    from asyncsecrets.config import load_config

    steps = Steps(console)
    config_path = Path(args.config or "config.yaml")
    _check_found(args)
    entries = _entries(args.env_file)
    args.env_file = args.env_file or _ENV_FILE
    _check_store()
    chosen = _scan(args, entries, steps)
    key_file, recipient = _key(steps)
    if _is_new_store(recipient, chosen, steps):
        for name in chosen:
            steps.add("added", name, f"to {_STORE}")
    else:
        asyncio.run(_encrypt(chosen, key_file, steps))
    written = _config(config_path, list(chosen), steps)
    config = load_config(config_path, os.environ)
    _ignore(args.env_file, steps)
    if args.env_file.exists():
        steps.add("kept", args.env_file, f"unchanged{_use_of(args.env_file, config, is_ours=written)}")
    read = using(config, lambda client: _read_back(client, list(chosen))) if written else []
    options = f" --config {shlex.quote(args.config)}" if args.config else ""
    change = f"next    change {config_path} as said above   then   asyncsecrets check{options}"
    ending = _ending(read, config, options) if written else change
    console.result({"steps": steps.taken, "secrets": read}, ending)
    return 0


def _use_of(env_file: Path, config: Config, *, is_ours: bool) -> str:
    """What becomes of the ``.env`` file, where that can be said: programs may read another manager."""
    from asyncsecrets.config import DEFAULT_SOURCE

    if is_ours:
        return f"; delete {env_file} when you no longer need it"
    return "; it is still what programs read" if config.sources[DEFAULT_SOURCE].system == "env" else ""


def _check_found(args: argparse.Namespace) -> None:
    """Raise ConfigError if what is there already, and nobody named, could be somebody else's."""
    from asyncsecrets.config import NAME_IT as NAME_CONFIG
    from asyncsecrets.providers.local_key_files import default_key_file
    from asyncsecrets.trust import check_found

    key = None if os.environ.get("ASYNCSECRETS_KEY_FILE") else default_key_file(os.environ)
    for path, named, remedy in (
        (Path("config.yaml"), args.config, NAME_CONFIG),
        (_ENV_FILE, args.env_file, _NAME_IT),
        (key, key is None or os.environ.get("ASYNCSECRETS_KEY"), "or name it, if you trust it: ASYNCSECRETS_KEY_FILE"),
        (_STORE, False, "or take another folder"),
    ):
        if not named and path is not None and path.exists():
            check_found(path, remedy)


def _check_store() -> None:
    """Raise ConfigError if the file that is there is somebody else's: a manifest of Kubernetes has this name, too."""
    from asyncsecrets.yaml import load_strings

    if not _STORE.exists():
        return
    try:
        document = load_strings(read_file(_STORE), origin=str(_STORE))
    except ConfigError:  # one that is damaged: whoever opens it says how
        return
    if not isinstance(document, dict) or not {"format", "recipients"} & document.keys():
        raise ConfigError(f"{_STORE} is there and is no store of asyncsecrets: move it, or run init in another folder")


def _entries(named: Path | None) -> dict[str, str]:
    """What the ``.env`` file has: every line of one that is named must be right. No file is no entries."""
    from asyncsecrets.providers.additions import Additions
    from asyncsecrets.providers.dotenv import parse_dotenv
    from asyncsecrets.trust import UsualFile

    if named is not None:
        return parse_dotenv(read_file(named), origin=str(named), environ=os.environ) if named.exists() else {}
    usual = Additions(UsualFile(_ENV_FILE, _NAME_IT), environ=os.environ)
    usual.read()
    return usual.entries


def _scan(args: argparse.Namespace, entries: dict[str, str], steps: Steps) -> dict[str, str]:
    """The entries to be encrypted."""
    if not args.env_file.exists():
        steps.add("found", args.env_file, "no such file; store secrets with: asyncsecrets set NAME")
        return {}
    names = [name for name, value in entries.items() if value] if args.all else look_like_secrets(entries)
    steps.add("found", args.env_file, _summary(len(entries), names, everything=args.all))
    return {name: entries[name] for name in names}


def _summary(entries: int, names: list[str], *, everything: bool) -> str:
    looks = "looks like a secret" if len(names) == 1 else "look like secrets"
    listed = f" ({', '.join(names)})" if names else ""
    return (
        f"{entries} {'entry' if entries == 1 else 'entries'}, {len(names)} {'taken' if everything else looks}{listed}"
    )


def _key(steps: Steps) -> tuple[Path | None, str]:
    """The file of the key (None where ``ASYNCSECRETS_KEY`` has it), and the recipient to encrypt to."""
    from asyncsecrets.providers.local_key_files import default_key_file, read_key_file, write_key_file
    from asyncsecrets.providers.local_keys import Keys, generate_key

    if text := os.environ.get("ASYNCSECRETS_KEY", "").strip():
        steps.add("kept", "ASYNCSECRETS_KEY", "the key is in the environment; no file was written")
        return None, _recipient(Keys(text, origin="ASYNCSECRETS_KEY"), "ASYNCSECRETS_KEY")
    path = default_key_file(os.environ)
    if path.exists():
        keys = Keys(read_key_file(path), origin=f"the key file {path}")
        steps.add("kept", path, "the key that is there already")
        return path, _recipient(keys, str(path))
    if _STORE.exists():
        raise ConfigError(
            f"{_STORE} is there and a key that opens it is not, as {path}\n"
            f"what to do: asyncsecrets recipients key makes your own; a recipient of the store lets you in with it"
        )
    secret, public = generate_key()
    with writing(path):
        write_key_file(path, secret, public)
    steps.add("wrote", path, "the key, mode 0600. Back it up. Never commit it.")
    return path, public


def _recipient(keys: object, origin: str) -> str:
    recipients: tuple[str, ...] = getattr(keys, "recipients", ())
    if not recipients:
        raise ConfigError(f"{origin} holds no key; remove it to have one made")
    return recipients[0]


def _is_new_store(recipient: str, chosen: dict[str, str], steps: Steps) -> bool:
    """Make the store with all that is chosen, in one step, if there is none. Whether it was made."""
    from asyncsecrets.providers.local import init_store

    if _STORE.exists():
        steps.add("kept", _STORE, "the store that is there already")
        return False
    with writing(_STORE):
        init_store(_STORE, recipient, chosen)
    steps.add("wrote", _STORE, f"values encrypted to {recipient[:12]}...{recipient[-6:]}, names readable")
    return True


async def _encrypt(chosen: dict[str, str], key_file: Path | None, steps: Steps) -> None:
    """Put in what the store does not have. What it has is newer than a .env file, so it stays."""
    from asyncsecrets.providers.local import LocalProvider

    provider = LocalProvider(_STORE, key=None if key_file else os.environ["ASYNCSECRETS_KEY"], key_file=key_file)
    await provider.open()
    try:
        await _add(provider, chosen, steps)
    finally:
        await provider.aclose()


async def _add(provider: LocalProvider, chosen: dict[str, str], steps: Steps) -> None:
    there = set(await provider.list())
    for name, value in chosen.items():
        if name in there:
            steps.add("kept", name, f"is in {_STORE} already; asyncsecrets set {name} changes it")
        else:
            await provider.put(name, value, cas="0")
            steps.add("added", name, f"to {_STORE}")


def _config(path: Path, names: list[str], steps: Steps) -> bool:
    """Write the configuration if there is none; else say what to add. Whether it now leads to the store."""
    from asyncsecrets.config import DEFAULT_SOURCE, load_config

    try:
        with writing(path), path.open("x", encoding="utf-8") as file:
            file.write(_CONFIG + _variables(names))
    except FileExistsError:
        pass
    else:
        steps.add("wrote", path, "key_management_system: local")
        return True
    config = load_config(path, os.environ)
    source = config.sources[DEFAULT_SOURCE]
    missing = [name for name in names if source.hosted_keys is not None and name not in source.hosted_keys]
    if source.system == "local" and not missing:
        steps.add("kept", path, _already(config, names))
        return True
    if source.system == "local":
        steps.add("kept", path, f"never rewritten; add to its hosted_keys: {', '.join(missing)}")
        return False
    remark, text = _to_add(path, names)
    steps.add("kept", path, remark)
    steps.console.line(text.rstrip("\n"))
    steps.taken[-1]["add"] = text
    return False


def _to_add(path: Path, names: Sequence[str]) -> tuple[str, str]:
    """What a file that is there lacks, and where in it that belongs: a section must not stand in it twice."""
    from asyncsecrets.yaml import load_strings

    document = load_strings(read_file(path), origin=str(path))
    sections = document if isinstance(document, dict) else {}
    general = sections.get("general_settings") or {}
    manager, variables = _CONFIG, _variables(names)
    remark = "never rewritten; to use the local store, put into it:"
    if general:
        manager, remark = _MANAGER, "never rewritten; to use the local store, put into its general_settings:"
    if "key_management_system" in general:
        remark = "never rewritten; to use the local store, put in the place of its key_management_...:"
    if variables and sections.get("environment_variables"):
        variables = "# and into its environment_variables:\n" + variables.removeprefix(_VARIABLES)
    return remark, manager + variables


def _variables(names: Sequence[str]) -> str:
    """The section that names them for ``run``: of those that it would set without another word."""
    lines = [f"  {name}: os.environ/{name}\n" for name in names if is_possible(name) and not decides(name)]
    return _VARIABLES + "".join(lines) if lines else ""


def _already(config: Config, names: Sequence[str]) -> str:
    known = names_of(config)
    unnamed = [name for name in names if name not in known]
    return "it uses the local store already" + (
        f"; run sets no {listed(unnamed)} until environment_variables there names it" if unnamed else ""
    )


def _ignore(env_file: Path, steps: Steps) -> None:
    """Keep the clear text and the lock file out of git."""
    path = Path(".gitignore")
    text = read_file(path).decode("utf-8", "surrogateescape") if path.exists() else ""
    present = {line.strip().lstrip("/") for line in text.splitlines()}
    wanted = [_LOCK_FILE] if env_file.is_absolute() else [str(env_file), _LOCK_FILE]
    missing = [name for name in wanted if name not in present]
    if missing:
        start = "" if not text or text.endswith("\n") else "\n"
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(start + "".join(f"{name}\n" for name in missing))
        steps.add("added", path, ", ".join(missing))


async def _read_back(client: SecretsClient, names: list[str]) -> list[dict[str, str | None]]:
    found = await client.get_many(names)
    return [{"name": name, "source": secret.source, "version": secret.version} for name, secret in found.items()]


def _ending(read: list[dict[str, str | None]], config: Config, options: str) -> str:
    lines = [f"ok      {row['name']!s:<28} {row['source']}  version {row['version']}" for row in read]
    first = f"check{options}" if uses(config) else f"set NAME{options}"
    then = f"run{options}" if names_of(config) else f"run{options} --only NAME"
    return "\n".join([*lines, f"next    asyncsecrets {first}   then   asyncsecrets {then} -- YOUR COMMAND"])
