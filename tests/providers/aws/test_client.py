"""Through SecretsClient: the documented configurations, budgets of calls, faults, leaks."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import traceback
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
import yaml

from asyncsecrets import SecretsClient, get_secret, get_secret_bool
from asyncsecrets.errors import (
    AccessDeniedError,
    AccessModeError,
    AsyncSecretsError,
    AuthenticationError,
    ConflictError,
    DeadlineExceededError,
    InsecureTransportError,
    MalformedResponseError,
    RateLimitedError,
    ResolveError,
    SecretNotFoundError,
    UnavailableError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.providers.aws import AwsKmsProvider
from asyncsecrets.providers.aws.transport import Transport
from asyncsecrets.retry import RetryPolicy

SEED = Path(__file__).parents[2] / "data" / "seed-configs"
PATIENT = RetryPolicy(attempts=3, deadline=60.0, backoff=(0.001, 0.01))


def config(system="aws_secret_manager", **settings):
    settings = {"attempt_timeout": "15", "access_mode": "read_and_write", **settings}
    return {"general_settings": {"key_management_system": system, "key_management_settings": settings}}


@pytest.fixture
def client(environ):
    """Make a client of a configuration at that AWS; it is opened by the test."""

    def build(document, **options):
        # Every entry's first renewal is late in its interval, so that calls can be counted.
        options = {"retry": PATIENT, "jitter": lambda: 0.9, **options}
        return SecretsClient.from_config(document, environ=environ, **options)

    return build


# -- the documented configurations


@pytest.mark.parametrize("file", ["01-aws-read.yaml", "03-aws-read-write.yaml"])
async def test_seed_read(aws, environ, client, file):
    """The documented files for reading: a hosted key comes from AWS, any other name from the environment."""
    environ["OTHER"] = "canary of the environment"
    await aws.store("litellm_master_key", "canary sk-1234")
    async with client(SEED / file) as secrets:
        assert (await secrets.get("os.environ/litellm_master_key")).equals("canary sk-1234")
        assert (await secrets.get("os.environ/OTHER")).equals("canary of the environment")
    assert aws.calls == ["GetSecretValue"]


async def test_seed_read_only(aws, client):
    """Read-only, the default, refuses to write before anything is sent."""
    async with client(SEED / "01-aws-read.yaml") as secrets:
        with pytest.raises(AccessModeError):
            await secrets.put("litellm/x", "canary")
    assert aws.calls == []


@pytest.mark.parametrize("file", ["02-aws-write.yaml", "10-all-settings.yaml"])
async def test_seed_write_only(aws, environ, client, file):
    """The documented files for writing: virtual keys go to AWS, every read comes from the environment."""
    environ["litellm_master_key"] = "canary of the environment"
    async with client(SEED / file) as secrets:
        await secrets.put("litellm/team-a", "canary sk-virtual")
        assert (await secrets.get("litellm_master_key")).equals("canary of the environment")
    assert (await aws.moto_call("GetSecretValue", SecretId="litellm/team-a"))["SecretString"] == "canary sk-virtual"
    assert aws.calls == ["PutSecretValue", "CreateSecret"]


async def test_seed_read_and_write(aws, client):
    """The documented file for both: what is put is read at once, without another call, and can be deleted."""
    async with client(SEED / "03-aws-read-write.yaml") as secrets:
        await secrets.put("litellm_master_key", "canary one")
        before = aws.count()
        assert (await secrets.get("litellm_master_key")).equals("canary one")
        assert aws.count() == before
        await secrets.delete("litellm_master_key")
        with pytest.raises(SecretNotFoundError):
            await secrets.get("litellm_master_key")


async def test_seed_primary_secret(aws, client):
    """The documented file for members of one JSON secret: one call for both."""
    members = {"OPENAI_API_KEY_MODEL_1": "canary 1", "OPENAI_API_KEY_MODEL_2": "canary 2"}
    await aws.store("litellm_secrets", json.dumps(members))
    async with client(SEED / "04-aws-primary-secret.yaml") as secrets:
        for name, value in members.items():
            assert (await secrets.get(f"os.environ/{name}")).equals(value)
    assert aws.calls == ["GetSecretValue"]


async def test_seed_kms(aws, environ, client):
    """The documented file for KMS: the hosted key is decrypted, once; any other name is plain environment."""
    key = (await aws.moto_call("CreateKey", "kms"))["KeyMetadata"]["KeyId"]
    plaintext = base64.b64encode(b"canary sk-1234\n").decode()
    blob = (await aws.moto_call("Encrypt", "kms", KeyId=key, Plaintext=plaintext))["CiphertextBlob"]
    environ.update(LITELLM_MASTER_KEY=blob, OTHER="canary plain")
    async with client(SEED / "09-aws-kms.yaml") as secrets:
        for _ in range(5):
            assert (await secrets.get("os.environ/LITELLM_MASTER_KEY")).equals("canary sk-1234\n")
        assert (await secrets.get("OTHER")).equals("canary plain")
        with pytest.raises(AsyncSecretsError):
            await secrets.put("LITELLM_MASTER_KEY", "canary")
    assert aws.calls == ["Decrypt"]


@pytest.mark.parametrize("file", ["01-aws-read.yaml", "03-aws-read-write.yaml"])
async def test_seed_read_by_command(aws, environ, command, file):
    """The same files, from the command line."""
    environ["OTHER"] = "canary of the environment"
    await aws.store("litellm_master_key", "canary sk-1234")
    at = ("--config", SEED / file)
    assert await command(environ, *at, "get", "os.environ/litellm_master_key") == (0, "canary sk-1234")
    assert await command(environ, *at, "get", "OTHER") == (0, "canary of the environment")
    assert (await command(environ, *at, "check"))[0] == 0
    code, text = await command(environ, *at, "resolve", SEED / file, "--reveal")
    assert (code, yaml.safe_load(text)["general_settings"]["master_key"]) == (0, "canary sk-1234")
    assert set(aws.calls) == {"GetSecretValue"}
    code, _ = await command(environ, *at, "set", "litellm_master_key", stdin=b"canary anew")
    assert code == (7 if file.startswith("01") else 0)


@pytest.mark.parametrize("file", ["02-aws-write.yaml", "10-all-settings.yaml"])
async def test_seed_write_by_command(aws, environ, command, file):
    """Virtual keys go to AWS; reads come from the environment."""
    environ["litellm_master_key"] = "canary of the environment"
    at = ("--config", SEED / file)
    code, key = await command(environ, *at, "keys", "create", "team-a")
    assert (code, key[:3]) == (0, "sk-")
    assert (await aws.moto_call("GetSecretValue", SecretId="litellm/team-a"))["SecretString"] == key
    assert await command(environ, *at, "get", "litellm_master_key") == (0, "canary of the environment")
    assert (await command(environ, *at, "get", "litellm/team-a"))[0] == 3
    rotate = ("rotate", "litellm/team-a", "--generate", "token")
    if file.startswith("10"):  # its hosted_keys leave the name to the environment
        assert (await command(environ, *at, *rotate))[0] == 7
    assert (await command(environ, *at, *rotate, "--source", "default"))[0] == 0
    assert (await aws.moto_call("GetSecretValue", SecretId="litellm/team-a"))["SecretString"] != key


async def test_seed_primary_secret_by_command(aws, environ, command):
    members = {"OPENAI_API_KEY_MODEL_1": "canary 1", "OPENAI_API_KEY_MODEL_2": "canary 2"}
    await aws.store("litellm_secrets", json.dumps(members))
    for name, value in members.items():
        assert await command(environ, "--config", SEED / "04-aws-primary-secret.yaml", "get", name) == (0, value)


async def test_seed_kms_by_command(aws, environ, command):
    """What is encrypted stands in the environment."""
    key = (await aws.moto_call("CreateKey", "kms"))["KeyMetadata"]["KeyId"]
    plaintext = base64.b64encode(b"canary sk-1234").decode()
    blob = (await aws.moto_call("Encrypt", "kms", KeyId=key, Plaintext=plaintext))["CiphertextBlob"]
    environ.update(LITELLM_MASTER_KEY=blob)
    at = ("--config", SEED / "09-aws-kms.yaml")
    assert await command(environ, *at, "get", "LITELLM_MASTER_KEY") == (0, "canary sk-1234")
    assert (await command(environ, *at, "set", "LITELLM_MASTER_KEY", stdin=b"canary"))[0] == 7


# -- budgets


async def test_thousand_cold_secrets(aws, client):
    """A thousand secrets that nobody has read yet are at most fifty calls."""
    names = [f"cold-{number:04}" for number in range(1000)]
    aws.store_many({name: f"canary {name}" for name in names})
    async with client(config()) as secrets:
        found = await secrets.get_many(names)
        assert all(found[name].equals(f"canary {name}") for name in names)
    print(f"1,000 cold secrets: {aws.count()} calls of the API, {dict(Counter(aws.calls))}")
    assert aws.count() <= 50


async def test_thousand_members(aws, client):
    """A thousand members of a primary secret are one call, also when some are asked for again as fields."""
    await aws.store("all", json.dumps({f"member-{number}": f"canary {number}" for number in range(1000)}))
    async with client(config(primary_secret_name="all")) as secrets:
        found = await secrets.get_many([f"member-{number}" for number in range(1000)])
        assert found["member-999"].equals("canary 999")
    print(f"1,000 members of one secret: {aws.count()} call of the API")
    assert aws.calls == ["GetSecretValue"]


async def test_fields_are_one_call(aws, client):
    """Fields of a JSON secret are views of one fetch."""
    await aws.store("db", json.dumps({"username": "canary-u", "password": "canary-p"}))
    async with client(config()) as secrets:
        user, password = await asyncio.gather(secrets.get("db", field="username"), secrets.get("db", field="password"))
        assert user.equals("canary-u")
        assert password.equals("canary-p")
    assert aws.calls == ["GetSecretValue"]


async def test_members_that_are_no_text(aws, client):
    """Numbers and booleans as AWS makes them are their JSON text, as fields and as members of a primary secret."""
    await aws.store("rds", '{"username":"canary-u","port":3306,"tls":true,"ratio":1.10,"big":12345678901234567890}')
    texts = {"port": "3306", "tls": "true", "ratio": "1.10", "big": "12345678901234567890"}
    async with client(config()) as secrets:
        for field, text in texts.items():
            assert (await secrets.get("rds", field=field)).equals(text)
    async with client(config(primary_secret_name="rds")) as secrets:
        for name, text in texts.items():
            assert await get_secret(name) == text
        assert await get_secret_bool("tls") is True
    assert aws.calls == ["GetSecretValue", "GetSecretValue"]


async def test_resolve_in_one_batch(aws, client):
    """A document's references travel together; names that are missing are listed, all of them."""
    for name in ("a", "b"):
        await aws.store(name, f"canary {name}")
    async with client(config()) as secrets:
        resolved = await secrets.resolve({"x": "os.environ/a", "y": ["os.environ/b"]})
        assert resolved == {"x": "canary a", "y": ["canary b"]}
        assert aws.calls == ["BatchGetSecretValue"]
        with pytest.raises(ResolveError) as caught:
            await secrets.resolve(["os.environ/c", "os.environ/d"])
        assert set(caught.value.failures) == {"os.environ/c", "os.environ/d"}


async def test_one_refused_name_spoils_no_other(aws, client):
    """A name that may not be read fails alone, with the action that is missing; the others are read."""
    names = ["a", "b", "c"]
    aws.store_many({name: f"canary {name}" for name in names})
    aws.denied_names = {"b"}
    async with client(config()) as secrets:
        answers = await asyncio.gather(*(secrets.get(name) for name in names), return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["Secret", "AccessDeniedError", "Secret"]
    assert "secretsmanager:GetSecretValue" in str(answers[1])


async def test_without_the_batch_permission(aws, client):
    """Where batches are not allowed, every secret is read on its own, after asking once."""
    names = [f"single-{number}" for number in range(30)]
    aws.store_many({name: f"canary {name}" for name in names})
    aws.denied = {"BatchGetSecretValue"}
    async with client(config()) as secrets:
        found = await secrets.get_many(names)
        assert all(found[name].equals(f"canary {name}") for name in names)
        asked = aws.count("BatchGetSecretValue")
        for name in names:
            secrets.invalidate(name)
        await secrets.get_many(names)
    assert aws.count("GetSecretValue") == 60
    assert asked <= 2
    assert aws.count("BatchGetSecretValue") == asked


async def test_a_stand_in_without_batches(aws, client, caplog):
    """LocalStack without the call is no outage: every secret is read on its own, and the call is made once."""
    names = [f"single-{number}" for number in range(5)]
    aws.store_many({name: f"canary {name}" for name in names})
    aws.pages = {"BatchGetSecretValue": (501, '{"__type": "InternalFailure", "message": "not emulated"}')}
    async with client(config()) as secrets:
        for _ in range(3):
            found = await secrets.get_many(names)
            assert all(found[name].equals(f"canary {name}") for name in names)
            for name in names:
                secrets.invalidate(name)
        assert (await secrets.get("single-1", field=None, version="AWSCURRENT")).equals("canary single-1")
    assert aws.calls.count("BatchGetSecretValue") == 1
    assert not [record for record in caplog.records if record.name == "asyncsecrets.source"]


async def test_names_with_slashes_at_their_ends(aws, client):
    """A name may begin and end with a slash, in every form of the question."""
    await aws.store("/prod//db/", '{"password": "canary"}')
    async with client(config()) as secrets:
        for form in ("/prod//db/", "secret:////prod//db/", "secret://default/%2Fprod/%2Fdb/"):
            assert (await secrets.get(form)).json() == {"password": "canary"}
            assert (await secrets.get(form, field="password")).equals("canary")
            assert (await secrets.get(form, version="AWSCURRENT", field="password")).equals("canary")
        assert await secrets.resolve(["secret:////prod//db/?field=password"]) == ["canary"]


async def test_put_then_get(aws, client):
    """What this process puts is what it reads next, without another call, also over a warm value."""
    async with client(config()) as secrets:
        await aws.store("db", "canary old")
        assert (await secrets.get("db")).equals("canary old")
        await secrets.put("db", "canary new")
        before = aws.count()
        secret = await secrets.get("db")
        assert secret.equals("canary new")
        assert aws.count() == before
        assert secret.version == (await secrets.versions("db"))[-1].version


# -- faults


READ_FAULTS = {
    "rate_limited": (3, RateLimitedError),
    "rate_limited_retry_after": (1, RateLimitedError),
    "unavailable": (3, UnavailableError),
    "bad_gateway": (3, UnavailableError),
    "reset": (3, UnavailableError),
    "slow_body": (3, UnavailableError),
    "timeout": (3, UnavailableError),
    "expired": (2, AuthenticationError),
    "unauthenticated": (2, AuthenticationError),
    "denied": (2, AccessDeniedError),
    "malformed": (1, MalformedResponseError),
    "deep": (1, MalformedResponseError),
    "oversize": (1, MalformedResponseError),
    "redirect": (1, InsecureTransportError),
}


@pytest.fixture
def sent(aws, monkeypatch):
    """The operations that were sent. Where no answer comes, an attempt ends soon; where one does, it may take its time.

    On a busy machine an attempt may end before it arrives, so the server is not asked how many there were.
    """
    operations, exchange = [], Transport.exchange

    async def noted(self, method, url, headers, *body, **more):
        operations.append(headers["X-Amz-Target"].rpartition(".")[2])
        hangs = aws.fault in {"slow_body", "timeout"}
        self._session._timeout = aiohttp.ClientTimeout(total=0.2 if hangs else 60.0)
        return await exchange(self, method, url, headers, *body, **more)

    monkeypatch.setattr(Transport, "exchange", noted)
    return operations


@pytest.mark.parametrize("kind", READ_FAULTS)
async def test_refresh_keeps_the_old_value(aws, client, sent, kind):
    """Whatever goes wrong in a refresh, the old value stays and the error says which fault it was; then all is well.

    Passing faults are tried three times, a denial twice (it is confirmed), and what asking again cannot help once.
    """
    attempts, error = READ_FAULTS[kind]
    await aws.store("db", "canary old")
    retry = RetryPolicy(attempts=3, deadline=20.0, backoff=(0.001, 0.01))
    async with client(config(), retry=retry) as secrets:
        await secrets.get("db")
        await aws.store("db", "canary new")
        sent.clear()
        aws.fault = kind
        with pytest.raises(error) as caught:
            await secrets.refresh("db")
        assert type(caught.value) is error
        assert sent == ["GetSecretValue"] * attempts
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        assert (await secrets.get("db")).equals("canary old")
        aws.fault = None
        assert (await secrets.refresh("db")).equals("canary new")


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize("kind", READ_FAULTS)
async def test_first_read_fails(aws, client, kind):
    """Without an old value the same faults are the same errors, and a later read is not harmed by them."""
    _, error = READ_FAULTS[kind]
    await aws.store("db", "canary")
    async with client(config(), retry=RetryPolicy(attempts=1, deadline=20.0)) as secrets:
        aws.fault = kind
        with pytest.raises(error) as caught:
            await secrets.get("db")
        assert type(caught.value) is error
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        aws.fault = None
        assert (await secrets.get("db")).equals("canary")


async def test_token_expires_in_mid_flight(aws, client, tmp_path):
    """Reads, writes and batches under way when the token expires are made again with the next one: nobody notices."""
    file = tmp_path / "credentials"
    keys = "[default]\naws_access_key_id=AKIA{0}\naws_secret_access_key=canary\naws_session_token=canary-{0}\n"
    file.write_text(keys.format("OLD"))
    names = [f"many-{number}" for number in range(30)]
    aws.store_many({name: f"canary {name}" for name in [*names, "single"]})
    without = {"aws_profile_name": "default"}
    async with client(config(**without)) as secrets:
        await secrets.get("single")
        file.write_text(keys.format("NEW"))
        aws.expired = {"canary-OLD"}
        aws.calls.clear()
        found, written, _ = await asyncio.gather(
            secrets.get_many(names), secrets.put("written", "canary"), secrets.refresh("single")
        )
        assert all(found[name].equals(f"canary {name}") for name in names)
        assert (await secrets.get("written")).version == written.version
        assert len(await secrets.versions("written")) == 1


@pytest.mark.parametrize("kind", ["rate_limited", "unavailable", "bad_gateway", "reset"])
async def test_first_read_tries_again(aws, client, kind):
    """A first read survives two faults of a passing kind."""
    await aws.store("db", "canary")
    aws.faults = [kind, kind]
    async with client(config()) as secrets:
        assert (await secrets.get("db")).equals("canary")
    assert aws.count() == 3


async def test_gone(aws, client):
    """A secret that was deleted is gone after a refresh: its value is not served any longer."""
    await aws.store("db", "canary")
    async with client(config()) as secrets:
        await secrets.get("db")
        await aws.moto_call("DeleteSecret", SecretId="db", RecoveryWindowInDays=7)
        with pytest.raises(SecretNotFoundError):
            await secrets.refresh("db")
        with pytest.raises(SecretNotFoundError) as caught:
            await secrets.get("db")
        assert caught.value.reason == "pending_deletion"


@pytest.mark.parametrize("kind", ["unavailable", "reset"])
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
async def test_write_of_unknown_outcome(aws, client, kind, applied):
    """A write that was not answered is made again under its token, by which AWS knows it: nothing is read back."""
    await aws.store("db", "canary old")
    async with client(config()) as secrets:
        await secrets.get("db")
        aws.only, aws.faults, aws.applied_first = {"PutSecretValue"}, [kind], applied
        aws.calls.clear()
        await secrets.put("db", "canary new")
        assert set(aws.calls) == {"PutSecretValue"}
        before = aws.count()
        assert (await secrets.get("db")).equals("canary new")
        assert aws.count() == before
    stored = await aws.moto_call("ListSecretVersionIds", SecretId="db")
    assert len(stored["Versions"]) == 2
    tokens = {
        request["body"]["ClientRequestToken"] for request in aws.requests if request["operation"] == "PutSecretValue"
    }
    assert len(tokens) == 1


async def test_write_that_never_answers(aws, client):
    """A write that is never answered, and cannot be read back either, says that its outcome is unknown."""
    await aws.store("db", "canary old")
    async with client(config()) as secrets:
        aws.fault = "reset"
        with pytest.raises(WriteOutcomeUnknownError):
            await secrets.put("db", "canary new")


async def test_write_that_waits_for_a_connection(aws, client):
    """It was not sent, and is known not to be: whoever repeats it repeats nothing."""
    retry = RetryPolicy(attempts=1, deadline=1.0)
    async with client(config(), retry=retry) as secrets:
        room = secrets._sources["default"]._connection.provider._connection._https._room
        while not room.locked():
            await room.acquire()
        with pytest.raises(DeadlineExceededError) as caught:
            await secrets.put("db", "canary")
        assert not caught.value.outcome_unknown
        room.release()
    assert aws.calls == []


async def test_other_spellings_of_what_is_written(aws, client):
    """Who reads a secret by its ARN reads what was written under its name, and the other way round."""
    await aws.store("app/db", "canary old")
    arn = (await aws.moto_call("DescribeSecret", SecretId="app/db"))["ARN"]
    names = ["app/db", arn, arn[:-7]]
    async with client(config()) as secrets:
        for number, name in enumerate(names):
            await secrets.get_many(names)
            await secrets.put(name, f"canary {number}")
            assert [(await secrets.get(other)).reveal() for other in names] == [f"canary {number}"] * 3


async def test_a_page_of_a_list_fails(aws, client):
    """Of a list of many pages, a retry reads the one that failed and those after it, and none twice."""
    aws.store_many({f"page/{number:03}": "canary" for number in range(250)})
    aws.only, aws.faults = {"ListSecrets"}, ["", "", "unavailable"]
    async with client(config()) as secrets:
        names = await secrets.list("page/")
        assert names == [f"page/{number:03}" for number in range(250)]
        assert aws.count("ListSecrets") == 4
        assert len({request["body"].get("NextToken") for request in aws.requests}) == 3


async def test_throttled_write(aws, client):
    """A write that was throttled is made again under the same token."""
    aws.only, aws.faults = {"CreateSecret"}, ["rate_limited"]
    async with client(config()) as secrets:
        written = await secrets.put("new", "canary")
    tokens = {request["body"]["ClientRequestToken"] for request in aws.requests}
    assert tokens == {written.version}


async def test_name_of_a_deleted_secret(aws, client):
    """The name of a secret that is scheduled for deletion is a conflict that says how to restore it."""
    async with client(config()) as secrets:
        await secrets.put("key", "canary")
        await secrets.delete("key")
        with pytest.raises(ConflictError, match="restore"):
            await secrets.put("key", "canary new")


# -- leaks


async def test_every_logger_at_debug(aws, environ, client):
    """With every logger that exists at DEBUG, reads, writes, faults and roles say no value, no key and no token."""
    import boto3.session  # so that its loggers exist
    import urllib3  # noqa: F401  # as well

    heard = []

    class Ear(logging.Handler):
        def emit(self, record):
            text = logging.Formatter().format(record) + repr(record.__dict__)
            if "canary" in text or base64.b64encode(b"canary").decode()[:7] in text:
                heard.append(f"{record.name}:{record.lineno}")

    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    levels = [(logger, logger.level, logger.disabled) for logger in [logging.getLogger(), *loggers]]
    ear = Ear(logging.DEBUG)
    logging.getLogger().addHandler(ear)
    for logger, _, _ in levels:
        logger.setLevel(logging.DEBUG)
    try:
        await _everything(aws, environ, client)
    finally:
        logging.getLogger().removeHandler(ear)
        for logger, level, disabled in levels:
            logger.setLevel(level)
            logger.disabled = disabled
    assert boto3.session
    assert len(loggers) > 50
    assert heard == []


async def test_logging_that_is_configured_late(aws, environ, client):
    """DEBUG that is turned on when the client is open already, for every logger, hears no value and no key either."""
    heard, ear = [], logging.Handler(logging.DEBUG)
    ear.emit = lambda record: heard.append(f"{record.name}: {record.getMessage()} {record.__dict__!r}")
    role = {"aws_role_name": "arn:aws:iam::123456789012:role/reader", "aws_sts_endpoint": aws.url}
    before = {}
    logging.getLogger().addHandler(ear)
    try:
        await aws.store("db", "canary value")
        async with client(config(**role)) as secrets:
            for name in [None, *logging.root.manager.loggerDict]:
                before[name] = logging.getLogger(name).level
                logging.getLogger(name).setLevel(logging.DEBUG)
            await secrets.get("db")
            known = set(logging.root.manager.loggerDict)
            await secrets.put("db", "canary new")
            aws.fault = "malformed"
            with pytest.raises(AsyncSecretsError):
                await secrets.refresh("db")
    finally:
        logging.getLogger().removeHandler(ear)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
    assert len(before) > 50
    assert [line for line in heard if "canary" in line] == []
    late = set(logging.root.manager.loggerDict) - known
    assert [name for name in late if name.startswith(("aio", "boto"))] == []


async def _everything(aws, environ, client):
    await aws.store("db", "canary value")
    await aws.store("bin", b"canary bytes \xff")
    role = "arn:aws:iam::123456789012:role/reader"
    async with client(
        config(aws_role_name=role, aws_external_id="canary-external", aws_sts_endpoint=aws.url)
    ) as secrets:
        await secrets.get_many(["db", "bin"])
        await secrets.put("new", "canary written")
        for kind in ("unavailable", "malformed", "denied", "expired", "reset"):
            aws.fault = kind
            with pytest.raises(AsyncSecretsError):
                await secrets.refresh("db")
        aws.fault = None
        await secrets.list()
        with pytest.raises(ConflictError):
            await secrets.put("new", "canary refused", cas="0" * 32)
        await secrets.delete("new")
        await secrets.restore("new")
        await secrets.destroy("new")
        reads = [sent["authorization"] for sent in aws.requests if sent["operation"] == "GetSecretValue"]
        aws.expired = {header.partition("Credential=")[2].partition("/")[0] for header in reads}
        await secrets.refresh("bin")
    identity = {"aws_role_name": role, "aws_web_identity_token": "canary.web.identity", "aws_sts_endpoint": aws.url}
    async with client(config(**identity)) as secrets:
        await secrets.get("db")
    key = (await aws.moto_call("CreateKey", "kms"))["KeyMetadata"]["KeyId"]
    async with client(config("aws_kms", kms_key_id=key)) as secrets:
        kms = AwsKmsProvider.from_settings({"kms_key_id": key}, environ)
        await kms.open()
        environ["ENCRYPTED"] = await kms.encrypt("canary plaintext")
        await kms.aclose()
        assert (await secrets.get("ENCRYPTED")).equals("canary plaintext")


@pytest.mark.parametrize("hosted", [True, False])
async def test_kms_of_an_env_file(aws, environ, tmp_path, hosted):
    """A ciphertext that only the .env file of the configuration has is decrypted, and never handed out as it is."""
    key = (await aws.moto_call("CreateKey", "kms"))["KeyMetadata"]["KeyId"]
    plaintext = base64.b64encode(b"canary sk-1234").decode()
    blob = (await aws.moto_call("Encrypt", "kms", KeyId=key, Plaintext=plaintext))["CiphertextBlob"]
    (tmp_path / "app.env").write_text(f"MASTER_KEY={blob}\nPLAIN=canary plain\n")
    settings = {"key_management_system": "aws_kms"}
    if hosted:
        settings["key_management_settings"] = {"hosted_keys": ["MASTER_KEY"]}
    document = {"asyncsecrets": {"env_file": str(tmp_path / "app.env")}, "general_settings": settings}
    async with SecretsClient.from_config(document, environ=environ) as secrets:
        assert (await secrets.get("os.environ/MASTER_KEY")).equals("canary sk-1234")
        if hosted:
            assert (await secrets.get("PLAIN")).equals("canary plain")
        with pytest.raises(SecretNotFoundError):
            await secrets.get("NOT_THERE")
