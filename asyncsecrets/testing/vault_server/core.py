"""The way of a call through the dev server: its namespace, its token, its policies, what is mounted there. No HTTP."""

from __future__ import annotations

import dataclasses

from asyncsecrets.testing.vault_server import system
from asyncsecrets.testing.vault_server._model import Call, Pending, Refused, Reply, denied_by_policy
from asyncsecrets.testing.vault_server.auth import AuthMethod
from asyncsecrets.testing.vault_server.kv2 import VersionedEngine
from asyncsecrets.testing.vault_server.state import Context, State
from asyncsecrets.testing.vault_server.store import clean
from asyncsecrets.testing.vault_server.system_namespaces import add_namespace
from asyncsecrets.testing.vault_server.tokens import Token, random_id

_UNSEALED_ONLY = {"sys/health", "sys/seal-status", "sys/unseal", "sys/leader", "sys/init"}
_PUBLIC = _UNSEALED_ONLY | {"sys/wrapping/unwrap", "sys/wrapping/lookup"}


class Core(State):
    """The state of one server, and what answers to calls."""

    def __init__(self, root_token: str, now: float) -> None:
        super().__init__()
        root = add_namespace(self, "", now)
        self.mount(root, "secret/", "kv", VersionedEngine(), {"version": "2"}, "key/value secret storage")
        self.tokens.add(Token(root_token, random_id(24), ("root",), now))

    async def handle(self, call: Call) -> Reply:
        """The answer to ``call``, awaited where an auth method has to ask somebody else."""
        reply = self.answer(call)
        if not isinstance(reply, Pending):
            return reply
        try:
            return self._wrap(call, await reply.finish())
        except Refused as refused:
            return refused.reply

    def answer(self, call: Call) -> Reply | Pending:
        """The answer to ``call``, or what has to be awaited for it."""
        try:
            reply = self._answer(call)
            return reply if isinstance(reply, Pending) else self._wrap(call, reply)
        except Refused as refused:
            return refused.reply

    def _answer(self, call: Call) -> Reply | Pending:
        if self.sealed and call.path not in _UNSEALED_ONLY:
            raise Refused(503, "Vault is sealed")
        if call.namespace.strip("/") and call.path in _UNSEALED_ONLY:
            raise Refused(400, "operation unavailable in namespaces")
        context = self.resolve(call)
        if context.namespace.path and context.path in _UNSEALED_ONLY:
            raise Refused(400, "operation only available in root namespace")
        self.quotas.check(context.full_path, call.remote, call.now)
        if not self.is_public(context):
            self.admit(context)
        return self.route(context)

    def resolve(self, call: Call) -> Context:
        """Which namespace the call is for: what the header says, and the namespaces that begin its path.

        Raises:
            Refused: 404, the header names none.
        """
        base = clean(call.namespace)
        base = f"{base}/" if base and base != "root" else ""
        if base not in self.namespaces:
            raise Refused(404, "namespace not found")
        path = call.path
        while (head := path.partition("/"))[1] and base + head[0] + "/" in self.namespaces:
            base, path = base + head[0] + "/", head[2]
        return Context(self, call, self.namespaces[base], path)

    def is_public(self, context: Context) -> bool:
        """Whether the path answers without a token."""
        if context.path in _PUBLIC or context.path.startswith("sys/internal/ui/mounts"):
            return True
        found = self.find_auth(context.namespace, context.path)
        return found is not None and found[0].backend.is_login(found[1])

    def admit(self, context: Context) -> None:
        """Check the token, spend one use of it, and check its policies.

        Raises:
            Refused: 403.
        """
        context.token = self.tokens.find(context.call.token, context.call.now)
        if context.call.operation == "update" and context.path.endswith("/"):
            raise Refused(400, "cannot write to a path ending in '/'")
        self._settle_operation(context)
        # What a token may do with itself it may do from every namespace.
        own = context.path.startswith("auth/token/") and context.path.endswith("-self")
        path = context.token.namespace + context.path if own else context.full_path
        allowed = self.permits(context.token, path, context.call.operation)
        self.tokens.spend(context.token)
        if not allowed:
            raise denied_by_policy()

    def _settle_operation(self, context: Context) -> None:
        """A write to what is not there yet is a create, where the backend can tell."""
        if context.call.operation != "update":
            return
        found = self.find_auth(context.namespace, context.path) or self.find_mount(context.namespace, context.path)
        if found is not None and not found[0].backend.exists(found[1]):
            context.call = dataclasses.replace(context.call, operation="create")

    def route(self, context: Context) -> Reply | Pending:
        """Hand the call to what is mounted at its path.

        Raises:
            Refused: 404, nothing is.
        """
        if context.path.startswith("sys/"):
            return system.route(context)
        auth = self.find_auth(context.namespace, context.path)
        if auth is not None:
            context.rest = auth[1]
            method: AuthMethod = auth[0].backend
            return method.handle(context, f"auth/{auth[0].path}")
        found = self.find_mount(context.namespace, context.path)
        if found is None:
            raise no_route(context)
        reply: Reply = found[0].backend.handle(context.call, found[1])
        return reply

    def _wrap(self, call: Call, reply: Reply) -> Reply:
        """Put a successful answer behind a single-use token, if the call asks for it."""
        body = reply.body
        if not call.wrap_ttl or reply.status != 200 or not isinstance(body, dict) or "wrap_info" not in body:
            return reply
        if call.path.startswith("sys/wrapping/") and not call.path.endswith(("/wrap", "/rewrap")):
            return reply
        return self.wrapped(self.resolve(call).path, body, call.wrap_ttl, call.now)


def no_route(context: Context) -> Refused:
    """Nothing is mounted there: a configuration error, not an absent secret."""
    return Refused(404, f'no handler for route "{context.path}". route entry not found.')
