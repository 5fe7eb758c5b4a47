"""The .env grammar: its table of cases, agreement with python-dotenv, and arbitrary input."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.dotenv import parse_dotenv


def parse(text):
    return parse_dotenv(text.encode() if isinstance(text, str) else text, origin=".env")


PLAIN = {
    "": {},
    "\n\n  \n# canary\n  # more\n": {},
    "A=canary": {"A": "canary"},
    "A=canary\n": {"A": "canary"},
    "  A = canary \t\n": {"A": "canary"},
    "export A=canary": {"A": "canary"},
    "export \t A='canary'": {"A": "canary"},
    "export=canary": {"export": "canary"},
    "A=": {"A": ""},
    "A=\nB=canary": {"A": "", "B": "canary"},
    "A=''\nB=\"\"": {"A": "", "B": ""},
    "A=canary # why": {"A": "canary"},
    "A=canary\t# why": {"A": "canary"},
    "A=canary#7": {"A": "canary#7"},
    "A=two words # why # more": {"A": "two words"},
    "A=postgres://u:canary@h/db?x=1&y=2": {"A": "postgres://u:canary@h/db?x=1&y=2"},
    "A=a=b==": {"A": "a=b=="},
    "A='canary # not' # why": {"A": "canary # not"},
    'A="canary # not" # why': {"A": "canary # not"},
    "A=' canary '": {"A": " canary "},
    "A='$HOME ${HOME} $(id) `id`'": {"A": "$HOME ${HOME} $(id) `id`"},
    "A=$HOME${HOME}$(id)`id`": {"A": "$HOME${HOME}$(id)`id`"},
    'A="$HOME ${HOME} \\$x"': {"A": "$HOME ${HOME} \\$x"},
    "A='it\\'s \\\\ \\n'": {"A": "it's \\ \\n"},
    'A="a\\nb\\tc\\"d\\\\e\\x41\\u0041"': {"A": 'a\nb\tc"d\\e\\x41\\u0041'},
    'A="-----BEGIN\ncanary\n\n-----END"\nB=1': {"A": "-----BEGIN\ncanary\n\n-----END", "B": "1"},
    "A='one\n# two\nB=3'": {"A": "one\n# two\nB=3"},
    "A=one\nA=two": {"A": "two"},
    "A=it's": {"A": "it's"},
    'A=say "canary"': {"A": 'say "canary"'},
    "A=\\n\\": {"A": "\\n\\"},
    "a.b-c_9=canary": {"a.b-c_9": "canary"},
    "A=ümläut 日本 🔑": {"A": "ümläut 日本 🔑"},
    "A=one\r\nB='two\r\n'\rC=three": {"A": "one", "B": "two\n", "C": "three"},
}


@pytest.mark.parametrize("text", PLAIN)
def test_plain_cases(text):
    """What the grammar's table says, exactly."""
    assert parse(text) == PLAIN[text]


@pytest.mark.parametrize("text", PLAIN)
def test_agrees_with_python_dotenv(text):
    """The plain cases mean the same to python-dotenv with its interpolation off."""
    dotenv = pytest.importorskip("dotenv")
    # It reads files with universal newlines, as a text stream of them would be.
    stream = io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n"))
    assert parse(text) == dotenv.dotenv_values(stream=stream, interpolate=False)


REFUSED = [
    "A",
    "export A",
    "export",
    "=canary",
    "A B=canary",
    "1A=canary",
    "A$=canary",
    "'A'=canary",
    "Ä=canary",
    "A=#canary",
    "A= # canary",
    "A='canary",
    'A="canary',
    'A="canary\\"',
    "A='can'ary'",
    "A='can'ary",
    "A='canary'#why",
    'A="can" "ary"',
    "A: canary",
    "exportA =x\n- canary",
    "A=\u00a0canary",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
    """What readers understand differently is refused with its line, without the file's words."""
    with pytest.raises(ConfigError, match=r"^\.env, line 3: not NAME=value; put a value") as caught:
        parse("# first\nGOOD='1'\n" + text.replace("exportA =x\n", ""))
    assert "canary" not in str(caught.value)


def test_error_after_several_lines_names_the_statement():
    """The line in an error is where the statement starts, with multi-line values counted."""
    with pytest.raises(ConfigError, match=r"line 5:"):
        parse('A="1\n2\n3"\n\nB="canary\nC=1\n')


@pytest.mark.parametrize("data", [b"A=\xff", b"A=canary\0", b"\xff\xfeA\0"])
def test_not_text(data):
    """Bytes that are not UTF-8 text are refused, and the decoder's error, which holds them, does not ride along."""
    with pytest.raises(ConfigError, match=r"^\.env: not UTF-8 text$") as caught:
        parse(data)
    assert caught.value.__context__ is None


def test_byte_order_mark():
    """A byte order mark is not part of the first name."""
    assert parse(b"\xef\xbb\xbfA=canary") == {"A": "canary"}


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,10}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\x1c\x1d\x1e\x85\u2028\u2029\x0b\x0c"))


def _double(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _single(value):
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.tuples(NAMES, TEXTS, st.sampled_from([_double, _single]), st.sampled_from(["", "export ", " "]))))
def test_quoted_round_trip(entries):
    """Any text in quotes comes back exactly, and means the same to python-dotenv."""
    dotenv = pytest.importorskip("dotenv")
    text = "".join(f"{before}{name}={quote(value)} # why\n" for name, value, quote, before in entries)
    assert parse(text) == {name: value for name, value, *_ in entries}
    assert parse(text) == dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)


@settings(deadline=None)
@given(NAMES, st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_bare_values(name, value):
    """A bare value that is accepted at all means the same to python-dotenv."""
    dotenv = pytest.importorskip("dotenv")
    text = f"{name}={value}\nLAST=1\n"
    try:
        values = parse(text)
    except ConfigError:
        # A quote or a comment where the value starts, the only characters that make a bare value doubtful.
        assert value.lstrip()[0] in "'\"#"
        return
    assert values == dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text(alphabet="AB=#'\"\\ \t\n$\r{}export", max_size=60).map(str.encode)))
def test_arbitrary_input(data):
    """Whatever the bytes are, the answer is a mapping of texts or a ConfigError."""
    try:
        values = parse(data)
    except ConfigError:
        return
    assert all(isinstance(text, str) for item in values.items() for text in item)


def test_long_input_is_linear():
    """A megabyte of what invites backtracking is read or refused without a pause."""
    half = 500_000
    with pytest.raises(ConfigError):
        parse('A="' + "\\" * (2 * half + 1) + '"')
    with pytest.raises(ConfigError):
        parse("A" * half + " " * half)
    assert parse("A=" + "x " * half) == {"A": ("x " * half).rstrip()}
    assert parse("A=x" + " " * (2 * half)) == {"A": "x"}
