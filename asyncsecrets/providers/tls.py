"""What holds for every TLS connection of ours, whoever makes it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["certificate_fault", "client_context", "doubts_issuer", "files_in", "tls_error_in", "trust"]


def client_context() -> ssl.SSLContext:
    """A context that trusts nobody yet: certificates required, host name checked, TLS 1.2 at least.

    The name must be among the certificate's alternative ones (subjectAltName): RFC 9525 §2 leaves the common name out.
    Whoever is trusted is so as the end of a chain, too: an issuing CA needs no root beside it (RFC 5280 §6.1).
    """
    # Not create_default_context(): that one writes the session keys to the file SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def trust(context: ssl.SSLContext, path: str) -> bool:
    """Trust the CAs of a PEM file, or of the files of a directory, which needs no hashed links. Blocks.

    In a directory, files that are none (a README, revocations, keys) do not matter. Returns False where there is none.
    """
    files = files_in(path) if Path(path).is_dir() else [path]
    return sum(_trusts(context, file) for file in files) > 0


def _trusts(context: ssl.SSLContext, file: str) -> bool:
    try:
        context.load_verify_locations(cafile=file)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return False
    return True


def files_in(path: str) -> list[str]:
    """The files of a directory, sorted; none where it is no directory, or may not be read."""
    try:
        return [str(item) for item in sorted(Path(path).iterdir()) if item.is_file()]
    except OSError:
        return []


_UNKNOWN_ISSUER: Final = "its CA is not trusted"
_SELF_SIGNED: Final = "the certificate is self-signed"
_CERTIFICATE_FAULTS: Final = {
    2: _UNKNOWN_ISSUER,
    7: "the certificate's signature is not its CA's",
    9: "the certificate is not valid yet, by this machine's clock",
    10: "the certificate has expired, by this machine's clock",
    18: _SELF_SIGNED,
    19: f"{_UNKNOWN_ISSUER}: its chain ends with a root of somebody's own",
    20: _UNKNOWN_ISSUER,
    21: f"{_UNKNOWN_ISSUER}, or the server does not send the certificate between",
    23: "the certificate was revoked",
    24: "what signed the certificate is no CA",
    25: "its chain is longer than its CA allows",
    26: "the certificate is not made for servers",
    28: "the certificate was rejected by its CA",
    62: "the certificate is for another host name, or has no subjectAltName (a common name does not count)",
    64: "the certificate is for another address, or has no subjectAltName with it",
    66: "the certificate's key is too weak",
    67: "its CA's key is too weak",
    68: "its signature is of a kind that is not trusted any more",
}
_TLS_FAULTS: Final = {
    "HTTP_REQUEST": "no TLS is spoken there",
    "HTTPS_PROXY_REQUEST": "no TLS is spoken there",
    "HTTP_PROXY_REQUEST": "no TLS is spoken there",
    "NO_PROTOCOLS_AVAILABLE": "it speaks no TLS of 1.2 or newer",
    "PACKET_LENGTH_TOO_LONG": "no TLS is spoken there",
    "RECORD_LAYER_FAILURE": "no TLS is spoken there",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it shares no cipher with us, or wants a client certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no TLS of 1.2 or newer",
    "TLSV1_UNRECOGNIZED_NAME": "it does not know the host name",
    "UNEXPECTED_EOF_WHILE_READING": "the connection ended within the handshake",
    "UNSUPPORTED_PROTOCOL": "it speaks no TLS of 1.2 or newer",
    "WRONG_VERSION_NUMBER": "no TLS is spoken there",
}


def certificate_fault(error: BaseException) -> str:
    """What is wrong with the other side's certificate or its TLS, in words of ours; empty where that is not known."""
    cause = tls_error_in(error)
    if cause is None:
        return ""
    code = getattr(cause, "verify_code", 0)
    return _CERTIFICATE_FAULTS.get(code) or _TLS_FAULTS.get(getattr(cause, "reason", None) or "", "")


def doubts_issuer(fault: str) -> bool:
    """Whether other CAs may be the remedy for ``fault``, of ``certificate_fault``."""
    return not fault or fault.startswith((_UNKNOWN_ISSUER, _SELF_SIGNED))


def tls_error_in(error: BaseException) -> ssl.SSLError | None:
    """The error of OpenSSL that is, or that lies within, one of aiohttp, urllib3 or botocore."""
    return next(
        (one for one in _within(error, 6) if isinstance(one, ssl.SSLError) and getattr(one, "reason", None)), None
    )


def _within(error: BaseException, depth: int) -> Iterator[BaseException]:
    inner = [
        *(getattr(error, name, None) for name in ("os_error", "certificate_error", "reason", "__cause__")),
        *error.args[:2],
        getattr(error, "kwargs", {}).get("error"),
    ]
    for one in inner if depth else ():
        if isinstance(one, BaseException) and one is not error:
            yield from _within(one, depth - 1)
    yield error
