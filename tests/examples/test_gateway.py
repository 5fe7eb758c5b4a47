"""The gateway as two processes beside one store: keys live on through its death, are rotated with a grace, and revoked
at once where that is asked for, and soon in the other process."""

from __future__ import annotations

import pytest

from tests.examples.serving import EXAMPLES, Store, started, until

COMMAND = ["-m", "uvicorn", "gateway:app", "--port", "0"]
MASTER = {"authorization": "Bearer canary-master"}


def bearer(key):
    """The header of a request with it."""
    return {"authorization": f"Bearer {key}"}


def check(app, key):
    """The status of a check."""
    return app.get("/check", **bearer(key)).status


@pytest.fixture
def store():
    """Where the keys are."""
    with Store({"GATEWAY_MASTER_KEY": "canary-master"}) as store:
        yield store


@pytest.fixture
def processes(store):
    """The gateway, twice."""
    folder = EXAMPLES / "gateway"
    with started(COMMAND, folder, store) as one, started(COMMAND, folder, store) as other:
        yield one, other


def test_life_of_a_key_in_two_processes(store, processes):
    """And no key is in what either of them has said."""
    one, other = processes
    key = one.post("/keys", {"alias": "team-a"}, **MASTER).json["key"]
    other.wait(lambda: check(other, key) == 200, "a key that the first has issued is accepted by the second")

    with one.stream("/check", **bearer(key)) as first, other.stream("/check", **bearer(key)) as second:
        store.die()
        for app in processes:
            app.wait(lambda app=app: "is stale" in app.said, "it says that a renewal has failed")
        assert one.get("/check", **bearer("sk-guess")).status == 503
        refused = one.post("/keys", {"alias": "team-b"}, **MASTER)
        assert (refused.status, int(refused.headers["retry-after"]) >= 1) == (503, True)
        before = first.made, second.made
        until(lambda: first.made > before[0] + 10 and second.made > before[1] + 10, "keys are checked in the outage")
        store.come_back()
        one.wait(lambda: check(one, "sk-guess") == 401, "it knows again who is nobody")
        rotated = one.post("/keys/rotate", {"alias": "team-a"}, **MASTER).json
        assert (check(one, key), check(one, rotated["key"])) == (200, 200)
        other.wait(lambda: check(other, rotated["key"]) == 200, "the second process accepts the new key")
    assert (first.failed, second.failed) == ([], [])

    assert one.post("/keys/revoke", {"alias": "team-a"}, **MASTER).status == 204
    assert [check(one, revoked) for revoked in (key, rotated["key"])] == [401, 401]
    for revoked in (key, rotated["key"]):
        other.wait(lambda revoked=revoked: check(other, revoked) == 401, "the second process has heard of it")
    is_shown = any(shown in app.said for app in processes for shown in (key, rotated["key"]))
    assert not is_shown, "a key is in the output (not repeated here)"
