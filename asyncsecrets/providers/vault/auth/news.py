"""What operators hear of logins and of tokens that cannot be renewed, at ``asyncsecrets.auth``."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Final

from asyncsecrets.errors import AsyncSecretsError
from asyncsecrets.journal import AUTH, Seldom, duration, one_line, say
from asyncsecrets.providers.vault.paths import SYSTEM

__all__ = ["LoginNews"]

_A_MINUTE: Final = 60.0
_MOST_A_MINUTE: Final = 5  # logins; a role with very short tokens logs in all the time, and that is no news
_WARN_EVERY: Final = 300.0  # seconds


class LoginNews:
    """The news of one keeper, whose logins go ``way``. ``clock`` is monotonic seconds."""

    def __init__(self, way: str, clock: Callable[[], float]) -> None:
        self._way = way
        self._logins = Seldom(_A_MINUTE, clock, _MOST_A_MINUTE)
        self._warnings = Seldom(_WARN_EVERY, clock)

    def logged_in(self, because: str, lease: float) -> None:
        """There is a new token, for ``lease`` seconds (0: without an end), and another one than before ``because``."""
        if self._logins.passes():
            how = f"again by {self._way}, {because}" if because else f"by {self._way}"
            good = f"is good for {duration(lease)}" if lease else "has no end"
            say(AUTH, logging.INFO, "%s: logged in %s; the token %s", SYSTEM, how, good)

    def taken_up(self) -> None:
        """A file has another token than before."""
        if self._logins.passes():
            say(AUTH, logging.INFO, "%s: took up a new token from %s", SYSTEM, self._way)

    def not_renewed(self, why: AsyncSecretsError | None, left: float) -> None:
        """The token, good for another ``left`` seconds, could not be renewed, nor another one had, ahead of its end."""
        if math.isinf(left) or not self._warnings.passes():
            return
        what = "cannot be renewed" if why is None else f"was not renewed: {type(why).__name__}: {one_line(str(why))}"
        what = what.rstrip(".")
        then = "it is tried again before that"
        if why is None:
            then = "put another one in its place before that"
        say(AUTH, logging.WARNING, "%s: the token (%s) %s. It is good for another %s; %s",
            SYSTEM, self._way, what, duration(left), then)  # fmt: skip
