"""``asyncsecrets litellm``: what a LiteLLM proxy needs to read and store its secrets through asyncsecrets.

It writes the one file that LiteLLM loads, beside the configuration, and says what the configuration lacks. It rewrites
nothing.
"""

from __future__ import annotations

import argparse
import keyword
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from asyncsecrets.cli.console import Console
from asyncsecrets.cli.sources import read_file, writing
from asyncsecrets.errors import ConfigError

HELP = "have a LiteLLM proxy use asyncsecrets: write the file that it loads, and say what its config.yaml lacks"

_USUAL: Final = "secret_manager.AsyncSecrets"
_TARGET: Final = re.compile(r"([A-Za-z_]\w*)\.([A-Za-z_]\w*)", re.ASCII)
_IMPORT: Final = "from asyncsecrets.integrations.litellm import AsyncSecrets"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: the file that LiteLLM loads with its text, and what is to be added to the configuration."""

    file: Path
    text: str
    lacking: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no argument: the configuration is a common option."""
    parser.usage = "asyncsecrets litellm [--config PATH]"


def run(args: argparse.Namespace, console: Console) -> int:
    """Write the file, unless it is there, and tell what is left to do."""
    from asyncsecrets.included import read_merged

    path = Path(args.config or "config.yaml")
    plan = _plan(path, read_merged(path).document)
    wrote = _is_written(plan)
    steps = [f"wrote   {plan.file}" if wrote else f"kept    {plan.file}, which loads asyncsecrets already"]
    if plan.lacking:
        steps.append(f"next    change {path}, which is never rewritten, to have this:\n{plan.lacking}")
    options = f" --config {shlex.quote(args.config)}" if args.config else ""
    steps.append(f"next    asyncsecrets check{options}   then   litellm --config {shlex.quote(str(path))}")
    document = {"file": str(plan.file), "written": wrote, "add": plan.lacking or None}
    console.result(document, "\n".join(steps))
    return 0


def _plan(path: Path, document: Mapping[str, Any]) -> Plan:
    general = _section(document, "general_settings")
    target = _section(general, "key_management_settings").get("custom_secret_manager") or _USUAL
    named = _TARGET.fullmatch(str(target))
    if named is None or any(map(keyword.iskeyword, named.groups())):
        raise ConfigError(
            f"{path}: custom_secret_manager must be FILE.Class, a file beside this one without its .py; write {_USUAL}"
        )
    file, name = named.groups()
    alias = "" if name == "AsyncSecrets" else f" as {name}"
    lacking = _lacking(general, _section(_section(document, "asyncsecrets"), "sources"), str(target))
    return Plan(path.parent / f"{file}.py", f"{_IMPORT}{alias}\n", lacking)


def _section(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def _lacking(general: Mapping[str, Any], sources: Mapping[str, Any], target: str) -> str:
    """The lines that the configuration has to have and has not."""
    system = general.get("key_management_system")
    settings = _section(general, "key_management_settings")
    lines = []
    if system != "custom" or not settings.get("custom_secret_manager"):
        lines += [
            "general_settings:",
            "  key_management_system: custom",
            "  key_management_settings:",
            f"    custom_secret_manager: {target}",
        ]
    if "default" not in sources:
        behind = system if system and system != "custom" else "hashicorp_vault"
        lines += ["asyncsecrets:", "  sources:", "    default:", f"      key_management_system: {behind}"]
    return "\n".join(lines)


def _is_written(plan: Plan) -> bool:
    """Write the file if there is none. Whether that was done. Raises ConfigError for another one."""
    try:
        with writing(plan.file), plan.file.open("x", encoding="utf-8") as file:
            file.write(plan.text)
    except FileExistsError:
        pass
    else:
        return True
    if plan.text.strip() in map(str.strip, read_file(plan.file).decode("utf-8", "replace").splitlines()):
        return False
    raise ConfigError(f"{plan.file} is there, and is never rewritten; put this line into it: {plan.text.strip()}")
