"""The table of managers: made of what the conformance runs have shown, and of nothing else."""

from __future__ import annotations

import pytest

from asyncsecrets.registry import BUILT_IN, KEY_SERVICES
from asyncsecrets.testing.conformance import UNUSUAL_NAMES, ProviderConformance, ReaderConformance
from tests import recorded, table

RECORD = table.recorded()


def cases_of(suite):
    """Each test of the suite, and in how many cases it runs."""
    tests = {name.removeprefix("test_"): getattr(suite, name) for name in dir(suite) if name.startswith("test_")}
    marks = {name: [mark.args[1] for mark in getattr(test, "pytestmark", [])] for name, test in tests.items()}
    many = {name: len(UNUSUAL_NAMES) for name in table._BY_NAMES & set(tests)}
    return {name: len(kinds[0]) if kinds else 1 for name, kinds in marks.items()} | many


def test_the_page_is_made_of_the_record():
    """Nobody has written into it, and the record was not changed alone."""
    assert table.PAGE.read_text() == table.page(RECORD)
    assert table.README.read_text() == table.in_readme(RECORD)


def test_every_test_of_the_suite_was_asked_of_every_manager():
    """A new test, or a new case of one, needs a new run."""
    suites = {system: ReaderConformance if system in KEY_SERVICES else ProviderConformance for system in table.MANAGERS}
    asked = {system: {name: case.cases for name, case in cases.items()} for system, cases in RECORD.items()}
    assert asked == {system: cases_of(suite) for system, suite in suites.items()}


def test_every_test_of_the_suite_is_in_a_row():
    """A new test needs a word of what it shows."""
    rows = {name for names in (table.OPERATIONS | table.PROMISES).values() for name in names}
    assert rows | table.UNLISTED == set(cases_of(ProviderConformance))
    assert set(table.MANAGERS) == set(BUILT_IN) - {"custom", "env", "local", "memory"}


class Item:
    """A test, as pytest has it."""

    def __init__(self, name, manager="azure_key_vault", accepts=()):
        self.nodeid, self.name = f"{table.MANAGERS[manager][1]}::{name}", name
        self.funcargs = {"harness": type("Harness", (), {"accepts": accepts})}


class Report:
    """How it ended."""

    def __init__(self, reason=None, *, failed=False, when="call"):
        self.skipped, self.failed, self.when = reason is not None, failed, when
        self.longrepr = ("file.py", 1, f"Skipped: {reason}")


@pytest.mark.parametrize(
    ("item", "report", "differs"),
    [
        (Item("test_latest"), Report(), False),
        (Item("test_latest"), Report("not today"), True),
        (Item("test_patch"), Report("azure_key_vault does not patch"), False),
        (Item("test_patch"), Report("another reason"), True),
        (Item("test_patch"), Report(), True),
        (Item("test_patch"), Report(failed=True), False),
        (Item("test_patch"), Report(when="teardown"), False),
        (Item("test_payload[binary]"), Report("Azure stores text"), False),
        (Item("test_payload[binary]"), Report(), True),
        (Item("test_payload[empty]"), Report(), False),
        (Item("test_what_is_new"), Report(), True),
        (Item("test_unusual_names", accepts=UNUSUAL_NAMES), Report(), False),
        (Item("test_unusual_names"), Report(), True),
    ],
)
def test_an_outcome_that_is_not_on_record_is_seen(item, report, differs):
    """The conformance tests themselves hold the record to be true."""
    assert bool(table.differs(item, report, RECORD)) is differs


def test_it_fails_the_conformance_test(request):
    """The hook is there for those tests."""
    assert request.config.pluginmanager.get_plugin("tests.recorded") is recorded
    report = Report("another reason")
    wrapper = recorded.pytest_runtest_makereport(Item("test_patch"))
    next(wrapper)
    with pytest.raises(StopIteration) as ended:
        wrapper.send(report)
    assert (ended.value.value.outcome, "python -m tests.table" in ended.value.value.longrepr) == ("failed", True)
