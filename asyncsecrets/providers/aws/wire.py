"""How requests for credentials travel: from botocore's chain in its thread, by the rules of ``.transport``.

They carry tokens and bring keys, and botocore would send them through the proxy of the environment in clear, let TLS
write its session keys to where ``SSLKEYLOGFILE`` says, and take ``localhost`` for this machine whatever it resolves to.
"""

from __future__ import annotations

import contextlib
import copy
import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import EndpointConnectionError
from botocore.httpsession import URLLib3Session, get_cert_path
from botocore.utils import ContainerMetadataFetcher, get_environ_proxies

from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.aws.mocked import answer_of
from asyncsecrets.providers.loopback import ElsewhereError, is_local_name, is_loopback, resolve
from asyncsecrets.providers.tls import client_context

__all__ = ["Container", "Wire", "proxy_of"]

_METADATA: Final = frozenset({"fd00:ec2::254", "fd00:ec2::23"})
"""AWS's services beside a machine and a pod, which have link-local addresses in IPv4 only."""


def proxy_of(address: str) -> str | None:
    """The environment's proxy for ``address``, if that is https and not near. Of plain http a proxy would see all."""
    parts = urlsplit(address)
    if parts.scheme != "https" or _is_near(parts.hostname or ""):
        return None
    proxy: str | None = get_environ_proxies(address).get("https")
    return proxy


class Wire:
    """Sends botocore's requests, each over a connection of its own. For a thread.

    ``where`` names in errors what says where they go; ``timeout`` is in seconds, to connect and to read;
    ``ca_bundle`` is a file of whom to trust, or None. With ``insecure`` plain http goes anywhere; without it, to
    loopback and link-local addresses only, and Wire raises ConfigError or ElsewhereError before anything is sent.
    """

    def __init__(
        self, where: str, timeout: tuple[float, float], ca_bundle: str | None, *, insecure: bool = False
    ) -> None:
        self._where = where
        self._timeout = timeout
        self._verify: str | bool = ca_bundle or True
        self._insecure = insecure

    def send(self, request: Any, **_: Any) -> Any:
        """Return the answer to a prepared request. Raises botocore's errors besides."""
        self.check(request.url)
        if (mocked := answer_of(request)) is not None:
            return mocked
        proxy = proxy_of(request.url)
        session = _Session(
            verify=self._verify,
            timeout=self._timeout,
            proxies={"https": proxy} if proxy else {},
            max_pool_connections=1,
        )
        with contextlib.closing(session):
            return self._send(session, request)

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

    def _get_ssl_context(self) -> ssl.SSLContext:
        return client_context()

    def _setup_proxy_ssl_context(self, _: str) -> ssl.SSLContext:
        context = client_context()
        context.load_verify_locations(cafile=get_cert_path(self._verify))
        return context


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
