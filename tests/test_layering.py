"""Arrows point down: which module may import which, read from every import statement, the lazy ones included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import asyncsecrets

PACKAGE = Path(asyncsecrets.__file__).parent

# The floors of the house. A name stands for the module and everything below it; the longest one that fits holds.
FLOORS = {
    "asyncsecrets.errors": 0,
    "asyncsecrets.boundary": 0,
    "asyncsecrets.credential": 0,
    "asyncsecrets.exact": 0,
    "asyncsecrets.members": 0,
    "asyncsecrets.errands": 0,
    "asyncsecrets.forks": 0,
    "asyncsecrets.lazily": 0,
    "asyncsecrets.loops": 0,
    "asyncsecrets.secret": 0,
    "asyncsecrets.sending": 0,
    "asyncsecrets.cache": 1,
    "asyncsecrets.deadlines": 1,
    "asyncsecrets.opening": 1,
    "asyncsecrets.default": 1,
    "asyncsecrets.documents": 1,
    "asyncsecrets.journal": 1,
    "asyncsecrets.redaction": 1,
    "asyncsecrets.references": 1,
    "asyncsecrets.retry": 1,
    "asyncsecrets.kinds": 1,
    "asyncsecrets.settings": 1,
    "asyncsecrets.templates": 1,
    "asyncsecrets.trust": 1,
    "asyncsecrets.yaml": 1,
    "asyncsecrets.providers": 2,
    "asyncsecrets.config": 3,
    "asyncsecrets.declared": 3,
    "asyncsecrets.finding": 1,
    "asyncsecrets.given": 3,
    "asyncsecrets.included": 3,
    "asyncsecrets.sections": 3,
    "asyncsecrets.registry": 3,
    "asyncsecrets.client": 4,
    "asyncsecrets.integrations": 5,
    "asyncsecrets.migrating": 5,
    "asyncsecrets.rebuilding": 5,
    "asyncsecrets.replacing": 5,
    "asyncsecrets.rotating": 5,
    "asyncsecrets.testing": 5,
    "asyncsecrets.virtual_keys": 5,
    "asyncsecrets.cli": 6,  # the demo and the dev server stand on the testing kit
}

# The front doors: they point at everything, lazily, so that nobody who goes in needs to know the floors; nothing is in
# them, and nothing below imports from them.
FACADES = {"asyncsecrets", "asyncsecrets.__main__"}

# What the rule of floors would allow, and the design does not.
STRANGERS = {
    "asyncsecrets.cache": {
        "asyncsecrets.secret",
        "asyncsecrets.references",
        "asyncsecrets.redaction",
        "asyncsecrets.retry",
    },
    "asyncsecrets.providers": {
        "asyncsecrets.cache",
        "asyncsecrets.retry",
        "asyncsecrets.documents",
        "asyncsecrets.default",
    },
    "asyncsecrets.errors": {"asyncsecrets.secret"},
}


@cache
def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Every module of the package."""
    found = {}
    for path in package.rglob("*.py"):
        parts = ("asyncsecrets", *path.relative_to(package).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


class Found(NamedTuple):
    """What is looked at in a file: its tree as a whole would make every collection of the run take longer."""

    imports: list[tuple[ast.Import | ast.ImportFrom, bool]]
    """Each with whether it is run: what stands under ``if TYPE_CHECKING`` is not."""
    functions: dict[str, int]
    """How many lines each has."""


@cache
def found_in(path: Path) -> Found:
    """The imports and the functions of a file."""
    found = Found([], {})
    for node, is_run in _statements(ast.parse(path.read_text(encoding="utf-8")), is_run=True):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.imports.append((node, is_run))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.functions[f"{node.name}:{node.lineno}"] = (node.end_lineno or 0) - node.lineno
    return found


def _statements(node: ast.AST, *, is_run: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every statement below, and whether it is run."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        runs = is_run and not (part == "body" and _is_for_types(node))
        for child in getattr(node, part, ()):
            yield child, runs
            yield from _statements(child, is_run=runs)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def imports(module: str, package: Path = PACKAGE, *, types: bool = False) -> frozenset[str]:
    """The modules of the package that ``module`` imports, at the top or in a function; those that it needs for its
    ``types`` only if asked for."""
    known = modules(package)
    found = set()
    for node, is_run in found_in(known[module]).imports:
        if not is_run and not types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            base = _absolute(module, node, known)
            found |= {name if (name := f"{base}.{alias.name}") in known else base for alias in node.names}
    return frozenset(name for name in found if name.split(".")[0] == "asyncsecrets") - {module}


def _absolute(module: str, node: ast.ImportFrom, known: dict[str, Path]) -> str:
    if not node.level:
        return node.module or ""
    package = module if known[module].name == "__init__.py" else module.rpartition(".")[0]
    above = package.split(".")[: len(package.split(".")) + 1 - node.level]
    return ".".join([*above, node.module] if node.module else above)


def home(module: str) -> str:
    """The entry of FLOORS that holds for a module."""
    fitting = [name for name in FLOORS if module == name or module.startswith(f"{name}.")]
    assert fitting, f"{module} has no floor: say in FLOORS where it belongs"
    return max(fitting, key=len)


@pytest.mark.parametrize("module", sorted(set(modules()) - FACADES))
def test_arrows_point_down(module: str) -> None:
    """A module imports from lower floors, or from its own without going round in a circle."""
    for imported in imports(module):
        if imported in FACADES:  # who stands above the client may use the package as its users do
            assert FLOORS[home(module)] > FLOORS["asyncsecrets.client"], f"{module} goes out by the front door"
            continue
        assert FLOORS[home(imported)] <= FLOORS[home(module)], f"{module} imports {imported}, which is above it"
        if home(module) in STRANGERS:
            assert home(imported) not in STRANGERS[home(module)], f"{module} must know nothing of {imported}"


def test_nothing_goes_round_in_a_circle() -> None:
    """Between the modules, within a package too and for types too; and between the entries of FLOORS."""
    assert _circle(_arrows(PACKAGE)) is None
    between: dict[str, set[str]] = {}
    for module in set(modules()) - FACADES:
        between.setdefault(home(module), set()).update(home(other) for other in imports(module) - FACADES)
    assert _circle({entry: others - {entry} for entry, others in between.items()}) is None


def _arrows(package: Path) -> dict[str, set[str]]:
    return {module: {*imports(module, package, types=True)} - FACADES for module in set(modules(package)) - FACADES}


def _circle(graph: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(node: str, way: list[str]) -> list[str] | None:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return None
        for child in sorted(graph.get(node, ())):
            if circle := visit(child, [*way, node]):
                return circle
        done.add(node)
        return None

    return next((circle for node in sorted(graph) if (circle := visit(node, []))), None)


@pytest.mark.parametrize("back", ["from asyncsecrets.rooms.one import A", "from .one import A", "from . import one"])
@pytest.mark.parametrize("where", ["{}", "if TYPE_CHECKING:\n    {}", "def f():\n    {}"])
def test_a_circle_within_a_package_would_be_found(tmp_path: Path, back: str, where: str) -> None:
    """Two modules of one package that import each other: for types, or when a function is called, too."""
    circle = ["asyncsecrets.rooms.one", "asyncsecrets.rooms.two", "asyncsecrets.rooms.one"]
    for name, two, expected in (("straight", "B = 1\n", None), ("round", where.format(back), circle)):
        rooms = tmp_path / name / "rooms"
        rooms.mkdir(parents=True)
        (rooms / "__init__.py").touch()
        (rooms / "one.py").write_text("from asyncsecrets.rooms.two import B\n")
        (rooms / "two.py").write_text(two)
        assert _circle(_arrows(tmp_path / name)) == expected


def test_a_circle_would_be_found() -> None:
    """A longer one as well."""
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert _circle({"a": {"b", "c"}, "b": {"c"}}) is None


def test_every_floor_is_inhabited_and_every_module_has_one() -> None:
    """FLOORS neither lags behind nor runs far ahead: what is planned for the next issues is named here."""
    planned = {"asyncsecrets.integrations"}
    inhabited = {home(module) for module in set(modules()) - FACADES}
    assert set(FLOORS) - planned <= inhabited


@pytest.mark.parametrize("module", sorted(modules()))
def test_rooms_are_small(module: str) -> None:
    """A file past 800 lines, or a function past 80, is several ideas."""
    path = modules()[module]
    assert path.read_text(encoding="utf-8").count("\n") <= 800
    for function, lines in found_in(path).functions.items():
        assert lines < 80, f"{module}.{function} is too long"
