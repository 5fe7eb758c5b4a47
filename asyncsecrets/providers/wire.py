"""Sends the requests by which an SDK gets credentials, from its thread, by the rules of ``.ways``.

SDKs would send them through the proxy of the environment in clear, follow redirects with the whole request, read
answers of any length, and let TLS write its session keys to where ``SSLKEYLOGFILE`` says.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self
from urllib.parse import urlsplit

import certifi
import urllib3
from urllib3 import exceptions

from asyncsecrets.errors import (
    AsyncSecretsError,
    InsecureTransportError,
    MalformedResponseError,
    UnavailableError,
)
from asyncsecrets.kinds import Tidied
from asyncsecrets.providers.call import Call
from asyncsecrets.providers.loopback import ELSEWHERE, ElsewhereError
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.tls import certificate_fault, client_context, doubts_issuer
from asyncsecrets.providers.tunnels import broken, unconnected
from asyncsecrets.providers.ways import attempts, check_way, is_encoded, proxy_of, trusting

__all__ = ["Answer", "Trusting", "Wire", "bundle_of"]

_CAP: Final = 512 * 1024
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read. Its headers have names of either case. Its repr shows the status."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    data: bytes = field(repr=False)


class Trusting(Protocol):
    """What settings say of requests for credentials; times in seconds."""

    @property
    def ca_cert(self) -> str: ...
    @property
    def allow_insecure_http(self) -> bool: ...
    @property
    def connect_timeout(self) -> float: ...
    @property
    def attempt_timeout(self) -> float: ...
    def variables(self) -> Mapping[str, str]:
        """The environment, which names proxies and whom to trust."""


def bundle_of(settings: Trusting) -> str:
    """The file or directory of CAs to trust."""
    return settings.ca_cert or Tidied(settings.variables()).get("REQUESTS_CA_BUNDLE") or certifi.where()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """Sends requests, each over a connection of its own. For a thread.

    ``call`` says for errors who asks; ``bundle`` is a file or directory of whom to trust, by the setting or variable
    ``trust``; ``environ`` names proxies; ``timeout`` is in seconds: to connect, and for the answer, each read of it and
    all of it. With ``insecure`` plain http goes anywhere; without, to loopback and link-local addresses only.
    """

    call: Call
    bundle: str
    trust: str
    timeout: tuple[float, float]
    environ: Mapping[str, str] = field(repr=False)
    insecure: bool = False
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, settings: Trusting, call: Call, trust: str) -> Self:
        """As ``settings`` say."""
        return cls(
            call=call,
            bundle=bundle_of(settings),
            trust=trust,
            timeout=(settings.connect_timeout, settings.attempt_timeout),
            environ=Tidied(settings.variables()),
            insecure=settings.allow_insecure_http,
        )

    def send(self, where: str, url: str, method: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """The answer to a request, whatever its status; ``where`` names what is asked.

        Raises ConfigError and InsecureTransportError before anything is sent, UnavailableError, MalformedResponseError.
        """
        check_way(url, where, "https://host/path", insecure=self.insecure)
        proxy = proxy_of(url, self.environ)
        try:
            return self._answer(url, method, headers, body, proxy)
        except AsyncSecretsError as ours:
            error = ours
        except Exception as failure:  # noqa: BLE001  # urllib3's: it may quote what was answered
            error = self._translate(where, url, failure, proxy)
        raise error

    def _answer(self, url: str, method: str, headers: Mapping[str, str], body: bytes | None, proxy: Any) -> Answer:
        failure: BaseException = OSError()
        for attempt, host in attempts(url, insecure=self.insecure):
            sent = {**headers, "Accept-Encoding": "identity", **({"Host": host} if host else {})}
            with self._pool(attempt, proxy) as pool:
                try:
                    response = pool.urlopen(
                        method,
                        attempt,
                        body=body,
                        headers=sent,
                        retries=False,
                        redirect=False,
                        preload_content=False,
                        decode_content=False,
                    )
                    with contextlib.closing(response):
                        return self._read(response)
                except exceptions.NewConnectionError as error:
                    failure = error  # nobody listens at this address; perhaps at the other one
        raise failure

    def _pool(self, url: str, proxy: Proxy | None) -> Any:
        context = trusting(self.bundle, self.trust) if url.startswith("https:") else client_context()
        connect, read = self.timeout
        options: dict[str, Any] = {
            "num_pools": 1,
            "timeout": urllib3.Timeout(connect=connect, read=read),
            "ssl_context": context,
        }
        if proxy is None:
            return urllib3.PoolManager(**options)
        user = proxy.options()["proxy_headers"]
        return urllib3.ProxyManager(proxy.address, proxy_headers=user, proxy_ssl_context=context, **options)

    def _read(self, response: Any) -> Answer:
        ends, body = self.clock() + self.timeout[1], b""
        for chunk in _chunks(response):
            body += chunk
            if len(body) > _CAP:
                raise self.call.error(MalformedResponseError, "the answer is too large to bring credentials")
            if self.clock() > ends:
                raise exceptions.ReadTimeoutError(response, None, "slow")
        if 300 <= response.status < 400:
            raise self.call.error(InsecureTransportError, "whoever gives credentials redirects; it is not followed")
        if is_encoded(response.headers.get("Content-Encoding", ""), body):
            raise self.call.error(MalformedResponseError, "the answer is compressed, which was not asked for")
        return Answer(response.status, response.headers, body)

    def _translate(self, where: str, url: str, failure: Any, proxy: Proxy | None) -> AsyncSecretsError:
        if isinstance(failure, ElsewhereError):
            return self.call.error(InsecureTransportError, f"{where}: {ELSEWHERE}")
        if proxy is not None and isinstance(failure, _ON_THE_WAY):
            return _of_proxy(self.call, failure, proxy, url)
        if isinstance(failure, exceptions.SSLError):
            fault = certificate_fault(failure)
            remedy = f"is {self.trust}" if doubts_issuer(fault) else "are its address and this machine's clock"
            shown = f" ({fault})" if fault else ""
            return self.call.error(InsecureTransportError, f"TLS to {where} failed{shown}: {remedy} right?")
        if isinstance(failure, (exceptions.NewConnectionError, exceptions.ConnectTimeoutError, OSError)):
            return self.call.error(UnavailableError, f"{where} cannot be reached: check the network")
        if isinstance(failure, exceptions.HTTPError):
            late = isinstance(failure, exceptions.TimeoutError)
            return self.call.error(UnavailableError, f"{where} {'did not answer in time' if late else 'hung up'}")
        return self.call.error(MalformedResponseError, f"{where} answers with nonsense ({type(failure).__name__})")


def _chunks(response: Any) -> Iterator[bytes]:
    while chunk := response.read(_CHUNK):
        yield chunk


_ON_THE_WAY: Final = (exceptions.ProxyError, exceptions.ProtocolError, exceptions.ConnectTimeoutError)
_TUNNEL: Final = re.compile(r"Tunnel connection failed: ([0-9]{3})\b", re.ASCII)


def _of_proxy(call: Call, failure: Any, proxy: Proxy, url: str) -> AsyncSecretsError:
    parts, found = urlsplit(url), _TUNNEL.search(str(failure))
    server = f"{parts.hostname}:{parts.port or 443}"
    if isinstance(failure, exceptions.ProxyError):
        fault = unconnected(proxy, server, int(found[1]) if found else None, failure)
    else:
        fault = broken(proxy, server)
    return fault.error(call.says(fault.text), provider=call.system, name=call.name)
