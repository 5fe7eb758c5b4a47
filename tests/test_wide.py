"""JSON of many values: told before any of them is made, so that no answer keeps the event loop."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets import exact
from asyncsecrets.errors import DecodeError
from asyncsecrets.providers.vault.calls import MOST_IN_ANSWER, document_of
from asyncsecrets.secret import Secret

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('a,[{"\\', max_size=6),
    lambda inside: st.lists(inside, max_size=5) | st.dictionaries(st.text('b,:[}"\\', max_size=4), inside, max_size=4),
    max_leaves=40,
)


def counted(value: Any) -> tuple[int, int]:
    """How many values there are, and how many lists and objects with nothing in them."""
    if not isinstance(value, list | dict):
        return 1, 0
    inside = [counted(one) for one in (value.values() if isinstance(value, dict) else value)]
    return 1 + sum(values for values, _ in inside), (not inside) + sum(empty for _, empty in inside)


@given(JSON, st.integers(0, 60), st.booleans())
def test_it_is_told_by_its_signs(value: Any, most: int, compact: bool) -> None:
    """What texts hold does not count; a list with nothing in it may count twice."""
    values, empty = counted(value)
    text = json.dumps(value, ensure_ascii=compact, separators=(",", ":") if compact else None)
    wide = exact.is_wide(text, most)
    assert wide or values <= most
    assert not wide or values + empty > most


@pytest.mark.parametrize("one", ["0,", "[],", '{"a":1},', '"a",', "true,"])
def test_it_is_not_read(one: str) -> None:
    """Neither as members nor as plain Python; what is as long and has few values is."""
    most = exact.MOST_VALUES
    wide, narrow = "[" + one * most + "0]", "[" + one * (most // 4) + "0]"
    assert exact.read(wide) is exact.TOO_WIDE
    assert exact.plain(wide) is exact.TOO_WIDE
    assert isinstance(exact.read(narrow), list)
    assert exact.read(json.dumps(["," * 4 * most])) == ["," * 4 * most]
    assert document_of(b'{"keys":' + wide.encode() + b"}") is not None  # a folder may have so many names
    assert document_of(b'{"keys":[' + one.encode() * MOST_IN_ANSWER + b"0]}") is None


def test_a_payload_of_too_many_members_says_so() -> None:
    """And shows none of them."""
    payload = json.dumps({f"canary-{number}": 1 for number in range(exact.MOST_VALUES + 1)})
    with pytest.raises(DecodeError, match=r"'NAME' is JSON of more than 50,000 values") as caught:
        Secret(payload, name="NAME").field("canary-1")
    assert "canary" not in str(caught.value)


def depth(value: Any) -> int:
    """How many lists and objects are within one another."""
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


@given(JSON, st.integers(0, 6), st.booleans())
def test_levels_are_told_by_their_signs(value: Any, most: int, compact: bool) -> None:
    """What texts hold does not count."""
    text = json.dumps(value, ensure_ascii=compact, separators=(",", ":") if compact else None)
    assert exact.is_deep(text, most) == (depth(value) > most)


@pytest.mark.parametrize("levels", [exact.DEEPEST, exact.DEEPEST + 1, 5_000, 40_000])
def test_the_limit_is_the_same_in_every_python(levels: int) -> None:
    """It is not that of the interpreter's stack, which some versions let a text grow through."""
    text = '{"a":' * levels + "1" + "}" * levels
    for read in (exact.read, exact.plain):
        assert (read(text) is exact.TOO_DEEP) == (levels > exact.DEEPEST)
