"""Whatever bytes an answer holds, the outcome is a secret or one of our errors, and no byte of it is in the error."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets.errors import AsyncSecretsError
from asyncsecrets.providers.vault import VaultSettings
from asyncsecrets.providers.vault.documents import keys_of, metadata_of
from asyncsecrets.providers.vault.errors import Answer, Call
from asyncsecrets.providers.vault.kv1 import KV1
from asyncsecrets.providers.vault.kv2 import KV2
from asyncsecrets.providers.vault.paths import Paths

from .raw import document, secret

PATHS = Paths(VaultSettings(addr="https://vault.test", token="canary"))
CANARY = "canary-5c1"
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(CANARY)
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
