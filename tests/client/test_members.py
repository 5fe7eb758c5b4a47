"""Members of stored objects as a client's callers get them: by ``field=``, in references, of a primary secret."""

from __future__ import annotations

from typing import Any

import pytest

from asyncsecrets import get_secret, get_secret_bool
from asyncsecrets.client import SecretsClient
from asyncsecrets.config import AccessMode, SourceConfig
from asyncsecrets.errors import DecodeError, SecretNotFoundError
from tests.client.support import ONCE, FieldManager, Manager, client_of, client_with

RDS = (
    '{"user":"canary-u","port":5432,"tls":true,"ratio":1.10,"big":12345678901234567890,'
    '"db":{"port":-0,"n":[1e5]},"z":null}'
)

TEXTS = {
    "user": "canary-u",
    "port": "5432",
    "tls": "true",
    "ratio": "1.10",
    "big": "12345678901234567890",
    "/db/port": "-0",
    "/db/n/0": "1e5",
    "json:db": '{"port":-0,"n":[1e5]}',
    "json:/db/n": "[1e5]",
    "json:z": "null",
    "json:user": '"canary-u"',
}


@pytest.mark.parametrize("manager", [Manager, FieldManager])
@pytest.mark.parametrize("marked", ["", "\ufeff"])
async def test_every_way_to_a_member(manager: type[Manager], marked: str) -> None:
    """By keyword and in a reference, warm and cold: the same text, of one fetch."""
    store = manager({"rds": RDS if manager is FieldManager else marked + RDS})
    async with client_of(store) as client:
        for _ in range(2):
            for field, text in TEXTS.items():
                assert (await client.get("rds", field=field)).equals(text)
                assert await get_secret(f"secret:///rds?field={field}") == text
        assert await get_secret_bool("secret:///rds?field=tls") is True
        warm = client.peek("secret:///rds?field=/db/port")
        assert warm is not None
        assert warm.equals("-0")
    assert store.calls == [("get", "rds")]


async def test_of_the_environment() -> None:
    """A variable that holds JSON has members too, stand-in or not."""
    for client in (client_of(Manager(), {"RDS": RDS}), SecretsClient.from_config({}, environ={"RDS": "\ufeff" + RDS})):
        async with client:
            for field, text in TEXTS.items():
                assert (await client.get("RDS", field=field)).equals(text)


async def test_an_error_names_the_members_of_whatever_was_read() -> None:
    """And where a name alone means a member, that this one was looked for."""
    async with client_of(FieldManager({"rds": RDS})) as client:
        with pytest.raises(DecodeError, match=r"has no field 'prt'; it has 'user', 'port', .*field=") as caught:
            await client.get("rds", field="prt")
        assert "secret_field" not in str(caught.value)
        with pytest.raises(DecodeError, match=r"'key', .* \(secret_field\); it has 'user', 'port', "):
            await client.get("rds")
        with pytest.raises(DecodeError, match="an object; a member of it has a path, such as '/db/port'"):
            await client.get("rds", field="db")


class TestObjectsInADefaultField:
    """Where a manager keeps a value as one member of an object, and the value is JSON itself."""

    async def test_a_member_of_what_is_stored_comes_first(self) -> None:
        """The text in the value is asked only for what the stored object does not have."""
        inner = '{\\"key\\":\\"canary-inner\\",\\"user\\":\\"canary-u\\"}'
        store = FieldManager({"one": f'{{"key":"{inner}"}}', "two": f'{{"key":"{inner}","port":1}}'})
        async with client_of(store) as client:
            assert (await client.get("one", field="user")).equals("canary-u")
            assert (await client.get("one", field="key")).field("key").equals("canary-inner")
            assert (await client.get("one")).fields() == ["key", "user"]
            assert (await client.get("two", field="port")).equals("1")
            with pytest.raises(DecodeError, match="no field 'user'; it has 'key', 'port'"):
                await client.get("two", field="user")

    async def test_a_value_that_is_no_json_has_no_fields(self) -> None:
        """That is said, and not that the stored object lacks it."""
        async with client_of(FieldManager({"one": '{"key":"canary"}'})) as client:
            with pytest.raises(DecodeError, match="'one' is not a JSON object"):
                await client.get("one", field="user")


class TestPrimarySecret:
    """Names that are members of one JSON secret."""

    def client(self, payload: str, environ: dict[str, str] | None = None, **more: Any) -> SecretsClient:
        mode = AccessMode.READ_AND_WRITE
        declared = SourceConfig(name="default", system="memory", primary_secret_name="all", access_mode=mode, **more)
        return client_with({"default": (declared, Manager({"all": payload}))}, environ, retry=ONCE)

    async def test_members_that_are_not_text(self) -> None:
        """Numbers, booleans, nested ones and whole objects by the names that fields have."""
        async with self.client("\ufeff" + RDS, {"port": "canary-env"}) as client:
            for name, text in TEXTS.items():
                assert await get_secret(name) == text
            assert await get_secret_bool("tls") is True
            for field, text in {"port": "-0", "/n/0": "1e5", "json:n": "[1e5]"}.items():
                assert (await client.get("db", field=field)).equals(text)

    async def test_what_has_no_text_is_there_all_the_same(self) -> None:
        """It is wrong to ask for, but not absent: nothing stands in for it."""
        async with self.client(RDS, {"z": "canary-env", "db": "canary-env"}) as client:
            for name in ("z", "db"):
                with pytest.raises(DecodeError, match=f"no text in the field '{name}'"):
                    await client.get(name)
            with pytest.raises(DecodeError, match="is not a JSON object"):
                await client.get("port", field="x")
            with pytest.raises(SecretNotFoundError):
                await client.get("/db/nowhere")
