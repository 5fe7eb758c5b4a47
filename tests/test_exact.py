"""Whether two JSON texts say the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets import exact

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=3), inside, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_however_it_is_written(value):
    """Members in another order, with blanks or without."""
    one, other = json.dumps(value), json.dumps(value, sort_keys=True, indent=1)
    assert exact.same(exact.read(one), exact.read(other))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1.10", "1.1", True),
        ("1e2", "100", True),
        ("-0", "0", True),
        ("1", "true", False),
        ("0", "false", False),
        ('"1"', "1", False),
        ("null", "0", False),
        ("0.1", "0.1000000000000000000000000001", False),
        ("9007199254740993", "9007199254740992", False),
        ("1e9999999999999999999999", "1e9999999999999999999998", False),
        ("[1]", "[1,1]", False),
        ('{"a":1}', '{"a":1,"b":1}', False),
        ('{"a":{"b":[null]}}', '{"a":{"b":[false]}}', False),
    ],
)
def test_numbers_by_their_value_and_nothing_by_pythons_equality(one, other, same):
    """``True == 1`` in Python, and so is ``0.1`` with more digits than a float has."""
    assert exact.same(exact.read(one), exact.read(other)) is same
    assert exact.same(exact.read(other), exact.read(one)) is same
