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

    def not_renewed(self, why: AsyncSecretsError, left: float) -> None:
        """The token, good for another ``left`` seconds, was not renewed, nor another one had, ahead of its end."""
        if self._may_warn(left):
            then = f"It is good for another {duration(left)}, and it is tried again before that"
            self._warn(f"was not renewed: {_told(why)}. {then}")

    def will_end(self, why: AsyncSecretsError | None, left: float) -> None:
        """The token ends in ``left`` seconds, or was refused already (``why``), and there is no other."""
        if self._may_warn(left):
            what = "cannot be renewed" if why is None else f"was not renewed: {_told(why)}"
            self._warn(f"{what}. It ends in {duration(left)}, if not before; put another one in its place")

    def _may_warn(self, left: float) -> bool:
        return not math.isinf(left) and self._warnings.passes()

    def _warn(self, text: str) -> None:
        say(AUTH, logging.WARNING, "%s: the token (%s) %s", SYSTEM, self._way, text)


def _told(why: AsyncSecretsError) -> str:
    return f"{type(why).__name__}: {one_line(str(why)).rstrip('.')}"
