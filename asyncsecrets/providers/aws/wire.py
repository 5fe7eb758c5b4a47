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
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
)
from botocore.httpsession import URLLib3Session, get_cert_path
from botocore.utils import ContainerMetadataFetcher

from asyncsecrets.errors import AsyncSecretsError
from asyncsecrets.kinds import Tidied
from asyncsecrets.providers import ways
from asyncsecrets.providers.aws.mocked import answer_of
from asyncsecrets.providers.loopback import ElsewhereError
from asyncsecrets.providers.proxies import Proxy
from asyncsecrets.providers.tls import client_context
from asyncsecrets.providers.tunnels import broken, unconnected
from asyncsecrets.providers.unanswered import EncodedError
from asyncsecrets.providers.ways import attempts, check_way, is_encoded, proxy_of

__all__ = ["Container", "Wire", "bundle_of", "trusting"]


def bundle_of(configured: str | None, environ: Mapping[str, str]) -> str | None:
    """The file or directory of CAs: botocore's ``ca_bundle`` (AWS_CA_BUNDLE, the profile), or REQUESTS_CA_BUNDLE."""
    return configured or Tidied(environ, os.environ).get("REQUESTS_CA_BUNDLE")


def trusting(bundle: str | None) -> ssl.SSLContext:
    """A context that trusts ``bundle``, or whom botocore trusts. Blocks. Raises ConfigError."""
    return ways.trusting(
        bundle or get_cert_path(True), "AWS_CA_BUNDLE, ca_bundle of the profile and REQUESTS_CA_BUNDLE"
    )


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
        check_way(url, self._where, "http://169.254.170.23/v1/credentials", insecure=self._insecure)

    def _send(self, session: URLLib3Session, request: Any) -> Any:
        failure = EndpointConnectionError(endpoint_url=request.url)
        for attempt in self._attempts(request):
            try:
                return session.send(attempt)
            except EndpointConnectionError as error:
                failure = error  # nobody listens at this address; perhaps at the other one
        raise failure

    def _attempts(self, request: Any) -> Iterator[Any]:
        """The request to each address that a local name has, or as it is."""
        for url, host in self._urls(request.url):
            attempt = copy.copy(request) if host else request
            if host:
                attempt.headers["Host"], attempt.url = host, url
            yield attempt

    def _urls(self, url: str) -> list[tuple[str, str]]:
        try:
            return list(attempts(url, insecure=self._insecure))
        except ElsewhereError:
            raise
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=url, error=error) from None


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
