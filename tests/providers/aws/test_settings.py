"""Settings: what they are made from, and that they show no credentials."""

from __future__ import annotations

import contextlib
import gc
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets import references, registry
from asyncsecrets.errors import ConfigError, InvalidNameError
from asyncsecrets.providers import quiet
from asyncsecrets.providers.aws import AwsKmsProvider, AwsSecretsManagerProvider, AwsSettings
from asyncsecrets.providers.aws.names import check_name, is_arn, may_be_same, usable_token, version_of
from asyncsecrets.providers.aws.settings import check_endpoint, endpoint_of
from asyncsecrets.providers.quiet import without_collections
from asyncsecrets.settings import SYSTEMS

SOME = {
    "aws_access_key_id": "AKIA",
    "aws_secret_access_key": "canary-secret",
    "aws_session_token": "canary-token",
    "aws_external_id": "canary-external",
    "aws_region_name": "eu-central-1",
    "max_connections": "7",
    "attempt_timeout": "1.5",
    "force_delete": "true",
    "recover_deleted": "true",
    "recovery_window_days": "8",
    "replica_regions": ["us-east-1"],
    "tags": {"a": "b"},
}


@pytest.mark.parametrize(
    ("system", "kind"), [("aws_secret_manager", AwsSecretsManagerProvider), ("aws_kms", AwsKmsProvider)]
)
def test_registry(system, kind):
    """The registry leads to the classes, and building one does nothing yet."""
    provider = registry.build(system, {"aws_region_name": "eu-central-1"}, {})
    assert type(provider) is kind
    assert provider.system == system


def test_every_setting_is_understood():
    """Each key of the vocabulary is a setting, with the type that its kind says."""
    made = AwsSettings.from_mapping("aws_secret_manager", SOME, {})
    assert (made.max_connections, made.attempt_timeout, made.force_delete) == (7, 1.5, True)
    assert made.recover_deleted is True
    assert (made.recovery_window_days, made.replica_regions, made.tags) == (8, ("us-east-1",), {"a": "b"})
    for system in ("aws_secret_manager", "aws_kms"):
        values = {"LIST": ["eu-west-1"], "MAPPING": {"a": "b"}, "BOOL": "true", "SECONDS": "2", "COUNT": "9"}
        texts = {
            "aws_role_name": "arn:aws:iam::123456789012:role/x",
            "aws_endpoint_url": "https://x.example",
            "aws_sts_endpoint": "https://sts.example",
        }
        for key, setting in SYSTEMS[system].items():
            pair = {"aws_access_key_id": "a", "aws_secret_access_key": "b"} if "key" in key or "token" in key else {}
            role = {"aws_role_name": texts["aws_role_name"]} if key == "aws_web_identity_token" else {}
            value = texts.get(key, values.get(setting.kind.name, "eu-west-1"))
            AwsSettings.from_mapping(system, {**pair, **role, key: value}, {})


def test_repr_shows_no_credentials():
    """Neither the settings nor a provider show credentials."""
    made = AwsSettings.from_mapping("aws_secret_manager", SOME, {"AWS_SECRET_ACCESS_KEY": "canary"})
    assert "canary" not in repr(made) + repr(AwsSecretsManagerProvider(made))


@pytest.mark.parametrize(
    "address",
    ["https://x.example", "http://127.0.0.1:4566", "http://localhost:4566", "http://[::1]:1", "http://aws.localhost"],
)
def test_endpoints_that_are_safe(address):
    """https anywhere, http to this machine."""
    check_endpoint(address, "endpoint", insecure=False)


@pytest.mark.parametrize(
    "address",
    [
        "http://localstack:4566",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "localhost:4566",
        "https://",
        "file:///x",
        "http://127.0.0.1:4566:1",
        "http://127.0.0.1:0",
        "https://local host",
        "https://[::1",
    ],
)
def test_endpoints_that_are_not(address):
    """Plain http to another machine needs to be said; nonsense is refused."""
    with pytest.raises(ConfigError):
        check_endpoint(address, "endpoint", insecure=False)


def test_http_can_be_allowed():
    """Who says so may use plain http, as to LocalStack in another container."""
    check_endpoint("http://localstack:4566", "endpoint", insecure=True)


@given(st.text(st.sampled_from("aZ0/_+=.@-! :*?%#\\é\n\x00\ud800"), max_size=20))
def test_names_are_an_allowlist(name):
    """A name that passes has only the characters that AWS documents."""
    try:
        check_name(name)
    except InvalidNameError:
        return
    assert name
    assert set(name) <= set("aZ0/_+=.@-!")


@given(st.text())
def test_versions(version):
    """Any text selects an id, a stage, or nothing."""
    selected = version_of(version)
    assert selected is None or [*selected.values()] == [version]


@given(st.text())
def test_tokens(token):
    """A token is used as it is if AWS can take it, and always becomes one that AWS can take."""
    made = usable_token(token)
    assert 32 <= len(made) <= 64
    assert made.replace("-", "").isalnum()
    assert made == usable_token(made)


def test_arns():
    """An ARN is told from a name; one of another service is neither."""
    arn = "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a/b-AbCdEf"
    check_name(arn)
    assert is_arn(arn)
    assert not is_arn("a/b")
    check_name(arn.replace("a/b", "rds!db-4a1b6c1e-0000-4000-8000-000000000001"))
    for wrong in (arn.replace("secretsmanager", "ssm"), arn.replace("123456789012", "1"), arn + "?", "arn:x"):
        with pytest.raises(InvalidNameError):
            check_name(wrong)


@pytest.mark.parametrize(
    ("ecs", "meant"),
    [
        (":password::", "?field=password"),
        (":password", "?field=password"),
        (":password:AWSPREVIOUS:", "?version=AWSPREVIOUS&field=password"),
        ("::AWSPREVIOUS:", "?version=AWSPREVIOUS"),
        (f":::{'0' * 32}", f"?version={'0' * 32}"),
        (f":password:AWSCURRENT:{'0' * 32}", f"?version={'0' * 32}&field=password"),
    ],
)
def test_what_ecs_writes_behind_an_arn(ecs, meant):
    """The refusal has the reference that means the same, and that one is read as such."""
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db/a-AbCdEf"
    with pytest.raises(InvalidNameError) as caught:
        check_name(arn + ecs)
    text = str(caught.value).rpartition(" ")[2]
    assert text == f"secret:///{arn}{meant}"
    assert references.parse(text).name == arn


def test_what_only_looks_like_a_reference_of_ecs():
    """No remedy is made up for what ECS would not take either."""
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-AbCdEf"
    for name in (f"{arn}:a:b:c:d", f"{arn}:a b::", f"{arn}:a\n", "a:b:c", "arn:aws:ssm:x:1:parameter:a:b"):
        with pytest.raises(InvalidNameError, match="letters, digits") as caught:
            check_name(name)
        assert str(caught.value).isprintable()


PLAIN = st.text(st.sampled_from("aZ0/_+=.@-!"), min_size=1, max_size=20)
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"


@given(PLAIN, PLAIN, st.text(st.sampled_from("aZ0"), min_size=6, max_size=6))
def test_spellings_of_one_secret(name, other, suffix):
    """A name, its partial and its full ARN are one secret's; two plain names are two secrets'."""
    spellings = [name, f"{ARN}{name}", f"{ARN}{name}-{suffix}"]
    assert all(may_be_same(one, two) for one in spellings for two in spellings)
    assert may_be_same(name, other) == (name == other)
    for spelling in spellings:
        assert may_be_same(spelling, other) == may_be_same(other, spelling)
    if other not in {name, f"{name}-{suffix}"} and not name.startswith(f"{other}-"):
        assert not any(may_be_same(spelling, other) for spelling in spellings)


@given(st.text(), st.text())
def test_anything_may_be_compared(name, other):
    """Whatever text is cached under is compared without an error, and with itself is the same."""
    assert may_be_same(name, name)
    assert may_be_same(name, other) in {True, False}


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("db", "db-AbCdEf"),
        (f"{ARN}db-AbCdEf", "db2"),
        (f"{ARN}db1AbCdEf", "db"),
        (f"{ARN}app/db-AbCdEf", "db"),
        (f"{ARN}db-AbCdEf", f"{ARN}other-AbCdEf"),
        ("", f"{ARN}db-AbCdEf"),
    ],
)
def test_names_of_different_secrets(name, other):
    """A suffix is one of an ARN's, and nothing else is cut off."""
    assert not may_be_same(name, other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_collections_in_the_child_of_a_start():
    """A process that is forked while a start lasts collects its garbage, then and after starts of its own."""
    states = []
    with without_collections():
        read, write = os.pipe()
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                states.append(gc.isenabled())
                with without_collections():
                    states.append(gc.isenabled())
                states.append(gc.isenabled())
                os.write(write, repr(states).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            assert pipe.read() == b"[True, False, True]"
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (" https://aws.corp.test.// ", "https://aws.corp.test"),
        ("https://aws.corp.test.:8443/", "https://aws.corp.test:8443"),
        ("http://127.0.0.1:4566\n", "http://127.0.0.1:4566"),
        ("https://aws.corp.test/a./", "https://aws.corp.test/a."),
    ],
)
def test_what_is_left_around_settings(written, meant):
    """Blanks of a file or a shell, slashes at the end, and the dot behind a host, for which nothing would be signed."""
    given = {"aws_endpoint_url": written, "aws_sts_endpoint": written, "aws_region_name": " eu-central-1\n"}
    settings = AwsSettings.from_mapping("aws_secret_manager", given, {})
    assert (settings.endpoint, settings.sts_endpoint, settings.region) == (meant, meant, "eu-central-1")
    for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS"):
        assert endpoint_of("kms", "", {variable: written, "AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://x"}) == meant


def test_a_start_that_goes_on_in_a_child():
    """A pause that began in the parent takes none of the child's away when it ends there."""
    pause = without_collections()
    with pause:
        quiet._after_fork()
        assert gc.isenabled()
        inner = without_collections()
        inner.__enter__()
    assert not gc.isenabled()
    inner.__exit__(None, None, None)
    assert gc.isenabled()


def test_collections_pause_and_resume():
    """The collector is off while a start lasts, in several threads too, and is then as it was before."""
    inside = threading.Barrier(2)

    def start():
        with without_collections():
            inside.wait(5)
            assert not gc.isenabled()
            inside.wait(5)

    assert gc.isenabled()
    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert gc.isenabled()
    gc.disable()
    try:
        with without_collections():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
