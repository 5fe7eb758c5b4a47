"""hvac, which was written by others for the real server, works with the dev server."""

from __future__ import annotations

from collections.abc import Iterator

import hvac
import hvac.exceptions
import pytest

from asyncsecrets.testing.vault_server import VaultServer


@pytest.fixture(scope="module")
def server() -> Iterator[VaultServer]:
    """A dev server in a thread."""
    with VaultServer(namespaces=["team"]).run_in_thread() as running:
        yield running


@pytest.fixture
def client(server: VaultServer) -> Iterator[hvac.Client]:
    """hvac with the root token."""
    made = hvac.Client(url=server.url, token=server.root_token)
    yield made
    made.adapter.close()


def _read(client: hvac.Client, path: str, version: int | None = None) -> dict:
    answer = client.secrets.kv.v2.read_secret_version(path, version=version, raise_on_deleted_version=True)
    return answer["data"]["data"]


def test_it_is_authenticated_and_sees_the_status(client: hvac.Client) -> None:
    """Tokens, health and seal status parse."""
    assert client.is_authenticated()
    assert client.sys.is_initialized()
    assert not client.sys.is_sealed()
    assert client.sys.read_health_status(method="GET")["sealed"] is False
    assert client.sys.read_health_status().status_code == 200
    assert "secret/" in client.sys.list_mounted_secrets_engines()["data"]


def test_secrets_are_written_and_read_by_version(client: hvac.Client) -> None:
    """Create, update, compare-and-set, read one version, patch."""
    kv = client.secrets.kv.v2
    assert kv.create_or_update_secret("h/a", {"key": "canary-1"}, cas=0)["data"]["version"] == 1
    assert kv.create_or_update_secret("h/a", {"key": "canary-2"}, cas=1)["data"]["version"] == 2
    with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set parameter did not match"):
        kv.create_or_update_secret("h/a", {"key": "canary-3"}, cas=1)
    assert (_read(client, "h/a"), _read(client, "h/a", 1)) == ({"key": "canary-2"}, {"key": "canary-1"})
    with pytest.warns(DeprecationWarning, match="raise_on_deleted_version"):  # hvac's patch reads, and warns itself
        kv.patch("h/a", {"more": "canary-4"})
    assert _read(client, "h/a") == {"key": "canary-2", "more": "canary-4"}


def test_secrets_are_listed_deleted_and_destroyed(client: hvac.Client) -> None:
    """With hvac's own verb LIST; absent and deleted are its InvalidPath."""
    kv = client.secrets.kv.v2
    for path in ("l/a", "l/b/c"):
        kv.create_or_update_secret(path, {"key": "canary"})
    assert kv.list_secrets("l")["data"]["keys"] == ["a", "b/"]
    kv.delete_latest_version_of_secret("l/a")
    with pytest.raises(hvac.exceptions.InvalidPath):
        _read(client, "l/a")
    kv.undelete_secret_versions("l/a", [1])
    assert _read(client, "l/a") == {"key": "canary"}
    kv.destroy_secret_versions("l/a", [1])
    assert kv.read_secret_metadata("l/a")["data"]["versions"]["1"]["destroyed"] is True
    kv.delete_metadata_and_all_versions("l/a")
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.list_secrets("l/a")


def test_metadata_and_settings(client: hvac.Client) -> None:
    """Custom metadata, limits, and the mount's settings."""
    kv = client.secrets.kv.v2
    kv.update_metadata("m/a", max_versions=2, custom_metadata={"owner": "tests"}, delete_version_after="1h")
    told = kv.read_secret_metadata("m/a")["data"]
    assert (told["max_versions"], told["custom_metadata"], told["delete_version_after"]) == (
        2,
        {"owner": "tests"},
        "1h0m0s",
    )
    kv.configure(max_versions=20)
    assert kv.read_configuration()["data"]["max_versions"] == 20


def test_kv_version_1(client: hvac.Client) -> None:
    """A mount of the older kind."""
    client.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
    kv = client.secrets.kv.v1
    kv.create_or_update_secret("a", {"key": "canary"}, mount_point="old")
    assert kv.read_secret("a", mount_point="old")["data"] == {"key": "canary"}
    assert kv.list_secrets("", mount_point="old")["data"]["keys"] == ["a"]
    kv.delete_secret("a", mount_point="old")
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret("a", mount_point="old")


def test_approle_and_policies(server: VaultServer, client: hvac.Client) -> None:
    """A login, what its policy allows, and what not."""
    client.sys.enable_auth_method("approle")
    client.sys.create_or_update_policy("reader", 'path "secret/data/open/*" { capabilities = ["read"] }')
    assert "reader" in client.sys.list_policies()["data"]["policies"]
    roles = client.auth.approle
    roles.create_or_update_approle("app", token_policies=["reader"], token_ttl="10m")
    role_id = roles.read_role_id("app")["data"]["role_id"]
    secret_id = roles.generate_secret_id("app", metadata={"from": "tests"})["data"]["secret_id"]
    server.write_secret("open/a", {"key": "canary"})
    app = hvac.Client(url=server.url)
    app.auth.approle.login(role_id, secret_id)
    assert app.lookup_token()["data"]["policies"] == ["default", "reader"]
    assert _read(app, "open/a") == {"key": "canary"}
    with pytest.raises(hvac.exceptions.Forbidden):
        _read(app, "closed/a")
    assert app.auth.token.renew_self()["auth"]["lease_duration"] == 600
    app.auth.token.revoke_self()
    with pytest.raises(hvac.exceptions.Forbidden):
        _read(app, "open/a")
    app.adapter.close()


def test_namespaces(server: VaultServer, client: hvac.Client) -> None:
    """hvac sends the header; the same name is another secret there."""
    client.sys.create_namespace("dynamic")
    assert "dynamic/" in client.sys.list_namespaces()["data"]["keys"]
    team = hvac.Client(url=server.url, token=server.root_token, namespace="team")
    team.secrets.kv.v2.create_or_update_secret("n", {"key": "canary-team"})
    assert _read(team, "n") == {"key": "canary-team"}
    with pytest.raises(hvac.exceptions.InvalidPath):
        _read(client, "n")
    team.adapter.close()


def test_response_wrapping(server: VaultServer, client: hvac.Client) -> None:
    """A wrapped token is unwrapped once."""
    wrapped = client.auth.token.create(policies=["default"], wrap_ttl="60s")["wrap_info"]["token"]
    assert client.sys.unwrap(wrapped)["auth"]["client_token"]
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.sys.unwrap(wrapped)


def test_faults_reach_hvac_as_its_own_errors(server: VaultServer, client: hvac.Client) -> None:
    """A sealed server, a rate limit and a failure are told apart."""
    server.seal()
    with pytest.raises(hvac.exceptions.VaultDown):
        _read(client, "h/a")
    server.unseal()
    server.faults.status(429, "rate limit quota exceeded", times=1)
    with pytest.raises(hvac.exceptions.RateLimitExceeded):
        _read(client, "h/a")
    server.faults.status(500, "internal error", times=1)
    with pytest.raises(hvac.exceptions.InternalServerError):
        _read(client, "h/a")
