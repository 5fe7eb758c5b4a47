"""Whatever bytes an answer holds, the outcome is a secret or one of our errors, and no byte of it is in the error."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncsecrets.errors import AsyncSecretsError, MalformedResponseError
from asyncsecrets.providers.vault import VaultSettings
from asyncsecrets.providers.vault.documents import keys_of, metadata_of
from asyncsecrets.providers.vault.errors import Answer, Call
from asyncsecrets.providers.vault.http import _http_date, _seconds
from asyncsecrets.providers.vault.kv1 import KV1
from asyncsecrets.providers.vault.kv2 import KV2
from asyncsecrets.providers.vault.paths import Paths

from .raw import document, secret

PATHS = Paths(VaultSettings(addr="https://vault.test", token="canary"))
CANARY = "canary-5c1"
TIMES = st.sampled_from(
    ["2026-01-01T00:00:00", "2026-01-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "24:00", "x"]
)
SCALARS = TIMES | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(CANARY)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
ABOUT = {"created_time": "2026-01-02T03:04:05Z", "deletion_time": "", "destroyed": False}
METADATA = {"current_version": 1, "versions": {"1": ABOUT}, "custom_metadata": {"owner": CANARY}, "max_versions": 0}
BODIES = [
    secret({"key": CANARY}),
    secret({"a": CANARY, "b": 1}),
    document(METADATA),
    document({"keys": [CANARY, "b/"]}),
]
BODIES += [{"errors": []}, {"errors": [CANARY]}, secret(None, deletion_time="2026-01-01T00:00:00Z")]
BODIES += [document({**ABOUT, "version": 1})]  # what a patch of a deleted version answers


@st.composite
def changed(draw):
    """One of the usual documents with one member, at any depth, replaced or removed."""
    body = json.loads(json.dumps(draw(st.sampled_from(BODIES))))
    here = body
    for _ in range(draw(st.integers(0, 3))):
        inner = [value for value in here.values() if isinstance(value, dict) and value]
        here = draw(st.sampled_from(inner)) if inner else here
    key = draw(st.sampled_from(sorted(here)))
    if draw(st.booleans()):
        here[key] = draw(VALUES)
    else:
        del here[key]
    return json.dumps(body).encode()


@st.composite
def damaged(draw):
    """The bytes of one of the usual documents, some of them replaced."""
    body = bytearray(json.dumps(draw(st.sampled_from(BODIES))).encode())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(body)


class Client:
    """Answers every call alike."""

    def __init__(self, status, body):
        self.answer = Answer(status, body)

    async def call(self, call):
        return self.answer


STATUSES = st.sampled_from([200, 200, 200, 204, 400, 403, 404, 404, 429, 500, 503])


@settings(deadline=None)  # a busy machine is no failure
@given(STATUSES, changed() | damaged() | st.binary(max_size=60))
async def test_any_answer(status, body):
    """Reads, writes, lists and metadata of any answer end in a value or in one of our errors."""
    client = Client(status, body)
    kv2, kv1 = KV2(client, PATHS, now=lambda: datetime(2026, 1, 2, tzinfo=UTC)), KV1(client, PATHS)
    calls = [kv2.get("a"), kv2.get("a", "1"), kv2.put("a", {"key": "v"}), kv2.patch("a", {}), kv2.delete("a")]
    calls += [kv2.metadata("a"), kv2.versions("a"), kv1.get("a"), kv1.put("a", {"key": "v"}), parsed(client.answer)]
    calls += [kv2.restore("a", None), kv2.restore("a", ["1", "2"]), kv2.destroy("a", ["1"]), kv2.destroy("a", None)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(error, AsyncSecretsError) for error in errors)
    assert CANARY not in repr([(error.args, vars(error)) for error in errors])
    assert all(error.__cause__ is error.__context__ is None for error in errors)


async def parsed(answer):
    """The parsers of success, whatever the status."""
    call = Call("list", "GET", PATHS.folder("", "metadata", "list=true"))
    assert isinstance(keys_of(call, answer), list)
    metadata_of(call, answer, lambda: datetime(2026, 1, 2, tzinfo=UTC))


HEADERS = st.text(max_size=40) | st.builds(
    "Thu, {} {} {} {}:{}:{} {}".format,
    *[st.integers(-1, 10**12), st.sampled_from(["Jan", "Foo"]), st.integers(-1, 10**20)],
    *[st.integers(-1, 10**12)] * 3,
    st.sampled_from(["GMT", "", "+2400", "-9999", "+99999999999999"]),
)


@settings(deadline=None)
@given(HEADERS)
@example("Thu, 01 Jan 9999 00:00:00 GMT")
@example("Thu, 01 Jan 2026 00:00:00 +99999999999999")
@example("Thu, 01 Jan 99999999999999999999 00:00:00 GMT")
def test_any_time(text):
    """Whatever a header holds for a time is a time that can be reckoned with, or none."""
    seconds = _seconds(text, lambda: datetime(2026, 1, 2, tzinfo=UTC))
    assert seconds is None or seconds >= 0
    date = _http_date(text)
    answer = Answer(200, json.dumps(document(METADATA)).encode(), date=date)
    call = Call("metadata", "GET", PATHS.folder("", "metadata", ""))
    assert metadata_of(call, answer, lambda: datetime(2026, 1, 2, tzinfo=UTC)).current_version == "1"


def test_times_without_a_zone():
    """A time that names no zone is UTC, and can be compared with one that does."""
    about = {"1": {**ABOUT, "created_time": "2026-01-01T00:00:00", "deletion_time": "2026-01-01T12:00:00"}}
    answer = Answer(200, json.dumps(document({**METADATA, "versions": about})).encode())
    call = Call("metadata", "GET", PATHS.folder("", "metadata", ""))
    for hour, state in ((11, "enabled"), (13, "deleted")):
        found = metadata_of(call, answer, lambda at=hour: datetime(2026, 1, 1, at, tzinfo=UTC))
        assert found.versions[0].state == state
        assert found.versions[0].created == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "1.5", "", "\u0661", "x"])
def test_version_numbers_that_are_none(number):
    """What is no number, or more than one can count to, is MalformedResponseError."""
    answer = Answer(200, json.dumps(document({**METADATA, "versions": {number: ABOUT}})).encode())
    call = Call("metadata", "GET", PATHS.folder("", "metadata", ""))
    with pytest.raises(MalformedResponseError):
        metadata_of(call, answer, lambda: datetime(2026, 1, 2, tzinfo=UTC))
