"""``auth/cert``: a login with the client certificate of the TLS connection, and renewal only with the same one."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from asyncsecrets.testing.vault_server._crypto import Certificate, load_certificate
from asyncsecrets.testing.vault_server._model import Call, Refused, Reply, envelope, unsupported_path
from asyncsecrets.testing.vault_server.auth import AuthMethod, Identity, Roles, TokenSettings, log_in
from asyncsecrets.testing.vault_server.state import Context
from asyncsecrets.testing.vault_server.tokens import Token

_NO_MATCH = "invalid certificate or no client certificate supplied"
_LAPSED = "failed to verify client's certificate: x509: certificate has expired or is not yet valid"


@dataclass(slots=True)
class CertificateRole:
    """A role: a certificate, or the CA that signs those meant; and names they must have, with globs."""

    settings: TokenSettings = field(default_factory=TokenSettings)
    pem: str = ""
    trusted: Certificate | None = None
    common_names: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    display_name: str = ""

    def update(self, call: Call) -> None:
        self.pem = call.text("certificate", self.pem)
        self.display_name = call.text("display_name", self.display_name)
        if call.value("allowed_common_names") is not None:
            self.common_names = call.texts("allowed_common_names")
        for name in ("allowed_names", "allowed_dns_sans"):
            if call.value(name) is not None:
                self.names = call.texts(name)
        try:
            self.trusted = load_certificate(self.pem)
        except ValueError:
            self.trusted = None
        if self.trusted is None:
            raise Refused(400, "failed to parse certificate")

    def data(self) -> dict[str, Any]:
        return {
            "allowed_common_names": self.common_names,
            "allowed_names": self.names,
            "certificate": self.pem,
            "display_name": self.display_name,
        }

    def accepts(self, certificate: Certificate) -> bool:
        trusted = self.trusted
        if trusted is None:
            return False
        if trusted.der != certificate.der and not (trusted.is_ca and trusted.issued(certificate)):
            return False
        return _matches(self.common_names, [certificate.common_name]) and _matches(
            self.names, [certificate.common_name, *certificate.names]
        )


def _matches(patterns: list[str], names: list[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


class CertificateMethod(AuthMethod):
    """TLS certificates."""

    kind = "cert"

    def __init__(self) -> None:
        self._roles = Roles(CertificateRole)

    def handle(self, context: Context, mount: str, /) -> Reply:
        section, _, name = context.rest.partition("/")
        match section:
            case "login" if not name:
                return self._login(context, mount)
            case "config" if not name:
                return _config(context.call)
            case "certs":
                return self._certs(context, name)
        raise unsupported_path()

    def _certs(self, context: Context, name: str) -> Reply:
        reply = self._roles.handle(context.call, name)
        role = self._roles.get(name)
        if role is not None and context.call.operation in {"create", "update"}:
            context.state.trust(role.pem)
        return reply

    def _login(self, context: Context, mount: str) -> Reply:
        call = context.call
        if call.operation != "update":
            raise Refused(405, "unsupported operation")
        certificate = _presented(call)
        _check_lifetime(certificate, call.now)
        wanted = call.text("name")
        candidates = ((name, role) for name, role in self._roles.items() if not wanted or name == wanted)
        name, role = next(((n, r) for n, r in candidates if r.accepts(certificate)), ("", None))
        if role is None:
            raise Refused(400, _NO_MATCH)
        meta = {
            "authority_key_id": certificate.authority_key_id,
            "cert_name": name,
            "common_name": certificate.common_name,
            "serial_number": str(certificate.serial),
            "subject_key_id": certificate.subject_key_id,
        }
        shown = f"{mount.split('/')[1]}-{role.display_name or name}"
        who = Identity(certificate.common_name, name, shown, meta, certificate.der)
        return log_in(context, mount, role.settings, who)

    def renewal_limit(self, token: Token, call: Call, /) -> int:
        if _presented(call).der != token.certificate:
            raise Refused(400, "client identity during renewal not matching client identity used during login")
        return self._roles.renewal_limit(token.role)


def _check_lifetime(certificate: Certificate, now: float) -> None:
    """Refuse, as a fault of the server's own, as Go's verification ends there before any role is looked at."""
    if certificate.not_before <= now <= certificate.not_after:
        return
    early = now < certificate.not_before
    bound = f"before {_moment(certificate.not_before)}" if early else f"after {_moment(certificate.not_after)}"
    raise Refused(500, f"{_LAPSED}: current time {_moment(now)} is {bound}")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _config(call: Call) -> Reply:
    """The method's settings, which the dev server tells but does not have."""
    if call.operation == "read":
        return envelope({"disable_binding": False, "enable_identity_alias_metadata": False, "ocsp_cache_size": 0})
    raise Refused(400, "the dev server's certificate method has no settings")


def _presented(call: Call) -> Certificate:
    if call.certificate is None:
        raise Refused(400, "no client certificate found")
    return load_certificate(call.certificate)
