"""A server killed, sealed, unsealed and restarted under load; tokens that live for moments under load.

The short forms of ``python -m benchmarks.vault_chaos`` and ``python -m benchmarks.vault_short_tokens``.
"""

from __future__ import annotations

import os

import pytest

from asyncsecrets.testing.vault_server import VaultServer
from benchmarks.vault_chaos import Chaos, Entry, Scale, run
from benchmarks.vault_servers import Binary, Dev
from benchmarks.vault_short_tokens import measure

from .conftest import REAL

SHORT = Scale(readers=40, names_per_writer=3, beat=0.25, rounds=1)
ROLES = {
    "renewable": {"token_ttl": "1s", "token_max_ttl": "2s"},
    "batch": {"token_ttl": "1s", "token_type": "batch"},
}


@pytest.mark.parametrize("kind", [Dev, *([Binary] if os.environ.get("BENCH_VAULT") else [])])
async def test_a_server_in_trouble(kind):
    """No reader sees an error; no acknowledged write is lost; none is there that was said to have failed."""
    report = await run(kind, SHORT)
    assert report.faults() == {}
    # There was trouble, and there was work.
    assert report.reads_in_trouble
    assert report.renewal_failures
    assert report.failed_with["UnavailableError"]
    assert report.acknowledged > SHORT.writers * SHORT.names_per_writer
    assert report.versions == report.acknowledged + report.unknown_there
    if kind is Dev:  # which applies writes that it does not answer
        assert report.unknown_there


def test_the_judge_finds_what_is_wrong():
    """Each kind of broken promise is found: so an empty report says something."""
    chaos = Chaos(Dev, SHORT)
    chaos.ledger = [
        Entry("kept", 1, "acknowledged", "1"),
        Entry("kept", 2, "unknown"),
        Entry("lost", 1, "acknowledged", "1"),
        Entry("elsewhere", 1, "acknowledged", "2"),
        Entry("failed", 1, "failed"),
        Entry("twice", 1, "acknowledged", "1"),
        Entry("back", 2, "acknowledged", "1"),
    ]
    stored = {"kept": {"1": 1, "2": 2}, "lost": {}, "elsewhere": {"1": 1}, "failed": {"1": 1}}
    chaos._judge(stored | {"twice": {"1": 1, "2": 1}, "back": {"1": 2, "2": 1}})
    found = {promise: [each.split()[0].rstrip(":") for each in what] for promise, what in chaos.report.faults().items()}
    assert found == {
        "lost": ["lost", "elsewhere"],
        "failed_but_there": ["failed"],
        "twice": ["twice"],
        "out_of_order": ["back"],
    }
    assert (chaos.report.unknown, chaos.report.unknown_there) == (1, 1)


@pytest.mark.parametrize("role", ROLES)
async def test_short_tokens(role):
    """No read fails while tokens of one second are renewed and replaced; nothing is cached or tried again."""
    async with VaultServer(root_token="canary-root") as server:
        report = await measure(server.url, server.root_token, ROLES[role], 2.3)
    judge(report, role)


@pytest.mark.skipif(not REAL, reason="no real server is named")
@pytest.mark.parametrize("role", ROLES)
async def test_short_tokens_of_a_real_server(role):
    """The same of a real server, whose clock is not ours."""
    judge(await measure(os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"], ROLES[role], 6.0), role)


def judge(report, role):
    """All reads were answered, and there was a reason to fear that they would not be."""
    assert not report.errors
    assert report.reads
    assert report.logins >= 2
    assert (report.renewals > 0) == (role == "renewable")
