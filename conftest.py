"""Every code block of the README and the docs is executed: it runs as it stands, or the tests fail.

``python`` blocks run, those of one page one after another in one namespace. ``yaml`` blocks are read as
configuration files. One of either that begins with a comment which is a file's name (``# app.py``) is saved as that
file, too, as its reader does. ``console`` blocks run in a shell, line by line, in a new home folder per page; what they
print must match, where ``...`` stands for anything. ``text``, ``hcl`` and ``ini`` blocks are shown, not run.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from asyncsecrets.config import load_config
from asyncsecrets.yaml import load_strings

pytest_plugins = ["pytester"]

_ROOT = Path(__file__).parent
_RUN = {"python", "yaml", "console"}
_SHOWN = {"text", "hcl", "ini", "dockerfile", "json", ""}
_NEEDED = ("VAULT_ADDR", "VAULT_TOKEN", "HCP_VAULT_TOKEN", "HCP_VAULT_APPROLE_SECRET_ID")


_FILE = re.compile(r"# ([a-z][a-z_-]*\.(?:py|yaml))\n")


def _save(example: Example) -> None:
    """Save a block as the file that its first line names."""
    text = str(example.parsed).lstrip("\n")
    if named := _FILE.match(text):
        Path(example.namespace["home"], named[1]).write_text(text)


def _evaluate_python(example: Example) -> None:
    _save(example)
    PythonEvaluator()(example)


def _evaluate_yaml(example: Example) -> None:
    _save(example)
    document = load_strings(str(example.parsed), origin=str(example.path))
    if isinstance(document, dict) and ("general_settings" in document or "asyncsecrets" in document):
        load_config(document, dict.fromkeys(_NEEDED, "canary"))


def _evaluate_console(example: Example) -> str | None:
    for command, expected in _commands(str(example.parsed)):
        result = subprocess.run(  # noqa: S603  # the documentation is ours
            ["bash", "-c", command],  # noqa: S607
            cwd=example.namespace["home"],
            env=_environ(example.namespace["home"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        if not _matches(result.stdout, expected):
            return f"$ {command}\nexpected:\n{expected}\nprinted (exit code {result.returncode}):\n{result.stdout}"
    return None


def _commands(block: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def _matches(printed: str, expected: str) -> bool:
    pattern = "".join("*" if part == "..." else f"[{part}]" if part in "[?*" else part for part in _pieces(expected))
    return not expected.strip() or fnmatch.fnmatchcase(printed.strip(), pattern.strip())


def _pieces(expected: str) -> list[str]:
    return [piece for piece in re.split(r"(\.\.\.|[\[?*])", expected) if piece]


def _environ(home: str) -> dict[str, str]:
    scripts = sysconfig.get_path("scripts")
    path = f"{scripts}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"HOME": home, "PATH": path, "LC_ALL": "C.UTF-8", "TERM": "dumb", "NO_COLOR": "1"}


class _Page:
    """A page as a module: frameworks look there for what the annotations of a function mean."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.__dict__ = namespace


def _new_home(namespace: dict[str, Any]) -> None:
    namespace["folder"] = tempfile.TemporaryDirectory()
    namespace["home"] = namespace["folder"].name
    name = namespace["__name__"] = Path(namespace["home"]).name
    namespace["__file__"] = f"{namespace['home']}/{name}.py"
    sys.modules[name] = _Page(namespace)
    # Blocks read and write files of their own; none of them may see this repository's.
    namespace["before"] = Path.cwd(), dict(os.environ)
    os.environ.update(_environ(namespace["home"]))
    os.environ.pop("XDG_CONFIG_HOME", None)
    os.chdir(namespace["home"])
    sys.path.insert(0, namespace["home"])  # a page's files may import one another
    namespace["handlers"] = [*logging.getLogger().handlers]


def _leave_home(namespace: dict[str, Any]) -> None:
    del sys.modules[namespace["__name__"]]
    folder, environ = namespace["before"]
    sys.path.remove(namespace["home"])
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(namespace["home"]):
            del sys.modules[name]
    logging.getLogger().handlers[:] = namespace["handlers"]  # frameworks put their own there, which print
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    namespace["folder"].cleanup()


_sybil = Sybil(
    parsers=[
        CodeBlockParser(language="python", evaluator=_evaluate_python),
        CodeBlockParser(language="yaml", evaluator=_evaluate_yaml),
        CodeBlockParser(language="console", evaluator=_evaluate_console),
        SkipParser(),
    ],
    path=str(_ROOT),
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=_new_home,
    teardown=_leave_home,
)

pytest_collect_file = _sybil.pytest()


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Catch up: a page whose blocks were spread over several workers has its earlier blocks run here first."""
    if not isinstance(item, SybilItem):
        return
    done = item.example.namespace.setdefault("done", set())
    for earlier in item.example.document.examples():
        if earlier.line >= item.example.line:
            break
        if earlier.line not in done:
            done.add(earlier.line)
            earlier.evaluate()
    done.add(item.example.line)
