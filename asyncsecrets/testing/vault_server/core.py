"""The dev server's core: namespaces, mounts, tokens and policies, and the way of a call through them. No HTTP."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asyncsecrets.testing.vault_server._model import (
    Call,
    Operation,
    Pending,
    Refused,
    Reply,
    bad_token,
    denied_by_policy,
    envelope,
    timestamp,
)
from asyncsecrets.testing.vault_server.engines import CubbyholeEngine, Engine
from asyncsecrets.testing.vault_server.policies import DEFAULT_POLICY, Acl, acl_of
from asyncsecrets.testing.vault_server.quotas import Quotas
from asyncsecrets.testing.vault_server.store import clean
from asyncsecrets.testing.vault_server.tokens import Token, TokenStore, random_id

from .kv2 import VersionedEngine

if TYPE_CHECKING:
    from asyncsecrets.testing.vault_server.auth import AuthMethod
    from asyncsecrets.testing.vault_server.auth_kubernetes import TokenReview

VERSION = "2.0.0-asyncsecrets-fake"
_UNSEALED_ONLY = {"sys/health", "sys/seal-status", "sys/unseal", "sys/leader", "sys/init"}
_BUILT_IN = {"cubbyhole", "identity", "system", "token"}
_PUBLIC = _UNSEALED_ONLY | {"sys/wrapping/unwrap", "sys/wrapping/lookup"}
_SUDO = ("sys/auth/", "sys/seal", "sys/step-down", "sys/rotate", "auth/token/accessors", "auth/token/revoke-orphan")


@dataclass(slots=True)
class Mount:
    """A secrets engine or an auth method at a path that ends in a slash."""

    path: str
    kind: str
    backend: Any
    description: str = ""
    options: dict[str, str] | None = None
    accessor: str = ""
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def data(self) -> dict[str, Any]:
        """What the mount tables tell of it."""
        supported = {} if self.kind.removeprefix("ns_") in _BUILT_IN else {"deprecation_status": "supported"}
        tokens = {"token_type": "default-service"} if self.accessor.startswith("auth_") else {}
        return {
            **supported,
            "accessor": self.accessor,
            "config": {"default_lease_ttl": 0, "force_no_cache": False, "max_lease_ttl": 0, **tokens},
            "description": self.description,
            "external_entropy_access": False,
            "local": self.kind.endswith("cubbyhole"),
            "options": self.options,
            "plugin_version": "",
            "running_plugin_version": "v2.0.0+builtin.bao",
            "running_sha256": "",
            "seal_wrap": False,
            "type": self.kind,
            "uuid": self.uuid,
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy's text, how often it was written, and when last."""

    text: str
    version: int
    modified: float


@dataclass(slots=True)
class Namespace:
    """A tenant: its own mounts, auth methods and policies. ``path`` ends in a slash; the root's is empty."""

    path: str
    id: str = field(default_factory=random_id)
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    mounts: dict[str, Mount] = field(default_factory=dict)
    auths: dict[str, Mount] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    custom_metadata: dict[str, str] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        return {
            "custom_metadata": self.custom_metadata,
            "id": self.id,
            "locked": False,
            "path": self.path,
            "tainted": False,
            "uuid": self.uuid,
        }


@dataclass(slots=True)
class Context:
    """A call on its way: the namespace it is for, its path in there, and the token that asks."""

    core: Core
    call: Call
    namespace: Namespace
    path: str
    token: Token | None = None
    rest: str = ""  # what follows the route's prefix

    @property
    def full_path(self) -> str:
        return self.namespace.path + self.path

    @property
    def asker(self) -> Token:
        """The token that asks.

        Raises:
            Refused: 403, there is none.
        """
        if self.token is None:
            raise bad_token()
        return self.token


Handler = Callable[[Context], Reply]


class Core:
    """All state of one server, in memory. Every change happens within one call, without awaiting."""

    def __init__(self, root_token: str, now: float) -> None:
        # Imported here because the tables of routes are built from functions that take a Core.
        from . import auth, system  # noqa: PLC0415

        self._system, self._auth = system, auth
        self.tokens = TokenStore()
        self.quotas = Quotas()
        self.namespaces: dict[str, Namespace] = {}
        self.entities: dict[tuple[str, ...], str] = {}
        self.sealed = False
        self.unseal_key = uuid.uuid4().hex
        self.cluster_id = str(uuid.uuid4())
        self.standby_for: str | None = None
        self.trust: Callable[[str], None] = lambda _pem: None  # what to do with a certificate that may log in
        self.token_review: TokenReview | None = None
        root = self.add_namespace("", now)
        self.mount(root, "secret/", "kv", VersionedEngine(), {"version": "2"}, "key/value secret storage")
        self.tokens.add(Token(root_token, random_id(24), ("root",), now))

    def add_namespace(self, path: str, now: float) -> Namespace:
        namespace = Namespace(path, id="root" if not path else random_id())
        self.namespaces[path] = namespace
        namespace.policies["default"] = Policy(DEFAULT_POLICY, 1, now)
        prefix = "ns_" if path else ""
        self.mount(namespace, "sys/", prefix + "system", Engine(), None, "system endpoints used for control and policy")
        self.mount(
            namespace, "cubbyhole/", prefix + "cubbyhole", CubbyholeEngine(), None, "per-token private secret storage"
        )
        self.mount(namespace, "identity/", prefix + "identity", Engine(), None, "identity store")
        token_method = self._auth.new_method("token")
        namespace.auths["token/"] = Mount(
            "token/",
            prefix + "token",
            token_method,
            "token based credentials",
            None,
            f"auth_token_{uuid.uuid4().hex[:8]}",
        )
        return namespace

    def mount(
        self,
        namespace: Namespace,
        path: str,
        kind: str,
        engine: Engine,
        options: dict[str, str] | None = None,
        description: str = "",
    ) -> None:
        accessor = f"{kind}_{uuid.uuid4().hex[:8]}"
        namespace.mounts[path] = Mount(path, kind, engine, description, options, accessor)

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

    def permits(self, token: Token, full_path: str, operation: Operation) -> bool:
        """Whether the token's policies allow ``operation`` on a path that starts with its namespace."""
        if token.is_root:
            return full_path.startswith(token.namespace)
        acl = self.acl(token)
        needs_sudo = full_path.removeprefix(token.namespace).startswith(_SUDO)
        return acl.allows(full_path, operation) and (not needs_sudo or acl.allows(full_path, "sudo"))

    def acl(self, token: Token) -> Acl:
        """The token's policies as of now; they reach no further than the namespace they live in."""
        namespace = self.namespaces.get(token.namespace)
        policies = [namespace.policies.get(name) for name in token.policies] if namespace else []
        return acl_of(token.namespace, tuple(policy.text for policy in policies if policy is not None))

    def route(self, context: Context) -> Reply | Pending:
        """Hand the call to what is mounted at its path.

        Raises:
            Refused: 404, nothing is.
        """
        if context.path.startswith("sys/"):
            return self._system.route(context)
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

    def find_mount(self, namespace: Namespace, path: str) -> tuple[Mount, str] | None:
        """The mount that ``path`` lies in, and the rest of the path."""
        return _longest(namespace.mounts, path)

    def find_auth(self, namespace: Namespace, path: str) -> tuple[Mount, str] | None:
        return _longest(namespace.auths, path.removeprefix("auth/")) if path.startswith("auth/") else None

    def entity(self, *alias: str) -> str:
        """The id of the entity behind an alias; the same for every login of it."""
        namespace = self.namespaces[alias[0]]
        suffix = f".{namespace.id}" if namespace.path else ""
        return self.entities.setdefault(alias, str(uuid.uuid4()) + suffix)

    def _wrap(self, call: Call, reply: Reply) -> Reply:
        """Put a successful answer behind a single-use token, if the call asks for it."""
        body = reply.body
        if not call.wrap_ttl or reply.status != 200 or not isinstance(body, dict) or "wrap_info" not in body:
            return reply
        if call.path.startswith("sys/wrapping/") and not call.path.endswith(("/wrap", "/rewrap")):
            return reply
        return self.wrapped(self.resolve(call).path, body, call.wrap_ttl, call.now)

    def wrapped(self, path: str, body: dict[str, Any], ttl: int, now: float) -> Reply:
        """A new wrapping token that holds ``body``, the answer of ``path``, for ``ttl`` seconds."""
        token = self.tokens.issue(("response-wrapping",), now, ttl=ttl, max_ttl=ttl, uses=1, path=path)
        token.wrapped = body
        outer: Any = envelope().body
        info = {
            "token": token.id,
            "accessor": token.accessor,
            "ttl": ttl,
            "creation_time": timestamp(now),
            "creation_path": path,
        }
        if body.get("auth"):
            info["wrapped_accessor"] = body["auth"]["accessor"]
        return Reply(200, {**outer, "request_id": "", "wrap_info": info})


def no_route(context: Context) -> Refused:
    """Nothing is mounted there: a configuration error, not an absent secret."""
    return Refused(404, f'no handler for route "{context.path}". route entry not found.')


def _longest(table: dict[str, Mount], path: str) -> tuple[Mount, str] | None:
    found = [mount for prefix, mount in table.items() if path.startswith(prefix) or path + "/" == prefix]
    if not found:
        return None
    mount = max(found, key=lambda candidate: len(candidate.path))
    return mount, path[len(mount.path) :]
