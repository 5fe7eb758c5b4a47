"""Certificates and signatures, through the ``cryptography`` and ``trustme`` packages, imported on first use."""

from __future__ import annotations

import base64
import datetime as dt
import shutil
import ssl
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncsecrets.testing.needs import need


def _need(module: str) -> Any:
    return need(module, "testing")


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Files with a client certificate and its key (PEM), and the certificate itself."""

    cert_file: str
    key_file: str
    pem: str


class Authority:
    """A throw-away CA, its server certificate for loopback, and client certificates; files in a temporary folder."""

    def __init__(self, host: str) -> None:
        self._ca = _need("trustme").CA()
        self._path = Path(tempfile.mkdtemp(prefix="asyncsecrets-vault-"))
        weakref.finalize(self, shutil.rmtree, self._path, ignore_errors=True)
        self._server = self._ca.issue_cert("localhost", "127.0.0.1", "::1", host)
        self.ca_file = str(self._path / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)
        self.ca_pem = self._ca.cert_pem.bytes().decode()

    def server_context(self) -> ssl.SSLContext:
        """A context that asks clients for a certificate and does without one."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._server.configure_cert(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        # A single client certificate can be trusted as it is, without the CA that signed it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=self.ca_pem)
        return context

    def client(self, name: str) -> ClientCertificate:
        """A client certificate with the common name ``name``, signed by this CA."""
        issued = self._ca.issue_cert(f"{name}.clients.invalid", common_name=name)
        pem = issued.cert_chain_pems[0].bytes().decode()
        cert_file, key_file = self._path / f"{name}.pem", self._path / f"{name}.key"
        cert_file.write_text(pem)
        key_file.touch(mode=0o600)
        key_file.write_bytes(issued.private_key_pem.bytes())
        return ClientCertificate(str(cert_file), str(key_file), pem)


def load_public_key(pem: str) -> Any:
    """An RSA public key from PEM.

    Raises:
        ValueError: it is none.
    """
    serialization = _need("cryptography.hazmat.primitives.serialization")
    rsa = _need("cryptography.hazmat.primitives.asymmetric.rsa")
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the dev server verifies RS256 only: an RSA public key is expected")  # noqa: TRY004
    return key


def signed_by(key: Any, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is the RS256 signature of ``message`` under an RSA public key."""
    padding = _need("cryptography.hazmat.primitives.asymmetric.padding")
    hashes = _need("cryptography.hazmat.primitives.hashes")
    invalid = _need("cryptography.exceptions").InvalidSignature
    try:
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except invalid:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the certificate method looks at."""

    der: bytes
    common_name: str
    names: tuple[str, ...]
    serial: int
    subject_key_id: str
    authority_key_id: str
    is_ca: bool
    not_before: float
    not_after: float
    parsed: Any

    def issued(self, other: Certificate) -> bool:
        """Whether this CA signed ``other``."""
        try:
            other.parsed.verify_directly_issued_by(self.parsed)
        except Exception:  # noqa: BLE001 - whichever way it fails, the signature is not this CA's
            return False
        return True


def load_certificate(data: bytes | str) -> Certificate:
    """A certificate from DER bytes or PEM text.

    Raises:
        ValueError: it is none.
    """
    x509 = _need("cryptography.x509")
    parsed = (
        x509.load_pem_x509_certificate(data.encode()) if isinstance(data, str) else x509.load_der_x509_certificate(data)
    )
    serialization = _need("cryptography.hazmat.primitives.serialization")
    alternative = _extension(parsed, x509.SubjectAlternativeName)
    constraints = _extension(parsed, x509.BasicConstraints)
    subject_key, authority_key = (
        _extension(parsed, x509.SubjectKeyIdentifier),
        _extension(parsed, x509.AuthorityKeyIdentifier),
    )
    common = parsed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return Certificate(
        der=parsed.public_bytes(serialization.Encoding.DER),
        common_name=str(common[0].value) if common else "",
        names=tuple(alternative.get_values_for_type(x509.DNSName)) if alternative else (),
        serial=parsed.serial_number,
        subject_key_id=_key_id(subject_key.digest) if subject_key else "",
        authority_key_id=_key_id(authority_key.key_identifier) if authority_key else "",
        is_ca=bool(constraints and constraints.ca),
        not_before=_seconds(parsed.not_valid_before_utc),
        not_after=_seconds(parsed.not_valid_after_utc),
        parsed=parsed,
    )


def _extension(parsed: Any, kind: Any) -> Any:
    x509 = _need("cryptography.x509")
    try:
        return parsed.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _key_id(digest: bytes | None) -> str:
    return ":".join(f"{byte:02x}" for byte in digest or b"")


def _seconds(moment: dt.datetime) -> float:
    return moment.timestamp()


def unbase64(text: str) -> bytes:
    """Base64 as JWTs have it, without padding.

    Raises:
        ValueError: in Go's words, with the place.
    """
    for at, character in enumerate(text):
        if not (character.isascii() and (character.isalnum() or character in "-_")):
            raise ValueError(f"illegal base64 data at input byte {at}")
    if len(text) % 4 == 1:
        raise ValueError(f"illegal base64 data at input byte {len(text) - 1}")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
