"""Who asks: bearer tokens with a lifetime, and the credentials that google-auth gets them with."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from asyncsecrets.testing.fakes import write_private
from asyncsecrets.testing.google_server.refusals import Refused, absent, need, unauthenticated

STATIC: Final = "tester@example.com"
_GOOGLE: Final = "googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_AUDIENCE: Final = "https://oauth2.googleapis.com/token"  # what google-auth writes, whatever the file says
_OAUTH: Final = "urn:ietf:params:oauth"
_POOL: Final = "iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool"

Form = Mapping[str, str]


class Identity:
    """Tokens, and who holds them. ``tokens`` are accepted for ever (None: nobody is asked); others are issued here, and
    are good for ``lifetime`` s by the server's clock. ``url`` is the HTTP side's."""

    def __init__(self, tokens: Iterable[str] | None, now: Callable[[], float], folder: Path, project: str) -> None:
        self.tokens = None if tokens is None else set(tokens)
        self.lifetime, self.url = 3600.0, ""
        self._now, self._folder, self._project = now, folder, project
        self.default_account = self._email("default")
        self._issued: dict[str, tuple[str, float]] = {}
        self._keys: dict[str, Any] = {}
        self._owners: dict[str, str] = {}  # of refresh tokens and subject tokens

    def issue(self, principal: str, lifetime: float | None = None, token: str | None = None) -> str:
        """A new token of that principal."""
        token = token or "ya29.fake-" + secrets.token_urlsafe(24)
        self._issued[token] = principal, self._now() + (self.lifetime if lifetime is None else lifetime)
        return token

    def revoke(self, principal: str) -> None:
        """Take every token of that principal, and what it could get new ones for."""
        self._issued = {token: held for token, held in self._issued.items() if held[0] != principal}
        self._owners = {grant: owner for grant, owner in self._owners.items() if owner != principal}
        self._keys.pop(principal, None)

    def expire(self) -> None:
        """Let every token that was issued be too old from now on."""
        self._issued = {token: (principal, self._now()) for token, (principal, _) in self._issued.items()}

    def principal_of(self, authorization: str, facts: dict[str, str]) -> str:
        """Whose token this is; refuses what is none of ours, or too old. Nobody is asked where ``tokens`` is None."""
        return "" if self.tokens is None else self._holder(authorization, facts)

    def _holder(self, authorization: str, facts: dict[str, str]) -> str:
        token = authorization.removeprefix("Bearer ")
        if token in (self.tokens or ()):
            return STATIC
        if token not in self._issued:
            self._see(token)
        principal, expires = self._issued.get(token, ("", 0.0))
        if principal and self._now() < expires:
            return principal
        missing = "ACCESS_TOKEN_TYPE_UNSUPPORTED" if token else "CREDENTIALS_MISSING"
        raise unauthenticated("ACCESS_TOKEN_EXPIRED" if principal else missing, **facts)

    def _see(self, token: str) -> None:
        """A service account may sign its tokens itself. Its clock is not ours: the lifetime counts from here on."""
        with contextlib.suppress(Refused):
            claims = self._claims(token)
            self.issue(claims["iss"], min(self.lifetime, claims["exp"] - claims["iat"]), token)

    def _claims(self, token: str) -> dict[str, Any]:
        """What a service account has signed (RS256), for an hour at most."""
        signed, _, signature = token.rpartition(".")
        scheme = need("cryptography.hazmat.primitives.asymmetric.padding").PKCS1v15()
        digest = need("cryptography.hazmat.primitives.hashes").SHA256()
        try:
            claims: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
            self._keys[claims["iss"]].verify(_decoded(signature), signed.encode(), scheme, digest)
            if 0 < claims["exp"] - claims["iat"] <= 3600:
                return claims
        except (LookupError, TypeError, ValueError, need("cryptography.exceptions").InvalidSignature):
            pass
        raise _no_grant("Invalid JWT Signature.")

    # What is asked over HTTP: it takes the form and the authorization, and gives the document (or text) of the answer.

    def token(self, form: Form, _: str) -> Any:
        """The OAuth token endpoint: a refresh token, or an assertion of a service account."""
        if form.get("grant_type") != f"{_OAUTH}:grant-type:jwt-bearer":
            return self._answer(self._owner(form.get("refresh_token", "")))
        claims = self._claims(form.get("assertion", ""))
        if claims.get("aud") not in {_AUDIENCE, f"{self.url}/token"}:
            raise _no_grant("Invalid JWT: its audience is not this endpoint.")
        return self._answer(claims["iss"])

    def exchange(self, form: Form, _: str) -> Any:
        """The token exchange of workload identity federation (RFC 8693)."""
        kind = {"issued_token_type": f"{_OAUTH}:token-type:access_token"}
        return self._answer(self._owner(form.get("subject_token", ""))) | kind

    def impersonate(self, form: Form, authorization: str) -> Any:
        """``generateAccessToken`` of IAM credentials: every known principal may be any service account."""
        self._holder(authorization, {"service": f"iamcredentials.{_GOOGLE}"})
        until = dt.datetime.fromtimestamp(self._now() + self.lifetime, dt.UTC)
        return {"accessToken": self.issue(form["account"]), "expireTime": until.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def subject(self, form: Form, _: str) -> Any:
        """The token of a workload, for credentials that read it from a URL."""
        return next((grant for grant, owner in self._owners.items() if owner.endswith(f"/subject/{form['name']}")), "")

    def metadata(self, form: Form, _: str) -> Any:
        """What the metadata server says under a path."""
        path = form.get("path", "").replace(self.default_account, "default")
        email, account = self.default_account, "instance/service-accounts/default/"
        if path == f"{account}token":
            return self._answer(email)
        known = {
            "": "instance/\nproject/\n",
            "project/project-id": self._project,
            "universe/universe-domain": _GOOGLE,
            account: {"email": email, "scopes": [_SCOPE], "aliases": ["default"]},
            f"{account}email": email,
        }
        if path not in known:
            raise absent("Metadata", path)
        return known[path]

    def _answer(self, principal: str) -> dict[str, Any]:
        return {"access_token": self.issue(principal), "expires_in": int(self.lifetime), "token_type": "Bearer"}

    def _owner(self, grant: str) -> str:
        if grant not in self._owners:
            raise _no_grant("Token has been expired or revoked.")
        return self._owners[grant]

    # Credential files, written to the server's folder; ``more`` are further fields of theirs.

    def service_account_file(self, name: str = "app", **more: Any) -> Path:
        """A service account with a key of its own."""
        rsa = need("cryptography.hazmat.primitives.asymmetric.rsa")
        key, email = rsa.generate_private_key(public_exponent=65537, key_size=2048), self._email(name)
        self._keys[email] = key.public_key()
        facts = {"project_id": self._project, "private_key_id": secrets.token_hex(20), "private_key": _pem(key)}
        facts |= {"client_email": email, "client_id": "1", "token_uri": f"{self.url}/token"}
        return self._write(name, "service_account", universe_domain=_GOOGLE, **facts | more)

    def authorized_user_file(self, name: str = "user", **more: Any) -> Path:
        """A user who has logged in."""
        facts = {"client_id": "fake.apps.googleusercontent.com", "client_secret": secrets.token_urlsafe(12)}
        return self._write(name, "authorized_user", refresh_token=self._grant(f"{name}@example.com"), **facts | more)

    def external_account_file(
        self, name: str = "workload", *, source: str = "file", account: str | None = None, **more: Any
    ) -> Path:
        """A workload of another cloud, whose token is in a file or behind a URL; it may act as a service account."""
        file = self._folder / f"{name}.token"
        file.write_text(self._grant(f"principal://{_POOL}/subject/{name}"), encoding="utf-8")
        place = {"file": str(file)} if source == "file" else {"url": f"{self.url}/subject/{name}"}
        acting = {"service_account_impersonation_url": self.impersonation_url(account)} if account else {}
        facts = {"audience": f"//{_POOL}/providers/fake", "subject_token_type": f"{_OAUTH}:token-type:jwt"}
        facts |= {"token_url": f"{self.url}/v1/token"} | acting
        return self._write(name, "external_account", credential_source=place, **facts | more)

    def impersonated_file(self, account: str, name: str = "impersonated", **more: Any) -> Path:
        """A service account of its own that acts as another."""
        source = json.loads(self.service_account_file(f"{name}-source").read_text(encoding="utf-8"))
        facts = {"service_account_impersonation_url": self.impersonation_url(account), "source_credentials": source}
        return self._write(name, "impersonated_service_account", **facts | more)

    def impersonation_url(self, account: str) -> str:
        """Where tokens of that service account are got."""
        return f"{self.url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"

    def _email(self, name: str) -> str:
        return f"{name}@{self._project}.iam.gserviceaccount.com"

    def _grant(self, principal: str) -> str:
        grant = secrets.token_urlsafe(24)
        self._owners[grant] = principal
        return grant

    def _write(self, name: str, kind: str, **facts: Any) -> Path:
        return write_private(self._folder / f"{name}.json", json.dumps({"type": kind, **facts}))


def _no_grant(message: str) -> Refused:
    return Refused("INVALID_ARGUMENT", message, "invalid_grant")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _pem(key: Any) -> str:
    kinds = need("cryptography.hazmat.primitives.serialization")
    return str(key.private_bytes(kinds.Encoding.PEM, kinds.PrivateFormat.PKCS8, kinds.NoEncryption()).decode())
