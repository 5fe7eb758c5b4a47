"""``auth/jwt``: a login with a JSON Web Token, signed with RS256 by a key that was configured."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncsecrets.testing.vault_server._crypto import load_public_key, signed_by, unbase64
from asyncsecrets.testing.vault_server._model import (
    Call,
    Refused,
    Reply,
    absent,
    envelope,
    no_content,
    unsupported_operation,
    unsupported_path,
)
from asyncsecrets.testing.vault_server.auth import AuthMethod, Identity, Roles, TokenSettings, log_in
from asyncsecrets.testing.vault_server.state import Context
from asyncsecrets.testing.vault_server.tokens import Token

_ONE_OF = (
    "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs', 'oidc_discovery_url', or 'provider_config' "
    "must be set"
)
CLOCK_SKEW = 60  # seconds, the server's default leeway for every time claim
_LEEWAY = 150  # seconds from `iat` or `nbf` to the end of a token without `exp`, and back from `exp` to its beginning
_OF_OIDC: dict[str, Any] = {  # what a role tells besides, with the values that it has when nobody sets them
    "allowed_redirect_uris": None,
    "callback_mode": "client",
    "clock_skew_leeway": 0,
    "expiration_leeway": 0,
    "groups_claim": "",
    "max_age": 0,
    "not_before_leeway": 0,
    "oauth2_metadata": None,
    "oidc_disable_confirmation": False,
    "oidc_scopes": None,
    "token_policies_template_claims": False,
    "user_claim_json_pointer": False,
    "verbose_oidc_logging": False,
}


@dataclass(slots=True)
class JwtRole:
    """A role."""

    settings: TokenSettings = field(default_factory=TokenSettings)
    role_type: str = "oidc"
    user_claim: str = ""
    bound_audiences: list[str] = field(default_factory=list)
    bound_subject: str = ""
    bound_claims: dict[str, Any] = field(default_factory=dict)
    bound_claims_type: str = "string"
    claim_mappings: dict[str, str] = field(default_factory=dict)

    def update(self, call: Call) -> None:
        self.role_type = call.text("role_type", self.role_type)
        self.user_claim = call.text("user_claim", self.user_claim)
        self.bound_subject = call.text("bound_subject", self.bound_subject)
        self.bound_claims_type = call.text("bound_claims_type", self.bound_claims_type)
        self.bound_claims = call.body.get("bound_claims", self.bound_claims) or {}
        self.claim_mappings = call.body.get("claim_mappings", self.claim_mappings) or {}
        if call.value("bound_audiences") is not None:
            self.bound_audiences = call.texts("bound_audiences")
        self._check()

    def _check(self) -> None:
        if not self.user_claim:
            raise Refused(400, "a user claim must be defined on the role")
        if self.role_type != "jwt":
            raise Refused(400, "the dev server has roles of role_type jwt only")
        if not (self.bound_audiences or self.bound_subject or self.bound_claims or self.settings.policies):
            raise Refused(400, "must have at least one bound constraint when creating/updating a role")

    def data(self) -> dict[str, Any]:
        return {
            **_OF_OIDC,
            "bound_audiences": self.bound_audiences or None,
            "bound_claims": self.bound_claims or None,
            "bound_claims_type": self.bound_claims_type,
            "bound_subject": self.bound_subject,
            "claim_mappings": self.claim_mappings or None,
            "role_type": self.role_type,
            "user_claim": self.user_claim,
        }


class JwtMethod(AuthMethod):
    """JWT."""

    kind = "jwt"

    def __init__(self) -> None:
        self._roles = Roles(JwtRole)
        self._keys: dict[str, Any] = {}
        self._issuer = ""
        self._default_role = ""

    def exists(self, path: str, /) -> bool:
        section, _, name = path.partition("/")
        return section != "role" or name in self._roles

    def renewal_limit(self, token: Token, _call: Call, /) -> int:
        return self._roles.renewal_limit(token.role)

    def handle(self, context: Context, mount: str, /) -> Reply:
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
            if not self._keys:
                raise absent()
            return envelope(
                {
                    "bound_issuer": self._issuer,
                    "default_role": self._default_role,
                    "jwt_validation_pubkeys": list(self._keys),
                    "jwt_supported_algs": ["RS256"],
                }
            )
        if call.operation not in {"create", "update"}:
            raise unsupported_operation()
        if any(call.text(name) for name in ("oidc_discovery_url", "jwks_url")) or call.texts("jwks_pairs"):
            raise Refused(400, "the dev server verifies against jwt_validation_pubkeys only")
        self._keys = {pem: _public_key(pem) for pem in call.texts("jwt_validation_pubkeys")}
        if not self._keys:
            raise Refused(400, _ONE_OF)
        self._issuer = call.text("bound_issuer")
        self._default_role = call.text("default_role")
        return no_content()

    def _login(self, context: Context, mount: str) -> Reply:
        call = context.call
        if call.operation != "update":
            raise Refused(405, "unsupported operation")
        if not self._keys:
            raise Refused(400, "could not load configuration")
        name = call.text("role") or self._default_role
        if not name:
            raise Refused(400, "missing role")
        role = self._roles.get(name)
        if role is None:
            raise Refused(400, f'role "{name}" could not be found')
        token = call.text("jwt")
        if not token:
            raise Refused(400, "missing token")
        claims = self._verified(token, role, call.now)
        alias = claims.get(role.user_claim)
        if not isinstance(alias, str):
            raise Refused(400, f'claim "{role.user_claim}" not found in token')
        _check_bound_claims(role, claims)
        mapped = {key: str(claims[claim]) for claim, key in role.claim_mappings.items() if claim in claims}
        who = Identity(alias, name, f"{mount.split('/')[1]}-{alias}", {"role": name, **mapped})
        return log_in(context, mount, role.settings, who)

    def _verified(self, token: str, role: JwtRole, now: float) -> dict[str, Any]:
        problem = ""
        try:
            claims = decode(token, list(self._keys.values()))
            problem = _claims_problem(claims, self._issuer, role, now)
        except ValueError as error:
            problem = f"error verifying token signature: {error}"
        if problem:
            raise Refused(400, f"error validating token: {problem}")
        if _audiences(claims) and not role.bound_audiences:
            raise Refused(400, "audience claim found in JWT but no audiences bound to the role")
        return claims


def _public_key(pem: str) -> Any:
    try:
        return load_public_key(pem)
    except ValueError:
        pass
    raise Refused(400, "error parsing public key: data does not contain any valid public keys")


def decode(token: str, keys: list[Any] | None) -> dict[str, Any]:
    """The claims of a JWT, its signature checked unless ``keys`` is None.

    Raises:
        ValueError: it is malformed, or none of the keys made the signature.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("go-jose/go-jose: compact JWS format must have three parts")
    header, payload, signature = (unbase64(part) for part in parts)
    try:
        kind, claims = json.loads(header), json.loads(payload)
    except ValueError:
        kind = claims = None
    if not isinstance(kind, dict) or not isinstance(claims, dict):
        raise ValueError("header and claims must be JSON objects")  # noqa: TRY004 - one class for callers
    if keys is None:
        return claims
    if kind.get("alg") != "RS256":
        raise ValueError(f"unexpected signature algorithm {json.dumps(kind.get('alg'))}; expected RS256")
    message = f"{parts[0]}.{parts[1]}".encode()
    if not any(signed_by(key, message, signature) for key in keys):
        raise ValueError("no known key successfully validated the token signature")
    return claims


def _claims_problem(claims: Mapping[str, Any], issuer: str, role: JwtRole, now: float) -> str:
    """What is wrong with the registered claims, in the order in which the server looks; empty if nothing is."""
    for name in ("iss", "sub"):
        if not isinstance(claims.get(name, ""), str):
            return f"json: cannot unmarshal number into Go struct field Claims.{name} of type string"
    if issuer and claims.get("iss") != issuer:
        return "invalid issuer (iss) claim"
    if role.bound_subject and claims.get("sub") != role.bound_subject:
        return "invalid subject (sub) claim"
    if role.bound_audiences and not set(role.bound_audiences) & set(_audiences(claims)):
        return "invalid audience (aud) claim: audience claim does not match any expected audience"
    return time_problem(claims, now)


def time_problem(claims: Mapping[str, Any], now: float) -> str:
    """What is wrong with the time claims; empty if nothing is. What is missing is filled in from the others."""
    issued, begins, ends = (_time(claims, name) for name in ("iat", "nbf", "exp"))
    latest = max((moment for moment in (issued, begins) if moment is not None), default=None)
    if ends is None and latest is None:
        return "no issued at (iat), not before (nbf), or expiration time (exp) claims in token"
    end = ends if ends is not None else (latest or 0) + _LEEWAY
    begin = begins if begins is not None else (issued if issued is not None else end - _LEEWAY)
    if now + CLOCK_SKEW < begin:
        return "invalid not before (nbf) claim: token not yet valid"
    if now - CLOCK_SKEW > end:
        return "invalid expiration time (exp) claim: token is expired"
    if issued is not None and now + CLOCK_SKEW < issued:
        return "invalid issued at (iat) claim: token issued in the future"
    return ""


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    found = claims.get(name)
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def _audiences(claims: Mapping[str, Any]) -> list[str]:
    found = claims.get("aud", [])
    return [found] if isinstance(found, str) else [item for item in found if isinstance(item, str)]


def _check_bound_claims(role: JwtRole, claims: Mapping[str, Any]) -> None:
    for name, wanted in role.bound_claims.items():
        if name not in claims:
            raise Refused(400, f'error validating claims: claim "{name}" is missing')
        given = _as_list(claims[name])
        if not any(_same(role, want, have) for want in _as_list(wanted) for have in given):
            raise Refused(
                400, f'error validating claims: claim "{name}" does not match any associated bound claim values'
            )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _same(role: JwtRole, wanted: Any, given: Any) -> bool:
    if role.bound_claims_type == "glob":
        return fnmatch.fnmatchcase(str(given), str(wanted))
    return bool(wanted == given)
