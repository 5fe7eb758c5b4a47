"""The local store's file format: exact inverses, and arbitrary input."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets.errors import ConfigError, UnsupportedOperationError
from asyncsecrets.providers.local_store import (
    Entry,
    Recipient,
    Store,
    is_recipient_name,
    parse_store,
    render_store,
    render_within,
)
from asyncsecrets.references import fault_of

BASE64 = st.sampled_from(["AbC0+/=", "=", "x" * 64])
CIPHERTEXTS = st.lists(BASE64, min_size=1, max_size=3).map(
    lambda lines: "\n".join(["-----BEGIN AGE ENCRYPTED FILE-----", *lines, "-----END AGE ENCRYPTED FILE-----", ""])
)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=0)
)
SIGNS = st.sampled_from("-.:/@+!#%&*?'\"|>[]{}<=~`\\, \xe4\U0001f511")
ANY = st.text(st.characters(exclude_categories=()) | SIGNS, max_size=12).filter(lambda name: not fault_of(name))
NAMES = ANY | st.sampled_from(
    [
        "x" * 1024,
        "a." * 127,
        "a b " * 100 + "c",
        "\U0001f511 " * 200 + "x",
        "<<",
        "=",
        "? a",
        "- a",
        "# a",
        "/prod/db",
        "rds!db-1",
        " a ",
        "true",
        "NO",
        "null",
        "0x1F",
        "1_000",
        "12:34:56",
        "1.5",
        "2026-01-02",
        "y",
        "a:",
        "a::b",
        "0",
    ]
)
NUMBERS = st.integers(1, 999_999_999)
ENTRIES = st.builds(Entry, NUMBERS, TIMES, CIPHERTEXTS, st.none() | TIMES) | st.builds(
    Entry, NUMBERS, TIMES, st.just(""), st.none(), TIMES
)
HISTORIES = st.lists(ENTRIES, min_size=1, max_size=3, unique_by=lambda entry: entry.version).map(
    lambda entries: tuple(sorted(entries, key=lambda entry: entry.version))
)
PEOPLE = st.builds(
    Recipient,
    st.sampled_from(["age1" + letter * 58 for letter in "0qz"]),
    st.just("")
    | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 _.@+/-]{0,9}[A-Za-z0-9]", fullmatch=True).filter(is_recipient_name),
)
RECIPIENTS = st.lists(PEOPLE, min_size=1, max_size=3).map(tuple)
STORES = st.builds(Store, RECIPIENTS, st.dictionaries(NAMES, HISTORIES, max_size=4), st.just(0) | NUMBERS)


@settings(deadline=None)  # a busy machine is no failure
@given(STORES)
def test_parse_and_render_are_inverses(store):
    """What is written is read back as it was, and written again as the same bytes."""
    data = render_store(store)
    assert parse_store(data, origin="store") == store
    assert render_store(parse_store(data, origin="store")) == data


@settings(deadline=None)
@given(STORES, ENTRIES)
def test_size_of_an_entry(store, entry):
    """It is what the file grows by, or a little less: long names, marks and numbers are not counted."""
    for name, entries in store.secrets.items():
        more = replace(store, secrets={**store.secrets, name: (*entries, entry)})
        grown = len(render_store(more)) - len(render_store(store))
        assert entry.size <= grown <= entry.size + 60 + 2 * entry.value.count("\n")


@settings(deadline=None)
@given(STORES, st.floats(0, 1))
def test_old_versions_make_room(store, share):
    """Old versions go until the file fits, oldest first; the newest of each secret stays, and numbers are not lost."""
    whole, least = (
        render_store(store),
        replace(store, secrets={name: kept[-1:] for name, kept in store.secrets.items()}),
    )
    smallest = len(render_store(least))
    limit = smallest + int((len(whole) - smallest) * share)
    fitted = parse_store(render_within(store, limit, origin="store"), origin="store")
    assert len(render_store(fitted)) <= limit
    assert {name: store.secrets[name][-len(kept) :] for name, kept in fitted.secrets.items()} == fitted.secrets
    assert set(fitted.secrets) == set(store.secrets)
    assert render_within(store, len(whole), origin="store") == whole
    with pytest.raises(UnsupportedOperationError, match="store cannot grow"):
        render_within(store, smallest - 1, origin="store")


def test_the_largest_history_goes_first():
    """Not more goes than must, and from whom it hurts least."""
    time = datetime(2026, 1, 2, tzinfo=UTC)
    large, small = "x" * 1000, "x" * 100
    histories = {"A": [small] * 4, "B": [large] * 4, "C": [large] * 3, "D": [large]}
    store = Store(
        (Recipient("age1"),),
        {
            name: tuple(Entry(number, time, value) for number, value in enumerate(values, 1))
            for name, values in histories.items()
        },
    )
    left = {
        excess: {name: len(kept) for name, kept in store.with_fewer(excess).secrets.items()}
        for excess in (1, 1500, 3000, 10**6)
    }
    assert left[1] == {"A": 4, "B": 3, "C": 3, "D": 1}
    assert left[1500] == {"A": 4, "B": 2, "C": 3, "D": 1}
    assert left[3000] == {"A": 4, "B": 2, "C": 2, "D": 1}
    assert left[10**6] == dict.fromkeys("ABCD", 1)


@settings(deadline=None)
@given(STORES)
def test_every_yaml_reader_sees_texts(store):
    """A reader that converts types (the usual one) sees the same names: what looks like a number is quoted."""
    document = yaml.safe_load(render_store(store))
    assert list(document["secrets"]) == sorted(store.secrets)


@settings(deadline=None)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_arbitrary_bytes(data):
    """Whatever the bytes are, they are a store or a ConfigError."""
    try:
        parse_store(data, origin="store")
    except ConfigError as error:
        assert str(error).startswith("store")  # noqa: PT017  # most inputs raise, some may not


SCALARS = st.text(max_size=5) | st.sampled_from(["1", "asyncsecrets-local-1", "2026-01-02T03:04:05Z"])
KEYS = st.sampled_from(
    [
        "format",
        "recipients",
        "secrets",
        "NAME",
        "version",
        "created",
        "value",
        "deleted",
        "destroyed",
        "destroyed_versions",
        "key",
        "name",
    ]
)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


@settings(deadline=None)
@given(DOCUMENTS, st.sampled_from(["format", "recipients", "secrets", "destroyed_versions"]))
def test_arbitrary_documents(part, where):
    """A good file with any structure in one place is a store or a ConfigError."""
    document = {"format": "asyncsecrets-local-1", "recipients": ["age1" + "q" * 58], "secrets": {}, where: part}
    try:
        store = parse_store(yaml.safe_dump(document).encode(), origin="store")
    except ConfigError:
        return
    assert all(not fault_of(name) and entries for name, entries in store.secrets.items())
