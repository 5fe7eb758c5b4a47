"""The .env grammar: its table of cases, agreement with python-dotenv, and arbitrary input."""

from __future__ import annotations

import io
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.dotenv import MAX_FAULTS, Fault, parse_dotenv, read_dotenv

ENVIRON = {"HOME": "canary-home", "EMPTY": ""}


def parse(text):
    return parse_dotenv(text.encode() if isinstance(text, str) else text, origin=".env", environ=ENVIRON)


def read(text):
    """What can be used, and the lines that cannot."""
    values, faults = read_dotenv(text.encode() if isinstance(text, str) else text, ENVIRON)
    assert "canary" not in str(faults)
    return values, [fault.line for fault in faults]


def python_dotenv(text):
    """What python-dotenv's ``load_dotenv`` reads, with the variables of ENVIRON."""
    main = pytest.importorskip("dotenv.main")
    with mock.patch.dict("os.environ", ENVIRON, clear=True):
        # It reads files with universal newlines, as a text stream of them would be.
        stream = io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n"))
        return main.DotEnv(None, stream=stream, interpolate=True, override=False).dict()


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
    "A=$HOME $(id) `id`": {"A": "$HOME $(id) `id`"},
    'A="$HOME \\$x $"': {"A": "$HOME \\$x $"},
    "A=${HOME}": {"A": "canary-home"},
    "A=x${HOME}y${HOME}": {"A": "xcanary-homeycanary-home"},
    'A="${HOME}\\n${HOME}"': {"A": "canary-home\ncanary-home"},
    'A=1\nB=${A}2\nC="${B}3"': {"A": "1", "B": "12", "C": "123"},
    "HOME=canary-file\nA=${HOME}": {"HOME": "canary-file", "A": "canary-home"},
    "A=${EMPTY}": {"A": ""},
    "A=${NONE:-canary}": {"A": "canary"},
    "A=${NONE:-}": {"A": ""},
    "A=${HOME:-other}${EMPTY:-other}": {"A": "canary-home"},
    "A=${NONE:-a$b:-c}": {"A": "a$b:-c"},
    "A='$'\nB=\"${A}{HOME}\"": {"A": "$", "B": "${HOME}"},
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
    """The plain cases mean the same to python-dotenv."""
    assert parse(text) == python_dotenv(text)


def test_single_quotes_mean_what_stands_in_them():
    """There python-dotenv replaces variables, and most readers do not."""
    assert parse("A='$HOME ${HOME} ${NONE} ${ $(id) `id`'") == {"A": "$HOME ${HOME} ${NONE} ${ $(id) `id`"}


REFUSED = [
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


NOT_VARIABLES = [
    "A=${NONE}",
    'A="${NONE}"',
    "A=canary${",
    "A=canary${HOME",
    "A=${}",
    "A=${HOME:?canary}",
    "A=${HOME:+canary}",
    "A=${HOME-canary}",
    "A=${HOME:-${HOME}}",
    "A=${ HOME}",
    "A=${1}",
    "A=${HOME\n}",
    "A=\\${HOME}",
    'A="\\${HOME}"',
    'A="\\\\\\${HOME}"',
    'A="canary ${HOME} ${!HOME}"',
    "B=${A}\nA=canary",
    "A\nB=${A}",
]


@pytest.mark.parametrize("text", NOT_VARIABLES)
def test_variables_that_are_refused(text):
    """Of what is not set, or written in another way, nothing is passed on."""
    with pytest.raises(ConfigError, match=r"^\.env, line [12]: a (\$\{|name)") as caught:
        parse(text)
    assert "canary" not in str(caught.value)
    values, lines = read(text)
    assert lines
    assert not any("$" in value for value in values.values())


@pytest.mark.parametrize("text", ["A", "export A", "export", " A # canary", "A\t"])
def test_a_bare_name(text):
    """It passes a variable through, which is a matter of the environment; an earlier value is not the last word."""
    with pytest.raises(ConfigError, match=r"^\.env, line 2: a name without a value; write NAME="):
        parse("GOOD=1\n" + text)
    assert read(f"A=canary\nexport=canary\n{text}\nLAST=2\n")[1] == [3]
    assert read(f"GOOD=1\n{text}\nLAST=2\n") == ({"GOOD": "1", "LAST": "2"}, [2])


@pytest.mark.parametrize("text", ["A", "A=${NONE}", "A='canary", "A='canary' b", "A=#canary", "export A=\0canary"])
def test_an_earlier_line_is_not_the_last_word(text):
    """Whose last line cannot be used is not there: the value before it is one that somebody has replaced."""
    assert read(f"A=canary\n{text}\nLAST=2\n") == ({"LAST": "2"}, [2])
    assert read(f"{text}\nA=canary\n") == ({"A": "canary"}, [1])


@pytest.mark.parametrize("text", REFUSED)
def test_the_rest_is_used(text):
    """A line that makes no sense takes no other with it, but for those that a quote keeps open."""
    values, lines = read(f"GOOD=1\n{text}\nLAST=2\n")
    assert values["GOOD"] == "1"
    assert values["LAST"] == "2"
    assert lines[0] in {2, 3}
    assert not {"A", "Ä", "A$"} & set(values)


def test_what_is_not_text_is_one_line():
    """A password in another encoding takes nothing else with it; a comment is nobody's value."""
    assert read(b"A=1\nB=canary\xff\n# caf\xe9\nC=2 # \xe9\nD=\0canary\n") == ({"A": "1", "C": "2"}, [2, 5])
    for codec in ("utf-16", "utf-16-be"):
        data = "\ufeffA=canary".encode(codec) if codec != "utf-16" else "A=canary".encode(codec)
        assert read(data) == ({}, [1])
        with pytest.raises(ConfigError, match="line 1: not UTF-8 text but UTF-16; save"):
            parse(data)


def test_growth_is_bounded():
    """Values that double from line to line end; and so does the list of what is wrong."""
    lines = ["A0=canary", *(f"A{n}=${{A{n - 1}}}${{A{n - 1}}}" for n in range(1, 40))]
    values, faults = read("\n".join(lines))
    assert sum(map(len, values.values())) < 3_000_000
    assert faults[-1] == 40
    with pytest.raises(ConfigError, match="grow too much"):
        parse("\n".join(lines))
    assert len(read("A\n" * 50_000)[1]) == MAX_FAULTS


def test_error_after_several_lines_names_the_statement():
    """The line in an error is where the statement starts, with multi-line values counted."""
    with pytest.raises(ConfigError, match=r"line 5:"):
        parse('A="1\n2\n3"\n\nB="canary\nC=1\n')


@pytest.mark.parametrize("data", [b"A=\xff", b"A=canary\0", b"\xff\xfeA\0"])
def test_not_text(data):
    """Bytes that are not UTF-8 text are refused, and no decoder's error, which holds them, rides along."""
    with pytest.raises(ConfigError, match=r"^\.env, line 1: not UTF-8 text") as caught:
        parse(data)
    assert caught.value.__context__ is None


def test_byte_order_mark():
    """A byte order mark is not part of the first name."""
    assert parse(b"\xef\xbb\xbfA=canary") == {"A": "canary"}


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,10}", fullmatch=True)
VARIABLES = st.text(alphabet="${}:-AHOME\\\"'# x", max_size=30).map("A=1\nB={}\nC=${{B}}\n".format)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\x1c\x1d\x1e\x85\u2028\u2029\x0b\x0c"))


def _double(value):
    return _single(value) if "${" in value else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _single(value):
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.tuples(NAMES, TEXTS, st.sampled_from([_double, _single]), st.sampled_from(["", "export ", " "]))))
def test_quoted_round_trip(entries):
    """Any text in quotes comes back exactly, and means the same to python-dotenv."""
    text = "".join(f"{before}{name}={quote(value)} # why\n" for name, value, quote, before in entries)
    assert parse(text) == {name: value for name, value, *_ in entries}
    assert parse(text) == python_dotenv(text)


@settings(deadline=None)
@given(NAMES, st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_bare_values(name, value):
    """A bare value that is accepted at all means the same to python-dotenv."""
    text = f"{name}={value}\nLAST=1\n"
    try:
        values = parse(text)
    except ConfigError:
        # A quote or a comment where the value starts, or a variable: what makes a bare value doubtful.
        assert value.lstrip()[0] in "'\"#" or "${" in value
        return
    assert values == python_dotenv(text)


@settings(deadline=None)
@given(VARIABLES)
def test_variables(text):
    """Whatever is accepted with a variable in it means the same to python-dotenv, if it is not in single quotes."""
    try:
        values = parse(text)
    except ConfigError:
        return
    if "'" not in text:
        assert values == python_dotenv(text)


@settings(deadline=None)
@given(
    st.one_of(
        st.binary(),
        st.text(alphabet="AB=#'\"\\ \t\n$\r{}export", max_size=60).map(str.encode),
        VARIABLES.map(str.encode),
    )
)
def test_arbitrary_input(data):
    """Whatever the bytes are, the answer is a mapping of texts and faults, or for who insists a ConfigError."""
    values, faults = read_dotenv(data, ENVIRON)
    assert all(isinstance(text, str) and "\0" not in text for item in values.items() for text in item)
    assert all(
        isinstance(fault, Fault) and 1 <= fault.line <= data.count(b"\n") + data.count(b"\r") + 1 for fault in faults
    )
    if faults:
        with pytest.raises(ConfigError):
            parse(data)
    else:
        assert parse(data) == values


def test_long_input_is_linear():
    """A megabyte of what invites backtracking is read or refused without a pause."""
    half = 500_000
    with pytest.raises(ConfigError):
        parse('A="' + "\\" * (2 * half + 1) + '"')
    with pytest.raises(ConfigError):
        parse("A" * half + " " * half)
    with pytest.raises(ConfigError):
        parse("A=" + "${A:-" * (half // 3))
    assert read('A="\\\n' * (half // 4))[1]
    assert parse("A=" + "x " * half) == {"A": ("x " * half).rstrip()}
    assert parse("A=x" + " " * (2 * half)) == {"A": "x"}
