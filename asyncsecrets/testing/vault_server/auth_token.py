"""``auth/token``: create, look up, renew and revoke tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from asyncsecrets.testing.vault_server._durations import parse_duration
from asyncsecrets.testing.vault_server._model import (
    Call,
    Refused,
    Reply,
    envelope,
    listing,
    multi_error,
    no_content,
    unsupported_operation,
    unsupported_path,
)
from asyncsecrets.testing.vault_server.auth import AuthMethod
from asyncsecrets.testing.vault_server.state import Context, State
from asyncsecrets.testing.vault_server.tokens import SYSTEM_MAX_TTL, Token, capped


class TokenMethod(AuthMethod):
    """The method that is always there."""

    kind = "token"

    def is_login(self, _path: str, /) -> bool:
        return False

    def handle(self, context: Context, _mount: str, /) -> Reply:
        if context.rest.rstrip("/") == "accessors" and context.call.operation == "list":
            return listing(context.state.tokens.accessors(context.namespace.path))
        route = _ROUTES.get(context.rest)
        if route is None:
            raise unsupported_path()
        operations, handler = route
        if context.call.operation not in operations:
            raise unsupported_operation()
        return handler(context)


def create(context: Context) -> Reply:
    """A new token: a child of the asker's, unless it is an orphan."""
    call, parent = context.call, context.asker
    privileged = parent.is_root or context.state.acl(parent).allows(context.full_path, "sudo")
    kind = _kind(call)
    _check(call, parent, privileged=privileged)
    outside = parent.is_root and parent.namespace != context.namespace.path
    policies = _policies(call, parent, privileged=privileged, outside=outside)
    if "root" in policies and kind == "batch":
        raise Refused(400, "batch tokens cannot be root tokens")
    orphan = call.flag("no_parent") or context.rest == "create-orphan"
    if call.flag("no_parent") and not privileged:
        raise Refused(400, "root or sudo privileges required to create orphan token")
    explicit = _positive(call, "explicit_max_ttl")
    token = context.state.tokens.issue(
        policies,
        call.now,
        ttl=_positive(call, "ttl"),
        kind=kind,
        token_id=call.text("id"),
        namespace=context.namespace.path,
        namespace_id=context.namespace.id if context.namespace.path else "",
        uses=call.number("num_uses"),
        period=_positive(call, "period"),
        explicit_max_ttl=explicit,
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
    warnings = capped(call.seconds("ttl"), explicit or SYSTEM_MAX_TTL)
    return envelope(auth=token.auth(call.now), warnings=warnings or None)


def _kind(call: Call) -> Literal["service", "batch"]:
    match call.text("type", "service"):
        case "service":
            return "service"
        case "batch":
            for name in ("explicit_max_ttl", "num_uses", "period"):
                if call.value(name):
                    raise Refused(400, f'batch tokens cannot have "{name}" set')
            return "batch"
    raise Refused(400, "invalid 'token_type' value")


def _check(call: Call, parent: Token, *, privileged: bool) -> None:
    if parent.kind == "batch":
        raise Refused(400, "batch tokens cannot create more tokens")
    if parent.uses != 0:
        raise Refused(400, "restricted use token cannot generate child tokens")
    if call.number("num_uses") < 0:
        raise Refused(400, "number of uses cannot be negative")
    if call.text("id") and not privileged:
        raise Refused(400, "root or sudo privileges required to specify token id")
    for prefix in ("s.", "b."):
        if call.text("id").startswith(prefix):
            raise Refused(400, f"custom token ID cannot have the '{prefix}' prefix")


def _positive(call: Call, name: str) -> int:
    given = call.value(name)
    try:
        seconds = parse_duration(given) if given not in {None, ""} else 0
    except ValueError:
        seconds = None
    if seconds is None:
        raise Refused(400, f'time: invalid duration "{given}"')
    if seconds < 0:
        raise Refused(400, f"{name} must be positive")
    return seconds


def _policies(call: Call, parent: Token, *, privileged: bool, outside: bool) -> tuple[str, ...]:
    asked = [name.lower() for name in call.texts("policies")] or ([] if outside else list(parent.policies))
    if outside and "root" in asked:
        raise Refused(400, "root tokens may not be created from a parent namespace")
    if not privileged and not set(asked) <= set(parent.policies) | {"default"}:
        raise Refused(400, "child policies must be subset of parent")
    if "root" in asked:
        if not parent.is_root:
            raise Refused(400, "root tokens may not be created without parent token being root")
        return ("root",)
    own = [] if call.flag("no_default_policy") else ["default"]
    return tuple(sorted({*own, *asked}))


def lookup_self(context: Context) -> Reply:
    return envelope(context.asker.lookup(context.call.now))


def lookup(context: Context) -> Reply:
    token = _named(context, 403, "bad token") if context.call.text("token") else context.asker
    return envelope(token.lookup(context.call.now))


def lookup_accessor(context: Context) -> Reply:
    return envelope(_by_accessor(context).lookup(context.call.now, reveal=False))


def renew_self(context: Context) -> Reply:
    return _renew(context, context.asker)


def renew(context: Context) -> Reply:
    return _renew(context, _named(context, 400, "token not found"))


def renew_accessor(context: Context) -> Reply:
    return _renew(context, _by_accessor(context))


def _renew(context: Context, token: Token) -> Reply:
    call = context.call
    namespace = context.state.namespaces[token.namespace]
    issuer = context.state.find_auth(namespace, token.path)
    limit = issuer[0].backend.renewal_limit(token, call) if issuer else SYSTEM_MAX_TTL
    warnings = context.state.tokens.renew(token, call.now, increment=call.seconds("increment"), max_ttl=limit)
    return envelope(auth=token.auth(call.now), warnings=warnings or None)


def revoke_self(context: Context) -> Reply:
    return _revoke(context.state, context.asker)


def revoke(context: Context) -> Reply:
    token_id = context.call.text("token")
    if not token_id:
        raise Refused(400, "missing token ID")
    try:
        token = context.state.tokens.find(token_id, context.call.now)
    except Refused:
        return no_content()  # it is gone already, which is what was asked for
    return _revoke(context.state, token)


def revoke_accessor(context: Context) -> Reply:
    try:
        token = _by_accessor(context)
    except Refused:
        return envelope(warnings=["No token found with this accessor"])
    return _revoke(context.state, token)


def _revoke(state: State, token: Token) -> Reply:
    if token.kind == "batch":
        raise Refused(400, "batch tokens cannot be revoked")
    state.tokens.revoke(token)
    return no_content()


def _named(context: Context, status: int, missing: str) -> Token:
    token_id = context.call.text("token")
    if not token_id:
        raise Refused(400, "missing token ID")
    try:
        return context.state.tokens.find(token_id, context.call.now)
    except Refused:
        pass
    raise Refused(status, missing)


def _by_accessor(context: Context) -> Token:
    accessor = context.call.text("accessor")
    try:
        return context.state.tokens.by_accessor(accessor, context.call.now)
    except Refused:
        pass
    raise Refused(400, multi_error("invalid accessor"))


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
