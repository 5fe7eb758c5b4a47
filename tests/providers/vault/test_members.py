"""Members of stored objects: the numbers that Vault keeps, and values that are JSON themselves."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import DecodeError, MalformedResponseError
from asyncsecrets.testing.vault_server import VaultServer

from .backend import Backend
from .raw import RawServer, answer

REAL = os.environ.get("ASYNCSECRETS_TEST_REAL_VAULT") == "1"

# A number as it is sent, and as KV v2 keeps it. KV v1 keeps it as it is.
NUMBERS = {
    "5432": "5432",
    "1.10": "1.1",
    "1.0": "1",
    "1e5": "100000",
    "1E+2": "100",
    "-0": "-0",
    "-0.0": "-0",
    "1e20": "100000000000000000000",
    "1e21": "1e+21",
    "123456789012345680000": "123456789012345680000",
    "0.000001": "0.000001",
    "1e-05": "0.00001",
    "1e-7": "1e-7",
    "2.5e-10": "2.5e-10",
    "-1.5E300": "-1.5e+300",
    "5e-324": "5e-324",
}
LOSSY = {
    "12345678901234567890": "12345678901234567000",
    "3.141592653589793238462643383279": "3.141592653589793",
    "1e-400": "0",
}


@dataclass
class Place:
    """A folder of one mount: ``await place.write(name, text)`` is somebody else's write."""

    backend: Backend
    mount: str
    folder: str
    version: int

    async def write(self, name: str, text: str) -> None:
        body, data = (text, "") if self.version == 1 else (f'{{"data":{text}}}', "data/")
        await self.backend("POST", f"{self.mount}/{data}{self.folder}/{name}", body.encode())

    def client(self, **settings: str) -> SecretsClient:
        settings = {"mount_name": self.mount, "path_prefix": self.folder, "access_mode": "read_and_write"} | settings
        general = {"key_management_system": "hashicorp_vault", "key_management_settings": settings}
        environ = {"VAULT_ADDR": self.backend.url, "VAULT_TOKEN": self.backend.token}
        return SecretsClient.from_config({"general_settings": general}, environ=environ)


@pytest.fixture(params=["fake", *(["real"] if REAL else [])])
async def backend(request):
    """A server."""
    if request.param == "real":
        yield Backend(os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"])
        return
    async with VaultServer(root_token="canary-root") as server:
        yield Backend(server.url, server.root_token)


@pytest.fixture(params=[1, 2])
async def place(request, backend):
    """A KV mount of each version."""
    name = f"members-{secrets.token_hex(4)}"
    await backend("POST", f"sys/mounts/{name}", {"type": "kv", "options": {"version": str(request.param)}})
    yield Place(backend, name, "folder", request.param)
    await backend("DELETE", f"sys/mounts/{name}")


async def test_numbers_are_what_the_server_keeps(place):
    """Digit for digit as they stand in its answer, whoever wrote them: alone, in a list, in the whole object."""
    async with place.client() as client:
        for sent, kept in (NUMBERS | LOSSY).items():
            text = sent if place.version == 1 else kept
            await place.write("n", f'{{"n":{sent},"l":[{{"m":{sent}}}],"t":"{sent}","b":true}}')
            await client.refresh("secret:///n?field=n")
            assert (await client.get("n", field="n")).equals(text)
            assert (await client.get("n", field="/l/0/m")).equals(text)
            assert (await client.get("n", field="t")).equals(sent)
            assert (await client.get("n", field="json:")).equals(
                f'{{"b":true,"l":[{{"m":{text}}}],"n":{text},"t":"{sent}"}}'
            )


async def test_what_is_put_is_what_is_read(place):
    """The whole object: put() returns the very text that a later read does, and every number that the server keeps."""
    async with place.client(secret_field="") as client:
        for sent, kept in NUMBERS.items():
            written = await client.put("o", f'\ufeff {{"z": "canary <&>\u2028", "n": [{sent}], "b": false}}')
            await client.refresh("o")
            assert (await client.get("o")).equals(written)
            assert written.field("/n/0").equals(sent if place.version == 1 else kept)
            assert written.field("z").equals("canary <&>\u2028")


async def test_numbers_that_would_change(place):
    """Refused where the server would make others of them (KV v2), kept where it does not (KV v1)."""
    async with place.client(secret_field="") as client:
        for sent in LOSSY:
            if place.version == 1:
                await client.put("o", f'{{"n":{sent}}}')
                assert (await client.get("o", field="n")).equals(sent)
                continue
            with pytest.raises(DecodeError, match="more digits than Vault keeps") as caught:
                await client.put("o", f'{{"n":{sent}}}')
            assert sent not in str(caught.value)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ("canary", "is not JSON"),
        ('["canary"]', "is not one"),
        ('{"a":"canary","a":"canary"}', "has a member 'a' twice"),
        ('{"a":NaN,"b":"canary"}', "no numbers of JSON"),
        ('{"a":1e400,"b":"canary"}', "more digits than Vault keeps"),
        ('{"a":' + "7" * 5_000 + ',"b":"canary"}', "more digits than Vault keeps"),
        ('{"a":' + "[" * 300 + "]" * 300 + ',"b":"canary"}', "nested too deep"),
        ('{"a":' + "[" * 20_000 + "]" * 20_000 + ',"b":"canary"}', "nested too deep"),
        ('{"a":"\\ud800","b":"canary"}', "lone surrogates"),
    ],
)
async def test_objects_that_cannot_be_stored(place, payload, why):
    """An error of ours that says why, before anything is written."""
    async with place.client(secret_field="") as client:
        with pytest.raises(DecodeError, match=why) as caught:
            await client.put("o", payload)
        assert "canary" not in str(caught.value)
        await client.put("o", '{"a":' + "[" * 200 + "1.0" + "]" * 200 + "}")


async def test_a_value_that_is_an_object(place):
    """What was put comes back as that very text, and its members by their names, as at every other manager."""
    value = '{"a":1, "user":"canary-u",\n"n":1.10, "big":12345678901234567890, "db":{"port":-0}}'
    async with place.client() as client:
        written = await client.put("db", value)
        for _ in range(2):
            assert (await client.get("db")).equals(value)
            for field, text in {"a": "1", "n": "1.10", "/db/port": "-0", "big": "12345678901234567890"}.items():
                assert (await client.get("db", field=field)).equals(text)
                assert written.field(field).equals(text)
            await client.refresh("db")
        with pytest.raises(DecodeError, match="has no field 'b'; it has 'a', 'user', 'n', 'big', 'db'"):
            await client.get("db", field="b")
        await client.put("text", "canary")
        with pytest.raises(DecodeError, match="'text' is not a JSON object"):
            await client.get("text", field="b")


async def test_an_object_of_somebody_elses(place):
    """Without the default member: the error says which there are, and how one is named; by name it is read."""
    await place.write("real", '{"user":"canary-u","port":5432,"deep":{"x":[null]}}')
    async with place.client() as client:
        with pytest.raises(DecodeError) as caught:
            await client.get("real")
        assert str(caught.value) == (
            "'real' has no field 'key', which is read where none is named (secret_field); "
            "it has 'deep', 'port', 'user' (name one by field=, --field or ?field=)"
        )
        assert (await client.get("secret:///real?field=port")).equals("5432")
        assert (await client.get("real", field="json:/deep/x")).equals("[null]")
        with pytest.raises(DecodeError, match="null; its JSON text is the field 'json:/deep/x/0'"):
            await client.get("real", field="/deep/x/0")
    async with place.client(secret_field="port") as client:
        assert (await client.get("real")).equals("5432")
    async with place.client(secret_field="/deep/x/0") as client:
        with pytest.raises(DecodeError, match="null"):
            await client.get("real")


async def test_a_primary_secret(place):
    """Its members are the names, those of an object in its value too."""
    await place.write("all", '{"key":"{\\"port\\":5432,\\"db\\":{\\"n\\":1.10}}"}')
    async with place.client(primary_secret_name="all") as client:
        assert json.loads((await client.get("key")).reveal()) == {"port": 5432, "db": {"n": 1.1}}
        assert (await client.get("key", field="port")).equals("5432")
        assert (await client.get("key", field="/db/n")).equals("1.10")


@pytest.mark.parametrize(
    "data",
    [
        b'{"data":{"key":"canary"},"metadata":{"version":1.5}}',
        b'{"data":{"key":"canary"},"metadata":{"version":true}}',
        b'{"data":{"key":"canary"},"metadata":{"version":1e0}}',
        b'{"data":{"key":"canary"},"metadata":{"version":"1"}}',
        b'{"data":{"key":NaN},"metadata":{"version":1}}',
        b'{"data":{"key":"canary","key":"canary"},"metadata":{"version":1}}',
        b'{"data":{"key":"\\ud800"},"metadata":{"version":1}}',
        b'{"data":{"key":"\xff"},"metadata":{"version":1}}',
        b'{"data":{"key":' + b"[" * 20_000 + b"]" * 20_000 + b'},"metadata":{"version":1}}',
        b'{"data":["canary"],"metadata":{"version":1}}',
    ],
)
async def test_answers_that_make_no_sense(provider_at, data):
    """Nonsense is an error of ours that shows nothing of it."""
    body = b'{"data":' + data + b"}"
    async with RawServer(lambda _: answer(body=body)) as server, provider_at(server.url) as provider:
        with pytest.raises(MalformedResponseError) as caught:
            await provider.get("a")
        assert "canary" not in str(caught.value)
