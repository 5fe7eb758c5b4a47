"""An answer belongs to its question: what says that it is another's is refused."""

from __future__ import annotations

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConfigError, MalformedResponseError, UnavailableError
from tests.providers.vault.raw import RawServer, answer, document, mount, secret

OTHERS = {
    "common": secret(version=7),
    "with two members": secret({"key": "canary-value", "b": 1}, version=7),
    "described": secret(version=7, custom_metadata={"owner": "canary-team"}),
}


@pytest.fixture
async def at(provider_at):
    """``async with at(reply)``: a client whose provider is told ``reply`` by whatever it asks."""
    return lambda server, **settings: provider_at(server.url, renew_token=False, **{"kv_version": 2, **settings})


def verified(respond):
    """Answer the question what the mount is, and the rest by ``respond(request)``."""
    return lambda request: answer(body=mount()) if "/mounts/" in request.target else respond(request)


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_a_read_of_another_version(at, other):
    """The version that was asked for is the one that is answered; nothing of another is kept."""
    async with (
        RawServer(lambda _: answer(body=other)) as server,
        at(server) as provider,
        SecretsClient.from_provider(provider, environ={}) as client,
    ):
        with pytest.raises(MalformedResponseError, match="another version"):
            await client.get("name", version="3")
        assert (await client.get("name", version="7")).version == "7"


@pytest.mark.parametrize("status", [200, 404])
async def test_a_restore_of_another_version(at, status):
    """What says that a version is deleted, or is not, has to be about that version; else nothing is restored."""
    other = secret(None, version=7, deletion_time="2026-01-02T03:04:06Z")
    respond = verified(lambda _: answer(status, other))
    async with RawServer(respond) as server, at(server) as provider:
        with pytest.raises(MalformedResponseError, match="another version"):
            await provider.restore("name", ["3"])
        assert not any("undelete" in request.target for request in server.requests)


@pytest.mark.parametrize("version", [1, 3, 5, 9])
@pytest.mark.parametrize("operation", ["put", "patch"])
async def test_a_write_of_another_version(at, version, operation):
    """A write against version 3 makes version 4; an answer of any other one is another write's."""
    respond = verified(lambda _: answer(body=document({"version": version, "created_time": "2026-01-02T03:04:05Z"})))
    async with RawServer(respond) as server, at(server) as provider:
        with pytest.raises(MalformedResponseError, match="another version") as caught:
            await getattr(provider, operation)(
                "name", {"put": "canary", "patch": {"key": "canary"}}[operation], cas="3"
            )
        assert caught.value.outcome_unknown
        assert sum(request.method != "GET" for request in server.requests) == 1


async def test_a_write_of_another_version_is_not_kept(at):
    """What became of a write that was answered so is decided by the version that is there; its answer is not kept."""

    def respond(request):
        if request.method == "GET":
            return answer(body=secret(version=3))
        return answer(body=document({"version": 9, "created_time": "2026-01-02T03:04:05Z"}))

    async with (
        RawServer(verified(respond)) as server,
        at(server) as provider,
        SecretsClient.from_provider(provider, environ={}) as client,
    ):
        with pytest.raises(UnavailableError, match="not applied: version 3 is still current"):
            await client.put("name", "canary-new", cas="3")
        assert client.peek("name") is None


async def test_a_looked_up_cas_counts(at):
    """Where the mount requires a cas, the answer follows the version that was looked up."""
    made = [9, 4]

    def respond(request):
        if request.method == "GET":
            return answer(body=secret(version=3))
        if b"cas" not in request.body:
            return answer(400, {"errors": ["check-and-set parameter required for this call"]})
        return answer(body=document({"version": made.pop(0), "created_time": "2026-01-02T03:04:05Z"}))

    async with RawServer(verified(respond)) as server, at(server) as provider:
        with pytest.raises(MalformedResponseError, match="another version"):
            await provider.put("name", "canary")
        assert (await provider.put("name", "canary")).version == "4"


@pytest.mark.parametrize("path", ["other/", "secret/team/", "secre/"])
async def test_another_mount(at, path):
    """What is said of another mount is not believed of ours: nothing is written."""
    told = mount("1")
    told["data"]["path"] = path
    async with RawServer(lambda _: answer(body=told)) as server, at(server, kv_version=None) as provider:
        with pytest.raises(ConfigError, match="does not tell the KV version"):
            await provider.put("name", "canary")
        assert all(request.method == "GET" for request in server.requests)
