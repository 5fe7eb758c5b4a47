"""``auth/kubernetes``: a service account's token, vouched for by a TokenReview."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from asyncsecrets.testing.vault_server._model import (
    Call,
    Pending,
    Refused,
    Reply,
    absent,
    envelope,
    no_content,
    unsupported_operation,
    unsupported_path,
)
from asyncsecrets.testing.vault_server.auth import AuthMethod, Identity, Roles, TokenSettings, log_in
from asyncsecrets.testing.vault_server.auth_jwt import decode, time_problem
from asyncsecrets.testing.vault_server.state import Context, TokenReview
from asyncsecrets.testing.vault_server.tokens import Token

_TIMEOUT = 10.0
_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


@dataclass(slots=True)
class KubernetesRole:
    """A role."""

    settings: TokenSettings = field(default_factory=TokenSettings)
    names: list[str] = field(default_factory=list)
    namespaces: list[str] = field(default_factory=list)
    audience: str = ""
    alias_source: str = "serviceaccount_uid"

    def update(self, call: Call) -> None:
        if call.value("bound_service_account_names") is not None:
            self.names = call.texts("bound_service_account_names")
        if call.value("bound_service_account_namespaces") is not None:
            self.namespaces = call.texts("bound_service_account_namespaces")
        self.audience = call.text("audience", self.audience)
        self.alias_source = call.text("alias_name_source", self.alias_source)
        if not self.names:
            raise Refused(400, '"bound_service_account_names" can not be empty')
        if not self.namespaces:
            raise Refused(
                400,
                '"bound_service_account_namespaces" can not be empty if "bound_service_account_namespace_selector" '
                "is not set",
            )

    def data(self) -> dict[str, Any]:
        return {
            **({"audience": self.audience} if self.audience else {}),
            "alias_name_source": self.alias_source,
            "bound_service_account_names": self.names,
            "bound_service_account_namespace_selector": "",
            "bound_service_account_namespaces": self.namespaces,
        }


@dataclass(slots=True)
class _Cluster:
    host: str = ""
    ca: str = ""
    reviewer: str = field(default="", repr=False)
    disable_local_ca_jwt: bool = False

    def data(self) -> dict[str, Any]:
        return {
            "disable_iss_validation": True,
            "disable_local_ca_jwt": self.disable_local_ca_jwt,
            "issuer": "",
            "kubernetes_ca_cert": self.ca,
            "kubernetes_host": self.host,
            "pem_keys": [],
            "token_reviewer_jwt_set": bool(self.reviewer),
        }


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    namespace: str
    uid: str
    secret: str


class KubernetesMethod(AuthMethod):
    """Kubernetes."""

    kind = "kubernetes"

    def __init__(self) -> None:
        self._roles = Roles(KubernetesRole)
        self._cluster = _Cluster()

    def exists(self, path: str, /) -> bool:
        section, _, name = path.partition("/")
        return section != "role" or name in self._roles

    def renewal_limit(self, token: Token, _call: Call, /) -> int:
        return self._roles.renewal_limit(token.role)

    def handle(self, context: Context, mount: str, /) -> Reply | Pending:
        section, _, name = context.rest.partition("/")
        match section:
            case "login" if not name:
                return self._login(context, mount)
            case "config" if not name:
                return self._config(context.call)
            case "role":
                return self._roles.handle(context.call, name)
        raise unsupported_path()

    def _config(self, call: Call) -> Reply:
        if call.operation == "read":
            if not self._cluster.host:
                raise absent()
            return envelope(self._cluster.data())
        if call.operation not in {"create", "update"}:
            raise unsupported_operation()
        if not call.text("kubernetes_host"):
            raise Refused(400, "no host provided")
        if call.flag("disable_local_ca_jwt") and not call.text("kubernetes_ca_cert"):
            raise Refused(400, "kubernetes_ca_cert must be given when disable_local_ca_jwt is true")
        self._cluster = _Cluster(
            call.text("kubernetes_host").rstrip("/"),
            call.text("kubernetes_ca_cert"),
            call.text("token_reviewer_jwt"),
            call.flag("disable_local_ca_jwt"),
        )
        return no_content()

    def _login(self, context: Context, mount: str) -> Pending:
        call = context.call
        if call.operation != "update":
            raise Refused(405, "unsupported operation")
        for name in ("role", "jwt"):
            if not call.text(name):
                raise Refused(400, f"missing {name}")
        name, token = call.text("role"), call.text("jwt")
        role = self._roles.get(name)
        if role is None:
            raise Refused(400, f'invalid role name "{name}"')
        if context.state.token_review is None and not self._cluster.host:
            raise Refused(500, "could not load backend configuration")
        account = _account(token, role, call.now)
        audiences = [role.audience] if role.audience else []

        async def finish() -> Reply:
            status = await self._review(context.state.token_review, token, audiences)
            _check_review(status, account, audiences)
            return log_in(context, mount, role.settings, _identity(name, role, account))

        return Pending(finish)

    async def _review(self, review: TokenReview | None, token: str, audiences: list[str]) -> Mapping[str, Any]:
        if review is not None:
            status = review(token, audiences)
            return await status if inspect.isawaitable(status) else status
        return await _ask_cluster(self._cluster, token, audiences)


def _account(token: str, role: KubernetesRole, now: float) -> _Account:
    """Whose token it says it is, in the projected or in the older form.

    Raises:
        Refused: 403, it is malformed, or the role does not know such an account.
    """
    try:
        claims = decode(token, None)
    except ValueError:
        claims = {}
    problem = time_problem(claims, now) if claims else "permission denied"
    if problem:
        raise Refused(403, problem)
    projected = claims.get("kubernetes.io")
    if isinstance(projected, dict):
        account = projected.get("serviceaccount") or {}
        found = _Account(
            str(account.get("name", "")), str(projected.get("namespace", "")), str(account.get("uid", "")), ""
        )
    else:
        prefix = "kubernetes.io/serviceaccount/"
        found = _Account(
            str(claims.get(prefix + "service-account.name", "")),
            str(claims.get(prefix + "namespace", "")),
            str(claims.get(prefix + "service-account.uid", "")),
            str(claims.get(prefix + "secret.name", "")),
        )
    if not found.uid:
        raise Refused(403, "permission denied")
    if "*" not in role.namespaces and found.namespace not in role.namespaces:
        raise Refused(403, "namespace not authorized")
    if "*" not in role.names and found.name not in role.names:
        raise Refused(403, "service account name not authorized")
    return found


async def _ask_cluster(cluster: _Cluster, token: str, audiences: list[str]) -> Mapping[str, Any]:
    spec = {"token": token, **({"audiences": audiences} if audiences else {})}
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    headers = {"Authorization": f"Bearer {cluster.reviewer or token}"}
    context = (
        ssl.create_default_context(cadata=cluster.ca) if cluster.host.startswith("https:") and cluster.ca else True
    )
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
    status: Any = None
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.post(
                cluster.host + _PATH, json=review, headers=headers, ssl=context, allow_redirects=False
            ) as answer,
        ):
            status = (await answer.json(content_type=None)).get("status") if answer.status in {200, 201} else None
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError):
        status = None
    return status if isinstance(status, dict) else {}


def _check_review(status: Mapping[str, Any], account: _Account, audiences: list[str]) -> None:
    user = status.get("user") or {}
    username = f"system:serviceaccount:{account.namespace}:{account.name}"
    known = not audiences or bool(set(audiences) & set(status.get("audiences") or []))
    if not (
        status.get("authenticated") is True
        and not status.get("error")
        and user.get("username") == username
        and user.get("uid") == account.uid
        and known
    ):
        raise Refused(403, "permission denied")


def _identity(name: str, role: KubernetesRole, account: _Account) -> Identity:
    full = f"{account.namespace}/{account.name}"
    meta = {
        "role": name,
        "service_account_name": account.name,
        "service_account_namespace": account.namespace,
        "service_account_secret_name": account.secret,
        "service_account_uid": account.uid,
    }
    alias = full if role.alias_source == "serviceaccount_name" else account.uid
    return Identity(alias, name, f"kubernetes-{account.namespace}-{account.name}", meta)
