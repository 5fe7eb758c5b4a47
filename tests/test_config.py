"""config.yaml and the environment become sources: what is read, what is refused, and that no value is ever shown."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets import RetryPolicy, SecretsClient
from asyncsecrets.config import AccessMode, Config, Freshness, SourceConfig, load_config
from asyncsecrets.credential import Credential
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.vault.settings import AuthMethod, VaultSettings
from asyncsecrets.settings import COMMON, LITELLM, SYSTEMS, Kind, vocabulary

SEED_CONFIGS = Path(__file__).parent / "data" / "seed-configs"

SEED = {
    "01-aws-read.yaml": SourceConfig(
        name="default", system="aws_secret_manager", hosted_keys=frozenset({"litellm_master_key"})
    ),
    "02-aws-write.yaml": SourceConfig(
        name="default",
        system="aws_secret_manager",
        access_mode=AccessMode.WRITE_ONLY,
        store_virtual_keys=True,
        virtual_key_prefix="litellm/",
    ),
    "03-aws-read-write.yaml": SourceConfig(
        name="default",
        system="aws_secret_manager",
        access_mode=AccessMode.READ_AND_WRITE,
        store_virtual_keys=True,
        hosted_keys=frozenset({"litellm_master_key"}),
    ),
    "04-aws-primary-secret.yaml": SourceConfig(
        name="default",
        system="aws_secret_manager",
        hosted_keys=frozenset({"OPENAI_API_KEY_MODEL_1", "OPENAI_API_KEY_MODEL_2"}),
        primary_secret_name="litellm_secrets",
    ),
    "05-hashicorp-vault.yaml": SourceConfig(
        name="default", system="hashicorp_vault", access_mode=AccessMode.READ_AND_WRITE, store_virtual_keys=True
    ),
    "06-azure-key-vault.yaml": SourceConfig(name="default", system="azure_key_vault"),
    "07-google-secret-manager.yaml": SourceConfig(name="default", system="google_secret_manager"),
    "08-google-kms.yaml": SourceConfig(name="default", system="google_kms"),
    "09-aws-kms.yaml": SourceConfig(name="default", system="aws_kms", hosted_keys=frozenset({"LITELLM_MASTER_KEY"})),
    "10-all-settings.yaml": SourceConfig(
        name="default",
        system="aws_secret_manager",
        access_mode=AccessMode.WRITE_ONLY,
        store_virtual_keys=True,
        hosted_keys=frozenset({"litellm_master_key"}),
    ),
}


def config(system: str, environ: Mapping[str, str] | None = None, /, **given: Any) -> SourceConfig:
    """The default source of a configuration that has just this manager and these settings."""
    document = {"general_settings": {"key_management_system": system, "key_management_settings": given}}
    return load_config(document, environ or {}).sources["default"]


def refused(document: Any, environ: Mapping[str, str] | None = None) -> str:
    """The message with which ``document`` is refused; it never shows a value."""
    with pytest.raises(ConfigError) as caught:
        load_config(document, environ or {})
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)
    return str(caught.value)


def settings_refused(system: str, environ: Mapping[str, str] | None = None, /, **given: Any) -> str:
    return refused({"general_settings": {"key_management_system": system, "key_management_settings": given}}, environ)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str | bytes, name: str = "config.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


# The file of the seed


@pytest.mark.parametrize("name", sorted(SEED))
def test_a_configuration_of_the_documentation_loads_as_it_stands(name: str):
    """Each documented file is understood in full, and gives exactly one source."""
    loaded = load_config(SEED_CONFIGS / name, {})
    assert loaded.sources == {"default": SEED[name]}
    assert loaded.env_file is None
    assert loaded.origin.endswith(name)


def test_every_documented_configuration_is_looked_at():
    """No file of the data directory is forgotten."""
    assert {path.name for path in SEED_CONFIGS.iterdir()} == set(SEED)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "general_settings:\n",
        "general_settings: {master_key: sk-canary, key_management_system: }",
        "model_list: [{model_name: x}]\nlitellm_settings: {cache: no}\nasyncsecrets:\n",
        "general_settings: {key_management_settings: {}}",
    ],
)
def test_without_a_manager_the_environment_is_the_default_source(write: Callable[..., Path], text: str):
    """Sections of other programs are left alone, whatever they hold."""
    assert load_config(write(text), {}).sources == {"default": SourceConfig(name="default", system="env")}


def test_a_path_may_be_text_and_a_mapping_may_be_the_file_s_content(write: Callable[..., Path]):
    """A mapping with Python's own types means what the same file means."""
    text = """
    general_settings:
      key_management_system: aws_secret_manager
      key_management_settings:
        {hosted_keys: [A], store_virtual_keys: yes, refresh_interval: 300, max_stale: 0, on_denied: , tags: {a: 1}}
    """
    given = {"hosted_keys": ("A",), "store_virtual_keys": True, "refresh_interval": 300, "max_stale": 0.0}
    from_file = load_config(str(write(text)), {}).sources
    assert from_file == {"default": config("aws_secret_manager", **given, on_denied=None, tags={"a": 1})}
    assert from_file["default"].settings == {"tags": {"a": "1"}}


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


# The document


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a]", "the document must be a mapping"),
        ("canary", "the document must be a mapping"),
        ("general_settings: [canary]", "general_settings must be a mapping"),
        (
            "general_settings: {key_management_system: [canary]}",
            "general_settings.key_management_system must be a text",
        ),
        (
            "general_settings: {key_management_system: env, key_management_settings: [canary]}",
            "general_settings.key_management_settings must be a mapping",
        ),
        ("general_settings: {key_management_settings: {a: canary}}", "without a key_management_system"),
        ("general_settings: {key_management_system: aws_secrets_manager}", "did you mean 'aws_secret_manager'?"),
        ("general_settings: {key_management_system: secret:///canary}", "cannot be a secret:// reference"),
        ("asyncsecrets: canary", "asyncsecrets must be a mapping"),
        ("asyncsecrets: {source: {}}", "did you mean 'sources'?"),
        ("asyncsecrets: {sources: [canary]}", "asyncsecrets.sources must be a mapping"),
        ("asyncsecrets: {sources: {Team: {}}}", "'Team' cannot name a source"),
        ("asyncsecrets: {sources: {a: canary}}", "asyncsecrets.sources.a must be a mapping"),
        ("asyncsecrets: {sources: {a: {}}}", "asyncsecrets.sources.a needs a key_management_system"),
        (
            "asyncsecrets: {sources: {a: {key_management_setting: {}, key_management_system: env}}}",
            "did you mean 'key_management_settings'?",
        ),
        ("asyncsecrets: {env_file: [canary]}", "asyncsecrets.env_file must be a text"),
        (
            "general_settings: {key_management_system: env, key_management_system: env}",
            "column 48: a key that this mapping has already",
        ),
        ("asyncsecrets: !!python/name:os.system {}", "a tag"),
        ("", "the document is empty; write a section into it"),
        ("# all of it is a comment\n", "the document is empty"),
        ("general_settings:\nkey_management_system: local", "'key_management_system' at the top; it belongs under"),
        ("General-Settings: {key_management_system: local}", "did you mean 'general_settings'?"),
        ("includes: [a.yaml]", "did you mean 'include'?"),
        ("include: a.yaml", "include must be a list of files"),
        ("include:", "include must be a list of files"),
        ("include: [{a: b}]", "include must be a list of files"),
        ("environment_variables: [canary]", "environment_variables must be a mapping"),
        (
            "environment_variables: {A: os.environ/B, B: secret:///C, C: os.environ/A}",
            "'A' is named by a reference that leads back to it",
        ),
        (f"asyncsecrets: {'[' * 40}{']' * 40}", "nested more than"),
    ],
)
def test_a_wrong_document_is_refused_with_its_file_and_place(write: Callable[..., Path], text: str, problem: str):
    """The message begins with the file, names the section, and shows no value."""
    assert problem in refused(write(text))


def test_the_default_source_cannot_be_declared_twice():
    """Whether general_settings or ``sources`` wins must not be a guess."""
    manager = {"key_management_system": "env"}
    message = refused({"general_settings": manager, "asyncsecrets": {"sources": {"default": manager}}})
    assert "asyncsecrets.sources.default is general_settings' manager already" in message


@pytest.mark.parametrize("value", [object(), b"canary", {1, 2}, 1j])
def test_a_mapping_of_anything_else_is_refused(value: object):
    """Only what a file could hold is a setting."""
    assert "not a text, number, boolean, list or mapping" in settings_refused("env", hosted_keys=value)


def test_a_recursive_mapping_is_refused():
    """A structure that contains itself ends in an error, not in a stack overflow."""
    recursive: dict[str, Any] = {}
    recursive["sources"] = recursive
    assert "nested more than" in refused({"asyncsecrets": recursive})


def test_several_sources_and_an_env_file(write: Callable[..., Path]):
    """Every source has its own manager, settings and freshness; general_settings' manager is the default one."""
    path = write("""
general_settings: {key_management_system: aws_secret_manager}
asyncsecrets:
  env_file: conf/.env
  sources:
    team-vault:
      key_management_system: hashicorp_vault
      key_management_settings: {addr: "https://v", refresh_interval: 300, access_mode: read_and_write}
    plain_1:
      key_management_system: env
""")
    loaded = load_config(path, {"SECRET_MANAGER_REFRESH_INTERVAL": "70"})
    assert list(loaded.sources) == ["team-vault", "plain_1", "default"]
    assert loaded.env_file == path.parent / "conf" / ".env"
    vault = loaded.sources["team-vault"]
    assert (vault.name, vault.system, vault.access_mode) == ("team-vault", "hashicorp_vault", AccessMode.READ_AND_WRITE)
    assert vault.settings == {"addr": "https://v"}
    assert [source.freshness.refresh_interval for source in loaded.sources.values()] == [300, 70, 70]


def test_the_default_source_may_be_declared_among_the_others():
    """Where general_settings has no manager, ``sources`` may have one of the name ``default``."""
    document = {
        "asyncsecrets": {
            "sources": {"default": {"key_management_system": "memory"}, "b": {"key_management_system": "env"}}
        }
    }
    assert load_config(document, {}).sources["default"].system == "memory"


def test_access_modes():
    """Who may read and who may write."""
    modes = {mode.value: (mode.reads, mode.writes) for mode in AccessMode}
    assert modes == {"read_only": (True, False), "write_only": (False, True), "read_and_write": (True, True)}


# A program that was given no configuration


def test_with_nothing_given_the_environment_is_asked(tmp_path: Path):
    """No file, no variable: one source, the environment."""
    assert Config.from_environment({}, tmp_path).sources == {"default": SourceConfig(name="default", system="env")}


def test_the_variable_names_the_file(write: Callable[..., Path], tmp_path: Path):
    """A relative path is relative to the working directory, and goes before a config.yaml there."""
    write("general_settings: {key_management_system: aws_kms}")
    write("general_settings: {key_management_system: google_kms}", "other.yaml")
    for path in ("other.yaml", str(tmp_path / "other.yaml")):
        loaded = Config.from_environment({"ASYNCSECRETS_CONFIG": path}, tmp_path)
        assert loaded.sources["default"].system == "google_kms"


@pytest.mark.parametrize("path", ["missing.yaml", ".", "a\x00b"])
def test_a_file_that_cannot_be_read_is_named(path: str, tmp_path: Path):
    """What the variable names must be there; the environment does not step in."""
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        Config.from_environment({"ASYNCSECRETS_CONFIG": path}, tmp_path)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "text",
    [
        "general_settings: {key_management_system: aws_kms}",
        "asyncsecrets: {sources: {default: {key_management_system: aws_kms}}}",
    ],
)
def test_a_config_yaml_of_ours_in_the_working_directory_is_used(write: Callable[..., Path], text: str):
    """It is ours if it has a manager or our section, and it goes before the variable that names a manager."""
    folder = write(text).parent
    environ = {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "google_kms", "ASYNCSECRETS_CONFIG": ""}
    assert Config.from_environment(environ, folder).sources["default"].system == "aws_kms"


@pytest.mark.parametrize(
    "text",
    [
        "model_list: []",
        "general_settings: {master_key: canary}",
        "password: !secret canary",
        "a: 1\na: 2",
        "x: &a {b: c}\ny: {<<: *a, d: 2001-01-01}",
        "{}",
    ],
)
def test_a_config_yaml_of_another_program_is_left_alone(write: Callable[..., Path], text: str):
    """What it has for others is theirs; the variable that names a manager holds all the same."""
    folder = write(text).parent
    assert Config.from_environment({}, folder).sources["default"].system == "env"
    environ = {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "aws_kms"}
    assert Config.from_environment(environ, folder).sources["default"].system == "aws_kms"


@pytest.mark.parametrize(
    "text",
    [
        "- canary",
        "",
        "# general_settings: {key_management_system: local}",
        b"\xff\xfe",
        b"x" * 2_000_000,
        "a: 1\n---\nb: 2",
        "general_setings: {key_management_system: local}",
        "general_settings: {key_managment_system: local}",
        "general_settings: {key_management_settings: {hosted_keys: [A]}}",
        "general_settings: [key_management_system]",
        "general_settings:\nkey_management_system: local",
        "asyncsecret: {}",
        "asyncsecrets: [canary]",
        "include: canary",
        "include: [missing.yaml]",
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("missing.yaml"),
    ],
)
def test_a_file_that_is_found_is_checked_like_one_that_is_named(tmp_path: Path, text: Any):
    """Nothing that is wrong in it has the environment, or the manager that a variable names, answer instead."""
    path = tmp_path / "config.yaml"
    text(path) if callable(text) else path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for environ in ({}, {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "env"}):
        with pytest.raises(ConfigError, match=r"config\.yaml") as caught:
            Config.from_environment(environ, tmp_path)
        assert "canary" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.__context__ is None
    if not path.is_fifo():
        with pytest.raises(ConfigError) as named:
            load_config(path, {})
        assert str(caught.value).startswith(str(named.value))


def test_a_config_yaml_of_ours_that_is_broken_is_an_error(write: Callable[..., Path]):
    """A mistake in the file never makes the environment answer instead of the manager."""
    folder = write("general_settings:\n  key_management_system: aws_kms\n key: 'canary").parent
    with pytest.raises(ConfigError, match=r"config\.yaml, line 3") as caught:
        Config.from_environment({}, folder)
    assert "canary" not in str(caught.value)


def test_the_variable_that_names_a_manager(tmp_path: Path):
    """Settings come from the environment only; a wrong name is an error that names the variable."""
    environ = {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault", "HCP_VAULT_REFRESH_INTERVAL": "60"}
    source = Config.from_environment(environ, tmp_path).sources["default"]
    assert (source.system, source.settings, source.freshness.refresh_interval) == ("hashicorp_vault", {}, 60)
    with pytest.raises(ConfigError, match=r"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM: .*did you mean 'hashicorp_vault'"):
        Config.from_environment({"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vaults"}, tmp_path)


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_variables_that_are_blank_are_unset(tmp_path: Path, value: str):
    """docker compose and Helm pass on as empty what is not set; blanks around what is set are none of it."""
    names = ["ASYNCSECRETS_CONFIG", "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM", "SECRET_MANAGER_REFRESH_INTERVAL"]
    blank = dict.fromkeys(names, value)
    assert Config.from_environment(blank, tmp_path).sources == {"default": SourceConfig(name="default", system="env")}
    named = {
        "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": f"hashicorp_vault{value}",
        "HCP_VAULT_REFRESH_INTERVAL": f"60{value}",
    }
    source = Config.from_environment({**blank, **named}, tmp_path).sources["default"]
    assert (source.system, source.freshness.refresh_interval) == ("hashicorp_vault", 60)


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


# Fuzz

WORDS = st.sampled_from(
    [
        *("general_settings", "key_management_system", "key_management_settings", "asyncsecrets", "sources"),
        *("env_file", "default", "vault", "env", "hashicorp_vault", "custom", "true", "1"),
        *("os.environ/X", "os.environ/", "secret://a/b"),
        *sorted(COMMON),
    ]
)
SCALARS = WORDS | st.text(max_size=8) | st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=3)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4)
)
SETTINGS = st.dictionaries(
    st.sampled_from(sorted({key for one in SYSTEMS.values() for key in one} | set(COMMON))), TREES
)


@settings(max_examples=300, deadline=2000)
@given(
    document=st.dictionaries(WORDS, TREES, max_size=3)
    | st.builds(
        lambda system, given: {"general_settings": {"key_management_system": system, "key_management_settings": given}},
        st.sampled_from(sorted(SYSTEMS)),
        SETTINGS,
    )
)
def test_fuzz_a_mapping_is_a_configuration_or_a_config_error(document: dict[str, Any]):
    """Nothing but ConfigError leaves, and whatever is accepted has a default source whose settings are text."""
    try:
        loaded = load_config(document, {"X": "canary"})
    except ConfigError as error:
        assert error.__context__ is None  # noqa: PT017 - being accepted is fine too
        assert "canary" not in str(error)  # noqa: PT017
        return
    assert "default" in loaded.sources
    assert all(
        isinstance(value, (str, list, dict, Credential)) for value in loaded.sources["default"].settings.values()
    )
    named = loaded.sources["default"].primary_secret_name  # a name is shown, also one that the environment gave
    assert "canary" not in repr(loaded).replace(f"primary_secret_name={named!r}", "")


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"general_settings": {"key_management_sytem": "local"}}, "key_management_system"),
        ({"general_setings": {"key_management_system": "local"}}, "general_settings"),
        ({"asyncsecret": {"sources": {}}}, "asyncsecrets"),
    ],
)
def test_a_typo_in_the_key_that_leads_to_the_manager_is_not_somebody_elses(document, word):
    """It would have every secret read from the environment in silence."""
    with pytest.raises(ConfigError, match=f"did you mean '{word}'"):
        load_config(document, {})


def test_a_local_file_is_looked_at_every_few_seconds():
    """A file that has not changed costs next to nothing to ask, and a change is to be seen soon."""
    config = load_config({"general_settings": {"key_management_system": "local"}}, {})
    assert config.sources["default"].freshness.refresh_interval == 10.0


@pytest.mark.parametrize(
    ("section", "policy"),
    [
        ({"attempts": 5, "deadline": 20, "backoff": [0.2, 5]}, RetryPolicy(5, 20.0, (0.2, 5.0))),
        ({"deadline": "2.5"}, RetryPolicy(deadline=2.5)),
        ({"backoff": [0, 0]}, RetryPolicy(backoff=(0.0, 0.0))),
        ({}, None),
        (None, None),
    ],
)
def test_the_retry_policy_of_a_file(section: object, policy: RetryPolicy | None) -> None:
    """What the section says; the rest is as usual."""
    assert load_config({"asyncsecrets": {"retry": section}}, {}).retry == policy


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"attempt": 3}, "did you mean 'attempts'?"),
        ({"tries": 3}, "there are: attempts, backoff, deadline"),
        ({"attempts": 0}, "retry.attempts must be a whole number from 1"),
        ({"deadline": "canary"}, "retry.deadline must be a number of seconds"),
        ({"deadline": 0}, "retry.deadline must be a number of seconds"),
        ({"backoff": 3}, "retry.backoff must be a list"),
        ({"backoff": [3]}, "retry.backoff must be two numbers of seconds"),
        ({"backoff": [3, 1]}, "retry.backoff must be two numbers of seconds, the smaller one first"),
        ({"backoff": [1, "canary"]}, "retry.backoff must be a number of seconds"),
        ("canary", "asyncsecrets.retry must be a mapping"),
    ],
)
def test_what_no_retry_policy_says(section: object, problem: str) -> None:
    """Each mistake is an error that names the key, and quotes no value."""
    with pytest.raises(ConfigError, match=re.escape(problem)) as error:
        load_config({"asyncsecrets": {"retry": section}}, {})
    assert "canary" not in str(error.value)


def test_the_retry_policy_of_a_call_goes_before_that_of_the_file() -> None:
    """Of a client that is built with one."""
    document = {"asyncsecrets": {"retry": {"deadline": 20}}}
    for policy, seconds in ((None, 20.0), (RetryPolicy(deadline=3.0), 3.0)):
        client = SecretsClient.from_config(document, environ={}, retry=policy)
        assert {source.retry.policy.deadline for source in client._sources.values()} == {seconds}


# LiteLLM's hook


def hooked(**told: Any) -> dict[str, Any]:
    """A configuration by which LiteLLM asks asyncsecrets, and asyncsecrets a Vault."""
    return {
        "general_settings": {
            "key_management_system": "custom",
            "key_management_settings": {"custom_secret_manager": "secret_manager.AsyncSecrets", **told},
        },
        "asyncsecrets": {
            "sources": {
                "default": {
                    "key_management_system": "hashicorp_vault",
                    "key_management_settings": {"addr": "https://v.example", "access_mode": "read_and_write"},
                }
            }
        },
    }


def test_behind_litellm_s_hook_is_the_source_default():
    """What LiteLLM is told holds for it too, where it does not say otherwise."""
    source = load_config(hooked(hosted_keys=["A"], store_virtual_keys=True, access_mode="read_only"), {}).sources
    assert set(source) == {"default"}
    assert source["default"] == SourceConfig(
        name="default",
        system="hashicorp_vault",
        settings={"addr": "https://v.example"},
        hosted_keys=frozenset({"A"}),
        access_mode=AccessMode.READ_AND_WRITE,
        store_virtual_keys=True,
    )


def test_a_setting_beside_the_hook_is_checked_as_the_manager_s_own():
    """A typo is an error there as anywhere, and the place is that of the source."""
    assert "asyncsecrets.sources.default" in refused(hooked(hosted_key=["A"]))


def test_a_manager_of_general_settings_that_is_no_hook_stays_the_only_default():
    """Two managers under one name are one too many."""
    document = hooked()
    document["general_settings"]["key_management_system"] = "hashicorp_vault"
    assert "rename this one" in refused(document)
