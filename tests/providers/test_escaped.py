"""Names in an alphabet of few characters: reversible, and two names never meet."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncsecrets.providers.escaped import Escaping

ALPHABET = string.ascii_letters + string.digits + "_-"
SPELLED = re.compile(r"[A-Za-z0-9_-]*")
ESCAPING = Escaping(ALPHABET)
CASELESS = Escaping(string.ascii_lowercase + string.digits + "-", caseless=True)

close = st.text("-x2DFAB/é", max_size=12)
"""Names that are as like escapes as can be."""
names = close | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        *(("OPENAI_API_KEY", "OPENAI_API_KEY"), ("a-b", "a-b"), ("x-x-2F", "x-x-2F"), ("", "")),
        *(("litellm/team-a", "litellm-x2F-team-a"), ("é", "-xC3A9-"), ("a//é", "a-x2F2FC3A9-"), ("a b", "a-x20-b")),
        *(("a-x2F-b", "a-x2D-x2F-b"), ("a-x2f-b", "a-x2f-b"), ("-xAB/", "-x2D-xAB-x2F-"), ("-x2D-", "-x2D-x2D-")),
        ("a-x2F2F-b", "a-x2D-x2F2F-b"),
    ],
)
def test_what_a_name_is_spelled_as(name: str, spelled: str):
    """Legal characters are themselves; others, and what reads as an escape, are escaped."""
    assert ESCAPING.encode(name) == spelled
    assert ESCAPING.decode(spelled) == name


@given(names)
@example("-xAB/")
@example("--x2D-x2D-")
def test_a_spelling_is_legal_and_leads_back(name: str):
    """So no two names have one spelling."""
    spelled = ESCAPING.encode(name)
    assert SPELLED.fullmatch(spelled)
    assert ESCAPING.decode(spelled) == name


@given(st.text("-x2DFAB0C9", max_size=16) | st.text(ALPHABET, max_size=16))
@example("a-x41-")
@example("-xFF-")
def test_what_no_name_is_spelled_as_is_none(text: str):
    """Whatever stands there, a name is found for it only if that name leads to it."""
    name = ESCAPING.decode(text)
    assert name is None or ESCAPING.encode(name) == text


@given(names, names)
@example("a-x4", "1-")
@example("a-", "x41-")
@example("a", "-x41-")
def test_the_beginning_is_that_of_every_name_with_the_prefix(prefix: str, rest: str):
    """A manager that is asked for it leaves out no name that begins with the prefix."""
    assert ESCAPING.encode(prefix + rest).startswith(ESCAPING.beginning(prefix))


def test_the_beginning_is_no_shorter_than_it_has_to_be():
    """Or it would be no filter."""
    assert ESCAPING.beginning("litellm/team") == "litellm-x2F-team"
    assert ESCAPING.beginning("litellm/") == "litellm-x2F"


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        *(("team-a", "team-a"), ("litellm/team-a", "litellm-x2f-team-a"), ("a-X", "a--x58-"), ("a_B", "a-x5f42-")),
        *(("a-x2f-b", "a-x2d-x2f-b"), ("a-x2F-b", "a-x2-x46--b"), ("TEAM/a", "-x5445414d2f-a")),
    ],
)
def test_where_case_does_not_matter_a_name_has_no_capitals(name: str, spelled: str):
    """They are escaped, several in a row as one."""
    assert CASELESS.encode(name) == spelled
    assert CASELESS.decode(spelled) == CASELESS.decode(spelled.upper()) == name


@given(names | st.text("aA-xX2fFdD_", max_size=14))
@example("a-X2F-b")
@example("a-x2F-b")
def test_where_case_does_not_matter_a_spelling_leads_back(name: str):
    """So no two names have spellings that are the same in another case."""
    spelled = CASELESS.encode(name)
    assert re.fullmatch(r"[0-9a-z-]*", spelled)
    assert CASELESS.decode(spelled.swapcase()) == name
