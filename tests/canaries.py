"""The canary watch: every value in these tests holds the word ``canary``, or ``-example-`` if it is one of the
documentation's, and nothing that is logged or printed may hold it.

It is a pytest plugin for the whole suite, which runs with every logger at DEBUG. A test whose subject is a value
on standard output says so with ``@pytest.mark.shows_values("why")``; log records are watched all the same, except
of a test that leaks on purpose, ``@pytest.mark.leaks("why")``. ``test_canaries.py`` plants leaks and sees them
found.
"""

from __future__ import annotations

import logging
import traceback

import pytest

CANARY = "canary"

_SIGNS = (CANARY, "-example-")  # the second: values of the documentation, which look like a user's

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__)


class CanaryHandler(logging.Handler):
    """Looks at everything that any formatter could show of a record; keeps the place of each leak, not the leak."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if any(map(_is_sign_of_a_value, _shown(record))):
            self.leaks.append(f"{record.name} at {record.pathname}:{record.lineno}")


def _is_sign_of_a_value(text: str) -> bool:
    return any(sign in text for sign in _SIGNS)


def _shown(record: logging.LogRecord) -> list[str]:
    parts = [record.getMessage(), repr(record.msg), repr(record.args), record.exc_text or "", record.stack_info or ""]
    if record.exc_info and record.exc_info[1] is not None:
        parts += traceback.format_exception(record.exc_info[1])
    return parts + [repr(value) for key, value in record.__dict__.items() if key not in _STANDARD]


@pytest.fixture(autouse=True)
def canary_watch(request):
    """Fail the test if any logger said a canary while it ran."""
    root = logging.getLogger()
    handler, level, others = CanaryHandler(), root.level, [*root.handlers]
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        is_blind = handler not in root.handlers
        root.handlers[:] = others  # a framework that configures logging leaves its own behind
        root.setLevel(level)
    if is_blind:
        pytest.fail(
            "logging was configured anew, so that nobody watched it; have the framework leave it", pytrace=False
        )
    if handler.leaks and request.node.get_closest_marker("leaks") is None:
        pytest.fail(f"a value was logged by {', '.join(sorted(set(handler.leaks)))}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fail a passed test that printed a canary."""
    report = yield
    if report.when == "teardown" and report.passed and item.get_closest_marker("shows_values") is None:
        streams = {"standard output": report.capstdout, "standard error": report.capstderr}
        leaks = [stream for stream, text in streams.items() if _is_sign_of_a_value(text)]
        if leaks:
            report.outcome = "failed"
            report.longrepr = f"a value was printed on {' and '.join(leaks)} (not repeated here)"
            report.sections = []
    return report
