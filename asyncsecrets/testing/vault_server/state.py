"""What a dev server holds, in memory: namespaces with their mounts and policies, tokens; and a call on its way."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncsecrets.testing.vault_server._model import Call, Operation, Reply, bad_token, envelope, timestamp
from asyncsecrets.testing.vault_server.engines import Engine
from asyncsecrets.testing.vault_server.policies import Acl, acl_of
from asyncsecrets.testing.vault_server.quotas import Quotas
from asyncsecrets.testing.vault_server.tokens import Token, TokenStore, random_id

VERSION = "2.0.0-asyncsecrets-fake"
_BUILT_IN = {"cubbyhole", "identity", "system", "token"}
_SUDO = ("sys/auth/", "sys/seal", "sys/step-down", "sys/rotate", "auth/token/accessors", "auth/token/revoke-orphan")

# Takes the token and the audiences wanted; gives the TokenReview's status.
TokenReview = Callable[[str, list[str]], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]


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


class State:
    """All state of one server. Every change happens within one call, without awaiting."""

    def __init__(self) -> None:
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


@dataclass(slots=True)
class Context:
    """A call on its way: the namespace it is for, its path in there, and the token that asks."""

    state: State
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


def _longest(table: dict[str, Mount], path: str) -> tuple[Mount, str] | None:
    found = [mount for prefix, mount in table.items() if path.startswith(prefix) or path + "/" == prefix]
    if not found:
        return None
    mount = max(found, key=lambda candidate: len(candidate.path))
    return mount, path[len(mount.path) :]
