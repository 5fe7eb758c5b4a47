"""The keeper's rules on a clock that the test moves: one login, backoff, no storms."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest

from asyncsecrets.errors import (
    AuthenticationError,
    ClosedError,
    MalformedResponseError,
    RateLimitedError,
    UnavailableError,
)
from asyncsecrets.providers.vault.auth.keeper import TokenKeeper
from asyncsecrets.providers.vault.auth.tokens import Lease
from tests.operators import listening


class Method:
    """A login that gives a new token each time, or fails as told."""

    local = given = False
    way = "a way"

    def __init__(self, duration=0.0, renewable=True):
        self.duration = duration
        self.renewable = renewable
        self.failure = None
        self.count = 0

    async def login(self, api, refused):
        self.count += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return Lease(f"canary-{self.count}", self.duration, self.renewable)


class Api:
    """Renewals as told."""

    def __init__(self):
        self.outcomes = iter([])
        self.revoked = []
        self.stuck = False

    async def reload_tls(self):
        return False

    async def look_up(self, token):
        return await self.renew(token)

    async def renew(self, token):
        outcome = next(self.outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return Lease(token, outcome, True)

    async def revoke(self, token):
        self.revoked.append(token)
        if self.stuck:
            await asyncio.Event().wait()


class Bench:
    """A keeper, its clock and its method."""

    def __init__(self, **method):
        self.now = 1000.0
        self.method = Method(**method)
        self.api = Api()
        self.keeper = TokenKeeper(self.method, self.api, clock=lambda: self.now, spread=lambda: 0.0, revoke=True)

    async def upkeep(self):
        """What the timer would start."""
        await self.keeper._upkeep.join()


@pytest.fixture
def bench():
    """A keeper whose tokens last for ever."""
    return Bench()


REFUSED = AuthenticationError("no such login", provider="hashicorp_vault")
DOWN = UnavailableError("nobody answers", provider="hashicorp_vault")


async def attempts(bench, seconds, step=0.25):
    """How many logins happen while somebody asks all the time."""
    before = bench.method.count
    for _ in range(int(seconds / step)):
        with pytest.raises((AuthenticationError, UnavailableError)):
            await bench.keeper.obtain()
        bench.now += step
    return bench.method.count - before


@pytest.mark.parametrize(("failure", "longest"), [(REFUSED, 60.0), (DOWN, 10.0)])
async def test_backoff(bench, failure, longest):
    """Failing logins come 1, 2, 4 ... seconds apart, at most 60 s, or 10 s while the server is merely down."""
    bench.method.failure = failure
    assert await attempts(bench, 7.0) == 3
    assert await attempts(bench, 600.0) <= 600 / longest + 8
    bench.method.failure = None
    bench.now += longest
    assert (await bench.keeper.obtain()).text


@pytest.mark.parametrize(("asked_for", "wait"), [(30.0, 30.0), (0.1, 1.0), (3600.0, 60.0)])
async def test_a_server_that_asks_for_patience(bench, asked_for, wait):
    """Retry-After of a refused login is kept to, up to a minute; callers are told how much of it is left."""
    bench.method.failure = RateLimitedError("canary", provider="hashicorp_vault", retry_after=asked_for)
    with pytest.raises(RateLimitedError):
        await bench.keeper.obtain()
    bench.now += wait / 2
    with pytest.raises(RateLimitedError) as caught:
        await bench.keeper.obtain()
    assert caught.value.retry_after == pytest.approx(wait / 2)
    assert bench.method.count == 1
    bench.now += wait / 2
    bench.method.failure = None
    assert await bench.keeper.obtain()


async def test_success_forgets_the_backoff(bench):
    """After a success the next failure starts from one second again."""
    bench.method.failure = DOWN
    await attempts(bench, 20.0)
    bench.method.failure = None
    bench.now += 10
    token = await bench.keeper.obtain()
    bench.now += 5
    bench.method.failure = DOWN
    with pytest.raises(UnavailableError):
        await bench.keeper.replace(token)
    bench.method.failure = None
    bench.now += 1
    assert await bench.keeper.obtain() is not token


async def test_useless_logins_are_no_storm(bench):
    """Where every new token is refused at once, logins slow down like failing ones."""
    messages = set()
    for _ in range(400):
        try:
            token = await bench.keeper.obtain()
            await bench.keeper.replace(token)
        except AuthenticationError as error:
            messages.add(error.message)
        bench.now += 0.25
    assert bench.method.count < 14
    assert all("refused at first use" in message for message in messages)
    assert messages


@pytest.mark.parametrize(("pause", "most"), [(2.0, 21), (61.0, 19), (290.0, 12)])
async def test_useless_logins_seldom_asked_for(bench, pause, most):
    """However long after its login a token is refused: as long as none has served a call, the backoff grows."""
    until = bench.now + 3600
    while bench.now < until:
        with contextlib.suppress(AuthenticationError):
            await bench.keeper.replace(await bench.keeper.obtain())
        bench.now += pause
    assert bench.method.count <= most


async def test_logins_that_fail_after_useless_ones(bench):
    """From the second useless token on, whoever gives them is asked every five minutes, also when it gives none."""
    while bench.keeper._useless < 2:
        with contextlib.suppress(AuthenticationError):
            await bench.keeper.replace(await bench.keeper.obtain())
        bench.now += 5
    bench.method.failure = REFUSED
    assert await attempts(bench, 3_000.0, step=5) <= 3_000 / 300 + 9


async def test_a_token_that_served_forgets_the_useless_ones(bench):
    """Once a call succeeded with a token its refusal is one login again, at once."""
    for _ in range(6):
        with contextlib.suppress(AuthenticationError):
            await bench.keeper.replace(await bench.keeper.obtain())
        bench.now += 100
    token = await bench.keeper.obtain()
    token.served = True
    bench.now += 1
    new = await bench.keeper.replace(token)
    new.served = True
    assert await bench.keeper.replace(new) is not new
    assert bench.keeper._failures == 0


async def test_upkeep_does_not_forgive(bench):
    """A renewal of a token that served nobody says nothing about logins."""
    bench.method.duration = 60.0
    for _ in range(4):
        with contextlib.suppress(AuthenticationError):
            await bench.keeper.replace(await bench.keeper.obtain())
        bench.api.outcomes = iter([60.0])
        await bench.upkeep()
        bench.now += 70
    assert bench.keeper._failures >= 3
    await bench.keeper.aclose()


async def test_many_refusals_of_one_token(bench):
    """A thousand callers whose token was refused get the one new token, whenever they come."""
    token = await bench.keeper.obtain()
    bench.now += 60
    new = await asyncio.gather(*(bench.keeper.replace(token) for _ in range(1000)))
    assert len({id(each) for each in new}) == 1
    assert await bench.keeper.replace(token) is new[0]
    assert bench.method.count == 2


async def test_every_waiter_has_its_own_error(bench):
    """A failed login is a fresh exception for each waiter, without a traceback that grows."""
    bench.method.failure = REFUSED
    errors = await asyncio.gather(*(bench.keeper.obtain() for _ in range(50)), return_exceptions=True)
    assert len({id(error) for error in errors}) == 50
    assert bench.method.count == 1
    depth = sum(1 for _ in itertools.takewhile(bool, iter_traceback(errors[-1])))
    assert depth < 8


def iter_traceback(error):
    """The traceback's entries."""
    entry = error.__traceback__
    while entry:
        yield entry
        entry = entry.tb_next


async def test_renewal_extends():
    """A renewal keeps the token and moves its end."""
    bench = Bench(duration=60.0)
    token = await bench.keeper.obtain()
    bench.api.outcomes = iter([60.0, 60.0])
    for _ in range(2):
        bench.now += 40
        await bench.upkeep()
    bench.now += 59
    assert bench.keeper.current() is token
    bench.now += 2
    assert bench.keeper.current() is None
    assert (bench.keeper.renewals, bench.method.count) == (2, 1)
    await bench.keeper.aclose()


@pytest.mark.parametrize("outcome", [REFUSED, 20.0])
async def test_end_of_renewal_is_a_login(outcome):
    """A refused renewal, or one that grants less than half, is followed by a login before the lease ends."""
    bench = Bench(duration=60.0)
    token = await bench.keeper.obtain()
    bench.api.outcomes = iter([outcome])
    bench.now += 40
    await bench.upkeep()
    assert bench.method.count == 2
    assert bench.keeper.current() is not token
    await bench.keeper.aclose()


async def test_transient_renewal_failure_keeps_the_token():
    """While the server is down the token is kept as long as it lives, and the renewal tried again."""
    bench = Bench(duration=60.0)
    token = await bench.keeper.obtain()
    bench.api.outcomes = iter([DOWN, 60.0])
    bench.now += 40
    await bench.upkeep()
    assert bench.keeper.current() is token
    assert bench.keeper._timer is not None
    bench.now += 7
    await bench.upkeep()
    bench.now += 50
    assert bench.keeper.current() is token
    await bench.keeper.aclose()


async def test_nonsense_for_a_renewal_keeps_the_token():
    """A proxy's page instead of a renewal is no end of the lease: it is tried again, without a login."""
    bench = Bench(duration=60.0)
    token = await bench.keeper.obtain()
    bench.api.outcomes = iter([MalformedResponseError("a page of a proxy", provider="hashicorp_vault"), 60.0])
    for _ in range(2):
        bench.now += 20
        await bench.upkeep()
        assert bench.keeper._timer is not None
    bench.now += 50
    assert bench.keeper.current() is token
    assert bench.method.count == 1
    await bench.keeper.aclose()


async def test_failed_login_in_upkeep_keeps_the_token():
    """A login that fails in the background costs nobody anything while the old token lives."""
    bench = Bench(duration=60.0, renewable=False)
    token = await bench.keeper.obtain()
    bench.method.failure = REFUSED
    bench.now += 40
    await bench.upkeep()
    assert bench.keeper.current() is token
    assert await bench.keeper.obtain() is token
    assert bench.keeper._timer is not None
    await bench.keeper.aclose()


async def test_renewal_is_due_at_two_thirds():
    """The timer of a lease of 60 s is 40 s away."""
    bench = Bench(duration=60.0)
    await bench.keeper.obtain()
    assert bench.keeper._timer.when() - asyncio.get_running_loop().time() == pytest.approx(40, abs=0.5)
    await bench.keeper.aclose()


def due(bench):
    """In how many seconds the timer starts the upkeep."""
    return pytest.approx(bench.keeper._timer.when() - asyncio.get_running_loop().time(), abs=0.05)


async def test_a_given_token_of_seconds_is_renewed():
    """A given token is looked up a second after it was taken up, and renewed at two thirds of what it has left."""
    bench = Bench()
    bench.method.given = bench.method.local = True
    bench.api.outcomes = iter([8.0, 8.0])
    await bench.keeper.obtain()
    assert due(bench) == 1.0
    bench.now += 1.0
    await bench.upkeep()
    assert (due(bench), bench.keeper.renewals) == (8.0 * 2 / 3, 0)
    bench.now += 6.0
    await bench.upkeep()
    assert (due(bench), bench.keeper.renewals) == (8.0 * 2 / 3, 1)
    bench.now += 7.0
    assert bench.keeper.current()
    await bench.keeper.aclose()


async def test_a_given_token_that_cannot_be_looked_up_yet():
    """A look-up that fails for the moment is made again after 2, 4 ... seconds, at most 30."""
    bench = Bench()
    bench.method.given = bench.method.local = True
    bench.api.outcomes = iter([DOWN] * 6)
    await bench.keeper.obtain()
    for wait in (2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        await bench.upkeep()
        assert due(bench) == wait
    await bench.keeper.aclose()


async def test_token_that_expires_on_the_way(bench):
    """A lease that is over when it arrives is used all the same, not asked for for ever."""
    bench.method.duration = 0.5
    original = bench.method.login

    async def slow(api, refused):
        bench.now += 2
        return await original(api, refused)

    bench.method.login = slow
    assert (await bench.keeper.obtain()).text == "canary-1"
    await bench.keeper.aclose()


async def test_close_while_waiting(bench):
    """Whoever waits for a login when the provider closes gets ClosedError."""
    await bench.keeper.obtain()
    token = bench.keeper.current()
    stuck = asyncio.Event()

    async def hang(api, refused):
        await stuck.wait()

    bench.method.login = hang
    waiter = asyncio.ensure_future(bench.keeper.replace(token))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await bench.keeper.aclose()
    with pytest.raises(ClosedError):
        await waiter
    with pytest.raises(ClosedError):
        await bench.keeper.obtain()


async def test_revocation_that_hangs(bench):
    """A revocation that is not answered holds the close up for a second at most."""
    bench.api.stuck = True
    await bench.keeper.obtain()
    await asyncio.wait_for(bench.keeper.aclose(), 1.5)
    assert bench.api.revoked == ["canary-1"]


async def test_a_fork_does_not_revoke_the_tokens_of_its_parent(bench, monkeypatch):
    """The parent goes on with them; what the fork got by a login of its own is revoked."""
    await bench.keeper.obtain()
    monkeypatch.setattr("asyncsecrets.providers.vault.auth.keeper.os.getpid", lambda: -1)
    bench.keeper.abandon()
    await bench.keeper.replace(bench.keeper.current())
    await bench.keeper.aclose()
    assert bench.api.revoked == ["canary-2"]


async def test_replaced_tokens_are_revoked_too():
    """A close revokes every token of ours that is still alive, and none whose TTL is over; refused ones included."""
    bench = Bench(duration=60.0, renewable=False)
    await bench.keeper.obtain()
    for _ in range(3):
        bench.now += 41
        await bench.upkeep()
    await bench.keeper.replace(bench.keeper.current())
    await bench.keeper.aclose()
    assert sorted(bench.api.revoked) == ["canary-3", "canary-4", "canary-5"]


async def test_replaced_tokens_are_not_kept_without_end(bench):
    """Tokens without a TTL are remembered up to a bound; where nothing is to be revoked none is."""
    for _ in range(300):
        token = await bench.keeper.obtain()
        token.served = True
        await bench.keeper.replace(token)
    assert len(bench.keeper._retired._ends) == 64
    await bench.keeper.aclose()
    assert len(bench.api.revoked) == 65 - 1
    assert bench.api.revoked[-1] == "canary-301"


async def test_revocations_that_hang_or_fail(bench):
    """The many revocations of one close take a second together, and none of them is left running."""
    for _ in range(5):
        token = await bench.keeper.obtain()
        token.served = True
        await bench.keeper.replace(token)
    bench.api.stuck = True
    await asyncio.wait_for(bench.keeper.aclose(), 1.5)
    assert len(bench.api.revoked) == 6
    assert len(asyncio.all_tasks()) == 1


async def test_repr_shows_no_token(bench):
    """Tokens and leases do not show what they carry."""
    token = await bench.keeper.obtain()
    assert "canary" not in repr(token) + repr(Lease("canary", 1.0))


def told(log):
    """What operators hear of tokens."""
    return log.take("asyncsecrets.auth")


async def test_operators_hear_of_logins(bench):
    """Of each, and why another one was made; a role whose tokens last for seconds is told of five times a minute."""
    with listening() as log:
        await bench.keeper.obtain()
        assert told(log) == [("INFO", "hashicorp_vault: logged in by a way; the token has no end")]
        bench.method.duration = 3_600.0
        token = await bench.keeper.obtain()
        token.served = True
        await bench.keeper.replace(token)
        ((_, text),) = told(log)
        assert text.endswith("logged in again by a way, because the last token was refused; the token is good for 1 h")
        bench.now += 3_600.0
        await bench.keeper.obtain()
        ((_, text),) = told(log)
        assert ", because the last token had ended; " in text
        for _ in range(20):
            await bench.keeper.replace(bench.keeper.current())
            bench.keeper._useless = 0
        assert len(told(log)) == 4


@pytest.mark.parametrize("failure", [DOWN, MalformedResponseError("a page of a proxy", provider="hashicorp_vault")])
async def test_operators_hear_of_a_token_that_is_not_renewed(failure):
    """Ahead of its end, how long it is good for still; and not each time that it is tried."""
    bench = Bench(duration=3_600.0)
    await bench.keeper.obtain()
    bench.now += 2_400.0
    bench.api.outcomes = iter([failure, failure, failure])
    with listening() as log:
        await bench.upkeep()
        await bench.upkeep()
        ((level, text),) = told(log)
        assert level == "WARNING"
        assert (
            f"the token (a way) was not renewed: {type(failure).__name__}: {failure}. It is good for another 20 min"
            in text
        )
        bench.now += 300.0
        await bench.upkeep()
        assert len(told(log)) == 1
    await bench.keeper.aclose()


async def test_operators_hear_of_a_login_that_fails_ahead_of_the_end():
    """Nobody waits for it yet, and nobody else would say so."""
    bench = Bench(duration=3_600.0, renewable=False)
    await bench.keeper.obtain()
    bench.now += 2_400.0
    bench.method.failure = REFUSED
    with listening() as log:
        await bench.upkeep()
        ((_, text),) = told(log)
        assert "was not renewed: AuthenticationError: no such login. It is good for another 20 min" in text
    await bench.keeper.aclose()


async def test_operators_hear_of_a_given_token_that_will_end():
    """There is no login to fall back on: somebody has to put another one in its place."""
    bench = Bench(duration=3_600.0, renewable=False)
    bench.method.given = bench.method.local = True
    with listening() as log:
        await bench.keeper.obtain()
        assert told(log) == []  # taking a token that is given is no login
        bench.now += 2_400.0
        await bench.upkeep()
        ((level, text),) = told(log)
        assert level == "WARNING"
        assert "the token (a way) cannot be renewed. It ends in 20 min, if not before; put another one" in text
        bench.now += 300.0
        bench.keeper._lease = Lease("canary", 3_600.0, True)
        bench.api.outcomes = iter([REFUSED])
        await bench.upkeep()
        ((_, text),) = told(log)
        assert "was not renewed: AuthenticationError: no such login. It ends in 15 min, if not before" in text
    await bench.keeper.aclose()


@pytest.mark.parametrize("spread", [0.0, 0.5, 0.999])
async def test_a_fleet_does_not_log_in_in_one_moment(spread):
    """The wait between logins that fail is up to 30 % shorter, by chance."""
    bench = Bench()
    bench.keeper = TokenKeeper(bench.method, bench.api, clock=lambda: bench.now, spread=lambda: spread, revoke=True)
    bench.method.failure = DOWN
    for wait in (1.0, 2.0, 4.0, 8.0, 10.0, 10.0):
        with pytest.raises(UnavailableError):
            await bench.keeper.obtain()
        count, began = bench.method.count, bench.now
        for part, more in ((0.99, 0), (1.01, 1)):
            bench.now = began + part * wait * (1 - 0.3 * spread)
            if more:
                break
            with pytest.raises(UnavailableError):
                await bench.keeper.obtain()
            assert bench.method.count == count
