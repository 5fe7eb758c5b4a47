"""Keeps one valid token for any number of callers: login, renewal, re-login, backoff.

* One login at a time, whoever asks; a caller's cancellation does not cancel it.
* At two thirds of a lease a loop timer renews it in the background, or logs in anew where renewal has ended. Reads go
  on with the old token meanwhile. Between two renewals there is a timer but no task, so a loop that simply ends has
  nothing to complain about.
* A refused token leads to one login. If a login fails, or two tokens in a row are refused before any call succeeded
  with them, the next login waits: 1 s, doubling to at most 60 s (10 s while the server is merely unreachable, 300 s
  where every login gives a useless token), or as long as the server asks for with Retry-After, up to 60 s. Until then
  callers get the last failure, and the server gets nothing.
* Some refusals look like the token's fault and are not (another namespace, a bound CIDR). So after a login that did not
  help the call that wanted it, the server is asked whether it knows the refused token; one that it knows stays.
* The token of a login of less than a second ago, refused before it served anybody, may be unknown to a node that lags:
  it is shown there once more, and then that is a transient failure. Only later it is refused for good.
* A given token, whose lease nobody told, is looked up in the background a second after it was taken up.
* A given token or a token file has no login to ask. A refused one is an error for the call that met the refusal; the
  next call offers it again, as a lagging replica may refuse a token that is good.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import random
from collections.abc import Callable
from contextvars import Context

from asyncsecrets.errors import (
    AsyncSecretsError,
    AuthenticationError,
    ClosedError,
    MalformedResponseError,
    TransientError,
)
from asyncsecrets.loops import is_asked_to_end
from asyncsecrets.providers.vault.auth.methods import LoginMethod, TokenFile
from asyncsecrets.providers.vault.auth.news import LoginNews
from asyncsecrets.providers.vault.auth.retired import RetiredTokens
from asyncsecrets.providers.vault.auth.tokens import Lease, Token, TokenApi
from asyncsecrets.providers.vault.paths import SYSTEM
from asyncsecrets.providers.vault.shared import SharedTask

__all__ = ["TokenKeeper"]

_LOOK_UP_AFTER = 1.0  # seconds; a script that is over by then never asks for the lease of the token it was given
_REVOKE_TIMEOUT = 1.0  # seconds
_KNOWN_WITHIN = 1.0  # seconds after a login by which every node of a cluster should know its token
_MOST_ASKED_FOR = 60.0  # seconds; a longer Retry-After is cut to that
_USELESS = (
    "logins succeed, but their tokens are refused at first use: check the namespaces, the role's bound CIDRs and its "
    "number of uses"
)


class TokenKeeper:
    """See the module. ``clock`` is monotonic seconds; ``spread`` returns a factor in [0, 1) for backoff jitter.

    ``file_interval``: how often, in seconds, a token file is looked at while its token is accepted.
    """

    def __init__(
        self,
        method: LoginMethod,
        api: TokenApi,
        *,
        clock: Callable[[], float],
        spread: Callable[[], float] = random.random,
        renew: bool = True,
        revoke: bool = False,
        file_interval: float = 1.0,
    ) -> None:
        self._method = method
        self._api = api
        self._clock = clock
        self._spread = spread
        self._renew_given = renew
        self._revoke = revoke
        self._file_interval = file_interval
        self._login = SharedTask(self._run_login, "asyncsecrets-vault-login")
        self._upkeep = SharedTask(self._run_upkeep, "asyncsecrets-vault-upkeep")
        self.logins = 0
        self.renewals = 0
        self._closed = False
        self._token: Token | None = None
        self._retired = RetiredTokens()
        self._process = os.getpid()
        self._lease = Lease("")
        self._granted = 0.0  # seconds of the first lease of this login
        self._since_renewal = self._expires = float("-inf")
        self._refused: str | None = None
        self._useless = 0  # tokens in a row that were refused before they served anybody
        self._in_vain = False  # the last login for a refused call did not help that call
        self._checking = SharedTask(self._check, "asyncsecrets-vault-check")
        self._failure: AsyncSecretsError | None = None
        self._failures = 0
        self._not_before = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._news = LoginNews(method.way, clock)
        self._looks = 0  # for the lease of a given token, in vain
        self._next_look = float("inf")

    def current(self) -> Token | None:
        """The token to use now, or None: then ask ``obtain``."""
        now = self._clock()
        return self._token if now < self._expires and now < self._next_look else None

    async def obtain(self) -> Token:
        """A token, after a login if need be. Raises AuthenticationError, TransientError, ClosedError ..."""
        if self._token is not None and self._clock() < self._expires:
            await self._look_at_file()
        # Not checked against the clock: of a fresh token the server is the judge.
        return self._unexpired() or await self._log_in()

    async def replace(self, refused: Token) -> Token:
        """Another token than the one the server just refused, or that one if another would be refused as well.

        Raises AuthenticationError if there is none.
        """
        if self._token is refused and self._in_vain and not self._method.local:
            known = await self._checking.join()
            if known is refused and self._token is refused:
                return refused
        if self._token is refused:
            self._refuse(refused)
        return await self.obtain()

    def is_new(self, token: Token) -> bool:
        """Whether it comes from a login of a moment ago, and has served nobody: another node may not know it yet."""
        since = self._clock() - self._since_renewal
        unproven = token is self._token and not token.served and not self._useless
        return unproven and since < _KNOWN_WITHIN and not self._method.local

    def helped(self, useful: bool) -> None:
        """Note whether the call that ``replace`` was asked for got past the server's check of its new token."""
        self._in_vain = not useful

    async def _check(self) -> Token | None:
        """The token of now, if the server knows it although it refused it."""
        token = self._token
        try:
            return token if token is not None and await self._api.knows(token.text) else None
        except AsyncSecretsError:
            return None  # not known to be good: replaced, as ever

    def _unexpired(self) -> Token | None:
        return self._token if self._clock() < self._expires else None

    def _refuse(self, refused: Token) -> None:
        self._judge(refused)
        self._retire()
        self._token, self._refused = None, refused.text
        self._expires = float("-inf")
        self._cancel_timer()
        self._useless += not refused.served
        if self._useless > 1 and not self._method.local:
            self._fail(AuthenticationError(f"{SYSTEM}: {_USELESS}", provider=SYSTEM))

    def _judge(self, token: Token | None) -> None:
        """Only a token that served somebody shows that logins are good for something again."""
        if token is not None and token.served:
            self._useless = 0

    async def _log_in(self) -> Token:
        if self._closed:
            raise ClosedError("the Vault provider is closed")
        if not self._login.running and self._failure is not None and self._clock() < self._not_before:
            raise self._last_failure(self._failure)
        outcome = await self._login.join()
        if isinstance(outcome, Token):
            return outcome
        raise self._last_failure(outcome)

    async def _run_login(self) -> Token | AsyncSecretsError:
        since = self._clock()
        refused, self._refused = self._refused, None
        try:
            lease = await self._method.login(self._api, refused)
        except AsyncSecretsError as error:
            self._fail(error.with_traceback(None))
            return error
        if not self._method.local:
            self.logins += 1
            self._news.logged_in(self._because(refused), lease.duration)
        return self._accept(lease, since)

    def _because(self, refused: str | None) -> str:
        """Why another login was made than the first."""
        if self.logins == 1:
            return ""
        if refused:
            return "because the last token was refused"
        return "because the last token is about to end" if self._unexpired() else "because the last token had ended"

    def _accept(self, lease: Lease, since: float) -> Token:
        self._judge(self._token)
        self._retire()
        token = self._token = Token(lease.token)
        self._process = os.getpid()
        self._granted = lease.duration
        self._next_look = since + self._file_interval if isinstance(self._method, TokenFile) else float("inf")
        self._failure, self._looks = None, 0
        if self._useless <= 1:
            self._failures = 0
        self._extend(lease, since)
        if self._method.given and self._renew_given:
            self._schedule(_LOOK_UP_AFTER)
        return token

    def _retire(self) -> None:
        if self._process != os.getpid():  # a fork uses its parent's tokens, and does not own them
            self._retired = RetiredTokens()
            return
        # A refused token too: what refuses it here may let it in elsewhere.
        if self._revoke and self._token is not None and not self._method.local:
            self._retired.add(self._token.text, self._expires, self._clock())

    def _extend(self, lease: Lease, since: float) -> None:
        self._lease = lease
        self._since_renewal = since
        self._expires = since + lease.duration if lease.duration else float("inf")
        if lease.duration:
            self._schedule(since + lease.duration * 2 / 3 - self._clock())

    def _fail(self, error: AsyncSecretsError) -> None:
        self._failure = error
        if self._method.local:
            return
        longest = 300.0 if self._useless > 1 else 60.0
        if isinstance(error, TransientError):
            longest = 10.0
        self._failures = min(self._failures + 1, 20)
        wait = min(longest, 2.0 ** (self._failures - 1)) * (1 - 0.3 * self._spread())
        asked_for = min(_MOST_ASKED_FOR, getattr(error, "retry_after", None) or 0.0)
        self._not_before = self._clock() + max(wait, asked_for)

    def _last_failure(self, failure: AsyncSecretsError) -> AsyncSecretsError:
        """The failure for one caller; a wait that the server asked for is what is left of it."""
        error = copy.copy(failure)
        if getattr(error, "retry_after", None):
            vars(error)["retry_after"] = max(0.0, self._not_before - self._clock())
        return error

    async def _look_at_file(self) -> None:
        """Take up a token file's new token. The old one serves everybody else while the file is read."""
        if self._clock() < self._next_look or not isinstance(self._method, TokenFile):
            return
        self._next_look = self._clock() + self._file_interval
        token = self._token
        found = await self._method.changed(token.text) if token is not None else None
        if found is not None and self._token is token:
            self._news.taken_up()
            self._accept(Lease(found), self._clock())

    def _schedule(self, delay: float) -> None:
        self._cancel_timer()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.05, delay), self._upkeep.start, context=Context())

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    async def _run_upkeep(self) -> None:
        """Renew, or log in anew where renewal has ended; on a transient failure try again before the lease ends."""
        token, since = self._token, self._clock()
        if token is None or self._closed:
            return
        refusal: AsyncSecretsError | None = None
        try:
            lease = await self._renewed(token)
        except (TransientError, MalformedResponseError) as error:  # a proxy's page says nothing about the token
            self._news.not_renewed(error, self._expires - self._clock())
            self._schedule_again()
            return
        except asyncio.CancelledError:
            if is_asked_to_end():
                raise
            self._schedule_again()  # what the call waited for was cancelled, such as a look-up that others share
            return
        except AsyncSecretsError as error:
            refusal, lease = error.with_traceback(None), None
        if self._token is not token or self._closed:
            return
        if lease is not None:
            self._extend(lease, since)
        elif self._method.local:
            self._news.will_end(refusal, self._expires - self._clock())
        else:
            await self._upkeep_login()

    async def _renewed(self, token: Token) -> Lease | None:
        """The next lease of this token, or None where only a new login helps."""
        if self._method.given and not self._lease.duration:
            return await self._api.look_up(token.text)
        if not self._lease.renewable or await self._api.reload_tls():
            return None
        lease = await self._api.renew(token.text)
        self.renewals += 1
        # Near the maximum TTL each renewal grants less: a login now, not ever shorter renewals.
        if lease.duration and lease.duration < self._granted / 2:
            return None
        self._granted = max(self._granted, lease.duration)
        return lease

    async def _upkeep_login(self) -> None:
        if self._clock() >= self._not_before:
            await asyncio.wait([self._login.start()])
        if self._failure is not None:
            self._news.not_renewed(self._failure, self._expires - self._clock())
            self._schedule_again()

    def _schedule_again(self) -> None:
        left = self._expires - self._clock()
        longest = 30.0
        if self._method.given and not self._lease.duration:  # it may end any moment
            self._looks = min(self._looks + 1, 10)
            longest = min(longest, 2.0**self._looks)
        if left > 0:
            self._schedule(max(self._not_before - self._clock(), min(longest, left / 3)))

    async def aclose(self) -> None:
        """End what runs; revoke our own tokens if so configured. Never raises, never takes over 1 s."""
        self._closed = True
        self._cancel_timer()
        await self._checking.cancel()
        await self._upkeep.cancel()
        await self._login.cancel()
        if self._revoke and not self._method.local:
            self._retire()
            self._token = None
            await self._revoke_quietly(self._retired.take(self._clock()))

    async def _revoke_quietly(self, tokens: list[str]) -> None:
        # What fails expires by itself: a close does not fail for it.
        revoking = asyncio.gather(*(self._api.revoke(token) for token in tokens), return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REVOKE_TIMEOUT):
                await revoking

    def opened(self) -> None:
        """Go on, on the running loop, with the token of the last one if there is any."""
        self._closed = False
        self._failure = None
        if self._token is not None and self._lease.duration:
            self._schedule(self._since_renewal + self._lease.duration * 2 / 3 - self._clock())
        elif self._token is not None and self._method.given and self._renew_given:
            self._schedule(_LOOK_UP_AFTER)  # the last loop ended before its lease was known

    def abandon(self) -> None:
        """Forget timers and tasks of a loop that is gone."""
        self._cancel_timer()
        self._login.forget()
        self._upkeep.forget()
        self._checking.forget()
