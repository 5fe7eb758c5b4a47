"""One request to Vault, what came back, and what an error needs to know of both."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from yarl import URL

from asyncsecrets.errors import AsyncSecretsError, ProviderError
from asyncsecrets.exact import is_wide
from asyncsecrets.providers.vault.paths import SYSTEM

__all__ = [
    "CAPABILITY",
    "MAX_BODY",
    "MOST_IN_ANSWER",
    "Answer",
    "Call",
    "EncodedError",
    "Operation",
    "TooLargeError",
    "document_of",
    "errors_in",
    "make",
    "wanted_for",
]

MAX_BODY: Final = 8 * 1024 * 1024
"""The most bytes of an answer that are read. Vault's own limit for one secret is about 1 MiB, and its JSON writes each
``<``, ``>`` and ``&`` in six bytes."""

MOST_IN_ANSWER: Final = 500_000
"""The most values in an answer, such as the names of a folder: so many keep the event loop for a tenth of a second."""

Operation = Literal[
    "read",
    "write",
    "patch",
    "delete",
    "delete versions",
    "list",
    "restore",
    "destroy",
    "metadata",
    "write metadata",
    "mount",
    "login",
]

CAPABILITY: Final[dict[Operation, str]] = {
    "read": "read",
    "write": "create and update",
    "patch": "patch",
    "delete": "delete",
    "delete versions": "update",  # a POST, as those of restore and destroy are
    "list": "list",
    "restore": "update",
    "destroy": "update",
    "metadata": "read",
    "write metadata": "create and update",
    "mount": "read",
    "login": "update",
}
_READS: Final = frozenset({"read", "list", "metadata", "mount", "login"})


@dataclass(slots=True)  # not frozen: one is made per read, and freezing triples the cost of that
class Call:
    """One request, and what its errors need to know. ``cap``: the most bytes of an answer that are read.

    ``within``: the namespace of the login, whose policies spell the path without it.
    """

    operation: Operation
    method: str
    url: URL
    name: str | None = None
    body: bytes | None = field(default=None, repr=False)
    cap: int = MAX_BODY
    within: str = ""

    @property
    def writes(self) -> bool:
        """Whether it may have changed something at the server."""
        return self.operation not in _READS

    @property
    def path(self) -> str:
        """The path with the namespace that it begins with, if there is any."""
        path = self.url.path.partition("/v1/")[2]
        return f"{path}/" if self.operation == "list" else path

    @property
    def granted(self) -> str:
        """The path as the policy spells it that would allow the call, and where that policy is."""
        inner = self.path.removeprefix(f"{self.within}/") if self.within else self.path
        return repr(self.path) if inner == self.path else f"{inner!r} of namespace {self.within!r}"

    @property
    def server(self) -> str:
        """Host and port. There are never credentials in an address: the setting's grammar knows none."""
        host = self.url.host or ""
        return f"[{host}]:{self.url.port}" if ":" in host else f"{host}:{self.url.port}"

    @property
    def subject(self) -> str:
        return repr(self.name) if self.name is not None else f"{self.operation} {self.path!r}"


@dataclass(slots=True)
class Answer:
    """What came back: status, body bytes, Retry-After in seconds, and what the server's clock says (metadata only).

    ``token_is_good``: that the server knows the token which it refuses here. ``standby``: that this is a redirect such
    as a standby gives, which was not followed.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None
    token_is_good: bool = False
    standby: bool = False
    date: datetime | None = None


class TooLargeError(ValueError):
    """The body is over the cap; reading stopped and the connection is dropped."""


class EncodedError(ValueError):
    """The body is compressed, which was not asked for."""


def errors_in(body: bytes) -> list[str] | None:
    """The texts of ``{"errors": [...]}``, or None if the body is anything else."""
    document = document_of(body)
    texts = document.get("errors") if document is not None else None
    return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else None


def document_of(body: bytes) -> dict[str, Any] | None:
    """The JSON object a body is, or None; also where it has more than ``MOST_IN_ANSWER`` values."""
    try:
        text = body.decode()
        document = None if is_wide(text, MOST_IN_ANSWER) else _decode(text)
    except (ValueError, RecursionError):  # both quote the body
        return None
    return document if isinstance(document, dict) else None


def _refuse(_: str) -> Any:
    raise ValueError


_decode: Final = json.JSONDecoder(parse_constant=_refuse).decode


def make(
    kind: type[AsyncSecretsError], message: str, call: Call, *, outcome_unknown: bool = False
) -> AsyncSecretsError:
    """An error of class ``kind`` about this call."""
    text = f"{SYSTEM}: {call.subject}: {message}"
    if issubclass(kind, ProviderError):
        return kind(text, provider=SYSTEM, name=call.name, outcome_unknown=outcome_unknown)
    return kind(text)


def wanted_for(message: str, name: str) -> str:
    """``message``, of what a read of ``name`` needs, with the name: in its first line, the remedy is last."""
    problem, line_break, remedy = message.partition("\n")
    return f"{problem} (wanted for {name!r}){line_break}{remedy}"
