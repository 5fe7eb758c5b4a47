"""Answers in the shape that Azure's pipelines read them from, whoever has fetched them, and what a refusal says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Self

from asyncsecrets.providers.wire import Answer

__all__ = ["Answered", "Refusal", "document_in", "retry_after"]


class Answered:
    """What Azure's pipelines ask of a response that has been read. Its repr shows nothing.

    A class of its own: those of azure.core read from a stream of their transports', without a limit.
    """

    content_type = None  # JSON, or nonsense

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self.headers = answer.headers
        self.content = answer.data

    def text(self, encoding: str | None = None) -> str:
        """What it says."""
        return self.content.decode(encoding or "utf-8")


def document_in(content: bytes) -> dict[str, Any]:
    """The JSON object that ``content`` is; empty where it is none."""
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def retry_after(hint: str) -> float | None:
    """The seconds of a Retry-After that says such."""
    return float(hint) or None if hint.isascii() and hint.isdigit() and len(hint) < 7 else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a vault says beside a status: its ``code``, and the innermost one of ``innererror``.

    A vault's has a code; any other is of something before it.
    """

    status: int
    code: str = ""
    inner: str = ""
    retry_after: float | None = None

    @classmethod
    def of(cls, answer: Any) -> Self:
        """What an answer says that is no success."""
        codes: list[str] = []
        error = document_in(answer.content).get("error")
        while isinstance(error, dict) and len(codes) < 10:
            codes.append(_code(error.get("code")))
            error = error.get("innererror")
        wait = retry_after(answer.headers.get("Retry-After", ""))
        return cls(answer.status_code, codes[0] if codes else "", codes[-1] if codes[1:] else "", wait)


_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}", re.ASCII)


def _code(found: object) -> str:
    return found if isinstance(found, str) and _CODE.fullmatch(found) else ""
