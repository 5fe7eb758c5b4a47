"""Credentials that a machine, a container, a pod or a single sign-on gives: found off the loop, renewed ahead of time.

The services that give them are served here by the test's own event loop: a chain that blocked it would wait for itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider
from botocore.utils import ContainerMetadataFetcher

from asyncsecrets.errors import AuthenticationError
from asyncsecrets.providers.aws import AwsSecretsManagerProvider
from tests.providers.aws.conftest import ENVIRON

LIFE = timedelta(hours=1)
LATER = timedelta(minutes=47)
ROLE = "arn:aws:iam::123456789012:role/reader"


class Giver:
    """Gives out AKIA1, AKIA2, …, each for an hour, in the shapes of the services that do."""

    def __init__(self):
        self.given = 0
        self.seen = []
        self.broken = False

    def _next(self):
        self.given += 1
        ends = datetime.now(UTC) + LIFE
        return f"AKIA{self.given}", "canary-secret", f"canary-token-{self.given}", ends

    async def container(self, request):
        self.seen.append(request.headers.get("Authorization"))
        if self.broken:
            return web.json_response({"message": "canary"}, status=500)
        key, secret, token, ends = self._next()
        body = {
            "AccessKeyId": key,
            "SecretAccessKey": secret,
            "Token": token,
            "Expiration": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        }
        return web.json_response(body)

    async def machine(self, request):
        if request.method == "PUT":
            return web.Response(text="canary-imds-token")
        self.seen.append(request.headers.get("X-aws-ec2-metadata-token"))
        if self.broken:
            return web.Response(text="canary", status=500)
        if request.path.endswith("/"):
            return web.Response(text="the-role")
        key, secret, token, ends = self._next()
        body = {
            "AccessKeyId": key,
            "SecretAccessKey": secret,
            "Token": token,
            "Expiration": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        }
        return web.json_response({**body, "Code": "Success"})

    async def sign_on(self, request):
        self.seen.append(request.headers.get("x-amz-sso_bearer_token"))
        if self.broken:
            return web.json_response(
                {"message": "canary"}, status=401, headers={"x-amzn-errortype": "UnauthorizedException"}
            )
        key, secret, token, ends = self._next()
        role = {
            "accessKeyId": key,
            "secretAccessKey": secret,
            "sessionToken": token,
            "expiration": ends.timestamp() * 1000,
        }
        return web.json_response({"roleCredentials": role})


@pytest.fixture
async def giver():
    giver = Giver()
    app = web.Application()
    app.router.add_get("/container", giver.container)
    app.router.add_route("*", "/latest/{tail:.*}", giver.machine)
    app.router.add_get("/federation/credentials", giver.sign_on)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    giver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield giver
    await runner.cleanup()


def _container(giver, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("canary-pod-token")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{giver.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))


def _machine(giver, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", giver.url)


def _sign_on(giver, monkeypatch, tmp_path):
    start = "https://canary.awsapps.example/start"
    (tmp_path / "config").write_text(
        f"[default]\nsso_session=us\nsso_account_id=123456789012\nsso_role_name=reader\n"
        f"[sso-session us]\nsso_region=eu-central-1\nsso_start_url={start}\n"
    )
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    ends = datetime.now(UTC) + timedelta(hours=8)
    token = {"startUrl": start, "accessToken": "canary-sso", "expiresAt": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}
    (cache / f"{hashlib.sha1(b'us').hexdigest()}.json").write_text(json.dumps(token))
    for user in (SSOProvider, SSOTokenProvider):  # they looked at HOME when they were imported
        monkeypatch.setattr(user, "_SSO_TOKEN_CACHE_DIR", str(cache))
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", giver.url)


KINDS = {"container": _container, "machine": _machine, "sign-on": _sign_on}


@pytest.fixture(params=KINDS)
async def provider(request, aws, giver, monkeypatch, tmp_path):
    """An opened provider whose credentials come from one of them."""
    KINDS[request.param](giver, monkeypatch, tmp_path)
    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    await aws.store("db", "canary")
    environ = {"AWS_REGION_NAME": ENVIRON["AWS_REGION_NAME"], "AWS_ENDPOINT_URL": aws.url}
    provider = AwsSecretsManagerProvider.from_settings({"attempt_timeout": "10"}, environ)
    await provider.open()
    assert giver.seen == []
    yield provider
    await provider.aclose()


def _pass_the_time(provider, monkeypatch):
    """Thirteen minutes are left of the hour."""

    def later():
        return datetime.now(UTC) + LATER

    monkeypatch.setattr("botocore.credentials._local_now", later)
    provider._connection._credentials._found._time_fetcher = later


def _keys(aws):
    headers = [sent["authorization"] for sent in aws.requests if sent["operation"] == "GetSecretValue"]
    return [header.partition("Credential=")[2].partition("/")[0] for header in headers]


async def test_found_once_and_renewed_ahead(aws, giver, provider, monkeypatch):
    """They are asked for once for many reads, and anew before they end: the reads go on with the old ones meanwhile."""
    await asyncio.gather(*(provider.get("db") for _ in range(5)))
    assert giver.given == 1
    credentials = provider._connection._credentials
    credentials._clock = lambda: time.monotonic() + 61
    _pass_the_time(provider, monkeypatch)
    await provider.get("db")
    if credentials._renewal is not None:
        await asyncio.wait({credentials._renewal})
    await provider.get("db")
    assert (_keys(aws)[:5], _keys(aws)[-1]) == (["AKIA1"] * 5, "AKIA2")
    assert giver.given == 2
    assert all("canary" in shown for shown in giver.seen)


async def test_renewal_that_fails(aws, giver, provider, monkeypatch):
    """A service that fails while the credentials are still good is no reader's concern."""
    await provider.get("db")
    giver.broken = True
    _pass_the_time(provider, monkeypatch)
    for minutes in range(1, 4):
        provider._connection._credentials._clock = lambda ahead=minutes: time.monotonic() + 61 * ahead
        await provider.get("db")
        if renewal := provider._connection._credentials._renewal:
            await asyncio.wait({renewal})
    assert set(_keys(aws)) == {"AKIA1"}
    assert len(giver.seen) > 1


@pytest.mark.parametrize(("kind", "says"), [("container", "container"), ("sign-on", "aws sso login")])
async def test_refused(aws, giver, monkeypatch, tmp_path, kind, says):
    """A service that refuses is an AuthenticationError with what to do, and without what the service said."""
    KINDS[kind](giver, monkeypatch, tmp_path)
    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    giver.broken = True
    environ = {"AWS_REGION_NAME": "eu-central-1", "AWS_ENDPOINT_URL": aws.url}
    provider = AwsSecretsManagerProvider.from_settings({}, environ)
    await provider.open()
    try:
        with pytest.raises(AuthenticationError, match=says) as caught:
            await provider.get("db")
        assert "canary" not in str(caught.value)
        assert aws.calls == []
    finally:
        await provider.aclose()
