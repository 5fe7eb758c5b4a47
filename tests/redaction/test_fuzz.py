"""Random values in random forms and containers: nothing of them is left; and text without a value is unchanged."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncsecrets.redaction import RedactionFilter, handed_out, mask
from asyncsecrets.redaction.grams import Grams, Needle
from asyncsecrets.redaction.known import known
from asyncsecrets.redaction.plain import Plain, encoded, plain
from asyncsecrets.secret import MASK
from tests.redaction.test_forms import FORMS

# What values are made of: keys and tokens, passwords, addresses, sentences; and whatever there is.
VALUES = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{6,60}", fullmatch=True),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=40),
    st.from_regex(r"postgresql://[a-z]{3,8}:[!-~]{6,20}@[a-z.]{5,12}/[a-z]{2,5}", fullmatch=True),
    st.text(st.characters(codec="utf-8"), min_size=6, max_size=30),
)

CONTAINERS: st.SearchStrategy[Callable[[Any], Any]] = st.sampled_from(
    [
        lambda text: text,
        lambda text: [1, text, None],
        lambda text: (text, 2.5),
        lambda text: {"k": {"n": [text]}, "plain": True},
        lambda text: {text: "v"},
        lambda text: text.encode("utf-8", "surrogatepass"),
        ValueError,
        lambda text: frozenset({text}),
    ]
)


def _shown(value: Any) -> str:
    return json.dumps(value, default=lambda part: f"{part} {part!r}") + f"{value} {value!r}"


def _known(value: str) -> None:
    known.clear()
    RedactionFilter()
    handed_out(value)


def _is_worth_it(value: str) -> bool:
    """Long enough, and not like what a mask or a container is written with."""
    return len(value.strip()) >= 6 and value.strip() not in MASK and len(set(value.strip())) > 2


@given(VALUES, st.sampled_from(sorted(FORMS)), CONTAINERS, st.sampled_from(["", " ", '"', "=", ": ", "\n"]))
@example("0000¡\ud7a4", "repr", lambda text: text, "")
@example('0"0000\\', "JSON in JSON", lambda text: text, "")
@example("%41%42%43", "quote()", lambda text: text, " ")
@example("\\\\\\n\\\\\\x", "repr", lambda text: text, "")
@example("00001\\", "HTML, HEXADECIMAL", lambda text: text, "")
@example('"\\"n\\"', "HTML, numbers, quoted", lambda text: text, "")
@example("&\\;p\\&", "HTML, numbers, in JSON", lambda text: text, "")
@example('"\\"n\\"', "JSON in HTML, numbers", lambda text: text, "")
@example('"\\"n\\"', "HTML, all by number", lambda text: text, "")
@example('&"\\%25', "JSON, quoted", lambda text: text, "")
@example("\\\\\x85%5c", "quote()", lambda text: text, "")
@example("\U0001f600\\&amp;%25&#65;\\u0041", "HTML twice", lambda text: text, "")
@example("u%41\U0001f600%", "as it is", lambda text: text, "\\")
@example("u%41\U0001f600%", "HTML, numbers", lambda text: text, "\\")
@example("1aa&%bc", "as it is", lambda text: text, "%")
def test_a_value_in_whatever_form_is_not_in_what_is_shown(
    value: str, form: str, put_in: Callable[[Any], Any], around: str
) -> None:
    """However it is written, and wherever it stands."""
    assume(_is_worth_it(value))
    written = FORMS[form](value)
    _known(value)
    carried = put_in(f"x{around}{written}{around}y")
    record = logging.makeLogRecord({"msg": "a %s", "args": (carried,), "extra": carried})
    assert RedactionFilter().filter(record)
    shown = record.getMessage() + _shown(record.__dict__["extra"])
    assert MASK in shown
    assert written not in shown.replace(MASK, "\0")
    assert value.strip() not in shown.replace(MASK, "\0")


ESCAPES = st.sampled_from(
    [
        *("%", "25", "5c", "41", "\\", "a" * 40 + "\\" * 140, "u0041", "U0001F600", "x4", "a" * 40, "é"),
        *("&amp;", "quot;", "&", "amp;", "#65;", "#x0000041;", "&#37;", "&#000000092;", "#38;"),
    ]
)


@given(st.lists(ESCAPES, max_size=60).map("".join))
@example("&" + "amp;" * 7 + "#x00000041;")  # seven layers over a number
@example("U0001F600U0001F600&&#0000000092;" + "amp;" * 7 + "#x00000041;")
@example(r"\&#000000092;%&#37;41\%" + "a" * 40)  # from further on, a place before the last one is found
def test_no_escape_is_cut(text: str) -> None:
    """Piece by piece the plain form is what it is at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncsecrets.redaction.plain._PIECE", 16)
        assert Plain(encoded(text)).text == plain(encoded(text))


@given(
    st.lists(st.text("ab", min_size=7, max_size=12), min_size=9, max_size=40, unique=True), st.text("ab", min_size=60)
)
def test_of_many_that_are_alike_all_are_found(needles: list[str], text: str) -> None:
    """Also where grams of many others are."""
    grams = Grams[Needle](4, 4)
    for needle in needles:
        grams.add(Needle(needle.encode()))
    assert {needle.data.decode() for needle in grams.found(text.encode())} == {one for one in needles if one in text}


@given(VALUES, st.text(), st.text())
def test_it_is_found_among_any_text(value: str, before: str, after: str) -> None:
    """Every occurrence, also where occurrences overlap."""
    assume(_is_worth_it(value))
    _known(value)
    masked = mask(before + value + value + after + value[:-1])
    assert value.strip() not in masked.replace(MASK, "\0")


@given(st.lists(VALUES, max_size=20), st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=20))
def test_text_without_a_value_is_unchanged(values: list[str], carried: Any) -> None:
    """And is the very object that was given."""
    known.clear()
    RedactionFilter()
    for value in values:
        assume(_is_worth_it(value))
        handed_out(value)
    letters = set("".join(values))
    texts = json.dumps(carried, ensure_ascii=False)
    assume(not letters & set(texts) - set('[]", \\'))
    assert mask(carried) is carried


@given(st.lists(st.from_regex(r"[A-Za-z0-9]{6,24}", fullmatch=True), min_size=20, max_size=60, unique=True), st.data())
def test_one_of_many_is_found(values: list[str], data: st.DataObject) -> None:
    """As each is that is the only one; and all others of the same text stay."""
    known.clear()
    RedactionFilter()
    for value in values:
        handed_out(value)
    value = data.draw(st.sampled_from(values))
    before = data.draw(st.integers(0, 40))
    text = "." * before + value + "." * 9
    masked = mask(text)
    assert masked == "." * before + MASK + "." * 9 or any(other != value and other in value for other in values)
