"""Through SecretsClient: the documented configuration, freshness, deletes, writes that were not answered."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConflictError, SecretNotFoundError, WriteOutcomeUnknownError
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.support import PROJECT

SEED = Path(__file__).parents[2] / "data" / "seed-configs" / "07-google-secret-manager.yaml"
PATIENT = RetryPolicy(attempts=3, deadline=60.0, backoff=(0.001, 0.01))
VARIABLES = {"GOOGLE_SECRET_MANAGER_PROJECT_ID": PROJECT}


@pytest.fixture
async def server():
    async with GoogleServer(clock=lambda: 1_800_000_000.0) as server:
        yield server


@pytest.fixture
def build(server):
    """Make a client at that server; it is opened by the test."""

    def build(environ=None, **settings):
        given = {
            "auth_method": "none",
            "google_endpoint": f"http://{server.endpoint}",
            "access_mode": "read_and_write",
            "attempt_timeout": "15",
            **settings,
        }
        document = {
            "general_settings": {"key_management_system": "google_secret_manager", "key_management_settings": given}
        }
        variables = {**VARIABLES, **(environ or {})}
        return SecretsClient.from_config(document, environ=variables, retry=PATIENT, jitter=lambda: 0.9)

    return build


async def test_seed(server, tmp_path):
    """The documented file as it is: its name comes from Google once, what is absent there from the environment."""
    server.add("OPENAI_API_KEY", "canary sk-1234")
    environ = {**VARIABLES, "OTHER": "canary of the environment"}
    # What only a stand-in needs is added; the rest is the file.
    added = f"  key_management_settings: {{auth_method: none, google_endpoint: 'http://{server.endpoint}'}}\n"
    path = tmp_path / "config.yaml"
    path.write_text(SEED.read_text() + added)
    async with SecretsClient.from_config(path, environ=environ, retry=PATIENT) as secrets:
        for _ in range(5):
            assert (await secrets.get("os.environ/OPENAI_API_KEY")).equals("canary sk-1234")
        assert (await secrets.get("os.environ/OTHER")).equals("canary of the environment")
    assert server.count("AccessSecretVersion", "OPENAI_API_KEY") == 1


async def test_seed_by_command(server, tmp_path, command):
    """The same, from the command line."""
    server.add("OPENAI_API_KEY", "canary sk-1234")
    added = f"  key_management_settings: {{auth_method: none, google_endpoint: 'http://{server.endpoint}'}}\n"
    path = tmp_path / "config.yaml"
    path.write_text(SEED.read_text() + added)
    environ = {**VARIABLES, "OTHER": "canary of the environment"}
    assert await command(environ, "get", "OPENAI_API_KEY") == (0, "canary sk-1234")
    assert await command(environ, "get", "OTHER") == (0, "canary of the environment")
    code, text = await command(environ, "resolve", path, "--reveal")
    [model] = yaml.safe_load(text)["model_list"]
    assert (code, model["litellm_params"]["api_key"]) == (0, "canary sk-1234")
    assert (await command(environ, "set", "OPENAI_API_KEY", stdin=b"canary"))[0] == 7


@pytest.mark.parametrize("environ", [{}, {"GOOGLE_SECRET_MANAGER_ALWAYS_READ_SECRET_MANAGER": "true"}])
async def test_always_read(server, build, environ):
    """Every read is one at Google, or one for all of them."""
    server.add("A", "canary")
    async with build(environ) as secrets:
        for _ in range(4):
            await secrets.get("A")
    assert server.count("AccessSecretVersion") == (4 if environ else 1)


async def test_refresh_interval(build):
    """It is the documented variable that says when the next renewal is."""
    async with build({"GOOGLE_SECRET_MANAGER_REFRESH_INTERVAL": "600"}) as secrets:
        await secrets.put("A", "canary")
        status = next(each for each in secrets.status() if each.name == "default")
        assert 500 < status.secrets[0].next_renewal <= 600


async def test_a_delete_is_believed_at_once(server, build):
    """For good, so that there is nothing to ask for a second time; the next put begins anew."""
    async with build() as secrets:
        for number in (1, 2, 3):
            await secrets.put("A", f"canary {number}")
        await secrets.delete("A")
        server.requests.clear()
        with pytest.raises(SecretNotFoundError):
            await secrets.get("A")
        assert server.count("AccessSecretVersion") <= 2  # the cache has an absence confirmed
        with pytest.raises(SecretNotFoundError):
            await secrets.restore("A")
        assert (await secrets.put("A", "canary anew")).version == "1"
        assert (await secrets.refresh("A")).equals("canary anew")


async def test_a_write_survives_a_refresh_after_the_floors_have_ended(server, build):
    """The client believes whatever it reads by then; the provider still knows better than latest."""
    async with build(read_your_writes="0") as secrets:
        server.add("A", "canary old")
        server.freeze_latest()
        await secrets.put("A", "canary new")
        assert (await secrets.refresh("A")).equals("canary new")


async def test_an_addition_that_is_not_answered_is_decided(server, build):
    """It is read back by numbers, and is added once."""
    server.add("A", "canary old")
    async with build() as secrets:
        await secrets.get("A")
        server.freeze_latest()
        server.faults.status("UNAVAILABLE", method="AddSecretVersion", when="after", times=1)
        assert (await secrets.put("A", "canary new")).version == "2"
        server.faults.status("UNAVAILABLE", method="AddSecretVersion", times=1)
        assert (await secrets.put("A", "canary newer")).version == "3"


async def test_a_compare_and_set_that_is_not_answered_is_decided(server, build):
    """It is made again under its token, which knows its claim."""
    server.add("A", "canary old")
    async with build() as secrets:
        server.faults.status("UNAVAILABLE", method="AddSecretVersion", when="after", times=1)
        assert (await secrets.put("A", "canary new", cas="1")).version == "2"
        assert (await secrets.get("A")).version == "2"
        with pytest.raises(ConflictError):
            await secrets.put("A", "canary lost", cas="1")
        server.faults.status("UNAVAILABLE")
        with pytest.raises(WriteOutcomeUnknownError):
            await secrets.put("A", "canary newest", source="default")


async def test_both_spellings_of_a_name_are_one_secret(build):
    """A write under one is seen under the other."""
    async with build() as secrets:
        full = f"projects/{PROJECT}/secrets/litellm-x2F-a"
        await secrets.put("litellm/a", "canary 1")
        assert (await secrets.get(f"secret:///{full}")).equals("canary 1")
        await secrets.put("litellm/a", "canary 2")
        assert (await secrets.get(f"secret:///{full}")).equals("canary 2")


async def test_an_answer_without_a_checksum_is_in_the_status(server, build):
    """Operators see that something between them and Google takes it away."""
    server.add("A", "canary")
    server.faults.corrupt("no_checksum", times=1)
    async with build() as secrets:
        await secrets.get("A")
        status = next(each for each in secrets.status() if each.name == "default")
        assert status.remarks == ("answers without a checksum, which were served unchecked: 1",)


async def test_a_secret_is_served_no_longer_than_it_lives(build):
    """Its end comes with it where the source gives new ones a lifetime."""
    async with build(ttl="1000") as secrets:
        written = await secrets.put("A", "canary")
        assert written.expires is not None
        assert (await secrets.refresh("A")).expires == written.expires
