"""``sys/``: mounts, auth methods, policies, namespaces, quotas, capabilities, wrapping, health and seal."""

from __future__ import annotations

from collections.abc import Mapping

from asyncsecrets.testing.vault_server import system_access, system_mounts, system_namespaces, system_status, wrapping
from asyncsecrets.testing.vault_server._model import Refused, Reply, unsupported_operation, unsupported_path
from asyncsecrets.testing.vault_server.state import Context, Handler

# A route that ends in a slash takes whatever follows as `context.rest`. A create is an update here.
_ROUTES: Mapping[str, Mapping[str, Handler]] = {
    **system_mounts.ROUTES,
    **system_access.ROUTES,
    **system_namespaces.ROUTES,
    **system_status.ROUTES,
    **wrapping.ROUTES,
}


def route(context: Context) -> Reply:
    """Answer a call to ``sys/…``."""
    path = context.path.removeprefix("sys/")
    handlers = _ROUTES.get(path.rstrip("/") if context.call.operation == "list" else path)
    if handlers is None:
        prefix = max((p for p in _ROUTES if p.endswith("/") and path.startswith(p)), key=len, default=None)
        if prefix is None:
            raise unsupported_path()
        context.rest, handlers = path.removeprefix(prefix), _ROUTES[prefix]
    operation = "update" if context.call.operation == "create" else context.call.operation
    handler = handlers.get(operation)
    if handler is None:
        raise Refused(405) if path in {"seal", "unseal"} else unsupported_operation()
    return handler(context)
