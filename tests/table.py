"""``python -m tests.table``: run the conformance suite for the six managers, and write down and print what came of it.

What was run and what was excused, with its reason, is kept in ``tests/data/conformance.json``. The page
``docs/reference/managers.md`` and the table of the README are made of that and of the registry. A conformance test of
one of the six that does not end as it is kept there fails (see ``differs``), and so does a page that is not made of it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from asyncsecrets.registry import BUILT_IN, load
from asyncsecrets.testing.conformance import UNUSUAL_NAMES

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests/data/conformance.json"
PAGE = ROOT / "docs/reference/managers.md"
README = ROOT / "README.md"

MANAGERS = {
    "hashicorp_vault": ("Vault", "tests/providers/vault/test_conformance.py::TestFake"),
    "aws_secret_manager": ("AWS", "tests/providers/aws/test_conformance.py::TestSecretsManager"),
    "aws_kms": ("AWS KMS", "tests/providers/aws/test_conformance.py::TestKms"),
    "google_secret_manager": ("Google", "tests/providers/google/test_conformance.py::TestSecretManager"),
    "google_kms": ("Google KMS", "tests/providers/google/test_kms_conformance.py::TestKms"),
    "azure_key_vault": ("Azure", "tests/providers/azure/test_conformance.py::TestKeyVault"),
}
"""What each is called in the table, and its run of the conformance suite."""

OPERATIONS = {
    "`get`": ("latest", "missing", "removed", "members"),
    "`get` of a given version": ("given_version", "versions"),
    "many in one call": ("batch", "batch_of_hostile_names"),
    "`list`": ("list",),
    "`versions`": ("versions",),
    "`put`": ("put", "put_after_delete"),
    "`put` with `cas`": ("compare_and_set", "compare_and_set_race"),
    "`delete`": ("delete",),
    "`delete` of versions": ("delete_versions",),
    "`restore`": ("restore",),
    "`restore` of versions": ("restore_versions",),
    "`destroy`": ("destroy",),
    "`destroy` of versions": ("destroy_versions",),
    "`patch`": ("patch", "patch_compare_and_set"),
    "`rotate`": ("rotate",),
    "`metadata`: tags of one's own": ("metadata",),
    "`metadata`: limits of versions": ("limits_in_metadata",),
    "`encrypt`": ("encrypt", "encrypt_refused"),
}
PROMISES = {
    "a value comes back exactly as it was stored": ("payload",),
    "a value is written exactly as it was given": ("put_payload",),
    "a hostile name reads no other secret": ("hostile_name",),
    "a hostile name writes to no other secret": ("write_to_hostile_name",),
    "unusual names (signs, blanks, slashes) are read as they are spelled": ("unusual_names",),
    "unusual names are written and deleted as they are spelled": ("writes_to_unusual_names",),
    "each fault has its own error, in one attempt": ("fault",),
    "a `put` says whether it may have been applied": ("fault_in_a_write",),
    "so do the other changes": ("fault_in_a_change",),
    "an empty list of versions never means all": ("no_versions_given",),
    "fifty reads at once": ("concurrent",),
    "a cancelled read leaves a provider that works": ("cancelled_get",),
    "a cancelled `put` has written all or nothing": ("cancelled_put",),
    "closed: `ClosedError`, whatever is asked": ("closed",),
    "opens again, also on another event loop": ("reopened",),
    "survives a loop that went away": ("abandoned",),
    "its `repr` shows no value": ("is_a_provider",),
}
UNLISTED = {"declarations"}  # about the harness alone
IN_SHORT = set(OPERATIONS) - {"`restore` of versions", "`destroy` of versions", "`metadata`: limits of versions"}

_NONE = "\N{EN DASH}"
_HEAD = f"""# What each manager can do

<!-- made by `python -m tests.table` -->

Each row is one test or several of the [conformance suite](../how-to/provider.md#hold-it-to-the-contract), which the
provider of each manager passes over its own wire, against a server that plays the manager.

* **yes**: all of them pass.
* **16 of 17**: so many cases pass, and the number in brackets says why the others are not asked.
* **{_NONE}**: the manager has nothing of the kind. Whoever calls for it gets `UnsupportedOperationError`; where no
  call takes many names, they are asked for one by one.

HashiCorp Vault is with KV v2 here; KV v1 keeps no versions. AWS KMS and Google KMS hold no secrets: they decrypt what
stands in the environment.
"""


class Case(NamedTuple):
    """One function of the suite: in how many cases it ran, and which of them were excused, for what reason."""

    cases: int
    excused: dict[str, str]


Record = dict[str, dict[str, Case]]


def recorded() -> Record:
    """What the last run has kept, by manager and by the name of a test (without ``test_``)."""
    kept = json.loads(RECORD.read_text())
    return {system: {name: Case(*case) for name, case in cases.items()} for system, cases in kept.items()}


# -- the run


def _of(item: pytest.Item) -> tuple[str, str, str] | None:
    """The manager whose run a test belongs to, the test's name, and which of its cases it is."""
    where = item.nodeid.rpartition("::")[0]
    system = next((system for system, (_, run) in MANAGERS.items() if run == where), None)
    name, _, kind = item.name.removeprefix("test_").rstrip("]").partition("[")
    return system and (system, name, kind)


def _reason(report: pytest.TestReport) -> str | None:
    """Why a test was excused, without the name of the test's secret."""
    if not report.skipped:
        return None
    return re.sub(r": 'Conformance\w*': ", ": ", report.longrepr[2].removeprefix("Skipped: "))


def _accepted(item: pytest.Item) -> dict[str, str]:
    """The unusual names that are refused: those cases are in one test."""
    return dict.fromkeys(sorted(set(UNUSUAL_NAMES) - set(item.funcargs["harness"].accepts)), _NO_NAME)


_NO_NAME = "no secret of this manager has the other names; the suite sees them refused"


def differs(item: pytest.Item, report: pytest.TestReport, record: Record) -> str | None:
    """How a test's outcome differs from what is kept of the last run, if it does."""
    found = _of(item)
    if found is None or report.when != "call" or report.failed:
        return None
    system, name, kind = found
    kept = record.get(system, {}).get(name)
    if kept is None:
        return f"{name} is not in {RECORD.name}: run `python -m tests.table`"
    same = kept.excused == _accepted(item) if name in _BY_NAMES else kept.excused.get(kind) == _reason(report)
    return None if same else f"{name} did not end as {RECORD.name} has it: run `python -m tests.table`"


_BY_NAMES = {"unusual_names", "writes_to_unusual_names"}


class _Recorder:
    """Keeps what a run of pytest comes to."""

    def __init__(self) -> None:
        self.record: Record = {system: {} for system in MANAGERS}

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> object:
        report = yield
        found = _of(item)
        if found is not None and report.when == "call":
            system, name, kind = found
            cases, excused = self.record[system].get(name, Case(0, {}))
            if name in _BY_NAMES:
                cases, excused = len(UNUSUAL_NAMES) - 1, _accepted(item)
            elif (reason := _reason(report)) is not None:
                excused = {**excused, kind: reason}
            self.record[system][name] = Case(cases + 1, excused)
        return report


def run() -> Record:
    """Run the six; exit if a test fails."""
    recorder = _Recorder()
    options = ["-q", "-n0", "-p", "no:tests.recorded"]
    if pytest.main([*options, *(path for _, path in MANAGERS.values())], plugins=[recorder]):
        sys.exit("nothing is written: the runs must be green")
    return recorder.record


# -- the page


class _Notes:
    """Reasons, numbered as they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def mark(self, reasons: list[str]) -> str:
        numbers = sorted({self.numbers.setdefault(reason, len(self.numbers) + 1) for reason in reasons})
        return f" ({', '.join(map(str, numbers))})" if numbers else ""


def _cell(system: str, cases: dict[str, Case], names: tuple[str, ...], notes: _Notes) -> str:
    if not set(names) <= set(cases):
        return _NONE
    asked = [cases[name] for name in names]
    total, excused = sum(case.cases for case in asked), [why for case in asked for why in case.excused.values()]
    # "aws_kms has no batch call" needs no note: that is what the dash says.
    told = notes.mark([why.removeprefix(f"{system}: ") for why in excused if not why.startswith(f"{system} ")])
    if not excused:
        return "yes"
    lacks = len(excused) == total or any(len(case.excused) == case.cases for case in asked)
    return (_NONE if lacks else f"{total - len(excused)} of {total}") + told


def _table(title: str, rows: dict[str, list[str]]) -> str:
    heads = [title, *(short for short, _ in MANAGERS.values())]
    lines = [heads, ["---"] * len(heads), *([label, *cells] for label, cells in rows.items())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(record: Record, what: dict[str, tuple[str, ...]], notes: _Notes) -> dict[str, list[str]]:
    return {
        label: [_cell(system, record[system], names, notes) for system in MANAGERS] for label, names in what.items()
    }


def _traits() -> dict[str, list[str]]:
    """What the classes in the registry say of themselves."""
    classes = [load(system) for system in MANAGERS]
    extras = [BUILT_IN[system].extra for system in MANAGERS]

    def whether(said: list[bool]) -> list[str]:
        return ["yes" if yes else _NONE for yes in said]

    return {
        "`key_management_system`": [f"`{system}`" for system in MANAGERS],
        "needs": [f"`asyncsecrets[{extra}]`" if extra else _NONE for extra in extras],
        "a read after a write asks who knows it first": whether([hasattr(c, "get_current") for c in classes]),
        "a `put` is known again by its token": whether([getattr(c, "idempotent_writes", False) for c in classes]),
        "a `put` cannot be applied late, over another": whether([getattr(c, "guards_writes", False) for c in classes]),
    }


def page(record: Record) -> str:
    """The whole page."""
    notes = _Notes()
    tables = [
        f"## Operations\n\n{_table('Operation', _rows(record, OPERATIONS, notes))}",
        f"## Promises\n\n{_table('Promise', _rows(record, PROMISES, notes))}",
        f"## What the providers say of themselves\n\n{_table('', _traits())}",
    ]
    reasons = "".join(f"{number}. {reason}\n" for reason, number in notes.numbers.items())
    ran = sum(case.cases for cases in record.values() for case in cases.values())
    return "\n".join(
        [_HEAD, *tables, f"## Why not\n\n{reasons}\nThese are {ran:,} cases, with those that are excused.\n"]
    )


def in_readme(record: Record) -> str:
    """The README as it has to be."""
    rows = _rows(record, {label: names for label, names in OPERATIONS.items() if label in IN_SHORT}, _Notes())
    short = {label: [cell.partition(" (")[0] for cell in cells] for label, cells in rows.items()}
    begin, end = "<!-- made by `python -m tests.table` -->\n", "<!-- until here -->\n"
    before, _, rest = README.read_text().partition(begin)
    return f"{before}{begin}\n{_table('', short)}\n{end}{rest.partition(end)[2]}"


def main() -> None:
    """Run, keep, write."""
    if sys.argv[1:] != ["--again"]:
        RECORD.write_text(json.dumps(run(), indent=1) + "\n")
    PAGE.write_text(page(recorded()))
    README.write_text(in_readme(recorded()))


if __name__ == "__main__":
    main()
