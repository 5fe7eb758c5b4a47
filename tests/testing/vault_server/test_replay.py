"""The dev server answers as a real OpenBao did: every recorded exchange, in order."""

from __future__ import annotations

import ssl
import time

import pytest
import trustme

from asyncsecrets.testing.vault_server import VaultServer

from .replay import STEPS, TLS_GROUP, Answer, Clock, Replayer, Signer, differences, service_account, token_review

# Steps that the dev server answers otherwise, by index, with the reason.
UNSUPPORTED: dict[int, str] = {}


def _values(signer: Signer, now: float, host: str, service_token: str) -> dict[str, str]:
    claims = {"iss": "tests", "sub": "app", "iat": now}
    return {
        "good_jwt": signer.token(**claims, aud="vault", exp=now + 3600),
        "expired_jwt": signer.token(**{**claims, "iat": now - 7200}, aud="vault", exp=now - 3600),
        "other_aud_jwt": signer.token(**claims, aud="other", exp=now + 3600),
        "pubkey": signer.public_pem,
        "sa_jwt": service_token,
        "bad_sa_jwt": service_account(Signer(), now),
        "k8s_host": host,
        "any_ca": trustme.CA().cert_pem.bytes().decode(),
    }


def _replay_plain() -> dict[int, Answer]:
    clock, signer = Clock(time.time()), Signer()
    service_token = service_account(signer, clock.now)
    with token_review(service_token) as host, VaultServer(clock=clock).run_in_thread() as server:
        replayer = Replayer(server, clock, _values(signer, clock.now, host, service_token))
        return {at: replayer.run(step) for at, step in enumerate(STEPS) if step["group"] != TLS_GROUP}


def _replay_tls() -> dict[int, Answer]:
    clock = Clock(time.time())
    with VaultServer(clock=clock, tls=True).run_in_thread() as server:
        certificate = server.client_certificate("web")
        bare = ssl.create_default_context(cafile=server.ca_file)
        own = ssl.create_default_context(cafile=server.ca_file)
        own.load_cert_chain(certificate.cert_file, certificate.key_file)
        contexts = {"no client certificate": bare, "client certificate": own}
        replayer = Replayer(server, clock, {"client_pem": certificate.pem}, contexts)
        return {at: replayer.run(step) for at, step in enumerate(STEPS) if step["group"] == TLS_GROUP}


@pytest.fixture(scope="module")
def answers() -> dict[int, Answer]:
    """What the dev server answers to every recorded request."""
    return _replay_plain() | _replay_tls()


def _name(at: int) -> str:
    request = STEPS[at]["request"]
    return f"{at}-{STEPS[at]['group']}-{request['method']}-{request['path']}".replace(" ", "_")


@pytest.mark.parametrize("at", range(len(STEPS)), ids=_name)
def test_the_answer_is_alike(answers: dict[int, Answer], at: int) -> None:
    """Status, headers, error texts, keys, types and literal values are those of the recording."""
    found = differences(STEPS[at], answers[at])
    if at in UNSUPPORTED:
        assert found, f"step {at} is answered alike by now: take it out of the table"
    else:
        assert found == []


def test_the_recording_is_whole() -> None:
    """All 250 exchanges are replayed, and what is unsupported is a small part of them."""
    assert len(STEPS) == 250
    assert len(UNSUPPORTED) <= 5
