"""References: what each form means, what is refused, and that parsing and rendering are exact inverses."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asyncsecrets.errors import ConfigError, InvalidNameError
from asyncsecrets.references import MAX_NAME, Reference, check_source, is_reference, parse, render


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("OPENAI_API_KEY", Reference("OPENAI_API_KEY")),
        ("litellm/team-a", Reference("litellm/team-a")),
        ("os.environ/OPENAI_API_KEY", Reference("OPENAI_API_KEY")),
        ("os.environ/a/b", Reference("a/b")),
        ("os.environ/AZURE-API-KEY", Reference("AZURE-API-KEY")),
        ("os.environ/KEY#c", Reference("KEY#c")),
        ("os.environ/KEY?version=2", Reference("KEY?version=2")),
        ("os.environ/os.environ/X", Reference("os.environ/X")),
        (
            "arn:aws:secretsmanager:eu-west-1:1:secret:x-AbCdEf",
            Reference("arn:aws:secretsmanager:eu-west-1:1:secret:x-AbCdEf"),
        ),
        ("ключ 👈", Reference("ключ 👈")),
        ("../x", Reference("../x")),
        ("secret:///NAME", Reference("NAME")),
        ("secret://vault/NAME", Reference("NAME", "vault")),
        ("secret://vault/a/b/c", Reference("a/b/c", "vault")),
        ("secret://vault/a%2Fb%20c", Reference("a/b c", "vault")),
        ("secret://vault/a+b", Reference("a+b", "vault")),
        ("secret://aws-eu_1/NAME?version=3", Reference("NAME", "aws-eu_1", "3")),
        ("secret:///NAME?field=user", Reference("NAME", field="user")),
        ("secret:///NAME?field=a%2Fb&version=v%261", Reference("NAME", version="v&1", field="a/b")),
        ("secret:///NAME?field=/db/a~1b", Reference("NAME", field="/db/a~1b")),
        ("secret:///NAME?field=json:/db", Reference("NAME", field="json:/db")),
        ("secret:///NAME?field=json%3A%2Fdb", Reference("NAME", field="json:/db")),
        ("secret:///NAME?field=json:", Reference("NAME", field="json:")),
        ("secret://s/os.environ/X", Reference("os.environ/X", "s")),
        ("secret://s/gr%C3%BCn", Reference("grün", "s")),
        ("secret:////prod/db?field=user", Reference("/prod/db", field="user")),
        ("secret:///%2Fprod/db?field=user", Reference("/prod/db", field="user")),
        ("secret://aws//prod/db", Reference("/prod/db", "aws")),
        ("secret://aws/team/", Reference("team/", "aws")),
        ("secret://aws/a//b", Reference("a//b", "aws")),
        ("secret://aws/a%2F%2Fb", Reference("a//b", "aws")),
        ("secret://aws//", Reference("/", "aws")),
        ("secret://aws/rds!db-1?field=password", Reference("rds!db-1", "aws", field="password")),
        ("secret://aws/rds%21db-1", Reference("rds!db-1", "aws")),
        ("secret://vault/50%25%23%3F%22%27", Reference("50%#?\"'", "vault")),
        ("secret://vault/a/../b", Reference("a/../b", "vault")),  # which the manager may refuse
        ("secret://vault/%2e%2E/b", Reference("../b", "vault")),
        ("secret://vault/%252e", Reference("%2e", "vault")),
    ],
)
def test_each_form_means_what_is_documented(text: str, reference: Reference):
    """A bare name, the notation of configuration files and our own URIs."""
    assert parse(text) == reference


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty name"),
        ("os.environ/", "empty name"),
        ("secret://", "no name"),
        ("secret://vault", "no name"),
        ("secret://vault/", "no name"),
        ("secret://vault/?field=x", "no name"),
        ("secret://Vault/NAME", "'Vault' cannot name a source"),
        ("secret://1/NAME", "'1' cannot name a source"),
        ("secret://a:b@c/NAME", "cannot name a source"),
        ("secret://v%61ult/NAME", "cannot name a source"),
        ("secret://vault/a b", "percent-encoding"),
        ("secret://vault/grün", "percent-encoding"),
        ("secret://vault/a#b", "percent-encoding"),
        ("secret://vault/a\\b", "percent-encoding"),
        ("secret://vault/a%2", "percent-encoding"),
        ("secret://vault/a%zz", "percent-encoding"),
        ("secret://vault/a\n", "percent-encoding"),
        ("secret://vault/%FF", "not UTF-8"),
        ("secret://vault/%ED%A0%80", "not UTF-8"),
        ("secret://vault/a%00b", "printable"),
        ("secret://vault/a%0Ab", "printable"),
        ("secret://vault/a%E2%80%AEb", "printable"),
        ("secret://vault/NAME?", "nothing after the '?'"),
        ("secret://vault/NAME?version", "'version' is empty"),
        ("secret://vault/NAME?version=", "'version' is empty"),
        ("secret://vault/NAME?version=1&", "'' is neither 'version' nor 'field'"),
        ("secret://vault/NAME?verison=1", "'verison' is neither 'version' nor 'field'"),
        ("secret://vault/NAME?Version=1", "neither"),
        ("secret://vault/NAME?version=1&version=1", "given twice"),
        ("secret://vault/NAME?field=a&field=b", "given twice"),
        ("secret://vault/NAME?field=a=b", "percent-encoding"),
        ("secret://vault/NAME?field=a+b", "percent-encoding"),
        ("secret://vault/NAME?field=a?b", "percent-encoding"),
        ("secret://vault/NAME?field=%0D", "printable"),
        ("secret://vault/NAME?version=a/b", "percent-encoding"),
        ("secret://vault/NAME?version=a:b", "percent-encoding"),
        ("a\nb", "printable"),
        ("a\x00", "printable"),
        ("a\u2028b", "printable"),
        ("a\u202eb", "printable"),
        ("a\ud800", "printable"),
        ("os.environ/a\x1b[2J", "printable"),
        ("n" * (MAX_NAME + 1), "at most 1024 characters"),
        ("os.environ/" + "n" * (MAX_NAME + 1), "at most 1024 characters"),
        ("secret:///" + "n" * (MAX_NAME + 1), "at most 1024 characters"),
        ("secret:///" + "n" * 100_000, "longer than"),
        ("secret:///n?version=" + "1" * 257, "at most 256 characters"),
        (f"secret://{'s' * 65}/n", "cannot name a source"),
    ],
)
def test_what_is_not_a_reference_is_refused_in_a_short_printable_message(text: str, problem: str):
    """The message says what is wrong, in printable text of a bounded length, and chains nothing."""
    with pytest.raises((ConfigError, InvalidNameError)) as caught:
        parse(text)
    message = str(caught.value)
    assert problem in message
    assert message.isprintable()
    assert message.isascii()
    assert len(message) < 400
    assert caught.value.__context__ is None


def test_the_longest_name_is_accepted():
    """1024 characters are a name, also where each takes 12 once it is percent-encoded."""
    longest = Reference("👈" * MAX_NAME, "source", "👈" * 256, "👈" * 256)
    assert parse(render(longest)) == longest
    assert parse("n" * MAX_NAME).name == "n" * MAX_NAME


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("os.environ/X", True), ("secret://s/x", True), ("os.environ/", True), ("secret://", True)),
        *(("X", False), ("", False), (" os.environ/X", False), ("see os.environ/X", False), ("OS.ENVIRON/X", False)),
        *(("secret:/s/x", False), ("https://example.com", False)),
    ],
)
def test_only_the_two_written_forms_are_references(text: str, expected: bool):
    """In a document, text that does not start like a reference is text."""
    assert is_reference(text) is expected


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (Reference("NAME"), "os.environ/NAME"),
        (Reference("NAME", "vault"), "secret://vault/NAME"),
        (Reference("a b/c", "vault", "3", "user name"), "secret://vault/a%20b/c?version=3&field=user%20name"),
        (Reference("NAME", field="x"), "secret:///NAME?field=x"),
        (Reference("NAME", field="json:/a~1b/c d"), "secret:///NAME?field=json:/a~1b/c%20d"),
        (Reference("NAME", version="a/b:c"), "secret:///NAME?version=a%2Fb%3Ac"),
        (Reference("/prod/db", field="x"), "secret:////prod/db?field=x"),
        (Reference("rds!db-1", "aws"), "secret://aws/rds!db-1"),
        (Reference("50%#?\"'", "vault"), "secret://vault/50%25%23%3F%22%27"),
    ],
)
def test_rendering_is_the_shortest_written_form(reference: Reference, text: str):
    """A name alone stays in the notation that other programs understand."""
    assert render(reference) == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", InvalidNameError),
        (" ", InvalidNameError),
        ("os.environ/\t", InvalidNameError),
        ("secret://vault/", InvalidNameError),
        ("secret://vault/%20", InvalidNameError),
        ("secret://vault/a%0Ab", InvalidNameError),
        ("secret://vault/%FF", InvalidNameError),
        ("n" * (MAX_NAME + 1), InvalidNameError),
        ("secret://vault", ConfigError),
        ("secret://Vault/NAME", ConfigError),
        ("secret://vault/a b", ConfigError),
        ("secret://vault/NAME?version=", ConfigError),
        ("secret://vault/NAME?field=%0D", ConfigError),
    ],
)
def test_a_name_that_cannot_be_is_told_from_a_reference_that_is_none(text: str, kind: type[Exception]):
    """The one is no secret's name; the other is a mistake in how something is written."""
    with pytest.raises(kind):
        parse(text)


@pytest.mark.parametrize("parts", [{"source": ""}, {"version": ""}, {"field": ""}, {"source": "x", "name": "a\nb"}])
def test_a_reference_that_cannot_be_written_cannot_be_made(parts: dict[str, str]):
    """What parse would refuse is refused by the class itself, so rendering never fails."""
    with pytest.raises((ConfigError, InvalidNameError)):
        Reference(**{"name": "NAME", **parts})


@pytest.mark.parametrize("source", ["default", "a", "vault-eu_1", "s" * 64])
def test_source_names(source: str):
    """Letters, digits, '_' and '-' are a source's name."""
    check_source(source)


CHARACTERS = st.characters(exclude_categories=()) | st.sampled_from("/&=?#%+ @:.ab")
PARTS = st.text(CHARACTERS, min_size=1, max_size=12).filter(str.isprintable)
NAMES = PARTS | st.lists(PARTS, min_size=1, max_size=4).map("/".join)
SOURCES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)


@st.composite
def references(draw: st.DrawFn) -> Reference:
    parts = [draw(NAMES), draw(st.none() | SOURCES), draw(st.none() | PARTS), draw(st.none() | PARTS)]
    try:
        return Reference(*parts)
    except (ConfigError, InvalidNameError):
        assume(False)
        raise


@given(reference=references())
def test_parsing_what_was_rendered_gives_the_reference_back(reference: Reference):
    """Which also means that no two references render alike."""
    assert parse(render(reference)) == reference
    assert is_reference(render(reference))


PIECES = st.sampled_from(
    [
        *("secret://", "os.environ/", "/", "//", "..", ".", "%2e", "%252e", "%2F", "%00", "%", "?", "&", "="),
        *("version=", "field=", "#", ";", "@", ":", "\\", "a", "vault", "NAME", "+", "é", " "),
        *("\uff1b", "\x00", "\r\n", "\ud800", "\u202e"),
    ]
)


@given(text=st.lists(PIECES, max_size=10).map("".join) | st.text(st.characters(exclude_categories=()), max_size=30))
def test_fuzz_a_text_is_a_reference_or_an_error_of_ours(text: str):
    """Nothing else leaves the parser, and what it accepts is stable: rendering and parsing again changes nothing."""
    try:
        reference = parse(text)
    except (ConfigError, InvalidNameError) as error:
        assert error.__context__ is None  # noqa: PT017 - being accepted is fine too
        assert str(error).isprintable()  # noqa: PT017
        return
    assert reference.name.isprintable()
    assert parse(render(reference)) == reference


@given(name=NAMES, parts=st.fixed_dictionaries({}, optional={"version": PARTS, "field": PARTS, "source": SOURCES}))
def test_every_form_takes_the_same_names(name: str, parts: dict[str, str]):
    """What can be asked for alone can be asked for with a version, a field and a source, and stays what it is."""
    try:
        alone = parse(f"os.environ/{name}").name
    except InvalidNameError:
        assume(False)
        raise
    assert Reference(name, **parts).name == parse(render(Reference(name, **parts))).name == alone == name
