"""How requests for credentials travel: from botocore's chain in its thread, by the rules of ``.transport``.

They carry tokens and bring keys, and botocore would send them through the proxy of the environment in clear, let TLS
write its session keys to where ``SSLKEYLOGFILE`` says, and take ``localhost`` for this machine whatever it resolves to.
"""

from __future__ import annotations

import contextlib
import copy
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
)
from botocore.httpsession import URLLib3Session, get_cert_path
from botocore.utils import ContainerMetadataFetcher, get_environ_proxies

from asyncsecrets.errors import AsyncSecretsError, ConfigError
from asyncsecrets.providers.aws.errors import EncodedError
from asyncsecrets.providers.aws.mocked import answer_of
from asyncsecrets.providers.loopback import ElsewhereError, is_local_name, is_loopback, resolve
from asyncsecrets.providers.proxies import Proxy, is_exempt, proxy_at, proxy_in, variable_in
from asyncsecrets.providers.tls import client_context, trust
from asyncsecrets.providers.tunnels import broken, unconnected
from asyncsecrets.settings import Tidied

__all__ = ["Container", "Wire", "bundle_of", "is_encoded", "proxy_of", "trusting"]

_METADATA: Final = frozenset({"fd00:ec2::254", "fd00:ec2::23"})
"""AWS's services beside a machine and a pod, which have link-local addresses in IPv4 only."""


_HTTPS_PROXY: Final = "HTTPS_PROXY"
_OF_SYSTEM: Final = "the system's settings"


def proxy_of(address: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for ``address``, if that is https and not near. Of plain http a proxy would see all.

    It is that of ``HTTPS_PROXY`` in ``environ`` or, as botocore has it, in the process's environment, or the system's
    (macOS, Windows). Raises ConfigError for one that is not spoken here.
    """
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or 443
    if parts.scheme != "https" or _is_near(host):
        return None
    given = environ if variable_in(environ, _HTTPS_PROXY) else os.environ
    if variable_in(given, _HTTPS_PROXY):
        return proxy_in(given, host, port, _HTTPS_PROXY)
    found = get_environ_proxies(address).get("https")
    return proxy_at(found, _OF_SYSTEM) if found and not is_exempt(host, port, given) else None


def bundle_of(configured: str | None, environ: Mapping[str, str]) -> str | None:
    """The file or directory of CAs: botocore's ``ca_bundle`` (AWS_CA_BUNDLE, the profile), or REQUESTS_CA_BUNDLE."""
    return configured or Tidied(environ, os.environ).get("REQUESTS_CA_BUNDLE")


def is_encoded(coding: str, body: bytes) -> bool:
    """Whether somebody has compressed a body: it says so, and begins as neither JSON nor XML does."""
    return bool(body) and body[:1] not in b"{<" and coding.strip().lower() not in {"", "identity"}


def trusting(bundle: str | None) -> ssl.SSLContext:
    """A context that trusts ``bundle``, or whom botocore trusts. Blocks. Raises ConfigError."""
    context = client_context()
    if not trust(context, bundle or get_cert_path(True)):
        raise ConfigError(
            f"{bundle!r} is not a readable PEM file of CA certificates: check AWS_CA_BUNDLE, ca_bundle of the profile "
            "and REQUESTS_CA_BUNDLE"
        )
    return context


class Wire:
    """Sends botocore's requests, each over a connection of its own. For a thread.

    ``where`` names in errors what says where they go; ``timeout`` is in seconds, to connect and to read;
    ``ca_bundle`` is a file or directory of whom to trust, or None; ``environ`` names proxies. With ``insecure`` plain
    http goes anywhere; without it, to loopback and link-local addresses only, and Wire raises ConfigError or
    ElsewhereError before anything is sent.
    """

    def __init__(
        self,
        where: str,
        timeout: tuple[float, float],
        ca_bundle: str | None,
        *,
        insecure: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._where = where
        self._timeout = timeout
        self._bundle = ca_bundle
        self._insecure = insecure
        self._environ = environ if environ is not None else os.environ

    def send(self, request: Any, **_: Any) -> Any:
        """Return the answer to a prepared request. Raises botocore's errors besides."""
        self.check(request.url)
        if (mocked := answer_of(request)) is not None:
            return mocked
        proxy = proxy_of(request.url, self._environ)
        session = _Session(
            trusting(self._bundle) if request.url.startswith("https:") else client_context(),
            timeout=self._timeout,
            proxies={"https": proxy.with_user()} if proxy else {},
            max_pool_connections=1,
        )
        problem: AsyncSecretsError | None = None
        with contextlib.closing(session):
            try:
                answer = self._send(session, request)
            except _ON_THE_WAY as error:
                if proxy is None:
                    raise
                problem = _of_proxy(error, proxy, request.url)
        if problem is not None:
            raise problem
        if is_encoded(answer.headers.get("Content-Encoding", ""), answer.content):
            raise EncodedError
        return answer

    def check(self, url: str) -> None:
        """Raise ConfigError where a request must not go."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"{self._where} is not an address such as http://169.254.170.23/v1/credentials")
        if parts.scheme == "http" and not self._insecure and not _is_near(parts.hostname):
            raise ConfigError(
                f"{self._where} is plain http to another machine: the credentials would cross the network readable. "
                "Use https, or a loopback or link-local address"
            )

    def _send(self, session: URLLib3Session, request: Any) -> Any:
        failure = EndpointConnectionError(endpoint_url=request.url)
        for attempt in self._attempts(request):
            try:
                return session.send(attempt)
            except EndpointConnectionError as error:
                failure = error  # nobody listens at this address; perhaps at the other one
        raise failure

    def _attempts(self, request: Any) -> Iterator[Any]:
        """The request to each address that a local name has, or as it is: what was checked is what is asked."""
        parts = urlsplit(request.url)
        if self._insecure or parts.scheme != "http" or not is_local_name(parts.hostname or ""):
            yield request
            return
        for address in _addresses(parts.hostname or "", parts.port or 80, request.url):
            host = f"[{address}]" if ":" in address else address
            attempt = copy.copy(request)
            attempt.headers["Host"] = parts.netloc
            attempt.url = parts._replace(netloc=f"{host}:{parts.port or 80}").geturl()
            yield attempt


class Container(ContainerMetadataFetcher):  # type: ignore[misc]  # botocore has no types
    """Asks the service beside a container, over ``wire``, which says where that may be: https may be anywhere."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(session=wire)
        self._wire = wire

    def _validate_allowed_url(self, full_url: str) -> None:
        self._wire.check(full_url)


class _Session(URLLib3Session):  # type: ignore[misc]  # botocore has no types
    """botocore's session, whose TLS is ours, also that to a proxy."""

    def __init__(self, context: ssl.SSLContext, **options: Any) -> None:
        self._context = context
        super().__init__(**options)

    def _get_ssl_context(self) -> ssl.SSLContext:
        return self._context

    def _setup_proxy_ssl_context(self, _: str) -> ssl.SSLContext:
        return self._context

    def _setup_ssl_cert(self, conn: Any, *_: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"  # of those whom the context trusts


_ON_THE_WAY: Final = (ProxyConnectionError, ConnectionClosedError, ConnectTimeoutError)
_TUNNEL: Final = re.compile(r"Tunnel connection failed: ([0-9]{3})\b", re.ASCII)


def _of_proxy(error: Any, proxy: Proxy, url: str) -> AsyncSecretsError:
    """What urllib3's complaint about the way through a proxy means. It says in words alone what the proxy answered."""
    found = _TUNNEL.search(str(error.kwargs.get("error")))
    parts = urlsplit(url)
    server = f"{parts.hostname}:{parts.port or 443}"
    if isinstance(error, ProxyConnectionError):
        fault = unconnected(proxy, server, int(found[1]) if found else None, error)
    else:
        fault = broken(proxy, server)
    return fault.error(fault.text, provider="aws")


def _addresses(name: str, port: int, url: str) -> list[str]:
    try:
        return resolve(name, port)
    except ElsewhereError:
        raise
    except OSError as error:
        raise EndpointConnectionError(endpoint_url=url, error=error) from None


def _is_near(host: str) -> bool:
    """Whether what is sent to ``host`` leaves no link: then no proxy is on the way, and plain http will do."""
    if is_loopback(host) or host in _METADATA:
        return True
    try:
        return ip_address(host).is_link_local
    except ValueError:
        return False
