"""Every cache test ends with its caches consistent, and with nothing that asyncio had to complain of."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest

from tests.cache.world import World, check


@pytest.fixture
def world() -> Iterator[World]:
    """A virtual clock, a backend, and the caches made from them."""
    made = World()
    yield made
    for cache in made.caches:
        check(cache)


@pytest.fixture(autouse=True)
def _asyncio_is_silent(small_heap: None, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing destroyed while pending, no exception never retrieved, no callback that failed."""
    yield
    gc.collect()
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in errors if record.name == "asyncio"] == []
