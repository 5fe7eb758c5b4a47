"""Auth methods: what they share. One module per method; ``auth_methods`` is the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from asyncsecrets.testing.vault_server._model import (
    Call,
    Pending,
    Refused,
    Reply,
    absent,
    envelope,
    listing,
    multi_error,
    no_content,
    page,
    unsupported_operation,
)
from asyncsecrets.testing.vault_server.state import Context
from asyncsecrets.testing.vault_server.tokens import SYSTEM_MAX_TTL, Token


class AuthMethod:
    """Something that can be enabled under ``auth/``. ``context.rest`` is the path relative to it."""

    kind: ClassVar[str]

    def is_login(self, path: str, /) -> bool:
        """Whether ``path`` answers without a token."""
        return path == "login"

    def exists(self, _path: str, /) -> bool:
        """Whether a write to a path is an update rather than a create."""
        return True

    def handle(self, context: Context, mount: str, /) -> Reply | Pending:
        """Answer a call to something under ``mount`` (``auth/approle/``)."""
        raise NotImplementedError

    def renewal_limit(self, _token: Token, _call: Call, /) -> int:
        """The longest life, in seconds since its creation, that a renewal may give a token of this method; 0: no say.

        Raises:
            Refused: it may not be renewed like this.
        """
        return 0


@dataclass(slots=True)
class TokenSettings:
    """The ``token_*`` parameters that the roles of all methods share; times in seconds."""

    policies: list[str] = field(default_factory=list)
    ttl: int = 0
    max_ttl: int = 0
    period: int = 0
    explicit_max_ttl: int = 0
    num_uses: int = 0
    kind: str = "default"
    no_default_policy: bool = False

    def update(self, call: Call) -> None:
        """Take what ``call`` sets; ``policies``, ``ttl`` and ``max_ttl`` also by their older names."""
        for name in ("policies", "token_policies"):
            if call.value(name) is not None:
                self.policies = [policy.lower() for policy in call.texts(name)]
        self.ttl = call.seconds("token_ttl", call.seconds("ttl", self.ttl))
        self.max_ttl = call.seconds("token_max_ttl", call.seconds("max_ttl", self.max_ttl))
        self.period = call.seconds("token_period", self.period)
        self.explicit_max_ttl = call.seconds("token_explicit_max_ttl", self.explicit_max_ttl)
        self.num_uses = call.number("token_num_uses", self.num_uses)
        self.kind = call.text("token_type", self.kind)
        self.no_default_policy = call.flag("token_no_default_policy", default=self.no_default_policy)

    def data(self) -> dict[str, Any]:
        return {
            "token_bound_cidrs": [],
            "token_explicit_max_ttl": self.explicit_max_ttl,
            "token_max_ttl": self.max_ttl,
            "token_no_default_policy": self.no_default_policy,
            "token_num_uses": self.num_uses,
            "token_period": self.period,
            "token_policies": self.policies,
            "token_strictly_bind_ip": False,
            "token_ttl": self.ttl,
            "token_type": self.kind,
        }


class Role(Protocol):
    """What a role of any method has."""

    settings: TokenSettings

    def update(self, call: Call) -> None:
        """Take what ``call`` sets.

        Raises:
            Refused: 400, it is not acceptable.
        """

    def data(self) -> dict[str, Any]:
        """What a read tells, without the token settings."""


R = TypeVar("R", bound=Role)


class Roles(Generic[R]):
    """The roles of one auth method, by name."""

    def __init__(self, make: Callable[[], R]) -> None:
        self._make = make
        self._roles: dict[str, R] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._roles

    def get(self, name: str) -> R | None:
        return self._roles.get(name)

    def values(self) -> Iterable[R]:
        return self._roles.values()

    def items(self) -> Iterable[tuple[str, R]]:
        return self._roles.items()

    def handle(self, call: Call, name: str) -> Reply:
        """Create, read, update, delete and list."""
        if call.operation == "list":
            return listing(page(sorted(self._roles), call))
        match call.operation:
            case "read":
                return self._read(name)
            case "create" | "update":
                self._write(call, name)
            case "delete":
                self._roles.pop(name, None)
            case _:
                raise unsupported_operation()
        return no_content()

    def _read(self, name: str) -> Reply:
        role = self._roles.get(name)
        if role is None:
            raise absent()
        return envelope({**role.settings.data(), **role.data()})

    def _write(self, call: Call, name: str) -> None:
        if not name:
            raise Refused(400, "missing role name")
        role = self._roles.get(name) or self._make()
        role.settings.update(call)
        if role.settings.max_ttl and role.settings.ttl > role.settings.max_ttl:
            raise Refused(400, "'token_ttl' cannot be greater than 'token_max_ttl'")
        role.update(call)
        self._roles[name] = role

    def renewal_limit(self, name: str) -> int:
        """The role's ``token_max_ttl``.

        Raises:
            Refused: 500, the role is gone.
        """
        role = self._roles.get(name)
        if role is None:
            raise Refused(500, multi_error(f'failed to renew entry: role "{name}" does not exist during renewal'))
        return role.settings.max_ttl


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has logged in, as the method found out."""

    alias: str
    role: str
    display_name: str
    meta: dict[str, str]
    certificate: bytes | None = field(default=None, repr=False)


def log_in(context: Context, mount: str, settings: TokenSettings, who: Identity) -> Reply:
    """The answer to a successful login: a new token, orphaned, with the role's settings."""
    own = [] if settings.no_default_policy else ["default"]
    namespace, now = context.namespace, context.call.now
    batch = settings.kind == "batch"
    token = context.state.tokens.issue(
        tuple(sorted({*own, *settings.policies})),
        now,
        ttl=settings.ttl,
        max_ttl=settings.max_ttl or SYSTEM_MAX_TTL,
        kind="batch" if batch else "service",
        namespace=namespace.path,
        namespace_id=namespace.id if namespace.path else "",
        uses=settings.num_uses,
        period=settings.period,
        explicit_max_ttl=settings.explicit_max_ttl,
        renewable=not batch,
        path=mount + "login",
        display_name=who.display_name,
        meta=who.meta,
        entity_id=context.state.entity(namespace.path, mount, who.alias),
        role=who.role,
        certificate=who.certificate,
    )
    return envelope(auth=token.auth(now))
