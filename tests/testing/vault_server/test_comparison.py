"""The comparison with the recording is able to fail."""

from __future__ import annotations

import pytest

from .replay import Answer, differences

STEP = {
    "status": 200,
    "headers": {"content-type": "application/json"},
    "body": {"id": "<uuid>", "at": "<time>", "n": 1, "flag": True, "list": ["a"], "none": None},
}
GOOD = {
    "id": "01234567-89ab-cdef-0123-456789abcdef",
    "at": "2027-01-15T08:00:00.5Z",
    "n": 1,
    "flag": True,
    "list": ["a"],
    "none": None,
}


def _answer(body: dict, status: int = 200, kind: str = "application/json") -> Answer:
    import json

    return Answer(status, {"content-type": kind}, json.dumps(body).encode())


def test_a_good_answer_passes() -> None:
    """Placeholders match by form, literals by value; what the recorder left out may be there."""
    assert differences(STEP, _answer({**GOOD, "creation_time": 5})) == []


@pytest.mark.parametrize(
    "change",
    [
        {"id": "not a uuid"},
        {"at": "2027-01-15 08:00:00"},
        {"n": 2},
        {"n": 1.0},
        {"n": True},
        {"flag": 1},
        {"list": []},
        {"list": ["b"]},
        {"none": ""},
        {"more": 1},
    ],
)
def test_a_different_body_fails(change: dict) -> None:
    """Another value, another type, another form, another length and an extra key are all differences."""
    assert differences(STEP, _answer({**GOOD, **change}))


def test_a_missing_key_fails() -> None:
    """A key of the recording must be there."""
    assert differences(STEP, _answer({key: value for key, value in GOOD.items() if key != "none"}))


def test_another_status_or_header_fails() -> None:
    """The status and the recorded headers count."""
    assert differences(STEP, _answer(GOOD, status=201))
    assert differences({**STEP, "headers": {"retry-after": "9"}}, _answer(GOOD))
