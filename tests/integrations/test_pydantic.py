"""load_settings: which secret a field is read from, what the model makes of it, and what else fills a field."""

from __future__ import annotations

import asyncio
import enum
import importlib
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PostgresDsn,
    RootModel,
    SecretBytes,
    SecretStr,
    field_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

import asyncsecrets
from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import (
    AccessDeniedError,
    ClosedError,
    ConfigError,
    DecodeError,
    InvalidNameError,
    MissingDependencyError,
    ResolveError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.integrations.pydantic import FromSecret, load_settings
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.secret import Payload, Secret
from tests.client.support import FieldManager, Manager, client_of, denied, down


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch) -> None:
    """The variables of this machine, such as USER and HOST, are no settings of the models here."""
    monkeypatch.setattr("os.environ", {})


async def load(model: type[Any], secrets: Mapping[str, Payload], **overrides: Any) -> Any:
    """The model, made of these secrets."""
    async with client_of(Manager(secrets)) as client:
        return await load_settings(model, client, **overrides)


class Plain(BaseSettings):
    """Settings as most programs have them."""

    db_password: SecretStr
    workers: int = 2
    debug: bool = False


# -- which secret


async def test_a_field_is_read_from_the_secret_that_its_variable_would_be_called_as() -> None:
    """And the model converts it, as it does a variable."""
    settings = await load(Plain, {"DB_PASSWORD": "canary", "WORKERS": "8", "DEBUG": "on"})
    assert type(settings) is Plain
    assert settings.db_password.get_secret_value() == "canary"
    assert (settings.workers, settings.debug) == (8, True)


async def test_the_default_client_is_read_through_and_the_name_is_at_the_front_door() -> None:
    async with client_of(Manager({"DB_PASSWORD": "canary"})):
        settings = await asyncsecrets.load_settings(Plain)
    assert settings.db_password.get_secret_value() == "canary"


async def test_all_fields_are_asked_for_at_once() -> None:
    class Two(BaseSettings):
        first: str
        second: str

    manager = Manager({"FIRST": "canary-1", "SECOND": "canary-2"})
    manager.gate = asyncio.Event()
    async with client_of(manager) as client:
        loading = asyncio.create_task(load_settings(Two, client))
        while len(manager.calls) < 2:
            await asyncio.sleep(0)
        manager.gate.set()
        assert (await loading).second == "canary-2"
    assert sorted(manager.calls) == [("get", "FIRST"), ("get", "SECOND")]


class Spelled(BaseSettings):
    """Names that are spelled in several ways."""

    model_config = SettingsConfigDict(env_prefix="App_")

    own: str = "-"
    aliased: str = Field("-", alias="Other")
    chosen: str = Field("-", validation_alias=AliasChoices("FIRST", "SECOND", AliasPath("THIRD", "in", 1)))
    inner: str = Field("-", validation_alias=AliasPath("LIST", 0))


@pytest.mark.parametrize(
    ("field", "name", "text", "meant"),
    [
        ("own", "APP_OWN", "canary", "canary"),
        ("own", "App_own", "canary", "canary"),
        ("own", "OWN", "canary", "-"),
        ("own", "app_own", "canary", "-"),
        ("aliased", "Other", "canary", "canary"),
        ("aliased", "OTHER", "canary", "canary"),
        ("aliased", "APP_ALIASED", "canary", "-"),
        ("aliased", "APP_OTHER", "canary", "-"),
        ("chosen", "FIRST", "canary", "canary"),
        ("chosen", "SECOND", "canary", "canary"),
        ("chosen", "THIRD", '{"in": ["x", "canary"]}', "canary"),
        ("inner", "LIST", '["canary"]', "canary"),
    ],
)
async def test_a_name_is_spelled_as_pydantic_settings_does(field: str, name: str, text: str, meant: str) -> None:
    assert getattr(await load(Spelled, {name: text}), field) == meant


async def test_the_first_of_several_names_is_taken() -> None:
    settings = await load(Spelled, {"FIRST": "canary-1", "SECOND": "canary-2", "APP_OWN": "canary-3", "App_own": "x"})
    assert (settings.chosen, settings.own) == ("canary-1", "canary-3")


@pytest.mark.parametrize("name", ["Own", "OWN"])
async def test_where_case_matters_a_name_is_asked_for_as_it_is_written(name: str) -> None:
    class Strict(BaseSettings):
        model_config = SettingsConfigDict(case_sensitive=True)
        Own: str = "-"

    assert (await load(Strict, {name: "canary"})).Own == ("canary" if name == "Own" else "-")


@pytest.mark.parametrize(
    ("target", "names"),
    [("variable", ["X_OWN", "ALIAS"]), ("alias", ["OWN", "X_ALIAS"]), ("all", ["X_OWN", "X_ALIAS"])],
)
async def test_a_prefix_is_put_before_what_the_model_says(target: Any, names: list[str]) -> None:
    class Prefixed(BaseSettings):
        model_config = SettingsConfigDict(env_prefix="X_", env_prefix_target=target)
        own: str
        other: str = Field(alias="ALIAS")

    settings = await load(Prefixed, dict.fromkeys(names, "canary"))
    assert (settings.own, settings.other) == ("canary", "canary")


async def test_what_the_call_says_of_the_settings_holds_for_the_names() -> None:
    settings = await load(Plain, {"Y_DB_PASSWORD": "canary"}, _env_prefix="Y_")
    assert settings.db_password.get_secret_value() == "canary"


async def test_a_field_may_go_by_its_name_beside_its_alias() -> None:
    class Both(BaseSettings):
        model_config = SettingsConfigDict(validate_by_name=True)
        own: str = Field("-", alias="ALIAS")

    assert (await load(Both, {"OWN": "canary"})).own == "canary"
    assert (await load(Both, {"OWN": "x", "ALIAS": "canary"})).own == "canary"
    assert (await load(Both, {"OWN": "x"}, own="given")).own == "given"


class Marked(BaseModel):
    """A plain model, marked."""

    user: Annotated[str, FromSecret("secret:///app/db?field=user")]
    password: Annotated[SecretStr, FromSecret("secret:///app/db?field=/deep/password")]
    old: Annotated[SecretStr | None, FromSecret("os.environ/OLD")] = None
    inner: Annotated[SecretStr, FromSecret("INNER")] | None = None


async def test_a_mark_says_which_secret_whatever_the_field_is_called() -> None:
    """A name or a reference, of a field that may be optional, in a plain model. One secret is fetched once."""
    manager = Manager(
        {"app/db": '{"user": "u", "deep": {"password": "canary"}}', "OLD": "canary-0", "INNER": "canary-i"}
    )
    async with client_of(manager) as client:
        settings = await load_settings(Marked, client)
    assert (settings.user, settings.password.get_secret_value()) == ("u", "canary")
    assert settings.old is not None
    assert settings.inner is not None
    assert settings.inner.get_secret_value() == "canary-i"
    assert sorted(manager.calls) == [("get", "INNER"), ("get", "OLD"), ("get", "app/db")]


def test_a_mark_that_names_nothing_is_refused_where_it_is_made() -> None:
    with pytest.raises(InvalidNameError):
        FromSecret("")
    with pytest.raises(ConfigError):
        FromSecret("secret://nowhere")


async def test_a_marked_field_is_asked_for_by_its_mark_alone() -> None:
    class Renamed(BaseSettings):
        token: Annotated[str, FromSecret("API_TOKEN")] = "-"

    manager = Manager({"TOKEN": "canary"})
    async with client_of(manager) as client:
        assert (await load_settings(Renamed, client)).token == "-"
    assert manager.calls == [("get", "API_TOKEN")]


async def test_only_what_is_marked_is_asked_for_if_told_so() -> None:
    class Mixed(BaseSettings):
        workers: int = 2
        token: Annotated[str, FromSecret("TOKEN")]

    manager = Manager({"TOKEN": "canary", "WORKERS": "8"})
    async with client_of(manager) as client:
        assert (await load_settings(Mixed, client, marked_only=True)).workers == 2
    assert manager.calls == [("get", "TOKEN")]


# -- nested


class Cert(BaseModel):
    pem: SecretStr = SecretStr("-")


class Database(BaseModel):
    host: str = "localhost"
    port: int = 5432
    password: SecretStr = Field(SecretStr("-"), alias="PassWord")
    cert: Cert = Cert()


@dataclass
class Queue:
    url: str = "-"


class Nested(BaseSettings):
    model_config = SettingsConfigDict(env_nested_delimiter="__")

    db: Database = Database()
    queue: Queue | None = None
    limits: dict[str, int] = {}


async def test_a_nested_field_has_the_name_that_the_delimiter_makes() -> None:
    secrets = {
        "DB__HOST": "h",
        "DB__PORT": "1",
        "DB__PASSWORD": "canary",
        "DB__CERT__PEM": "canary-2",
        "QUEUE__URL": "q",
    }
    settings = await load(Nested, secrets)
    assert (settings.db.host, settings.db.port, settings.queue.url) == ("h", 1, "q")
    assert settings.db.password.get_secret_value() == "canary"
    assert settings.db.cert.pem.get_secret_value() == "canary-2"


async def test_a_nested_model_may_be_one_json_secret_and_parts_of_it_secrets_of_their_own() -> None:
    secrets = {"DB": '{"host": "h", "port": 7, "PassWord": "x"}', "DB__PASSWORD": "canary", "LIMITS": '{"a": 3}'}
    settings = await load(Nested, secrets)
    assert (settings.db.host, settings.db.port, settings.limits) == ("h", 7, {"a": 3})
    assert settings.db.password.get_secret_value() == "canary"


async def test_the_environment_fills_what_the_manager_lacks_of_a_nested_model(monkeypatch) -> None:
    monkeypatch.setenv("DB__HOST", "from-the-environment")
    monkeypatch.setenv("DB__PASSWORD", "canary-environment")
    settings = await load(Nested, {"DB__PASSWORD": "canary"})
    assert settings.db.host == "from-the-environment"
    assert settings.db.password.get_secret_value() == "canary"


async def test_splits_end_where_the_model_says() -> None:
    class Split(BaseSettings):
        model_config = SettingsConfigDict(env_nested_delimiter="_", env_nested_max_split=1)
        db: Database = Database()

    manager = Manager({"DB_HOST": "h"})
    async with client_of(manager) as client:
        assert (await load_settings(Split, client)).db.host == "h"
    assert ("get", "DB_CERT_PEM") not in manager.calls


async def test_a_mark_in_a_nested_model_needs_no_delimiter() -> None:
    class Inner(BaseModel):
        host: str = "localhost"
        tags: Annotated[list[str], FromSecret("TAGS")] = []
        password: Annotated[SecretStr, FromSecret("PASSWORD")] = Field(alias="passWord")

    class Outer(BaseSettings):
        inner: Inner

    settings = await load(Outer, {"PASSWORD": "canary", "TAGS": '["a"]'})
    assert settings.inner.password.get_secret_value() == "canary"
    assert (settings.inner.host, settings.inner.tags) == ("localhost", ["a"])


async def test_a_model_within_itself_is_followed_once() -> None:
    class Tree(BaseModel):
        value: str = "-"
        left: Tree | None = None

    class Rooted(BaseSettings):
        model_config = SettingsConfigDict(env_nested_delimiter="__")
        tree: Tree = Tree()

    Rooted.model_rebuild(_types_namespace={"Tree": Tree, "Rooted": Rooted})
    settings = await load(Rooted, {"TREE__VALUE": "canary", "TREE__LEFT": '{"value": "x"}'})
    assert settings.tree.value == "canary"
    assert settings.tree.left.value == "x"


# -- what the model makes of it


class Colour(enum.Enum):
    RED = "red"


class Typed(BaseSettings):
    number: float = 0
    when: datetime | None = None
    colour: Colour | None = None
    word: Literal["a", "b"] | None = None
    dsn: PostgresDsn | None = None
    key: SecretBytes = SecretBytes(b"")
    raw: bytes = b""
    numbers: list[int] = []
    unique: set[str] = set()
    mixed: int | list[int] = 0
    packed: Json[list[int]] | None = None
    commas: Annotated[list[str], NoDecode] = []
    whole: RootModel[list[int]] | None = None
    anything: Any = None
    own: Secret | None = None

    @field_validator("commas", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("field", "payload", "meant"),
    [
        ("number", "1.5", 1.5),
        ("when", "2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5)),  # noqa: DTZ001
        ("colour", "red", Colour.RED),
        ("word", "b", "b"),
        ("dsn", "postgres://u:canary@h/d", PostgresDsn("postgres://u:canary@h/d")),
        ("key", b"\xff\x00canary", SecretBytes(b"\xff\x00canary")),
        ("key", "canary\n", SecretBytes(b"canary\n")),
        ("raw", b"\xff", b"\xff"),
        ("numbers", "[1, 2]", [1, 2]),
        ("unique", '["a"]', {"a"}),
        ("mixed", "7", 7),
        ("mixed", "[7]", [7]),
        ("packed", "[1]", [1]),
        ("commas", "a,b", ["a", "b"]),
        ("anything", "canary", "canary"),
    ],
)
async def test_the_model_converts_what_is_stored(field: str, payload: Payload, meant: Any) -> None:
    found = getattr(await load(Typed, {field.upper(): payload}), field)
    assert found == meant
    assert type(found) is type(meant) or (field in {"raw", "anything"} and isinstance(found, type(meant)))


async def test_a_secret_of_ours_keeps_its_version_and_shows_nothing() -> None:
    settings = await load(Typed, {"OWN": "canary", "WHOLE": "[1]"})
    assert settings.own.equals("canary")
    assert settings.own.version == "1"
    assert settings.whole.root == [1]
    shown = [repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()]
    assert not any("canary" in text for text in shown)


async def test_text_is_never_stripped() -> None:
    assert (await load(Plain, {"DB_PASSWORD": " canary\n"})).db_password.get_secret_value() == " canary\n"


async def test_a_strict_model_takes_numbers_as_it_does_from_the_environment() -> None:
    class Strict(BaseSettings):
        model_config = SettingsConfigDict(strict=True)
        workers: int
        name: str

    settings = await load(Strict, {"WORKERS": "8", "NAME": "canary"})
    assert (settings.workers, settings.name) == (8, "canary")
    assert type(settings.name) is str


async def test_an_empty_secret_and_the_word_for_none_are_what_the_model_says() -> None:
    class Loose(BaseSettings):
        model_config = SettingsConfigDict(env_ignore_empty=True, env_parse_none_str="null")
        workers: int = 2
        name: str | None = "-"

    assert (await load(Loose, {"WORKERS": "", "NAME": "null"})).model_dump() == {"workers": 2, "name": None}
    assert (await load(Plain, {"DB_PASSWORD": ""})).db_password.get_secret_value() == ""


async def test_the_field_of_vaults_objects_is_the_value() -> None:
    async with client_of(FieldManager({"DB_PASSWORD": '{"key": "canary"}'})) as client:
        assert (await load_settings(Plain, client)).db_password.get_secret_value() == "canary"


async def test_a_pydantic_dataclass_field_and_a_frozen_model() -> None:
    class Frozen(BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid")
        token: SecretStr

    assert (await load(Frozen, {"TOKEN": "canary"})).token.get_secret_value() == "canary"


# -- what else fills a field


@pytest.fixture
def everywhere(monkeypatch, tmp_path) -> type[BaseSettings]:
    """Settings with every source that there is."""
    (tmp_path / ".env").write_text("A=dotenv\nB=dotenv\nC=dotenv\nD=dotenv\n")
    (tmp_path / "e").write_text("file")
    (tmp_path / "d").write_text("file")
    for name in "abc":
        monkeypatch.setenv(name.upper(), "environment")

    class Everywhere(BaseSettings):
        model_config = SettingsConfigDict(env_file=tmp_path / ".env", secrets_dir=tmp_path)
        a: str = "default"
        b: str = "default"
        c: str = "default"
        d: str = "default"
        e: str = "default"
        f: str = "default"

    return Everywhere


async def test_the_order_of_sources(everywhere: type[BaseSettings]) -> None:
    """What the call gives, then secrets, then the sources of the model in their order."""
    settings = await load(everywhere, {"A": "canary", "B": "canary"}, a="given")
    assert settings.model_dump() == {
        "a": "given",
        "b": "canary",
        "c": "environment",
        "d": "dotenv",
        "e": "file",
        "f": "default",
    }


async def test_what_is_given_is_not_asked_for() -> None:
    manager = Manager({"WORKERS": "8"})
    async with client_of(manager) as client:
        settings = await load_settings(Plain, client, db_password="canary", debug=True)
    assert settings.workers == 8
    assert [call for call in manager.calls if call[1] in {"DB_PASSWORD", "DEBUG"}] == []


async def test_a_part_of_a_nested_model_may_be_given() -> None:
    settings = await load(Nested, {"DB__PASSWORD": "canary", "DB__PORT": "1"}, db={"port": 2})
    assert settings.db.port == 2
    assert settings.db.password.get_secret_value() == "canary"


async def test_the_clients_environment_stands_in_for_what_is_marked_and_in_a_plain_model() -> None:
    class Bare(BaseModel):
        token: str

    class Renamed(BaseSettings):
        name: Annotated[str, FromSecret("TOKEN")]

    async with client_of(Manager({}), environ={"TOKEN": "canary"}) as client:
        assert (await load_settings(Bare, client)).token == "canary"
        assert (await load_settings(Renamed, client)).name == "canary"


async def test_a_models_own_order_of_the_environment_holds_for_what_only_that_has(monkeypatch, tmp_path) -> None:
    """A ``.env`` that comes before the environment does so here too."""
    monkeypatch.setenv("TOKEN", "canary-environment")
    (tmp_path / ".env").write_text("TOKEN=canary-dotenv")

    class Reordered(BaseSettings):
        model_config = SettingsConfigDict(env_file=tmp_path / ".env")
        token: str

        @classmethod
        def settings_customise_sources(cls, settings_cls, **sources) -> tuple[Any, ...]:
            return sources["init_settings"], sources["dotenv_settings"], sources["env_settings"]

    async with client_of(Manager({}), environ={"TOKEN": "canary-environment"}) as client:
        assert (await load_settings(Reordered, client)).token == "canary-dotenv"


# -- failures


async def test_one_error_lists_every_name_that_failed_and_why(monkeypatch) -> None:
    """A manager that is down or says no is never the environment."""
    monkeypatch.setenv("DB_PASSWORD", "canary")
    manager = Manager({})
    manager.failure = lambda name: denied(name) if name == "DEBUG" else down(name)
    async with client_of(
        manager, environ={"DB_PASSWORD": "canary"}, retry=asyncsecrets.RetryPolicy(attempts=1)
    ) as client:
        with pytest.raises(ResolveError) as caught:
            await load_settings(Plain, client)
    assert {name: type(error) for name, error in caught.value.failures.items()} == {
        "DB_PASSWORD": UnavailableError,
        "WORKERS": UnavailableError,
        "DEBUG": AccessDeniedError,
    }


async def test_deleted_is_not_absent(monkeypatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "canary-environment")
    provider = MemoryProvider({"DB_PASSWORD": "canary"})
    async with client_of(provider) as client:
        await client.delete("DB_PASSWORD")
        with pytest.raises(ResolveError) as caught:
            await load_settings(Plain, client)
    assert isinstance(caught.value.failures["DB_PASSWORD"], SecretNotFoundError)


async def test_a_later_name_that_is_denied_does_no_harm_when_an_earlier_one_is_there() -> None:
    class Two(BaseSettings):
        token: str = Field(validation_alias=AliasChoices("NEW", "OLD"))

    manager = Manager({"NEW": "canary"})
    manager.failure = denied
    async with client_of(manager) as client:
        with pytest.raises(ResolveError, match="NEW"):
            await load_settings(Two, client)
        manager.failure = None
        await client.get("NEW")
        manager.failure = denied
        assert (await load_settings(Two, client)).token == "canary"


async def test_a_name_that_the_manager_cannot_have_is_absent_unless_it_is_marked() -> None:
    class Odd(BaseSettings):
        odd: str = "-"

    class OddMark(BaseSettings):
        odd: Annotated[str, FromSecret("ODD")] = "-"

    def refused(name: str) -> Exception:
        return InvalidNameError(f"memory: {name!r} is no name", provider="memory", name=name)

    manager = Manager({})
    manager.failure = refused
    async with client_of(manager) as client:
        assert (await load_settings(Odd, client)).odd == "-"
        with pytest.raises(ResolveError, match="ODD"):
            await load_settings(OddMark, client)


async def test_nothing_stands_in_for_hosted_keys(monkeypatch) -> None:
    """Unless the field has a default, which is what ``get_secret(name, default)`` has too."""

    class Hosted(BaseSettings):
        token: str

    class Optional(BaseSettings):
        token: str | None = None

    monkeypatch.setenv("TOKEN", "canary-environment")
    async with client_of(Manager({}), hosted_keys=["TOKEN"]) as client:
        with pytest.raises(ResolveError) as caught:
            await load_settings(Hosted, client)
        assert isinstance(caught.value.failures["TOKEN"], SecretNotFoundError)
    monkeypatch.delenv("TOKEN")
    async with client_of(Manager({}), hosted_keys=["TOKEN"]) as client:
        assert (await load_settings(Optional, client)).token is None


async def test_what_is_nowhere_is_told_with_the_names_that_were_asked_for() -> None:
    with pytest.raises(ConfigError) as caught:
        await load(Plain, {})
    assert str(caught.value) == (
        "Plain cannot be made, 1 field at fault:\n"
        "  db_password: missing (there is no secret 'DB_PASSWORD' or 'db_password')"
    )


async def test_what_does_not_fit_is_told_by_field_kind_and_secret() -> None:
    with pytest.raises(DecodeError) as caught:
        await load(Nested, {"DB__PORT": "canary", "LIMITS": '{"canary-key": "canary"}'})
    assert str(caught.value) == (
        "Nested cannot be made, 2 fields at fault:\n"
        "  db.port: int_parsing (from the secret 'DB__PORT')\n"
        "  limits....: int_parsing (from the secret 'LIMITS')"
    )


async def test_what_is_not_json_is_told_by_its_field() -> None:
    with pytest.raises(DecodeError, match=r'for field "numbers" .* the secret is not JSON'):
        await load(Typed, {"NUMBERS": "canary"})


@pytest.mark.parametrize("wrong", [object(), 3, dict, SecretsClient])
async def test_only_models_are_loaded(wrong: Any) -> None:
    async with client_of(Manager({})) as client:
        with pytest.raises(ConfigError, match="BaseSettings"):
            await load_settings(wrong, client)


async def test_a_closed_client_is_told_as_that() -> None:
    async with client_of(Manager({})) as client:
        pass
    with pytest.raises(ClosedError):
        await load_settings(Plain, client)


async def test_settings_are_made_in_a_thread_for_their_sources_read_files() -> None:
    seen: list[threading.Thread] = []

    class Watching(BaseSettings):
        token: str

        @field_validator("token")
        @classmethod
        def _see(cls, value: str) -> str:
            seen.append(threading.current_thread())
            return value

    await load(Watching, {"TOKEN": "canary"})
    assert [thread is threading.main_thread() for thread in seen] == [False]


@pytest.mark.parametrize("name", ["asyncsecrets.integrations.pydantic", "asyncsecrets.load_settings"])
def test_without_pydantic_settings_the_extra_is_named(name: str, monkeypatch) -> None:
    module, _, attribute = name.rpartition(".") if name.endswith("load_settings") else (name, "", "__doc__")
    for loaded in [loaded for loaded in sys.modules if loaded.startswith("asyncsecrets.integrations.pydantic")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.delitem(vars(asyncsecrets), "load_settings", raising=False)
    monkeypatch.setitem(sys.modules, "pydantic_settings", None)
    with pytest.raises(MissingDependencyError, match=r"asyncsecrets\[pydantic\]"):
        getattr(importlib.import_module(module), attribute)


def test_a_secret_without_pydantic_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(MissingDependencyError, match=r"asyncsecrets\[pydantic\]"):
        Secret("canary", name="N").to_pydantic()
