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
from asyncsecrets.providers.google.documents import CLAIM, conflict
from asyncsecrets.providers.google.names import Target, is_number
from asyncsecrets.providers.google.operations import Operations, is_absent, writing_no_value
from asyncsecrets.secret import Secret, payload_of

__all__ = ["Swap"]

_HELD: Final = 60.0
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
    _is_retry: bool = False

    def __post_init__(self) -> None:
        if self.cas != "0" and not is_number(self.cas):
            text = f"cas takes the number of a version (Secret.version), which {self.cas[:80]!a} is not"
            raise conflict(self.target.name, text)
        self.token = self.token if _TOKEN.fullmatch(self.token) else secrets.token_hex(16)

    async def apply(self) -> str:
        """Add the version, and return its number. Raises ConflictError."""
        await self._claim()
        if self._is_retry and await self._is_there():
            return self._wanted
        added = await self.operations.add(self.target, self.data)
        if added is None:
            raise conflict(self.target.name, "it was deleted meanwhile")
        if added != self._wanted and not (self._is_retry and await self._is_there()):
            raise conflict(
                self.target.name,
                f"somebody who does not compare added a version at the same moment: ours is {added}, and not "
                f"{self._wanted}; it stays",
            )
        return added

    @property
    def _wanted(self) -> str:
        return str(int(self.cas) + 1)

    async def _claim(self) -> None:
        claim = {CLAIM: f"{self._wanted} {self.token} {int(self.now())}"}
        if self.cas == "0" and await self.operations.create(self.target, self.made(claim)):
            return

        async def change(annotations: dict[str, str]) -> Mapping[str, str] | None:
            self._is_retry = self._holder(annotations) == self.token
            if self._is_retry:
                return None
            await self._check_current()
            return {**annotations, **claim}

        with writing_no_value():
            if not await self.operations.annotate(self.target, change):
                raise self._changed()

    def _holder(self, annotations: Mapping[str, str]) -> str | None:
        """Who has claimed the number. Raises ConflictError if that is somebody else, and not long ago."""
        claim = _CLAIM.fullmatch(annotations.get(CLAIM, ""))
        if claim is None or claim["number"] != self._wanted:
            return None
        if claim["token"] != self.token and self.now() - int(claim["at"]) < _HELD:
            text = f"somebody else writes version {self._wanted}, or just has; read it again and decide anew"
            raise conflict(self.target.name, text)
        return claim["token"]

    async def _check_current(self) -> None:
        """Raise ConflictError unless the version to compare with is the last one."""
        is_there = self.cas == "0" or await self.operations.version(self.target, self.cas) is not None
        if not is_there or await self.operations.version(self.target, self._wanted) is not None:
            raise self._changed()

    async def _is_there(self) -> bool:
        """Whether the version that we claimed is there, with our value. Raises ConflictError for another value."""
        found = await self.operations.value(self.target, self._wanted)
        if is_absent(found):
            return False
        if isinstance(found, Secret) and found.equals(payload_of(self.data)):
            return True
        raise self._changed()

    def _changed(self) -> ConflictError:
        was = "there is one" if self.cas == "0" else f"version {self.cas} is not the last one"
        return conflict(self.target.name, f"{was}; read it again and decide anew")
