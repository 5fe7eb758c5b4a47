"""BatchGetSecretValue: up to twenty secrets by one call.

It is younger than the rest of Secrets Manager (November 2023), has a permission of its own, and servers that stand in
for AWS may lack it: LocalStack has said 501 or 500 to it, moto sent a page. A server that fails and one that does not
have the call look alike. A read of one name, which is needed then anyway, tells them apart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    ConflictError,
    InvalidNameError,
    MalformedResponseError,
    ProviderError,
    SecretNotFoundError,
    TransientError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.aws.names import CURRENT, SYSTEM, answers, elsewhere
from asyncsecrets.providers.aws.session import Connection
from asyncsecrets.secret import Secret

__all__ = ["BatchPermission", "read_batch"]

_ASK_AGAIN: Final = 300.0
_TRY_AGAIN: Final = 60.0
_MOST_IN_VAIN: Final = 3
_NOT_TAKEN: Final = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "InternalServiceErrorException",
        "MissingAction",
        "SerializationException",
        *("400", "404", "405", "410", "415", "422", "500"),  # without a code of AWS: by somebody before it, or by a bug
    }
)
"""What may mean that there is no such call."""

Parse = Callable[[str, Mapping[str, Any]], Secret]
Read = Callable[[str], Awaitable[Secret]]


class BatchPermission:
    """Remembers for a while, by ``clock``, that batches are not allowed here, not known, or of no use."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._denied_until = float("-inf")
        self._in_vain = 0

    @property
    def granted(self) -> bool:
        """Whether it is worth asking."""
        return self._clock() >= self._denied_until

    def denied(self, seconds: float = _ASK_AGAIN) -> None:
        """The server said no, or does not have the call."""
        self._denied_until = self._clock() + seconds

    def answered(self, *, in_vain: bool) -> None:
        """The call was answered, or ``in_vain``: three times in a row are as good as a no."""
        self._in_vain = self._in_vain + 1 if in_vain else 0
        if self._in_vain >= _MOST_IN_VAIN:
            self._in_vain = 0
            self.denied()


async def read_batch(
    connection: Connection, names: Sequence[str], permission: BatchPermission, parse: Parse, read: Read
) -> dict[str, Secret | ProviderError]:
    """Read ``names``. What the batch does not settle is left out; a fault of the whole batch is raised.

    ``read`` reads one secret by itself.
    """
    found: dict[str, Secret | ProviderError] = {}
    if not permission.granted:
        return found
    token: dict[str, str] = {}
    for _ in names:  # each page has one secret at least; more pages than names are nonsense
        try:
            wanted = {"SecretIdList": list(names), **token}
            page = await connection.call("BatchGetSecretValue", None, wanted, unless=_NOT_TAKEN)
        except AccessDeniedError as error:
            if "sts:" in error.message:  # the role is not allowed, which says nothing of batches
                raise
            permission.denied()
            return found
        except UnsupportedOperationError:
            permission.denied()
            return found
        except (ConflictError, InvalidNameError, MalformedResponseError, SecretNotFoundError):
            permission.answered(in_vain=True)
            return found  # one name spoils it for all: each is asked on its own, which says what is wrong
        if page is None:
            return {**found, **await _one_instead([name for name in names if name not in found], permission, read)}
        permission.answered(in_vain=not _is_batch(page))
        found.update(_settled(names, page, parse, connection.region))
        if not page.get("NextToken"):
            break
        token = {"NextToken": str(page["NextToken"])}
    return found


async def _one_instead(
    names: Sequence[str], permission: BatchPermission, read: Read
) -> dict[str, Secret | ProviderError]:
    """Read the first name by itself after a batch failed. If that is answered, it was the call, and not the server."""
    found: dict[str, Secret | ProviderError] = {}
    for name in names[:1]:
        try:
            found[name] = await read(name)
        except TransientError:
            raise
        except ProviderError as error:
            found[name] = error.with_traceback(None)
    permission.denied(_TRY_AGAIN)
    return found


def _is_batch(page: Mapping[str, Any]) -> bool:
    return isinstance(page.get("SecretValues"), list) or isinstance(page.get("Errors"), list)


def _settled(
    names: Sequence[str], page: Mapping[str, Any], parse: Parse, region: str
) -> dict[str, Secret | ProviderError]:
    settled: dict[str, Secret | ProviderError] = {}
    for value in _entries(page, "SecretValues"):
        if CURRENT in (value.get("VersionStages") or ()):
            settled |= {
                name: secret for name in names if answers(name, value) and (secret := _parsed(name, value, parse))
            }
    for error in _entries(page, "Errors"):
        name = str(error.get("SecretId"))
        if name in names and error.get("ErrorCode") == "ResourceNotFoundException":
            text = f"there is no such secret in {region} of this account, or it has no current version"
            text = f"{SYSTEM}: {name!r}: {text}{elsewhere(name, region)}"
            settled[name] = SecretNotFoundError(text, provider=SYSTEM, name=name)
    return settled


def _parsed(name: str, value: Mapping[str, Any], parse: Parse) -> Secret | None:
    try:
        return parse(name, value)
    except AsyncSecretsError:  # the single read says what is wrong
        return None


def _entries(page: Mapping[str, Any], member: str) -> list[dict[str, Any]]:
    found = page.get(member)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
