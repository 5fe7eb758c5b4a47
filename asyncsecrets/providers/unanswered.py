"""What it means that a server was not reached or gave no answer, over ``.https``: the same for every SDK's server."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, NamedTuple

import aiohttp

from asyncsecrets.errors import AsyncSecretsError, InsecureTransportError, MalformedResponseError, UnavailableError
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.loopback import ELSEWHERE, is_elsewhere
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.tls import certificate_fault, doubts_issuer
from asyncsecrets.providers.tunnels import fault_of

__all__ = ["EncodedError", "RedirectedError", "Server", "TooLargeError", "failed_tls", "unanswered", "was_cut_off"]


class RedirectedError(Exception):
    """The server answered with a redirect, which is not followed: the request holds secrets."""


class EncodedError(Exception):
    """The answer is compressed, which was not asked for."""


class TooLargeError(Exception):
    """The answer is longer than any that the server gives."""


class Server(NamedTuple):
    """Who was asked, for errors: ``name`` (AWS), ``trust`` is what says whom to trust, ``check`` what says where it is,
    ``place`` where that is, for the middle of a message."""

    name: str
    trust: str
    check: str
    place: str = ""


_UNSENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientProxyConnectionError)
_INSECURE: Final = (aiohttp.ClientSSLError, ssl.SSLError, ssl.CertificateError)
_BROKEN: Final = (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError)


def unanswered(call: Call, failure: BaseException, server: Server, proxy: Proxy | None) -> AsyncSecretsError | None:
    """What ``failure`` means, or None where it is none of the way to ``server``. ``proxy`` was to carry the request."""
    fault = fault_of(failure, proxy, server.name) if proxy is not None else None
    if fault is not None:
        return fault.error(call.says(fault.text), provider=call.system, name=call.name)
    if is_elsewhere(failure):
        return call.error(InsecureTransportError, ELSEWHERE)
    if isinstance(failure, _INSECURE):
        return failed_tls(call, failure, server, proxy)
    if isinstance(failure, RedirectedError):
        text = f"{server.name} does not redirect, and the endpoint did; it is not followed"
        return call.error(InsecureTransportError, text)
    if isinstance(failure, EncodedError):
        return call.error(MalformedResponseError, _encoded(server.name), unknown=True)
    if isinstance(failure, TooLargeError):
        return call.error(MalformedResponseError, f"the answer is too large to be one of {server.name}", unknown=True)
    if isinstance(failure, _UNSENT):
        return call.error(UnavailableError, f"{server.name} cannot be reached{server.place}: check {server.check}")
    return was_cut_off(call, server, late=isinstance(failure, TimeoutError)) if isinstance(failure, _BROKEN) else None


def failed_tls(call: Call, failure: BaseException, server: Server, proxy: Proxy | None) -> AsyncSecretsError:
    """The error of TLS that could not be begun, whoever says so."""
    fault = certificate_fault(failure)
    shown, what = f" ({fault})" if fault else "", f"TLS to {server.name} failed"
    opener = "somebody" if proxy is None else str(proxy)
    if doubts_issuer(fault):
        text = f"{what}{shown}: is {server.trust} right, or does {opener} open TLS? Then name its CA there"
    else:
        text = f"{what}{shown}: check the endpoint and this machine's clock, or does {opener} open TLS?"
    return call.error(InsecureTransportError, text)


def was_cut_off(call: Call, server: Server, *, late: bool) -> AsyncSecretsError:
    """The error of a request that was sent and not answered, in time or at all."""
    text = f"{server.name} did not answer in time" if late else f"the connection to {server.name} broke"
    return call.error(UnavailableError, text, unknown=True)


def _encoded(name: str) -> str:
    return (
        f"the answer is compressed, which was not asked for: a proxy does that, or what stands in for {name}; have it "
        f"leave {name}'s answers as they are"
    )
