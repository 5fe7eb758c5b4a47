"""What Secrets Manager has beyond the conformance suite: stages, ARNs, batches, creation, deletion, rotation."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from asyncsecrets.errors import (
    AccessDeniedError,
    ConflictError,
    DecodeError,
    InvalidNameError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.aws import AwsSecretsManagerProvider
from asyncsecrets.providers.aws.secrets_manager import secret_of
from asyncsecrets.providers.base import Destroyer, Restorer, Rotator
from asyncsecrets.secret import Secret

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def build(environ):
    """Make opened providers; settings are keyword arguments."""
    opened = []

    async def build(*, clock=None, **settings):
        provider = AwsSecretsManagerProvider.from_settings({"attempt_timeout": "10", **settings}, environ)
        if clock is not None:
            provider._batches._clock = clock
        await provider.open()
        opened.append(provider)
        return provider

    yield build
    for provider in opened:
        await provider.aclose()


async def test_stages_and_versions(aws, build):
    """A version is an id or a stage; the stage is always sent."""
    provider = await build()
    first = await aws.store("db", "canary one")
    second = await aws.store("db", "canary two")
    assert (await provider.get("db")).equals("canary two")
    assert (await provider.get("db", "AWSCURRENT")).version == second
    assert (await provider.get("db", "AWSPREVIOUS")).equals("canary one")
    assert (await provider.get("db", first)).equals("canary one")
    with pytest.raises(SecretNotFoundError):
        await provider.get("db", "AWSPENDING")
    sent = [request["body"] for request in aws.requests]
    assert all("VersionStage" in body or "VersionId" in body for body in sent)
    before = aws.count()
    with pytest.raises(SecretNotFoundError):
        await provider.get("db", "no such\nversion")
    assert aws.count() == before


async def test_arns(aws, build):
    """A secret is found by its full and its partial ARN, and carries the name it was asked by."""
    provider = await build()
    await aws.store("app/db", "canary")
    arn = (await aws.moto_call("DescribeSecret", SecretId="app/db"))["ARN"]
    for name in (arn, arn[:-7]):
        secret = await provider.get(name)
        assert secret.equals("canary")
        assert secret.name == name
    answers = await provider.get_many([arn, "app/db"])
    assert set(answers) == {arn, "app/db"}
    elsewhere = arn.replace("eu-central-1", "us-east-1").replace("app/db", "app/other")
    with pytest.raises(SecretNotFoundError, match="the ARN is of us-east-1, this source of eu-central-1"):
        await provider.get(elsewhere)
    absent = await provider.get_many([elsewhere, "missing"])
    assert "the ARN is of us-east-1, this source of eu-central-1" in str(absent[elsewhere])
    assert "in eu-central-1 of this account" in str(absent["missing"])
    with pytest.raises(SecretNotFoundError, match="by ARN"):
        await provider.put(elsewhere.replace("us-east-1", "eu-central-1"), "canary")


async def test_a_secret_that_aws_manages(aws, build):
    """It is read by name and ARN, alone and in a batch, and listed; and one that is not there cannot be made."""
    provider = await build()
    name = "rds!db-4a1b6c1e-0000-4000-8000-000000000001"
    await aws.store(name, "canary")
    arn = (await aws.moto_call("DescribeSecret", SecretId=name))["ARN"]
    for spelled in (name, arn, arn[:-7]):
        assert (await provider.get(spelled)).equals("canary")
        assert (await provider.get(spelled, "AWSCURRENT")).equals("canary")
    assert all(answer.equals("canary") for answer in (await provider.get_many([name, arn])).values())
    assert await provider.list("rds!") == [name]
    assert [version.current for version in await provider.versions(arn)] == [True]
    aws.calls.clear()
    for cas in (None, "0"):
        with pytest.raises(InvalidNameError, match="service of AWS creates and manages"):
            await provider.put("rds!other", "canary", cas=cas)
    assert aws.calls == ["PutSecretValue"]


def test_another_secret_is_refused():
    """An answer about a secret of another name is a MalformedResponseError: a partial ARN can match one."""
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db"
    answer = {"Name": "db-AbCdEf", "ARN": f"{arn}-AbCdEf-GhIjKl", "VersionId": "v", "SecretString": "canary"}
    for name in ("db", arn):
        with pytest.raises(MalformedResponseError, match="another secret"):
            secret_of(name, answer)
    for name in ("db-AbCdEf", f"{arn}-AbCdEf", f"{arn}-AbCdEf-GhIjKl"):
        assert secret_of(name, answer).equals("canary")


async def test_created_is_utc(aws, build):
    """`created` is when the version was made, in UTC."""
    await aws.store("db", "canary")
    created = (await (await build()).get("db")).created
    assert created.tzinfo is UTC
    assert abs((datetime.now(UTC) - created).total_seconds()) < 60


async def test_batch(aws, build):
    """Twenty names are one call; a missing one is absent, and names that the batch refuses are left out."""
    provider = await build()
    names = [f"batch-{number}" for number in range(18)]
    for name in names:
        await aws.store(name, f"canary {name}")
    aws.calls.clear()
    aws.denied_names = {"batch-3"}
    answers = await provider.get_many([*names, "missing"])
    assert aws.calls == ["BatchGetSecretValue"]
    assert isinstance(answers["missing"], SecretNotFoundError)
    assert "batch-3" not in answers
    found = {name for name, answer in answers.items() if isinstance(answer, Secret) and answer.equals(f"canary {name}")}
    assert found == {*names} - {"batch-3"}


async def test_batch_with_an_invalid_name(aws, build):
    """A name that AWS cannot have is answered with its own error, and is not sent with the others."""
    provider = await build()
    await aws.store("db", "canary")
    answers = await provider.get_many(["users/o%27neil", "db"])
    assert answers["db"].equals("canary")
    assert (type(answers["users/o%27neil"]), answers["users/o%27neil"].name) == (InvalidNameError, "users/o%27neil")
    assert aws.requests[-1]["body"]["SecretIdList"] == ["db"]


async def test_batch_in_pages(aws, build):
    """AWS may answer a batch in pages; all of them are read."""
    provider = await build()
    for number in range(5):
        await aws.store(f"page-{number}", b"canary \xff")
    aws.page = 2
    aws.calls.clear()
    answers = await provider.get_many([f"page-{number}" for number in range(5)])
    assert len(answers) == 5
    assert aws.calls == ["BatchGetSecretValue"] * 3


async def test_batch_not_allowed(aws, build):
    """Without the permission for batches every name is left out, and AWS is not asked again for five minutes."""
    now = [1000.0]
    provider = await build(clock=lambda: now[0])
    await aws.store("a", "canary")
    aws.denied = {"BatchGetSecretValue"}
    aws.calls.clear()
    assert await provider.get_many(["a", "b"]) == {}
    assert await provider.get_many(["a", "b"]) == {}
    assert aws.calls == ["BatchGetSecretValue"]
    aws.denied = set()
    now[0] += 300
    assert set(await provider.get_many(["a", "b"])) == {"a", "b"}


@pytest.mark.parametrize(
    "code", ["UnknownOperationException", "NotImplemented", "UnsupportedOperation", "InvalidAction"]
)
async def test_batch_that_nobody_knows(aws, build, code):
    """Where there is no such call, names are read one by one, as where it is denied."""
    provider = await build()
    aws.refused = {"BatchGetSecretValue": (code, "canary")}
    for _ in range(2):
        assert await provider.get_many(["a", "b"]) == {}
    assert aws.calls == ["BatchGetSecretValue"]


UNEMULATED = """{"__type": "InternalFailure", "message": "The action 'BatchGetSecretValue' is not emulated: canary"}"""


@pytest.mark.parametrize(
    "page",
    [
        (501, UNEMULATED),
        (500, UNEMULATED),
        (500, '{"__type": "InternalError", "message": "exception while calling"}'),
        (500, "<!doctype html><title>500 Internal Server Error</title>"),
        (501, "Unsupported method"),
        (404, "<html>not here</html>"),
        (404, "{}"),
        (405, ""),
        (400, '{"message": "unknown X-Amz-Target"}'),
        (400, '{"__type": "com.amazon.coral.service#SerializationException"}'),
        (400, '{"__type": "com.amazon.coral.service#UnknownOperationException"}'),
        (403, "<html>forbidden here</html>"),
    ],
)
async def test_batch_of_a_stand_in_that_has_none(aws, build, page):
    """Names are read one by one, and the call is not made again for a while, however its absence is told."""
    now = [1000.0]
    provider = await build(clock=lambda: now[0])
    await aws.store("a", "canary")
    aws.pages = {"BatchGetSecretValue": page}
    aws.calls.clear()
    answers = await provider.get_many(["a", "b"])
    assert set(answers) <= {"a"}
    assert all(answer.equals("canary") for answer in answers.values())
    assert await provider.get_many(["a", "b"]) == {}
    assert aws.count("BatchGetSecretValue") == 1
    now[0] += 300
    aws.pages = {}
    assert set(await provider.get_many(["a", "b"])) == {"a", "b"}


async def test_batch_while_all_fails(aws, build):
    """A server that fails at everything is an outage, told as such, and says nothing of batches."""
    provider = await build()
    aws.pages = dict.fromkeys(("BatchGetSecretValue", "GetSecretValue"), (500, "<html>canary</html>"))
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await provider.get_many(["a", "b"])
    assert aws.calls == ["BatchGetSecretValue", "GetSecretValue"] * 2
    aws.pages = {}
    assert set(await provider.get_many(["a", "b"])) == {"a", "b"}


async def test_batch_fails_and_a_name_is_absent(aws, build):
    """That a name is not there is an answer, too: it was the call that failed."""
    provider = await build()
    await aws.store("b", "canary")
    aws.pages = {"BatchGetSecretValue": (500, "")}
    answers = await provider.get_many(["a", "b"])
    assert isinstance(answers["a"], SecretNotFoundError)
    assert answers["a"].__traceback__ is None
    assert set(answers) == {"a"}


async def test_batches_that_are_always_in_vain(aws, build):
    """Three refusals in a row that blame the request are taken for a no."""
    provider = await build()
    aws.refused = {"BatchGetSecretValue": ("ValidationException", "unknown target")}
    for _ in range(5):
        assert await provider.get_many(["a", "b"]) == {}
    assert aws.calls == ["BatchGetSecretValue"] * 3


async def test_other_operations_that_a_stand_in_lacks(aws, build):
    """They are not an outage, and nothing was written."""
    provider = await build()
    await aws.store("a", "canary")
    aws.pages = dict.fromkeys(("RotateSecret", "ListSecrets"), (501, '{"__type": "InternalFailure"}'))
    with pytest.raises(UnsupportedOperationError, match="does not have RotateSecret"):
        await provider.rotate("a")
    with pytest.raises(UnsupportedOperationError, match="does not have ListSecrets"):
        await provider.list()


async def test_absent_at_a_stand_in_that_breaks_at_it(aws, build):
    """Old versions of LocalStack say 500 of a version that is not there, and what they mean in a message."""
    provider = await build()
    said = (
        'exception while calling secretsmanager.GetSecretValue: 404 Not Found: {"__type": "ResourceNotFoundException"}'
    )
    aws.pages = {"GetSecretValue": (500, json.dumps({"__type": "InternalError", "message": said}))}
    with pytest.raises(SecretNotFoundError):
        await provider.get("a", "AWSPENDING")
    aws.pages = {
        "GetSecretValue": (500, json.dumps({"__type": "InternalError", "message": "string index out of range"}))
    }
    with pytest.raises(UnavailableError):
        await provider.get("a")


async def test_batch_that_makes_no_sense(aws, build):
    """Each name is read on its own then, which works or says what is wrong; the next batch may be a better one."""
    provider = await build()
    aws.only, aws.faults = {"BatchGetSecretValue"}, ["malformed"]
    assert await provider.get_many(["a", "b"]) == {}
    assert set(await provider.get_many(["a", "b"])) == {"a", "b"}


async def test_batch_of_a_role_that_is_denied(aws, build):
    """A role that may not be assumed is told as that, and does not count as a missing permission for batches."""
    provider = await build(aws_role_name="arn:aws:iam::123456789012:role/reader", aws_sts_endpoint=aws.url)
    aws.denied = {"AssumeRole"}
    with pytest.raises(AccessDeniedError, match="sts:AssumeRole"):
        await provider.get_many(["a", "b"])
    aws.denied = set()
    await aws.store("a", "canary")
    assert (await provider.get_many(["a", "b"]))["a"].equals("canary")


async def test_batch_of_a_moved_stage(aws, build):
    """A batch that does not answer with the current version is not believed."""
    provider = await build()
    await aws.store("a", "canary old")
    await aws.moto_call(
        "PutSecretValue", SecretId="a", SecretString="canary new", VersionStages=["mine"], ClientRequestToken=TOKEN
    )
    versions = await aws.moto_call("ListSecretVersionIds", SecretId="a")
    old = next(version["VersionId"] for version in versions["Versions"] if version["VersionId"] != TOKEN)
    move = {"VersionStage": "AWSCURRENT", "RemoveFromVersionId": old, "MoveToVersionId": TOKEN}
    await aws.moto_call(
        "UpdateSecretVersionStage", SecretId="a", **move
    )  # past the proxy: moto believes in the old one
    assert await provider.get_many(["a"]) == {}
    assert (await provider.get("a")).equals("canary new")


@pytest.mark.parametrize(("kind", "error"), [("rate_limited", RateLimitedError), ("unavailable", UnavailableError)])
async def test_batch_fails_whole(aws, build, kind, error):
    """What is wrong with the call and not with a name is raised."""
    provider = await build()
    aws.fault = kind
    with pytest.raises(error):
        await provider.get_many(["a", "b"])


async def test_create_with_settings(aws, build):
    """A secret that is created has the description, tags, key and replicas of the settings; an update changes none."""
    key = (await aws.moto_call("CreateKey", "kms"))["KeyMetadata"]["KeyId"]
    provider = await build(
        description="made by asyncsecrets", tags={"team": "a"}, kms_key_id=key, replica_regions=["us-east-1"]
    )
    written = await provider.put("new", "canary", token=TOKEN)
    assert written.version == TOKEN
    described = await aws.moto_call("DescribeSecret", SecretId="new")
    assert described["Description"] == "made by asyncsecrets"
    assert described["Tags"] == [{"Key": "team", "Value": "a"}]
    assert described["KmsKeyId"] == key
    assert [status["Region"] for status in described["ReplicationStatus"]] == ["us-east-1"]
    aws.requests.clear()
    await provider.put("new", "canary two")
    assert [set(request["body"]) for request in aws.requests] == [{"SecretId", "SecretString", "ClientRequestToken"}]


async def test_token(aws, build):
    """A retry under the same token is one version; a token that AWS cannot take is replaced."""
    provider = await build()
    for _ in range(3):
        assert (await provider.put("db", "canary", token=TOKEN)).version == TOKEN
    assert len((await aws.moto_call("ListSecretVersionIds", SecretId="db"))["Versions"]) == 1
    with pytest.raises(ConflictError, match="token"):
        await provider.put("db", "canary other", token=TOKEN)
    assert (await provider.put("db", "canary short", token="short")).version != "short"


async def test_writes_are_idempotent(aws, build):
    """A write that is made again under its token changes nothing, also when another came in between."""
    provider = await build()
    assert provider.idempotent_writes
    await provider.put("db", "canary one", token=TOKEN)
    await provider.put("db", "canary two")
    await provider.put("db", "canary one", token=TOKEN)
    assert (await provider.get("db")).equals("canary two")
    assert len(await provider.versions("db")) == 2


async def test_create_race(aws, build):
    """Of two who create the same secret at once, both succeed: the later one adds a version."""
    provider = await build()
    written = await asyncio.gather(*(provider.put("race", f"canary {number}") for number in range(4)))
    assert (await provider.get("race")).version in {secret.version for secret in written}
    assert len(await provider.versions("race")) == 4


async def test_compare_and_set_again(aws, build):
    """A compare-and-set that was applied and is retried under its token is no conflict."""
    provider = await build()
    first = await provider.put("cas", "canary one", cas="0")
    for _ in range(2):
        await provider.put("cas", "canary two", cas=first.version, token=TOKEN)
    assert (await provider.get("cas")).version == TOKEN
    with pytest.raises(ConflictError, match="not current any more"):
        await provider.put("cas", "canary three", cas=first.version)
    with pytest.raises(ConflictError, match="not current any more"):
        await provider.put("nothing", "canary", cas=first.version)
    await provider.put("cas", "canary four")
    assert (await provider.get("cas")).equals("canary four")


async def stages(aws, name):
    found = await aws.moto_call("ListSecretVersionIds", SecretId=name)
    return {version["VersionId"]: set(version["VersionStages"]) for version in found["Versions"]}


async def test_refused_swap_leaves_no_stage(aws, build):
    """A value that a compare-and-set refused keeps no stage, so AWS may let go of it; one that won is where it was."""
    provider = await build()
    first = (await provider.put("cas", "canary one")).version
    second = (await provider.put("cas", "canary two", cas=first)).version
    with pytest.raises(ConflictError, match="not current any more"):
        await provider.put("cas", "canary refused", cas=first, token=TOKEN)
    assert (await stages(aws, "cas"))[TOKEN] == set()
    assert "AWSCURRENT" in (await stages(aws, "cas"))[second]
    with pytest.raises(SecretNotFoundError):
        await provider.get("cas", "ASYNCSECRETS_STAGED")
    assert (await provider.put("cas", "canary three", cas=second)).version in await stages(aws, "cas")


@pytest.mark.parametrize("kind", ["unavailable", "denied", "reset"])
async def test_swap_is_refused_although_cleaning_fails(aws, build, kind):
    """That the rejected version keeps its stage, because AWS fails just then, does not hide the conflict."""
    provider = await build()
    first = (await provider.put("cas", "canary one")).version
    await provider.put("cas", "canary two")
    aws.only, aws.faults = {"UpdateSecretVersionStage"}, ["", kind]
    with pytest.raises(ConflictError, match="not current any more"):
        await provider.put("cas", "canary refused", cas=first, token=TOKEN)
    assert (await stages(aws, "cas"))[TOKEN] == {"ASYNCSECRETS_STAGED"}


@pytest.mark.parametrize("cas", ["", "1", "bogus", "AWSCURRENT", "x" * 65, "é" * 32])
async def test_swap_with_no_version(aws, build, cas):
    """What no version can be called, such as a stage, is a conflict before anything is sent, which says what can."""
    provider = await build()
    with pytest.raises(ConflictError, match="cas takes the id of a version"):
        await provider.put("cas", "canary", cas=cas)
    assert aws.calls == []


async def test_swap_of_a_secret_that_is_deleted_meanwhile(aws, build):
    """A secret that is deleted between the two calls of a compare-and-set is a conflict like any other."""
    provider = await build()
    first = (await provider.put("cas", "canary one")).version
    aws.refused = {
        "UpdateSecretVersionStage": ("InvalidRequestException", "it was marked for deletion"),
        "GetSecretValue": ("InvalidRequestException", "it was marked for deletion"),
    }
    with pytest.raises(ConflictError, match="not current any more"):
        await provider.put("cas", "canary two", cas=first)


@pytest.mark.parametrize("cas", [None, "0"])
async def test_write_with_an_empty_answer(aws, build, cas):
    """A write whose answer says nothing may have been applied."""
    provider = await build()
    aws.fault = "empty"
    with pytest.raises(MalformedResponseError, match="no version") as caught:
        await provider.put("db", "canary", cas=cas)
    assert caught.value.outcome_unknown
    with pytest.raises(MalformedResponseError) as caught:
        await provider.get("db")
    assert not caught.value.outcome_unknown


async def test_cleaning_outlives_its_caller(aws, build):
    """A caller who is cancelled while the stage is taken away leaves that to be finished."""
    provider = await build()
    first = (await provider.put("cas", "canary one")).version
    await provider.put("cas", "canary two")
    write = asyncio.create_task(provider.put("cas", "canary refused", cas=first, token=TOKEN))
    while not provider._chores:
        await asyncio.sleep(0)
    write.cancel()
    await asyncio.wait({write})
    assert write.cancelled()
    async with asyncio.timeout(5):
        while provider._chores:
            await asyncio.sleep(0.001)
    assert (await stages(aws, "cas"))[TOKEN] == set()


@pytest.mark.parametrize("token", ["new", "same"])
async def test_endless_pages(build, monkeypatch, token):
    """An answer whose pages do not end is an error, and not read for ever."""
    provider = await build()
    pages = 0

    async def call(*_, **__):
        nonlocal pages
        pages += 1
        return {"SecretList": [], "NextToken": "same" if token == "same" else str(pages)}

    monkeypatch.setattr(provider, "_call", call)
    with pytest.raises(MalformedResponseError, match="pages"):
        await provider.list()
    assert pages == 10_000


@pytest.mark.parametrize("value", ["", b"", "x" * 65_537, b"x" * 65_537, "canary \ud800"])
async def test_impossible_values(aws, build, value):
    """What Secrets Manager cannot keep is refused before anything is sent, without the value."""
    provider = await build()
    with pytest.raises(DecodeError) as caught:
        await provider.put("db", value)
    assert aws.calls == []
    assert "canary" not in str(caught.value)


async def test_pending_deletion(aws, build):
    """A secret scheduled for deletion is not found, its name is taken, and restore brings it back: never silently."""
    provider = await build(recovery_window_days="7")
    await provider.put("gone", "canary")
    await provider.delete("gone")
    assert aws.requests[-1]["body"]["RecoveryWindowInDays"] == 7
    with pytest.raises(SecretNotFoundError, match="restore") as caught:
        await provider.get("gone")
    assert caught.value.reason == "pending_deletion"
    for write in (provider.put("gone", "canary new"), provider.put("gone", "canary new", cas="0")):
        with pytest.raises(ConflictError, match=r"asyncsecrets restore NAME"):
            await write
    await provider.delete("gone")
    assert await provider.list() == []
    await provider.restore("gone")
    assert (await provider.get("gone")).equals("canary")


@pytest.mark.parametrize("cas", [None, "0"])
async def test_pending_deletion_taken_back(build, cas):
    """Where the settings say so, a write takes it back; of two who create at once one does."""
    provider = await build(recover_deleted="true")
    before = await provider.put("gone", "canary")
    for number in range(2):
        await provider.delete("gone")
        written = await provider.put("gone", f"canary {number}", cas=cas)
        assert (await provider.get("gone")).version == written.version
        assert (await provider.get("gone")).equals(f"canary {number}")
    assert (await provider.get("gone", before.version)).equals("canary")
    await provider.delete("gone")
    with pytest.raises(ConflictError):
        await provider.put("gone", "canary", cas=before.version)
    writes = [provider.put("gone", f"canary {number}", cas="0") for number in range(4)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [isinstance(outcome, ConflictError) for outcome in outcomes].count(False) == 1


async def test_restore(aws, build):
    """Restore brings back what is scheduled, leaves alone what is not, and says so where there is nothing."""
    provider = await build()
    assert isinstance(provider, Restorer)
    with pytest.raises(SecretNotFoundError):
        await provider.restore("never")
    await provider.put("db", "canary")
    await provider.restore("db")
    aws.refused = {"RestoreSecret": ("InvalidRequestException", "The secret was not deleted.")}
    await provider.restore("db")
    assert aws.calls[-2:] == ["RestoreSecret", "GetSecretValue"]
    await provider.delete("db")
    with pytest.raises(SecretNotFoundError, match="scheduled for deletion"):
        await provider.restore("db")
    aws.refused = {}
    await provider.restore("db")
    assert (await provider.get("db")).equals("canary")
    with pytest.raises(UnsupportedOperationError, match="as a whole"):
        await provider.restore("db", ["0" * 32])


async def test_destroy(aws, build):
    """Destroy deletes for good, also what is scheduled for deletion or not there; versions one by one it cannot."""
    provider = await build()
    assert isinstance(provider, Destroyer)
    for scheduled in (False, True):
        await provider.put("gone", "canary")
        if scheduled:
            await provider.delete("gone")
        await provider.destroy("gone")
        assert aws.requests[-1]["body"] == {"SecretId": "gone", "ForceDeleteWithoutRecovery": True}
        with pytest.raises(SecretNotFoundError) as caught:
            await provider.get("gone")
        assert caught.value.reason == "absent"
    await provider.destroy("gone")
    with pytest.raises(SecretNotFoundError):
        await provider.restore("gone")
    aws.calls.clear()
    for versions in ([], ["0" * 32]):
        with pytest.raises(UnsupportedOperationError, match="as a whole"):
            await provider.destroy("gone", versions)
    assert aws.calls == []


@pytest.mark.parametrize("for_good", [False, True], ids=["delete", "destroy"])
async def test_delete_with_replicas(aws, build, for_good):
    """Replicas of the settings' regions go with their secret; of others AWS's refusal is told, and nothing is gone."""
    provider, plain = await build(replica_regions=["us-east-1"]), await build()
    await provider.put("db", "canary")
    with pytest.raises(ConflictError, match="remove-regions-from-replication"):
        await (plain.destroy("db") if for_good else plain.delete("db"))
    assert (await plain.get("db")).equals("canary")
    await (provider.destroy("db") if for_good else provider.delete("db"))
    with pytest.raises(SecretNotFoundError):
        await provider.get("db")


async def test_force_delete(aws, build):
    """With force_delete the name is free at once."""
    provider = await build(force_delete="true")
    await provider.put("gone", "canary")
    await provider.delete("gone")
    await provider.put("gone", "canary anew")
    assert (await provider.get("gone")).equals("canary anew")


async def test_rotate(aws, build):
    """Rotate starts a rotation and returns the new version's id; without a function for it, the error says so."""
    provider = await build()
    assert isinstance(provider, Rotator)
    await provider.put("db", "canary")
    with pytest.raises(ConflictError, match="rotation-lambda-arn"):
        await provider.rotate("db")
    aws.rotating = {"db"}
    assert await provider.rotate("db", token=TOKEN) == TOKEN
    assert aws.requests[-1]["body"] == {"SecretId": "db", "ClientRequestToken": TOKEN, "RotateImmediately": True}
    with pytest.raises(SecretNotFoundError):
        await provider.rotate("missing")


async def test_list_is_a_prefix(aws, build):
    """A prefix is where names start; one that no name can start with lists nothing and asks nobody."""
    provider = await build()
    for name in ("app/a", "app/b", "other/app/c"):
        await aws.store(name, "canary")
    assert await provider.list("app/") == ["app/a", "app/b"]
    aws.calls.clear()
    assert await provider.list("!app") == []
    assert aws.calls == []


async def test_denied_names_the_action(aws, build):
    """A missing permission is named, so that it can be added to the policy."""
    provider = await build()
    await aws.store("db", "canary")
    calls = [
        ("GetSecretValue", provider.get("db")),
        ("PutSecretValue", provider.put("db", "canary")),
        ("DeleteSecret", provider.delete("db")),
        ("DeleteSecret", provider.destroy("db")),
        ("ListSecrets", provider.list()),
        ("ListSecretVersionIds", provider.versions("db")),
        ("RestoreSecret", provider.restore("db")),
        ("RotateSecret", provider.rotate("db")),
    ]
    aws.denied = {action for action, _ in calls}
    for action, call in calls:
        with pytest.raises(AccessDeniedError, match=f"secretsmanager:{action}"):
            await call
    aws.denied = {"CreateSecret"}
    with pytest.raises(AccessDeniedError, match="secretsmanager:CreateSecret"):
        await provider.put("new", "canary")
    aws.denied = {"UpdateSecretVersionStage"}
    with pytest.raises(AccessDeniedError, match="secretsmanager:UpdateSecretVersionStage"):
        await provider.put("db", "canary new", cas=(await provider.get("db")).version)
    replicated = await build(replica_regions=["us-east-1"])
    await replicated.put("copied", "canary")
    aws.denied = {"RemoveRegionsFromReplication"}
    with pytest.raises(AccessDeniedError, match="secretsmanager:RemoveRegionsFromReplication"):
        await replicated.delete("copied")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "arn:aws:iam::123456789012:role/x", "x" * 513, "a\n", "ä", "a*"])
async def test_names_are_checked_first(aws, build, name):
    """A name that AWS cannot have is refused by every operation before anything is sent."""
    provider = await build()
    calls = [provider.get(name), provider.put(name, "canary"), provider.delete(name), provider.versions(name)]
    calls += [provider.restore(name), provider.destroy(name), provider.rotate(name)]
    for call in calls:
        with pytest.raises(InvalidNameError) as caught:
            await call
        assert isinstance(caught.value, ProviderError)
    answers = await provider.get_many([name])
    assert type(answers[name]) is InvalidNameError
    assert aws.calls == []


async def test_a_crowd_is_let_in_one_by_one(aws, build):
    """Requests that come at once are each prepared in a turn of the event loop of their own."""
    provider = await build()
    await aws.store("db", "canary")
    await provider.get("db")
    prepared, prepare = [], provider._connection._client.meta.events
    turns = 0

    def remember(**_):
        prepared.append(turns)

    prepare.register("before-call.secrets-manager", remember)
    reads = [asyncio.create_task(provider.get("db")) for _ in range(30)]
    while not all(read.done() for read in reads):
        await asyncio.sleep(0)
        turns += 1
    assert all(read.result().equals("canary") for read in reads)
    assert len(set(prepared)) == 30


async def test_a_turn_ends_however_it_ends(aws, build):
    """A request that cannot be prepared, or is cancelled, lets the next one in."""
    provider = await build()
    await aws.store("db", "canary")
    with pytest.raises(ProviderError):
        await provider._connection.call("GetSecretValue", "db", {"SecretId": 5})
    reads = [asyncio.create_task(provider.get("db")) for _ in range(10)]
    for turn, read in enumerate(reads[:9]):
        for _ in range(turn):
            await asyncio.sleep(0)
        read.cancel()
    async with asyncio.timeout(10):
        assert (await reads[9]).equals("canary")
