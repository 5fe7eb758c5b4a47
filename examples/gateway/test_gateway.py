"""The gateway, tested as any program that keeps secrets: no Vault, no waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from gateway import app

from asyncsecrets.errors import AccessDeniedError, InvalidNameError, ResolveError
from asyncsecrets.testing.kit.clocks import SecretsClock
from asyncsecrets.testing.kit.fakes import FakeSecrets
from asyncsecrets.testing.kit.leaks import LeakWatch

MASTER = "mk-example-9f2c41d07b"


class Gateway:
    """The app, with a client of it."""

    def __init__(self, http: TestClient) -> None:
        self.http = http

    def do(self, path: str, key: str = MASTER, /, **body: object) -> Any:
        """Have the administrator do something."""
        return self.http.post(path, json=body, headers={"Authorization": f"Bearer {key}"})

    def issue(self, alias: str = "team-a") -> str:
        """Return a new key."""
        answer = self.do("/keys", alias=alias)
        assert answer.status_code == 201
        key: str = answer.json()["key"]
        return key

    def check(self, key: str) -> int:
        """Return the status of a check."""
        return self.http.get("/check", headers={"Authorization": f"Bearer {key}"}).status_code


@pytest.fixture(autouse=True)
def configuration(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The gateway's own configuration."""
    monkeypatch.setenv("ASYNCSECRETS_CONFIG", str(request.path.with_name("config.yaml")))


@pytest.fixture
def gateway(fake_secrets: FakeSecrets) -> Iterator[Gateway]:
    """The gateway, started."""
    fake_secrets.set("GATEWAY_MASTER_KEY", MASTER)
    with TestClient(app) as http:
        yield Gateway(http)


def test_life_of_a_key(gateway: Gateway) -> None:
    """Issued, checked, listed, revoked."""
    key = gateway.issue("team a/ü")
    answer = gateway.http.get("/check", headers={"Authorization": f"Bearer {key}"})
    assert answer.json() == {"alias": "team a/ü", "until": None}
    assert answer.headers["x-key-alias"] == "team%20a%2F%C3%BC"
    assert gateway.http.get("/keys", headers={"Authorization": f"Bearer {MASTER}"}).json() == ["team a/ü"]
    assert gateway.do("/keys/revoke", alias="team a/ü").status_code == 204
    assert gateway.check(key) == 401
    assert gateway.do("/keys/revoke", alias="team a/ü").status_code == 204


def test_rotation(gateway: Gateway, secrets_clock: SecretsClock) -> None:
    """Both keys are accepted for the grace, and not longer."""
    old = gateway.issue()
    answer = gateway.do("/keys/rotate", alias="team-a", grace=600)
    new = answer.json()["key"]
    assert (gateway.check(old), gateway.check(new)) == (200, 200)
    until = gateway.http.get("/check", headers={"Authorization": f"Bearer {old}"}).json()["until"]
    assert until == answer.json()["previous_until"]
    secrets_clock.move(601)
    assert (gateway.check(old), gateway.check(new)) == (401, 200)


def test_a_key_that_was_leaked(gateway: Gateway) -> None:
    """Without grace it ends at once."""
    old = gateway.issue()
    new = gateway.do("/keys/rotate", alias="team-a", grace=0).json()["key"]
    assert (gateway.check(old), gateway.check(new)) == (401, 200)


def test_a_check_asks_nobody(gateway: Gateway, fake_secrets: FakeSecrets) -> None:
    """Not the first one either: every key was read at the start."""
    key = gateway.issue()
    with TestClient(app) as http:
        before = len(fake_secrets.calls)
        assert [Gateway(http).check(key) for _ in range(50)] == [200] * 50
        assert len(fake_secrets.calls) == before


def test_guesses_cost_one_list(gateway: Gateway, fake_secrets: FakeSecrets, secrets_clock: SecretsClock) -> None:
    """A second, however many there are."""
    secrets_clock.move(2)
    before, begun = fake_secrets.count(operation="list"), time.monotonic()
    assert [gateway.check(f"sk-guess-{number}") for number in range(50)] == [401] * 50
    assert fake_secrets.count(operation="list") - before <= 2 + int(time.monotonic() - begun)


def test_another_process(gateway: Gateway, fake_secrets: FakeSecrets, secrets_clock: SecretsClock) -> None:
    """What it changes is seen within the refresh interval."""
    old = gateway.issue()
    new = fake_secrets.rotate("gateway/team-a")
    assert gateway.check(old) == 200
    secrets_clock.move(31)
    assert (gateway.check(old), gateway.check(new.reveal())) == (401, 200)


def test_outage(gateway: Gateway, fake_secrets: FakeSecrets, secrets_clock: SecretsClock) -> None:
    """Keys are checked as ever; what needs the store says when to come again, and is no refusal."""
    key = gateway.issue()
    secrets_clock.move(2)
    with fake_secrets.fail():
        assert gateway.check(key) == 200
        answers = [
            gateway.http.get("/check", headers={"Authorization": "Bearer sk-guess"}),
            gateway.do("/keys", alias="team-b"),
            gateway.do("/keys/rotate", alias="team-a"),
            gateway.do("/keys/revoke", alias="team-a"),
        ]
        assert [answer.status_code for answer in answers] == [503] * 4
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        assert gateway.http.get("/readyz").status_code == 200
    fake_secrets.recover()
    assert gateway.check(key) == 200
    assert gateway.do("/keys", alias="team-b").status_code == 201


def test_a_rotation_that_stops_half_way(
    gateway: Gateway, fake_secrets: FakeSecrets, secrets_clock: SecretsClock
) -> None:
    """The old key is accepted meanwhile, and the same request finishes it."""
    old = gateway.issue()
    fake_secrets.fail("gateway/team-a", operation="put", error=AccessDeniedError)
    answer = gateway.do("/keys/rotate", alias="team-a")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "120")
    fake_secrets.recover()
    assert gateway.do("/keys/rotate", alias="team-a").status_code == 409
    assert gateway.check(old) == 200
    secrets_clock.move(121)
    new = gateway.do("/keys/rotate", alias="team-a").json()["key"]
    assert (gateway.check(old), gateway.check(new)) == (200, 200)


def test_nobody_else_administers(gateway: Gateway) -> None:
    """Whatever is like the master key, or like a header. And it is nobody's key."""
    for key in ("", "sk-guess", MASTER[:-1], f"{MASTER}x", f" {MASTER}x", "\u00fc", "Bearer", f"{MASTER}\u00e9"):
        headers = {b"Authorization": f"Bearer {key}".encode("latin-1")}
        for path in ("/keys", "/keys/rotate", "/keys/revoke"):
            answer = gateway.http.post(path, json={"alias": "team-a"}, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert gateway.http.get("/keys", headers=headers).status_code == 401
        assert gateway.http.get("/check", headers=headers).status_code == 401


def test_keys_and_the_master_key_are_two_things(gateway: Gateway) -> None:
    """Neither does what the other is for; and a key is taken from nowhere but its header."""
    key = gateway.issue()
    assert gateway.do("/keys", key, alias="team-b").status_code == 401
    assert gateway.check(MASTER) == 401
    assert gateway.http.get("/check", params={"key": key, "authorization": f"Bearer {key}"}).status_code == 401


def test_the_master_key_is_rotated(gateway: Gateway, fake_secrets: FakeSecrets, secrets_clock: SecretsClock) -> None:
    """The new one counts without a restart. One that is empty, or gone, lets nobody in."""
    fake_secrets.rotate("GATEWAY_MASTER_KEY", "mk-example-another-one")
    secrets_clock.move(31)
    assert gateway.do("/keys", alias="team-a").status_code == 401
    assert gateway.do("/keys", "mk-example-another-one", alias="team-a").status_code == 201
    fake_secrets.set("GATEWAY_MASTER_KEY", "")
    assert gateway.do("/keys", "", alias="team-b").status_code == 401
    fake_secrets.remove("GATEWAY_MASTER_KEY")
    assert gateway.do("/keys", alias="team-b").status_code == 503


def test_what_cannot_be_issued(gateway: Gateway) -> None:
    """Says so, and stores nothing."""
    gateway.issue()
    assert gateway.do("/keys", alias="team-a").status_code == 409
    bodies: list[dict[str, object]] = [
        {"alias": "x" * 201},
        {"alias": ""},
        {"alias": 7},
        {},
        {"alias": "b", "key": "k"},
    ]
    assert [gateway.do("/keys", **body).status_code for body in bodies] == [422] * 5
    assert gateway.http.get("/keys", headers={"Authorization": f"Bearer {MASTER}"}).json() == ["team-a"]


def test_an_alias_that_the_store_cannot_have(gateway: Gateway, fake_secrets: FakeSecrets) -> None:
    """Azure has no name of more than 127 characters."""
    fake_secrets.fail("gateway/team-b", error=InvalidNameError)
    assert gateway.do("/keys", alias="team-b").status_code == 422


def test_what_is_no_request(gateway: Gateway) -> None:
    """A refusal, and no error of the server."""
    headers = {"Authorization": f"Bearer {MASTER}", "Content-Type": "application/json"}
    for text in ('{"alias": "\\ud800"}', '{"alias": "team-a", "grace": NaN}', "{", "", "[]"):
        assert gateway.http.post("/keys/rotate", content=text, headers=headers).status_code == 422


def test_what_cannot_be_rotated(gateway: Gateway) -> None:
    """An alias without a key; a grace that is none. A misspelt one is not taken for an hour."""
    gateway.issue()
    assert gateway.do("/keys/rotate", alias="team-b").status_code == 404
    for wrong in ({"grace": -1}, {"grace": 1e9}, {"grace": True}, {"grace": "60"}, {"grcae": 0}):
        assert gateway.do("/keys/rotate", alias="team-a", **wrong).status_code == 422


def test_nothing_leaks(gateway: Gateway, assert_no_secret_leaks: LeakWatch) -> None:
    """A key is in the one answer that issues it, which nobody may keep; none is in a log, or repeated in an error."""
    answer = gateway.do("/keys", alias="team-a")
    assert answer.headers["cache-control"] == "no-store"
    key = answer.json()["key"]
    assert_no_secret_leaks(gateway.http.get("/check", headers={"Authorization": f"Bearer {key}"}))
    assert_no_secret_leaks(gateway.do("/keys", alias="team-a"))
    assert_no_secret_leaks(gateway.do("/keys", alias=[key], key=key, **{key: 1}))
    assert gateway.do("/keys/rotate", alias="team-a").headers["cache-control"] == "no-store"
    assert_no_secret_leaks(gateway.do("/keys/revoke", alias="team-a"))
    assert_no_secret_leaks(gateway.http.get("/check", headers={"Authorization": f"Bearer {key}"}))


@pytest.mark.usefixtures("fake_secrets")
def test_it_does_not_start_without_its_master_key() -> None:
    """Rather than with a door that nobody can open."""
    with pytest.raises(ResolveError, match="GATEWAY_MASTER_KEY"), TestClient(app):
        pass
