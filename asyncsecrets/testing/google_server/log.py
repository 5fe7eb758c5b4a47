"""The log of what came, for assertions."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_KEPT: Final = 20_000


@dataclass(slots=True, eq=False)
class RequestRecord:
    """One call as it came: ``metadata`` is without the token; ``name`` is the resource, or its parent where it is made
    or listed. ``code`` is None until it is answered; ``fault`` is what it met."""

    method: str
    name: str
    metadata: dict[str, str] = field(default_factory=dict, repr=False)
    principal: str = ""
    code: str | None = None
    fault: str | None = None


class Log(deque[RequestRecord]):
    """The latest calls, oldest first."""

    def __init__(self) -> None:
        super().__init__(maxlen=_KEPT)

    def note(self, method: str, name: str, metadata: Mapping[str, str]) -> RequestRecord:
        """Append one, without its token."""
        shown = {key.lower(): text for key, text in metadata.items()}
        if "authorization" in shown:
            shown["authorization"] = "Bearer"
        self.append(RequestRecord(method, name, shown))
        return self[-1]
