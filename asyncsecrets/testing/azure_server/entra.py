"""Entra ID: tenants, applications and what they prove themselves with, and the tokens that they get for it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from asyncsecrets.testing.azure_server.refusals import Refused, entra
from asyncsecrets.testing.fakes import write_private
from asyncsecrets.testing.needs import need

LOGINS: Final = {
    "vault.azure.net": "login.microsoftonline.com", "vault.azure.cn": "login.chinacloudapi.cn",
    "vault.usgovcloudapi.net": "login.microsoftonline.us",
}  # fmt: skip
_CLAIMS: Final = '{"access_token": {"nbf": {"essential": true, "value": "%s"}}}'
_UNJUDGED: Final = dict.fromkeys(["verify_aud", "verify_exp", "verify_nbf", "verify_iat"], False)


@dataclass(slots=True)
class Token:
    """What is behind an access token."""

    principal: str
    tenant: str
    audience: str
    expires: float
    claims: str


@dataclass(slots=True)
class Application:
    """An application: its secrets with their ends, public keys of its certificates, and federated tokens with their
    ends."""

    secrets: dict[str, float] = field(default_factory=dict, repr=False)
    keys: list[Any] = field(default_factory=list, repr=False)
    federated: dict[str, float] = field(default_factory=dict, repr=False)


class Entra:
    """The tokens that are about, and who gets new ones. ``lifetime`` (s) is how long one is good, by the server's
    time; ``wall`` is the time of clients, which they write into assertions."""

    def __init__(self, now: Callable[[], float], wall: Callable[[], float], folder: Path, tenant: str) -> None:
        self.tenants, self.lifetime = {tenant}, 3599.0
        self.applications: dict[str, Application] = {}
        self.wall, self._now, self._folder, self._tenant = wall, now, folder, tenant
        self._tokens, self._demanded = dict[str, Token](), dict[str, str]()

    def add(self, client_id: str, secret: str | None = None, *, expires: float = float("inf")) -> str:
        """An application, or one more secret of it, good until ``expires``; the secret, which is made up if None."""
        secret = secret or "fake~" + secrets.token_urlsafe(24)
        self._of(client_id).secrets[secret] = expires
        return secret

    def issue(
        self, principal: str, audience: str = "https://vault.azure.net", *, tenant: str | None = None, claims: str = ""
    ) -> str:
        """A new token of that principal."""
        token, ends = "fake-example-" + secrets.token_urlsafe(24), self._now() + self.lifetime
        self._tokens[token] = Token(principal, tenant or self._tenant, audience.rstrip("/"), ends, claims)
        return token

    def revoke(self, principal: str) -> None:
        """End every token of that principal; it can get new ones."""
        self._tokens = {text: token for text, token in self._tokens.items() if token.principal != principal}

    def expire(self) -> None:
        """Let every token be too old from now on."""
        for token in self._tokens.values():
            token.expires = self._now()

    def demand_claims(self, principal: str) -> None:
        """Take no token of that principal that was issued before, nor without the claims that it is challenged with
        (continuous access evaluation)."""
        self._demanded[principal] = secrets.token_hex(8)

    def holder(self, authorization: str, audience: str, tenant: str) -> str:
        """Whose token this is; refuses what is none of ours, too old, or for another audience or tenant."""
        token = self._tokens.get(authorization.removeprefix("Bearer "))
        if token is None:
            raise Refused(401, "AKV10000: Request is missing a Bearer or PoP token.")
        if token.expires <= self._now():
            raise Refused(401, "[TokenExpired] Error validating token: 'S2S12086'.")
        if token.tenant != tenant:
            issuers = (
                f"Expected one of https://sts.windows.net/{tenant}/, found https://sts.windows.net/{token.tenant}/"
            )
            raise Refused(401, f"AKV10032: Invalid issuer. {issuers}.")
        if token.audience != audience:
            raise Refused(401, f"AKV10022: Invalid audience. Expected {audience}, found: {token.audience}.")
        demanded = self._demanded.get(token.principal, "")
        if demanded not in token.claims:
            raise Refused(401, "The token lacks claims.", claims=_CLAIMS % demanded)
        return token.principal

    # The endpoints: each takes the host, the tenant of the path and the form or query, and gives the document.

    def token(self, host: str, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        """The token endpoint, for client credentials."""
        client, assertion, secret = (form.get(key, "") for key in ("client_id", "client_assertion", "client_secret"))
        self._know(tenant)
        if form.get("grant_type") != "client_credentials":
            raise entra("70003", form.get("grant_type", ""))
        if client not in self.applications:
            raise entra("700016", client)
        if assertion:
            self._look_at_assertion(client, assertion, f"https://{host}/{tenant}/")
        else:
            self._look_at_secret(client, secret)
        scope, claims, life = form.get("scope", ""), form.get("claims", ""), int(self.lifetime)
        token = self.issue(client, scope.removesuffix("/.default"), tenant=tenant, claims=claims)
        late = {"refresh_in": life // 2} if life >= 7200 else {}
        return {"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token, **late}

    def discovery(self, host: str, _: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Whether an authority is known."""
        wanted, tenant = (query.get("authorization_endpoint", "") + "////").split("/")[2:4]
        if wanted not in {*LOGINS.values(), host}:
            raise entra("50049")
        clouds = [{"preferred_network": name, "preferred_cache": name, "aliases": [name]} for name in LOGINS.values()]
        endpoint = f"https://{wanted}/{tenant}/v2.0/.well-known/openid-configuration"
        return {"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": clouds}

    def configuration(self, host: str, tenant: str, _: Mapping[str, str]) -> dict[str, Any]:
        """The OpenID configuration of a tenant."""
        self._know(tenant)
        base = f"https://{host}/{tenant}/oauth2/v2.0/"
        return {"token_endpoint": f"{base}token", "authorization_endpoint": f"{base}authorize"}

    def _of(self, client_id: str) -> Application:
        return self.applications.setdefault(client_id, Application())

    def _know(self, tenant: str) -> None:
        if tenant not in self.tenants:
            raise entra("90002", tenant)

    def _look_at_secret(self, client: str, secret: str) -> None:
        ends = self._of(client).secrets.get(secret)
        if ends is None:
            raise entra("7000215" if secret else "7000218", client)
        if ends <= self._now():
            raise entra("7000222", client)

    def _look_at_assertion(self, client: str, assertion: str, audience: str) -> None:
        application = self._of(client)
        if assertion in application.federated:
            in_time = self._now() < application.federated[assertion]
        else:
            claims = _signed(assertion, application.keys)
            if claims.get("sub") != client or not str(claims.get("aud")).startswith(audience):
                raise entra("700027")
            in_time = claims.get("nbf", 0) - 300 <= self.wall() < claims.get("exp", 0)
        if not in_time:
            raise entra("700024")

    # Files that credentials are made from, written to the server's folder.

    def certificate_file(self, client_id: str, *, password: str | None = None) -> Path:
        """A certificate of an application with its key (PEM)."""
        trustme, kinds = need("trustme", "testing"), need("cryptography.hazmat.primitives.serialization", "azure")
        issued = trustme.CA().issue_cert(f"{client_id}.invalid", key_type=trustme.KeyType.RSA)
        key = kinds.load_pem_private_key(issued.private_key_pem.bytes(), None)
        self._of(client_id).keys.append(key.public_key())
        locked = kinds.BestAvailableEncryption(password.encode()) if password else kinds.NoEncryption()
        text = key.private_bytes(kinds.Encoding.PEM, kinds.PrivateFormat.PKCS8, locked)
        return write_private(self._folder / f"{client_id}.pem", text + issued.cert_chain_pems[0].bytes())

    def federated_token_file(self, client_id: str, *, lifetime: float = 3600.0) -> Path:
        """A token of a workload, which an application trusts for so many seconds; again: a new one in its place."""
        token = ".".join(secrets.token_urlsafe(24) for _ in range(3))
        self._of(client_id).federated[token] = self._now() + lifetime
        return write_private(self._folder / f"{client_id}.token", token)


def _signed(assertion: str, keys: list[Any]) -> dict[str, Any]:
    """What is signed by one of the keys; nothing if by none."""
    jwt = need("jwt", "azure")
    for key in keys:
        with contextlib.suppress(jwt.PyJWTError):
            return dict(jwt.decode(assertion, key, algorithms=["PS256", "RS256"], options=_UNJUDGED))
    return {}
