"""What users of Google's clients, and of others that read Google's secrets, have reported: what they would see here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.cli.app import main
from asyncsecrets.errors import AccessDeniedError, ConfigError
from asyncsecrets.providers.google import GoogleSettings
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.conftest import settings_at

ONCE = RetryPolicy(attempts=1)


def at(server: GoogleServer, environ=None, **settings) -> SecretsClient:
    """A client at that server."""
    given = {"google_secret_manager_project_id": server.project, **settings_at(server), **settings}
    general = {"key_management_system": "google_secret_manager", "key_management_settings": given}
    return SecretsClient.from_config({"general_settings": general}, environ=environ or {}, retry=ONCE)


SAID = {
    "of a user, by the server alone": (
        "SERVICE_DISABLED",
        "`gcloud services enable secretmanager.googleapis.com`.*QUOTA",
    ),
    "no billing": ("BILLING_DISABLED", "billing is not enabled for the project that calls are counted to"),
    "another project": ("CONSUMER_INVALID", "there is no such project: check its id"),
    "suspended": ("CONSUMER_SUSPENDED", "the project that calls are counted to is suspended"),
}


@pytest.mark.parametrize("what", SAID)
async def test_a_refusal_that_does_not_say_of_which_project(google, what):
    """The remedy is a command that can be run (nodejs-secret-manager#58)."""
    reason, says = SAID[what]
    google.faults.status("PERMISSION_DENIED", "canary", reason=reason)
    async with at(google) as client:
        with pytest.raises(ConfigError, match=says) as caught:
            await client.get("A")
    assert "canary" not in str(caught.value)


async def test_a_denial_that_passes(google):
    """IAM is consistent eventually: the next read asks again (external-secrets#4828)."""
    google.add("A", "canary")
    google.faults.status("PERMISSION_DENIED", times=1)
    async with at(google) as client:
        with pytest.raises(AccessDeniedError, match=r"roles/secretmanager.secretAccessor.*project.*does not exist"):
            await client.get("A")
        assert (await client.get("A")).equals("canary")


async def test_nothing_of_a_value_is_changed(google):
    """Neither the line break that ``echo`` leaves, nor base64 in it (get-secretmanager-secrets#262)."""
    async with at(google) as client:
        for name, value in (("LINE", "canary\n"), ("BASE64", "Y2FuYXJ5Cg=="), ("MARK", "\ufeffcanary")):
            google.add(name, value)
            assert (await client.get(name)).equals(value)


async def test_a_start_that_uses_up_the_quota_of_metadata(google):
    """600 calls a minute, against 90,000 for values: many names with a lifetime are served all the same."""
    google.add("A", "canary")
    google.faults.exhausted(method="GetSecret")
    async with at(google, ttl="1000") as client:
        secret = await client.get("A")
        assert secret.equals("canary")
        assert secret.expires is None
        google.faults.clear()
        await client.refresh("A")
    assert google.count("GetSecret") == 2


@pytest.mark.parametrize("form", ["{}", "http://{}", "{}/", "http://{}/"])
async def test_a_metadata_server_that_is_given_as_an_address(form):
    """A host and its port are meant; many write what they would open."""
    async with GoogleServer(tokens=()) as server:
        server.add("A", "canary")
        host = form.format(server.url.partition("//")[2])
        async with at(server, {"GCE_METADATA_HOST": host}, google_endpoint=f"http://{server.endpoint}/") as client:
            assert (await client.get("A")).equals("canary")


@pytest.mark.parametrize("project", ["projects/shop", '"shop"', "My Project", "${PROJECT_ID}"])
async def test_a_project_that_is_none(project):
    """What a console, a shell or a template has left there (get-secretmanager-secrets#303)."""
    general = {"key_management_system": "google_secret_manager", "key_management_settings": {"auth_method": "none"}}
    client = SecretsClient.from_config(
        {"general_settings": general}, environ={"GOOGLE_SECRET_MANAGER_PROJECT_ID": project}
    )
    with pytest.raises(ConfigError, match=r"GOOGLE_SECRET_MANAGER_PROJECT_ID .* is a project's id, such as shop-1234"):
        await client.get("A")


@pytest.mark.parametrize("project", ["", "../canary", "My Project"])
async def test_credentials_that_say_no_project(google, project):
    """It would become a part of the name that is asked for: what is missing is said, and nothing sent."""
    general = {"key_management_system": "google_secret_manager", "key_management_settings": settings_at(google)}
    environ = {"GOOGLE_CLOUD_PROJECT": project}
    async with SecretsClient.from_config({"general_settings": general}, environ=environ) as client:
        with pytest.raises(ConfigError, match="do not say of which project they are: set GOOGLE_SECRET_MANAGER"):
            await client.get("A")
    assert not google.requests


FORMS = {
    "google_quota_project_id": ("a\nb", "proj\u00e4ct", "projects/shop"),
    "google_impersonate_service_account": ("../x?y", "My Account", "a@b\n"),
    "google_universe_domain": ("https://example.com", "a b", "localhost"),
}


@pytest.mark.parametrize("key", FORMS)
def test_what_goes_into_headers_and_addresses(key):
    """gRPC takes no such header, and writes that on stderr: it is said of the setting, before anything is sent."""
    for text in FORMS[key]:
        with pytest.raises(ConfigError, match=rf"{key} .*is .*, not "):
            GoogleSettings.from_mapping("google_secret_manager", {key: text}, {})


@pytest.mark.parametrize("project", ["a\nb", "proj\u00e4ct"])
async def test_a_quota_project_in_a_file(project):
    """As a setting has one."""
    async with GoogleServer(tokens=()) as server:
        file = server.identity.service_account_file(quota_project_id=project)
        async with at(server, **settings_at(server, file)) as client:
            with pytest.raises(ConfigError, match="quota_project_id in the file of the credentials is no project"):
                await client.get("A")
        assert not server.requests


def test_metadata_on_the_command_line(tmp_path, capsys):
    """What only other managers keep about a secret is not told of Google's."""
    with GoogleServer.in_thread() as server:
        server.add("A", "canary")
        settings = {**settings_at(server), "google_secret_manager_project_id": server.project}
        general = {"key_management_system": "google_secret_manager", "key_management_settings": settings}
        (tmp_path / "config.yaml").write_text(json.dumps({"general_settings": general}))
        assert main(["--config", str(tmp_path / "config.yaml"), "metadata", "A"]) == 0
    printed = capsys.readouterr().out
    assert "current version" in printed
    assert "cas required" not in printed
    assert "max versions" not in printed


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import asyncio
from asyncsecrets import SecretsClient
from asyncsecrets.cli.app import main

async def main():
    settings = {"google_endpoint": "http://127.0.0.1:1", "auth_method": "none", "google_secret_manager_project_id": "a"}
    general = {"key_management_system": "google_secret_manager", "key_management_settings": settings}
    async with SecretsClient.from_config({"general_settings": general}, environ={}) as client:
        await client.get("A")

asyncio.run(main())
"""


def test_where_gevent_has_replaced_threads():
    """gRPC would hang there, whatever time limit is set (grpc#4629): it is said at once what to do."""
    command = [sys.executable, "-W", "ignore", "-c", GREENLETS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "UnsupportedOperationError: gevent has replaced this process's threads" in done.stderr
