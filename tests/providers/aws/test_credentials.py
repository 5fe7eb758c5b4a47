"""Who we are at AWS: every way to say it, renewal ahead of time, tokens that expire in mid-flight."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import traceback
from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import Credentials, RefreshableCredentials

from asyncsecrets.errors import AccessDeniedError, AuthenticationError, ClosedError, ConfigError, UnavailableError
from asyncsecrets.providers.aws import AwsSecretsManagerProvider, AwsSettings
from asyncsecrets.providers.aws.credentials import load_credentials

ROLE = "arn:aws:iam::123456789012:role/reader"


@pytest.fixture
async def provider_at(aws, environ):
    """Make opened providers of settings, at that AWS; the environment's variables can be replaced."""
    opened = []

    async def build(settings=None, **variables):
        merged = {key: value for key, value in {**environ, **variables}.items() if value is not None}
        provider = AwsSecretsManagerProvider.from_settings({"attempt_timeout": "10", **(settings or {})}, merged)
        await provider.open()
        opened.append(provider)
        return provider

    yield build
    for provider in opened:
        await provider.aclose()


def signed_by(aws):
    """The access keys that requests to Secrets Manager were signed with."""
    sent = [request for request in aws.requests if request["operation"] == "GetSecretValue"]
    return [request["authorization"].partition("Credential=")[2].partition("/")[0] for request in sent]


NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


async def test_environment(aws, provider_at):
    """Keys of the environment sign, and are looked up anew when AWS refuses them."""
    await aws.store("db", "canary")
    provider = await provider_at(AWS_SESSION_TOKEN="canary-token")
    await provider.get("db")
    assert signed_by(aws) == ["AKIACANARYcanary0001"]


async def test_settings_before_environment(aws, provider_at):
    """Keys of the settings come before the environment's."""
    await aws.store("db", "canary")
    provider = await provider_at({"aws_access_key_id": "AKIASETTINGS", "aws_secret_access_key": "canary"})
    await provider.get("db")
    assert signed_by(aws) == ["AKIASETTINGS"]


async def test_profile(aws, provider_at, tmp_path):
    """A profile of the settings comes before keys of the environment, and brings its region."""
    (tmp_path / "credentials").write_text("[team]\naws_access_key_id=AKIAPROFILE\naws_secret_access_key=canary\n")
    (tmp_path / "config").write_text("[profile team]\nregion=eu-central-1\n")
    await aws.store("db", "canary")
    provider = await provider_at({"aws_profile_name": "team"}, AWS_REGION_NAME=None)
    await provider.get("db")
    assert signed_by(aws) == ["AKIAPROFILE"]


async def test_profile_process(aws, provider_at, tmp_path):
    """The whole chain of botocore works: here, a profile whose credentials come from a program."""
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    answer = {"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "canary", "SessionToken": "canary"}
    (tmp_path / "answer.json").write_text(json.dumps({**answer, "Expiration": expires}))
    (tmp_path / "config").write_text(f"[default]\ncredential_process=cat {tmp_path}/answer.json\n")
    await aws.store("db", "canary")
    provider = await provider_at(**NO_KEYS)
    await provider.get("db")
    assert signed_by(aws) == ["AKIAPROCESS"]


@pytest.mark.parametrize(
    "expiration",
    ['"9999-99-99T00:00:00Z"', f'"{"9" * 400}"', "9" * 400, "9" * 5000, "NaN", "1e999", "-5", "true", "[1]", '""',
     '"soon"', '"2999-01-01T00:00:00"', '"2000-01-01T00:00:00Z"', '"0001-01-01T00:00:00+14:00"', '{"a": 1}'],
)  # fmt: skip
async def test_credentials_with_an_odd_end(aws, provider_at, tmp_path, expiration):
    """An end that is no moment, or lies behind, or has no time zone, makes credentials of no use; nothing else ends."""
    handled = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: handled.append(context))
    keys = '"AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "canary", "SessionToken": "canary"'
    (tmp_path / "answer.json").write_text(f'{{"Version": 1, {keys}, "Expiration": {expiration}}}')
    (tmp_path / "config").write_text(f"[default]\ncredential_process=cat {tmp_path}/answer.json\n")
    provider = await provider_at(**NO_KEYS, AWS_CONFIG_FILE=str(tmp_path / "config"))
    with pytest.raises(AuthenticationError, match=r"makes no sense|have expired") as caught:
        await provider.get("db")
    assert "canary" not in str(caught.value)
    assert handled == []


@pytest.mark.parametrize("expiration", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"])
async def test_credentials_whose_end_is_far_away(aws, provider_at, tmp_path, expiration):
    """They sign, and no clock is reckoned over its end."""
    await aws.store("db", "canary")
    answer = {"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "canary", "SessionToken": "canary"}
    (tmp_path / "answer.json").write_text(json.dumps({**answer, "Expiration": expiration}))
    (tmp_path / "config").write_text(f"[default]\ncredential_process=cat {tmp_path}/answer.json\n")
    provider = await provider_at(**NO_KEYS, AWS_CONFIG_FILE=str(tmp_path / "config"))
    await provider.get("db")
    assert signed_by(aws) == ["AKIAPROCESS"]


GIVEN = {"Version": 1, "AccessKeyId": "AKIAcanary", "SecretAccessKey": "canary"}
FAULTY = {
    "expired": (json.dumps({**GIVEN, "Expiration": "2020-01-01T00:00:00Z"}), "have expired"),
    "no time": (json.dumps({**GIVEN, "Expiration": "canary"}), "makes no sense"),
    "no JSON": ("canary", "makes no sense"),
    "no object": ("[]", "makes no sense"),
    "not text": (b"\xff", "makes no sense"),
    "no keys": ('{"Version": 1}', "check the profile"),
    "no program": (None, "cannot be run"),
}


@pytest.mark.parametrize("what", FAULTY)
async def test_profile_process_that_is_wrong(aws, provider_at, tmp_path, what):
    """What a program gives instead of credentials is no fault of AWS's, and not one that passes: check the program."""
    given, says = FAULTY[what]
    answer = tmp_path / "answer.json"
    if given is not None:
        answer.write_bytes(given if isinstance(given, bytes) else given.encode())
    program = f"cat {answer}" if given is not None else tmp_path / "no-program"
    (tmp_path / "config").write_text(f"[default]\ncredential_process={program}\n")
    provider = await provider_at(**NO_KEYS)
    with pytest.raises(AuthenticationError, match=says) as caught:
        await provider.get("db")
    assert "credential_process" in str(caught.value)
    assert not caught.value.transient
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert aws.calls == []


@pytest.mark.parametrize(
    "profile",
    [
        f"[default]\nrole_arn={ROLE}\nsource_profile=a\n[profile a]\nrole_arn={ROLE}\nsource_profile=default\n",
        f"[default]\nrole_arn={ROLE}\nsource_profile=canary\n",
        f"[default]\nrole_arn={ROLE}\n",
    ],
    ids=["circle", "unknown", "none"],
)
async def test_profile_of_a_role_that_leads_nowhere(provider_at, tmp_path, profile):
    """A profile whose role has nothing to be assumed with says which two settings to look at."""
    (tmp_path / "config").write_text(profile)
    provider = await provider_at(**NO_KEYS)
    with pytest.raises(ConfigError, match=r"role_arn.*source_profile"):
        await provider.get("db")


async def test_role(aws, provider_at):
    """A role is assumed with session name and external id, at the custom STS endpoint, once for many reads."""
    await aws.store("db", "canary")
    settings = {
        "aws_role_name": ROLE,
        "aws_session_name": "web",
        "aws_external_id": "canary-id",
        "aws_sts_endpoint": aws.url,
    }
    provider = await provider_at(settings)
    await asyncio.gather(*(provider.get("db") for _ in range(10)))
    assert aws.count("AssumeRole") == 1
    assert set(signed_by(aws)) != {"AKIACANARYcanary0001"}
    form = next(request["form"] for request in aws.requests if request["operation"] == "AssumeRole")
    assert (form["RoleArn"], form["RoleSessionName"], form["ExternalId"]) == ([ROLE], ["web"], ["canary-id"])


@pytest.mark.parametrize("form", ["path", "oidc/file/", "oidc/env/", "oidc/env_path/", "token"])
async def test_web_identity(aws, provider_at, tmp_path, form):
    """A role is assumed by web identity: a file, a token, or LiteLLM's oidc/ spellings; no other keys are needed."""
    token = "eyJh.canary.sig"
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    given, variables = {
        "path": (str(file), {}),
        "oidc/file/": (f"oidc/file/{file}", {}),
        "oidc/env/": ("oidc/env/MY_TOKEN", {"MY_TOKEN": token}),
        "oidc/env_path/": ("oidc/env_path/MY_FILE", {"MY_FILE": str(file)}),
        "token": (token, {}),
    }[form]
    await aws.store("db", "canary")
    provider = await provider_at(
        {"aws_role_name": ROLE, "aws_web_identity_token": given, "aws_sts_endpoint": aws.url}, **NO_KEYS, **variables
    )
    await provider.get("db")
    form = next(request["form"] for request in aws.requests if request["operation"] == "AssumeRoleWithWebIdentity")
    assert form["WebIdentityToken"] == [token]


@pytest.mark.parametrize(
    ("token", "error", "says"),
    [
        ("/no/such/file", AuthenticationError, "file"),
        ("oidc/google/audience", ConfigError, "oidc/file"),
        ("oidc/env/NOT_SET", ConfigError, "NOT_SET"),
    ],
)
async def test_web_identity_is_missing(provider_at, token, error, says):
    """A token that is not there says which setting is wrong."""
    provider = await provider_at({"aws_role_name": ROLE, "aws_web_identity_token": token}, **NO_KEYS)
    with pytest.raises(error, match=says):
        await provider.get("db")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("pipe", "no file that"),
        ("endless", "no file that"),
        ("folder", "no file that"),
        ("long", "20,000"),
        ("empty", "is empty"),
    ],
)
async def test_web_identity_is_no_token(aws, provider_at, tmp_path, what, says):
    """A file that cannot be a token is an error at once: neither waited for nor read to an end it may not have."""
    file = tmp_path / "token"
    if what == "pipe":
        os.mkfifo(file)
    elif what == "endless":
        file = "/dev/zero"
    elif what == "folder":
        file.mkdir()
    else:
        file.write_text("canary" * 4000 if what == "long" else "")
    settings = {"aws_role_name": ROLE, "aws_web_identity_token": str(file), "aws_sts_endpoint": aws.url}
    provider = await provider_at(settings, **NO_KEYS)
    with pytest.raises(AuthenticationError, match=says) as caught:
        async with asyncio.timeout(5):
            await provider.get("db")
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert aws.calls == []


async def test_role_is_refused(aws, provider_at):
    """A role that may not be assumed is AccessDeniedError with the action, and names the secret that was asked for."""
    provider = await provider_at({"aws_role_name": ROLE, "aws_sts_endpoint": aws.url})
    aws.only, aws.fault = {"AssumeRole"}, "denied"
    with pytest.raises(AccessDeniedError, match="sts:AssumeRole") as caught:
        await provider.get("db")
    assert (caught.value.provider, caught.value.name) == ("aws_secret_manager", "db")
    aws.fault = "unavailable"
    with pytest.raises(UnavailableError):
        await provider.get("db")
    # No stand-in is without it: something is wrong for the moment.
    aws.pages["AssumeRole"] = 501, "<ErrorResponse><Error><Code>NotImplemented</Code></Error></ErrorResponse>"
    with pytest.raises(UnavailableError):
        await provider.get("db")


async def test_none(aws, provider_at):
    """Without any credentials the error names every way to give some, and nothing is sent."""
    provider = await provider_at(**NO_KEYS)
    with pytest.raises(AuthenticationError, match="AWS_ACCESS_KEY_ID") as caught:
        await provider.get("db")
    assert (caught.value.provider, caught.value.name) == ("aws_secret_manager", "db")
    assert aws.calls == []


async def test_half_a_pair(provider_at):
    """One half of a pair of keys is a ConfigError."""
    with pytest.raises(ConfigError, match="together"):
        await provider_at({"aws_access_key_id": "AKIAHALF"})
    provider = await provider_at(AWS_SECRET_ACCESS_KEY=None)
    with pytest.raises(ConfigError, match="together"):
        await provider.get("db")


@pytest.mark.parametrize(
    ("settings", "variables", "says"),
    [
        ({}, {"AWS_REGION_NAME": None}, "AWS_REGION_NAME"),
        ({"aws_profile_name": "nobody"}, {}, "aws_profile_name"),
        ({"aws_endpoint_url": "http://aws.example.com"}, {}, "allow_insecure_http"),
        ({"aws_endpoint_url": "ftp://aws.example.com"}, {}, "aws_endpoint_url"),
        ({"aws_endpoint_url": "https://user:canary@aws.example.com"}, {}, "aws_endpoint_url"),
        ({"aws_sts_endpoint": "http://sts.example.com"}, {}, "aws_sts_endpoint"),
        ({"aws_region_name": "eu central"}, {}, "aws_region_name"),
        ({"aws_role_name": "reader"}, {}, "aws_role_name"),
        ({"aws_role_name": ROLE, "aws_session_name": "a b"}, {}, "aws_session_name"),
        ({"aws_web_identity_token": "/token"}, {}, "aws_role_name"),
        ({"aws_session_token": "canary"}, {}, "aws_access_key_id"),
        ({"recovery_window_days": "3"}, {}, "7 to 30"),
        ({"replica_regions": ["eu central"]}, {}, "replica_regions"),
        ({}, {"AWS_ENDPOINT_URL": "http://aws.example.com"}, "allow_insecure_http"),
    ],
)
async def test_impossible_settings(provider_at, settings, variables, says):
    """Settings that cannot work are a ConfigError before anything is sent, which names the setting and no value."""
    with pytest.raises(ConfigError, match=says) as caught:
        await provider_at(settings, **variables)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("variable", ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"])
async def test_region(provider_at, variable):
    """The region comes from LiteLLM's variable or from AWS's own."""
    provider = await provider_at(**{"AWS_REGION_NAME": None, variable: "eu-north-1"})
    assert provider._connection.region == "eu-north-1"


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER"])
async def test_endpoint(aws, provider_at, variable):
    """AWS's variables for endpoints are honoured."""
    await aws.store("db", "canary")
    provider = await provider_at(**{"AWS_ENDPOINT_URL": None, variable: aws.url})
    assert (await provider.get("db")).equals("canary")


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"])
@pytest.mark.parametrize("handed_in", [True, False], ids=["handed in", "of the process"])
async def test_sts_in_plain_text(aws, provider_at, monkeypatch, variable, handed_in):
    """Plain http to another machine's STS is refused before anything is sent, wherever its address comes from."""
    address = "http://sts.example.com"
    settings = {"aws_role_name": ROLE, "aws_endpoint_url": aws.url}
    if handed_in:
        provider = await provider_at(settings, **{variable: address})
    else:
        provider = await provider_at(settings, AWS_ENDPOINT_URL=None)
        monkeypatch.setenv(variable, address)
    with pytest.raises(ConfigError, match=r"STS is plain http.*allow_insecure_http"):
        await provider.get("db")
    assert aws.calls == []


async def test_sts_of_a_profile_in_plain_text(aws, provider_at, tmp_path):
    """The clients inside botocore's chain keep the rule too: here, those of a profile's role."""
    role = f"role_arn={ROLE}\nsource_profile=keys\nservices=away\n"
    services = "[services away]\nsts=\n  endpoint_url=http://sts.example.com\n"
    (tmp_path / "config").write_text(f"[profile team]\n{role}{services}")
    (tmp_path / "credentials").write_text("[keys]\naws_access_key_id=AKIAKEYS\naws_secret_access_key=canary\n")
    settings = {"aws_profile_name": "team", "aws_endpoint_url": aws.url}
    provider = await provider_at(settings, AWS_ENDPOINT_URL=None)
    with pytest.raises(ConfigError, match="STS is plain http"):
        await provider.get("db")
    trusting = await provider_at({**settings, "aws_sts_endpoint": aws.url}, AWS_ENDPOINT_URL=None)
    await aws.store("db", "canary")
    assert (await trusting.get("db")).equals("canary")
    assert aws.count("AssumeRole") == 1


async def test_sts_of_the_environment(aws, provider_at):
    """STS is where the environment that was handed in says, and the explicit setting permits plain http."""
    await aws.store("db", "canary")
    provider = await provider_at({"aws_role_name": ROLE}, AWS_ENDPOINT_URL_STS=aws.url)
    await provider.get("db")
    assert aws.count("AssumeRole") == 1
    unsafe = {"aws_role_name": ROLE, "allow_insecure_http": "true", "connect_timeout": "0.2"}
    permitted = await provider_at(unsafe, AWS_ENDPOINT_URL_STS="http://sts.invalid")
    with pytest.raises(UnavailableError):
        await permitted.get("db")


@pytest.mark.parametrize(
    ("code", "renewals"),
    [
        ("ExpiredTokenException", 1),
        ("UnrecognizedClientException", 1),
        ("InvalidSignatureException", 0),
        ("SignatureDoesNotMatch", 0),
        ("RequestExpired", 0),
        ("IncompleteSignature", 0),
    ],
)
async def test_which_refusals_renew(aws, provider_at, code, renewals):
    """Only what newer credentials can mend has them loaded anew; a wrong signature or clock has not."""
    await aws.store("db", "canary")
    provider = await provider_at({"aws_role_name": ROLE, "aws_sts_endpoint": aws.url})
    await provider.get("db")
    aws.refused = {"GetSecretValue": (code, "canary")}
    with pytest.raises(AuthenticationError):
        await provider.get("db")
    assert aws.count("AssumeRole") == 1 + renewals


async def test_a_storm_of_refusals(aws, provider_at):
    """However many calls AWS refuses, credentials are renewed three times at once and then ever more seldom."""
    now = [1000.0]
    provider = await provider_at({"aws_role_name": ROLE, "aws_sts_endpoint": aws.url})
    provider._connection._credentials._clock = lambda: now[0]
    aws.refused = {"GetSecretValue": ("UnrecognizedClientException", "canary")}
    made = []
    for seconds in (0, 0, 0, 0, 1, 1, 2, 3, 100):
        now[0] += seconds
        before = aws.count("AssumeRole")
        answers = await asyncio.gather(*(provider.get("db") for _ in range(20)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {AuthenticationError}
        made.append(aws.count("AssumeRole") - before)
    assert made == [2, 1, 1, 0, 1, 0, 1, 0, 1]
    aws.refused = {}
    await aws.store("db", "canary")
    assert (await provider.get("db")).equals("canary")
    aws.expired = {signed_by(aws)[-1]}
    assert (await provider.get("db")).equals("canary")


async def test_expired_in_mid_flight(aws, provider_at, tmp_path):
    """A token that AWS says has expired is replaced by what the chain has now, without the caller seeing it."""
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id=AKIAOLD\naws_secret_access_key=canary\naws_session_token=canary-old\n"
    )
    await aws.store("db", "canary")
    provider = await provider_at(**NO_KEYS)
    await provider.get("db")
    aws.expired = {"canary-old"}
    with pytest.raises(AuthenticationError, match="expired"):
        await provider.get("db")
    assert signed_by(aws) == ["AKIAOLD"] * 2  # nothing else to show: it is not sent again
    file.write_text(
        "[default]\naws_access_key_id=AKIANEW\naws_secret_access_key=canary\naws_session_token=canary-new\n"
    )
    secrets = await asyncio.gather(*(provider.get("db") for _ in range(5)))
    assert all(secret.equals("canary") for secret in secrets)
    assert signed_by(aws)[-1] == "AKIANEW"


async def test_what_assumes_the_role_expires(aws, provider_at, tmp_path):
    """Keys that assume a role may expire too: the chain is asked for others, and the caller sees nothing of it."""
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id=AKIAOLD\naws_secret_access_key=canary\n")
    await aws.store("db", "canary")
    aws.lifetime = 30  # seconds: renewed for each call
    provider = await provider_at({"aws_role_name": ROLE, "aws_sts_endpoint": aws.url}, **NO_KEYS)
    await provider.get("db")
    aws.expired = {"AKIAOLD"}
    with pytest.raises(AuthenticationError, match="expired"):
        await provider.get("db")
    file.write_text("[default]\naws_access_key_id=AKIANEW\naws_secret_access_key=canary\n")
    assert (await provider.get("db")).equals("canary")


async def test_role_expired_in_mid_flight(aws, provider_at):
    """A role's session that AWS says has expired is assumed anew, once for everybody."""
    await aws.store("db", "canary")
    provider = await provider_at({"aws_role_name": ROLE, "aws_sts_endpoint": aws.url})
    await provider.get("db")
    aws.expired = set(signed_by(aws))
    await asyncio.gather(*(provider.get("db") for _ in range(5)))
    assert aws.count("AssumeRole") == 2


async def test_thread_outlives_the_provider(provider_at, monkeypatch, caplog):
    """A chain that is still at work when the provider is closed is kept from logging credentials to its own end."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    logger = logging.getLogger("botocore.parsers")

    def load(_):
        begun.set()
        go_on.wait(5)
        logger.debug("canary credentials")
        ended.set()
        return Credentials("AKIA", "canary")

    monkeypatch.setattr("asyncsecrets.providers.aws.session.load_credentials", load)
    with caplog.at_level(logging.DEBUG, "botocore"):
        provider = await provider_at()
        read = asyncio.create_task(provider.get("db"))
        await asyncio.to_thread(begun.wait, 5)
        await provider.aclose()
        with pytest.raises(ClosedError):
            await read
        go_on.set()
        await asyncio.to_thread(ended.wait, 5)
        async with asyncio.timeout(5):
            while not logger.isEnabledFor(logging.DEBUG):
                await asyncio.sleep(0.001)
    assert "canary" not in caplog.text


async def test_role_settings_are_renewing(aws):
    """What a role gives always renews itself: it is never static."""
    settings = AwsSettings(
        access_key_id="AKIA", secret_access_key="canary", region="eu-central-1", role=ROLE, sts_endpoint=aws.url
    )
    found = await asyncio.to_thread(load_credentials, settings)
    assert isinstance(found, RefreshableCredentials)


async def test_own_role_is_not_assumed_again(aws, provider_at, tmp_path, monkeypatch):
    """Where the pod's own role (EKS) is the configured one, it is not assumed a second time."""
    token = tmp_path / "token"
    token.write_text("eyJh.canary.sig")
    own = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    for name, value in {**own, "AWS_ENDPOINT_URL_STS": aws.url}.items():
        monkeypatch.setenv(name, value)
    await aws.store("db", "canary")
    provider = await provider_at({"aws_role_name": ROLE}, **NO_KEYS, **own)
    await provider.get("db")
    assert (aws.count("AssumeRoleWithWebIdentity"), aws.count("AssumeRole")) == (1, 0)


def test_a_session_token_by_its_name_of_old():
    """AWS_SECURITY_TOKEN is what AWS_SESSION_TOKEN was called once; the newer name goes first."""
    environ = {"AWS_ACCESS_KEY_ID": "AKIACANARY", "AWS_SECRET_ACCESS_KEY": "canary", "AWS_SECURITY_TOKEN": "canary-old"}
    for more, token in (({}, "canary-old"), ({"AWS_SESSION_TOKEN": "canary-new"}, "canary-new")):
        found = load_credentials(AwsSettings(environ=environ | more, region="eu-central-1"))
        assert found.get_frozen_credentials().token == token


async def _read(provider):
    await provider.open()
    await provider.get("db")


@pytest.mark.parametrize(
    ("variables", "content", "says"),
    [
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, "", "AWS_ROLE_ARN beside AWS_WEB_IDENTITY_TOKEN_FILE"),
        ({}, "\ufeff[default]\nregion = canary\n", "AWS_CONFIG_FILE, .*cannot be parsed.* byte order mark"),
    ],
)
async def test_what_botocore_cannot_make_sense_of(tmp_path, variables, content, says):
    """It is said with each place where that can be."""
    (tmp_path / "config").write_text(content, encoding="utf-8")
    variables = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_EC2_METADATA_DISABLED": "true", **variables}
    provider = AwsSecretsManagerProvider.from_settings({"aws_region_name": "eu-central-1"}, variables)
    with pytest.raises(ConfigError, match=says) as caught:
        await _read(provider)
    assert "canary" not in str(caught.value)
    await provider.aclose()
