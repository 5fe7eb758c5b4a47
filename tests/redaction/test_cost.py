"""What masking costs: the work on a record does not depend on how many values there are, nor on how they are alike."""

from __future__ import annotations

import base64
import json
import logging
import re
import secrets
import time
from typing import Any
from urllib.parse import quote

import pytest

from asyncsecrets.redaction import RedactionFilter, handed_out, mask
from asyncsecrets.redaction.known import _matches, known
from asyncsecrets.redaction.plain import plain
from asyncsecrets.secret import MASK

MEGABYTE = 1_000_000
SENTENCE = "the quick brown fox jumps over 13 lazy dogs; GET /path?a=1 took 12 ms. "

TEXTS = {
    "sentences": (SENTENCE * 20_000)[:MEGABYTE],
    "one character": "x" * MEGABYTE,
    "JSON in JSON": json.dumps(json.dumps([SENTENCE, {"k": 1}] * 12_000))[:MEGABYTE],
    "backslashes": "\\" * MEGABYTE,
    "percent": quote(SENTENCE * 10_000)[:MEGABYTE],
    "not ASCII": ("é" + SENTENCE) * 14_000,
}

VALUES = {
    "keys": lambda i: f"sk-canary-{secrets.token_urlsafe(30)}",
    "numbered": lambda i: f"canary-{i}-{'x' * 30}",
    "alike in the middle": lambda i: f"{i}-canary-{i}",
    "passwords": lambda i: f"{secrets.choice('!$%&/(')}{secrets.token_urlsafe(4)}+{secrets.token_urlsafe(8)}=",
}


class Work:
    """Counts the bytes that are brought to their plain form, and those that patterns go through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plain = self.patterns = 0
        for room in ("plain", "known"):
            monkeypatch.setattr(f"asyncsecrets.redaction.{room}.plain", self._plain)
        monkeypatch.setattr("asyncsecrets.redaction.known._matches", self._matches)

    def _plain(self, data: bytes) -> bytes:
        self.plain += len(data)
        return plain(data)

    def _matches(self, pattern: re.Pattern[bytes], data: bytes) -> list[tuple[int, int]]:
        self.patterns += len(data)
        return _matches(pattern, data)


def _remember(values: str) -> str:
    RedactionFilter()
    made = [VALUES[values](i) for i in range(1_000)]
    for value in made:
        handed_out(value)
    return made[500]


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("text", TEXTS)
def test_a_large_record_is_gone_through_once(text: str, values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As message, argument and member of one; for what is found there, only its surroundings once more."""
    value, large = _remember(values), TEXTS[text]
    work = Work(monkeypatch)
    for written in ("", value, quote(value, safe=""), json.dumps({"k": value})):
        carried = f"{large[:600_000]} {written} {large[600_000:]}"
        places: list[dict[str, Any]] = [
            {"msg": carried},
            {"msg": "a %s", "args": (carried,)},
            {"msg": "a %s", "args": {"body": carried}},
            {"msg": "a %s", "args": ({"request": {"body": carried}},)},
        ]
        for place in places:
            work.plain = work.patterns = 0
            record = logging.makeLogRecord(place)
            RedactionFilter().filter(record)
            assert work.plain < 1.2 * len(carried.encode())
            assert work.patterns < 200_000
            assert (MASK in record.getMessage()) is bool(written)


def test_base64_in_lines_is_gone_through_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, and without the breaks; patterns are tried around what was found."""
    value = _remember("keys")
    noise = secrets.token_bytes(400_000)
    work = Work(monkeypatch)
    for written in (b"", value.encode() * 4):
        carried = base64.encodebytes(noise + written + noise).decode()
        for text, kind in ((carried, "as it is"), (json.dumps(carried), "JSON"), (quote(carried), "percent")):
            work.plain = work.patterns = 0
            assert (MASK in mask(text)) is bool(written), kind
            assert work.plain < 2.4 * len(text)
            assert work.patterns < 200_000


@pytest.mark.parametrize("kind", [dict, list])
def test_many_members_are_gone_through_together(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those among which there is no value are written down once; else once more, some hundreds at a time."""
    value = _remember("keys")
    members = {f"key{i}": f"value {i} lorem" for i in range(50_000)}
    work = Work(monkeypatch)
    for written, times in (("fine", 1.2), (value, 2.4)):
        carried = kind((members | {"key777": written}).items())
        record = logging.makeLogRecord({"msg": "a %s", "args": (carried,)})
        work.plain = 0
        RedactionFilter().filter(record)
        assert work.plain < times * len(repr(carried))
        assert (MASK in record.getMessage()) is (written is value)


@pytest.mark.parametrize("value", ['"\\"n\\"', "\\\\\\n\\\\\\x", "\\\\canary\\\\token", '"canary-token"'])
def test_a_row_of_backslashes_costs_its_length(value: str) -> None:
    """Ten times as many take ten times as long, not a hundred times: no pattern begins at each of them."""
    RedactionFilter()
    handed_out(value)
    taken = []
    for many in (6_000, 60_000):
        started = time.process_time()
        assert mask("\\" * many + f" {value} " + "\\" * many).count(MASK) >= 1
        taken.append(time.process_time() - started)
    assert taken[1] < 35 * taken[0] + 0.2


def test_a_value_takes_bounded_memory() -> None:
    """Some forty places in dicts, however long it is."""
    RedactionFilter()
    handed_out("canary" + secrets.token_urlsafe(10_000))
    assert sum(len(grams._owners) for grams in known._grams) <= 7 * 8
