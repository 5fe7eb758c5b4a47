"""Members of a JSON payload: which one a field means, its text, and what is said where there is none."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets import exact, members
from asyncsecrets.errors import DecodeError
from asyncsecrets.secret import Secret


def secret(payload: str | bytes) -> Secret:
    """A secret of this payload."""
    return Secret(payload, name="NAME", version="3")


def refusal(payload: str | bytes, field: str) -> str:
    """What is said of a field that has no text."""
    with pytest.raises(DecodeError) as caught:
        secret(payload).field(field)
    return str(caught.value)


# -- texts


@pytest.mark.parametrize(
    "text",
    [
        *("0", "-0", "5432", "12345678901234567890", "1.10", "1e5", "1E+5", "-0.0", "1e999", "true", "false"),
        "7" * 5_000,
        "0." + "1" * 5_000,
    ],
)
@pytest.mark.parametrize("around", ['{"m":%s}', '\ufeff { "a" : [ ] , "m" : %s\n}', '{"m":%s,"z":{"m":1}}'])
def test_numbers_and_booleans_are_their_json_text(text: str, around: str) -> None:
    """Digit for digit, whatever Python would make of them; in bytes too."""
    for payload in (around % text, (around % text).encode()):
        assert secret(payload).field("m").reveal() == text
        assert secret(payload).field("/m").reveal() == text
        assert secret(payload).field("json:m").reveal() == text
        assert type(secret(payload).field("m").reveal()) is str


def test_a_payload_is_left_as_it_is() -> None:
    """A byte order mark is no reason to fail, and is still there in the value itself."""
    marked = secret('\ufeff{"a":"canary"}')
    assert marked.reveal() == '\ufeff{"a":"canary"}'
    assert (marked.fields(), marked.json()) == (["a"], {"a": "canary"})
    assert secret(b'\xef\xbb\xbf{"a":"canary"}').field("a").reveal() == "canary"


NESTED = """{"db": {"port": 5432, "hosts": ["h1", {"name": "canary", "tls": true}], "a/b": "slash", "m~n": "tilde",
  "~1": "escape", "": "empty", "01": "digits"}, "db.port": "dotted", "/db/user": "literal", "json:x": "prefixed",
  "x": "x", "": {"": "deep"}}"""

PATHS = {
    "/db/port": "5432",
    "/db/hosts/0": "h1",
    "/db/hosts/1/name": "canary",
    "/db/hosts/1/tls": "true",
    "/db/a~1b": "slash",
    "/db/m~0n": "tilde",
    "/db/~01": "escape",
    "/db/": "empty",
    "/db/01": "digits",
    "//": "deep",
    "db.port": "dotted",
    "/db.port": "dotted",
    "/db/user": "literal",  # a path that leads nowhere is a name
    "/~1db~1user": "literal",
    "/json:x": "prefixed",
    "json:x": '"x"',
    "json:json:x": '"prefixed"',
    "json:/json:x": '"prefixed"',
    "json:/db/hosts": '["h1", {"name": "canary", "tls": true}]',
    "json:/db/hosts/1": '{"name": "canary", "tls": true}',
    "json:/db/a~1b": '"slash"',
    "json:/": '{"": "deep"}',
    "json:": NESTED,
}


@pytest.mark.parametrize("field", PATHS)
def test_paths(field: str) -> None:
    """RFC 6901, and whole JSON text where it is asked for; a name that looks like either stays reachable."""
    assert secret(NESTED).field(field).reveal() == PATHS[field]
    assert secret(NESTED).has_field(field)


@pytest.mark.parametrize(
    "field",
    [
        *(
            "/db/hosts/2",
            "/db/hosts/-",
            "/db/hosts/00",
            "/db/hosts/-1",
            "/db/hosts/+1",
            "/db/hosts/\u0660",
            "/db/hosts/",
        ),
        *(
            "/db/port/x",
            "/db/m~n",
            "/db/m~2n",
            "/nowhere",
            "nowhere",
            "db/port",
            "json:nowhere",
            "json:/db/nowhere",
            "JSON:x",
        ),
        "/db/hosts/" + "9" * 5_000,
    ],
)
def test_paths_that_lead_nowhere(field: str) -> None:
    """An index is written in one way only, and what is no path is a name."""
    assert not secret(NESTED).has_field(field)
    assert "has no field" in refusal(NESTED, field)


def test_a_name_that_is_a_path_too() -> None:
    """Where both are there the path holds, so that it means the same whatever else is in the payload."""
    both = secret('{"/a":"name","a":"path"}')
    assert both.field("/a").reveal() == "path"
    assert both.field("/~1a").reveal() == "name"


# -- every leaf of anything


@dataclass(frozen=True)
class Digits:
    """A number, as it is to be written."""

    text: str


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
LEAVES = st.one_of(st.text(), NUMBERS.map(Digits), st.booleans(), st.none())
NAMES = st.one_of(st.text(max_size=8), st.sampled_from(["/", "~", "~1", "json:", "json:a", "a.b", "", "/a", "0", "-"]))
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
)


def written(value: Any, blank: str) -> str:
    """JSON with ``blank`` wherever there may be some."""
    if isinstance(value, dict):
        inside = f"{blank},{blank}".join(f"{json.dumps(k)}{blank}:{blank}{written(v, blank)}" for k, v in value.items())
        return f"{{{blank}{inside}{blank}}}"
    if isinstance(value, list):
        return f"[{blank}{f'{blank},{blank}'.join(written(item, blank) for item in value)}{blank}]"
    return value.text if isinstance(value, Digits) else json.dumps(value)


def walked(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every member and item below ``value``, with its path."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inside in pairs:
        way = f"{path}/{str(name).replace('~', '~0').replace('/', '~1')}"
        yield way, inside
        yield from walked(inside, way)


@given(st.dictionaries(NAMES, TREES, max_size=5), st.sampled_from(["", " ", "\r\n\t "]))
def test_every_member_of_anything(tree: dict[str, Any], blank: str) -> None:
    """Each leaf by its path, with its text as it is written; everything as JSON text; plain names by themselves."""
    payload = blank + written(tree, blank) + blank
    whole = secret(payload)
    assert whole.fields() == list(tree)
    assert whole.field("json:").reveal() == payload.strip("\r\n\t ")
    for path, value in walked(tree):
        assert whole.has_field(path)
        assert whole.field(f"json:{path}").reveal() == written(value, blank)
        if isinstance(value, str | bool | Digits):
            text = value if isinstance(value, str) else written(value, blank)
            assert whole.field(path).reveal() == text
        else:
            assert "has no text" in refusal(payload, path)
    for name, value in tree.items():
        if not name.startswith(("/", "json:")) and isinstance(value, str):
            assert whole.field(name).reveal() == value


@given(st.dictionaries(NAMES, TREES, max_size=5))
def test_what_is_nested_has_fields_of_its_own(tree: dict[str, Any]) -> None:
    """A member that is an object, or a text of JSON, can be asked as a payload is."""
    payload = written({"object": tree, "text": written(tree, " ")}, "")
    for field in ("object", "text"):
        nested = secret(payload).nested(field)
        assert nested.fields() == list(tree)
        for path, value in walked(tree):
            if isinstance(value, Digits):
                assert nested.field(path).reveal() == value.text


@given(st.text() | st.binary(), st.text())
def test_anything_else_is_an_error_of_ours(payload: str | bytes, field: str) -> None:
    """No exception of Python's comes through, whatever is stored and asked."""
    asks: list[tuple[Callable[[Secret, str], object], type]] = [
        (Secret.field, Secret),
        (Secret.nested, Secret),
        (Secret.has_field, bool),
        (lambda s, _: s.fields(), list),
        (lambda s, _: s.json(), object),
    ]
    for ask, kind in asks:
        try:
            answer = ask(secret(payload), field)
        except DecodeError as error:
            assert "NAME" in str(error)  # noqa: PT017  # an answer is fine too
        else:
            assert isinstance(answer, kind)


# -- errors

NOT_PROPER: dict[str, tuple[str | bytes, str]] = {
    "not JSON": ("canary{", "is not a JSON object"),
    "a list": ('["canary"]', "is not a JSON object"),
    "nothing": ("", "is not a JSON object"),
    "binary": (b"\xffcanary", "is not a JSON object"),
    "more behind it": ('{"x":"canary"} canary', "is not a JSON object"),
    "two marks": ('\ufeff\ufeff{"x":"canary"}', "is not a JSON object"),
    "a member twice": ('{"x":"canary","x":"canary"}', "it has a member 'x' twice"),
    "a member twice, further in": ('{"x":"canary","y":[{"\\u0061":1,"a":"canary"}]}', "it has a member 'a' twice"),
    "an odd member twice": ('{"<\\u0001canary>":1,"<\\u0001canary>":2}', "it has a member twice"),
    "NaN": ('{"x":"canary","n":NaN}', "no numbers of JSON"),
    "Infinity": ('{"x":"canary","n":-Infinity}', "no numbers of JSON"),
    "deep": ('{"x":"canary","n":' + "[" * 20_000 + "]" * 20_000 + "}", "nested too deep"),
}


@pytest.mark.parametrize("what", NOT_PROPER)
@pytest.mark.parametrize("ask", [Secret.field, Secret.nested, Secret.has_field])
def test_what_is_no_proper_object(what: str, ask: Any) -> None:
    """Says what is wrong; no value is in the error, nor in a frame of ours."""
    payload, why = NOT_PROPER[what]
    assert why in no_value_in(payload, lambda s: ask(s, "x"))
    assert secret(payload).fields() == []


@pytest.mark.parametrize("what", sorted(NOT_PROPER.keys() - {"a list"}))
def test_what_is_no_proper_json(what: str) -> None:
    """json() says the same of what is no object either."""
    payload, why = NOT_PROPER[what]
    assert re.search(f"{why}|is not JSON|not UTF-8", no_value_in(payload, Secret.json))


def no_value_in(payload: str | bytes, ask: Callable[[Secret], object]) -> str:
    """What the error says, in which there is no value, nor in what rides along."""
    with pytest.raises(DecodeError, match="NAME") as caught:
        ask(secret(payload))
    assert caught.value.__context__ is caught.value.__cause__ is None
    for frame, _ in list(traceback.walk_tb(caught.value.__traceback__))[1:]:
        if frame.f_code.co_filename != __file__:
            assert "canary" not in repr(frame.f_locals)
    assert "canary" not in str(caught.value)
    return str(caught.value)


def test_an_error_names_the_members() -> None:
    """And how to name one: at the place where the way ends."""
    payload = '{"user":"canary","port":5432,"db":{"host":"canary","list":[1,2]},"nothing":null,"empty":{}}'
    names = "'user', 'port', 'db', 'nothing', 'empty' (name one by field=, --field or ?field=)"
    assert refusal(payload, "key") == f"'NAME' has no field 'key'; it has {names}"
    assert refusal(payload, "/prot") == f"'NAME' has no field '/prot'; it has {names}"
    assert "'/db' has 'host', 'list' (name" in refusal(payload, "/db/nowhere/else")
    assert "'/db/list' is a list of 2" in refusal(payload, "/db/list/7")
    assert "'/user' is neither an object nor a list" in refusal(payload, "/user/x")
    assert "'/empty' has no members" in refusal(payload, "/empty/x")
    assert "did you mean '/db/host'?" in refusal(payload, "db.host")
    assert "did you mean '/db/list/1'?" in refusal(payload, "json:db/list/1")
    assert refusal("{}", "x") == "'NAME' has no field 'x'; it has no members"


def test_an_error_says_how_to_get_what_is_no_text() -> None:
    """A member of it by its path, or its JSON text; both ways lead there."""
    payload = '{"o":{"a/b":"canary"},"l":["canary"],"e":[],"z":null,"<>":{"<>":{"<>":"canary"}}}'
    for field in ("o", "l", "e", "z", "/o", "<>", "/<>/<>"):
        said = refusal(payload, field)
        assert "canary" not in said
        asked = re.findall(r"'((?:json:)?/?[^']*)'", said.split("'NAME'", 1)[1])
        assert asked[0] == field
        assert all(secret(payload).field(way) for way in asked[1:])
    assert (
        "but an object; a member of it has a path, such as '/o/a~1b'; its JSON text is the field 'json:o'"
        in refusal(payload, "o")
    )
    assert "but null; its JSON text is the field 'json:z'" in refusal(payload, "z")


def test_an_error_shows_only_names() -> None:
    """Few of them, none that is long or odd: that may be a value; and of the field no more than a line."""
    many = json.dumps({f"m{number}": 1 for number in range(100)})
    assert refusal(many, "x").count("'m") == 12
    assert "and 88 more" in refusal(many, "x")
    odd = refusal(json.dumps({"canary" * 20: 1, "canary\n": 2, "canary\u202e": 3, "canary\ud800": 4, "plain": 5}), "x")
    assert "it has 'plain' and 4 more" in odd
    assert "it has 4 members" in refusal(json.dumps({"canary\n": 1, "\n": 2, "\r": 3, "\t": 4}), "x")
    assert len(refusal('{"a":1}', "x" * 10_000)) < 250
    assert refusal('{"a":1}', "x\n\u202e\ud800").isprintable()


# -- plain Python


def test_json_is_plain_python() -> None:
    """Numbers as Python has them; made anew by each call, for it can be changed."""
    s = secret('{"i":12345678901234567890,"f":1.10,"e":1e5,"z":-0,"l":[true,null,"canary"]}')
    assert s.json() == {"i": 12345678901234567890, "f": 1.1, "e": 100000.0, "z": 0, "l": [True, None, "canary"]}
    assert [type(value) for value in s.json().values()] == [int, float, float, int, list]
    s.json()["l"].clear()
    assert s.json()["l"] == [True, None, "canary"]
    assert s.field("f").json() == 1.1
    assert s.field("json:/l").json() == [True, None, "canary"]
    assert secret(b'"canary"').json() == "canary"


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ("canary", "is not JSON"),
        (b"\xff", "not UTF-8"),
        ('{"n":1e999}', "more than a float can hold"),
        ('{"n":' + "7" * (sys.get_int_max_str_digits() + 1) + "}", "more digits than Python reads"),
    ],
)
def test_json_that_python_cannot_hold(payload: str | bytes, why: str) -> None:
    """An error of ours; the digits are to be had by ``field``."""
    with pytest.raises(DecodeError, match=why) as caught:
        secret(payload).json()
    assert caught.value.__context__ is caught.value.__cause__ is None


def test_a_payload_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of a thousand members is parsed for the first of them."""
    read: list[str] = []
    parse = members.parse

    def counted(text: str) -> dict[str, Any] | exact.Flaw:
        read.append(text)
        return parse(text)

    monkeypatch.setattr(members, "parse", counted)
    s = secret(json.dumps({f"m{number}": number for number in range(1_000)}))
    assert [s.field(f"m{number}").reveal() for number in range(1_000)] == [str(number) for number in range(1_000)]
    assert len(read) == 1
