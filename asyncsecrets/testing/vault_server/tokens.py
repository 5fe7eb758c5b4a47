"""Tokens: who is asking, for how long, and with which policies. No HTTP, no policies' meaning; times are arguments."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from typing import Any, Literal

from asyncsecrets.testing.vault_server._durations import short_duration
from asyncsecrets.testing.vault_server._model import Refused, bad_token, timestamp

SYSTEM_MAX_TTL = 2764800  # 768 h, the server's default for both the default and the maximum
SWEEP_FROM = 1024  # tokens, from which on those that have expired are looked for; then again at twice what is left
_ALPHABET = string.ascii_letters + string.digits


@dataclass(slots=True)
class Token:
    """One token. ``ttl`` and the limits are in seconds, 0 meaning none; ``expires`` is None for a root token.

    ``limit`` is the time (since the epoch) beyond which no renewal reaches.
    """

    id: str = field(repr=False)
    accessor: str
    policies: tuple[str, ...]
    created: float
    namespace: str = ""
    namespace_id: str = ""
    kind: Literal["service", "batch"] = "service"
    ttl: int = 0
    expires: float | None = None
    limit: float | None = None
    period: int = 0
    explicit_max_ttl: int = 0
    uses: int = 0
    renewable: bool = False
    path: str = "auth/token/create"
    display_name: str = "token"
    meta: dict[str, str] | None = None
    orphan: bool = True
    entity_id: str = ""
    parent: str = field(default="", repr=False)
    role: str = ""
    certificate: bytes | None = field(default=None, repr=False)
    last_renewed: float | None = None
    wrapped: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def is_root(self) -> bool:
        return "root" in self.policies

    def remaining(self, now: float) -> int:
        """Seconds until it expires; 0 for a token that does not."""
        return 0 if self.expires is None else max(0, round(self.expires - now))

    def auth(self, now: float) -> dict[str, Any]:
        """The ``auth`` object of a login, a creation or a renewal."""
        return {
            "client_token": self.id,
            "accessor": self.accessor,
            "policies": list(self.policies),
            "token_policies": list(self.policies),
            "metadata": self.meta,
            "lease_duration": self.remaining(now),
            "renewable": self.renewable,
            "entity_id": self.entity_id,
            "token_type": self.kind,
            "orphan": self.orphan,
            "mfa_requirement": None,
            "num_uses": self.uses,
        }

    def lookup(self, now: float, *, reveal: bool = True) -> dict[str, Any]:
        """What a lookup tells; by accessor (``reveal`` false) it does not tell the token itself."""
        told: dict[str, Any] = {
            "accessor": self.accessor,
            "creation_time": int(self.created),
            "creation_ttl": self.ttl,
            "display_name": self.display_name,
            "entity_id": self.entity_id,
            "expire_time": None if self.expires is None else timestamp(self.expires),
            "explicit_max_ttl": self.explicit_max_ttl,
            "id": self.id if reveal else "",
            "meta": self.meta,
            "num_uses": self.uses,
            "orphan": self.orphan,
            "path": self.path,
            "policies": list(self.policies),
            "ttl": self.remaining(now),
            "type": self.kind,
        }
        told["renewable"] = self.renewable
        told["issue_time"] = timestamp(self.created)
        told |= {"period": self.period} if self.period else {}
        told |= {"namespace_path": self.namespace} if self.namespace else {}
        if self.last_renewed is not None:
            told |= {"last_renewal": timestamp(self.last_renewed), "last_renewal_time": int(self.last_renewed)}
        return told


class TokenStore:
    """All tokens of the server, by id and by accessor."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}
        self._ids: dict[str, str] = {}
        self._sweep_at = SWEEP_FROM

    def add(self, token: Token) -> Token:
        if len(self._tokens) >= self._sweep_at:
            self._sweep(token.created)
        self._tokens[token.id] = token
        if token.accessor:
            self._ids[token.accessor] = token.id
        return token

    def issue(
        self,
        policies: tuple[str, ...],
        now: float,
        *,
        ttl: int = 0,
        max_ttl: int = 0,
        kind: Literal["service", "batch"] = "service",
        token_id: str = "",
        **rest: Any,
    ) -> Token:
        """A new token; ``ttl`` 0 means the server's default, and no token outlives ``max_ttl``."""
        period, explicit = rest.get("period", 0), rest.get("explicit_max_ttl", 0)
        limits = [limit for limit in (max_ttl, explicit) if limit]
        limit = min(limits) if limits else (0 if period else SYSTEM_MAX_TTL)
        lifetime = min([length for length in (period or ttl or SYSTEM_MAX_TTL, limit) if length])
        suffix = f".{rest['namespace_id']}" if rest.get("namespace_id") else ""
        token = Token(
            id=token_id or ("b." if kind == "batch" else "s.") + _random(24) + suffix,
            accessor="" if kind == "batch" else _random(24) + suffix,
            policies=policies,
            created=now,
            kind=kind,
            ttl=lifetime,
            expires=now + lifetime,
            limit=now + limit if limit else None,
            **rest,
        )
        return self.add(token)

    def alive(self, token_id: str | None, now: float) -> bool:
        """Whether there is such a token, not yet expired. Changes nothing."""
        token = self._tokens.get(token_id or "")
        return token is not None and (token.expires is None or token.expires > now)

    def find(self, token_id: str | None, now: float) -> Token:
        """The living token of that id.

        Raises:
            Refused: 403 ``permission denied``: none was given, or it is unknown, expired or revoked.
        """
        token = self._tokens.get(token_id or "")
        if token is None:
            raise bad_token()
        if token.expires is not None and token.expires <= now:
            self.revoke(token)
            raise bad_token()
        return token

    def by_accessor(self, accessor: str, now: float) -> Token:
        return self.find(self._ids.get(accessor), now)

    def accessors(self, namespace: str) -> list[str]:
        return sorted(a for a, i in self._ids.items() if i in self._tokens and self._tokens[i].namespace == namespace)

    def spend(self, token: Token) -> None:
        """One use less; the last one ends the token (the request at hand still goes through)."""
        if token.uses > 0:
            token.uses -= 1
            if token.uses == 0:
                token.uses = -1  # as a lookup with the last use tells
                self.revoke(token)

    def renew(self, token: Token, now: float, *, increment: int = 0, max_ttl: int = 0) -> list[str]:
        """Extend the token's life by ``increment`` seconds (0: as long as it had at first); the warnings, if any.

        Raises:
            Refused: 400, it is a batch token, not renewable, or has reached its limit.
        """
        if token.kind == "batch":
            raise Refused(400, "batch tokens cannot be renewed")
        if not token.renewable or token.expires is None:
            raise Refused(400, "lease is not renewable")
        wanted = token.period or increment or token.ttl
        limit = min([at for at in (token.limit, token.created + max_ttl if max_ttl else None) if at], default=None)
        if limit is not None and limit <= now:
            raise Refused(400, "past the max TTL, cannot renew")
        token.expires = now + wanted if limit is None else min(now + wanted, limit)
        token.last_renewed = now
        return [] if limit is None else capped(wanted, round(limit - token.created))

    def revoke(self, token: Token) -> None:
        """End the token and the children that are not orphans."""
        self._end([token])

    def _sweep(self, now: float) -> None:
        """End what has expired and is never asked for again: logins that go on for days leave nothing behind."""
        self._end([t for t in self._tokens.values() if t.expires is not None and t.expires <= now])
        self._sweep_at = max(SWEEP_FROM, 2 * len(self._tokens))

    def _end(self, ended: list[Token]) -> None:
        while ended:
            for token in ended:
                self._tokens.pop(token.id, None)
                self._ids.pop(token.accessor, None)
            parents = {token.id for token in ended}
            ended = [t for t in self._tokens.values() if t.parent in parents and not t.orphan]

    def revoke_all(self, prefix: str, namespace: str) -> None:
        """End every token that a path under ``prefix`` of a namespace issued."""
        for token in list(self._tokens.values()):
            if token.namespace == namespace and token.path.startswith(prefix):
                self.revoke(token)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def capped(wanted: int, limit: int) -> list[str]:
    """The warning, if any, that a life of ``wanted`` seconds was cut to ``limit``."""
    if wanted <= limit:
        return []
    asked, given = (short_duration(seconds) for seconds in (wanted, limit))
    return [f'TTL of "{asked}" exceeded the effective max_ttl of "{given}"; TTL value is capped accordingly']


def random_id(length: int = 6) -> str:
    """A short random name, as namespaces and accessors have."""
    return _random(length)
