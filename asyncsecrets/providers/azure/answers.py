"""Answers in the shape that Azure's pipelines read them from, whoever has fetched them, and what a refusal says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Self

from asyncsecrets.providers.wire import Answer

__all__ = ["Answered", "Refusal", "document_in"]


class Answered:
    """What azure.core asks of a response that has been read. Its repr shows nothing.

    A class of its own: those of azure.core read from a stream of their transports', without a limit.
    """

    is_closed = is_stream_consumed = True
    encoding = None

    def __init__(self, request: Any, answer: Answer) -> None:
        self.request = request
        self.url = request.url
        self.status_code = answer.status
        self.headers = answer.headers
        self.content = answer.data

    @property
    def content_type(self) -> str | None:
        return self.headers.get("Content-Type")

    @property
    def reason(self) -> str:
        try:
            return HTTPStatus(self.status_code).phrase
        except ValueError:
            return ""

    def text(self, encoding: str | None = None) -> str:
        return self.content.decode(encoding or "utf-8")

    def json(self) -> Any:
        return json.loads(self.text())

    def body(self) -> bytes:
        return self.content


def document_in(content: bytes) -> dict[str, Any]:
    """The JSON object that ``content`` is; empty where it is none."""
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a vault says beside a status: its ``code``, the innermost one of ``innererror``, its text.

    ``is_azures``: whether it has said anything as a vault does. The text may hold what no error of ours should.
    """

    status: int
    code: str = ""
    inner: str = ""
    text: str = field(default="", repr=False)
    retry_after: float | None = None

    @property
    def is_azures(self) -> bool:
        return bool(self.code)

    @classmethod
    def of(cls, response: Any) -> Self:
        """What a response of azure.core's shape, which is no success, says."""
        error = document_in(response.content).get("error")
        error = error if isinstance(error, dict) else {}
        inner, depth = error, 0
        while isinstance(inner.get("innererror"), dict) and depth < 9:
            inner, depth = inner["innererror"], depth + 1
        inner_code = _code(inner.get("code")) if depth else ""
        wait = retry_after(response.headers.get("Retry-After", ""))
        return cls(response.status_code, _code(error.get("code")), inner_code, str(error.get("message") or ""), wait)


_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}", re.ASCII)


def _code(found: object) -> str:
    return found if isinstance(found, str) and _CODE.fullmatch(found) else ""


def retry_after(hint: str) -> float | None:
    """The seconds of a Retry-After that says such."""
    return float(hint) or None if hint.isascii() and hint.isdigit() and len(hint) < 7 else None
