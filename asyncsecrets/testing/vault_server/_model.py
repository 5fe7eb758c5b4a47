"""What the parts of the dev server say to one another: a `Call` goes in, a `Reply` comes out, a `Refused` is raised.

Nothing here knows of sockets: the HTTP layer makes calls out of requests and bytes out of replies.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from asyncsecrets import exact
from asyncsecrets.testing.vault_server._durations import parse_duration

Operation = Literal["read", "list", "create", "update", "patch", "delete"]
Clock = Callable[[], float]

JSON = "application/json"
INVALID = "Field validation failed: "
_LONGEST = (2**63 - 1) // 10**9  # seconds; a duration is counted in nanoseconds
_TRUE = {"1", "t", "T", "TRUE", "true", "True"}  # what Go's ParseBool takes
_FALSE = {"0", "f", "F", "FALSE", "false", "False", ""}


@dataclass(slots=True)
class Call:
    """One request, taken apart. ``path`` is decoded and has no ``/v1/``; ``now`` is seconds since the epoch."""

    method: str
    operation: Operation
    path: str
    now: float
    body: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)
    namespace: str = ""  # as the header says, not yet resolved
    content_type: str = JSON
    wrap_ttl: int | None = None
    content: bytes = field(default=b"", repr=False)  # what ``body`` was read from
    certificate: bytes | None = field(default=None, repr=False)  # the client's, DER
    remote: str = "127.0.0.1"

    def __repr__(self) -> str:  # bodies hold secrets
        return f"Call({self.method} {self.path!r})"

    def stored(self) -> dict[str, Any]:
        """The body as a store is to keep it, of its own and with its numbers as they were written."""
        kept: Any = exact.read(self.content.decode("utf-8", "replace"))
        if not isinstance(kept, dict):  # of a form, or with a member that is there twice
            kept = exact.read(json.dumps(self.body))
        return dict(kept)

    def value(self, name: str, default: Any = None) -> Any:
        """A parameter from the body, or else from the query."""
        return self.body[name] if name in self.body else self.query.get(name, default)

    def text(self, name: str, default: str = "") -> str:
        """A parameter as text; numbers and booleans are rendered as a server that decodes weakly would."""
        found = self.value(name)
        if found is None:
            return default
        if isinstance(found, (dict, list)):
            raise Refused.conversion(name, "string", found)
        return found if isinstance(found, str) else json.dumps(found)

    def number(self, name: str, default: int = 0) -> int:
        """A parameter as an integer.

        Raises:
            Refused: 400, it is neither a number nor the text of one.
        """
        found = self.value(name)
        if found is None or found == "":
            return default
        try:
            return int(found)
        except (TypeError, ValueError):
            refusal = Refused.unparsable(name, "int", "strconv.ParseInt")
        raise refusal

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A parameter as a boolean; the words that Go's ParseBool takes."""
        found = self.value(name)
        if found is None:
            return default
        if str(found) not in _TRUE | _FALSE:
            raise Refused.unparsable(name, "bool", "strconv.ParseBool")
        return str(found) in _TRUE

    def seconds(self, name: str, default: int = 0) -> int:
        """A parameter as a duration in seconds (``90``, ``"90"``, ``"1m30s"``)."""
        found = self.value(name)
        if found is None or found == "":
            return default
        problem = f'time: invalid duration "{found}"'
        try:
            seconds = parse_duration(found)
        except ValueError:
            seconds = _LONGEST + 1
        if abs(seconds) <= _LONGEST:
            return seconds
        if str(found).removeprefix("-").isdigit():
            problem = "multiplication of durations resulted in overflow, one operand may be too large"
        raise Refused(400, f'{INVALID}error converting input for field "{name}": {problem}')

    def texts(self, name: str) -> list[str]:
        """A parameter as a list: a JSON array, or text with commas."""
        found = self.value(name)
        if found is None:
            return []
        items = found if isinstance(found, list) else str(found).split(",")
        return [str(item).strip() for item in items if str(item).strip()]


@dataclass(slots=True)
class Reply:
    """One answer. ``body`` is rendered as JSON, bytes are sent as they are, None is no body at all."""

    status: int = 200
    body: dict[str, Any] | bytes | None = field(default=None, repr=False)
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str | None = JSON


class Refused(Exception):  # noqa: N818 - a way of answering, not an error of ours
    """A call is refused: the answer in the form of an exception. Never leaves the dev server."""

    def __init__(self, status: int, *errors: str, reply: Reply | None = None) -> None:
        super().__init__(*errors)
        self.reply = reply or errors_reply(status, *errors)

    @classmethod
    def conversion(cls, name: str, kind: str, found: Any) -> Refused:
        """A field of the wrong type, in the words of the Go decoder."""
        return cls(
            400,
            f"{INVALID}error converting input for field \"{name}\": '' expected type '{kind}', "
            f"got unconvertible type '{_go_type(found)}'",
        )

    @classmethod
    def unparsable(cls, name: str, kind: str, parser: str, where: str = "''") -> Refused:
        """A number or a boolean that is none."""
        return cls(
            400,
            f'{INVALID}error converting input for field "{name}": {where} '
            f"cannot parse value as '{kind}': {parser}: invalid syntax",
        )


def _go_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case list():
            return "[]interface {}"
        case dict():
            return "map[string]interface {}"
        case _:
            return "json.Number"


@dataclass(slots=True)
class Pending:
    """An answer that needs the network (a TokenReview), to be awaited by the HTTP layer."""

    finish: Callable[[], Awaitable[Reply]]


def errors_reply(status: int, *errors: str) -> Reply:
    """The usual form of a refusal: ``{"errors": […]}``."""
    return Reply(status, {"errors": list(errors)})


def multi_error(text: str) -> str:
    """How the server's core words an error that passed through its list of errors."""
    return f"1 error occurred:\n\t* {text}\n\n"


def denied_by_policy() -> Refused:
    """The token is good, its policies say no."""
    return Refused(403, multi_error("permission denied"))


def bad_token() -> Refused:
    """No token, or one that is unknown, expired or revoked."""
    return Refused(403, "permission denied")


def absent() -> Refused:
    """There is nothing at this path."""
    return Refused(404)


def unsupported_operation() -> Refused:
    """The path exists, the verb does not."""
    return Refused(405, multi_error("unsupported operation"))


def unsupported_path() -> Refused:
    """The backend has no such path."""
    return Refused(404, multi_error("unsupported path"))


def no_content() -> Reply:
    """Done, and nothing to say."""
    return Reply(204)


def envelope(
    data: Any = None,
    *,
    auth: dict[str, Any] | None = None,
    status: int = 200,
    warnings: list[str] | None = None,
    lease_duration: int = 0,
) -> Reply:
    """A successful answer (or a 404 that has something to tell) in the server's envelope."""
    return Reply(
        status,
        {
            "request_id": str(uuid.uuid4()),
            "lease_id": "",
            "renewable": False,
            "lease_duration": lease_duration,
            "data": data,
            "wrap_info": None,
            "warnings": warnings,
            "auth": auth,
        },
    )


def legacy(call: Call, data: dict[str, Any]) -> Reply:
    """An answer of one of the older ``sys/`` paths, which tell their data at the top as well.

    Not so where the URL begins with a namespace.
    """
    reply = envelope(data)
    if not call.path.startswith("sys/"):
        return reply
    return Reply(200, {**(reply.body if isinstance(reply.body, dict) else {}), **data})


def listing(keys: list[str], *, key_info: Mapping[str, Any] | None = None) -> Reply:
    """The answer to a LIST; an empty one is a 404."""
    if not keys:
        raise absent()
    data: dict[str, Any] = {"keys": keys}
    if key_info is not None:
        data["key_info"] = dict(key_info)
    return envelope(data)


def page(keys: list[str], call: Call) -> list[str]:
    """One page of sorted ``keys``: those that follow ``after``, at most ``limit`` of them."""
    after, limit = call.text("after"), call.number("limit")
    kept = [key for key in keys if key > after] if after else keys
    return kept[:limit] if limit > 0 else kept


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with a fraction, as Go prints it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def through_floats(value: Any) -> Any:
    """``value`` as KV v2 gives it back: keys sorted, and every number passed through a 64-bit float."""
    match value:
        case dict():
            return {key: through_floats(value[key]) for key in sorted(value)}
        case list():
            return [through_floats(item) for item in value]
        case exact.Number():
            return exact.double(value)
        case _:
            return value
