"""The settings of a source at Azure: checked when they are made, shown without credentials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.settings import SYSTEMS
from tests.providers.azure.conftest import SYSTEM

URI = "https://demo.vault.azure.net"


def made(settings=None, **environ):
    return AzureSettings.from_mapping(SYSTEM, settings or {}, {"AZURE_KEY_VAULT_URI": URI, **environ})


@pytest.mark.parametrize(
    "spelled",
    [URI, f"{URI}/", " https://Demo.Vault.Azure.NET// \n", "demo.vault.azure.net", "HTTPS://demo.vault.azure.net"],
)
def test_an_address(spelled):
    """As files and shells leave it, with what a portal shows behind it."""
    assert made(AZURE_KEY_VAULT_URI=spelled).vault_uri == URI


@pytest.mark.parametrize(
    "spelled",
    [
        "http://demo.vault.azure.net",
        f"{URI}/secrets",
        "https://canary@demo.vault.azure.net",
        f"{URI}?x",
        "https://",
        "a b",
    ],
)
def test_what_is_no_address(spelled):
    """No plain http, no path, no user."""
    for key in ("azure_key_vault_uri", "azure_authority_host"):
        with pytest.raises(ConfigError, match=f"{key} must be an address such as https://.*: https") as caught:
            made({key: spelled})
        assert "canary" not in str(caught.value)


def test_the_vault_is_needed():
    """It is said how it is set."""
    for environ in ({"AZURE_KEY_VAULT_URI": ""}, {"AZURE_KEY_VAULT_URI": " \n"}):
        with pytest.raises(ConfigError, match=r"azure_key_vault_uri \(AZURE_KEY_VAULT_URI\) is missing"):
            made(**environ)


@pytest.mark.parametrize(
    ("uri", "authority"),
    [
        (URI, "https://login.microsoftonline.com"),
        ("https://demo.vault.azure.cn/", "https://login.chinacloudapi.cn"),
        ("https://demo.vault.usgovcloudapi.net", "https://login.microsoftonline.us"),
        ("https://vault.example.test", "https://login.microsoftonline.com"),
    ],
)
def test_the_cloud_follows_from_the_vault(uri, authority):
    """Where tokens are asked for, unless somebody has set that."""
    assert made(AZURE_KEY_VAULT_URI=uri).authority_host == authority
    own = made(AZURE_KEY_VAULT_URI=uri, AZURE_AUTHORITY_HOST="login.example.test/")
    assert own.authority_host == "https://login.example.test"


@pytest.mark.parametrize("name", ["azure_tenant_id", "azure_client_id"])
def test_ids(name):
    """URLs are made of them, and arguments of programs."""
    assert getattr(made({name: " 72f988bf-86f1 \n"}), name.removeprefix("azure_")) == "72f988bf-86f1"
    for value in ("a/b", "a b", "'; canary", "ä", "a" * 254):
        with pytest.raises(ConfigError, match=f"{name} must be an id") as caught:
            made({name: value})
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize("mark", ["'", '"'])
def test_a_client_secret_in_quotation_marks(mark):
    """As docker's --env-file passes them on; Entra ID would only say that it is wrong."""
    assert made({"azure_client_secret": f"canary{mark}s"}).client_secret.reveal() == f"canary{mark}s"
    with pytest.raises(ConfigError, match=r"AZURE_CLIENT_SECRET.* stands in quotation marks") as caught:
        made(AZURE_CLIENT_SECRET=f"{mark}canary{mark}\n")
    assert "canary" not in str(caught.value)


def test_every_setting_is_taken():
    """Each of the vocabulary, from a file as from its variable."""
    words = SYSTEMS[SYSTEM]
    given = {name: "demo.vault.azure.net" for name, setting in words.items() if setting.environ}
    settings = {**given, "auth_method": "cli", "azure_ca_cert": "x", "tags": {"a": "b"}, "allow_insecure_http": "true"}
    settings |= {"connect_timeout": "1", "attempt_timeout": "2.5", "max_connections": "3"}
    settings |= {"content_type": "text/plain", "ttl": "60", "valid_after": "1.5", "recover_deleted": "true"}
    assert settings.keys() == words.keys()
    found = made(settings)
    assert (found.auth_method, found.tags, found.allow_insecure_http) == ("cli", {"a": "b"}, True)
    assert (found.connect_timeout, found.attempt_timeout, found.max_connections) == (1.0, 2.5, 3)
    assert isinstance(found.max_connections, int)
    written = found.content_type, found.ttl, found.valid_after, found.recover_deleted
    assert written == ("text/plain", 60.0, 1.5, True)
    assert made(**{words[name].environ[0]: value for name, value in given.items()}).identity()[:7] == (
        "default",
        *found.identity()[1:7],
    )


@pytest.mark.parametrize("name", ["client_secret", "client_certificate_password"])
def test_other_credentials_are_another_identity(name):
    """Sources that differ in one share no token."""
    one, other = (AzureSettings(vault_uri=URI, **{name: value}) for value in ("canary-1", "canary-2"))
    assert one.identity() != other.identity()


def test_they_do_not_show_credentials():
    """Nor what tells sources apart."""
    found = made(AZURE_CLIENT_SECRET=" canary\n", AZURE_CLIENT_CERTIFICATE_PASSWORD="canary")
    assert found.client_secret.reveal() == "canary"
    assert AzureSettings(vault_uri=URI, client_secret=" canary\n").client_secret.reveal() == "canary"
    assert "canary" not in repr(found) + repr(found.identity())


@given(st.text(max_size=30))
def test_any_address(text):
    """It is one of https, in ASCII, with nothing behind it; or it is refused."""
    try:
        found = AzureSettings(vault_uri=text).vault_uri
    except ConfigError:
        return
    assert found.startswith("https://")
    assert found.isascii()
    assert not set(found.removeprefix("https://")) & set("/@?#\\ ")
