"""``auth/approle``: a role id, which is public, and a secret id, which may be bounded in uses and in time."""

from __future__ import annotations

import ipaddress
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from asyncsecrets.testing.vault_server._model import (
    Call,
    Refused,
    Reply,
    absent,
    envelope,
    listing,
    multi_error,
    no_content,
    timestamp,
    unsupported_operation,
    unsupported_path,
)
from asyncsecrets.testing.vault_server.auth import AuthMethod, Identity, Roles, TokenSettings, log_in
from asyncsecrets.testing.vault_server.state import Context
from asyncsecrets.testing.vault_server.tokens import Token


@dataclass(slots=True)
class SecretId:
    """One secret id; ``uses`` 0 is without bound, ``expires`` None is for good."""

    value: str = field(repr=False)
    accessor: str
    created: float
    uses: int = 0
    ttl: int = 0
    cidrs: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)

    def alive(self, now: float) -> bool:
        return not self.ttl or now < self.created + self.ttl

    def data(self) -> dict[str, Any]:
        expires = timestamp(self.created + self.ttl) if self.ttl else "0001-01-01T00:00:00Z"
        return {
            "cidr_list": self.cidrs,
            "creation_time": timestamp(self.created),
            "expiration_time": expires,
            "last_updated_time": timestamp(self.created),
            "metadata": self.metadata,
            "secret_id_accessor": self.accessor,
            "secret_id_num_uses": self.uses,
            "secret_id_ttl": self.ttl,
            "token_bound_cidrs": [],
        }


@dataclass(slots=True)
class AppRole:
    """A role."""

    settings: TokenSettings = field(default_factory=TokenSettings)
    role_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    bind_secret_id: bool = True
    secret_id_bound_cidrs: list[str] = field(default_factory=list)
    secret_id_num_uses: int = 0
    secret_id_ttl: int = 0
    secret_ids: dict[str, SecretId] = field(default_factory=dict, repr=False)

    def update(self, call: Call) -> None:
        self.role_id = call.text("role_id", self.role_id)
        self.bind_secret_id = call.flag("bind_secret_id", default=self.bind_secret_id)
        self.secret_id_num_uses = call.number("secret_id_num_uses", self.secret_id_num_uses)
        self.secret_id_ttl = call.seconds("secret_id_ttl", self.secret_id_ttl)
        if call.value("secret_id_bound_cidrs") is not None:
            self.secret_id_bound_cidrs = call.texts("secret_id_bound_cidrs")
        if not self.bind_secret_id and not self.secret_id_bound_cidrs:
            raise Refused(500, multi_error("at least one constraint should be enabled on the role"))

    def data(self) -> dict[str, Any]:
        return {
            "bind_secret_id": self.bind_secret_id,
            "local_secret_ids": False,
            "secret_id_bound_cidrs": self.secret_id_bound_cidrs or None,
            "secret_id_num_uses": self.secret_id_num_uses,
            "secret_id_ttl": self.secret_id_ttl,
        }

    def by_accessor(self, accessor: str) -> SecretId | None:
        return next((secret for secret in self.secret_ids.values() if secret.accessor == accessor), None)


class AppRoleMethod(AuthMethod):
    """AppRole."""

    kind = "approle"

    def __init__(self) -> None:
        self._roles = Roles(AppRole)

    def exists(self, path: str, /) -> bool:
        section, _, name = path.partition("/")
        return section != "role" or "/" in name or name in self._roles

    def renewal_limit(self, token: Token, _call: Call, /) -> int:
        return self._roles.renewal_limit(token.role)

    def handle(self, context: Context, mount: str, /) -> Reply:
        if context.rest == "login":
            return self._login(context, mount)
        section, _, rest = context.rest.partition("/")
        if section != "role":
            raise unsupported_path()
        name, _, part = rest.partition("/")
        if not part:
            return self._roles.handle(context.call, name)
        role = self._roles.get(name)
        if role is None:
            raise _no_role(name, part, context.call)
        return self._part(role, part.rstrip("/"), context.call)

    def _part(self, role: AppRole, part: str, call: Call) -> Reply:
        writes = call.operation in {"create", "update"}
        match part, call.operation:
            case "role-id", "read":
                return envelope({"role_id": role.role_id})
            case "role-id", "create" | "update":
                role.role_id = call.text("role_id", role.role_id)
                return no_content()
            case "secret-id", "list":
                return listing(sorted(secret.accessor for secret in role.secret_ids.values()))
            case "secret-id", "create" | "update":
                return _issue(role, call, str(uuid.uuid4()))
            case "custom-secret-id", "create" | "update":
                return _issue(role, call, call.text("secret_id"))
            case "secret-id/lookup", "create" | "update":
                return _lookup(role.secret_ids.get(call.text("secret_id")), call)
            case "secret-id-accessor/lookup", "create" | "update":
                return _lookup_accessor(role, call)
        if part in {"secret-id/destroy", "secret-id-accessor/destroy"} and (writes or call.operation == "delete"):
            return _destroy(role, call)
        raise unsupported_operation() if part in _PARTS else unsupported_path()

    def _login(self, context: Context, mount: str) -> Reply:
        call = context.call
        role_id = call.text("role_id").strip()
        if not role_id:
            raise Refused(500, "missing role_id")
        name, role = next(((n, r) for n, r in self._roles.items() if r.role_id == role_id), ("", None))
        if role is None:
            raise Refused(400, "invalid role or secret ID")
        metadata = _spend(role, call) if role.bind_secret_id else {}
        _check_origin(role.secret_id_bound_cidrs, call.remote)
        return log_in(
            context,
            mount,
            role.settings,
            Identity(role_id, name, mount.split("/")[1], {"role_name": name, **metadata}),
        )


_PARTS = {
    "role-id",
    "secret-id",
    "custom-secret-id",
    "secret-id/lookup",
    "secret-id/destroy",
    "secret-id-accessor/lookup",
    "secret-id-accessor/destroy",
}


def _no_role(name: str, part: str, call: Call) -> Refused:
    if part == "role-id":
        return absent()
    return Refused(400 if call.operation == "list" else 404, f'role "{name}" does not exist')


def _issue(role: AppRole, call: Call, value: str) -> Reply:
    if not value:
        raise Refused(400, "missing secret_id")
    if not role.bind_secret_id:
        raise Refused(400, "bind_secret_id is not set on the role")
    secret = SecretId(
        value,
        str(uuid.uuid4()),
        call.now,
        call.number("num_uses", role.secret_id_num_uses),
        call.seconds("ttl", role.secret_id_ttl),
        call.texts("cidr_list"),
        _metadata(call),
    )
    if value in role.secret_ids:
        raise Refused(500, multi_error("failed to store secret_id: SecretID is already registered"))
    if secret.uses < 0:
        raise Refused(400, "num_uses cannot be negative")
    if role.secret_id_ttl and not 0 < secret.ttl <= role.secret_id_ttl:
        raise Refused(400, "ttl cannot be longer than the role's secret_id_ttl")
    if role.secret_id_num_uses and not 0 < secret.uses <= role.secret_id_num_uses:
        raise Refused(400, "num_uses cannot be higher than the role's secret_id_num_uses")
    role.secret_ids[value] = secret
    return envelope(
        {
            "secret_id": value,
            "secret_id_accessor": secret.accessor,
            "secret_id_num_uses": secret.uses,
            "secret_id_ttl": secret.ttl,
        }
    )


def _metadata(call: Call) -> dict[str, str]:
    text = call.text("metadata")
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "failed to parse metadata: failed to parse the input: invalid <key,value> format")
    return {str(key): str(value) for key, value in found.items()}


def _spend(role: AppRole, call: Call) -> dict[str, str]:
    """One use less of the secret id that the login brings; what was noted with it when it was issued."""
    value = call.text("secret_id").strip()
    if not value:
        raise Refused(400, "missing secret_id")
    secret = role.secret_ids.get(value)
    if secret is None or not secret.alive(call.now):
        role.secret_ids.pop(value, None)
        raise Refused(400, "invalid role or secret ID")
    _check_origin(secret.cidrs, call.remote)
    if secret.uses == 1:
        del role.secret_ids[value]
    elif secret.uses:
        secret.uses -= 1
    return secret.metadata


def _check_origin(cidrs: list[str], remote: str) -> None:
    if cidrs and not any(_within(remote, cidr) for cidr in cidrs):
        raise Refused(400, f'source address "{remote}" unauthorized through CIDR restrictions on the secret ID')


def _within(remote: str, cidr: str) -> bool:
    try:
        return ipaddress.ip_address(remote) in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False


def _lookup(secret: SecretId | None, call: Call) -> Reply:
    if secret is None or not secret.alive(call.now):
        return no_content()
    return envelope(secret.data())


def _lookup_accessor(role: AppRole, call: Call) -> Reply:
    accessor = call.text("secret_id_accessor")
    found = role.by_accessor(accessor)
    if found is None:
        return envelope({"error": f'failed to find accessor entry for secret_id_accessor: "{accessor}"'}, status=404)
    return _lookup(found, call)


def _destroy(role: AppRole, call: Call) -> Reply:
    named = role.secret_ids.get(call.text("secret_id")) or role.by_accessor(call.text("secret_id_accessor"))
    accessor = call.text("secret_id_accessor")
    if named is None and accessor:
        text = f'failed to find accessor entry for secret_id_accessor: "{accessor}"'
        raise Refused(500, multi_error(text))
    if named is not None:
        del role.secret_ids[named.value]
    return no_content()
