"""References within a text: what is one, what is an error, and what is somebody else's."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConfigError, DecodeError, ResolveError
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.references import Reference, render
from asyncsecrets.templates import filled, is_template, mapped, references_in

DSN = "postgres://${os.environ/USER}:${url:secret://team/db?field=password}@db.example.com/app"
VALUES = {"os.environ/USER": "app", "secret://team/db?field=password": "canary@/:?#%"}


def test_a_dsn_of_several_references() -> None:
    """A value is put in as it is, or percent-encoded where the text says so."""
    assert references_in(DSN) == list(VALUES)
    assert filled(DSN, VALUES) == "postgres://app:canary%40%2F%3A%3F%23%25@db.example.com/app"


def test_values_are_not_looked_at_again() -> None:
    """A value that looks like a reference is that text."""
    assert filled("a${secret:///x}b", {"secret:///x": "${secret:///canary}"}) == "a${secret:///canary}b"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "plain",
            "${HOME}",
            "$secret:///x",
            "${secrets.TOKEN}",
            "${env:SECRET}",
            "a secret:///x",
            "{secret:///x}",
        ),
        # of Docker Compose and of shells, where SECRET and url are variables
        *("${SECRET:-text}", "${SECRET:?must be set}", "${secret:+text}", "${Secret:=text}", "${url:-http://x}"),
        "${URL:0:4}",
    ],
)
def test_what_is_somebody_elses(text: str) -> None:
    """Is left alone."""
    assert (is_template(text), references_in(text), filled(text, {})) == (False, [], text)


@pytest.mark.parametrize(
    "text",
    [
        "${secret://",
        "${secret:///x",
        "${secret:/x}",
        "${secret:x}",
        "${secret:///}x}${secret:///",
        "${ secret:///x}",
        "${secret:///x }",
        "${SECRET:///x}",
        "${os.environ}",
        "${os.environ.x}",
        "${os.environ/}",
        "${os.environ/A B}",
        "${os.environ/\u00e4}",
        "${url: secret:///x}",
        "${url:os.environ}",
        "${url:NAME}",
        "${url:url:secret:///x}",
        "${URL:secret:///x}",
        "${url:}",
        "${secrets://team/x}",
        "${quote:os.environ/x}",
        "${urlencode: secret:///x}",
        "${X:-secret:///x}",
        "${secret:///${secret:///x}}",
        "${secret:///x\n}",
        "fine ${secret:///x} and ${secret:///y",
    ],
)
def test_what_is_nearly_a_reference(text: str) -> None:
    """Is an error, and never handed on as it stands; the text, which may hold a value, is not shown."""
    for work in (references_in, lambda text: filled(text, {"secret:///x": "canary"})):
        with pytest.raises(ConfigError, match="not written as one") as error:
            work(f"canary {text}")
        assert "canary" not in str(error.value)


@given(
    st.lists(st.tuples(st.text(alphabet="ab$ {:/@", max_size=5), st.text(min_size=1, max_size=8), st.text(max_size=8)))
)
def test_what_is_put_in_is_what_comes_out(pieces: list[tuple[str, str, str]]) -> None:
    """Whatever names and values there are: texts stay, and each reference is replaced by its value."""
    text, expected, values = "", "", {}
    for around, name, given_value in pieces:
        if not name.isprintable() or not name.strip():
            continue
        reference = render(Reference(name, source="team"))
        value = values.setdefault(reference, given_value)
        text += f"{around}${{{reference}}}"
        expected += around + value
    assert filled(text, values) == expected
    assert mapped(text, lambda reference: reference) == text


@given(st.text(alphabet="${}secrt:/o.nviux \n", max_size=40))
def test_any_text(text: str) -> None:
    """Is taken, or refused with a ConfigError, and what is taken has nothing left in it that looks like one of ours."""
    try:
        references = references_in(text)
    except ConfigError:
        return
    assert not is_template(filled(text, dict.fromkeys(references, "canary")))


def test_percent_encoding_is_undone_by_every_url_parser() -> None:
    """Each character of a value arrives."""
    value = "".join(map(chr, range(1, 0x250)))
    assert unquote(filled("${url:secret:///x}!", {"secret:///x": value}))[:-1] == value


async def test_resolve_composes() -> None:
    """Of a document: all or nothing, concurrently, by the same rules."""
    secrets = {"user": "app", "db": '{"password": "canary@1"}', "bytes": b"\xff"}
    async with SecretsClient.from_provider(MemoryProvider(secrets), environ={}) as client:
        document = {"url": "pg://${os.environ/user}:${url:secret:///db?field=password}@h", "other": ["${HOME}"]}
        assert await client.resolve(document) == {"url": "pg://app:canary%401@h", "other": ["${HOME}"]}
        with pytest.raises(ResolveError, match="missing"):
            await client.resolve({"a": "x${secret:///missing}", "b": "x${os.environ/user}"})
        with pytest.raises((ResolveError, DecodeError)):
            await client.resolve({"a": "x${secret:///bytes}"})
        with pytest.raises(ConfigError, match=r"a\.0: a reference within a text"):
            await client.resolve({"a": ["x${secret:/user}"]})
