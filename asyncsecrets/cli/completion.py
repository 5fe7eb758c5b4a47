"""``asyncsecrets completion``: a script that completes commands and options in a shell.

The script is made from the command's own parser and says all there is to say by itself: completing starts no process of
ours, and so reads no configuration and no secret.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Final

from asyncsecrets.cli.console import Console

HELP = "print a script that completes commands and options in bash, zsh or fish"

Words = Mapping[str, str]
"""What can stand in a place, with what it is for."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", metavar="|".join(_SCRIPTS), type=_shell, help="the shell to write for")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the script."""
    from asyncsecrets.cli.app import every_parser

    parsers = every_parser()
    commands = {name: parser.description or "" for name, parser in parsers.items()}
    script = _SCRIPTS[args.shell](commands, {name: _options(parser) for name, parser in parsers.items()})
    console.result({"shell": args.shell, "script": script}, script)
    return 0


def _shell(text: str) -> str:
    if text in _SCRIPTS:
        return text
    raise argparse.ArgumentTypeError("there is no script for this shell; choose bash, zsh or fish")


def _options(parser: argparse.ArgumentParser) -> Words:
    actions = parser._option_string_actions  # noqa: SLF001  # there is no other way
    return {word: (one.help or "").replace("%%", "%") for word, one in actions.items() if word.startswith("--")}


def _quoted(text: str) -> str:
    """For all three: in single quotes nothing is special but that quote, and a backslash in fish."""
    return "'" + text.replace("\\", "").replace("'", '"') + "'"


def _bash(commands: Words, options: Mapping[str, Words]) -> str:
    cases = "\n".join(f"      {name}) words={_quoted(' '.join(options[name]))} ;;" for name in commands)
    return f"""\
_asyncsecrets() {{
  local word command= words cur=${{COMP_WORDS[COMP_CWORD]}}
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    if [[ $word == -- ]]; then COMPREPLY=($(compgen -c -f -- "$cur")); return; fi
    case $word in {"|".join(commands)}) command=${{command:-$word}} ;; esac
  done
  case $command in
{cases}
      *) words={_quoted(" ".join(commands))} ;;
  esac
  COMPREPLY=()
  if [[ -z $command || $cur == -* ]]; then COMPREPLY=($(compgen -W "$words" -- "$cur")); fi
}}
complete -o default -F _asyncsecrets asyncsecrets"""


def _zsh(commands: Words, options: Mapping[str, Words]) -> str:
    cases = "\n".join(f"    {name}) words_of=({_described(options[name])}) ;;" for name in commands)
    return f"""\
#compdef asyncsecrets
_asyncsecrets() {{
  local word command
  local -a words_of
  for word in ${{words[2,CURRENT-1]}}; do
    if [[ $word == -- ]]; then _command_names; _files; return; fi
    case $word in ({"|".join(commands)}) command=${{command:-$word}} ;; esac
  done
  case $command in
{cases}
    *) words_of=({_described(commands)}) ;;
  esac
  if [[ -z $command || $PREFIX == -* ]]; then _describe asyncsecrets words_of; else _files; fi
}}
if [[ $funcstack[1] == _asyncsecrets ]]; then _asyncsecrets; else compdef _asyncsecrets asyncsecrets; fi"""


def _described(words: Words) -> str:
    return " ".join(_quoted(f"{word}:{text}" if text else word) for word, text in words.items())


def _fish(commands: Words, options: Mapping[str, Words]) -> str:
    return "\n".join(
        [
            *(
                f"complete -c asyncsecrets -f -n __fish_use_subcommand -a {name} -d {_quoted(text)}"
                for name, text in commands.items()
            ),
            *(
                f"complete -c asyncsecrets -n '__fish_seen_subcommand_from {name}' -l {option[2:]} -d {_quoted(text)}"
                for name in commands
                for option, text in options[name].items()
            ),
        ]
    )


_SCRIPTS: Final[Mapping[str, Callable[[Words, Mapping[str, Words]], str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
