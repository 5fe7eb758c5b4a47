"""A configuration that is refused shows no credential: in no message, attribute or frame of the error.

What can be wrong with each setting of each manager is planted, one at a time, beside the manager's credentials; every
way in is walked. Managers to come are walked as soon as the vocabulary and the registry know them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.boundary import configuring
from asyncsecrets.config import Config, load_config
from asyncsecrets.errors import AsyncSecretsError, ConfigError
from asyncsecrets.kinds import Kind
from asyncsecrets.providers.aws.settings import AwsSettings
from asyncsecrets.providers.dotenv import parse_dotenv
from asyncsecrets.providers.local import LocalProvider, init_store, write_key_file
from asyncsecrets.providers.local_keys import Keys, generate_key
from asyncsecrets.providers.local_recipients import new_recipient
from asyncsecrets.providers.local_store import parse_store
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.providers.vault.settings import VaultSettings
from asyncsecrets.registry import BUILT_IN, build, load
from asyncsecrets.settings import COMMON, SYSTEMS, vocabulary
from tests.frames import leaks

ENVIRON = {"HOME": "/nonexistent", "SOME_API_KEY": "canary-elsewhere"} | {
    variable: f"canary-{variable}"
    for words in SYSTEMS.values()
    for setting in words.values()
    if setting.credential
    for variable in setting.environ
}

NEEDED: dict[str, dict[str, Any]] = {
    "hashicorp_vault": {"addr": "https://vault.test:8200"},
    "azure_key_vault": {"azure_key_vault_uri": "https://demo.vault.azure.net"},
    "aws_kms": {"aws_role_name": "arn:aws:iam::123456789012:role/some"},
    "aws_secret_manager": {"aws_role_name": "arn:aws:iam::123456789012:role/some"},
    "google_kms": {"google_kms_resource_name": "projects/a/locations/global/keyRings/b/cryptoKeys/c"},
    "custom": {"custom_secret_manager": "asyncsecrets.providers.memory.MemoryProvider"},
}

ODD: list[Any] = [
    "no such thing", "", "\n", "9" * 400, "nan", "http://elsewhere.test", "http://[", "\ud800", "os.environ/NOT_SET",
    "secret://x/y", 5, -1, 1.5, float("nan"), True, None, b"x", object(), (), [], [1], ["x", None], {}, {1: 2},
    {"a": object()}, {"a": {"b": "c"}},
]  # fmt: skip

OF_A_SETTING = ["no such thing", "9" * 400, "http://[", "\ud800", "os.environ/NOT_SET", object(), [1], {1: 2}]


def credentials(system: str) -> dict[str, Any]:
    """Every credential of a manager's settings, planted."""
    planted = {key: f"canary-{key}" for key, setting in vocabulary(system).items() if setting.credential}
    return {
        key: {"NAME": value} if vocabulary(system)[key].kind is Kind.MAPPING else value
        for key, value in planted.items()
    }


def faulty(system: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The manager's settings, with one thing wrong in each."""
    good = {**NEEDED.get(system, {}), **credentials(system)}
    yield "nothing", good
    yield "an unknown setting", {**good, "tokn": "x"}
    for key in vocabulary(system):
        yield f"no {key}", {name: value for name, value in good.items() if name != key}
        for odd in OF_A_SETTING:
            yield f"{key}: {odd!a:.40}", {**good, key: odd}


def document(system: Any, settings: Any) -> dict[str, Any]:
    """A configuration, with somebody else's credentials beside ours."""
    general = {"key_management_system": system, "key_management_settings": settings}
    return {"general_settings": {**general, "master_key": "canary-master"}, "model_list": [{"api_key": "canary-api"}]}


def walk(ways: Mapping[str, Callable[[], object]]) -> tuple[int, list[str]]:
    """How many of them fail, and what is wrong with it: anything but an error of ours, and every place that leaks."""
    failed, wrong = 0, []
    for way, call in ways.items():
        try:
            call()
        except AsyncSecretsError as error:
            failed += 1
            wrong += [f"{way}: {place}" for place in leaks(error)]
        except Exception as error:  # noqa: BLE001  # it is what is looked for
            wrong.append(f"{way}: {type(error).__name__}")
    return failed, wrong


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_settings_that_are_refused_show_nothing(system: str) -> None:
    """By every way in: as a mapping, to the registry, and to the class itself."""
    ways: dict[str, Callable[[], object]] = {}
    for what, settings in faulty(system):
        whole = document(system, settings)
        ways[f"load_config, {what}"] = lambda whole=whole: load_config(whole, ENVIRON)
        ways[f"explain, {what}"] = lambda whole=whole: SecretsClient.from_config(whole, environ=ENVIRON).explain("A")
        ways[f"build, {what}"] = lambda settings=settings: build(system, settings, ENVIRON)
        if BUILT_IN[system].target is not None:
            ways[f"from_settings, {what}"] = lambda settings=settings: load(system).from_settings(settings, ENVIRON)
    failed, wrong = walk(ways)
    assert wrong == []
    assert failed > len(COMMON) * len(OF_A_SETTING)


def written(folder: Path, text: str) -> Path:
    path = folder / f"{len(list(folder.iterdir()))}.yaml"
    path.write_bytes(text.encode("latin1"))
    return path


VAULT = json.dumps(document("hashicorp_vault", {"token": "canary-token", "addr": "https://vault.test"}))

TEXTS = {
    "no end": VAULT[:-1],
    "not YAML": VAULT.replace('"https', '*"https'),
    "latin1": VAULT.replace("vault.test", "v\xe4ult.test"),
    "a tag": VAULT.replace('"https', '!x "https'),
    "twice": VAULT.replace('"token"', '"token": "canary-twice", "token"'),
    "not a mapping": "canary-token",
    "sections that are none": '{"general_settings": "canary-token", "asyncsecrets": ["canary-token"]}',
    "a system that is none": VAULT.replace("hashicorp_vault", "hashcorp_vault"),
    "an unset variable": VAULT.replace("https://vault.test", "os.environ/NOT_SET"),
    "a section of ours": VAULT[:-1] + ', "asyncsecrets": {"sourses": {"x": {"token": "canary-token"}}}}',
    "a source": VAULT[:-1] + ', "asyncsecrets": {"sources": {"x y": {"token": "canary-token"}}}}',
    "another default": VAULT[:-1] + ', "asyncsecrets": {"sources": {"default": {"key_management_system": "env"}}}}',
    "a near miss": VAULT.replace("key_management_settings", "key_management_setings"),
    "deep": VAULT.replace('"https://vault.test"', "[" * 60 + '"canary-token"' + "]" * 60),
    "control characters": VAULT.replace("canary-token", "canary\x01token"),
}


@pytest.mark.parametrize("what", TEXTS)
def test_files_that_are_refused_show_nothing(what: str, tmp_path: Path) -> None:
    """Neither what stands in them nor the environment, whether they are named or found."""
    path = written(tmp_path, TEXTS[what])
    found = tmp_path / "found"
    found.mkdir(mode=0o700)
    (found / "config.yaml").write_bytes(path.read_bytes())
    named = {**ENVIRON, "ASYNCSECRETS_CONFIG": str(path)}
    failed, wrong = walk(
        {
            "load_config": lambda: load_config(path, ENVIRON),
            "from_config": lambda: SecretsClient.from_config(path, environ=ENVIRON),
            "named by the environment": lambda: Config.from_environment(named, tmp_path),
            "from_environment": lambda: SecretsClient.from_environment(environ=named),
            "found": lambda: Config.from_environment(ENVIRON, found),
        }
    )
    assert wrong == []
    assert failed >= 4


def test_environments_that_are_refused_show_nothing() -> None:
    """Its variables are somebody's credentials, all of them."""
    here = Path("/nonexistent")
    wrong_ones: list[dict[str, Any]] = [
        {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "nope"},
        {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault", "HCP_VAULT_REFRESH_INTERVAL": "often"},
        {"ASYNCSECRETS_CONFIG": "/nonexistent.yaml"},
        {"ASYNCSECRETS_CONFIG": "\0"},
        *({"ASYNCSECRETS_CONFIG": odd} for odd in ODD if odd and not isinstance(odd, str)),
    ]
    ways = {
        f"{more!a:.60}": lambda more=more: Config.from_environment({**ENVIRON, **more}, here) for more in wrong_ones
    }
    failed, wrong = walk(ways)
    assert (failed, wrong) == (len(wrong_ones), [])


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_arguments_that_are_refused_show_nothing(odd: Any, tmp_path: Path) -> None:
    """Classes and functions that are handed a credential, and something that they cannot use."""
    secret, public = generate_key()
    path = tmp_path / "x"
    _, wrong = walk(
        {
            **{
                f"VaultSettings {name}": lambda name=name: VaultSettings(
                    **{"addr": "https://vault.test", "token": "canary-token", name: odd}
                )
                for name in ("addr", "token", "connect_timeout", "kv_version", "auth_method", "client_cert")
            },
            **{
                f"AwsSettings {name}": lambda name=name: AwsSettings(
                    **{"access_key_id": "canary-id", "secret_access_key": "canary-key", name: odd}
                )
                for name in ("secret_access_key", "role", "region", "endpoint", "connect_timeout", "environ")
            },
            **{
                f"from_provider {name}": lambda name=name: SecretsClient.from_provider(
                    MemoryProvider({"A": "canary-value"}), **{name: odd}
                )
                for name in ("access_mode", "refresh_interval", "max_entries", "hosted_keys")
            },
            "from_provider": lambda: SecretsClient.from_provider(odd),
            "SecretsClient": lambda: SecretsClient(odd, environ=ENVIRON),
            "MemoryProvider": lambda: MemoryProvider({"A": "canary-value", odd if odd.__hash__ else "B": odd}),
            "LocalProvider": lambda: LocalProvider(odd, key="canary-key"),
            "LocalProvider versions": lambda: LocalProvider(key="canary-key", max_versions=odd),
            "Keys": lambda: Keys(f"{secret}\ncanary-key"),
            "new_recipient": lambda: new_recipient(secret, "canary-name"),
            "new_recipient that is none": lambda: new_recipient("canary-key", "canary-name"),
            "new_recipient with an odd name": lambda: new_recipient(public, "canary\x00name"),
            "new_recipient that is odd": lambda: new_recipient(odd, odd),
            "init_store": lambda: init_store(path, public, {"A": "canary-value", "B": odd}),
            "init_store recipient": lambda: init_store(path, odd, {"A": "canary-value"}),
            "parse_dotenv": lambda: parse_dotenv(b"A=canary-value\nB='canary", origin=".env"),
            "parse_store": lambda: parse_store(b"secrets: {A: canary-value}", origin="secrets.yaml"),
            "load_config environ": lambda: load_config(document("local", credentials("local")), odd),
        }
    )
    assert wrong == []


def test_a_key_file_that_cannot_be_written_shows_no_key(tmp_path: Path) -> None:
    """Neither that it is there already, nor that its folder cannot be made."""
    write_key_file(tmp_path / "key.txt", "canary-key", "age1")
    with pytest.raises(ConfigError) as refused:
        write_key_file(tmp_path / "key.txt", "canary-key", "age1")
    with pytest.raises(OSError) as failed:
        write_key_file(tmp_path / "key.txt" / "below", "canary-key", "age1")
    assert leaks(refused.value) == leaks(failed.value) == []


def test_what_is_not_ours_is_told_without_its_text() -> None:
    """Which exception it was, and where: that is enough to find what is wrong."""

    @configuring
    def read(token: str) -> float:
        return float(token)

    with pytest.raises(ConfigError, match=r"read: ValueError in test_configuration_frames\.py, line \d+: ") as caught:
        read("canary-token")
    assert leaks(caught.value) == []
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        read("x", nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        SecretsClient.from_config({}, nonsense=1)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"access_mode": "canary"}, "access_mode must be one of read_only, write_only, read_and_write"),
        ({"refresh_interval": 0.0}, "source 'default': refresh_interval must be more than zero seconds"),
        ({"max_stale": -1.0}, "source 'default': max_stale must be a number of seconds, zero or more"),
        ({"hosted_keys": "A"}, "hosted_keys is a list of names, not one string"),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_is_a_configuration_error(option: dict[str, Any], said: str) -> None:
    """With its name and what it must be."""
    with pytest.raises(ConfigError) as caught:
        SecretsClient.from_provider(MemoryProvider(), **option)
    assert str(caught.value) == said
