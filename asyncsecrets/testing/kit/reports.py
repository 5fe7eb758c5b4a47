"""Takes values out of what pytest reports: its tracebacks, the local variables in them, what it captured.

The reports are those of ``_pytest.reports``, whose shape is looked at and not imported: text in lists, in attributes,
in whatever depth.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from asyncsecrets.testing.kit.held import held

__all__ = ["hide", "leaks_of"]


def hide(report: Any) -> None:
    """Hide every value that there ever was in the tests, in ``report``."""
    if not held:
        return
    report.sections = [(title, held.hidden(text)) for title, text in report.sections]
    report.longrepr = _hidden(report.longrepr)


def leaks_of(report: Any) -> str | None:
    """Which secrets are in what was captured, and in which stream; None for none."""
    found = {title: held.names_in(text) for title, text in report.sections if title.startswith("Captured std")}
    leaks = [f"{', '.join(repr(name) for name in names)} in {title}" for title, names in found.items() if names]
    return f"secrets leaked (no value is shown): {'; '.join(leaks)}" if leaks else None


def _hidden(part: Any) -> Any:
    """``part`` with every text in it hidden: new where it is text, itself where it has parts of its own."""
    if isinstance(part, str):
        return held.hidden(part)
    if isinstance(part, list):
        return _in_lines(part)
    if isinstance(part, tuple):
        return tuple(_hidden(one) for one in part)
    for name in _attributes(part):
        value = getattr(part, name)
        if value is not None and not isinstance(value, bool | int | float):
            object.__setattr__(part, name, _hidden(value))
    return part


def _in_lines(parts: list[Any]) -> list[Any]:
    """A value of several lines stands in several of them."""
    if parts and all(isinstance(one, str) for one in parts):
        hidden = held.hidden("\n".join(parts)).split("\n")
        return (
            hidden if len(hidden) == sum(one.count("\n") + 1 for one in parts) else [held.hidden(one) for one in hidden]
        )
    return [_hidden(one) for one in parts]


def _attributes(part: Any) -> list[str]:
    if is_dataclass(part):
        return [one.name for one in fields(part)]
    return list(vars(part)) if type(part).__module__.startswith("_pytest.") else []
