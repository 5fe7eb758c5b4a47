"""Policies: the text (HCL's subset, or JSON) → rules → what a set of rules allows on a path.

A restriction that the dev server cannot enforce (``allowed_parameters`` and its kin) is refused when the policy is
written: a fake that is laxer than the real server would make tests pass that should not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

CAPABILITIES = frozenset({"create", "read", "update", "patch", "delete", "list", "scan", "sudo", "deny", "root"})
_SHORTHANDS = {
    "deny": ["deny"],
    "read": ["read", "list"],
    "write": ["create", "read", "update", "delete", "list"],
    "sudo": ["create", "read", "update", "delete", "list", "sudo"],
}
_IGNORED = {"name", "expiration", "comment"}

DEFAULT_POLICY = """
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }
path "sys/renew" { capabilities = ["update"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
path "sys/tools/hash" { capabilities = ["update"] }
path "sys/tools/hash/*" { capabilities = ["update"] }
"""


class PolicyError(ValueError):
    """The policy text is not one, or says something that the dev server cannot enforce."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A path pattern (``*`` at its end: any rest; ``+``: exactly one segment) and what it allows."""

    pattern: str
    capabilities: frozenset[str]


@lru_cache(maxsize=256)
def parse_policy(text: str) -> tuple[Rule, ...]:
    """The rules of a policy.

    Raises:
        PolicyError: it cannot be parsed, names an unknown capability, or restricts what cannot be enforced here.
    """
    document = _from_json(text) if text.lstrip().startswith("{") else _Hcl(text).document()
    return tuple(_rule(pattern, body) for pattern, body in document)


def _from_json(text: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    paths = document.get("path", {}) if isinstance(document, dict) else None
    if not isinstance(paths, dict):
        raise PolicyError("not JSON with an object named path")
    return list(paths.items())


def _rule(pattern: str, body: Any) -> Rule:
    if not isinstance(body, dict):
        raise PolicyError(f'path "{pattern}": a block is expected')
    unknown = body.keys() - {"capabilities", "policy"} - _IGNORED
    if unknown:
        raise PolicyError(f'path "{pattern}": invalid key "{min(unknown)}" (the dev server cannot enforce it)')
    capabilities = body.get("capabilities", _SHORTHANDS.get(str(body.get("policy")), []))
    if not isinstance(capabilities, list):
        raise PolicyError(f'path "{pattern}": capabilities must be a list')
    for capability in capabilities:
        if capability not in CAPABILITIES:
            raise PolicyError(f'path "{pattern}": invalid capability "{capability}"')
    if "+*" in pattern:
        raise PolicyError(f"path \"{pattern}\": invalid use of wildcards ('+*' is forbidden)")
    return Rule(pattern.removeprefix("/"), frozenset(map(str, capabilities)))


_TOKEN = re.compile(
    r"""
      (?P<skip>   [ \t\r\n]+ | \#[^\n]* | //[^\n]* | /\*.*?\*/ )
    | (?P<string> "(?:[^"\\\n]|\\["\\nrt/])*" )
    | (?P<name>   [A-Za-z_][A-Za-z0-9_-]* )
    | (?P<number> -?[0-9]+ )
    | (?P<mark>   [{}\[\]=,] )
    """,
    re.VERBOSE | re.DOTALL,
)


class _Hcl:
    """The part of HCL that policies are written in: blocks, assignments, strings, numbers, lists."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_scan(text))
        self._at = 0

    def document(self) -> list[tuple[str, dict[str, Any]]]:
        """The ``path "…" { … }`` blocks, in order."""
        blocks = []
        while self._peek() is not None:
            kind, word = self._next()
            if kind == "name" and word in _IGNORED:
                self._value_after_equals()
                continue
            if (kind, word) != ("name", "path"):
                raise PolicyError("only path blocks are expected at the top")
            blocks.append((self._string(), self._block()))
        return blocks

    def _block(self) -> dict[str, Any]:
        self._expect("{")
        body: dict[str, Any] = {}
        while self._peek() != ("mark", "}"):
            kind, word = self._next()
            if kind not in {"name", "string"}:
                raise PolicyError("a key is expected")
            key = json.loads(word) if kind == "string" else word
            body[key] = self._block() if self._peek() == ("mark", "{") else self._value_after_equals()
            if self._peek() == ("mark", ","):
                self._next()
        self._expect("}")
        return body

    def _value_after_equals(self) -> Any:
        self._expect("=")
        return self._value()

    def _value(self) -> Any:
        kind, word = self._next()
        if (kind, word) == ("mark", "["):
            return self._list()
        if (kind, word) == ("mark", "{"):
            self._at -= 1
            return self._block()
        if kind in {"string", "number"} or word in {"true", "false"}:
            return json.loads(word)
        raise PolicyError("a value is expected")

    def _list(self) -> list[Any]:
        items: list[Any] = []
        while self._peek() != ("mark", "]"):
            items.append(self._value())
            if self._peek() != ("mark", "]"):
                self._expect(",")
        self._expect("]")
        return items

    def _string(self) -> str:
        kind, word = self._next()
        if kind != "string":
            raise PolicyError("a quoted string is expected")
        return str(json.loads(word))

    def _peek(self) -> tuple[str, str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        if token is None:
            raise PolicyError("it ends too early")
        self._at += 1
        return token

    def _expect(self, mark: str) -> None:
        if self._next() != ("mark", mark):
            raise PolicyError(f"{mark} is expected")


def _scan(text: str) -> Iterable[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise PolicyError(f"unexpected character in line {text.count(chr(10), 0, at) + 1}")
        if match.lastgroup != "skip":
            yield str(match.lastgroup), match.group()
        at = match.end()


class Acl:
    """What several policies allow together: rules for one pattern add up, ``deny`` wins, the best pattern decides."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        merged: dict[str, frozenset[str]] = {}
        for rule in rules:
            merged[rule.pattern] = merged.get(rule.pattern, frozenset()) | rule.capabilities
        self._exact = {p: c for p, c in merged.items() if not p.endswith("*") and "+" not in p.split("/")}
        patterns = sorted((p for p in merged if p not in self._exact), key=_priority, reverse=True)
        self._patterns = [(_compile(pattern), merged[pattern]) for pattern in patterns]
        self._merged = merged

    def capabilities(self, path: str) -> frozenset[str]:
        """What may be done at ``path``: empty or ``{"deny"}`` if nothing."""
        found = self._match(path)
        return frozenset({"deny"}) if found is None or "deny" in found else found

    def allows(self, path: str, operation: str) -> bool:
        """Whether ``operation`` may be done at ``path``; a list may also be granted without its trailing slash."""
        found = self._match(path)
        if found is None and operation == "list":
            found = self._match(path.rstrip("/"))
        return found is not None and "deny" not in found and operation in found

    def touches(self, mount: str) -> bool:
        """Whether anything under ``mount`` (with its trailing slash) is granted."""
        return any("deny" not in granted and _reaches(text, mount) for text, granted in self._merged.items())

    def _match(self, path: str) -> frozenset[str] | None:
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        return next((capabilities for pattern, capabilities in self._patterns if pattern.fullmatch(path)), None)


def _compile(pattern: str) -> re.Pattern[str]:
    body, star = (pattern[:-1], ".*") if pattern.endswith("*") else (pattern, "")
    segments = ("[^/]+" if segment == "+" else re.escape(segment) for segment in body.split("/"))
    return re.compile("/".join(segments) + star, re.DOTALL)


def _priority(pattern: str) -> tuple[int, bool, int, int, str]:
    """Which of two matching patterns decides: the one whose first wildcard comes later, then the more exact one."""
    body = pattern.rstrip("*")
    wildcards = [at for at in (_first_plus(body), len(body) if body != pattern else -1) if at >= 0]
    plusses = body.split("/").count("+")
    return min(wildcards), not pattern.endswith("*"), -plusses, len(pattern), pattern


def _first_plus(body: str) -> int:
    at = 0
    for segment in body.split("/"):
        if segment == "+":
            return at
        at += len(segment) + 1
    return -1


def _reaches(pattern: str, mount: str) -> bool:
    """Whether ``pattern`` can match something under ``mount``."""
    if "+" in pattern.split("/"):
        wanted, given = mount.rstrip("/").split("/"), pattern.rstrip("*").split("/")
        return all(g in {"+", w} for g, w in zip(given, wanted, strict=False))
    body = pattern.rstrip("*")
    return body.startswith(mount) or (pattern.endswith("*") and mount.startswith(body)) or body == mount.rstrip("/")


@lru_cache(maxsize=256)
def acl_of(namespace: str, texts: tuple[str, ...]) -> Acl:
    """What these policy texts allow together; their paths are meant within ``namespace``."""
    rules = (rule for text in texts for rule in parse_policy(text))
    return Acl(Rule(namespace + rule.pattern, rule.capabilities) for rule in rules)
