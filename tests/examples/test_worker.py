"""The example without a web server: it follows its key, and ends when it is told to."""

from __future__ import annotations

import hashlib
import hmac
import signal
import subprocess

import pytest

from tests.examples.serving import EXAMPLES, Store, run


def signature(key: str, line: str) -> str:
    """What it prints for a line."""
    return hmac.new(key.encode(), line.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def store():
    """Where its key is."""
    with Store({"SIGNING_KEY": "canary-0"}) as store:
        yield store


@pytest.fixture
def worker(store):
    """It, with a pipe to write lines to."""
    with run(["worker.py"], EXAMPLES / "worker", store, stdin=subprocess.PIPE) as worker:
        yield worker


def give(worker, line):
    """Have a line signed."""
    worker.process.stdin.write(f"{line}\n")
    worker.process.stdin.flush()


def is_signed_with(worker, key, line):
    """Wait until a line is signed with that key; it may be some that are signed with the one before."""

    def signed():
        give(worker, line)
        return signature(key, line) in worker.said

    worker.wait(signed, "a line is signed with the new key")


def test_it_follows_its_key_lives_through_an_outage_and_ends_by_sigterm(store, worker):
    """What it opened is closed then, or there would be warnings in its output."""
    give(worker, "first")
    worker.says(signature("canary-0", "first"))
    store.rotate("SIGNING_KEY", "canary-1")
    is_signed_with(worker, "canary-1", "second")
    store.die()
    worker.says("is stale")
    give(worker, "in the outage")
    worker.says(signature("canary-1", "in the outage"))
    store.rotate("SIGNING_KEY", "canary-2")
    store.come_back()
    is_signed_with(worker, "canary-2", "third")
    assert worker.end() == 0
    assert "Error:" not in worker.said.replace("UnavailableError:", "")


def test_ctrl_c_does_as_well_and_so_does_the_end_of_its_input(store, worker):
    """The other two ends."""
    give(worker, "first")
    worker.says(signature("canary-0", "first"))
    worker.process.send_signal(signal.SIGINT)
    assert worker.process.wait(30) == 0
    with run(["worker.py"], EXAMPLES / "worker", store, stdin=subprocess.PIPE) as other:
        other.process.stdin.write("last\n")
        other.process.stdin.close()
        assert other.process.wait(30) == 0
        assert signature("canary-0", "last") in other.said
