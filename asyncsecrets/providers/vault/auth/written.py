"""What other programs write where a token or a secret id is expected: the text itself, or JSON that it is somewhere in.

Vault Agent writes JSON into a file sink where the token is wrapped (``wrap_ttl``) or encrypted (``dh_type``), and so do
`vault … -format=json` and others. A token that can be used is taken out of there. One that cannot is said to be what
it is: sent as a token, the whole of it would only be refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from asyncsecrets.credential import usable
from asyncsecrets.errors import ConfigError

__all__ = ["secret_id_in", "token_in"]

_WRAPPED: Final = frozenset({"wrap_info", "wrapped_accessor", "creation_path"})
_TOKENS: Final = (("client_token",), ("auth", "client_token"), ("token",))
_SECRET_IDS: Final = (("secret_id",), ("data", "secret_id"))
_WRAPPING_TOKENS: Final = (("wrap_info", "token"), ("token",))


def token_in(text: str, where: str) -> str:
    """The token in what a file holds. Raises ConfigError, which begins with ``where``."""
    document = _document(text)
    if document is None:
        return usable(text, where)
    if _WRAPPED & document.keys():
        raise ConfigError(
            f"{where} holds a wrapped token, which opens only once: take wrap_ttl out of the sink that writes it, or "
            f"unwrap it (`vault unwrap`) and write the token"
        )
    return _found(document, _TOKENS, where, "client_token")


def secret_id_in(text: str, where: str, *, wrapped: bool) -> str:
    """The secret id in what a file holds, or its wrapping token if it is to be ``wrapped``. Raises ConfigError."""
    document = _document(text)
    if document is None:
        return usable(text, where)
    if bool(_WRAPPED & document.keys()) != wrapped:
        right, is_not = ("true", "") if not wrapped else ("false", "not ")
        raise ConfigError(
            f"{where} holds JSON of a secret id that is {is_not}wrapped: set approle_secret_id_wrapped: {right}"
        )
    return _found(document, _WRAPPING_TOKENS if wrapped else _SECRET_IDS, where, "secret_id")


def _document(text: str) -> Mapping[str, Any] | None:
    """``text`` as a JSON object, or None if it is none. The parser's error, which holds it, goes no further."""
    try:
        document = json.loads(text) if text.startswith("{") else None
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _found(document: Mapping[str, Any], places: tuple[tuple[str, ...], ...], where: str, member: str) -> str:
    for place in places:
        value: Any = document
        for step in place:
            value = value.get(step) if isinstance(value, dict) else None
        if value and isinstance(value, str):
            return usable(value, where)
    raise ConfigError(
        f"{where} holds JSON without a {member} that could be used as it is (is it encrypted, by dh_type?)"
    )
