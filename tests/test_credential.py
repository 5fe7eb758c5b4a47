"""A setting that is a credential is shown by nothing, for every manager that the registry knows."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import pickle
import pprint
import re
import reprlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given as whatever
from hypothesis.strategies import text

from asyncsecrets.config import Config, load_config
from asyncsecrets.credential import Credential, conceal, concealed, revealed, shown_path, usable
from asyncsecrets.declared import ProviderSettings, SourceConfig
from asyncsecrets.errors import ConfigError
from asyncsecrets.kinds import Tidied
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.registry import BUILT_IN, build
from asyncsecrets.settings import SYSTEMS, vocabulary
from tests.test_configuration_frames import ENVIRON, NEEDED, credentials, document

TOKEN: Credential[str] = Credential("canary-token")

PRINTERS: dict[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "format": lambda thing: f"{thing!s:>40} {thing!r} {thing}",
    "%": lambda thing: "%s %r" % (thing, thing),  # noqa: UP031  # the way that is looked at
    "pprint": pprint.pformat,
    "reprlib": reprlib.repr,
    "vars": vars,
    "asdict": dataclasses.asdict,
    "astuple": dataclasses.astuple,
    "asdict as JSON": lambda thing: json.dumps(dataclasses.asdict(thing), default=repr),
    "JSON": lambda thing: json.dumps(thing, default=repr),
    "state": lambda thing: thing.__getstate__(),
    "slots": lambda thing: [getattr(thing, name) for name in type(thing).__slots__],
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "replace": dataclasses.replace,
    **{f"pickle {number}": lambda thing, number=number: pickle.dumps(thing, number) for number in range(6)},
}


def shown_by(thing: object) -> list[str]:
    """The ways that show a canary of a thing. One that refuses does not."""
    found = []
    for way, show in PRINTERS.items():
        try:
            text = str(show(thing))
        except Exception:  # noqa: BLE001  # it refuses
            continue
        if "canary" in text:
            found.append(way)
    return found + [place for place, text in formatted(thing) if "canary" in text]


def formatted(thing: object, place: str = "0", depth: int = 3) -> Iterator[tuple[str, str]]:
    """What a template makes of it and of whatever it reaches: ``{0.settings[token]}``."""
    yield place, ("{" + place + "}").format(thing) if place == "0" else str(thing)
    if not depth:
        return
    if isinstance(thing, Mapping):
        for key in thing:
            yield from formatted(thing[key], f"{place}[{key}]", depth - 1)
    for name in dir(thing):
        if not name.startswith("_") and not callable(member := getattr(thing, name)):
            yield from formatted(member, f"{place}.{name}", depth - 1)


def test_a_credential_shows_itself_by_reveal_only() -> None:
    """Whether there is something in it is seen, and nothing of it."""
    assert shown_by(TOKEN) == []
    assert TOKEN.reveal() == "canary-token"
    assert (repr(TOKEN), str(TOKEN), f"{TOKEN:>12}") == ("Credential('**********')", "**********", "  **********")
    assert (repr(Credential("")), bool(Credential("")), bool(TOKEN)) == ("Credential('')", False, True)
    assert (copy.copy(TOKEN) is TOKEN, copy.deepcopy(TOKEN) is TOKEN) == (True, True)
    with pytest.raises(TypeError, match="refuses to be pickled"):
        pickle.dumps(TOKEN)


def test_a_credential_is_compared_by_what_it_holds() -> None:
    """With another one, or with the text; so that settings stay comparable and hashable."""
    assert Credential("canary-token") == TOKEN
    assert TOKEN == "canary-token"
    assert Credential("canary-other") != TOKEN
    assert TOKEN != "canary-other"
    assert hash(Credential("canary-token")) == hash(TOKEN)


def test_the_watch_finds_what_is_not_concealed() -> None:
    """The tests here can fail."""
    open_one = dataclasses.make_dataclass("Open", ["token", "settings"])("canary-token", {"token": "canary-token"})
    assert {"repr", "vars", "asdict", "0.token", "0.settings[token]"} <= set(shown_by(open_one))
    hidden = ProviderSettings({"token": "canary-token"})
    assert "0[token]" in shown_by(hidden)


def test_a_source_that_is_made_by_hand_shows_no_credential() -> None:
    """Whatever its settings are given as."""
    for system, settings in {"hashicorp_vault": {"token": "canary-token"}, "custom": {"any": ["canary-token"]}}.items():
        source = SourceConfig(name="x", system=system, settings=settings)
        assert shown_by(source) == shown_by(Config(sources={"x": source})) == []
        assert {key: revealed(value) for key, value in source.settings.items()} == settings


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_a_configuration_shows_no_credential(system: str) -> None:
    """As a whole, a source of it, or its settings; nor what only somebody's own class knows."""
    unlisted = {"api_key": "canary-key", "more": {"a": ["canary-more"]}} if system == "custom" else {}
    settings = {**NEEDED.get(system, {}), **credentials(system), **unlisted}
    config = load_config(document(system, settings), ENVIRON)
    source = config.sources["default"]
    for thing in (config, source, source.settings):
        assert shown_by(thing) == []
    given = settings if system != "env" else {}
    assert {key: revealed(value) for key, value in source.settings.items()} == given


@pytest.mark.parametrize("system", sorted(name for name, entry in BUILT_IN.items() if entry.target))
def test_a_provider_and_its_settings_show_no_credential(system: str) -> None:
    """Neither those of its settings nor those of its environment; it has them all the same."""
    words = vocabulary(system)
    for given in (credentials(system), concealed(credentials(system)), {}):
        provider = build(system, {**NEEDED.get(system, {}), **given}, ENVIRON)
        assert shown_by(provider) == []
        settings = getattr(provider, "settings", None)
        assert shown_by(settings) == []
        for key in given:
            name = key.removeprefix("aws_")
            if settings is not None and words[key].credential and hasattr(settings, name):
                assert isinstance(getattr(settings, name), Credential)


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_a_setting_that_sounds_like_a_credential_is_one(system: str) -> None:
    """Or it is listed here, as something that lets nobody in: so a manager to come cannot forget it."""
    harmless = {
        "always_read_secret_manager", "approle_secret_id_file", "approle_secret_id_wrapped",
        "azure_federated_token_file", "azure_key_vault_uri", "client_key", "custom_secret_manager",
        "google_application_credentials", "google_secret_manager_location", "google_secret_manager_project_id",
        "hosted_keys", "kms_key_id", "kubernetes_token_file", "local_key_file", "prefix_for_stored_virtual_keys",
        "primary_secret_name", "renew_token", "secret_field", "secret_namespace", "store_virtual_keys", "token_file",
    }  # fmt: skip
    for key, setting in vocabulary(system).items():
        sounds = re.search("secret|token|key|password|credential|passphrase|jwt$", key)
        assert setting.credential or not sounds or key in harmless, key


class Own(MemoryProvider):
    """A class of somebody's own."""

    given: Mapping[str, Any] = {}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], environ: Mapping[str, str]) -> Own:
        cls.given = settings
        return cls()


def test_a_class_of_ones_own_is_given_text() -> None:
    """It was written for that; its mapping shows the names only."""
    whole = document("custom", {"custom_secret_manager": f"{__name__}.Own", "key": "canary-key", "all": ["canary-1"]})
    source = load_config(whole, {}).sources["default"]
    assert isinstance(source.settings["key"], Credential)
    build(source.system, source.settings, {})
    assert Own.given == {"custom_secret_manager": f"{__name__}.Own", "key": "canary-key", "all": ["canary-1"]}
    assert [type(Own.given["key"]), type(Own.given["all"][0])] == [str, str]  # a Credential is equal to its text
    assert repr(Own.given) == "<settings: custom_secret_manager, key, all>"


def test_settings_are_concealed_where_they_are_made() -> None:
    """Text and Credential alike; what is neither is named."""

    @dataclasses.dataclass(frozen=True, slots=True)
    class Settings:
        token: Any
        name: str = "x"

    for given in ("canary-token", TOKEN):
        settings = Settings(given)
        conceal(settings, "token")
        assert settings.token == TOKEN
        assert shown_by(settings) == []
    with pytest.raises(ConfigError, match="token must be a text"):
        conceal(Settings(b"canary"), "token")


@pytest.mark.parametrize("text", ["canary", " canary", "canary\n", "\tcanary\r\n", "\n\ncanary \v\f"])
def test_what_is_around_a_credential(text: str) -> None:
    """Blanks and line breaks are none of it; nothing but them is nothing."""
    assert usable(text, "TOKEN") == "canary"
    assert usable(text.replace("canary", ""), "TOKEN") == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("canary\ncanary", "TOKEN has a line break inside"),
        ("canary\rcanary", "TOKEN has a line break inside"),
        ("canary canary", "TOKEN has a blank inside"),
        ("canary\x00", "TOKEN has a character that is not printable ASCII inside"),
        ("canary\u2028", "TOKEN has a character"),
        ("\ufeffcanary", "TOKEN has a character"),
        ('{"token": "canary"}', "TOKEN holds JSON"),
        ('"canary"', "TOKEN stands in quotation marks"),
        ("'canary'\n", "TOKEN stands in quotation marks"),
    ],
)
def test_what_is_no_credential(text: str, says: str) -> None:
    """It is said where it is from and what is wrong, and nothing is shown."""
    with pytest.raises(ConfigError, match=f"^{says}") as caught:
        usable(text, "TOKEN")
    assert "canary" not in str(caught.value)
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert [frame for frame in frames if frame.f_globals["__name__"] == "asyncsecrets.credential"] == []


def test_a_credential_of_several_words() -> None:
    """A header's may be of words, and not of lines."""
    assert usable("Bearer canary\n", "TOKEN", words=True) == "Bearer canary"
    with pytest.raises(ConfigError, match="line break"):
        usable("Bearer\r\ncanary", "TOKEN", words=True)


@whatever(text())
def test_any_text_is_a_word_or_an_error(given: str) -> None:
    """What is let through breaks no header."""
    with contextlib.suppress(ConfigError):
        assert re.fullmatch(r"[!-~]*", usable(given, "TOKEN"))


def test_a_tidied_environment() -> None:
    """The first one that has a variable counts; it is looked at anew each time."""
    first, second = {"A": "", "B": " b\n"}, {"A": "a", "B": "other", "C": "\n"}
    found = Tidied(first, second)
    assert dict(found) == {"A": "a", "B": "b"}
    assert (len(found), found.get("C"), "C" in found) == (2, None, False)
    first["C"] = "c"
    assert found["C"] == "c"
    assert "other" not in repr(found)


@pytest.mark.parametrize(
    "path",
    [
        *("/var/run/secrets/kubernetes.io/serviceaccount/token", "~/.vault-token", "my-project-0a1b2c3d4e5f.json", "x"),
        *(
            "C:\\Users\\me\\key.json",
            "/run/secrets/secret-id-of-the-payment-service",
            "",
            "/",
            "'/etc/key.json'",
            ".env",
        ),
    ],
)
def test_a_path_is_shown(path):
    """Whoever has mistyped it sees how."""
    assert shown_path(path) == repr(path)


@pytest.mark.parametrize(
    "none",
    [
        *(
            "hvs.CAESIJ0b3RhbGx5LWEtY2FuYXJ5LW9mLW91cnM",
            "3f2a0b1c-1111-4222-9333-abcdefabcdef",
            "s.iyNUhq8Ov4hIAx6snw5mB2nL",
        ),
        *(
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJjYW5hcnkifQ.c2lnbmF0dXJl",
            '{"type": "canary"}',
            "/app/eyJhbGciOiJSUzI1NiJ9e30",
        ),
        *("-----BEGIN KEY-----", "AGE-SECRET-KEY-1", "a\nb.json", "/x" * 600, '"ZXlKMGVYQmxJam9nSW5ObGNuWnBZMlY5"'),
    ],
)
def test_what_looks_like_no_path_is_not_shown(none):
    """It may be what was to be in the file: pasted into the variable, and made a path of by a configuration."""
    assert shown_path(none).startswith("(not shown")
