"""Renewing credentials, on a clock of our own: ahead of time, once for all who wait, and ever more seldom in vain."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from datetime import UTC, datetime

import pytest
from botocore.credentials import Credentials, DeferredRefreshableCredentials

from asyncsecrets.errors import AuthenticationError, UnavailableError
from asyncsecrets.providers.aws.refusals import Call
from asyncsecrets.providers.aws.signing import SigningCredentials
from tests.operators import listening


class Chain:
    """A chain whose sessions last `lifetime` seconds by a clock that is moved by hand."""

    def __init__(self, lifetime=3600.0):
        self.now = 1_000_000.0
        self.lifetime = lifetime
        self.loads = 0
        self.renewals = 0
        self.fail = False

    def clock(self):
        return self.now

    def _time(self):
        return datetime.fromtimestamp(self.now, UTC)

    def load(self):
        self.loads += 1
        return DeferredRefreshableCredentials(self._refresh, "test", time_fetcher=self._time)

    def _refresh(self):
        if self.fail:
            raise ConnectionResetError
        self.renewals += 1
        expires = datetime.fromtimestamp(self.now + self.lifetime, UTC).isoformat()
        return {"access_key": f"AKIA{self.renewals}", "secret_key": "canary", "token": "canary", "expiry_time": expires}


async def settle(credentials):
    if credentials._renewal is not None:
        await asyncio.wait({credentials._renewal})
        await asyncio.sleep(0)


async def test_renewed_ahead():
    """A session is renewed a quarter of an hour before it ends, in the background: nobody waits."""
    chain = Chain()
    credentials = SigningCredentials(chain.load, Call("s", "credentials"), clock=chain.clock)
    assert (await credentials.get_frozen_credentials()).access_key == "AKIA1"
    chain.now += 2600
    assert (await credentials.get_frozen_credentials()).access_key == "AKIA1"
    await settle(credentials)
    assert chain.renewals == 1
    chain.now += 200
    assert (await credentials.get_frozen_credentials()).access_key == "AKIA1"
    await settle(credentials)
    assert (await credentials.get_frozen_credentials()).access_key == "AKIA2"
    await credentials.aclose()


async def test_renewal_fails_ahead():
    """A renewal that fails ahead of time is tried again a minute later, and told to nobody until it must be."""
    chain = Chain()
    credentials = SigningCredentials(chain.load, Call("s", "credentials"), clock=chain.clock)
    await credentials.get_frozen_credentials()
    chain.fail = True
    chain.now += 3600 - 14 * 60
    for _ in range(3):
        assert (await credentials.get_frozen_credentials()).access_key == "AKIA1"
        await settle(credentials)
    chain.now += 13.5 * 60
    with pytest.raises(UnavailableError):
        await credentials.get_frozen_credentials()
    chain.fail = False
    assert (await credentials.get_frozen_credentials()).access_key == "AKIA2"
    await credentials.aclose()


async def test_failing_renewals_keep_apart():
    """Credentials that cannot be had are asked for three times at once, then ever more seldom; the error is told."""
    chain = Chain()
    chain.fail = True
    credentials = SigningCredentials(chain.load, Call("s", "credentials"), clock=chain.clock)
    made = []
    for seconds in (0, 0, 0, 0, 1, 1, 1, 0, 4, 60, 60, 60):
        chain.now += seconds
        before = chain.loads
        answers = await asyncio.gather(
            *(credentials.get_frozen_credentials() for _ in range(20)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {UnavailableError}
        assert len({id(answer) for answer in answers}) == 20
        made.append(chain.loads - before)
    assert made == [1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1]
    chain.fail = False
    chain.now += 60
    assert (await credentials.get_frozen_credentials()).access_key == "AKIA1"
    await credentials.aclose()


async def test_short_sessions():
    """Sessions of a few minutes are not renewed for each request."""
    chain = Chain(lifetime=300)
    credentials = SigningCredentials(chain.load, Call("s", "credentials"), clock=chain.clock)
    for _ in range(100):
        await credentials.get_frozen_credentials()
        await settle(credentials)
        chain.now += 1
    assert chain.renewals <= 4
    await credentials.aclose()


async def test_credentials_that_hang():
    """Who waits for credentials that do not come is told what was waited for; whoever comes then, at once."""
    go_on = threading.Event()

    def load():
        go_on.wait(10)
        return Credentials("AKIA", "canary")

    credentials = SigningCredentials(load, Call("s", "credentials"), patience=0.05)
    try:
        for _ in range(2):
            async with asyncio.timeout(5):
                with pytest.raises(UnavailableError, match=r"credentials were waited for.*credential_process"):
                    await credentials.get_frozen_credentials()
    finally:
        go_on.set()
    await settle(credentials)
    assert (await credentials.get_frozen_credentials()).access_key == "AKIA"
    await credentials.aclose()


async def test_credentials_that_hang_for_ever():
    """After a minute they are looked for anew, beside what hangs, in no more than five threads."""
    go_on, now, loads, heals = threading.Event(), [1000.0], [], []

    def load():
        loads.append(True)
        if not heals:
            go_on.wait(10)
        return Credentials("AKIA", "canary")

    credentials = SigningCredentials(load, Call("s", "credentials"), clock=lambda: now[0], patience=0.01)
    made = []
    try:
        for seconds in (0, 30, 31, 61, 61, 61, 61):
            now[0] += seconds
            with pytest.raises(UnavailableError, match="were waited for"):
                await credentials.get_frozen_credentials()
            made.append(len(loads))
        assert made == [1, 1, 2, 3, 4, 5, 5]
    finally:
        go_on.set()
    await settle(credentials)
    assert (await credentials.get_frozen_credentials()).access_key == "AKIA"
    await credentials.aclose()


async def test_a_renewal_that_hangs_is_made_again():
    """What hung once, with its lock held, does not keep later renewals from being made."""
    go_on = threading.Event()
    chain = Chain()
    credentials = SigningCredentials(chain.load, Call("s", "credentials"), clock=chain.clock)
    refresh = chain._refresh
    await credentials.get_frozen_credentials()

    def hang():
        go_on.wait(10)
        return refresh()

    credentials._found._refresh_using = hang
    try:
        chain.now += 3600 - 14 * 60
        for _ in range(2):
            assert (await credentials.get_frozen_credentials()).access_key == "AKIA1"
            await asyncio.sleep(0)  # the thread starts
            chain.now += 61
        async with asyncio.timeout(5):
            await settle(credentials)
        assert (await credentials.get_frozen_credentials()).access_key == "AKIA2"
    finally:
        go_on.set()
    await credentials.aclose()


def test_the_process_ends_although_credentials_hang():
    """Neither the end of the loop nor that of the process waits for a program that does not end."""
    go_on, held = threading.Event(), []

    @contextlib.contextmanager
    def hold():
        held.append(True)
        yield
        held.clear()

    async def main():
        credentials = SigningCredentials(lambda: go_on.wait(10), Call("s", "credentials"), held=hold)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(credentials.get_frozen_credentials(), 0.05)
        await credentials.aclose()

    started = time.monotonic()
    try:
        asyncio.run(main())
        assert time.monotonic() - started < 5
        thread = next(thread for thread in threading.enumerate() if thread.name == "asyncsecrets-credentials")
        assert thread.daemon
        assert held == [True]  # the leash of a thread that is still at work
    finally:
        go_on.set()
    thread.join(5)


async def test_no_thread_is_left(monkeypatch):
    """Where no thread can be started, that is an error, and the leash is let go of."""
    held = []

    @contextlib.contextmanager
    def hold():
        held.append(True)
        yield
        held.append(False)

    def start(_):
        raise RuntimeError("can't start new thread")

    credentials = SigningCredentials(lambda: None, Call("s", "credentials"), held=hold)
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(AuthenticationError):
        await credentials.get_frozen_credentials()
    assert held == [True, False]


async def test_cancelled_waiter():
    """Who is cancelled while credentials load harms nobody else who waits for them."""
    release = []

    def load():
        while not release:
            time.sleep(0.001)
        return Credentials("AKIA", "canary")

    credentials = SigningCredentials(load, Call("s", "credentials"))
    first, second = (asyncio.create_task(credentials.get_frozen_credentials()) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    release.append(True)
    assert (await second).access_key == "AKIA"
    assert first.cancelled()


async def test_operators_hear_of_renewals():
    """That there are others, and for how long; and ahead of their end, that there are none."""
    chain = Chain()
    credentials = SigningCredentials(chain.load, Call("aws_secret_manager", "credentials"), clock=chain.clock)
    with listening() as log:
        await credentials.get_frozen_credentials()
        found = "aws_secret_manager: AWS credentials were found; they are good for 1 h"
        assert log.take("asyncsecrets.auth") == [("INFO", found)]
        chain.now += 3600 - 10 * 60
        await credentials.get_frozen_credentials()
        await settle(credentials)
        renewed = "aws_secret_manager: AWS credentials were renewed; they are good for 1 h"
        assert log.take("asyncsecrets.auth") == [("INFO", renewed)]
        chain.fail = True
        chain.now += 3600 - 14 * 60
        for _ in range(5):  # five minutes
            await credentials.get_frozen_credentials()
            await settle(credentials)
            chain.now += 60
        ((level, text),) = log.take("asyncsecrets.auth")
        assert (level, "could not be renewed ahead of their end" in text) == ("WARNING", True)
        assert text.endswith("They are good for another 14 min; it is tried again every minute")
    await credentials.aclose()


async def test_credentials_without_an_end_are_no_news():
    """A key pair from a file or the environment, until there is another."""
    keys = iter(["AKIA1", "AKIA2"])
    credentials = SigningCredentials(lambda: Credentials(next(keys), "canary"), Call("s", "credentials"))
    with listening() as log:
        frozen = await credentials.get_frozen_credentials()
        assert log.take("asyncsecrets.auth") == []
        assert await credentials.renew(frozen)
        assert log.take("asyncsecrets.auth") == [("INFO", "s: AWS credentials were renewed")]
    await credentials.aclose()
