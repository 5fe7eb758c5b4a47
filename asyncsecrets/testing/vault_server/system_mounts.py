"""``sys/mounts``, ``sys/auth`` and ``sys/internal/ui/mounts``."""

from __future__ import annotations

import uuid
from typing import Any

from asyncsecrets.testing.vault_server._model import Call, Refused, Reply, bad_token, envelope, legacy, no_content
from asyncsecrets.testing.vault_server.auth_methods import new_method
from asyncsecrets.testing.vault_server.engines import Engine, FlatEngine
from asyncsecrets.testing.vault_server.kv2 import VersionedEngine
from asyncsecrets.testing.vault_server.state import Context, Handler, Mount
from asyncsecrets.testing.vault_server.tokens import SYSTEM_MAX_TTL


def list_mounts(context: Context) -> Reply:
    return _table(context.call, context.namespace.mounts)


def list_auths(context: Context) -> Reply:
    return _table(context.call, context.namespace.auths)


def _table(call: Call, mounts: dict[str, Mount]) -> Reply:
    return legacy(call, {path: mount.data() for path, mount in sorted(mounts.items())})


def read_mount(context: Context) -> Reply:
    return legacy(context.call, _existing(context.namespace.mounts, context, "secret engine mount").data())


def read_auth(context: Context) -> Reply:
    return legacy(context.call, _existing(context.namespace.auths, context, "auth engine").data())


def _existing(mounts: dict[str, Mount], context: Context, kind: str) -> Mount:
    mount = mounts.get(_path(context))
    if mount is None:
        raise Refused(400, f"No {kind} at {_path(context)}")
    return mount


def _path(context: Context) -> str:
    return context.rest.strip("/") + "/"


def enable_mount(context: Context) -> Reply:
    path, call = _path(context), context.call
    if not call.text("type"):
        raise Refused(400, "backend type must be specified as a string")
    options = {key: str(value) for key, value in (call.body.get("options") or {}).items()}
    engine = _new_engine(call.text("type"), options)
    if engine is None:
        raise Refused(400, f"plugin not found in the catalog: {call.text('type')} (the dev server has kv and kv-v2)")
    _check_free(context.namespace.mounts, path)
    if call.text("type") == "kv-v2":
        options["version"] = "2"
    context.state.mount(context.namespace, path, "kv", engine, options, call.text("description"))
    return no_content()


def _new_engine(kind: str, options: dict[str, str]) -> Engine | None:
    if kind == "kv-v2" or (kind == "kv" and options.get("version") == "2"):
        return VersionedEngine()
    return FlatEngine() if kind in {"kv", "generic"} else None


def enable_auth(context: Context) -> Reply:
    path, kind = _path(context), context.call.text("type")
    method = new_method(kind)
    if method is None:
        raise Refused(400, f"plugin not found in the catalog: {kind}")
    _check_free(context.namespace.auths, path)
    accessor = f"auth_{kind}_{uuid.uuid4().hex[:8]}"
    context.namespace.auths[path] = Mount(path, kind, method, context.call.text("description"), {}, accessor)
    return no_content()


def _check_free(mounts: dict[str, Mount], path: str) -> None:
    clash = next((p for p in mounts if p.startswith(path) or path.startswith(p)), None)
    if clash is not None:
        raise Refused(400, f"path is already in use at {clash}")


def disable_mount(context: Context) -> Reply:
    if _path(context) in {"cubbyhole/", "identity/", "sys/"}:
        raise Refused(400, f'cannot unmount "{_path(context)}"')
    context.namespace.mounts.pop(_path(context), None)
    return no_content()


def disable_auth(context: Context) -> Reply:
    """Disable an auth method; the tokens it issued end with it."""
    if _path(context) == "token/":
        raise Refused(400, "token credential backend cannot be disabled")
    if context.namespace.auths.pop(_path(context), None) is not None:
        context.state.tokens.revoke_all(f"auth/{_path(context)}", context.namespace.path)
    return no_content()


def _tuned(context: Context) -> Mount:
    mount = context.namespace.mounts.get(context.rest.removesuffix("/tune").strip("/") + "/")
    if mount is None or not context.rest.endswith("/tune"):
        raise Refused(400, "No mount at this path")
    return mount


def upgrade(context: Context) -> Reply:
    """Make a KV v2 mount of a KV v1 mount, the one thing that can be tuned here.

    Raises:
        Refused: 400, something else is to be tuned.
    """
    mount, options = _tuned(context), context.call.body.get("options") or {}
    if context.call.body.keys() != {"options"} or str(options.get("version")) != "2" or mount.kind != "kv":
        raise Refused(400, "the dev server can tune the version of a kv mount to 2 and nothing else")
    mount.options = {**(mount.options or {}), "version": "2"}
    if isinstance(mount.backend, VersionedEngine):
        return no_content()
    mount.backend = VersionedEngine.upgraded(mount.backend.store.entries, context.call.now)
    return envelope(warnings=[_UPGRADE])


_UPGRADE = (
    "Upgrading mount from version 1 to version 0. This mount will be unavailable for a brief period and will resume "
    "service shortly."
)


def tune(context: Context) -> Reply:
    mount = _tuned(context)
    options = {"options": mount.options} if mount.options else {}
    ttls = {"default_lease_ttl": SYSTEM_MAX_TTL, "max_lease_ttl": SYSTEM_MAX_TTL}
    return legacy(context.call, {**ttls, "description": mount.description, "force_no_cache": False, **options})


def write_mount_or_tune(context: Context) -> Reply:
    return upgrade(context) if context.rest.endswith("/tune") else enable_mount(context)


def read_mount_or_tune(context: Context) -> Reply:
    return tune(context) if context.rest.endswith("/tune") else read_mount(context)


def visible_mounts(context: Context) -> Reply:
    """Every mount that the token may reach; none without a token."""
    tables: dict[str, dict[str, Any]] = {"auth": {}, "secret": {}}
    if context.call.token:
        token = context.state.tokens.find(context.call.token, context.call.now)
        reach = _reach(context, token)
        namespace = context.namespace
        tables["secret"] = {p: m.data() for p, m in namespace.mounts.items() if reach(namespace.path + p)}
        tables["auth"] = {p: m.data() for p, m in namespace.auths.items() if reach(f"{namespace.path}auth/{p}")}
    return envelope(tables)


def visible_mount(context: Context) -> Reply:
    """The mount that a path lies in: how a client learns the KV version. 403 also when there is none."""
    if not context.call.token:
        raise bad_token()
    token = context.state.tokens.find(context.call.token, context.call.now)
    found = context.state.find_mount(context.namespace, context.rest.rstrip("/") + "/")
    if found is None or not _reach(context, token)(context.namespace.path + found[0].path):
        raise Refused(
            403,
            "preflight capability check returned 403, please ensure client's policies grant access to path "
            f'"{context.rest.rstrip("/")}/"',
        )
    return envelope({**found[0].data(), "path": found[0].path})


def _reach(context: Context, token: Any) -> Any:
    return (lambda path: path.startswith(token.namespace)) if token.is_root else context.state.acl(token).touches


ROUTES: dict[str, dict[str, Handler]] = {
    "mounts": {"read": list_mounts},
    "mounts/": {"read": read_mount_or_tune, "update": write_mount_or_tune, "delete": disable_mount},
    "auth": {"read": list_auths},
    "auth/": {"read": read_auth, "update": enable_auth, "delete": disable_auth},
    "internal/ui/mounts": {"read": visible_mounts},
    "internal/ui/mounts/": {"read": visible_mount},
}
