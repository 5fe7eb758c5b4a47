"""What a name is in a vault: legal, leading back, and its own."""

from __future__ import annotations

import random
import re
import string
from collections import defaultdict

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncsecrets.errors import InvalidNameError
from asyncsecrets.providers.azure.names import is_version, listed, marked, may_be_same, place_of, spellings

LEGAL = re.compile(r"[0-9A-Za-z-]{1,127}")
names = st.text("aA-_x2fF/é", min_size=1, max_size=14) | st.text(min_size=1, max_size=20)


def place(name):
    """Where a name is, or None where it is refused."""
    try:
        return place_of(name)
    except InvalidNameError:
        return None


@pytest.mark.parametrize(
    ("name", "spelled", "shared"),
    [
        *(("AZURE-API-KEY", "AZURE-API-KEY", True), ("AZURE_API_KEY", "AZURE-API-KEY", True), ("a", "a", True)),
        *(("litellm/team-a", "litellm-x2f-team-a", False), ("litellm/team_A", "litellm-x2f-team-x5f41-", False)),
        *(("a.b", "a-x2e-b", False), ("A/", "-x412f-", False), ("é", "-xc3a9-", False)),
        *(("app-x86-key", "app-x86-key", True), ("X11", "X11", True), ("win-x64-", "win-x64-", True)),
        *(("a-x2f-b", "a-x2d-x2f-b", False), ("A_X2F_B", "-x415f58-2-x465f42-", False), ("a-x0a-b", "a-x0a-b", True)),
        *(("x" * 127, "x" * 127, True), ("_", "-", True), ("MySecret--Value", "MySecret--Value", True)),
    ],
)
def test_what_a_name_is_in_the_vault(name, spelled, shared):
    """Letters, digits and hyphens are themselves, also where they look like an escape and are none."""
    found = place_of(name)
    assert (found.spelled, found.shared) == (spelled, shared)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            " ",
            "a\n",
            "a\ud800",
            "x" * 128,
            "é" * 32,
            "litellm/" + "x" * 116,
            "https://demo.vault.azure.net/secrets/a",
        ),
        *("HTTPS://demo.vault.azure.net/secrets/a/0123456789abcdef0123456789abcdef", "http://x"),
    ],
)
def test_what_names_no_secret_is_refused(name):
    """Before anything is sent, by a message that says what would do."""
    with pytest.raises(InvalidNameError) as caught:
        place_of(name)
    assert caught.value.provider == "azure_key_vault"


def test_the_longest_names():
    """Of as many characters as a vault has, escapes included."""
    assert len(place_of("é" * 31).spelled) == 127
    assert len(place_of("litellm/" + "x" * 115).spelled) == 127


def fits(found, other):
    """Whether two different names do not meet, whatever their case, or their secret's tag tells them apart."""
    return found.key != other.key or (found.shared and other.shared)


@given(names, names)
@example("a/b", "A-X2F-B")
@example("a/b", "a_x2f_b")
@example("a-x2d-x2f-b", "a-x2f-b")
@example("A/", "a/")
@example("a_/", "a-/")
def test_two_names_never_meet(name, other):
    """Neither in any case; but plain names, that only differ in case and hyphens, which their tag tells apart."""
    found, its = place(name), place(other)
    if found is None or its is None:
        return
    assert LEGAL.fullmatch(found.spelled)
    assert name == other or fits(found, its)
    alike = name.replace("_", "-").lower() == other.replace("_", "-").lower()
    assert may_be_same(name, other) == (name == other or (alike and found.shared and its.shared))
    assert may_be_same(name, other) == bool(spellings(name) & spellings(other))


@given(names)
@example("a-x2f-b")
@example("A_X2F_B")
def test_a_listed_name_leads_to_its_secret(name):
    """With the tag it is the name that was written; without, one that leads there."""
    found = place(name)
    if found is None:
        return
    assert listed(found.spelled.swapcase(), name) == name
    assert place_of(listed(found.spelled, None)).key == found.key
    assert found.shared or listed(found.spelled, None) == name


@given(st.text("aA-x2fF0", min_size=1, max_size=20))
@example("a-x2d-b")
@example("a-xff-")
@example("app-x86-key")
def test_every_secret_of_a_vault_is_listed_by_a_name_that_leads_to_it(spelled):
    """Whatever others have called it."""
    assert place_of(listed(spelled, None)).key == spelled.lower()


@pytest.mark.parametrize("mark", [None, 7, "", "b", "a/b", "a\n", "x" * 300])
def test_a_tag_that_is_not_of_this_secret_says_nothing(mark):
    """Others may copy tags from one secret to another."""
    assert marked("a-x2f-b", mark) is None
    assert marked("a", mark) is None


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_many_names_do_not_collide(count):
    """0 meet, but those that a tag tells apart; 0 are spelled in a way that the service refuses."""
    draw = random.Random(7)
    alphabets = ("ab-_", "aA-_", string.ascii_letters + string.digits + "-_/.", "x2fF5-_/A", "aé日🔑/ -")
    seen = defaultdict(set)
    drawn = {"".join(draw.choices(draw.choice(alphabets), k=draw.randint(1, 24))) for _ in range(count * 8 // 5)}
    wanted = sorted(drawn)[:count]
    assert len(wanted) == count
    for name in wanted:
        found = place(name)
        if found is not None:
            assert LEGAL.fullmatch(found.spelled)
            seen[found.key].add(found)
    for alike in seen.values():
        assert len(alike) == 1 or all(found.shared for found in alike)


@pytest.mark.parametrize(
    ("version", "fits"),
    [("0" * 32, True), ("0123456789abcdef0123456789abcdef", True), ("0" * 31, False), ("A" * 32, False), ("1", False)],
)
def test_what_a_version_is_called(version, fits):
    """32 hexadecimal digits."""
    assert is_version(version) is fits
