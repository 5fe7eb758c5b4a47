"""Which values are known: what a client hands out, and all that can be taken from it."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import pytest

from asyncsecrets import SecretsClient, get_secret
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.redaction import RedactionFilter, handed_out, mask
from asyncsecrets.redaction.known import known
from asyncsecrets.secret import MASK

PEM = """-----BEGIN PRIVATE KEY-----
canaryMIIEvQIBADANBgkqhkiG9w0B
canaryAQEFAASCBKcwggSjAgEA
-----END PRIVATE KEY-----
"""


def client_with(secrets: dict[str, Any]) -> SecretsClient:
    """A client of these secrets."""
    return SecretsClient.from_provider(MemoryProvider(secrets), environ={})


async def test_bytes_that_are_text_and_bytes_that_are_none() -> None:
    """``get_secret`` of the one and ``reveal_bytes`` of both are masked, as text, bytes and escaped."""
    RedactionFilter()
    noise = b"canary\x00\xff\xfe\x80 noise"
    async with client_with({"B": b"canary-bytes-1", "N": noise}) as client:
        text = await get_secret("B")
        taken = [(await client.get(name)).reveal_bytes() for name in ("B", "N")]
    assert mask(f"x {text} y") == f"x {MASK} y"
    assert mask([taken, {"k": bytearray(noise)}]) == [[MASK.encode()] * 2, {"k": bytearray(MASK.encode())}]
    assert mask(f"{taken}") == f"[b'{MASK}', b'{MASK}']"


async def test_members_of_a_json_payload() -> None:
    """Taken with ``field``, or by whoever parses what was revealed: nested ones, long numbers, JSON in JSON."""
    RedactionFilter()
    inner = json.dumps({"deep": "canary-inner-1"})
    document = {
        "user": "app",
        "password": "canary-member-1",
        "db": {"hosts": [{"key": "canary-nested-1"}]},
        "doc": inner,
    }
    async with client_with({"J": json.dumps(document | {"pin": 12345678901234567890})}) as client:
        taken = (await client.get("J")).field("password").reveal()
    assert mask(f"{taken}|canary-nested-1|canary-inner-1|{12345678901234567890}") == "|".join([MASK] * 4)
    assert mask({"pin": 12345678901234567890, "status": 200}) == {"pin": MASK, "status": 200}


async def test_a_word_beside_the_password_is_masked_only_when_it_is_taken() -> None:
    """ "postgres" in every log line would be no log; somebody who asks for that member has it masked all the same."""
    RedactionFilter()
    async with client_with({"J": '{"engine": "postgres", "word": "canarybird"}'}) as client:
        secret = await client.get("J")
        assert mask("postgresql://host canarybird") == "postgresql://host canarybird"
        secret.field("word")
    assert mask("postgresql://host canarybird") == f"postgresql://host {MASK}"


def test_lines_and_blanks() -> None:
    """Of several lines each long one by itself, but not what stands around every key; text without its blanks."""
    RedactionFilter()
    handed_out(PEM)
    handed_out("  canary-blanks \n")
    assert mask(PEM) == MASK
    for line in PEM.split("\n")[1:3]:
        assert mask(f"a {line} b") == f"a {MASK} b"
    assert mask("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"
    assert mask("acanary-blanksb") == f"a{MASK}b"
    assert mask({"k": "  canary-blanks \n"}) == {"k": MASK}


async def test_a_filter_that_is_made_late_knows_what_is_warm() -> None:
    """Values that were handed out before anything masked; nothing is remembered until then, nor kept alive after."""
    async with client_with({"A": "canary-early-a", "B": b"canary-early-b", "C": "canary-early-c"}) as client:
        await client.get_many(["A", "B", "C"])
        assert not len(known)
        RedactionFilter()
        assert len(known) == 3
        assert mask("canary-early-a canary-early-b canary-early-c") == " ".join([MASK] * 3)


async def test_a_value_that_was_rotated_out_is_masked_for_a_while() -> None:
    """It is among the newest values still, and goes before one that was handed out again since."""
    RedactionFilter()
    async with client_with({"A": "canary-version-1"}) as client:
        await client.get("A")
        await client.put("A", "canary-version-2")
        await client.get("A")
    assert mask("canary-version-1 canary-version-2") == f"{MASK} {MASK}"


def test_what_is_handed_out_again_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound takes what nobody has asked for the longest."""
    monkeypatch.setattr("asyncsecrets.redaction.known._LIMIT", 2)
    RedactionFilter()
    for value in ("canary-first", "canary-second", "canary-first", "canary-third"):
        handed_out(value)
    assert mask("canary-first canary-second canary-third") == f"{MASK} canary-second {MASK}"


def test_parts_are_forgotten_with_the_last_value_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the bound holds for them too: a document of thousands of members is as many values."""
    monkeypatch.setattr("asyncsecrets.redaction.known._LIMIT", 2)
    RedactionFilter()
    for number in range(50):
        handed_out(json.dumps({"shared": "canary-shared", "own": f"canary-own-{number}"}))
    assert mask("canary-shared canary-own-49 canary-own-1!") == f"{MASK} {MASK} canary-own-1!"
    assert len(known._parts) == 5
    known._forget(next(iter(known._values)))
    known._forget(next(iter(known._values)))
    assert not known._parts
    assert not any(grams._owners for grams in known._grams)


def test_records_of_warnings_are_masked(log: Any) -> None:
    """``logging.captureWarnings`` logs what was warned of."""
    _, out = log
    handed_out("canary-warned")
    handler = logging.getLogger("redaction-test").handlers[0]
    logging.getLogger("py.warnings").addHandler(handler)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("with canary-warned in it", stacklevel=1)
    finally:
        logging.captureWarnings(False)
        logging.getLogger("py.warnings").removeHandler(handler)
    assert f"with {MASK} in it" in out.getvalue()
