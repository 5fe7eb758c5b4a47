"""A plugin: a conformance test of one of the six managers that does not end as it is on record fails.

So the table in the docs, which is made of the record (see ``tests.table``), is held to be true by each run of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import table

_RECORD = table.recorded() if table.RECORD.exists() else {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Make the outcome a failure where it is another one."""
    report = yield
    problem = table.differs(item, report, _RECORD)
    if problem is not None:
        report.outcome, report.longrepr = "failed", problem
    return report
