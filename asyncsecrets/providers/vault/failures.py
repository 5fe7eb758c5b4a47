"""What it means that there is no answer of Vault: the exception that came instead becomes one of our errors."""

from __future__ import annotations

import errno
import ssl
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.client_exceptions import UnixClientConnectorError

from asyncsecrets.errors import (
    AsyncSecretsError,
    AuthenticationError,
    InsecureTransportError,
    MalformedResponseError,
    UnavailableError,
)
from asyncsecrets.providers.loopback import is_elsewhere
from asyncsecrets.providers.tls import certificate_fault, doubts_issuer, tls_error_in
from asyncsecrets.providers.tunnels import fault_of
from asyncsecrets.providers.vault.calls import Call, EncodedError, TooLargeError, make
from asyncsecrets.providers.vault.routes import Route

__all__ = ["EXPIRED", "from_exception", "hung_up", "is_tls"]


def from_exception(call: Call, error: BaseException, route: Route) -> AsyncSecretsError:
    """Return the error for an exception of aiohttp, OpenSSL or the system."""
    server = route.server
    fault = fault_of(error, route.proxy, server) if route.proxy is not None else None
    if fault is not None:
        return make(fault.kind, fault.text, call)
    if is_tls(error):
        return _tls_failure(call, error, route)
    if is_elsewhere(error):
        return make(InsecureTransportError, f"{server} {_ELSEWHERE}", call)
    if isinstance(error, UnixClientConnectorError):
        return make(UnavailableError, f"{server} {_socket_fault(error)}", call)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        through = f" through {route.proxy}" if route.proxy is not None else ""
        return make(UnavailableError, f"no connection to {server}{through}: {_connection_fault(error)}", call)
    unknown = call.writes
    if isinstance(error, TimeoutError):
        message = f"{server} did not answer in time (attempt_timeout)"
        return make(UnavailableError, message, call, outcome_unknown=unknown)
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        message = f"the connection to {server} broke before the answer"
        return make(UnavailableError, message, call, outcome_unknown=unknown)
    message = f"the answer of {server} is not valid HTTP, or has a longer head than accepted"
    if isinstance(error, EncodedError):
        message = _ENCODED.format(server=server)
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
    if isinstance(getattr(error, "os_error", None), ConnectionResetError):  # asyncio's own has no number
        return "it was ended before TLS was agreed on; check addr, and what stands before the server"
    return "the network does not lead there; check addr, routes and the network"


def _socket_fault(error: UnixClientConnectorError) -> str:
    number = error.os_error.errno or 0
    if number == errno.ECONNREFUSED and not Path(error.path).is_socket():
        number = errno.ENOTSOCK  # which the system calls the same
    return _SOCKET_FAULTS.get(number, "cannot be connected to; is its path right, and not too long?")


_SOCKET_FAULTS: Final = {
    errno.ENOENT: "is not there; check the path in addr, and that the agent or server runs",
    errno.EACCES: "may not be opened by this process; check its owner, group and mode, and those of its folder",
    errno.ECONNREFUSED: "is there, and nobody listens on it; check that the agent or server runs",
    errno.ENOTSOCK: "is no socket; check the path in addr",
}
_ENCODED: Final = (
    "the answer of {server} is compressed, which was not asked for: a proxy or load balancer before it does that; "
    "have it leave Vault's answers as they are"
)
_ELSEWHERE: Final = (
    "is another machine, by this one's hosts file or DNS, and plain http does not leave this one: nothing was sent. "
    "Mend that, or write 127.0.0.1"
)
EXPIRED: Final = "the server ended the connection, and the certificate in client_cert has expired: replace it"

_TLS_REMEDY: Final = "check ca_cert, tls_server_name, the client certificate, and that addr is the right one"
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


def _tls_failure(call: Call, error: BaseException, route: Route) -> AsyncSecretsError:
    refusal = _REFUSALS.get(getattr(tls_error_in(error), "reason", None) or "")
    if refusal is not None:
        text = f"{route.server} refuses the client certificate: {refusal}; check client_cert and client_key"
        return make(AuthenticationError, text, call)
    fault = certificate_fault(error)
    if route.passed_over and doubts_issuer(fault):
        fault = f"{fault or 'its CA is not known'}, and {route.passed_over} names no readable CA certificates"
    shown = f" ({fault})" if fault else ""
    remedy = _TLS_REMEDY if route.proxy is None else f"{_TLS_REMEDY}. Or does {route.proxy} open TLS? Then trust its CA"
    return make(InsecureTransportError, f"TLS to {route.server} failed{shown}: {remedy}", call)


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
