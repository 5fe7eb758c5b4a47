"""Signing with credentials that botocore's chain finds, in a thread, renewed ahead of their expiry."""

from __future__ import annotations

import contextlib
import logging
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, ClassVar, Final

from botocore.credentials import Credentials

from asyncsecrets.errors import AsyncSecretsError
from asyncsecrets.providers.aws.codes import STALE
from asyncsecrets.providers.aws.errors import translate_chain
from asyncsecrets.providers.aws.refusals import Call, code_of
from asyncsecrets.providers.aws.unattended import checked_keys
from asyncsecrets.providers.renewal import PATIENCE, Renewal

__all__ = ["SigningCredentials", "without_traceback"]

_TWO_DAYS: Final = 2 * 86_400


def without_traceback(record: logging.LogRecord) -> bool:
    """Take the traceback from a record that a renewal failed: it ends with what somebody's server said."""
    record.exc_info = record.exc_text = None
    return True


class SigningCredentials(Renewal):
    """What aiobotocore signs with: the credentials that ``load`` finds; the rest is as for ``Renewal``."""

    what: ClassVar[str] = "AWS credentials"
    may_hang: ClassVar[str] = "the profile's credential_process, or the service that gives them,"
    method = "asyncsecrets"
    _call: Call

    def __init__(
        self,
        load: Callable[[], Credentials],
        call: Call,
        *,
        clock: Callable[[], float] = time.monotonic,
        held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(call, clock=clock, held=held, patience=patience)
        self._load = load

    def get_deferred_property(self, _: str) -> Callable[[], None]:
        """None, when asked: what botocore puts into some services' endpoints, and not into ours."""
        return lambda: None

    async def get_account_id(self) -> None:
        """None, for the same reason."""

    async def get_frozen_credentials(self) -> Any:
        """The credentials for one request. Raises AuthenticationError, AccessDeniedError, ConfigError, …"""
        return await self.current()

    def _find(self) -> Credentials:
        return self._load()

    def _show(self, found: Any) -> Any:
        """What to sign with now, renewed if need be, and looked at: a header is made of it."""
        return checked_keys(found.get_frozen_credentials(), found.method)

    def _has_ended(self, failure: Exception) -> bool:
        return code_of(failure) in STALE

    def _translate(self, failure: Exception) -> AsyncSecretsError:
        return translate_chain(self._call, failure)

    def _ends_within(self, found: Any, seconds: float) -> bool:
        needed = getattr(found, "refresh_needed", None)
        return needed is not None and bool(needed(seconds))

    def _left(self, found: Any) -> float | None:
        """To the second; None where they have no end, or none within two days."""
        ends_within = getattr(found, "refresh_needed", None)
        if ends_within is None:
            return None
        left = bisect_left(range(_TWO_DAYS), True, key=ends_within)  # botocore tells no more than that
        return None if left == _TWO_DAYS else float(max(0, left - 1))
