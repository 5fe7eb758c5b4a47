"""The chain of credentials in an environment as it is found, in a program that nobody sits at."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from aiohttp import web

from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ConfigError
from asyncsecrets.providers.aws import AwsSecretsManagerProvider, AwsSettings
from tests.providers.aws.conftest import ENVIRON

ROLE = "arn:aws:iam::123456789012:role/reader"
KEYS = "aws_access_key_id=AKIAFILE\naws_secret_access_key=canary\n"
MFA = "mfa_serial=arn:aws:iam::123456789012:mfa/me\n"


@pytest.fixture
def no_keys(environ, monkeypatch):
    """The environment of a program whose keys are elsewhere; what botocore reads is the process's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", environ["AWS_ENDPOINT_URL"])
    return {"AWS_REGION_NAME": ENVIRON["AWS_REGION_NAME"]}


async def outcome(aws, environ, **settings):
    """The key that a read was signed with, or the error."""
    await aws.store("db", "canary")
    provider = AwsSecretsManagerProvider.from_settings({"attempt_timeout": "10", **settings}, environ)
    failure = None
    try:
        await provider.open()
        await provider.get("db")
    except AsyncSecretsError as error:
        failure = error
    finally:
        await provider.aclose()
    if failure is not None:
        assert "canary" not in "".join(traceback.format_exception(failure))
        return failure
    sent = [request for request in aws.requests if request["operation"] == "GetSecretValue"]
    return sent[-1]["authorization"].partition("Credential=")[2].partition("/")[0]


# -- blanks and line breaks


@pytest.mark.parametrize("around", ["{}\n", " {}\r\n"])
@pytest.mark.parametrize(
    "variable",
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_REGION_NAME"],
)
async def test_blanks_around_a_variable(aws, environ, variable, around):
    """What a file or shell has left around a variable is no part of it."""
    environ[variable] = around.format(environ.get(variable, "canary-token"))
    assert await outcome(aws, environ) == ENVIRON["AWS_ACCESS_KEY_ID"]


async def test_the_secret_key_signs_without_its_line_break(aws, environ):
    """The signature is the one of the key as it is meant; a wrong one would be refused by AWS, and not by moto."""
    plain = AwsSettings(environ=environ)
    left = AwsSettings(
        access_key_id="AKIA\n", secret_access_key=" canary\r\n", session_token="canary \n", external_id="x\n"
    )
    assert plain.secret_access_key == ""
    assert (left.access_key_id, left.secret_access_key, left.session_token, left.external_id) == (
        "AKIA",
        "canary",
        "canary",
        "x",
    )


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("AKIA\nAWS_SECRET_ACCESS_KEY=canary", "has a line break inside"),
        ("AKIA canary", "has a blank inside"),
        ("AKIAcänary", "not printable ASCII"),
        ('"AKIAcanary"', "in quotation marks"),
        ("'AKIAcanary'", "in quotation marks"),
        ('{"AccessKeyId": "canary"}', "holds JSON"),
    ],
)
@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
async def test_what_can_be_no_credential(aws, environ, variable, value, says):
    """It is named, in variables and in settings, and nothing is sent."""
    for given in ("environment", "settings"):
        keys = {
            name: environ.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        }
        keys[variable] = value
        settings = {} if given == "environment" else {name.lower(): key for name, key in keys.items()}
        environ.update(keys if given == "environment" else {})
        with pytest.raises(ConfigError, match=f"{variable if given == 'environment' else variable.lower()} .*{says}"):
            raise await _as_error(aws, environ, settings)
    assert aws.calls == []


async def _as_error(aws, environ, settings):
    try:
        return await outcome(aws, environ, **settings)
    except ConfigError as error:
        return error


async def test_a_comment_behind_a_key(aws, no_keys, tmp_path):
    """A file of profiles has no comments at the end of a line: what looks like one is in the key."""
    (tmp_path / "credentials").write_text("[default]\n" + KEYS.replace("AKIAFILE", "AKIAFILE # canary of team a"))
    error = await outcome(aws, no_keys)
    assert isinstance(error, AuthenticationError)
    assert "access key id of a profile in ~/.aws/credentials or ~/.aws/config has a blank" in str(error)


async def test_a_broken_key_that_a_role_is_assumed_with(aws, no_keys, tmp_path):
    """It is found before STS is asked."""
    (tmp_path / "credentials").write_text("[base]\n" + KEYS.replace("AKIAFILE", "AKIAFILE\n canary"))
    (tmp_path / "config").write_text(f"[default]\nrole_arn={ROLE}\nsource_profile=base\n")
    error = await outcome(aws, no_keys)
    assert isinstance(error, ConfigError)
    assert "aws_access_key_id of the credentials that a role is assumed with has a line break" in str(error)
    assert aws.calls == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"AccessKeyId": "AKIAPROCESS\n", "SecretAccessKey": " canary\n"}, "AKIAPROCESS"),
        (
            {"AccessKeyId": "AKIA\ncanary", "SecretAccessKey": "canary"},
            "access key id of the profile's credential_process has a line",
        ),
        ({"AccessKeyId": "", "SecretAccessKey": "canary"}, "access key id of .* is empty"),
        ({"AccessKeyId": "AKIA", "SecretAccessKey": 5}, "secret access key of .* no text"),
        ({"AccessKeyId": "AKIA", "SecretAccessKey": "canary", "SessionToken": "canary b"}, "session token .* blank"),
    ],
)
async def test_keys_of_a_program(aws, no_keys, tmp_path, answer, says):
    """They are looked at too, and the error says where they are from."""
    (tmp_path / "answer.json").write_text(json.dumps({"Version": 1, **answer}))
    (tmp_path / "config").write_text(f"[default]\ncredential_process=cat {tmp_path}/answer.json\n")
    found = await outcome(aws, no_keys)
    if found != says:
        with pytest.raises(AuthenticationError, match=says):
            raise found


# -- tokens in files


def _web_identity(tmp_path, content):
    (tmp_path / "jwt").write_bytes(content)
    (tmp_path / "config").write_text(f"[default]\nrole_arn={ROLE}\nweb_identity_token_file={tmp_path}/jwt\n")


def _assume(aws):
    return [request for request in aws.requests if request["operation"] == "AssumeRoleWithWebIdentity"]


@pytest.mark.parametrize("way", ["profile", "environment", "setting", "nested"])
async def test_web_identity_with_a_line_break(aws, no_keys, tmp_path, monkeypatch, way):
    """`echo "$TOKEN" > file` ends the token with a line break, which STS is not shown."""
    seen = _record_tokens(monkeypatch)
    settings = {}
    _web_identity(tmp_path, b"\xef\xbb\xbfcanary.canary.canary\r\n")
    if way == "environment":
        (tmp_path / "config").unlink()
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))
        monkeypatch.setenv("AWS_ROLE_ARN", f"{ROLE}\n")
    elif way == "setting":
        settings = {"aws_web_identity_token": f"{tmp_path / 'jwt'}\n", "aws_role_name": ROLE}
    elif way == "nested":
        first = (tmp_path / "config").read_text().replace("[default]", "[profile base]")
        (tmp_path / "config").write_text(f"{first}[default]\nrole_arn={ROLE}\nsource_profile=base\n")
    assert str(await outcome(aws, no_keys, **settings)).startswith("ASIA")
    assert seen == ["canary.canary.canary"]


def _record_tokens(monkeypatch):
    """The web identity tokens as they are put into requests."""
    from botocore.client import BaseClient

    seen, real = [], BaseClient._make_api_call

    def call(self, operation, parameters):
        if operation == "AssumeRoleWithWebIdentity":
            seen.append(parameters["WebIdentityToken"])
        return real(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return seen


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b'{"value": "canary"}', "holds JSON"),
        (b"canary.\ncanary.canary", "line break"),
        (None, "cannot be read"),
    ],
)
async def test_web_identity_that_is_none(aws, no_keys, tmp_path, content, says):
    """The file is named, and STS is asked nothing."""
    _web_identity(tmp_path, content or b"")
    if content is None:
        (tmp_path / "jwt").unlink()
    error = await outcome(aws, no_keys)
    assert isinstance(error, AuthenticationError)
    assert f"{tmp_path}/jwt" in str(error)
    assert says in str(error)
    assert aws.calls == []


@pytest.fixture
async def container(monkeypatch):
    """A container's endpoint, which notes the Authorization it is sent."""
    seen = []

    async def give(request):
        seen.append(request.headers.get("Authorization"))
        body = {
            "AccessKeyId": "AKIACONTAINER",
            "SecretAccessKey": "canary",
            "Token": "canary",
            "Expiration": "2999-01-01T00:00:00Z",
        }
        return web.json_response(body)

    app = web.Application()
    app.router.add_get("/", give)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{runner.addresses[0][1]}/\n")
    yield seen
    await runner.cleanup()


@pytest.mark.parametrize(
    ("variable", "content", "says"),
    [
        ("_FILE", "canary-token\n", "canary-token"),
        ("_FILE", "Bearer canary\r\n", "Bearer canary"),
        ("", "Basic canary\n", "Basic canary"),
        ("", "", None),
        ("_FILE", "canary\ncanary", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE '.*' has a line break"),
        ("_FILE", "", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE '.*' is empty"),
        ("", "canary\ncanary", "AWS_CONTAINER_AUTHORIZATION_TOKEN has a line break"),
    ],
)
async def test_the_token_of_a_container(aws, no_keys, container, monkeypatch, tmp_path, variable, content, says):
    """A file's line break is left out; what can be no header is named, and not sent."""
    if variable:
        (tmp_path / "auth").write_text(content)
    monkeypatch.setenv(f"AWS_CONTAINER_AUTHORIZATION_TOKEN{variable}", str(tmp_path / "auth") if variable else content)
    found = await outcome(aws, no_keys)
    if isinstance(found, str):
        assert (found, container) == ("AKIACONTAINER", [says])
    else:
        with pytest.raises(AsyncSecretsError, match=says or "no error"):
            raise found
        assert container == []


# -- empty variables

EMPTY = [
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE",
    "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CREDENTIAL_FILE",
    "BOTO_CONFIG", "AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "AWS_IMDS_USE_IPV6",
    "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_STS_REGIONAL_ENDPOINTS", "AWS_DATA_PATH", "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT", "AWS_DEFAULTS_MODE", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_STS",
    "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY",
]  # fmt: skip


@pytest.mark.parametrize("value", ["", " \n"])
@pytest.mark.parametrize("kind", ["keys", "role", "web identity", "none"])
async def test_all_variables_are_empty(aws, no_keys, tmp_path, monkeypatch, kind, value):
    """Every variable that botocore reads counts as unset: the usual files are used, and the region of the profile."""
    home = tmp_path / "home" / ".aws"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = f"region=eu-central-1\nendpoint_url={aws.url}\n"
    if kind == "keys":
        (home / "credentials").write_text(f"[default]\n{KEYS}")
    elif kind == "role":
        (home / "credentials").write_text(f"[base]\n{KEYS}")
        config += f"role_arn={ROLE}\nsource_profile=base\n"
    elif kind == "web identity":
        (tmp_path / "jwt").write_text("canary.canary.canary")
        config += f"role_arn={ROLE}\nweb_identity_token_file={tmp_path}/jwt\n"
    (home / "config").write_text(f"[default]\n{config}")
    for variable in EMPTY:
        monkeypatch.setenv(variable, value)
    found = await outcome(aws, {"AWS_REGION_NAME": value, "AWS_ENDPOINT_URL": aws.url})
    if kind == "none":
        assert isinstance(found, AuthenticationError)
        assert "there are no AWS credentials" in str(found)
    else:
        assert str(found).startswith("AKIAFILE" if kind == "keys" else "ASIA")


async def test_one_of_two_names_of_a_profile_is_empty(aws, no_keys, tmp_path, monkeypatch):
    """The other one counts, which botocore asks second."""
    (tmp_path / "credentials").write_text(f"[team]\n{KEYS}")
    monkeypatch.setenv("AWS_DEFAULT_PROFILE", "")
    monkeypatch.setenv("AWS_PROFILE", "team\n")
    assert await outcome(aws, no_keys) == "AKIAFILE"


async def test_one_half_is_empty(aws, no_keys):
    """An empty half is a half that is missing."""
    error = await outcome(aws, {**no_keys, "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "\n"})
    assert isinstance(error, ConfigError)
    assert "needed together" in str(error)


async def test_the_environment_as_a_source_of_a_profile(aws, no_keys, tmp_path):
    """`credential_source = Environment` reads by the same rules, an environment that was handed in."""
    (tmp_path / "config").write_text(f"[profile p]\nrole_arn={ROLE}\ncredential_source=Environment\n")
    keys = {"AWS_ACCESS_KEY_ID": "AKIAENVIRONMENT\n", "AWS_SECRET_ACCESS_KEY": "canary\n", "AWS_SESSION_TOKEN": ""}
    assert str(await outcome(aws, {**no_keys, **keys}, aws_profile_name="p")).startswith("ASIA")
    sent = next(request for request in aws.requests if request["operation"] == "AssumeRole")
    assert "Credential=AKIAENVIRONMENT/" in sent["authorization"]


# -- nobody is asked


@pytest.mark.parametrize("chain", ["itself", "its source", "source of source"])
async def test_a_profile_that_needs_a_code(aws, no_keys, tmp_path, chain):
    """It is refused by name, wherever in a chain of roles it is, and STS is asked for nothing by it."""
    profiles = {
        "itself": f"[profile admin]\nrole_arn={ROLE}\nsource_profile=base\n{MFA}",
        "its source": f"[profile top]\nrole_arn={ROLE}\nsource_profile=admin\n"
        f"[profile admin]\nrole_arn={ROLE}\nsource_profile=base\n{MFA}",
        "source of source": f"[profile top]\nrole_arn={ROLE}\nsource_profile=mid\n[profile mid]\nrole_arn={ROLE}\n"
        f"source_profile=admin\n[profile admin]\nrole_arn={ROLE}\nsource_profile=base\n{MFA}",
    }[chain]
    (tmp_path / "config").write_text(profiles)
    (tmp_path / "credentials").write_text(f"[base]\n{KEYS}")
    error = await outcome(aws, no_keys, aws_profile_name="admin" if chain == "itself" else "top")
    assert isinstance(error, ConfigError)
    assert "the AWS profile 'admin' has mfa_serial" in str(error)
    assert aws.calls == []


PROGRAM = """
import asyncio, sys
from asyncsecrets import SecretsClient

async def main(profile):
    settings = {"aws_profile_name": profile, "attempt_timeout": "15"}
    config = {"key_management_system": "aws_secret_manager", "key_management_settings": settings}
    async with SecretsClient.from_config({"general_settings": config}) as secrets:
        try:
            print(profile, (await secrets.get("db")).name)
        except Exception as error:
            print(profile, type(error).__name__, error)

for profile in sys.argv[1:]:
    asyncio.run(main(profile))
print("left:", sys.stdin.read())
"""
GREEDY = """
import json, os, sys
assert sys.stdin.read() == ""
if os.getsid(0) == os.getpid():  # a session of its own, which has no terminal
    print(json.dumps({"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "canary"}))
"""


async def test_the_standard_input_is_the_programs(aws, no_keys, tmp_path):
    """Neither botocore nor a program that it runs reads it, or finds a terminal to ask at."""
    (tmp_path / "greedy.py").write_text(GREEDY)
    (tmp_path / "config").write_text(
        f"[profile code]\nrole_arn={ROLE}\nsource_profile=base\n{MFA}[profile base]\n{KEYS}"
        f"[profile program]\ncredential_process={sys.executable} {tmp_path}/greedy.py\n"
        f"[profile role]\nrole_arn={ROLE}\nsource_profile=program\n"
    )
    await aws.store("db", "canary")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, "code", "program", "role"),
        env={**os.environ, **no_keys, "AWS_REGION": "eu-central-1"},
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate(b"123456\nrecord")
    said, _, left = output.decode().partition("left: ")
    assert left.strip() == "123456\nrecord"
    code, program, role = said.splitlines()
    assert "'code' has mfa_serial" in code
    assert (program, role) == ("program db", "role db")
    assert aws.calls == ["GetSecretValue", "AssumeRole", "GetSecretValue"]


# -- ways that credentials must not take


@pytest.mark.parametrize(
    ("settings", "variables", "profile", "says"),
    [
        ({"aws_sts_endpoint": "http://192.0.2.1"}, {}, "", "aws_sts_endpoint is plain http"),
        ({}, {"AWS_ENDPOINT_URL_STS": "http://192.0.2.1\n"}, "", "AWS_ENDPOINT_URL_STS: .* is plain http"),
        (
            {},
            {"AWS_ENDPOINT_URL_STS": "", "AWS_ENDPOINT_URL": "http://192.0.2.1"},
            "",
            "AWS_ENDPOINT_URL: .* is plain http",
        ),
        (
            {},
            {"AWS_ENDPOINT_URL": ""},
            "endpoint_url=http://192.0.2.1\n",
            "the profile's endpoint_url: .* is plain http",
        ),
        ({}, {"AWS_ENDPOINT_URL_STS": "sts.corp.test"}, "", "AWS_ENDPOINT_URL_STS: .* must be an address"),
    ],
)
async def test_sts_in_plain_text_names_what_said_so(
    aws, no_keys, tmp_path, monkeypatch, settings, variables, profile, says
):
    """The setting, the variable or the profile that a person has to change."""
    (tmp_path / "credentials").write_text(f"[base]\n{KEYS}")
    (tmp_path / "config").write_text(f"[default]\nrole_arn={ROLE}\nsource_profile=base\n{profile}")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=says):
        raise await _as_error(aws, no_keys, {"aws_endpoint_url": aws.url, **settings})
    assert aws.calls == []


async def test_a_container_elsewhere_in_plain_text(aws, no_keys, monkeypatch):
    """The variable is named, and nothing is sent."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/credentials")
    error = await outcome(aws, no_keys)
    assert isinstance(error, ConfigError)
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI is plain http to another machine" in str(error)


async def test_a_single_sign_on_that_has_run_out(aws, no_keys, tmp_path, monkeypatch):
    """It says what to run; nobody is asked."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config").write_text(
        "[profile p]\nsso_session=us\nsso_account_id=123456789012\nsso_role_name=reader\n"
        "[sso-session us]\nsso_region=eu-central-1\nsso_start_url=https://canary.awsapps.example/start\n"
    )
    error = await outcome(aws, no_keys, aws_profile_name="p")
    assert isinstance(error, AuthenticationError)
    assert "run `aws sso login`" in str(error)
