"""Compare-and-set, which Secret Manager has for what is known of a secret, and not for its versions.

So whoever is about to add the version after ``cas`` first claims it: by an annotation of the secret, written under the
secret's etag, so that of several one has it. A claim of somebody who ended meanwhile is taken over after a minute. Who
adds versions without claiming them can come in between; the number that Google gives then tells.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from asyncsecrets.errors import ConflictError
from asyncsecrets.providers.google.documents import CLAIM, payload_of
from asyncsecrets.providers.google.names import SYSTEM, Target, is_number
from asyncsecrets.providers.google.operations import Operations
from asyncsecrets.secret import Secret

__all__ = ["Swap"]

_HELD: Final = 60.0
_TRIES: Final = 5  # each one that loses saw somebody else change the secret
_CLAIM: Final = re.compile(r"(?P<number>[1-9][0-9]{0,18}) (?P<token>[A-Za-z0-9_-]{1,64}) (?P<at>[0-9]{1,15})")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class Swap:
    """One compare-and-set of ``target``, from the version ``cas`` (``"0"``: none) to ``data``, under its ``token``.

    ``made`` is the secret to create with those annotations; ``now`` is in seconds of the epoch.
    """

    operations: Operations
    target: Target
    data: bytes
    cas: str
    token: str
    made: Callable[[Mapping[str, str]], Mapping[str, Any]]
    now: Callable[[], float]

    def __post_init__(self) -> None:
        if self.cas != "0" and not is_number(self.cas):
            raise self._lost(f"cas takes the number of a version (Secret.version), which {self.cas[:80]!a} is not")
        self.token = self.token if _TOKEN.fullmatch(self.token) else secrets.token_hex(16)

    async def apply(self) -> str:
        """Add the version, and return its number. Raises ConflictError."""
        is_retry = await self._claim()
        if is_retry and await self._is_there():
            return self._wanted
        added = await self.operations.add(self.target, self.data)
        if added == self._wanted or (is_retry and await self._is_there()):
            return added or self._wanted
        if added is None:
            raise self._lost("it was deleted meanwhile")
        raise self._lost(
            f"somebody who does not compare added a version at the same moment: ours is {added}, and not "
            f"{self._wanted}; it stays"
        )

    @property
    def _wanted(self) -> str:
        return str(int(self.cas) + 1)

    async def _claim(self) -> bool:
        """Claim the next number. Whether it was ours before: by an earlier try of the same write."""
        claim = {CLAIM: f"{self._wanted} {self.token} {int(self.now())}"}
        if self.cas == "0" and await self.operations.create(self.target, self.made(claim)) is not None:
            return False
        for _ in range(_TRIES):
            secret = await self.operations.secret(self.target)
            if secret is None:
                raise self._changed()
            if self._holder(secret.annotations) == self.token:
                return True
            await self._check_current()
            annotations = {**secret.annotations, **claim}
            if await self.operations.claim(self.target, annotations, secret.etag) is not None:
                return False
        raise self._lost("others change it all the time; read it again and decide anew")

    def _holder(self, annotations: Mapping[str, str]) -> str | None:
        """Who has claimed the number. Raises ConflictError if that is somebody else, and not long ago."""
        claim = _CLAIM.fullmatch(annotations.get(CLAIM, ""))
        if claim is None or claim["number"] != self._wanted:
            return None
        if claim["token"] != self.token and self.now() - int(claim["at"]) < _HELD:
            raise self._lost(f"somebody else is about to write version {self._wanted}; read it again and decide anew")
        return claim["token"]

    async def _check_current(self) -> None:
        """Raise ConflictError unless the version to compare with is the last one."""
        is_there = self.cas == "0" or await self.operations.version(self.target, self.cas) is not None
        if not is_there or await self.operations.version(self.target, self._wanted) is not None:
            raise self._changed()

    async def _is_there(self) -> bool:
        """Whether the version that was claimed holds our value: nobody else would have added it."""
        found = await self.operations.value(self.target, self._wanted)
        return isinstance(found, Secret) and found.equals(payload_of(self.data))

    def _changed(self) -> ConflictError:
        was = "there is one" if self.cas == "0" else f"version {self.cas} is not the last one"
        return self._lost(f"{was}; read it again and decide anew")

    def _lost(self, text: str) -> ConflictError:
        return ConflictError(f"{SYSTEM}: {self.target.name!r}: {text}", provider=SYSTEM, name=self.target.name)
