"""Secrets as Key Vault keeps them, by the SDK's own async client with verification of the challenge on."""

from __future__ import annotations

import datetime as dt

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.core.rest import HttpRequest

from .conftest import NOW, codes, refused


async def test_set_and_get(server, client):
    """The newest, a version, and what is said of it; two versions are in no order by their ids."""
    first = await client.set_secret("NAME", "canary-1", content_type="text/plain", tags={"team": "web"})
    second = await client.set_secret("name", "canary-2")
    assert (await client.get_secret("NAME")).value == "canary-2"
    got = await client.get_secret("NAME", first.properties.version)
    assert (got.value, got.properties.content_type, got.properties.tags) == ("canary-1", "text/plain", {"team": "web"})
    assert got.id == f"https://demo.vault.azure.net/secrets/NAME/{first.properties.version}"
    assert second.name == "NAME"  # names are the same in either case, and stay as they were written first
    assert got.properties.created_on == dt.datetime.fromtimestamp(NOW, dt.UTC)
    assert (got.properties.enabled, got.properties.recovery_level) == (True, "Recoverable+Purgeable")
    assert (server.value("NAME"), server.value("NAME", first.properties.version)) == ("canary-2", "canary-1")
    assert server.count("challenge") == 1  # without a token, and without the value


async def test_what_is_not_there(client):
    """A secret, a version of one; a version that is none; a name that Azure does not take; the wording."""
    await client.set_secret("NAME", "canary")
    error = await refused(client.get_secret("OTHER"))
    assert codes(error) == (404, "SecretNotFound", "")
    assert error.message.startswith("(SecretNotFound) A secret with (name/id) OTHER was not found in this key vault.")
    assert codes(await refused(client.get_secret("NAME", "0" * 32))) == (404, "SecretNotFound", "")
    assert codes(await refused(client.get_secret("NAME", "latest"))) == (400, "BadParameter", "")
    error = await refused(client.get_secret("AZURE_API_KEY"))
    assert codes(error) == (400, "BadParameter", "")
    assert "The request URI contains an invalid name: AZURE_API_KEY" in error.message


async def test_lists_come_in_pages(server, client):
    """Secrets by name without values, versions by id; each page names the next; items say what the newest is."""
    for number in range(5):
        server.add(f"N{number}", "canary", contentType="text/plain")
    versions = {server.add("N0", f"canary-{number}") for number in range(3)}
    found = [item async for item in client.list_properties_of_secrets(max_page_size=2)]
    assert [item.name for item in found] == ["N0", "N1", "N2", "N3", "N4"]
    assert found[1].id == "https://demo.vault.azure.net/secrets/N1"
    assert (found[1].content_type, found[0].content_type) == ("text/plain", None)
    assert server.count("GetSecrets") == 3
    listed = [item.version async for item in client.list_properties_of_secret_versions("N0", max_page_size=1)]
    assert (len(listed), versions <= set(listed)) == (4, True)
    assert listed == sorted(listed)
    error = await refused(client.list_properties_of_secrets(max_page_size=26).__anext__())
    assert codes(error) == (400, "BadParameter", "")
    response = await client.send_request(HttpRequest("GET", f"{server.uri}/secrets?maxresults=4"))
    assert response.json()["nextLink"].startswith("https://demo.vault.azure.net:443/secrets?api-version=")
    server.rules.page_size = 1
    assert len([item async for item in client.list_properties_of_secrets()]) == 5
    assert server.count("GetSecrets") == 3 + 1 + 1 + 5


async def test_deletion_and_its_limbo(server, client):
    """Gone for readers at once; found among the deleted later; then to be recovered or purged, each with a limbo."""
    server.add("NAME", "canary-1")
    server.rules.deleting = server.rules.recovering = server.rules.purging = 5.0
    server.entra.lifetime = 1e8
    delete = client._client.delete_secret  # the public one waits, by asking every two seconds
    deleted = await delete("NAME")
    assert deleted.recovery_id == "https://demo.vault.azure.net/deletedsecrets/NAME"
    assert codes(await refused(client.get_secret("NAME"))) == (404, "SecretNotFound", "")
    assert codes(await refused(client.get_deleted_secret("NAME"))) == (404, "SecretNotFound", "")
    limbo = (409, "Conflict", "ObjectIsBeingDeleted")
    for call in (client.set_secret("NAME", "canary-2"), client.purge_deleted_secret("NAME")):
        assert codes(await refused(call)) == limbo
    server.advance(5)
    assert (await client.get_deleted_secret("name")).name == "NAME"
    assert [item.name async for item in client.list_deleted_secrets()] == ["NAME"]
    assert [item async for item in client.list_properties_of_secrets()] == []
    error = await refused(client.set_secret("NAME", "canary-2"))
    assert codes(error) == (409, "Conflict", "ObjectIsDeletedButRecoverable")
    assert "its name cannot be reused" in error.message
    await client._client.recover_deleted_secret("NAME")
    assert codes(await refused(client.get_secret("NAME"))) == (404, "SecretNotFound", "")
    assert codes(await refused(client.set_secret("NAME", "canary"))) == (409, "Conflict", "ObjectIsBeingRecovered")
    server.advance(5)
    assert (await client.get_secret("NAME")).value == "canary-1"
    assert codes(await refused(client.recover_deleted_secret("NAME"))) == (404, "SecretNotFound", "")
    await delete("NAME")
    server.advance(5)
    await client.purge_deleted_secret("NAME")
    assert codes(await refused(client.set_secret("NAME", "canary-2"))) == limbo
    assert codes(await refused(client.get_deleted_secret("NAME"))) == (404, "SecretNotFound", "")
    server.advance(5)
    await client.set_secret("NAME", "canary-3")
    assert len([item async for item in client.list_properties_of_secret_versions("NAME")]) == 1
    await delete("NAME")
    server.advance(91 * 86_400)
    for call in (client.get_deleted_secret("NAME"), client.get_secret("NAME")):
        assert codes(await refused(call)) == (404, "SecretNotFound", "")


async def test_the_public_waits_end(server, client):
    """`delete_secret` and `recover_deleted_secret` ask until it is done, which is at once."""
    server.add("NAME", "canary")
    assert (await client.delete_secret("NAME")).name == "NAME"
    assert (await client.recover_deleted_secret("NAME")).name == "NAME"
    assert (await client.get_secret("NAME")).value == "canary"


async def test_what_a_version_is_can_change(server, client):
    """Its dates, tags, content type, and whether it is enabled; a disabled one is not handed out, nor if deleted."""
    version = server.add("NAME", "canary", attributes={"exp": int(NOW) + 60}, tags={"a": "b"})
    server.advance(10)
    changed = await client.update_secret_properties("NAME", version, enabled=False, content_type="text/plain")
    assert (changed.enabled, changed.content_type, changed.tags) == (False, "text/plain", {"a": "b"})
    assert (changed.expires_on.timestamp(), changed.updated_on.timestamp()) == (NOW + 60, NOW + 10)
    error = await refused(client.get_secret("NAME"))
    assert codes(error) == (403, "Forbidden", "SecretDisabled")
    assert "Operation get is not allowed on a disabled secret." in error.message
    assert [item.enabled async for item in client.list_properties_of_secrets()] == [False]
    server.delete("NAME")
    assert codes(await refused(client.get_deleted_secret("NAME"))) == (403, "Forbidden", "SecretDisabled")
    assert codes(await refused(client.update_secret_properties("OTHER", enabled=True))) == (404, "SecretNotFound", "")


async def test_dates(server, client):
    """What is expired or not yet valid is handed out, as Azure does; or refused, where it is so ruled."""
    server.add("OLD", "canary-1", attributes={"exp": int(NOW)})
    server.add("NEW", "canary-2", attributes={"nbf": int(NOW) + 10, "exp": int(NOW) + 20})
    assert (await client.get_secret("OLD")).properties.expires_on.timestamp() == NOW
    assert (await client.get_secret("NEW")).value == "canary-2"
    server.rules.dates_refuse = True
    assert codes(await refused(client.get_secret("OLD"))) == (403, "Forbidden", "SecretExpired")
    error = await refused(client.get_secret("NEW"))
    assert codes(error) == (403, "Forbidden", "SecretNotYetValid")
    assert f"is not valid before {int(NOW) + 10}" in error.message
    server.advance(10)
    assert (await client.get_secret("NEW")).value == "canary-2"
    server.advance(10)
    assert codes(await refused(client.get_secret("NEW"))) == (403, "Forbidden", "SecretExpired")


async def test_what_is_too_much(server, client):
    """25 KiB by bytes, 15 tags, names of 127; nothing is stored of what is refused."""
    await client.set_secret("n" * 127, "é" * 12_800)
    for call in (
        client.set_secret("NAME", "é" * 12_800 + "x"),
        client.set_secret("n" * 128, "canary"),
        client.set_secret("NAME", "canary", tags={str(number): "" for number in range(16)}),
        client.set_secret("NAME", "canary", content_type="x" * 513),
        client.set_secret("NAME", None),
    ):
        assert codes(await refused(call)) == (400, "BadParameter", "")
    assert [item.name async for item in client.list_properties_of_secrets()] == ["n" * 127]


async def test_versions_of_the_api(connect):
    """Those that the SDK knows are answered; none, or another, is refused."""
    for version in ("7.5", "7.6", "2025-07-01"):
        assert (await connect(api_version=version).set_secret("NAME", "canary")).name == "NAME"
    client = connect()
    for query in ("", "?api-version=6.0"):
        response = await client.send_request(HttpRequest("GET", f"{client.vault_url}/secrets/NAME{query}"))
        assert response.status_code in {200, 400}  # the client adds its own where there is none
    assert response.json()["error"]["code"] == "BadParameter"


async def test_readers_of_the_other_region(server, client):
    """Every read lags behind the writes, or stands still; writes do not."""
    first = server.add("NAME", "canary-1")
    server.lag(10)
    second = (await client.set_secret("NAME", "canary-2")).properties.version
    assert (await client.get_secret("NAME")).value == "canary-1"
    assert codes(await refused(client.get_secret("NAME", second))) == (404, "SecretNotFound", "")
    assert [item.version async for item in client.list_properties_of_secret_versions("NAME")] == [first]
    server.add("OTHER", "canary")
    assert [item.name async for item in client.list_properties_of_secrets()] == ["NAME"]
    server.advance(10)
    assert (await client.get_secret("NAME")).value == "canary-2"
    server.freeze()
    server.delete("NAME")
    server.advance(1000)
    assert (await client.get_secret("NAME")).value == "canary-2"
    error = await refused(client.set_secret("NAME", "canary-3"))
    assert codes(error) == (409, "Conflict", "ObjectIsDeletedButRecoverable")
    server.lag()
    assert codes(await refused(client.get_secret("NAME"))) == (404, "SecretNotFound", "")


async def test_several_vaults(server, connect):
    """Each has its secrets, in every cloud; one that does not exist has no address."""
    server.add("NAME", "canary-1")
    for name, suffix in (("other", "vault.azure.net"), ("demo", "vault.azure.cn")):
        vault = server.vault(name, suffix)
        client = connect(vault.uri)
        assert codes(await refused(client.get_secret("NAME"))) == (404, "SecretNotFound", "")
        await client.set_secret("NAME", "canary-2")
    assert server.value("NAME") == "canary-1"
    assert server.value("NAME", vault="other") == server.vault("other").value("NAME") == "canary-2"
    version = server.add("NAME", "canary-3", vault="other", tags={"team": "web"})
    assert (server.value("NAME", version, vault="other"), server.value("NAME")) == ("canary-3", "canary-1")
    server.delete("NAME", vault="other")
    assert codes(await refused(connect("https://other.vault.azure.net").get_secret("NAME")))[0] == 404
    with pytest.raises(TypeError, match="a secret has contentType, tags; not content_type"):
        server.add("NAME", "canary", content_type="text/plain")
    error = await refused(connect("https://absent.vault.azure.net").get_secret("NAME"))
    assert isinstance(error, ServiceRequestError)
    assert "Name or service not known" in error.message
    with pytest.raises(ValueError, match="does not match the requested domain"):
        await connect(f"https://localhost:{server.port}").get_secret("NAME")
    client = connect(f"https://localhost:{server.port}", verify_challenge_resource=False)
    assert (await client.get_secret("NAME")).id.startswith(f"https://localhost:{server.port}/secrets/NAME/")
