"""Entra ID: tenants, applications and what they prove themselves with, and the tokens that they get for it."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from asyncsecrets.testing.azure_server.refusals import Refused
from asyncsecrets.testing.needs import need

LOGINS: Final = {
    "vault.azure.net": "login.microsoftonline.com",
    "vault.azure.cn": "login.chinacloudapi.cn",
    "vault.usgovcloudapi.net": "login.microsoftonline.us",
}
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(slots=True)
class Token:
    """What is behind an access token."""

    principal: str
    tenant: str
    audience: str
    expires: float
    claims: str = ""


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
        self._tokens: dict[str, Token] = {}
        self._demanded: dict[str, str] = {}

    def add(self, client_id: str, secret: str | None = None, *, expires: float = float("inf")) -> str:
        """An application, or one more secret of it, good until ``expires``; the secret, which is made up if None."""
        secret = secret or "fake~" + secrets.token_urlsafe(24)
        self.applications.setdefault(client_id, Application()).secrets[secret] = expires
        return secret

    def issue(
        self, principal: str, audience: str = "https://vault.azure.net", *, tenant: str | None = None, claims: str = ""
    ) -> str:
        """A new token of that principal."""
        token = "fake-example-" + secrets.token_urlsafe(24)
        self._tokens[token] = Token(
            principal, tenant or self._tenant, audience.rstrip("/"), self._now() + self.lifetime, claims
        )
        return token

    def revoke(self, principal: str, *, all_secrets: bool = False) -> None:
        """End every token of that principal and, if so asked, what it could get new ones for."""
        self._tokens = {text: token for text, token in self._tokens.items() if token.principal != principal}
        if all_secrets and principal in self.applications:
            self.applications[principal] = Application()

    def expire(self) -> None:
        """Let every token be too old from now on."""
        for token in self._tokens.values():
            token.expires = self._now()

    def demand_claims(self, principal: str) -> None:
        """Take no token of that principal that was issued before, nor without the claims that it is challenged with
        (continuous access evaluation)."""
        self._demanded[principal] = str(int(self._now() * 1000))

    def holder(self, authorization: str, audience: str, tenant: str) -> str:
        """Whose token this is; refuses what is none of ours, too old, or for another audience or tenant."""
        token = self._tokens.get(authorization.removeprefix("Bearer "))
        if token is None:
            raise Refused(401, message="AKV10000: Request is missing a Bearer or PoP token, or it was revoked.")
        if token.expires <= self._now():
            raise Refused(401, message="[TokenExpired] Error validating token: 'S2S12086'.")
        if token.tenant != tenant:
            issuers = (
                f"Expected one of https://sts.windows.net/{tenant}/, found https://sts.windows.net/{token.tenant}/"
            )
            raise Refused(401, message=f"AKV10032: Invalid issuer. {issuers}.")
        if token.audience != audience:
            raise Refused(401, message=f"AKV10022: Invalid audience. Expected {audience}, found: {token.audience}.")
        demanded = self._demanded.get(token.principal, "")
        if demanded not in token.claims:
            raise Refused(401, message="The claims of the token are not enough.", headers={"claims": _claims(demanded)})
        return token.principal

    # The endpoints: each takes the host, the tenant of the path and the form or query, and gives the document.

    def token(self, host: str, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        """The token endpoint, for client credentials."""
        self._know(tenant, "invalid_request")
        if form.get("grant_type") != "client_credentials":
            raise Refused(400, "unsupported_grant_type", "The app requested an unsupported grant type.", "70003")
        client = form.get("client_id", "")
        application = self.applications.get(client)
        if application is None:
            message = f"Application with identifier '{client}' was not found in the directory '{tenant}'."
            raise Refused(400, "unauthorized_client", message, "700016")
        if form.get("client_assertion_type") == _ASSERTION:
            self._look_at_assertion(application, client, form.get("client_assertion", ""), f"https://{host}/{tenant}/")
        else:
            self._look_at_secret(application, client, form.get("client_secret", ""))
        scope = form.get("scope", "").removesuffix("/.default")
        token = self.issue(client, scope, tenant=tenant, claims=form.get("claims", ""))
        life = int(self.lifetime)
        late = {"refresh_in": life // 2} if life >= 7200 else {}
        return {"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token, **late}

    def discovery(self, host: str, _: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Whether an authority is known."""
        authority = query.get("authorization_endpoint", "").removeprefix("https://")
        wanted, _, path = authority.partition("/")
        if wanted not in {*LOGINS.values(), host}:
            raise Refused(400, "invalid_instance", "Unknown or invalid instance.", "50049")
        base = f"https://{wanted}/{path.partition('/')[0]}"
        clouds = [{"preferred_network": name, "preferred_cache": name, "aliases": [name]} for name in LOGINS.values()]
        endpoint = f"{base}/v2.0/.well-known/openid-configuration"
        return {"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": clouds}

    def configuration(self, host: str, tenant: str, _: Mapping[str, str]) -> dict[str, Any]:
        """The OpenID configuration of a tenant."""
        self._know(tenant, "invalid_tenant")
        base = f"https://{host}/{tenant}"
        return {
            "issuer": f"{base}/v2.0",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
        }

    def _know(self, tenant: str, error: str) -> None:
        if tenant not in self.tenants:
            message = f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."
            raise Refused(400, error, message, "90002")

    def _look_at_secret(self, application: Application, client: str, secret: str) -> None:
        if not secret:
            message = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise Refused(401, "invalid_client", message, "7000218")
        if secret not in application.secrets:
            message = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{client}'."
            )
            raise Refused(401, "invalid_client", message, "7000215")
        if application.secrets[secret] <= self._now():
            message = f"The provided client secret keys for app '{client}' are expired."
            raise Refused(401, "invalid_client", message, "7000222")

    def _look_at_assertion(self, application: Application, client: str, assertion: str, audience: str) -> None:
        if assertion in application.federated:
            in_time = self._now() < application.federated[assertion]
        else:
            claims = _signed(assertion, application.keys)
            if claims.get("sub") != client or not str(claims.get("aud", "")).startswith(audience):
                message = "Client assertion contains an invalid signature. [Reason - The key was not found.]"
                raise Refused(401, "invalid_client", message, "700027")
            in_time = claims.get("nbf", 0) - 300 <= self.wall() < claims.get("exp", 0)
        if not in_time:
            message = "Client assertion is not within its valid time range."
            raise Refused(401, "invalid_client", message, "700024")

    # Files that credentials are made from, written to the server's folder.

    def certificate_file(self, client_id: str, *, password: str | None = None) -> Path:
        """A certificate of an application with its key (PEM)."""
        authority = need("trustme", "testing")
        issued = authority.CA(key_type=authority.KeyType.RSA).issue_cert(
            f"{client_id}.invalid", key_type=authority.KeyType.RSA
        )
        kinds = need("cryptography.hazmat.primitives.serialization", "azure")
        key = kinds.load_pem_private_key(issued.private_key_pem.bytes(), None)
        self.applications.setdefault(client_id, Application()).keys.append(key.public_key())
        locked = kinds.BestAvailableEncryption(password.encode()) if password else kinds.NoEncryption()
        text = key.private_bytes(kinds.Encoding.PEM, kinds.PrivateFormat.PKCS8, locked)
        return self._write(f"{client_id}.pem", text + issued.cert_chain_pems[0].bytes())

    def federated_token_file(self, client_id: str, *, lifetime: float = 3600.0) -> Path:
        """A token of a workload, which an application trusts for so many seconds; again: a new one in its place."""
        token = ".".join(secrets.token_urlsafe(24) for _ in range(3))
        self.applications.setdefault(client_id, Application()).federated[token] = self._now() + lifetime
        return self._write(f"{client_id}.token", token.encode())

    def _write(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path


def _claims(demanded: str) -> str:
    """The claims of a challenge, as they stand in its header."""
    wanted = {"access_token": {"nbf": {"essential": True, "value": demanded}}}
    return base64.b64encode(json.dumps(wanted).encode()).decode()


def _signed(assertion: str, keys: list[Any]) -> dict[str, Any]:
    """What is signed by one of the keys (PS256 or RS256); nothing if by none."""
    signed, _, signature = assertion.rpartition(".")
    with contextlib.suppress(ValueError, TypeError):
        header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
        if any(_is_signed(key, header.get("alg"), signed.encode(), _decoded(signature)) for key in keys):
            return dict(claims)
    return {}


def _is_signed(key: Any, algorithm: Any, signed: bytes, signature: bytes) -> bool:
    digest = need("cryptography.hazmat.primitives.hashes", "azure").SHA256()
    schemes = need("cryptography.hazmat.primitives.asymmetric.padding", "azure")
    scheme = schemes.PKCS1v15() if algorithm == "RS256" else schemes.PSS(schemes.MGF1(digest), digest.digest_size)
    try:
        key.verify(signature, signed, scheme, digest)
    except need("cryptography.exceptions", "azure").InvalidSignature:
        return False
    return True


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
