"""``sys/policies``, ``sys/capabilities`` and ``sys/quotas``."""

from __future__ import annotations

from typing import Any

from asyncsecrets.testing.vault_server._model import (
    Refused,
    Reply,
    absent,
    envelope,
    legacy,
    listing,
    multi_error,
    no_content,
    page,
    timestamp,
)
from asyncsecrets.testing.vault_server.policies import PolicyError, parse_policy
from asyncsecrets.testing.vault_server.quotas import EXEMPT, Quota
from asyncsecrets.testing.vault_server.state import Context, Handler, Policy, State
from asyncsecrets.testing.vault_server.tokens import Token


def list_policies(context: Context) -> Reply:
    return listing(page(_policy_names(context), context.call))


def list_policies_older(context: Context) -> Reply:
    names = _policy_names(context)
    return legacy(context.call, {"keys": names, "policies": names})


def _policy_names(context: Context) -> list[str]:
    return [*sorted(context.namespace.policies), *([] if context.namespace.path else ["root"])]


def read_policy(context: Context) -> Reply:
    name = context.rest.lower()
    is_root = name == "root" and not context.namespace.path
    policy = Policy("", 0, 0.0) if is_root else context.namespace.policies.get(name)
    if policy is None:
        raise absent()
    told: dict[str, Any] = {
        "allow_slashes_in_identity_templates": False,
        "allow_wildcards_in_identity_templates": False,
        "cas_required": False,
        "name": name,
        "version": policy.version,
    }
    told |= {} if is_root else {"modified": timestamp(policy.modified)}
    older = context.path.startswith("sys/policy/")
    return legacy(context.call, {**told, "rules": policy.text}) if older else envelope({**told, "policy": policy.text})


def write_policy(context: Context) -> Reply:
    name = context.rest.lower()
    if name in {"root", "response-wrapping"}:
        raise Refused(400, f'cannot update "{name}" policy')
    text = context.call.text("policy") or context.call.text("rules")
    if not text:
        raise Refused(400, "'policy' parameter not supplied or empty")
    _check_policy(text)
    older = context.namespace.policies.get(name)
    context.namespace.policies[name] = Policy(text, older.version + 1 if older else 1, context.call.now)
    return no_content()


def _check_policy(text: str) -> None:
    problem = ""
    try:
        parse_policy(text)
    except PolicyError as error:
        problem = str(error)
    if problem:
        raise Refused(400, f"failed to parse policy: {problem}")


def delete_policy(context: Context) -> Reply:
    name = context.rest.lower()
    if name in {"root", "default", "response-wrapping"}:
        raise Refused(400, f"cannot delete {name} policy")
    context.namespace.policies.pop(name, None)
    return no_content()


def capabilities_self(context: Context) -> Reply:
    return _capabilities(context, context.asker)


def capabilities(context: Context) -> Reply:
    return _capabilities(context, _asked(context))


def capabilities_accessor(context: Context) -> Reply:
    return _capabilities(context, context.state.tokens.by_accessor(context.call.text("accessor"), context.call.now))


def _asked(context: Context) -> Token:
    if not context.call.text("token"):
        raise Refused(500, multi_error("no token found"))
    try:
        return context.state.tokens.find(context.call.text("token"), context.call.now)
    except Refused:
        pass
    raise Refused(400, multi_error("invalid token"))


def _capabilities(context: Context, token: Token) -> Reply:
    paths = context.call.texts("paths") or context.call.texts("path")
    if not paths:
        raise Refused(400, "paths must be supplied")
    found = {path: _granted(context.state, token, context.namespace.path + path) for path in paths}
    first = {"capabilities": next(iter(found.values()))} if len(found) == 1 else {}
    return legacy(context.call, {**first, **found})


def _granted(state: State, token: Token, path: str) -> list[str]:
    if token.is_root:
        return ["root"] if path.startswith(token.namespace) else ["deny"]
    return sorted(state.acl(token).capabilities(path))


def write_quota(context: Context) -> Reply:
    call = context.call
    rate = call.value("rate")
    if not isinstance(rate, (int, float)) or rate <= 0:
        raise Refused(400, "'rate' is invalid")
    path = call.text("path").lstrip("/")
    if path and context.state.find_mount(context.namespace, path) is None and not path.startswith(("sys/", "auth/")):
        raise Refused(400, f'invalid mount path "{path}"')
    context.state.quotas.by_name[context.rest] = Quota(context.rest, path, rate, call.seconds("interval", 1) or 1)
    return no_content()


def read_quota(context: Context) -> Reply:
    quota = context.state.quotas.by_name.get(context.rest)
    if quota is None:
        raise absent()
    return envelope(quota.data())


def list_quotas(context: Context) -> Reply:
    return listing(sorted(context.state.quotas.by_name))


def delete_quota(context: Context) -> Reply:
    context.state.quotas.by_name.pop(context.rest, None)
    return no_content()


def write_quota_config(context: Context) -> Reply:
    context.state.quotas.headers = context.call.flag(
        "enable_rate_limit_response_headers", default=context.state.quotas.headers
    )
    return no_content()


def read_quota_config(context: Context) -> Reply:
    data: dict[str, Any] = {
        "enable_rate_limit_audit_logging": False,
        "enable_rate_limit_response_headers": context.state.quotas.headers,
        "rate_limit_exempt_paths": sorted(EXEMPT),
    }
    return envelope(data)


ROUTES: dict[str, dict[str, Handler]] = {
    "policies/acl": {"list": list_policies},
    "policies/acl/": {"read": read_policy, "update": write_policy, "delete": delete_policy},
    "policy": {"list": list_policies_older, "read": list_policies_older},
    "policy/": {"read": read_policy, "update": write_policy, "delete": delete_policy},
    "capabilities": {"update": capabilities},
    "capabilities-self": {"update": capabilities_self},
    "capabilities-accessor": {"update": capabilities_accessor},
    "quotas/config": {"read": read_quota_config, "update": write_quota_config},
    "quotas/rate-limit": {"list": list_quotas},
    "quotas/rate-limit/": {"read": read_quota, "update": write_quota, "delete": delete_quota},
}
