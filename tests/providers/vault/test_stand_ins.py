"""Servers that are nearly Vault: secrets are read and written where they have the paths, whatever else they lack."""

from __future__ import annotations

import json

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import (
    ConfigError,
    MalformedResponseError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)

from .raw import RawServer, answer, document, secret

LACKS = {
    "empty errors": (404, {"errors": []}),
    "no route": (404, {"errors": ["no handler for route"]}),
    "page": (404, b"<html>Not Found</html>"),
    "nothing": (404, b""),
    "another framework": (404, {"detail": "Not Found"}),
    "method": (405, b"Method Not Allowed"),
    "bad request": (400, {"errors": ["unsupported path"]}),
    "not implemented": (501, b"<html>501</html>"),
    "an object": (200, {}),
    "its own page": (200, b"<html>UI</html>"),
}


class StandIn:
    """KV v2 at ``secret/data/`` (or KV v1 at ``secret/``), and ``lacks`` for everything else."""

    def __init__(self, lacks, version=2):
        self.lacks = lacks
        self.version = version
        self.secrets = {"there": {"key": "canary-1"}}

    def __call__(self, request):
        path = request.target.partition("?")[0]
        folder = "/v1/secret/data/" if self.version == 2 else "/v1/secret/"
        name = path.removeprefix(folder)
        if not path.startswith(folder) or "/" in name:
            return answer(self.lacks[0], self.lacks[1])
        return self.at(request, name)

    def at(self, request, name):
        if request.method == "POST":
            body = json.loads(request.body)
            self.secrets[name] = body["data"] if self.version == 2 else body
            return answer(body=document({"version": 1, "created_time": "2026-01-02T03:04:05Z"}))
        if request.method == "DELETE":
            self.secrets.pop(name, None)
            return answer(204)
        if name not in self.secrets:
            return answer(404, {"errors": []})
        if self.version == 2:
            return answer(body=secret(self.secrets[name]))
        return answer(body=document(self.secrets[name], lease_duration=2764800))


@pytest.mark.parametrize("lacks", LACKS.values(), ids=LACKS)
async def test_reads(provider_at, lacks):
    """What is there is read, and what is not is absent, in either order."""
    for names in (("there", "none"), ("none", "there")):
        async with RawServer(StandIn(lacks)) as server, provider_at(server.url) as provider:
            for name in names:
                if name == "there":
                    assert (await provider.get(name)).field("key").equals("canary-1")
                    continue
                with pytest.raises(SecretNotFoundError, match="'none': it does not exist") as caught:
                    await provider.get(name)
                assert caught.value.reason == "absent"


@pytest.mark.parametrize("lacks", LACKS.values(), ids=LACKS)
async def test_kv_version_says_it(provider_at, lacks):
    """With the setting, writes and deletions work at once, and nothing is asked but what is wanted and the mount."""
    stand_in = StandIn(lacks)
    async with RawServer(stand_in) as server, provider_at(server.url, kv_version=2) as provider:
        await provider.put("new", "canary-2")
        assert stand_in.secrets["new"] == {"key": "canary-2"}
        assert (await provider.get("new")).field("key").equals("canary-2")
        await provider.delete("new")
        with pytest.raises(SecretNotFoundError):
            await provider.get("new")


@pytest.mark.parametrize("lacks", LACKS.values(), ids=LACKS)
async def test_nothing_is_written_before_it_is_known_where(provider_at, lacks):
    """Without the setting, a write waits for the first secret that is found; the error names the setting."""
    stand_in = StandIn(lacks)
    async with RawServer(stand_in) as server, provider_at(server.url) as provider:
        with pytest.raises(ConfigError, match="or set kv_version"):
            await provider.put("new", "canary-2")
        assert all(request.method == "GET" for request in server.requests)
        await provider.get("there")
        await provider.put("new", "canary-2")
        assert stand_in.secrets["new"] == {"key": "canary-2"}


async def test_kv_version_1_is_still_found_out(provider_at):
    """A server that has KV v1 and no such question is read as that, also after a name that is absent."""
    async with RawServer(StandIn(LACKS["empty errors"], version=1)) as server, provider_at(server.url) as provider:
        with pytest.raises(SecretNotFoundError):
            await provider.get("none")
        assert (await provider.get("there")).field("key").equals("canary-1")
        with pytest.raises(SecretNotFoundError):
            await provider.get("none")


async def test_a_failure_is_no_lack(provider_at):
    """A server that fails at the question may be down: *absent* is not believed, unless by the setting."""
    broken = (500, b"<html>oops</html>")
    async with RawServer(StandIn(broken)) as server:
        async with provider_at(server.url) as provider:
            with pytest.raises(UnavailableError):
                await provider.get("none")
        async with provider_at(server.url, kv_version=2) as provider:
            with pytest.raises(SecretNotFoundError):
                await provider.get("none")


async def test_an_answer_about_another_mount_is_no_lack(provider_at):
    """Somebody who answers for another mount is not believed about an absent secret."""
    other = document({"type": "kv", "options": {"version": "2"}, "path": "other/"})
    async with RawServer(StandIn((200, other))) as server, provider_at(server.url, kv_version=2) as provider:
        with pytest.raises(ConfigError, match="does not tell"):
            await provider.get("none")


@pytest.mark.parametrize(
    ("lacks", "error"),
    [
        ("not implemented", UnsupportedOperationError),
        ("method", ConfigError),
        ("page", ConfigError),
        ("its own page", MalformedResponseError),
    ],
)
async def test_without_metadata(provider_at, lacks, error):
    """Lists and versions say that the server does not have them, and do not pass for an outage."""
    async with RawServer(StandIn(LACKS[lacks])) as server, provider_at(server.url, kv_version=2) as provider:
        for call in (provider.list(), provider.versions("there"), provider.metadata("there")):
            with pytest.raises(error):
                await call


async def test_the_environment_stands_in():
    """A name that such a server does not have is looked up in the environment, as with any other."""
    async with RawServer(StandIn(LACKS["page"])) as server:
        environ = {"VAULT_ADDR": server.url, "VAULT_TOKEN": "canary-root", "NAME": "canary-env"}
        document = {"general_settings": {"key_management_system": "hashicorp_vault"}}
        async with SecretsClient.from_config(document, environ=environ) as client:
            assert (await client.get("NAME")).equals("canary-env")
            assert (await client.get("there")).equals("canary-1")
