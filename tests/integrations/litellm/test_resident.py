"""A client on a thread of its own: open before anybody reads, shared by all threads, there again after a fork."""

from __future__ import annotations

import os
import threading

import pytest

from asyncsecrets.errors import ClosedError, ResolveError, SecretNotFoundError


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "asyncsecrets"]


def test_what_is_to_be_done_first_is_done_when_start_returns(reside, manager):
    """Nobody reads before the client is open and has read what it is to read."""
    resident = reside(manager, lambda: resident.client.warm_up(["KEY"]))
    resident.start()
    assert resident.client.peek("KEY").reveal() == "canary-1"
    assert len(threads()) == 1
    resident.start()
    assert len(threads()) == 1


def test_a_start_that_fails_says_why_and_leaves_nothing(reside, manager):
    """The error is the reader's own, and the thread has ended."""
    resident = reside(manager, lambda: resident.client.warm_up(["NOWHERE"]))
    with pytest.raises(ResolveError) as caught:
        resident.start()
    assert set(caught.value.failures) == {"NOWHERE"}
    assert threads() == []
    assert manager.closed == manager.opened == 1


def test_what_fails_there_is_raised_here(reside, manager):
    """An error crosses the threads without a frame of theirs."""
    resident = reside(manager)
    with pytest.raises(SecretNotFoundError) as caught:
        resident.begin(lambda: resident.client.get("NOWHERE")).result(5)
    assert caught.value.name == "NOWHERE"


def test_many_threads_start_one_client(reside, manager):
    """Whoever comes first starts it; the others wait until it is there."""
    resident = reside(manager, lambda: resident.client.warm_up(["KEY"]))
    seen: list[object] = []

    def read() -> None:
        resident.start()
        seen.append(resident.client.peek("KEY"))

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(10)
    assert len(seen) == 8
    assert None not in seen
    assert manager.opened == 1


def test_nothing_is_asked_of_one_that_is_closed(reside, manager):
    """The process is ending; a reader that is late is told so, and starts nothing."""
    resident = reside(manager)
    resident.start()
    resident.close()
    assert threads() == []
    assert manager.closed == 1
    with pytest.raises(ClosedError, match="ending"):
        resident.begin(lambda: resident.client.get("KEY"))
    resident.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_the_client_goes_on_with_its_values(reside, manager):
    """The child starts a thread of its own, asks for nothing that the parent had, and answers."""
    resident = reside(manager, lambda: resident.client.warm_up(["KEY"]))
    resident.start()
    asked, here = len(manager.calls), resident.begin(lambda: resident.client.get("OTHER"))
    here.result(5)
    child = os.fork()
    if not child:
        code = 1
        try:
            resident.start()
            warm = resident.client.peek("KEY").reveal() == "canary-1"
            other = resident.begin(lambda: resident.client.get("OTHER")).result(5).reveal() == "canary-other"
            code = 0 if warm and other and len(manager.calls) == asked + 1 else 2
            resident.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert resident.begin(lambda: resident.client.get("KEY")).result(5).reveal() == "canary-1"
