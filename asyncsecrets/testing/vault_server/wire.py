"""From the raw request target and body to a `Call`, as the real server reads them."""

from __future__ import annotations

import html
import json
import math
import posixpath
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from asyncsecrets.testing.vault_server._durations import parse_duration
from asyncsecrets.testing.vault_server._model import Call, Operation, Refused, Reply, errors_reply

MERGE_PATCH = "application/merge-patch+json"
MAX_BODY = 32 * 1024 * 1024
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_OPERATIONS: dict[str, Operation] = {
    "GET": "read",
    "LIST": "list",
    "POST": "update",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_KINDS = {list: "array", str: "string", bool: "bool"}
_KEY = "looking for beginning of object key string"
_WORDS = {  # of Python's decoder and of Go's
    "Expecting value": "looking for beginning of value",
    "Extra data": "looking for beginning of value",
    "Expecting property name": _KEY,
    "Expecting ':'": "after object key",
    "Expecting ','": "after object key:value pair",
}
_FORM = "application/x-www-form-urlencoded"


def split_target(target: str) -> tuple[str, str]:
    """The path and the query of a request target, as sent."""
    if not target.startswith("/"):  # absolute form, as to a proxy
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    return path, query


def clean_path(target: str) -> str:
    """The decoded path of a request target.

    Raises:
        Refused: 307 to the cleaned path for doubled slashes and raw dot segments, 400 without a body for control
            characters and bad escapes, 400 for encoded ``..`` segments.
    """
    path, query = split_target(target)
    cleaned = _cleaned(path)
    if cleaned != path:
        raise Refused(307, reply=_redirect(cleaned, query))
    if _BAD_ESCAPE.search(path):
        raise Refused(400, reply=Reply(400, b"400 Bad Request", content_type="text/plain; charset=utf-8"))
    raw = unquote_to_bytes(path)
    if not raw.decode("utf-8", "replace").isprintable():
        raise Refused(400, reply=Reply(400, content_type=None))
    decoded = raw.decode("utf-8", "surrogateescape")
    if {".", ".."} & set(decoded.split("/")):
        raise Refused(400, "relative paths not supported")
    return decoded


def _cleaned(path: str) -> str:
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def _redirect(path: str, query: str) -> Reply:
    location = f"{path}?{query}" if query else path
    body = f'<a href="{html.escape(location)}">Temporary Redirect</a>.\n\n'.encode()
    return Reply(307, body, {"Location": location}, "text/html; charset=utf-8")


def build_call(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    **connection: Any,
) -> Call:
    """The call that a request makes; ``connection`` is what only the connection knows (certificate, remote).

    Raises:
        Refused: the request is malformed, or its method has no meaning here.
    """
    path = clean_path(target)
    if not path.startswith("/v1/"):
        raise Refused(404)
    query = _query(split_target(target)[1])
    operation = _operation("GET" if method == "HEAD" and path == "/v1/sys/health" else method, query)
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    path = path.removeprefix("/v1/")
    return Call(
        method=method,
        operation=operation,
        path=path if operation != "list" or path.endswith("/") else path + "/",
        now=now,
        body=_body(operation, content_type, body),
        content=body,
        query=query,
        token=token_of(headers),
        namespace=headers.get("X-Vault-Namespace", ""),
        content_type=content_type,
        wrap_ttl=_wrap_ttl(headers.get("X-Vault-Wrap-TTL")),
        **connection,
    )


def _query(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, errors="replace"):
        found.setdefault(name, value)
    return found


def _operation(method: str, query: dict[str, str]) -> Operation:
    if method == "HEAD":
        raise Refused(405, reply=Reply(405))
    if method == "OPTIONS":
        raise Refused(400, "cannot handle internal-only request operation")
    operation = _OPERATIONS.get(method)
    if operation is None:
        raise Refused(405, reply=errors_reply(405))
    asked = query.pop("list", "") if method == "GET" else ""
    if asked and asked.lower() not in {"true", "t", "1", "false", "f", "0"}:
        raise Refused(400)
    return "list" if asked.lower() in {"true", "t", "1"} else operation


def token_of(headers: Mapping[str, str]) -> str | None:
    """The token that a request shows, in one of the two headers for it."""
    token = headers.get("X-Vault-Token")
    if token:
        return token
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    return bearer.strip() if scheme == "Bearer" and bearer.strip() else None


def _wrap_ttl(value: str | None) -> int | None:
    if not value:
        return None
    try:
        ttl = parse_duration(value)
    except ValueError:
        ttl = -1
    if ttl < 0:
        raise Refused(400, f'error parsing X-Vault-Wrap-TTL header: time: invalid duration "{value}"')
    return ttl or None


def _body(operation: Operation, content_type: str, body: bytes) -> dict[str, Any]:
    if operation not in {"update", "patch"}:
        return {}
    if operation == "patch" and not content_type:
        raise Refused(400, "mime: no media type")
    if operation == "patch" and content_type != MERGE_PATCH:
        raise Refused(415, f"PATCH requires Content-Type of {MERGE_PATCH}, provided {content_type}")
    start = body.lstrip(b" \t\r\n")[:1]
    if not start:
        return {}
    if content_type == _FORM and start not in {b"{", b"["}:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return _json_object(body)


def _json_object(body: bytes) -> dict[str, Any]:
    problem = ""
    try:
        parsed = json.loads(body, parse_float=_finite, parse_int=_whole, parse_constant=_constant)
    except json.JSONDecodeError as error:
        problem = _json_problem(error)
    except OverflowError as error:
        problem = f"json: cannot unmarshal number {error} into Go value of type float64"
    except (ValueError, RecursionError):
        problem = "invalid value"
    else:
        if isinstance(parsed, dict):
            return parsed
        if parsed is None or (isinstance(parsed, (int, float)) and not isinstance(parsed, bool)):
            return {}
        problem = f"json: cannot unmarshal {_KINDS[type(parsed)]} into Go value of type map[string]interface {{}}"
    raise Refused(400, f"failed to decode JSON input: {problem}")


def _json_problem(error: json.JSONDecodeError) -> str:
    """What Go's decoder says of the same place."""
    offender = error.doc[error.pos : error.pos + 1]
    if not offender:
        return "unexpected EOF"
    wanted = next((go for python, go in _WORDS.items() if error.msg.startswith(python)), "")
    if wanted == _KEY and offender != "}":
        wanted = ""
    return f"invalid character '{offender}' {wanted}".rstrip()


def _constant(_: str) -> float:
    raise ValueError


def _whole(digits: str) -> int:
    _finite(digits)
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise OverflowError(text)
    return number
