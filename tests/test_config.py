"""config.yaml and the environment become sources: what is read, what is refused, and that no value is ever shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets import RetryPolicy, SecretsClient
from asyncsecrets.config import AccessMode, SourceConfig, load_config
from asyncsecrets.credential import Credential
from asyncsecrets.errors import ConfigError
from asyncsecrets.settings import COMMON, SYSTEMS
from tests.configured import config, refused, settings_refused, writer

write = pytest.fixture(writer)

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
