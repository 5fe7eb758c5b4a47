"""The values, names and faults that every provider meets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from asyncsecrets.secret import Payload
from asyncsecrets.testing.conformance.harness import CANARY

__all__ = [
    "BODIES",
    "FAULT_ERRORS",
    "HOSTILE_NAMES",
    "JSON_MEMBERS",
    "JSON_OBJECT",
    "PAYLOADS",
    "REFUSED",
    "UNANSWERED",
    "UNUSUAL_NAMES",
]

JSON_OBJECT: Final = (
    f'{{"user": "{CANARY}", "port": 5432, "tls": true, "ratio": 1.10, "big": 12345678901234567890, "zero": -0,\n'
    f' "db": {{"hosts": ["{CANARY}-1", 1e5]}}, "a/b": null}}'
)

JSON_MEMBERS: Final[Mapping[str, str]] = {
    "user": CANARY,
    "port": "5432",
    "tls": "true",
    "ratio": "1.10",
    "big": "12345678901234567890",
    "zero": "-0",
    "/db/hosts/0": f"{CANARY}-1",
    "/db/hosts/1": "1e5",
    "json:/db/hosts": f'["{CANARY}-1", 1e5]',
    "json:/a~1b": "null",
}
"""Fields of ``JSON_OBJECT``, and their texts."""

PAYLOADS: Final[Mapping[str, Payload]] = {
    "empty": "",
    "blank": " \t ",
    "surrounded": f"  {CANARY}\n\n",
    "multi_line": f"-----BEGIN\n{CANARY}\n\n  indented\n-----END\n",
    "crlf": f"{CANARY}\r\nsecond\r",
    "unicode": f"{CANARY} ümläut 日本 🔑 e\u0301",
    "bom": f"\ufeff{CANARY}",
    "nul": f"{CANARY}\0tail",
    "boolean": "true",
    "number": "0123",
    "null": "null",
    "json": f'{{"a": "{CANARY}", "a": 1.10}}',
    "quotes": f"'{CANARY}' \"x\" \\n `id` # ; = &",
    "expansion": f"${{HOME}} $HOME $(id) %(x)s {{0}} os.environ/HOME {CANARY}",
    "literal": f"b'{CANARY}'",
    "largest": CANARY,
    "binary": CANARY.encode() + b"\xff\xfe\x00\x80",
}
"""Values that must come back exactly as they were stored. ``largest`` is padded to the harness's ``max_payload``."""

HOSTILE_NAMES: Final[Mapping[str, Callable[[str], str]]] = {
    "empty_name": lambda _: "",
    "dot": lambda _: ".",
    "dot_dot": lambda _: "..",
    "dot_segment": lambda name: f"./{name}",
    "traversal": lambda name: f"x/../{name}",
    "deep_traversal": lambda name: f"../../../{name}",
    "encoded_traversal": lambda name: f"x/%2e%2e/{name}",
    "encoded_slash": lambda name: f"x%2f..%2f{name}",
    "double_encoded": lambda name: f"x/%252e%252e/{name}",
    "encoded_letter": lambda name: f"%{ord(name[0]):02x}{name[1:]}",
    "absolute": lambda name: f"/{name}",
    "double_slash": lambda name: f"//{name}",
    "trailing_slash": lambda name: f"{name}/",
    "trailing_dot": lambda name: f"{name}.",
    "backslash": lambda name: f"x\\..\\{name}",
    "query": lambda name: f"{name}?version=1",
    "fragment": lambda name: f"{name}#x",
    "parameter": lambda name: f"{name};x=1",
    "colon": lambda name: f"{name}:1",
    "userinfo": lambda name: f"x@{name}",
    "wildcard": lambda name: f"{name[:-1]}*",
    "leading_space": lambda name: f" {name}",
    "trailing_space": lambda name: f"{name} ",
    "tab": lambda name: f"{name[:3]}\t{name[3:]}",
    "newline": lambda name: f"{name}\n",
    "header": lambda name: f"{name}\r\nX-Injected: 1",
    "nul_byte": lambda name: f"{name}\0",
    "surrogate": lambda name: f"{name}\ud800",
    "escaped_byte": lambda name: f"{name}\udcff",
    "zero_width": lambda name: f"{name[:3]}\u200b{name[3:]}",
    "bidirectional": lambda name: f"\u202e{name}",
    "full_width": lambda name: chr(ord(name[0]) + 0xFEE0) + name[1:],
    "unicode_name": lambda name: f"{name}é",
    "case": lambda name: name.swapcase(),
    "separator": lambda name: name.replace("-", "_"),
    "very_long": lambda name: name + "x" * 5000,
}
"""Names one step away from a secret that exists: none of them may reach it."""

UNUSUAL_NAMES: Final[Mapping[str, Callable[[str], str]]] = {
    "exclamation_mark": lambda name: f"rds!{name}",
    "leading_slash": lambda name: f"/prod/{name}",
    "final_slash": lambda name: f"team/{name}/",
    "two_slashes": lambda name: f"a//{name}",
    "signs": lambda name: f"_+=.@-{name}",
    "inner_colon": lambda name: f"a:{name}",
    "blank": lambda name: f"my {name}",
    "outer_blanks": lambda name: f" a / {name} ",
    "percent_sign": lambda name: f"100%{name}",
    "percent_encoded": lambda name: f"{name}%2Fx%20y%25",
    "question_mark": lambda name: f"{name}?",
    "hash_sign": lambda name: f"{name}#1",
    "semicolon": lambda name: f"a;{name}",
    "quotes": lambda name: f"'{name}' \"x\" `y`",
    "brackets": lambda name: f"<{name}> [1] {{2}} (3) | ^ $ & * , ~",
    "inner_backslash": lambda name: f"a\\{name}",
    "letters": lambda name: f"grün/日本/{name}",
    "symbols": lambda name: f"🔑 €/«{name}»",
}
"""Names that owners give to secrets where their manager lets them: see ``ProviderHarness.accepts``."""

FAULT_ERRORS: Final[Mapping[str, type[ProviderError]]] = {
    "unavailable": UnavailableError,
    "timeout": UnavailableError,
    "reset": UnavailableError,
    "rate_limited": RateLimitedError,
    "rate_limited_retry_after": RateLimitedError,
    "denied": AccessDeniedError,
    "unauthenticated": AuthenticationError,
    "malformed": MalformedResponseError,
    "oversize": MalformedResponseError,
    "slow_body": UnavailableError,
}
"""What each fault of `FAULTS` is to the caller of ``get``."""

BODIES: Final = frozenset({"malformed", "oversize", "slow_body"})
"""Faults that are in the body of a success."""

UNANSWERED: Final = frozenset({"timeout", "reset"})
"""Faults after which a write may have been applied."""

REFUSED: Final = frozenset({"rate_limited", "rate_limited_retry_after", "denied", "unauthenticated"})
"""Faults after which a write has surely not been applied."""
