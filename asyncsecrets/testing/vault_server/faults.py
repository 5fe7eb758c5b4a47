"""Faults on command: what the dev server does wrong, when, and how often."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

FaultKind = Literal["latency", "status", "reset", "hang", "drip", "body", "oversize", "truncate"]
Moment = Literal["before", "after"]
_HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


@dataclass(slots=True, eq=False)
class Fault:
    """One fault: which requests it meets, how many of them, and what happens to those.

    ``method`` and ``prefix`` (of the raw path, such as ``/v1/secret/``) select; requests with the header
    ``unless_header`` pass; ``skip`` lets the first so many matching requests pass; ``times`` is how many are met then
    (None: all). ``when`` says whether the request is processed first: ``after`` leaves a write applied but unanswered.
    ``seconds`` is the latency, or the pause between two bytes of a drip; ``size`` is the length in bytes of an oversize
    body, or what a truncated body keeps.
    """

    kind: FaultKind
    method: str | None = None
    prefix: str = ""
    times: int | None = None
    skip: int = 0
    when: Moment = "before"
    seconds: float = 0.0
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"
    size: int = 0
    unless_header: str = ""
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"there is no fault {self.kind!r}; there are {', '.join(get_args(FaultKind))}")
        if self.when not in get_args(Moment):
            raise ValueError("a fault happens before or after the request is processed")

    def meets(self, method: str, target: str, header_names: frozenset[str] = frozenset()) -> bool:
        """Whether this request is met; counts it. ``header_names`` are in lower case."""
        if self.unless_header.lower() in header_names:
            return False
        if self.method not in {None, method} or not target.startswith(self.prefix) or self.times == 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times = None if self.times is None else self.times - 1
        self.hits += 1
        return True

    def data(self) -> dict[str, Any]:
        """The fault for people and JSON."""
        shown = (
            "kind",
            "method",
            "prefix",
            "times",
            "skip",
            "when",
            "seconds",
            "status",
            "size",
            "unless_header",
            "hits",
        )
        return {name: getattr(self, name) for name in shown}


class Faults:
    """The faults in force. Latencies add up; of the others the first that matches happens, in order of adding.

    ``where`` in every method is any of ``method``, ``prefix``, ``times``, ``skip``, ``unless_header``.
    """

    def __init__(self) -> None:
        self.active: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force."""
        self.active.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take a fault out of force; one that is not in force is left alone."""
        self.active = [other for other in self.active if other is not fault]

    def clear(self) -> None:
        """Behave again."""
        self.active = []

    def latency(self, seconds: float, **where: Any) -> Fault:
        """Answer ``seconds`` later."""
        return self.add(Fault("latency", seconds=seconds, **where))

    def status(
        self,
        status: int,
        *errors: str,
        headers: Mapping[str, str] | None = None,
        when: Moment = "before",
        **where: Any,
    ) -> Fault:
        """Answer with ``status`` and the usual list of ``errors``."""
        body = _errors(errors)
        return self.add(Fault("status", status=status, headers=dict(headers or {}), body=body, when=when, **where))

    def behind(self, **where: Any) -> Fault:
        """Be a replica that lags: 412 to whoever does not ask to be forwarded to the active node."""
        return self.status(412, "required index state not present", unless_header="X-Vault-Inconsistent", **where)

    def reset(self, when: Moment = "before", **where: Any) -> Fault:
        """Reset the connection, before or after the request has been processed."""
        return self.add(Fault("reset", when=when, **where))

    def hang(self, when: Moment = "before", **where: Any) -> Fault:
        """Accept and never answer."""
        return self.add(Fault("hang", when=when, **where))

    def drip(self, seconds: float = 0.05, **where: Any) -> Fault:
        """Send the right answer one byte at a time, ``seconds`` apart."""
        return self.add(Fault("drip", when="after", seconds=seconds, **where))

    def garbage(
        self,
        body: bytes = _HTML,
        *,
        status: int = 200,
        content_type: str = "text/html",
        when: Moment = "before",
        **where: Any,
    ) -> Fault:
        """Answer with ``body`` whatever was asked; by default a proxy's HTML page."""
        return self.add(Fault("body", body=body, status=status, content_type=content_type, when=when, **where))

    def oversize(self, size: int, **where: Any) -> Fault:
        """Answer 200 with a JSON body of at least ``size`` bytes."""
        return self.add(Fault("oversize", size=size, status=200, **where))

    def truncate(self, keep: int = 10, **where: Any) -> Fault:
        """Promise the whole body, send ``keep`` bytes of it, and close."""
        return self.add(Fault("truncate", size=keep, when="after", **where))

    def for_request(
        self, method: str, target: str, header_names: frozenset[str] = frozenset()
    ) -> tuple[float, Fault | None]:
        """What happens to this request: seconds of latency, and the fault that it meets."""
        latency, met = 0.0, None
        for fault in self.active:
            if (fault.kind == "latency" or met is None) and fault.meets(method, target, header_names):
                if fault.kind == "latency":
                    latency += fault.seconds
                else:
                    met = fault
        return latency, met


def _errors(errors: tuple[str, ...]) -> bytes:
    return json.dumps({"errors": list(errors)}).encode()


def fault_from_json(body: Mapping[str, Any]) -> Fault:
    """The fault that an HTTP request describes: the fields of `Fault`, ``body`` as text, or ``errors``.

    Raises:
        ValueError: an unknown field, or a value of the wrong type.
    """
    fields = {key: value for key, value in body.items() if key != "errors"}
    if "body" in fields:
        fields["body"] = str(fields["body"]).encode()
    elif fields.get("kind") == "status":
        fields["body"] = _errors(tuple(map(str, body.get("errors", []))))
    try:
        for name in ("times", "skip", "status", "size"):
            if fields.get(name) is not None:
                fields[name] = int(fields[name])
        fields["unless_header"] = str(fields.get("unless_header", ""))
        fields["seconds"] = float(fields.get("seconds", 0))
        fields["headers"] = {str(name): str(value) for name, value in dict(fields.get("headers", {})).items()}
        return Fault(**fields)
    except TypeError:
        pass
    raise ValueError(
        "a fault takes kind, method, prefix, times, skip, when, seconds, status, headers, body, size, unless_header"
    )
