"""BatchGetSecretValue: up to twenty secrets by one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    ConflictError,
    InvalidNameError,
    MalformedResponseError,
    ProviderError,
    SecretNotFoundError,
)
from asyncsecrets.providers.aws.names import CURRENT, SYSTEM, answers, elsewhere
from asyncsecrets.providers.aws.session import Connection
from asyncsecrets.secret import Secret

__all__ = ["BatchPermission", "read_batch"]

_ASK_AGAIN: Final = 300.0
_NO_SUCH_CALL: Final = frozenset(
    f"{code}{end}"
    for code in ("InvalidAction", "NotImplemented", "UnknownOperation", "UnsupportedOperation")
    for end in ("", "Exception")
)
"""What a proxy, or a server that stands in for AWS, says where it is older than the operation (November 2023)."""

Parse = Callable[[str, Mapping[str, Any]], Secret]


class BatchPermission:
    """Remembers, for five minutes of ``clock``, that batches are not allowed here, or not known."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._denied_until = float("-inf")

    @property
    def granted(self) -> bool:
        """Whether it is worth asking."""
        return self._clock() >= self._denied_until

    def denied(self) -> None:
        """AWS said no."""
        self._denied_until = self._clock() + _ASK_AGAIN


async def read_batch(
    connection: Connection, names: Sequence[str], permission: BatchPermission, parse: Parse
) -> dict[str, Secret | ProviderError]:
    """Read ``names``. What the batch does not settle is left out; a fault of the whole batch is raised."""
    found: dict[str, Secret | ProviderError] = {}
    if not permission.granted:
        return found
    token: dict[str, str] = {}
    for _ in names:  # each page has one secret at least; more pages than names are nonsense
        try:
            wanted = {"SecretIdList": list(names), **token}
            page = await connection.call("BatchGetSecretValue", None, wanted, unless=_NO_SUCH_CALL)
        except AccessDeniedError as error:
            if "sts:" in error.message:  # the role is not allowed, which says nothing of batches
                raise
            permission.denied()
            return found
        except (ConflictError, InvalidNameError, MalformedResponseError, SecretNotFoundError):
            return found  # one name spoils it for all: each is asked on its own, which says what is wrong
        if page is None:
            permission.denied()
            return found
        found.update(_settled(names, page, parse, connection.region))
        if not page.get("NextToken"):
            break
        token = {"NextToken": str(page["NextToken"])}
    return found


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
