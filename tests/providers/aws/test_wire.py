"""The way of requests for credentials: no proxy in clear, no keys of TLS in a file, no other machine by its name."""

from __future__ import annotations

import asyncio
import ssl
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import trustme
from aiohttp import web
from botocore.awsrequest import AWSRequest
from botocore.credentials import CredentialResolver

from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ConfigError, InsecureTransportError
from asyncsecrets.providers.aws import AwsSecretsManagerProvider, AwsSettings
from asyncsecrets.providers.aws.credentials import load_credentials
from asyncsecrets.providers.aws.kms import AwsKmsProvider
from asyncsecrets.providers.aws.wire import Wire, _Session, trusting
from asyncsecrets.providers.ways import proxy_of
from tests.providers.aws.conftest import ENVIRON
from tests.providers.aws.proxy import AwsProxy

ROLE = "arn:aws:iam::123456789012:role/reader"
NOBODY = "http://127.0.0.1:1"
KEYS = {"aws_access_key_id": "AKIACANARYcanary0001", "aws_secret_access_key": "canary-secret-access-key"}
GIVEN = {
    "Code": "Success",
    "AccessKeyId": "AKIAGIVEN",
    "SecretAccessKey": "canary-given",
    "Token": "canary-token",
    "Expiration": "2099-01-01T00:00:00Z",
}


@pytest.fixture
async def giver():
    """The address of a service that gives credentials, as machines and containers have one; `seen` is what it heard."""
    seen = []

    async def give(request):
        seen.append((request.method, request.path, request.headers["Host"]))
        if request.path.endswith("/token"):
            return web.Response(text="canary-imds-token")
        return web.Response(text="role") if request.path.endswith("/") else web.json_response(GIVEN)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", give)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{runner.addresses[0][1]}", seen=seen)
    await runner.cleanup()


class Ways:
    """Every way to credentials over the network: settings and environment of a program that takes it to `address`."""

    @staticmethod
    def role(address, folder):
        return {**KEYS, "aws_role_name": ROLE, "aws_sts_endpoint": address}, {}

    @staticmethod
    def web_identity(address, folder):
        return {"aws_role_name": ROLE, "aws_web_identity_token": "canary.jwt.x", "aws_sts_endpoint": address}, {}

    @staticmethod
    def web_identity_of_the_environment(address, folder):
        (folder / "token").write_text("canary.jwt.x")
        variables = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token"), "AWS_ROLE_ARN": ROLE}
        return {}, {**variables, "AWS_ENDPOINT_URL_STS": address}

    @staticmethod
    def role_of_a_profile(address, folder):
        (folder / "config").write_text(f"[profile team]\nrole_arn={ROLE}\nsource_profile=keys\n")
        (folder / "credentials").write_text("[keys]\naws_access_key_id=AKIAKEYS\naws_secret_access_key=canary\n")
        return {"aws_profile_name": "team"}, {"AWS_ENDPOINT_URL_STS": address}

    @staticmethod
    def machine(address, folder):
        return {}, {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": address}

    @staticmethod
    def container(address, folder):
        token = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "canary-pod-token"}
        return {}, {**token, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{address}/container"}

    @staticmethod
    def container_of_a_profile(address, folder):
        profile = f"[profile team]\nrole_arn={ROLE}\ncredential_source=EcsContainer\n"
        (folder / "config").write_text(profile)
        settings, variables = Ways.container(address, folder)
        return {**settings, "aws_profile_name": "team"}, variables

    @staticmethod
    def machine_of_a_profile(address, folder):
        profile = f"[profile team]\nrole_arn={ROLE}\ncredential_source=Ec2InstanceMetadata\n"
        (folder / "config").write_text(profile)
        settings, variables = Ways.machine(address, folder)
        return {**settings, "aws_profile_name": "team"}, variables


WAYS = {name.replace("_", " "): getattr(Ways, name) for name in vars(Ways) if not name.startswith("__")}
BESIDE = {name for name in WAYS if "machine" in name or "container" in name}


@pytest.fixture
async def read(monkeypatch, tmp_path):
    """Read the secret db with the credentials that there are on a way, at an address."""
    opened = []

    async def take(way, address, aws, *, sts=None, more=()):
        settings, variables = WAYS[way](address, tmp_path)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)  # botocore's chain reads the process's own
        environ = {"AWS_REGION_NAME": "eu-central-1", "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws, **variables}
        if sts:
            environ["AWS_ENDPOINT_URL_STS"] = sts
        given = {"attempt_timeout": "10", **settings, **dict(more)}
        provider = AwsSecretsManagerProvider.from_settings(given, environ)
        opened.append(provider)
        await provider.open()
        return await provider.get("db")

    yield take
    for provider in opened:
        await provider.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_no_proxy_is_told(aws, giver, read, monkeypatch, way):
    """Plain http goes straight to where it belongs, whatever proxies the environment names."""
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOBODY)
    monkeypatch.setenv("no_proxy", "")
    await aws.store("db", "canary")
    secret = await read(way, giver.url if way in BESIDE else aws.url, aws.url, sts=aws.url)
    assert secret.equals("canary")
    assert bool(giver.seen) == (way in BESIDE)


@pytest.mark.parametrize(
    ("address", "proxied"),
    [
        ("https://sts.eu-central-1.amazonaws.com", True),
        ("http://sts.eu-central-1.amazonaws.com", False),
        ("https://localhost:4566", False),
        ("https://127.0.0.1:4566", False),
        ("https://[::1]:4566", False),
        ("https://169.254.170.23/v1/credentials", False),
        ("https://[fd00:ec2::23]/v1/credentials", False),
        ("https://[fe80::1]", False),
        ("https://not.proxied.test", False),
    ],
)
def test_which_proxy(monkeypatch, address, proxied):
    """That of the environment for https to somewhere else, as with every AWS tool; it sees the host's name only."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "not.proxied.test")
    assert str(proxy_of(address, {})) == ("the proxy http://proxy.test:3128 (https_proxy)" if proxied else "None")


async def test_https_goes_through_the_proxy(read, monkeypatch):
    """STS over https is asked for through the environment's proxy, which hears where to, and nothing else."""
    heard = []

    async def serve(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(AsyncSecretsError):
            await read("web identity", "https://sts.test", NOBODY)
    assert [line.split(b" HTTP/")[0] for line in heard] == [b"CONNECT sts.test:443"]
    assert b"canary" not in b"".join(heard)


@pytest.fixture
async def secure(moto, tmp_path, monkeypatch):
    """An AWS that speaks TLS, by the certificate that `certify` gives it, of an authority that is trusted."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    async with AwsProxy(moto, tls=context) as proxy:
        proxy.certify = lambda *names, **more: authority.issue_cert(*names, **more).configure_cert(context)
        proxy.url = proxy.url.replace("127.0.0.1", "localhost")
        yield proxy


@pytest.mark.parametrize("way", ["role", "web identity", "role of a profile"])
async def test_keys_of_tls_are_written_nowhere(aws, secure, read, monkeypatch, tmp_path, way):
    """SSLKEYLOGFILE has nothing of these connections either."""
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    secure.certify("localhost")
    await aws.store("db", "canary")
    assert (await read(way, secure.url, aws.url)).equals("canary")
    assert secure.calls
    assert "SECRET" not in (log.read_text() if log.exists() else "")


def test_keys_of_tls_to_a_proxy():
    """Those of a proxy that is reached by https are not written either, and it is who it says."""
    context = _Session(trusting(None), proxies={"https": "https://proxy.test"})._setup_proxy_ssl_context("https://p")
    assert (context.keylog_filename, context.check_hostname, context.verify_mode) == (None, True, ssl.CERT_REQUIRED)
    assert context.get_ca_certs()


FAULTS = {"a common name is no name": ((), {"common_name": "localhost"}), "another name": (("other.test",), {})}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", ["role", "web identity", "role of a profile"])
async def test_who_is_not_sts_is_told_nothing(aws, secure, read, way, fault):
    """A certificate with another name, or with none but a common name, is refused before a request is sent."""
    names, more = FAULTS[fault]
    secure.certify(*names, **more)
    with pytest.raises(InsecureTransportError, match="TLS"):
        await read(way, secure.url, aws.url)
    assert secure.calls == []


@pytest.mark.parametrize("way", WAYS)
async def test_a_local_name_that_is_elsewhere(aws, read, resolving, way):
    """`localhost` in plain http is this machine: where it resolves to another, nothing is sent."""
    resolving("198.51.100.7")
    with pytest.raises(InsecureTransportError, match="hosts file"):
        await read(way, "http://localhost:4566", aws.url, sts="http://localhost:4566")
    assert aws.calls == []


@pytest.mark.parametrize("kind", [AwsSecretsManagerProvider, AwsKmsProvider])
@pytest.mark.parametrize("name", ["localhost", "aws.localhost"])
async def test_a_service_that_is_elsewhere(resolving, kind, name):
    """So it is with the services themselves."""
    resolving("127.0.0.1", "198.51.100.7")
    environ = {**ENVIRON, "AWS_ENDPOINT_URL": f"http://{name}:4566", "X": "Y2FuYXJ5" * 10}
    provider = kind.from_settings({"kms_key_id": "alias/canary"}, environ)
    await provider.open()
    try:
        with pytest.raises(InsecureTransportError, match="hosts file"):
            await (provider.get("db") if kind is AwsSecretsManagerProvider else provider.encrypt(b"canary"))
    finally:
        await provider.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_a_local_name_that_is_here(aws, giver, read, resolving, way):
    """Its addresses are tried in turn, and who answers is asked by the name as it was written."""
    resolving("::1", "127.0.0.1")
    await aws.store("db", "canary")
    named = [url.replace("127.0.0.1", "localhost") for url in (giver.url if way in BESIDE else aws.url, aws.url)]
    assert (await read(way, named[0], named[1], sts=named[1])).equals("canary")
    assert {host for _, _, host in giver.seen} <= {named[0].removeprefix("http://")}


@pytest.mark.parametrize(
    "address",
    [
        "http://198.51.100.9",
        "http://container.test",
        "http://127.0.0.1.evil.test",
        "http://169.254.170.2@198.51.100.9",
        "http://169.254.170.2:80@198.51.100.9",
        "http://localhost.evil.test",
        "ftp://127.0.0.1",
        "//127.0.0.1",
    ],
)
@pytest.mark.parametrize("way", ["container", "container of a profile"])
async def test_a_containers_token_in_clear(aws, read, address, way):
    """It goes to loopback and link-local addresses, or by https; the error names the variable and not the token."""
    with pytest.raises(ConfigError, match="AWS_CONTAINER_CREDENTIALS_FULL_URI") as caught:
        await read(way, address, aws.url, more={"allow_insecure_http": "true"})
    assert "canary" not in str(caught.value)
    assert aws.calls == []


async def test_a_relative_address_that_leads_away(aws, read, monkeypatch):
    """A path that makes another host of AWS's is refused as well."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@198.51.100.9/container")
    with pytest.raises(ConfigError, match="AWS_CONTAINER"):
        await read("container", NOBODY, aws.url)


async def test_machine_in_clear(aws, read, giver):
    """The machine's service elsewhere, in clear, needs the explicit word."""
    with pytest.raises(ConfigError, match="AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        await read("machine", "http://metadata.test", aws.url)
    await aws.store("db", "canary")
    permitted = {"allow_insecure_http": "true"}
    assert (await read("machine", giver.url, aws.url, more=permitted)).equals("canary")
    with pytest.raises(AuthenticationError):
        await read("machine", "http://metadata.invalid", aws.url, more=permitted)


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest",
        "http://[fd00:ec2::254]/latest",
        "http://169.254.170.2/v2",
        "http://169.254.170.23/v1",
        "http://[fd00:ec2::23]/v1",
        "http://127.0.0.1:4000/c",
        "http://[::1]:4000/c",
        "http://localhost/c",
        "https://container.test/c",
    ],
)
def test_where_credentials_are_given(address):
    """AWS's own services beside machines, containers and pods, this machine, and https anywhere."""
    wire = Wire("AWS_CONTAINER_CREDENTIALS_FULL_URI", (1.0, 1.0), None)
    wire.check(address)
    with pytest.raises(ConfigError, match="AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        wire.check(urlsplit(address)._replace(scheme="http", netloc="elsewhere.test").geturl())


async def test_the_machine_is_not_asked_where_it_is(aws, giver, monkeypatch):
    """AWS_DEFAULTS_MODE=auto has botocore ask the machine's service for its region, for timeouts that are not used."""
    monkeypatch.setenv("AWS_DEFAULTS_MODE", "auto")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", giver.url)
    await aws.store("db", "canary")
    environ = {**ENVIRON, "AWS_ENDPOINT_URL": aws.url}
    provider = AwsSecretsManagerProvider.from_settings({"aws_role_name": ROLE}, environ)
    await provider.open()
    assert (await provider.get("db")).equals("canary")
    await provider.aclose()
    assert giver.seen == []


@pytest.mark.parametrize("missing", ["container-role", "iam-role"])
def test_a_chain_that_cannot_be_rerouted(monkeypatch, missing):
    """Where botocore has changed so that its requests would not keep to these rules, none is made."""
    real = CredentialResolver.get_provider
    monkeypatch.setattr(
        CredentialResolver, "get_provider", lambda self, name: object() if name == missing else real(self, name)
    )
    monkeypatch.setattr(CredentialResolver, "load_credentials", lambda self: pytest.fail("the chain was asked"))
    with pytest.raises(AttributeError):
        load_credentials(AwsSettings(environ={}, region="eu-central-1"))


def test_each_request_has_a_connection_of_its_own(monkeypatch):
    """Nothing stays open behind a request, also one that fails."""
    closed = []
    monkeypatch.setattr(_Session, "close", lambda self: closed.append(True))
    request = AWSRequest("GET", f"{NOBODY}/x").prepare()
    with pytest.raises(Exception, match="Could not connect"):
        Wire("here", (1.0, 1.0), None).send(request)
    assert len(closed) == 1


@pytest.mark.parametrize(("url", "insecure"), [("https://localhost:1/x", False), ("http://localhost:1/x", True)])
def test_what_goes_anywhere_goes_once(url, insecure):
    """A name is resolved here, address by address, only where plain http must not leave the machine."""
    request = AWSRequest("GET", url).prepare()
    assert list(Wire("here", (1.0, 1.0), None, insecure=insecure)._attempts(request)) == [request]
    addresses = list(Wire("here", (1.0, 1.0), None)._attempts(AWSRequest("GET", "http://localhost:1/x").prepare()))
    assert addresses
    assert all("localhost" not in attempt.url for attempt in addresses)
