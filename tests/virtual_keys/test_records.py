"""Records: what is written is read, and what has another form is refused, whatever it is."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.errors import DecodeError
from asyncsecrets.secret import Secret
from asyncsecrets.virtual_keys.records import Pending, Previous, Record, read, written

SECONDS = st.floats(0, 4e9)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = TEXT.map(lambda text: Secret(f"canary{text}", name="k"))
PENDING = st.builds(
    Pending,
    kind=st.sampled_from(["rotation", "renaming"]),
    id=TEXT,
    old=KEYS,
    new=KEYS,
    begun=SECONDS,
    grace=SECONDS,
    to=TEXT,
)
RECORDS = st.builds(
    Record,
    at=SECONDS,
    done=TEXT,
    pending=st.none() | PENDING,
    previous=st.lists(st.builds(Previous, key=KEYS, until=SECONDS), max_size=3).map(tuple),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


def shown(record):
    """All of a record, values included."""
    return written("r", record).reveal()


@given(record=RECORDS)
def test_there_and_back(record):
    """Every one; its repr shows no key."""
    text = written("r", record)
    assert shown(read(text)) == text.reveal()
    assert "canary" not in repr(record)


def places(document, path=()):
    """Every place in a document."""
    yield path
    if isinstance(document, dict | list):
        for step in document if isinstance(document, dict) else range(len(document)):
            yield from places(document[step], (*path, step))


@given(data=st.data(), record=RECORDS, value=JSON)
def test_what_was_changed(data, record, value):
    """A value in the place of another one: a record again, or an error of ours; never another exception."""
    document = json.loads(shown(record))
    path = data.draw(st.sampled_from(list(places(document))))
    changed = {"root": copy.deepcopy(document)}
    inner, last = changed, "root"
    for step in path:
        inner, last = inner[last], step
    inner[last] = value
    text = json.dumps(changed["root"])
    found = refusal = None
    try:
        found = read(Secret(text, name="r"))
    except DecodeError as error:
        refusal = str(error)
    if found is None:
        assert "canary" not in refusal
        return
    assert json.loads(shown(found)).keys() <= document.keys() | {"pending"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-canary",
        "{}",
        "[]",
        '{"form": "asyncsecrets-virtual-key-2", "at": 1, "done": "", "previous": []}',
        '{"form": "asyncsecrets-virtual-key-1", "at": true, "done": "", "previous": []}',
        '{"form": "asyncsecrets-virtual-key-1", "at": -1, "done": "", "previous": []}',
        '{"form": "asyncsecrets-virtual-key-1", "at": 1e300, "done": "", "previous": []}',
        '{"form": "asyncsecrets-virtual-key-1", "at": 1, "done": "", "previous": [], "more": 1}',
        '{"form": "asyncsecrets-virtual-key-1", "at": 1, "done": "", "previous": {"key": 1}}',
        '{"form": "asyncsecrets-virtual-key-1", "at": 1, "done": "", "previous": [], "previous": []}',
    ],
)
def test_what_is_none(text):
    """Is not guessed at; it is said what to do about it."""
    with pytest.raises(DecodeError, match="delete it if nobody needs it"):
        read(Secret(text, name="r"))


def test_a_binary_one():
    """Neither."""
    with pytest.raises(DecodeError, match="look who wrote it"):
        read(Secret(b"\xff", name="r"))
