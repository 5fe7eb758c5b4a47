"""Auth methods: what they share, and the table of kinds. One module per method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ._model import Call, Pending, Reply, envelope
from .tokens import SYSTEM_MAX_TTL, Token

if TYPE_CHECKING:
    from .core import Context


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
                self.policies = call.texts(name)
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
    token = context.core.tokens.issue(
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
        entity_id=context.core.entity(namespace.path, mount, who.alias),
        role=who.role,
        certificate=who.certificate,
    )
    return envelope(auth=token.auth(now))


def new_method(kind: str) -> AuthMethod | None:
    """A new auth method of this kind, or None if there is none here."""
    from .auth_token import TokenMethod  # noqa: PLC0415 - the methods build on this module

    kinds: dict[str, type[AuthMethod]] = {"token": TokenMethod}
    made = kinds.get(kind)
    return made() if made else None
