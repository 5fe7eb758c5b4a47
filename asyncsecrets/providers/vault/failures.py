"""What it means that there is no answer of Vault: the exception that came instead becomes one of our errors."""

from __future__ import annotations

import errno
import ssl
from typing import Final

import aiohttp

from asyncsecrets.errors import (
    AsyncSecretsError,
    AuthenticationError,
    InsecureTransportError,
    MalformedResponseError,
    UnavailableError,
)
from asyncsecrets.providers.loopback import is_elsewhere
from asyncsecrets.providers.vault.calls import Call, TooLargeError, make

__all__ = ["EXPIRED", "from_exception", "hung_up", "is_tls"]


def from_exception(call: Call, error: BaseException) -> AsyncSecretsError:
    """Return the error for an exception of aiohttp, OpenSSL or the system."""
    server = call.server
    if is_tls(error):
        return _tls_failure(call, error)
    if is_elsewhere(error):
        return make(InsecureTransportError, f"{server} {_ELSEWHERE}", call)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return make(UnavailableError, f"no connection to {server}: {_connection_fault(error)}", call)
    unknown = call.writes
    if isinstance(error, TimeoutError):
        message = f"{server} did not answer in time (attempt_timeout)"
        return make(UnavailableError, message, call, outcome_unknown=unknown)
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        message = f"the connection to {server} broke before the answer"
        return make(UnavailableError, message, call, outcome_unknown=unknown)
    message = f"the answer of {server} is not valid HTTP, or has a longer head than accepted"
    if isinstance(error, TooLargeError):
        message = f"the answer of {server} is longer than {call.cap:,} bytes"
    return make(MalformedResponseError, message, call, outcome_unknown=unknown)


def _connection_fault(error: BaseException) -> str:
    """Why there is no connection. The exception's own text is not used: it is not ours to vouch for."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved (DNS); check addr"
    if isinstance(error, TimeoutError):
        return "nobody answered in time (connect_timeout); check addr, firewalls and the network"
    if getattr(error, "errno", None) == errno.ECONNREFUSED:
        return "it was refused; check that the server runs there, and the port of addr"
    return "the network does not lead there; check addr, routes and the network"


_ELSEWHERE: Final = (
    "is another machine, by this one's hosts file or DNS, and plain http does not leave this one: nothing was sent. "
    "Mend that, or write 127.0.0.1"
)
EXPIRED: Final = "the server ended the connection, and the certificate in client_cert has expired: replace it"

_TLS_REMEDY: Final = "check ca_cert, tls_server_name, the client certificate, and that addr is the right one"
_CERTIFICATE_FAULTS: Final = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "its CA is not trusted",
    20: "its CA is not trusted",
    21: "its CA is not trusted",
    62: "the certificate is for another host name",
    64: "the certificate is for another address",
}


_TLS_FAULTS: Final = {
    "WRONG_VERSION_NUMBER": "no TLS is spoken there",
    "HTTP_REQUEST": "no TLS is spoken there",
}
# What a server says of our certificate. It ends the handshake with one of these, so the request was not read.
_REFUSALS: Final = {
    "SSLV3_ALERT_BAD_CERTIFICATE": "it is not one that the server accepts, or is not valid any more",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it was revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the server cannot verify it",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it is not made for clients",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "none was sent, and the server wants one",
    "TLSV1_ALERT_ACCESS_DENIED": "the server does not let its bearer in",
    "TLSV1_ALERT_UNKNOWN_CA": "its CA is not one that the server trusts",
}


def _tls_failure(call: Call, error: BaseException) -> AsyncSecretsError:
    cause = _tls_cause(error)
    refusal = _REFUSALS.get(getattr(cause, "reason", None) or "")
    if refusal is not None:
        text = f"{call.server} refuses the client certificate: {refusal}; check client_cert and client_key"
        return make(AuthenticationError, text, call)
    fault = _CERTIFICATE_FAULTS.get(getattr(cause, "verify_code", 0)) or _TLS_FAULTS.get(getattr(cause, "reason", ""))
    shown = f" ({fault})" if fault else ""
    return make(InsecureTransportError, f"TLS to {call.server} failed{shown}: {_TLS_REMEDY}", call)


def _tls_cause(error: BaseException) -> BaseException:
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error.__cause__
    return inner or error


def hung_up(error: BaseException) -> bool:
    """Whether the server ended the connection, within the handshake or later, rather than there being none."""
    if isinstance(error, TimeoutError):
        return False
    if isinstance(error, aiohttp.ClientConnectorError):
        return isinstance(error.os_error, ConnectionResetError | ConnectionAbortedError | ssl.SSLError)
    return isinstance(error, aiohttp.ClientConnectionError | OSError)


def is_tls(error: BaseException) -> bool:
    """Whether TLS failed, so that no request was read."""
    # With TLS 1.3 a refused client certificate shows at the first read, as an OSError around OpenSSL's own.
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch | ssl.SSLError):
        return True
    return isinstance(error, aiohttp.ClientOSError) and isinstance(error.__cause__, ssl.SSLError)
