"""The operations of Secret Manager on one secret: each one call, whose answer is looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from asyncsecrets.boundary import fresh
from asyncsecrets.errors import ProviderError, SecretNotFoundError
from asyncsecrets.providers.call import is_write
from asyncsecrets.providers.google.checksums import Checksums, crc32c
from asyncsecrets.providers.google.connection import Connection
from asyncsecrets.providers.google.documents import check_subject, conflict, malformed, meaning, moment, version_of
from asyncsecrets.providers.google.errors import Call
from asyncsecrets.providers.google.names import LATEST, SYSTEM, Target
from asyncsecrets.providers.google.services import SECRET_MANAGER
from asyncsecrets.providers.pages import Pages
from asyncsecrets.providers.remembered import Remembered
from asyncsecrets.secret import Secret, payload_of
from asyncsecrets.sending import is_settled

__all__ = ["Answer", "Operations", "is_absent", "writing_no_value"]

T = TypeVar("T")
Answer = Secret | SecretNotFoundError
Change = Callable[[dict[str, str]], Awaitable[Mapping[str, str] | None]]

_LAG: Final = 3600.0
"""For how many seconds ``latest`` is not believed where it contradicts what is known. Google (its guide, "Consistency")
calls access by number strongly consistent and all else eventually: within minutes as a rule, and hours at most."""

_TRIES: Final = 5  # each one that loses saw somebody else change the secret
_OF_VALUES: Final = frozenset({"AccessSecretVersion", "AddSecretVersion"})
_ABSENT: Final = frozenset({"NOT_FOUND"})
_EXISTS: Final = frozenset({"ALREADY_EXISTS"})
_CHANGED: Final = frozenset({"ABORTED", "FAILED_PRECONDITION"})
_STATE: Final = frozenset({"FAILED_PRECONDITION", "NOT_FOUND"})
_OUTDATED: Final = frozenset({"INVALID_ARGUMENT"})


class Operations:
    """What is asked over ``connection``. ``clock`` is in monotonic seconds.

    The highest number that is known of a secret is remembered (0: it was deleted here); and in ``ends``, when it ends.
    """

    def __init__(self, connection: Connection, pages: Pages, checksums: Checksums, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._checksums = checksums
        self._newest: Remembered[int] = Remembered(_LAG, clock)
        self.ends: Remembered[tuple[datetime | None]] = Remembered(_LAG, clock)
        self._pages = pages

    # -- values

    async def latest(self, target: Target) -> Answer:
        """The version that was added last, as Google says; where that contradicts what is known, what is there by its
        number."""
        answer = await self.value(target, LATEST)
        known = self._newest.get(target.resource)
        if known is not None and known != number_of(answer):
            for number in sorted({known, number_of(answer)} - {0}, reverse=True):
                answer = await self.value(target, str(number))
                if not is_absent(answer):
                    break
        return self._noted(target, answer, known)

    async def current(self, target: Target) -> Answer:
        """The version that was added last, whatever lags: number by number, until there is no more."""
        answer = await self.value(target, LATEST)
        known = self._newest.get(target.resource)
        number = max(number_of(answer), known or 0)
        if number:
            answer = await self.value(target, str(number))
            number = 0 if is_absent(answer) else number  # made anew, perhaps: numbers begin at 1 again
        while not is_absent(following := await self.value(target, str(number + 1))):
            answer, number = following, number + 1
        return self._noted(target, answer, known)

    def _noted(self, target: Target, answer: Answer, known: int | None) -> Answer:
        """Remember what was found, unless more is known by now; names that nobody ever had are not remembered."""
        if self._newest.get(target.resource) == known and (known is not None or number_of(answer)):
            self._newest.note(target.resource, number_of(answer))
        return answer

    async def value(self, target: Target, word: str) -> Answer:
        """One version, by its number or an alias."""
        try:
            found = await self._call("AccessSecretVersion", target, {"name": target.version(word)})
        except SecretNotFoundError as error:
            return fresh(error)
        number = version_of(target, found, word)
        payload = type(found).pb(found).payload
        checksum = payload.data_crc32c if payload.HasField("data_crc32c") else None
        self._checksums.check(payload.data, checksum, target.name)
        return self.secret_of(target, payload.data, number)

    def secret_of(self, target: Target, data: bytes, number: str) -> Secret:
        """A version, with the end of its secret where that is known."""
        (ends,) = self.ends.get(target.resource) or (None,)
        return Secret(payload_of(data), name=target.name, version=number, expires=ends)

    async def add(self, target: Target, data: bytes) -> str | None:
        """Add a version, and return its number; None: there is no such secret."""
        payload = {"data": data, "data_crc32c": crc32c(data)}
        found = await self._call("AddSecretVersion", target, {"parent": target.resource, "payload": payload}, _ABSENT)
        if found is None:
            return None
        number = version_of(target, found, written=True)
        self._newest.note(target.resource, int(number))
        return number

    # -- secrets and versions

    async def secret(self, target: Target) -> Any:
        """What there is to know of a secret but its values, or None."""
        return await self._about("GetSecret", target, {"name": target.resource}, _ABSENT)

    async def create(self, target: Target, secret: Mapping[str, Any]) -> bool:
        """Make a secret without versions, unless there is one: whether it was made."""
        fields = {"parent": target.parent, "secret_id": target.id, "secret": secret}
        with writing_no_value():
            return await self._about("CreateSecret", target, fields, _EXISTS) is not None

    async def annotate(self, target: Target, change: Change) -> bool:
        """Change a secret's annotations, read and written as one step; whether there is such a secret.

        ``change`` returns what they are to be, or None to leave them. It is asked again when somebody else was faster.
        Raises ConflictError if that goes on.
        """
        for _ in range(_TRIES):
            secret = await self.secret(target)
            wanted = await change(dict(secret.annotations)) if secret is not None else None
            if wanted is None:
                return secret is not None
            written = {"name": target.resource, "annotations": wanted, "etag": secret.etag}
            fields = {"secret": written, "update_mask": {"paths": ["annotations"]}}
            if await self._about("UpdateSecret", target, fields, _CHANGED) is not None:
                return True
        raise conflict(target.name, "others change the secret all the time; try again later")

    async def delete(self, target: Target) -> None:
        """Delete a secret, with all its versions."""
        await self._call("DeleteSecret", target, {"name": target.resource}, _ABSENT)
        self._newest.note(target.resource, 0)
        self.ends.forget(target.resource)

    async def version(self, target: Target, number: str) -> Any:
        """What there is to know of a version but its value, or None."""
        return await self._of_version("GetSecretVersion", target, number, _ABSENT)

    async def change(self, operation: str, target: Target, number: str) -> bool:
        """Change a version's state; whether there is such a version, and it is not destroyed."""
        return await self._of_version(operation, target, number, _STATE) is not None

    async def _about(self, operation: str, target: Target, fields: Mapping[str, Any], unless: frozenset[str]) -> Any:
        found = await self._call(operation, target, fields, unless)
        if found is not None:
            check_subject(target, found.name, written=is_write(operation))
            self.ends.note(target.resource, (moment(found.expire_time if "expire_time" in found else None),))
        return found

    async def _of_version(self, operation: str, target: Target, number: str, unless: frozenset[str]) -> Any:
        found = await self._call(operation, target, {"name": target.version(number)}, unless)
        if found is not None:
            version_of(target, found, number, written=is_write(operation))
        return found

    # -- inside

    async def all(
        self, operation: str, target: Target, fields: Mapping[str, Any], take: Callable[[Any], list[T]]
    ) -> list[T]:
        """What ``take`` takes of each page that ``operation`` answers with."""

        async def fetch(token: str) -> tuple[list[T], str] | None:
            wanted, unless = {**fields, "page_token": token}, _OUTDATED if token else frozenset()
            page = await self._call(operation, target, wanted, unless)
            return None if page is None else (take(page), page.next_page_token)

        key, endless = (operation, *sorted(fields.items())), partial(malformed, target.name or None)
        return await self._pages.read(key, fetch, endless=endless, narrow=not target.name)

    async def _call(
        self,
        operation: str,
        target: Target,
        fields: Mapping[str, Any],
        unless: frozenset[str] = frozenset(),
    ) -> Any:
        key = next(key for key in ("name", "parent", "secret") if key in fields)
        routing = f"secret.name={target.resource}" if key == "secret" else f"{key}={fields[key]}"
        means = meaning if operation in _OF_VALUES else None
        call = Call(SYSTEM, operation, target.name or None, routing, target.location, unless, means)
        return await self._connection.call(call, SECRET_MANAGER.request(operation, fields))


@contextlib.contextmanager
def writing_no_value() -> Iterator[None]:
    """What only makes room for a value may be applied without an answer: the value is still not written."""
    try:
        yield
    except ProviderError as error:
        if error.outcome_unknown:
            error.outcome_unknown = False
            is_settled()
        raise


def is_absent(answer: Answer) -> bool:
    """Whether there is no such version, in any state."""
    return isinstance(answer, SecretNotFoundError) and answer.reason == "absent"


def number_of(answer: Answer) -> int:
    """The number of the version that an answer is about, or 0."""
    return int(answer.version or 0)
