"""Each test of masking knows its own values only, and has a logger whose handler has the filter."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from asyncsecrets.redaction import RedactionFilter
from asyncsecrets.redaction.known import known


@pytest.fixture(autouse=True)
def _forgets() -> Iterator[None]:
    known.clear()
    yield
    known.clear()


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger, above it a handler that has the filter, and what that printed."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactionFilter())
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("redaction-test.child")
    parent = logging.getLogger("redaction-test")
    parent.addHandler(handler)
    parent.propagate = False
    logger.setLevel(logging.DEBUG)
    yield logger, out
    parent.removeHandler(handler)
