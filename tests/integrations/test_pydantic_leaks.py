"""No value in what pydantic, pydantic-settings and we say when something does not fit, nor in what a model shows."""

from __future__ import annotations

import contextlib
import json
import logging
import pickle
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from asyncsecrets.errors import AsyncSecretsError, ConfigError, DecodeError
from asyncsecrets.integrations.pydantic import AsyncSecretsSettingsSource, FromSecret, load_settings
from asyncsecrets.integrations.pydantic.hidden import HiddenDict, HiddenText, hide
from asyncsecrets.secret import MASK, Secret
from tests.canaries import CANARY
from tests.client.support import Manager, client_of
from tests.frames import captured, leaks


class Cat(BaseModel):
    kind: Literal["cat"]
    name: str = ""


class Dog(BaseModel):
    kind: Literal["dog"]


class Fragile(BaseSettings):
    """Fields that each fail in a way of their own."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="forbid")

    number: int = 0
    numbers: list[int] = []
    counts: dict[str, int] = {}
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    checked: str = ""
    custom: str = ""
    broken: str = ""

    @field_validator("checked")
    @classmethod
    def _check(cls, value: str) -> str:
        if value:
            raise ValueError(f"{value} is not what was meant")
        return value

    @field_validator("custom")
    @classmethod
    def _check_custom(cls, value: str) -> str:
        if value:
            raise PydanticCustomError(f"kind_{value.replace('-', '_')}", "no {value}", {"value": value})  # type: ignore[misc]
        return value

    @field_validator("broken")
    @classmethod
    def _break(cls, value: str) -> str:
        if value:
            raise RuntimeError(value)
        return value


class InMemory(Fragile):
    """The same, by a plain call."""

    @classmethod
    def settings_customise_sources(cls, settings_cls: Any, **sources: Any) -> Any:
        """From memory alone."""
        return sources["init_settings"], AsyncSecretsSettingsSource(settings_cls)


FLAWS = {
    "NUMBER": "canary",
    "NUMBERS": '["canary"]',
    "COUNTS": '{"canary-key": "canary"}',
    "PET": '{"kind": "canary"}',
    "PET__KIND": "canary",
    "CHECKED": "canary-checked",
    "CUSTOM": "canary-custom",
    "BROKEN": "canary-broken",
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch) -> None:
    monkeypatch.setattr("os.environ", {})


@pytest.mark.parametrize("name", FLAWS)
async def test_what_does_not_fit_shows_nothing_to_who_loads(name: str) -> None:
    """Neither in the error nor in a frame, nor in what the error keeps."""
    async with client_of(Manager({name: FLAWS[name]})) as client:
        with pytest.raises(AsyncSecretsError) as caught:
            await load_settings(Fragile, client)
    assert isinstance(caught.value, ConfigError if name == "BROKEN" else DecodeError)
    assert leaks(caught.value) == []
    assert CANARY not in repr(pickle.dumps(caught.value))


@pytest.mark.parametrize("text", ["[canary", '{"canary": ', '{"a": "canary", "a": 2}', "NaN", "[" * 400, "canary"])
async def test_what_is_not_json_shows_nothing(text: str) -> None:
    async with client_of(Manager({"NUMBERS": text})) as client:
        with pytest.raises(DecodeError) as caught:
            await load_settings(Fragile, client)
    assert leaks(caught.value) == []


async def test_the_text_of_another_sources_error_is_not_repeated() -> None:
    class Failing(EnvSettingsSource):
        def __call__(self) -> dict[str, Any]:
            raise SettingsError("canary")

    class Settings(BaseSettings):
        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, **sources: Any) -> Any:
            return (Failing(settings_cls),)

    async with client_of(Manager({})) as client:
        with pytest.raises(ConfigError, match="a settings source failed") as caught:
            await load_settings(Settings, client)
    assert leaks(caught.value) == []


@pytest.mark.parametrize("name", ["NUMBER", "NUMBERS", "COUNTS"])
async def test_pydantics_own_error_shows_a_mask_where_a_plain_call_fails(name: str) -> None:
    """Its text, and the frames of pydantic."""
    async with client_of(Manager({name: FLAWS[name]})) as client:
        with pytest.raises(ConfigError):
            InMemory()
        with contextlib.suppress(DecodeError):
            await load_settings(InMemory, client)
        with pytest.raises(ValidationError) as caught:
            InMemory()
        shown = [text for place, text in captured(caught.value) if "repr" not in place]
        assert not any(FLAWS[name] in text or "'canary'" in text for text in shown)
        assert MASK in str(caught.value)


@pytest.mark.skipif(not hasattr(BaseSettings, "_settings_log_debug"), reason="this pydantic-settings has no such log")
async def test_the_debug_log_of_pydantic_settings_shows_masks(monkeypatch, caplog) -> None:
    """PYDANTIC_SETTINGS_DEBUG has it log what every source returned."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    async with client_of(Manager({"CHECKED": "", "PET": '{"kind": "cat", "name": "canary"}'})) as client:
        await load_settings(Fragile, client)
        await load_settings(InMemory, client)
    said = [record.getMessage() for record in caplog.records if record.name.startswith("pydantic_settings")]
    assert len(said) == 2
    assert all(MASK in text for text in said)


class Shown(BaseModel):
    """What a model may hold a secret as."""

    own: Secret
    text: SecretStr
    several: list[Secret]
    named: dict[str, Secret] = {}
    anything: Annotated[Any, FromSecret("ANYTHING")] = None


async def test_a_model_shows_nothing() -> None:
    secrets = {"OWN": "canary-1", "TEXT": "canary-2", "SEVERAL": '["canary-3"]', "NAMED": '{"a": "canary-4"}'}
    async with client_of(Manager({**secrets, "ANYTHING": "canary-5"})) as client:
        model = await load_settings(Shown, client)
    assert model.several[0].equals("canary-3")
    assert model.anything == "canary-5"
    shown = [repr(model), str(model), f"{model}", repr(model.model_dump()), repr(model.__dict__)]
    assert not any(CANARY in text for text in shown)
    assert CANARY not in model.model_dump_json(exclude={"anything"})
    assert json.loads(model.model_dump_json(include={"own", "several"})) == {"own": MASK, "several": [MASK]}
    with pytest.raises(TypeError):
        pickle.dumps(model)
    with pytest.raises(TypeError):
        model.model_copy(deep=True)
    assert model.model_copy().own.equals("canary-1")


async def test_a_secret_is_a_field_of_any_model() -> None:
    """Made of text, bytes, pydantic's own, or another; of nothing else. Its schema says that it is written only."""

    class One(BaseModel):
        token: Secret
        other: Secret | None = None

    for given_ in ("canary", b"canary", SecretStr("canary"), Secret("canary", name="N", version="3")):
        assert One(token=given_).token.equals("canary")  # type: ignore[arg-type]
    assert One.model_validate_json('{"token": "canary"}').token.name == "token"
    assert One(token=Secret("canary", name="N", version="3")).token.version == "3"
    assert TypeAdapter(Secret).validate_python("canary").equals("canary")
    with pytest.raises(ValidationError, match="made of text or bytes"):
        One.model_validate({"token": 3})
    token = One.model_json_schema()["properties"]["token"]
    assert (token["type"], token["format"], token["writeOnly"]) == ("string", "password", True)


def test_a_secret_becomes_pydantics_own() -> None:
    class Theirs(BaseModel):
        token: SecretStr

    secret = Secret("canary", name="N")
    assert Theirs(token=secret.to_pydantic()).token.get_secret_value() == "canary"
    assert CANARY not in repr(secret.to_pydantic())
    with pytest.raises(DecodeError) as caught:
        Secret(b"\xffcanary", name="N").to_pydantic()
    assert leaks(caught.value) == []


_TEXT = st.text(alphabet='aé\x00"', max_size=3)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXT,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(_TEXT, inside, max_size=3),
    max_leaves=6,
)


@settings(max_examples=30)
@given(_JSON)
def test_what_is_hidden_is_what_it_was(value: Any) -> None:
    hidden = hide(value)
    assert hidden == value
    assert json.dumps(hidden) == json.dumps(value)
    if isinstance(value, dict):
        assert type(hidden.copy()) is HiddenDict


@settings(max_examples=30)
@given(st.text(alphabet="canry", min_size=6).map(lambda text: f"canary{text}"), st.integers(0, 9))
def test_what_is_hidden_shows_nothing(text: str, cut: int) -> None:
    for value in (text, text.encode(), [text], {text: text}, {"a": [{"b": text}]}):
        hidden = hide(value)
        assert CANARY not in repr(hidden)
        assert CANARY not in repr([hidden])
    assert CANARY not in repr(HiddenText(text)[: -cut or None])
