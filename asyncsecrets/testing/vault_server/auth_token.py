"""``auth/token``: create, look up, renew and revoke tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from ._model import Call, Refused, Reply, envelope, listing, no_content, unsupported_operation, unsupported_path
from .auth import AuthMethod
from .tokens import SYSTEM_MAX_TTL, Token

if TYPE_CHECKING:
    from .core import Context, Core


class TokenMethod(AuthMethod):
    """The method that is always there."""

    kind = "token"

    def is_login(self, _path: str, /) -> bool:
        return False

    def handle(self, context: Context, _mount: str, /) -> Reply:
        if context.rest.rstrip("/") == "accessors" and context.call.operation == "list":
            return listing(context.core.tokens.accessors(context.namespace.path))
        route = _ROUTES.get(context.rest)
        if route is None:
            raise unsupported_path()
        operations, handler = route
        if context.call.operation not in operations:
            raise unsupported_operation()
        return handler(context)


def create(context: Context) -> Reply:
    """A new token: a child of the asker's, unless it is an orphan or a batch token."""
    call, parent = context.call, context.asker
    _check_parent(parent)
    kind: Literal["service", "batch"] = "batch" if call.text("type") == "batch" else "service"
    root = parent.is_root or context.core.acl(parent).allows(context.full_path, "sudo")
    policies = _policies(call, parent, root=root)
    orphan = call.flag("no_parent") or context.rest == "create-orphan"
    if orphan and not root and context.rest != "create-orphan":
        raise Refused(400, "root or sudo privileges required to create orphan token")
    token = context.core.tokens.issue(
        policies,
        call.now,
        ttl=call.seconds("ttl"),
        kind=kind,
        namespace=context.namespace.path,
        namespace_id=context.namespace.id if context.namespace.path else "",
        uses=call.number("num_uses"),
        period=call.seconds("period"),
        explicit_max_ttl=call.seconds("explicit_max_ttl"),
        renewable=kind == "service" and call.flag("renewable", default=True),
        path=context.path,
        display_name="-".join(filter(None, ["token", call.text("display_name")])),
        meta=call.body.get("meta"),
        orphan=orphan,
        parent="" if orphan else parent.id,
        entity_id="" if orphan else parent.entity_id,
    )
    if token.is_root and not call.seconds("ttl"):
        token.expires, token.limit, token.ttl, token.renewable = None, None, 0, False
    return envelope(auth=token.auth(call.now))


def _check_parent(parent: Token) -> None:
    if parent.kind == "batch":
        raise Refused(400, "batch tokens cannot create more tokens")
    if parent.uses > 0:
        raise Refused(400, "restricted use token cannot generate child tokens")


def _policies(call: Call, parent: Token, *, root: bool) -> tuple[str, ...]:
    asked = call.texts("policies") or list(parent.policies)
    if "root" in asked:
        if not parent.is_root:
            raise Refused(400, "root tokens may not be created without parent token being root")
        return ("root",)
    own = [] if call.flag("no_default_policy") else ["default"]
    if not root and not set(asked) <= set(parent.policies) | {"default"}:
        raise Refused(400, "child policies must be subset of parent")
    return tuple(sorted({*own, *asked}))


def lookup_self(context: Context) -> Reply:
    return envelope(context.asker.lookup(context.call.now))


def lookup(context: Context) -> Reply:
    return envelope(_named(context, "bad token").lookup(context.call.now))


def lookup_accessor(context: Context) -> Reply:
    return envelope(_by_accessor(context).lookup(context.call.now, reveal=False))


def renew_self(context: Context) -> Reply:
    return _renew(context, context.asker)


def renew(context: Context) -> Reply:
    return _renew(context, _named(context, "token not found"))


def renew_accessor(context: Context) -> Reply:
    return _renew(context, _by_accessor(context))


def _renew(context: Context, token: Token) -> Reply:
    call = context.call
    namespace = context.core.namespaces[token.namespace]
    issuer = context.core.find_auth(namespace, token.path)
    limit = issuer[0].backend.renewal_limit(token, call) if issuer else SYSTEM_MAX_TTL
    warnings = context.core.tokens.renew(token, call.now, increment=call.seconds("increment"), max_ttl=limit)
    return envelope(auth=token.auth(call.now), warnings=warnings or None)


def revoke_self(context: Context) -> Reply:
    return _revoke(context.core, context.asker)


def revoke(context: Context) -> Reply:
    token_id = context.call.text("token")
    if not token_id:
        raise Refused(400, "missing token ID")
    try:
        token = context.core.tokens.find(token_id, context.call.now)
    except Refused:
        return no_content()  # it is gone already, which is what was asked for
    return _revoke(context.core, token)


def revoke_accessor(context: Context) -> Reply:
    return _revoke(context.core, _by_accessor(context))


def _revoke(core: Core, token: Token) -> Reply:
    if token.kind == "batch":
        raise Refused(400, "batch tokens cannot be revoked")
    core.tokens.revoke(token)
    return no_content()


def _named(context: Context, missing: str) -> Token:
    token_id = context.call.text("token")
    if not token_id:
        raise Refused(400, "missing token ID")
    try:
        return context.core.tokens.find(token_id, context.call.now)
    except Refused:
        pass
    raise Refused(403, missing)


def _by_accessor(context: Context) -> Token:
    accessor = context.call.text("accessor")
    try:
        return context.core.tokens.by_accessor(accessor, context.call.now)
    except Refused:
        pass
    raise Refused(403, "invalid accessor")


_WRITE = frozenset({"create", "update"})
_READ_OR_WRITE = _WRITE | {"read"}
_ROUTES: dict[str, tuple[frozenset[str], Callable[[Context], Reply]]] = {
    "create": (_WRITE, create),
    "create-orphan": (_WRITE, create),
    "lookup": (_READ_OR_WRITE, lookup),
    "lookup-self": (_READ_OR_WRITE, lookup_self),
    "lookup-accessor": (_WRITE, lookup_accessor),
    "renew": (_WRITE, renew),
    "renew-self": (_WRITE, renew_self),
    "renew-accessor": (_WRITE, renew_accessor),
    "revoke": (_WRITE, revoke),
    "revoke-self": (_WRITE, revoke_self),
    "revoke-accessor": (_WRITE, revoke_accessor),
}
