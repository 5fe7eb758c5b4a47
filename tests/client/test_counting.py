"""The short form of ``python -m benchmarks.cas_counter``: a counter over a network that loses and delays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncsecrets.retry import RetryPolicy
from benchmarks.cas_counter import Scale, run


@pytest.mark.parametrize("clients", [1, 4])
async def test_nothing_is_acknowledged_that_is_not_there(clients: int) -> None:
    bad = Scale(resets=0.2, late=0.05, delay=0.002, seed=clients, retry=RetryPolicy(backoff=(0.01, 0.1)))
    report = await run(replace(bad, writers=4, increments=12, clients=clients))
    assert report.spoilt > 10
    assert report.outcomes["acknowledged"] > 10
    assert report.holds, (dict(report.outcomes), report.final)
