"""On the way to AWS: TLS, proxies, redirects, closing."""

from __future__ import annotations

import asyncio
import logging
import ssl

import aiohttp
import pytest
import trustme

from asyncsecrets.errors import (
    ClosedError,
    ConfigError,
    InsecureTransportError,
    MalformedResponseError,
    UnavailableError,
)
from asyncsecrets.providers.aws import AwsSecretsManagerProvider, AwsSettings
from asyncsecrets.providers.aws.transport import Transport
from asyncsecrets.providers.aws.wire import trusting
from tests.providers.aws.conftest import ENVIRON
from tests.providers.aws.proxy import AwsProxy


@pytest.fixture
async def tls(moto):
    """A proxy that speaks TLS, and the authority that signed for it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with AwsProxy(moto, tls=context) as proxy:
        await proxy.reset()
        yield proxy, authority


async def opened(environ, **settings):
    provider = AwsSecretsManagerProvider.from_settings({"attempt_timeout": "10", **settings}, environ)
    await provider.open()
    return provider


async def test_tls(tls, tmp_path):
    """AWS_CA_BUNDLE says whom to trust; who is not signed for is not spoken to."""
    proxy, authority = tls
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    await proxy.store("db", "canary")
    environ = {**ENVIRON, "AWS_ENDPOINT_URL": proxy.url.replace("127.0.0.1", "localhost")}
    trusting = await opened({**environ, "AWS_CA_BUNDLE": str(tmp_path / "ca.pem")})
    assert (await trusting.get("db")).equals("canary")
    await trusting.aclose()
    distrusting = await opened(environ)
    before = proxy.count()
    with pytest.raises(InsecureTransportError, match="AWS_CA_BUNDLE"):
        await distrusting.get("db")
    assert proxy.count() == before
    await distrusting.aclose()


async def test_a_common_name_is_no_name(moto, tmp_path):
    """A certificate that has the name as its common name only, and no subjectAltName, is for another host."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(common_name="localhost").configure_cert(context)
    async with AwsProxy(moto, tls=context) as proxy:
        url = proxy.url.replace("127.0.0.1", "localhost")
        provider = await opened({**ENVIRON, "AWS_ENDPOINT_URL": url, "AWS_CA_BUNDLE": str(tmp_path / "ca.pem")})
        with pytest.raises(InsecureTransportError):
            await provider.get("db")
        await provider.aclose()
        assert proxy.count() == 0


async def test_ca_bundle_that_is_not_there(tls):
    """A bundle that cannot be read is a ConfigError at the start."""
    proxy, _ = tls
    with pytest.raises(ConfigError, match="AWS_CA_BUNDLE"):
        await opened({**ENVIRON, "AWS_ENDPOINT_URL": proxy.url, "AWS_CA_BUNDLE": "/no/such/bundle"})


async def test_a_proxy_is_told_no_secret(aws, monkeypatch):
    """A proxy would see the whole of a plain http request, so one to loopback goes straight to where it belongs."""
    await aws.store("db", "canary")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    provider = await opened({**ENVIRON, "AWS_ENDPOINT_URL": aws.url})
    assert (await provider.get("db")).equals("canary")
    await provider.aclose()


def test_a_proxy_of_the_environment_carries_https(monkeypatch):
    """As with every AWS tool; it sees the host's name only."""
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("SSLKEYLOGFILE", "/no/such/folder/keys.log")
    transport = Transport(AwsSettings.from_mapping("aws_secret_manager", {}, ENVIRON), "aws_secret_manager")
    transport.prepare("https://secretsmanager.eu-central-1.amazonaws.com", lambda: trusting(None))
    assert str(transport.proxy) == "the proxy http://proxy.example.com:3128 (https_proxy)"
    assert transport._ssl.keylog_filename is None


async def test_nobody_is_there():
    """An endpoint where nobody listens is UnavailableError; a write to it was surely not applied."""
    provider = await opened({**ENVIRON, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    for call in (provider.get("db"), provider.put("db", "canary")):
        with pytest.raises(UnavailableError, match="endpoint") as caught:
            await call
        assert not caught.value.outcome_unknown
    await provider.aclose()


async def test_redirects_are_not_followed(aws, environ):
    """A redirect is refused, and what it points to is sent nothing."""
    provider = await opened(environ)
    aws.fault = "redirect"
    for call in (provider.get("db"), provider.put("db", "canary")):
        with pytest.raises(InsecureTransportError):
            await call
    assert aws.count() == 2
    await provider.aclose()


async def test_closed_while_waiting(aws, environ):
    """Who waits for an answer when the provider is closed gets ClosedError or UnavailableError, at once."""
    provider = await opened(environ)
    aws.delay = 30.0
    waiting = asyncio.create_task(provider.get("db"))
    while not aws.calls:
        await asyncio.sleep(0.01)
    await provider.aclose()
    async with asyncio.timeout(2):
        with pytest.raises((ClosedError, UnavailableError)):
            await waiting


async def test_loggers_are_given_back(aws, environ):
    """botocore's loggers have their levels and filters again when the last provider is closed."""
    logger, credentials = logging.getLogger("botocore"), logging.getLogger("botocore.credentials")
    before = logger.level, list(credentials.filters)
    first, second = await opened(environ), await opened(environ)
    await first.aclose()
    assert logger.level >= logging.INFO
    assert credentials.filters != before[1]
    await second.aclose()
    assert (logger.level, credentials.filters) == before
    with pytest.raises(ConfigError):
        await opened({**environ, "AWS_ENDPOINT_URL": "http://aws.example.com"})
    assert (logger.level, credentials.filters) == before


async def test_one_client_for_life(aws, environ):
    """A provider that is closed and opened again keeps its client: making one is what costs."""
    await aws.store("db", "canary")
    provider = await opened(environ)
    client = provider._connection._client
    await provider.aclose()
    await provider.open()
    assert provider._connection._client is client
    assert (await provider.get("db")).equals("canary")
    await provider.aclose()


async def test_reading_stops(aws, environ):
    """An answer without an end is not read to its end."""
    provider = await opened(environ)
    aws.fault = "oversize"
    with pytest.raises(MalformedResponseError, match="too large"):
        await provider.get("db")
    await provider.aclose()


async def test_waiting_for_a_connection(aws, environ, monkeypatch):
    """Who waits for a connection to be free has not been waiting for AWS: the attempt's time starts afterwards."""
    await aws.store("db", "canary")
    provider = await opened(environ, max_connections="1")
    begun = []
    request = aiohttp.ClientSession.request

    def counted(*args, **options):
        begun.append(len(aws.calls))
        return request(*args, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "request", counted)
    secrets = await asyncio.gather(*(provider.get("db") for _ in range(6)))
    assert all(secret.equals("canary") for secret in secrets)
    assert begun == [0, 1, 2, 3, 4, 5]  # each, when the one before had arrived
    await provider.aclose()
