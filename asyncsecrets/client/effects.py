"""What a change of a secret does to what is cached and known of it, so that the next read sees what is so now.

Each effect is one step, without an await. It takes place at the source's home: on a loop that is home no longer nobody
knows what was written since, so there the home is told to forget, or to doubt, what it has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from asyncsecrets.cache import SingleFlightCache
from asyncsecrets.client.home import Home
from asyncsecrets.client.kin import Kin
from asyncsecrets.client.known import Known
from asyncsecrets.client.places import Key
from asyncsecrets.client.reporting import Reporter
from asyncsecrets.secret import Secret

__all__ = ["Effects"]


class Effects:
    """The effects of changes on one ``source``, which ``keeps`` values or not."""

    def __init__(
        self,
        source: str,
        home: Home,
        cache: SingleFlightCache[Key, Secret],
        known: Known,
        kin: Kin,
        reporter: Reporter,
        *,
        keeps: bool,
    ) -> None:
        self._source = source
        self._home = home
        self._cache = cache
        self._known = known
        self._kin = kin
        self._reporter = reporter
        self._keeps = keeps

    def written(self, name: str, secret: Secret) -> Secret:
        """``secret`` is now what ``name`` is: the next read sees it."""
        secret = secret.replace(source=self._source)
        if not self._home.here:  # what was written since, by whoever is at home now, nobody here knows
            self._home.post(partial(self.forget, name))
            return secret
        self._known.written(name, secret.version, secret.created)
        self.forget_others(name)
        if self._keeps:
            with self._reporter.own_write():
                self._cache.put(name, secret)
        else:
            self._reporter.forget(name)
        return secret

    def found(self, name: str, secret: Secret) -> None:
        """``secret`` is what ``name`` is, whoever wrote it: stored like what was read, unless it is behind by now."""
        if not self._home.here:
            self._home.post(partial(self.forget, name))
        elif self._known.doubt(name, secret) is None:
            self._known.seen(name, secret)
            if self._keeps:
                self._cache.put(name, secret)

    def changed(self, name: str, note: Callable[[Known], None] = lambda _: None, *, gone: bool = False) -> None:
        """Forget what is cached for ``name``, in every version, after a change of which ``note`` tells what is known
        now. Unless it is rightly ``gone``, whoever cannot read it next misses it."""
        if not self._home.here:
            self._home.post(partial(self.changed, name, note, gone=gone))
            return
        note(self._known)
        self.forget_others(name)
        self._cache.invalidate(name)
        if gone:
            self._reporter.forget(name)

    def forget(self, name: str) -> None:
        """Forget what is cached for ``name``, in every version."""
        self.changed(name)

    def doubt(self, name: str) -> None:
        """Nobody knows whether ``name`` was written: serve what is cached, as in any outage, and ask as soon as
        may be."""
        if not self._home.here:
            self._home.post(partial(self.doubt, name))
            return
        self.forget_others(name)
        self._cache.renew_soon(name)

    def forget_others(self, name: str) -> None:
        """Forget what else is cached of the secret ``name``: the versions that were asked for, for a version can be a
        label, such as *previous*; and what the manager knows under another spelling of the name, such as an ARN."""
        for key in self._kin.others(name):
            self._cache.invalidate(key)
            self._kin.forget(key)
