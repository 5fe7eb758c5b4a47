"""``sys/namespaces``: how a namespace comes to be, and what it has from the beginning."""

from __future__ import annotations

import uuid

from asyncsecrets.testing.vault_server._model import Refused, Reply, absent, envelope, listing, page
from asyncsecrets.testing.vault_server.auth_token import TokenMethod
from asyncsecrets.testing.vault_server.engines import CubbyholeEngine, Engine
from asyncsecrets.testing.vault_server.policies import DEFAULT_POLICY
from asyncsecrets.testing.vault_server.state import Context, Handler, Mount, Namespace, Policy, State
from asyncsecrets.testing.vault_server.tokens import random_id


def add_namespace(state: State, path: str, now: float) -> Namespace:
    """Make a namespace with what every one has: ``sys/``, ``cubbyhole/``, ``identity/``, tokens, the default policy."""
    namespace = Namespace(path, id="root" if not path else random_id())
    state.namespaces[path] = namespace
    namespace.policies["default"] = Policy(DEFAULT_POLICY, 1, now)
    prefix = "ns_" if path else ""
    state.mount(namespace, "sys/", prefix + "system", Engine(), None, "system endpoints used for control and policy")
    state.mount(
        namespace, "cubbyhole/", prefix + "cubbyhole", CubbyholeEngine(), None, "per-token private secret storage"
    )
    state.mount(namespace, "identity/", prefix + "identity", Engine(), None, "identity store")
    token_method = TokenMethod()
    namespace.auths["token/"] = Mount(
        "token/",
        prefix + "token",
        token_method,
        "token based credentials",
        None,
        f"auth_token_{uuid.uuid4().hex[:8]}",
    )
    return namespace


def list_namespaces(context: Context) -> Reply:
    base = context.namespace.path
    below = {path.removeprefix(base): ns for path, ns in context.state.namespaces.items() if path.startswith(base)}
    found = {path: ns for path, ns in sorted(below.items()) if path.count("/") == 1}
    keys = page(list(found), context.call)
    return listing(keys, key_info={key: found[key].data() for key in keys})


def read_namespace(context: Context) -> Reply:
    found = context.state.namespaces.get(_child_path(context))
    if found is None:
        raise absent()
    return envelope(found.data())


def _child_path(context: Context) -> str:
    name = context.rest.strip("/")
    if "/" in name:
        raise Refused(400, "namespace name cannot contain /")
    if " " in name:
        raise Refused(400, f'"{name}" contains space characters that cannot be used in a namespace name')
    if not name or name in {"root", "sys", "audit", "auth", "cubbyhole", "identity"}:
        raise Refused(400, f'"{name}/" is a reserved path and cannot be used as a namespace name')
    return context.namespace.path + name + "/"


def write_namespace(context: Context) -> Reply:
    """Create the namespace, or update its metadata."""
    path, call = _child_path(context), context.call
    namespace = context.state.namespaces.get(path) or add_namespace(context.state, path, call.now)
    custom = call.body.get("custom_metadata")
    if custom is not None:
        kept = namespace.custom_metadata if call.operation == "patch" else {}
        merged = {**kept, **custom}
        namespace.custom_metadata = {str(key): str(value) for key, value in merged.items() if value is not None}
    return envelope(namespace.data())


def delete_namespace(context: Context) -> Reply:
    """Delete the namespace with all it holds; one that has children stays."""
    path, namespaces = _child_path(context), context.state.namespaces
    if any(other != path and other.startswith(path) for other in namespaces):
        raise Refused(400, "unable to delete namespace containing child namespaces")
    if namespaces.pop(path, None) is None:
        return envelope(warnings=["requested namespace does not exist"])
    context.state.tokens.revoke_all("", path)
    return envelope({"status": "in-progress"})


ROUTES: dict[str, dict[str, Handler]] = {
    "namespaces": {"list": list_namespaces},
    "namespaces/": {
        "read": read_namespace,
        "update": write_namespace,
        "patch": write_namespace,
        "delete": delete_namespace,
    },
}
