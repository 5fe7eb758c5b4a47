"""The ways to AWS, over real sockets: through proxies, by the CAs that botocore trusts, and what is rewritten there."""

from __future__ import annotations

import contextlib
import gzip
import json
import ssl

import pytest
import trustme

from asyncsecrets.errors import (
    AsyncSecretsError,
    ConfigError,
    InsecureTransportError,
    MalformedResponseError,
    UnavailableError,
)
from asyncsecrets.providers.aws import AwsSecretsManagerProvider
from asyncsecrets.providers.aws.kms import AwsKmsProvider
from asyncsecrets.providers.ways import proxy_of
from tests.providers.aws.conftest import ENVIRON
from tests.providers.tunnel import Tunnel, refusal, told_of_no_way
from tests.providers.vault.raw import RawServer, answer

HOST = "aws.corp.test"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-AbCdEf"
STORED = {"ARN": ARN, "Name": "db", "VersionId": "v" * 32, "SecretString": "canary", "VersionStages": ["AWSCURRENT"]}
ROLE = {"aws_role_name": "arn:aws:iam::123456789012:role/reader"}


@pytest.fixture(scope="module")
def authority():
    """A CA of its own."""
    return trustme.CA()


@pytest.fixture
def pem(authority, tmp_path):
    """Its certificate in a file."""
    path = tmp_path / "own" / "ca.pem"
    path.parent.mkdir()
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
async def aws(authority):
    """A server that only a proxy can reach by its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost", "sts.corp.test").configure_cert(context)
    async with RawServer(lambda request: answer(body=STORED), ssl=context) as server:
        yield server


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Not those of the machine that the tests run on."""
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@contextlib.asynccontextmanager
async def reading(environ, url=f"https://{HOST}", kind=AwsSecretsManagerProvider, **settings):
    """A provider made of settings and an environment, as a configuration makes one."""
    given = {"aws_endpoint_url": url, "attempt_timeout": "20", "connect_timeout": "20", **settings}
    provider = kind.from_settings(given, {**ENVIRON, **environ})
    await provider.open()
    try:
        yield provider
    finally:
        await provider.aclose()


async def refused(kind, environ, match, **settings):
    """What a read and a write of a provider made like this are told."""
    async with reading(environ, **settings) as provider:
        return await told_of_no_way(provider, kind, match)


@pytest.mark.parametrize(
    ("where", "variable", "spelling"),
    [
        ("handed in", "HTTPS_PROXY", "{address}"),
        ("handed in", "https_proxy", "{url}"),
        ("process", "HTTPS_PROXY", "//{address}/"),
        ("process", "https_proxy", "me:canary%40p@{address}"),
    ],
)
async def test_followed(aws, pem, monkeypatch, where, variable, spelling):
    """Each spelling that botocore takes; the proxy hears where to, and none of what is said there."""
    async with Tunnel(aws.port, user="me:canary@p" if "me:" in spelling else None) as proxy:
        environ = {variable: spelling.format(url=proxy.url, address=proxy.address), "AWS_CA_BUNDLE": str(pem)}
        if where == "process":
            for name, value in environ.items():
                monkeypatch.setenv(name, value)
            environ = {}
        async with reading(environ) as provider:
            for _ in range(2):
                assert (await provider.get("db")).equals("canary")
    assert proxy.targets == [f"{HOST}:443"]
    assert b"x-amz" not in proxy.heads[0].lower()
    assert b"canary" not in proxy.heads[0] + proxy.carried
    assert "proxy-authorization" not in aws.requests[0].headers


def test_which(monkeypatch):
    """An environment that was handed in and names a proxy is followed before the process's, and with its NO_PROXY."""
    monkeypatch.setenv("https_proxy", "http://process:1")
    monkeypatch.setenv("no_proxy", "10.0.0.0/8")
    assert proxy_of("https://sts.test", {}).address == "http://process:1"
    assert proxy_of("https://sts.test", {"HTTPS_PROXY": "given:2"}).address == "http://given:2"
    assert proxy_of("https://sts.test", {"HTTPS_PROXY": "given:2", "NO_PROXY": "test"}) is None
    assert proxy_of("https://10.1.2.3", {"HTTPS_PROXY": "given:2"}).address == "http://given:2"
    assert proxy_of("https://10.1.2.3", {}) is None
    assert proxy_of("https://sts.test", {"ALL_PROXY": "socks5://x"}).address == "http://process:1"


@pytest.mark.parametrize(
    ("answered", "kind", "match"),
    [
        (refusal(407), ConfigError, r"the proxy http://127.*\(HTTPS_PROXY\) wants another user and password .HTTP 407"),
        (refusal(403), ConfigError, r"refuses to connect to AWS .HTTP 403"),
        (refusal(503), UnavailableError, r"cannot connect to AWS .HTTP 503"),
        (None, UnavailableError, r"the proxy http://127.* hung up"),
        (b"SSH-2.0-canary\r\n\r\n", UnavailableError, r"does not answer as an http proxy"),
        ("", UnavailableError, r"gave no connection to AWS in time"),
    ],
    ids=["407", "403", "503", "hangs up", "garbage", "mute"],
)
async def test_a_proxy_that_refuses(answered, kind, match):
    """It is named, with where its name comes from and without its password, and AWS is not blamed."""
    async with Tunnel(answer=answered) as proxy:
        environ = {"HTTPS_PROXY": f"http://me:canary@{proxy.address}"}
        told = await refused(kind, environ, match, connect_timeout="20" if answered != "" else "0.1")
    assert proxy.address in told


async def test_a_proxy_that_is_not_there():
    """Nobody listens, its name means nothing, or it is none of ours: the proxy is told, when AWS is asked."""
    await refused(UnavailableError, {"HTTPS_PROXY": "http://127.0.0.1:1"}, "proxy http://127.0.0.1:1 .*was refused")
    await refused(UnavailableError, {"HTTPS_PROXY": "proxy.invalid:3128"}, "proxy.invalid:3128 .*cannot be resolved")
    await refused(ConfigError, {"HTTPS_PROXY": "socks5://127.0.0.1:9"}, "HTTPS_PROXY names a SOCKS proxy")


@pytest.mark.parametrize(
    ("answered", "kind", "match"),
    [
        (refusal(407), ConfigError, "wants another user and password .HTTP 407"),
        (refusal(403), ConfigError, "refuses to connect to sts.corp.test:443 .HTTP 403"),
        (refusal(502), UnavailableError, "cannot connect to sts.corp.test:443 .HTTP 502"),
        (None, UnavailableError, "the proxy http"),
        ("gone", UnavailableError, "the proxy http.* cannot be reached"),
        ("socks", ConfigError, "HTTPS_PROXY names a SOCKS proxy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_credentials_through_a_proxy(answered, kind, match):
    """The way to STS has the same proxies, and the same words for what is wrong with them."""
    async with Tunnel(answer=answered if answered is None or isinstance(answered, bytes) else b"") as proxy:
        named = {"gone": "http://me:canary@127.0.0.1:1", "socks": "socks5://127.0.0.1:1"}
        environ = {"HTTPS_PROXY": named.get(answered, f"me:canary@{proxy.address}")}
        settings = {**ROLE, "aws_sts_endpoint": "https://sts.corp.test"}
        async with reading(environ, "http://127.0.0.1:1", **settings) as provider:
            with pytest.raises(kind, match=match) as caught:
                await provider.get("db")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("secure", [False, True], ids=["http proxy", "https proxy"])
async def test_credentials_come_through_a_tunnel(aws, pem, authority, secure):
    """STS answers through it, by http or https to the proxy, and its answer may not be compressed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    aws.respond = lambda request: answer(body=gzip.compress(b"<xml/>"), Content_Encoding="gzip")
    async with Tunnel(aws.port, ssl=context if secure else None, user="me:canary p") as proxy:
        url = f"{proxy.url[: -len(proxy.address)]}me:canary%20p@{proxy.address}"
        environ = {"HTTPS_PROXY": url, "AWS_CA_BUNDLE": str(pem)}
        settings = {**ROLE, "aws_sts_endpoint": "https://sts.corp.test"}
        async with reading(environ, "http://127.0.0.1:1", **settings) as provider:
            with pytest.raises(AsyncSecretsError, match="is compressed"):
                await provider.get("db")
    assert proxy.targets == ["sts.corp.test:443"]
    assert aws.requests[0].method == "POST"


async def test_a_proxy_that_opens_tls(aws, tmp_path):
    """Who answers in AWS's place by a CA of its own is not believed; the error says whose CA it may be."""
    async with Tunnel(aws.port) as proxy:
        told = await refused(InsecureTransportError, {"HTTPS_PROXY": proxy.url}, "CA is not trusted")
        assert f"does the proxy {proxy.url} (HTTPS_PROXY) open TLS" in told
        settings = {**ROLE, "aws_sts_endpoint": "https://sts.corp.test"}
        async with reading({"HTTPS_PROXY": proxy.url}, **settings) as provider:
            with pytest.raises(InsecureTransportError, match="CA is not trusted"):
                await provider.get("db")
    assert aws.requests == []


@pytest.mark.parametrize(
    ("variable", "where", "form"),
    [
        ("AWS_CA_BUNDLE", "process", "directory"),
        ("REQUESTS_CA_BUNDLE", "handed in", "directory"),
        ("REQUESTS_CA_BUNDLE", "process", "file"),
        ("REQUESTS_CA_BUNDLE", "profile", "file"),
    ],
)
async def test_ca_bundles(aws, pem, tmp_path, monkeypatch, variable, where, form):
    """A company's CA, as botocore is told of it: the one variable, the other, `ca_bundle` of the profile."""
    bundle = str(pem if form == "file" else pem.parent)
    environ = {variable: bundle}
    if where == "profile":
        (tmp_path / "config").write_text(f"[default]\nca_bundle={bundle}\n")
        environ = {"AWS_CONFIG_FILE": str(tmp_path / "config"), variable: ""}
    if where == "process":
        monkeypatch.setenv(variable, bundle)
        environ = {}
    async with reading(environ, f"https://localhost:{aws.port}") as provider:
        assert (await provider.get("db")).equals("canary")


async def test_which_ca_bundle_comes_first(aws, pem, tmp_path):
    """AWS_CA_BUNDLE before REQUESTS_CA_BUNDLE; what is no bundle is told with both names."""
    (tmp_path / "none.pem").write_text("canary")
    url = f"https://localhost:{aws.port}"
    async with reading({"AWS_CA_BUNDLE": str(pem), "REQUESTS_CA_BUNDLE": str(tmp_path / "none.pem")}, url) as provider:
        await provider.get("db")
    for wrong in ("none.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=f"{wrong}.*AWS_CA_BUNDLE.*REQUESTS_CA_BUNDLE"):
            async with reading({"REQUESTS_CA_BUNDLE": str(tmp_path / wrong)}, url):
                pass


@pytest.mark.parametrize(
    ("setting", "variable", "address"),
    [
        ("aws_endpoint_url", "", "http://192.0.2.1"),
        ("", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://192.0.2.1"),
        ("", "AWS_ENDPOINT_URL", "localhost:4566"),
        ("", "AWS_ENDPOINT_URL", "http://127.0.0.1:4566:1"),
        ("", "AWS_ENDPOINT_URL", "https://me:canary@aws.corp.test"),
    ],
)
async def test_an_endpoint_that_cannot_be(setting, variable, address):
    """It is found before anything is sent, with the name of what said so."""
    given = {setting: address} if setting else {}
    with pytest.raises(ConfigError, match=f"^{setting or variable} ") as caught:
        await AwsSecretsManagerProvider.from_settings(given, {**ENVIRON, variable: address}).open()
    assert "canary" not in str(caught.value)


async def test_a_certificate_that_no_ca_mends(aws, pem, authority):
    """One for another name, as one that has expired: whose CA is trusted is not what to change."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.test").configure_cert(context)
    async with RawServer(ssl=context) as server:
        url = f"https://localhost:{server.port}"
        told = await refused(InsecureTransportError, {"AWS_CA_BUNDLE": str(pem)}, "another host", aws_endpoint_url=url)
    assert "check the endpoint" in told
    assert "AWS_CA_BUNDLE" not in told


async def test_compressed(aws, pem):
    """A proxy that compresses unasked is named as that, also where AWS refused; a write may have been applied."""
    for status in (200, 400):
        reply = answer(status, gzip.compress(json.dumps(STORED).encode()), Content_Encoding="gzip")
        aws.respond = lambda request, reply=reply: reply
        async with reading({"AWS_CA_BUNDLE": str(pem)}, f"https://localhost:{aws.port}") as provider:
            for call, unknown in ((provider.get("db"), False), (provider.put("db", "canary"), True)):
                with pytest.raises(MalformedResponseError, match="is compressed, which was not asked for") as caught:
                    await call
                assert caught.value.outcome_unknown == unknown


async def test_kms_goes_the_same_way(aws, pem):
    """What holds for secrets holds for keys."""
    environ = {"DB": "Y2FuYXJ5"}
    async with Tunnel(answer=refusal(407)) as proxy:
        environ |= {"HTTPS_PROXY": proxy.url, "AWS_CA_BUNDLE": str(pem)}
        async with reading(environ, kind=AwsKmsProvider) as provider:
            with pytest.raises(ConfigError, match="wants a user and password"):
                await provider.get("DB")
