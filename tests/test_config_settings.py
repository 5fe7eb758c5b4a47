"""The settings of a source: their types, where they come from, how fresh it is, and that all of them can be set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.config import Config, Freshness, SourceConfig, load_config
from asyncsecrets.errors import ConfigError
from asyncsecrets.kinds import Kind
from asyncsecrets.providers.vault.settings import AuthMethod, VaultSettings
from asyncsecrets.settings import COMMON, LITELLM, SYSTEMS, vocabulary
from tests.configured import config, settings_refused

# Settings


def test_a_key_that_no_section_has_is_answered_with_those_it_has():
    """Where nothing is like what was written, the error lists what may be."""
    with pytest.raises(ConfigError, match="not a setting; there are: env_file, litellm, retry, sources"):
        load_config({"asyncsecrets": {"zzz": "canary"}}, {})


async def test_the_values_of_a_memory_source_are_in_the_file():
    """The setting that the configuration page names is the one that the provider reads."""
    settings = {"secrets": {"NAME": "canary-file"}}
    general = {"key_management_system": "memory", "key_management_settings": settings}
    async with SecretsClient.from_config({"general_settings": general}) as client:
        assert (await client.get("NAME")).equals("canary-file")


@pytest.mark.parametrize(
    ("system", "given", "problem"),
    [
        ("aws_secret_manager", {"hosted_key": ["x"]}, "'hosted_key', which is not a setting of aws_secret_manager"),
        ("aws_secret_manager", {"hosted_key": ["x"]}, "did you mean 'hosted_keys'?"),
        ("aws_secret_manager", {"acces_mode": "read_only"}, "did you mean 'access_mode'?"),
        ("hashicorp_vault", {"adress": "canary"}, "did you mean 'addr'?"),
        ("hashicorp_vault", {"aws_endpoint_url": "canary"}, "it is one of aws_kms, aws_secret_manager"),
        ("env", {"zzz": "canary"}, "'zzz', which is not a setting of env; there are: access_mode, always_read_"),
        (
            "local",
            {"zzz": "canary"},
            "hosted_keys, local_file, local_key, local_key_file, local_max_versions, max_entries",
        ),
        ("env", {"a\n\x1b": "canary"}, r"'a\n\x1b', which is not a setting"),
        ("aws_kms", {"access_mode": "canary"}, "access_mode must be one of read_only, write_only, read_and_write"),
        ("aws_kms", {"hosted_keys": "canary"}, "hosted_keys must be a list of secret names"),
        ("aws_kms", {"hosted_keys": {"canary": "x"}}, "hosted_keys must be a list of secret names"),
        ("aws_kms", {"hosted_keys": [["canary"]]}, "hosted_keys must be a list of secret names"),
        ("aws_kms", {"hosted_keys": ["canary\x00"]}, "hosted_keys must be a list of secret names"),
        ("aws_kms", {"hosted_keys": ["secret://vault/canary"]}, "hosted_keys must be a list of secret names"),
        ("aws_kms", {"hosted_keys": [""]}, "hosted_keys must be a list of secret names"),
        ("aws_kms", {"primary_secret_name": ["canary"]}, "primary_secret_name must be a text"),
        ("aws_kms", {"store_virtual_keys": "canary"}, "store_virtual_keys must be true or false"),
        ("aws_kms", {"store_virtual_keys": "1"}, "store_virtual_keys must be true or false"),
        ("aws_kms", {"store_virtual_keys": ["true"]}, "store_virtual_keys must be true or false"),
        ("aws_kms", {"refresh_interval": "canary"}, "refresh_interval must be a number of seconds more than 0"),
        ("aws_kms", {"max_stale": "-1"}, "max_stale must be a number of seconds, 0 or more"),
        ("aws_kms", {"max_entries": "0"}, "max_entries must be a whole number from 1"),
        ("aws_kms", {"max_entries": "1.5"}, "max_entries must be a whole number from 1"),
        ("aws_kms", {"on_denied": "ignore"}, "on_denied must be one of keep, evict"),
        ("aws_secret_manager", {"tags": ["canary"]}, "tags must be a mapping of texts"),
        ("aws_secret_manager", {"tags": {"a": ["canary"]}}, "tags must be a mapping of texts"),
        ("aws_secret_manager", {"replica_regions": "canary"}, "replica_regions must be a list of texts"),
        ("hashicorp_vault", {"token": {"canary": "x"}}, "token must be a text"),
        ("hashicorp_vault", {"kv_version": "3"}, "kv_version must be one of 1, 2"),
        ("hashicorp_vault", {"addr": "secret://default/canary"}, "addr cannot be a secret:// reference"),
        ("hashicorp_vault", {"cluster_addrs": ["secret:///canary"]}, "cluster_addrs cannot be a secret:// reference"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_expected(system: str, given: dict[str, Any], problem: str):
    """Unknown keys name the nearest known one, wrong values what they should be, and no message shows a value."""
    message = settings_refused(system, **given)
    assert problem in message
    assert message.startswith("configuration: general_settings.key_management_settings")
    assert message.isprintable()


@pytest.mark.parametrize(
    "number", ["0", "0.0", "-1", "1e3", "inf", "nan", "1_000", "1 0", "1s", "9" * 10, "٣", "0x1", "1."]
)
def test_a_refresh_interval_is_a_plain_positive_number(number: str):
    """No exponents, infinities, separators, units or digits of other scripts."""
    assert "refresh_interval must be" in settings_refused("env", refresh_interval=number)


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "yes", "on", "On"])
def test_words_for_true(word: str):
    """YAML's words, in any case."""
    assert config("env", store_virtual_keys=word).store_virtual_keys is True


@pytest.mark.parametrize("word", ["false", "no", "OFF", ""])
def test_words_for_false_and_the_empty_value(word: str):
    """An empty value is no value, and the default of a boolean is false."""
    assert config("env", store_virtual_keys=word).store_virtual_keys is False


def test_an_empty_value_is_no_value():
    """A key that is there without a value has its default, a prefix and a list included."""
    keys = ("hosted_keys", "prefix_for_stored_virtual_keys", "access_mode", "refresh_interval", "token", "addr")
    assert config("hashicorp_vault", **dict.fromkeys(keys, "")) == SourceConfig(
        name="default", system="hashicorp_vault"
    )


@pytest.mark.parametrize(
    "written", ['secret_field: ""', "secret_field: ''", "secret_field:", "secret_field: os.environ/X"]
)
def test_an_empty_secret_field_is_a_value(tmp_path: Path, written: str):
    """It means the whole object, in a file as in a mapping; what the environment has for it does not count then."""
    file = tmp_path / "config.yaml"
    file.write_text(
        f"general_settings:\n  key_management_system: hashicorp_vault\n  key_management_settings:\n    {written}\n"
    )
    environ = {"X": "", "VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "canary", "HCP_VAULT_SECRET_FIELD": "user"}
    for source in (load_config(file, environ).sources["default"], config("hashicorp_vault", secret_field="")):
        assert VaultSettings.from_mapping(source.settings, environ).default_field is None
    assert VaultSettings.from_mapping(config("hashicorp_vault").settings, environ).default_field == "user"


def test_an_empty_list_of_hosted_keys_hosts_nothing():
    """It is not the same as no list, which hosts every name."""
    assert config("env", hosted_keys=[]).hosted_keys == frozenset()
    assert config("env").hosted_keys is None


def test_hosted_keys_may_be_written_as_references():
    """Names are names, and are not looked up in the environment."""
    assert config("env", hosted_keys=["os.environ/A", "B"]).hosted_keys == {"A", "B"}


def test_settings_of_the_manager_stay_text_and_are_apart_from_those_of_the_source():
    """A provider gets its own settings only; booleans come as ``true`` and ``false``."""
    source = config(
        "hashicorp_vault",
        addr="https://v",
        kv_version=2,
        renew_token="NO",
        cluster_addrs=["a"],
        max_stale=5,
        token="canary",
    )
    assert source.settings == {
        "addr": "https://v",
        "kv_version": "2",
        "renew_token": "false",
        "cluster_addrs": ["a"],
        "token": "canary",
    }
    assert source.freshness.max_stale == 5.0


def test_a_class_of_ones_own_has_settings_of_its_own():
    """What the class understands is not known here: its keys are passed on, with references to the environment."""
    source = config(
        "custom", {"SHELF": "3"}, custom_secret_manager="m.C", hosted_keys=["A"], shelf="os.environ/SHELF", rows=[1]
    )
    assert source.settings == {"custom_secret_manager": "m.C", "shelf": "3", "rows": ["1"]}
    assert source.hosted_keys == {"A"}


def test_what_leads_to_a_manager_is_looked_up_in_the_real_environment():
    """``os.environ/NAME`` is replaced while the file is read, in lists and mappings too; empty means not given."""
    environ = {"ADDR": "https://v", "NODE": "https://n", "EVERY": "60", "SYSTEM": "hashicorp_vault", "EMPTY": ""}
    source = config(
        "os.environ/SYSTEM",
        environ,
        addr="os.environ/ADDR",
        cluster_addrs=["os.environ/NODE"],
        refresh_interval="os.environ/EVERY",
        namespace="os.environ/EMPTY",
    )
    assert source.system == "hashicorp_vault"
    assert source.settings == {"addr": "https://v", "cluster_addrs": ["https://n"]}
    assert source.freshness.refresh_interval == 60


def test_a_missing_variable_of_the_environment_is_named():
    """The setting and the variable, so that one of them can be mended."""
    message = settings_refused("hashicorp_vault", addr="os.environ/VAULT_ADRESS")
    assert "key_management_settings.addr needs the environment variable 'VAULT_ADRESS', which is not set" in message


def test_a_value_from_the_environment_is_not_looked_up_again():
    """What the environment holds is a value, even if it looks like a reference."""
    environ = {"A": "os.environ/B", "B": "canary"}
    assert config("hashicorp_vault", environ, addr="os.environ/A").settings == {"addr": "os.environ/B"}


def test_credentials_are_in_no_repr():
    """Neither a source nor its settings, nor the configuration around them, show a value of the manager's settings."""
    document = {
        "general_settings": {"key_management_system": "hashicorp_vault", "key_management_settings": {"token": "canary"}}
    }
    loaded = load_config(document, {})
    assert loaded.sources["default"].settings["token"] == "canary"
    for shown in (repr(loaded), str(loaded), f"{loaded.sources['default'].settings}", repr(loaded.sources)):
        assert "token" in shown
        assert "canary" not in shown


# Freshness


def test_freshness_defaults():
    """A day, a day more while the manager is down, five seconds for what is absent."""
    assert config("hashicorp_vault").freshness == Freshness()
    assert Freshness() == Freshness(
        refresh_interval=86_400, max_stale=86_400, negative_ttl=5, max_entries=10_000, on_denied="keep", cached=True
    )


def test_freshness_settings():
    """Every part can be set in the file."""
    source = config(
        "env", refresh_interval="0.5", max_stale="0", negative_ttl="1.25", max_entries="7", on_denied="evict",
        always_read_secret_manager="on",
    )  # fmt: skip
    assert source.freshness == Freshness(
        refresh_interval=0.5, max_stale=0, negative_ttl=1.25, max_entries=7, on_denied="evict", cached=False
    )


@pytest.mark.parametrize(
    ("system", "environ", "expected"),
    [
        ("hashicorp_vault", {"HCP_VAULT_REFRESH_INTERVAL": "60"}, 60),
        ("hashicorp_vault", {"HCP_VAULT_REFRESH_INTERVAL": "60", "SECRET_MANAGER_REFRESH_INTERVAL": "70"}, 60),
        ("hashicorp_vault", {"HCP_VAULT_REFRESH_INTERVAL": "", "SECRET_MANAGER_REFRESH_INTERVAL": "70"}, 70),
        ("hashicorp_vault", {"GOOGLE_SECRET_MANAGER_REFRESH_INTERVAL": "60"}, 86_400),
        ("google_secret_manager", {"GOOGLE_SECRET_MANAGER_REFRESH_INTERVAL": "60"}, 60),
        ("google_secret_manager", {"HCP_VAULT_REFRESH_INTERVAL": "60"}, 86_400),
        ("azure_key_vault", {"SECRET_MANAGER_REFRESH_INTERVAL": "70"}, 70),
        ("azure_key_vault", {"HCP_VAULT_REFRESH_INTERVAL": "60"}, 86_400),
    ],
)
def test_the_refresh_interval_of_the_environment(system: str, environ: dict[str, str], expected: float):
    """A manager's own variable goes before the general one, an empty one is unset, and the file goes before both."""
    assert config(system, environ).freshness.refresh_interval == expected
    assert config(system, environ, refresh_interval=5).freshness.refresh_interval == 5


@pytest.mark.parametrize(("word", "cached"), [("true", False), ("True", False), ("false", True), ("", True)])
def test_google_can_be_asked_for_every_read(word: str, cached: bool):
    """The documented variable switches the cache off, for Google's manager only."""
    environ = {"GOOGLE_SECRET_MANAGER_ALWAYS_READ_SECRET_MANAGER": word}
    assert config("google_secret_manager", environ).freshness.cached is cached
    assert config("hashicorp_vault", environ).freshness.cached is True


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("GOOGLE_SECRET_MANAGER_REFRESH_INTERVAL", "a number of seconds more than 0"),
        ("SECRET_MANAGER_REFRESH_INTERVAL", "a number of seconds more than 0"),
        ("GOOGLE_SECRET_MANAGER_ALWAYS_READ_SECRET_MANAGER", "true or false"),
    ],
)
def test_a_wrong_variable_of_the_environment_is_named(variable: str, expected: str):
    """The message names the variable and what it should be, not what it is."""
    message = settings_refused("google_secret_manager", {variable: "canary"})
    assert f"the environment variable {variable} must be {expected}" in message


# The vocabulary


def test_every_documented_variable_is_in_the_vocabulary():
    """Whatever the documentation of a manager names, a setting of that manager stands for."""
    documented = {
        "hashicorp_vault": "HCP_VAULT_ADDR HCP_VAULT_NAMESPACE HCP_VAULT_TOKEN HCP_VAULT_CLIENT_CERT "
        "HCP_VAULT_CLIENT_KEY HCP_VAULT_CERT_ROLE HCP_VAULT_APPROLE_ROLE_ID HCP_VAULT_APPROLE_SECRET_ID "
        "HCP_VAULT_APPROLE_MOUNT_PATH HCP_VAULT_REFRESH_INTERVAL HCP_VAULT_MOUNT_NAME HCP_VAULT_PATH_PREFIX "
        "HCP_VAULT_LOGIN_NAMESPACE HCP_VAULT_SECRET_NAMESPACE VAULT_ADDR VAULT_TOKEN VAULT_NAMESPACE VAULT_CACERT",
        "aws_secret_manager": "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION_NAME AWS_REGION AWS_DEFAULT_REGION",
        "aws_kms": "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION_NAME AWS_REGION AWS_DEFAULT_REGION",
        "azure_key_vault": "AZURE_KEY_VAULT_URI AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_TENANT_ID",
        "google_secret_manager": "GOOGLE_SECRET_MANAGER_PROJECT_ID GOOGLE_APPLICATION_CREDENTIALS "
        "GOOGLE_SECRET_MANAGER_REFRESH_INTERVAL GOOGLE_SECRET_MANAGER_ALWAYS_READ_SECRET_MANAGER",
        "google_kms": "GOOGLE_APPLICATION_CREDENTIALS GOOGLE_KMS_RESOURCE_NAME",
        "local": "ASYNCSECRETS_KEY",
    }
    for system, variables in documented.items():
        known = {variable for setting in vocabulary(system).values() for variable in setting.environ}
        assert set(variables.split()) <= known, system


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_every_setting_of_every_manager_can_be_set(system: str):
    """A fitting value of its kind is accepted under every key of the vocabulary."""
    fitting: dict[Kind, Any] = {
        Kind.TEXT: "x",
        Kind.BOOL: "yes",
        Kind.SECONDS: "1",
        Kind.SECONDS_OR_ZERO: "0",
        Kind.COUNT: "1",
        Kind.LIST: ["x"],
        Kind.NAMES: ["x"],
        Kind.MAPPING: {"k": "x"},
    }
    words = vocabulary(system)
    given = {key: setting.choices[0] if setting.choices else fitting[setting.kind] for key, setting in words.items()}
    source = config(system, **given)
    assert set(source.settings) == set(words) - set(COMMON)


def test_the_vocabulary_of_vault_is_that_of_its_provider():
    """The two lists are kept apart (checking a file imports no provider) and are the same."""
    known = {field.name for field in dataclasses.fields(VaultSettings)} - {"environ"}
    assert set(vocabulary("hashicorp_vault")) - set(COMMON) == known
    assert set(SYSTEMS["hashicorp_vault"]["auth_method"].choices) == set(get_args(AuthMethod))


# LiteLLM's keys


LITELLMS = {
    "hosted_keys": ["A"],
    "store_virtual_keys": True,
    "prefix_for_stored_virtual_keys": "p/",
    "access_mode": "read_only",
    "primary_secret_name": "all",
    "description": "canary",
    "tags": {"a": "canary"},
    "kms_key_id": "canary",
    "custom_secret_manager": "m.C",
    "aws_region_name": "canary",
    "aws_role_name": "os.environ/NOT_SET",
    "aws_session_name": "canary",
    "aws_external_id": "canary",
    "aws_profile_name": "canary",
    "aws_web_identity_token": "canary",
    "aws_sts_endpoint": "canary",
    "replica_regions": ["canary"],
}


@pytest.mark.parametrize("system", sorted(set(SYSTEMS) - {"custom"}))
def test_every_key_of_litellm_under_every_manager(system: str, caplog: pytest.LogCaptureFixture):
    """LiteLLM takes them all: whoever changes the manager keeps the rest, and is told of what has no effect."""
    unused = set(LITELLMS) - set(vocabulary(system))
    source = config(system, {"NOT_SET": "x"}, **LITELLMS)
    assert not unused & set(source.settings)
    assert sorted(caplog.messages) == sorted(
        f"configuration: general_settings.key_management_settings.{key} has no effect on {system}" for key in unused
    )
    assert set(LITELLMS) - set(COMMON) == LITELLM
    caplog.clear()
    config(system, **dict.fromkeys(unused))
    assert caplog.messages == []


def test_what_has_no_effect_is_not_looked_at(tmp_path: Path):
    """Neither a variable that is not there nor one that a found file may not have stands in the way."""
    (tmp_path / "config.yaml").write_text(
        "general_settings:\n  key_management_system: hashicorp_vault\n"
        "  key_management_settings: {aws_external_id: os.environ/AWS_SECRET_ACCESS_KEY, tags: }"
    )
    environ = {"AWS_SECRET_ACCESS_KEY": "canary"}
    assert Config.from_environment(environ, tmp_path).sources["default"].settings == {}
