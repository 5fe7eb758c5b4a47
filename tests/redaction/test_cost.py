"""What masking costs: the time of a record does not depend on how many values there are, nor on how they are alike."""

from __future__ import annotations

import json
import logging
import secrets
import time
from urllib.parse import quote

import pytest

from asyncsecrets.redaction import RedactionFilter, handed_out
from asyncsecrets.redaction.known import known
from asyncsecrets.secret import MASK

MEGABYTE = 1_000_000
SENTENCE = "the quick brown fox jumps over 13 lazy dogs; GET /path?a=1 took 12 ms. "

TEXTS = {
    "sentences": (SENTENCE * 20_000)[:MEGABYTE],
    "one character": "x" * MEGABYTE,
    "JSON in JSON": json.dumps(json.dumps([SENTENCE, {"k": 1}] * 12_000))[:MEGABYTE],
    "percent": quote(SENTENCE * 10_000)[:MEGABYTE],
    "not ASCII": ("é" + SENTENCE) * 14_000,
}

VALUES = {
    "keys": lambda i: f"sk-canary-{secrets.token_urlsafe(30)}",
    "numbered": lambda i: f"canary-{i}-{'x' * 30}",
    "alike in the middle": lambda i: f"{i}-canary-{i}",
    "passwords": lambda i: f"{secrets.choice('!$%&/(')}{secrets.token_urlsafe(4)}+{secrets.token_urlsafe(8)}=",
}


def _seconds(record: logging.LogRecord) -> float:
    masking = RedactionFilter()
    started = time.process_time()
    masking.filter(record)
    return time.process_time() - started


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("text", TEXTS)
def test_a_large_record_costs_the_loop_little(text: str, values: str) -> None:
    """A megabyte takes some milliseconds of processor time, with or without a value in it. The bound is for a machine
    that is busy; `make bench` has the figures."""
    RedactionFilter()
    made = [VALUES[values](i) for i in range(1_000)]
    for value in made:
        handed_out(value)
    large = TEXTS[text]
    for value in ("", made[500], quote(made[500], safe=""), json.dumps({"k": made[500]})):
        record = logging.makeLogRecord({"msg": "a %s", "args": (f"{large[:600_000]} {value} {large[600_000:]}",)})
        taken = min(_seconds(logging.makeLogRecord(record.__dict__)) for _ in range(3))
        assert taken < 0.2, value
        RedactionFilter().filter(record)
        assert (MASK in record.getMessage()) is bool(value)


def test_a_value_takes_bounded_memory() -> None:
    """Some forty places in dicts, however long it is."""
    RedactionFilter()
    handed_out("canary" + secrets.token_urlsafe(10_000))
    assert sum(len(grams._owners) for grams in known._grams) <= 7 * 8
